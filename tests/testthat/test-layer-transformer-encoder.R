new_encoder <- function(shape, ..., heads = 2, units = 7) {
  layer <- layer_transformer_encoder(intermediate_dim = units, num_heads = heads, ...)
  layer$build(shape)
  shake_weights(layer)
  layer
}

test_that("it computes what its parts are said to", {
  for (first in c(FALSE, TRUE)) {
    for (shape in list(c(2, 5, 8), c(1, 1, 4), c(3, 17, 6))) {
      layer <- new_encoder(shape, normalize_first = first, dtype = "float64")
      x <- random_array(shape)
      wanted <- each_sequence(shape, function(b) plain_encoder(layer, matrix(x[b, , ], shape[2])))
      label <- paste(first, toString(shape))
      expect_identical(dim(layer(x)), as.integer(shape), label = label)
      expect_lte(biggest(layer(x) - wanted), 1e-10, label = label)
      single <- new_encoder(shape, normalize_first = first)
      set_weights(single, get_weights(layer))
      expect_lte(biggest(single(x) - wanted), 5e-6 * max(1, biggest(wanted)), label = label)
    }
  }
})

test_that("activation, epsilon, and a width that the heads do not divide", {
  layer <- new_encoder(c(2, 4, 7), heads = 3, activation = "tanh", layer_norm_epsilon = 0.5,
    dtype = "float64"
  )
  expect_identical(dim(layer$weights[["self_attention_layer/query/kernel"]]), c(7L, 3L, 2L))
  x <- random_array(2, 4, 7)
  wanted <- each_sequence(dim(x), function(b) plain_encoder(layer, x[b, , ], activation = tanh))
  expect_lte(biggest(layer(x) - wanted), 1e-10)
})

test_that("masks of all kinds must all agree", {
  for (first in c(FALSE, TRUE)) {
    layer <- new_encoder(c(2, 5, 8), normalize_first = first, dtype = "float64")
    x <- random_array(2, 5, 8)
    padding <- rbind(c(TRUE, TRUE, TRUE, FALSE, FALSE), c(TRUE, TRUE, TRUE, TRUE, FALSE))
    pairs <- array(stats::runif(50) > 0.3, c(2, 5, 5))
    pairs[, , 1] <- TRUE
    keys <- function(b) matrix(padding[b, ], 5, 5, byrow = TRUE)
    wanted <- each_sequence(dim(x), function(b) plain_encoder(layer, x[b, , ], keys(b)))
    expect_lte(biggest(layer(x, padding_mask = padding) - wanted), 1e-10)
    expect_identical(layer(x, padding_mask = padding * 1), layer(x, padding_mask = padding))
    wanted <- each_sequence(dim(x), function(b) plain_encoder(layer, x[b, , ], pairs[b, , ]))
    expect_lte(biggest(layer(x, attention_mask = pairs) - wanted), 1e-10)
    both <- layer(x, padding_mask = padding, attention_mask = pairs)
    wanted <- each_sequence(dim(x), function(b) {
      plain_encoder(layer, x[b, , ], keys(b) & pairs[b, , ])
    })
    expect_lte(biggest(both - wanted), 1e-10)
    # an implicit mask hides queries as well: they see nothing, and get a mean
    carried <- layer(set_keras_mask(x, padding), attention_mask = pairs)
    expect_identical(get_keras_mask(carried), padding)
    wanted <- each_sequence(dim(x), function(b) {
      plain_encoder(layer, x[b, , ], keys(b) & pairs[b, , ] & padding[b, ])
    })
    expect_lte(biggest(set_keras_mask(carried, NULL) - wanted), 1e-10)
    # of dims 1: for all
    expect_identical(
      layer(x, attention_mask = pairs[1, , , drop = FALSE]),
      layer(x, attention_mask = pairs[c(1, 1), , ])
    )
  }
})

test_that("padding does not change what the other positions give", {
  layer <- new_encoder(c(2, 6, 8))
  x <- random_array(3, 6, 8)
  lengths <- c(6, 3, 1)
  mask <- outer(lengths, 1:6, `>=`)
  x[2, 4:6, ] <- NaN
  for (got in list(layer(x, padding_mask = mask), layer(set_keras_mask(x, mask)))) {
    for (b in 1:3) {
      rows <- seq_len(lengths[b])
      alone <- layer(x[b, rows, , drop = FALSE])
      expect_lte(biggest(got[b, rows, ] - alone[1, , ]), 1e-6)
    }
  }
})

test_that("scores come back where they are asked for", {
  layer <- new_encoder(c(2, 5, 8), dtype = "float64")
  x <- random_array(2, 5, 8)
  result <- layer(x, return_attention_scores = TRUE)
  expect_equal(result[[1]], layer(x), tolerance = 1e-12)
  expect_s3_class(result[[2]], "attn_scores")
  expect_identical(dim(result[[2]]), c(2L, 2L, 5L, 5L))
  expect_lte(biggest(apply(as.array(result[[2]]), 1:3, sum) - 1), 1e-12)
})

test_that("dropout is for training only", {
  layer <- new_encoder(c(2, 5, 8), dropout = 0.5, dtype = "float64")
  x <- random_array(2, 5, 8)
  wanted <- each_sequence(dim(x), function(b) plain_encoder(layer, x[b, , ]))
  expect_lte(biggest(layer(x) - wanted), 1e-10)
  expect_identical(layer(x, training = FALSE), layer(x))
  one <- layer(x, training = TRUE)
  two <- layer(x, training = TRUE)
  expect_gt(biggest(one - layer(x)), 0.01)
  expect_gt(biggest(one - two), 0.01)
})

test_that("arguments are checked when the layer is made", {
  make <- function(...) {
    arguments <- utils::modifyList(list(intermediate_dim = 4, num_heads = 2), list(...))
    do.call(layer_transformer_encoder, arguments)
  }
  expect_attn_error(layer_transformer_encoder(num_heads = 2), "argument", "intermediate_dim")
  expect_attn_error(layer_transformer_encoder(intermediate_dim = 2), "argument", "num_heads")
  for (bad in list(0, -1, 1.5, "2", NA, 1:2)) {
    expect_attn_error(make(intermediate_dim = bad), "argument", "intermediate_dim")
    expect_attn_error(make(num_heads = bad), "argument", "num_heads")
  }
  for (bad in list(-0.1, 1.1, "0", NA)) {
    expect_attn_error(make(dropout = bad), "argument", "dropout")
  }
  expect_attn_error(make(activation = "no"), "argument", "activation")
  expect_attn_error(make(layer_norm_epsilon = -1), "argument", "layer_norm_epsilon")
  expect_attn_error(make(kernel_initializer = "no"), "argument", "kernel_initializer")
  expect_attn_error(make(bias_initializer = 1), "argument", "bias_initializer")
  expect_attn_error(make(normalize_first = NA), "argument", "normalize_first")
  expect_attn_error(make(key_dim = 3), "argument", "key_dim")
})

test_that("calls are checked, and a refused one leaves the layer unbuilt", {
  layer <- layer_transformer_encoder(intermediate_dim = 4, num_heads = 2)
  x <- random_array(2, 3, 8)
  mask <- matrix(TRUE, 2, 3)
  expect_attn_error(layer(), "argument", "inputs")
  expect_attn_error(layer("a"), "argument", "inputs")
  expect_attn_error(layer(matrix(0, 2, 8)), "shape", "inputs")
  expect_attn_error(layer(random_array(2, 3, 4, 8)), "shape", "inputs")
  expect_attn_error(layer(random_array(2, 3, 1)), "shape", "num_heads")
  expect_attn_error(layer(x, padding_mask = mask[, 1:2]), "shape", "padding_mask")
  expect_attn_error(layer(x, padding_mask = array(TRUE, c(2, 3, 3))), "shape", "padding_mask")
  expect_attn_error(layer(x, padding_mask = c(TRUE, NA)), "argument", "padding_mask")
  expect_attn_error(layer(x, attention_mask = mask), "shape", "attention_mask")
  expect_attn_error(layer(x, attention_mask = "a"), "argument", "attention_mask")
  expect_attn_error(layer(x, training = 1), "argument", "training")
  expect_attn_error(layer(x, return_attention_scores = NA), "argument")
  expect_attn_error(layer(x, use_causal_mask = TRUE), "argument", "use_causal_mask")
  expect_attn_error(layer(keras_input(c(3, NA))), "shape", "last dim is known")
  expect_attn_error(layer(x, padding_mask = keras_input(3)), "argument")
  expect_false(layer$built)
  expect_attn_error(set_weights(layer, list(1)), "state")
  layer(x)
  expect_attn_error(layer(random_array(2, 3, 6)), "shape", "last dim is 8")
})

test_that("its weights are those of its parts, in Keras's order", {
  layer <- new_encoder(c(2, 5, 8))
  parts <- c(
    "self_attention_layer", "self_attention_layer_norm", "feedforward_layer_norm",
    "feedforward_intermediate_dense", "feedforward_output_dense"
  )
  expect_identical(unique(sub("/.*", "", names(layer$weights))), parts)
  expect_length(get_weights(layer), 16)
  # attention with D = 8, two norms, two dense layers
  expect_identical(count_params(layer), 4 * (8 * 8 + 8) + 2 * 16 + (8 * 7 + 7) + (7 * 8 + 8))
  before <- get_weights(layer)
  x <- random_array(2, 5, 8)
  output <- layer(x)
  wrong <- before
  wrong[[16]] <- 1:3
  expect_attn_error(set_weights(layer, wrong), "weights", "feedforward_output_dense/bias")
  expect_attn_error(set_weights(layer, before[-1]), "weights", "16")
  expect_identical(get_weights(layer), before)
  other <- layer_transformer_encoder(intermediate_dim = 7, num_heads = 2)
  other$build(c(NA, NA, 8))
  set_weights(other, layer$weights[16:1]) # by name, in any order
  expect_identical(other(x), output)
  layer$trainable <- FALSE
  expect_length(layer$trainable_weights, 0)
  expect_length(layer$non_trainable_weights, 16)
})

test_that("it works in models, with masks as inputs", {
  layer <- new_encoder(c(2, 5, 8))
  x <- random_array(2, 5, 8)
  mask <- rbind(c(TRUE, TRUE, TRUE, FALSE, FALSE), TRUE)
  input <- keras_input(c(NA, 8))
  padding <- keras_input(NA, dtype = "bool")
  pairs <- keras_input(c(NA, NA), dtype = "bool")
  model <- keras_model(input, layer(input))
  expect_identical(model(x), layer(x))
  model <- keras_model(list(input, padding), layer(input, padding_mask = padding))
  expect_identical(model(list(x, mask)), layer(x, padding_mask = mask))
  model <- keras_model(list(input, pairs),
    layer(input, attention_mask = pairs, return_attention_scores = TRUE)
  )
  visible <- array(stats::runif(50) > 0.5, c(2, 5, 5))
  got <- model(list(x, visible))
  wanted <- layer(x, attention_mask = visible, return_attention_scores = TRUE)
  expect_identical(got[[1]], wanted[[1]])
  expect_identical(plain(got[[2]]), plain(wanted[[2]]))
  stack <- input |>
    layer_transformer_encoder(intermediate_dim = 4, num_heads = 2) |>
    layer_transformer_encoder(intermediate_dim = 4, num_heads = 4)
  expect_identical(dim(stack), c(NA, NA, 8L))
  expect_identical(dim(keras_model(input, stack)(x)), c(2L, 5L, 8L))
})

test_that("config, serialized and saved state are complete", {
  layer <- new_encoder(c(2, 5, 8), activation = "gelu", dropout = 0.1, normalize_first = TRUE,
    bias_initializer = "ones", name = "block"
  )
  config <- get_config(layer)
  expect_named(config, c(
    "name", "trainable", "dtype", "intermediate_dim", "num_heads", "dropout", "activation",
    "layer_norm_epsilon", "kernel_initializer", "bias_initializer", "normalize_first"
  ))
  dict <- serialize_keras_object(layer)
  expect_identical(dict$registered_name, "keras_hub>TransformerEncoder")
  again <- deserialize_keras_object(dict)
  expect_identical(get_config(again), config)
  expect_identical(names(again$weights), names(layer$weights))
  x <- random_array(2, 5, 8)
  output <- layer(x)
  copy <- unserialize(serialize(layer, NULL))
  expect_identical(copy(x), output)
  set_weights(copy, lapply(get_weights(copy), function(w) w * 0))
  expect_identical(layer(x), output)
})

test_that("results have the same bits for any number of threads", {
  layer <- new_encoder(c(2, 40, 64), heads = 4, units = 128)
  x <- random_array(4, 40, 64)
  before <- attn_threads()
  withr::defer(attn_threads(before))
  attn_threads(1)
  one <- layer(x)
  attn_threads(2)
  expect_identical(layer(x), one)
})

test_that("the shape of the result is that of the inputs", {
  layer <- layer_transformer_encoder(intermediate_dim = 3, num_heads = 2)
  expect_identical(layer$compute_output_shape(c(NA, 3, 4)), c(NA, 3L, 4L))
  expect_attn_error(layer$compute_output_shape(c(NA, 3)), "shape", "3 dims")
})
