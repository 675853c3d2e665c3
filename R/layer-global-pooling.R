# layer_global_average_pooling_1d() and layer_global_max_pooling_1d(). In C:
# src/layers/pooling.c.

global_pooling_fields <- c("data_format", "keepdims")

global_average_pooling_1d_kind <- tensor_kind(
  class_name = "GlobalAveragePooling1D", constructor = "layer_global_average_pooling_1d",
  prefix = "global_average_pooling1d", fields = global_pooling_fields,
  call_arguments = c("training", "mask"), output_mask = function(self, inputs, mask) NULL,
  output_shape = function(self, shapes) pooled_shape(self, shapes[[1L]]),
  step = function(self, shapes, arguments) {
    check_steps_mask(self, arguments$mask, shapes[[1L]])
    global_pooling_step(self, 0)
  }
)

global_max_pooling_1d_kind <- tensor_kind(
  class_name = "GlobalMaxPooling1D", constructor = "layer_global_max_pooling_1d",
  prefix = "global_max_pooling1d", fields = global_pooling_fields, supports_masking = FALSE,
  output_shape = function(self, shapes) pooled_shape(self, shapes[[1L]]),
  step = function(self, shapes, arguments) global_pooling_step(self, 1)
)

# `how`: enum attn_pooling (src/ops/pooling.h)
global_pooling_step <- function(self, how) {
  config <- self$config
  list(operation = "global_pooling",
    settings = c(how, config$data_format == "channels_first", config$keepdims)
  )
}

pooled_shape <- function(self, shape) {
  first <- self$config$data_format == "channels_first"
  axes <- if (first) "(batch, features, steps)" else "(batch, steps, features)"
  check_tensor_rank(self, shape, 3L, axes, exactly = TRUE)
  steps <- if (first) 3L else 2L
  if (self$config$keepdims) replace(shape, steps, 1L) else shape[-steps]
}

check_steps_mask <- function(self, mask, shape) {
  steps <- shape[if (self$config$data_format == "channels_first") 3L else 2L]
  wanted <- c(shape[1L], steps)
  if (!is.null(mask) && (length(mask$shape) != 2L || !fits_extents(mask$shape, wanted))) {
    abort_shape(self$label, "mask", paste("of shape", format_shape(wanted)),
      paste("shape", format_shape(mask$shape))
    )
  }
}

data_formats <- c("channels_last", "channels_first")

# NULL is Keras's default.
check_data_format <- function(x, owner) {
  x <- check_string(x, owner, "data_format", data_formats, null_ok = TRUE)
  if (is.null(x)) "channels_last" else x
}

#' Global pooling of sequences
#'
#' The mean, or the largest, of each feature over the steps of a sequence.
#'
#' @section Shapes:
#' Input `(batch, steps, features)`, output `(batch, features)`, with `keepdims = TRUE`
#' `(batch, 1, features)`. With `data_format = "channels_first"` the input is
#' `(batch, features, steps)`, the output with `keepdims = TRUE` `(batch, features, 1)`.
#' @section Masks:
#' The mean is that of the steps that the mask keeps: the call's `mask =`, `(batch, steps)`,
#' or else the mask that the input carries. It is `NaN` where the mask keeps no step. The
#' maximum knows no mask: it takes all steps, with a warning of class
#' `attn_warning_ignored` if the input has a mask. The output has none.
#'
#' @inheritParams layer_dense
#' @param data_format `"channels_last"` or `"channels_first"`; `NULL` (default) is the
#'   first.
#' @param keepdims Whether the axis of the steps stays, with length 1.
#' @param ... `name`, `dtype`, `trainable` and `activity_regularizer` of the layer.
#' @section Errors:
#' `attn_error_argument` for an argument of another type or value than said;
#' `attn_error_shape` when the input has not three axes or the mask does not fit it.
#' @references <https://keras.io/api/layers/pooling_layers/global_average_pooling1d/>,
#'   <https://keras.io/api/layers/pooling_layers/global_max_pooling1d/>
#' @examples
#' x <- array(1:12, c(2, 3, 2))
#' layer_global_average_pooling_1d(x)
#' layer <- layer_global_average_pooling_1d()
#' layer(x, mask = rbind(c(TRUE, TRUE, FALSE), c(TRUE, TRUE, TRUE)))
#' layer_global_max_pooling_1d(x)
#' @export
layer_global_average_pooling_1d <- function(object, data_format = NULL, keepdims = FALSE, ...) {
  owner <- "layer_global_average_pooling_1d()"
  dots <- tensor_dots(owner, NULL, NULL, ...)
  config <- list(
    data_format = check_data_format(data_format, owner),
    keepdims = check_flag(keepdims, owner, "keepdims")
  )
  finish_layer(given_object(object), "global_average_pooling_1d", config, dots)
}

#' @rdname layer_global_average_pooling_1d
#' @export
layer_global_max_pooling_1d <- function(object, data_format = NULL, keepdims = FALSE, ...) {
  owner <- "layer_global_max_pooling_1d()"
  dots <- tensor_dots(owner, NULL, NULL, ...)
  config <- list(
    data_format = check_data_format(data_format, owner),
    keepdims = check_flag(keepdims, owner, "keepdims")
  )
  finish_layer(given_object(object), "global_max_pooling_1d", config, dots)
}
