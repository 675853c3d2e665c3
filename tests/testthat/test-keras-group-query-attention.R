# What Keras's grouped_query_attention_test.py asserts. See README.md for what is not here.

gqa_layer <- function(head_dim = 4, num_query_heads = 4, num_key_value_heads = 2, ...) {
  layer_group_query_attention(
    head_dim = head_dim, num_query_heads = num_query_heads,
    num_key_value_heads = num_key_value_heads, ...
  )
}

expect_gqa_basics <- function(n_weights, ..., dropout = FALSE) {
  config <- list(num_query_heads = 2, num_key_value_heads = 2, head_dim = 2, ...)
  if (dropout) {
    config$dropout <- 0.5
  }
  expect_layer_test("GroupedQueryAttention", config,
    list(c(2, 8, 16), c(2, 4, 16)), c(2, 8, 16),
    n_weights = n_weights, dropout = dropout
  )
}

test_that("run_layer_test holds with and without bias, gate, dropout [test_basics]", {
  expect_gqa_basics(8, dropout = TRUE)
  expect_gqa_basics(4, use_bias = FALSE, dropout = TRUE)
  expect_gqa_basics(10, use_gate = TRUE)
  expect_gqa_basics(5, use_gate = TRUE, use_bias = FALSE, dropout = TRUE)
})

test_that("flash attention passes the basics in our dtypes [test_basics_with_flash_attention]", {
  expect_gqa_basics(8, flash_attention = TRUE)
})

test_that("compute_output_shape() foretells the result's [test_compute_output_shape]", {
  cases <- list(
    list(5, 5, c(2, 8, 16), c(2, 4, 16), NULL), list(5, 5, c(2, 8, 16), c(2, 4, 16), c(2, 4, 8)),
    list(6, 2, c(2, 8, 16), c(2, 4, 16), NULL), list(6, 2, c(2, 8, 16), c(2, 4, 16), c(2, 4, 8)),
    list(5, 1, c(2, 8, 16), c(2, 4, 16), NULL), list(5, 1, c(2, 8, 16), c(2, 4, 16), c(2, 4, 8))
  )
  for (case in cases) {
    layer <- gqa_layer(2, case[[1]], case[[2]])
    given <- case[3:5][!vapply(case[3:5], is.null, NA)]
    foretold <- do.call(layer$compute_output_shape, given)
    expect_identical(foretold, as.integer(case[[3]]))
    expect_identical(dim(do.call(layer, lapply(given, random_array))), foretold)
  }
})

test_that("query, value and key must be alike [test_shape_mismatch_error]", {
  layer <- gqa_layer()
  expect_attn_error(layer$compute_output_shape(c(2, 4, 8), c(2, 2, 7), c(2, 2, 7)), "shape")
  expect_attn_error(
    layer$compute_output_shape(c(2, 4, 8), c(2, 2, 8), c(2, 1, 7)), "shape", "`key_shape`"
  )
  expect_false(layer$built)
})

test_that("symbols have scores [test_symbolic_shape_with_return_attention_scores]", {
  result <- gqa_layer(8, 4, 2)(
    keras_input(c(10, 32)), keras_input(c(15, 32)),
    return_attention_scores = TRUE
  )
  expect_identical(dim(result[[1]]), c(NA, 10L, 32L))
  expect_identical(dim(result[[2]]), c(NA, 4L, 10L, 15L))
})

test_that(
  "symbols have the query's shape [test_symbolic_shape_without_return_attention_scores]",
  {
    output <- gqa_layer(8, 4, 2)(keras_input(c(10, 32)), keras_input(c(15, 32)))
    expect_s3_class(output, "keras_tensor")
    expect_identical(dim(output), c(NA, 10L, 32L))
  }
)

test_that("each kernel is drawn anew [test_initializer]", {
  expect_kernels_differ(gqa_layer(4, 4, 4,
    kernel_initializer = initializer_truncated_normal(stddev = 0.02), use_gate = TRUE
  ))
})

test_that("the query's mask is the output's too [test_query_mask_propagation]", {
  data <- padded_inputs()
  query <- set_keras_mask(data$query, data$query_mask)
  for (gate in c(FALSE, TRUE)) {
    layer <- gqa_layer(use_gate = gate)
    expect_true(layer$supports_masking)
    output <- layer(query, set_keras_mask(data$value, data$value_mask))
    expect_identical(get_keras_mask(output), data$query_mask)
    expect_identical(get_keras_mask(query), data$query_mask)
  }
})

test_that("attached masks act as an explicit one [test_masking]", {
  set.seed(2)
  for (gate in c(FALSE, TRUE)) {
    for (causal in c(TRUE, FALSE)) {
      expect_implicit_is_explicit(gqa_layer(use_gate = gate), causal)
    }
  }
})

test_that("a window hides far keys [test_sliding_window]", {
  x <- random_array(2, 7, 8)
  apart <- outer(1:7, 1:7, `-`)
  layer <- gqa_layer(sliding_window = 3)
  result <- layer(x, x, use_causal_mask = TRUE, return_attention_scores = TRUE)
  expect_support(result[[2]], apart >= 0 & apart < 3)
})

test_that("the causal flag is a triangle [test_causal_only_fast_path]", {
  expect_causal_is_triangle(gqa_layer(), random_array(2, 6, 8))
})

test_that("flag and mask join [test_causal_only_with_other_mask_falls_back]", {
  expect_causal_joins_mask(gqa_layer(), random_array(2, 6, 8), scores = FALSE)
})

test_that(
  "no path forgets the causal flag [test_causal_only_masks_when_fused_path_disabled]",
  {
    x <- random_array(2, 6, 8)
    for (dropout in c(0, 0.1)) {
      layer <- gqa_layer(dropout = dropout)
      scores <- layer(x, x,
        use_causal_mask = TRUE, return_attention_scores = TRUE, training = FALSE
      )
      expect_support(scores[[2]], outer(1:6, 1:6, `>=`))
      expect_causal_is_triangle(layer, x)
    }
  }
)

test_that(
  "flag and mask join on both paths [test_compute_attention_combines_causal_and_explicit_mask]",
  {
    x <- random_array(2, 6, 8)
    expect_causal_joins_mask(gqa_layer(), x, scores = FALSE)
    expect_causal_joins_mask(gqa_layer(), x, scores = TRUE)
    expect_causal_joins_mask(gqa_layer(dropout = 0.1), x, scores = FALSE)
  }
)

test_that("windows are positive [test_sliding_window_validation]", {
  expect_attn_error(gqa_layer(sliding_window = 0), "argument", "sliding_window")
})

test_that("the config keeps the window [test_sliding_window_serialization]", {
  layer <- gqa_layer(sliding_window = 3)
  expect_equal(get_config(layer)$sliding_window, 3)
  expect_equal(layer$from_config(get_config(layer))$sliding_window, 3)
  expect_null(gqa_layer()$sliding_window)
})

test_that("the numbers known come out, flash attention off and on [test_correctness]", {
  for (flash in c(FALSE, TRUE)) {
    expect_identity_kernels(gqa_layer(8, 8, 8, flash_attention = flash))
  }
})

test_that(
  "flash attention has dropout and scores, unlike Keras's [test_flash_attention_with_errors]",
  {
    inputs <- list(random_array(2, 8, 16), random_array(2, 4, 16))
    expect_flash_agrees(gqa_layer, inputs, return_attention_scores = TRUE)
    with_dropout <- function(...) gqa_layer(dropout = 0.5, ...)
    expect_flash_agrees(with_dropout, inputs, training = TRUE)
    expect_flash_agrees(with_dropout, inputs, training = TRUE, return_attention_scores = TRUE)
  }
)
