# Calls of models and predict(): results, batches, masks, checks, failures.

small_model <- function(...) {
  input <- keras_input(shape = c(NA, 6), name = "x", ...)
  attended <- layer_multi_head_attention(input, num_heads = 2, key_dim = 3)
  keras_model(input, layer_dense(layer_add(list(input, attended)), units = 2))
}

test_that("a call gives what the layers give, the first time and later", {
  for (dtype in c("float32", "float64")) {
    input <- keras_input(shape = c(5, 6), dtype = dtype)
    attention <- layer_multi_head_attention(num_heads = 2, key_dim = 3, dtype = dtype)
    dense <- layer_dense(units = 4, activation = "gelu", dtype = dtype)
    model <- keras_model(input, dense(attention(input, input)))
    x <- random_array(3, 5, 6)
    expected <- dense(attention(x, x))
    tolerance <- if (dtype == "float64") 1e-12 else 1e-6
    for (time in 1:3) expect_equal(model(x), expected, tolerance = tolerance)
    expect_identical(model(x), model(x))
    expect_identical(model(list(x)), model(x))
    whole <- array(1:90, c(3, 5, 6))
    expect_equal(model(whole), model(whole * 1), tolerance = 1e-12)
  }
})

test_that("the size of the batch makes no difference", {
  model <- small_model()
  x <- random_array(70, 4, 6)
  whole <- model(x)
  expect_equal(predict(model, x), whole, tolerance = 1e-6)
  for (size in c(1, 7, 32, 64, 69, 70, 1000)) {
    got <- predict(model, x, batch_size = size)
    expect_identical(dim(got), c(70L, 4L, 2L))
    expect_equal(got, whole, tolerance = 1e-6)
  }
  expect_equal(predict_on_batch(model, x), whole, tolerance = 1e-6)
  expect_equal(predict(model, x, batch_size = 7, steps = 2), whole[1:14, , ], tolerance = 1e-6)
  expect_equal(model$predict(x, batch_size = 9), whole, tolerance = 1e-6)
  one <- x[1, , , drop = FALSE]
  expect_equal(predict(model, one), whole[1, , , drop = FALSE], tolerance = 1e-6)
})

test_that("batches of every rank and type are read and written in place", {
  ranks <- list(3, c(2, 3), c(2, 3, 4), c(2, 2, 2, 3))
  for (shape in ranks) {
    input <- keras_input(shape = shape)
    flag <- keras_input(shape = shape, dtype = "bool")
    id <- keras_input(shape = shape, dtype = "int32")
    dense <- layer_dense(units = 2)
    model <- keras_model(list(input, flag, id), list(id, input, flag, dense(input)))
    x <- random_array(5, shape)
    seen <- x > 0
    ids <- array(seq_along(x), dim(x))
    for (size in c(2, 5)) {
      got <- predict(model, list(x, seen, ids), batch_size = size)
      expect_identical(got[[1]], ids)
      expect_equal(got[[2]], x, tolerance = 1e-7)
      expect_identical(got[[3]], seen)
      expect_equal(got[[4]], dense(x), tolerance = 1e-6)
    }
    expect_identical(model(list(x, seen, ids))[[1]], ids)
    expect_identical(model(list(x, seen, ids * 1))[[1]], ids)
  }
  # a model of vectors
  input <- keras_input(batch_shape = NA)
  model <- keras_model(input, input)
  expect_equal(predict(model, array(1:5 / 2), batch_size = 2), array(1:5 / 2))
  expect_equal(predict(model, 1:5 / 2, batch_size = 2), array(1:5 / 2))
})

test_that("masks come with the arrays, also in batches, and are as long as these", {
  model <- small_model()
  attention <- model$layers[[2]]
  x <- random_array(4, 5, 6)
  mask <- matrix(TRUE, 4, 5)
  mask[2, 4:5] <- FALSE
  mask[3, 2:5] <- FALSE
  masked <- set_keras_mask(x, mask)
  expected <- model$layers[[4]](x + plain(attention(masked, masked)))
  expect_equal(plain(model(masked)), expected, tolerance = 1e-6)
  expect_identical(get_keras_mask(model(masked)), mask)
  expect_identical(get_keras_mask(model(set_keras_mask(x, mask * 1))), mask)
  for (size in 1:4) {
    expect_equal(predict(model, masked, batch_size = size), expected, tolerance = 1e-6)
  }
  # one row stands for all
  row <- set_keras_mask(x, mask[2, , drop = FALSE])
  whole <- set_keras_mask(x, mask[rep(2, 4), ])
  expect_identical(model(row), model(whole))
  expect_equal(predict(model, row, batch_size = 3), plain(model(whole)), tolerance = 1e-6)
  # padding makes no difference to a sequence
  alone <- x[3, 1, , drop = FALSE]
  expect_equal(drop(model(alone)), expected[3, 1, ], tolerance = 1e-6)
})

test_that("masks are arguments of calls as well", {
  x <- keras_input(shape = c(3, 4))
  pairs <- keras_input(shape = c(3, 3), dtype = "bool")
  keys <- keras_input(shape = 3, dtype = "bool")
  heads <- layer_multi_head_attention(num_heads = 2, key_dim = 2)
  direct <- layer_attention()
  model <- keras_model(list(x, pairs, keys), list(
    heads(x, x, attention_mask = pairs, value_mask = keys),
    direct(list(x, x), mask = list(keys, keys), use_causal_mask = TRUE)
  ))
  data <- random_array(2, 3, 4)
  seen <- array(c(TRUE, TRUE, FALSE, TRUE, TRUE), c(2, 3, 3))
  kept <- rbind(c(TRUE, TRUE, FALSE), c(TRUE, FALSE, TRUE))
  got <- model(list(data, seen, kept))
  expect_equal(got[[1]], heads(data, data, attention_mask = seen, value_mask = kept),
    tolerance = 1e-6
  )
  expected <- direct(list(data, data), mask = list(kept, kept), use_causal_mask = TRUE)
  expect_equal(got[[2]], expected, tolerance = 1e-6)
  by_batch <- predict(model, list(data, seen, kept), batch_size = 1)
  expect_equal(by_batch[[1]], plain(got[[1]]), tolerance = 1e-6)
})

test_that("masks of a call may be arrays, which count for every batch", {
  x <- keras_input(shape = c(3, 4))
  keys <- keras_input(shape = 3, dtype = "bool")
  pairs <- matrix(c(TRUE, FALSE, FALSE, TRUE, TRUE, FALSE, TRUE, TRUE, TRUE), 3)
  row <- matrix(c(TRUE, TRUE, FALSE), 1)
  heads <- layer_multi_head_attention(num_heads = 2, key_dim = 2)
  direct <- layer_attention()
  data <- random_array(5, 3, 4)
  kept <- matrix(TRUE, 5, 3)
  kept[2:3, 1] <- FALSE
  results <- function(x, keys) {
    list(
      heads(x, x, attention_mask = pairs), heads(x, x, value_mask = row),
      heads(x, x, attention_mask = pairs, key_mask = keys, return_attention_scores = TRUE)[[2]],
      direct(list(x, x), mask = list(NULL, row)), direct(list(x, x), mask = list(keys, row)),
      direct(list(x, x), mask = list(row, keys))
    )
  }
  model <- keras_model(list(x, keys), results(x, keys))
  expected <- lapply(results(data, kept), plain)
  expect_equal(lapply(model(list(data, kept)), plain), expected, tolerance = 1e-6)
  expect_equal(predict(model, list(data, kept), batch_size = 2), expected, tolerance = 1e-6)
  again <- from_config(save_model_config(model))
  expect_identical(get_config(again), get_config(model))
  set_weights(again, get_weights(model))
  expect_equal(lapply(again(list(data, kept)), plain), expected, tolerance = 1e-6)
})

test_that("each of several inputs has a mask of its own among those of the call", {
  x <- keras_input(shape = c(3, 4), name = "x")
  y <- keras_input(shape = c(3, 4), name = "y")
  direct <- layer_attention()
  model <- keras_model(list(x, y), direct(list(x, y)))
  a <- random_array(2, 3, 4)
  b <- random_array(2, 3, 4)
  mask <- rbind(c(TRUE, TRUE, FALSE), c(TRUE, FALSE, FALSE))
  expect_identical(model(list(a, b), mask = list(NULL, mask)),
    model(list(a, set_keras_mask(b, mask)))
  )
  expect_identical(model(list(a, b), mask = list(mask, NULL)),
    model(list(set_keras_mask(a, mask), b))
  )
  expect_equal(plain(model(list(a, b), mask = list(NULL, mask))),
    plain(direct(list(a, b), mask = list(NULL, mask))), tolerance = 1e-6
  )
  expect_attn_error(model(list(a, b), mask = mask), "argument", "a list of 2 masks")
  expect_attn_error(model(list(a, b), mask = list(mask)), "argument", "a list of 2 masks")
  expect_attn_error(model(list(a, b), mask = list(NULL, mask[, 1:2])), "shape")
})

test_that("attention that goes by way of R has its masks and scores", {
  x <- keras_input(shape = c(3, 4), name = "x")
  keys <- keras_input(shape = 3, dtype = "bool", name = "keys")
  data <- random_array(5, 3, 4)
  seen <- matrix(TRUE, 5, 3)
  seen[2:4, 2:3] <- FALSE
  for (make in list(layer_attention, layer_additive_attention)) {
    layer <- make(activity_regularizer = "l2")
    result <- layer(list(x, x), mask = list(NULL, keys), return_attention_scores = TRUE)
    model <- keras_model(list(x, keys), result)
    expected <- layer(list(data, data), mask = list(NULL, seen), return_attention_scores = TRUE)
    expected[[2]] <- plain(expected[[2]])
    losses <- layer$losses # of both results
    expect_equal(model(list(data, seen)), expected, tolerance = 1e-6)
    expect_equal(model$losses, losses, tolerance = 1e-6)
    expect_equal(predict(model, list(data, seen), batch_size = 2), expected, tolerance = 1e-6)
    # a mask that comes with an array is cut into batches with it
    alone <- keras_model(x, layer(list(x, x)))
    masked <- set_keras_mask(data, seen)
    expect_equal(predict(alone, masked, batch_size = 2), plain(layer(list(masked, masked))),
      tolerance = 1e-6
    )
  }
})

test_that("a layer's own choice of algorithm counts in a model, else the session's", {
  x <- keras_input(shape = c(70, 8))
  data <- random_array(1, 70, 8)
  make <- function(flash) {
    layer <- layer_multi_head_attention(
      num_heads = 2, key_dim = 4, flash_attention = flash, seed = 1
    )
    keras_model(x, layer(x, x))
  }
  models <- lapply(list(NULL, TRUE, FALSE), make)
  for (model in models[-1]) set_weights(model, get_weights(models[[1]]))
  tiled <- models[[2]](data)
  plainly <- models[[3]](data)
  expect_equal(plainly, tiled, tolerance = 1e-5)
  expect_false(identical(plainly, tiled))
  expect_identical(models[[1]](data), tiled)
  without_flash_attention({
    expect_identical(models[[1]](data), plainly)
    expect_identical(models[[2]](data), tiled)
    expect_identical(models[[3]](data), plainly)
  })
})

test_that("scores are outputs, and several attention axes go by way of R", {
  x <- keras_input(shape = c(3, 4))
  y <- layer_multi_head_attention(x, num_heads = 2, key_dim = 2)
  heads <- layer_multi_head_attention(num_heads = 2, key_dim = 2)
  model <- keras_model(x, heads(x, y, return_attention_scores = TRUE))
  data <- random_array(5, 3, 4)
  first <- model$layers[[2]]
  expected <- heads(data, first(data, data), return_attention_scores = TRUE)
  got <- model(data)
  expect_equal(got[[1]], expected[[1]], tolerance = 1e-6)
  expect_equal(got[[2]], plain(expected[[2]]), tolerance = 1e-6)
  expect_equal(predict(model, data, batch_size = 2)[[2]], got[[2]], tolerance = 1e-6)

  z <- keras_input(shape = c(2, 3, 4))
  wide <- layer_multi_head_attention(num_heads = 2, key_dim = 2, attention_axes = 1:2)
  dense <- layer_dense(units = 4)
  after <- layer_dense(units = 3)
  model <- keras_model(z, after(wide(dense(z), dense(z))))
  data <- random_array(5, 2, 3, 4)
  expected <- after(wide(dense(data), dense(data)))
  expect_equal(model(data), expected, tolerance = 1e-6)
  expect_equal(predict(model, data, batch_size = 2), expected, tolerance = 1e-6)
  saved <- unserialize(serialize(model, NULL))
  expect_equal(saved(data), expected, tolerance = 1e-6)
})

test_that("training is said by the call, else by the calls of the layers", {
  x <- keras_input(shape = c(4, 6))
  layer <- layer_multi_head_attention(num_heads = 2, key_dim = 3, dropout = 0.5, seed = 1)
  data <- random_array(2, 4, 6)
  plainly <- keras_model(x, layer(x, x))
  always <- keras_model(x, layer(x, x, training = TRUE))
  expect_identical(plainly(data), plainly(data))
  expect_false(identical(plainly(data, training = TRUE), plainly(data)))
  expect_false(identical(plainly(data, training = TRUE), plainly(data, training = TRUE)))
  expect_false(identical(always(data), always(data)))
  expect_identical(always(data, training = FALSE), plainly(data, training = FALSE))
  expect_identical(predict(always, data), plain(plainly(data)))
  expect_attn_error(plainly(data, training = NA), "argument")
})

test_that("inputs of another number, type or shape are refused by name", {
  model <- small_model()
  x <- random_array(2, 3, 6)
  model(x)
  for (call in list(model, function(x) predict(model, x), function(x) predict_on_batch(model, x))) {
    expect_attn_error(call(random_array(2, 3, 5)), "shape", "`x`")
    expect_attn_error(call(random_array(2, 6)), "shape")
    expect_attn_error(call(array(0, c(0, 3, 6))), "shape")
    expect_attn_error(call("a"), "argument")
    expect_attn_error(call(NULL), "argument")
    expect_attn_error(call(data.frame(1)), "argument")
    expect_attn_error(call(list()), "argument")
    expect_attn_error(call(list(x, x)), "argument")
    expect_attn_error(call(list(y = x, x)), "argument")
    bad_mask <- structure(x, keras_mask = matrix(TRUE, 3, 3))
    expect_attn_error(call(bad_mask), "shape")
    expect_attn_error(call(structure(x, keras_mask = matrix(NA, 2, 3))), "argument")
    expect_attn_error(call(structure(x, keras_mask = "a")), "argument")
  }
  expect_attn_error(model(x, foo = 1), "argument", "foo")
  expect_attn_error(model(), "argument")
  expect_attn_error(model(x, mask = matrix(TRUE, 3, 3)), "shape")
  expect_attn_error(model(x, mask = list(1, 2)), "argument")
  expect_attn_error(predict(model), "argument")
  expect_attn_error(predict(model, x, batch_size = 0), "argument")
  expect_attn_error(predict(model, x, batch_size = 1.5), "argument")
  expect_attn_error(predict(model, x, steps = 0), "argument")
  expect_attn_error(predict(model, x, verbose = "loud"), "argument")
  expect_attn_error(predict(model, x, callbacks = list(1)), "argument")
  expect_attn_error(predict(model, x, foo = 1), "argument")
  expect_attn_error(predict_on_batch(1, x), "argument")
  expect_attn_error(model(keras_input(shape = c(3, 5))), "shape")
})

test_that("ids have no missing values", {
  input <- keras_input(shape = 3, dtype = "int32", name = "ids")
  model <- keras_model(input, layer_embedding(input, input_dim = 5, output_dim = 2))
  ids <- matrix(c(1L, 0L, 4L, 2L, 3L, 3L), 2)
  expect_identical(dim(model(ids)), c(2L, 3L, 2L))
  expect_identical(model(ids * 1), model(ids))
  for (bad in list(NA_integer_, NaN, Inf, 3e9, -3e9)) {
    wrong <- ids
    wrong[2] <- bad
    expect_attn_error(model(wrong), "argument", "ids")
    expect_attn_error(predict(model, wrong), "argument", "ids")
  }
  wrong <- ids
  wrong[2] <- 7L
  expect_attn_error(model(wrong), "argument", "layer_embedding.*id 7")
  expect_attn_error(predict(model, wrong, batch_size = 1), "argument", "id 7")
})

test_that("flags have no missing values", {
  flags <- keras_input(shape = 3, dtype = "bool", name = "flags")
  model <- keras_model(flags, flags)
  x <- matrix(c(TRUE, FALSE), 2, 3)
  expect_identical(model(x), x)
  x[2, 2] <- NA
  expect_attn_error(model(x), "argument", "`flags` must be free of missing values")
  expect_attn_error(predict(model, x), "argument", "flags")
})

test_that("a last dim of size 1 may lack or be too many, as in Keras", {
  one <- keras_input(shape = 1)
  model <- keras_model(one, layer_dense(one, units = 2))
  x <- rnorm(4)
  expect_identical(model(x), model(matrix(x)))
  expect_identical(model(array(x, c(4, 1, 1))), model(matrix(x)))
  expect_identical(predict(model, x), model(matrix(x)))
})

test_that("arrays of a call have the same number of rows", {
  a <- keras_input(shape = 2)
  b <- keras_input(shape = 2)
  model <- keras_model(list(a, b), layer_add(list(a, b)))
  expect_attn_error(predict(model, list(matrix(1, 2, 2), matrix(1, 3, 2))), "shape")
  expect_attn_error(model(list(matrix(1, 2, 2), matrix(1, 3, 2))), "shape", "layer_add")
  lacking <- keras_input(shape = 2, optional = TRUE)
  model <- keras_model(lacking, layer_dense(lacking, units = 1))
  expect_attn_error(predict(model, list(NULL)), "argument", "at least one array")
  expect_attn_error(predict_on_batch(model, list(NULL)), "argument", "at least one array")
})

test_that("an optional input that is an output is given", {
  a <- keras_input(shape = 2)
  b <- keras_input(shape = 2, name = "b", optional = TRUE)
  model <- keras_model(list(a, b), list(layer_rescaling(a, 2), b))
  x <- matrix(c(1, 2), 1)
  expect_equal(model(list(x, x)), list(2 * x, x))
  expect_attn_error(model(list(x, NULL)), "argument", "`b` must be given.*an output")
})

test_that("what functions of R give for the batches is put together, if it fits", {
  input <- keras_input(shape = c(NA, 2))
  keep <- layer_lambda(f = function(x) x[, seq_len(x[1]), , drop = FALSE], output_shape = c(NA, 2))
  model <- keras_model(input, keep(input))
  x <- array(c(2, 2, 2, 3), c(4, 3, 2))
  expect_equal(predict(model, x[1:3, , ], batch_size = 2), x[1:3, 1:2, ])
  expect_attn_error(predict(model, x, batch_size = 3), "shape",
    "shape \\(NA, 2, 2\\).*\\(1, 3, 2\\)"
  )
  numbers <- keras_input(batch_shape = NA)
  model <- keras_model(numbers, layer_lambda(numbers, function(x) 2 * x))
  expect_equal(predict(model, 1:5 / 2, batch_size = 2), array(1:5 + 0))
})

test_that("predict() wants outputs with the batch as their first axis", {
  x <- keras_input(shape = 3)
  data <- matrix(1:12, 4)
  for (values in list(x, layer_lambda(x, function(x) x))) {
    total <- attn:::operation_node("Sum", NULL, list(values), list(), list(axis = 0L))
    model <- keras_model(x, total)
    expect_equal(model(data), array(colSums(data)))
    expect_attn_error(predict(model, data), "shape")
    expect_attn_error(predict(model, data, batch_size = 2), "shape")
    expect_attn_error(predict_on_batch(model, data), "shape")
  }
})

test_that("masks that functions of R get are those of the batch", {
  masked <- function(x, mask) if (is.null(mask)) x else x * as.vector(mask)
  numbers <- keras_input(batch_shape = NA)
  model <- keras_model(numbers, layer_lambda(numbers, masked))
  x <- array(1:5 / 2)
  mask <- c(TRUE, FALSE, TRUE, TRUE, FALSE)
  expect_equal(predict(model, set_keras_mask(x, mask), batch_size = 2), x * mask)
  # one entry stands for all
  expect_equal(predict(model, set_keras_mask(x, FALSE), batch_size = 2), 0 * x)
  rows <- keras_input(shape = 2)
  model <- keras_model(rows, layer_lambda(rows, function(x, mask) {
    if (is.null(mask)) x else x * mask[rep_len(seq_len(nrow(mask)), nrow(x)), ]
  }))
  x <- matrix(1:10 / 2, 5)
  mask <- x > 2
  expect_equal(predict(model, set_keras_mask(x, mask), batch_size = 2), x * mask)
  one <- matrix(c(TRUE, FALSE), 1)
  expect_equal(predict(model, set_keras_mask(x, one), batch_size = 2), cbind(x[, 1], 0))
})

test_that("a call with training reaches the layers of a model within, of any shape", {
  x <- keras_input(shape = c(NA, 4))
  inner <- keras_model(x, layer_dropout(x, 0.5, seed = 1))
  y <- keras_input(shape = c(3, 4))
  model <- keras_model(y, inner(y, training = TRUE))
  expect_identical(model$output_shape, c(NA, 3L, 4L))
  data <- array(1, c(2, 3, 4))
  expect_setequal(model(data), c(0, 2))
  expect_identical(model(data, training = FALSE), data)
})

test_that("a failure in the midst of a call leaves all layers as they were", {
  x <- keras_input(shape = c(NA, 4))
  heads <- layer_multi_head_attention(num_heads = 1, key_dim = 2, dropout = 0.5, seed = 3)
  heads$build(c(NA, 4, 4), c(NA, 4, 4))
  wide <- layer_multi_head_attention(
    num_heads = 1, key_dim = 2, attention_axes = 1, dropout = 0.5, seed = 3,
    activity_regularizer = "l2"
  )
  h <- wide(heads(x, x), heads(x, x))
  y <- keras_input(shape = c(NA, 4))
  model <- keras_model(list(x, y), layer_add(list(h, y)))
  data <- random_array(2, 3, 4)
  reference <- unserialize(serialize(model, NULL))
  bad <- list(data, random_array(2, 5, 4))
  expect_attn_error(model(bad, training = TRUE), "shape", "layer_add")
  expect_identical(wide$losses, list())
  both <- list(data, data)
  expect_identical(model(both, training = TRUE), reference(both, training = TRUE))
})

test_that("a small model costs little more than its call of C", {
  skip_on_cran()
  model <- keras_model_sequential(input_shape = 4) |> layer_dense(units = 3)
  x <- matrix(rnorm(8), 2)
  model(x)
  layer <- layer_attention()
  y <- random_array(1, 2, 4)
  layer(list(y, y))
  best <- function(call) {
    min(vapply(1:10, function(i) {
      start <- proc.time()[[3]]
      for (j in 1:500) call()
      proc.time()[[3]] - start
    }, 1))
  }
  # a layer's own call is measured elsewhere; no more than some times as long
  expect_lt(best(function() model(x)), 10 * best(function() layer(list(y, y))) + 0.01)
})

test_that("predict() shows its progress where it is asked to", {
  model <- keras_model_sequential(input_shape = 2) |> layer_dense(units = 1)
  x <- matrix(0, 10, 2)
  expect_silent(predict(model, x, batch_size = 1))
  expect_silent(predict(model, x, batch_size = 1, verbose = 0))
  shown <- suppressMessages(predict(model, x, batch_size = 1, verbose = 1))
  expect_equal(shown, predict(model, x))
  expect_identical(wants_progress("auto", "predict()"), "no")
  expect_identical(wants_progress(TRUE, "predict()"), "yes")
  expect_identical(wants_progress(0, "predict()"), "no")
  withr::with_envvar(c(TESTTHAT = "true"), expect_true(is_testing()))
  withr::with_envvar(c(TESTTHAT = NA), expect_false(is_testing()))
})
