test_that("each position gets its row of the weights, whatever the input says", {
  for (dtype in c("float32", "float64")) {
    layer <- layer_position_embedding(sequence_length = 7, dtype = dtype)
    for (shape in list(c(2, 5, 4), c(1, 7, 4), c(3, 1, 4), c(5, 4), c(2, 3, 5, 4))) {
      got <- layer(random_array(shape))
      rows <- layer$embeddings[seq_len(shape[length(shape) - 1]), , drop = FALSE]
      expect_identical(got, repeat_rows(rows, shape), label = paste(dtype, toString(shape)))
    }
  }
  expect_identical(dim(layer$embeddings), c(7L, 4L))
  expect_identical(layer(array(NaN, c(1, 2, 4))), layer(array(1L, c(1, 2, 4))))
})

test_that("positions count from start_index", {
  layer <- layer_position_embedding(sequence_length = 7)
  x <- random_array(2, 3, 4)
  layer(x)
  for (start in 0:4) {
    expect_identical(layer(x, start_index = start)[2, , ], layer$embeddings[start + 1:3, ])
  }
  expect_attn_error(layer(x, start_index = 5), "shape", "at most 2 positions")
  expect_attn_error(layer(x, start_index = 8), "shape", "at most 0 positions")
  for (bad in list(-1, 1.5, NA, "1", 1:2, NaN, Inf, list(1))) {
    expect_attn_error(layer(x, start_index = bad), "argument", "start_index")
  }
  expect_attn_error(layer(x, 1), "argument")
  expect_attn_error(layer(x, begin = 1), "argument", "begin")
})

test_that("a mask goes through", {
  mask <- rbind(c(TRUE, TRUE, FALSE), c(TRUE, FALSE, FALSE))
  x <- set_keras_mask(random_array(2, 3, 4), mask)
  expect_identical(get_keras_mask(layer_position_embedding(x, sequence_length = 3)), mask)
})

test_that("arguments and shapes are checked", {
  expect_attn_error(layer_position_embedding(), "argument", "sequence_length")
  for (bad in list(0, -1, 1.5, NULL, "3", NA, 1:2)) {
    expect_attn_error(layer_position_embedding(sequence_length = bad), "argument")
  }
  expect_attn_error(layer_position_embedding(sequence_length = 3, initializer = "no"), "argument")
  expect_attn_error(layer_position_embedding(sequence_length = 3, seq_axis = 1), "argument")
  layer <- layer_position_embedding(sequence_length = 3)
  expect_attn_error(layer(1:4), "shape", "at least 2 dims")
  expect_false(layer$built)
  expect_attn_error(layer(random_array(1, 4, 2)), "shape", "at most 3 positions")
  expect_false(layer$built)
  layer(random_array(1, 3, 2))
  expect_attn_error(layer(random_array(1, 3, 4)), "shape", "last dim is 2")
  expect_attn_error(layer_position_embedding(keras_input(c(3, NA)), sequence_length = 3), "shape")
})

test_that("in a model its length may be unknown until there is data", {
  layer <- layer_position_embedding(sequence_length = 5)
  input <- keras_input(c(NA, 4))
  model <- keras_model(input, layer(input))
  x <- random_array(2, 3, 4)
  expect_identical(model(x), layer(x))
  expect_attn_error(model(random_array(1, 6, 4)), "argument", "the id 5")
  expect_attn_error(layer(keras_input(c(6, 4))), "shape", "at most 5 positions")
})

test_that("start_index may be an input of a model", {
  layer <- layer_position_embedding(sequence_length = 5, dtype = "float64")
  input <- keras_input(c(NA, 4), dtype = "float64")
  start <- keras_input(batch_shape = 1, dtype = "int32")
  model <- keras_model(list(input, start), layer(input, start_index = start))
  x <- random_array(2, 2, 4)
  expect_identical(model(list(x, 3L)), layer(x, start_index = 3))
  expect_attn_error(model(list(x, 4L)), "argument", "the id 5")
  expect_attn_error(model(list(x, -1L)), "argument", "the id -1")
})

test_that("config and saved state are complete", {
  layer <- layer_position_embedding(
    sequence_length = 5, initializer = initializer_random_normal(stddev = 2, seed = 3),
    name = "positions"
  )
  layer(random_array(1, 3, 2))
  config <- get_config(layer)
  expect_named(config, c("name", "trainable", "dtype", "sequence_length", "initializer"))
  dict <- serialize_keras_object(layer)
  expect_identical(dict$module, "keras_hub.src.layers.modeling.position_embedding")
  expect_identical(dict$registered_name, "keras_hub>PositionEmbedding")
  again <- deserialize_keras_object(dict)
  expect_identical(get_config(again), config)
  expect_identical(again$embeddings, layer$embeddings) # the initializer has a seed
  path <- withr::local_tempfile()
  saveRDS(layer, path)
  x <- random_array(2, 5, 2)
  expect_identical(readRDS(path)(x), layer(x))
})

test_that("start_index = NULL is the first position", {
  layer <- layer_position_embedding(sequence_length = 4)
  x <- random_array(1, 2, 3)
  expect_identical(layer(x, start_index = NULL), layer(x))
})
