# By the definition; x (B, T, C), kernel (K, C / groups, F).
convolve_plain <- function(x, kernel, bias, stride = 1, dilation = 1, groups = 1,
                           padding = "valid") {
  size <- dim(kernel)[1]
  spread <- (size - 1) * dilation
  steps <- if (padding == "valid") {
    (dim(x)[2] - spread - 1) %/% stride + 1
  } else {
    (dim(x)[2] - 1) %/% stride + 1
  }
  missing <- max((steps - 1) * stride + spread + 1 - dim(x)[2], 0)
  left <- switch(padding, valid = 0, causal = spread, same = missing %/% 2)
  per_group <- dim(x)[3] / groups
  filters <- dim(kernel)[3]
  y <- array(0, c(dim(x)[1], steps, filters))
  for (t in seq_len(steps)) for (k in seq_len(size)) for (f in seq_len(filters)) {
    at <- (t - 1) * stride - left + (k - 1) * dilation + 1
    if (at >= 1 && at <= dim(x)[2]) {
      group <- (f - 1) %/% (filters / groups)
      channels <- group * per_group + seq_len(per_group)
      window <- matrix(x[, at, channels], dim(x)[1])
      y[, t, f] <- y[, t, f] + window %*% kernel[k, , f]
    }
  }
  if (is.null(bias)) y else sweep(y, 3, bias, "+")
}

test_that("convolutions are those of the definition", {
  set.seed(1)
  x <- array(stats::rnorm(2 * 9 * 4), c(2, 9, 4))
  cases <- expand.grid(
    size = c(1, 2, 3), stride = c(1, 2), dilation = c(1, 3), groups = c(1, 2),
    padding = c("valid", "same", "causal"), stringsAsFactors = FALSE
  )
  cases <- cases[cases$stride == 1 | cases$dilation == 1, ]
  for (i in seq_len(nrow(cases))) {
    case <- cases[i, ]
    use_bias <- i %% 2 == 0
    make <- function(...) {
      layer_conv_1d(
        filters = 6, kernel_size = case$size, strides = case$stride, padding = case$padding,
        dilation_rate = case$dilation, groups = case$groups, use_bias = use_bias, ...
      )
    }
    expect_layer(make, x, function(x, w) {
      convolve_plain(
        x, w$kernel, w$bias, case$stride, case$dilation, case$groups, case$padding
      )
    })
  }
})

test_that("channels may come first, and an activation last", {
  set.seed(1)
  x <- array(stats::rnorm(2 * 4 * 9), c(2, 4, 9))
  make <- function(...) {
    layer_conv_1d(
      filters = 3, kernel_size = 2, data_format = "channels_first", activation = "tanh", ...
    )
  }
  expect_layer(make, x, function(x, w) {
    tanh(aperm(convolve_plain(aperm(x, c(1, 3, 2)), w$kernel, w$bias), c(1, 3, 2)))
  })
})

test_that("a causal convolution does not look ahead", {
  set.seed(1)
  layer <- layer_conv_1d(filters = 3, kernel_size = 4, padding = "causal", dilation_rate = 2)
  x <- array(stats::rnorm(2 * 12 * 2), c(2, 12, 2))
  later <- x
  later[, 7:12, ] <- 100
  expect_identical(layer(x)[, 1:6, ], layer(later)[, 1:6, ])
})

test_that("the number of steps may be unknown", {
  layer <- layer_conv_1d(filters = 3, kernel_size = 2, strides = 2)
  expect_identical(dim(layer(keras_input(c(NA, 4)))), c(NA, NA, 3L))
  expect_identical(layer$compute_output_shape(c(NA, 7, 4)), c(NA, 3L, 3L))
})

test_that("masks are lost with a warning", {
  layer <- layer_conv_1d(filters = 3, kernel_size = 2)
  expect_false(layer$supports_masking)
  masked <- set_keras_mask(array(1, c(2, 3, 4)), matrix(TRUE, 2, 3))
  expect_warning(y <- layer(masked), class = "attn_warning_ignored")
  expect_null(get_keras_mask(y))
})

test_that("the config is Keras's", {
  layer <- layer_conv_1d(filters = 3, kernel_size = 2, padding = "SAME", activation = "relu")
  expect_config_fields(layer, c(
    "filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "groups",
    "activation", "use_bias", "kernel_initializer", "bias_initializer", "kernel_regularizer",
    "bias_regularizer", "activity_regularizer", "kernel_constraint", "bias_constraint"
  ))
  config <- get_config(layer)
  expect_identical(config[c("kernel_size", "strides", "dilation_rate")],
    list(kernel_size = list(2L), strides = list(1L), dilation_rate = list(1L))
  )
  expect_identical(config$padding, "same")
  expect_identical(layer$kernel_size, 2L)
})

test_that("bad arguments and inputs are refused", {
  expect_attn_error(layer_conv_1d(kernel_size = 2), "argument", "filters")
  expect_attn_error(layer_conv_1d(filters = 2), "argument", "kernel_size")
  make <- function(...) layer_conv_1d(filters = 4, kernel_size = 3, ...)
  expect_attn_error(layer_conv_1d(filters = 0, kernel_size = 2), "argument", "filters")
  for (bad in list(0, "a", NULL, c(1, 2), list(1, 2), 1.5)) {
    expect_attn_error(layer_conv_1d(filters = 4, kernel_size = bad), "argument", "kernel_size")
    expect_attn_error(make(strides = bad), "argument", "strides")
    expect_attn_error(make(dilation_rate = bad), "argument", "dilation_rate")
  }
  expect_attn_error(make(padding = "full"), "argument", "padding")
  expect_attn_error(make(data_format = "NWC"), "argument", "data_format")
  expect_attn_error(make(groups = 3), "argument", "groups")
  expect_attn_error(make(strides = 2, dilation_rate = 2), "argument", "dilation_rate")
  expect_refused_input(make(), array(1, c(2, 2, 4)), "3 steps")
  expect_refused_input(make(groups = 2), array(1, c(2, 5, 3)), "groups")
  expect_refused_input(make(), matrix(1, 5, 4))
  built <- make()
  built(array(1, c(2, 5, 4)))
  expect_refused_input(built, array(1, c(2, 5, 3)), "channels")
  expect_attn_error(make()$build(c(NA, 5, NA)), "shape")
})
