# layer_time_distributed(): a layer for each position of a sequence. In C:
# src/layers/time_distributed.c; the layer itself is traced in between.

time_distributed_kind <- c(
  tensor_kind(
    class_name = "TimeDistributed", constructor = "layer_time_distributed",
    prefix = "time_distributed", fields = "layer", required = "layer",
    call_arguments = c("training", "mask"),
    output_shape = function(self, shapes) distributed_shape(self, shapes[[1L]]),
    output_dtype = function(self, dtypes) {
      inner <- distributed_layer(self)
      layer_kinds[[inner$kind]]$output_dtype(inner, dtypes)
    },
    input_dtype = function(self, x) {
      inner <- distributed_layer(self)
      layer_kinds[[inner$kind]]$input_dtype(inner, x)
    },
    trace = function(tracer, self, inputs, arguments) {
      trace_distributed(tracer, self, inputs[[1L]], arguments)
    },
    write_config = function(self, config) {
      config$layer <- serialize_layer(distributed_layer(self))
      config
    },
    read_config = function(config) {
      config$layer <- deserialize_value(config$layer, "layer_time_distributed()")
      config
    }
  ),
  list(
    make_parts = function(self, shapes) {
      inner <- distributed_layer(self)
      build_layer(inner, shapes[[1L]][-2L])
      list(layer = inner)
    },
    parts = function(self) as.list(self$parts)
  )
)

#' A layer for each position
#'
#' Applies a layer to each position of a sequence, always the same layer with the same
#' weights.
#'
#' @section Shapes:
#' Input `(batch, T, ...)`, of at least 3 dims; the layer is called with `(batch * T, ...)`;
#' output `(batch, T, ...)`. The weights are those of the layer, named like
#' `"dense/kernel"`.
#'
#' @section Masks:
#' The result has the mask of the input. A layer that looks at masks itself gets a mask that
#' has more than the two dims `(batch, T)`, without them: `(batch, T, S)` of an embedding of
#' `T` sentences of `S` words, for example, is used by [layer_global_average_pooling_1d()]
#' within this layer.
#'
#' @inheritParams reshaping_layers
#' @param layer A layer that takes one tensor, such as [layer_dense()].
#' @return The layer, or what it gives for `object`.
#' @section Errors:
#' `attn_error_argument` when `layer` is no layer, or one that takes several tensors (such as
#' attention) or a model; `attn_error_shape` for inputs of fewer than 3 dims, and for those
#' that `layer` does not take.
#' @references <https://keras.io/api/layers/recurrent_layers/time_distributed/>
#' @examples
#' layer <- layer_time_distributed(layer = layer_reshape(target_shape = c(2, 3)))
#' x <- array(1:60, c(2, 5, 6))
#' dim(layer(x))
#' @export
layer_time_distributed <- function(object, layer, ...) {
  owner <- "layer_time_distributed()"
  check_given(missing(layer), owner, "layer", "a layer that takes one tensor")
  dots <- check_layer_dots(owner, character(), ...)
  inner <- if (is_layer(layer)) layer_self(layer)
  kind <- if (!is.null(inner)) layer_kinds[[inner$kind]]
  is_usable <- !is.null(inner) && inner$calls == "tensors" && !isTRUE(kind$many) &&
    is.null(kind$shape_names) && !(inner$kind %in% c("input_layer", "operation"))
  if (!is_usable) {
    abort_argument(owner, "layer", "a layer that takes one tensor",
      received = if (is.null(inner)) describe_value(layer) else format(layer)
    )
  }
  made <- new_layer("time_distributed", list(layer = layer), dots, seed = NULL)
  if (missing(object) || is.null(object)) made else compose_layer(object, made)
}

distributed_layer <- function(self) layer_self(self$config$layer)

distributed_shape <- function(self, shape) {
  if (length(shape) < 3L) {
    abort_shape(self$label, "inputs", "an array of at least 3 dims (batch, positions, ...)",
      paste("shape", format_shape(shape))
    )
  }
  inner <- distributed_layer(self)
  made <- layer_kinds[[inner$kind]]$output_shape(inner, list(shape[-2L]))
  if (length(made) >= most_dims) {
    abort_shape(self$label, "inputs", sprintf("an array whose result has %d dims", most_dims),
      paste("shape", format_shape(shape))
    )
  }
  c(made[1L], shape[2L], made[-1L])
}

trace_distributed <- function(tracer, self, x, arguments) {
  inner <- distributed_layer(self)
  traits <- layer_kinds[[inner$kind]]
  mask <- arguments[["mask"]]
  shape <- x$shape
  merged_batch <- as.double(shape[1L]) * shape[2L]
  merged_batch <- if (isTRUE(merged_batch <= .Machine$integer.max)) as.integer(merged_batch)
  merged <- trace_step(tracer, self, "merge_time", list(x, mask),
    shapes = list(c(if (is.null(merged_batch)) NA_integer_ else merged_batch, shape[-(1:2)])),
    settings = "mask" %in% traits$call_arguments, dtypes = moved_dtype(self, x$dtype)
  )
  call <- if ("training" %in% traits$call_arguments) list(training = arguments$training)
  made <- trace_layer(tracer, inner, merged, as.list(call))[[1L]]
  trace_step(tracer, self, "split_time", list(made, x, mask),
    shapes = list(c(shape[1:2], made$shape[-1L])), dtypes = made$dtype
  )
}
