# Formulas of KerasHub's layers in plain R, for the tests.

# Numbers as 32-bit floats.
as_float32 <- function(x) {
  x[] <- readBin(writeBin(as.double(x), raw(), size = 4L), "double", length(x), size = 4L)
  x
}

# (T, D): one row per position
sine_table <- function(positions, width, max_wavelength = 10000) {
  feature <- seq_len(width) - 1
  timescale <- (1 / max_wavelength)^(2 * (feature %/% 2) / width)
  angle <- outer(positions, timescale)
  even <- feature %% 2 == 0
  angle[, even] <- sin(angle[, even])
  angle[, !even] <- cos(angle[, !even])
  angle
}

# A table (T, D) at every index of the axes before the last two of `shape`.
repeat_rows <- function(table, shape) {
  rank <- length(shape)
  ahead <- prod(shape[seq_len(rank - 2)])
  array(rep(table, each = ahead), shape)
}

# x: (T, F), turned in exact arithmetic.
turned <- function(x, positions, max_wavelength = 10000, scaling_factor = 1) {
  half <- ncol(x) / 2
  first <- seq_len(half)
  angle <- outer(positions / scaling_factor, max_wavelength^(-2 * (first - 1) / ncol(x)))
  a <- x[, first, drop = FALSE]
  b <- x[, half + first, drop = FALSE]
  cbind(a * cos(angle) - b * sin(angle), b * cos(angle) + a * sin(angle))
}

# ---- Transformer blocks, one sequence at a time ----

plain_norm <- function(x, gamma, beta, epsilon) {
  centred <- x - rowMeans(x)
  t(t(centred / sqrt(rowMeans(centred^2) + epsilon)) * as.vector(gamma) + as.vector(beta))
}

plain_dense <- function(x, kernel, bias) t(t(x %*% kernel) + as.vector(bias))

# query (T, D), source (S, De), visible (T, S); `w`: weights of multi-head attention by name.
# A query that sees nothing gets the mean of the values.
plain_heads <- function(query, source, w, visible) {
  heads <- dim(w[["query/kernel"]])[2]
  size <- dim(w[["query/kernel"]])[3]
  project <- function(x, role, head) {
    kernel <- matrix(w[[paste0(role, "/kernel")]][, head, ], ncol = size)
    plain_dense(x, kernel, w[[paste0(role, "/bias")]][head, ])
  }
  result <- 0
  for (head in seq_len(heads)) {
    logits <- project(query, "query", head) %*% t(project(source, "key", head)) / sqrt(size)
    weights <- exp(logits - max(logits)) * visible
    weights[rowSums(visible) == 0, ] <- 1
    attended <- (weights / rowSums(weights)) %*% project(source, "value", head)
    result <- result + attended %*% matrix(w[["attention_output/kernel"]][head, , ], size)
  }
  t(t(result) + as.vector(w[["attention_output/bias"]]))
}

# Those weights of a layer whose names begin with `part`, without it.
weights_of <- function(layer, part) {
  weights <- layer$weights
  start <- paste0(part, "/")
  weights <- weights[startsWith(names(weights), start)]
  names(weights) <- substring(names(weights), nchar(start) + 1)
  weights
}

plain_residual <- function(layer, x, norm, inner) {
  w <- weights_of(layer, norm)
  normalize <- function(x) plain_norm(x, w$gamma, w$beta, layer$layer_norm_epsilon)
  if (layer$normalize_first) x + inner(normalize(x)) else normalize(x + inner(x))
}

plain_network <- function(layer, x, activation) {
  first <- weights_of(layer, "feedforward_intermediate_dense")
  second <- weights_of(layer, "feedforward_output_dense")
  plain_residual(layer, x, "feedforward_layer_norm", function(x) {
    plain_dense(activation(plain_dense(x, first$kernel, first$bias)), second$kernel, second$bias)
  })
}

relu <- function(x) pmax(x, 0)

# x (T, D), visible (T, T)
plain_encoder <- function(layer, x, visible = matrix(TRUE, nrow(x), nrow(x)),
                          activation = relu) {
  x <- plain_residual(layer, x, "self_attention_layer_norm", function(x) {
    plain_heads(x, x, weights_of(layer, "self_attention_layer"), visible)
  })
  plain_network(layer, x, activation)
}

# x (T, D), source (S, De) or NULL, visible (T, T), seen (T, S)
plain_decoder <- function(layer, x, source = NULL, visible = lower_triangle(nrow(x)),
                          seen = matrix(TRUE, nrow(x), nrow(source)), activation = relu) {
  x <- plain_residual(layer, x, "self_attention_layer_norm", function(x) {
    plain_heads(x, x, weights_of(layer, "self_attention"), visible)
  })
  if (!is.null(source)) {
    x <- plain_residual(layer, x, "cross_attention_layer_norm", function(x) {
      plain_heads(x, source, weights_of(layer, "cross_attention"), seen)
    })
  }
  plain_network(layer, x, activation)
}

lower_triangle <- function(n) row(diag(n)) >= col(diag(n))

# Weights that are neither ones nor zeros.
shake_weights <- function(layer, size = 0.5) {
  set_weights(layer, lapply(get_weights(layer), function(w) w + size * stats::rnorm(length(w))))
}

# The same for every sequence of a batch: f(b) gives a matrix.
each_sequence <- function(shape, f) {
  result <- array(0, shape)
  for (b in seq_len(shape[1])) {
    result[b, , ] <- f(b)
  }
  result
}

biggest <- function(x) max(abs(x))
