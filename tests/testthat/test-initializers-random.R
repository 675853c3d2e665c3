# Mean and variance of n numbers within 5 standard errors of what they should be
# (the standard error of a variance is largest for normal numbers among those here).
expect_moments <- function(x, mean, variance) {
  n <- length(x)
  expect_lt(abs(mean(x) - mean), 5 * sqrt(variance / n))
  expect_lt(abs(mean((x - mean)^2) - variance), 5 * variance * sqrt(2 / n))
}

test_that("moments are those of the distribution", {
  n <- c(200, 250)
  expect_moments(initializer_random_normal(1, 2, seed = 1)(n), 1, 4)
  expect_moments(initializer_random_uniform(-1, 3, seed = 1)(n), 1, 16 / 12)
  expect_moments(initializer_truncated_normal(1, 2, seed = 1)(n), 1, 4 * truncated_normal_sd^2)
  expect_moments(initializer_glorot_uniform(1)(n), 0, 2 / 450)
  expect_moments(initializer_glorot_normal(2)(n), 0, 2 / 450)
  expect_moments(initializer_he_uniform(3)(n), 0, 2 / 200)
  expect_moments(initializer_he_normal(4)(n), 0, 2 / 200)
  expect_moments(initializer_lecun_uniform(5)(n), 0, 1 / 200)
  expect_moments(initializer_lecun_normal(6)(n), 0, 1 / 200)
})

test_that("variance scaling does every mode and distribution", {
  n <- c(200, 250)
  fan <- c(fan_in = 200, fan_out = 250, fan_avg = 225)
  for (mode in names(fan)) {
    for (distribution in c("uniform", "normal", "truncated_normal", "untruncated_normal")) {
      w <- initializer_variance_scaling(3, mode, distribution, seed = 9)(n)
      variance <- 3 / fan[[mode]]
      expect_moments(w, 0, variance)
      largest <- max(abs(w)) / sqrt(variance)
      if (distribution == "uniform") {
        expect_lte(largest, sqrt(3) + 1e-6)
      } else if (distribution == "untruncated_normal") {
        expect_gt(largest, 3)
      } else {
        expect_lte(largest, 2 / truncated_normal_sd + 1e-6)
      }
    }
  }
  expect_identical(get_config(initializer_variance_scaling(distribution = "Normal"))$distribution,
    "truncated_normal"
  )
  expect_identical(
    initializer_variance_scaling(seed = 1)(n), initializer_lecun_normal(seed = 1)(n)
  )
  expect_identical(
    initializer_variance_scaling(1, "fan_avg", "uniform", 1)(n), initializer_glorot_uniform(1)(n)
  )
})

test_that("ranges hold", {
  uniform <- initializer_random_uniform(2, 3, seed = 1)(10000)
  expect_true(all(uniform >= 2 & uniform <= 3))
  expect_lt(min(uniform), 2.01)
  expect_gt(max(uniform), 2.99)
  truncated <- initializer_truncated_normal(5, 0.5, seed = 1)(10000)
  expect_true(all(truncated >= 4 & truncated <= 6))
  expect_identical(initializer_random_normal(3, 0)(2), array(3, 2))
  expect_identical(initializer_random_uniform(2, 2)(2), array(2, 2))
})

test_that("an integer seed gives the same numbers every time and leaves R alone", {
  withr::local_preserve_seed()
  set.seed(1)
  before <- rng_state()
  makers <- list(
    initializer_glorot_uniform, initializer_glorot_normal, initializer_he_uniform,
    initializer_he_normal, initializer_lecun_uniform, initializer_lecun_normal,
    initializer_random_normal, initializer_random_uniform, initializer_truncated_normal,
    initializer_variance_scaling, initializer_orthogonal
  )
  for (make in makers) {
    init <- make(seed = -7)
    w <- init(c(3, 4))
    expect_identical(init(c(3, 4)), w)
    expect_identical(make(seed = -7L)(c(3, 4)), w)
    expect_false(identical(make(seed = 8)(c(3, 4)), w))
    expect_identical(get_config(init)$seed, -7L)
  }
  expect_identical(rng_state(), before)
})

test_that("without a seed, numbers come from R's generator, anew at each call", {
  withr::local_preserve_seed()
  makers <- list(initializer_he_normal, initializer_random_uniform, initializer_orthogonal)
  for (make in makers) {
    init <- make()
    set.seed(2)
    first <- init(c(3, 4))
    second <- init(c(3, 4))
    expect_false(identical(first, second))
    set.seed(2)
    expect_identical(init(c(3, 4)), first)
    expect_identical(init(c(3, 4)), second)
  }
})

test_that("orthogonal matrices are orthogonal, also for more axes and with a gain", {
  for (shape in list(c(5, 3), c(3, 5), c(4, 4), c(1, 3), c(2, 3, 4), c(2, 3, 8), c(2, 2, 2, 3))) {
    w <- initializer_orthogonal(2, seed = 1)(shape, "float64")
    expect_identical(dim(w), as.integer(shape))
    # Row-major flattening of all axes but the last, as Keras does.
    rank <- length(shape)
    flat <- t(matrix(aperm(w, rank:1), nrow = shape[rank]))
    gram <- if (nrow(flat) >= ncol(flat)) crossprod(flat) else tcrossprod(flat)
    expect_equal(gram, 4 * diag(nrow(gram)), tolerance = 1e-12)
  }
  for (shape in list(3, integer())) {
    expect_error(initializer_orthogonal()(shape), class = "attn_error_shape")
  }
})

test_that("orthogonal matrices favor no sign", {
  corner <- vapply(1:400, function(seed) {
    initializer_orthogonal(seed = seed)(c(2, 2), "float64")[1, 1]
  }, 0)
  expect_moments(corner, 0, 0.5)
})

test_that("bad arguments are refused", {
  bad <- c(not_a_number(), list(NULL))
  for (make in list(initializer_random_normal, initializer_truncated_normal)) {
    expect_all_refused(make, bad, "mean")
    expect_all_refused(function(x) make(stddev = x), c(bad, list(-1)), "stddev")
  }
  expect_all_refused(initializer_random_uniform, bad, "minval")
  expect_all_refused(function(x) initializer_random_uniform(0, x), c(bad, list(-1)), "maxval")
  expect_all_refused(initializer_variance_scaling, c(bad, list(0, -1)), "scale")
  bad_names <- list(NULL, NA, 1, "foo", character(), c("fan_in", "fan_out"), factor("fan_in"))
  expect_all_refused(function(x) initializer_variance_scaling(mode = x), bad_names, "mode")
  expect_all_refused(
    function(x) initializer_variance_scaling(distribution = x), bad_names, "distribution"
  )
  expect_all_refused(initializer_orthogonal, bad, "gain")
  bad_seeds <- c(not_a_number(), list(1.5, 2^31))
  for (make in list(
    initializer_glorot_uniform, initializer_random_normal, initializer_random_uniform,
    initializer_truncated_normal, initializer_variance_scaling, initializer_orthogonal
  )) {
    expect_all_refused(function(x) make(seed = x), bad_seeds, "seed")
  }
})
