# A grid of calls: each is a layer, its inputs and call arguments.
heads_calls <- function(dtype) {
  x <- random_array(3, 70, 12)
  y <- random_array(3, 133, 12)
  wide <- random_array(2, 4, 21, 9, 5)
  visible <- function(...) array(stats::runif(prod(c(...))) < 0.7, c(...))
  mha <- function(...) layer_multi_head_attention(num_heads = 3, key_dim = 5, dtype = dtype, ...)
  gqa <- function(...) {
    layer_group_query_attention(
      head_dim = 7, num_query_heads = 4, num_key_value_heads = 2, dtype = dtype, ...
    )
  }
  list(
    plain = list(mha(), list(x, y)),
    self_causal = list(mha(), list(x, x), list(use_causal_mask = TRUE)),
    scores = list(
      mha(value_dim = 9), list(x, y, y),
      list(return_attention_scores = TRUE, attention_mask = visible(3, 70, 133))
    ),
    mask_of_heads = list(mha(), list(x, y), list(attention_mask = visible(3, 3, 70, 133))),
    masked_rows = list(mha(), list(x, y), list(attention_mask = visible(70, 1))),
    value_and_key_mask = list(
      mha(), list(x, y), list(value_mask = visible(3, 133), key_mask = visible(3, 133))
    ),
    gate_window = list(
      mha(use_gate = TRUE, sliding_window = 40), list(x, y), list(use_causal_mask = TRUE)
    ),
    no_bias_shape = list(mha(use_bias = FALSE, output_shape = c(3, 2)), list(x, y)),
    dropout = list(mha(dropout = 0.3), list(x, y), list(training = TRUE)),
    all_axes = list(mha(), list(wide, wide), list(return_attention_scores = TRUE)),
    axes_turned = list(mha(attention_axes = c(3, 1)), list(wide, wide)),
    one_axis = list(
      mha(attention_axes = -3), list(wide, wide),
      list(attention_mask = visible(2, 4, 9, 21, 21))
    ),
    grouped = list(gqa(), list(x, y)),
    grouped_causal = list(gqa(use_gate = TRUE), list(x, y), list(use_causal_mask = TRUE)),
    grouped_scores = list(
      gqa(sliding_window = 30, dropout = 0.2), list(x, y),
      list(query_mask = visible(3, 70), return_attention_scores = TRUE, training = TRUE)
    )
  )
}

direct_calls <- function(dtype) {
  x <- random_array(3, 70, 12)
  y <- random_array(3, 133, 12)
  deep <- random_array(2, 3, 40, 6)
  padding <- list(
    matrix(stats::runif(210) < 0.8, 3, 70), matrix(c(TRUE, FALSE, TRUE), 3, 133)
  )
  calls <- list()
  layers <- list(
    dot = function(...) layer_attention(dtype = dtype, ...),
    concat = function(...) layer_attention(score_mode = "concat", dtype = dtype, ...),
    additive = function(...) layer_additive_attention(dtype = dtype, ...)
  )
  for (kind in names(layers)) {
    make <- layers[[kind]]
    scores <- list(return_attention_scores = TRUE)
    calls[paste(kind, c("plain", "causal", "masks", "scores", "dropout", "deep"))] <- list(
      list(make(), list(list(x, y))),
      list(make(use_scale = TRUE), list(list(x, y)), list(use_causal_mask = TRUE)),
      list(make(), list(list(x, y)), list(mask = padding)),
      list(make(use_scale = TRUE), list(list(x, y, y)), c(scores, list(mask = padding))),
      list(make(dropout = 0.4), list(list(x, y)), c(scores, list(training = TRUE))),
      list(make(), list(list(deep, deep)), scores)
    )
  }
  calls
}

grid_calls <- function(dtype, seed = 1) {
  withr::with_seed(seed, {
    calls <- c(heads_calls(dtype), direct_calls(dtype))
    lapply(calls, function(call) {
      layer <- call[[1]]
      # Built, and with biases and scales that are not 0 and 1.
      do.call(layer, call[[2]])
      set_weights(layer, lapply(get_weights(layer), function(weight) {
        array(0.5 * stats::rnorm(length(weight)), if (is.null(dim(weight))) 1 else dim(weight))
      }))
      call
    })
  })
}

# Arrays of the result, without classes.
run_call <- function(call) {
  arguments <- c(call[[2]], if (length(call) == 3L) call[[3]])
  result <- do.call(call[[1]], arguments)
  lapply(if (is.list(result)) result else list(result), plain)
}

# Whether a second call may be compared with the first.
has_no_training <- function(call) length(call) < 3L || is.null(call[[3]]$training)

test_that("every number of threads gives the same bits", {
  for (dtype in c("float32", "float64")) {
    results <- lapply(1:3, function(threads) {
      with_threads(threads, lapply(grid_calls(dtype), run_call))
    })
    for (name in names(results[[1]])) {
      expect_same_bits(results[[2]][[name]], results[[1]][[name]], paste(dtype, name, "2 threads"))
      expect_same_bits(results[[3]][[name]], results[[1]][[name]], paste(dtype, name, "3 threads"))
      expect_true(all(is.finite(unlist(results[[1]][[name]]))), label = paste(dtype, name))
    }
  }
})

test_that("the operation gives the same bits at every number of threads", {
  withr::local_seed(2)
  query <- random_array(2, 90, 4, 16)
  key <- random_array(2, 150, 2, 16)
  value <- random_array(2, 150, 2, 24)
  bias <- random_array(4, 90, 150)
  mask <- array(stats::runif(90 * 150) < 0.5, c(90, 150))
  run <- function() {
    list(
      op_dot_product_attention(query, key, value),
      op_dot_product_attention(query, key, value, is_causal = TRUE, scale = -0.5),
      op_dot_product_attention(query, key, value,
        bias = bias, mask = mask, attn_logits_soft_cap = 3
      )
    )
  }
  for (floatx in c("float32", "float64")) {
    old <- config_set_floatx(floatx)
    withr::defer(config_set_floatx(old))
    results <- lapply(1:3, function(threads) with_threads(threads, run()))
    expect_same_bits(results[[2]], results[[1]], floatx)
    expect_same_bits(results[[3]], results[[1]], floatx)
    config_set_floatx(old)
  }
})

test_that("a call repeated gives the same bits, whatever came between", {
  withr::local_seed(3)
  for (dtype in c("float32", "float64")) {
    calls <- Filter(has_no_training, grid_calls(dtype))
    first <- lapply(calls, run_call)
    # In another order, after larger and smaller work.
    again <- lapply(rev(calls), run_call)[names(calls)]
    for (name in names(calls)) {
      expect_same_bits(again[[name]], first[[name]], paste(dtype, name))
    }
  }
})

test_that("a batch has the bits of its elements alone", {
  withr::local_seed(4)
  x <- random_array(3, 37, 8)
  y <- random_array(3, 45, 8)
  for (dtype in c("float32", "float64")) {
    for (layer in all_layers(dtype = dtype)) {
      together <- call_layer(layer, x, y)
      for (b in 1:3) {
        alone <- call_layer(layer, x[b, , , drop = FALSE], y[b, , , drop = FALSE])
        expect_same_bits(alone, together[b, , , drop = FALSE], paste(class(layer)[1], dtype))
      }
    }
  }
})

test_that("integers, logical values and scores count as the numbers that they are", {
  x <- array(c(0L, 1L, 2L, -3L), c(2, 5, 4))
  y <- array(c(TRUE, FALSE, TRUE), c(2, 3, 4))
  doubles <- function(x) array(as.double(x), dim(x))
  for (layer in all_layers()) {
    expect_same_bits(
      call_layer(layer, x, y), call_layer(layer, doubles(x), doubles(y)), class(layer)[1]
    )
  }
})

test_that("the plain computation agrees with the tiled one to rounding", {
  for (dtype in c("float32", "float64")) {
    tiled <- lapply(grid_calls(dtype), run_call)
    plain_results <- without_flash_attention(lapply(grid_calls(dtype), run_call))
    tolerance <- if (dtype == "float32") 5e-6 else 1e-13
    for (name in names(tiled)) {
      for (part in seq_along(tiled[[name]])) {
        expect_close(plain_results[[name]][[part]], tiled[[name]][[part]], tolerance,
          paste(dtype, name, part)
        )
      }
    }
  }
})

test_that("the session's choice of computation is honored where a layer has none", {
  withr::local_seed(5)
  x <- random_array(2, 60, 16)
  layers <- lapply(list(NULL, TRUE, FALSE), function(flash) {
    layer_multi_head_attention(
      num_heads = 2, key_dim = 8, flash_attention = flash, kernel_initializer = "glorot_uniform"
    )
  })
  results <- function() {
    lapply(layers, function(layer) {
      if (!layer$built) layer$build(dim(x), dim(x))
      set_weights(layer, weights)
      layer(x, x)
    })
  }
  layers[[1]](x, x)
  weights <- get_weights(layers[[1]])
  expect_true(config_is_flash_attention_enabled())
  on <- results()
  off <- without_flash_attention({
    expect_false(config_is_flash_attention_enabled())
    results()
  })
  expect_true(config_is_flash_attention_enabled())
  # The two differ in rounding, or this test would show nothing.
  expect_false(identical(on[[2]], on[[3]]))
  expect_same_bits(on[[1]], on[[2]], "NULL follows the session, on")
  expect_same_bits(off[[1]], on[[3]], "NULL follows the session, off")
  expect_same_bits(off[[2]], on[[2]], "TRUE stays TRUE")
  expect_same_bits(off[[3]], on[[3]], "FALSE stays FALSE")

  query <- random_array(1, 40, 2, 16)
  op <- function(...) op_dot_product_attention(query, query, query, ...)
  expect_false(identical(op(flash_attention = TRUE), op(flash_attention = FALSE)))
  expect_same_bits(op(), op(flash_attention = TRUE), "op, on")
  without_flash_attention({
    expect_same_bits(op(), op(flash_attention = FALSE), "op, off")
  })
})
