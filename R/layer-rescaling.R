# layer_rescaling(): inputs * scale + offset. In C: src/layers/rescaling.c.

rescaling_kind <- tensor_kind(
  class_name = "Rescaling", constructor = "layer_rescaling", prefix = "rescaling",
  fields = c("scale", "offset"), required = "scale",
  # JSON tells a list of one number from a number; here they are the same.
  write_config = function(self, config) {
    lapply(config, function(numbers) if (length(numbers) > 1L) as.list(numbers) else numbers)
  },
  output_shape = function(self, shapes) check_rescaled(self, shapes[[1L]]),
  step = function(self, shapes, arguments) {
    config <- self$config
    list(operation = "rescaling",
      settings = c(length(config$scale), config$scale, config$offset)
    )
  }
)

check_rescaled <- function(self, shape) {
  last <- shape[length(shape)]
  for (field in c("scale", "offset")) {
    count <- length(self$config[[field]])
    if (count > 1L && !sizes_agree(last, count)) {
      abort_shape(self$label, "inputs",
        sprintf("an array whose last dim is %d, as `%s` has it", count, field),
        paste("shape", format_shape(shape))
      )
    }
  }
  shape
}

#' Rescaling layer
#'
#' `inputs * scale + offset`.
#'
#' @section Shapes:
#' The output has the shape of the input, any.
#'
#' @inheritParams layer_dense
#' @param scale,offset Numbers: one each, or one for each place of the input's last axis.
#' @param ... `name`, `dtype`, `trainable` and `activity_regularizer` of the layer.
#' @section Errors:
#' `attn_error_argument` for an argument of another type or value than said;
#' `attn_error_shape` when the input's last dim is not the length of `scale` or `offset`.
#' @references <https://keras.io/api/layers/preprocessing_layers/image_preprocessing/rescaling/>
#' @examples
#' layer_rescaling(c(0, 51, 255), scale = 1 / 255)
#' layer_rescaling(matrix(1:6, 3), scale = c(1, 10), offset = -1)
#' @export
layer_rescaling <- function(object, scale, offset = 0, ...) {
  owner <- "layer_rescaling()"
  check_given(missing(scale), owner, "scale", "a number")
  dots <- tensor_dots(owner, NULL, NULL, ...)
  config <- list(
    scale = check_numbers(scale, owner, "scale"), offset = check_numbers(offset, owner, "offset")
  )
  finish_layer(given_object(object), "rescaling", config, dots)
}

# One finite number or more; in a config also as a list, or as Keras writes NumPy's arrays.
check_numbers <- function(x, owner, argument) {
  given <- x
  if (is.list(x) && !is.object(x) && identical(x[["class_name"]], "__numpy__")) {
    config <- x[["config"]]
    x <- if (is.list(config)) config[["value"]]
  }
  if (is.list(x) && !is.object(x) && is.null(dim(x)) && all(vapply(x, is_scalar, NA, is.numeric))) {
    x <- unlist(x)
  }
  if (!is.numeric(x) || is.object(x) || length(dim(x)) > 1L || !length(x) ||
    length(x) > 1e6 || !all(is.finite(x))) {
    abort_argument(owner, argument, "finite numbers: one, or one for each place of the last axis",
      given
    )
  }
  as.double(x)
}
