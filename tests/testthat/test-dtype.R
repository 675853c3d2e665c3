test_that("the default precision is float32 and can be changed", {
  expect_identical(config_floatx(), "float32")
  withr::defer(config_set_floatx("float32"))
  expect_invisible(config_set_floatx("float64"))
  expect_identical(config_floatx(), "float64")
  expect_identical(as_dtype(NULL, "layer"), "float64")
  expect_identical(config_set_floatx("float32"), "float64")
  expect_identical(as_dtype(NULL, "layer"), "float32")
})

test_that("config_set_floatx() refuses what it does not know", {
  withr::defer(config_set_floatx("float32"))
  bad <- c(
    not_a_number(),
    list(NULL, "float16", "bfloat16", "int32", "Float32", "", NA_character_),
    list(c("float32", "float64"))
  )
  expect_all_refused(config_set_floatx, bad, "value")
  expect_error(config_set_floatx(), class = "attn_error_argument")
  expect_identical(config_floatx(), "float32")
})

test_that("a dtype is a name or a serialized policy", {
  expect_identical(as_dtype("float64", "layer"), "float64")
  policy <- serialize_dtype("float64")
  expect_identical(as_dtype(policy, "layer"), "float64")
  without_module <- list(class_name = "DTypePolicy", config = list(name = "float32"))
  expect_identical(as_dtype(without_module, "layer"), "float32")
})

test_that("unknown dtypes are refused, by name too", {
  named <- function(name) {
    list(module = "keras", class_name = "DTypePolicy", config = list(name = name))
  }
  bad <- c(
    not_a_number(),
    list(
      "float16", "bfloat16", "mixed_float16", "int8_from_float32", "foo", "", NA_character_,
      named("mixed_float16"), named(NULL), list(class_name = "DTypePolicy"),
      list(class_name = "Zeros", config = list()), array("float32", 1)
    )
  )
  expect_all_refused(function(x) as_dtype(x, "layer_x()"), bad, "dtype")
  error <- tryCatch(as_dtype("mixed_float16", "layer_x()"), error = identity)
  expect_match(conditionMessage(error), "layer_x().*float32.*float64.*mixed_float16")
})

test_that("a serialized dtype is Keras's policy", {
  case <- config_cases("MultiHeadAttention")[[1]]
  expect_equal(from_json(to_json(serialize_dtype("float32"))), from_json(case$get_config)$dtype)
})

test_that("rounding to float32 is exact and keeps the shape", {
  expect_identical(round_to_dtype(0.1, "float32"), 0.100000001490116119384765625)
  x <- array(c(1, 1 + 2^-23, 1 + 2^-24, 1 + 3 * 2^-25, -1e-3, 2^-149), c(1, 3, 2))
  rounded <- round_to_dtype(x, "float32")
  expect_identical(dim(rounded), dim(x))
  # A tie goes to the even neighbor, and above a tie it goes up.
  expect_identical(rounded[1:4], c(1, 1 + 2^-23, 1, 1 + 2^-23))
  expect_identical(rounded[6], 2^-149)
  expect_identical(round_to_dtype(rounded, "float32"), rounded)
  expect_identical(round_to_dtype(x, "float64"), x)
  expect_identical(round_to_dtype(c(Inf, -Inf, 1e300), "float32"), c(Inf, -Inf, Inf))
  expect_true(is.nan(round_to_dtype(NaN, "float32")))
  expect_identical(round_to_dtype(numeric(), "float32"), numeric())
})

test_that("long vectors are rounded from end to end, and keep what they have", {
  x <- seq(-1, 1, length.out = 2^20 + 3)
  by_bytes <- readBin(writeBin(x, raw(), size = 4L), "double", length(x), 4L)
  expect_identical(round_to_float32(x), by_bytes)
  named <- structure(c(a = pi, b = 1), note = "kept")
  expect_identical(attributes(round_to_dtype(named, "float32")), attributes(named))
})
