# Attention scores as a data frame.

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
  cells <- score_cells(x, axes)
  columns <- lapply(names(axes), function(group) {
    group_columns(group, cells[[group]], dim(x)[axes[[group]]], labels[[group]])
  })
  columns <- c(unlist(columns, recursive = FALSE), cells["weight"])
  set_row_names(list2DF(columns, nrow = length(x)), row.names, owner)
}

# Flattened positions and weight of every cell, key fastest and batch slowest.
score_cells <- function(x, axes) {
  extents <- scores_extents(x, axes)
  size <- flat_extents(extents)
  blank <- function(mode) {
    poll()
    vector(mode, length(x))
  }
  batches <- blank("integer")
  heads <- blank("integer")
  queries <- blank("integer")
  keys <- blank("integer")
  weights <- blank("double")
  done <- 0
  for (batch in seq_len(size[["batch"]])) {
    for (head in seq_len(size[["head"]])) {
      row <- 0L
      for (first in row_parts(extents)) {
        poll()
        part <- slice_scores(x, axes, batch, head, first)
        cells <- seq.int(done + 1, length.out = length(part))
        rows <- row + seq_len(nrow(part))
        batches[cells] <- batch
        heads[cells] <- head
        queries[cells] <- rep(rows, each = ncol(part))
        keys[cells] <- rep.int(seq_len(ncol(part)), nrow(part))
        weights[cells] <- t(part)
        done <- done + length(part)
        row <- row + nrow(part)
      }
    }
  }
  list(batch = batches, head = heads, query = queries, key = keys, weight = weights)
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
      columns[[paste0(group, "_", axis)]] <- pick(each[, axis], position)
    }
  }
  if (!is.null(labels)) {
    column <- paste0(group, "_label")
    columns[[column]] <- if (is.object(labels)) labels[position] else pick(labels, position)
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
