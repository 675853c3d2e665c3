# The order of a model's layers, which is Keras's: a file's weights are numbered by it.

names_of <- function(model) vapply(model$layers, function(layer) layer$name, "")

test_that("layers come by depth, and at the same depth in the order of the walk from the outputs", {
  a <- keras_input(shape = 4, name = "a")
  b <- keras_input(shape = 4, name = "b")
  p <- layer_dense(a, units = 3, name = "p")
  q <- layer_dense(b, units = 3, name = "q")
  r <- layer_dense(q, units = 3, name = "r")
  sum <- layer_add(list(p, r), name = "sum")
  model <- keras_model(list(a, b), sum)
  # depths: sum 0; p, r 1; a, q 2; b 3
  expect_identical(names_of(model), c("b", "a", "q", "p", "r", "sum"))
  # the same with the outputs the other way round
  both <- keras_model(list(a, b), list(r, p))
  # walk: r, q, b, p, a; depths: r 0, q 1, b 2, p 0, a 1
  expect_identical(names_of(both), c("b", "q", "a", "r", "p"))
  # lists with names are walked in the order of the names
  named <- keras_model(list(a, b), list(z = r, y = p))
  expect_identical(names_of(named), c("b", "a", "q", "p", "r"))
  expect_identical(names(named(list(matrix(1, 2, 4), matrix(1, 2, 4)))), c("z", "y"))
})

test_that("a layer that is called twice counts as deep as its deepest call", {
  a <- keras_input(shape = 3, name = "a")
  shared <- layer_dense(units = 3, name = "shared")
  first <- shared(a)
  middle <- layer_dense(first, units = 3, name = "middle")
  second <- shared(middle)
  out <- layer_dense(second, units = 1, name = "out")
  model <- keras_model(a, out)
  expect_identical(names_of(model), c("a", "shared", "middle", "out"))
  expect_length(model$weights, 6)
  x <- matrix(rnorm(6), 2)
  step <- function(x, layer) {
    weights <- get_weights(layer)
    sweep(x %*% weights[[1]], 2, weights[[2]], "+")
  }
  expected <- step(step(step(step(x, shared), get_layer(model, "middle")), shared),
    get_layer(model, "out"))
  expect_equal(model(x), expected, tolerance = 1e-6)
})

test_that("inputs that nothing needs are first among the layers of depth 0", {
  a <- keras_input(shape = 3, name = "a")
  b <- keras_input(shape = 3, name = "b")
  u <- keras_input(shape = 2, name = "u")
  v <- keras_input(shape = 2, name = "v")
  p <- layer_dense(a, units = 3, name = "p")
  q <- layer_dense(b, units = 3, name = "q")
  model <- keras_model(list(u, a, v, b), list(p, q))
  expect_identical(names_of(model), c("a", "b", "u", "v", "p", "q"))
  x <- matrix(rnorm(6), 2)
  z <- matrix(0, 2, 2)
  results <- model(list(z, x, z, x))
  expect_identical(results[[1]], keras_model(a, p)(x))
  expect_identical(results[[2]], keras_model(b, q)(x))
})

test_that("all layers have different names, and all inputs are given", {
  a <- keras_input(shape = 3, name = "a")
  p <- layer_dense(a, units = 3, name = "twice")
  q <- layer_dense(p, units = 3, name = "twice")
  expect_attn_error(keras_model(a, q), "argument", "twice")
  b <- keras_input(shape = 3, name = "b")
  sum <- layer_add(list(a, b))
  expect_attn_error(keras_model(a, sum), "argument", "\"b\"")
  expect_attn_error(keras_model(list(a, a), p), "argument")
  expect_attn_error(keras_model(list(), p), "argument")
  expect_attn_error(keras_model(a, list()), "argument")
  expect_attn_error(keras_model(a, list(p, 1)), "argument")
  expect_attn_error(keras_model(a, list(x = p, p)), "argument")
  expect_attn_error(keras_model(a, matrix(1, 2)), "argument")
  expect_attn_error(keras_model(a, p, foo = 1), "argument", "foo")
  expect_attn_error(keras_model(a, p, name = 1), "argument")
  expect_attn_error(keras_model(a, p, trainable = NA), "argument")
})

test_that("a model may begin in the midst of a graph", {
  a <- keras_input(shape = 4, name = "a")
  p <- layer_dense(a, units = 3, activation = "tanh", name = "p")
  q <- layer_dense(p, units = 2, name = "q")
  whole <- keras_model(a, q)
  head <- keras_model(a, p)
  tail <- keras_model(p, q)
  x <- matrix(rnorm(8), 2)
  expect_equal(tail(head(x)), whole(x), tolerance = 1e-6)
  expect_identical(tail$layers[[1]]$name, paste0(p$name, "CLONE"))
  expect_identical(names_of(tail)[2], "q")
  # both the input and a tensor behind it
  both <- keras_model(list(a, p), layer_concatenate(list(a, q)))
  expect_equal(both(list(x, head(x))), cbind(x, whole(x)), tolerance = 1e-6)
  # an input that is an output
  same <- keras_model(a, list(a, p, a))
  results <- same(x)
  expect_equal(results[[1]], x, tolerance = 1e-6)
  expect_identical(results[[1]], results[[3]])
  expect_identical(results[[2]], head(x))
  expect_equal(predict(keras_model(a, a), x), x, tolerance = 1e-6)
})

test_that("structures are kept on both sides", {
  a <- keras_input(shape = 2, name = "a")
  b <- keras_input(shape = 2, name = "b")
  c <- keras_input(shape = 2, name = "c")
  model <- keras_model(list(one = list(a, b), two = c), list(x = list(c, a), y = b))
  arrays <- lapply(1:3, function(i) matrix(i, 1, 2))
  expected <- list(x = arrays[c(3, 1)], y = arrays[[2]])
  expect_equal(model(list(one = arrays[1:2], two = arrays[[3]])), expected)
  expect_equal(model(list(two = arrays[[3]], one = arrays[1:2])), expected)
  expect_equal(predict(model, list(one = arrays[1:2], two = arrays[[3]])), expected)
  expect_attn_error(model(arrays), "argument", "of the form")
  expect_attn_error(model(list(one = arrays, two = arrays[[3]])), "argument")
  symbolic <- model(list(one = list(a, b), two = c))
  expect_identical(names(symbolic), c("x", "y"))
  expect_length(symbolic$x, 2)
})

test_that("inputs are found by the names of the list, of the layers, or by their place", {
  a <- keras_input(shape = 2, name = "a")
  b <- keras_input(shape = 2, name = "b")
  model <- keras_model(list(z = a, y = b), list(a, b))
  x <- matrix(1, 1, 2)
  y <- matrix(2, 1, 2)
  for (given in list(list(z = x, y = y), list(y = y, z = x), list(a = x, b = y), list(x, y))) {
    expect_equal(model(given), list(x, y))
    expect_equal(predict(model, given), list(x, y))
  }
  expect_attn_error(model(list(x)), "argument")
  expect_attn_error(model(x), "argument")
  expect_attn_error(model(list(z = x, w = y)), "argument")
  expect_attn_error(model(list(x, NULL)), "argument", "not optional")
  expect_attn_error(model(list(x, b)), "argument")
  # a model of one input, too
  for (one in list(keras_model(a, a), keras_model(list(z = a), a), keras_model(list(a), a))) {
    expect_equal(one(list(a = x)), x)
    expect_equal(predict(one, list(a = x)), x)
  }
  expect_attn_error(keras_model(a, a)(list(w = x)), "argument", "form of the model's inputs")
  expect_attn_error(keras_model(list(z = a), a)(list(w = x)), "argument", "list\\(z = ")
})

test_that("optional inputs may lack", {
  x <- keras_input(shape = c(3, 4), name = "x")
  mask <- keras_input(shape = c(3, 3), name = "mask", dtype = "bool", optional = TRUE)
  attention <- layer_multi_head_attention(num_heads = 2, key_dim = 2)
  model <- keras_model(list(x, mask), attention(x, x, attention_mask = mask))
  data <- random_array(2, 3, 4)
  seen <- array(c(TRUE, FALSE, TRUE), c(2, 3, 3))
  seen[, , 1] <- TRUE
  expect_equal(model(list(data, NULL)), attention(data, data), tolerance = 1e-6)
  expect_equal(model(list(data, NULL)), attention(data, data), tolerance = 1e-6)
  expect_equal(model(list(x = data)), attention(data, data), tolerance = 1e-6)
  expect_equal(model(list(data, seen)), attention(data, data, attention_mask = seen),
    tolerance = 1e-6
  )
  expect_equal(predict(model, list(x = data)), attention(data, data), tolerance = 1e-6)
  needed <- keras_model(list(x, mask), layer_dense(mask, units = 1))
  expect_attn_error(needed(list(data, NULL)), "argument")
})

test_that("models are layers of other models, once or several times", {
  a <- keras_input(shape = 4, name = "a")
  inner <- keras_model(a, layer_dense(layer_dense(a, units = 4, activation = "relu"), units = 4))
  b <- keras_input(shape = 4, name = "b")
  outer <- keras_model(b, layer_dense(inner(inner(b)), units = 1))
  x <- matrix(rnorm(12), 3)
  expect_equal(outer(x), outer$layers[[3]](inner(inner(x))), tolerance = 1e-6)
  expect_length(outer$weights, 6)
  expect_identical(outer$count_params(), count_params(inner) + 5)
  # two inputs, two outputs, and a shape that the model was not made with
  u <- keras_input(shape = c(NA, 4))
  v <- keras_input(shape = c(NA, 4))
  d <- layer_dense(u, units = 2)
  pair <- keras_model(list(u = u, v = v), list(sum = layer_add(list(u, v)), d = d))
  w <- keras_input(shape = c(7, 4))
  results <- pair(list(v = w, u = w))
  expect_identical(dim(results$sum), c(NA, 7L, 4L))
  top <- keras_model(w, results)
  data <- random_array(2, 7, 4)
  expect_equal(top(data)$sum, 2 * data, tolerance = 1e-6)
  expect_equal(top(data)$d, pair(list(u = data, v = data))$d, tolerance = 1e-6)
  expect_attn_error(pair(list(w, keras_input(shape = c(7, 5)))), "shape")
})
