# The floating-point mode before and after the package is loaded and calls of everything.
# For extremes.sh, in a folder with mode.so: a line "mode ISA looks N changed N".
dyn.load("mode.so")
mode <- function() c(.Call("floating_point_mode"), 2^-1074 > 0, 2^-1070 * 1 > 0)
found <- mode()
looks <- changed <- 0L
look <- function() {
  looks <<- looks + 1L
  changed <<- changed + !identical(mode(), found)
}
suppressPackageStartupMessages(library(attn))
look()

activations <- setdiff(ls("package:attn", pattern = "^activation_"), "activation_threshold")
for (dtype in c("float32", "float64")) {
  config_set_floatx(dtype)
  for (size in c(1, 1e-40, 1e-310, 1e30, NaN, Inf)) for (threads in 1:2) {
    attn_threads(threads)
    x <- array(size * stats::rnorm(2 * 70 * 8), c(2, 70, 8))
    heads <- array(x, c(2, 70, 2, 4))
    calls <- c(
      lapply(activations, function(name) function() get(name)(x)),
      function() op_dot_product_attention(heads, heads, heads, is_causal = TRUE),
      function() op_dot_product_attention(heads, heads, heads, flash_attention = FALSE),
      function() layer_attention(list(x, x)),
      function() layer_additive_attention(list(x, x)),
      function() layer_multi_head_attention(num_heads = 2, key_dim = 4)(x, x),
      function() layer_group_query_attention(
        head_dim = 4, num_query_heads = 2, num_key_value_heads = 1
      )(x, x),
      function() layer_layer_normalization(x),
      function() layer_global_average_pooling_1d(x),
      function() layer_dense(x, 5)
    )
    for (call in calls) {
      call()
      look()
    }
  }
}
try(layer_dense("a", 5), silent = TRUE)
look()
cat(sprintf("mode %s looks %d changed %d\n", attn_info()$isa, looks, changed))
