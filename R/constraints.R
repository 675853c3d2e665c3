# Constraints: functions from a weight to the nearest admissible weight, to be
# applied after each step of training.

# Keras adds this to norms before dividing by them.
keras_epsilon <- 1e-7

new_constraint <- function(class_name, config, owner, project) {
  force(owner)
  force(project)
  fun <- function(w, ...) {
    check_no_dots(owner, ...)
    if (missing(w) || is.object(w) || !is.numeric(w)) {
      abort_argument(owner, "w", "a numeric array", w)
    }
    project(w)
  }
  new_keras_object(fun, "constraint", class_name, config)
}

# `desired(norms)` gives the norms that the vectors along the axes should have.
new_norm_constraint <- function(class_name, config, owner, desired) {
  force(desired)
  axes <- axis_from_keras(config[["axis"]])
  new_constraint(class_name, config, owner, function(w) {
    scale_along_axes(w, axes, owner, function(norms) desired(norms) / (keras_epsilon + norms))
  })
}

# Multiplies each vector along `axes` (from 1, NULL for all) by a factor that
# depends on its Euclidean norm.
scale_along_axes <- function(w, axes, owner, factor_of_norm) {
  shape <- dim_or_length(w)
  axes <- resolve_axes(axes, length(shape), owner)
  kept <- setdiff(seq_along(shape), axes)
  order_used <- c(axes, kept)
  moved <- aperm(array(as.double(w), dim = shape), order_used)
  along <- prod(shape[axes])
  norms <- sqrt(colSums(matrix(moved^2, nrow = along)))
  moved <- moved * rep(factor_of_norm(norms), each = along)
  w[] <- aperm(array(moved, dim = shape[order_used]), order(order_used))
  w
}

resolve_axes <- function(axes, rank, owner) {
  if (is.null(axes)) {
    return(seq_len(rank))
  }
  resolved <- ifelse(axes < 0L, axes + rank + 1L, axes)
  if (any(resolved < 1L | resolved > rank) || anyDuplicated(resolved)) {
    abort_shape(owner, "w",
      sprintf("an array that has the axis %s (counted from 1)", paste(axes, collapse = ", ")),
      sprintf("an array of rank %d", rank)
    )
  }
  resolved
}

# Axes as users of R give them (from 1, or -1 for the last) -> as the config has
# them (from 0): a number, a list of numbers for several, NULL for all.
axis_to_keras <- function(axis, owner) {
  if (is.null(axis)) {
    return(NULL)
  }
  axes <- if (!is.list(axis)) whole_numbers(axis)
  if (!length(axes) || any(axes == 0L) || anyDuplicated(axes)) {
    abort_argument(owner, "axis",
      "one or several different whole numbers, counted from 1 or from the end as -1", axis
    )
  }
  axis <- ifelse(axes > 0L, axes - 1L, axes)
  if (length(axis) == 1L) axis else as.list(axis)
}

axis_from_keras <- function(axis) {
  axis <- unlist(axis)
  if (is.null(axis)) NULL else ifelse(axis >= 0L, axis + 1L, axis)
}

# The axis of a config, checked. A list of one stays a list of one, as in Keras.
check_keras_axis <- function(axis, owner) {
  flat <- whole_numbers(axis)
  if (is.null(flat) || anyDuplicated(flat)) {
    abort_argument(owner, "axis", "one or several different whole numbers", axis)
  }
  if (!length(flat)) {
    return(NULL)
  }
  if (is.list(axis) || length(flat) > 1L) as.list(flat) else flat
}

# A number of at least `min` in the type in which it came: Keras writes an
# integer into the config as it was given.
check_bound <- function(x, owner, argument, min = 0) {
  number <- check_number(x, owner, argument, min = min)
  if (is.integer(x)) as.integer(number) else number
}

#' Constraints on weights
#'
#' A constraint is a function that takes a weight and returns the weight moved
#' into an admissible range: `constraint_nonneg()` replaces negative numbers by
#' 0; the others scale the vectors that run along `axis`.
#'
#' * `constraint_maxnorm()`: vectors longer than `max_value` get that length.
#' * `constraint_minmaxnorm()`: the length is moved into the range from
#'   `min_value` to `max_value`, by the fraction `rate` of the way (1 for all of
#'   it).
#' * `constraint_unitnorm()`: every vector gets length 1.
#'
#' Length is the Euclidean norm. As in Keras, lengths are divided by their value
#' plus 1e-7, so results are off by about that much, and vectors of zeros stay as
#' they are.
#'
#' A layer takes a constraint as an object, by its name in Keras (`"max_norm"`,
#' `"min_max_norm"`, `"non_neg"`, `"unit_norm"`), or as a function of an array. It
#' keeps it for training; calling a layer does not apply it.
#'
#' @param max_value,min_value Numbers of at least 0, `min_value` not above
#'   `max_value`.
#' @param rate A number from 0 to 1.
#' @param axis The axis or axes that the vectors run along, counted from 1, or
#'   from the end as -1, -2 and so on. `NULL` takes the whole weight as one
#'   vector. (The config has them counted from 0, as Keras does.) For a kernel of
#'   shape `(inputs, ...)` the default constrains the weights into each output.
#' @param ... Not used; anything here is an error.
#' @return A constraint: a function of class `attn_constraint` that takes a
#'   numeric array and returns one of the same shape.
#' @section Errors: `attn_error_argument` when an argument is not of the kind
#'   described, or when the constraint is called on something that is not numeric;
#'   `attn_error_shape` when it is called on an array without that axis.
#' @references <https://keras.io/api/layers/constraints/>
#' @examples
#' w <- matrix(c(3, 4, 0.3, 0.4), 2)
#' constraint_maxnorm(1)(w)
#' constraint_unitnorm(axis = 2)(w)
#' constraint_nonneg()(c(-1, 2))
#' @export
constraint_maxnorm <- function(max_value = 2L, axis = 1L, ...) {
  check_no_dots("constraint_maxnorm()", ...)
  new_max_norm(max_value, axis_to_keras(axis, "constraint_maxnorm()"))
}

new_max_norm <- function(max_value, keras_axis) {
  owner <- "constraint_maxnorm()"
  max_value <- check_bound(max_value, owner, "max_value")
  config <- list(max_value = max_value, axis = keras_axis)
  new_norm_constraint("MaxNorm", config, owner, function(norms) pmin(norms, max_value))
}

#' @rdname constraint_maxnorm
#' @export
constraint_minmaxnorm <- function(min_value = 0, max_value = 1, rate = 1, axis = 1L, ...) {
  check_no_dots("constraint_minmaxnorm()", ...)
  new_min_max_norm(min_value, max_value, rate, axis_to_keras(axis, "constraint_minmaxnorm()"))
}

new_min_max_norm <- function(min_value, max_value, rate, keras_axis) {
  owner <- "constraint_minmaxnorm()"
  min_value <- check_bound(min_value, owner, "min_value")
  max_value <- check_bound(max_value, owner, "max_value")
  check_order(min_value, max_value, owner, "min_value", "max_value")
  rate <- check_number(rate, owner, "rate", min = 0, max = 1)
  config <- list(min_value = min_value, max_value = max_value, rate = rate, axis = keras_axis)
  new_norm_constraint("MinMaxNorm", config, owner, function(norms) {
    rate * pmin(pmax(norms, min_value), max_value) + (1 - rate) * norms
  })
}

#' @rdname constraint_maxnorm
#' @export
constraint_nonneg <- function(...) {
  check_no_dots("constraint_nonneg()", ...)
  new_constraint("NonNeg", list(), "constraint_nonneg()", function(w) {
    w[!is.na(w) & w < 0] <- 0
    w
  })
}

#' @rdname constraint_maxnorm
#' @export
constraint_unitnorm <- function(axis = 1L, ...) {
  check_no_dots("constraint_unitnorm()", ...)
  new_unit_norm(axis_to_keras(axis, "constraint_unitnorm()"))
}

new_unit_norm <- function(keras_axis) {
  new_norm_constraint(
    "UnitNorm", list(axis = keras_axis), "constraint_unitnorm()",
    function(norms) 1
  )
}

# By Keras class; the formals are the keys of the class's config, axes from 0.
constraint_builders <- list(
  MaxNorm = function(max_value = 2L, axis = 0L) {
    new_max_norm(max_value, check_keras_axis(axis, "constraint_maxnorm()"))
  },
  MinMaxNorm = function(min_value = 0, max_value = 1, rate = 1, axis = 0L) {
    new_min_max_norm(
      min_value, max_value, rate, check_keras_axis(axis, "constraint_minmaxnorm()")
    )
  },
  NonNeg = function() constraint_nonneg(),
  UnitNorm = function(axis = 0L) {
    new_unit_norm(check_keras_axis(axis, "constraint_unitnorm()"))
  }
)

constraint_kind <- function() {
  list(
    name = "constraint",
    builders = constraint_builders,
    aliases = list(
      max_norm = "MaxNorm", min_max_norm = "MinMaxNorm",
      non_neg = "NonNeg", unit_norm = "UnitNorm"
    ),
    constructors = list(
      constraint_maxnorm, constraint_minmaxnorm, constraint_nonneg, constraint_unitnorm
    ),
    shown = c("max_norm", "min_max_norm", "non_neg", "unit_norm"),
    also = "a function of an array"
  )
}

# What a user may give as a constraint -> an object, a plain function or NULL.
as_constraint <- function(x, owner, argument = "constraint") {
  as_keras_object(x, constraint_kind(), owner, argument)
}
