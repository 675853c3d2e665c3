pooled <- function(x, f, first, keepdims, mask = NULL) {
  if (first) x <- aperm(x, c(1, 3, 2))
  result <- matrix(0, dim(x)[1], dim(x)[3])
  for (b in seq_len(dim(x)[1])) {
    kept <- if (is.null(mask)) TRUE else mask[b, ]
    result[b, ] <- apply(x[b, kept, , drop = FALSE], 3, f)
  }
  if (!keepdims) result else array(result, if (first) c(dim(result), 1) else {
    c(dim(result)[1], 1, dim(result)[2])
  })
}

test_that("means and largest numbers are over the steps", {
  set.seed(1)
  x <- array(stats::rnorm(2 * 3 * 4), c(2, 3, 4))
  for (format in list(NULL, "channels_last", "channels_first")) {
    first <- identical(format, "channels_first")
    for (keepdims in c(FALSE, TRUE)) {
      average <- function(...) {
        layer_global_average_pooling_1d(data_format = format, keepdims = keepdims, ...)
      }
      expect_layer(average, x, function(x, w) pooled(x, mean, first, keepdims))
      largest <- function(...) {
        layer_global_max_pooling_1d(data_format = format, keepdims = keepdims, ...)
      }
      expect_layer(largest, x, function(x, w) pooled(x, max, first, keepdims))
    }
  }
  expect_identical(
    layer_global_average_pooling_1d(array(1:8, c(1, 4, 2))), matrix(c(2.5, 6.5), 1)
  )
})

test_that("the mean is that of the steps that the mask keeps", {
  set.seed(1)
  x <- array(stats::rnorm(3 * 4 * 2), c(3, 4, 2))
  mask <- rbind(c(TRUE, TRUE, FALSE, FALSE), c(FALSE, TRUE, FALSE, TRUE), FALSE)
  expected <- pooled(x, mean, FALSE, FALSE, mask) # NaN where there is no step
  expect_identical(expected[3, ], c(NaN, NaN))
  hidden <- x
  hidden[1, 3, ] <- NaN
  for (dtype in c("float32", "float64")) {
    layer <- layer_global_average_pooling_1d(dtype = dtype)
    expect_near(layer(x, mask = mask), expected, dtype, "explicit")
    expect_near(layer(hidden, mask = mask * 1L), expected, dtype, "hidden NaN")
    y <- layer(set_keras_mask(x, mask))
    expect_near(y, expected, dtype, "implicit")
    expect_null(get_keras_mask(y))
    expect_near(layer(set_keras_mask(x, !mask), mask = mask), expected, dtype, "both")
    turned <- aperm(x, c(1, 3, 2))
    first <- layer_global_average_pooling_1d(data_format = "channels_first", dtype = dtype)
    expect_near(first(turned, mask = mask), expected, dtype, "channels first")
    one <- layer(x, mask = matrix(mask[1, ], 1))
    expect_near(one, pooled(x, mean, FALSE, FALSE, mask[c(1, 1, 1), ]), dtype, "broadcast")
  }
  expect_null(layer$compute_mask(x, mask))
  expect_refused_input(layer, x, "mask", mask = matrix(TRUE, 3, 3))
  expect_refused_input(layer, x, "mask", mask = rep(TRUE, 4))
  expect_refused_input(layer, x, "mask", "argument", mask = "a")
  expect_refused_input(layer, set_keras_mask(x, array(TRUE, c(3, 4, 2))))
})

test_that("the mask of an embedding reaches the mean in a model, padding changes nothing", {
  embed <- layer_embedding(input_dim = 9, output_dim = 4, mask_zero = TRUE)
  pool <- layer_global_average_pooling_1d()
  input <- keras_input(NA, dtype = "int32")
  model <- keras_model(input, pool(embed(input)))
  long <- matrix(c(3L, 5L, 7L, 0L, 0L), 1)
  expect_identical(model(long), model(long[, 1:3, drop = FALSE]))
  asked <- keras_input(c(3, 4))
  keep <- keras_input(3, dtype = "bool")
  model <- keras_model(list(asked, keep), pool(asked, mask = keep))
  x <- array(1:24, c(2, 3, 4))
  mask <- rbind(c(TRUE, FALSE, TRUE), TRUE)
  expect_identical(model(list(x, mask)), pool(x, mask = mask))
  expect_attn_error(pool(asked, mask = mask), "argument", "mask")
  expect_attn_error(pool(x, mask = keep), "argument", "mask")
})

test_that("the largest number knows no mask, and says so", {
  x <- array(c(1, 9, 2, 3), c(1, 2, 2))
  layer <- layer_global_max_pooling_1d()
  expect_false(layer$supports_masking)
  masked <- set_keras_mask(x, matrix(c(TRUE, FALSE), 1))
  expect_warning(y <- layer(masked), class = "attn_warning_ignored")
  expect_identical(y, matrix(c(9, 3), 1))
  expect_attn_error(layer(x, mask = matrix(TRUE, 1, 2)), "argument", "mask")
})

test_that("configs are Keras's, and bad arguments are refused", {
  for (make in list(layer_global_average_pooling_1d, layer_global_max_pooling_1d)) {
    layer <- make()
    expect_config_fields(layer, c("data_format", "keepdims"))
    expect_identical(get_config(layer)$data_format, "channels_last")
    expect_attn_error(make(data_format = "first"), "argument", "data_format")
    expect_attn_error(make(keepdims = NA), "argument", "keepdims")
    expect_attn_error(make(axis = 1), "argument", "axis")
    expect_refused_input(layer, matrix(1, 2, 3))
    expect_refused_input(layer, array(1, c(2, 3, 2, 2)))
  }
})
