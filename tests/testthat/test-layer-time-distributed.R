# A layer for each position, against that layer called position by position.

by_position <- function(layer, x) {
  results <- lapply(seq_len(dim(x)[2L]), function(i) {
    layer(array(x[slice.index(x, 2) == i], dim(x)[-2L]))
  })
  shape <- dim(results[[1L]])
  joined <- array(unlist(results), c(shape, length(results)))
  aperm(joined, c(1L, length(shape) + 1L, seq_along(shape)[-1L]))
}

test_that("each position gets the layer", {
  set.seed(1)
  x <- array(stats::rnorm(2 * 3 * 4 * 5), c(2, 3, 4, 5))
  layers <- list(
    layer_dense(units = 7, activation = "relu", dtype = "float64"),
    layer_flatten(dtype = "float64"), layer_permute(dims = c(2, 1), dtype = "float64"),
    layer_reshape(target_shape = c(2, 5, 2), dtype = "float64"),
    layer_lambda(f = function(x) x[, 1, , drop = FALSE] * 2, dtype = "float64"),
    layer_identity(dtype = "float64")
  )
  for (layer in layers) {
    whole <- layer_time_distributed(layer = layer, dtype = "float64")
    expect_equal(whole(x), by_position(layer, x), tolerance = 1e-14, info = format(layer))
    expect_identical(whole$compute_output_shape(dim(x)), dim(whole(x)))
  }
  ids <- array(1:12, c(2, 3, 2))
  expect_identical(layer_time_distributed(ids, layer_identity()), ids)
  pairs <- layer_time_distributed(array(1:6, c(1, 6, 1)), layer_repeat_vector(n = 2))
  expect_equal(plain(pairs), array(rep(1:6, 2), c(1, 6, 2, 1)))
})

test_that("the weights are those of the layer", {
  inner <- layer_dense(units = 2, name = "inner")
  layer <- layer_time_distributed(layer = inner)
  layer$build(c(NA, 3, 4))
  expect_true(inner$built)
  expect_named(layer$weights, c("inner/kernel", "inner/bias"))
  expect_identical(unname(layer$weights), get_weights(inner))
  expect_identical(count_params(layer), 10)
  weights <- list(matrix(1:8, 4), c(1, 2))
  set_weights(layer, weights)
  expect_equal(get_weights(inner), list(matrix(as.double(1:8), 4), array(c(1, 2))))
  nested <- layer_time_distributed(layer = layer)
  x <- array(stats::rnorm(48), c(2, 2, 3, 4))
  wanted <- x[, , , 1:2]
  for (b in 1:2) for (i in 1:2) wanted[b, i, , ] <- sweep(x[b, i, , ] %*% weights[[1]], 2, 1:2, "+")
  expect_equal(nested(x), wanted, tolerance = 1e-6)
  set_weights(nested, lapply(weights, function(w) 2 * w))
  expect_equal(nested(x), 2 * wanted, tolerance = 1e-6)
})

test_that("the result has the input's mask; layers that look at masks get the rest of it", {
  set.seed(2)
  x <- array(stats::rnorm(2 * 3 * 4 * 5), c(2, 3, 4, 5))
  times <- matrix(c(TRUE, TRUE, FALSE), 2, 3)
  dense <- layer_time_distributed(layer = layer_dense(units = 2))
  masked <- dense(set_keras_mask(x, times))
  expect_identical(get_keras_mask(masked), times)
  expect_identical(plain(masked), plain(dense(x)))
  expect_identical(get_keras_mask(dense(x, mask = !times)), !times)
  words <- array(c(TRUE, TRUE, FALSE, TRUE, TRUE), c(2, 3, 4))
  pooled <- layer_time_distributed(layer = layer_global_average_pooling_1d(dtype = "float64"),
    dtype = "float64"
  )
  wanted <- array(0, c(2, 3, 5))
  for (b in 1:2) for (i in 1:3) {
    wanted[b, i, ] <- colMeans(x[b, i, words[b, i, ], , drop = TRUE])
  }
  result <- pooled(set_keras_mask(x, words))
  expect_equal(plain(result), wanted, tolerance = 1e-14)
  expect_equal(plain(pooled(x, mask = words)), wanted, tolerance = 1e-14)
  expect_equal(pooled(x), by_position(layer_global_average_pooling_1d(dtype = "float64"), x))
})

test_that("symbolic tensors give the shape, and models the numbers", {
  input <- keras_input(shape = c(NA, 4, 5))
  layer <- layer_time_distributed(layer = layer_dense(units = 2))
  output <- layer(input)
  expect_identical(dim(output), c(NA, NA, 4L, 2L))
  x <- array(stats::rnorm(2 * 3 * 4 * 5), c(2, 3, 4, 5))
  expect_identical(keras_model(input, output)(x), layer(x))
  doubled <- layer_time_distributed(input, layer_lambda(f = function(x) 2 * x))
  expect_equal(keras_model(input, doubled)(x), 2 * x, tolerance = 1e-7)
  skip_if_not_installed("hdf5r")
  skip_if_not_installed("zip")
  path <- tempfile(fileext = ".keras")
  on.exit(unlink(path))
  save_model(keras_model(input, output), path)
  expect_identical(load_model(path)(x), layer(x))
})

test_that("dropout in it is on in training alone", {
  layer <- layer_time_distributed(layer = layer_dropout(rate = 0.5, seed = 1))
  x <- array(1, c(2, 3, 40))
  expect_identical(layer(x), x)
  dropped <- layer(x, training = TRUE)
  expect_true(all(dropped %in% c(0, 2)) && any(dropped == 0))
})

test_that("configs are Keras's", {
  layer <- layer_time_distributed(layer = layer_dense(units = 2, name = "inner"), name = "each")
  config <- get_config(layer)
  expect_named(config, c("name", "trainable", "dtype", "layer"))
  expect_identical(config$layer$class_name, "Dense")
  expect_identical(config$layer$config$units, 2L)
  json <- jsonlite::toJSON(serialize_keras_object(layer),
    auto_unbox = TRUE, null = "null", digits = NA
  )
  copy <- from_config(as.character(json))
  expect_identical(get_config(copy), config)
  layer$build(c(NA, 3, 4))
  copy <- from_config(serialize_keras_object(layer))
  expect_true(copy$built)
  expect_identical(dim(copy$weights[[1]]), c(4L, 2L))
  for (inner in list(list(class_name = "System", config = list()), "Dense", 1, list(), NULL)) {
    expect_error(
      from_config(list(class_name = "TimeDistributed", config = list(layer = inner))),
      class = "attn_error"
    )
  }
})

test_that("a layer that is saved is the same layer again", {
  layer <- layer_time_distributed(layer = layer_dense(units = 2))
  x <- array(stats::rnorm(24), c(2, 3, 4))
  expected <- layer(x)
  expect_identical(unserialize(serialize(layer, NULL))(x), expected)
})

test_that("what is no layer of one tensor is refused, and inputs that do not fit", {
  for (layer in list(1, "dense", NULL, layer_dense, layer_add(), layer_attention(),
    keras_input(shape = 3), initializer_ones())) {
    expect_error(layer_time_distributed(layer = layer), class = "attn_error_argument",
      regexp = "layer"
    )
  }
  expect_error(layer_time_distributed(), class = "attn_error_argument")
  x <- matrix(1, 2, 3)
  expect_error(layer_time_distributed(x, layer_dense(units = 2)), class = "attn_error_shape")
  expect_error(layer_time_distributed(array(1, c(2, 3, 4)), layer_permute(dims = c(2, 1))),
    class = "attn_error_shape"
  )
  layer <- layer_time_distributed(layer = layer_dense(units = 2))
  expect_error(layer(array(1, c(2, 3, 4)), mask = matrix(TRUE, 2, 5)), class = "attn_error_shape")
})

test_that("a result of too many dims is refused", {
  inner <- layer_reshape(target_shape = c(rep(1, most_dims - 2), 4))
  layer <- layer_time_distributed(layer = inner)
  expect_attn_error(layer(keras_input(c(3, 4))), "shape", "whose result has")
})
