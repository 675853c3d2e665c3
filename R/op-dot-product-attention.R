#' Scaled dot-product attention
#'
#' The computation inside [layer_multi_head_attention()], without projections:
#' `softmax(scale * query . key + bias) . value` for each head, with a memory that
#' grows with the number of positions, not with its square.
#'
#' In this order: the products are scaled, `bias` is added, the soft cap is applied,
#' and scores that are masked leave the softmax. A row with all keys masked gives the
#' mean of all values, as in Keras.
#'
#' @param query An array of shape `(B, T, N, H)`: batch, query positions, heads, size of
#'   a head.
#' @param key An array of shape `(B, S, G, H)`: batch, key positions, key/value heads,
#'   size. `G` is `N` or a divisor of it; then each key/value head serves `N / G`
#'   consecutive query heads.
#' @param value An array of shape `(B, S, G, V)`.
#' @param bias `NULL` or a numeric array that is added to the scores, of shape
#'   `(B, N, T, S)` or one that broadcasts to it, aligned at the last dims. `-Inf`
#'   hides a key from a query, within limits: see the section on hiding keys.
#' @param mask `NULL` or a logical or numeric array (non-zero is `TRUE`), `TRUE` where a
#'   query may see a key; its shape as that of `bias`.
#' @param scale The factor of the products; `NULL` (default): `1 / sqrt(H)`.
#' @param is_causal Whether a query sees only keys up to its own position.
#' @param flash_attention `NULL` (default): as [config_enable_flash_attention()] says;
#'   `TRUE`: the tiled computation; `FALSE`: the plain one, row by row.
#' @param attn_logits_soft_cap `NULL` (default) or a positive number `c`: scores `x`
#'   become `c * tanh(x / c)`, so that none exceeds `c`.
#' @param ... Not used; anything here is an error. (As everywhere in R, the names of
#'   the arguments listed above may be abbreviated.)
#' @return An array of shape `(B, T, N, V)`. The precision of the computation is
#'   [config_floatx()].
#' @section Hiding keys:
#' Use `mask` to hide keys. A bias of `-Inf` does the same only in part, because it is
#' added before the soft cap and is an ordinary score to the softmax:
#' * With `attn_logits_soft_cap = c` such a key gets the score `-c`, and with it a share
#'   of the weight: the query sees it again.
#' * Without a soft cap, a row in which the bias is `-Inf` at every key has no weights:
#'   the result is `NaN`. Under `mask`, a row without a visible key gives the mean of the
#'   values.
#' @section Errors:
#' `attn_error_argument` for arguments of a wrong type or value and for unknown
#' arguments, `attn_error_shape` for shapes that do not fit each other.
#' @references <https://keras.io/api/ops/nn/>; Dao et al. (2022), FlashAttention,
#'   <https://arxiv.org/abs/2205.14135>
#' @seealso [layer_multi_head_attention()]
#' @examples
#' set.seed(1)
#' query <- array(rnorm(2 * 4 * 2 * 3), c(2, 4, 2, 3))
#' key <- array(rnorm(2 * 5 * 2 * 3), c(2, 5, 2, 3))
#' value <- array(rnorm(2 * 5 * 2 * 6), c(2, 5, 2, 6))
#' dim(op_dot_product_attention(query, key, value, is_causal = TRUE))
#'
#' # no query sees the last key
#' visible <- array(c(TRUE, TRUE, TRUE, TRUE, FALSE), c(1, 1, 1, 5))
#' dim(op_dot_product_attention(query, key, value, mask = visible))
#' @export
op_dot_product_attention <- function(query, key, value, bias = NULL, mask = NULL, scale = NULL,
                                     is_causal = FALSE, flash_attention = NULL,
                                     attn_logits_soft_cap = NULL, ...) {
  owner <- "op_dot_product_attention()"
  if (...length()) {
    check_no_dots(owner, ...)
  }
  if (missing(query) || missing(key) || missing(value)) {
    check_given(missing(query), owner, "query", "an array of shape (B, T, N, H)")
    check_given(missing(key), owner, "key", "an array of shape (B, S, G, H)")
    check_given(missing(value), owner, "value", "an array of shape (B, S, G, V)")
  }
  # Plain arguments go to C at once; NULL: R has the words for what is wrong.
  if (is.null(bias) && is.null(scale) && is.null(attn_logits_soft_cap)) {
    result <- .Call(
      ffi_op_call, query, key, value, mask, is_causal, flash_attention, dtype_state$floatx,
      session_settings$flash_attention
    )
    if (!is.null(result)) {
      return(result)
    }
  }
  shapes <- list(
    query = check_op_input(query, owner, "query"),
    key = check_op_input(key, owner, "key"),
    value = check_op_input(value, owner, "value")
  )
  check_op_shapes(shapes, owner)
  extents <- c(shapes$query[c(1L, 3L, 2L)], shapes$key[2L])
  if (!is.null(bias)) {
    bias <- place_bias(bias, extents, owner)
  }
  masks <- list()
  if (!is.null(mask)) {
    component <- mask_component(mask, owner, "mask")
    masks <- list(list(component$mask, pad_left(component, 4L, extents, owner)))
  }
  dtype <- config_floatx()
  scale <- check_number(scale, owner, "scale", null_ok = TRUE)
  flash <- check_flag(flash_attention, owner, "flash_attention", null_ok = TRUE)
  .Call(ffi_op_attention, query, key, value, bias, masks, list(
    dtype = dtype,
    scale = if (is.null(scale)) {
      1 / sqrt(shapes$query[4L])
    } else {
      check_finite_in(scale, dtype, owner, "scale")
    },
    causal = check_flag(is_causal, owner, "is_causal"),
    soft_cap = check_soft_cap(attn_logits_soft_cap, dtype, owner),
    reference = if (is.null(flash)) !config_is_flash_attention_enabled() else !flash
  ))
}

check_op_input <- function(x, owner, argument) {
  if (!is_plain_array(x)) {
    abort_argument(owner, argument, "a numeric array of 4 dims", x)
  }
  shape <- dim(x)
  if (length(shape) != 4L || !all(shape)) {
    abort_shape(owner, argument,
      "an array of 4 dims (batch, positions, heads, size), none of them 0",
      paste("shape", format_shape(shape))
    )
  }
  shape
}

check_op_shapes <- function(shapes, owner) {
  query <- shapes$query
  key <- shapes$key
  value <- shapes$value
  if (key[1L] != query[1L] || key[4L] != query[4L] || query[3L] %% key[3L] != 0L) {
    abort_shape(owner, "key",
      sprintf(
        "an array of shape (%d, S, G, %d) where G divides %d, as `query` has shape %s",
        query[1L], query[4L], query[3L], format_shape(query)
      ),
      paste("shape", format_shape(key))
    )
  }
  if (!all(value[1:3] == key[1:3])) {
    abort_shape(owner, "value",
      sprintf(
        "an array of shape (%d, %d, %d, V), as `key` has shape %s",
        key[1L], key[2L], key[3L], format_shape(key)
      ),
      paste("shape", format_shape(value))
    )
  }
}

place_bias <- function(bias, extents, owner) {
  if (!(is.numeric(bias) || is.logical(bias)) || is_foreign_object(bias)) {
    abort_argument(owner, "bias", "a numeric array or NULL", bias)
  }
  shape <- dim_or_length(bias)
  lacking <- 4L - length(shape)
  dims <- c(rep.int(1L, max(lacking, 0L)), shape)
  if (lacking < 0L || !fits_extents(dims, extents)) {
    abort_shape(owner, "bias",
      paste("an array that broadcasts to the scores, whose shape is", format_shape(extents)),
      paste("shape", format_shape(shape))
    )
  }
  if (anyNA(bias) || max(bias) > largest_finite(config_floatx())) {
    abort_argument(owner, "bias", "an array of finite numbers or -Inf", bias)
  }
  list(bias, dims)
}

# The core takes 0 for no cap.
check_soft_cap <- function(x, dtype, owner) {
  cap <- check_number(x, owner, "attn_logits_soft_cap", null_ok = TRUE)
  if (is.null(cap)) {
    return(0)
  }
  cap <- check_finite_in(cap, dtype, owner, "attn_logits_soft_cap")
  if (cap <= 0) {
    abort_argument(owner, "attn_logits_soft_cap",
      sprintf("NULL or a number that is positive as %s", dtype), x
    )
  }
  cap
}
