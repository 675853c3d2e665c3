# What Keras's multi_head_attention_test.py asserts. See README.md for what is not here.

mha_layer <- function(num_heads = 2, key_dim = 4, ...) {
  layer_multi_head_attention(num_heads = num_heads, key_dim = key_dim, ...)
}

mha_shapes <- list(c(2, 8, 16), c(2, 4, 16))

test_that("run_layer_test holds [test_basics]", {
  expect_layer_test("MultiHeadAttention", list(num_heads = 2, key_dim = 2),
    mha_shapes, c(2, 8, 16),
    n_weights = 8
  )
})

test_that("run_layer_test holds with value_dim, dropout and no bias [test_basics]", {
  expect_layer_test("MultiHeadAttention",
    list(num_heads = 2, key_dim = 2, value_dim = 4, use_bias = FALSE, dropout = 0.5),
    mha_shapes, c(2, 8, 16),
    n_weights = 4, dropout = TRUE
  )
})

test_that("run_layer_test holds with a gate [test_basics]", {
  expect_layer_test("MultiHeadAttention", list(num_heads = 2, key_dim = 2, use_gate = TRUE),
    mha_shapes, c(2, 8, 16),
    n_weights = 10
  )
  expect_layer_test("MultiHeadAttention",
    list(
      num_heads = 2, key_dim = 2, value_dim = 4, use_bias = FALSE, dropout = 0.5, use_gate = TRUE
    ),
    mha_shapes, c(2, 8, 16),
    n_weights = 5, dropout = TRUE
  )
})

test_that("flash attention passes the basics in our dtypes [test_basics_with_flash_attention]", {
  expect_layer_test("MultiHeadAttention",
    list(num_heads = 2, key_dim = 8, flash_attention = TRUE),
    mha_shapes, c(2, 8, 16),
    n_weights = 8
  )
})

test_that("inputs may have more axes [test_high_dim_attention]", {
  cases <- list(
    list(c(3, 4), c(3, 2), 2, c(4, 2)),
    list(c(3, 4), c(3, 2), 2, c(2, 3, 4, 2)),
    list(c(3, 4), c(3, 2), c(1, 2), c(3, 4, 3, 2)),
    list(c(3, 4), c(3, 3), c(1, 2), c(3, 4, 3, 3)),
    list(c(5, 3, 4), c(5, 3, 2), c(2, 3), c(3, 4, 3, 2)),
    list(c(5, 3, 4), c(5, 3, 2), c(2, 3), c(2, 5, 3, 4, 3, 2))
  )
  for (case in cases) {
    for (gate in c(FALSE, TRUE)) {
      query_shape <- c(2, case[[1]], 8)
      layer_config <- list(
        num_heads = 2, key_dim = 2, attention_axes = case[[3]], use_gate = gate
      )
      expect_layer_test("MultiHeadAttention", layer_config,
        list(query_shape, c(2, case[[2]], 8)), query_shape,
        n_weights = if (gate) 10 else 8
      )
    }
    # The masks that Keras lists for these shapes and does not use.
    query <- random_array(2, case[[1]], 8)
    value <- random_array(2, case[[2]], 8)
    layer <- mha_layer(2, 2, attention_axes = case[[3]])
    all_seen <- layer(query, value, attention_mask = array(TRUE, case[[4]]))
    expect_equal(all_seen, layer(query, value), tolerance = 1e-6)
  }
})

test_that("axes may be counted from the end [test_attention_axes_negative_indexing]", {
  x <- random_array(2, 3, 5, 8)
  for (gate in c(FALSE, TRUE)) {
    results <- lapply(c(2, -2), function(axis) {
      layer <- mha_layer(2, 4,
        attention_axes = axis, use_gate = gate,
        kernel_initializer = initializer_glorot_uniform(seed = 1)
      )
      layer(x, x, return_attention_scores = TRUE)
    })
    expect_identical(results[[1]], results[[2]])
  }
})

test_that("compute_output_shape() foretells the result's [test_compute_output_shape]", {
  cases <- list(
    list(c(2, 3, 16), c(2, 5, 16), NULL, NULL),
    list(c(2, 3, 16), c(2, 5, 24), NULL, NULL),
    list(c(2, 3, 16), c(2, 5, 24), c(2, 5, 12), NULL),
    list(c(2, 3, 16), c(2, 5, 24), c(2, 5, 12), c(3, 4)),
    list(c(2, 3, 16), c(2, 5, 24), NULL, c(1, 5)),
    list(c(2, 3, 4, 16), c(2, 3, 5, 24), c(2, 3, 5, 12), NULL),
    list(c(2, 3, 4, 2, 16), c(2, 3, 4, 2, 24), NULL, c(3, 2))
  )
  for (case in cases) {
    shapes <- case[1:3]
    layer <- mha_layer(3, 2, value_dim = 5, output_shape = case[[4]],
      attention_axes = length(shapes[[1]]) - 2
    )
    given <- shapes[!vapply(shapes, is.null, NA)]
    out <- if (is.null(case[[4]])) shapes[[1]] else c(head(shapes[[1]], -1), case[[4]])
    foretold <- do.call(layer$compute_output_shape, given)
    expect_identical(foretold, as.integer(out))
    expect_identical(do.call(layer$compute_output_shape, lapply(given, as.list)), foretold)
    expect_identical(dim(do.call(layer, lapply(given, random_array))), foretold)
  }
})

test_that("value and key must be alike [test_shape_mismatch_error]", {
  cases <- list(
    list(c(2, 4, 8), c(2, 2, 8), c(2, 1, 7)),
    list(c(2, 4, 8), c(2, 2, 8), c(3, 2, 7)),
    list(c(2, 4, 5, 8), c(2, 4, 3, 8), c(2, 4, 2, 7))
  )
  for (case in cases) {
    layer <- mha_layer(num_heads = 4, attention_axes = length(case[[1]]) - 2)
    expect_attn_error(do.call(layer$compute_output_shape, case), "shape", "`key_shape`")
    expect_attn_error(do.call(layer, lapply(case, random_array)), "shape", "`key`")
    expect_false(layer$built)
  }
})

test_that("sizes are positive whole numbers [test_invalid_scalar_args_rejected]", {
  for (argument in c("num_heads", "key_dim", "value_dim")) {
    for (value in list(0, -2, 1.5)) {
      arguments <- list(num_heads = 2, key_dim = 2, value_dim = 2)
      arguments[[argument]] <- value
      error <- expect_attn_error(
        do.call(layer_multi_head_attention, arguments), "argument", argument
      )
      expect_identical(error$argument, argument)
    }
  }
  expect_equal(mha_layer(2, 3, value_dim = NULL)$value_dim, 3)
})

test_that("each kernel is drawn anew [test_initializer]", {
  expect_kernels_differ(mha_layer(4, 4,
    kernel_initializer = initializer_truncated_normal(stddev = 0.02), use_gate = TRUE
  ))
})

test_that("the query's mask is the output's [test_query_mask_propagation]", {
  data <- padded_inputs()
  layer <- mha_layer()
  expect_true(layer$supports_masking)
  output <- layer(set_keras_mask(data$query, data$query_mask), data$value)
  expect_identical(get_keras_mask(output), data$query_mask)
})

test_that("attached masks act as an explicit one [test_masking]", {
  set.seed(1)
  for (causal in c(TRUE, FALSE)) {
    expect_implicit_is_explicit(mha_layer(), causal)
    expect_implicit_is_explicit(mha_layer(), causal, as_integer = TRUE)
  }
})

test_that("masks of any rank say the same [test_masking_with_different_shapes]", {
  x <- random_array(2, 4, 8)
  y <- random_array(2, 3, 8)
  band <- matrix(as.numeric(outer(1:4, 1:3, `>=`)), 4, 3)
  layer <- mha_layer(num_heads = 3)
  expected <- layer(x, y, attention_mask = band)
  for (shape in list(c(2, 4, 3), c(2, 3, 4, 3))) {
    mask <- broadcast_to(band, shape)
    expect_identical(layer(x, y, attention_mask = mask), expected)
    scores <- layer(x, y, attention_mask = mask, return_attention_scores = TRUE)
    expect_equal(scores[[1]], expected, tolerance = 1e-6)
  }
  expect_gt(max(abs(expected - layer(x, y))), 1e-3)
})

test_that("attached masks cause no warning [test_no_warning_with_keras_mask]", {
  data <- padded_inputs()
  query <- set_keras_mask(data$query, data$query_mask)
  value <- set_keras_mask(data$value, data$value_mask)
  expect_silent(output <- mha_layer()(query, value))
  expect_identical(dim(output), dim(data$query))
})

test_that("a window hides far keys [test_sliding_window]", {
  x <- random_array(2, 7, 8)
  apart <- outer(1:7, 1:7, `-`)
  layer <- mha_layer(sliding_window = 3)
  causal <- layer(x, x, use_causal_mask = TRUE, return_attention_scores = TRUE)
  expect_support(causal[[2]], apart >= 0 & apart < 3)
  both_sides <- layer(x, x, return_attention_scores = TRUE)
  expect_support(both_sides[[2]], abs(apart) < 3)
})

test_that("the causal flag is a triangle [test_causal_only_fast_path]", {
  expect_causal_is_triangle(mha_layer(), random_array(2, 6, 8))
})

test_that("flag and mask join [test_causal_only_with_other_mask_falls_back]", {
  expect_causal_joins_mask(mha_layer(), random_array(2, 6, 8), scores = FALSE)
})

test_that(
  "no path forgets the causal flag [test_causal_only_masks_when_fused_path_disabled]",
  {
    x <- random_array(2, 6, 8)
    triangle <- outer(1:6, 1:6, `>=`)
    for (dropout in c(0, 0.1)) {
      layer <- mha_layer(dropout = dropout)
      scores <- layer(x, x,
        use_causal_mask = TRUE, return_attention_scores = TRUE, training = FALSE
      )
      expect_support(scores[[2]], triangle)
      expect_causal_is_triangle(layer, x)
    }
  }
)

test_that("nor do inputs of four dims [test_causal_only_masks_non_4d_inputs]", {
  x <- random_array(2, 5, 3, 8)
  layer <- mha_layer(attention_axes = 1)
  result <- layer(x, x, use_causal_mask = TRUE, return_attention_scores = TRUE)
  expect_identical(dim(result[[2]]), c(2L, 3L, 2L, 5L, 5L))
  expect_support(result[[2]], outer(1:5, 1:5, `>=`))
  expect_equal(layer(x, x, use_causal_mask = TRUE), result[[1]], tolerance = 1e-6)
})

test_that(
  "flag and mask join on both paths [test_compute_attention_combines_causal_and_explicit_mask]",
  {
    x <- random_array(2, 6, 8)
    expect_causal_joins_mask(mha_layer(), x, scores = FALSE)
    expect_causal_joins_mask(mha_layer(), x, scores = TRUE)
    expect_causal_joins_mask(mha_layer(dropout = 0.1), x, scores = FALSE)
  }
)

test_that("windows are positive [test_sliding_window_validation]", {
  for (window in c(0, -3)) {
    expect_attn_error(mha_layer(sliding_window = window), "argument", "sliding_window")
  }
})

test_that("the config keeps the window [test_sliding_window_serialization]", {
  layer <- mha_layer(sliding_window = 3)
  expect_equal(get_config(layer)$sliding_window, 3)
  expect_equal(layer$from_config(get_config(layer))$sliding_window, 3)
  expect_null(mha_layer()$sliding_window)
})

test_that("the numbers known come out, flash attention off and on [test_correctness]", {
  for (flash in c(FALSE, TRUE)) {
    expect_identity_kernels(mha_layer(8, 8, flash_attention = flash))
  }
})

test_that("constraints sit on every projection [test_mha_constraints]", {
  layer <- mha_layer(
    use_gate = TRUE, kernel_constraint = "non_neg", bias_constraint = "non_neg"
  )
  layer$build(c(NA, 5, 8), c(NA, 5, 8))
  for (name in c("query_dense", "key_dense", "value_dense", "gate_dense")) {
    dense <- layer[[name]]
    expect_true(any(dense$kernel < 0))
    expect_identical(dense$kernel_constraint(dense$kernel), pmax(dense$kernel, 0))
    expect_identical(dense$bias_constraint(dense$bias - 1), 0 * dense$bias)
  }
})

test_that("symbols have the shapes of arrays [test_symbolic_return_attention_scores]", {
  for (config in list(list(2, 4), list(3, 2, value_dim = 5, use_gate = TRUE))) {
    layer <- do.call(mha_layer, config)
    symbolic <- layer(
      keras_input(c(8, 16)), keras_input(c(8, 16)),
      return_attention_scores = TRUE
    )
    x <- random_array(3, 8, 16)
    eager <- layer(x, x, return_attention_scores = TRUE)
    expect_length(symbolic, 2)
    for (part in 1:2) {
      expect_identical(dim(symbolic[[part]])[-1], dim(eager[[part]])[-1])
    }
    # Keras says (B, N, T, T) whatever the keys; here it is what a call gives.
    y <- random_array(3, 5, 16)
    uneven <- layer(keras_input(c(8, 16)), keras_input(c(5, 16)), return_attention_scores = TRUE)
    eager <- layer(x, y, return_attention_scores = TRUE)
    expect_identical(dim(uneven[[2]])[-1], dim(eager[[2]])[-1])
  }
})

test_that(
  "flash attention has dropout and scores, unlike Keras's [test_flash_attention_with_errors]",
  {
    inputs <- list(random_array(2, 8, 16), random_array(2, 4, 16))
    expect_flash_agrees(mha_layer, inputs, return_attention_scores = TRUE)
    with_dropout <- function(...) mha_layer(dropout = 0.5, ...)
    expect_flash_agrees(with_dropout, inputs, training = TRUE)
    expect_flash_agrees(with_dropout, inputs, training = TRUE, return_attention_scores = TRUE)
  }
)

test_that("output_shape may be one number [test_multi_head_attention_output_shape_as_int]", {
  x <- random_array(2, 4, 8)
  expect_identical(dim(mha_layer(2, 16, output_shape = 8L)(x, x)), c(2L, 4L, 8L))
  expect_identical(dim(mha_layer(2, 16, output_shape = 7)(x, x)), c(2L, 4L, 7L))
})

test_that("output_shape may be several [test_multi_head_attention_output_shape_as_tuple]", {
  x <- random_array(2, 4, 8)
  expect_identical(dim(mha_layer(2, 16, output_shape = c(8, 8))(x, x)), c(2L, 4L, 8L, 8L))
  expect_identical(dim(mha_layer(2, 16, output_shape = list(8, 8))(x, x)), c(2L, 4L, 8L, 8L))
})

test_that("output_shape is whole [test_multi_head_attention_output_shape_error]", {
  # In R 8 is a double, so it is no error as Keras's 8.0 is.
  for (shape in list(8.5, "8", c(8, 1.5))) {
    expect_attn_error(mha_layer(2, 16, output_shape = shape), "argument", "output_shape")
  }
})
