test_that("fans go by rank without axes, and by the axes with them", {
  fans <- function(...) unname(kernel_fans(...))
  expect_identical(fans(integer()), c(1, 1))
  expect_identical(fans(7L), c(7, 7))
  expect_equal(fans(c(3L, 5L)), c(3, 5))
  expect_equal(fans(c(2L, 3L, 5L)), c(6, 10))
  expect_equal(fans(c(2L, 2L, 3L, 5L)), c(12, 20))
  expect_equal(fans(c(16L, 2L, 4L), 0L, 1:2), c(16, 8))
  expect_equal(fans(c(2L, 4L, 16L), 0:1, 2L), c(8, 16))
  # the product of no dims, as of the kernel of "ab,c->ac"
  expect_equal(fans(3L, integer(), 0L), c(1, 3))
})

test_that("the kernels of the layers get Keras's fans and spread", {
  for (case in readRDS(test_path("fixtures", "fans.rds"))) {
    axes <- seq_along(case$shape) - 1L
    n_inputs <- if (case$name == "attention_output/kernel") 2L else 1L
    input_axes <- head(axes, n_inputs)
    output_axes <- tail(axes, -n_inputs)
    fans <- kernel_fans(case$shape, input_axes, output_axes)
    expect_equal(unname(fans), as.double(c(case$fan_in, case$fan_out)))

    draw <- function(init, seed) {
      as.vector(init(seed)(case$shape, "float64", input_axes, output_axes))
    }
    n <- prod(case$shape)
    u <- philox_uniform(n, draw_key(1L))
    z <- philox_truncated_normal(n, draw_key(1L)) / truncated_normal_sd
    expect_equal(draw(initializer_glorot_uniform, 1), case$glorot_uniform_limit * (2 * u - 1))
    expect_equal(draw(initializer_glorot_normal, 1), case$glorot_normal_sd * z)
    expect_equal(draw(initializer_he_normal, 1), case$he_normal_sd * z)
    expect_equal(draw(initializer_lecun_normal, 1), case$lecun_normal_sd * z)

    largest <- max(abs(unlist(lapply(1:40, draw, init = initializer_glorot_uniform))))
    expect_lte(largest, case$glorot_uniform_limit)
    expect_gt(largest, 0.9 * case$glorot_uniform_limit)
  }
})

test_that("a call gives an array of the shape, rounded to the dtype", {
  init <- initializer_random_normal(seed = 1)
  expect_identical(dim(init(c(2, 3, 4))), c(2L, 3L, 4L))
  expect_identical(dim(init(5)), 5L)
  expect_null(dim(init(integer())))
  expect_length(init(integer()), 1L)
  expect_identical(dim(init(list(2L, 3))), c(2L, 3L))
  expect_identical(dim(init(c(0, 3))), c(0L, 3L))
  precise <- init(c(20, 20), dtype = "float64")
  expect_identical(init(c(20, 20)), round_to_dtype(precise, "float32"))
  expect_false(identical(init(c(20, 20)), precise))
  withr::defer(config_set_floatx("float32"))
  config_set_floatx("float64")
  expect_identical(init(c(20, 20)), precise)
})

test_that("every name that Keras knows gives its class", {
  names_of <- c(
    zeros = "Zeros", zero = "Zeros", Zeros = "Zeros", ones = "Ones", one = "Ones",
    random_normal = "RandomNormal", normal = "RandomNormal", RandomNormal = "RandomNormal",
    random_uniform = "RandomUniform", uniform = "RandomUniform",
    truncated_normal = "TruncatedNormal", variance_scaling = "VarianceScaling",
    glorot_uniform = "GlorotUniform", GlorotUniform = "GlorotUniform",
    glorot_normal = "GlorotNormal", he_uniform = "HeUniform", he_normal = "HeNormal",
    lecun_uniform = "LecunUniform", lecun_normal = "LecunNormal",
    orthogonal = "Orthogonal", OrthogonalInitializer = "Orthogonal",
    identity = "Identity", IdentityInitializer = "Identity"
  )
  for (name in names(names_of)) {
    object <- as_initializer(name, "layer")
    expect_identical(attr(object, "class_name"), names_of[[name]])
    expect_identical(dim(object(c(2, 3))), c(2L, 3L))
  }
})

test_that("an array stands for its values", {
  values <- array(as.double(1:6), c(2, 3))
  init <- as_initializer(values, "layer")
  expect_identical(init(c(2, 3)), values)
  expect_error(init(c(3, 2)), class = "attn_error_shape")
  expect_all_refused(
    function(x) as_initializer(x, "layer", "kernel_initializer"),
    list(array(NA_real_, 2), array(c(1, Inf), 2), array("a", 2), array(TRUE, 2), 1:3),
    "kernel_initializer"
  )
})

test_that("functions of users are called with what they take", {
  shape <- c(2L, 3L)
  six <- array(as.double(1:6), shape)
  functions <- list(
    function(shape) six,
    function(shape, dtype) if (dtype == "float64") six,
    function(shape, dtype = NULL) if (identical(dtype, "float64")) six,
    function(shape, ...) if (identical(list(...), list(dtype = "float64"))) six,
    function(shape, type) if (type == "float64") six,
    function(shape, values = six) values,
    function(shape) array(1:6, shape)
  )
  for (f in functions) {
    expect_identical(call_initializer(f, shape, "float64"), six)
  }
  expect_identical(call_initializer(function(shape) c(1, 2), 2L, "float64"), array(c(1, 2), 2))
  expect_identical(call_initializer(function(shape) array(1, 1), integer(), "float64"), 1)
})

test_that("what a function returns is checked", {
  call <- function(value) {
    call_initializer(function(shape) value, c(2L, 3L), "float64",
      owner = "layer_x()", argument = "kernel_initializer"
    )
  }
  expect_all_refused(
    call, list(NULL, "a", list(1), data.frame(a = 1), factor(1:6)), "kernel_initializer"
  )
  expect_all_refused(
    call, list(1, 1:6, array(1, c(3, 2)), array(1, 6), array(1, c(2, 3, 1))),
    "kernel_initializer", "attn_error_shape"
  )
  expect_error(call_initializer(function(shape) stop("mine"), 2L), "mine")
})

test_that("NULL as initializer is Keras's default, glorot_uniform", {
  withr::local_preserve_seed()
  set.seed(1)
  w <- call_initializer(NULL, c(16L, 2L, 4L), "float64", 0L, 1:2)
  set.seed(1)
  expect_identical(w, initializer_glorot_uniform()(c(16L, 2L, 4L), "float64", 0L, 1:2))
})

test_that("bad arguments of a call are refused", {
  init <- initializer_glorot_uniform()
  bad_shapes <- list(
    NULL, NA, NaN, Inf, -1, 1.5, 2^31, "a", TRUE, c(2, NA), list("a"), list(1:2), list(NULL),
    data.frame(a = 1), factor(1), c(2^30, 2^30)
  )
  expect_all_refused(init, bad_shapes, "shape")
  expect_error(init(), class = "attn_error_argument")
  expect_all_refused(function(x) init(2, dtype = x), list("float16", 1, NA), "dtype")
  expect_identical(
    init(3, input_axes = integer(), output_axes = 0) <= sqrt(6 / (1 + 3)), array(TRUE, 3)
  )
  bad_axes <- list(3, -4, NA, 0.5, "a", c(0, 0), c(0, -3), list("a"), TRUE, factor(0))
  expect_all_refused(function(x) init(c(2, 3, 4), input_axes = x), bad_axes, "input_axes")
  expect_all_refused(function(x) init(c(2, 3, 4), output_axes = x), bad_axes, "output_axes")
})

test_that("axes that come with a config are used", {
  dict <- list(class_name = "GlorotUniform", config = list(
    seed = 1L, input_axes = list(0L), output_axes = list(1L, -1L)
  ))
  init <- as_initializer(dict, "layer")
  expected <- initializer_glorot_uniform(1)(c(16, 2, 4), input_axes = 0, output_axes = c(1, 2))
  expect_identical(init(c(16, 2, 4)), expected)
  expect_identical(get_config(init), dict$config)
})
