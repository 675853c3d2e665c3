# Configs, shapes and losses of real Keras.

test_that("get_config() and serialize_keras_object() give what Keras gives", {
  for (row in layer_rows(fixture("configs"))) {
    layer <- configured_layer(row)
    expect_same_json(get_config(layer), row$get_config, row$args)
    expect_identical(layer$get_config(), get_config(layer))
    expect_same_json(serialize_keras_object(layer), row$serialized, row$args)
  }
})

test_that("layers come back from Keras's configs, however the JSON was read", {
  for (row in layer_rows(fixture("configs"))) {
    for (simplify in c(TRUE, FALSE)) {
      bare <- jsonlite::fromJSON(row$get_config, simplifyVector = simplify)
      expect_same_json(get_config(from_config(bare)), row$get_config, row$args)
      full <- jsonlite::fromJSON(row$serialized, simplifyVector = simplify)
      expect_same_json(
        serialize_keras_object(deserialize_keras_object(full)), row$serialized, row$args
      )
      expect_same_json(serialize_keras_object(from_config(full)), row$serialized, row$args)
    }
  }
})

test_that("integers stay integers and entries that are NULL stay", {
  config <- get_config(layer_multi_head_attention(num_heads = 2, key_dim = 3, output_shape = 7))
  expect_identical(config$num_heads, 2L)
  expect_identical(config$output_shape, list(7L))
  expect_identical(config$dropout, 0)
  expect_true("attention_axes" %in% names(config))
  expect_null(config$seed)
})

test_that("computed and symbolic shapes are Keras's", {
  for (row in fixture("shapes")) {
    layer <- make_layer(row$layer, jsonlite::fromJSON(row$args))
    shapes <- unname(Filter(Negate(is.null), row[c("query_shape", "value_shape", "key_shape")]))
    tensors <- lapply(shapes, function(shape) keras_input(batch_shape = shape))
    symbolic <- function(...) {
      if (has_heads(row$layer)) do.call(layer, c(tensors, list(...))) else layer(tensors, ...)
    }
    if (!is.null(row$error)) {
      expect_attn_error(do.call(layer$compute_output_shape, shapes), "shape")
      expect_attn_error(symbolic(), "shape")
      expect_false(layer$built)
      next
    }
    expect_identical(do.call(layer$compute_output_shape, shapes), row$output_shape)
    expect_identical(layer$compute_output_shape(shapes), row$output_shape)
    outputs <- symbolic(return_attention_scores = TRUE)
    expect_identical(dim(outputs[[1]]), row$symbolic_output)
    expected <- row$symbolic_scores
    # Keras says (B, N, T, T) for multi-head attention; scores are (B, N, T, S).
    if (row$layer == "MultiHeadAttention") {
      middle <- seq(2, length(row$query_shape) - 1)
      expected <- c(
        row$query_shape[1], layer$num_heads, row$query_shape[middle], row$value_shape[middle]
      )
    }
    expect_identical(dim(outputs[[2]]), as.integer(expected))
    expect_identical(dim(symbolic()), row$symbolic_output)
  }
})

test_that("losses are Keras's, in its order", {
  parse <- function(json) jsonlite::fromJSON(json)
  for (row in fixture("losses")) {
    layer <- make_layer(row$layer, row$config,
      dtype = "float64",
      kernel_regularizer = parse(row$kernel_regularizer),
      bias_regularizer = parse(row$bias_regularizer),
      activity_regularizer = parse(row$activity_regularizer)
    )
    build_for(layer, row$layer, row$inputs)
    set_weights(layer, row$weights)
    output <- layer(row$inputs$query, row$inputs$value)
    expect_equal(plain(output), plain(row$output), tolerance = 1e-9)
    losses <- layer$losses
    expect_type(losses, "list")
    expect_equal(unlist(losses), as.vector(row$losses), tolerance = 1e-7)
    expect_equal(sum(unlist(losses)), row$total, tolerance = 1e-7)
  }
})

test_that("the first weights respect the fans of the einsum", {
  for (row in fixture("fans")) {
    if (!(row$layer %in% names(layer_constructors))) next
    layer <- make_layer(row$layer, row$config, dtype = "float64")
    layer$build(row$query_shape, row$value_shape)
    kernel <- layer$weights[[row$name]]
    expect_identical(dim(kernel), row$shape)
    expect_lte(max(abs(kernel)), row$glorot_uniform_limit)
    layer <- make_layer(row$layer, row$config,
      dtype = "float64", kernel_initializer = initializer_he_normal()
    )
    layer$build(row$query_shape, row$value_shape)
    # Cut at two standard deviations, of the normal before it is cut.
    limit <- 2 * row$he_normal_sd / 0.87962566103423978
    expect_lte(max(abs(layer$weights[[row$name]])), limit + 1e-12)
  }
})
