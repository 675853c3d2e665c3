# layer_dropout(). In C: src/layers/dropout.c.

dropout_kind <- tensor_kind(
  class_name = "Dropout", constructor = "layer_dropout", prefix = "dropout",
  fields = c("rate", "seed", "noise_shape"), required = "rate", random = TRUE,
  write_config = function(self, config) {
    if (!is.null(config$noise_shape)) {
      config$noise_shape <- shape_to_config(config$noise_shape)
    }
    config
  },
  output_shape = function(self, shapes) check_noise_fits(self, shapes[[1L]]),
  step = function(self, shapes, arguments) {
    noise <- self$config$noise_shape
    list(operation = "dropout",
      settings = c(self$config$rate, ifelse(is.na(noise), 0, noise))
    )
  }
)

check_noise_fits <- function(self, shape) {
  noise <- self$config$noise_shape
  if (!is.null(noise) && (length(shape) != length(noise) || !fits_extents(noise, shape))) {
    abort_shape(self$label, "inputs",
      sprintf("an array that `noise_shape`, %s, fits", format_shape(noise)),
      paste("shape", format_shape(shape))
    )
  }
  shape
}

#' Dropout layer
#'
#' In training numbers of the input become 0 at random, at a rate of `rate`, and the others
#' are divided by `1 - rate`, so that the sum is about the same. Otherwise the input passes
#' as it is: predictions do without dropout.
#'
#' Which numbers are dropped follows from the layer's seed and from how often the layer was
#' called in training; it is the same for any number of threads.
#'
#' @section Shapes:
#' The output has the shape of the input, any.
#'
#' @inheritParams layer_dense
#' @param rate The share of numbers that are dropped, from 0 to 1.
#' @param noise_shape The shape of the decisions, with the batch: along an axis where it is
#'   1 a single decision is made for all. `NA` (or `NULL` in a list) stands for the input's
#'   own size. `NULL` (default): a decision for every number.
#' @param seed A whole number that fixes the decisions, or `NULL` (default), which draws
#'   one from R's random number generator.
#' @param ... `name`, `dtype`, `trainable` and `activity_regularizer` of the layer.
#' @section Errors:
#' `attn_error_argument` for an argument of another type or value than said;
#' `attn_error_shape` when `noise_shape` does not fit the input.
#' @references <https://keras.io/api/layers/regularization_layers/dropout/>
#' @examples
#' layer <- layer_dropout(rate = 0.5, seed = 1)
#' x <- matrix(1, 2, 6)
#' layer(x)
#' layer(x, training = TRUE)
#' layer_dropout(rate = 0.5, noise_shape = c(NA, 1), seed = 1)(x, training = TRUE)
#' @export
layer_dropout <- function(object, rate, noise_shape = NULL, seed = NULL, ...) {
  owner <- "layer_dropout()"
  check_given(missing(rate), owner, "rate", "a number from 0 to 1")
  dots <- tensor_dots(owner, NULL, NULL, ...)
  if (!is.null(noise_shape)) {
    noise_shape <- as_partial_shape(noise_shape, owner, "noise_shape")
    if (!length(noise_shape)) {
      abort_argument(owner, "noise_shape", "NULL or a shape with the batch", noise_shape)
    }
  }
  config <- list(
    rate = check_number(rate, owner, "rate", min = 0, max = 1),
    seed = check_seed(seed, owner), noise_shape = noise_shape
  )
  finish_layer(given_object(object), "dropout", config, dots, seed = config$seed)
}
