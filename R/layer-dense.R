# layer_dense(): activation(inputs %*% kernel + bias). In C: src/layers/dense.c.

dense_kind <- tensor_kind(
  class_name = "Dense", constructor = "layer_dense", prefix = "dense",
  fields = c(
    "units", "activation", "use_bias", "kernel_initializer", "bias_initializer",
    "kernel_regularizer", "bias_regularizer", "kernel_constraint", "bias_constraint",
    "quantization_config"
  ),
  required = "units",
  output_shape = function(self, shapes) dense_output_shape(self, shapes[[1L]]),
  weights = function(self, shapes) dense_weights(self, shapes[[1L]]),
  step = function(self, shapes, arguments) {
    list(operation = "dense", text = activation_name(self$config$activation))
  }
)

#' Densely connected layer
#'
#' `activation(inputs %*% kernel + bias)` over the last axis of the input, whatever the
#' axes before it.
#'
#' @section Shapes:
#' Input `(batch, ..., D)`, output `(batch, ..., units)`. Weights: `kernel` `(D, units)`
#' and, unless `use_bias = FALSE`, `bias` `(units)`.
#'
#' @param object What to call the layer with: an array, a symbolic tensor, a sequential
#'   model (to which the layer is added), or nothing, which gives the layer itself.
#' @param units The size of the output's last axis, a positive whole number.
#' @param activation The name of an activation, such as `"relu"` or `"gelu"`; `NULL`
#'   (default) for none.
#' @param use_bias Whether a bias is added.
#' @param kernel_initializer,bias_initializer How the weights start, see
#'   [initializer_glorot_uniform()].
#' @param kernel_regularizer,bias_regularizer,activity_regularizer Penalties on the
#'   weights and on the output, see [regularizer_l2()]; `NULL` for none.
#' @param kernel_constraint,bias_constraint Constraints on the weights, see
#'   [constraint_maxnorm()]; `NULL` for none.
#' @param lora_rank,lora_alpha Low-rank adaptation is not available: `NULL`.
#' @param ... `name`, `dtype` and `trainable` of the layer.
#' @return The layer, or what it gives for `object`.
#' @section Errors:
#' `attn_error_argument` for an argument of another type or value than said;
#' `attn_error_shape` when the input's last axis is not what the layer was built for.
#' @references <https://keras.io/api/layers/core_layers/dense/>
#' @examples
#' layer <- layer_dense(units = 3, activation = "relu")
#' x <- array(rnorm(2 * 5 * 4), c(2, 5, 4))
#' dim(layer(x))
#' @export
layer_dense <- function(object, units, activation = NULL, use_bias = TRUE,
                        kernel_initializer = "glorot_uniform", bias_initializer = "zeros",
                        kernel_regularizer = NULL, bias_regularizer = NULL,
                        activity_regularizer = NULL, kernel_constraint = NULL,
                        bias_constraint = NULL, lora_rank = NULL, lora_alpha = NULL, ...) {
  owner <- "layer_dense()"
  check_given(missing(units), owner, "units", "a positive whole number")
  dots <- check_layer_dots(owner, "quantization_config", ...)
  check_not_available(lora_rank, owner, "lora_rank")
  check_not_available(lora_alpha, owner, "lora_alpha")
  config <- list(
    units = check_positive_int(units, owner, "units"),
    activation = as_activation(activation, owner, "activation"),
    use_bias = check_flag(use_bias, owner, "use_bias"),
    kernel_initializer = as_initializer(kernel_initializer, owner, "kernel_initializer"),
    bias_initializer = as_initializer(bias_initializer, owner, "bias_initializer"),
    kernel_regularizer = as_regularizer(kernel_regularizer, owner, "kernel_regularizer"),
    bias_regularizer = as_regularizer(bias_regularizer, owner, "bias_regularizer"),
    kernel_constraint = as_constraint(kernel_constraint, owner, "kernel_constraint"),
    bias_constraint = as_constraint(bias_constraint, owner, "bias_constraint"),
    quantization_config = NULL
  )
  regularizer <- as_regularizer(activity_regularizer, owner, "activity_regularizer")
  layer <- new_layer("dense", config, dots, seed = NULL, activity_regularizer = regularizer)
  if (missing(object) || is.null(object)) layer else compose_layer(object, layer)
}

dense_output_shape <- function(self, shape) {
  rank <- length(shape)
  if (rank < 2L) {
    abort_shape(self$label, "inputs", "an array of at least 2 dims (batch, ..., features)",
      paste("shape", format_shape(shape))
    )
  }
  width <- shape[rank]
  built_for <- if (self$built) self$weights[[1L]]$shape[1L] else width
  if (!sizes_agree(width, built_for)) {
    abort_shape(self$label, "inputs",
      sprintf("an array whose last dim is %d, as the layer was built for", built_for),
      paste("shape", format_shape(shape))
    )
  }
  c(shape[-rank], self$config$units)
}

dense_weights <- function(self, shape) {
  width <- check_known_width(self, shape)
  units <- self$config$units
  c(
    list(weight_spec(self, "kernel", c(width, units), "kernel", depth = width)),
    if (self$config$use_bias) list(weight_spec(self, "bias", units, "bias"))
  )
}

# The last dim, which a weight needs.
check_known_width <- function(self, shape) {
  width <- shape[length(shape)]
  if (is.na(width)) {
    abort_shape(self$label, "inputs", "of a shape whose last dim is known",
      paste("shape", format_shape(shape))
    )
  }
  width
}
