# Layers of all kinds and dtypes, built and not; with dropout, so that the seed counts.
layers_to_keep <- function() {
  layers <- list()
  for (dtype in c("float32", "float64")) {
    made <- list(
      layer_multi_head_attention(
        num_heads = 2, key_dim = 3, value_dim = 5, dropout = 0.3, seed = 7L, use_gate = TRUE,
        sliding_window = 4, kernel_regularizer = "l2", dtype = dtype, name = "kept"
      ),
      layer_multi_head_attention(
        num_heads = 2, key_dim = 3, output_shape = c(2, 3), use_bias = FALSE, dtype = dtype,
        trainable = FALSE
      ),
      layer_group_query_attention(
        head_dim = 4, num_query_heads = 4, num_key_value_heads = 2, dropout = 0.2, dtype = dtype
      ),
      layer_attention(use_scale = TRUE, score_mode = "concat", dropout = 0.4, dtype = dtype),
      layer_attention(dtype = dtype, seed = 1L),
      layer_additive_attention(dropout = 0.1, dtype = dtype)
    )
    layers <- c(layers, made)
  }
  built <- unserialize(serialize(layers, NULL))
  x <- random_array(2, 5, 8)
  for (layer in built) {
    call_layer(layer, x, training = TRUE)
  }
  c(layers, built)
}

# All that must be the same in the other process. Only base R, as it runs there;
# the dropout counts the calls, so one use of a layer is not like the next.
use_layer <- function(layer, x) {
  call <- function(...) {
    if ("inputs" %in% names(formals(layer))) layer(list(x, x), ...) else layer(x, x, ...)
  }
  # Weights of a layer that is not built come from the generator's state.
  set.seed(11)
  list(
    built_before = layer$built,
    output = call(), dropped = call(training = TRUE), dropped_next = call(training = TRUE),
    weights = layer$weights, config = layer$get_config(), name = layer$name,
    dtype = layer$dtype, trainable = layer$trainable, losses = layer$losses
  )
}

use_layers <- function(layers, x) lapply(layers, use_layer, x = x)

# What the layers do, without having them count it.
expected_use <- function(layers, x) use_layers(unserialize(serialize(layers, NULL)), x)

expect_same_use <- function(used, expected) {
  expect_length(used, length(expected))
  for (i in seq_along(expected)) {
    for (part in names(expected[[i]])) {
      same <- if (part == "config") {
        identical(to_json(used[[i]][[part]]), to_json(expected[[i]][[part]]))
      } else {
        identical(used[[i]][[part]], expected[[i]][[part]])
      }
      expect_true(same, label = paste("layer", i, part))
    }
  }
}

test_that("serialize() and unserialize() keep all of a layer", {
  withr::local_seed(1)
  layers <- layers_to_keep()
  x <- random_array(2, 5, 8)
  copies <- unserialize(serialize(layers, NULL))
  as_text <- unserialize(serialize(layers, NULL, ascii = TRUE))
  used <- use_layers(layers, x)
  expect_same_use(use_layers(copies, x), used)
  expect_same_use(use_layers(as_text, x), used)
  seeds <- vapply(used, function(one) one$dropped[1], 1)
  expect_true(all(is.finite(seeds)))
  for (i in seq_along(layers)) {
    expect_identical(class(copies[[i]]), class(layers[[i]]))
    expect_identical(layer_self(copies[[i]])$key, layer_self(layers[[i]])$key)
  }
})

test_that("a copy by serialization is another layer, copies by assignment are the same", {
  layer <- small_mha()
  before <- get_weights(layer)
  same <- layer
  copy <- unserialize(serialize(layer, NULL))
  twins <- unserialize(serialize(list(layer, layer), NULL))
  zeros <- lapply(before, function(w) 0 * w)
  set_weights(same, zeros)
  expect_identical(get_weights(layer), zeros)
  expect_identical(get_weights(copy), before)
  set_weights(twins[[1]], zeros)
  expect_identical(get_weights(twins[[2]]), zeros)
})

test_that("a saved layer works in a fresh process that has not attached attn", {
  withr::local_seed(2)
  layers <- layers_to_keep()
  x <- random_array(2, 5, 8)
  path <- withr::local_tempfile(fileext = ".rds")
  saveRDS(layers, path)
  result <- in_fresh_process(function(path, x, use) {
    before <- "attn" %in% loadedNamespaces()
    list(before = before, used = lapply(readRDS(path), use, x = x))
  }, path, x, without_environment(use_layer))
  expect_false(result$before)
  expect_same_use(result$used, expected_use(layers, x))
})

test_that("layers go to and come from other processes", {
  withr::local_seed(3)
  layers <- layers_to_keep()
  x <- random_array(2, 5, 8)
  use <- without_environment(use_layer)
  expected <- expected_use(layers, x)
  use_all <- function(layers, x, use) list(used = lapply(layers, use, x = x), layers = layers)

  from_child <- in_fresh_process(use_all, layers, x, use)
  expect_same_use(from_child$used, expected)
  from_worker <- in_psock_worker(use_all, layers, x, use)
  expect_same_use(from_worker$used, expected)
  # What comes back has been used once: both go on at the same place.
  expect_same_use(use_layers(from_worker$layers, x), use_layers(from_child$layers, x))
  # The ones here have not been touched.
  expect_same_use(use_layers(layers, x), expected)
})

test_that("a layer made in another process works here", {
  made <- in_fresh_process(function() {
    set.seed(1)
    layer <- attn::layer_multi_head_attention(num_heads = 2, key_dim = 3)
    x <- array(rnorm(24), c(1, 6, 4))
    list(layer = layer, x = x, output = layer(x, x))
  })
  expect_same_bits(made$layer(made$x, made$x), made$output, "multi_head_attention")
})

test_that("layers work in the children of a fork", {
  withr::local_seed(4)
  layers <- layers_to_keep()
  x <- random_array(2, 5, 8)
  expected <- expected_use(layers, x)
  used <- in_forked_child(
    function(layers, x, use) lapply(layers, use, x = x), layers, x, without_environment(use_layer)
  )
  expect_same_use(used$child, expected)
  # The parent's layers did not notice.
  expect_same_use(used$parent, expected)
})

test_that("serialization of version 2 loses the weights, and says so", {
  for (layer in all_layers()) {
    x <- random_array(2, 3, 4)
    call_layer(layer, x)
    dead <- unserialize(serialize(layer, NULL, version = 2))
    expect_attn_error(call_layer(dead, x), "state", "version = 2")
    expect_attn_error(dead$weights, "state", "version = 2")
    expect_attn_error(get_weights(dead), "state")
    expect_attn_error(set_weights(dead, get_weights(layer)), "state")
    # What R itself keeps is still there, and nothing is left half done.
    expect_identical(to_json(dead$get_config()), to_json(layer$get_config()))
    expect_identical(dead$name, layer$name)
    expect_output(print(dead))
    again <- unserialize(serialize(dead, NULL))
    expect_attn_error(call_layer(again, x), "state")
  }
})

test_that("a layer that is not built survives even version 2", {
  for (layer in all_layers()) {
    x <- random_array(2, 3, 4)
    copy <- unserialize(serialize(layer, NULL, version = 2))
    expect_false(copy$built)
    outputs <- lapply(list(layer, copy), function(one) withr::with_seed(1, call_layer(one, x)))
    expect_same_bits(outputs[[1]], outputs[[2]], class(layer)[1])
  }
})

# Where the layer's bytes are within its serialization: their positions.
state_positions <- function(bytes) {
  signature <- charToRaw("ATTNLAY1")
  starts <- which(bytes == signature[1])
  starts <- starts[starts + 7 <= length(bytes)]
  found <- Filter(function(at) identical(bytes[at + 0:7], signature), starts)
  stopifnot(length(found) == 1L)
  # R writes the number of bytes, high byte first, before them.
  size <- sum(as.integer(bytes[found - 4:1]) * 256^(3:0))
  found + seq_len(size) - 1L
}

# The serialization with other bytes in place of the layer's.
replace_state <- function(bytes, positions, state) {
  size <- length(state)
  header <- as.raw(size %/% 256^(3:0) %% 256)
  c(
    bytes[seq_len(positions[1] - 5L)], header, state,
    bytes[-seq_len(positions[length(positions)])]
  )
}

test_that("damaged bytes are an error", {
  for (layer in all_layers()) {
    call_layer(layer, random_array(1, 3, 4))
    bytes <- serialize(layer, NULL)
    at <- state_positions(bytes)
    state <- bytes[at]
    whole <- unserialize(replace_state(bytes, at, state))
    expect_identical(get_weights(whole), get_weights(layer))
    # Every byte of the fields, and some of the weights and the checksum.
    flipped <- unique(c(1:240, round(seq(241, length(at), length.out = 60))))
    flipped <- flipped[flipped <= length(at)]
    for (i in flipped) {
      for (bit in as.raw(c(1L, 128L, 255L))) {
        damaged <- replace(bytes, at[i], xor(bytes[at[i]], bit))
        error <- tryCatch(unserialize(damaged), error = identity)
        if (!inherits(error, "attn_error_state")) {
          fail(paste("byte", i, "of", class(layer)[1]))
        }
      }
    }
    expect_attn_error(unserialize(damaged), "state", "damaged")
  }
})

test_that("truncated and extended bytes are an error", {
  for (layer in all_layers()) {
    call_layer(layer, random_array(1, 3, 4))
    bytes <- serialize(layer, NULL)
    at <- state_positions(bytes)
    state <- bytes[at]
    for (size in unique(c(1:40, length(state) - c(1:20, 50)))) {
      damaged <- replace_state(bytes, at, state[seq_len(size)])
      expect_attn_error(unserialize(damaged), "state", "damaged")
    }
    for (more in list(raw(1), raw(8), state)) {
      expect_attn_error(unserialize(replace_state(bytes, at, c(state, more))), "state", "damaged")
    }
    # Without any bytes it is a layer without weights, as of version 2.
    dead <- unserialize(replace_state(bytes, at, raw()))
    expect_attn_error(call_layer(dead, random_array(1, 3, 4)), "state")
    for (size in c(20, at[1] + 5, at[1] + 60, length(bytes) - 30)) {
      expect_error(unserialize(bytes[seq_len(size)]))
    }
  }
})

test_that("the bytes of another layer are an error or are used as what they are", {
  x <- random_array(1, 3, 4)
  layers <- all_layers()
  for (layer in layers) call_layer(layer, x)
  wide <- layer_multi_head_attention(num_heads = 2, key_dim = 3)
  y <- random_array(1, 3, 6)
  wide(y, y)
  streams <- lapply(c(layers, wide), serialize, NULL)
  states <- lapply(streams, function(bytes) bytes[state_positions(bytes)])
  for (i in seq_along(streams)) {
    for (j in setdiff(seq_along(streams), i)) {
      mixed <- replace_state(streams[[i]], state_positions(streams[[i]]), states[[j]])
      input <- if (i == 5) y else x
      result <- tryCatch(call_layer(unserialize(mixed), input), error = identity)
      if (inherits(result, "error")) {
        expect_s3_class(result, "attn_error")
      } else {
        expect_identical(dim(result)[1:2], dim(input)[1:2], label = paste(i, j))
      }
    }
  }
})

test_that("only a handle is taken for a handle", {
  for (bad in list(NULL, raw(), raw(8), 1, "a", list(), globalenv(), mean)) {
    expect_attn_error(.Call(ffi_layer_info, bad), "state")
  }
  layer <- small_mha()
  self <- layer_self(layer)
  good <- self$handle
  self$handle <- raw()
  x <- random_array(1, 3, 4)
  expect_attn_error(layer(x, x), "state")
  self$handle <- good
  expect_identical(dim(layer(x, x)), c(1L, 3L, 4L))
  # As a vector it has no elements, and operations on it leave the layer alone.
  expect_length(good, 0L)
  expect_identical(as.integer(good), integer())
  copy <- good
  attr(copy, "note") <- 1
  expect_identical(.Call(ffi_layer_info, good)$built, TRUE)
})

test_that("layers that are dropped give their memory back", {
  kept <- layer_attention(use_scale = TRUE)
  x <- random_array(1, 3, 4)
  expected <- kept(list(x, x))
  for (i in 1:500) {
    layer <- layer_multi_head_attention(
      num_heads = 2, key_dim = 8, kernel_initializer = "zeros"
    )
    layer$build(c(NA, NA, 16), c(NA, NA, 16))
    if (i %% 100 == 0) {
      gc()
    }
  }
  unserialize(serialize(layer, NULL))
  rm(layer)
  gc()
  expect_same_bits(kept(list(x, x)), expected, "a layer that was not dropped")
})
