# Dot products against plain R.

# The sum over axis a of x times axis b of y, for each entry of the batch.
dotted <- function(x, y, a, b) {
  rest <- c(dim(x)[-a], dim(y)[-c(1, b)])
  matrix_of <- function(z, axis, i) {
    entry <- array(z[slice.index(z, 1) == i], dim(z)[-1L])
    moved <- aperm(entry, c(axis - 1, setdiff(seq_along(dim(entry)), axis - 1)))
    matrix(moved, dim(z)[axis])
  }
  products <- lapply(seq_len(dim(x)[1L]), function(i) {
    as.vector(crossprod(matrix_of(x, a, i), matrix_of(y, b, i)))
  })
  result <- do.call(rbind, products)
  array(result, if (length(rest) == 1L) c(rest, 1L) else rest)
}

unit <- function(x, axis) {
  x / sqrt(apply(x^2, setdiff(seq_along(dim(x)), axis), sum)[
    as.matrix(expand.grid(lapply(dim(x), seq_len)))[, -axis, drop = FALSE]
  ])
}

test_that("products are those of R for several ranks and axes", {
  set.seed(1)
  cases <- list(
    list(c(3, 4), c(3, 4), c(2, 2)), list(c(2, 5, 4), c(2, 3, 4), c(3, 3)),
    list(c(2, 3, 5), c(2, 10, 3), c(2, 3)), list(c(2, 4), c(2, 3, 4), c(2, 3)),
    list(c(2, 3, 4), c(2, 4), c(3, 2)), list(c(2, 3, 4, 5), c(2, 4, 6, 3), c(2, 4)),
    list(c(1, 40, 33), c(1, 33, 50), c(3, 2))
  )
  for (case in cases) {
    x <- array(stats::rnorm(prod(case[[1L]])), case[[1L]])
    y <- array(stats::rnorm(prod(case[[2L]])), case[[2L]])
    a <- case[[3L]][1L]
    b <- case[[3L]][2L]
    wanted <- dotted(x, y, a, b)
    axes <- c(a, b)
    expect_equal(layer_dot(x, y, axes = axes, dtype = "float64"), wanted, tolerance = 1e-14)
    expect_equal(layer_dot(list(x, y), axes = axes), wanted, tolerance = 1e-5)
    from_end <- as.list(axes - c(length(dim(x)), length(dim(y))) - 1)
    expect_equal(layer_dot(x, y, axes = from_end, dtype = "float64"), wanted, tolerance = 1e-14)
    cosine <- layer_dot(x, y, axes = axes, normalize = TRUE, dtype = "float64")
    expect_equal(cosine, dotted(unit(x, a), unit(y, b), a, b), tolerance = 1e-13)
  }
  x <- matrix(stats::rnorm(6), 2)
  expect_equal(layer_dot(x, x, axes = 2, dtype = "float64"), matrix(rowSums(x^2)))
  expect_equal(layer_dot(x, x, axes = -1, normalize = TRUE, dtype = "float64"), matrix(1, 2))
  expect_equal(layer_dot(0 * x, x, axes = 2, normalize = TRUE), matrix(0, 2))
})

test_that("the result has no mask", {
  x <- set_keras_mask(array(1, c(2, 3, 4)), matrix(TRUE, 2, 3))
  expect_null(get_keras_mask(layer_dot(x, x, axes = 3)))
})

test_that("symbolic tensors give the shape, and models the product", {
  x <- keras_input(shape = c(NA, 8))
  y <- keras_input(batch_shape = c(2, 5, 8))
  product <- layer_dot(x, y, axes = 3)
  expect_identical(dim(product), c(2L, NA, 5L))
  a <- array(stats::rnorm(48), c(2, 3, 8))
  b <- array(stats::rnorm(80), c(2, 5, 8))
  expect_equal(keras_model(list(x, y), product)(list(a, b)), dotted(a, b, 3, 3), tolerance = 1e-5)
  expect_identical(dim(layer_dot(keras_input(shape = 3), keras_input(shape = 3), axes = 2)),
    c(NA, 1L)
  )
})

test_that("arguments and inputs that do not fit are refused", {
  x <- array(1, c(2, 3, 4))
  for (axes in list(0, 1, c(1, 2), 1:3, "a", NULL, 1.5, list(2, "a"), c(2, NA), list())) {
    expect_error(layer_dot(axes = axes), class = "attn_error_argument", regexp = "axes")
  }
  expect_error(layer_dot(x, x), class = "attn_error_argument", regexp = "axes")
  expect_error(layer_dot(axes = 2, normalize = NA), class = "attn_error_argument")
  expect_error(layer_dot(x, x, axes = 4), class = "attn_error_shape", regexp = "axes 4")
  expect_error(layer_dot(x, x, axes = -3), class = "attn_error_shape")
  expect_error(layer_dot(x, x, axes = c(2, 3)), class = "attn_error_shape", regexp = "as long")
  expect_error(layer_dot(x, x[1, , , drop = FALSE], axes = 2), class = "attn_error_shape")
  expect_error(layer_dot(x, x, x, axes = 2), class = "attn_error_shape", regexp = "2 tensors")
  expect_error(layer_dot(1:2, 1:2, axes = 2), class = "attn_error_shape")
})

test_that("configs count axes as Keras does", {
  expect_identical(get_config(layer_dot(axes = 2))$axes, 1L)
  layer <- layer_dot(axes = c(2, -1), normalize = TRUE)
  config <- get_config(layer)
  expect_named(config, c("name", "trainable", "dtype", "axes", "normalize"))
  expect_identical(config$axes, list(1L, -1L))
  for (layer in list(layer, layer_dot(axes = -1), layer_dot(axes = 3))) {
    json <- jsonlite::toJSON(serialize_keras_object(layer), auto_unbox = TRUE, null = "null")
    expect_identical(get_config(from_config(as.character(json))), get_config(layer))
  }
})

test_that("a product of too many dims is refused", {
  x <- keras_input(rep(2, most_dims / 2 + 1))
  expect_attn_error(layer_dot(list(x, x), axes = 2), "shape", "at most")
})
