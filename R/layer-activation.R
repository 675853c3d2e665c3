# layer_activation() and the layers that are one activation with settings of its own. In C:
# src/layers/activation.c and parametric_relu.c.

activation_kind <- tensor_kind(
  class_name = "Activation", constructor = "layer_activation", prefix = "activation",
  fields = "activation", required = "activation", output_shape = same_shape,
  step = function(self, shapes, arguments) {
    named_activation_step(self$config$activation, length(shapes[[1L]]))
  }
)

# One function with parameters from the config.
single_activation_kind <- function(class_name, constructor, prefix, fields, name, parameters) {
  force(name)
  force(parameters)
  tensor_kind(
    class_name = class_name, constructor = constructor, prefix = prefix, fields = fields,
    output_shape = same_shape,
    step = function(self, shapes, arguments) {
      list(operation = "activation", text = name,
        settings = activation_settings(parameters = parameters(self$config))
      )
    }
  )
}

relu_kind <- single_activation_kind(
  "ReLU", "layer_activation_relu", "re_lu", c("max_value", "negative_slope", "threshold"), "relu",
  function(config) {
    c(
      config$negative_slope, if (is.null(config$max_value)) Inf else config$max_value,
      config$threshold
    )
  }
)

leaky_relu_kind <- single_activation_kind(
  "LeakyReLU", "layer_activation_leaky_relu", "leaky_re_lu", "negative_slope", "leaky_relu",
  function(config) config$negative_slope
)

elu_kind <- single_activation_kind(
  "ELU", "layer_activation_elu", "elu", "alpha", "elu", function(config) config$alpha
)

softmax_kind <- tensor_kind(
  class_name = "Softmax", constructor = "layer_activation_softmax", prefix = "softmax",
  fields = "axis", read_config = axis_from_config("axis"),
  call_arguments = c("training", "mask"),
  output_shape = function(self, shapes) {
    axes_of_rank(self, self$config$axis, shapes[[1L]])
    shapes[[1L]]
  },
  step = function(self, shapes, arguments) {
    shape <- shapes[[1L]]
    check_softmax_mask(self, arguments$mask, shape)
    list(operation = "activation", text = "softmax", settings = activation_settings(
      axes_of_rank(self, self$config$axis, shape), masked = TRUE
    ))
  }
)

check_softmax_mask <- function(self, mask, shape) {
  lacking <- length(shape) - length(mask$shape)
  if (!is.null(mask) &&
    (lacking < 0L || !fits_extents(mask$shape, shape[lacking + seq_along(mask$shape)]))) {
    abort_shape(self$label, "mask",
      paste("a mask that broadcasts to `inputs`, whose shape is", format_shape(shape)),
      paste("shape", format_shape(mask$shape))
    )
  }
}

parametric_relu_kind <- tensor_kind(
  class_name = "PReLU", constructor = "layer_activation_parametric_relu", prefix = "p_re_lu",
  fields = c("alpha_initializer", "alpha_regularizer", "alpha_constraint", "shared_axes"),
  read_config = axis_from_config("shared_axes"),
  output_shape = function(self, shapes) parametric_relu_shape(self, shapes[[1L]]),
  weights = function(self, shapes) {
    list(weight_spec(self, "alpha", alpha_shape(self, shapes[[1L]]), "alpha"))
  },
  step = function(self, shapes, arguments) list(operation = "parametric_relu")
)

# Keras counts the batch as axis 0, and `alpha` has none.
alpha_shape <- function(self, shape) {
  shared <- unlist(self$config$shared_axes)
  shared <- if (!is.null(shared)) axes_of_rank(self, shared, shape)
  if (any(shared == 0L)) {
    abort_shape(self$label, "inputs", "an array whose axes in `shared_axes` are not the batch's",
      paste("shape", format_shape(shape))
    )
  }
  shape[shared + 1L] <- 1L
  alpha <- shape[-1L]
  if (anyNA(alpha)) {
    abort_shape(self$label, "inputs",
      "of a shape whose dims are known, but for the batch and `shared_axes`",
      paste("shape", format_shape(shape))
    )
  }
  alpha
}

parametric_relu_shape <- function(self, shape) {
  check_tensor_rank(self, shape, 1L, "(batch, ...)")
  if (self$built) {
    alpha <- self$weights[["alpha"]]$shape
    if (length(alpha) != length(shape) - 1L || !fits_extents(alpha, shape[-1L])) {
      abort_shape(self$label, "inputs",
        sprintf("an array that `alpha` of shape %s fits, behind the batch", format_shape(alpha)),
        paste("shape", format_shape(shape))
      )
    }
  }
  shape
}

#' Activation layers
#'
#' `layer_activation()` applies an activation by name. The others have settings that the
#' function's name alone does not tell:
#' * `layer_activation_relu()`: `max_value` from there on, x from `threshold` on,
#'   `negative_slope * (x - threshold)` below.
#' * `layer_activation_leaky_relu()`: x, or `negative_slope * x` below 0.
#' * `layer_activation_elu()`: x, or `alpha * (exp(x) - 1)` below 0.
#' * `layer_activation_parametric_relu()`: x, or `alpha * x` below 0, where `alpha` is a
#'   weight, a number for each place of the input without the batch.
#' * `layer_activation_softmax()`: exp(x) / sum(exp(x)) over `axis`. Where the call has
#'   `mask =`, or the input carries a mask, places with `FALSE` take no part and get 0. The
#'   mask must broadcast to the input, aligned at its last axis.
#'
#' @section Shapes:
#' The output has the shape of the input, any with a batch. `alpha` has the input's shape
#' without the batch, and 1 on the axes that share.
#'
#' @inheritParams layer_dense
#' @param activation The name of an activation, such as `"relu"` or `"gelu"`, or one of the
#'   functions of [activation_relu()].
#' @param max_value The largest output, a number of at least 0, or `NULL` (default) for no
#'   bound.
#' @param negative_slope The slope below the threshold, a number of at least 0.
#' @param threshold A number of at least 0.
#' @param alpha A number.
#' @param alpha_initializer,alpha_regularizer,alpha_constraint How the weight `alpha`
#'   starts, its penalty and its constraint, see [initializer_zeros()],
#'   [regularizer_l2()], [constraint_maxnorm()].
#' @param shared_axes Axes along which `alpha` is the same, counted from 1 with the batch as
#'   the first, or `NULL` (default) for none.
#' @param axis The axis or axes of the softmax, counted from 1; `-1` (default) is the last.
#' @param ... `name`, `dtype`, `trainable` and `activity_regularizer` of the layer.
#' @section Errors:
#' `attn_error_argument` for an argument of another type or value than said;
#' `attn_error_shape` when the input lacks an axis or does not fit the weight.
#' @references <https://keras.io/api/layers/activation_layers/>,
#'   <https://keras.io/api/layers/core_layers/activation/>
#' @examples
#' x <- matrix(c(-2, -1, 0, 1, 2, 3), 2)
#' layer_activation(x, "tanh")
#' layer_activation_leaky_relu(x)
#' layer_activation_softmax(x)
#' @export
layer_activation <- function(object, activation, ...) {
  owner <- "layer_activation()"
  check_given(missing(activation), owner, "activation", "the name of an activation")
  dots <- tensor_dots(owner, NULL, NULL, ...)
  config <- list(activation = as_activation(activation, owner, "activation"))
  finish_layer(given_object(object), "activation", config, dots)
}

#' @rdname layer_activation
#' @export
layer_activation_relu <- function(object, max_value = NULL, negative_slope = 0, threshold = 0,
                                  ...) {
  owner <- "layer_activation_relu()"
  dots <- tensor_dots(owner, NULL, NULL, ...)
  config <- list(
    max_value = check_number(max_value, owner, "max_value", min = 0, null_ok = TRUE),
    negative_slope = check_number(negative_slope, owner, "negative_slope", min = 0),
    threshold = check_number(threshold, owner, "threshold", min = 0)
  )
  finish_layer(given_object(object), "relu", config, dots)
}

#' @rdname layer_activation
#' @export
layer_activation_leaky_relu <- function(object, negative_slope = 0.3, ...) {
  owner <- "layer_activation_leaky_relu()"
  dots <- tensor_dots(owner, NULL, NULL, ...)
  config <- list(
    negative_slope = check_number(negative_slope, owner, "negative_slope", min = 0)
  )
  finish_layer(given_object(object), "leaky_relu", config, dots)
}

#' @rdname layer_activation
#' @export
layer_activation_elu <- function(object, alpha = 1, ...) {
  owner <- "layer_activation_elu()"
  dots <- tensor_dots(owner, NULL, NULL, ...)
  config <- list(alpha = check_number(alpha, owner, "alpha"))
  finish_layer(given_object(object), "elu", config, dots)
}

#' @rdname layer_activation
#' @export
layer_activation_parametric_relu <- function(object, alpha_initializer = "Zeros",
                                             alpha_regularizer = NULL, alpha_constraint = NULL,
                                             shared_axes = NULL, ...) {
  owner <- "layer_activation_parametric_relu()"
  dots <- tensor_dots(owner, NULL, NULL, ...)
  shared <- check_axis(shared_axes, owner, "shared_axes", null_ok = TRUE)
  config <- list(
    alpha_initializer = as_initializer(alpha_initializer, owner, "alpha_initializer"),
    alpha_regularizer = as_regularizer(alpha_regularizer, owner, "alpha_regularizer"),
    alpha_constraint = as_constraint(alpha_constraint, owner, "alpha_constraint"),
    shared_axes = if (!is.null(shared)) as.list(shared)
  )
  finish_layer(given_object(object), "parametric_relu", config, dots)
}

#' @rdname layer_activation
#' @export
layer_activation_softmax <- function(object, axis = -1L, ...) {
  owner <- "layer_activation_softmax()"
  dots <- tensor_dots(owner, NULL, NULL, ...)
  config <- list(axis = check_axis(axis, owner))
  finish_layer(given_object(object), "softmax", config, dots)
}
