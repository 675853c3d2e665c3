# Functions of R as layers.

test_that("the function is called with the array and its arguments", {
  x <- matrix(c(1, 2, 3, 4, 5, 6), 2)
  twice <- layer_lambda(f = function(x) 2 * x)
  expect_identical(twice(x), 2 * x)
  shifted <- layer_lambda(f = function(x, by, times = 1) times * (x - by),
    arguments = list(by = 10, times = 3)
  )
  expect_identical(shifted(x), 3 * (x - 10))
  expect_identical(layer_lambda(x, function(x) x, arguments = list()), x)
  expect_identical(layer_lambda(x, function(x) x[, 1]), array(c(1, 2)))
  expect_identical(layer_lambda(x, rowSums, dtype = "float64"), array(rowSums(x)))
  expect_identical(layer_lambda(x, function(x) x > 2), x > 2)
  expect_identical(layer_lambda(matrix(1:6, 2), function(x) x + 1L), matrix(2:7, 2))
})

test_that("real numbers are rounded to the layer's dtype", {
  x <- matrix(c(1, 2, 3), 1)
  third <- layer_lambda(f = function(x) x / 3)
  expect_equal(third(x), x / 3, tolerance = 1e-7)
  expect_false(identical(third(x), x / 3))
  expect_identical(layer_lambda(x, function(x) x / 3, dtype = "float64"), x / 3)
})

test_that("a function that wants the mask or training gets them", {
  x <- array(1, c(2, 3, 4))
  mask <- matrix(c(TRUE, FALSE, TRUE), 2, 3)
  masked <- layer_lambda(f = function(x, mask) x * if (is.null(mask)) 0 else as.vector(mask))
  expect_identical(masked(set_keras_mask(x, mask)), x * as.vector(mask))
  expect_identical(masked(x), 0 * x)
  expect_identical(masked(x, mask = !mask), x * as.vector(!mask))
  training <- layer_lambda(f = function(x, training) x + training)
  expect_identical(training(x), x)
  expect_identical(training(x, training = TRUE), x + 1)
  model <- keras_model(input <- keras_input(shape = c(3, 4)), training(input))
  expect_identical(model(x, training = TRUE), x + 1)
  expect_identical(model(x), x)
})

test_that("the result has the mask that the layer gives it, else none", {
  x <- set_keras_mask(array(1, c(2, 3, 4)), matrix(TRUE, 2, 3))
  mask <- matrix(c(TRUE, FALSE, TRUE), 2, 3)
  expect_null(get_keras_mask(layer_lambda(x, identity)))
  expect_identical(get_keras_mask(layer_lambda(x, identity, mask = mask)), mask)
  kept <- layer_lambda(f = identity, mask = function(x, mask) !mask)
  expect_identical(get_keras_mask(kept(x)), matrix(FALSE, 2, 3))
  expect_error(layer_lambda(x, identity, mask = matrix(TRUE, 2, 5)), class = "attn_error_shape")
})

test_that("in a model the layers around it are unchanged by it", {
  set.seed(1)
  input <- keras_input(shape = c(3, 4))
  first <- layer_dense(units = 5, dtype = "float64")
  last <- layer_dense(units = 2, dtype = "float64")
  inner <- layer_lambda(f = function(x) x^2 - aperm(x[, 3:1, , drop = FALSE], 1:3),
    dtype = "float64"
  )
  model <- keras_model(input, last(inner(first(input))))
  x <- array(stats::rnorm(24), c(2, 3, 4))
  # the model's input is float32
  y <- first(array(attn:::round_to_float32(as.vector(x)), dim(x)))
  expect_equal(model(x), last(y^2 - y[, 3:1, ]), tolerance = 1e-12)
  only <- keras_model(input, layer_lambda(input, function(x) x[, 1, ]))
  expect_equal(only(x), x[, 1, ], tolerance = 1e-7)
})

test_that("the shape of a symbolic result is found by ones, or is what was said", {
  x <- keras_input(shape = c(NA, 8))
  expect_identical(dim(layer_lambda(x, function(x) x * 2)), c(NA, NA, 8L))
  expect_identical(dim(layer_lambda(x, function(x) x[, 1, ])), c(NA, 8L))
  expect_identical(dim(layer_lambda(x, function(x) apply(x, c(1, 3), mean))), c(NA, 8L))
  expect_identical(dim(layer_lambda(x, function(x) x[, 1, ], output_shape = 8)), c(NA, 8L))
  said <- layer_lambda(x, function(x) x, output_shape = function(shape) shape)
  expect_identical(dim(said), c(NA, NA, 8L))
  expect_identical(layer_lambda(x, function(x) x > 1)$dtype, "bool")
  ids <- keras_input(shape = 4, dtype = "int32")
  counted <- layer_lambda(ids, function(x) x + 1L)
  expect_identical(counted$dtype, "int32")
  expect_identical(keras_model(ids, counted)(matrix(1:4, 1)), matrix(2:5, 1))
  calls <- 0
  counting <- layer_lambda(f = function(x) {
    calls <<- calls + 1
    x
  })
  counting(matrix(1, 2, 2))
  expect_identical(calls, 1)
})

test_that("results that do not fit are refused, errors of the function are its own", {
  x <- matrix(1:6, 2)
  expect_error(layer_lambda(x, t), class = "attn_error_shape", regexp = "batch of 2")
  expect_error(layer_lambda(x, function(x) "a"), class = "attn_error_argument")
  expect_error(layer_lambda(x, function(x) NULL), class = "attn_error_argument")
  expect_error(layer_lambda(x, function(x) list(x)), class = "attn_error_argument")
  expect_error(layer_lambda(x, function(x) x, output_shape = 4), class = "attn_error_shape")
  expect_error(layer_lambda(x, function(x) stop("mine")), "mine", class = "simpleError")
  input <- keras_input(shape = 3)
  expect_error(layer_lambda(input, function(x) stop("mine")), "mine",
    class = "attn_error_argument"
  )
  later <- layer_lambda(input, function(x) if (x[1] > 1) stop("mine") else x)
  expect_error(keras_model(input, later)(matrix(2, 2, 3)), "mine")
})

test_that("arguments that are none are refused", {
  expect_error(layer_lambda(), class = "attn_error_argument", regexp = "`f`")
  for (f in list("sum", NULL, 1, layer_add(), initializer_ones())) {
    expect_error(layer_lambda(f = f), class = "attn_error_argument", regexp = "`f`")
  }
  expect_error(layer_lambda(f = sum, output_shape = "a"), class = "attn_error_argument")
  expect_error(layer_lambda(f = sum, arguments = list(1)), class = "attn_error_argument")
  expect_error(layer_lambda(f = sum, arguments = 1), class = "attn_error_argument")
  for (arguments in list(list(a = 1, 2), list(a = 1, a = 2), c(a = 1))) {
    expect_error(layer_lambda(f = sum, arguments = arguments),
      class = "attn_error_argument", regexp = "`arguments`"
    )
  }
  expect_error(layer_lambda(f = sum, mask = "a"), class = "attn_error_argument")
  expect_error(layer_lambda(f = sum, fun = 1), class = "attn_error_argument", regexp = "fun")
  layer <- layer_lambda(f = sum)
  expect_error(layer(list(1, 2)), class = "attn_error_argument")
  expect_error(layer(), class = "attn_error_argument")
})

test_that("there is no config, but saveRDS() keeps the layer", {
  layer <- layer_lambda(f = function(x) 2 * x)
  expect_error(get_config(layer), class = "attn_error_config")
  expect_error(serialize_keras_object(layer), class = "attn_error_config")
  expect_error(
    from_config(list(class_name = "Lambda", config = list(name = "l", f = "sum"))),
    class = "attn_error"
  )
  copy <- unserialize(serialize(layer, NULL))
  expect_identical(copy(matrix(1:4, 2)), 2 * matrix(1:4, 2))
  input <- keras_input(shape = 2)
  model <- keras_model(input, layer(layer_dense(input, 3)))
  x <- matrix(stats::rnorm(4), 2)
  expected <- model(x)
  again <- unserialize(serialize(model, NULL))
  expect_identical(again(x), expected)
  expect_output(print(layer), "f = a function")
})

test_that("a result whose number of dims varies needs a shape that is given", {
  varying <- function(x) if (dim(x)[2] == 2) x else array(x, c(dim(x), 1))
  expect_attn_error(layer_lambda(keras_input(NA), varying), "argument", "number of the result's dims")
  expect_identical(dim(layer_lambda(keras_input(NA), varying, output_shape = 3)), c(NA, 3L))
})
