test_that("built layers come back built, through JSON too", {
  layers <- list(
    layer_multi_head_attention(num_heads = 2, key_dim = 3),
    layer_group_query_attention(head_dim = 2, num_query_heads = 2, num_key_value_heads = 1),
    layer_attention(use_scale = TRUE),
    layer_additive_attention()
  )
  for (layer in layers) {
    for (shapes in list(
      list(c(NA, 3, 4), c(NA, 3, 4)), list(c(2, 3, 4), c(2, 5, 4), c(2, 5, 4))
    )) {
      copy <- from_config(get_config(layer))
      do.call(copy$build, shapes)
      dict <- serialize_keras_object(copy)
      expect_identical(dict$module, "keras.layers")
      expect_true("build_config" %in% names(dict))
      for (simplify in c(TRUE, FALSE)) {
        read <- jsonlite::fromJSON(to_json(dict), simplifyVector = simplify)
        back <- deserialize_keras_object(read)
        expect_true(back$built)
        expect_identical(lapply(back$weights, dim), lapply(copy$weights, dim))
        expect_identical(to_json(serialize_keras_object(back)), to_json(dict))
      }
    }
  }
})

test_that("class names of Python and of files both work", {
  config <- get_config(
    layer_group_query_attention(head_dim = 2, num_query_heads = 2, num_key_value_heads = 1)
  )
  for (name in c("GroupQueryAttention", "GroupedQueryAttention")) {
    layer <- deserialize_keras_object(list(class_name = name, config = config))
    expect_s3_class(layer, "attn_layer_group_query_attention")
  }
})

test_that("initializers, regularizers and constraints go the same way", {
  for (object in list(
    initializer_he_normal(seed = 2L), regularizer_l2(0.3), constraint_maxnorm(3)
  )) {
    dict <- serialize_keras_object(object)
    expect_identical(get_config(deserialize_keras_object(dict)), get_config(object))
    expect_identical(class(from_config(dict)), class(object))
    # Without the module the class decides.
    expect_identical(class(from_config(dict[c("class_name", "config")])), class(object))
  }
})

test_that("plain values and lists of objects are handled", {
  expect_null(serialize_keras_object(NULL))
  expect_identical(serialize_keras_object(c(1, 2)), c(1, 2))
  expect_identical(deserialize_keras_object("a"), "a")
  both <- deserialize_keras_object(
    serialize_keras_object(list(layer_attention(), regularizer_l1(1)))
  )
  expect_s3_class(both[[1]], "attn_layer_attention")
  expect_s3_class(both[[2]], "attn_regularizer")
})

test_that("what cannot be understood is a classed error", {
  expect_attn_error(serialize_keras_object(mean), "config")
  expect_attn_error(serialize_keras_object(data.frame(a = 1)), "config")
  expect_attn_error(serialize_keras_object(), "argument")
  good <- serialize_keras_object(layer_attention())
  expect_attn_error(deserialize_keras_object(replace(good, "class_name", "Dense")), "config")
  expect_attn_error(deserialize_keras_object(replace(good, "class_name", list(NULL))), "config")
  expect_attn_error(deserialize_keras_object(replace(good, "config", 1)), "config")
  expect_attn_error(deserialize_keras_object(c(good, list(build_config = 1))), "config")
  expect_attn_error(deserialize_keras_object(good, custom_objects = list(1)), "argument")
  expect_attn_error(deserialize_keras_object(good, safe_mode = NA), "argument")
  expect_attn_error(deserialize_keras_object(good, foo = 1), "argument")
  expect_attn_error(deserialize_keras_object(), "argument")
})
