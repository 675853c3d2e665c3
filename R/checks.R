# Checks of arguments. Each takes the owner (the function or layer the user
# called, as it should appear in the message), the argument's name and the
# value; each returns the value in its canonical type or raises an
# `attn_error_argument`.

# One element without a class or dims. The class is looked at first: methods of
# unknown classes are not called.
is_scalar <- function(x, is_type) {
  !is.object(x) && is_type(x) && length(x) == 1L && is.null(dim(x))
}

# A string that can be printed. ("bytes" is R's mark of what is text in no encoding.)
is_string <- function(x) {
  is_scalar(x, is.character) && !is.na(x) && validEnc(x) && Encoding(x) != "bytes"
}

# Whether UTF-8 can hold strings that go into files. In the locale "C" any byte is a valid
# character to R, which would write those that ASCII lacks as "<ff>".
is_unicode <- function(x) {
  valid <- validEnc(x) & Encoding(x) != "bytes"
  native <- valid & Encoding(x) == "unknown"
  valid[native] <- !is.na(iconv(x[native], "", "UTF-8"))
  valid
}

# As tolower(), for letters of ASCII, which Keras's names are made of: in Turkish the small letter
# of "I" is another one than "i".
lower_ascii <- function(x) {
  chartr("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz", x)
}

is_whole_number <- function(x) {
  is_scalar(x, is.numeric) && is.finite(x) && x == trunc(x) && abs(x) <= .Machine$integer.max
}

# A short vector or list of whole numbers -> an integer vector, empty for NULL;
# anything else -> NULL.
whole_numbers <- function(x) {
  if (is.null(x)) {
    return(integer())
  }
  if (is.object(x) || length(x) > most_dims || length(dim(x)) > 1L) {
    return(NULL)
  }
  if (is.list(x)) {
    ok <- !any(vapply(x, is.symbol, NA)) && all(vapply(x, is_whole_number, NA))
    return(if (ok) as.integer(unlist(x)))
  }
  usable <- is.numeric(x) && all(is.finite(x)) && all(x == trunc(x)) &&
    all(abs(x) <= .Machine$integer.max)
  if (usable) as.integer(x)
}

check_positive_int <- function(x, owner, argument, null_ok = FALSE) {
  if (null_ok && is.null(x)) {
    return(NULL)
  }
  if (!is_whole_number(x) || x < 1) {
    abort_argument(owner, argument,
      if (null_ok) "a positive whole number or NULL" else "a positive whole number", x
    )
  }
  as.integer(x)
}

check_flag <- function(x, owner, argument, null_ok = FALSE) {
  if (null_ok && is.null(x)) {
    return(NULL)
  }
  if (!is_scalar(x, is.logical) || is.na(x)) {
    abort_argument(owner, argument,
      if (null_ok) "TRUE, FALSE or NULL" else "TRUE or FALSE", x
    )
  }
  as.logical(x)
}

# A finite number, by default of any size.
check_number <- function(x, owner, argument, min = -Inf, max = Inf, null_ok = FALSE) {
  if (null_ok && is.null(x)) {
    return(NULL)
  }
  if (!is_scalar(x, is.numeric) || !is.finite(x) || x < min || x > max) {
    range <- if (is.finite(min) && is.finite(max)) {
      sprintf("a number from %s to %s", format(min), format(max))
    } else if (is.finite(min)) {
      sprintf("a number of at least %s", format(min))
    } else {
      "a finite number"
    }
    abort_argument(owner, argument, if (null_ok) paste(range, "or NULL") else range, x)
  }
  as.double(x)
}

# Two numbers of which the second must not be smaller.
check_order <- function(low, high, owner, low_argument, high_argument) {
  if (high < low) {
    abort_argument(owner, high_argument,
      sprintf("at least `%s`, which is %s", low_argument, format(low, digits = 15)), high
    )
  }
}

# A number that stays finite in the precision of the computation -> as it is there.
check_finite_in <- function(x, dtype, owner, argument) {
  rounded <- round_to_dtype(x, dtype)
  if (!is.finite(rounded)) {
    abort_argument(owner, argument, paste("a number that is finite as", dtype), x)
  }
  rounded
}

check_string <- function(x, owner, argument, choices = NULL, null_ok = FALSE) {
  if (null_ok && is.null(x)) {
    return(NULL)
  }
  if (!is_string(x) || (!is.null(choices) && !(x %in% choices))) {
    expected <- if (is.null(choices)) {
      "a string"
    } else {
      paste("one of", paste(encodeString(choices, quote = "\""), collapse = ", "))
    }
    abort_argument(owner, argument, if (null_ok) paste(expected, "or NULL") else expected, x)
  }
  if (is.null(choices) && !nzchar(x)) {
    abort_argument(owner, argument, "a non-empty string", x)
  }
  as.character(x)
}

# A seed: NULL or a whole number (kept as integer, as it goes into the config).
check_seed <- function(x, owner, argument = "seed") {
  if (is.null(x)) {
    return(NULL)
  }
  if (!is_whole_number(x)) {
    abort_argument(owner, argument, "a whole number or NULL", x)
  }
  as.integer(x)
}

# Names in `...` that the function does not know: an error that lists them.
check_no_unknown <- function(dots, known, owner) {
  given <- names(dots)
  if (is.null(given)) {
    given <- rep("", length(dots))
  }
  unknown <- unique(given[!(given %in% known)])
  if (length(unknown)) {
    shown <- ifelse(nzchar(unknown), paste0("`", unknown, "`"), "an unnamed value")
    attn_abort(
      sprintf(
        "%s: unknown argument %s. Known here: %s.", owner, paste(shown, collapse = ", "),
        if (length(known)) paste0("`", known, "`", collapse = ", ") else "none"
      ),
      "attn_error_argument",
      owner = owner, argument = unknown[1L],
      expected = if (length(known)) known else "no argument", received = unknown
    )
  }
  duplicated_names <- given[duplicated(given)]
  if (length(duplicated_names)) {
    attn_abort(
      sprintf("%s: argument `%s` is given twice.", owner, duplicated_names[1L]),
      "attn_error_argument",
      owner = owner, argument = duplicated_names[1L],
      expected = "each argument once", received = "the same argument twice"
    )
  }
  invisible(dots)
}

# Functions that are handed the `...` of a caller take their own arguments by place, before
# them: a formal argument would be matched by what the caller happened to call the same.

# check_dots(owner, known, ...): the values of `...`, none of them unknown, given twice or
# left empty as in f(x, ).
check_dots <- function(...) dots_behind(2L, ..2, ..1)

# The same for a function whose own arguments are the first `own` ones of its `...`.
dots_behind <- function(own, known, owner, frame = parent.frame()) {
  given <- eval(quote(as.list(substitute(list(...)))[-1L]), frame)
  check_no_unknown(given[-seq_len(own)], known, owner)
  eval(quote(list(...)), frame)[-seq_len(own)]
}

# check_no_dots(owner, ...): for functions whose `...` is there only to say that there is
# no such argument.
check_no_dots <- function(...) {
  if (...length() > 1L) {
    known <- setdiff(names(formals(sys.function(-1L))), "...")
    check_no_unknown(as.list(substitute(list(...)))[-(1:2)], known, ..1)
  }
}

# The same for a function to which a layer hands its arguments and its `...`. Of the name
# of one of its own arguments, what came in `...` is now in the place of that.
refuse_dots_of_layer <- function() {
  layer <- sys.function(-2L)
  given <- eval(quote(as.list(substitute(list(...)))[-1L]), parent.frame(2L))
  known <- setdiff(names(formals(layer)), "...")
  check_no_unknown(given, known, environment(layer)$self$label)
}

# Whether a list can be handed on as the arguments of a call: R knows no empty ones there, as
# quote(expr = ) makes them, and no names of more bytes.
can_be_arguments <- function(x) {
  !any(vapply(x, is.symbol, NA)) && !any(nchar(names(x), "bytes") > 10000L)
}

# Lists within lists, not deeper than those of a config, and not more than could be meant: of a
# list that holds another one twice, which does so too, and so on, there is soon no end. What
# comes in `...` is for abort_argument().
check_list_depth <- function(x, owner, argument, ...) {
  most_lists <- 1e6
  level <- list(x)
  lists <- 0
  for (depth in seq_len(config_depth)) {
    level <- level[vapply(level, is.list, NA) & !vapply(level, is.object, NA)]
    if (!length(level)) {
      return(invisible())
    }
    lists <- lists + length(level)
    if (lists > most_lists) {
      abort_argument(owner, argument, sprintf("lists within lists, at most %.0f", most_lists),
        received = "more", ...
      )
    }
    level <- unlist(level, recursive = FALSE, use.names = FALSE)
  }
  abort_argument(owner, argument, sprintf("lists within lists, at most %d deep", config_depth),
    received = "deeper ones", ...
  )
}

# One axis as R counts it, from 1 or from -1 -> as Keras does, from 0 or from -1.
check_one_axis <- function(x, owner, argument) {
  if (!is_whole_number(x) || x == 0 || abs(x) > most_dims) {
    abort_argument(owner, argument, "an axis, counted from 1 or from the end as -1", x)
  }
  as.integer(if (x > 0) x - 1 else x)
}
