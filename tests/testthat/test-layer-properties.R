test_that("properties tell how a layer is configured", {
  mha <- layer_multi_head_attention(
    num_heads = 2, key_dim = 3, value_dim = 5, dropout = 0.1, use_bias = FALSE,
    output_shape = c(3, 2), attention_axes = -2, use_gate = TRUE, sliding_window = 4,
    flash_attention = TRUE, seed = 7, name = "m", dtype = "float64", trainable = FALSE
  )
  expect_identical(mha$num_heads, 2L)
  expect_identical(mha$key_dim, 3L)
  expect_identical(mha$value_dim, 5L)
  expect_identical(mha$dropout, 0.1)
  expect_false(mha$use_bias)
  expect_identical(mha$output_shape, c(3L, 2L))
  expect_identical(mha$attention_axes, -2L)
  expect_true(mha$use_gate)
  expect_identical(mha$sliding_window, 4L)
  expect_true(mha$flash_attention)
  expect_identical(mha$seed, 7L)
  expect_identical(mha$dtype, "float64")
  expect_false(mha$trainable)
  expect_true(mha$supports_masking)
  expect_false(mha$built)
  expect_s3_class(mha$kernel_initializer, "attn_initializer")
  expect_null(mha$kernel_regularizer)
  mha$build(c(1, 2, 4), c(1, 3, 4))
  expect_identical(mha$attention_axes, 1L)
  gqa <- layer_group_query_attention(
    head_dim = 3, num_query_heads = 4, num_key_value_heads = 2
  )
  expect_identical(
    list(gqa$head_dim, gqa$num_query_heads, gqa$num_key_value_heads), list(3L, 4L, 2L)
  )
  attention <- layer_attention(score_mode = "concat", dropout = 0.2)
  expect_identical(list(attention$score_mode, attention$dropout), list("concat", 0.2))
  expect_null(attention$scale)
  expect_true(layer_additive_attention()$use_scale)
})

test_that("value_dim is the key_dim when not given", {
  expect_identical(layer_multi_head_attention(num_heads = 1, key_dim = 6)$value_dim, 6L)
})

test_that("projections have kernel, bias and the objects that act on them", {
  layer <- layer_multi_head_attention(
    num_heads = 2, key_dim = 3, value_dim = 5, use_gate = TRUE,
    kernel_constraint = constraint_maxnorm(0.5), bias_constraint = "non_neg"
  )
  expect_attn_error(layer$query_dense, "state")
  layer$build(c(NA, 6, 4), c(NA, 6, 7), c(NA, 6, 8))
  expect_identical(dim(layer$query_dense$kernel), c(4L, 2L, 3L))
  expect_identical(dim(layer$key_dense$kernel), c(8L, 2L, 3L))
  expect_identical(dim(layer$gate_dense$kernel), c(4L, 2L, 5L))
  expect_identical(dim(layer$value_dense$bias), c(2L, 5L))
  expect_identical(dim(layer$output_dense$bias), 4L)
  expect_identical(layer$query_dense$kernel, layer$weights[["query/kernel"]])
  # Constraints do not act on the first weights, but sit there ready to.
  for (name in c("query_dense", "key_dense", "value_dense", "gate_dense", "output_dense")) {
    dense <- layer[[name]]
    projected <- dense$kernel_constraint(dense$kernel * 10)
    expect_lte(max(sqrt(apply(projected^2, c(2, 3), sum))), 0.5 + 1e-6)
    expect_identical(min(dense$bias_constraint(dense$bias - 1)), 0)
  }
  plain <- layer_multi_head_attention(num_heads = 1, key_dim = 2, use_bias = FALSE)
  plain$build(c(1, 2, 3), c(1, 2, 3))
  expect_null(plain$query_dense$bias)
  expect_null(plain$gate_dense)
})

test_that("scale and concat_score_weight are the weights", {
  layer <- layer_attention(use_scale = TRUE, score_mode = "concat")
  expect_attn_error(layer$scale, "state")
  layer$build(c(1, 2, 3), c(1, 2, 3))
  expect_identical(layer$scale, 1)
  expect_identical(layer$concat_score_weight, 1)
  additive <- layer_additive_attention()
  additive$build(c(1, 2, 3), c(1, 2, 4), c(1, 2, 3))
  expect_identical(dim(additive$scale), 3L)
})

test_that("only trainable can be assigned", {
  layer <- layer_multi_head_attention(num_heads = 1, key_dim = 2)
  layer$build(c(1, 2, 3), c(1, 2, 3))
  for (name in setdiff(names(layer), "trainable")) {
    expect_attn_error(layer[[name]] <- 1, "read_only", name)
  }
  expect_attn_error(layer$foo <- 1, "read_only")
  expect_attn_error(layer$trainable <- NA, "argument")
  expect_length(layer$trainable_weights, 8)
  expect_length(layer$non_trainable_weights, 0)
  layer$trainable <- FALSE
  expect_length(layer$trainable_weights, 0)
  expect_identical(names(layer$non_trainable_weights), names(layer$weights))
  expect_false(get_config(layer)$trainable)
})

test_that("unknown names are errors that suggest others", {
  layer <- layer_attention()
  expect_attn_error(layer$score_mod, "argument", "score_mode")
  expect_attn_error(layer$num_heads, "argument")
  expect_attn_error(layer[[1]], "argument")
  expect_identical(layer[["dropout"]], 0)
})

test_that("names() and completion list what there is", {
  layer <- layer_multi_head_attention(num_heads = 1, key_dim = 2)
  layer$build(c(1, 2, 3), c(1, 2, 3))
  for (name in names(layer)) {
    expect_no_error(layer[[name]])
  }
  expect_identical(.DollarNames(layer, "^num_"), "num_heads")
})

test_that("compute_output_shape takes shapes in every form", {
  layer <- layer_multi_head_attention(num_heads = 2, key_dim = 3, output_shape = c(6, 5))
  expected <- c(NA, 4L, 6L, 5L)
  expect_identical(layer$compute_output_shape(c(NA, 4, 8), c(NA, 3, 8)), expected)
  expect_identical(layer$compute_output_shape(list(NULL, 4, 8), list(NULL, 3, 8)), expected)
  expect_identical(layer$compute_output_shape(list(c(NA, 4, 8), c(NA, 3, 8))), expected)
  expect_false(layer$built)
  for (bad in list(NULL, "a", c(1, 2), c(1.5, 2, 3), c(-1, 2, 3), list(), TRUE, c(0, 2, 3))) {
    expect_attn_error(layer$compute_output_shape(bad, c(NA, 3, 8)))
    expect_attn_error(layer$compute_output_shape(c(NA, 3, 8), bad))
  }
  expect_attn_error(layer$compute_output_shape())
})

test_that("compute_output_spec gives symbols without building", {
  layer <- layer_multi_head_attention(num_heads = 2, key_dim = 3, dtype = "float64")
  spec <- layer$compute_output_spec(keras_input(c(5, 4)), keras_input(c(6, 4)))
  expect_identical(dim(spec), c(NA, 5L, 4L))
  expect_identical(spec$dtype, "float64")
  both <- layer$compute_output_spec(
    random_array(2, 5, 4), random_array(2, 6, 4),
    return_attention_scores = TRUE
  )
  expect_identical(dim(both[[2]]), c(2L, 2L, 5L, 6L))
  expect_false(layer$built)
  attention <- layer_attention()
  both <- attention$compute_output_spec(
    list(keras_input(c(5, 4)), keras_input(c(6, 4))),
    return_attention_scores = TRUE
  )
  expect_identical(dim(both[[2]]), c(NA, 5L, 6L))
})

test_that("compute_mask gives the output's mask, unchanged", {
  x <- random_array(2, 3, 4)
  mask <- matrix(c(1L, 0L), 2, 3)
  attention <- layer_attention()
  inputs <- list(x, x)
  expect_null(attention$compute_mask(inputs))
  expect_null(attention$compute_mask(inputs, list(NULL, mask)))
  expect_identical(attention$compute_mask(inputs, list(mask, NULL)), mask)
  expect_identical(attention$compute_mask(inputs, list(TRUE, TRUE)), TRUE)
  expect_attn_error(attention$compute_mask(inputs, mask), "argument")
  mha <- layer_multi_head_attention(num_heads = 1, key_dim = 2)
  expect_null(mha$compute_mask(x))
  expect_identical(mha$compute_mask(set_keras_mask(x, mask)), mask)
  expect_identical(mha$compute_mask(x, mask), mask)
})

test_that("call() is the layer", {
  x <- random_array(1, 3, 4)
  for (layer in list(layer_attention(), layer_additive_attention())) {
    expect_identical(layer$call(list(x, x)), layer(list(x, x)))
  }
  layer <- layer_multi_head_attention(num_heads = 1, key_dim = 2)
  expect_identical(layer$call(x, x), layer(x, x))
  expect_identical(formals(layer$call), formals(layer))
})

test_that("a layer that was called once gives its symbolic input and output", {
  input <- keras_input(4)
  first <- layer_dense(units = 3)
  expect_attn_error(first$output, "state", "output")
  output <- layer_dense(first(input), units = 2)
  model <- keras_model(input, output)
  expect_identical(first$input, input)
  expect_identical(dim(first$output), c(NA, 3L))
  x <- matrix(stats::rnorm(8), 2)
  part <- keras_model(input, first$output)
  expect_equal(part(x), first(x), tolerance = 1e-6)
  # a model that is read again knows how its layers were called
  again <- unserialize(serialize(model, NULL))
  same <- keras_model(again$input, get_layer(again, index = 2)$output)
  expect_identical(same(x), part(x))
  first(input)
  expect_attn_error(first$output, "state", "output")
  attention <- layer_attention()
  result <- attention(list(keras_input(c(3, 2)), keras_input(c(5, 2))),
    return_attention_scores = TRUE
  )
  expect_length(attention$input, 2)
  expect_identical(attention$output, result)
})

test_that("properties are read and set by name alone", {
  layer <- small_mha()
  before <- get_config(layer)
  expect_attn_error(layer[1], "argument", "used with `\\$` or `\\[\\[`, not with `\\[`")
  expect_attn_error(layer["name"], "argument", "not with")
  for (i in list(1, NULL, NA_character_, c("name", "dtype"))) {
    expect_attn_error(layer[[i]] <- "a", "argument", "the name of a property")
  }
  expect_attn_error(layer[["num_heads"]] <- 3, "read_only", "num_heads")
  expect_identical(get_config(layer), before)
  expect_attn_error(layer$query_dense$weights, "argument", "one of name, kernel")
})

test_that("set_weights() of a layer takes a list of weights and nothing more", {
  layer <- small_mha()
  weights <- lapply(layer$get_weights(), `+`, 1)
  expect_identical(layer$set_weights(weights), layer)
  expect_equal(layer$get_weights(), weights, tolerance = 1e-6)
  expect_attn_error(layer$set_weights(), "argument", "weights")
  expect_attn_error(layer$set_weights(weights, 1), "argument")
  expect_equal(layer$get_weights(), weights, tolerance = 1e-6)
})

test_that("compute_output_spec() of a model takes arrays and symbolic tensors", {
  input <- keras_input(c(NA, 3))
  model <- keras_model(input, layer_dense(input, 2))
  for (x in list(array(1, c(4, 5, 3)), keras_input(batch_shape = c(4, 5, 3)))) {
    spec <- model$compute_output_spec(x)
    expect_s3_class(spec, "keras_tensor")
    expect_identical(dim(spec), c(4L, 5L, 2L))
  }
  expect_attn_error(model$compute_output_spec(array(1, c(4, 5, 6))), "shape")
  expect_attn_error(model$compute_output_spec("x"), "argument")
})

test_that("compute_output_spec() of layers of one tensor is a symbolic tensor", {
  layer <- layer_dense(units = 3, dtype = "float64")
  for (x in list(matrix(1, 2, 4), keras_input(4, batch_size = 2))) {
    spec <- layer$compute_output_spec(x)
    expect_s3_class(spec, "keras_tensor")
    expect_identical(dim(spec), c(2L, 3L))
    expect_identical(spec$dtype, "float64")
  }
  expect_identical(dim(layer_add()$compute_output_spec(list(diag(2), matrix(1, 2, 1)))), c(2L, 2L))
  expect_attn_error(layer$compute_output_spec(), "argument", "inputs")
  expect_attn_error(layer$compute_output_spec(diag(2), other = 1), "argument", "other")
  expect_attn_error(layer$compute_output_spec("a"), "argument", "inputs")
})

test_that("compute_mask() of layers of one tensor hands on the mask that fits", {
  layer <- layer_dense(units = 3)
  x <- array(1, c(2, 3, 4))
  mask <- matrix(c(TRUE, FALSE), 2, 3)
  expect_identical(layer$compute_mask(x, mask), mask)
  expect_null(layer$compute_mask(x))
  expect_null(layer$compute_mask(x, list(mask)))
})

test_that("compute_output_shape() refuses what is no shape of its inputs", {
  expect_attn_error(layer_add()$compute_output_shape(c(NA, 3)), "argument", "a list of shapes")
  expect_attn_error(layer_dense(units = 3)$compute_output_shape(NULL), "argument", "input_shape")
  layer <- layer_dense(units = 3)
  expect_attn_error(layer$compute_output_shape(5), "shape", "at least 2 dims")
  expect_identical(layer$compute_output_shape(c(NA, 5)), c(NA, 3L))
  layer$build(c(NA, 4))
  expect_attn_error(layer$compute_output_shape(c(NA, 5)), "shape", "last dim is 4")
  input <- keras_model(x <- keras_input(4), layer_dense(x, 2))$layers[[1]]
  expect_identical(input$compute_output_shape(c(NA, 4)), c(NA, 4L))
})

test_that("compute_output_spec() has the dtype that a call gives", {
  numbers <- keras_input(shape = 4, dtype = "int32")
  layer <- layer_reshape(target_shape = c(2, 2))
  expect_identical(layer$compute_output_spec(numbers)$dtype, layer(numbers)$dtype)
  expect_identical(layer$compute_output_spec(numbers)$dtype, "int32")
  expect_identical(layer$compute_output_spec(matrix(1:8, 2))$dtype, "int32")
  expect_identical(layer$compute_output_spec(matrix(0.5, 2, 4))$dtype, "float32")
})

test_that("compute_output_spec() of a Transformer's encoder takes what a call takes", {
  layer <- layer_transformer_encoder(intermediate_dim = 8, num_heads = 2)
  for (x in list(keras_input(c(4, 8)), array(1, c(3, 4, 8)))) {
    expect_identical(dim(layer$compute_output_spec(x)), dim(x))
    mask <- if (is.array(x)) matrix(TRUE, 3, 4) else keras_input(4)
    both <- layer$compute_output_spec(x, padding_mask = mask, return_attention_scores = TRUE)
    expect_identical(lapply(both, dim), list(dim(x), c(dim(x)[1L], 2L, 4L, 4L)))
  }
  expect_false(layer$built)
  expect_length(layer$weights, 0L)
  x <- array(1, c(3, 4, 8))
  expect_attn_error(layer$compute_output_spec(), "argument", "inputs")
  expect_attn_error(layer$compute_output_spec(x, mask = 1), "argument", "mask")
  expect_attn_error(layer$compute_output_spec(x, padding_mask = matrix(TRUE, 2, 4)), "shape",
    "padding_mask"
  )
  expect_attn_error(layer$compute_output_spec(x[, , 1]), "shape", "inputs")
})

test_that("compute_output_spec() of a Transformer's decoder takes what a call takes", {
  layer <- layer_transformer_decoder(intermediate_dim = 8, num_heads = 2)
  x <- array(1, c(3, 4, 8))
  encoded <- array(1, c(3, 5, 6))
  cache <- array(0, c(3, 2, 9, 2, 4))
  cross <- array(0, c(3, 2, 5, 2, 4))
  expect_identical(dim(layer$compute_output_spec(x)), dim(x))
  expect_identical(dim(layer$compute_output_spec(keras_input(c(4, 8)), keras_input(c(5, 6)))),
    c(NA, 4L, 8L)
  )
  expect_identical(dim(layer$compute_output_spec(list(x, encoder_sequence = encoded))), dim(x))
  steps <- layer$compute_output_spec(x, encoded,
    self_attention_cache = cache, self_attention_cache_update_index = 0,
    cross_attention_cache = cross, cross_attention_cache_update_index = 0
  )
  expect_identical(lapply(steps, dim), list(dim(x), dim(cache), dim(cross)))
  expect_false(layer$built)
  expect_length(layer$weights, 0L)
  expect_attn_error(layer$compute_output_spec(), "argument", "decoder_sequence")
  expect_attn_error(layer$compute_output_spec(x, inputs = x), "argument", "inputs")
  expect_attn_error(layer$compute_output_spec(x, encoded[1:2, , ]), "shape", "encoder_sequence")
  expect_attn_error(layer$compute_output_spec(list(x), encoded), "argument", "decoder_sequence")
  layer(x)
  expect_attn_error(layer$compute_output_spec(x, encoded), "argument", "encoder_sequence")
})
