# Grouped query attention. What happens in a call is in
# layer-multi-head-attention.R, which serves both layers with heads.

#' Grouped query attention
#'
#' Multi-head attention in which groups of query heads share one head of keys and
#' values. With one key/value head this is multi-query attention, with as many as
#' there are query heads it is multi-head attention.
#'
#' @section The layer:
#' The constructor without data returns a layer, which is a function with the same
#' arguments as that of [layer_multi_head_attention()]:
#' ```
#' layer(query, value, key = NULL, query_mask = NULL, value_mask = NULL,
#'       key_mask = NULL, attention_mask = NULL, return_attention_scores = FALSE,
#'       training = NULL, use_causal_mask = FALSE)
#' ```
#' `query` has shape `(B, T, D)`, `value` `(B, S, Dv)`, `key` `(B, S, Dk)`; the result
#' has shape `(B, T, D)` and the scores `(B, num_query_heads, T, S)`. Unlike
#' multi-head attention, this layer heeds `query_mask`, of shape `(B, T)`: the query
#' rows that it marks as padding see no key.
#'
#' A numeric `attention_mask` counts as `TRUE` where it is not zero; but where Keras
#' hands it on as a number (with scores or dropout, and no other mask), it is where it
#' is more than 0.5.
#'
#' @inheritSection layer_multi_head_attention Rows without a visible key
#' @inheritParams layer_multi_head_attention
#' @param object Missing or `NULL`: the layer is returned. An array of shape
#'   `(B, T, D)`: the result of self-attention. A list `list(query, value, key)` of
#'   one to three arrays, in which call arguments may be given by name: the result of
#'   that call. A [keras_input()] or a list of them: a symbolic result.
#' @param head_dim Size of each head.
#' @param num_query_heads Number of heads of the query.
#' @param num_key_value_heads Number of heads of key and value, a divisor of
#'   `num_query_heads`.
#' @param activity_regularizer Regularizer of the output of each projection and of the
#'   layer's own result (as in Keras, the result counts twice), per example of the
#'   batch.
#' @return A layer, or the result of calling it, see `object`.
#' @section Errors:
#' `attn_error_argument` for arguments of a wrong type or value, `attn_error_shape` for
#' inputs and masks whose shapes do not fit each other or the built layer. After an
#' error the layer is as it was.
#' @references Ainslie et al. (2023), GQA: Training Generalized Multi-Query Transformer
#'   Models from Multi-Head Checkpoints, <https://arxiv.org/abs/2305.13245>;
#'   <https://keras.io/api/layers/attention_layers/group_query_attention/>
#' @seealso [layer_multi_head_attention()], [layer_attention()],
#'   [layer_additive_attention()]
#' @examples
#' set.seed(1)
#' x <- array(rnorm(2 * 5 * 8), c(2, 5, 8))
#' layer <- layer_group_query_attention(
#'   head_dim = 4, num_query_heads = 4, num_key_value_heads = 2
#' )
#' result <- layer(x, x, return_attention_scores = TRUE)
#' dim(result[[1]])
#' dim(result[[2]])
#' @export
layer_group_query_attention <- function(object, head_dim, num_query_heads, num_key_value_heads,
                                        dropout = 0, use_bias = TRUE, flash_attention = NULL,
                                        kernel_initializer = "glorot_uniform",
                                        bias_initializer = "zeros",
                                        kernel_regularizer = NULL, bias_regularizer = NULL,
                                        activity_regularizer = NULL,
                                        kernel_constraint = NULL, bias_constraint = NULL,
                                        seed = NULL, use_gate = FALSE, sliding_window = NULL,
                                        ...) {
  owner <- "layer_group_query_attention()"
  dots <- check_dots(owner, layer_dots, ...)
  check_given(missing(head_dim), owner, "head_dim", "a positive whole number")
  check_given(missing(num_query_heads), owner, "num_query_heads", "a positive whole number")
  check_given(missing(num_key_value_heads), owner, "num_key_value_heads",
    "a positive whole number"
  )
  head_dim <- check_positive_int(head_dim, owner, "head_dim")
  num_query_heads <- check_positive_int(num_query_heads, owner, "num_query_heads")
  num_key_value_heads <- check_positive_int(num_key_value_heads, owner, "num_key_value_heads")
  if (num_query_heads %% num_key_value_heads != 0L) {
    abort_argument(owner, "num_key_value_heads",
      sprintf("a divisor of `num_query_heads`, which is %d", num_query_heads),
      num_key_value_heads
    )
  }
  seed <- check_seed(seed, owner)
  objects <- heads_objects(
    owner, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
    activity_regularizer, kernel_constraint, bias_constraint
  )
  config <- c(
    list(
      head_dim = head_dim, num_query_heads = num_query_heads,
      num_key_value_heads = num_key_value_heads,
      use_bias = check_flag(use_bias, owner, "use_bias"),
      use_gate = check_flag(use_gate, owner, "use_gate"),
      sliding_window = check_positive_int(sliding_window, owner, "sliding_window", null_ok = TRUE),
      dropout = check_number(dropout, owner, "dropout", 0, 1)
    ),
    objects, list(seed = seed)
  )
  layer <- new_layer("group_query_attention", config, dots, seed,
    flash_attention = check_flag(flash_attention, owner, "flash_attention", null_ok = TRUE),
    activity_regularizer = objects$activity_regularizer
  )
  if (missing(object) || is.null(object)) layer else compose_layer(object, layer)
}
