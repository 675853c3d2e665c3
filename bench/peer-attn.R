# attn as a peer, as an R user calls it: R arrays in, R arrays out.

folder <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1L]))
source(file.path(folder, "peer.R"))
source(file.path(folder, "plain.R"))
library(attn)

layer_of <- function(case) {
  rate <- if (case$variant == "dropout") 0.1 else 0
  window <- if (case$mask == "window") 256L
  if (case$kind == "additive") {
    layer_additive_attention(dtype = case$dtype)
  } else if (case$kind == "concat") {
    layer_attention(score_mode = "concat", use_scale = TRUE, dtype = case$dtype)
  } else if (case$G == case$N) {
    layer_multi_head_attention(num_heads = case$N, key_dim = case$K, dropout = rate,
      sliding_window = window, dtype = case$dtype
    )
  } else {
    layer_group_query_attention(head_dim = case$K, num_query_heads = case$N,
      num_key_value_heads = case$G, dropout = rate, sliding_window = window, dtype = case$dtype
    )
  }
}

# Post-normalized, as the graph of onnx_models.py is.
encoder_of <- function(case) {
  input <- keras_input(shape = c(NA, case$D), dtype = case$dtype)
  x <- input
  for (i in 1:6) {
    attention <- layer_multi_head_attention(list(x, x), num_heads = case$N, key_dim = case$K,
      dtype = case$dtype
    )
    x <- layer_add(list(x, attention), dtype = case$dtype) |>
      layer_layer_normalization(epsilon = 1e-5, dtype = case$dtype)
    wide <- layer_dense(x, case$C, activation = "relu", dtype = case$dtype) |>
      layer_dense(case$D, dtype = case$dtype)
    x <- layer_add(list(x, wide), dtype = case$dtype) |>
      layer_layer_normalization(epsilon = 1e-5, dtype = case$dtype)
  }
  keras_model(input, x)
}

call_of <- function(layer, case) {
  x <- random_array(case$B, case$T, case$D)
  if (case$kind %in% c("additive", "concat")) {
    return(function() layer(list(x, x)))
  }
  if (case$mask == "padding") {
    mask <- matrix(seq_len(case$T) <= case$T - case$T %/% 4, case$B, case$T, byrow = TRUE)
    return(function() layer(x, x, value_mask = mask))
  }
  # what is not asked for is not passed: a user would not write it either
  if (case$mask %in% c("causal", "window")) {
    return(function() layer(x, x, use_causal_mask = TRUE))
  }
  switch(case$variant,
    scores = function() layer(x, x, return_attention_scores = TRUE),
    dropout = function() layer(x, x, training = TRUE),
    function() layer(x, x)
  )
}

# Before anything is timed: the plain R code gives the same numbers.
check_against_plain <- function() {
  for (mask in c("full", "causal", "padding")) {
    case <- list(kind = "layer", B = 2, T = 48, D = 32, N = 4, G = 2, K = 8, mask = mask,
      variant = "plain", dtype = "float32"
    )
    layer <- layer_of(case)
    set.seed(1)
    result <- call_of(layer, case)()
    set.seed(1)
    plain <- plain_layer(random_array(2, 48, 32), get_weights(layer), case)
    stopifnot(max(abs(result - plain)) < 1e-5)
  }
}

answer <- function(case) {
  if (case$kind == "hello") {
    check_against_plain()
    return(c("0", sprintf("%s, %s", utils::packageVersion("attn"), attn_info()$isa)))
  }
  if (case$kind %in% c("peak", "matmul", "tanh", "attention")) stop("not there")
  attn_threads(case$threads)
  if (case$kind == "encoder") {
    model <- encoder_of(case)
    x <- random_array(case$B, case$T, case$D)
    return(fastest_call(function() model(x), case$seconds))
  }
  layer <- layer_of(case)
  if (case$kind == "memory") {
    call_of(layer, utils::modifyList(case, list(T = 64L)))()
    return(memory_growth(call_of(layer, case)))
  }
  fastest_call(call_of(layer, case), case$seconds)
}

serve(answer)
