# Memory must grow with the number of positions, not with its square. Peaks are
# read from Linux's /proc in a process of their own, where nothing else happens.

# By how many bytes one call raises the process's peak. Runs in the child; `make`
# gives a layer, `call` calls it on this many positions.
peak_growth <- function(make, call, positions) {
  peak <- function() {
    line <- grep("^VmHWM:", readLines("/proc/self/status"), value = TRUE)
    1024 * as.numeric(gsub("[^0-9]", "", line))
  }
  attn::attn_threads(2L)
  layer <- make()
  call(layer, 64L)
  gc()
  # Sets the peak back to what is in use now, where the system allows it; without
  # that the growth comes out smaller by what starting R once needed.
  suppressWarnings(try(cat("5", file = "/proc/self/clear_refs"), silent = TRUE))
  before <- peak()
  output <- call(layer, positions)
  stopifnot(all(is.finite(output)))
  peak() - before
}

expect_linear_memory <- function(make, call, positions, megabytes, label) {
  status <- "/proc/self/status"
  skip_if_not(
    file.exists(status) && any(grepl("^VmHWM:", readLines(status))),
    "no /proc/self/status with VmHWM here"
  )
  growth <- in_fresh_process(
    peak_growth, without_environment(make), without_environment(call), positions
  )
  expect_gte(growth, 0)
  expect_lt(growth, megabytes * 2^20, label = paste(label, "- growth of the peak"))
}

# 4 heads of 8192 x 8192 scores in float32 are 1 GiB.
heads_call <- function(layer, positions) {
  x <- array(sin(seq_len(positions * 32)), c(1, positions, 32))
  layer(x, x, use_causal_mask = TRUE, training = TRUE)
}

test_that("multi-head attention needs no matrix of scores", {
  expect_linear_memory(
    function() attn::layer_multi_head_attention(num_heads = 4, key_dim = 8),
    heads_call, 8192L, 100, "causal"
  )
})

test_that("multi-head attention with dropout needs no matrix of scores", {
  expect_linear_memory(
    function() attn::layer_multi_head_attention(num_heads = 4, key_dim = 8, dropout = 0.5),
    heads_call, 8192L, 100, "causal, dropout"
  )
})

test_that("grouped query attention with padding, gate and window needs none", {
  expect_linear_memory(
    function() {
      attn::layer_group_query_attention(
        head_dim = 8, num_query_heads = 4, num_key_value_heads = 2, use_gate = TRUE,
        sliding_window = 6000
      )
    },
    function(layer, positions) {
      x <- array(sin(seq_len(positions * 32)), c(1, positions, 32))
      padding <- matrix(seq_len(positions) %% 7 > 0, 1)
      layer(x, x, value_mask = padding, use_causal_mask = TRUE)
    }, 8192L, 100, "padding, gate, window"
  )
})

test_that("the plain computation keeps a row of scores, not all of them", {
  expect_linear_memory(
    function() {
      attn::layer_multi_head_attention(
        num_heads = 1, key_dim = 1, value_dim = 1, dropout = 0.5, flash_attention = FALSE
      )
    },
    function(layer, positions) {
      x <- array(sin(seq_len(positions * 2)), c(1, positions, 2))
      layer(x, x, training = TRUE)
    }, 6000L, 60, "plain"
  )
})

# One head: 256 MiB of scores; with tanh an array (T, S, D) would be 4 times that.
test_that("the layers without heads need no matrix of scores, nor one of sums", {
  for (maker in list(
    function() attn::layer_attention(dropout = 0.3),
    function() attn::layer_attention(score_mode = "concat"),
    function() attn::layer_additive_attention(dropout = 0.3)
  )) {
    expect_linear_memory(maker, function(layer, positions) {
      x <- array(sin(seq_len(positions * 4)), c(1, positions, 4))
      mask <- list(NULL, matrix(seq_len(positions) %% 7 > 0, 1))
      layer(list(x, x), mask = mask, use_causal_mask = TRUE, training = TRUE)
    }, 8192L, 60, deparse(body(maker)))
  }
})

test_that("layers that are dropped give their memory back", {
  # 100 layers of 16 MB, each dropped: two at a time would be a lot already.
  expect_linear_memory(
    function() NULL,
    function(layer, positions) {
      for (i in seq_len(if (positions > 64L) 100L else 1L)) {
        one <- attn::layer_multi_head_attention(
          num_heads = 8, key_dim = 64, kernel_initializer = "zeros"
        )
        one$build(c(NA, NA, 512), c(NA, NA, 512))
        rm(one)
        gc()
      }
      0
    }, 100L, 250, "100 layers"
  )
})

# 4096 x 4096 scores, as the doubles that R gets, are 128 MiB.
scores_growth <- function(make) {
  in_fresh_process(peak_growth, without_environment(make),
    without_environment(function(layer, positions) {
      x <- array(sin(seq_len(positions * 4)), c(1, positions, 4))
      result <- layer(list(x, x), return_attention_scores = TRUE)
      # of the scores themselves nothing may be made a second time
      stopifnot(length(result[[2]]) == positions^2)
      result[[1]]
    }), 4096L
  )
}

test_that("scores that are asked for cost their own size, and no more", {
  skip_if_not(file.exists("/proc/self/status"), "no /proc/self/status here")
  for (make in list(
    function() attn::layer_attention(), function() attn::layer_additive_attention(),
    function() attn::layer_attention(dropout = 0.3)
  )) {
    growth <- scores_growth(make)
    skip_if(length(growth) == 0L, "no VmHWM in /proc/self/status")
    label <- paste(deparse(body(make)), "- growth of the peak")
    # that it sees them at all is what the tests above rely on
    expect_gt(growth, 100 * 2^20, label = label)
    expect_lt(growth, (128 + 32) * 2^20, label = label)
  }
})
