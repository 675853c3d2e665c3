# Operators on symbolic tensors against the same operators on arrays.

# What a model makes of arrays by `code`, a function of symbolic tensors.
calculated <- function(code, ..., dtype = "float64") {
  arrays <- list(...)
  inputs <- lapply(arrays, function(x) {
    type <- if (is.logical(x)) "bool" else if (is.integer(x)) "int32" else dtype
    keras_input(shape = dim(x)[-1L], dtype = type)
  })
  model <- keras_model(inputs, do.call(code, inputs))
  model(arrays)
}

test_that("operators are those of R, between tensors and with numbers", {
  set.seed(1)
  x <- array(stats::rnorm(24), c(2, 3, 4))
  y <- array(stats::rnorm(24), c(2, 3, 4))
  codes <- list(
    function(x, y) x + y, function(x, y) x - y, function(x, y) x * y, function(x, y) x / y,
    function(x, y) -x, function(x, y) +x, function(x, y) 2 * x + 1, function(x, y) 1 - x / 8,
    function(x, y) 3 / (1 + y^2), function(x, y) x %% 0.3, function(x, y) x %/% 0.3,
    function(x, y) x %% -0.3, function(x, y) (x + y) * (x - y) - x^3
  )
  for (code in codes) {
    wanted <- code(x, y)
    text <- deparse(body(code))
    expect_equal(calculated(code, x, y), wanted, tolerance = 1e-14, info = text)
    if (!grepl("%", text)) {
      single <- calculated(code, x, y, dtype = "float32")
      expect_equal(single, wanted, tolerance = 1e-6, info = text)
    }
  }
})

test_that("comparisons and logic give flags", {
  x <- matrix(as.double(c(1, 2, 3, 4, 5, 6)), 2)
  y <- matrix(as.double(c(1, 3, 2, 4, 6, 5)), 2)
  codes <- list(
    function(x, y) x == y, function(x, y) x != y, function(x, y) x > y, function(x, y) x >= y,
    function(x, y) x < y, function(x, y) x <= 3, function(x, y) 3 < x,
    function(x, y) !(x > 2), function(x, y) x > 2 & y > 2, function(x, y) x > 5 | y < 2
  )
  for (code in codes) {
    expect_identical(calculated(code, x, y), code(x, y), info = deparse(body(code)))
  }
  flags <- calculated(function(x) x & TRUE, matrix(c(TRUE, FALSE), 1))
  expect_identical(flags, matrix(c(TRUE, FALSE), 1))
})

test_that("whole numbers stay whole, but with numbers that are not", {
  x <- matrix(1:6, 2)
  expect_identical(calculated(function(x) x + 1L, x), x + 1L)
  expect_identical(calculated(function(x) x * x - 3L, x), x * x - 3L)
  expect_identical(calculated(function(x) x %/% 2L, x), x %/% 2L)
  expect_identical(calculated(function(x) -x, x), -x)
  expect_identical(calculated(function(x) x + 0.5, x), x + 0.5)
  expect_identical(calculated(function(x) x / 2L, x), x / 2)
  input <- keras_input(shape = 3, dtype = "int32")
  expect_identical((input + 1L)$dtype, "int32")
  expect_identical((input + 1)$dtype, "int32")
  expect_identical((input + 1.5)$dtype, config_floatx())
  expect_identical((input + c(1, 2, 3))$dtype, config_floatx())
  expect_identical((input + keras_input(shape = 3, dtype = "float64"))$dtype, "float64")
  expect_identical((keras_input(shape = 3) + 1)$dtype, "float32")
  expect_identical((keras_input(shape = 3) > 1)$dtype, "bool")
  expect_identical((keras_input(shape = 3, dtype = "bool") + 1L)$dtype, "int32")
})

test_that("arrays are part of the model, and dims are aligned at the last", {
  set.seed(2)
  x <- array(stats::rnorm(48), c(2, 3, 4, 2))
  matrix_of <- matrix(stats::rnorm(8), 4)
  wanted <- x
  for (b in 1:2) for (i in 1:3) wanted[b, i, , ] <- x[b, i, , ] * matrix_of
  expect_equal(calculated(function(x) x * matrix_of, x), wanted)
  single <- calculated(function(x) matrix_of * x, x, dtype = "float32")
  expect_equal(single, wanted, tolerance = 1e-6)
  ends <- calculated(function(x) x - c(1, 10), x)
  expect_equal(ends[, , , 1], x[, , , 1] - 1)
  expect_equal(ends[, , , 2], x[, , , 2] - 10)
  y <- array(stats::rnorm(8), c(2, 1, 4, 1))
  wanted <- x
  for (i in 1:3) for (k in 1:2) wanted[, i, , k] <- x[, i, , k] / y[, 1, , 1]
  expect_equal(calculated(function(x, y) x / y, x, y), wanted)
  input <- keras_input(shape = c(NA, 4))
  expect_identical(dim(input + keras_input(shape = c(3, 1))), c(NA, 3L, 4L))
  expect_identical(dim(input + keras_input(shape = c(1, 4))), c(NA, NA, 4L))
})

test_that("what is no tensor and no number is refused, and shapes that do not fit", {
  x <- keras_input(shape = c(3, 4))
  expect_error(x + "a", class = "attn_error_argument", regexp = "array of numbers")
  expect_error(x + NULL, class = "attn_error_argument")
  expect_error(x + numeric(), class = "attn_error_argument")
  expect_error(x + layer_add(), class = "attn_error_argument")
  expect_error(x + 1:3, class = "attn_error_shape")
  expect_error(x * keras_input(shape = c(3, 5)), class = "attn_error_shape")
})

test_that("functions of R for numbers are refused: a tensor has none", {
  x <- keras_input(shape = c(3, 4))
  for (f in list(exp, sqrt, abs, cumsum, round, sum, max, range, mean, t, aperm)) {
    expect_error(f(x), class = "attn_error_argument", regexp = "layer_lambda")
  }
})

test_that("names are those that Keras gives, one after the other", {
  x <- keras_input(shape = 3)
  first <- x / 2
  second <- x / 2
  numbers <- function(tensor) {
    name <- tensor$node$layer$name
    expect_match(name, "^true_divide(_[0-9]+)?$")
    as.integer(sub("true_divide_?", "0", name))
  }
  expect_identical(numbers(second), numbers(first) + 1L)
})
