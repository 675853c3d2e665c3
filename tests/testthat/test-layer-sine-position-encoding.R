test_that("the encoding is that of the formula", {
  for (dtype in c("float32", "float64")) {
    for (shape in list(c(2, 5, 4), c(1, 300, 7), c(9, 1), c(2, 3, 5, 6))) {
      layer <- layer_sine_position_encoding(dtype = dtype)
      rank <- length(shape)
      wanted <- repeat_rows(sine_table(seq_len(shape[rank - 1]) - 1, shape[rank]), shape)
      # angles are rounded to the dtype before their sine is taken
      tolerance <- if (dtype == "float64") 1e-10 else shape[rank - 1] * 2^-22
      expect_lte(max(abs(layer(random_array(shape)) - wanted)), tolerance,
        label = paste(dtype, toString(shape))
      )
    }
  }
})

test_that("the first features of a position by hand", {
  layer <- layer_sine_position_encoding(max_wavelength = 100, dtype = "float64")
  got <- layer(array(0, c(1, 3, 4)))[1, 3, ]
  expect_equal(got, c(sin(2), cos(2), sin(0.2), cos(0.2)), tolerance = 1e-14)
})

test_that("positions count from start_index", {
  layer <- layer_sine_position_encoding(dtype = "float64")
  x <- random_array(2, 8, 6)
  expect_identical(layer(x[, 6:8, ], start_index = 5), layer(x)[, 6:8, ])
  start <- keras_input(batch_shape = 1, dtype = "int32")
  input <- keras_input(c(NA, 6), dtype = "float64")
  model <- keras_model(list(input, start), layer(input, start_index = start))
  expect_identical(model(list(x[, 6:8, ], 5L)), layer(x)[, 6:8, ])
  expect_attn_error(layer(x, start_index = -1), "argument")
})

test_that("a mask goes through, and the layer has no weights", {
  mask <- rbind(c(TRUE, TRUE, FALSE))
  layer <- layer_sine_position_encoding()
  expect_identical(get_keras_mask(layer(set_keras_mask(random_array(1, 3, 4), mask))), mask)
  expect_identical(count_params(layer), 0)
})

test_that("arguments and shapes are checked", {
  for (bad in list(0, -1, NULL, "3", NA, 1:2, Inf)) {
    expect_attn_error(layer_sine_position_encoding(max_wavelength = bad), "argument")
  }
  expect_attn_error(layer_sine_position_encoding(rate = 1), "argument")
  expect_attn_error(layer_sine_position_encoding()(1:4), "shape", "at least 2 dims")
})

test_that("config and saved state are complete", {
  layer <- layer_sine_position_encoding(max_wavelength = 500)
  x <- random_array(2, 3, 4)
  config <- get_config(layer)
  expect_named(config, c("name", "trainable", "dtype", "max_wavelength"))
  expect_identical(get_config(deserialize_keras_object(serialize_keras_object(layer))), config)
  expect_identical(unserialize(serialize(layer, NULL))(x), layer(x))
})

test_that("a wavelength is kept as it was given", {
  wavelength <- function(x) get_config(layer_sine_position_encoding(max_wavelength = x))[[
    "max_wavelength"
  ]]
  expect_identical(wavelength(100), 100L)
  expect_identical(wavelength(100.5), 100.5)
})
