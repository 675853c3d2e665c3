# Layers that merge tensors number by number: add, subtract, multiply, average, maximum,
# minimum. In C: src/layers/merge.c.

merge_kind <- function(class_name, exactly = NULL) {
  operation <- lower_ascii(class_name)
  tensor_kind(
    class_name = class_name, constructor = paste0("layer_", operation), prefix = operation,
    fields = character(), many = TRUE,
    output_shape = function(self, shapes) merged_shape(self, shapes, exactly),
    step = function(self, shapes, arguments) list(operation = "merge", text = operation)
  )
}

add_kind <- merge_kind("Add")
subtract_kind <- merge_kind("Subtract", exactly = 2L)
multiply_kind <- merge_kind("Multiply")
average_kind <- merge_kind("Average")
maximum_kind <- merge_kind("Maximum")
minimum_kind <- merge_kind("Minimum")

#' Merging layers
#'
#' Tensors merged number by number: their sum, their difference, their product, their
#' mean, the larger or the smaller of them.
#'
#' @section Shapes:
#' Tensors of one batch whose other dims are equal or 1, which stands for any size. Where
#' a tensor has fewer dims than another, dims of 1 are put behind its first, the batch:
#' `(batch, 5)` and `(batch, 3, 5)` give `(batch, 3, 5)`. These layers have no weights.
#'
#' @section Masks:
#' The result has a mask if all tensors have one: what counts in any of them counts. In
#' `layer_multiply()`, `layer_maximum()` and `layer_minimum()` what is masked in a tensor
#' takes no part; a product of nothing but masked positions is 0.
#'
#' @param inputs A list of arrays or of symbolic tensors; or the first of them, with the
#'   others behind it; or nothing, which gives the layer itself.
#' @param ... Further arrays or symbolic tensors, without names; `name`, `dtype` and
#'   `trainable` of the layer.
#' @return The layer, or what it gives for `inputs`.
#' @section Errors:
#' `attn_error_shape` for tensors that do not fit each other or are too many for
#' `layer_subtract()`, which takes two (no layer takes more than 64);
#' `attn_error_argument` for anything that is no tensor.
#' @references <https://keras.io/api/layers/merging_layers/>
#' @examples
#' x <- matrix(1:6, 2)
#' layer_add(x, 10 * x)
#' layer_average(list(x, x, 4 * x))
#'
#' input <- keras_input(shape = c(5, 8))
#' residual <- layer_add(input, layer_dense(input, units = 8))
#' dim(residual)
#' @name merging_layers
NULL

#' @rdname merging_layers
#' @export
layer_add <- function(inputs, ...) {
  merge_layer("add", "layer_add()", if (!missing(inputs)) inputs, ...)
}

#' @rdname merging_layers
#' @export
layer_subtract <- function(inputs, ...) {
  merge_layer("subtract", "layer_subtract()", if (!missing(inputs)) inputs, ...)
}

#' @rdname merging_layers
#' @export
layer_multiply <- function(inputs, ...) {
  merge_layer("multiply", "layer_multiply()", if (!missing(inputs)) inputs, ...)
}

#' @rdname merging_layers
#' @export
layer_average <- function(inputs, ...) {
  merge_layer("average", "layer_average()", if (!missing(inputs)) inputs, ...)
}

#' @rdname merging_layers
#' @export
layer_maximum <- function(inputs, ...) {
  merge_layer("maximum", "layer_maximum()", if (!missing(inputs)) inputs, ...)
}

#' @rdname merging_layers
#' @export
layer_minimum <- function(inputs, ...) {
  merge_layer("minimum", "layer_minimum()", if (!missing(inputs)) inputs, ...)
}

# merge_layer(kind, owner, inputs, ...): see check_dots()
merge_layer <- function(...) {
  given <- merge_dots(...)
  layer <- new_layer(..1, list(), given$dots, seed = NULL)
  compose_merge(..3, given$tensors, layer)
}

# merge_dots(kind, owner, inputs, ...): what came in `...` of a merging layer: tensors,
# without names, and settings.
merge_dots <- function(...) {
  owner <- ..2
  given <- as.list(substitute(list(...)))[-(1:4)]
  named <- if (is.null(names(given))) rep(FALSE, length(given)) else nzchar(names(given))
  check_no_unknown(given[named], layer_dots, owner)
  empty <- vapply(given, function(x) is.symbol(x) && !nzchar(as.character(x)), NA)
  if (any(empty)) {
    abort_argument(owner, "...", "arrays, symbolic tensors or settings", received = "nothing")
  }
  values <- list(...)[-(1:3)]
  list(tensors = unname(values[!named]), dots = values[named])
}

# The layer, or the layer called with `inputs` and the tensors that followed it.
compose_merge <- function(inputs, tensors, layer) {
  if (inherits(inputs, "attn_model") && !length(tensors)) {
    return(compose_layer(inputs, layer))
  }
  if (!is.null(inputs)) {
    is_plain_list <- is.list(inputs) && !is.object(inputs)
    tensors <- c(if (is_plain_list) unname(inputs) else list(inputs), tensors)
  }
  if (is.null(inputs) && !length(tensors)) layer else layer(tensors)
}

most_operands <- 64L

merged_shape <- function(self, shapes, exactly = NULL) {
  count <- length(shapes)
  if (!is.null(exactly) && count != exactly) {
    abort_shape(self$label, "inputs", sprintf("%d tensors", exactly), sprintf("%d", count))
  }
  check_tensor_count(self, shapes)
  rest <- Reduce(function(a, b) broadcast_shape(a, b), lapply(shapes, function(x) x[-1L]))
  batch <- unique(vapply(shapes, function(x) x[1L], 1L))
  known <- batch[!is.na(batch)]
  if (is.null(rest) || length(known) > 1L) {
    abort_shape(self$label, "inputs",
      "tensors of one batch whose other dims are equal or 1", describe_shapes(shapes)
    )
  }
  c(if (length(known)) known else NA_integer_, rest)
}

check_tensor_count <- function(self, shapes) {
  if (length(shapes) > most_operands) {
    abort_shape(self$label, "inputs", sprintf("at most %d tensors", most_operands),
      sprintf("%d", length(shapes))
    )
  }
}

# The shape that both fit, aligned at the last axis; NULL where there is none. A size that
# is not known may turn out to be 1.
broadcast_shape <- function(a, b) {
  if (is.null(a) || is.null(b)) {
    return(NULL)
  }
  rank <- max(length(a), length(b))
  a <- c(rep(1L, rank - length(a)), a)
  b <- c(rep(1L, rank - length(b)), b)
  if (!all(a == b | a == 1L | b == 1L, na.rm = TRUE)) {
    return(NULL)
  }
  as.integer(ifelse(is.na(a) | is.na(b), NA, pmax(a, b)))
}

describe_shapes <- function(shapes) {
  shown <- vapply(utils::head(shapes, 6L), format_shape, "")
  more <- if (length(shapes) > 6L) ", ..." else ""
  paste0("shapes ", paste(shown, collapse = ", "), more)
}
