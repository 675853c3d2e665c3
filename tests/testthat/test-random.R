test_that("a key from a seed depends on the seed alone and leaves R's generator alone", {
  withr::local_preserve_seed()
  set.seed(1)
  before <- rng_state()
  keys <- lapply(c(0L, 1L, -1L, .Machine$integer.max, -.Machine$integer.max), draw_key)
  expect_identical(rng_state(), before)
  expect_identical(draw_key(-1L), draw_key(-1))
  expect_length(unique(keys), 5L)
  for (key in keys) {
    expect_length(key, 2L)
    expect_true(all(key == trunc(key) & key >= 0 & key < 2^32))
  }
})

test_that("a key without a seed comes from R's generator", {
  withr::local_preserve_seed()
  set.seed(7)
  first <- draw_key()
  second <- draw_key()
  expect_false(identical(first, second))
  expect_true(all(first == trunc(first) & first >= 0 & first < 2^32))
  set.seed(7)
  expect_identical(draw_key(), first)
})

test_that("uniform numbers lie inside (0, 1) and are a function of the key", {
  u <- philox_uniform(50000, draw_key(3L))
  expect_length(u, 50000L)
  expect_true(all(u > 0 & u < 1))
  expect_identical(philox_uniform(50000, draw_key(3L)), u)
  expect_false(any(philox_uniform(1000, draw_key(4L)) == u[1:1000]))
  expect_identical(philox_uniform(0, draw_key(3L)), numeric())
})

test_that("uniform numbers are uniform and not correlated with their neighbors", {
  u <- philox_uniform(50000, draw_key(11L))
  expect_gt(stats::ks.test(u, "punif")$p.value, 1e-4)
  neighbors <- cor(u[-1], u[-length(u)])
  expect_lt(abs(neighbors), 5 / sqrt(length(u)))
  other_seed <- philox_uniform(50000, draw_key(12L))
  expect_lt(abs(cor(u, other_seed)), 5 / sqrt(length(u)))
})

test_that("truncated normal numbers stay within two standard deviations", {
  z <- philox_truncated_normal(50000, draw_key(5L))
  expect_lte(max(abs(z)), 2)
  expect_gt(max(z), 1.9)
  expect_lt(min(z), -1.9)
  expect_lt(abs(sd(z) - truncated_normal_sd), 5 * truncated_normal_sd / sqrt(2 * 50000))
  expect_lt(abs(mean(z)), 5 * truncated_normal_sd / sqrt(50000))
})

test_that("normal numbers are the quantiles of the uniform ones, wherever R is asked for leave", {
  key <- draw_key(6L)
  below <- stats::pnorm(-2)
  for (n in c(0, 1, 65535, 65536, 65537, 131072, 131073)) {
    u <- philox_uniform(n, key)
    expect_identical(u, philox_uniform(2e5, key)[seq_len(n)])
    expect_identical(philox_uniform(n, key, c(-1, 2), c(0, 0.3)), 0.3 * (2 * u - 1))
    expect_identical(philox_normal(n, key), stats::qnorm(u))
    expect_identical(philox_normal(n, key, c(0.7, 1.3)), 0.7 + 1.3 * stats::qnorm(u))
    expect_identical(
      philox_truncated_normal(n, key, c(0.7, 1.3)),
      0.7 + 1.3 * stats::qnorm(below + u * (1 - 2 * below))
    )
  }
})

test_that("set_random_seed() makes everything reproducible", {
  withr::local_preserve_seed()
  expect_invisible(set_random_seed(5))
  a <- initializer_glorot_uniform()(c(3, 4))
  b <- stats::runif(2)
  set_random_seed(5L)
  expect_identical(initializer_glorot_uniform()(c(3, 4)), a)
  expect_identical(stats::runif(2), b)
  expect_identical(set_random_seed(-3), -3L)
})

test_that("set_random_seed() refuses what is not a whole number", {
  withr::local_preserve_seed()
  set.seed(1)
  before <- rng_state()
  expect_all_refused(set_random_seed, c(not_a_number(), list(NULL, 1.5, 2^31)), "seed")
  expect_error(set_random_seed(), class = "attn_error_argument")
  expect_identical(rng_state(), before)
})
