# layer_concatenate(): tensors one behind the other. In C: src/layers/concatenate.c.

concatenate_kind <- tensor_kind(
  class_name = "Concatenate", constructor = "layer_concatenate", prefix = "concatenate",
  fields = "axis", many = TRUE,
  output_shape = function(self, shapes) concatenated_shape(self, shapes),
  step = function(self, shapes, arguments) {
    list(operation = "concatenate", settings = self$config$axis)
  },
  read_config = function(config) {
    if (is.numeric(config[["axis"]])) config$axis <- axis_from_keras(config$axis)
    config
  }
)

#' Concatenate tensors
#'
#' Tensors one behind the other along an axis.
#'
#' @section Shapes:
#' Tensors of as many dims, which are equal but for `axis`; there the result has the sum of
#' their sizes. The layer has no weights.
#'
#' @section Masks:
#' The result has a mask if one of the tensors has: the masks, one behind the other, of
#' tensors without a mask all `TRUE`. Along the last axis what counts in any of the tensors
#' counts.
#'
#' @inheritParams merging_layers
#' @param axis The axis, counted from 1, the batch; or from the end as -1 (default). In the
#'   layer's config it is counted from 0, as in Keras.
#' @return The layer, or what it gives for `inputs`.
#' @section Errors:
#' `attn_error_shape` for tensors that do not fit each other or have no such axis;
#' `attn_error_argument` for an `axis` that is none and for anything that is no tensor.
#' @references <https://keras.io/api/layers/merging_layers/concatenate/>
#' @examples
#' x <- array(1:12, c(2, 3, 2))
#' dim(layer_concatenate(x, x))
#' dim(layer_concatenate(list(x, x, x), axis = 2))
#' @export
layer_concatenate <- function(inputs, ..., axis = -1L) {
  owner <- "layer_concatenate()"
  given <- merge_dots("concatenate", owner, NULL, ...)
  config <- list(axis = check_one_axis(axis, owner, "axis"))
  layer <- new_layer("concatenate", config, given$dots, seed = NULL)
  compose_merge(if (!missing(inputs)) inputs, given$tensors, layer)
}

concatenated_shape <- function(self, shapes) {
  check_tensor_count(self, shapes)
  axis <- self$config$axis
  ranks <- lengths(shapes)
  place <- if (axis < 0L) ranks[1L] + axis + 1L else axis + 1L
  if (place < 1L || place > ranks[1L]) {
    abort_shape(self$label, "inputs",
      sprintf("tensors that have the axis %d", axis_from_keras(axis)), describe_shapes(shapes)
    )
  }
  others <- lapply(shapes, function(shape) shape[-place])
  fits <- all(ranks == ranks[1L]) &&
    all(utils::combn(length(shapes), min(length(shapes), 2L), function(pair) {
      sizes_agree(others[[pair[1L]]], others[[pair[length(pair)]]])
    }))
  if (!fits) {
    abort_shape(self$label, "inputs",
      sprintf("tensors of equal dims but for axis %d", place), describe_shapes(shapes)
    )
  }
  result <- Reduce(function(a, b) ifelse(is.na(a), b, a), shapes)
  along <- sum(as.double(vapply(shapes, function(shape) shape[place], 1L)))
  if (isTRUE(along > .Machine$integer.max)) {
    abort_shape(self$label, "inputs", "tensors that fit one array", describe_shapes(shapes))
  }
  result[place] <- as.integer(along)
  as.integer(result)
}
