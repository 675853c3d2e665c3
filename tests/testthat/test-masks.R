test_that("set_keras_mask() attaches, get_keras_mask() reads, NULL removes", {
  x <- random_array(2, 3, 4)
  mask <- matrix(c(TRUE, FALSE), 2, 3)
  y <- set_keras_mask(x, mask)
  expect_identical(get_keras_mask(y), mask)
  expect_null(get_keras_mask(x))
  expect_identical(set_keras_mask(y, NULL), x)
  expect_identical(get_keras_mask(set_keras_mask(x, matrix(1L, 2, 1))), matrix(1L, 2, 1))
  expect_null(get_keras_mask("a"))
})

test_that("set_keras_mask() refuses what cannot be a mask of the array", {
  x <- random_array(2, 3, 4)
  expect_attn_error(set_keras_mask(x, matrix(TRUE, 3, 2)), "shape")
  expect_attn_error(set_keras_mask(x, array(TRUE, c(2, 3, 4, 1))), "shape")
  expect_attn_error(set_keras_mask(x, matrix(NA, 2, 3)), "argument")
  expect_attn_error(set_keras_mask(x, matrix("a", 2, 3)), "argument")
  expect_attn_error(set_keras_mask(1:3, TRUE), "argument")
  expect_attn_error(set_keras_mask(x), "argument")
  expect_attn_error(get_keras_mask(), "argument")
})

test_that("masks of every shape that broadcasts count where they should", {
  set.seed(1)
  query <- random_array(3, 4, 4)
  value <- random_array(3, 5, 4)
  layer <- small_mha()
  shapes <- list(
    c(4, 5), c(1, 5), c(4, 1), c(1, 1), c(3, 4, 5), c(1, 4, 5), c(3, 1, 5), c(3, 4, 1),
    c(3, 2, 4, 5), c(1, 2, 4, 5), c(3, 1, 1, 5), c(1, 2, 1, 1)
  )
  for (shape in shapes) {
    mask <- array(stats::runif(prod(shape)) < 0.6, shape)
    grown <- if (length(shape) == 3) with_axis(mask, 1) else mask
    for (scores in c(FALSE, TRUE)) {
      expected <- oracle_heads(layer, query, value,
        visible = grown, dead_row = if (scores) "zero" else "mean"
      )
      got <- layer(query, value, attention_mask = mask, return_attention_scores = scores)
      if (scores) {
        expect_equal(plain(got[[2]]), expected$scores, tolerance = 1e-12)
        got <- got[[1]]
      }
      expect_equal(got, expected$output, tolerance = 1e-12, label = format_shape(shape))
    }
  }
})

test_that("masks are combined before their axes are inserted, as in Keras", {
  set.seed(2)
  query <- random_array(2, 4, 4)
  value <- random_array(2, 5, 4)
  layer <- small_mha()
  attention <- array(stats::runif(80) < 0.7, c(2, 2, 4, 5))
  padding <- matrix(stats::runif(10) < 0.7, 2, 5)
  # Batch and heads are equally many, so the value mask's batch axis meets the
  # heads: no error, and not what one would want.
  merged <- broadcast_and(attention, with_axis(padding, 1))
  expect_equal(
    layer(query, value, attention_mask = attention, value_mask = padding),
    oracle_heads(layer, query, value, visible = merged)$output,
    tolerance = 1e-12
  )
  # With another number of heads it is an error, unless the batch axis is 1.
  three <- small_mha(heads = 3)
  attention <- array(TRUE, c(2, 3, 4, 5))
  expect_attn_error(
    three(query, value, attention_mask = attention, value_mask = padding), "shape", "value_mask"
  )
  one <- padding[1, , drop = FALSE]
  expect_equal(
    three(query, value, attention_mask = attention, value_mask = one),
    oracle_heads(three, query, value, visible = array(one, c(1, 1, 1, 5)))$output,
    tolerance = 1e-12
  )
  # Without another mask of a lower rank, a mask of rank 2 keeps its place.
  band <- matrix(stats::runif(20) < 0.7, 4, 5)
  merged <- broadcast_and(band, with_axis(padding, 1))
  expect_equal(
    layer(query, value, attention_mask = band, value_mask = padding),
    oracle_heads(layer, query, value, visible = with_axis(merged, 1))$output,
    tolerance = 1e-12
  )
})

test_that("causal masks and windows join the other masks", {
  set.seed(3)
  query <- random_array(2, 6, 4)
  value <- random_array(2, 4, 4)
  padding <- matrix(c(TRUE, TRUE, TRUE, FALSE, TRUE, TRUE, FALSE, FALSE), 2)
  position <- outer(1:6, 1:4, `-`)
  for (window in list(NULL, 2)) {
    layer <- small_mha(sliding_window = window)
    near <- if (is.null(window)) TRUE else abs(position) < window
    for (causal in c(TRUE, FALSE)) {
      seen <- near & (position >= 0 | !causal)
      seen <- array(seen, c(1, 6, 4))
      merged <- broadcast_and(seen, with_axis(padding, 1))
      expected <- oracle_heads(layer, query, value, visible = with_axis(merged, 1))
      got <- layer(query, value, value_mask = padding, use_causal_mask = causal)
      expect_equal(got, expected$output, tolerance = 1e-12)
    }
  }
})

test_that("causal and window are about axis 1, whatever the attention axes", {
  set.seed(4)
  # Attention over axis 2, which is as long as axis 1.
  x <- random_array(2, 3, 3, 4)
  layer <- layer_multi_head_attention(
    num_heads = 2, key_dim = 3, attention_axes = 2, dtype = "float64"
  )
  explicit <- outer(1:3, 1:3, `>=`)
  expect_equal(
    layer(x, x, use_causal_mask = TRUE),
    layer(x, x, attention_mask = explicit),
    tolerance = 1e-12
  )
  # Of another length, it cannot be combined.
  y <- random_array(2, 3, 5, 4)
  expect_attn_error(layer(y, y, use_causal_mask = TRUE), "shape", "use_causal_mask")
  # Two attention axes: only with a mask that has enough axes.
  both <- layer_multi_head_attention(num_heads = 1, key_dim = 3, dtype = "float64")
  expect_attn_error(both(x, x, use_causal_mask = TRUE), "shape", "use_causal_mask")
  expect_attn_error(both(x, x, attention_mask = array(TRUE, c(2, 3, 3))), "shape")
  full <- array(TRUE, c(3, 3, 3, 3))
  merged <- broadcast_and(full, array(explicit, c(1, 3, 3)))
  expect_equal(
    both(x, x, attention_mask = full, use_causal_mask = TRUE),
    both(x, x, attention_mask = merged),
    tolerance = 1e-12
  )
})

test_that("attached masks count, explicit ones win over them", {
  set.seed(5)
  query <- random_array(2, 4, 4)
  value <- random_array(2, 5, 4)
  padding <- matrix(stats::runif(10) < 0.6, 2, 5)
  other <- matrix(stats::runif(10) < 0.6, 2, 5)
  rows <- matrix(c(TRUE, TRUE, FALSE, TRUE, TRUE, FALSE, TRUE, TRUE), 2)
  for (layer in list(
    small_mha(),
    layer_group_query_attention(
      head_dim = 3, num_query_heads = 2, num_key_value_heads = 1, dtype = "float64"
    )
  )) {
    masked <- set_keras_mask(value, padding)
    expect_identical(layer(query, masked), layer(query, value, value_mask = padding))
    expect_identical(
      layer(query, masked, value_mask = other), layer(query, value, value_mask = other)
    )
    expect_identical(
      layer(query, value, set_keras_mask(value, padding)),
      layer(query, value, value, key_mask = padding)
    )
    # A key mask counts without a key.
    expect_identical(
      layer(query, value, key_mask = padding), layer(query, value, value_mask = padding)
    )
    # The query's mask hides all keys from its rows, and is the output's.
    out <- layer(set_keras_mask(query, rows), value)
    expect_identical(get_keras_mask(out), rows)
    expect_equal(
      plain(out), layer(query, value, attention_mask = array(rows, c(2, 4, 1))),
      tolerance = 1e-12
    )
    expect_null(get_keras_mask(layer(query, masked)))
  }
})

test_that("multi-head attention ignores query_mask and warns, grouped query heeds it", {
  query <- random_array(2, 4, 4)
  rows <- matrix(c(TRUE, FALSE), 2, 4)
  mha <- small_mha()
  expect_warning(out <- mha(query, query, query_mask = rows), class = "attn_warning")
  expect_identical(out, mha(query, query))
  expect_attn_error(mha(query, query, query_mask = "a"), "argument", "query_mask")
  gqa <- layer_group_query_attention(
    head_dim = 3, num_query_heads = 2, num_key_value_heads = 1, dtype = "float64"
  )
  expect_silent(out <- gqa(query, query, query_mask = rows))
  expect_equal(out, gqa(query, query, attention_mask = array(rows, c(2, 4, 1))))
  # An explicit query mask is not the output's.
  expect_null(get_keras_mask(out))
})

test_that("numbers in masks: non-zero is TRUE, except where Keras compares with 0.5", {
  set.seed(6)
  x <- random_array(1, 4, 4)
  numbers <- matrix(c(0, 0.3, 0.5, 0.7, 1, -1, 2, 0), 4, 4)
  mha <- small_mha()
  expect_identical(mha(x, x, attention_mask = numbers), mha(x, x, attention_mask = numbers != 0))
  gqa <- layer_group_query_attention(
    head_dim = 3, num_query_heads = 2, num_key_value_heads = 1, dtype = "float64"
  )
  expect_identical(gqa(x, x, attention_mask = numbers), gqa(x, x, attention_mask = numbers != 0))
  with_scores <- function(mask, ...) {
    gqa(x, x, attention_mask = mask, return_attention_scores = TRUE, ...)
  }
  expect_identical(with_scores(numbers), with_scores(numbers > 0.5))
  expect_identical(
    with_scores(numbers, use_causal_mask = TRUE),
    with_scores(numbers != 0, use_causal_mask = TRUE)
  )
  integers <- matrix(c(0L, 1L, 3L, 1L), 4, 4)
  expect_identical(mha(x, x, attention_mask = integers), mha(x, x, attention_mask = integers != 0))
})

test_that("masks with missing values or of another type are refused", {
  x <- random_array(2, 3, 4)
  for (layer in list(
    small_mha(),
    layer_group_query_attention(head_dim = 3, num_query_heads = 2, num_key_value_heads = 1)
  )) {
    for (argument in c("attention_mask", "value_mask", "key_mask")) {
      for (bad in list("a", list(TRUE), NaN, NA, factor("a"), data.frame(a = TRUE), mean)) {
        call <- list(x, x, bad)
        names(call)[3] <- argument
        expect_attn_error(do.call(layer, call), "argument", argument)
      }
    }
  }
})

test_that("a masked key never touches the row, even if it holds NaN or Inf", {
  value <- random_array(1, 4, 4)
  spoiled <- value
  spoiled[1, 3, ] <- c(NaN, Inf, -Inf, NA)
  padding <- matrix(c(TRUE, TRUE, FALSE, TRUE), 1)
  layer <- small_mha()
  query <- random_array(1, 3, 4)
  expect_identical(
    layer(query, spoiled, value_mask = padding), layer(query, value, value_mask = padding)
  )
  expect_true(anyNA(layer(query, spoiled)))
})

test_that("a window along a later axis is that of the same layer along the first", {
  x <- random_array(2, 4, 4, 3)
  for (causal in c(FALSE, TRUE)) {
    for (window in 1:3) {
      first <- layer_multi_head_attention(
        num_heads = 2, key_dim = 2, sliding_window = window, dtype = "float64"
      )
      second <- layer_multi_head_attention(
        num_heads = 2, key_dim = 2, sliding_window = window, attention_axes = 2, dtype = "float64"
      )
      second$build(dim(x), dim(x))
      rows <- array(x[, 2, , ], c(2, 4, 3))
      first$build(dim(rows), dim(rows))
      set_weights(first, get_weights(second))
      expect_equal(second(x, x, use_causal_mask = causal)[, 2, , ],
        first(rows, rows, use_causal_mask = causal), tolerance = 1e-12
      )
    }
  }
  seen <- dense_position_mask(4, 5, FALSE, 2)
  expect_identical(seen, outer(1:4, 1:5, function(query, key) abs(query - key) <= 1))
  expect_identical(dense_position_mask(4, 5, TRUE, 2), seen & outer(1:4, 1:5, `>=`))
})
