# Regularizers: functions from a weight (or an output) to a penalty, one number.

new_regularizer <- function(class_name, config, owner, penalty) {
  force(owner)
  force(penalty)
  fun <- function(x, ...) {
    check_no_dots(owner, ...)
    if (missing(x) || is_foreign_object(x) || !is.numeric(x)) {
      abort_argument(owner, "x", "a numeric array", x)
    }
    penalty(x)
  }
  new_keras_object(fun, "regularizer", class_name, config)
}

check_factor <- function(x, owner, argument, default) {
  if (is.null(x)) default else check_number(x, owner, argument, min = 0)
}

#' Penalties on the size of weights
#'
#' `regularizer_l1()` is `l1 * sum(abs(x))`; `regularizer_l2()` is
#' `l2 * sum(x^2)`, without a factor of one half; `regularizer_l1_l2()` is their
#' sum.
#'
#' A regularizer is a function of an array; it returns the penalty. Given to a
#' layer, its penalties appear in the layer's `losses`. A layer takes a
#' regularizer as an object, by its name in Keras (`"l1"`, `"l2"`, or `"l1l2"`,
#' for which both factors are 0), or as a function of an array.
#'
#' Keras keeps the factor of L1 as a 32-bit number, so 0.01 is
#' 0.009999999776482582 there, and here too.
#'
#' @param l1,l2 Factors, at least 0. `NULL` is the default of the function (0 in
#'   `regularizer_l1_l2()`).
#' @param ... Not used; anything here is an error.
#' @return A regularizer: a function of class `attn_regularizer` that takes an
#'   array and returns a number.
#' @section Errors: `attn_error_argument` when a factor is not a finite number of
#'   at least 0, or when the regularizer is called on something that is not
#'   numeric.
#' @references <https://keras.io/api/layers/regularizers/>
#' @examples
#' regularizer_l2(0.5)(c(1, 2, 3))
#' regularizer_l1_l2(l1 = 0.1, l2 = 0.2)(matrix(1:4, 2))
#' @export
regularizer_l1 <- function(l1 = 0.01, ...) {
  check_no_dots("regularizer_l1()", ...)
  l1 <- round_to_dtype(check_factor(l1, "regularizer_l1()", "l1", 0.01), "float32")
  new_regularizer("L1", list(l1 = l1), "regularizer_l1()", function(x) l1 * sum(abs(x)))
}

#' @rdname regularizer_l1
#' @export
regularizer_l2 <- function(l2 = 0.01, ...) {
  check_no_dots("regularizer_l2()", ...)
  l2 <- check_factor(l2, "regularizer_l2()", "l2", 0.01)
  new_regularizer("L2", list(l2 = l2), "regularizer_l2()", function(x) l2 * sum_of_squares(x))
}

#' @rdname regularizer_l1
#' @export
regularizer_l1_l2 <- function(l1 = 0, l2 = 0, ...) {
  owner <- "regularizer_l1_l2()"
  check_no_dots(owner, ...)
  l1 <- check_factor(l1, owner, "l1", 0)
  l2 <- check_factor(l2, owner, "l2", 0)
  new_regularizer("L1L2", list(l1 = l1, l2 = l2), owner, function(x) {
    # A factor of 0 leaves its sum out: 0 times an infinite sum would be NaN.
    penalty_l1 <- if (l1 > 0) l1 * sum(abs(x)) else 0
    penalty_l2 <- if (l2 > 0) l2 * sum_of_squares(x) else 0
    penalty_l1 + penalty_l2
  })
}

# Integers would overflow when squared.
sum_of_squares <- function(x) {
  sum(as.double(x)^2)
}

#' Penalty on rows or columns that are not orthogonal
#'
#' `factor` times the mean of the absolute cosines between all pairs of different
#' rows (or columns) of a matrix. With fewer than two of them it is 0.
#'
#' It works on matrices only. The kernels of the multi-head layers have three or
#' more axes, so there it is an error, as in Keras.
#'
#' @param factor A number of at least 0. It is kept as a 32-bit number, as in
#'   Keras.
#' @param mode `"rows"` or `"columns"`: what should be orthogonal.
#' @param ... Not used; anything here is an error.
#' @return A regularizer: a function of class `attn_regularizer` that takes a
#'   matrix and returns a number.
#' @section Errors: `attn_error_argument` when an argument is not of the kind
#'   described; `attn_error_shape` when the regularizer is called on an array that
#'   has not two axes.
#' @references <https://keras.io/api/layers/regularizers/>
#' @examples
#' regularizer_orthogonal(1)(diag(3))
#' regularizer_orthogonal(1, mode = "columns")(matrix(1, 2, 2))
#' @export
regularizer_orthogonal <- function(factor = 0.01, mode = "rows", ...) {
  owner <- "regularizer_orthogonal()"
  check_no_dots(owner, ...)
  factor <- round_to_dtype(check_number(factor, owner, "factor", min = 0), "float32")
  mode <- check_string(mode, owner, "mode", choices = c("rows", "columns"))
  config <- list(factor = factor, mode = mode)
  new_regularizer("OrthogonalRegularizer", config, owner, function(x) {
    if (length(dim(x)) != 2L) {
      received <- if (is.null(dim(x))) describe_value(x) else format_shape(dim(x))
      abort_shape(owner, "x", "a matrix", received)
    }
    factor * mean_absolute_cosine(if (mode == "rows") x else t(x))
  })
}

# Over all pairs of different rows. Rows shorter than 1e-7 are scaled by 1e7 and
# not to unit length, as Keras does, so that a row of zeros counts as 0.
mean_absolute_cosine <- function(x) {
  size <- nrow(x)
  if (size < 2L) {
    return(0)
  }
  unit <- x / pmax(sqrt(rowSums(x^2)), keras_epsilon)
  cosines <- abs(tcrossprod(unit))
  diag(cosines) <- 0
  sum(cosines) / (size * (size - 1))
}

# By Keras class; the formals are the keys of the class's config.
regularizer_builders <- list(
  L1 = function(l1 = 0.01) regularizer_l1(l1),
  L2 = function(l2 = 0.01) regularizer_l2(l2),
  L1L2 = function(l1 = 0, l2 = 0) regularizer_l1_l2(l1, l2),
  OrthogonalRegularizer = function(factor = 0.01, mode = "rows") {
    regularizer_orthogonal(factor, mode)
  }
)

regularizer_kind <- function() {
  list(
    name = "regularizer",
    builders = regularizer_builders,
    aliases = list(
      l1 = "L1", l2 = "L2", l1l2 = "L1L2", orthogonal_regularizer = "OrthogonalRegularizer"
    ),
    constructors = list(
      regularizer_l1, regularizer_l2, regularizer_l1_l2, regularizer_orthogonal
    ),
    shown = c("l1", "l2", "l1l2", "orthogonal_regularizer"),
    also = "a function of an array"
  )
}

# What a user may give as a regularizer -> an object, a plain function or NULL.
as_regularizer <- function(x, owner, argument = "regularizer") {
  as_keras_object(x, regularizer_kind(), owner, argument)
}
