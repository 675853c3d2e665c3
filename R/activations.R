# Activations by name. What they compute: src/kernels/op_kinds.h.

activation_names <- c(
  "linear", "relu", "gelu", "silu", "swish", "sigmoid", "tanh", "softmax"
)

# A name, or NULL (linear) -> the name that the config keeps.
as_activation <- function(x, owner, argument) {
  if (is.null(x)) {
    return("linear")
  }
  check_string(x, owner, argument, activation_names)
}

activation_name <- function(activation) activation
