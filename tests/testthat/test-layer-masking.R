test_that("steps of the mask value are hidden, and others stay", {
  set.seed(1)
  for (value in c(0, -1, 0.1)) {
    for (shape in list(c(3, 4), c(3, 4, 2), c(2, 3, 2, 2))) {
      x <- array(round(stats::rnorm(prod(shape)) * 64) / 64, shape)
      steps <- shape[-length(shape)]
      hidden <- array(stats::runif(prod(steps)) < 0.4, steps)
      rows <- matrix(x, ncol = shape[length(shape)])
      rows[hidden, ] <- value
      x <- array(rows, shape)
      rows[hidden, ] <- 0
      make <- function(...) layer_masking(mask_value = value, ...)
      expect_layer(make, x, function(x, w) array(rows, shape), mask = !hidden)
      expect_identical(make()$compute_mask(x), !hidden)
    }
  }
})

test_that("a step with another number is no padding, nor is NaN", {
  x <- rbind(c(0, 0, 1), c(0, 0, 0), c(0, NaN, 0))
  layer <- layer_masking()
  y <- layer(x)
  expect_identical(as.vector(get_keras_mask(y)), c(TRUE, FALSE, TRUE))
  expect_identical(set_keras_mask(y, NULL), x)
  expect_identical(as.vector(layer$compute_mask(x)), c(TRUE, FALSE, TRUE))
  older <- set_keras_mask(x, c(FALSE, TRUE, TRUE))
  expect_identical(get_keras_mask(layer(older)), get_keras_mask(y))
  expect_identical(as.vector(get_keras_mask(layer(matrix(c(0L, 1L, 0L, 0L), 2)))), c(FALSE, TRUE))
})

test_that("the mask reaches the layers behind it", {
  x <- array(c(1, 0, 2, 3, 0, 4), c(1, 3, 2))
  masking <- layer_masking()
  pool <- layer_global_average_pooling_1d()
  input <- keras_input(c(3, 2))
  model <- keras_model(input, pool(masking(input)))
  expect_identical(model(x), matrix(c((1 + 2) / 2, (3 + 4) / 2), 1))
})

test_that("the config is Keras's, and bad arguments are refused", {
  expect_config_fields(layer_masking(), "mask_value")
  for (bad in list("a", NULL, NA, NaN, c(1, 2))) {
    expect_attn_error(layer_masking(mask_value = bad), "argument", "mask_value")
  }
  expect_refused_input(layer_masking(), 1:3)
})
