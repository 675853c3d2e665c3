# What a person sees of a layer.

#' @rdname print.attn_layer
#' @export
format.attn_layer <- function(x, ...) {
  self <- layer_self(x)
  state <- if (self$built) {
    sprintf("%s parameters", format_count(count_layer_params(self)))
  } else {
    "not built"
  }
  sprintf("<%s \"%s\": %s>", self$constructor, self$name, state)
}

format_count <- function(x) format(x, big.mark = ",", scientific = FALSE, trim = TRUE)

#' Printing layers
#'
#' `print()` shows what a layer is configured to do, the shapes it was built for
#' and its number of parameters; `summary()` adds one line per weight; `format()`
#' and `str()` are short.
#'
#' @param x,object A layer.
#' @param ... Not used.
#' @return `format()`: a string. `summary()`: an object of class
#'   `summary.attn_layer`, a list with `layer` (the lines that `print()` shows) and
#'   `weights` (a data frame with `weight`, `shape` and `parameters`). `print()` and
#'   `str()`: the layer, invisibly.
#' @section Errors:
#' `attn_error_state` for an object that has the class of a layer, but is none.
#' @references <https://keras.io/api/models/model/> (`summary()` of a Keras
#'   model)
#' @seealso [attn_layer] for the properties themselves.
#' @examples
#' layer <- layer_multi_head_attention(num_heads = 2, key_dim = 4)
#' layer$build(c(NA, 10, 8), c(NA, 12, 8))
#' layer
#' summary(layer)
#' @export
print.attn_layer <- function(x, ...) {
  cat(layer_lines(layer_self(x)), sep = "\n")
  invisible(x)
}

layer_lines <- function(self) {
  settings <- c(list(dtype = self$dtype), self$config[names(self$config) != "dtype"])
  # the shapes that a layer was built for have a line of their own
  settings <- settings[setdiff(names(settings), decoder_shape_fields)]
  settings <- settings[!vapply(settings, is.null, NA)]
  is_object <- grepl("(^|_)(initializer|regularizer|constraint)$", names(settings))
  plain <- settings[!is_object]
  lines <- c(
    sprintf("<%s> \"%s\"", self$constructor, self$name),
    setting_lines(paste(names(plain), "=", vapply(plain, format_setting, ""))),
    object_lines(settings[is_object])
  )
  if (!self$built) {
    return(c(lines, "  not built yet"))
  }
  shapes <- if (is.list(self$shapes)) self$shapes else list(self$shapes)
  shapes <- shapes[!vapply(shapes, is.null, NA)]
  built_for <- trimws(paste(names(shapes), vapply(shapes, format_shape, "")))
  c(
    lines,
    paste0("  built for ", paste(built_for, collapse = ", ")),
    sprintf(
      "  %s parameters in %d weights%s", format_count(count_layer_params(self)),
      length(self$weights), if (self$trainable) "" else ", not trainable"
    )
  )
}

# Wrapped between settings, not within them.
setting_lines <- function(settings) {
  whole <- gsub(" ", "\001", settings, fixed = TRUE)
  lines <- strwrap(paste(whole, collapse = ", "), width = 78, indent = 2, exdent = 2)
  gsub("\001", " ", lines, fixed = TRUE)
}

# One line for each initializer, regularizer or constraint that is not a default.
object_lines <- function(objects) {
  is_default <- vapply(objects, is_default_initializer, NA)
  objects <- objects[!is_default]
  text <- vapply(objects, function(object) {
    if (inherits(object, "attn_object")) format(object) else "a function"
  }, "")
  sprintf("  %s: %s", names(objects), text)
}

is_default_initializer <- function(x) {
  inherits(x, "attn_initializer") &&
    attr(x, "class_name") %in% c("GlorotUniform", "Zeros") &&
    is.null(attr(x, "config")$seed)
}

#' @rdname print.attn_layer
#' @export
summary.attn_layer <- function(object, ...) {
  self <- layer_self(object)
  shapes <- lapply(self$weights, function(weight) weight$shape)
  weights <- data.frame(
    weight = vapply(self$weights, function(weight) weight$path, ""),
    shape = vapply(shapes, format_shape, ""),
    parameters = vapply(shapes, prod, 1),
    stringsAsFactors = FALSE
  )
  structure(list(layer = layer_lines(self), weights = weights), class = "summary.attn_layer")
}

#' @export
print.summary.attn_layer <- function(x, ...) {
  cat(x$layer, sep = "\n")
  if (nrow(x$weights)) {
    print(x$weights, row.names = FALSE, right = FALSE)
  }
  invisible(x)
}

#' @rdname print.attn_layer
#' @export
str.attn_layer <- function(object, ...) {
  cat(" ", format(object), "\n", sep = "")
  invisible(object)
}

#' @export
print.attn_projection <- function(x, ...) {
  lines <- sprintf("<projection \"%s\">", x$name)
  for (part in c("kernel", "bias")) {
    if (!is.null(x[[part]])) {
      lines <- c(lines, sprintf("  %s %s", part, format_shape(dim_or_length(x[[part]]))))
    }
  }
  rules <- x[grepl("_(regularizer|constraint)$", names(x))]
  cat(lines, object_lines(rules[!vapply(rules, is.null, NA)]), sep = "\n")
  invisible(x)
}
