test_that("required arguments and every bad value give classed errors", {
  bad <- list(
    NULL, NA, NaN, Inf, -1, 0, 1.5, 2^31, "a", TRUE, list(1), data.frame(a = 1), factor("a"),
    c(1, 2)
  )
  make <- function(...) {
    given <- list(...)
    defaults <- list(num_heads = 2, key_dim = 2)
    do.call(layer_multi_head_attention, c(given, defaults[setdiff(names(defaults), names(given))]))
  }
  for (value in bad) {
    for (argument in c("num_heads", "key_dim")) {
      given <- stats::setNames(list(value), argument)
      expect_attn_error(do.call(make, given), "argument", argument)
    }
  }
  for (value in bad[-1]) {
    for (argument in c("value_dim", "sliding_window")) {
      given <- stats::setNames(list(value), argument)
      expect_attn_error(do.call(make, given), "argument", argument)
    }
  }
  expect_attn_error(layer_multi_head_attention(key_dim = 2), "argument", "num_heads")
  expect_attn_error(layer_multi_head_attention(num_heads = 2), "argument", "key_dim")
  for (value in list(NA, NaN, -0.1, 1.1, Inf, "a", NULL, c(0, 0.1))) {
    expect_attn_error(make(dropout = value), "argument", "dropout")
  }
  for (argument in c("use_bias", "use_gate")) {
    for (value in list(NULL, NA, 1, "a", c(TRUE, TRUE))) {
      expect_attn_error(do.call(make, stats::setNames(list(value), argument)), "argument", argument)
    }
  }
  for (value in list("a", 1.5, NA, -1, c(2, 0), list("a"), TRUE, 2^31)) {
    expect_attn_error(make(output_shape = value), "argument", "output_shape")
  }
  for (value in list("a", 1.5, NA, TRUE, list("a"), Inf)) {
    expect_attn_error(make(attention_axes = value), "argument", "attention_axes")
  }
  expect_attn_error(make(flash_attention = NA), "argument", "flash_attention")
  expect_attn_error(make(seed = 1.5), "argument", "seed")
  expect_attn_error(make(foo = 1), "argument", "foo")
  expect_attn_error(make(activity_regularizer = "foo"), "argument", "activity_regularizer")
})

test_that("no output_shape, zero and empty mean the query's last dim", {
  x <- random_array(2, 3, 4)
  for (shape in list(NULL, 0, integer(), list())) {
    layer <- layer_multi_head_attention(num_heads = 1, key_dim = 2, output_shape = shape)
    expect_null(layer$output_shape)
    expect_identical(dim(layer(x, x)), c(2L, 3L, 4L))
  }
  layer <- layer_multi_head_attention(num_heads = 1, key_dim = 2, output_shape = list(3, 5))
  expect_identical(dim(layer(x, x)), c(2L, 3L, 3L, 5L))
})

test_that("attention axes are counted from 0 and checked against the rank", {
  x <- random_array(2, 3, 3, 4)
  for (axes in list(0, 3, -1, -4, c(1, 1), c(1, -3), 4, c(0, 1))) {
    layer <- layer_multi_head_attention(num_heads = 1, key_dim = 2, attention_axes = axes)
    expect_attn_error(layer$build(dim(x), dim(x)), "shape", "attention_axes")
    expect_attn_error(layer(x, x), "shape", "attention_axes")
    expect_false(layer$built)
  }
})

test_that("negative axes are the same as positive ones", {
  x <- random_array(2, 3, 5, 4)
  for (gate in c(FALSE, TRUE)) {
    make <- function(axes) {
      layer_multi_head_attention(
        num_heads = 2, key_dim = 2, attention_axes = axes, use_gate = gate
      )
    }
    a <- make(2)
    b <- make(-2)
    a$build(dim(x), dim(x))
    b$build(dim(x), dim(x))
    set_weights(b, get_weights(a))
    expect_identical(
      a(x, x, return_attention_scores = TRUE), b(x, x, return_attention_scores = TRUE)
    )
  }
})

test_that("the order of attention axes is the order of the scores' axes", {
  x <- random_array(2, 3, 5, 4)
  one <- layer_multi_head_attention(num_heads = 2, key_dim = 2, attention_axes = c(1, 2))
  two <- layer_multi_head_attention(num_heads = 2, key_dim = 2, attention_axes = c(2, 1))
  one$build(dim(x), dim(x))
  two$build(dim(x), dim(x))
  set_weights(two, get_weights(one))
  first <- one(x, x, return_attention_scores = TRUE)
  second <- two(x, x, return_attention_scores = TRUE)
  expect_equal(first[[1]], second[[1]], tolerance = 1e-6)
  expect_identical(dim(second[[2]]), c(2L, 2L, 5L, 3L, 5L, 3L))
  expect_equal(
    aperm(plain(first[[2]]), c(1, 2, 4, 3, 6, 5)), plain(second[[2]]),
    tolerance = 1e-6
  )
})

test_that("sliding windows leave exactly the near keys", {
  x <- random_array(2, 6, 4)
  layer <- layer_multi_head_attention(num_heads = 2, key_dim = 3, sliding_window = 3)
  position <- outer(1:6, 1:6, `-`)
  scores <- layer(x, x, return_attention_scores = TRUE)[[2]]
  expect_identical(plain(scores)[1, 2, , ] > 0, abs(position) < 3)
  scores <- layer(x, x, return_attention_scores = TRUE, use_causal_mask = TRUE)[[2]]
  expect_identical(plain(scores)[2, 1, , ] > 0, position >= 0 & position < 3)
})

test_that("rows without a visible key give Keras's result on each path", {
  x <- random_array(1, 3, 4)
  mask <- matrix(c(TRUE, FALSE, TRUE), 3, 3)
  layer <- layer_multi_head_attention(num_heads = 2, key_dim = 3,
    dtype = "float64", bias_initializer = "ones"
  )
  fused <- layer(x, x, attention_mask = mask)
  mean_row <- oracle_heads(layer, x, x, visible = array(mask, c(1, 1, 3, 3)), dead_row = "mean")
  expect_equal(fused, mean_row$output, tolerance = 1e-12)
  both <- layer(x, x, attention_mask = mask, return_attention_scores = TRUE)
  expect_equal(both[[1]][1, 2, ], rep(1, 4))
  expect_identical(plain(both[[2]])[1, 1, 2, ], c(0, 0, 0))
  dropping <- layer_multi_head_attention(num_heads = 2, key_dim = 3,
    dtype = "float64", bias_initializer = "ones", dropout = 0.1
  )
  expect_equal(dropping(x, x, attention_mask = mask)[1, 2, ], rep(1, 4))
  # More than one attention axis or a further batch axis: Keras's explicit path.
  deep <- layer_multi_head_attention(num_heads = 1, key_dim = 2, attention_axes = 2,
    bias_initializer = "ones"
  )
  y <- random_array(1, 2, 3, 4)
  expect_equal(deep(y, y, attention_mask = mask)[1, 1, 2, ], rep(1, 4), tolerance = 1e-6)
})

test_that("gate, value_dim and biases follow the formula", {
  query <- random_array(2, 3, 4)
  value <- random_array(2, 5, 6)
  key <- random_array(2, 5, 7)
  for (bias in c(TRUE, FALSE)) {
    layer <- layer_multi_head_attention(num_heads = 3, key_dim = 2, value_dim = 5,
      use_gate = TRUE, use_bias = bias, bias_initializer = "random_normal",
      output_shape = c(2, 3), dtype = "float64"
    )
    result <- layer(query, value, key, return_attention_scores = TRUE)
    expected <- oracle_heads(layer, query, value, key)
    expect_equal(result[[1]], expected$output, tolerance = 1e-12)
    expect_equal(plain(result[[2]]), expected$scores, tolerance = 1e-12)
  }
})

test_that("dropout acts in training only, by the layer's own key", {
  x <- random_array(2, 16, 4)
  make <- function(seed = NULL, dropout = 0.5) {
    layer <- layer_multi_head_attention(num_heads = 2, key_dim = 3, dropout = dropout, seed = seed,
      kernel_initializer = initializer_glorot_uniform(seed = 1)
    )
    layer$build(dim(x), dim(x))
    layer
  }
  layer <- make(seed = 1)
  still <- layer(x, x)
  expect_identical(layer(x, x, training = FALSE), still)
  first <- layer(x, x, training = TRUE)
  second <- layer(x, x, training = TRUE)
  expect_false(identical(first, still))
  expect_false(identical(first, second))
  again <- make(seed = 1)
  expect_identical(again(x, x, training = TRUE), first)
  expect_false(identical(make(seed = 2)(x, x, training = TRUE), first))
  # Scores are those before dropout.
  expect_equal(
    layer(x, x, training = TRUE, return_attention_scores = TRUE)[[2]],
    layer(x, x, return_attention_scores = TRUE)[[2]]
  )
  set.seed(4)
  a <- make()(x, x, training = TRUE)
  set.seed(4)
  expect_identical(make()(x, x, training = TRUE), a)
  # Rate 1 leaves nothing but the bias.
  expect_equal(max(abs(make(dropout = 1)(x, x, training = TRUE))), 0)
})

test_that("inference draws no random numbers", {
  x <- random_array(1, 3, 4)
  layer <- layer_multi_head_attention(num_heads = 1, key_dim = 2, dropout = 0.5)
  layer(x, x)
  before <- .Random.seed
  layer(x, x)
  layer(x, x, training = TRUE)
  expect_identical(.Random.seed, before)
})

test_that("tiled and plain computation agree", {
  x <- random_array(2, 70, 8)
  y <- random_array(2, 90, 8)
  mask <- array(stats::runif(2 * 70 * 90) < 0.8, c(2, 70, 90))
  make <- function(flash) {
    layer_multi_head_attention(num_heads = 2, key_dim = 5, flash_attention = flash,
      dtype = "float64", sliding_window = 30, dropout = 0.2, seed = 3,
      kernel_initializer = initializer_glorot_uniform(seed = 1)
    )
  }
  tiled <- make(TRUE)
  naive <- make(FALSE)
  for (training in c(FALSE, TRUE)) {
    for (causal in c(FALSE, TRUE)) {
      arguments <- list(x, y,
        attention_mask = mask, training = training, use_causal_mask = causal
      )
      expect_equal(do.call(tiled, arguments), do.call(naive, arguments), tolerance = 1e-10)
    }
  }
})

test_that("inputs whose shapes do not fit are classed errors that say why", {
  x <- random_array(2, 3, 4)
  layer <- layer_multi_head_attention(num_heads = 2, key_dim = 2, name = "here")
  cases <- list(
    list(random_array(3, 4), x), list(x, random_array(3, 4)), list(x, random_array(3, 5, 4)),
    list(x, x, random_array(2, 4, 4)), list(x, x, random_array(3, 3, 4)),
    list(x, random_array(2, 3, 3, 4)), list(array(0, c(2, 0, 4)), x), list(x, array(0, c(2, 3, 0)))
  )
  for (case in cases) {
    expect_attn_error(do.call(layer, case), "shape", "here")
  }
  for (bad in list(NULL, "a", 1, 1:3, list(x), data.frame(a = 1), factor("a"), mean, TRUE)) {
    expect_attn_error(layer(bad, x), "argument", "query")
    expect_attn_error(layer(x, bad), "argument", "value")
    if (!is.null(bad)) {
      expect_attn_error(layer(x, x, bad), "argument", "key")
    }
  }
})

test_that("different last dims of query, value and key are fine", {
  layer <- layer_multi_head_attention(num_heads = 2, key_dim = 2)
  out <- layer(random_array(2, 3, 4), random_array(2, 5, 6), random_array(2, 5, 7))
  expect_identical(dim(out), c(2L, 3L, 4L))
  # Built for a key of width 7, the value cannot be the key.
  expect_attn_error(layer(random_array(2, 3, 4), random_array(2, 5, 6)), "shape", "key")
})
