test_that("the numbers of Keras's own tests come out", {
  q <- array(c(1, 0, 0, 1), c(1, 2, 2))
  v <- array(c(1, 3, 2, 4), c(1, 2, 2))
  k <- array(c(0, 1, 1, 0), c(1, 2, 2))
  result <- layer_additive_attention(use_scale = FALSE)(
    list(q, v, k),
    return_attention_scores = TRUE
  )
  expect_equal(result[[1]][1, , ], rbind(c(1.727, 2.727), c(2.272, 3.272)), tolerance = 1e-3)
  expect_equal(plain(result[[2]])[1, , ], rbind(c(.636, .363), c(.363, .636)), tolerance = 1e-2)
})

test_that("the scale weighs the features", {
  query <- random_array(1, 3, 4)
  value <- random_array(1, 5, 6)
  key <- random_array(1, 5, 4)
  layer <- layer_additive_attention(dtype = "float64")
  result <- layer(list(query, value, key), return_attention_scores = TRUE)
  scale <- as.vector(layer$scale)
  logits <- outer(1:3, 1:5, Vectorize(function(t, s) {
    sum(scale * tanh(query[1, t, ] + key[1, s, ]))
  }))
  weights <- exp(logits) / rowSums(exp(logits))
  expect_equal(plain(result[[2]])[1, , ], weights, tolerance = 1e-12)
  expect_equal(result[[1]][1, , ], weights %*% value[1, , ], tolerance = 1e-12)
})

test_that("the scale starts with glorot_uniform of its one axis", {
  layer <- layer_additive_attention()
  layer$build(c(NA, 3, 2000), c(NA, 3, 2000))
  limit <- sqrt(3 / 2000)
  expect_lte(max(abs(layer$scale)), limit + 1e-8)
  expect_gt(max(abs(layer$scale)), 0.9 * limit)
})

test_that("score_mode is validated, without effect and warned of", {
  for (mode in c("dot", "concat")) {
    expect_warning(
      layer <- layer_additive_attention(score_mode = mode),
      class = "attn_warning"
    )
    expect_false("score_mode" %in% names(get_config(layer)))
  }
  expect_attn_error(layer_additive_attention(score_mode = "foo"), "argument", "score_mode")
})

test_that("seed and the other arguments come through the dots", {
  layer <- layer_additive_attention(seed = 3, name = "d", dtype = "float64", trainable = FALSE)
  expect_identical(list(layer$seed, layer$name, layer$dtype, layer$trainable), list(
    3L, "d", "float64", FALSE
  ))
  expect_attn_error(layer_additive_attention(foo = 1), "argument", "foo")
  expect_attn_error(layer_additive_attention(seed = "a"), "argument", "seed")
  for (value in list(NULL, NA, 1, "a")) {
    expect_attn_error(layer_additive_attention(use_scale = value), "argument", "use_scale")
  }
})

test_that("a scale fixes the width, without one there is none to fix", {
  x <- random_array(1, 3, 4)
  y <- random_array(1, 3, 5)
  layer <- layer_additive_attention()
  layer(list(x, x))
  expect_attn_error(layer(list(y, y)), "shape", "query")
  free <- layer_additive_attention(use_scale = FALSE)
  free(list(x, x))
  expect_identical(dim(free(list(y, y))), c(1L, 3L, 5L))
})

test_that("dropout acts in training", {
  x <- random_array(1, 8, 4)
  layer <- layer_additive_attention(dropout = 0.5, seed = 1)
  expect_identical(layer(list(x, x)), layer(list(x, x), training = FALSE))
  expect_false(identical(layer(list(x, x), training = TRUE), layer(list(x, x))))
})
