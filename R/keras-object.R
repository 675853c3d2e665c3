# What initializers, regularizers and constraints have in common. Each object is
# a function with a class; its attributes hold what Keras needs to know to make
# the same object: `class_name`, `module` and `config`.

new_keras_object <- function(fun, kind, class_name, config) {
  structure(fun,
    class = c(paste0("attn_", kind), "attn_object"),
    class_name = class_name,
    module = paste0("keras.", kind, "s"),
    config = if (length(config)) config else empty_config()
  )
}

# A list that becomes `{}` in JSON, where list() would become `[]`.
empty_config <- function() {
  structure(list(), names = character())
}

#' Printing initializers, regularizers and constraints
#'
#' One line with the Keras class and its settings. Axes of constraints are shown
#' as R counts them, from 1.
#'
#' @param x,object An object made by one of the `initializer_*()`,
#'   `regularizer_*()` or `constraint_*()` functions.
#' @param ... Not used.
#' @return `format()`: a string. `print()` and `str()`: the object, invisibly.
#' @section Errors:
#' None for objects made by these functions. Further arguments are ignored, as the
#' generics ask for.
#' @references <https://keras.io/api/layers/initializers/>,
#'   <https://keras.io/api/layers/regularizers/>,
#'   <https://keras.io/api/layers/constraints/>
#' @seealso [get_config()] for the settings as a list.
#' @examples
#' print(regularizer_l2(0.001))
#' format(constraint_maxnorm(3, axis = c(1, 2)))
#' @name attn_object
NULL

#' @rdname attn_object
#' @export
format.attn_object <- function(x, ...) {
  config <- attr(x, "config")
  if (inherits(x, "attn_constraint") && "axis" %in% names(config)) {
    config["axis"] <- list(axis_from_keras(config[["axis"]]))
  }
  # Entries that every unseeded initializer has say nothing when they are NULL.
  silent <- names(config) %in% c("seed", "input_axes", "output_axes") &
    vapply(config, is.null, NA)
  config <- config[!silent]
  settings <- paste(names(config), vapply(config, format_setting, ""),
    sep = " = ", collapse = ", "
  )
  kind <- sub("^attn_", "", class(x)[1L])
  sprintf("<%s %s(%s)>", kind, attr(x, "class_name"), if (length(config)) settings else "")
}

format_setting <- function(value) {
  if (is.null(value)) {
    return("NULL")
  }
  if (is.function(value)) {
    return(if (is_layer(value)) format(value) else "a function")
  }
  if (is.list(value)) {
    return(describe_value(value))
  }
  shown <- if (is.character(value)) {
    encodeString(value, quote = "\"")
  } else {
    format(value, digits = 7L, trim = TRUE)
  }
  if (length(shown) == 1L) shown else sprintf("c(%s)", paste(shown, collapse = ", "))
}

#' @rdname attn_object
#' @export
print.attn_object <- function(x, ...) {
  cat(format(x), "\n", sep = "")
  invisible(x)
}

#' @rdname attn_object
#' @importFrom utils str
#' @export
str.attn_object <- function(object, ...) {
  cat(" ", format(object), "\n", sep = "")
  invisible(object)
}

#' @export
get_config.attn_object <- function(object, ...) {
  if (!is.function(object)) {
    abort_argument("get_config()", "object",
      "a layer, initializer, regularizer or constraint", object
    )
  }
  attr(object, "config")
}

# The dict by which Keras stores an object. A plain R function has none.
object_serialize <- function(object, owner = "get_config()", argument = "object") {
  if (is.null(object)) {
    return(NULL)
  }
  if (!inherits(object, "attn_object")) {
    attn_abort(
      sprintf(
        "%s: `%s` is %s, which has no serialized form. %s", owner, argument,
        describe_value(object),
        "Only initializer, regularizer and constraint objects have one."
      ),
      "attn_error_config",
      owner = owner, argument = argument,
      expected = "an object made by an initializer, regularizer or constraint function",
      received = describe_value(object)
    )
  }
  list(
    module = attr(object, "module"),
    class_name = attr(object, "class_name"),
    config = attr(object, "config"),
    registered_name = NULL
  )
}

# Anything a user may give for an object -> the object, a plain function, or NULL.
#
# `kind` describes one of the three kinds:
#   name          "initializer", "regularizer" or "constraint"
#   builders      named by Keras class; the formals of each are its config's keys
#   aliases       other names by which Keras knows a class
#   constructors  the exported functions, which may stand for their default object
#   also          what else is accepted, for the message
as_keras_object <- function(x, kind, owner, argument) {
  if (is.null(x) || (is.function(x) && inherits(x, paste0("attn_", kind$name)))) {
    return(x)
  }
  if (is.function(x) && !inherits(x, c("attn_object", "attn_layer"))) {
    is_constructor <- vapply(kind$constructors, identical, NA, x)
    return(if (any(is_constructor)) x() else x)
  }
  if (is_string(x)) {
    return(build_keras_object(x, empty_config(), x, kind, owner, argument))
  }
  class_name <- if (is.list(x) && !is.object(x)) x[["class_name"]]
  if (is_string(class_name)) {
    return(build_keras_object(class_name, x[["config"]], x, kind, owner, argument))
  }
  abort_keras_object(x, kind, owner, argument)
}

build_keras_object <- function(name, config, given, kind, owner, argument) {
  if (name %in% names(kind$aliases)) {
    name <- kind$aliases[[name]]
  }
  if (!(name %in% names(kind$builders))) {
    abort_keras_object(given, kind, owner, argument)
  }
  build <- kind$builders[[name]]
  check_object_config(config, formals(build), name, owner, argument)
  within_argument(do.call(build, as.list(config), quote = TRUE), owner, argument)
}

check_object_config <- function(config, parameters, class_name, owner, argument) {
  if (!is.null(config) && (!is.list(config) || is.object(config))) {
    abort_object_config(class_name, "be a named list", describe_value(config), owner, argument)
  }
  keys <- names(config)
  known <- names(parameters)
  if (length(config) != length(keys) || anyDuplicated(keys) || !all(keys %in% known)) {
    expected <- if (length(known)) {
      paste("no entries but", paste0("`", known, "`", collapse = ", "))
    } else {
      "no entries"
    }
    received <- if (is.null(keys)) "no names" else paste0("`", keys, "`", collapse = ", ")
    abort_object_config(class_name, paste("have", expected), received, owner, argument)
  }
  required <- known[vapply(parameters, is_required_parameter, NA)]
  absent <- setdiff(required, keys)
  if (length(absent)) {
    abort_argument(owner, argument,
      sprintf(
        "an object or a config with `%s`, because %s has no default for it",
        absent[1L], class_name
      ),
      class_name
    )
  }
}

is_required_parameter <- function(default) {
  is.symbol(default) && !nzchar(as.character(default))
}

abort_object_config <- function(class_name, expected, received, owner, argument) {
  attn_abort(
    sprintf(
      "%s: `%s`: the config of %s must %s. Received: %s.",
      owner, argument, class_name, expected, received
    ),
    "attn_error_config",
    owner = owner, argument = argument, expected = expected, received = received
  )
}

abort_keras_object <- function(x, kind, owner, argument) {
  class_name <- if (is.list(x) && !is.object(x)) x[["class_name"]]
  received <- if (is_string(class_name)) {
    sprintf("a config of class %s", encodeString(class_name, quote = "\""))
  } else if (is.function(x) && inherits(x, "attn_object")) {
    format(x)
  } else {
    describe_value(x)
  }
  choices <- paste0("\"", kind$shown, "\"", collapse = ", ")
  expected <- sprintf(
    "%s %s object, %s, a config, NULL or one of %s",
    article(kind$name), kind$name, kind$also, choices
  )
  abort_argument(owner, argument, expected, x, received = received)
}
