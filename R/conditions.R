# Classed conditions. Every error of the package is an `attn_error` and one
# subclass, names the layer or function, the argument, what was expected and
# what came, and keeps these four as fields so that programs can read them.

# Subclasses in use:
#   attn_error_argument   an argument has a wrong type or value
#   attn_error_shape      shapes do not fit each other, the layer or the mask
#   attn_error_weights    set_weights(): wrong number, shape or type
#   attn_error_state      the layer is not built, or its native state is gone
#   attn_error_read_only  assignment to a property that cannot be assigned
#   attn_error_config     a config or serialized object cannot be understood
#   attn_error_file       a file cannot be read or written, or is not what it should be;
#                         second class of an attn_error_config about the config in a file
#   attn_error_memory     no memory for the call
#   attn_error_internal   a check of the C code that R's own should have made unreachable
attn_abort <- function(message, subclass, owner = NULL, argument = NULL,
                       expected = NULL, received = NULL, ...) {
  condition <- structure(
    class = c(subclass, "attn_error", "error", "condition"),
    list(
      message = message, call = NULL, layer = owner, argument = argument,
      expected = expected, received = received, ...
    )
  )
  stop(condition)
}

# The usual sentence: "layer_attention(): `dropout` must be a number. Received: "a"."
# `owner` is the R function or the layer's name, `value` the object that came.
abort_argument <- function(owner, argument, expected, value,
                           received = describe_value(value),
                           subclass = "attn_error_argument") {
  attn_abort(
    sprintf("%s: `%s` must be %s. Received: %s.", owner, argument, expected, received),
    subclass,
    owner = owner, argument = argument, expected = expected, received = received
  )
}

abort_shape <- function(owner, argument, expected, received) {
  abort_argument(owner, argument, expected,
    received = received, subclass = "attn_error_shape"
  )
}

# 'load_model(): "a.keras": there is no such file.' `problem` is a sentence without its
# full stop; a raw vector may stand in for a file's content.
abort_file <- function(owner, path, problem, expected = NULL, parent = NULL) {
  shown <- if (is.raw(path)) "the raw vector" else encodeString(enc2utf8(path), quote = "\"")
  attn_abort(
    sprintf("%s: %s: %s.", owner, shown, problem), "attn_error_file",
    owner = owner, argument = "path", expected = expected, received = problem, parent = parent
  )
}

attn_warn <- function(message, subclass, owner = NULL, argument = NULL) {
  warning(structure(
    class = c(subclass, "attn_warning", "warning", "condition"),
    list(message = message, call = NULL, layer = owner, argument = argument)
  ))
}

# Called from the C glue when the core reports a failure.
abort_native <- function(kind, message) {
  attn_abort(message, paste0("attn_error_", kind),
    owner = "attn", argument = "call",
    expected = switch(kind,
      memory = "enough memory", state = "the native state of a layer",
      "shapes that memory can address"
    ),
    received = message
  )
}

# Whether an error's text is one of these of R's own, which have no class and are in the user's
# language. Where a text has numbers, its format stands for them.
has_text_of_r <- function(error, texts) {
  message <- conditionMessage(error)
  if (!is_string(message)) {
    return(FALSE)
  }
  parts <- strsplit(gettext(texts, domain = "R"), "%[0-9.]*(l*d|[a-z])")
  literal <- lapply(parts, gsub, pattern = "([][(){}.+*?^$|\\])", replacement = "\\\\\\1")
  patterns <- paste0("^", vapply(literal, paste, "", collapse = "[0-9.,]+"))
  any(vapply(patterns, grepl, NA, x = message, useBytes = TRUE))
}

# Whether this is R's error where a limit of setTimeLimit() is over. It says nothing of what
# was under way.
is_time_limit <- function(error) {
  has_text_of_r(error, c(
    "reached elapsed time limit", "reached CPU time limit",
    "reached session elapsed time limit", "reached session CPU time limit"
  ))
}

is_no_memory <- function(error) {
  has_text_of_r(error, c(
    "cannot allocate vector of size %0.1f Gb", "cannot allocate vector of size %0.1f Mb",
    "cannot allocate vector of size %0.f Kb", "cannot allocate vector of length %lld",
    "cannot allocate memory block of size %0.1f Gb", "vector memory exhausted (limit reached?)",
    "vector memory limit of %0.1f Gb reached, see mem.maxVSize()",
    "cons memory exhausted (limit reached?)", "memory exhausted (limit reached?)"
  ))
}

# What says nothing about the thing that was under way goes on: the end of a time limit, and no
# memory, as an error of its class.
pass_on_limits <- function(error, owner) {
  if (is_time_limit(error)) {
    stop(error)
  }
  if (is_no_memory(error)) {
    attn_abort(
      sprintf("%s: there is not enough memory: %s.", owner, conditionMessage(error)),
      "attn_error_memory",
      owner = owner, argument = "call", expected = "enough memory",
      received = conditionMessage(error), parent = error
    )
  }
}

# These, and errors of this package.
pass_on <- function(error, owner) {
  if (inherits(error, "attn_error")) {
    stop(error)
  }
  pass_on_limits(error, owner)
}

# Errors that arise while `code` makes something of an argument are errors of that
# argument.
within_argument <- function(code, owner, argument) {
  tryCatch(code, attn_error = function(error) {
    attn_abort(
      sprintf("%s: `%s`: %s", owner, argument, conditionMessage(error)), class(error)[1L],
      owner = owner, argument = argument, expected = error$expected, received = error$received,
      parent = error
    )
  })
}

format_shape <- function(shape) {
  if (is.null(shape)) {
    return("NULL")
  }
  paste0("(", paste(ifelse(is.na(shape), "NA", format(shape, trim = TRUE, scientific = FALSE)),
    collapse = ", "
  ), ")")
}

# One short line about any R object, for the "Received:" part of a message. It must
# work for whatever came, so it calls no methods of the object's class.
describe_value <- function(value) {
  if (missing(value)) {
    return("nothing")
  }
  if (is.null(value)) {
    return("NULL")
  }
  if (is.object(value)) {
    return(describe_object(value))
  }
  if (is.function(value)) {
    return("a function")
  }
  if (is.environment(value)) {
    return("an environment")
  }
  if (is.language(value)) {
    return("a language object")
  }
  kind <- if (is.list(value)) "list" else typeof(value)
  if (!is.null(dim(value))) {
    return(sprintf("%s %s array of dim %s", article(kind), kind, format_shape(dim(value))))
  }
  if (is.atomic(value) && length(value) == 1L) {
    return(sprintf("%s (%s)", describe_number_or_text(value), kind))
  }
  if (is.atomic(value) && length(value) > 1L && length(value) <= 6L && !is.character(value)) {
    shown <- paste(format(value, trim = TRUE, digits = 6), collapse = ", ")
    return(sprintf("c(%s) (%s)", shown, kind))
  }
  if (!is.atomic(value) && !is.list(value)) {
    return(sprintf("%s %s", article(kind), kind))
  }
  sprintf(
    "%s of length %.0f", if (is.list(value)) "a list" else paste(article(kind), kind, "vector"),
    length(value)
  )
}

describe_object <- function(value) {
  plain <- if (is.atomic(value) || is.list(value)) unclass(value)
  if (is.factor(value)) {
    return(sprintf("a factor of length %.0f", length(plain)))
  }
  if (is.data.frame(value)) {
    return(sprintf("a data frame of %d x %d", .row_names_info(value, 2L), length(plain)))
  }
  if (is_keras_tensor(value)) {
    return(sprintf("a symbolic tensor of shape %s", format_shape(dim(value))))
  }
  if (inherits(value, plain_classes) && is.numeric(plain)) {
    return(describe_value(plain))
  }
  if (is.language(value)) {
    return("a language object")
  }
  classes <- utils::head(class(value), 3L)
  sprintf("an object of class %s", paste(encodeString(classes, quote = "\""), collapse = ", "))
}

describe_number_or_text <- function(value) {
  if (!is.character(value) || is.na(value)) {
    size <- if (is.numeric(value)) abs(value)
    is_long <- isTRUE(size >= 1e15) || isTRUE(size > 0 && size < 1e-5)
    return(format(value, digits = 15, scientific = is_long, trim = TRUE))
  }
  if (validEnc(value)) encodeString(substr(value, 1L, 60L), quote = "\"") else "invalid text"
}

article <- function(word) if (grepl("^[aeiou]", word)) "an" else "a"
