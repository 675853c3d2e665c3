test_that("names are made as Keras makes them, and can be given", {
  prefixes <- c(
    "multi_head_attention", "grouped_query_attention", "attention", "additive_attention"
  )
  first <- all_layers()
  second <- all_layers()
  for (i in seq_along(prefixes)) {
    expect_match(first[[i]]$name, paste0("^", prefixes[i], "(_[0-9]+)?$"))
    number <- function(name) {
      if (name == prefixes[i]) 0L else as.integer(sub(".*_", "", name))
    }
    expect_identical(number(second[[i]]$name), number(first[[i]]$name) + 1L)
  }
  for (layer in all_layers(name = "mine")) {
    expect_identical(layer$name, "mine")
    expect_identical(layer$path, "mine")
  }
  expect_attn_error(layer_attention(name = "a/b"), "argument", "name")
})

test_that("a layer that failed to be made does not use up a name", {
  before <- layer_attention()$name
  try(layer_attention(score_mode = "foo"), silent = TRUE)
  try(layer_attention(dtype = "foo"), silent = TRUE)
  after <- layer_attention()$name
  number <- function(name) as.integer(sub("\\D+", "", paste0(name, if (name == "attention") 0)))
  expect_identical(number(after), number(before) + 1L)
})

test_that("NULL or nothing gives the layer, data give its result", {
  x <- random_array(2, 3, 4)
  y <- random_array(2, 5, 4)
  k <- random_array(2, 5, 4)
  seeded <- initializer_glorot_uniform(seed = 1)
  mha <- function(...) {
    layer_multi_head_attention(..., num_heads = 2, key_dim = 3, kernel_initializer = seeded)
  }
  gqa <- function(...) {
    layer_group_query_attention(...,
      head_dim = 3, num_query_heads = 2, num_key_value_heads = 1, kernel_initializer = seeded
    )
  }
  for (make in list(mha, gqa)) {
    layer <- make(NULL)
    expect_s3_class(layer, "attn_layer")
    expect_type(layer, "closure")
    expect_identical(make(x), layer(x, x))
    expect_identical(make(list(x)), layer(x, x))
    expect_identical(make(list(x, y)), layer(x, y))
    expect_identical(make(list(x, y, k)), layer(x, y, k))
    expect_identical(make(list(value = y, query = x)), layer(x, y))
    expect_identical(make(list(x, use_causal_mask = TRUE)), layer(x, x, use_causal_mask = TRUE))
    expect_identical(
      make(list(x, y, return_attention_scores = TRUE)),
      layer(x, y, return_attention_scores = TRUE)
    )
    expect_identical(dim(make(keras_input(c(3, 4)))), c(NA, 3L, 4L))
    expect_identical(dim(make(list(keras_input(c(3, 4)), keras_input(c(5, 4))))), c(NA, 3L, 4L))
  }
  additive <- function(...) layer_additive_attention(..., use_scale = FALSE)
  for (make in list(layer_attention, additive)) {
    layer <- make(NULL)
    expect_s3_class(layer, "attn_layer")
    expect_identical(make(x), layer(list(x, x)))
    expect_identical(make(list(x)), layer(list(x, x)))
    expect_identical(make(list(x, y)), layer(list(x, y)))
    expect_identical(make(list(x, y, k)), layer(list(x, y, k)))
    expect_identical(make(list(query = x, key = k, value = y)), layer(list(x, y, k)))
    padding <- list(NULL, matrix(c(TRUE, FALSE), 2, 5))
    expect_identical(
      make(list(x, y, mask = padding, use_causal_mask = TRUE)),
      layer(list(x, y), mask = padding, use_causal_mask = TRUE)
    )
    expect_identical(dim(make(keras_input(c(3, 4)))), c(NA, 3L, 4L))
  }
})

test_that("anything else as first argument is a classed error", {
  x <- random_array(2, 3, 4)
  for (bad in list(
    2, "a", list(), list(x, x, x, x), list(foo = x), data.frame(a = 1), mean, factor("a"),
    list(use_causal_mask = TRUE), matrix("a", 2, 2), layer_attention()
  )) {
    expect_attn_error(layer_multi_head_attention(bad, 2, 3))
    expect_attn_error(layer_group_query_attention(bad, 2, 2, 1))
    expect_attn_error(layer_attention(bad))
    expect_attn_error(layer_additive_attention(bad))
  }
  expect_attn_error(layer_multi_head_attention(list(x, foo = 1), 2, 3), "argument", "foo")
})

test_that("calls refuse unknown and superfluous arguments", {
  x <- random_array(2, 3, 4)
  for (layer in all_layers()) {
    expect_attn_error(call_layer(layer, x, x, foo = 1), "argument", "foo")
    expect_attn_error(call_layer(layer, x, x, training = 1), "argument", "training")
    expect_attn_error(
      call_layer(layer, x, x, return_attention_scores = NA), "argument", "return_attention_scores"
    )
    expect_attn_error(layer(), "argument")
  }
})

test_that("integer and logical input is taken as numbers", {
  numbers <- array(c(0, 1, 1, 0, 1, 1), c(1, 3, 2))
  for (layer in all_layers(dtype = "float64")) {
    expected <- call_layer(layer, numbers)
    integers <- array(as.integer(numbers), dim(numbers))
    expect_identical(call_layer(layer, integers), expected)
    expect_identical(call_layer(layer, integers == 1L), expected)
  }
})

test_that("an error leaves the layer as it was", {
  x <- random_array(2, 3, 4)
  for (layer in all_layers()) {
    expect_attn_error(call_layer(layer, x, random_array(3, 3, 4)), "shape")
    expect_false(layer$built)
    first <- call_layer(layer, x)
    weights <- get_weights(layer)
    expect_attn_error(call_layer(layer, x, random_array(2, 3, 5)), "shape")
    expect_attn_error(call_layer(layer, x, "a"), "argument")
    expect_identical(get_weights(layer), weights)
    expect_identical(call_layer(layer, x), first)
  }
})

test_that("copies of a layer are the same layer", {
  layer <- layer_attention(use_scale = TRUE)
  copy <- layer
  copy$build(c(1, 2, 3), c(1, 2, 3))
  expect_true(layer$built)
  set_weights(copy, list(2))
  expect_identical(get_weights(layer), list(2))
  copy$trainable <- FALSE
  expect_false(layer$trainable)
})

test_that("layers survive serialization, with weights, settings and dropout", {
  x <- random_array(2, 4, 4)
  for (layer in all_layers(dtype = "float64")) {
    unbuilt <- unserialize(serialize(layer, NULL))
    expect_false(unbuilt$built)
    expected <- call_layer(layer, x)
    copy <- unserialize(serialize(layer, NULL))
    expect_identical(call_layer(copy, x), expected)
    expect_identical(get_config(copy), get_config(layer))
    expect_identical(get_weights(copy), get_weights(layer))
    # A layer of its own: changing one leaves the other.
    set_weights(copy, lapply(get_weights(copy), function(w) w * 0))
    expect_identical(call_layer(layer, x), expected)
    path <- withr::local_tempfile()
    saveRDS(layer, path)
    expect_identical(call_layer(readRDS(path), x), expected)
  }
  layer <- layer_multi_head_attention(num_heads = 2, key_dim = 3, dropout = 0.5, seed = 1)
  layer(x, x, training = TRUE)
  copy <- unserialize(serialize(layer, NULL))
  expect_identical(copy(x, x, training = TRUE), layer(x, x, training = TRUE))
})

test_that("symbolic and numeric inputs do not mix", {
  x <- random_array(2, 3, 4)
  symbol <- keras_input(c(3, 4))
  for (layer in all_layers()) {
    expect_attn_error(call_layer(layer, x, symbol), "argument", "query")
    expect_attn_error(call_layer(layer, symbol, x), "argument", "value")
    expect_false(layer$built)
  }
})
