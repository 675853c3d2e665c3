# What real Keras refuses; the calls are in helper-refused-calls.R.

test_that("every row of the fixture is here", {
  rows <- vapply(fixture("errors"), function(row) paste0(row$layer, ": ", row$bad), "")
  expect_setequal(c(names(refused_calls()), accepted_calls), rows)
})

test_that("what Keras refuses is refused with a classed error", {
  calls <- refused_calls()
  for (name in names(calls)) {
    error <- tryCatch(calls[[name]](), error = identity)
    expect_s3_class(error, "attn_error")
    expect_match(conditionMessage(error), "layer_", fixed = TRUE, label = name)
    if (inherits(error, c("attn_error_argument", "attn_error_shape"))) {
      expect_false(is.null(error$argument), label = name)
      expect_false(is.null(error$received), label = name)
    }
  }
})

test_that("what is accepted here works", {
  x <- random_array(2, 3, 4)
  for (make in list(
    function(...) layer_multi_head_attention(num_heads = 2, key_dim = 2, ...),
    function(...) {
      layer_group_query_attention(
        head_dim = 2, num_query_heads = 2, num_key_value_heads = 1, ...
      )
    }
  )) {
    layer <- make(flash_attention = TRUE, dropout = 0.1)
    result <- layer(x, x, return_attention_scores = TRUE, training = TRUE)
    expect_identical(dim(result[[1]]), c(2L, 3L, 4L))
    expect_identical(dim(result[[2]]), c(2L, 2L, 3L, 3L))
  }
  layer <- layer_multi_head_attention(num_heads = 2, key_dim = 2, output_shape = 8)
  expect_identical(dim(layer(x, x)), c(2L, 3L, 8L))
  expect_attn_error(
    layer_multi_head_attention(num_heads = 2, key_dim = 2, output_shape = 8.5), "argument"
  )
  expect_warning(layer_additive_attention(score_mode = "dot"), class = "attn_warning")
})
