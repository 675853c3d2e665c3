# The layers as an R user would write them: matrix products, in doubles, one
# head after the other.

softmax_rows <- function(logits) {
  weights <- exp(logits - apply(logits, 1L, max))
  weights / rowSums(weights)
}

# 0 where a key is seen and -Inf where it is not, or NULL
plain_mask <- function(length, mask) {
  at <- seq_len(length)
  hidden <- switch(mask,
    causal = outer(at, at, "<"),
    window = outer(at, at, "<") | outer(at, at, "-") >= 256,
    padding = matrix(at > length - length %/% 4, length, length, byrow = TRUE)
  )
  if (!is.null(hidden)) ifelse(hidden, -Inf, 0)
}

# Multi-head and grouped-query; weights as get_weights() gives them.
plain_layer <- function(x, weights, case) {
  names(weights) <- c("wq", "bq", "wk", "bk", "wv", "bv", "wo", "bo")
  group <- case$N %/% case$G
  mask <- plain_mask(case$T, case$mask)
  project <- function(x, w, bias, h) x %*% w[, h, ] + rep(bias[h, ], each = nrow(x))
  out <- array(0, dim(x))
  scores <- if (case$variant == "scores") array(0, c(case$B, case$N, case$T, case$T))
  for (b in seq_len(case$B)) {
    xb <- matrix(x[b, , ], case$T)
    result <- matrix(weights$bo, case$T, case$D, byrow = TRUE)
    for (head in seq_len(case$N)) {
      shared <- (head - 1L) %/% group + 1L
      q <- project(xb, weights$wq, weights$bq, head)
      k <- project(xb, weights$wk, weights$bk, shared)
      v <- project(xb, weights$wv, weights$bv, shared)
      logits <- tcrossprod(q / sqrt(case$K), k)
      attention <- softmax_rows(if (is.null(mask)) logits else logits + mask)
      if (!is.null(scores)) scores[b, head, , ] <- attention
      result <- result + attention %*% v %*% weights$wo[head, , ]
    }
    out[b, , ] <- result
  }
  if (is.null(scores)) out else list(out, scores)
}

random_weights <- function(case) {
  uniform <- function(...) {
    dims <- c(...)
    array(stats::runif(prod(dims), -0.1, 0.1), dims)
  }
  with(case, list(
    uniform(D, N, K), uniform(N, K), uniform(D, G, K), uniform(G, K), uniform(D, G, K),
    uniform(G, K), uniform(N, K, D), uniform(D)
  ))
}

# Additive attention; concat scores are the same with weights.
plain_additive <- function(x, weights) {
  out <- array(0, dim(x))
  for (b in seq_len(dim(x)[1L])) {
    xb <- matrix(x[b, , ], dim(x)[2L])
    logits <- matrix(0, nrow(xb), nrow(xb))
    for (d in seq_len(ncol(xb))) {
      logits <- logits + weights[d] * tanh(outer(xb[, d], xb[, d], "+"))
    }
    out[b, , ] <- softmax_rows(logits) %*% xb
  }
  out
}
