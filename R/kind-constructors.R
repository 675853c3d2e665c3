# What the constructors of layers of tensors, and their kinds, have in common.

# tensor_dots(owner, unavailable, others, ...): what a constructor got in `...`: the
# arguments of every layer, with the activity regularizer that some have as an argument of
# their own, and `others`. `unavailable` are fields of a config that must be NULL.
tensor_dots <- function(...) {
  owner <- ..1
  unavailable <- ..2
  dots <- dots_behind(3L, c(layer_dots, "activity_regularizer", unavailable, ..3), owner)
  for (argument in unavailable) {
    check_not_available(dots[[argument]], owner, argument)
  }
  dots["activity_regularizer"] <- list(
    as_regularizer(dots[["activity_regularizer"]], owner, "activity_regularizer")
  )
  dots[setdiff(names(dots), unavailable)]
}

# The layer, or what it gives for `object`, which is NULL where there was none.
finish_layer <- function(object, kind, config, dots, seed = NULL) {
  layer <- new_layer(kind, config, dots,
    seed = seed, activity_regularizer = dots[["activity_regularizer"]]
  )
  if (is.null(object)) layer else compose_layer(object, layer)
}

given_object <- function(object) if (missing(object)) NULL else object

same_shape <- function(self, shapes) shapes[[1L]]

# The shape of an array that has `rank` dims or more, or exactly `rank`.
check_tensor_rank <- function(self, shape, rank, axes, exactly = FALSE) {
  if (length(shape) < rank || (exactly && length(shape) > rank)) {
    abort_shape(self$label, "inputs",
      sprintf("an array of %s%d dims %s", if (exactly) "" else "at least ", rank, axes),
      paste("shape", format_shape(shape))
    )
  }
  shape
}

# ---- axes ----

# An argument `axis` as keras3 has it, counted from 1, or from the end as -1, -2, ... ->
# as Keras has it, counted from 0: a number, or a list of several.
check_axis <- function(axis, owner, argument = "axis", null_ok = FALSE) {
  if (null_ok && is.null(axis)) {
    return(NULL)
  }
  axes <- whole_numbers(axis)
  if (!length(axes) || any(axes == 0L) || anyDuplicated(axes)) {
    abort_argument(owner, argument,
      paste0(
        if (null_ok) "NULL or ",
        "different axes, counted from 1, or from the last as -1, -2, ..."
      ),
      axis
    )
  }
  axes <- ifelse(axes > 0L, axes - 1L, axes)
  if (is.list(axis) || length(axes) > 1L) as.list(axes) else axes
}

# The same from a config: Keras's axes -> the argument.
axis_argument <- function(axis) {
  axes <- if (!is.null(axis)) whole_numbers(axis)
  if (!length(axes)) {
    return(axis) # the constructor will say what is wrong
  }
  axes <- ifelse(axes >= 0L, axes + 1L, axes)
  if (is.list(axis)) as.list(axes) else axes
}

axis_from_config <- function(field) {
  force(field)
  function(config) {
    if (field %in% names(config)) {
      config[field] <- list(axis_argument(config[[field]]))
    }
    config
  }
}

# Keras's axes for an array of this rank, all counted from 0, in the order given.
axes_of_rank <- function(self, axis, shape) {
  axes <- unlist(axis)
  rank <- length(shape)
  all <- ifelse(axes < 0L, axes + rank, axes)
  if (any(all < 0L | all >= rank) || anyDuplicated(all)) {
    abort_shape(self$label, "inputs",
      sprintf("an array that has the axes %s, each once", format_axes(axes)),
      paste("shape", format_shape(shape))
    )
  }
  all
}

format_axes <- function(axes) {
  paste(ifelse(axes >= 0L, axes + 1L, axes), collapse = ", ")
}
