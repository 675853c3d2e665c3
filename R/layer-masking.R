# layer_masking(). In C: src/layers/masking.c.

masking_kind <- tensor_kind(
  class_name = "Masking", constructor = "layer_masking", prefix = "masking",
  fields = "mask_value",
  output_shape = function(self, shapes) {
    check_tensor_rank(self, shapes[[1L]], 2L, "(batch, ..., features)")
  },
  output_mask = function(self, inputs, mask) masked_steps(self, inputs),
  step = function(self, shapes, arguments) {
    list(operation = "masking", settings = self$config$mask_value)
  }
)

# The mask that a call attaches: TRUE where some number of a step is another one.
masked_steps <- function(self, inputs) {
  x <- check_tensor(inputs, self$label)
  check_tensor_rank(self, dim(x), 2L, "(batch, ..., features)")
  value <- round_to_dtype(self$config$mask_value, self$dtype)
  differs <- array(round_to_dtype(as.double(x), self$dtype) != value, dim(x))
  differs[is.na(differs)] <- TRUE
  steps <- dim(x)[-length(dim(x))]
  array(apply(differs, seq_along(steps), any), steps)
}

#' Masking layer
#'
#' Marks padding: a step of a sequence whose numbers are all equal to `mask_value` becomes 0
#' and is hidden from the layers that come after and know of masks.
#'
#' @section Shapes:
#' The output has the shape of the input, `(batch, steps, features)` or any other of at
#' least 2 dims. It carries a mask of its dims without the last.
#'
#' @inheritParams layer_dense
#' @param mask_value A number; it is compared in the precision of the layer.
#' @param ... `name`, `dtype`, `trainable` and `activity_regularizer` of the layer.
#' @section Errors:
#' `attn_error_argument` for an argument of another type or value than said;
#' `attn_error_shape` when the input has less than 2 dims.
#' @references <https://keras.io/api/layers/core_layers/masking/>
#' @examples
#' x <- array(c(1, 2, 0, 3, 4, 0), c(1, 3, 2))
#' get_keras_mask(layer_masking(x))
#' @export
layer_masking <- function(object, mask_value = 0, ...) {
  owner <- "layer_masking()"
  dots <- tensor_dots(owner, NULL, NULL, ...)
  config <- list(mask_value = check_number(mask_value, owner, "mask_value"))
  finish_layer(given_object(object), "masking", config, dots)
}
