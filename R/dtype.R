# dtype policies: which precision a layer keeps its weights and computes in.

known_dtypes <- c("float32", "float64")

dtype_state <- new.env(parent = emptyenv())
dtype_state$floatx <- "float32"

#' The default precision
#'
#' `config_floatx()` says which precision a layer has that is made without
#' `dtype =`, and in which precision an initializer gives its numbers when it is
#' called without one. `config_set_floatx()` changes it for layers made from then
#' on, in this R session; existing layers keep theirs.
#'
#' `"float32"` is the default, as in Keras: arithmetic with about 7 significant
#' digits, fast. `"float64"` is the precision of R's own numbers. Arrays are
#' ordinary R arrays (of doubles) in both cases. Keras's 16-bit types and mixed or
#' quantized policies are not available.
#'
#' @param value `"float32"` or `"float64"`.
#' @param ... Not used; anything here is an error.
#' @return `config_floatx()`: a string. `config_set_floatx()`: the value it
#'   replaced, invisibly, so that it can be put back.
#' @section Errors: An error of class `attn_error_argument` when `value` is
#'   anything else.
#' @references <https://keras.io/api/utils/config_utils/>
#' @examples
#' config_floatx()
#' old <- config_set_floatx("float64")
#' config_floatx()
#' config_set_floatx(old)
#' @export
config_floatx <- function(...) {
  check_no_dots("config_floatx()", ...)
  dtype_state$floatx
}

#' @rdname config_floatx
#' @export
config_set_floatx <- function(value, ...) {
  check_no_dots("config_set_floatx()", ...)
  if (missing(value) || !is_known_dtype(value)) {
    abort_dtype("config_set_floatx()", "value", value)
  }
  old <- dtype_state$floatx
  dtype_state$floatx <- as.character(value)
  invisible(old)
}

is_known_dtype <- function(x) {
  is_string(x) && x %in% known_dtypes
}

# NULL, a name or a serialized policy -> the name.
as_dtype <- function(x, owner, argument = "dtype") {
  if (is.null(x)) {
    return(config_floatx())
  }
  name <- if (is_dtype_policy(x)) x[["config"]][["name"]] else x
  if (!is_known_dtype(name)) {
    abort_dtype(owner, argument, name)
  }
  as.character(name)
}

is_dtype_policy <- function(x) {
  is.list(x) && !is.object(x) && identical(x[["class_name"]], "DTypePolicy") &&
    is.list(x[["config"]])
}

abort_dtype <- function(owner, argument, value) {
  abort_argument(owner, argument,
    paste(
      "\"float32\" or \"float64\"",
      "(16-bit, mixed and quantized policies are not available)"
    ),
    value
  )
}

# The form in which a layer's config carries its dtype.
serialize_dtype <- function(dtype) {
  list(
    module = "keras",
    class_name = "DTypePolicy",
    config = list(name = dtype),
    registered_name = NULL
  )
}

# Numbers beyond this become Inf.
largest_finite <- function(dtype) {
  if (dtype == "float32") (2 - 2^-24) * 2^127 else .Machine$double.xmax
}

# Doubles rounded to what the dtype can hold; attributes stay.
round_to_dtype <- function(x, dtype) {
  if (dtype == "float32") {
    `attributes<-`(round_to_float32(as.double(x)), attributes(x))
  } else {
    x
  }
}

round_to_float32 <- function(x) .Call(ffi_round_to_float32, x)
