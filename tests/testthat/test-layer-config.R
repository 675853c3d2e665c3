test_that("configs of older versions of Keras, with fewer fields, are read", {
  layer <- layer_multi_head_attention(num_heads = 2, key_dim = 3, value_dim = 4)
  config <- get_config(layer)
  older <- config[setdiff(names(config), c("use_gate", "sliding_window", "seed"))]
  expect_identical(get_config(from_config(older)), config)
  grouped <- get_config(layer_group_query_attention(
    head_dim = 2, num_query_heads = 4, num_key_value_heads = 2
  ))
  expect_identical(get_config(from_config(grouped[setdiff(names(grouped), "seed")])), grouped)
})

test_that("fields of Keras 2 that say nothing new are left out, others are refused", {
  alike <- function(layer, ...) {
    dict <- serialize_keras_object(layer)
    older <- dict
    older$config <- c(dict$config, list(...))
    expect_identical(get_config(from_config(older)), dict$config)
  }
  alike(layer_embedding(input_dim = 5, output_dim = 3), input_length = 4L,
    batch_input_shape = list(NULL, 4L)
  )
  shape <- list(NULL, 5L, 8L)
  alike(layer_multi_head_attention(num_heads = 2, key_dim = 3),
    query_shape = shape, value_shape = shape, key_shape = shape
  )
  alike(layer_attention(use_scale = TRUE), causal = FALSE)
  alike(layer_additive_attention(), causal = FALSE)
  leaky <- serialize_keras_object(layer_activation_leaky_relu(negative_slope = 0.2))
  older <- leaky
  names(older$config)[names(older$config) == "negative_slope"] <- "alpha"
  expect_identical(get_config(from_config(older)), leaky$config)
  refused <- function(layer, ...) {
    dict <- serialize_keras_object(layer)
    dict$config <- c(dict$config, list(...))
    expect_attn_error(from_config(dict), "config", "has no field")
  }
  refused(layer_attention(), causal = TRUE)
  refused(layer_attention(), input_length = 4L)
  refused(layer_activation_leaky_relu(), alpha = 0.2)
})

test_that("configs lead to layers that are configured alike", {
  layers <- list(
    layer_multi_head_attention(num_heads = 2, key_dim = 3, value_dim = 4, dropout = 0.5, seed = 3,
      output_shape = 7, attention_axes = c(2, 1), sliding_window = 2, use_gate = TRUE,
      kernel_initializer = initializer_he_normal(seed = 1), kernel_regularizer = "l1l2",
      bias_constraint = "unit_norm", activity_regularizer = "l2", dtype = "float64"
    ),
    layer_group_query_attention(
      head_dim = 2, num_query_heads = 4, num_key_value_heads = 2, activity_regularizer = "l1"
    ),
    layer_attention(use_scale = TRUE, score_mode = "concat", dropout = 0.1, seed = 1337),
    layer_additive_attention(use_scale = FALSE, activity_regularizer = "l2", trainable = FALSE)
  )
  for (layer in layers) {
    config <- get_config(layer)
    expect_identical(get_config(from_config(config)), config)
    expect_identical(get_config(layer$from_config(config)), config)
    expect_identical(class(from_config(config)), class(layer))
    json <- to_json(config)
    expect_identical(to_json(get_config(from_config(jsonlite::fromJSON(json)))), json)
  }
})

test_that("activity regularizers stand where Keras puts them", {
  gqa <- layer_group_query_attention(
    head_dim = 2, num_query_heads = 2, num_key_value_heads = 1, activity_regularizer = "l1"
  )
  expect_identical(names(get_config(gqa))[1:5], c(
    "name", "trainable", "dtype", "activity_regularizer", "head_dim"
  ))
  attention <- layer_attention(activity_regularizer = "l1")
  expect_identical(names(get_config(attention))[4:5], c("activity_regularizer", "use_scale"))
  expect_false("activity_regularizer" %in% names(get_config(layer_attention())))
  mha <- layer_multi_head_attention(num_heads = 1, key_dim = 1, activity_regularizer = "l1")
  expect_identical(names(get_config(mha))[4], "num_heads")
})

test_that("what has no config is a classed error", {
  layer <- layer_multi_head_attention(num_heads = 1, key_dim = 2,
    kernel_initializer = function(shape, dtype) array(0, shape)
  )
  expect_attn_error(get_config(layer), "config", "kernel_initializer")
})

test_that("configs that cannot be understood are classed errors", {
  config <- get_config(layer_attention())
  for (bad in list(NULL, 1, "a", list(), list(1), list(foo = 1), config[-4], mean)) {
    expect_attn_error(from_config(bad), "config")
  }
  layer <- layer_attention()
  expect_attn_error(layer$from_config(c(config, foo = 1)), "config", "foo")
  expect_attn_error(layer$from_config(1), "config")
  mha <- layer_multi_head_attention(num_heads = 1, key_dim = 2)
  expect_attn_error(mha$from_config(list(num_heads = 1)), "config", "key_dim")
  config$score_mode <- "foo"
  expect_attn_error(from_config(config), "argument", "score_mode")
  expect_attn_error(
    from_config(get_config(layer_attention()), custom_objects = list(a = 1)), "argument"
  )
  expect_attn_error(from_config(), "argument")
})

test_that("get_build_config() tells the shapes", {
  mha <- layer_multi_head_attention(num_heads = 1, key_dim = 2)
  expect_null(mha$get_build_config())
  mha$build(c(NA, 3, 4), c(NA, 5, 4), c(NA, 5, 6))
  expect_identical(mha$get_build_config(), list(shapes_dict = list(
    query_shape = list(NULL, 3L, 4L), value_shape = list(NULL, 5L, 4L),
    key_shape = list(NULL, 5L, 6L)
  )))
  attention <- layer_attention()
  attention$build(c(2, 3, 4), c(2, 5, 4))
  expect_identical(
    attention$get_build_config(), list(input_shape = list(list(2L, 3L, 4L), list(2L, 5L, 4L)))
  )
})

test_that("a config may be a string of JSON", {
  layer <- layer_attention(use_scale = TRUE)
  json <- as.character(to_json(get_config(layer)))
  expect_identical(get_config(from_config(json)), get_config(layer))
  full <- as.character(to_json(serialize_keras_object(regularizer_l2(0.5))))
  expect_identical(get_config(from_config(full)), list(l2 = 0.5))
  for (bad in c("{", "not a file", "1", "null", "[]", NA)) {
    expect_attn_error(from_config(bad), "config")
  }
})
