test_that("penalties are what they say", {
  x <- array(c(-1, 2, -3, 4), c(2, 1, 2))
  expect_equal(regularizer_l1(0.5)(x), 5)
  expect_equal(regularizer_l2(0.5)(x), 15)
  expect_equal(regularizer_l1_l2(0.5, 0.25)(x), 12.5)
  expect_identical(regularizer_l1_l2()(c(1, Inf)), 0)
  expect_identical(regularizer_l2(1)(50000L), 2.5e9)
  expect_identical(regularizer_l2()(numeric()), 0)
  expect_identical(regularizer_l2(2)(3), 18)
})

test_that("factors of L1 and orthogonal are 32-bit, those of L2 and L1L2 are not", {
  expect_identical(get_config(regularizer_l1())$l1, 0.009999999776482582)
  expect_identical(regularizer_l1()(1), 0.009999999776482582)
  expect_identical(get_config(regularizer_orthogonal())$factor, 0.009999999776482582)
  expect_identical(get_config(regularizer_l2())$l2, 0.01)
  expect_identical(get_config(regularizer_l1_l2(0.1, 0.2)), list(l1 = 0.1, l2 = 0.2))
})

test_that("NULL is the default factor", {
  expect_identical(get_config(regularizer_l1(NULL)), get_config(regularizer_l1()))
  expect_identical(get_config(regularizer_l2(NULL)), get_config(regularizer_l2()))
  expect_identical(get_config(regularizer_l1_l2(NULL, NULL)), list(l1 = 0, l2 = 0))
})

test_that("weight losses and the layer's own activity loss are Keras's", {
  for (case in readRDS(test_path("fixtures", "losses.rds"))) {
    given <- lapply(case[c("kernel_regularizer", "bias_regularizer")], function(json) {
      as_regularizer(from_json(json), "layer")
    })
    is_kernel <- grepl("kernel$", names(case$weights))
    penalties <- Map(function(weight, kernel) {
      regularizer <- given[[if (kernel) 1L else 2L]]
      if (is.null(regularizer)) NULL else regularizer(weight)
    }, case$weights, is_kernel)
    penalties <- unlist(penalties, use.names = FALSE)
    expect_gt(length(penalties), 0L)
    expect_equal(penalties, tail(as.vector(case$losses), length(penalties)), tolerance = 1e-12)

    activity <- as_regularizer(from_json(case$activity_regularizer), "layer")
    if (!is.null(activity)) {
      last_activity <- case$losses[length(case$losses) - length(penalties)]
      expect_equal(activity(case$output) / dim(case$output)[1], last_activity, tolerance = 1e-12)
    }
  }
})

test_that("the orthogonal penalty is the mean absolute cosine over pairs", {
  w <- rbind(c(1, 0), c(1, 1), c(0, 2))
  cosines <- c(sqrt(0.5), 0, sqrt(0.5))
  expect_equal(regularizer_orthogonal(2)(w), 2 * mean(cosines))
  expect_equal(
    regularizer_orthogonal(2, "columns")(w),
    2 * abs(sum(w[, 1] * w[, 2])) / sqrt(sum(w[, 1]^2) * sum(w[, 2]^2))
  )
  expect_identical(regularizer_orthogonal(1)(diag(3)), 0)
  expect_identical(regularizer_orthogonal(1)(matrix(0, 2, 3)), 0)
  expect_identical(regularizer_orthogonal(1)(matrix(1, 1, 3)), 0)
})

test_that("the orthogonal penalty is for matrices", {
  for (x in list(1, 1:3, array(1, c(2, 2, 2)), array(1, 3))) {
    expect_error(regularizer_orthogonal()(x), class = "attn_error_shape")
  }
})

test_that("bad factors and modes are refused", {
  bad <- c(not_a_number(), list(-1))
  expect_all_refused(regularizer_l1, bad, "l1")
  expect_all_refused(regularizer_l2, bad, "l2")
  expect_all_refused(regularizer_l1_l2, bad, "l1")
  expect_all_refused(function(x) regularizer_l1_l2(0, x), bad, "l2")
  expect_all_refused(regularizer_orthogonal, c(bad, list(NULL)), "factor")
  expect_all_refused(
    function(x) regularizer_orthogonal(0.01, x),
    list(NULL, NA, "row", c("rows", "columns"), 1, factor("rows")), "mode"
  )
})

test_that("regularizers refuse what is not numeric", {
  bad <- list(NULL, "a", TRUE, list(1), data.frame(a = 1), factor("a"), mean)
  for (regularizer in list(regularizer_l1(), regularizer_l1_l2(), regularizer_orthogonal())) {
    expect_all_refused(regularizer, bad, "x")
  }
  expect_error(regularizer_l2()(), class = "attn_error_argument")
})
