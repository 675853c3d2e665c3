# Masks: the attribute that attaches one to an array, and the arithmetic that
# lines up masks of different rank with the scores. Nothing here ever makes an
# array of the size of the scores: each mask keeps its own elements and only its
# dims are written out to the full rank.

#' Attach a mask to an array
#'
#' A mask says which positions of an array hold data (`TRUE`) and which are
#' padding (`FALSE`). Layers find a mask that is attached to one of their inputs
#' and use it as if it had been given as `query_mask`, `value_mask` or `key_mask`,
#' and they attach the query's mask to their output, so that a mask travels from
#' layer to layer. This is the implicit mask of Keras (`_keras_mask`).
#'
#' The mask is stored in the attribute `"keras_mask"`. Functions that drop
#' attributes, such as `x[1:2, , ]` and `aperm()`, drop the mask as well.
#'
#' Attention scores that a layer returns carry no mask. Keras, on the path by way of a
#' softmax layer, attaches the attention mask to them, grown to the rank of the scores.
#'
#' @param x An array with `dim`, for example of shape `(batch, positions, features)`.
#' @param mask A logical or numeric array without `NA` (non-zero counts as `TRUE`)
#'   whose dims are the leading dims of `x`, for example `(batch, positions)`; a dim
#'   may also be 1, which stands for the same mask at every index. `NULL` removes
#'   the mask.
#' @param ... Not used; anything here is an error.
#' @return `set_keras_mask()`: `x` with the mask attached. `get_keras_mask()`: the
#'   mask as it was given, or `NULL`.
#' @section Errors:
#' `attn_error_argument` when `x` is no array or the mask has another type or an
#' `NA`; `attn_error_shape` when the mask's dims do not fit those of `x`.
#' @references <https://keras.io/guides/understanding_masking_and_padding/>
#' @examples
#' x <- array(rnorm(2 * 3 * 4), c(2, 3, 4))
#' mask <- rbind(c(TRUE, TRUE, FALSE), c(TRUE, TRUE, TRUE))
#' x <- set_keras_mask(x, mask)
#' get_keras_mask(x)
#' y <- layer_multi_head_attention(x, num_heads = 2, key_dim = 4)
#' get_keras_mask(y)
#' @export
set_keras_mask <- function(x, mask, ...) {
  owner <- "set_keras_mask()"
  check_no_dots(owner, ...)
  if (missing(x) || !is_plain_array(x)) {
    abort_argument(owner, "x", "a numeric array with dims", x)
  }
  if (missing(mask)) {
    abort_argument(owner, "mask", "a logical or numeric array, or NULL", received = "nothing")
  }
  if (!is.null(mask)) {
    check_covering_mask(mask, x, owner, "mask", "x")
  }
  attr(x, "keras_mask") <- mask
  x
}

#' @rdname set_keras_mask
#' @export
get_keras_mask <- function(x, ...) {
  check_no_dots("get_keras_mask()", ...)
  if (missing(x)) {
    abort_argument("get_keras_mask()", "x", "an R object", received = "nothing")
  }
  implicit_mask(x)
}

implicit_mask <- function(x) {
  attr(x, "keras_mask", exact = TRUE)
}

# A mask whose dims are the leading dims of an input, or 1.
check_covering_mask <- function(mask, x, owner, argument, role = "query") {
  if (!is_keras_tensor(mask)) {
    check_mask_values(mask, owner, argument)
  }
  shape <- dim_or_length(mask)
  if (length(shape) > length(dim(x)) || !fits_extents(shape, dim(x)[seq_along(shape)])) {
    abort_shape(owner, argument,
      sprintf("an array with the leading dims of `%s`, whose shape is %s", role,
        format_shape(dim(x))),
      paste("shape", format_shape(shape))
    )
  }
  mask
}

# Logical or numeric, without NA.
check_mask_values <- function(mask, owner, argument) {
  if (!(is.logical(mask) || is.numeric(mask)) || is_foreign_object(mask)) {
    abort_argument(owner, argument, "a logical or numeric array, or NULL", mask)
  }
  if (anyNA(mask)) {
    abort_argument(owner, argument, "free of missing values",
      received = paste(describe_value(mask), "with NA")
    )
  }
  invisible(mask)
}

# A mask on its way to the scores: its elements, its dims and the name of the
# argument that it came by. `fold` says where the axis of size 1 belongs that a
# mask over positions lacks: "query" masks (B, T) become (B, T, 1), "key" masks
# (B, S) become (B, 1, S); an attention mask has both already. `axes` tells which of
# the mask's own axes, counted from 1, each of `dims` is; 0: none.
mask_component <- function(mask, owner, argument, fold = "none") {
  if (is_keras_tensor(mask)) {
    shape <- mask$shape
  } else {
    check_mask_values(mask, owner, argument)
    shape <- dim_or_length(mask)
  }
  rank <- length(shape)
  own <- seq_len(rank)
  axes <- switch(fold,
    query = c(own, 0L),
    key = c(own[-rank], 0L, own[rank]),
    none = own
  )
  list(
    mask = mask, dims = as.integer(c(1L, shape)[axes + 1L]), axes = axes, argument = argument,
    given = shape
  )
}

# Keras first combines the masks, aligned at their last axes, and then inserts
# the axes that the result lacks just before its last `n_pair` axes (the query
# and key positions). What this means for one mask depends on the others: its
# leading axes move when another one has more of them. A mask in its place is
# list(mask, dims, axes).
#
# `extents` is the shape of the scores. `least_rank` is the rank that a causal
# mask or a window adds to the combination without being in `components`.
# `positional` is the argument that asks for it.
place_masks <- function(components, extents, n_pair, owner, least_rank = 0L,
                        positional = "use_causal_mask") {
  ranks <- vapply(components, function(component) length(component$dims), 1L)
  merged_rank <- max(ranks, least_rank)
  check_merged_rank(merged_rank, components, ranks, extents, n_pair, owner, positional)
  if (length(components) && length(extents) > most_dims) {
    abort_shape(owner, components[[1L]]$argument,
      sprintf("NULL, because the scores have more than %d dims", most_dims),
      sprintf("a mask for scores of %d dims", length(extents))
    )
  }
  grow <- function(x, fill) {
    aligned <- c(rep.int(fill, merged_rank - length(x)), x)
    append(aligned, rep.int(fill, length(extents) - merged_rank), after = merged_rank - n_pair)
  }
  lapply(components, function(component) {
    grown <- grow(component$dims, 1L)
    if (!fits_extents(grown, extents)) {
      abort_mask_shape(component, grown, extents, owner)
    }
    list(component$mask, grown, grow(component$axes, 0L))
  })
}

check_merged_rank <- function(merged_rank, components, ranks, extents, n_pair, owner,
                              positional) {
  if (merged_rank >= n_pair && merged_rank <= length(extents)) {
    return(invisible())
  }
  scores <- sprintf("scores of shape %s", format_shape(extents))
  if (!length(components)) {
    abort_shape(owner, positional,
      sprintf(
        "%s with %d attention axes", if (positional == "sliding_window") "NULL" else "FALSE",
        n_pair %/% 2L
      ),
      paste("a mask by positions on axis 1, for", scores)
    )
  }
  worst <- components[[which.max(ranks)]]
  abort_shape(owner, worst$argument,
    sprintf("a mask that has %d to %d dims, for %s", n_pair, length(extents), scores),
    paste("shape", format_shape(worst$given))
  )
}

# Unknown extents (NA, in symbolic calls) fit anything.
fits_extents <- function(dims, extents) {
  all(dims == 1L | dims == extents, na.rm = TRUE)
}

abort_mask_shape <- function(component, grown, extents, owner) {
  abort_shape(owner, component$argument,
    paste("a mask that broadcasts to the scores, whose shape is", format_shape(extents)),
    sprintf(
      "shape %s, which stands for %s", format_shape(component$given), format_shape(grown)
    )
  )
}

# Masks of `layer_attention()` and `layer_additive_attention()` are aligned at
# their last axes with scores that have no head axis; the core's layout has one,
# of size 1, before the two position axes.
place_score_mask <- function(component, extents, owner) {
  rank <- length(extents) - 1L
  dims <- pad_left(component, rank, extents[-(rank - 1L)], owner)
  axes <- padded_axes(component, rank)
  list(
    component$mask, append(dims, 1L, after = rank - 2L), append(axes, 0L, after = rank - 2L)
  )
}

# Masks over (batch, query positions) that empty rows of the output.
place_row_mask <- function(component, extents, owner) {
  rank <- length(extents)
  list(
    component$mask, pad_left(component, rank, extents, owner), padded_axes(component, rank)
  )
}

padded_axes <- function(component, rank) {
  c(rep.int(0L, rank - length(component$axes)), component$axes)
}

pad_left <- function(component, rank, extents, owner) {
  lacking <- rank - length(component$dims)
  dims <- c(rep.int(1L, max(lacking, 0L)), component$dims)
  if (lacking < 0L || !fits_extents(dims, extents)) {
    abort_mask_shape(component, dims, extents, owner)
  }
  dims
}

# TRUE where query i may see key j: keys up to the query's own position, and
# only those nearer than `window`. Both are aligned at the first position.
dense_position_mask <- function(n_query, n_key, causal, window) {
  query <- seq_len(n_query)
  key <- seq_len(n_key)
  visible <- if (causal) outer(query, key, `>=`) else matrix(TRUE, n_query, n_key)
  if (window > 0L) {
    visible <- visible & abs(outer(query, key, `-`)) < window
  }
  visible
}
