# What summary() makes of attention scores.

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

# Row entropies and mean weight per key of one head, some rows at a time.
measure_head <- function(x, axes, head) {
  extents <- scores_extents(x, axes)
  size <- flat_extents(extents)
  key_sum <- numeric(size[["key"]])
  entropies <- list()
  masked <- invalid <- 0L
  for (batch in seq_len(size[["batch"]])) {
    for (first in row_parts(extents)) {
      poll()
      weights <- slice_scores(x, axes, batch, head, first)
      total <- rowSums(weights)
      is_invalid <- !is.finite(total) | rowSums(weights < 0) > 0
      is_masked <- !is_invalid & total == 0
      live <- !is_invalid & !is_masked
      masked <- masked + sum(is_masked)
      invalid <- invalid + sum(is_invalid)
      if (!all(live)) {
        weights <- weights[live, , drop = FALSE]
      }
      key_sum <- key_sum + colSums(weights)
      entropies[[length(entropies) + 1L]] <- row_entropy(weights / total[live])
    }
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
  digits <- check_digits(digits, "print.summary.attn_scores")
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
