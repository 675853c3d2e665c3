test_that("activation layers are functions of the input, whatever its shape", {
  set.seed(1)
  for (shape in list(5, c(3, 4), c(2, 3, 4), c(2, 3, 2, 2))) {
    x <- array(2 * stats::rnorm(prod(shape)), shape)
    expect_layer(function(...) layer_activation(activation = "tanh", ...), x,
      function(x, w) tanh(x)
    )
    expect_layer(function(...) layer_activation_relu(max_value = 1, negative_slope = 0.25,
      threshold = 0.5, ...), x,
      function(x, w) ifelse(x >= 1, 1, ifelse(x >= 0.5, x, 0.25 * (x - 0.5)))
    )
    expect_layer(function(...) layer_activation_leaky_relu(...), x,
      function(x, w) ifelse(x < 0, 0.3 * x, x)
    )
    expect_layer(function(...) layer_activation_elu(alpha = 0.5, ...), x,
      function(x, w) ifelse(x < 0, 0.5 * expm1(x), x)
    )
    expect_layer(function(...) layer_activation_parametric_relu(...), x, function(x, w) {
      alpha <- broadcast_to(array(w$alpha, c(1, dim(x)[-1])), dim(x))
      array(ifelse(x < 0, alpha * x, x), dim(x))
    })
  }
})

test_that("masks and other types of numbers pass", {
  x <- array(1:12 - 6L, c(2, 3, 2))
  mask <- matrix(c(TRUE, FALSE), 2, 3)
  for (layer in list(
    layer_activation(activation = "relu"), layer_activation_relu(),
    layer_activation_parametric_relu()
  )) {
    y <- layer(set_keras_mask(x, mask))
    expect_identical(set_keras_mask(y, NULL), array(pmax(x, 0), dim(x)))
    expect_identical(get_keras_mask(y), mask)
    expect_identical(layer$compute_mask(x, mask), mask)
    expect_identical(layer(x > 0), (x > 0) * 1)
  }
})

test_that("shared axes of the parametric relu have one number each", {
  set.seed(1)
  x <- array(stats::rnorm(2 * 3 * 4), c(2, 3, 4))
  expect_layer(function(...) layer_activation_parametric_relu(shared_axes = 2, ...), x,
    function(x, w) {
      expect_identical(dim(w$alpha), c(1L, 4L))
      ifelse(x < 0, broadcast_to(array(w$alpha, c(1, 1, 4)), dim(x)) * x, x)
    }
  )
  layer <- layer_activation_parametric_relu(shared_axes = c(2, -1))
  expect_identical(get_config(layer)$shared_axes, list(1L, -1L))
  layer$build(c(NA, NA, 4))
  expect_identical(dim(layer$alpha), c(1L, 1L))
  expect_near(layer(x), pmax(x, 0), "float32", "zeros")
  expect_config_fields(layer, c(
    "alpha_initializer", "alpha_regularizer", "alpha_constraint", "shared_axes"
  ))
  expect_attn_error(layer_activation_parametric_relu()$build(c(NA, NA, 4)), "shape")
  expect_refused_input(layer_activation_parametric_relu(shared_axes = 1), x)
  expect_refused_input(layer_activation_parametric_relu(shared_axes = 4), x)
  built <- layer_activation_parametric_relu()
  built$build(c(NA, 3, 4))
  expect_refused_input(built, array(1, c(2, 4, 3)))
  expect_refused_input(built, matrix(1, 2, 4))
})

softmax_over <- function(x, axes) {
  others <- setdiff(seq_along(dim(x)), axes)
  sweep(exp(x), others, apply(exp(x), others, sum), "/")
}

test_that("the softmax layer has axes", {
  set.seed(1)
  x <- array(stats::rnorm(48), c(2, 3, 2, 4))
  for (axis in list(-1, 2, 3, c(2, 4), c(-1, -2), c(4, 2), list(3))) {
    places <- unlist(axis)
    places <- ifelse(places < 0, 5 + places, places)
    expect_layer(function(...) layer_activation_softmax(axis = axis, ...), x,
      function(x, w) softmax_over(x, places)
    )
  }
  expect_identical(get_config(layer_activation_softmax(axis = 3))$axis, 2L)
  expect_identical(get_config(layer_activation_softmax())$axis, -1L)
  expect_identical(get_config(layer_activation_softmax(axis = c(2, 3)))$axis, list(1L, 2L))
  expect_identical(get_config(layer_activation_softmax(axis = list(2)))$axis, list(1L))
  expect_refused_input(layer_activation_softmax(axis = 5), x)
  expect_refused_input(layer_activation_softmax(axis = c(4, -1)), x)
  for (bad in list(0, NULL, "a", 1.5, c(1, 1), NA)) {
    expect_attn_error(layer_activation_softmax(axis = bad), "argument", "axis")
  }
})

test_that("masked places of a softmax take no part", {
  set.seed(1)
  x <- array(stats::rnorm(24), c(2, 3, 4))
  mask <- array(TRUE, c(2, 3, 4))
  mask[1, 2, 3:4] <- FALSE
  mask[2, 1, ] <- FALSE
  for (axis in 2:3) {
    for (dtype in c("float32", "float64")) {
      layer <- layer_activation_softmax(axis = axis, dtype = dtype)
      hidden <- ifelse(mask, x, -Inf)
      expected <- softmax_over(hidden, axis)
      expected[is.nan(expected)] <- 0
      expect_near(layer(x, mask = mask), expected, dtype, "mask")
      expect_near(layer(x, mask = mask * 2), expected, dtype, "mask of numbers")
      y <- layer(set_keras_mask(x, mask))
      expect_near(y, expected, dtype, "implicit mask")
      expect_identical(get_keras_mask(y), mask)
    }
  }
  layer <- layer_activation_softmax(dtype = "float64")
  flags <- c(TRUE, FALSE, TRUE, TRUE)
  expect_equal(layer(x, mask = flags)[, , -2], softmax_over(x[, , -2], 3), tolerance = 1e-14)
  expect_identical(layer(x, mask = flags)[, , 2], matrix(0, 2, 3))
  expect_refused_input(layer, x, "mask", mask = array(TRUE, c(2, 3)))
  expect_refused_input(layer, x, "mask", mask = array(TRUE, c(1, 2, 3, 4)))
  expect_refused_input(layer, x, "mask", "argument", mask = "a")
  expect_refused_input(layer, set_keras_mask(x, matrix(TRUE, 2, 3)))
})

test_that("configs are Keras's", {
  expect_config_fields(layer_activation(activation = "relu"), "activation")
  expect_config_fields(layer_activation_relu(), c("max_value", "negative_slope", "threshold"))
  expect_config_fields(layer_activation_leaky_relu(), "negative_slope")
  expect_config_fields(layer_activation_elu(), "alpha")
  expect_config_fields(layer_activation_softmax(), "axis")
  classes <- list(
    Activation = layer_activation(activation = "relu"), ReLU = layer_activation_relu(),
    LeakyReLU = layer_activation_leaky_relu(), ELU = layer_activation_elu(),
    PReLU = layer_activation_parametric_relu(), Softmax = layer_activation_softmax()
  )
  for (name in names(classes)) {
    expect_identical(serialize_keras_object(classes[[name]])$class_name, name)
  }
  expect_match(layer_activation_leaky_relu()$name, "^leaky_re_lu")
  expect_match(layer_activation_parametric_relu()$name, "^p_re_lu")
})

test_that("a penalty on the output is one of the layer's losses", {
  layer <- layer_activation(activation = "relu", activity_regularizer = "l2")
  layer(matrix(c(1, -2, 3, 4), 2))
  expect_equal(layer$losses, list(0.01 * (1 + 9 + 16) / 2), tolerance = 1e-6)
  dense <- layer_dense(units = 1, kernel_initializer = "ones", activity_regularizer = "l1")
  dense(matrix(c(1, -2, 3, 4), 2))
  expect_equal(dense$losses, list(0.01 * (4 + 2) / 2), tolerance = 1e-6)
})

test_that("bad arguments are refused", {
  expect_attn_error(layer_activation(), "argument", "activation")
  expect_attn_error(layer_activation_relu(max_value = -1), "argument", "max_value")
  expect_attn_error(layer_activation_relu(negative_slope = -1), "argument", "negative_slope")
  expect_attn_error(layer_activation_relu(threshold = NULL), "argument", "threshold")
  expect_attn_error(layer_activation_leaky_relu(negative_slope = NULL), "argument")
  expect_attn_error(layer_activation_elu(alpha = "a"), "argument", "alpha")
  expect_attn_error(layer_activation_elu(activity_regularizer = "none"), "argument")
  expect_attn_error(layer_activation_elu(units = 2), "argument", "units")
})
