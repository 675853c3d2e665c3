# `source`: the shape of the encoder's sequence, if there is one.
new_decoder <- function(shape, source = NULL, ..., heads = 2, units = 7) {
  layer <- layer_transformer_decoder(intermediate_dim = units, num_heads = heads, ...)
  layer$build(shape, source)
  shake_weights(layer)
  layer
}

test_that("it computes what its parts are said to", {
  for (first in c(FALSE, TRUE)) {
    for (shape in list(c(2, 5, 8), c(1, 1, 4), c(3, 17, 6))) {
      label <- paste(first, toString(shape))
      layer <- new_decoder(shape, normalize_first = first, dtype = "float64")
      x <- random_array(shape)
      each <- function(f) each_sequence(shape, function(b) f(matrix(x[b, , ], shape[2]), b))
      wanted <- each(function(x, b) plain_decoder(layer, x))
      expect_lte(biggest(layer(x) - wanted), 1e-10, label = label)
      everything <- matrix(TRUE, shape[2], shape[2])
      wanted <- each(function(x, b) plain_decoder(layer, x, visible = everything))
      expect_lte(biggest(layer(x, use_causal_mask = FALSE) - wanted), 1e-10, label = label)

      source <- random_array(shape[1], 4, 5)
      cross <- new_decoder(shape, dim(source), normalize_first = first, dtype = "float64")
      wanted <- each(function(x, b) plain_decoder(cross, x, source[b, , ]))
      expect_lte(biggest(cross(x, source) - wanted), 1e-10, label = label)
      single <- new_decoder(shape, dim(source), normalize_first = first)
      set_weights(single, get_weights(cross))
      expect_lte(biggest(single(x, source) - wanted), 5e-6 * max(1, biggest(wanted)),
        label = label
      )
    }
  }
})

test_that("no position sees what comes after it", {
  layer <- new_decoder(c(1, 6, 8))
  x <- random_array(1, 6, 8)
  output <- layer(x)
  x[, 4:6, ] <- NaN
  expect_identical(layer(x)[, 1:3, ], output[, 1:3, ])
})

test_that("masks of all kinds must all agree", {
  for (first in c(FALSE, TRUE)) {
    layer <- new_decoder(c(2, 5, 8), c(2, 4, 6), normalize_first = first, dtype = "float64")
    x <- random_array(2, 5, 8)
    y <- random_array(2, 4, 6)
    padding <- rbind(c(TRUE, TRUE, TRUE, FALSE, FALSE), c(TRUE, TRUE, TRUE, TRUE, FALSE))
    source_padding <- rbind(c(TRUE, FALSE, TRUE, TRUE), c(TRUE, TRUE, TRUE, FALSE))
    pairs <- array(stats::runif(50) > 0.3, c(2, 5, 5))
    pairs[, , 1] <- TRUE
    source_pairs <- array(stats::runif(40) > 0.3, c(2, 5, 4))
    source_pairs[, , 1] <- TRUE
    keys <- function(mask, b) matrix(mask[b, ], 5, ncol(mask), byrow = TRUE)
    expect_masked <- function(got, visible, seen) {
      wanted <- each_sequence(dim(x), function(b) {
        plain_decoder(layer, x[b, , ], y[b, , ], visible(b), seen(b))
      })
      expect_lte(biggest(set_keras_mask(got, NULL) - wanted), 1e-10)
    }
    causal <- lower_triangle(5)
    all_seen <- matrix(TRUE, 5, 4)
    expect_masked(
      layer(x, y, decoder_padding_mask = padding),
      function(b) causal & keys(padding, b), function(b) all_seen
    )
    expect_masked(
      layer(x, y, decoder_attention_mask = pairs, encoder_attention_mask = source_pairs),
      function(b) causal & pairs[b, , ], function(b) source_pairs[b, , ]
    )
    expect_masked(
      layer(x, y, padding * 1, pairs * 2, source_padding, source_pairs, use_causal_mask = FALSE),
      function(b) keys(padding, b) & pairs[b, , ],
      function(b) keys(source_padding, b) & source_pairs[b, , ]
    )
    # a mask that a sequence carries hides keys, not queries; one that is given wins
    carried <- layer(set_keras_mask(x, padding), set_keras_mask(y, source_padding))
    expect_identical(get_keras_mask(carried), padding)
    expect_masked(
      carried, function(b) causal & keys(padding, b), function(b) keys(source_padding, b)
    )
    expect_masked(
      layer(set_keras_mask(x, !padding), y, decoder_padding_mask = padding),
      function(b) causal & keys(padding, b), function(b) all_seen
    )
  }
})

test_that("padding does not change what the other positions give", {
  layer <- new_decoder(c(2, 6, 8), c(2, 5, 8))
  x <- random_array(2, 6, 8)
  y <- random_array(2, 5, 8)
  mask <- rbind(c(TRUE, TRUE, TRUE, FALSE, FALSE, FALSE), TRUE)
  source_mask <- rbind(c(TRUE, TRUE, FALSE, FALSE, FALSE), TRUE)
  got <- layer(x, y, decoder_padding_mask = mask, encoder_padding_mask = source_mask)
  alone <- layer(x[1, 1:3, , drop = FALSE], y[1, 1:2, , drop = FALSE])
  expect_lte(biggest(got[1, 1:3, ] - alone[1, , ]), 1e-6)
})

# ---- step by step ----

decode_in_steps <- function(layer, x, sizes, length) {
  cache <- layer$make_cache(dim(x)[1], length)
  result <- x
  at <- 0
  for (size in sizes) {
    rows <- at + seq_len(size)
    step <- layer(x[, rows, , drop = FALSE],
      self_attention_cache = cache, self_attention_cache_update_index = at
    )
    cache <- step[[2]]
    result[, rows, ] <- step[[1]]
    at <- at + size
  }
  list(result, cache)
}

test_that("decoding step by step gives what the whole gives", {
  for (dtype in c("float32", "float64")) {
    for (first in c(FALSE, TRUE)) {
      layer <- new_decoder(c(3, 7, 8), normalize_first = first, dtype = dtype)
      x <- random_array(3, 7, 8)
      whole <- layer(x)
      tolerance <- if (dtype == "float64") 1e-10 else 1e-5
      for (sizes in list(rep(1, 7), c(3, 1, 1, 2), 7, c(4, 3))) {
        for (length in c(7, 12)) {
          got <- decode_in_steps(layer, x, sizes, length)
          label <- paste(dtype, first, toString(sizes), length)
          expect_lte(biggest(got[[1]] - whole), tolerance, label = label)
          expect_identical(dim(got[[2]]), as.integer(c(3, 2, length, 2, 4)), label = label)
          if (length > 7) {
            expect_identical(biggest(got[[2]][, , 8:12, , ]), 0, label = label)
          }
        }
      }
    }
  }
})

test_that("the cache holds the projected keys and values", {
  layer <- new_decoder(c(2, 3, 8), normalize_first = FALSE, dtype = "float64")
  x <- random_array(2, 3, 8)
  cache <- layer(x,
    self_attention_cache = layer$make_cache(2, 4), self_attention_cache_update_index = 1
  )[[2]]
  w <- weights_of(layer, "self_attention")
  for (b in 1:2) {
    for (head in 1:2) {
      keys <- plain_dense(x[b, , ], w[["key/kernel"]][, head, ], w[["key/bias"]][head, ])
      values <- plain_dense(x[b, , ], w[["value/kernel"]][, head, ], w[["value/bias"]][head, ])
      expect_equal(cache[b, 1, 2:4, head, ], keys, tolerance = 1e-12)
      expect_equal(cache[b, 2, 2:4, head, ], values, tolerance = 1e-12)
    }
  }
  expect_identical(biggest(cache[, , 1, , ]), 0)
})

test_that("with an encoder, its keys and values are computed once", {
  for (dtype in c("float32", "float64")) {
    layer <- new_decoder(c(2, 6, 8), c(2, 4, 6), dtype = dtype)
    x <- random_array(2, 6, 8)
    y <- random_array(2, 4, 6)
    source_mask <- rbind(c(TRUE, TRUE, TRUE, FALSE), TRUE)
    whole <- layer(x, y, encoder_padding_mask = source_mask)
    cache <- layer$make_cache(2, 6)
    cross <- layer$make_cache(2, 4)
    for (at in 0:5) {
      # later steps do not look at the numbers of the encoder's sequence
      step <- layer(x[, at + 1, , drop = FALSE], if (at == 0) y else y * NaN,
        encoder_padding_mask = source_mask,
        self_attention_cache = cache, self_attention_cache_update_index = at,
        cross_attention_cache = cross,
        cross_attention_cache_update_index = if (at == 0) 0
      )
      expect_length(step, 3)
      cache <- step[[2]]
      if (at > 0) {
        expect_identical(step[[3]], cross)
      }
      cross <- step[[3]]
      expect_lte(biggest(step[[1]][, 1, ] - whole[, at + 1, ]),
        if (dtype == "float64") 1e-10 else 1e-5
      )
    }
  }
})

test_that("a step costs what lies before it: the rest of the cache is not looked at", {
  layer <- new_decoder(c(2, 6, 8))
  x <- random_array(2, 6, 8)
  cache <- decode_in_steps(layer, x, 6, 9)[[2]]
  damaged <- cache
  damaged[, , 5:9, , ] <- NaN
  step <- function(cache, rows, at) {
    layer(x[, rows, , drop = FALSE],
      self_attention_cache = cache, self_attention_cache_update_index = at
    )
  }
  expect_identical(step(damaged, 4, 3)[[1]], step(cache, 4, 3)[[1]])
  expect_identical(step(damaged, 3:4, 2)[[1]], step(cache, 3:4, 2)[[1]])
  # a cache that is used as it is: positions count from 0
  expect_equal(
    layer(x[, 1:2, ], self_attention_cache = cache)[[1]], layer(x)[, 1:2, ], tolerance = 1e-5
  )
})

test_that("masks over a cache", {
  layer <- new_decoder(c(2, 5, 8), dtype = "float64")
  x <- random_array(2, 5, 8)
  padding <- rbind(c(FALSE, TRUE, TRUE, TRUE, TRUE, TRUE), TRUE)
  whole <- layer(x, decoder_padding_mask = padding[, 1:5])
  got <- x
  cache <- layer$make_cache(2, 6)
  for (at in 0:4) {
    step <- layer(x[, at + 1, , drop = FALSE],
      decoder_padding_mask = padding,
      self_attention_cache = cache, self_attention_cache_update_index = at
    )
    cache <- step[[2]]
    got[, at + 1, ] <- step[[1]]
  }
  # the first query of the first sequence sees nothing: the mean of another number of values
  expect_lte(biggest(got[, 2:5, ] - whole[, 2:5, ]), 1e-10)
  expect_lte(biggest(got[2, , ] - whole[2, , ]), 1e-10)
  pairs <- array(stats::runif(24) > 0.4, c(2, 2, 6))
  pairs[, , 1] <- TRUE
  got <- layer(x[, 4:5, ],
    decoder_attention_mask = pairs,
    self_attention_cache = cache, self_attention_cache_update_index = 3
  )[[1]]
  all_pairs <- array(TRUE, c(2, 5, 5))
  all_pairs[, 4:5, ] <- pairs[, , 1:5]
  whole <- layer(x, decoder_attention_mask = all_pairs)
  expect_lte(biggest(got[2, , ] - whole[2, 4:5, ]), 1e-10)
  # not causal: everything in the cache is seen, zeros too
  got <- layer(x[, 4:5, ],
    use_causal_mask = FALSE, decoder_padding_mask = cbind(matrix(TRUE, 2, 5), FALSE),
    self_attention_cache = cache, self_attention_cache_update_index = 3
  )[[1]]
  whole <- layer(x, use_causal_mask = FALSE)
  expect_lte(biggest(got[2, , ] - whole[2, 4:5, ]), 1e-10)
})

test_that("caches and indices are checked", {
  layer <- new_decoder(c(2, 3, 8))
  x <- random_array(2, 3, 8)
  cache <- layer$make_cache(2, 4)
  call <- function(cache, index, ...) {
    layer(x, self_attention_cache = cache, self_attention_cache_update_index = index, ...)
  }
  for (bad in list(cache[, , , , 1:3], cache[1, , , , , drop = FALSE], cache[, , , 1, ], 1:3)) {
    expect_attn_error(call(bad, 0), regexp = "self_attention_cache")
  }
  for (bad in list(-1, 0.5, "0", NA, 0:1)) {
    expect_attn_error(call(cache, bad), "argument", "self_attention_cache_update_index")
  }
  expect_attn_error(call(cache, 2), "argument", "at most 1")
  expect_attn_error(call(NULL, 1), "argument", "self_attention_cache_update_index")
  expect_attn_error(call(cache, 0, cross_attention_cache = cache), "argument",
    "cross_attention_cache"
  )
  expect_attn_error(call(cache, 0, decoder_padding_mask = matrix(TRUE, 2, 3)), "shape",
    "decoder_padding_mask"
  )
  expect_attn_error(layer$make_cache(2), "argument", "max_length")
  expect_attn_error(layer$make_cache(0, 2), "argument", "batch_size")
  cross <- new_decoder(c(2, 3, 8), c(2, 4, 8))
  y <- random_array(2, 4, 8)
  expect_attn_error(cross(x, y, self_attention_cache = cache), "argument", "cross_attention_cache")
  expect_attn_error(cross(x, y, cross_attention_cache = cache), "argument", "self_attention_cache")
  expect_attn_error(
    cross(x, y, self_attention_cache = cache, cross_attention_cache = cache[, , 1:3, , ],
      cross_attention_cache_update_index = 0),
    "argument", "cross_attention_cache_update_index"
  )
})

# ---- calls ----

test_that("whether there is an encoder is decided by the first call", {
  x <- random_array(2, 3, 8)
  y <- random_array(2, 4, 6)
  layer <- layer_transformer_decoder(intermediate_dim = 4, num_heads = 2)
  layer(x)
  expect_attn_error(layer(x, y), "argument", "encoder_sequence")
  expect_attn_error(layer(x, encoder_padding_mask = matrix(TRUE, 2, 4)), "argument",
    "encoder_padding_mask"
  )
  cross <- layer_transformer_decoder(intermediate_dim = 4, num_heads = 2)
  cross(x, y)
  expect_attn_error(cross(x), "argument", "encoder_sequence")
  expect_attn_error(cross(x, y[, , 1:5]), "shape", "last dim is 6")
  expect_attn_error(cross(x, y[1, , , drop = FALSE]), "shape", "encoder_sequence")
  expect_attn_error(cross(x[, , 1:6], y), "shape", "last dim is 8")
})

test_that("calls are checked, and a refused one leaves the layer unbuilt", {
  layer <- layer_transformer_decoder(intermediate_dim = 4, num_heads = 2)
  x <- random_array(2, 3, 8)
  expect_attn_error(layer(), "argument", "decoder_sequence")
  expect_attn_error(layer(NULL), "argument", "decoder_sequence")
  expect_attn_error(layer("a"), "argument")
  expect_attn_error(layer(matrix(0, 2, 8)), "shape", "decoder_sequence")
  expect_attn_error(layer(random_array(2, 3, 1)), "shape", "num_heads")
  expect_attn_error(layer(x, "a"), "argument")
  expect_attn_error(layer(x, decoder_padding_mask = matrix(TRUE, 2, 2)), "shape")
  expect_attn_error(layer(x, decoder_attention_mask = matrix(TRUE, 3, 3)), "shape")
  expect_attn_error(layer(x, decoder_padding_mask = matrix(NA, 2, 3)), "argument")
  expect_attn_error(layer(x, use_causal_mask = 1), "argument", "use_causal_mask")
  expect_attn_error(layer(x, training = "no"), "argument", "training")
  expect_attn_error(layer(x, padding_mask = matrix(TRUE, 2, 3)), "argument", "padding_mask")
  expect_attn_error(layer(keras_input(c(3, 8)), x), "argument")
  expect_attn_error(layer$make_cache(1, 1), "state")
  expect_false(layer$built)
  expect_attn_error(layer_transformer_decoder(num_heads = 2), "argument", "intermediate_dim")
  expect_attn_error(layer_transformer_decoder(intermediate_dim = 2), "argument", "num_heads")
  expect_attn_error(
    layer_transformer_decoder(intermediate_dim = 2, num_heads = 0), "argument", "num_heads"
  )
  expect_attn_error(
    layer_transformer_decoder(intermediate_dim = 2, num_heads = 1, units = 2), "argument", "units"
  )
})

test_that("the constructor takes data, alone or in a list", {
  x <- random_array(2, 3, 8)
  y <- random_array(2, 4, 6)
  mask <- matrix(c(TRUE, TRUE, FALSE), 2, 3, byrow = TRUE)
  make <- function(object) {
    set.seed(3)
    layer_transformer_decoder(object, intermediate_dim = 4, num_heads = 2)
  }
  wanted <- make(NULL)(x)
  expect_identical(make(x), wanted)
  wanted <- make(NULL)(x, y, decoder_padding_mask = mask)
  expect_identical(make(list(x, y, decoder_padding_mask = mask)), wanted)
  expect_attn_error(make(list(x, y, mask = mask)), "argument", "mask")
})

test_that("dropout is for training only", {
  layer <- new_decoder(c(2, 5, 8), dropout = 0.5, dtype = "float64")
  x <- random_array(2, 5, 8)
  wanted <- each_sequence(dim(x), function(b) plain_decoder(layer, x[b, , ]))
  expect_lte(biggest(layer(x) - wanted), 1e-10)
  one <- layer(x, training = TRUE)
  expect_gt(biggest(one - layer(x)), 0.01)
  expect_gt(biggest(one - layer(x, training = TRUE)), 0.01)
})

test_that("its weights are those of its parts, in Keras's order", {
  layer <- new_decoder(c(2, 5, 8))
  cross <- new_decoder(c(2, 5, 8), c(2, 4, 6))
  parts <- function(layer) unique(sub("/.*", "", names(layer$weights)))
  expect_identical(parts(layer), c(
    "self_attention", "self_attention_layer_norm", "feedforward_intermediate_dense",
    "feedforward_output_dense", "feedforward_layer_norm"
  ))
  expect_identical(parts(cross), c(
    "self_attention", "self_attention_layer_norm", "cross_attention",
    "cross_attention_layer_norm", "feedforward_intermediate_dense", "feedforward_output_dense",
    "feedforward_layer_norm"
  ))
  expect_identical(dim(cross$weights[["cross_attention/key/kernel"]]), c(6L, 2L, 4L))
})

test_that("it works in models, with masks and caches as inputs", {
  layer <- new_decoder(c(2, 5, 8), c(2, 4, 6))
  x <- random_array(2, 5, 8)
  y <- random_array(2, 4, 6)
  mask <- rbind(c(TRUE, TRUE, TRUE, FALSE), TRUE)
  target <- keras_input(c(NA, 8))
  source <- keras_input(c(NA, 6))
  padding <- keras_input(NA, dtype = "bool")
  model <- keras_model(list(target, source, padding),
    layer(target, source, encoder_padding_mask = padding, use_causal_mask = FALSE)
  )
  expect_identical(
    model(list(x, y, mask)), layer(x, y, encoder_padding_mask = mask, use_causal_mask = FALSE)
  )

  alone <- new_decoder(c(2, 5, 8))
  cache <- keras_input(c(2, NA, 2, 4))
  at <- keras_input(batch_shape = 1, dtype = "int32")
  outputs <- alone(target, self_attention_cache = cache, self_attention_cache_update_index = at)
  expect_identical(dim(outputs[[2]]), c(NA, 2L, NA, 2L, 4L))
  model <- keras_model(list(target, cache, at), outputs)
  whole <- alone(x)
  kept <- alone$make_cache(2, 5)
  for (step in 0:4) {
    result <- model(list(x[, step + 1, , drop = FALSE], kept, step))
    kept <- result[[2]]
    expect_lte(biggest(result[[1]][, 1, ] - whole[, step + 1, ]), 1e-5)
  }
  expect_attn_error(model(list(x[, 1, , drop = FALSE], kept, 5L)), "argument", "the id 5")
  fixed <- keras_model(list(target, cache),
    alone(target, self_attention_cache = cache, self_attention_cache_update_index = 0)
  )
  expect_lte(biggest(fixed(list(x, kept * 0))[[1]] - whole), 1e-5)
})

test_that("config, serialized and saved state are complete", {
  layer <- new_decoder(c(2, 5, 8), c(2, 4, 6), dropout = 0.1, name = "block")
  config <- get_config(layer)
  expect_named(config, c(
    "name", "trainable", "dtype", "intermediate_dim", "num_heads", "dropout", "activation",
    "layer_norm_epsilon", "kernel_initializer", "bias_initializer", "normalize_first",
    "decoder_sequence_shape", "encoder_sequence_shape"
  ))
  expect_identical(config$encoder_sequence_shape, list(2L, 4L, 6L))
  dict <- serialize_keras_object(layer)
  expect_identical(dict$registered_name, "keras_hub>TransformerDecoder")
  expect_named(layer$get_build_config()$shapes_dict, c(
    "decoder_sequence_shape", "encoder_sequence_shape"
  ))
  again <- deserialize_keras_object(dict)
  expect_identical(get_config(again), config)
  expect_identical(names(again$weights), names(layer$weights))
  unbuilt <- layer_transformer_decoder(intermediate_dim = 4, num_heads = 2)
  expect_null(get_config(unbuilt)$decoder_sequence_shape)
  expect_false(deserialize_keras_object(serialize_keras_object(unbuilt))$built)
  json <- jsonlite::fromJSON(
    jsonlite::toJSON(dict, auto_unbox = TRUE, null = "null", digits = NA), simplifyVector = FALSE
  )
  expect_identical(names(deserialize_keras_object(json)$weights), names(layer$weights))
  x <- random_array(2, 5, 8)
  y <- random_array(2, 4, 6)
  output <- layer(x, y)
  expect_identical(unserialize(serialize(layer, NULL))(x, y), output)
})

test_that("a model of these layers goes to files and comes back", {
  skip_if_not_installed("hdf5r")
  target <- keras_input(c(NA, 8))
  source <- keras_input(c(4, 6))
  x <- layer_rotary_embedding(target)
  x <- layer_add(list(x, layer_position_embedding(x, sequence_length = 9)))
  y <- layer_add(list(source, layer_sine_position_encoding(source)))
  y <- layer_transformer_encoder(y, intermediate_dim = 5, num_heads = 3, normalize_first = TRUE)
  x <- layer_transformer_decoder(list(x, y, use_causal_mask = FALSE),
    intermediate_dim = 7, num_heads = 2
  )
  model <- keras_model(list(target, source), x)
  given <- list(random_array(2, 5, 8), random_array(2, 4, 6))
  output <- model(given)
  for (extension in c(".keras", ".safetensors")) {
    path <- withr::local_tempfile(fileext = extension)
    save_model(model, path)
    expect_identical(load_model(path)(given), output, label = extension)
  }
  path <- withr::local_tempfile(fileext = ".weights.h5")
  save_model_weights(model, path)
  keys <- names(read_weights_h5(path)$weights)
  decoder <- "layers/transformer_decoder/"
  expect_true(all(paste0(decoder, c(
    "_self_attention_layer/query_dense/vars/0", "_self_attention_layer_norm/vars/1",
    "_cross_attention_layer/output_dense/vars/1", "_cross_attention_layer_norm/vars/0",
    "_feedforward_intermediate_dense/vars/0", "_feedforward_output_dense/vars/1",
    "_feedforward_layer_norm/vars/0"
  )) %in% keys))
  expect_length(grep(decoder, keys, fixed = TRUE), 26)
  expect_length(grep("layers/transformer_encoder/", keys, fixed = TRUE), 16)
  expect_true("layers/position_embedding/vars/0" %in% keys)
})

test_that("the shape of the result is that of the decoder's sequence", {
  layer <- layer_transformer_decoder(intermediate_dim = 3, num_heads = 2)
  expect_identical(layer$compute_output_shape(c(NA, 3, 4)), c(NA, 3L, 4L))
  expect_identical(layer$compute_output_shape(c(2, NA, 4), c(2, 5, 4)), c(2L, NA, 4L))
  expect_attn_error(layer$compute_output_shape(), "argument", "decoder_sequence_shape")
  expect_attn_error(layer$compute_output_shape(c(NA, 4)), "shape", "decoder_sequence")
  expect_attn_error(layer$compute_output_shape(c(NA, 3, 4), c(NA, 5)), "shape")
  expect_attn_error(layer$compute_output_shape(c(NA, 3, 4), other = 1), "argument", "other")
})

test_that("a list of arguments is the only argument", {
  layer <- layer_transformer_decoder(intermediate_dim = 3, num_heads = 2)
  x <- array(seq_len(8) / 8, c(1, 2, 4))
  expect_identical(layer(list(decoder_sequence = x)), layer(x))
  expect_attn_error(layer(list(x), list(1)), "argument", "decoder_sequence")
})
