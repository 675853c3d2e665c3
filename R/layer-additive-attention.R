# Additive attention. What happens in a call is in layer-attention.R, which serves
# both layers without projections.

#' Additive attention
#'
#' Attention in the manner of Bahdanau: the output for a query is the mean of the
#' values, weighted by the softmax over the keys of `sum(scale * tanh(query + key))`.
#'
#' @section The layer:
#' The constructor without data returns a layer, which is a function with the same
#' arguments as that of [layer_attention()]:
#' ```
#' layer(inputs, mask = NULL, training = NULL, return_attention_scores = FALSE,
#'       use_causal_mask = FALSE)
#' ```
#' `inputs` is `list(query, value)` or `list(query, value, key)` of shapes `(B, T, D)`,
#' `(B, S, Dv)` and `(B, S, D)`; the result has shape `(B, T, Dv)`, the scores
#' `(B, T, S)`.
#'
#' @inheritSection layer_attention Rows without a visible key
#' @inheritParams layer_attention
#' @param use_scale Whether the features are weighted by a vector of size D, which
#'   starts with the initializer glorot_uniform.
#' @param ... `seed` (a whole number that fixes the dropout), `name` (a string), `dtype`
#'   (`"float32"` or `"float64"`), `trainable` (`TRUE` or `FALSE`) and
#'   `activity_regularizer` (of the result) of the layer. Keras also takes
#'   `score_mode` (`"dot"` or `"concat"`), which has no effect; a warning says so.
#'   These names must be given in full; those of the arguments listed above may be
#'   abbreviated, as everywhere in R.
#' @return A layer, or the result of calling it, see `object`.
#' @section Errors:
#' `attn_error_argument` for arguments of a wrong type or value, `attn_error_shape` for
#' inputs and masks whose shapes do not fit each other or the built layer. After an
#' error the layer is as it was.
#' @references Bahdanau et al. (2015), Neural Machine Translation by Jointly Learning to
#'   Align and Translate, <https://arxiv.org/abs/1409.0473>;
#'   <https://keras.io/api/layers/attention_layers/additive_attention/>
#' @seealso [layer_attention()], [layer_multi_head_attention()]
#' @examples
#' set.seed(1)
#' query <- array(rnorm(2 * 3 * 4), c(2, 3, 4))
#' value <- array(rnorm(2 * 5 * 4), c(2, 5, 4))
#' layer <- layer_additive_attention()
#' result <- layer(list(query, value), return_attention_scores = TRUE)
#' dim(result[[1]])
#' dim(result[[2]])
#' layer$weights
#' @export
layer_additive_attention <- function(object, use_scale = TRUE, dropout = 0, ...) {
  owner <- "layer_additive_attention()"
  dots <- check_dots(
    owner, c("seed", layer_dots, "activity_regularizer", "score_mode"), ...
  )
  seed <- check_seed(dots[["seed"]], owner)
  if (!is.null(dots[["score_mode"]])) {
    check_string(dots[["score_mode"]], owner, "score_mode", c("dot", "concat"))
    attn_warn(
      paste0(owner, ": `score_mode` has no effect on additive attention, as in Keras."),
      "attn_warning_ignored", owner, "score_mode"
    )
  }
  config <- list(
    use_scale = check_flag(use_scale, owner, "use_scale"),
    dropout = check_number(dropout, owner, "dropout", 0, 1),
    seed = seed
  )
  layer <- new_layer("additive_attention", config, dots, seed,
    activity_regularizer = as_regularizer(
      dots[["activity_regularizer"]], owner, "activity_regularizer"
    )
  )
  if (missing(object) || is.null(object)) layer else compose_layer(object, layer)
}
