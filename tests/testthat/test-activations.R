erf <- function(x) 2 * stats::pnorm(x * sqrt(2)) - 1
softmax_last <- function(x) {
  last <- length(dim(x))
  e <- exp(x)
  e / as.vector(apply(e, seq_len(last - 1), sum))
}

# Keras's formulas, in plain R.
formulas <- list(
  linear = function(x) x,
  relu = function(x) pmax(x, 0),
  relu6 = function(x) pmin(pmax(x, 0), 6),
  leaky_relu = function(x) ifelse(x < 0, 0.2 * x, x),
  elu = function(x) ifelse(x < 0, expm1(x), x),
  celu = function(x) ifelse(x < 0, expm1(x), x),
  selu = function(x) 1.0507009873554805 * ifelse(x < 0, 1.6732632423543772 * expm1(x), x),
  gelu = function(x) x * (1 + erf(x / sqrt(2))) / 2,
  gelu_approximate = function(x) x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) / 2,
  silu = function(x) x * stats::plogis(x),
  mish = function(x) x * tanh(log1p(exp(x))),
  sigmoid = stats::plogis,
  log_sigmoid = function(x) stats::plogis(x, log.p = TRUE),
  hard_sigmoid = function(x) pmin(pmax(x / 6 + 0.5, 0), 1),
  hard_silu = function(x) x * pmin(pmax(x / 6 + 0.5, 0), 1),
  sparse_sigmoid = function(x) pmin(pmax((x + 1) / 2, 0), 1),
  tanh = tanh,
  hard_tanh = function(x) pmin(pmax(x, -1), 1),
  tanh_shrink = function(x) x - tanh(x),
  exponential = exp,
  softplus = function(x) log1p(exp(x)),
  softsign = function(x) x / (1 + abs(x)),
  squareplus = function(x) (x + sqrt(x^2 + 4)) / 2,
  sparse_plus = function(x) ifelse(x <= -1, 0, ifelse(x < 1, (x + 1)^2 / 4, x)),
  soft_shrink = function(x) sign(x) * pmax(abs(x) - 0.5, 0),
  hard_shrink = function(x) ifelse(abs(x) > 0.5, x, 0),
  softmax = softmax_last,
  log_softmax = function(x) log(softmax_last(x)),
  # with the sum of sums that Keras has for tau
  sparsemax = function(x) {
    row_of <- function(row) {
      z <- sort(row, decreasing = TRUE)
      sums <- cumsum(z)
      support <- z - (sums - 1) / seq_along(z) > 0
      pmax(row - (sum(sums[support]) - 1) / sum(support), 0)
    }
    rows <- matrix(x, ncol = dim(x)[length(dim(x))])
    array(t(apply(rows, 1, row_of)), dim(x))
  }
)

local_floatx <- function(dtype, env = parent.frame()) {
  undo <- bquote(config_set_floatx(.(config_floatx())))
  do.call(on.exit, list(undo, add = TRUE), envir = env)
  config_set_floatx(dtype)
}

test_that("every activation of Keras is there by name, and is its formula", {
  expect_setequal(names(formulas), attn:::activation_names)
  set.seed(1)
  x <- array(2 * stats::rnorm(3 * 4 * 5), c(3, 4, 5))
  for (name in names(formulas)) {
    expected <- array(formulas[[name]](x), dim(x))
    for (dtype in c("float32", "float64")) {
      layer <- layer_activation(activation = name, dtype = dtype)
      expect_near(layer(x), expected, dtype, name)
    }
  }
})

test_that("the functions compute what the layers do, and keep the shape", {
  set.seed(1)
  x <- array(stats::rnorm(24), c(2, 3, 4))
  for (name in setdiff(names(formulas), c("hard_silu", "gelu_approximate"))) {
    fun <- get(paste0("activation_", name))
    expect_identical(fun(x), layer_activation(x, name), label = name)
    expect_identical(layer_dense(units = 2, activation = fun)$activation, name)
  }
  expect_identical(activation_relu(c(-1, 2)), c(0, 2))
  expect_identical(activation_relu(-1:2), c(0, 0, 1, 2))
  expect_identical(activation_relu(c(TRUE, FALSE)), c(1, 0))
  mask <- matrix(c(TRUE, FALSE), 2, 3)
  expect_identical(get_keras_mask(activation_tanh(set_keras_mask(x, mask))), mask)
})

test_that("gelu's form with tanh is a name, written to configs as KerasHub's function", {
  registered <- "keras_hub>gelu_approximate"
  dict <- list(
    module = "keras_hub.src.utils.keras_utils", class_name = "function", config = registered,
    registered_name = registered
  )
  layers <- list(
    layer_activation(activation = "gelu_approximate"),
    layer_dense(units = 2, activation = "gelu_approximate"),
    layer_einsum_dense(equation = "ab,bc->ac", output_shape = 2, activation = registered),
    layer_conv_1d(filters = 2, kernel_size = 1, activation = "keras_nlp>gelu_approximate"),
    layer_transformer_encoder(intermediate_dim = 4, num_heads = 1, activation = dict),
    layer_transformer_decoder(intermediate_dim = 4, num_heads = 1, activation = dict)
  )
  for (layer in layers) {
    expect_identical(layer$activation, "gelu_approximate")
    expect_identical(get_config(layer)$activation, dict)
    expect_identical(from_config(serialize_keras_object(layer))$activation, "gelu_approximate")
  }
  model <- keras_model_sequential(input_shape = c(3, 4)) |>
    layer_transformer_encoder(intermediate_dim = 8, num_heads = 2, activation = registered)
  x <- array(stats::rnorm(24), c(2, 3, 4))
  again <- from_config(get_config(model))
  set_weights(again, get_weights(model))
  expect_identical(predict(again, x), predict(model, x))
  of_keras_nlp <- list(
    module = "keras_nlp.src.utils.keras_utils", class_name = "function",
    config = "keras_nlp>gelu_approximate", registered_name = "keras_nlp>gelu_approximate"
  )
  config <- list(class_name = "Dense", config = list(units = 2L, activation = of_keras_nlp))
  expect_identical(from_config(config)$activation, "gelu_approximate")
})

test_that("functions in configs are those of the names, or are refused", {
  dense <- function(...) {
    layer <- list(
      class_name = "Dense", config = list(name = "d", units = 2L, activation = list(...))
    )
    list(class_name = "Sequential", config = list(name = "s", layers = list(layer)))
  }
  plain <- dense(module = "builtins", class_name = "function", config = "relu")
  expect_identical(from_config(plain)$layers[[1L]]$activation, "relu")
  for (bad in list(
    dense(module = "os", class_name = "function", config = "relu"),
    dense(module = "keras_hubs", class_name = "function", config = "relu"),
    dense(module = "builtins", class_name = "function", config = "eval"),
    dense(module = "builtins", class_name = "function", config = list("relu")),
    dense(module = list(), class_name = "function", config = "relu"),
    dense(module = "builtins", class_name = "__lambda__", config = "relu")
  )) {
    expect_error(from_config(bad), class = "attn_error_config")
  }
  expect_attn_error(layer_dense(units = 2, activation = function(x) x), "argument", "layer_lambda")
})

test_that("the precision is that of config_floatx()", {
  x <- c(0.1, -3, 2)
  expect_equal(activation_tanh(x), tanh(x), tolerance = 1e-6)
  expect_gt(max(abs(activation_tanh(x) - tanh(x))), 1e-12)
  local_floatx("float64")
  expect_equal(activation_tanh(x), tanh(x), tolerance = 1e-15)
})

test_that("parameters count", {
  local_floatx("float64")
  x <- c(-3, -0.5, 0, 0.25, 1, 5)
  relu <- function(slope, most, threshold) {
    ifelse(x >= most, most, ifelse(x >= threshold, x, slope * (x - threshold)))
  }
  expect_equal(activation_relu(x, 0.5, 3, 0.3), relu(0.5, 3, 0.3))
  expect_equal(activation_relu(x, max_value = 3), relu(0, 3, 0))
  expect_equal(activation_relu(x, threshold = 0.3), relu(0, Inf, 0.3))
  expect_equal(activation_leaky_relu(x, 0.7), ifelse(x < 0, 0.7 * x, x))
  expect_equal(activation_elu(x, 2), ifelse(x < 0, 2 * expm1(x), x))
  expect_equal(activation_celu(x, 2), ifelse(x < 0, 2 * expm1(x / 2), x))
  expect_equal(
    activation_gelu(x, approximate = TRUE),
    x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) / 2
  )
  expect_equal(activation_squareplus(x, 9), (x + sqrt(x^2 + 9)) / 2)
  expect_equal(activation_soft_shrink(x, 1), sign(x) * pmax(abs(x) - 1, 0))
  expect_equal(activation_hard_shrink(x, 1), ifelse(abs(x) > 1, x, 0))
  expect_equal(activation_threshold(x, 0.25, -7), ifelse(x > 0.25, x, -7))
})

test_that("axes are counted from 1, or from the last", {
  local_floatx("float64")
  set.seed(1)
  x <- array(stats::rnorm(24), c(2, 3, 4))
  along <- function(axis) {
    others <- setdiff(1:3, axis)
    sweep(exp(x), others, apply(exp(x), others, sum), "/")
  }
  for (axis in 1:3) {
    expect_equal(activation_softmax(x, axis), along(axis), tolerance = 1e-13)
    expect_identical(activation_softmax(x, axis), activation_softmax(x, axis - 4))
    expect_equal(activation_log_softmax(x, axis), log(along(axis)), tolerance = 1e-13)
    order <- c(setdiff(1:3, axis), axis)
    last <- aperm(array(formulas$sparsemax(aperm(x, order)), dim(x)[order]), order(order))
    expect_equal(activation_sparsemax(x, axis), last, tolerance = 1e-13)
  }
  even <- array(stats::rnorm(2 * 4 * 6), c(2, 4, 6))
  expect_equal(activation_glu(even), even[, , 1:3] * stats::plogis(even[, , 4:6]))
  expect_equal(activation_glu(even, 2), even[, 1:2, ] * stats::plogis(even[, 3:4, ]))
  expect_equal(activation_glu(even, 1), even[1, , , drop = FALSE] *
    stats::plogis(even[2, , , drop = FALSE]))
  expect_attn_error(activation_glu(x, 2), "shape", "even")
  for (bad in list(0, 4, -4, 1.5, "a", NULL, NA, 1:2)) {
    expect_attn_error(activation_softmax(x, bad), "argument", "axis")
  }
})

test_that("names are Keras's, aliases become them, and other things are refused", {
  expect_identical(layer_activation(activation = "swish")$activation, "silu")
  expect_identical(layer_activation(activation = "hard_swish")$activation, "hard_silu")
  expect_identical(layer_activation(activation = NULL)$activation, "linear")
  expect_identical(layer_dense(units = 1)$activation, "linear")
  older <- list(module = "builtins", class_name = "function", config = "relu",
    registered_name = "function")
  expect_identical(layer_dense(units = 1, activation = older)$activation, "relu")
  for (bad in list("rellu", "glu", "threshold", activation_glu, activation_threshold, tanh,
    function(x) x, 1, NA, list(class_name = "function", config = "no"), list("relu"), c("a", "b")
  )) {
    expect_attn_error(layer_dense(units = 1, activation = bad), "argument", "activation")
  }
})

test_that("bad arguments of the functions are refused", {
  expect_attn_error(activation_relu(), "argument", "x")
  expect_attn_error(activation_relu("a"), "argument", "x")
  expect_attn_error(activation_relu(keras_input(3)), "argument", "layer_activation")
  expect_attn_error(activation_relu(numeric()), "shape", "x")
  expect_attn_error(activation_relu(1, max_value = -1), "argument", "max_value")
  expect_attn_error(activation_relu(1, negative_slope = NULL), "argument", "negative_slope")
  expect_attn_error(activation_celu(1, 0), "argument", "alpha")
  expect_attn_error(activation_gelu(1, 1), "argument", "approximate")
  expect_attn_error(activation_threshold(1, 1), "argument", "default_value")
  expect_attn_error(activation_tanh(1, 2), "argument")
})

test_that("a row with NaN makes no number of sparsemax in it, and leaves other rows alone", {
  x <- rbind(c(NaN, 1, 2), c(3, 1, 2), c(1, NaN, NaN))
  y <- activation_sparsemax(x)
  expect_identical(y[2, ], activation_sparsemax(x[2, , drop = FALSE])[1, ])
  expect_false(any(is.finite(y[-2, ])))
})
