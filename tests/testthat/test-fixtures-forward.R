# Every golden case of real Keras, in both precisions.

test_that("golden cases in float64", {
  for (case in golden_cases()) expect_case(case, "float64")
})

test_that("golden cases in float32", {
  for (case in golden_cases()) expect_case(case, "float32")
})

test_that("golden cases by the plain computation", {
  config_disable_flash_attention()
  withr::defer(config_enable_flash_attention())
  for (case in golden_cases()) expect_case(case, "float64")
})

test_that("any number of threads gives the same bits", {
  old <- attn_threads()
  withr::defer(attn_threads(old))
  for (case in golden_cases()) {
    attn_threads(1)
    one <- run_case(case, "float32")$result
    attn_threads(2)
    expect_identical(run_case(case, "float32")$result, one, label = case$id)
  }
})

test_that("a layer that its first call built computes the same", {
  for (case in c(fixture("mha")[c(1, 16, 24)], fixture("additive")[1])) {
    layer <- make_layer(case$layer, case$config, dtype = "float64")
    call_case(layer, case)
    expect_true(layer$built)
    set_weights(layer, case$weights)
    error <- max(abs(call_case(layer, case)$output - case$output))
    expect_lte(error, case$tol * max(1, max(abs(case$output))))
  }
})

test_that("compute_output_shape agrees with the cases", {
  for (case in golden_cases()) {
    layer <- make_layer(case$layer, case$config)
    shapes <- unname(lapply(case$inputs, dim))
    if (is.null(case$computed_shape)) {
      expect_attn_error(do.call(layer$compute_output_shape, shapes), "shape")
    } else {
      expected <- as.integer(case$computed_shape)
      expect_identical(do.call(layer$compute_output_shape, shapes), expected)
      expect_identical(layer$compute_output_shape(shapes), expected)
    }
  }
})
