# Arithmetic of symbolic tensors: each operator makes a node of Keras's operation.

operators <- list(
  unary = c("-" = "Negative", "!" = "LogicalNot"),
  binary = c(
    "+" = "Add", "-" = "Subtract", "*" = "Multiply", "/" = "TrueDivide", "^" = "Power",
    "%%" = "Mod", "%/%" = "FloorDivide", "==" = "Equal", "!=" = "NotEqual", ">" = "Greater",
    ">=" = "GreaterEqual", "<" = "Less", "<=" = "LessEqual", "&" = "LogicalAnd",
    "|" = "LogicalOr"
  )
)

#' Arithmetic of symbolic tensors
#'
#' Operators take symbolic tensors, alone, with each other or with numbers and arrays, and
#' give symbolic tensors: `x + y`, `-x`, `2 * x`, `x / 8`, `x^2`, `x > 0`, `!mask`. They
#' become operations of the model, as in Keras, and are saved with it.
#'
#' @section Shapes:
#' Dims are aligned at the last one, and must be equal or 1, which stands for any size, as in
#' Python: `(batch, 4, 8)` and `(8)` give `(batch, 4, 8)`. (The layers, such as
#' [layer_add()], align them at the first.)
#'
#' @section Types:
#' Comparisons and logic give flags (`"bool"`), `/` floating point numbers, the others the
#' wider of both types; a single whole number is an integer, also where R has it as a double:
#' `x + 1` stays whole where `x` is.
#'
#' @section Masks:
#' As in Keras, results of operators have no mask. Where tensors carry one, such as those of
#' an embedding with `mask_zero`, [layer_add()], [layer_multiply()], [layer_rescaling()] and
#' the other layers keep it.
#'
#' @param e1,e2 Symbolic tensors; one of them may be a number or an array of numbers.
#' @return A symbolic tensor.
#' @section Errors:
#' `attn_error_shape` for tensors that do not fit each other; `attn_error_argument` for
#' anything that is neither a symbolic tensor nor numbers, and for functions of R, such as
#' `exp(x)`, `sum(x)`, `mean(x)` or `t(x)`: those that layers have no name for go into a
#' [layer_lambda()].
#' @references <https://keras.io/api/ops/numpy/>
#' @examples
#' x <- keras_input(shape = c(4, 8))
#' y <- layer_dense(x, units = 8, activation = "sigmoid")
#' gated <- x * y + (1 - y) / 2
#' model <- keras_model(x, gated)
#' dim(model(array(1, c(2, 4, 8))))
#' @name tensor_arithmetic
#' @export
Ops.keras_tensor <- function(e1, e2) {
  owner <- sprintf("`%s`", .Generic)
  is_unary <- missing(e2)
  if (is_unary && .Generic == "+") {
    return(e1)
  }
  class_name <- if (is_unary) operators$unary[.Generic] else operators$binary[.Generic]
  operation_node(unname(class_name), NULL, if (is_unary) list(e1) else list(e1, e2),
    owner = owner
  )
}

# The functions of R that would look into the tensor's list, where there are no numbers.
refuse_r_function <- function(name) {
  abort_argument(sprintf("%s()", name), "x",
    "an array (in a model: a layer such as layer_activation(), or layer_lambda())",
    received = "a symbolic tensor"
  )
}

#' @export
Math.keras_tensor <- function(x, ...) refuse_r_function(.Generic)

#' @export
Summary.keras_tensor <- function(..., na.rm = FALSE) refuse_r_function(.Generic)

#' @export
mean.keras_tensor <- function(x, ...) refuse_r_function("mean")

#' @export
t.keras_tensor <- function(x) refuse_r_function("t")

#' @export
aperm.keras_tensor <- function(a, perm, ...) refuse_r_function("aperm")
