# The layer computes angles as 32-bit floats: near zero that is exact enough to compare
# with exact angles.
angle_error <- function(positions) 1e-12 + max(positions) * 2^-22

test_that("pairs of features are turned by their angle", {
  for (dtype in c("float32", "float64")) {
    layer <- layer_rotary_embedding(dtype = dtype)
    for (shape in list(c(2, 5, 4), c(1, 40, 10), c(3, 1, 2))) {
      x <- random_array(shape)
      positions <- seq_len(shape[2]) - 1
      wanted <- x
      for (b in seq_len(shape[1])) {
        wanted[b, , ] <- turned(matrix(x[b, , ], shape[2]), positions)
      }
      expect_lte(max(abs(layer(x) - wanted)), 4 * angle_error(positions) + 1e-6)
    }
  }
})

test_that("in float64 only the angles are rounded", {
  x <- random_array(2, 6, 8)
  layer <- layer_rotary_embedding(dtype = "float64")
  half <- 4
  exponent <- as_float32(2 * (seq_len(half) - 1)) / 8
  frequency <- as_float32(1 / as_float32(10000^as_float32(exponent)))
  angle <- as_float32(outer(0:5, frequency))
  cosine <- as_float32(cos(angle))
  sine <- as_float32(sin(angle))
  wanted <- x
  for (b in 1:2) {
    first <- x[b, , 1:4]
    second <- x[b, , 5:8]
    wanted[b, , ] <- cbind(first * cosine - second * sine, second * cosine + first * sine)
  }
  expect_lte(max(abs(layer(x) - wanted)), 1e-10)
})

test_that("heads between positions and features, and any axes", {
  x <- random_array(2, 5, 3, 4)
  layer <- layer_rotary_embedding()
  got <- layer(x)
  for (head in 1:3) {
    expect_identical(got[, , head, ], layer(x[, , head, ]))
  }
  other <- layer_rotary_embedding(sequence_axis = 3, feature_axis = 2)
  expect_identical(aperm(other(aperm(x, c(1, 4, 2, 3))), c(1, 3, 4, 2)), got)
  from_end <- layer_rotary_embedding(sequence_axis = -3L, feature_axis = 4)
  expect_identical(from_end(x), got)
})

test_that("scaling_factor and max_wavelength", {
  x <- random_array(1, 4, 6)
  layer <- layer_rotary_embedding(max_wavelength = 50, scaling_factor = 4, dtype = "float64")
  expect_equal(layer(x)[1, , ], turned(x[1, , ], 0:3, 50, 4), tolerance = 1e-6)
})

test_that("positions count from start_index", {
  layer <- layer_rotary_embedding()
  x <- random_array(2, 8, 6)
  expect_identical(layer(x[, 6:8, ], start_index = 5), layer(x)[, 6:8, ])
  start <- keras_input(batch_shape = 1, dtype = "int32")
  input <- keras_input(c(NA, 6))
  model <- keras_model(list(input, start), layer(input, start_index = start))
  expect_identical(model(list(x[, 6:8, ], 5L)), layer(x)[, 6:8, ])
})

test_that("a mask goes through and the input stays as it was", {
  mask <- rbind(c(TRUE, TRUE, FALSE))
  x <- set_keras_mask(random_array(1, 3, 4), mask)
  before <- x + 0
  expect_identical(get_keras_mask(layer_rotary_embedding(x)), mask)
  expect_identical(x, before)
})

test_that("arguments and shapes are checked", {
  for (bad in list(0, -1, NULL, "3", NA, 1:2, Inf)) {
    expect_attn_error(layer_rotary_embedding(max_wavelength = bad), "argument")
    expect_attn_error(layer_rotary_embedding(scaling_factor = bad), "argument")
  }
  for (bad in list(0, 1.5, NULL, "3", NA, 1:2, 17)) {
    expect_attn_error(layer_rotary_embedding(sequence_axis = bad), "argument", "sequence_axis")
    expect_attn_error(layer_rotary_embedding(feature_axis = bad), "argument", "feature_axis")
  }
  layer <- layer_rotary_embedding()
  expect_attn_error(layer(random_array(2, 3, 5)), "shape", "even number")
  expect_attn_error(layer(random_array(2, 4)), "shape", "which differ")
  expect_attn_error(layer_rotary_embedding(random_array(2, 4, 2), sequence_axis = 4), "shape")
})

test_that("configs count axes from 0", {
  layer <- layer_rotary_embedding(sequence_axis = 3, feature_axis = 2)
  config <- get_config(layer)
  expect_named(config, c(
    "name", "trainable", "dtype", "max_wavelength", "scaling_factor", "sequence_axis",
    "feature_axis"
  ))
  expect_identical(config$sequence_axis, 2L)
  expect_identical(config$feature_axis, 1L)
  again <- deserialize_keras_object(serialize_keras_object(layer))
  expect_identical(get_config(again), config)
  expect_identical(get_config(layer_rotary_embedding())$feature_axis, -1L)
  bad <- serialize_keras_object(layer)
  bad$config$sequence_axis <- "a"
  expect_attn_error(deserialize_keras_object(bad), "argument", "sequence_axis")
  x <- random_array(2, 4, 3)
  expect_identical(unserialize(serialize(layer, NULL))(x), layer(x))
})
