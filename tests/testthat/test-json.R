test_that("numbers are written as Python's repr() does", {
  # the right column is what Python prints
  cases <- list(
    list(0, "0.0"), list(1, "1.0"), list(-0.05, "-0.05"), list(1e-6, "1e-06"),
    list(0.001, "0.001"), list(1e-7, "1e-07"), list(123456.789, "123456.789"),
    list(1e16, "1e+16"), list(1.5e300, "1.5e+300"), list(0.1 + 0.2, "0.30000000000000004"),
    list(1 / 3, "0.3333333333333333"), list(-2.5e-5, "-2.5e-05"), list(1e22, "1e+22"),
    list(12345678901234567, "1.2345678901234568e+16"), list(0.0001, "0.0001"),
    list(123456789012345.5, "123456789012345.5"), list(7L, "7"), list(-100000L, "-100000")
  )
  for (case in cases) {
    expect_identical(write_json(case[[1]]), case[[2]])
  }
  expect_identical(write_json(c(Inf, -Inf, NaN, NA)), "[Infinity, -Infinity, NaN, null]")
  set.seed(1)
  numbers <- c(rnorm(200), 10^runif(200, -300, 300), 2^runif(100, -60, 60))
  for (x in numbers) {
    expect_identical(jsonlite::parse_json(write_json(list(x)))[[1]], x)
  }
})

test_that("null, lists and objects, empty ones too, are told apart", {
  x <- list(
    a = NULL, b = list(), c = structure(list(), names = character()), d = TRUE,
    e = list(NULL, 2L), f = c(1.5, 2), g = list(3L), h = c(NA, 4L), i = "text"
  )
  expect_identical(write_json(x), paste0(
    "{\"a\": null, \"b\": [], \"c\": {}, \"d\": true, \"e\": [null, 2], \"f\": [1.5, 2.0], ",
    "\"g\": [3], \"h\": [null, 4], \"i\": \"text\"}"
  ))
  expect_identical(jsonlite::parse_json(write_json(x))$c, x$c)
  expect_identical(write_json(integer()), "[]")
  expect_error(write_json(list(sum)))
})

test_that("any text comes back", {
  texts <- c("", "a\"b\\c/d", "\u20ac\U1F600", "line\nbreak\ttab\001\037\177", "</script>")
  for (text in texts) {
    expect_identical(jsonlite::parse_json(write_json(list(text)))[[1]], text)
    named <- list(1L)
    names(named) <- paste0("k", text)
    expect_identical(names(jsonlite::parse_json(write_json(named))), paste0("k", text))
  }
})
