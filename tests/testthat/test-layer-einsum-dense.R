# The sum over all letters, one number at a time.
plain_einsum <- function(equation, x, kernel) {
  parts <- lapply(strsplit(strsplit(equation, ",|->")[[1]], ""), identity)
  letters <- unique(unlist(parts))
  sizes <- integer()
  sizes[parts[[1]]] <- dim(x)
  sizes[parts[[2]]] <- dim(kernel)
  out <- array(0, unname(sizes[parts[[3]]]))
  grid <- as.matrix(expand.grid(lapply(sizes[letters], seq_len)))
  colnames(grid) <- letters
  for (i in seq_len(nrow(grid))) {
    at <- lapply(parts, function(part) matrix(grid[i, part], 1))
    out[at[[3]]] <- out[at[[3]]] + x[at[[1]]] * kernel[at[[2]]]
  }
  out
}

add_bias <- function(out, bias) {
  lacking <- length(dim(out)) - length(dim(bias))
  out + broadcast_to(array(bias, c(rep(1, lacking), dim(bias))), dim(out))
}

test_that("products over any axes are those of the equation", {
  set.seed(1)
  cases <- list(
    list("ab,bc->ac", c(3, 4), 2, NULL), list("ab,bc->ac", c(3, 4), 2, "c"),
    list("abc,cd->abd", c(2, 3, 4), c(NA, 5), "d"),
    list("abc,cde->abde", c(2, 3, 4), c(NA, 2, 3), "de"),
    list("abcd,cde->abe", c(2, 3, 2, 4), c(3, 5), "e"),
    list("abc,dc->abd", c(2, 3, 4), c(NA, 5), NULL), # the kernel in another order
    list("abc,ce->aeb", c(2, 3, 4), c(5, NA), "e"),  # the output in another order
    list("abc,bcd->abd", c(2, 3, 4), c(3, 5), "bd"), # a batch of products
    list("abc,bd->ad", c(2, 3, 4), 5, NULL),         # c is summed on the way
    list("abc,cd->abd", c(2, 3, 4), c(NA, 5), "b")
  )
  for (case in cases) {
    make <- function(...) {
      layer_einsum_dense(equation = case[[1]], output_shape = case[[3]], bias_axes = case[[4]], ...)
    }
    expect_layer(make, array(stats::rnorm(prod(case[[2]])), case[[2]]), function(x, w) {
      y <- plain_einsum(case[[1]], x, w$kernel)
      if (is.null(case[[4]])) y else add_bias(y, w$bias)
    })
  }
})

test_that("\"...\" stands for any axes", {
  set.seed(1)
  for (shape in list(c(3, 4), c(2, 3, 4), c(2, 2, 3, 4))) {
    x <- array(stats::rnorm(prod(shape)), shape)
    make <- function(...) {
      layer_einsum_dense(equation = "...x,xy->...y", output_shape = 5, bias_axes = "y",
        activation = "relu", ...
      )
    }
    expect_layer(make, x, function(x, w) {
      rows <- matrix(x, ncol = 4)
      pmax(array(sweep(rows %*% w$kernel, 2, w$bias, "+"), c(shape[-length(shape)], 5)), 0)
    })
  }
  x <- array(stats::rnorm(24), c(2, 3, 4))
  make <- function(...) layer_einsum_dense(equation = "ab...,bc->ac...", output_shape = 5, ...)
  expect_layer(make, x, function(x, w) plain_einsum("abd,bc->acd", x, w$kernel))
})

test_that("it is a dense layer for the equation of one", {
  set.seed(1)
  x <- array(stats::rnorm(2 * 3 * 4), c(2, 3, 4))
  dense <- layer_dense(units = 5, activation = "gelu")
  einsum <- layer_einsum_dense(
    equation = "abc,cd->abd", output_shape = c(NA, 5), bias_axes = "d", activation = "gelu"
  )
  dense$build(dim(x))
  einsum$build(dim(x))
  set_weights(einsum, get_weights(shake_weights(dense)))
  expect_near(einsum(x), dense(x), "float32", "dense")
})

test_that("first weights know the axes that are summed over", {
  set.seed(1)
  layer <- layer_einsum_dense(equation = "abcd,cde->abe", output_shape = c(NA, 30))
  layer$build(c(NA, 5, 20, 10))
  limit <- sqrt(6 / (20 * 10 + 30))
  expect_lte(max(abs(layer$kernel)), limit)
  expect_gt(max(abs(layer$kernel)), 0.99 * limit)
})

test_that("the config is Keras's", {
  layer <- layer_einsum_dense(equation = "abc,cd->abd", output_shape = list(NULL, 5))
  expect_config_fields(layer, c(
    "output_shape", "equation", "activation", "bias_axes", "kernel_initializer",
    "bias_initializer", "kernel_regularizer", "bias_regularizer", "activity_regularizer",
    "kernel_constraint", "bias_constraint", "quantization_config"
  ))
  expect_identical(get_config(layer)$output_shape, list(NULL, 5L))
  expect_match(to_json(get_config(layer)), "\"output_shape\":[null,5]", fixed = TRUE)
  single <- layer_einsum_dense(equation = "ab,bc->ac", output_shape = 5)
  expect_match(to_json(get_config(single)), "\"output_shape\":[5]", fixed = TRUE)
  regular <- layer_einsum_dense(
    equation = "ab,bc->ac", output_shape = 5, activity_regularizer = "l2", bias_axes = "c"
  )
  expect_identical(sum(names(get_config(regular)) == "activity_regularizer"), 1L)
  expect_identical(names(regular$weights), character())
  regular$build(c(NA, 3))
  expect_identical(names(regular$weights), c("kernel", "bias"))
})

test_that("masks are lost with a warning", {
  layer <- layer_einsum_dense(equation = "abc,cd->abd", output_shape = c(NA, 5))
  x <- array(1, c(2, 3, 4))
  expect_false(layer$supports_masking)
  expect_warning(y <- layer(set_keras_mask(x, matrix(TRUE, 2, 3))), class = "attn_warning_ignored")
  expect_null(get_keras_mask(y))
  expect_silent(layer(x))
})

test_that("equations that mean nothing are refused, and inputs that do not fit", {
  bad <- c(
    "ab,bc", "ab->ac", "ab,bc->", "a b,bc->ac", "...ab,bc->ac", "ab...,bc->...ac", "",
    "...ab...,bc->...ac...", "ab;bc->ac", "abc", "ab,bc->ac,"
  )
  for (equation in bad) {
    expect_attn_error(
      layer_einsum_dense(equation = equation, output_shape = 2), "argument", "equation"
    )
  }
  x <- matrix(1, 2, 3)
  at_build <- function(equation, output_shape, ..., regexp = "equation") {
    layer <- layer_einsum_dense(equation = equation, output_shape = output_shape, ...)
    expect_refused_input(layer, x, regexp, "argument")
  }
  at_build("aa,ac->ac", 2)
  at_build("ab,bc->ad", 2)
  at_build("ab,bcd->ac", 2)
  at_build("ab,bc->ac", c(2, 2), regexp = "output_shape")
  at_build("ab,bc->ac", 2, bias_axes = "b", regexp = "bias_axes")
  expect_refused_input(layer_einsum_dense(equation = "abc,cd->abd", output_shape = c(NA, 2)), x)
  expect_refused_input(layer_einsum_dense(equation = "ab,bc->abc", output_shape = c(4, 2)), x)
  built <- layer_einsum_dense(equation = "ab,bc->ac", output_shape = 2)
  built(x)
  expect_refused_input(built, matrix(1, 2, 4))
  expect_attn_error(
    layer_einsum_dense(equation = "ab,bc->ac", output_shape = 2)$build(c(2, NA)), "shape"
  )
  expect_attn_error(layer_einsum_dense(equation = "ab,bc->ac"), "argument", "output_shape")
  expect_attn_error(layer_einsum_dense(output_shape = 2), "argument", "equation")
  for (wrong in list(0, "a", NULL, 1.5)) {
    expect_attn_error(
      layer_einsum_dense(equation = "ab,bc->ac", output_shape = wrong), "argument", "output_shape"
    )
  }
  expect_attn_error(
    layer_einsum_dense(equation = "ab,bc->ac", output_shape = 2, bias_axes = "1"), "argument"
  )
})

test_that("an axis that only the input has is summed, however long it is", {
  set.seed(1)
  n <- 3e5
  x <- matrix(stats::runif(2 * n), 2)
  layer <- layer_einsum_dense(equation = "ab,c->ac", output_shape = 3, dtype = "float64")
  y <- layer(x)
  expect_equal(y, outer(rowSums(x), as.vector(get_weights(layer)[[1]])), tolerance = 1e-13)
  before <- attn_threads()
  withr::defer(attn_threads(before))
  for (threads in 1:3) {
    attn_threads(threads)
    expect_identical(layer(x), y)
  }
})

test_that("a result of more dims than there can be is refused", {
  layer <- layer_einsum_dense(equation = "...x,xyz->...yz", output_shape = list(2, 3))
  expect_identical(dim(layer(array(1, c(rep(1, 13), 2, 4)))), c(rep(1L, 13), 2L, 2L, 3L))
  expect_attn_error(layer(array(1, c(rep(1, 15), 4))), "shape", "axes of the equation")
})
