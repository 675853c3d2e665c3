# Layers that show their attention weights after dropout: values are one-hot, so
# that the output of a head is its row of weights.
dropout_kinds <- c(
  "multi_head_attention", "group_query_attention", "attention", "attention concat",
  "additive_attention"
)

has_two_heads <- function(kind) kind %in% dropout_kinds[1:2]

weight_reader <- function(kind, rate, n_query = 40, n_key = 50, seed = 3L, ...) {
  reader <- switch(kind,
    multi_head_attention = heads_reader(
      layer_multi_head_attention(
        num_heads = 2, key_dim = 3, value_dim = n_key, output_shape = 2L * n_key,
        use_bias = FALSE, dropout = rate, seed = seed, ...
      ), n_key
    ),
    group_query_attention = heads_reader(
      layer_group_query_attention(
        head_dim = n_key, num_query_heads = 2, num_key_value_heads = 1, use_bias = FALSE,
        dropout = rate, seed = seed, ...
      ), n_key
    ),
    additive_attention = scores_reader(
      layer_additive_attention(dropout = rate, seed = seed, ...), n_key
    ),
    scores_reader(
      layer_attention(
        dropout = rate, seed = seed, ...,
        score_mode = if (kind == "attention") "dot" else "concat"
      ), n_key
    )
  )
  withr::with_seed(1, {
    reader$query <- 0.1 * random_array(3, n_query, reader$width)
    reader$value <- one_hot(3, n_key)
    reader$key <- 0.1 * random_array(3, n_key, reader$key_width)
  })
  reader
}

one_hot <- function(batch, n) aperm(array(diag(n), c(n, n, batch)), c(3, 1, 2))

heads_reader <- function(layer, n) {
  width <- 2L * n
  layer$build(c(NA, NA, width), c(NA, NA, n), c(NA, NA, n))
  weights <- get_weights(layer)
  withr::with_seed(2, weights[1:2] <- lapply(weights[1:2], function(w) random_array(dim(w)) / 9))
  weights[[3]] <- aperm(array(diag(n), c(n, n, dim(weights[[3]])[2])), c(1, 3, 2))
  # Head h goes to the columns (h - 1) n + 1, ..., h n of the output.
  weights[[4]] <- aperm(array(diag(width), c(n, 2, width)), c(2, 1, 3))
  set_weights(layer, weights)
  list(
    layer = layer, width = width, key_width = n, heads = 2L,
    call = function(self, ...) self$layer(self$query, self$value, self$key, ...),
    weights = function(output) aperm(array(output, c(dim(output)[1:2], n, 2)), c(1, 4, 2, 3))
  )
}

scores_reader <- function(layer, n) {
  layer$build(list(c(NA, NA, 3), c(NA, NA, n), c(NA, NA, 3)))
  set_weights(layer, lapply(get_weights(layer), function(w) seq_along(w) / 2))
  list(
    layer = layer, width = 3L, key_width = 3L, heads = 1L,
    call = function(self, ...) self$layer(list(self$query, self$value, self$key), ...),
    weights = function(output) with_axis(output, 1)
  )
}

read_weights <- function(reader, ..., training = TRUE) {
  reader$weights(reader$call(reader, training = training, ...))
}

# What reader$layer gave n times in a row, each time a training call.
read_sequence <- function(reader, n = 3L) lapply(seq_len(n), function(i) read_weights(reader))

test_that("a fraction of 1 - rate is kept, scaled by 1 / (1 - rate)", {
  for (kind in dropout_kinds) {
    for (rate in c(0.1, 0.5, 0.9)) {
      for (dtype in c("float32", "float64")) {
        label <- paste(kind, rate, dtype)
        reader <- weight_reader(kind, rate, dtype = dtype)
        before <- read_weights(reader, training = FALSE)
        after <- read_weights(reader)
        expect_identical(dim(after), c(3L, reader$heads, 40L, 50L), label = label)
        kept <- after != 0
        sigma <- sqrt(rate * (1 - rate) / length(kept))
        expect_lt(abs(mean(kept) - (1 - rate)), 4 * sigma, label = label)
        tolerance <- if (dtype == "float32") 1e-6 else 1e-14
        expected <- before * kept / (1 - rate)
        expect_close(after, expected, tolerance, label)
      }
    }
  }
})

test_that("the mean over calls is the result without dropout", {
  for (kind in dropout_kinds) {
    rate <- 0.4
    reader <- weight_reader(kind, rate, dtype = "float64")
    expected <- read_weights(reader, training = FALSE)
    calls <- 40
    mean_weights <- Reduce(`+`, read_sequence(reader, calls)) / calls
    # Each weight has the relative standard deviation sqrt(rate / (1 - rate) / calls).
    deviation <- (mean_weights / expected - 1) / sqrt(rate / (1 - rate) / calls)
    expect_lt(abs(mean(deviation)), 4 / sqrt(length(deviation)), label = kind)
    expect_equal(sd(deviation), 1, tolerance = 0.05, label = kind)
  }
})

test_that("batches, heads, rows and neighbors are dropped independently", {
  for (kind in dropout_kinds) {
    kept <- read_weights(weight_reader(kind, 0.5)) != 0
    rows <- matrix(aperm(kept, c(4, 1, 2, 3)), nrow = 50)
    expect_false(anyDuplicated(t(rows)) > 0, label = kind)
    for (lag in 1:4) {
      pairs <- cor(as.vector(rows[-seq_len(lag), ]), as.vector(rows[seq_len(50 - lag), ]))
      expect_lt(abs(pairs), 4 / sqrt(length(rows)), label = paste(kind, lag))
    }
    across <- cor(as.vector(rows[, -1]), as.vector(rows[, -ncol(rows)]))
    expect_lt(abs(across), 4 / sqrt(length(rows)), label = kind)
  }
})

test_that("a seed gives the same bits at every thread count and in the plain computation", {
  for (kind in dropout_kinds) {
    for (dtype in c("float32", "float64")) {
      label <- paste(kind, dtype)
      results <- lapply(1:3, function(threads) {
        with_threads(threads, read_sequence(weight_reader(kind, 0.3, 130, 67, dtype = dtype)))
      })
      expect_same_bits(results[[2]], results[[1]], label)
      expect_same_bits(results[[3]], results[[1]], label)

      plain_results <- without_flash_attention(
        read_sequence(weight_reader(kind, 0.3, 130, 67, dtype = dtype))
      )
      tolerance <- if (dtype == "float32") 1e-6 else 1e-13
      for (i in 1:3) {
        expect_same_bits(plain_results[[i]] == 0, results[[1]][[i]] == 0, label)
        expect_close(plain_results[[i]], results[[1]][[i]], tolerance, label)
      }
    }
  }
})

test_that("what is dropped does not depend on the dtype, masks or returned scores", {
  for (kind in dropout_kinds) {
    kept <- read_weights(weight_reader(kind, 0.5)) != 0
    double <- read_weights(weight_reader(kind, 0.5, dtype = "float64")) != 0
    expect_same_bits(double, kept, kind)
    causal <- read_weights(weight_reader(kind, 0.5), use_causal_mask = TRUE) != 0
    visible <- broadcast_to(outer(1:40, 1:50, `>=`), dim(kept))
    expect_same_bits(causal, kept & visible, kind)
    reader <- weight_reader(kind, 0.5)
    with_scores <- reader$call(reader, training = TRUE, return_attention_scores = TRUE)
    expect_same_bits(reader$weights(with_scores[[1]]) != 0, kept, kind)
  }
})

test_that("scores are before dropout with heads and after dropout without", {
  for (kind in dropout_kinds) {
    reader <- weight_reader(kind, 0.5, dtype = "float64")
    result <- reader$call(reader, training = TRUE, return_attention_scores = TRUE)
    weights <- reader$weights(result[[1]])
    scores <- plain(result[[2]])
    if (has_two_heads(kind)) {
      expect_close(scores, read_weights(reader, training = FALSE), 1e-13, kind)
      expect_close(apply(scores, 1:3, sum), array(1, c(3, 2, 40)), 1e-13, kind)
      expect_gt(mean(weights == 0), 0.4, label = kind)
    } else {
      expect_close(with_axis(scores, 1), weights, 1e-13, kind)
      expect_same_bits(with_axis(scores, 1) == 0, weights == 0, kind)
      expect_gt(mean(scores == 0), 0.4, label = kind)
    }
  }
})

test_that("consecutive training calls differ, and layers with one seed agree", {
  for (kind in dropout_kinds) {
    first <- read_sequence(weight_reader(kind, 0.5, seed = 8L))
    expect_false(any(duplicated(first)), label = kind)
    expect_same_bits(read_sequence(weight_reader(kind, 0.5, seed = 8L)), first, kind)
    other <- read_sequence(weight_reader(kind, 0.5, seed = 9L))
    agreement <- mean((other[[1]] != 0) == (first[[1]] != 0))
    expect_lt(abs(agreement - 0.5), 0.05, label = kind)
  }
})

test_that("without a seed set.seed() makes dropout reproducible", {
  withr::local_preserve_seed()
  for (kind in dropout_kinds) {
    sequences <- lapply(c(1, 1, 2), function(seed) {
      set.seed(seed)
      read_sequence(weight_reader(kind, 0.5, seed = NULL))
    })
    expect_same_bits(sequences[[2]], sequences[[1]], kind)
    expect_false(identical(sequences[[3]], sequences[[1]]), label = kind)
    set.seed(1)
    a <- weight_reader(kind, 0.5, seed = NULL)
    b <- weight_reader(kind, 0.5, seed = NULL)
    expect_false(identical(read_weights(a), read_weights(b)), label = kind)
  }
})

test_that("an integer seed leaves R's generator alone, from construction to training", {
  withr::local_preserve_seed()
  x <- random_array(2, 5, 4)
  set.seed(4)
  before <- rng_state()
  for (layer in list(
    layer_multi_head_attention(
      num_heads = 2, key_dim = 3, dropout = 0.5, seed = 1L, kernel_initializer = "ones"
    ),
    layer_group_query_attention(
      head_dim = 3, num_query_heads = 2, num_key_value_heads = 1, dropout = 0.5, seed = 1L,
      kernel_initializer = "ones"
    ),
    layer_attention(dropout = 0.5, seed = 1L, use_scale = TRUE, score_mode = "concat"),
    layer_additive_attention(dropout = 0.5, seed = 1L, use_scale = FALSE)
  )) {
    call_layer(layer, x, training = TRUE)
    expect_identical(rng_state(), before, label = class(layer)[1])
  }
})

test_that("without training, R's generator and the count of calls stay as they are", {
  withr::local_preserve_seed()
  for (kind in dropout_kinds) {
    reader <- weight_reader(kind, 0.5, seed = NULL)
    expected <- read_weights(weight_reader(kind, 0), training = FALSE)
    set.seed(5)
    before <- rng_state()
    default <- reader$weights(reader$call(reader))
    for (training in list(FALSE, NULL)) {
      got <- reader$weights(reader$call(reader, training = training))
      expect_same_bits(got, default, kind)
      expect_close(got, expected, 1e-6, kind)
    }
    expect_identical(dropout_calls(reader$layer), 0, label = kind)
    read_sequence(reader, 2L)
    expect_identical(dropout_calls(reader$layer), 2, label = kind)
    # Training draws nothing either: the key is the layer's since it was made.
    expect_identical(rng_state(), before, label = kind)
  }
})

test_that("calls without training do not move the sequence on, nor do calls that fail", {
  for (kind in dropout_kinds) {
    expected <- read_sequence(weight_reader(kind, 0.5))
    reader <- weight_reader(kind, 0.5)
    first <- read_weights(reader)
    read_weights(reader, training = FALSE)
    wrong <- reader
    wrong$value <- array(0, c(2, 50, 50))
    expect_attn_error(read_weights(wrong))
    expect_same_bits(list(first, read_weights(reader), read_weights(reader)), expected, kind)
  }
})

test_that("rate 0 drops nothing and does not count, rate 1 drops everything", {
  for (kind in dropout_kinds) {
    reader <- weight_reader(kind, 0)
    inference <- read_weights(reader, training = FALSE)
    expect_same_bits(read_weights(reader), inference, kind)
    expect_identical(dropout_calls(reader$layer), 0, label = kind)
    for (dtype in c("float32", "float64")) {
      reader <- weight_reader(kind, 1, dtype = dtype)
      after <- read_weights(reader)
      expect_same_bits(after, array(0, dim(after)), kind)
      expect_close(read_weights(reader, training = FALSE), inference, 1e-6, kind)
    }
  }
})

test_that("rows without a visible key agree with the plain computation under dropout", {
  for (kind in dropout_kinds) {
    visible <- array(TRUE, c(3, 50))
    visible[2, ] <- FALSE
    read <- function() {
      reader <- weight_reader(kind, 0.5, dtype = "float64")
      if (has_two_heads(kind)) {
        read_weights(reader, value_mask = visible)
      } else {
        read_weights(reader, mask = list(NULL, visible))
      }
    }
    tiled <- read()
    expect_close(tiled, without_flash_attention(read()), 1e-12, kind)
    # Heads: no weights at all. Others: 1e9 less for all keys, which are then dropped.
    expect_identical(any(tiled[2, , , ] != 0), !has_two_heads(kind), label = kind)
  }
})

test_that("a layer that changes its width goes on with new dropout", {
  layer <- layer_attention(dropout = 0.5, seed = 1L)
  zeros <- function(width) {
    x <- array(0, c(1, 30, width))
    layer(list(x, x), training = TRUE, return_attention_scores = TRUE)[[2]]
  }
  sequence <- lapply(c(3, 3, 4, 4, 3, 4), function(width) plain(zeros(width)))
  expect_false(any(duplicated(sequence)))
})

test_that("a saved layer goes on where it was", {
  for (kind in dropout_kinds) {
    reader <- weight_reader(kind, 0.5)
    read_sequence(reader, 2L)
    path <- withr::local_tempfile(fileext = ".rds")
    saveRDS(reader$layer, path)
    restored <- replace(reader, "layer", list(readRDS(path)))
    expect_identical(dropout_calls(restored$layer), 2, label = kind)
    expect_same_bits(read_sequence(restored), read_sequence(reader), kind)
  }
})

test_that("a layer that a model calls twice draws anew, as one call after the other does", {
  shared <- function(layer, call) {
    inputs <- list(keras_input(c(4, 6)), keras_input(c(4, 6)))
    keras_model(inputs, lapply(inputs, function(input) call(layer, input)))
  }
  x <- random_array(2, 4, 6)
  calls <- list(
    heads = list(
      make = function() layer_multi_head_attention(num_heads = 2, key_dim = 3, dropout = 0.5, seed = 1),
      call = function(layer, x, ...) layer(x, x, ...)
    ),
    direct = list(
      make = function() layer_attention(dropout = 0.5, seed = 1),
      call = function(layer, x, ...) layer(list(x, x), ...)
    )
  )
  for (kind in names(calls)) {
    make <- calls[[kind]]$make
    call <- calls[[kind]]$call
    alone <- make()
    layer <- make()
    model <- shared(layer, call)
    call(alone, x)
    set_weights(alone, get_weights(layer))
    for (turn in 1:2) {
      expected <- list(call(alone, x, training = TRUE), call(alone, x, training = TRUE))
      expect_identical(model(list(x, x), training = TRUE), expected, label = kind)
    }
    expect_false(identical(expected[[1]], expected[[2]]))
    expect_identical(dropout_calls(layer), 4, label = kind)
  }
})
