# By the definition, over axes counted from 1. The weights have the dims of the axes in
# ascending order.
normalize_over <- function(x, axes, epsilon, gamma = NULL, beta = NULL, rms = FALSE,
                           centered = TRUE) {
  axes <- sort(axes)
  order <- c(setdiff(seq_along(dim(x)), axes), axes)
  last <- aperm(x, order)
  columns <- prod(dim(x)[axes])
  # a row for each of the other axes' entries, its numbers in R's order of the axes
  rows <- matrix(last, ncol = columns)
  mean <- rowMeans(rows)
  spread <- if (rms) rowMeans(rows^2) else rowMeans((rows - mean)^2)
  result <- (if (centered && !rms) rows - mean else rows) / sqrt(spread + epsilon)
  if (!is.null(gamma)) result <- sweep(result, 2, as.vector(gamma), "*")
  if (!is.null(beta)) result <- sweep(result, 2, as.vector(beta), "+")
  aperm(array(result, dim(last)), order(order))
}

test_that("layer normalization is its formula, over any axes", {
  set.seed(1)
  x <- array(stats::rnorm(2 * 3 * 4 * 5, 1, 2), c(2, 3, 4, 5))
  for (axis in list(-1, 2, 3, c(3, 4), c(2, 4), c(-2, -1), c(2, 3, 4), list(4), 1:4)) {
    places <- unlist(axis)
    places <- ifelse(places < 0, 5 + places, places)
    make <- function(...) layer_layer_normalization(axis = axis, ...)
    expect_layer(make, x, function(x, w) normalize_over(x, places, 1e-3, w$gamma, w$beta))
  }
  for (shape in list(c(5, 4), c(2, 3, 4), 7)) {
    x <- array(stats::rnorm(prod(shape)), shape)
    make <- function(...) layer_layer_normalization(epsilon = 1e-6, ...)
    expect_layer(make, x, function(x, w) {
      normalize_over(x, length(dim(x)), 1e-6, w$gamma, w$beta)
    })
  }
})

test_that("gamma and beta can be left out, and the older scaling has no beta", {
  set.seed(1)
  x <- array(stats::rnorm(24), c(2, 3, 4))
  none <- function(...) layer_layer_normalization(center = FALSE, scale = FALSE, ...)
  expect_layer(none, x, function(x, w) normalize_over(x, 3, 1e-3), weights = FALSE)
  expect_layer(function(...) layer_layer_normalization(center = FALSE, ...), x, function(x, w) {
    expect_identical(names(w), "gamma")
    normalize_over(x, 3, 1e-3, w$gamma)
  })
  expect_layer(function(...) layer_layer_normalization(scale = FALSE, ...), x, function(x, w) {
    expect_identical(names(w), "beta")
    normalize_over(x, 3, 1e-3, NULL, w$beta)
  })
  older <- function(...) layer_layer_normalization(rms_scaling = TRUE, scale = FALSE, ...)
  expect_layer(older, x, function(x, w) {
    expect_identical(names(w), "gamma")
    normalize_over(x, 3, 1e-3, w$gamma, centered = FALSE)
  })
})

test_that("root mean square normalization is its formula", {
  set.seed(1)
  x <- array(stats::rnorm(2 * 3 * 4 * 5, 1), c(2, 3, 4, 5))
  for (axis in list(-1, 2, c(2, 4), c(3, 4))) {
    places <- unlist(axis)
    places <- ifelse(places < 0, 5 + places, places)
    make <- function(...) layer_rms_normalization(axis = axis, ...)
    expect_layer(make, x, function(x, w) normalize_over(x, places, 1e-6, w$scale, rms = TRUE))
  }
  expect_identical(
    as.vector(layer_rms_normalization(matrix(c(3, 4, 6, 8), 2), epsilon = 0, dtype = "float64")),
    c(3, 4, 6, 8) / sqrt(c(22.5, 40, 22.5, 40))
  )
})

test_that("weights start as ones and zeros, and a mask passes", {
  x <- set_keras_mask(array(1:12, c(2, 3, 2)), matrix(c(TRUE, FALSE), 2, 3))
  for (layer in list(layer_layer_normalization(), layer_rms_normalization())) {
    expect_identical(get_keras_mask(layer(x)), get_keras_mask(x))
    expect_identical(as.vector(layer$get_weights()[[1]]), c(1, 1))
    y <- layer(x)
    mode(x) <- "double"
    expect_identical(layer(x), y)
  }
})

test_that("configs are Keras's before and after building", {
  layer <- layer_layer_normalization(gamma_regularizer = "l2", beta_constraint = "max_norm")
  fields <- c(
    "axis", "epsilon", "center", "scale", "rms_scaling", "beta_initializer",
    "gamma_initializer", "beta_regularizer", "gamma_regularizer", "beta_constraint",
    "gamma_constraint"
  )
  expect_config_fields(layer, fields)
  expect_identical(get_config(layer)$axis, -1L)
  expect_identical(get_config(layer_layer_normalization(axis = 3))$axis, 2L)
  expect_identical(get_config(layer_layer_normalization(axis = 2:3))$axis, list(1L, 2L))
  layer$build(c(NA, 3, 4))
  expect_config_fields(layer, fields)
  expect_identical(get_config(layer)$axis, list(2L))
  expect_identical(get_config(layer)$gamma_regularizer$class_name, "L2")
  expect_identical(get_config(layer)$beta_constraint$class_name, "MaxNorm")
  expect_equal(layer$losses, list(0.01 * 4))

  rms <- layer_rms_normalization()
  expect_config_fields(rms, c("axis", "epsilon"))
  rms$build(c(NA, 3, 4))
  expect_identical(get_config(rms)$axis, list(-1L))
})

test_that("weights of axes in another order stand as Keras has them", {
  # Keras gives gamma the dims in the order of `axis`, and reads its numbers, row by row,
  # along the axes in ascending order
  layer <- layer_layer_normalization(axis = c(3, 2), dtype = "float64")
  x <- array(stats::rnorm(2 * 2 * 3), c(2, 2, 3))
  layer$build(dim(x))
  expect_identical(dim(layer$gamma), c(3L, 2L))
  gamma <- matrix(1:6, 3)
  set_weights(layer, list(gamma, gamma * 0))
  row_by_row <- matrix(as.vector(t(gamma)), 2, byrow = TRUE)
  expect_near(layer(x), normalize_over(x, 2:3, 1e-3, row_by_row), "float64", "order")
})

test_that("bad arguments and inputs are refused", {
  for (bad in list(0, NULL, "a", 1.5, c(1, 1), NA, -1.5)) {
    expect_attn_error(layer_layer_normalization(axis = bad), "argument", "axis")
    expect_attn_error(layer_rms_normalization(axis = bad), "argument", "axis")
  }
  expect_attn_error(layer_layer_normalization(epsilon = -1), "argument", "epsilon")
  expect_attn_error(layer_layer_normalization(center = NULL), "argument", "center")
  expect_attn_error(layer_layer_normalization(rms_scaling = 1), "argument", "rms_scaling")
  expect_attn_error(layer_rms_normalization(rms_scaling = TRUE), "argument", "rms_scaling")
  x <- array(1, c(2, 3, 4))
  expect_refused_input(layer_layer_normalization(axis = 4), x)
  expect_refused_input(layer_layer_normalization(axis = -4), x)
  expect_refused_input(layer_layer_normalization(axis = c(3, -1)), x)
  built <- layer_layer_normalization()
  built(x)
  expect_refused_input(built, array(1, c(2, 3, 5)), "4")
  expect_attn_error(layer_layer_normalization()$build(c(NA, 3, NA)), "shape")
  expect_attn_error(layer_rms_normalization()(keras_input(c(3, NA))), "shape")
})
