# Rscript bench/layers.R [REPEATS]: times the four layers with one and with two
# threads, and plain R doing the same, in one session. Prints a Markdown table.
#
# The contenders take turns, so that a slow phase of the machine hits all of
# them. The plain R versions are written with matrix products, as an R user
# would; their result is compared with the layer's before anything is timed.
# Threads wait for each other, so two of them say little on a busy machine.

library(attn)

repeats <- as.integer(c(commandArgs(TRUE), "7")[1L])
stopifnot(!is.na(repeats), repeats >= 1L)

# ---- Plain R ----------------------------------------------------------------

softmax_rows <- function(logits) {
  weights <- exp(logits - apply(logits, 1L, max))
  weights / rowSums(weights)
}

# One head after the other, one batch row after the other.
plain_multi_head <- function(x, weights, group = 1L) {
  names(weights) <- c("wq", "bq", "wk", "bk", "wv", "bv", "wo", "bo")
  out <- array(0, dim(x))
  for (b in seq_len(dim(x)[1L])) {
    xb <- matrix(x[b, , ], dim(x)[2L])
    sum_of_heads <- matrix(weights$bo, nrow(xb), length(weights$bo), byrow = TRUE)
    for (head in seq_len(dim(weights$wq)[2L])) {
      shared <- (head - 1L) %/% group + 1L
      project <- function(w, bias, h) sweep(xb %*% w[, h, ], 2L, bias[h, ], "+")
      q <- project(weights$wq, weights$bq, head)
      k <- project(weights$wk, weights$bk, shared)
      v <- project(weights$wv, weights$bv, shared)
      context <- softmax_rows(tcrossprod(q, k) / sqrt(ncol(q))) %*% v
      sum_of_heads <- sum_of_heads + context %*% weights$wo[head, , ]
    }
    out[b, , ] <- sum_of_heads
  }
  out
}

plain_attention <- function(x, weights) {
  out <- array(0, dim(x))
  for (b in seq_len(dim(x)[1L])) {
    xb <- matrix(x[b, , ], dim(x)[2L])
    out[b, , ] <- softmax_rows(tcrossprod(xb)) %*% xb
  }
  out
}

plain_additive <- function(x, weights) {
  out <- array(0, dim(x))
  for (b in seq_len(dim(x)[1L])) {
    xb <- matrix(x[b, , ], dim(x)[2L])
    logits <- matrix(0, nrow(xb), nrow(xb))
    for (d in seq_len(ncol(xb))) {
      logits <- logits + weights[[1L]][d] * tanh(outer(xb[, d], xb[, d], "+"))
    }
    out[b, , ] <- softmax_rows(logits) %*% xb
  }
  out
}

# ---- What is timed ----------------------------------------------------------

contest <- function(title, layer, plain, shape, takes_list = FALSE) {
  list(title = title, layer = layer, plain = plain, shape = shape, takes_list = takes_list)
}

multi_head <- function(shape) {
  contest(
    "multi-head, 8 heads",
    layer_multi_head_attention(num_heads = 8, key_dim = shape[3L] %/% 8L),
    function(x, w) plain_multi_head(x, w), shape
  )
}

group_query <- function(shape) {
  contest(
    "grouped query, 8 on 2 heads",
    layer_group_query_attention(
      head_dim = shape[3L] %/% 8L, num_query_heads = 8, num_key_value_heads = 2
    ),
    function(x, w) plain_multi_head(x, w, group = 4L), shape
  )
}

attention <- function(shape) {
  contest("attention", layer_attention(), plain_attention, shape, takes_list = TRUE)
}

additive <- function(shape) {
  contest("additive", layer_additive_attention(), plain_additive, shape, takes_list = TRUE)
}

shapes <- list(c(8L, 64L, 64L), c(2L, 512L, 256L), c(1L, 2048L, 128L))
contests <- c(
  lapply(shapes, multi_head), lapply(shapes, group_query), lapply(shapes, attention),
  lapply(shapes[1:2], additive)
)

# ---- Timing -----------------------------------------------------------------

seconds <- function(run) {
  start <- proc.time()[["elapsed"]]
  run()
  proc.time()[["elapsed"]] - start
}

# The clock ticks in milliseconds: short runs are repeated until they are long.
calls_per_timing <- function(run) {
  n <- 1L
  while (seconds(function() for (i in seq_len(n)) run()) < 0.02) n <- n * 4L
  n
}

time_contest <- function(one) {
  set.seed(1)
  x <- array(rnorm(prod(one$shape)), one$shape)
  inputs <- if (one$takes_list) list(list(x, x)) else list(x, x)
  call_layer <- function() do.call(one$layer, inputs)
  result <- call_layer()
  weights <- get_weights(one$layer)
  difference <- max(abs(result - one$plain(x, weights))) / max(abs(result))
  stopifnot(difference < 1e-4)

  runs <- list(
    `1 thread` = function() { attn_threads(1L); call_layer() },
    `2 threads` = function() { attn_threads(2L); call_layer() },
    `plain R` = function() one$plain(x, weights)
  )
  n <- vapply(runs, calls_per_timing, 1L)
  times <- matrix(0, repeats, length(runs), dimnames = list(NULL, names(runs)))
  for (i in seq_len(repeats)) {
    for (name in names(runs)) {
      run <- runs[[name]]
      times[i, name] <- seconds(function() for (j in seq_len(n[[name]])) run()) / n[[name]]
    }
  }
  times * 1000
}

cell <- function(times) {
  shown <- vapply(signif(c(stats::median(times), min(times)), 3L), format, "", scientific = FALSE)
  sprintf("%s (%s)", shown[1L], shown[2L])
}

cpu_model <- function() {
  lines <- tryCatch(readLines("/proc/cpuinfo"), error = function(e) "", warning = function(w) "")
  sub(".*: ", "", c(grep("^model name", lines, value = TRUE), "unknown processor")[1L])
}

info <- attn_info()
cat(sprintf(
  "%s, %s; R %s with %s; attn %s. Milliseconds per call, median (min) of %d.\n\n",
  cpu_model(), info$isa, getRversion(), basename(extSoftVersion()[["BLAS"]]),
  format(info$version), repeats
))
cat("| Layer | Shape (B, T, D) | 1 thread | 2 threads | plain R |\n")
cat("|-------|-----------------|---------:|----------:|--------:|\n")
for (one in contests) {
  times <- time_contest(one)
  cat(sprintf(
    "| %s | (%s) | %s |\n", one$title, paste(one$shape, collapse = ", "),
    paste(apply(times, 2L, cell), collapse = " | ")
  ))
}
