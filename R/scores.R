# Attention scores: an ordinary array that knows which of its axes are batch,
# head, query and key. Whatever reads the array reads it as (B, N, T, S),
# through `slice_scores()` one (T, S) matrix or some rows of it at a time, so that
# scores without heads, with several batch axes or with several attention axes need
# no code of their own.

# x: numeric array of dim (batch axes, [head], query axes, key axes).
new_attn_scores <- function(x, n_batch, n_query, n_key, has_heads) {
  groups <- c(batch = n_batch, head = as.integer(has_heads), query = n_query, key = n_key)
  rank <- sum(groups)
  if (!is.numeric(x) || length(dim(x)) != rank) {
    abort_shape("new_attn_scores", "x",
      sprintf("a numeric array with %d axes", rank), describe_value(x)
    )
  }
  if (!is.double(x)) {
    storage.mode(x) <- "double"
  }
  last <- cumsum(groups)
  attr(x, "axes") <- Map(
    function(end, count) as.integer(end - count + seq_len(count)), last, groups
  )
  class(x) <- "attn_scores"
  x
}

#' Attention scores
#'
#' Layers called with `return_attention_scores = TRUE` return their scores as an
#' ordinary double array with the class `attn_scores`. Arithmetic, `dim()`, `[`,
#' `apply()`, `sum()` and so on work as on any array; the class adds a short
#' `print()`, a [`summary()`][summary.attn_scores], a
#' [data frame][as.data.frame.attn_scores] and a [picture][plot.attn_scores].
#'
#' @section Shape:
#' * Multi-head and grouped-query attention on inputs of rank 3: `(B, N, T, S)`,
#'   that is batch, heads, queries, keys. `x[b, n, t, s]` is the weight that
#'   query `t` gives to key `s`.
#' * Dot-product and additive attention: `(B, T, S)`, without a head axis.
#' * Several attention axes: batch axes, heads, all query axes, all key axes, in
#'   this order. Where a single position is wanted, as in a picture, the axes are
#'   flattened in order with the last one varying fastest (as Keras reshapes).
#'
#' Weights are shares without a unit: a row over all keys sums to 1, to 0 where
#' a mask hides every key, and to something else where dropout has acted.
#'
#' @section No mask:
#' Returned scores carry no mask: [get_keras_mask()] gives `NULL` for them. Keras, on the
#' path by way of a softmax layer, attaches the attention mask to them, grown to the rank
#' of the scores. Only the output carries a mask here, that of the query.
#'
#' @section Subsetting and changing:
#' A subset that keeps all axes (`x[1:2, , , ]`, `x[1, , , , drop = FALSE]`) keeps
#' the class; any other subset is a plain array or vector, and so are the results
#' of comparisons, of `aperm()` and of giving new dimensions. `as.array()` removes
#' the class. `all.equal()` compares with another array by its numbers and shape,
#' whether that has the class or not.
#'
#' @section Errors:
#' `print()`, `format()` and `str()` raise an `attn_error_argument` if the object no
#' longer fits its axes (for example after `attr(x, "axes") <- NULL`), `print()` and
#' `format()` also if `digits` is not a positive whole number; so do new dimensions that
#' are not those of as many numbers. Subsetting raises the errors of base R.
#'
#' @param x,object,target Attention scores.
#' @param ... For `[`: indices and `drop`. For `all.equal()`: arguments of
#'   [all.equal.numeric()], such as `tolerance`. Otherwise not used.
#' @param value The new dimensions.
#' @param current The array to compare with.
#' @param digits Number of significant digits to show, a positive whole number;
#'   default 3.
#' @return `print()` and `str()` return their argument and nothing, invisibly;
#'   `format()` a character vector of lines; `as.array()` a plain double array;
#'   `all.equal()` `TRUE` or a character vector of differences.
#' @seealso [plot.attn_scores()], [summary.attn_scores()],
#'   [as.data.frame.attn_scores()].
#' @references Vaswani et al. (2017), "Attention Is All You Need",
#'   <https://arxiv.org/abs/1706.03762>.
#'   <https://keras.io/api/layers/attention_layers/multi_head_attention/>
#' @examples
#' set.seed(1)
#' x <- array(rnorm(2 * 6 * 8), c(2, 6, 8))
#' layer <- layer_multi_head_attention(num_heads = 2L, key_dim = 4L)
#' scores <- layer(x, x, return_attention_scores = TRUE)[[2]]
#' scores
#' str(scores)
#' dim(scores)
#' range(apply(scores, c(1, 2, 3), sum)) # every row sums to one
#' class(scores[1, , , , drop = FALSE])
#' scores[1, 1, , ] # a plain matrix
#' tidy(scores)[1:3, ] # one row per weight
#' @name attn_scores
NULL

# The axes of `x`, or a classed error if something has taken them apart.
scores_axes <- function(x, owner) {
  axes <- attr(x, "axes", exact = TRUE)
  fits <- is.list(axes) && identical(names(axes), c("batch", "head", "query", "key")) &&
    is.numeric(x) && identical(as.integer(unlist(axes)), seq_along(dim(x))) &&
    all(lengths(axes[c("batch", "query", "key")]) > 0L)
  if (!fits) {
    abort_argument(owner, "x",
      "attention scores whose `axes` attribute fits their dimensions", as.array(x)
    )
  }
  axes
}

scores_extents <- function(x, axes) lapply(axes, function(axis) dim(x)[axis])

flat_extents <- function(extents) vapply(extents, function(extent) as.integer(prod(extent)), 0L)

# The (T, S) matrix of one flattened batch and head, taken without copying the
# rest of the array. Of several rows those at `first` on the first query axis.
slice_scores <- function(x, axes, batch, head, first = seq_len(dim(x)[axes$query[1L]])) {
  extents <- scores_extents(x, axes)
  extents$query[1L] <- length(first)
  index <- lapply(dim(x), seq_len)
  index[axes$batch] <- rev(arrayInd(batch, rev(extents$batch)))
  index[axes$head] <- rep(head, length(axes$head))
  index[[axes$query[1L]]] <- first
  part <- do.call(.subset, c(list(x), index, list(drop = FALSE)))
  dim(part) <- unlist(extents[c("query", "key")], use.names = FALSE)
  both <- list(query = seq_along(axes$query), key = length(axes$query) + seq_along(axes$key))
  if (length(dim(part)) > 2L) {
    part <- aperm(part, unlist(lapply(both, rev)))
  }
  dim(part) <- unname(flat_extents(extents[c("query", "key")]))
  part
}

# Positions on the first query axis, in parts whose slices are each small enough for R's
# functions to be done with them in some milliseconds: they cannot be interrupted.
row_parts <- function(extents, most = 2^17) {
  others <- prod(extents$query[-1L], extents$key)
  parts_of(extents$query[1L], max(1, most %/% max(1, others)))
}

# One row per flattened position, one column per axis, last column fastest.
axis_positions <- function(extent) {
  grid <- rev(expand.grid(lapply(rev(extent), seq_len), KEEP.OUT.ATTRS = FALSE))
  unname(as.matrix(grid))
}

plain_array <- function(x) {
  attributes(x) <- attributes(x)[intersect(c("dim", "dimnames"), names(attributes(x)))]
  x
}

# Labels for one side of the scores: the given ones, else the dimnames of a
# single axis, else NULL. Factors become text; the result has `count` elements.
axis_labels <- function(labels, x, axis, owner, argument) {
  count <- as.integer(prod(dim(x)[axis]))
  if (is.null(labels)) {
    return(if (length(axis) == 1L) dimnames(x)[[axis]])
  }
  if (!(is.atomic(labels) || inherits(labels, "POSIXt")) || length(labels) != count) {
    abort_argument(owner, argument,
      sprintf("NULL or a vector of %d labels, one for each position", count), labels
    )
  }
  if (is.factor(labels)) as.character(labels) else labels
}

#' @rdname attn_scores
#' @export
`[.attn_scores` <- function(x, ...) {
  part <- NextMethod()
  attr(part, "axes") <- NULL
  part <- unclass(part)
  if (length(dim(part)) == length(dim(x))) {
    attr(part, "axes") <- attr(x, "axes", exact = TRUE)
    class(part) <- "attn_scores"
  }
  part
}

#' @rdname attn_scores
#' @export
`dim<-.attn_scores` <- function(x, value) {
  x <- plain_array(x)
  if (!is.null(value)) {
    sizes <- whole_numbers(value)
    if (!length(sizes) || any(sizes < 0) || prod(sizes) != length(x)) {
      abort_argument("dim<-.attn_scores", "value",
        sprintf("NULL or dims of %.0f numbers in all", length(x)), value
      )
    }
    value <- sizes
  }
  dim(x) <- value
  x
}

#' @rdname attn_scores
#' @export
as.array.attn_scores <- function(x, ...) plain_array(x)

#' @rdname attn_scores
#' @method all.equal attn_scores
#' @export
all.equal.attn_scores <- function(target, current, ...) {
  check_given(missing(current), "all.equal()", "current", "scores, or an array")
  if (inherits(current, "attn_scores")) {
    if (!identical(attr(target, "axes"), attr(current, "axes"))) {
      return("Axes: the scores differ in what their axes are")
    }
    current <- plain_array(current)
  }
  all.equal(plain_array(target), current, ...)
}

count_of <- function(count, one, many = paste0(one, "s")) {
  sprintf("%s %s", format(count, big.mark = ",", scientific = FALSE), if (count == 1) one else many)
}

# "2 batches, 4 heads, 6 queries, 6 keys"; several axes as "3 x 4 queries".
describe_extents <- function(extents) {
  one <- c(batch = "batch", head = "head", query = "query", key = "key")
  many <- c(batch = "batches", head = "heads", query = "queries", key = "keys")
  parts <- vapply(names(extents), function(group) {
    extent <- extents[[group]]
    if (length(extent) > 1L) {
      paste(paste(extent, collapse = " x "), many[[group]])
    } else if (length(extent)) {
      count_of(extent, one[[group]], many[[group]])
    } else {
      ""
    }
  }, "")
  paste(parts[nzchar(parts)], collapse = ", ")
}

# No number has more than 15 digits that count: R refuses to show very many, or takes hours.
check_digits <- function(digits, owner) {
  min(check_positive_int(digits, owner, "digits"), 15L)
}

describe_range <- function(x, digits) {
  if (!length(x)) {
    return("no weights")
  }
  ends <- c(Inf, -Inf)
  odd <- 0
  for (positions in parts_of(length(x), 2^18)) {
    poll()
    weights <- .subset(x, positions)
    if (!is.finite(min(weights)) || !is.finite(max(weights))) {
      is_odd <- !is.finite(weights)
      odd <- odd + sum(is_odd)
      weights <- weights[!is_odd]
    }
    ends <- c(min(ends[1L], weights), max(ends[2L], weights))
  }
  if (odd == length(x)) {
    return("no finite weight")
  }
  shown <- sprintf("weights from %s to %s", format(ends[1L], digits = digits),
    format(ends[2L], digits = digits)
  )
  if (odd) paste0(shown, ", ", count_of(odd, "value"), " not finite") else shown
}

# The corner of the first head of the first batch, as lines of text.
preview_lines <- function(x, axes, digits, max_rows = 5L, max_columns = 6L) {
  flat_dim <- flat_extents(scores_extents(x, axes))
  if (any(flat_dim == 0)) {
    return(character())
  }
  rows <- seq_len(min(max_rows, flat_dim[["query"]]))
  columns <- seq_len(min(max_columns, flat_dim[["key"]]))
  first <- seq_len(min(max_rows, dim(x)[axes$query[1L]]))
  corner <- round(slice_scores(x, axes, 1L, 1L, first)[rows, columns, drop = FALSE], digits)
  dimnames(corner) <- list(paste("query", rows), paste("key", columns))
  hidden <- c(
    if (flat_dim[["query"]] > max_rows) {
      count_of(flat_dim[["query"]] - max_rows, "more query", "more queries")
    },
    if (flat_dim[["key"]] > max_columns) count_of(flat_dim[["key"]] - max_columns, "more key")
  )
  where <- if (length(axes$head)) "Batch 1, head 1" else "Batch 1"
  rest <- if (length(hidden)) sprintf(" (%s)", paste(hidden, collapse = " and ")) else ""
  c(paste0(where, rest, ":"), matrix_lines(corner))
}

# Right-aligned columns, independent of the console's width.
matrix_lines <- function(values) {
  body <- rbind(colnames(values), if (is.numeric(values)) format(values) else values)
  columns <- lapply(seq_len(ncol(body)), function(j) format(body[, j], justify = "right"))
  do.call(paste, c(list(format(c("", rownames(values)))), columns, list(sep = "  ")))
}

#' @rdname attn_scores
#' @export
format.attn_scores <- function(x, digits = 3L, ...) {
  digits <- check_digits(digits, "format.attn_scores")
  axes <- scores_axes(x, "format.attn_scores")
  c(
    paste("<attn_scores>", describe_extents(scores_extents(x, axes))),
    describe_range(x, digits),
    preview_lines(x, axes, digits)
  )
}

#' @rdname attn_scores
#' @export
print.attn_scores <- function(x, digits = 3L, ...) {
  writeLines(format(x, digits = digits))
  invisible(x)
}

#' @rdname attn_scores
#' @export
#' @importFrom utils str
str.attn_scores <- function(object, ...) {
  axes <- scores_axes(object, "str.attn_scores")
  extents <- scores_extents(object, axes)
  cat(sprintf(
    " 'attn_scores' num [%s] %s; %s\n", paste0("1:", dim(object), collapse = ", "),
    describe_extents(extents), describe_range(object, 3L)
  ))
}
