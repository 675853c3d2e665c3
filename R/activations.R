# Activations: functions of numbers that layers apply to their results, by Keras's names.
# What they compute: src/kernels/op_kinds.h. As a step of the core: src/layers/activation.c.

# Those that a layer's `activation` may be. (glu and threshold are functions only: the one
# makes an axis half as long, the other has no defaults.)
activation_names <- c(
  "linear", "relu", "gelu", "gelu_approximate", "silu", "sigmoid", "tanh", "softmax",
  "leaky_relu", "relu6", "elu", "celu", "selu", "softplus", "softsign", "squareplus",
  "soft_shrink", "hard_shrink", "tanh_shrink", "sparse_plus", "log_sigmoid",
  "hard_sigmoid", "sparse_sigmoid", "hard_silu", "hard_tanh", "exponential", "mish",
  "log_softmax", "sparsemax"
)

# Keras's other names for some of them, which its configs do not have; and those by which
# KerasHub, of one version or another, registers its function.
activation_aliases <- c(
  swish = "silu", hard_swish = "hard_silu",
  "keras_hub>gelu_approximate" = "gelu_approximate",
  "keras_nlp>gelu_approximate" = "gelu_approximate"
)

# In configs: Keras has a name for each but one, which is a function of KerasHub.
activation_config <- function(name) {
  if (!identical(name, "gelu_approximate")) {
    return(name)
  }
  registered <- "keras_hub>gelu_approximate"
  list(
    module = "keras_hub.src.utils.keras_utils", class_name = "function", config = registered,
    registered_name = registered
  )
}

# A function in a config that is one of those by its name.
is_activation_config <- function(dict) {
  module <- dict[["module"]]
  is_known <- is.null(module) ||
    (is_string(module) && grepl("^(builtins$|keras([.]|$)|keras_hub[.]|keras_nlp[.])", module))
  is_known && identical(dict[["class_name"]], "function") && is_string(dict[["config"]]) &&
    dict[["config"]] %in% c(activation_names, names(activation_aliases))
}

# Functions of a whole axis, where the others are of single numbers.
axis_activations <- c("softmax", "log_softmax", "sparsemax")

# A name, one of the functions below, or NULL (linear) -> the name that the config keeps.
as_activation <- function(x, owner, argument) {
  if (is.null(x)) {
    return("linear")
  }
  given <- x
  if (is.function(x)) {
    x <- name_of_activation(x)
  } else if (is.list(x) && !is.object(x) && identical(x[["class_name"]], "function")) {
    x <- x[["config"]] # how other versions of Keras write a name
  }
  if (!is_string(x) || !(x %in% c(activation_names, names(activation_aliases)))) {
    abort_argument(owner, argument,
      paste(
        "NULL, one of the functions activation_*(), or one of the names",
        paste0("\"", activation_names, "\"", collapse = ", "),
        if (is.function(given)) "(layer_lambda() takes any function)"
      ),
      given
    )
  }
  if (x %in% names(activation_aliases)) activation_aliases[[x]] else x
}

activation_name <- function(activation) activation

name_of_activation <- function(fun) {
  for (name in activation_names) {
    own <- get0(paste0("activation_", name), environment(as_activation), inherits = FALSE)
    if (identical(fun, own)) {
      return(name)
    }
  }
  NULL
}

# Settings of the step: src/layers/activation.c. `axes`: Keras's, all positive.
activation_settings <- function(axes = integer(), parameters = numeric(), masked = FALSE) {
  c(masked, length(axes), sort(axes), parameters)
}

# A layer's activation by name, over the last axis of an array of this rank.
named_activation_step <- function(name, rank) {
  axes <- if (name %in% axis_activations) rank - 1L
  list(operation = "activation", text = name, settings = activation_settings(axes))
}

# An array, or a plain vector, through the core, as the layer would.
activate <- function(x, owner, name, parameters = numeric(), axis) {
  if (is_keras_tensor(x)) {
    abort_argument(owner, "x",
      "a numeric array or vector (for symbolic tensors there is layer_activation())", x
    )
  }
  array <- check_tensor(x, owner, "x")
  self <- list(dtype = config_floatx(), handle = NULL, label = owner)
  shape <- dim(array)
  axes <- if (!missing(axis)) activation_axis(axis, shape, owner)
  if (name == "glu") {
    shape <- halved_shape(shape, axes, owner)
  }
  tracer <- new_tracer()
  input <- new_value(tracer, dim(array), array_dtype(self, array))
  output <- trace_step(tracer, self, "activation", list(input), list(shape),
    settings = activation_settings(axes, parameters), text = name
  )
  result <- run_program(finish_program(tracer, list(input), output), list(array))[[1L]]
  if (is.null(dim(x))) as.vector(result) else result
}

activation_axis <- function(axis, shape, owner) {
  rank <- length(shape)
  axis <- check_axis(axis, owner)
  if (is.list(axis) || axis >= rank || axis < -rank) {
    abort_argument(owner, "axis",
      sprintf("an axis of `x`, counted from 1, or from the last as -1, -2, ... (`x` has %d)", rank),
      received = paste("the axis", format_axes(unlist(axis)))
    )
  }
  if (axis < 0L) axis + rank else axis
}

halved_shape <- function(shape, axis, owner) {
  if (shape[axis + 1L] %% 2L != 0L) {
    abort_shape(owner, "x", "an array whose axis `axis` has an even length",
      paste("shape", format_shape(shape))
    )
  }
  shape[axis + 1L] <- shape[axis + 1L] %/% 2L
  shape
}

#' Activation functions
#'
#' Functions of single numbers, or, for `activation_softmax()`, `activation_log_softmax()`,
#' `activation_sparsemax()` and `activation_glu()`, of an axis. The `activation` of a layer
#' is one of these functions, or its name without `activation_`, with its defaults; what a
#' layer keeps, and writes into its config, is the name. `"swish"` is another name of
#' `"silu"`, `"hard_swish"` of `"hard_silu"` (x min(max(x / 6 + 1/2, 0), 1)), which is there
#' by name alone, as is `"gelu_approximate"`: KerasHub's `gelu_approximate`, gelu's form with
#' tanh.
#'
#' | Function | Result |
#' |--|--|
#' | `activation_linear()` | x |
#' | `activation_relu()` | max(x, 0); with arguments see below |
#' | `activation_relu6()` | min(max(x, 0), 6) |
#' | `activation_leaky_relu()` | x, or `negative_slope` x where x < 0 |
#' | `activation_elu()` | x, or `alpha` (exp(x) - 1) where x < 0 |
#' | `activation_celu()` | x, or `alpha` (exp(x / `alpha`) - 1) where x < 0 |
#' | `activation_selu()` | 1.0507 elu(x) with alpha 1.67326 |
#' | `activation_gelu()` | x P(X <= x) of a standard normal X; see below |
#' | `activation_silu()` | x / (1 + exp(-x)) |
#' | `activation_mish()` | x tanh(log(1 + exp(x))) |
#' | `activation_sigmoid()` | 1 / (1 + exp(-x)) |
#' | `activation_log_sigmoid()` | -log(1 + exp(-x)) |
#' | `activation_hard_sigmoid()` | min(max(x / 6 + 1/2, 0), 1) |
#' | `activation_sparse_sigmoid()` | min(max((x + 1) / 2, 0), 1) |
#' | `activation_tanh()` | tanh(x) |
#' | `activation_hard_tanh()` | min(max(x, -1), 1) |
#' | `activation_tanh_shrink()` | x - tanh(x) |
#' | `activation_exponential()` | exp(x) |
#' | `activation_softplus()` | log(1 + exp(x)) |
#' | `activation_softsign()` | x / (1 + abs(x)) |
#' | `activation_squareplus()` | (x + sqrt(x^2 + `b`)) / 2 |
#' | `activation_sparse_plus()` | 0 up to -1, (x + 1)^2 / 4 up to 1, then x |
#' | `activation_soft_shrink()` | sign(x) max(abs(x) - `threshold`, 0) |
#' | `activation_hard_shrink()` | x where abs(x) > `threshold`, else 0 |
#' | `activation_threshold()` | x where x > `threshold`, else `default_value` |
#' | `activation_softmax()` | exp(x) / sum(exp(x)) along the axis |
#' | `activation_log_softmax()` | the logarithm of that |
#' | `activation_sparsemax()` | max(x - tau, 0), see below |
#' | `activation_glu()` | a / (1 + exp(-b)), a and b the halves of the axis |
#'
#' `activation_relu(x, negative_slope, max_value, threshold)` is `max_value` from there on,
#' x from `threshold` on, and `negative_slope` (x - `threshold`) below.
#' `activation_gelu(x, approximate = TRUE)` is
#' x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.
#'
#' `activation_sparsemax()` is that of Keras. Martins & Astudillo (2016, "From softmax to
#' sparsemax") sort the k numbers that count, z1 >= z2 >= ..., and have
#' tau = (S - 1) / k with S their sum; in Keras S is z1 + (z1 + z2) + (z1 + z2 + z3) + ...,
#' so that the results need not add up to 1.
#'
#' @section Shapes:
#' The result has the shape of `x`, that of `activation_glu()` an axis half as long. A
#' mask that is attached to `x` stays.
#' @param x A numeric array or vector. It is computed in the precision of
#'   [config_floatx()], `"float32"` by default.
#' @param axis The axis, counted from 1; `-1` (default) is the last.
#' @param alpha The scale of the part below 0, a number; for `activation_celu()` not 0.
#' @param approximate Whether the form with tanh is computed, `TRUE` or `FALSE`.
#' @param b A number of at least 0.
#' @param threshold,default_value Numbers; the threshold of the shrinking functions is at
#'   least 0.
#' @param negative_slope The slope below the threshold, a number.
#' @param max_value The largest result, a number of at least 0, or `NULL` for no bound.
#' @param ... Not used; anything here is an error.
#' @return An array, or a vector if `x` is one.
#' @section Errors:
#' `attn_error_argument` when `x` is no numeric array or an argument has another type or
#' value than said; `attn_error_shape` for `activation_glu()` when the axis has an odd
#' length.
#' @references <https://keras.io/api/layers/activations/>
#' @seealso [layer_activation()]
#' @examples
#' x <- matrix(c(-2, -1, 0, 1, 2, 3), 2)
#' activation_relu(x)
#' activation_gelu(x, approximate = TRUE)
#' rowSums(activation_softmax(x))
#' layer_dense(units = 4, activation = activation_silu)
#' @name activation_relu
NULL

#' @rdname activation_relu
#' @export
activation_relu <- function(x, negative_slope = 0, max_value = NULL, threshold = 0, ...) {
  owner <- "activation_relu()"
  check_no_dots(owner, ...)
  check_given(missing(x), owner, "x", "a numeric array or vector")
  negative_slope <- check_number(negative_slope, owner, "negative_slope")
  max_value <- check_number(max_value, owner, "max_value", min = 0, null_ok = TRUE)
  threshold <- check_number(threshold, owner, "threshold")
  most <- if (is.null(max_value)) Inf else max_value
  activate(x, owner, "relu", c(negative_slope, most, threshold))
}

#' @rdname activation_relu
#' @export
activation_leaky_relu <- function(x, negative_slope = 0.2, ...) {
  owner <- "activation_leaky_relu()"
  check_no_dots(owner, ...)
  check_given(missing(x), owner, "x", "a numeric array or vector")
  negative_slope <- check_number(negative_slope, owner, "negative_slope")
  activate(x, owner, "leaky_relu", negative_slope)
}

#' @rdname activation_relu
#' @export
activation_elu <- function(x, alpha = 1, ...) {
  owner <- "activation_elu()"
  check_no_dots(owner, ...)
  check_given(missing(x), owner, "x", "a numeric array or vector")
  alpha <- check_number(alpha, owner, "alpha")
  activate(x, owner, "elu", alpha)
}

#' @rdname activation_relu
#' @export
activation_celu <- function(x, alpha = 1, ...) {
  owner <- "activation_celu()"
  check_no_dots(owner, ...)
  check_given(missing(x), owner, "x", "a numeric array or vector")
  alpha <- check_number(alpha, owner, "alpha")
  if (alpha == 0) {
    abort_argument(owner, "alpha", "a number other than 0", alpha)
  }
  activate(x, owner, "celu", alpha)
}

#' @rdname activation_relu
#' @export
activation_gelu <- function(x, approximate = FALSE, ...) {
  owner <- "activation_gelu()"
  check_no_dots(owner, ...)
  check_given(missing(x), owner, "x", "a numeric array or vector")
  approximate <- check_flag(approximate, owner, "approximate")
  activate(x, owner, "gelu", as.double(approximate))
}

#' @rdname activation_relu
#' @export
activation_squareplus <- function(x, b = 4L, ...) {
  owner <- "activation_squareplus()"
  check_no_dots(owner, ...)
  check_given(missing(x), owner, "x", "a numeric array or vector")
  b <- check_number(b, owner, "b", min = 0)
  activate(x, owner, "squareplus", b)
}

#' @rdname activation_relu
#' @export
activation_soft_shrink <- function(x, threshold = 0.5, ...) {
  owner <- "activation_soft_shrink()"
  check_no_dots(owner, ...)
  check_given(missing(x), owner, "x", "a numeric array or vector")
  threshold <- check_number(threshold, owner, "threshold", min = 0)
  activate(x, owner, "soft_shrink", threshold)
}

#' @rdname activation_relu
#' @export
activation_hard_shrink <- function(x, threshold = 0.5, ...) {
  owner <- "activation_hard_shrink()"
  check_no_dots(owner, ...)
  check_given(missing(x), owner, "x", "a numeric array or vector")
  threshold <- check_number(threshold, owner, "threshold", min = 0)
  activate(x, owner, "hard_shrink", threshold)
}

#' @rdname activation_relu
#' @export
activation_threshold <- function(x, threshold, default_value, ...) {
  owner <- "activation_threshold()"
  check_no_dots(owner, ...)
  check_given(missing(x), owner, "x", "a numeric array or vector")
  check_given(missing(threshold), owner, "threshold", "a finite number")
  check_given(missing(default_value), owner, "default_value", "a finite number")
  threshold <- check_number(threshold, owner, "threshold")
  default_value <- check_number(default_value, owner, "default_value")
  activate(x, owner, "threshold", c(threshold, default_value))
}

#' @rdname activation_relu
#' @export
activation_softmax <- function(x, axis = -1L, ...) {
  owner <- "activation_softmax()"
  check_no_dots(owner, ...)
  check_given(missing(x), owner, "x", "a numeric array or vector")
  activate(x, owner, "softmax", axis = axis)
}

#' @rdname activation_relu
#' @export
activation_log_softmax <- function(x, axis = -1L, ...) {
  owner <- "activation_log_softmax()"
  check_no_dots(owner, ...)
  check_given(missing(x), owner, "x", "a numeric array or vector")
  activate(x, owner, "log_softmax", axis = axis)
}

#' @rdname activation_relu
#' @export
activation_sparsemax <- function(x, axis = -1L, ...) {
  owner <- "activation_sparsemax()"
  check_no_dots(owner, ...)
  check_given(missing(x), owner, "x", "a numeric array or vector")
  activate(x, owner, "sparsemax", axis = axis)
}

#' @rdname activation_relu
#' @export
activation_glu <- function(x, axis = -1L, ...) {
  owner <- "activation_glu()"
  check_no_dots(owner, ...)
  check_given(missing(x), owner, "x", "a numeric array or vector")
  activate(x, owner, "glu", axis = axis)
}

#' @rdname activation_relu
#' @export
activation_linear <- function(x, ...) {
  owner <- "activation_linear()"
  check_no_dots(owner, ...)
  check_given(missing(x), owner, "x", "a numeric array or vector")
  activate(x, owner, "linear")
}

#' @rdname activation_relu
#' @export
activation_relu6 <- function(x, ...) {
  owner <- "activation_relu6()"
  check_no_dots(owner, ...)
  check_given(missing(x), owner, "x", "a numeric array or vector")
  activate(x, owner, "relu6")
}

#' @rdname activation_relu
#' @export
activation_selu <- function(x, ...) {
  owner <- "activation_selu()"
  check_no_dots(owner, ...)
  check_given(missing(x), owner, "x", "a numeric array or vector")
  activate(x, owner, "selu")
}

#' @rdname activation_relu
#' @export
activation_silu <- function(x, ...) {
  owner <- "activation_silu()"
  check_no_dots(owner, ...)
  check_given(missing(x), owner, "x", "a numeric array or vector")
  activate(x, owner, "silu")
}

#' @rdname activation_relu
#' @export
activation_mish <- function(x, ...) {
  owner <- "activation_mish()"
  check_no_dots(owner, ...)
  check_given(missing(x), owner, "x", "a numeric array or vector")
  activate(x, owner, "mish")
}

#' @rdname activation_relu
#' @export
activation_sigmoid <- function(x, ...) {
  owner <- "activation_sigmoid()"
  check_no_dots(owner, ...)
  check_given(missing(x), owner, "x", "a numeric array or vector")
  activate(x, owner, "sigmoid")
}

#' @rdname activation_relu
#' @export
activation_log_sigmoid <- function(x, ...) {
  owner <- "activation_log_sigmoid()"
  check_no_dots(owner, ...)
  check_given(missing(x), owner, "x", "a numeric array or vector")
  activate(x, owner, "log_sigmoid")
}

#' @rdname activation_relu
#' @export
activation_hard_sigmoid <- function(x, ...) {
  owner <- "activation_hard_sigmoid()"
  check_no_dots(owner, ...)
  check_given(missing(x), owner, "x", "a numeric array or vector")
  activate(x, owner, "hard_sigmoid")
}

#' @rdname activation_relu
#' @export
activation_sparse_sigmoid <- function(x, ...) {
  owner <- "activation_sparse_sigmoid()"
  check_no_dots(owner, ...)
  check_given(missing(x), owner, "x", "a numeric array or vector")
  activate(x, owner, "sparse_sigmoid")
}

#' @rdname activation_relu
#' @export
activation_tanh <- function(x, ...) {
  owner <- "activation_tanh()"
  check_no_dots(owner, ...)
  check_given(missing(x), owner, "x", "a numeric array or vector")
  activate(x, owner, "tanh")
}

#' @rdname activation_relu
#' @export
activation_hard_tanh <- function(x, ...) {
  owner <- "activation_hard_tanh()"
  check_no_dots(owner, ...)
  check_given(missing(x), owner, "x", "a numeric array or vector")
  activate(x, owner, "hard_tanh")
}

#' @rdname activation_relu
#' @export
activation_tanh_shrink <- function(x, ...) {
  owner <- "activation_tanh_shrink()"
  check_no_dots(owner, ...)
  check_given(missing(x), owner, "x", "a numeric array or vector")
  activate(x, owner, "tanh_shrink")
}

#' @rdname activation_relu
#' @export
activation_exponential <- function(x, ...) {
  owner <- "activation_exponential()"
  check_no_dots(owner, ...)
  check_given(missing(x), owner, "x", "a numeric array or vector")
  activate(x, owner, "exponential")
}

#' @rdname activation_relu
#' @export
activation_softplus <- function(x, ...) {
  owner <- "activation_softplus()"
  check_no_dots(owner, ...)
  check_given(missing(x), owner, "x", "a numeric array or vector")
  activate(x, owner, "softplus")
}

#' @rdname activation_relu
#' @export
activation_softsign <- function(x, ...) {
  owner <- "activation_softsign()"
  check_no_dots(owner, ...)
  check_given(missing(x), owner, "x", "a numeric array or vector")
  activate(x, owner, "softsign")
}

#' @rdname activation_relu
#' @export
activation_sparse_plus <- function(x, ...) {
  owner <- "activation_sparse_plus()"
  check_no_dots(owner, ...)
  check_given(missing(x), owner, "x", "a numeric array or vector")
  activate(x, owner, "sparse_plus")
}
