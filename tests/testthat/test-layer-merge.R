# Merging layers against plain R.

filled <- function(...) {
  shape <- c(...)
  array(stats::rnorm(prod(shape)), shape)
}

# `x` over the dims of `shape`: dims of 1 behind the batch until there are enough, then
# dims of 1 repeated.
spread <- function(x, shape) {
  dims <- c(dim(x)[1L], rep(1L, length(shape) - length(dim(x))), dim(x)[-1L])
  at <- as.matrix(expand.grid(lapply(shape, seq_len)))
  for (axis in which(dims == 1L)) {
    at[, axis] <- 1L
  }
  array(array(x, dims)[at], shape)
}

merged <- list(
  add = function(a, b) a + b, subtract = function(a, b) a - b,
  multiply = function(a, b) a * b, average = function(a, b) (a + b) / 2,
  maximum = pmax, minimum = pmin
)
constructors <- list(
  add = layer_add, subtract = layer_subtract, multiply = layer_multiply,
  average = layer_average, maximum = layer_maximum, minimum = layer_minimum
)

test_that("two tensors of several shapes are merged as R merges them", {
  set.seed(1)
  shapes <- list(
    list(c(2, 3), c(2, 3)), list(4, 4), list(c(2, 3, 5), c(2, 1, 5)),
    list(c(3, 5), c(3, 4, 5)), list(c(2, 4, 1), c(2, 4, 6)), list(c(2, 1, 3), c(2, 4, 1)),
    list(c(2, 3, 4, 5, 2), c(2, 5, 2)), list(c(1, 70, 90), c(1, 70, 90))
  )
  for (pair in shapes) {
    a <- do.call(filled, as.list(pair[[1L]]))
    b <- do.call(filled, as.list(pair[[2L]]))
    rank <- max(lengths(pair))
    aligned <- lapply(pair, function(x) c(x[1L], rep(1, rank - length(x)), x[-1L]))
    shape <- pmax(aligned[[1L]], aligned[[2L]])
    for (name in names(merged)) {
      wanted <- array(merged[[name]](spread(a, shape), spread(b, shape)), shape)
      exact <- constructors[[name]](a, b, dtype = "float64")
      expect_equal(exact, wanted, tolerance = 1e-15, info = name)
      expect_equal(constructors[[name]](list(a, b)), wanted, tolerance = 3e-7, info = name)
    }
  }
})

test_that("more than two tensors are folded from the first to the last", {
  set.seed(2)
  x <- lapply(1:5, function(i) filled(2, 3, 4))
  expect_equal(layer_add(x, dtype = "float64"), Reduce(`+`, x), tolerance = 1e-15)
  expect_equal(layer_multiply(x, dtype = "float64"), Reduce(`*`, x), tolerance = 1e-15)
  expect_equal(layer_average(x, dtype = "float64"), Reduce(`+`, x) / 5, tolerance = 1e-15)
  expect_equal(layer_maximum(x, dtype = "float64"), do.call(pmax, x))
  expect_equal(layer_minimum(x[[1]], x[[2]], x[[3]], dtype = "float64"),
    do.call(pmin, x[1:3])
  )
  expect_equal(layer_add(x[1], dtype = "float64"), x[[1]])
})

test_that("a tensor that is merged with itself counts every time", {
  x <- array(1:24, c(2, 3, 4))
  expect_equal(layer_add(x, x, x), array(3 * x, dim(x)))
  input <- keras_input(shape = c(3, 4))
  scaled <- layer_dense(input, 4, kernel_initializer = "identity", use_bias = FALSE)
  model <- keras_model(input, layer_add(scaled, scaled, scaled))
  expect_equal(model(x), array(3 * x, dim(x)))
  shared <- layer_multiply(scaled, scaled)
  model <- keras_model(input, layer_add(shared, scaled, shared))
  expect_equal(model(x), array(2 * x^2 + x, dim(x)))
})

test_that("the mask of a result is what counts in any input, where all have a mask", {
  x <- array(1:12, c(2, 3, 2))
  y <- x * 100
  first <- matrix(c(TRUE, TRUE, FALSE, TRUE, FALSE, FALSE), 2)
  second <- matrix(c(TRUE, FALSE, TRUE, FALSE, FALSE, FALSE), 2)
  both <- list(set_keras_mask(x, first), set_keras_mask(y, second))
  for (name in names(constructors)) {
    expect_identical(get_keras_mask(constructors[[name]](both)), first | second, info = name)
    partly <- constructors[[name]](both[[1]], y)
    expect_null(get_keras_mask(partly), info = name)
  }
  # a mask of one position is that of all
  one <- set_keras_mask(y[, 1, , drop = FALSE], matrix(c(TRUE, FALSE), 2))
  sum <- layer_add(both[[1]], one)
  expect_identical(get_keras_mask(sum), first | c(TRUE, FALSE))
})

test_that("what is masked takes no part in products, maxima and minima", {
  x <- array(as.double(1:12), c(2, 3, 2))
  y <- x * 100
  first <- matrix(c(TRUE, TRUE, FALSE, TRUE, FALSE, FALSE), 2)
  second <- matrix(c(TRUE, FALSE, TRUE, FALSE, FALSE, FALSE), 2)
  first_all <- array(first, dim(x))
  second_all <- array(second, dim(x))
  a <- set_keras_mask(x, first)
  b <- set_keras_mask(y, second)
  plain <- function(x) array(as.vector(x), dim(x))
  wanted <- ifelse(first_all, x, 1) * ifelse(second_all, y, 1)
  wanted[!first_all & !second_all] <- 0
  expect_equal(plain(layer_multiply(a, b)), wanted)
  expect_equal(plain(layer_multiply(a, y)), ifelse(first_all, x, 1) * y)
  # with nothing that counts, the first is what is left
  wanted <- ifelse(first_all & second_all, pmax(x, y), ifelse(second_all, y, x))
  expect_equal(plain(layer_maximum(a, b)), wanted)
  wanted <- ifelse(first_all & second_all, pmin(x, y), ifelse(second_all, y, x))
  expect_equal(plain(layer_minimum(a, b)), wanted)
  expect_equal(plain(layer_minimum(y, a)), ifelse(first_all, pmin(x, y), y))
  # sums count everything
  expect_equal(plain(layer_add(a, b)), x + y)
})

test_that("symbolic tensors give the shape, with what is not known", {
  a <- keras_input(shape = c(NA, 8))
  b <- keras_input(shape = c(5, 8))
  expect_identical(dim(layer_add(a, b)), c(NA, NA, 8L))
  expect_identical(dim(layer_add(b, keras_input(shape = 8))), c(NA, 5L, 8L))
  expect_identical(dim(layer_add(b, keras_input(batch_shape = c(3, 5, 1)))), c(3L, 5L, 8L))
  layer <- layer_add(name = "residual")
  expect_identical(layer$compute_output_shape(list(c(NA, 5, 8), c(NA, 1, 8))), c(NA, 5L, 8L))
  model <- keras_model(list(a, b), layer(list(a, b)))
  x <- array(1:80, c(2, 5, 8))
  expect_equal(model(list(x, x)), array(2 * x, dim(x)))
})

test_that("inputs may come as a list, one by one, or not at all", {
  x <- matrix(1:4, 2)
  expect_equal(layer_add(x, x), layer_add(list(x, x)))
  expect_equal(layer_add(list(x), x, x), layer_add(list(x, x, x)))
  expect_equal(layer_add(NULL, x, x), layer_add(list(x, x)))
  layer <- layer_add(name = "sum", dtype = "float64")
  expect_identical(layer$name, "sum")
  expect_equal(layer(list(x, x)), 2 * x)
})

test_that("tensors that do not fit are refused, and so is what is no tensor", {
  x <- matrix(1:6, 2)
  expect_error(layer_add(x, t(x)), class = "attn_error_shape", regexp = "one batch")
  expect_error(layer_add(x, matrix(1:4, 2)), class = "attn_error_shape")
  expect_error(layer_subtract(x, x, x), class = "attn_error_shape", regexp = "2 tensors")
  expect_error(layer_subtract(list(x)), class = "attn_error_shape")
  expect_error(layer_add(rep(list(x), 65)), class = "attn_error_shape", regexp = "64")
  expect_error(layer_add(x, "a"), class = "attn_error_argument")
  expect_error(layer_add(x, list(x)), class = "attn_error_argument")
  expect_error(layer_add(x, keras_input(shape = 3)), class = "attn_error_argument")
  expect_error(layer_add(list()), class = "attn_error_argument")
  expect_error(layer_add(x, x, axis = 1), class = "attn_error_argument", regexp = "axis")
  expect_error(layer_add(x, ), class = "attn_error_argument")
  layer <- layer_add()
  expect_error(layer(x), class = "attn_error_argument", regexp = "list")
  expect_error(layer(list(x, t(x))), class = "attn_error_shape")
  expect_false(layer$built)
})

test_that("configs are Keras's", {
  for (name in names(constructors)) {
    layer <- constructors[[name]](name = "merged")
    expect_named(get_config(layer), c("name", "trainable", "dtype"))
    copy <- from_config(serialize_keras_object(layer))
    expect_identical(get_config(copy), get_config(layer))
    expect_identical(class(copy), class(layer))
  }
  layer <- layer_add()
  layer(list(matrix(1:6, 2), matrix(1:6, 2)))
  dict <- serialize_keras_object(layer)
  expect_identical(dict$build_config, list(input_shape = list(list(2L, 3L), list(2L, 3L))))
  expect_true(from_config(dict)$built)
})

test_that("tensors of which no two fit are refused", {
  tensors <- list(matrix(1, 1, 2), matrix(1, 1, 3), matrix(1, 1, 4))
  expect_attn_error(layer_add(tensors), "shape", "dims are equal or 1")
})

test_that("a merging layer is put on a sequential model as any other", {
  model <- layer_concatenate(keras_model_sequential())
  expect_identical(model$layers[[1]]$name, model$get_layer(index = 1L)$name)
  expect_s3_class(model$layers[[1]], "attn_layer_concatenate")
})
