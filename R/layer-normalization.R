# layer_layer_normalization() and layer_rms_normalization(). In C:
# src/layers/normalization.c.

# enum attn_normalizing (src/kernels/op_kinds.h)
normalizing <- c(layer = 0, variance = 1, rms = 2)

layer_normalization_kind <- tensor_kind(
  class_name = "LayerNormalization", constructor = "layer_layer_normalization",
  prefix = "layer_normalization",
  fields = c(
    "axis", "epsilon", "center", "scale", "rms_scaling", "beta_initializer",
    "gamma_initializer", "beta_regularizer", "gamma_regularizer", "beta_constraint",
    "gamma_constraint"
  ),
  read_config = axis_from_config("axis"),
  output_shape = function(self, shapes) normalized_shape(self, shapes[[1L]]),
  weights = function(self, shapes) {
    axes <- axes_of_rank(self, self$config$axis, shapes[[1L]])
    lapply(c("gamma", "beta")[normalization_weights(self)], function(part) {
      weight_spec(self, part, known_dims(self, shapes[[1L]], axes), part)
    })
  },
  # Keras writes the axes as they are for the rank that the layer was built for.
  after_build = function(self, shapes) {
    self$config$axis <- as.list(axes_of_rank(self, self$config$axis, shapes[[1L]]))
  },
  step = function(self, shapes, arguments) {
    how <- if (self$config$rms_scaling) "variance" else "layer"
    normalization_step(self, shapes[[1L]], how, normalization_weights(self))
  }
)

rms_normalization_kind <- tensor_kind(
  class_name = "RMSNormalization", constructor = "layer_rms_normalization",
  prefix = "rms_normalization", fields = c("axis", "epsilon"),
  read_config = axis_from_config("axis"),
  output_shape = function(self, shapes) normalized_shape(self, shapes[[1L]]),
  weights = function(self, shapes) {
    axes <- axes_of_rank(self, sort(unlist(self$config$axis)), shapes[[1L]])
    list(weight_spec(self, "scale", known_dims(self, shapes[[1L]], axes), "scale",
      initializer = initializer_ones()
    ))
  },
  # Keras sorts the axes and leaves them as they are.
  after_build = function(self, shapes) {
    self$config$axis <- as.list(sort(unlist(self$config$axis)))
  },
  step = function(self, shapes, arguments) {
    normalization_step(self, shapes[[1L]], "rms", c(gamma = TRUE, beta = FALSE))
  }
)

# Which weights there are: rms_scaling has a gamma and no beta, whatever is wished.
normalization_weights <- function(self) {
  config <- self$config
  c(gamma = config$scale || config$rms_scaling, beta = config$center && !config$rms_scaling)
}

known_dims <- function(self, shape, axes) {
  dims <- shape[axes + 1L]
  if (anyNA(dims)) {
    abort_shape(self$label, "inputs", "of a shape whose normalized dims are known",
      paste("shape", format_shape(shape))
    )
  }
  dims
}

normalized_shape <- function(self, shape) {
  axes <- axes_of_rank(self, self$config$axis, shape)
  if (self$built && length(self$weights)) {
    built_for <- self$weights[[1L]]$shape
    dims <- shape[axes + 1L]
    if (!sizes_agree(dims, built_for)) {
      abort_shape(self$label, "inputs",
        sprintf("an array whose axes %s have the dims %s, as the layer was built for",
          paste(axes + 1L, collapse = ", "), format_shape(built_for)
        ),
        paste("shape", format_shape(shape))
      )
    }
  }
  shape
}

normalization_step <- function(self, shape, how, weights) {
  axes <- axes_of_rank(self, self$config$axis, shape)
  list(
    operation = "normalization",
    settings = c(normalizing[[how]], self$config$epsilon, weights, sort(axes))
  )
}

#' Layer normalization
#'
#' `layer_layer_normalization()` is `(x - mean) / sqrt(variance + epsilon) * gamma + beta`,
#' with the mean and the variance (divided by the number of values) over `axis`, for each
#' entry of the other axes. `layer_rms_normalization()` is
#' `x / sqrt(mean(x^2) + epsilon) * scale`.
#'
#' @section Shapes:
#' The output has the shape of the input. Weights: `gamma` and `beta`, or `scale`, of the
#' dims of `axis`: `(D)` for the default.
#'
#' @inheritParams layer_dense
#' @param axis The axis or axes to normalize over, counted from 1 with the batch as the
#'   first; `-1` (default) is the last.
#' @param epsilon A number of at least 0 that keeps from dividing by 0.
#' @param center,scale Whether there is a `beta`, a `gamma`.
#' @param beta_initializer,gamma_initializer How the weights start, see
#'   [initializer_zeros()], [initializer_ones()].
#' @param beta_regularizer,gamma_regularizer Penalties on the weights, see
#'   [regularizer_l2()]; `NULL` for none.
#' @param beta_constraint,gamma_constraint Constraints on the weights, see
#'   [constraint_maxnorm()]; `NULL` for none.
#' @param ... `name`, `dtype`, `trainable` and `activity_regularizer` of the layer; for
#'   `layer_layer_normalization()` also `rms_scaling`, Keras's older way to scale only:
#'   with `TRUE` the result is `x / sqrt(variance + epsilon) * gamma`.
#' @section Errors:
#' `attn_error_argument` for an argument of another type or value than said;
#' `attn_error_shape` when the input lacks an axis or has not the dims that the layer was
#' built for.
#' @references <https://keras.io/api/layers/normalization_layers/layer_normalization/>,
#'   <https://keras.io/api/layers/normalization_layers/rms_normalization/>
#' @examples
#' x <- array(rnorm(2 * 5 * 4), c(2, 5, 4))
#' y <- layer_layer_normalization(x)
#' round(apply(y, 1:2, mean), 6)
#' y <- layer_rms_normalization(x)
#' round(apply(y^2, 1:2, mean), 4)
#' @export
layer_layer_normalization <- function(object, axis = -1L, epsilon = 0.001, center = TRUE,
                                      scale = TRUE, beta_initializer = "zeros",
                                      gamma_initializer = "ones", beta_regularizer = NULL,
                                      gamma_regularizer = NULL, beta_constraint = NULL,
                                      gamma_constraint = NULL, ...) {
  owner <- "layer_layer_normalization()"
  dots <- tensor_dots(owner, NULL, "rms_scaling", ...)
  rms_scaling <- if (is.null(dots[["rms_scaling"]])) FALSE else dots[["rms_scaling"]]
  config <- list(
    axis = check_axis(axis, owner),
    epsilon = check_number(epsilon, owner, "epsilon", min = 0),
    center = check_flag(center, owner, "center"),
    scale = check_flag(scale, owner, "scale"),
    rms_scaling = check_flag(rms_scaling, owner, "rms_scaling"),
    beta_initializer = as_initializer(beta_initializer, owner, "beta_initializer"),
    gamma_initializer = as_initializer(gamma_initializer, owner, "gamma_initializer"),
    beta_regularizer = as_regularizer(beta_regularizer, owner, "beta_regularizer"),
    gamma_regularizer = as_regularizer(gamma_regularizer, owner, "gamma_regularizer"),
    beta_constraint = as_constraint(beta_constraint, owner, "beta_constraint"),
    gamma_constraint = as_constraint(gamma_constraint, owner, "gamma_constraint")
  )
  finish_layer(given_object(object), "layer_normalization", config, dots)
}

#' @rdname layer_layer_normalization
#' @export
layer_rms_normalization <- function(object, axis = -1L, epsilon = 1e-6, ...) {
  owner <- "layer_rms_normalization()"
  dots <- tensor_dots(owner, NULL, NULL, ...)
  config <- list(
    axis = check_axis(axis, owner),
    epsilon = check_number(epsilon, owner, "epsilon", min = 0)
  )
  finish_layer(given_object(object), "rms_normalization", config, dots)
}
