# layer_dot(): products of two tensors along an axis of each. In C: src/layers/dot.c.

dot_kind <- tensor_kind(
  class_name = "Dot", constructor = "layer_dot", prefix = "dot",
  fields = c("axes", "normalize"), required = "axes", many = TRUE,
  output_shape = function(self, shapes) dot_shape(self, shapes),
  step = function(self, shapes, arguments) {
    list(
      operation = "dot",
      settings = c(rep_len(unlist(self$config$axes), 2L), self$config$normalize)
    )
  },
  read_config = function(config) {
    axes <- unlist(config[["axes"]])
    if (is.numeric(axes)) config$axes <- axis_from_keras(axes)
    config
  }
)

#' Dot products of two tensors
#'
#' For each entry of the batch, the sum over an axis of the first tensor and an axis of the
#' second of their products.
#'
#' @section Shapes:
#' Two tensors of one batch, of at least 2 dims, whose sizes along `axes` are equal. The
#' result has the first tensor's other dims, then the second's without the batch:
#' `(batch, 5, 8)` and `(batch, 3, 8)` with `axes = 3` give `(batch, 5, 3)`. Where nothing
#' but the batch is left it is `(batch, 1)`. The layer has no weights, its result no mask.
#'
#' @inheritParams merging_layers
#' @param axes The axis of both tensors, or a pair of axes, counted from 1, which is the
#'   batch and cannot be one of them; or from the end as -1. In the layer's config they are
#'   counted from 0, as in Keras.
#' @param normalize Whether vectors along the axes are divided by their length first, so
#'   that the result is the cosine of the angle between them.
#' @return The layer, or what it gives for `inputs`.
#' @section Errors:
#' `attn_error_shape` for tensors that do not fit each other or have no such axes;
#' `attn_error_argument` for `axes` that are none and for anything that is no tensor.
#' @references <https://keras.io/api/layers/merging_layers/dot/>
#' @examples
#' x <- array(1:10, c(1, 5, 2))
#' y <- array(1:6, c(1, 3, 2))
#' layer_dot(x, y, axes = 3)
#' layer_dot(matrix(1:6, 2), matrix(6:1, 2), axes = 2, normalize = TRUE)
#' @export
layer_dot <- function(inputs, ..., axes, normalize = FALSE) {
  owner <- "layer_dot()"
  given <- merge_dots("dot", owner, NULL, ...)
  check_given(missing(axes), owner, "axes", "an axis, or a pair of axes, counted from 1")
  config <- list(
    axes = check_dot_axes(axes, owner),
    normalize = check_flag(normalize, owner, "normalize")
  )
  layer <- new_layer("dot", config, given$dots, seed = NULL)
  compose_merge(if (!missing(inputs)) inputs, given$tensors, layer)
}

# One number, or a list of two, from 0, as Keras's config has it.
check_dot_axes <- function(axes, owner) {
  usable <- !is.object(axes) && (is.list(axes) || is.numeric(axes))
  if (!usable || !(length(axes) %in% 1:2)) {
    abort_argument(owner, "axes", "an axis, or a pair of axes, counted from 1", axes)
  }
  result <- lapply(as.list(axes), check_axis, owner, "axes")
  if (any(result == 0L)) {
    abort_argument(owner, "axes", "axes other than 1, the batch", axes)
  }
  if (length(result) == 1L) result[[1L]] else result
}

dot_shape <- function(self, shapes) {
  if (length(shapes) != 2L) {
    abort_shape(self$label, "inputs", "2 tensors", sprintf("%d", length(shapes)))
  }
  axes <- rep_len(unlist(self$config$axes), 2L)
  ranks <- lengths(shapes)
  places <- ifelse(axes < 0L, ranks + axes, axes) + 1L
  if (any(places < 2L | places > ranks)) {
    abort_shape(self$label, "inputs",
      sprintf("tensors that have the axes %s", paste(axis_from_keras(axes), collapse = " and ")),
      describe_shapes(shapes)
    )
  }
  x <- shapes[[1L]]
  y <- shapes[[2L]]
  if (!sizes_agree(x[1L], y[1L]) || !sizes_agree(x[places[1L]], y[places[2L]])) {
    abort_shape(self$label, "inputs",
      sprintf("tensors of one batch, as long along axis %d as along axis %d",
        places[1L], places[2L]
      ),
      describe_shapes(shapes)
    )
  }
  x[1L] <- if (is.na(x[1L])) y[1L] else x[1L]
  result <- c(x[-places[1L]], y[-c(1L, places[2L])])
  if (length(result) > most_dims) {
    abort_shape(self$label, "inputs",
      sprintf("tensors whose product has at most %d dims", most_dims), describe_shapes(shapes)
    )
  }
  if (length(result) == 1L) c(result, 1L) else result
}
