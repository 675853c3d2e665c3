# For test-bad-input*.R: values that are wrong nearly everywhere, a sweep that gives
# each of them to each argument of a function, and the verdict on what comes of it.

# One of each kind of thing that can reach an argument by mistake. Functions that
# take some of these name them, see `accepts` in sweep_arguments().
bad_values <- function() {
  values <- list(
    null = NULL, na = NA, na_real = NA_real_, na_integer = NA_integer_, nan = NaN,
    inf = Inf, minus_inf = -Inf, minus_one = -1, zero = 0, half = 1.5, tiny = 1e-300,
    two_31 = 2^31, minus_two_31 = -2^31, huge = 1e308,
    string = "no such thing", empty_string = "", na_string = NA_character_,
    bytes = invalid_text(), strings = c("a", "b"), true = TRUE, false = FALSE,
    flags = c(TRUE, FALSE), numeric_0 = numeric(), character_0 = character(),
    logical_0 = logical(), integer_0 = integer(), two = c(1, 2), eight = as.double(1:8),
    with_na = c(1, NA), named = c(a = 1.5, b = 2), list_0 = list(), list_1 = list(1),
    list_null = list(NULL), list_named = list(foo = 1), list_class_name = list(class_name = "L1"),
    list_deep = list(list(list(1))), list_class_na = list(class_name = NA, config = 1),
    data_frame = data.frame(a = 1), data_frame_0 = data.frame(), factor = factor("a"),
    date = as.Date("2020-01-01"), posixct = as.POSIXct("2020-01-01", tz = "UTC"),
    posixlt = as.POSIXlt(as.POSIXct("2020-01-01", tz = "UTC")),
    difftime = as.difftime(1, units = "secs"),
    complex = 1i, raw = as.raw(1), raw_0 = raw(), fun = function(unknown_argument) NULL,
    primitive = sum, symbol = as.name("x"), call = quote(stop("evaluated")), formula = y ~ x,
    expression = expression(stop("evaluated")), pairlist = pairlist(a = 1),
    environment = new.env(), pointer = methods::new("externalptr"),
    s4 = methods::getClass("numeric"), version = packageVersion("base"),
    classed = structure(1, class = "unheard_of"),
    classed_list = structure(list(1), class = "unheard_of"),
    classed_environment = structure(new.env(), class = c("Thing", "R6")),
    odd_length = structure(list(), class = "attn_test_odd_length"),
    integer64 = structure(array(1e-320, c(2, 3, 4)), class = "integer64"),
    matrix = matrix(0.5, 2, 3), column = matrix(1), array_1 = array(1, 1), array_0 = array(0, 0),
    no_batch = array(0, c(0, 3, 4)), no_rows = array(0, c(2, 0, 4)),
    no_features = array(0, c(2, 3, 0)), rank_4 = array(0.5, c(2, 3, 2, 4)),
    rank_20 = array(0.5, rep(1, 20)), text_array = array("a", c(2, 3, 4)),
    complex_array = array(1i, c(2, 3, 4)), raw_array = array(as.raw(1), c(2, 3, 4)),
    list_array = array(list(1), c(2, 3, 4)), other_batch = array(0.5, c(7, 3, 4)),
    other_width = array(0.5, c(2, 3, 9)), long = 1:1e9, too_wide = rep(2^20, 5),
    forged_layer = structure(list(), class = "attn_layer"),
    forged_layer_function = structure(function(...) 1, class = "attn_layer"),
    forged_tensor = structure(list(1), class = "keras_tensor"),
    forged_tensor_0 = structure(list(), class = "keras_tensor"),
    forged_tensor_state = structure(list(list2env(list(shape = "a"))), class = "keras_tensor"),
    forged_object = structure(list(), class = c("attn_initializer", "attn_object")),
    forged_regularizer = structure(1, class = c("attn_regularizer", "attn_object")),
    forged_constraint = structure("a", class = c("attn_constraint", "attn_object")),
    forged_scores = structure(array(0.5, c(2, 3, 4)), class = "attn_scores", axes = "a"),
    forged_scores_list = structure(list(1), class = "attn_scores"),
    forged_mask = structure(array(0.5, c(2, 3, 4)), keras_mask = "a"),
    forged_mask_shape = structure(array(0.5, c(2, 3, 4)), keras_mask = array(TRUE, c(9, 9)))
  )
  values
}

# Not a text in any locale.
invalid_text <- function() {
  text <- "\xff\xfe"
  Encoding(text) <- "UTF-8"
  text
}

# A class whose length is not a number that one can count to.
length.attn_test_odd_length <- function(x) 3.5

# What came of a call: list(kind = "value" | "refused" | "escaped", ...).
outcome <- function(thunk) {
  escaped <- NULL
  value <- tryCatch(
    withCallingHandlers(
      thunk(),
      warning = function(w) {
        if (!inherits(w, "attn_warning")) {
          escaped <<- w
        }
        invokeRestart("muffleWarning")
      }
    ),
    error = identity
  )
  if (inherits(value, "error") && !inherits(value, "attn_error")) {
    escaped <- value
  }
  if (!is.null(escaped)) {
    list(kind = "escaped", condition = escaped)
  } else if (inherits(value, "attn_error")) {
    list(kind = "refused", condition = value)
  } else {
    list(kind = "value", value = value)
  }
}

error_subclasses <- paste0(
  "attn_error_", c("argument", "shape", "weights", "state", "read_only", "config", "memory")
)

# What is wrong with an error, or NULL: it must have one subclass, its four fields,
# and name the argument (or one of several).
flaw_of_error <- function(condition, arguments) {
  text <- conditionMessage(condition)
  if (length(intersect(class(condition), error_subclasses)) != 1L) {
    return(paste("has the classes", paste(class(condition), collapse = ", ")))
  }
  lacking <- Filter(
    function(field) !length(condition[[field]]), c("layer", "argument", "expected", "received")
  )
  if (length(lacking)) {
    return(sprintf("lacks %s: %s", paste(lacking, collapse = ", "), text))
  }
  if (length(text) != 1L || nchar(text) > 1000L) {
    return(sprintf("has a message of %d strings, %d characters", length(text), nchar(text[1])))
  }
  is_named <- vapply(arguments, grepl, NA, x = text, fixed = TRUE)
  if (!any(is_named)) {
    return(sprintf("does not name `%s`: %s", arguments[1], text))
  }
  if (!grepl(condition$layer, text, fixed = TRUE)) {
    return(sprintf("does not name its origin: %s", text))
  }
}

has_nan <- function(x) {
  parts <- if (is.list(x) && !is.object(x)) x else list(x)
  any(vapply(parts, function(part) is.double(part) && any(is.nan(part)), NA))
}

# What is wrong with an outcome, or NULL.
flaw_of_outcome <- function(result, arguments, accepted, nan_ok = FALSE) {
  if (result$kind == "escaped") {
    return(sprintf(
      "let a %s through: %s", class(result$condition)[1],
      iconv(conditionMessage(result$condition), sub = "byte")
    ))
  }
  if (result$kind == "refused") {
    if (accepted) {
      return(paste("was refused:", conditionMessage(result$condition)))
    }
    return(flaw_of_error(result$condition, arguments))
  }
  if (!accepted) {
    return("was accepted")
  }
  if (!nan_ok && has_nan(result$value)) "gave NaN"
}

# All there is to see of a layer, the result of a good call included. (The call comes
# last, as it makes the losses anew.)
layer_snapshot <- function(layer, good_call = NULL) {
  list(
    weights = get_weights(layer), config = get_config(layer), built = layer$built,
    trainable = layer$trainable, losses = layer$losses,
    output = if (!is.null(good_call)) good_call(layer)
  )
}

# Gives every bad value to each of these arguments of `f`.
#   good     a list of arguments with which `f` works
#   accepts  by argument, the names of the bad values that it takes (the names of
#            this list are the arguments that are tried)
#   unchanged  a function of nothing whose result a refused call must not change
#   values   the bad values
#   aliases  other names under which a message may speak of the argument
#   nan_ok   the names of the values for which NaN is the right result
sweep_arguments <- function(f, owner, good, accepts, unchanged = function() NULL,
                            values = bad_values(), aliases = NULL, nan_ok = NULL) {
  unchanged()
  before <- unchanged()
  for (argument in names(accepts)) {
    for (name in names(values)) {
      given <- good
      given[argument] <- values[name]
      result <- outcome(function() do.call(f, given, quote = TRUE))
      flaw <- flaw_of_outcome(
        result, c(argument, aliases), name %in% accepts[[argument]], name %in% nan_ok
      )
      # What is accepted may leave its traces, such as the losses of a call.
      after <- unchanged()
      if (is.null(flaw) && result$kind == "refused" && !identical(after, before)) {
        flaw <- "changed the state"
      }
      testthat::expect(
        is.null(flaw), sprintf("%s, %s = <%s> %s", owner, argument, name, flaw)
      )
    }
  }
  invisible()
}

# An error of the package that names the argument.
expect_refused <- function(code, argument, label = argument) {
  result <- outcome(function() code)
  flaw <- flaw_of_outcome(result, argument, FALSE)
  testthat::expect(is.null(flaw), sprintf("%s %s", label, flaw))
  invisible(result$condition)
}
