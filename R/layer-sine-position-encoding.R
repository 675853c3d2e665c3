# layer_sine_position_encoding(): sines and cosines of positions. In C:
# src/layers/position.c.

sine_position_encoding_kind <- position_kind(
  class_name = "SinePositionEncoding", constructor = "layer_sine_position_encoding",
  prefix = "sine_position_encoding", fields = "max_wavelength",
  check = function(self, shape, start) check_sequence(self, shape),
  step = function(self, start) {
    list(operation = "sine_positions", settings = c(start, self$config$max_wavelength))
  }
)

#' Sines and cosines of positions
#'
#' Gives, for a sequence, one vector per position, to be added to the embeddings of the
#' tokens: sines and cosines whose wavelengths grow from feature to feature (Vaswani et
#' al. 2017, section 3.5). There is nothing to learn, and no longest sequence.
#'
#' @section Shapes:
#' Input `(batch, ..., T, D)`, output the same. With features `d` from 0 and
#' `p = start_index + t`, the output is `sin(p * w)` where `d` is even and `cos(p * w)`
#' where it is odd, `w = (1 / max_wavelength)^(2 * (d %/% 2) / D)`.
#'
#' @section Call arguments:
#' `layer(inputs, start_index = 0)`: `start_index` is the number of the first position,
#' counted from 0 as in KerasHub. Set it when a sequence is decoded step by step. It may be
#' a symbolic tensor.
#'
#' @inheritParams layer_dense
#' @param max_wavelength The longest wavelength (divided by 2 pi), a positive number.
#' @return The layer, or what it gives for `object`.
#' @section Errors:
#' `attn_error_argument` for an argument of another type or value than said;
#' `attn_error_shape` when the input has fewer than 2 dims.
#' @references <https://keras.io/keras_hub/api/modeling_layers/sine_position_encoding/>;
#'   Vaswani et al. (2017), Attention Is All You Need, <https://arxiv.org/abs/1706.03762>
#' @seealso [layer_position_embedding()], [layer_rotary_embedding()]
#' @examples
#' layer <- layer_sine_position_encoding()
#' tokens <- array(0, c(1, 4, 6))
#' round(layer(tokens)[1, , ], 3)
#' @export
layer_sine_position_encoding <- function(object, max_wavelength = 10000, ...) {
  owner <- "layer_sine_position_encoding()"
  dots <- check_dots(owner, layer_dots, ...)
  config <- list(max_wavelength = check_wavelength(max_wavelength, owner, "max_wavelength"))
  layer <- new_layer("sine_position_encoding", config, dots, seed = NULL)
  if (missing(object) || is.null(object)) layer else compose_layer(object, layer)
}

# A positive number; whole ones stay whole, as Keras writes them into files.
check_wavelength <- function(x, owner, argument) {
  number <- check_number(x, owner, argument, min = 0)
  if (number == 0) {
    abort_argument(owner, argument, "a positive number", x)
  }
  if (is_whole_number(number)) as.integer(number) else number
}
