test_that("projections are Keras's", {
  cases <- readRDS(test_path("fixtures", "constraints.rds"))
  for (case in cases) {
    dict <- list(class_name = sub("\\(.*", "", case$name), config = from_json(case$config))
    constraint <- as_constraint(dict, "layer")
    expect_equal(constraint(case$w), case$value, tolerance = 1e-14)
    expect_equal(from_json(to_json(get_config(constraint))), from_json(case$config))
  }
})

test_that("axes count from 1 in R and from 0 in the config", {
  expect_identical(get_config(constraint_maxnorm()), list(max_value = 2L, axis = 0L))
  expect_identical(get_config(constraint_maxnorm(1.5, 2))$axis, 1L)
  expect_identical(get_config(constraint_unitnorm(-1))$axis, -1L)
  expect_identical(get_config(constraint_unitnorm(c(1, 3)))$axis, list(0L, 2L))
  expect_identical(get_config(constraint_unitnorm(NULL)), list(axis = NULL))
  expect_identical(to_json(get_config(constraint_maxnorm())), "{\"max_value\":2,\"axis\":0}")
  from_dict <- as_constraint(list(class_name = "UnitNorm", config = list(axis = list(0L))), "l")
  expect_identical(get_config(from_dict)$axis, list(0L))
  expect_identical(to_json(get_config(from_dict)), "{\"axis\":[0]}")
})

test_that("norms are taken along the axes", {
  w <- array(rnorm(24), c(2, 3, 4))
  norms <- function(x, kept) sqrt(apply(x^2, kept, sum))
  expect_equal(norms(constraint_unitnorm(1)(w), 2:3), matrix(1, 3, 4), tolerance = 1e-6)
  expect_equal(norms(constraint_unitnorm(2)(w), c(1, 3)), matrix(1, 2, 4), tolerance = 1e-6)
  expect_equal(constraint_unitnorm(-1)(w), constraint_unitnorm(3)(w))
  expect_equal(norms(constraint_unitnorm(c(3, 1))(w), 2), rep(1, 3), tolerance = 1e-6)
  expect_equal(sqrt(sum(constraint_unitnorm(NULL)(w)^2)), 1, tolerance = 1e-6)
  expect_equal(constraint_unitnorm(c(1, 3))(w), constraint_unitnorm(c(3, 1))(w))
})

test_that("max and min-max norms keep what is inside and move what is not", {
  w <- cbind(c(3, 4), c(0.3, 0.4))
  expect_equal(constraint_maxnorm(1)(w), cbind(c(0.6, 0.8), c(0.3, 0.4)), tolerance = 1e-6)
  expect_equal(constraint_minmaxnorm(1, 2)(w), cbind(c(1.2, 1.6), c(0.6, 0.8)), tolerance = 1e-6)
  expect_equal(constraint_minmaxnorm(1, 2, rate = 0)(w), w, tolerance = 1e-6)
  expect_equal(
    constraint_minmaxnorm(0, 1, rate = 0.5)(w), cbind(c(1.8, 2.4), c(0.3, 0.4)),
    tolerance = 1e-6
  )
  expect_identical(constraint_unitnorm()(matrix(0, 2, 2)), matrix(0, 2, 2))
})

test_that("shape and attributes stay, integers become doubles", {
  w <- structure(array(1:6, c(1, 6)), note = "kept")
  projected <- constraint_maxnorm(1, axis = 2)(w)
  expect_identical(attributes(projected), attributes(w))
  expect_type(projected, "double")
  expect_equal(sqrt(sum(projected^2)), 1, tolerance = 1e-6)
  expect_equal(constraint_maxnorm(1)(c(3, 4)), c(0.6, 0.8), tolerance = 1e-6)
  expect_identical(constraint_nonneg()(c(-1, 0, 2, NaN)), c(0, 0, 2, NaN))
  expect_identical(constraint_unitnorm()(array(0, c(0, 3))), array(0, c(0, 3)))
})

test_that("bad arguments are refused", {
  bad <- c(not_a_number(), list(NULL, -1))
  expect_all_refused(constraint_maxnorm, bad, "max_value")
  expect_all_refused(constraint_minmaxnorm, bad, "min_value")
  expect_all_refused(function(x) constraint_minmaxnorm(0, x), bad, "max_value")
  expect_all_refused(function(x) constraint_minmaxnorm(0.5, x), list(0.4), "max_value")
  expect_all_refused(function(x) constraint_minmaxnorm(rate = x), c(bad, list(1.5)), "rate")
  bad_axes <- list(
    0, NA, NaN, Inf, 1.5, "a", TRUE, numeric(), c(1, 1), list(1), data.frame(a = 1),
    factor("a"), 2^31
  )
  expect_all_refused(function(x) constraint_maxnorm(axis = x), bad_axes, "axis")
  expect_all_refused(function(x) constraint_minmaxnorm(axis = x), bad_axes, "axis")
  expect_all_refused(constraint_unitnorm, bad_axes, "axis")
  from_dict <- function(axis) {
    as_constraint(list(class_name = "UnitNorm", config = list(axis = axis)), "layer")
  }
  bad_dict_axes <- list("a", 0.5, list(0, 0), list("a"), list(list(0, 1)), NA)
  expect_all_refused(from_dict, bad_dict_axes, "constraint")
})

test_that("an axis that the weight has not is refused", {
  for (axis in list(3, -3, c(1, -2))) {
    expect_error(constraint_unitnorm(axis)(diag(2)), class = "attn_error_shape")
  }
  expect_all_refused(constraint_nonneg(), list(NULL, "a", TRUE, list(1), data.frame(a = 1)), "w")
  expect_error(constraint_maxnorm()(), class = "attn_error_argument")
})

test_that("a config whose list of axes is empty means all of them, as in Keras", {
  config <- list(class_name = "MaxNorm", config = list(max_value = 2, axis = list()))
  constraint <- deserialize_keras_object(config)
  expect_null(get_config(constraint)$axis)
  w <- matrix(1:4 + 0, 2)
  expect_equal(constraint(w), w * 2 / sqrt(sum(w^2)), tolerance = 1e-6)
})
