# A grid of layers, operations and models, and what they give: for determinism-layers.R,
# which runs it in many circumstances. Everything is drawn from one seed, so that all
# processes have the same.

grid_array <- function(...) array(stats::rnorm(prod(...)), c(...))

# Large enough that a call uses 16 threads: 32 million operations or more.
grid_inputs <- function() {
  list(
    x = grid_array(2, 300, 64), y = grid_array(2, 513, 64), wide = grid_array(8, 700, 96),
    heads = grid_array(4, 260, 8, 32), tokens = matrix(sample.int(50L, 8 * 120, TRUE) - 1L, 8)
  )
}

grid_calls <- function(dtype) {
  withr::with_seed(11, {
    i <- grid_inputs()
    masked <- matrix(stats::runif(2 * 513) < 0.7, 2)
    seen <- array(stats::runif(300 * 513) < 0.7, c(300, 513))
    mha <- function(...) layer_multi_head_attention(num_heads = 4, key_dim = 24, dtype = dtype, ...)
    gqa <- function(...) {
      layer_group_query_attention(
        head_dim = 24, num_query_heads = 4, num_key_value_heads = 2, dtype = dtype, ...
      )
    }
    attention <- function(...) layer_attention(dtype = dtype, ...)
    additive <- layer_additive_attention(dtype = dtype)
    norm <- layer_layer_normalization(dtype = dtype)
    calls <- list(
      mha = list(mha(), i$x, i$y),
      mha_causal = list(mha(use_gate = TRUE), i$x, i$x, use_causal_mask = TRUE),
      mha_scores = list(
        mha(), i$x, i$y, attention_mask = seen, return_attention_scores = TRUE
      ),
      mha_dropout = list(mha(dropout = 0.3, seed = 3L), i$x, i$y, training = TRUE),
      mha_plain = list(mha(flash_attention = FALSE), i$x, i$y),
      gqa = list(gqa(), i$x, i$y), gqa_window = list(gqa(sliding_window = 40), i$x, i$x),
      attention = list(attention(), list(i$x, i$y), mask = list(NULL, masked)),
      concat = list(attention(score_mode = "concat"), list(i$x, i$y)),
      additive = list(additive, list(i$x, i$y)),
      attention_dropout = list(
        attention(dropout = 0.4, seed = 5L), list(i$x, i$y), training = TRUE,
        return_attention_scores = TRUE
      ),
      normalization = list(norm, i$wide),
      dense = list(layer_dense(units = 200, activation = "gelu", dtype = dtype), i$wide),
      conv = list(layer_conv_1d(filters = 40, kernel_size = 5, dtype = dtype), i$wide),
      pool = list(layer_global_average_pooling_1d(dtype = dtype), i$wide),
      dropout = list(layer_dropout(rate = 0.25, seed = 9L, dtype = dtype), i$wide, training = TRUE),
      encoder = list(
        layer_transformer_encoder(intermediate_dim = 128, num_heads = 4, dtype = dtype), i$x
      ),
      decoder = list(
        layer_transformer_decoder(intermediate_dim = 128, num_heads = 4, dtype = dtype), i$x, i$y
      ),
      model = list(grid_model(dtype), i$tokens),
      sequential = list(grid_sequential(dtype), i$wide)
    )
    # Built, with weights that are neither 0 nor 1.
    lapply(calls, function(call) {
      if (!inherits(call[[1L]], "attn_model")) {
        do.call(call[[1L]], without_training(call))
      }
      weights <- get_weights(call[[1L]])
      set_weights(call[[1L]], lapply(weights, function(w) {
        array(0.2 * stats::rnorm(length(w)), if (is.null(dim(w))) length(w) else dim(w))
      }))
      call
    })
  })
}

# the arguments of a call
without_training <- function(call) {
  arguments <- call[-1L]
  arguments["training"] <- NULL
  arguments
}

# A classifier of tokens: embedding, an encoder block of its own, pooling.
grid_model <- function(dtype) {
  tokens <- keras_input(NA, dtype = "int32")
  x <- layer_embedding(tokens, 50, 48, mask_zero = TRUE, dtype = dtype)
  seen <- layer_multi_head_attention(num_heads = 4, key_dim = 12, dtype = dtype)(x, x)
  x <- layer_layer_normalization(layer_add(x, seen, dtype = dtype), dtype = dtype)
  x <- layer_dense(x, 64, activation = "silu", dtype = dtype)
  x <- layer_global_average_pooling_1d(x, dtype = dtype)
  keras_model(tokens, layer_dense(x, 7, activation = "softmax", dtype = dtype))
}

grid_sequential <- function(dtype) {
  model <- keras_model_sequential(input_shape = c(NA, 96))
  layer_dense(model, 80, activation = "tanh", dtype = dtype)
  layer_dropout(model, 0.1, dtype = dtype)
  layer_layer_normalization(model, dtype = dtype)
  layer_global_average_pooling_1d(model, dtype = dtype)
  model
}

operation_calls <- function(dtype) {
  withr::with_seed(12, {
    heads <- grid_array(4, 260, 8, 32)
    bias <- grid_array(8, 260, 260)
    list(
      op = list(op_dot_product_attention, heads, heads, heads),
      op_bias = list(
        op_dot_product_attention, heads, heads, heads, bias = bias, is_causal = TRUE,
        attn_logits_soft_cap = 5
      ),
      softmax = list(activation_softmax, heads), gelu = list(activation_gelu, heads)
    )
  })
}

# The results of all calls, as plain numbers. A layer's dropout goes on from call to call,
# so the layers are new each time.
grid_results <- function(dtypes = c("float32", "float64")) {
  results <- lapply(dtypes, function(dtype) {
    before <- attn::config_set_floatx(dtype)
    on.exit(attn::config_set_floatx(before))
    lapply(c(grid_calls(dtype), operation_calls(dtype)), function(call) {
      result <- do.call(call[[1L]], call[-1L])
      lapply(if (is.list(result)) result else list(result), as.vector)
    })
  })
  unlist(stats::setNames(results, dtypes), recursive = FALSE)
}

# How many results differ in any bit.
differing <- function(results, expected) {
  stopifnot(identical(names(results), names(expected)))
  same <- mapply(identical, results, expected,
    MoreArgs = list(num.eq = FALSE, single.NA = FALSE, attrib.as.set = FALSE)
  )
  if (!all(same)) message("other bits: ", toString(names(expected)[!same]))
  sum(!same)
}
