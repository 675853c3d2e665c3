test_that("numbers are scaled and shifted", {
  set.seed(1)
  for (shape in list(5, c(3, 4), c(2, 3, 4))) {
    x <- array(stats::rnorm(prod(shape)), shape)
    make <- function(...) layer_rescaling(scale = 1 / 127.5, offset = -1, ...)
    expect_layer(make, x, function(x, w) x / 127.5 - 1)
  }
  expect_near(layer_rescaling(c(0L, 255L), scale = 1 / 255), array(c(0, 1)), "float32", "integers")
  mask <- matrix(c(TRUE, FALSE), 2, 3)
  masked <- set_keras_mask(array(1, c(2, 3, 4)), mask)
  expect_identical(get_keras_mask(layer_rescaling(masked, scale = 2)), mask)
})

test_that("each place of the last axis may have its own numbers", {
  set.seed(1)
  x <- array(stats::rnorm(2 * 3 * 4), c(2, 3, 4))
  scale <- c(1, -2, 3, 0.5)
  offset <- c(0, 1, 2, 3)
  along <- function(v) broadcast_to(array(v, c(1, 1, 4)), dim(x))
  expect_layer(function(...) layer_rescaling(scale = scale, offset = offset, ...), x,
    function(x, w) x * along(scale) + along(offset)
  )
  expect_layer(function(...) layer_rescaling(scale = scale, offset = 2, ...), x,
    function(x, w) x * along(scale) + 2
  )
  expect_layer(function(...) layer_rescaling(scale = 3, offset = offset, ...), x,
    function(x, w) 3 * x + along(offset)
  )
  expect_refused_input(layer_rescaling(scale = scale), matrix(1, 4, 3), "scale")
  expect_refused_input(layer_rescaling(scale = 1, offset = scale), matrix(1, 4, 3), "offset")
})

test_that("the config is Keras's, and bad arguments are refused", {
  layer <- layer_rescaling(scale = 2)
  expect_config_fields(layer, c("scale", "offset"))
  expect_identical(get_config(layer)$scale, 2)
  numpy <- list(class_name = "__numpy__", config = list(value = list(1, 2), dtype = "float32"))
  expect_identical(layer_rescaling(scale = numpy)$scale, c(1, 2))
  for (bad in list("a", NULL, NA, Inf, numeric(), list("a"), list(), matrix(1, 2, 2))) {
    expect_attn_error(layer_rescaling(scale = bad), "argument", "scale")
    expect_attn_error(layer_rescaling(scale = 1, offset = bad), "argument", "offset")
  }
  expect_attn_error(layer_rescaling(), "argument", "scale")
})
