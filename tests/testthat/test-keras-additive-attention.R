# What Keras's additive_attention_test.py asserts.

test_that("run_layer_test holds with scale and dropout [test_attention_basics]", {
  expect_layer_test("AdditiveAttention", list(use_scale = TRUE, dropout = 0.5),
    list(c(2, 3, 4), c(2, 4, 4)), c(2, 3, 4),
    n_weights = 1, dropout = TRUE
  )
})

test_that("run_layer_test holds with dropout and no scale [test_attention_basics]", {
  expect_layer_test("AdditiveAttention", list(use_scale = FALSE, dropout = 0.5),
    list(c(2, 3, 4), c(2, 4, 4)), c(2, 3, 4),
    n_weights = 0, dropout = TRUE
  )
})

test_that("the numbers known come out [test_attention_correctness]", {
  result <- layer_additive_attention(use_scale = FALSE)(
    keras_small_inputs(),
    return_attention_scores = TRUE
  )
  expect_lte(max(abs(result[[1]][1, , ] - rbind(c(1.727, 2.727), c(2.272, 3.272)))), 1e-3)
  expect_lte(max(abs(plain(result[[2]])[1, , ] - rbind(c(0.636, 0.363), c(0.363, 0.636)))), 1e-3)
})

test_that("the query mask empties rows, not scores [test_attention_with_mask]", {
  inputs <- keras_small_inputs()
  inputs[[2]] <- array(1, c(1, 2, 2))
  mask <- matrix(c(TRUE, FALSE), 1)
  layer <- layer_additive_attention(use_scale = FALSE)
  result <- layer(inputs, mask = list(mask, mask), return_attention_scores = TRUE)
  expect_equal(plain(result[[1]])[1, , ], rbind(c(1, 1), c(0, 0)))
  expect_equal(plain(result[[2]])[1, , ], rbind(c(1, 0), c(1, 0)))
})

test_that("inputs and masks must be lists of the right length [test_attention_errors]", {
  layer <- layer_additive_attention()
  x <- array(1, c(1, 2, 2))
  expect_attn_error(layer(x), "argument", "must be a list")
  expect_attn_error(layer(list(x, x, x, x)), "argument", "length 2 or 3")
  expect_attn_error(layer(list(x, x), mask = matrix(TRUE, 1, 2)), "argument", "`mask`.*list")
  expect_attn_error(layer(list(x, x), mask = list(matrix(TRUE, 1, 2))), "argument", "length 2 or 3")
  expect_false(layer$built)
})
