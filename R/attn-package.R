#' attn: Transformer attention for R, native
#'
#' The attention layers of Keras (multi-head, grouped-query, dot-product and
#' additive) with keras3's names, signatures and numbers, computed by a C core
#' that needs neither Python nor any other runtime.
#'
#' Start with [layer_multi_head_attention()] and with
#' `vignette("attention-in-r")`.
#'
#' @keywords internal
#' @useDynLib attn, .registration = TRUE
#' @importFrom cli symbol
"_PACKAGE"
