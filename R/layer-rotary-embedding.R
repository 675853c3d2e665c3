# layer_rotary_embedding(): features turned by an angle that grows with the position. In C:
# src/layers/rotary.c.

rotary_embedding_kind <- position_kind(
  class_name = "RotaryEmbedding", constructor = "layer_rotary_embedding",
  prefix = "rotary_embedding",
  fields = c("max_wavelength", "scaling_factor", "sequence_axis", "feature_axis"),
  check = function(self, shape, start) check_rotary(self, shape),
  step = function(self, start) {
    config <- self$config
    list(operation = "rotary", settings = c(
      start, config$max_wavelength, config$scaling_factor, config$sequence_axis,
      config$feature_axis
    ))
  }
)
# Configs count axes from 0, arguments in R from 1.
rotary_embedding_kind$read_config <- function(config) {
  for (field in intersect(c("sequence_axis", "feature_axis"), names(config))) {
    if (is.numeric(config[[field]])) config[[field]] <- axis_from_keras(config[[field]])
  }
  config
}

#' Rotary embedding of positions
#'
#' Turns pairs of features of a query or key by an angle that grows with the position, so
#' that products of queries and keys depend on the distance between them (Su et al.
#' 2021). Feature `i` of the first half is paired with feature `i` of the second.
#'
#' @section Shapes:
#' Input: any array with an axis of positions and an axis of an even number `F` of
#' features, usually `(batch, T, F)` or `(batch, T, heads, F)`; output the same. The pair
#' `i`, from 0, is turned by `(start_index + t) / scaling_factor * w`,
#' `w = max_wavelength^(-2 * i / F)`. Angles, sines and cosines are computed in 32-bit
#' floats whatever the dtype, as in KerasHub.
#'
#' @section Call arguments:
#' `layer(inputs, start_index = 0)`: `start_index` is the number of the first position,
#' counted from 0 as in KerasHub. Set it when a sequence is decoded step by step. It may be
#' a symbolic tensor.
#'
#' @inheritParams layer_dense
#' @param max_wavelength The longest wavelength (divided by 2 pi), a positive number.
#' @param scaling_factor What positions are divided by, a positive number.
#' @param sequence_axis,feature_axis The axes of positions and of features, counted from 1,
#'   or from the last axis, which is -1. (Configs count from 0, as Keras does.)
#' @return The layer, or what it gives for `object`.
#' @section Errors:
#' `attn_error_argument` for an argument of another type or value than said;
#' `attn_error_shape` when the input does not have both axes or has an odd number of
#' features.
#' @references <https://keras.io/keras_hub/api/modeling_layers/rotary_embedding/>;
#'   Su et al. (2021), RoFormer, <https://arxiv.org/abs/2104.09864>
#' @seealso [layer_sine_position_encoding()], [layer_position_embedding()]
#' @examples
#' layer <- layer_rotary_embedding()
#' query <- array(rnorm(2 * 5 * 3 * 8), c(2, 5, 3, 8)) # batch, positions, heads, features
#' turned <- layer(query)
#' # the lengths of the vectors stay as they are
#' range(apply(turned^2, 1:3, sum) - apply(query^2, 1:3, sum))
#' @export
layer_rotary_embedding <- function(object, max_wavelength = 10000, scaling_factor = 1,
                                   sequence_axis = 2L, feature_axis = -1L, ...) {
  owner <- "layer_rotary_embedding()"
  dots <- check_dots(owner, layer_dots, ...)
  scaling_factor <- check_number(scaling_factor, owner, "scaling_factor", min = 0)
  if (scaling_factor == 0) {
    abort_argument(owner, "scaling_factor", "a positive number", 0)
  }
  config <- list(
    max_wavelength = check_wavelength(max_wavelength, owner, "max_wavelength"),
    scaling_factor = scaling_factor,
    sequence_axis = check_one_axis(sequence_axis, owner, "sequence_axis"),
    feature_axis = check_one_axis(feature_axis, owner, "feature_axis")
  )
  layer <- new_layer("rotary_embedding", config, dots, seed = NULL)
  if (missing(object) || is.null(object)) layer else compose_layer(object, layer)
}

check_rotary <- function(self, shape) {
  rank <- length(shape)
  axes <- unlist(self$config[c("sequence_axis", "feature_axis")])
  axes <- ifelse(axes < 0L, axes + rank, axes) + 1L
  if (any(axes < 1L | axes > rank) || axes[1L] == axes[2L]) {
    abort_shape(self$label, "inputs",
      "an array with `sequence_axis` and `feature_axis`, which differ",
      paste("shape", format_shape(shape))
    )
  }
  if (isTRUE(shape[axes[2L]] %% 2L != 0L)) {
    abort_shape(self$label, "inputs", "an array with an even number of features",
      paste("shape", format_shape(shape))
    )
  }
}
