test_that("nothing happens but in training", {
  set.seed(1)
  for (shape in list(5, c(3, 4), c(2, 3, 4))) {
    x <- round(array(stats::rnorm(prod(shape)), shape) * 64) / 64 # exact in float32
    expect_layer(function(...) layer_dropout(rate = 0.5, ...), x, function(x, w) x)
    layer <- layer_dropout(rate = 0.5)
    expect_identical(layer(x), x)
    expect_identical(layer(x, training = FALSE), x)
    expect_identical(layer_dropout(rate = 0)(x, training = TRUE), x)
    expect_identical(layer_dropout(rate = 1)(x, training = TRUE), x * 0 + 0)
  }
  expect_identical(layer_dropout(rate = 0.5)(matrix(1:4, 2)), matrix(c(1, 2, 3, 4), 2))
  mask <- matrix(c(TRUE, FALSE), 2, 3)
  masked <- set_keras_mask(array(1, c(2, 3, 4)), mask)
  expect_identical(get_keras_mask(layer(masked, training = TRUE)), mask)
  expect_identical(layer(masked), masked)
})

test_that("in training numbers are dropped at the rate, and the others grow", {
  x <- matrix(1, 200, 100)
  for (dtype in c("float32", "float64")) {
    for (rate in c(0.1, 0.5, 0.75)) {
      y <- layer_dropout(rate = rate, seed = 3, dtype = dtype)(x, training = TRUE)
      values <- sort(unique(as.vector(y)))
      expect_equal(values, c(0, 1 / (1 - rate)), tolerance = 1e-7)
      # four standard errors
      expect_lt(abs(mean(y == 0) - rate), 4 * sqrt(rate * (1 - rate) / length(x)))
    }
  }
})

test_that("decisions follow from the seed and the number of the call", {
  x <- matrix(1, 20, 10)
  a <- layer_dropout(rate = 0.5, seed = 1)
  b <- layer_dropout(rate = 0.5, seed = 1)
  first <- a(x, training = TRUE)
  expect_identical(b(x, training = TRUE), first)
  second <- a(x, training = TRUE)
  expect_false(identical(second, first))
  b(x) # no call in training
  expect_identical(b(x, training = TRUE), second)
  expect_false(identical(layer_dropout(rate = 0.5, seed = 2)(x, training = TRUE), first))
  saved <- unserialize(serialize(a, NULL))
  expect_identical(saved(x, training = TRUE), a(x, training = TRUE))
  set.seed(5)
  drawn <- layer_dropout(rate = 0.5)(x, training = TRUE)
  set.seed(5)
  expect_identical(layer_dropout(rate = 0.5)(x, training = TRUE), drawn)
})

test_that("in a model the call's `training` decides, unless the layer's own says otherwise", {
  x <- matrix(1, 8, 10)
  input <- keras_input(10)
  model <- keras_model(input, layer_dropout(rate = 0.5, seed = 1)(input))
  expect_identical(model(x), x)
  expect_identical(model(x, training = TRUE), layer_dropout(rate = 0.5, seed = 1)(x, training = TRUE))
  always <- keras_model(input, layer_dropout(rate = 0.5, seed = 1)(input, training = TRUE))
  expect_identical(always(x), layer_dropout(rate = 0.5, seed = 1)(x, training = TRUE))
})

test_that("a noise shape makes one decision for several numbers", {
  x <- array(1, c(6, 5, 8))
  y <- layer_dropout(rate = 0.5, noise_shape = c(NA, 1, NA), seed = 1)(x, training = TRUE)
  expect_identical(y, y[, rep(1, 5), ])
  expect_gt(length(unique(as.vector(y[, 1, ]))), 1)
  y <- layer_dropout(rate = 0.5, noise_shape = list(NULL, 5, 1), seed = 1)(x, training = TRUE)
  expect_identical(y, y[, , rep(1, 8)])
  expect_refused_input(layer_dropout(rate = 0.5, noise_shape = c(NA, 1)), x)
  expect_refused_input(layer_dropout(rate = 0.5, noise_shape = c(NA, 2, 1)), x)
  expect_refused_input(layer_dropout(rate = 0.5, noise_shape = c(2, 1, 1)), x)
})

test_that("the config is Keras's, and bad arguments are refused", {
  layer <- layer_dropout(rate = 0.25, noise_shape = c(NA, 1), seed = 7)
  expect_config_fields(layer, c("rate", "seed", "noise_shape"))
  expect_identical(get_config(layer)$noise_shape, list(NULL, 1L))
  copy <- from_config(list(class_name = "Dropout", config = get_config(layer)))
  expect_identical(get_config(copy), get_config(layer))
  x <- matrix(1, 4, 5)
  expect_identical(copy(x, training = TRUE), layer(x, training = TRUE))
  expect_length(get_weights(layer), 0)
  for (bad in list(-0.1, 1.1, NULL, "a", NaN)) {
    expect_attn_error(layer_dropout(rate = bad), "argument", "rate")
  }
  expect_attn_error(layer_dropout(), "argument", "rate")
  for (bad in list("a", 0, numeric(), c(1, -1), 1.5)) {
    expect_attn_error(layer_dropout(rate = 0.5, noise_shape = bad), "argument", "noise_shape")
  }
  expect_attn_error(layer_dropout(rate = 0.5, seed = 1.5), "argument", "seed")
})
