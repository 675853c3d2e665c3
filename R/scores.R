# Attention scores: an ordinary array that knows which of its axes are batch,
# head, query and key. Everything here reads the array as (B, N, T, S), through
# `slice_scores()` one (T, S) matrix at a time or through `flatten_scores()`, so
# that scores without heads, with several batch axes or with several attention
# axes need no code of their own.

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
#' `format()` also if `digits` is not a positive whole number. Subsetting and new
#' dimensions raise the errors of base R.
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

# (B, N, T, S) without class; each group of axes is flattened with its last axis
# fastest, which needs a copy only if a group has several axes.
flatten_scores <- function(x, axes) {
  extents <- scores_extents(x, axes)
  flat <- plain_array(x)
  dimnames(flat) <- NULL
  if (any(lengths(axes) > 1L)) {
    flat <- aperm(flat, unlist(lapply(axes, rev)))
  }
  dim(flat) <- unname(flat_extents(extents))
  flat
}

flat_extents <- function(extents) vapply(extents, function(extent) as.integer(prod(extent)), 0L)

# The (T, S) matrix of one flattened batch and head, taken without copying the
# rest of the array.
slice_scores <- function(x, axes, batch, head) {
  extents <- scores_extents(x, axes)
  index <- lapply(dim(x), seq_len)
  index[axes$batch] <- axis_positions(extents$batch)[batch, ]
  index[axes$head] <- rep(head, length(axes$head))
  part <- do.call(.subset, c(list(x), index, list(drop = FALSE)))
  dim(part) <- unlist(extents[c("query", "key")], use.names = FALSE)
  both <- list(query = seq_along(axes$query), key = length(axes$query) + seq_along(axes$key))
  if (length(dim(part)) > 2L) {
    part <- aperm(part, unlist(lapply(both, rev)))
  }
  dim(part) <- unname(flat_extents(extents[c("query", "key")]))
  part
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

describe_range <- function(x, digits) {
  if (!length(x)) {
    return("no weights")
  }
  ends <- range(x)
  odd <- if (all(is.finite(ends))) 0L else sum(!is.finite(x))
  if (odd == length(x)) {
    return("no finite weight")
  }
  if (odd) {
    ends <- range(x, finite = TRUE)
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
  corner <- round(slice_scores(x, axes, 1L, 1L)[rows, columns, drop = FALSE], digits)
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
  digits <- check_positive_int(digits, "format.attn_scores", "digits")
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

#' Summarize attention scores
#'
#' How sharply each head attends, and where to. For every head: the mean entropy
#' of its rows, that entropy as a share of the largest possible, the effective
#' number of keys, and the keys that get most weight on average.
#'
#' Each row over the keys is divided by its sum and its entropy
#' \eqn{-\sum_s p_s \log p_s} is taken in nats: 0 if one key gets all the weight,
#' `log(S)` if all `S` keys get the same. The effective number of keys is `exp()`
#' of the mean entropy. Rows that sum to zero (every key is masked) are counted
#' and left out of the means, and so are rows with a weight that is negative or
#' not finite. The share refers to all `S` keys, including keys that a mask hides.
#'
#' @param object Attention scores as returned by a layer called with
#'   `return_attention_scores = TRUE`, of shape `(B, N, T, S)`, `(B, T, S)` or with
#'   several attention axes, which are flattened (see [attn_scores]).
#' @param top How many of the most attended keys to report for each head, a
#'   positive whole number; default 3.
#' @param x What `summary()` returned.
#' @param digits Number of significant digits to show, a positive whole number;
#'   default 3.
#' @param ... Not used.
#'
#' @return A list of class `summary.attn_scores`:
#' * `heads`: a data frame with one row per head and the columns `head`, `rows`
#'   (batches times queries), `masked_rows`, `invalid_rows`, `entropy` (nats),
#'   `entropy_share` (0 to 1; `NA` if there is only one key) and `effective_keys`
#'   (1 to `S`). Means over no rows are `NA`. Scores without a head axis have one
#'   row.
#' * `top_keys`: a data frame with the columns `head`, `rank`, `key` (flattened
#'   1-based position), `position` (text: the position on every key axis, or the
#'   dimnames of a single one) and `weight` (mean weight). Keys that get no weight
#'   are left out.
#' * `extents`: the lengths of the batch, head, query and key axes.
#'
#' @section Errors:
#' `attn_error_argument` if `top` or `digits` is not a positive whole number, or if
#' the scores have lost their axes.
#'
#' @references Shannon (1948), "A Mathematical Theory of Communication",
#'   \doi{10.1002/j.1538-7305.1948.tb01338.x}.
#' @seealso [plot.attn_scores()]
#' @examples
#' set.seed(1)
#' x <- array(rnorm(2 * 6 * 8), c(2, 6, 8))
#' layer <- layer_multi_head_attention(num_heads = 2L, key_dim = 4L)
#' res <- layer(x, x, return_attention_scores = TRUE, use_causal_mask = TRUE)
#' summary(res[[2]])
#' summary(res[[2]], top = 1L)$top_keys
#' @export
summary.attn_scores <- function(object, top = 3L, ...) {
  top <- check_positive_int(top, "summary.attn_scores", "top")
  axes <- scores_axes(object, "summary.attn_scores")
  extents <- scores_extents(object, axes)
  heads <- lapply(seq_len(prod(extents$head)), function(head) measure_head(object, axes, head))
  positions <- axis_labels(NULL, object, axes$key, "summary.attn_scores", "object")
  if (is.null(positions)) {
    positions <- apply(axis_positions(extents$key), 1L, paste, collapse = ",")
  }
  structure(
    class = "summary.attn_scores",
    list(
      heads = do.call(rbind, lapply(heads, head_row)),
      top_keys = do.call(rbind, lapply(heads, head_top_keys, top = top, positions = positions)),
      extents = extents
    )
  )
}

# Row entropies and mean weight per key of one head, one batch at a time, so that
# no copy is larger than (T, S).
measure_head <- function(x, axes, head) {
  size <- flat_extents(scores_extents(x, axes))
  key_sum <- numeric(size[["key"]])
  entropies <- list()
  masked <- invalid <- 0L
  for (batch in seq_len(size[["batch"]])) {
    weights <- slice_scores(x, axes, batch, head)
    total <- rowSums(weights)
    is_invalid <- !is.finite(total) | rowSums(weights < 0) > 0
    is_masked <- !is_invalid & total == 0
    live <- !is_invalid & !is_masked
    masked <- masked + sum(is_masked)
    invalid <- invalid + sum(is_invalid)
    key_sum <- key_sum + colSums(weights[live, , drop = FALSE])
    entropies[[batch]] <- row_entropy(weights[live, , drop = FALSE] / total[live])
  }
  entropy <- as.numeric(unlist(entropies))
  list(
    head = head, rows = as.integer(size[["batch"]] * size[["query"]]),
    masked = masked, invalid = invalid,
    entropy = if (length(entropy)) mean(entropy) else NA_real_,
    key_mean = key_sum / max(1L, length(entropy))
  )
}

# In nats, with 0 log 0 = 0; rounding must not make the entropy of a sure row negative.
row_entropy <- function(shares) {
  logs <- log(shares)
  logs[shares == 0] <- 0
  pmax(0, -rowSums(shares * logs))
}

head_row <- function(measured) {
  most <- log(length(measured$key_mean))
  data.frame(
    head = measured$head, rows = measured$rows,
    masked_rows = measured$masked, invalid_rows = measured$invalid,
    entropy = measured$entropy,
    entropy_share = if (is.finite(most) && most > 0) measured$entropy / most else NA_real_,
    effective_keys = exp(measured$entropy)
  )
}

head_top_keys <- function(measured, top, positions) {
  weight <- measured$key_mean
  best <- utils::head(order(weight, decreasing = TRUE), top)
  best <- best[weight[best] > 0]
  data.frame(
    head = rep(measured$head, length(best)), rank = seq_along(best), key = best,
    position = as.character(positions)[best], weight = weight[best]
  )
}

#' @rdname summary.attn_scores
#' @export
print.summary.attn_scores <- function(x, digits = 3L, ...) {
  digits <- check_positive_int(digits, "print.summary.attn_scores", "digits")
  cat("Attention scores:", describe_extents(x$extents), fill = 1000L)
  heads <- x$heads
  if (is.null(heads)) {
    return(invisible(x))
  }
  attended <- vapply(heads$head, function(head) {
    best <- x$top_keys[x$top_keys$head == head, ]
    shown <- sprintf("%s (%.*f)", best$position, digits, best$weight)
    if (nrow(best)) paste(shown, collapse = "  ") else "none"
  }, "")
  table <- cbind(
    entropy = format_or_dash(heads$entropy, digits),
    `of maximum` = format_or_dash(heads$entropy_share, digits, percent = TRUE),
    `effective keys` = format_or_dash(heads$effective_keys, digits),
    `most attended keys (mean weight)` = format(attended)
  )
  has_heads <- length(x$extents$head) > 0L
  rownames(table) <- if (has_heads) paste("head", heads$head) else rep("", nrow(table))
  writeLines(matrix_lines(table))
  cat("Entropy in nats, mean over rows; effective keys = exp(entropy).\n")
  cat(left_out_lines(heads), sep = "")
  invisible(x)
}

format_or_dash <- function(values, digits, percent = FALSE) {
  shown <- if (percent) {
    paste0(format(round(100 * values)), "%")
  } else {
    format(values, digits = digits)
  }
  ifelse(is.na(values), "-", shown)
}

left_out_lines <- function(heads) {
  rows <- sum(heads$rows)
  c(
    if (any(heads$masked_rows > 0L)) {
      sprintf("Left out: %d of %d rows with every key masked.\n", sum(heads$masked_rows), rows)
    },
    if (any(heads$invalid_rows > 0L)) {
      sprintf(
        "Left out: %d of %d rows with negative or non-finite weights.\n",
        sum(heads$invalid_rows), rows
      )
    }
  )
}

#' Attention scores as a data frame
#'
#' One row per weight, ready for plotting and grouping. `tidy()` (the generic of
#' the package generics, exported again here) does the same.
#'
#' @param x Attention scores of any shape described in [attn_scores].
#' @param row.names `NULL` (default) or row names, one per weight.
#' @param optional Not used; part of the generic.
#' @param ... Not used, except that `stringsAsFactors` is accepted because
#'   [data.frame()] passes it; labels are never made factors.
#' @param query_labels,key_labels `NULL` (default) or one label for each query or
#'   key position (text, dates, numbers, ...), in the flattened order if there are
#'   several attention axes. They become the columns `query_label` and `key_label`.
#'
#' @return A data frame with `length(x)` rows, in which `key` varies fastest and
#'   `batch` slowest, and the integer columns `batch`, `head` (1 for scores without
#'   a head axis), `query` and `key` (1-based positions), the labels if given, and
#'   `weight`. Where there are several batch or attention axes these positions
#'   count through them with the last axis fastest, and further columns such as
#'   `query_1` and `query_2` give the position on each.
#'
#' @section Errors:
#' `attn_error_argument` if labels are not a vector of the right length, if
#' `row.names` has a wrong length, if an argument is unknown, or if the scores have
#' lost their axes.
#'
#' @references The layout follows the idea of tidy data: Wickham (2014),
#'   \doi{10.18637/jss.v059.i10}.
#' @examples
#' set.seed(1)
#' x <- array(rnorm(1 * 3 * 8), c(1, 3, 8))
#' layer <- layer_multi_head_attention(num_heads = 2L, key_dim = 4L)
#' res <- layer(x, x, return_attention_scores = TRUE)
#' words <- c("the", "cat", "sat")
#' head(as.data.frame(res[[2]], query_labels = words, key_labels = words))
#' tidy(res[[2]])[1:3, ]
#' @export
as.data.frame.attn_scores <- function(x, row.names = NULL, optional = FALSE, ...,
                                      query_labels = NULL, key_labels = NULL) {
  owner <- "as.data.frame.attn_scores"
  check_no_unknown(list(...), "stringsAsFactors", owner)
  axes <- scores_axes(x, owner)
  labels <- list(
    query = check_cell_labels(query_labels, x, axes$query, owner, "query_labels"),
    key = check_cell_labels(key_labels, x, axes$key, owner, "key_labels")
  )
  flat <- flatten_scores(x, axes)
  size <- dim(flat)
  position <- list(
    batch = rep(seq_len(size[1L]), each = prod(size[2:4])),
    head = rep(rep(seq_len(size[2L]), each = prod(size[3:4])), times = size[1L]),
    query = rep(rep(seq_len(size[3L]), each = size[4L]), times = prod(size[1:2])),
    key = rep(seq_len(size[4L]), times = prod(size[1:3]))
  )
  columns <- lapply(names(position), function(group) {
    group_columns(group, position[[group]], dim(x)[axes[[group]]], labels[[group]])
  })
  columns <- c(unlist(columns, recursive = FALSE), list(weight = as.vector(aperm(flat, 4:1))))
  set_row_names(list2DF(columns, nrow = length(flat)), row.names, owner)
}

check_cell_labels <- function(labels, x, axis, owner, argument) {
  if (is.null(labels)) NULL else axis_labels(labels, x, axis, owner, argument)
}

# The columns of one group of axes: position, position on each axis, label.
group_columns <- function(group, position, extent, labels) {
  columns <- stats::setNames(list(position), group)
  if (length(extent) > 1L) {
    each <- axis_positions(extent)
    for (axis in seq_along(extent)) {
      columns[[paste0(group, "_", axis)]] <- each[position, axis]
    }
  }
  if (!is.null(labels)) {
    columns[[paste0(group, "_label")]] <- labels[position]
  }
  columns
}

set_row_names <- function(frame, row.names, owner) {
  if (is.null(row.names)) {
    return(frame)
  }
  if (!(is.character(row.names) || is.numeric(row.names)) || length(row.names) != nrow(frame) ||
    anyNA(row.names) || anyDuplicated(row.names)) {
    abort_argument(owner, "row.names",
      sprintf("NULL or %d different row names", nrow(frame)), row.names
    )
  }
  row.names(frame) <- row.names
  frame
}

#' @rdname as.data.frame.attn_scores
#' @method tidy attn_scores
#' @export
tidy.attn_scores <- function(x, ...) as.data.frame(x, ...)
