test_that("print shows settings, objects, shapes and parameters", {
  layer <- layer_multi_head_attention(
    num_heads = 2, key_dim = 3, kernel_regularizer = "l2", name = "shown",
    bias_initializer = "ones", kernel_constraint = function(w) w
  )
  lines <- utils::capture.output(result <- print(layer))
  expect_identical(result, layer)
  expect_match(lines[1], "layer_multi_head_attention.*shown")
  expect_match(lines, "num_heads = 2", all = FALSE)
  expect_match(lines, "kernel_regularizer: .*L2", all = FALSE)
  expect_match(lines, "bias_initializer: .*Ones", all = FALSE)
  expect_match(lines, "kernel_constraint: a function", all = FALSE)
  expect_match(lines, "not built yet", all = FALSE)
  layer$build(c(NA, 5, 4), c(NA, 6, 4))
  lines <- utils::capture.output(print(layer))
  expect_match(lines, "(NA, 5, 4)", fixed = TRUE, all = FALSE)
  expect_match(lines, "118 parameters in 8 weights", all = FALSE)
  layer$trainable <- FALSE
  expect_match(utils::capture.output(print(layer)), "not trainable", all = FALSE)
})

test_that("format and str are one line", {
  layer <- layer_attention(name = "short")
  expect_match(format(layer), "short.*not built")
  expect_length(utils::capture.output(str(layer)), 1)
  layer$build(c(1, 2, 3), c(1, 2, 3))
  expect_match(format(layer), "0 parameters")
})

test_that("summary has one row per weight", {
  layer <- layer_multi_head_attention(num_heads = 2, key_dim = 3)
  expect_identical(nrow(summary(layer)$weights), 0L)
  layer$build(c(NA, 5, 4), c(NA, 6, 4))
  table <- summary(layer)$weights
  expect_identical(table$weight, names(layer$weights))
  expect_identical(sum(table$parameters), count_params(layer))
  expect_output(print(summary(layer)), "attention_output/kernel")
})

test_that("projections print their shapes", {
  layer <- layer_multi_head_attention(num_heads = 2, key_dim = 3, kernel_constraint = "non_neg")
  layer$build(c(NA, 5, 4), c(NA, 6, 4))
  lines <- utils::capture.output(print(layer$query_dense))
  expect_match(lines, "kernel (4, 2, 3)", fixed = TRUE, all = FALSE)
  expect_match(lines, "kernel_constraint", all = FALSE)
})
