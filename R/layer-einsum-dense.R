# layer_einsum_dense(): activation(einsum(inputs, kernel) + bias). In C:
# src/layers/einsum_dense.c; what an equation means: src/ops/einsum.h.

einsum_dense_kind <- tensor_kind(
  class_name = "EinsumDense", constructor = "layer_einsum_dense", prefix = "einsum_dense",
  fields = c(
    "output_shape", "equation", "activation", "bias_axes", "kernel_initializer",
    "bias_initializer", "kernel_regularizer", "bias_regularizer", "activity_regularizer",
    "kernel_constraint", "bias_constraint", "quantization_config"
  ),
  required = c("equation", "output_shape"), supports_masking = FALSE,
  write_config = function(self, config) {
    config$output_shape <- shape_to_config(config$output_shape)
    config
  },
  output_shape = function(self, shapes) einsum_output_shape(self, shapes[[1L]]),
  weights = function(self, shapes) einsum_weights(self, shapes[[1L]]),
  step = function(self, shapes, arguments) {
    config <- self$config
    shape <- config$output_shape
    list(
      operation = "einsum_dense", settings = ifelse(is.na(shape), -1, shape),
      text = paste(config$equation, config$bias_axes, config$activation, sep = ";")
    )
  }
)

# enum attn_einsum_problem (src/ops/einsum.h), from 1
einsum_problems <- c(
  "form", "repeated", "rank", "output_rank", "mismatch", "unmatched", "free", "bias"
)

# What the equation means for an input of this shape: the dims of the weights and of the
# output, NA where they are not known, and the kernel's axes that are summed over, from 0.
analyse_einsum <- function(self, shape) {
  config <- self$config
  result <- .Call(
    ffi_einsum, config$equation, config$bias_axes, as.integer(shape), config$output_shape
  )
  if (result$problem > 0L) {
    abort_einsum(self, einsum_problems[result$problem], result, shape)
  }
  result
}

abort_einsum <- function(self, problem, result, shape) {
  owner <- self$label
  config <- self$config
  letter <- sprintf("\"%s\"", result$letter)
  if (problem == "rank") {
    abort_shape(owner, "inputs",
      sprintf("an array with the axes of the equation, \"%s\"", config$equation),
      paste("shape", format_shape(shape))
    )
  }
  if (problem == "mismatch") {
    abort_shape(owner, "inputs",
      sprintf("an array whose dim %s is %d, as `output_shape` has it", letter, result$there[2L]),
      sprintf("shape %s, where it is %d", format_shape(shape), result$there[1L])
    )
  }
  if (problem == "output_rank") {
    abort_argument(owner, "output_shape",
      "the output's dims without the batch and those of \"...\"", config$output_shape
    )
  }
  if (problem == "bias") {
    abort_argument(owner, "bias_axes", "letters of the output", config$bias_axes)
  }
  abort_argument(owner, "equation",
    switch(problem,
      repeated = sprintf("an equation without a letter twice in one part, such as %s", letter),
      unmatched = sprintf("one whose output has no letter, such as %s, of its own", letter),
      free = sprintf("one whose kernel has no letter, such as %s, of its own", letter),
      equation_forms
    ),
    config$equation
  )
}

equation_forms <- "of the form \"ab,bc->ac\", \"...ab,bc->...ac\" or \"ab...,bc->ac...\""

# What can be said of an equation before there is an input.
check_equation <- function(x, owner) {
  check_string(x, owner, "equation")
  part <- "[A-Za-z]+"
  forms <- c("%s,%s->%s", "\\.\\.\\.%s,%s->\\.\\.\\.%s", "%s\\.\\.\\.,%s->%s\\.\\.\\.")
  pattern <- paste0("^", gsub("%s", part, forms, fixed = TRUE), "$", collapse = "|")
  if (!grepl(pattern, x) || nchar(x) > 60L) {
    abort_argument(owner, "equation", equation_forms, x)
  }
  x
}

einsum_output_shape <- function(self, shape) {
  meaning <- analyse_einsum(self, shape)
  if (self$built) {
    kernel <- self$weights[["kernel"]]$shape
    bias <- self$weights[["bias"]]$shape
    if (!sizes_agree(meaning$kernel, kernel) || !sizes_agree(meaning$bias, bias)) {
      abort_shape(self$label, "inputs",
        sprintf("an array that the kernel of shape %s fits", format_shape(kernel)),
        paste("shape", format_shape(shape))
      )
    }
  }
  meaning$output
}

einsum_weights <- function(self, shape) {
  meaning <- analyse_einsum(self, shape)
  if (anyNA(meaning$kernel) || anyNA(meaning$bias)) {
    abort_shape(self$label, "inputs", "of a shape whose dims in the kernel and bias are known",
      paste("shape", format_shape(shape))
    )
  }
  inputs <- meaning$contracted
  outputs <- setdiff(seq_along(meaning$kernel) - 1L, inputs)
  depth <- if (meaning$matrix) prod(meaning$kernel[inputs + 1L]) else 0
  c(
    list(weight_spec(self, "kernel", meaning$kernel, "kernel", inputs, outputs, depth = depth)),
    if (!is.null(self$config$bias_axes)) list(weight_spec(self, "bias", meaning$bias, "bias"))
  )
}

#' Dense layer by an equation
#'
#' `activation(einsum(inputs, kernel) + bias)`: products over any axes. In the equation,
#' such as `"abc,cd->abd"`, every letter is an axis: of the input, of the kernel, and,
#' behind the arrow, of the output. What is in input and kernel, but not in the output, is
#' summed over.
#'
#' @section Shapes:
#' Input and output as the equation says, the batch first. `"..."` stands for any axes. The
#' `kernel` has the dims of its letters, the `bias` those of `bias_axes`, with 1 for letters
#' of the output that stand between or behind them.
#' @inheritParams layer_dense
#' @param equation An equation of the form `"ab,bc->ac"`, `"...ab,bc->...ac"` or
#'   `"ab...,bc->ac..."`, with any letters.
#' @param output_shape The dims of the output without the batch and without those of
#'   `"..."`: a vector of positive whole numbers, `NA` for what follows from the input.
#' @param bias_axes The letters of the output that the bias has, such as `"d"`; `NULL`
#'   (default) for no bias.
#' @param kernel_regularizer,bias_regularizer Penalties on the weights, see
#'   [regularizer_l2()]; `NULL` for none.
#' @param ... `name`, `dtype`, `trainable` and `activity_regularizer` of the layer.
#' @section Masks:
#' As in Keras the layer knows no masks: that of the input is lost, with a warning of class
#' `attn_warning_ignored`.
#' @section Errors:
#' `attn_error_argument` for an argument of another type or value than said, and for an
#' equation that means nothing; `attn_error_shape` when the input does not fit it.
#' @references <https://keras.io/api/layers/core_layers/einsum_dense/>
#' @examples
#' x <- array(rnorm(2 * 5 * 4), c(2, 5, 4))
#' # a dense layer
#' layer <- layer_einsum_dense(equation = "abc,cd->abd", output_shape = c(NA, 3), bias_axes = "d")
#' dim(layer(x))
#' # the projection of an attention layer: to 2 heads of 3
#' layer <- layer_einsum_dense(equation = "abc,cde->abde", output_shape = c(NA, 2, 3))
#' dim(layer(x))
#' @export
layer_einsum_dense <- function(object, equation, output_shape, activation = NULL,
                               bias_axes = NULL, kernel_initializer = "glorot_uniform",
                               bias_initializer = "zeros", kernel_regularizer = NULL,
                               bias_regularizer = NULL, kernel_constraint = NULL,
                               bias_constraint = NULL, lora_rank = NULL, lora_alpha = NULL,
                               ...) {
  owner <- "layer_einsum_dense()"
  check_given(missing(equation), owner, "equation", equation_forms)
  check_given(missing(output_shape), owner, "output_shape", "the dims of the output")
  dots <- tensor_dots(owner, "quantization_config", NULL, ...)
  check_not_available(lora_rank, owner, "lora_rank")
  check_not_available(lora_alpha, owner, "lora_alpha")
  config <- list(
    output_shape = check_einsum_shape(output_shape, owner),
    equation = check_equation(equation, owner),
    activation = as_activation(activation, owner, "activation"),
    bias_axes = check_bias_axes(bias_axes, owner),
    kernel_initializer = as_initializer(kernel_initializer, owner, "kernel_initializer"),
    bias_initializer = as_initializer(bias_initializer, owner, "bias_initializer"),
    kernel_regularizer = as_regularizer(kernel_regularizer, owner, "kernel_regularizer"),
    bias_regularizer = as_regularizer(bias_regularizer, owner, "bias_regularizer"),
    activity_regularizer = dots[["activity_regularizer"]],
    kernel_constraint = as_constraint(kernel_constraint, owner, "kernel_constraint"),
    bias_constraint = as_constraint(bias_constraint, owner, "bias_constraint"),
    quantization_config = NULL
  )
  finish_layer(given_object(object), "einsum_dense", config, dots)
}

check_einsum_shape <- function(x, owner) {
  if (is.null(x)) {
    abort_argument(owner, "output_shape", "the dims of the output", x)
  }
  as_partial_shape(x, owner, "output_shape")
}

check_bias_axes <- function(x, owner) {
  check_string(x, owner, "bias_axes", null_ok = TRUE)
  if (!is.null(x) && !grepl("^[A-Za-z]{1,16}$", x)) {
    abort_argument(owner, "bias_axes", "NULL or letters of the equation's output", x)
  }
  x
}
