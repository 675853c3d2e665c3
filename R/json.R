# JSON as Python's json.dumps() writes it: whole numbers of R's type integer as 8, doubles
# as 8.0, so that Keras reads what it would have written. (Reading is parse_json_bytes().)

# NULL is null, so is NA; lists are arrays, with names objects; one value is that value,
# several are an array.
write_json <- function(x) {
  if (is.null(x)) {
    return("null")
  }
  if (is.list(x)) {
    return(json_collection(vapply(unname(x), write_json, ""), names(x)))
  }
  values <- json_values(x)
  if (length(values) == 1L && is.null(names(x))) values else json_collection(values, names(x))
}

json_collection <- function(parts, names) {
  if (is.null(names)) {
    return(paste0("[", paste(parts, collapse = ", "), "]"))
  }
  pairs <- paste0(json_strings(names), rep(": ", length(parts)), parts)
  paste0("{", paste(pairs, collapse = ", "), "}")
}

json_values <- function(x) {
  values <- switch(typeof(x),
    logical = ifelse(x, "true", "false"),
    integer = format(as.integer(x), trim = TRUE, scientific = FALSE),
    double = vapply(as.double(x), json_number, "", USE.NAMES = FALSE),
    character = json_strings(x),
    stop("JSON has no ", typeof(x))
  )
  values[is.na(x) & !is.nan(x)] <- "null"
  as.character(values)
}

# The shortest decimal number that is read as this one, in the form of Python's repr().
json_number <- function(x) {
  if (is.na(x)) {
    return(if (is.nan(x)) "NaN" else "null")
  }
  if (is.infinite(x)) {
    return(if (x > 0) "Infinity" else "-Infinity")
  }
  if (x == trunc(x) && abs(x) < 1e16) {
    return(sprintf("%.1f", x))
  }
  for (digits in 15:17) {
    text <- sprintf("%.*e", digits - 1L, x)
    if (as.numeric(text) == x) break
  }
  exponent <- as.integer(sub(".*e", "", text))
  digits <- sub("0+$", "", gsub("[-.]|e.*", "", text))
  sign <- if (x < 0) "-" else ""
  paste0(sign, if (exponent < -4L || exponent >= 16L) {
    fraction <- substring(digits, 2L)
    paste0(
      substr(digits, 1L, 1L), if (nzchar(fraction)) ".", fraction,
      sprintf("e%s%02d", if (exponent < 0L) "-" else "+", abs(exponent))
    )
  } else if (exponent < 0L) {
    paste0("0.", strrep("0", -exponent - 1L), digits)
  } else {
    paste0(substr(digits, 1L, exponent + 1L), ".", substring(digits, exponent + 2L))
  })
}

json_strings <- function(x) {
  x <- enc2utf8(as.character(x))
  x <- gsub("\\", "\\\\", x, fixed = TRUE)
  x <- gsub("\"", "\\\"", x, fixed = TRUE)
  is_odd <- grepl("[\001-\037\177]", x)
  x[is_odd] <- vapply(x[is_odd], escape_controls, "", USE.NAMES = FALSE)
  paste0(rep("\"", length(x)), x, rep("\"", length(x)))
}

escape_controls <- function(text) {
  codes <- utf8ToInt(text)
  parts <- ifelse(codes < 32L | codes == 127L, sprintf("\\u%04x", codes),
    vapply(codes, intToUtf8, "")
  )
  paste(parts, collapse = "")
}
