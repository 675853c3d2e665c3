#' attn: Transformer attention for R, native
#'
#' The attention layers of Keras (multi-head, grouped-query, dot-product and
#' additive) with keras3's names, signatures and numbers, computed by a C core
#' that needs neither Python nor any other runtime.
#'
#' Start with [layer_multi_head_attention()] and with
#' `vignette("attention-in-r")`.
#'
#' As everywhere in R, the name of an argument that stands before `...` in a function's
#' usage may be abbreviated; other names must be given in full.
#'
#' @section Errors:
#' Every error that the package raises has the class `attn_error` and one of
#' `attn_error_argument` (type or value of an argument), `attn_error_shape` (shapes that
#' do not fit), `attn_error_weights` (weights that a layer cannot take),
#' `attn_error_state` (a layer that is not built, or is none), `attn_error_read_only` (a
#' property that cannot be assigned), `attn_error_config` (a config that cannot be
#' understood), `attn_error_file` (a file that cannot be read or written, or is damaged; the
#' config in a file is part of it), `attn_error_memory` and `attn_error_internal`. The
#' condition has the fields `layer`, `argument`, `expected` and `received`. Warnings have the
#' class `attn_warning`.
#'
#' After `attn_error_memory` everything is as it was before the call. Where R itself finds no
#' memory for something small, or while a wrapper prepares arrays, the error is R's own; layers
#' are unchanged then too.
#'
#' @references Vaswani et al. (2017), Attention Is All You Need,
#'   <https://arxiv.org/abs/1706.03762>;
#'   <https://keras.io/api/layers/attention_layers/>
#'
#' @examples
#' set.seed(1)
#' x <- array(rnorm(2 * 5 * 8), c(2, 5, 8)) # batch, positions, features
#' layer <- layer_multi_head_attention(num_heads = 2, key_dim = 4)
#' dim(layer(x, x))
#'
#' # errors can be told apart by their class
#' tryCatch(
#'   layer(x, x[1, , , drop = FALSE]),
#'   attn_error_shape = function(e) e$argument
#' )
#'
#' @keywords internal
#' @useDynLib attn, .registration = TRUE
"_PACKAGE"

#' Tidy data frames
#'
#' The generic function of the package generics, exported again here for
#' [attention scores][as.data.frame.attn_scores].
#'
#' @param x An object with a method for `tidy()`, such as [attn_scores].
#' @param ... Arguments of the method.
#' @return For attention scores a data frame, see [as.data.frame.attn_scores()].
#' @section Errors: That of base R where `x` has no method; for attention scores
#'   those of [as.data.frame.attn_scores()].
#' @references <https://generics.r-lib.org/>; [generics::tidy()]
#' @examples
#' x <- array(rnorm(1 * 3 * 8), c(1, 3, 8))
#' layer <- layer_attention()
#' tidy(layer(list(x, x), return_attention_scores = TRUE)[[2]])
#' @usage tidy(x, ...)
#' @name tidy
#' @aliases reexports
#' @importFrom generics tidy
#' @export tidy
NULL
