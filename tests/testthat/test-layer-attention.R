test_that("masks and inputs given by name take their places, and a missing value is an error", {
  x <- array(sin(1:24), c(2, 3, 4))
  query_mask <- matrix(c(TRUE, TRUE, TRUE, FALSE, TRUE, TRUE), 2)
  value_mask <- matrix(c(TRUE, FALSE, TRUE, TRUE, TRUE, TRUE), 2)
  layer <- layer_attention()
  expected <- layer(list(x, x), mask = list(query_mask, value_mask))
  expect_identical(
    layer(list(x, x), mask = list(value = value_mask, query = query_mask)), expected
  )
  expect_identical(
    layer(list(x, x), mask = list(value_mask = value_mask, query_mask = query_mask)), expected
  )
  expect_attn_error(layer(list(x, x), mask = list(a = query_mask, b = value_mask)), "argument")
  expect_attn_error(layer_attention(list(x, NULL, x)), "argument")
  expect_identical(layer_attention(list(x, x, NULL)), layer(list(x, x)))
})

test_that("the numbers of Keras's own tests come out", {
  q <- tiny_inputs()[[1]]
  v <- tiny_inputs()[[2]]
  k <- tiny_inputs()[[3]]
  dot <- layer_attention()(list(q, v, k), return_attention_scores = TRUE)
  expect_equal(dot[[1]][1, , ], rbind(c(2.462, 3.462), c(1.538, 2.538)), tolerance = 1e-3)
  expect_equal(plain(dot[[2]])[1, , ], rbind(c(.269, .731), c(.731, .269)), tolerance = 1e-3)
  concat <- layer_attention(score_mode = "concat")(list(q, v, k), return_attention_scores = TRUE)
  expect_equal(concat[[1]][1, , ], rbind(c(1.727, 2.727), c(2.272, 3.272)), tolerance = 1e-3)
})

test_that("every bad value gives a classed error", {
  for (value in list(NULL, NA, 1, "a", c(TRUE, FALSE))) {
    expect_attn_error(layer_attention(use_scale = value), "argument", "use_scale")
  }
  for (value in list(NULL, NA, 1, "foo", c("dot", "concat"), TRUE)) {
    expect_attn_error(layer_attention(score_mode = value), "argument", "score_mode")
  }
  for (value in list(NULL, NA, NaN, -0.1, 1.5, "a")) {
    expect_attn_error(layer_attention(dropout = value), "argument", "dropout")
  }
  expect_attn_error(layer_attention(seed = "a"), "argument", "seed")
  expect_attn_error(layer_attention(foo = 1), "argument", "foo")
})

test_that("inputs are a list of two or three, by position or name", {
  q <- tiny_inputs()[[1]]
  v <- tiny_inputs()[[2]]
  k <- tiny_inputs()[[3]]
  layer <- layer_attention(dtype = "float64")
  expect_identical(layer(list(query = q, key = k, value = v)), layer(list(q, v, k)))
  for (bad in list(q, NULL, list(), list(q), list(q, v, k, k), "a", list(query = q, foo = v),
    list(q, "a"), list(q, NULL), data.frame(a = 1:2, b = 1:2))) {
    expect_attn_error(layer(bad), "argument")
  }
  expect_identical(layer(list(q, v, NULL)), layer(list(q, v)))
})

test_that("the query mask empties rows and is the output's, the value mask hides keys", {
  q <- tiny_inputs()[[1]]
  v <- tiny_inputs()[[2]]
  k <- tiny_inputs()[[3]]
  ones <- array(1, c(1, 2, 2))
  masks <- list(matrix(c(TRUE, FALSE), 1), matrix(c(TRUE, FALSE), 1))
  result <- layer_attention()(list(q, ones, k), mask = masks, return_attention_scores = TRUE)
  expect_equal(plain(result[[1]])[1, , ], rbind(c(1, 1), c(0, 0)))
  expect_equal(plain(result[[2]])[1, , ], rbind(c(1, 0), c(1, 0)))
  expect_identical(get_keras_mask(result[[1]]), masks[[1]])
  # A third mask is not used; NULL stands for none.
  layer <- layer_attention()
  expect_identical(
    layer(list(q, v, k), mask = c(masks, list("a"))), layer(list(q, v, k), mask = masks)
  )
  expect_identical(layer(list(q, v), mask = list(NULL, NULL)), layer(list(q, v)))
})

test_that("attached masks are used when none is given, and only then", {
  q <- tiny_inputs()[[1]]
  v <- tiny_inputs()[[2]]
  layer <- layer_attention()
  rows <- matrix(c(TRUE, FALSE), 1)
  masked <- list(set_keras_mask(q, rows), set_keras_mask(v, rows))
  expect_identical(layer(masked), layer(list(q, v), mask = list(rows, rows)))
  expect_identical(layer(masked, mask = list(NULL, NULL)), layer(list(q, v)))
})

test_that("masks that do not fit are classed errors", {
  layer <- layer_attention()
  x <- random_array(2, 3, 4)
  for (bad in list(matrix(TRUE, 2, 4), array(TRUE, c(2, 3, 3, 3)), rep(TRUE, 2))) {
    expect_attn_error(layer(list(x, x), mask = list(NULL, bad)), "shape", "value mask")
    expect_attn_error(layer(list(x, x), mask = list(bad, NULL)), "shape", "query mask")
  }
  for (bad in list("a", NA, list(TRUE), matrix(NA, 2, 3), factor("a"))) {
    expect_attn_error(layer(list(x, x), mask = list(NULL, bad)), "argument", "mask")
  }
  for (bad in list(TRUE, matrix(TRUE, 2, 3), list(), list(NULL), as.list(1:4), "a")) {
    expect_attn_error(layer(list(x, x), mask = bad), "argument", "mask")
  }
})

test_that("masks are aligned at their last dims", {
  x <- random_array(2, 3, 4)
  layer <- layer_attention(dtype = "float64")
  keys <- c(TRUE, FALSE, TRUE)
  every <- matrix(keys, 2, 3, byrow = TRUE)
  expect_identical(
    layer(list(x, x), mask = list(NULL, keys)), layer(list(x, x), mask = list(NULL, every))
  )
  # With further batch axes the mask's own batch axis meets the last of them.
  y <- random_array(5, 2, 3, 4)
  deep <- layer(list(y, y), mask = list(NULL, rbind(keys, TRUE)))
  alone <- layer(list(y[3, , , ], y[3, , , ]), mask = list(NULL, rbind(keys, TRUE)))
  expect_equal(deep[3, , , ], alone, tolerance = 1e-12)
})

test_that("inputs may have more batch axes", {
  x <- random_array(2, 8, 6, 4)
  result <- layer_attention()(list(x, x), return_attention_scores = TRUE)
  expect_identical(dim(result[[1]]), c(2L, 8L, 6L, 4L))
  expect_identical(dim(result[[2]]), c(2L, 8L, 6L, 6L))
})

test_that("a built layer takes other shapes, as it has no weight for them", {
  layer <- layer_attention(use_scale = TRUE, score_mode = "concat", dtype = "float64")
  x <- random_array(2, 3, 4)
  layer(list(x, x))
  y <- random_array(1, 2, 5, 6)
  fresh <- layer_attention(use_scale = TRUE, score_mode = "concat", dtype = "float64")
  expect_identical(layer(list(y, y)), fresh(list(y, y)))
})

test_that("dropout changes output and scores in training", {
  x <- random_array(2, 6, 4)
  layer <- layer_attention(dropout = 0.4, seed = 1)
  still <- layer(list(x, x), return_attention_scores = TRUE)
  expect_identical(layer(list(x, x), return_attention_scores = TRUE, training = NULL), still)
  moved <- layer(list(x, x), return_attention_scores = TRUE, training = TRUE)
  expect_false(identical(moved[[1]], still[[1]]))
  ratio <- plain(moved[[2]]) / plain(still[[2]])
  expect_true(all(abs(ratio) < 1e-6 | abs(ratio - 1 / 0.6) < 1e-5))
  expect_identical(
    layer_attention(dropout = 0.4, seed = 1)(list(x, x), training = TRUE), moved[[1]]
  )
})

test_that("scale and concat_score_weight multiply", {
  q <- tiny_inputs()[[1]]
  v <- tiny_inputs()[[2]]
  k <- tiny_inputs()[[3]]
  layer <- layer_attention(use_scale = TRUE, dtype = "float64")
  layer(list(q, v, k))
  set_weights(layer, list(2))
  expect_equal(layer(list(q, v, k)), layer_attention(dtype = "float64")(list(2 * q, v, k)))
})

test_that("all weights of a row that sees nothing but -Inf are NaN, with and without tiles", {
  ones <- array(1, c(1, 300, 1))
  key <- array(c(-Inf, rep(1, 299)), c(1, 300, 1))
  on.exit(config_enable_flash_attention())
  for (enable in c(config_enable_flash_attention, config_disable_flash_attention)) {
    enable()
    scores <- plain(layer_attention()(
      list(ones, ones, key),
      use_causal_mask = TRUE, return_attention_scores = TRUE
    )[[2]])
    expect_true(all(is.nan(scores[1, 1, ])))
    expect_equal(rowSums(scores[1, -1, ]), rep(1, 299), tolerance = 1e-6)
  }
})

test_that("a key that is the very array of the query is as one that is its copy", {
  set.seed(1)
  query <- array(stats::rnorm(24), c(2, 3, 4))
  value <- array(stats::rnorm(24), c(2, 3, 4))
  copy <- query + 0
  expect_identical(
    layer_attention(list(query, value, query)), layer_attention(list(query, value, copy))
  )
})
