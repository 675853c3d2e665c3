test_that("zeros, ones and constants fill the shape", {
  expect_identical(initializer_zeros()(c(2, 3)), array(0, c(2, 3)))
  expect_identical(initializer_ones()(c(2, 3)), array(1, c(2, 3)))
  expect_identical(initializer_constant(0.5)(c(2, 3)), array(0.5, c(2, 3)))
  expect_identical(initializer_constant()(integer()), 0)
  expect_identical(initializer_ones()(3), array(1, 3))
})

test_that("constant arrays are broadcast from the last axis backwards", {
  expect_identical(initializer_constant(c(1, 2, 3))(3), array(c(1, 2, 3), 3))
  expect_identical(
    initializer_constant(c(1, 2, 3))(c(2, 3)), rbind(c(1, 2, 3), c(1, 2, 3))
  )
  column <- array(c(1, 2), c(2, 1))
  expect_identical(initializer_constant(column)(c(2, 3)), cbind(c(1, 2), c(1, 2), c(1, 2)))
  block <- initializer_constant(matrix(1:6, 2))(c(4, 2, 3))
  for (i in 1:4) {
    expect_equal(block[i, , ], matrix(1:6, 2))
  }
  for (shape in list(2, c(3, 2), integer(), c(2, 3, 1))) {
    expect_error(initializer_constant(c(1, 2, 3))(shape), class = "attn_error_shape")
  }
})

test_that("constants keep their value through the config", {
  expect_identical(get_config(initializer_constant(2L)), list(value = 2L))
  values <- array(as.double(1:12), c(2, 2, 3))
  serialized <- object_serialize(initializer_constant(values))
  expect_identical(serialized$config$value$class_name, "__numpy__")
  json <- to_json(serialized)
  for (dict in list(serialized, from_json(json), jsonlite::fromJSON(json))) {
    expect_identical(as_initializer(dict, "layer")(c(2, 2, 3)), values)
  }
  # As Keras writes it: outermost list is the first axis.
  tensor <- list(class_name = "__tensor__", config = list(
    value = list(list(1, 2, 3), list(4, 5, 6)), dtype = "float32"
  ))
  init <- as_initializer(list(class_name = "Constant", config = list(value = tensor)), "layer")
  expect_identical(init(c(2, 3)), rbind(c(1, 2, 3), c(4, 5, 6)))
})

test_that("bad constants are refused", {
  bad <- list(
    NULL, NA, NaN, Inf, c(1, NA), "a", TRUE, numeric(), list(1), data.frame(a = 1), factor("a")
  )
  expect_all_refused(initializer_constant, bad, "value")
  ragged <- list(class_name = "__numpy__", config = list(value = list(list(1, 2), list(3))))
  expect_error(
    as_initializer(list(class_name = "Constant", config = list(value = ragged)), "layer"),
    class = "attn_error_argument"
  )
})

test_that("the identity has its gain on the diagonal and needs two dims", {
  expect_identical(initializer_identity()(c(3, 3)), diag(3))
  expect_identical(initializer_identity(2)(c(2, 3)), rbind(c(2, 0, 0), c(0, 2, 0)))
  expect_identical(initializer_identity()(c(1, 1)), matrix(1))
  expect_identical(to_json(get_config(initializer_identity())), "{}")
  expect_identical(get_config(initializer_identity(2)), list(gain = 2))
  for (shape in list(3, integer(), c(2, 2, 2))) {
    expect_error(initializer_identity()(shape), class = "attn_error_shape")
  }
  expect_all_refused(initializer_identity, c(not_a_number(), list(NULL)), "gain")
})

test_that("the Fourier kernel is the formula, windowed and scaled", {
  n <- 8
  hann <- 0.5 - 0.5 * cos(2 * pi * (0:(n - 1)) / (n - 1))
  angles <- -2 * pi * outer(0:(n - 1), 0:2) / 4
  real <- initializer_stft()(c(n, 1, 3), "float64")
  expect_equal(real[, 1, ], cos(angles) * hann / sqrt(sum(hann^2)))
  imaginary <- initializer_stft("imag", window = NULL)(c(n, 1, 3), "float64")
  expect_equal(imaginary[, 1, ], sin(angles))
  spectrum <- initializer_stft(scaling = "spectrum", periodic = TRUE)(c(n, 1, 3), "float64")
  periodic <- 0.5 - 0.5 * cos(2 * pi * (0:(n - 1)) / n)
  expect_equal(spectrum[, 1, ], cos(angles) * periodic / sum(periodic))
  own <- initializer_stft(window = 1:n, scaling = NULL)(c(n, 1, 3), "float64")
  expect_equal(own[, 1, ], cos(angles) * 1:n)
  config <- list(side = "real", window = "hann", periodic = FALSE, scaling = "density")
  expect_identical(get_config(initializer_stft()), config)
  from_dict <- as_initializer(list(class_name = "STFTInitializer", config = config), "layer")
  expect_identical(from_dict(c(n, 1, 3), "float64"), real)
})

test_that("windows are symmetric, at most 1, and have their known values", {
  middle <- c(
    hann = 1, hamming = 1, blackman = 1, blackmanharris = 1, nuttall = 1, bartlett = 1,
    cosine = 1, boxcar = 1
  )
  ends <- c(
    hann = 0, hamming = 0.08, blackman = 0, blackmanharris = 6e-5, nuttall = 0.0003628,
    bartlett = 0, cosine = sin(pi / 18), boxcar = 1
  )
  expect_setequal(names(window_functions), names(middle))
  for (name in names(middle)) {
    window <- named_window(name, 9L, FALSE)
    expect_equal(window, rev(window))
    expect_equal(window[5], middle[[name]])
    expect_equal(window[1], ends[[name]], tolerance = 1e-8)
    expect_equal(named_window(name, 8L, TRUE), window[1:8])
    expect_identical(named_window(name, 1L, FALSE), 1)
  }
})

test_that("bad arguments of the Fourier initializer are refused", {
  expect_all_refused(initializer_stft, list(NULL, "left", NA, 1, TRUE), "side")
  expect_all_refused(
    function(x) initializer_stft(window = x),
    list("kaiser", NA, TRUE, c("hann", "boxcar"), diag(2)), "window"
  )
  expect_all_refused(function(x) initializer_stft(scaling = x), list("a", NA, 1), "scaling")
  expect_all_refused(function(x) initializer_stft(periodic = x), list(NULL, NA, 1, "a"), "periodic")
  for (shape in list(8, c(8, 2, 3), c(8, 1, 1), c(8, 1))) {
    expect_error(initializer_stft()(shape), class = "attn_error_shape")
  }
  expect_error(initializer_stft(window = 1:3)(c(8, 1, 3)), class = "attn_error_shape")
  expect_error(initializer_stft()(c(2, 1, 3)), class = "attn_error_argument")
})

test_that("constants of a config are lists within lists, or vectors in lists", {
  constant <- function(value) {
    array_config <- list(class_name = "__numpy__", config = list(value = value, dtype = "float32"))
    deserialize_keras_object(list(class_name = "Constant", config = list(value = array_config)))
  }
  expect_identical(constant(list(list(1, 2, 3), list(4, 5, 6)))(c(2, 3)), rbind(1:3, 4:6) + 0)
  expect_identical(constant(list(c(1, 2, 3), c(4, 5, 6)))(c(2, 3)), rbind(1:3, 4:6) + 0)
  expect_equal(as.vector(constant(list(1, 2, 3))(3)), 1:3 + 0)
})
