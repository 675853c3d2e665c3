# Shared by the test-keras-*.R files, which hold what Keras's own unit tests
# assert. Each test's name ends with the name of the Keras test in brackets.

# The data of Keras's tests of Attention and AdditiveAttention.
keras_small_inputs <- function() {
  list(
    array(c(1, 0, 0, 1), c(1, 2, 2)), array(c(1, 3, 2, 4), c(1, 2, 2)),
    array(c(0, 1, 1, 0), c(1, 2, 2))
  )
}

# A call on arrays or symbols in the manner of the layer's kind.
call_on_inputs <- function(layer, class_name, inputs, ...) {
  if (has_heads(class_name)) do.call(layer, c(inputs, list(...))) else layer(inputs, ...)
}

# What Keras's `run_layer_test` asserts of every layer. `shapes` are those of query,
# value and, if there is one, key. For seed generators, which layers here do not
# have, stands what they are for: training changes the result if `dropout` is TRUE.
expect_layer_test <- function(class_name, config, shapes, expected_shape, n_weights,
                              dropout = FALSE) {
  expect_config_round_trip(class_name, config)
  expect_built_layer(build_from_shapes(class_name, config, shapes), n_weights)
  expect_symbolic_call(class_name, config, shapes, expected_shape, n_weights)
  inputs <- lapply(shapes, random_array)
  for (dtype in c("float32", "float64")) {
    expect_eager_call(class_name, config, inputs, expected_shape, n_weights, dtype)
  }
  expect_training_changes(class_name, config, inputs, dropout)
}

build_from_shapes <- function(class_name, config, shapes) {
  layer <- make_layer(class_name, config)
  expect_false(layer$built)
  if (has_heads(class_name)) do.call(layer$build, shapes) else layer$build(shapes)
  layer
}

expect_built_layer <- function(layer, n_weights) {
  expect_true(layer$built)
  expect_length(layer$trainable_weights, n_weights)
  expect_length(layer$non_trainable_weights, 0)
  expect_length(get_weights(layer), n_weights)
  expect_length(layer$losses, 0)
}

expect_config_round_trip <- function(class_name, config) {
  layer <- make_layer(class_name, config)
  again <- layer$from_config(layer$get_config())
  expect_s3_class(again, class(layer))
  expect_identical(get_config(again), get_config(layer))
  expect_identical(get_config(from_config(get_config(layer))), get_config(layer))
  expect_identical(get_config(layer$from_config(from_json(to_json(layer$get_config())))),
    get_config(layer)
  )
  expect_true(layer$supports_masking)
  expect_identical(names(again), names(layer))
  for (name in setdiff(names(layer), not_in_config)) {
    value <- layer[[name]]
    # Functions differ by their environments; the configs above compare objects.
    if (!is.function(value)) {
      expect_identical(again[[name]], value, label = paste(class_name, name))
    }
  }
}

# Members that need a built layer, and the one that Keras leaves out of its configs.
not_in_config <- c(
  "query_dense", "key_dense", "gate_dense", "value_dense", "output_dense", "scale",
  "concat_score_weight", "flash_attention"
)

expect_symbolic_call <- function(class_name, config, shapes, expected_shape, n_weights) {
  layer <- make_layer(class_name, config)
  inputs <- lapply(shapes, function(shape) keras_input(batch_shape = shape))
  output <- call_on_inputs(layer, class_name, inputs)
  expect_identical(dim(output), as.integer(expected_shape))
  expect_identical(output$dtype, layer$dtype)
  expect_built_layer(layer, n_weights)
}

expect_eager_call <- function(class_name, config, inputs, expected_shape, n_weights, dtype) {
  layer <- make_layer(class_name, config, dtype = dtype)
  spec <- call_on_inputs(layer$compute_output_spec, class_name, inputs)
  expect_identical(spec$dtype, dtype)
  expect_identical(spec$shape, as.integer(expected_shape))
  output <- call_on_inputs(layer, class_name, inputs)
  expect_identical(dim(output), as.integer(expected_shape))
  expect_true(all(is.finite(output)))
  expect_built_layer(layer, n_weights)
  # R has only doubles: the dtype shows in which numbers there are.
  numbers <- c(list(output), get_weights(layer))
  fits_float32 <- vapply(numbers, function(x) identical(round_to_float32(c(x)), c(x)), NA)
  if (dtype == "float32") expect_true(all(fits_float32)) else expect_false(fits_float32[1])
}

expect_training_changes <- function(class_name, config, inputs, dropout) {
  layer <- make_layer(class_name, c(config, if (dropout) list(seed = 1)))
  still <- call_on_inputs(layer, class_name, inputs, training = FALSE)
  expect_identical(call_on_inputs(layer, class_name, inputs), still)
  trained <- call_on_inputs(layer, class_name, inputs, training = TRUE)
  expect_identical(identical(trained, still), !dropout)
}

# TRUE where the weight is on a visible key and nowhere else, in every batch row and
# head of scores (B, ..., T, S). The weights on hidden keys are exactly zero.
expect_support <- function(scores, visible) {
  scores <- plain(scores)
  rank <- length(dim(scores))
  positive <- matrix(aperm(scores, c(rank - 1, rank, seq_len(rank - 2))) > 0, length(visible))
  expect_true(all(positive == as.vector(visible)))
  expect_true(all(scores[scores <= 0] == 0))
}

# Layers with heads: the causal flag does what an explicit triangle does, on the path
# with scores and, for a layer with dropout, on the one that leaves them aside.
expect_causal_is_triangle <- function(layer, x, tolerance = 1e-5) {
  triangle <- array(outer(seq_len(dim(x)[2]), seq_len(dim(x)[2]), `>=`), c(1, dim(x)[2], dim(x)[2]))
  flagged <- layer(x, x, use_causal_mask = TRUE, training = FALSE)
  masked <- layer(x, x, attention_mask = triangle, training = FALSE)
  expect_lte(max(abs(flagged - masked)), tolerance)
  # The mask has an effect at all.
  expect_gt(max(abs(flagged - layer(x, x, training = FALSE))), 1e-3)
}

# The causal flag and an attention mask together act as the mask of both.
expect_causal_joins_mask <- function(layer, x, scores) {
  n <- dim(x)[2]
  set.seed(11)
  given <- array(stats::runif(dim(x)[1] * n * n) < 0.6, c(dim(x)[1], n, n))
  # No query is left without a key, so both paths agree.
  given[, , 1] <- TRUE
  merged <- sweep(given, 2:3, outer(seq_len(n), seq_len(n), `>=`), `&`)
  both <- layer(x, x,
    attention_mask = given, use_causal_mask = TRUE, return_attention_scores = scores
  )
  alone <- layer(x, x, attention_mask = merged, return_attention_scores = scores)
  expect_equal(both, alone, tolerance = 1e-6)
  if (scores) {
    expect_true(all(aperm(plain(both[[2]]), c(1, 3, 4, 2))[!merged] == 0))
    both <- both[[1]]
  }
  for (less in list(layer(x, x, attention_mask = given), layer(x, x, use_causal_mask = TRUE))) {
    expect_gt(max(abs(both - less)), 1e-3)
  }
}

# Padding of five queries and three keys in three examples. The first key is never
# padding, so the queries that see no key are those that are padding themselves.
padded_inputs <- function(width = 8, as_integer = FALSE) {
  query_mask <- rbind(
    c(TRUE, TRUE, TRUE, FALSE, FALSE), c(TRUE, TRUE, TRUE, TRUE, FALSE),
    c(TRUE, FALSE, FALSE, FALSE, FALSE)
  )
  value_mask <- rbind(c(TRUE, TRUE, FALSE), c(TRUE, FALSE, FALSE), c(TRUE, TRUE, TRUE))
  if (as_integer) {
    storage.mode(query_mask) <- "integer"
    storage.mode(value_mask) <- "integer"
  }
  list(
    query = random_array(3, 5, width), value = random_array(3, 3, width),
    query_mask = query_mask, value_mask = value_mask
  )
}

# Masks attached to query and value act as the explicit mask of both (and of the
# causal triangle), rows without a visible key included.
expect_implicit_is_explicit <- function(layer, causal, as_integer = FALSE) {
  data <- padded_inputs(as_integer = as_integer)
  query <- set_keras_mask(data$query, data$query_mask)
  value <- set_keras_mask(data$value, data$value_mask)
  merged <- with_axis(data$query_mask != 0, 2)[, , c(1, 1, 1)] &
    with_axis(data$value_mask != 0, 1)[, rep(1, 5), ]
  if (causal) {
    merged <- sweep(merged, 2:3, outer(1:5, 1:3, `>=`), `&`)
  }
  expect_true(any(!apply(merged, 1:2, any)))
  for (scores in c(FALSE, TRUE)) {
    implicit <- layer(query, value, use_causal_mask = causal, return_attention_scores = scores)
    explicit <- layer(data$query, data$value,
      attention_mask = array(as.numeric(merged), dim(merged)), return_attention_scores = scores
    )
    if (scores) {
      expect_identical(plain(implicit[[2]]), plain(explicit[[2]]))
      seen <- apply(merged, 1:2, any)
      sums <- apply(plain(implicit[[2]]), c(1, 3, 2), sum)
      expect_equal(sums, array(as.numeric(seen), dim(sums)), tolerance = 1e-6)
      implicit <- implicit[[1]]
      explicit <- explicit[[1]]
    }
    expect_equal(set_keras_mask(implicit, NULL), explicit, tolerance = 1e-6)
  }
}

# Eight heads of size 8 whose kernels only copy: the result can be worked out by hand.
expect_identity_kernels <- function(layer) {
  x <- array(diag(8), c(1, 8, 8))
  value <- array(matrix((0:63) / 100, 8, byrow = TRUE), c(1, 8, 8))
  layer$build(dim(x), dim(value), dim(x))
  kernel <- aperm(array(diag(8), c(8, 8, 8)), c(1, 3, 2))
  bias <- matrix(0, 8, 8)
  set_weights(layer, list(kernel, bias, kernel, bias, kernel, bias, kernel, numeric(8)))
  result <- layer(x, value, x, return_attention_scores = TRUE)
  rows <- result[[1]][1, , 1]
  expect_equal(rows, seq(2.406, 2.633, length.out = 8), tolerance = 1e-3)
  expect_equal(result[[1]], array(rows, c(1, 8, 8)), tolerance = 1e-6)
  expected <- matrix(0.1187, 8, 8)
  diag(expected) <- 0.1691
  for (head in 1:8) {
    expect_lte(max(abs(plain(result[[2]])[1, head, , ] - expected)), 1e-4)
  }
  # Without the scores, the other path of the core.
  expect_equal(layer(x, value, x), result[[1]], tolerance = 1e-6)
}

# A kernel that an unseeded initializer makes is a new one for each projection.
expect_kernels_differ <- function(layer, width = 16) {
  layer$build(c(NA, 5, width), c(NA, 5, width))
  kernels <- lapply(
    list(
      layer$query_dense, layer$key_dense, layer$value_dense, layer$gate_dense, layer$output_dense
    ),
    function(dense) as.vector(dense$kernel)
  )
  pairs <- utils::combn(length(kernels), 2)
  for (pair in seq_len(ncol(pairs))) {
    one <- kernels[[pairs[1, pair]]]
    other <- kernels[[pairs[2, pair]]]
    expect_identical(length(one), length(other))
    expect_gt(max(abs(one - other)), 1e-4)
  }
}

# `flash_attention = TRUE` gives what the plain computation gives, where Keras refuses.
expect_flash_agrees <- function(make, inputs, ...) {
  results <- lapply(c(TRUE, FALSE), function(flash) {
    layer <- make(
      flash_attention = flash, seed = 5, kernel_initializer = initializer_glorot_uniform(seed = 2),
      dtype = "float64"
    )
    do.call(layer, c(inputs, list(...)))
  })
  expect_equal(results[[1]], results[[2]], tolerance = 1e-10)
}
