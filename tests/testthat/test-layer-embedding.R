lookup <- function(x, weights) {
  table <- weights$embeddings
  array(table[as.vector(x) + 1, ], c(dim(x), ncol(table)))
}

test_that("the rows of the table come out, for ids of any shape and type", {
  set.seed(1)
  make <- function(...) layer_embedding(input_dim = 7, output_dim = 3, ...)
  for (shape in list(5, c(2, 4), c(2, 3, 4))) {
    ids <- array(sample(0:6, prod(shape), TRUE), shape)
    expect_layer(make, ids, lookup)
    layer <- make()
    expected <- layer(ids)
    storage.mode(ids) <- "double"
    expect_identical(layer(ids), expected)
    expect_identical(layer(ids + 0.9), expected) # truncated, as by a cast
  }
  flags <- matrix(c(TRUE, FALSE, TRUE, TRUE), 2)
  layer <- make()
  expect_identical(layer(flags), layer(flags * 1L))
})

test_that("ids are exact beyond the precision of the layer", {
  layer <- layer_embedding(input_dim = 2^24 + 4, output_dim = 1, embeddings_initializer = "zeros")
  layer$build(c(NA, 1))
  table <- matrix(0, 2^24 + 4, 1)
  table[2^24 + 2] <- 1
  set_weights(layer, list(table))
  expect_identical(as.vector(layer(matrix(c(2^24, 2^24 + 1)))), c(0, 1))
})

test_that("ids that are not in the table are named", {
  layer <- layer_embedding(input_dim = 4, output_dim = 2)
  layer(matrix(0:3, 2))
  bad <- list(4L, -1L, 3e9, NaN, Inf, NA_integer_, -1e300)
  said <- c("id 4", "id -1", "id 3000000000", "id NaN", "id Inf", "id NaN", "id -1e.300")
  for (i in seq_along(bad)) {
    expect_refused_input(layer, matrix(c(1L, bad[[i]])), said[i], "argument")
  }
  model <- keras_model(input <- keras_input(2, dtype = "int32"), layer(input))
  expect_attn_error(model(matrix(c(0, 9), 1)), "argument", "layer_embedding.*id 9")
})

test_that("mask_zero makes a mask, and drops nothing that was not there", {
  set.seed(1)
  ids <- matrix(c(1L, 0L, 2L, 3L, 0L, 0L), 2)
  make <- function(...) layer_embedding(input_dim = 4, output_dim = 2, mask_zero = TRUE, ...)
  expect_layer(make, ids, lookup, mask = ids != 0)
  layer <- make()
  expect_true(layer$supports_masking)
  expect_identical(layer$compute_mask(ids), ids != 0)
  expect_identical(get_keras_mask(layer(ids * 1)), ids != 0)

  plain <- layer_embedding(input_dim = 4, output_dim = 2)
  expect_false(plain$supports_masking)
  expect_null(plain$compute_mask(ids))
  masked <- set_keras_mask(ids, ids != 0)
  expect_warning(y <- plain(masked), class = "attn_warning_ignored")
  expect_null(get_keras_mask(y))
})

test_that("the mask reaches attention through a model", {
  set.seed(1)
  embed <- layer_embedding(input_dim = 9, output_dim = 4, mask_zero = TRUE)
  attend <- layer_multi_head_attention(num_heads = 2, key_dim = 2)
  input <- keras_input(5, dtype = "int32")
  model <- keras_model(input, attend(embed(input), embed(input)))
  long <- matrix(c(3L, 4L, 5L, 0L, 0L), 1)
  y <- model(long)
  short <- keras_model(input3 <- keras_input(3, dtype = "int32"), {
    x <- embed(input3)
    attend(x, x)
  })
  expect_equal(y[, 1:3, ], short(long[, 1:3, drop = FALSE])[, , ], tolerance = 1e-6)
  expect_identical(get_keras_mask(y), long != 0)
})

test_that("weights can be given", {
  table <- matrix(c(1, 2, 3, 4, 5, 6), 3)
  for (weights in list(table, list(table))) {
    layer <- layer_embedding(input_dim = 3, output_dim = 2, weights = weights)
    expect_true(layer$built)
    expect_identical(layer$embeddings, table)
  }
  expect_identical(
    layer_embedding(matrix(2:0, 1), input_dim = 3, output_dim = 2, weights = table)[1, , ],
    table[3:1, ]
  )
  for (bad in list(t(table), 1, "a", list(table, table), list())) {
    expect_attn_error(layer_embedding(input_dim = 3, output_dim = 2, weights = bad), "weights")
  }
})

test_that("the first weights are uniform within 0.05, and the config is Keras's", {
  layer <- layer_embedding(
    input_dim = 50, output_dim = 40, embeddings_regularizer = "l2",
    embeddings_constraint = "non_neg"
  )
  layer$build(c(NA, 3))
  table <- layer$embeddings
  expect_lte(max(abs(table)), 0.05)
  expect_gt(max(abs(table)), 0.049)
  expect_config_fields(layer, c(
    "input_dim", "output_dim", "embeddings_initializer", "embeddings_regularizer",
    "activity_regularizer", "embeddings_constraint", "mask_zero", "quantization_config"
  ))
  expect_identical(get_config(layer)$embeddings_initializer$class_name, "RandomUniform")
  expect_identical(get_config(layer)$embeddings_regularizer$class_name, "L2")
  expect_equal(layer$losses[[1]], 0.01 * sum(table^2), tolerance = 1e-6)
})

test_that("the output's penalty is among the losses, for one example", {
  table <- matrix(c(1, -2, 3, 4), 2)
  layer <- layer_embedding(
    input_dim = 2, output_dim = 2, weights = table, activity_regularizer = regularizer_l1(0.5)
  )
  layer(matrix(c(0, 1, 1, 0, 1, 1), 3))
  expect_equal(layer$losses, list(0.5 * (2 * (1 + 3) + 4 * (2 + 4)) / 3))
  config <- get_config(layer)
  expect_identical(names(config)[4], "activity_regularizer")
  expect_identical(sum(names(config) == "activity_regularizer"), 1L)
  expect_identical(get_config(from_config(serialize_keras_object(layer))), config)
})

test_that("bad arguments are refused", {
  expect_attn_error(layer_embedding(output_dim = 2), "argument", "input_dim")
  expect_attn_error(layer_embedding(input_dim = 2), "argument", "output_dim")
  expect_attn_error(layer_embedding(input_dim = 0, output_dim = 2), "argument", "input_dim")
  expect_attn_error(layer_embedding(input_dim = 3, output_dim = 2, mask_zero = NA), "argument")
  expect_attn_error(layer_embedding(input_dim = 3, output_dim = 2, lora_rank = 2), "argument")
  expect_attn_error(layer_embedding(input_dim = 3, output_dim = 2, input_length = 2), "argument")
  layer <- layer_embedding(input_dim = 3, output_dim = 2)
  expect_refused_input(layer, "a", subclass = "argument")
  expect_refused_input(layer, array(0, rep(1, 16)))
})
