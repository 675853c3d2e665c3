# Whole layers, projections and all, against plain R in double: the worst error of every
# layer's outputs and weights of standard normal inputs, relative to the largest output
# where that is above 1. For accuracy.sh, in a process of its own per instruction set:
# lines "layers ISA DTYPE cases N worst X failed N".
suppressPackageStartupMessages(library(attn))
root <- Sys.getenv("ATTN_ROOT")
source(file.path(root, "tests/testthat/helper-layers.R"))
cases <- if (identical(Sys.getenv("ATTN_VERIFY"), "short")) 24L else 200L

pick <- function(x) x[sample.int(length(x), 1L)]

# Normal weights of the size that Keras begins with, biases and scales that are not 0 or 1.
shake <- function(layer) {
  set_weights(layer, lapply(get_weights(layer), function(w) {
    shape <- if (is.null(dim(w))) length(w) else dim(w)
    array(stats::rnorm(length(w)) / sqrt(max(1, shape[1])), shape)
  }))
}

# What a query sees: flags (B, 1, T, S).
draw_visible <- function(batch, target, source) {
  shape <- c(batch, target, source)
  flags <- array(stats::runif(prod(shape)) < pick(c(0.3, 0.9)), shape)
  flags[, , 1L] <- TRUE # rows that see nothing have tests of their own
  flags
}

heads_case <- function(kind, dtype) {
  batch <- pick(1:3)
  target <- pick(c(1, 5, 16, 33, 70))
  source <- pick(c(1, 7, 17, 64, 65, 130))
  width <- pick(c(4, 16, 24, 63))
  groups <- pick(1:3)
  layer <- if (kind == "mha") {
    layer_multi_head_attention(
      num_heads = pick(1:4), key_dim = pick(c(3, 8, 32)), value_dim = pick(c(2, 8, 17)),
      use_bias = pick(c(TRUE, FALSE)), use_gate = FALSE, dtype = dtype
    )
  } else {
    layer_group_query_attention(
      head_dim = pick(c(3, 8, 32)), num_query_heads = groups * pick(1:3),
      num_key_value_heads = groups, use_bias = pick(c(TRUE, FALSE)), dtype = dtype
    )
  }
  query <- random_array(batch, target, width)
  value <- random_array(batch, source, width)
  layer$build(dim(query), dim(value))
  shake(layer)
  visible <- if (pick(1:2) == 1L) draw_visible(batch, target, source)
  got <- layer(query, value, attention_mask = visible, return_attention_scores = pick(1:2) == 1L)
  expected <- oracle_heads(
    layer, query, value, visible = if (!is.null(visible)) with_axis(visible, 1)
  )
  compare(got, expected)
}

# Attention and AdditiveAttention, written out.
direct_case <- function(kind, dtype) {
  batch <- pick(1:3)
  target <- pick(c(1, 5, 16, 33))
  source <- pick(c(1, 7, 17, 64, 65))
  width <- pick(c(3, 8, 24))
  layer <- switch(kind,
    attention = layer_attention(use_scale = TRUE, dtype = dtype),
    concat = layer_attention(score_mode = "concat", use_scale = TRUE, dtype = dtype),
    additive = layer_additive_attention(dtype = dtype)
  )
  query <- random_array(batch, target, width)
  value <- random_array(batch, source, width)
  layer$build(list(dim(query), dim(value)))
  shake(layer)
  weights <- lapply(get_weights(layer), as.vector)
  visible <- matrix(stats::runif(batch * source) < 0.7, batch, source)
  visible[, 1L] <- TRUE
  got <- layer(list(query, value), mask = list(NULL, visible), return_attention_scores = TRUE)
  scores <- array(0, c(batch, target, source))
  output <- array(0, c(batch, target, width))
  for (b in seq_len(batch)) for (t in seq_len(target)) {
    keys <- matrix(value[b, , ], source)
    sums <- sweep(keys, 2, query[b, t, ], `+`)
    logits <- switch(kind,
      attention = weights[[1]] * keys %*% query[b, t, ],
      concat = weights[[2]] * rowSums(tanh(weights[[1]] * sums)),
      additive = tanh(sums) %*% weights[[1]]
    )
    seen <- visible[b, ]
    p <- exp(logits - max(logits[seen])) * seen
    scores[b, t, ] <- p / sum(p)
    output[b, t, ] <- as.vector(p / sum(p)) %*% keys
  }
  compare(got, list(output = output, scores = scores))
}

compare <- function(got, expected) {
  output <- if (is.list(got)) got[[1L]] else got
  error <- max(abs(plain(output) - expected$output)) / max(1, abs(expected$output))
  if (is.list(got)) max(error, abs(plain(got[[2L]]) - expected$scores)) else error
}

for (dtype in c("float32", "float64")) {
  kinds <- rep_len(c("mha", "gqa", "attention", "concat", "additive"), cases)
  errors <- vapply(seq_along(kinds), function(i) {
    set.seed(i)
    run <- if (kinds[i] %in% c("mha", "gqa")) heads_case else direct_case
    run(kinds[i], dtype)
  }, 0)
  gate <- if (dtype == "float32") 5e-6 else 1e-12
  failed <- sum(!(errors <= gate))
  cat(sprintf(
    "layers %s %s cases %d worst %.3g failed %d\n", attn_info()$isa, dtype, cases, max(errors),
    failed
  ))
}
