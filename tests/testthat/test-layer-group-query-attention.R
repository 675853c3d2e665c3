test_that("every bad value gives a classed error", {
  for (argument in c("head_dim", "num_query_heads", "num_key_value_heads")) {
    for (value in list(NULL, NA, NaN, Inf, -1, 0, 1.5, 2^31, "a", TRUE, list(1), c(1, 2))) {
      given <- stats::setNames(list(value), argument)
      expect_attn_error(do.call(make_gqa, given), "argument", argument)
    }
  }
  expect_attn_error(make_gqa(num_key_value_heads = 3), "argument", "num_key_value_heads")
  expect_attn_error(make_gqa(dropout = 2), "argument", "dropout")
  expect_attn_error(make_gqa(sliding_window = 0), "argument", "sliding_window")
  expect_attn_error(make_gqa(foo = 0), "argument", "foo")
  expect_attn_error(
    layer_group_query_attention(num_query_heads = 2, num_key_value_heads = 1),
    "argument", "head_dim"
  )
})

test_that("groups of query heads share keys and values", {
  query <- random_array(2, 3, 5)
  value <- random_array(2, 4, 5)
  key <- random_array(2, 4, 7)
  for (heads in list(c(4, 2), c(4, 1), c(3, 3), c(6, 2))) {
    for (gate in c(TRUE, FALSE)) {
      layer <- make_gqa(num_query_heads = heads[1], num_key_value_heads = heads[2],
        use_gate = gate, dtype = "float64", bias_initializer = "random_normal"
      )
      mask <- array(stats::runif(24) < 0.7, c(2, 1, 3, 4))
      for (scores in c(TRUE, FALSE)) {
        expected <- oracle_heads(layer$build(dim(query), dim(value), dim(key)),
          query, value, key,
          visible = mask, dead_row = if (scores) "zero" else "mean"
        )
        got <- layer(query, value, key, attention_mask = mask, return_attention_scores = scores)
        output <- if (scores) got[[1]] else got
        expect_equal(output, expected$output, tolerance = 1e-12)
        if (scores) {
          expect_equal(plain(got[[2]]), expected$scores, tolerance = 1e-12)
        }
      }
    }
  }
})

test_that("with as many key heads as query heads it is multi-head attention", {
  x <- random_array(2, 3, 6)
  gqa <- make_gqa(num_key_value_heads = 4, dtype = "float64")
  mha <- layer_multi_head_attention(num_heads = 4, key_dim = 3, dtype = "float64")
  gqa$build(dim(x), dim(x))
  mha$build(dim(x), dim(x))
  set_weights(mha, get_weights(gqa))
  expect_identical(gqa(x, x, use_causal_mask = TRUE), mha(x, x, use_causal_mask = TRUE))
})

test_that("only inputs of three dims are taken", {
  layer <- make_gqa()
  expect_attn_error(layer(random_array(2, 3, 3, 4), random_array(2, 3, 3, 4)), "shape")
  expect_attn_error(layer(random_array(2, 4), random_array(2, 4)), "shape")
  expect_attn_error(layer$build(c(2, 3, 3, 4), c(2, 3, 3, 4)), "shape")
  # Arrays may have different widths, symbols and shapes not, as in Keras.
  expect_identical(dim(layer(random_array(2, 3, 4), random_array(2, 3, 5))), c(2L, 3L, 4L))
  expect_attn_error(make_gqa()(keras_input(c(3, 4)), keras_input(c(3, 5))), "shape")
})
