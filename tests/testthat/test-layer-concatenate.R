# Concatenation against plain R.

joined <- function(tensors, axis) {
  shape <- dim(tensors[[1L]])
  sizes <- vapply(tensors, function(x) dim(x)[axis], 1L)
  shape[axis] <- sum(sizes)
  at <- as.matrix(expand.grid(lapply(shape, seq_len)))
  result <- array(NA_real_, shape)
  first <- 0L
  for (x in tensors) {
    inside <- at[, axis] > first & at[, axis] <= first + dim(x)[axis]
    place <- at[inside, , drop = FALSE]
    place[, axis] <- place[, axis] - first
    result[at[inside, , drop = FALSE]] <- x[place]
    first <- first + dim(x)[axis]
  }
  result
}

tensor_of <- function(shape) array(stats::rnorm(prod(shape)), shape)

test_that("tensors are joined along every axis of every rank", {
  set.seed(1)
  for (shape in list(3, c(2, 3), c(2, 3, 4), c(2, 3, 2, 3))) {
    for (axis in seq_along(shape)) {
      tensors <- lapply(c(2, 1, 5), function(size) tensor_of(replace(shape, axis, size)))
      wanted <- joined(tensors, axis)
      expect_identical(layer_concatenate(tensors, axis = axis, dtype = "float64"), wanted)
      from_end <- axis - length(shape) - 1
      expect_identical(layer_concatenate(tensors, axis = from_end, dtype = "float64"), wanted)
      single <- layer_concatenate(tensors[[1]], tensors[[2]], tensors[[3]], axis = axis)
      expect_equal(single, wanted, tolerance = 1e-7)
    }
  }
  x <- tensor_of(c(2, 3))
  expect_identical(layer_concatenate(list(x), dtype = "float64"), x)
  expect_identical(layer_concatenate(x, x, dtype = "float64"), cbind(x, x))
})

test_that("masks are joined; along the last axis what counts in one input counts", {
  x <- array(1:12, c(2, 3, 2))
  first <- matrix(c(TRUE, TRUE, FALSE, TRUE, FALSE, FALSE), 2)
  second <- matrix(c(TRUE, FALSE, TRUE, FALSE, FALSE, FALSE), 2)
  a <- set_keras_mask(x, first)
  b <- set_keras_mask(x, second)
  expect_identical(get_keras_mask(layer_concatenate(a, b)), first | second)
  expect_identical(get_keras_mask(layer_concatenate(a, b, axis = 2)), cbind(first, second))
  expect_identical(get_keras_mask(layer_concatenate(a, b, axis = 1)), rbind(first, second))
  expect_identical(get_keras_mask(layer_concatenate(a, x)), first | TRUE)
  expect_identical(
    get_keras_mask(layer_concatenate(x[, 1, , drop = FALSE], a, x, axis = 2)),
    cbind(TRUE, TRUE, first, first | TRUE)[, -1]
  )
  expect_null(get_keras_mask(layer_concatenate(x, x)))
  # a mask of all dims speaks for a row by any of its numbers
  all_dims <- set_keras_mask(x, array(c(rep(FALSE, 6), rep(TRUE, 6)), dim(x)))
  expect_identical(get_keras_mask(layer_concatenate(all_dims, b, axis = 2)),
    cbind(matrix(TRUE, 2, 3), second)
  )
})

test_that("symbolic tensors give the shape", {
  a <- keras_input(shape = c(NA, 8))
  b <- keras_input(shape = c(5, 8))
  expect_identical(dim(layer_concatenate(a, b)), c(NA, 5L, 16L))
  expect_identical(dim(layer_concatenate(a, b, axis = 2)), c(NA, NA, 8L))
  expect_identical(dim(layer_concatenate(b, b, b, axis = 2)), c(NA, 15L, 8L))
  model <- keras_model(list(a, b), layer_concatenate(a, b, axis = -2))
  x <- array(stats::rnorm(32), c(2, 2, 8))
  y <- array(stats::rnorm(80), c(2, 5, 8))
  expect_equal(model(list(x, y)), joined(list(x, y), 2), tolerance = 1e-7)
})

test_that("tensors that do not fit are refused, and axes that are none", {
  x <- matrix(1:6, 2)
  y <- matrix(1:6, 3)
  expect_error(layer_concatenate(x, y), class = "attn_error_shape", regexp = "but for axis 2")
  expect_error(layer_concatenate(x, array(1:6, c(2, 3, 1))), class = "attn_error_shape")
  expect_error(layer_concatenate(x, x, axis = 3), class = "attn_error_shape", regexp = "axis 3")
  expect_error(layer_concatenate(x, x, axis = -3), class = "attn_error_shape")
  expect_error(layer_concatenate(rep(list(x), 65)), class = "attn_error_shape", regexp = "64")
  for (axis in list(0, 1.5, NA, "a", NULL, c(1, 2), Inf)) {
    expect_error(layer_concatenate(axis = axis), class = "attn_error_argument", regexp = "axis")
  }
})

test_that("configs count axes as Keras does", {
  layer <- layer_concatenate(axis = 2, name = "cat")
  expect_identical(get_config(layer)$axis, 1L)
  expect_named(get_config(layer), c("name", "trainable", "dtype", "axis"))
  expect_identical(get_config(layer_concatenate())$axis, -1L)
  copy <- from_config(serialize_keras_object(layer))
  expect_identical(get_config(copy), get_config(layer))
  last <- from_config(list(class_name = "Concatenate", config = list(name = "c", axis = -1L)))
  expect_identical(last$axis, -1L)
  expect_error(
    from_config(list(class_name = "Concatenate", config = list(axis = "x"))),
    class = "attn_error"
  )
})

test_that("a result that no array could hold is refused", {
  expect_attn_error(
    layer_concatenate(list(keras_input(2e9), keras_input(2e9))), "shape", "fit one array"
  )
})
