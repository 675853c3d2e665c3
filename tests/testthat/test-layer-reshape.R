# Layers that move numbers, against plain R. R's arrays have the first axis fastest, so a
# tensor in Python's order is an array whose axes are reversed.

row_major <- function(x) as.vector(aperm(x))
from_row_major <- function(numbers, shape) {
  aperm(array(numbers, rev(shape)), rev(seq_along(shape)))
}

test_that("flatten and reshape take numbers in Python's order", {
  set.seed(1)
  for (shape in list(5, c(2, 3), c(2, 3, 4), c(3, 2, 5, 4))) {
    x <- array(stats::rnorm(prod(shape)), shape)
    rest <- prod(shape[-1L])
    wanted <- t(matrix(row_major(x), rest))
    expect_identical(layer_flatten(x, dtype = "float64"), wanted)
    expect_equal(layer_flatten(x), wanted, tolerance = 1e-7)
    back <- layer_reshape(wanted, shape[-1L], dtype = "float64")
    expect_identical(back, array(x, shape))
  }
  x <- array(1:48, c(2, 4, 6))
  expect_identical(layer_reshape(x, c(3, NA, 2)), from_row_major(row_major(x), c(2, 3, 4, 2)))
  expect_identical(layer_reshape(x, c(-1, 8)), from_row_major(row_major(x), c(2, 3, 8)))
  expect_identical(layer_reshape(x, list(24L)), layer_flatten(x))
})

test_that("channels that come first are put last before all is flattened", {
  x <- array(stats::rnorm(48), c(2, 3, 4, 2))
  expect_identical(
    layer_flatten(x, data_format = "channels_first", dtype = "float64"),
    layer_flatten(aperm(x, c(1, 3, 4, 2)), dtype = "float64")
  )
  ids <- array(1:24, c(2, 3, 4))
  expect_identical(layer_flatten(ids, data_format = "channels_first"),
    layer_flatten(aperm(ids, c(1, 3, 2)))
  )
  expect_identical(layer_flatten(matrix(1:6, 2), "channels_first"), matrix(1:6, 2))
})

test_that("axes are permuted as aperm() does", {
  set.seed(2)
  x <- array(stats::rnorm(240), c(2, 3, 4, 10))
  for (dims in list(1:3, c(2, 1, 3), c(3, 1, 2), c(1, 3, 2), 3:1, c(2, 3, 1))) {
    wanted <- aperm(x, c(1, dims + 1))
    expect_identical(layer_permute(x, dims, dtype = "float64"), wanted)
    expect_equal(layer_permute(x, dims), wanted, tolerance = 1e-7)
    ids <- array(seq_along(x), dim(x))
    expect_identical(layer_permute(ids, dims), aperm(ids, c(1, dims + 1)))
    expect_identical(layer_permute(x > 0, dims), wanted > 0)
  }
  large <- array(stats::rnorm(2 * 130 * 70), c(2, 130, 70))
  expect_identical(layer_permute(large, c(2, 1), dtype = "float64"), aperm(large, c(1, 3, 2)))
})

test_that("vectors are repeated, whatever they are", {
  x <- matrix(c(1.5, 2, 3, 4, 5, 6), 2)
  wanted <- aperm(array(x, c(2, 3, 4)), c(1, 3, 2))
  expect_identical(layer_repeat_vector(x, 4), wanted)
  ids <- matrix(1:6, 2)
  expect_identical(layer_repeat_vector(ids, 4), aperm(array(ids, c(2, 3, 4)), c(1, 3, 2)))
  flags <- x > 2
  expect_identical(layer_repeat_vector(flags, 4), wanted > 2)
})

test_that("identity gives back what it gets, with its mask; the others lose it", {
  x <- set_keras_mask(array(stats::rnorm(24), c(2, 3, 4)), matrix(c(TRUE, FALSE), 2, 3))
  same <- layer_identity(x, dtype = "float64")
  expect_identical(same, x)
  expect_identical(layer_identity(1:3), array(1:3))
  two <- set_keras_mask(matrix(1, 2, 3), matrix(TRUE, 2, 3))
  lost <- function(code) {
    expect_warning(result <- code, class = "attn_warning_ignored")
    expect_null(get_keras_mask(result))
  }
  lost(layer_flatten(x))
  lost(layer_reshape(x, 12))
  lost(layer_permute(x, c(2, 1)))
  lost(layer_repeat_vector(two, 2))
})

test_that("symbolic tensors give the shape and the dtype", {
  x <- keras_input(shape = c(NA, 8))
  expect_identical(dim(layer_flatten(x)), c(NA_integer_, NA))
  expect_identical(dim(layer_reshape(x, c(-1, 4))), c(NA, NA, 4L))
  expect_identical(dim(layer_reshape(x, c(6, 4))), c(NA, 6L, 4L))
  expect_identical(dim(layer_permute(x, c(2, 1))), c(NA, 8L, NA))
  expect_identical(dim(layer_repeat_vector(keras_input(shape = 8), 3)), c(NA, 3L, 8L))
  expect_identical(dim(layer_identity(x)), c(NA, NA, 8L))
  ids <- keras_input(shape = c(2, 3), dtype = "int32")
  expect_identical(layer_flatten(ids)$dtype, "int32")
  expect_identical(layer_flatten(x, dtype = "float64")$dtype, "float64")
  # a size that only the data tell
  model <- keras_model(x, layer_reshape(x, c(6, 4)))
  data <- array(1:48, c(2, 3, 8))
  expect_equal(model(data), from_row_major(row_major(data), c(2, 6, 4)))
  expect_error(model(array(1, c(2, 4, 8))), class = "attn_error_shape")
  open <- layer_reshape(x, c(-1, 4))
  model <- keras_model(x, layer_add(open, layer_flatten(x) |> layer_reshape(c(-1, 4))))
  expect_equal(model(data), 2 * from_row_major(row_major(data), c(2, 6, 4)))
})

test_that("numbers that are floats of another size are converted", {
  x <- keras_input(shape = c(2, 3), dtype = "float32")
  wide <- layer_flatten(x, dtype = "float64")
  narrow <- layer_identity(layer_permute(wide |> layer_reshape(c(3, 2)), c(2, 1)))
  data <- array(stats::rnorm(12), c(2, 2, 3))
  wanted <- aperm(from_row_major(row_major(data), c(2, 3, 2)), c(1, 3, 2))
  expect_equal(keras_model(x, narrow)(data), wanted, tolerance = 1e-7)
})

test_that("arguments and inputs that do not fit are refused", {
  x <- array(1:24, c(2, 3, 4))
  for (shape in list(c(-1, -1), c(NA, -1), 0, 1.5, "a", c(2, -2), list("a"), NULL, NaN, 1:20)) {
    expect_error(layer_reshape(target_shape = shape), class = "attn_error_argument")
  }
  expect_error(layer_reshape(x), class = "attn_error_argument", regexp = "target_shape")
  expect_error(layer_reshape(x, 5), class = "attn_error_shape", regexp = "as many numbers")
  expect_error(layer_reshape(x, c(5, NA)), class = "attn_error_shape")
  for (dims in list(c(1, 3), 0, c(1, 1), 2, "a", NULL, c(1.5, 1), NA, numeric())) {
    expect_error(layer_permute(dims = dims), class = "attn_error_argument", regexp = "dims")
  }
  expect_error(layer_permute(x, c(1, 2, 3)), class = "attn_error_shape")
  for (n in list(0, -1, 1.5, "a", NULL, c(1, 2))) {
    expect_error(layer_repeat_vector(n = n), class = "attn_error_argument", regexp = "`n`")
  }
  expect_error(layer_repeat_vector(x, 2), class = "attn_error_shape")
  expect_error(layer_flatten(data_format = "last"), class = "attn_error_argument")
  expect_error(layer_identity(x, axis = 1), class = "attn_error_argument")
})

test_that("configs are Keras's", {
  base <- c("name", "trainable", "dtype")
  layers <- list(
    layer_flatten(), layer_flatten(data_format = "channels_first"),
    layer_reshape(target_shape = c(3, NA)), layer_reshape(target_shape = 12),
    layer_permute(dims = c(2, 1)), layer_permute(dims = 1), layer_repeat_vector(n = 3),
    layer_identity()
  )
  fields <- c("data_format", "data_format", "target_shape", "target_shape", "dims", "dims", "n")
  for (i in seq_along(layers)) {
    config <- get_config(layers[[i]])
    expect_named(config, c(base, if (i <= length(fields)) fields[i]))
    json <- jsonlite::toJSON(serialize_keras_object(layers[[i]]),
      auto_unbox = TRUE, null = "null", digits = NA
    )
    expect_identical(get_config(from_config(as.character(json))), config)
  }
  expect_identical(get_config(layers[[1]])$data_format, "channels_last")
  expect_identical(get_config(layers[[3]])$target_shape, list(3L, -1L))
  expect_identical(get_config(layers[[6]])$dims, list(1L))
})

test_that("more numbers than one dim can count are refused", {
  expect_attn_error(layer_flatten(keras_input(c(70000, 70000))), "shape", "dims can be one dim")
})
