test_that("it computes the formula", {
  in_float64()
  set.seed(1)
  query <- random_array(2, 4, 4, 3)
  key <- random_array(2, 5, 4, 3)
  value <- random_array(2, 5, 4, 6)
  expect_equal(
    op_dot_product_attention(query, key, value), oracle_op(query, key, value),
    tolerance = 1e-12
  )
  expect_equal(
    op_dot_product_attention(query, key, value, scale = 2, is_causal = TRUE),
    oracle_op(query, key, value, scale = 2, is_causal = TRUE),
    tolerance = 1e-12
  )
  for (groups in c(1, 2)) {
    few <- key[, , seq_len(groups), , drop = FALSE]
    values <- value[, , seq_len(groups), , drop = FALSE]
    expect_equal(
      op_dot_product_attention(query, few, values), oracle_op(query, few, values),
      tolerance = 1e-12
    )
  }
})

test_that("bias, mask and soft cap act in Keras's order", {
  in_float64()
  set.seed(2)
  query <- random_array(2, 4, 2, 3)
  key <- random_array(2, 5, 2, 3)
  value <- random_array(2, 5, 2, 3)
  for (shape in list(
    c(2, 2, 4, 5), c(1, 2, 4, 5), c(4, 5), c(1, 5), 5, c(2, 1, 1, 5), c(2, 1, 5)
  )) {
    bias <- array(3 * stats::rnorm(prod(shape)), shape)
    mask <- array(stats::runif(prod(shape)) < 0.6, shape)
    for (cap in list(NULL, 1.5)) {
      for (flash in list(NULL, FALSE)) {
        expect_equal(
          op_dot_product_attention(query, key, value,
            bias = bias, mask = mask, attn_logits_soft_cap = cap, flash_attention = flash
          ),
          oracle_op(query, key, value, bias = bias, mask = mask, cap = cap),
          tolerance = 1e-12
        )
      }
    }
  }
})

test_that("an infinite bias hides keys", {
  in_float64()
  query <- random_array(1, 2, 1, 3)
  key <- random_array(1, 3, 1, 3)
  hidden <- c(0, -Inf, 0)
  expect_equal(
    op_dot_product_attention(query, key, key, bias = hidden),
    op_dot_product_attention(query, key, key, mask = is.finite(hidden)),
    tolerance = 1e-12
  )
})

test_that("the precision is that of the session", {
  query <- random_array(1, 4, 1, 3)
  single <- op_dot_product_attention(query, query, query)
  expect_identical(single, round_to_dtype(single, "float32"))
  in_float64()
  double <- op_dot_product_attention(query, query, query)
  expect_false(identical(single, double))
  expect_equal(single, double, tolerance = 1e-6)
})

test_that("shapes and values that do not fit are classed errors", {
  query <- random_array(2, 4, 4, 3)
  key <- random_array(2, 5, 4, 3)
  op <- op_dot_product_attention
  expect_attn_error(op(), "argument", "query")
  expect_attn_error(op(query), "argument", "key")
  expect_attn_error(op(query, key), "argument", "value")
  expect_attn_error(op(random_array(2, 4, 3), key, key), "shape", "query")
  expect_attn_error(op(query, random_array(3, 5, 4, 3), key), "shape", "key")
  expect_attn_error(op(query, random_array(2, 5, 3, 3), key), "shape", "key")
  expect_attn_error(op(query, random_array(2, 5, 4, 2), key), "shape", "key")
  expect_attn_error(op(query, key, random_array(2, 4, 4, 3)), "shape", "value")
  expect_attn_error(op(array(0, c(2, 0, 4, 3)), key, key), "shape", "query")
  for (bad in list(NULL, "a", 1, list(query), factor("a"), keras_input(c(4, 4, 3)))) {
    expect_attn_error(op(bad, key, key), "argument", "query")
    expect_attn_error(op(query, bad, key), "argument", "key")
    expect_attn_error(op(query, key, bad), "argument", "value")
  }
  for (bad in list(matrix(0, 3, 5), array(0, c(1, 2, 4, 4, 5)), rep(0, 4))) {
    expect_attn_error(op(query, key, key, bias = bad), "shape", "bias")
    expect_attn_error(op(query, key, key, mask = bad), "shape", "mask")
  }
  expect_attn_error(op(query, key, key, bias = "a"), "argument", "bias")
  expect_attn_error(op(query, key, key, mask = NA), "argument", "mask")
  expect_attn_error(op(query, key, key, scale = Inf), "argument", "scale")
  expect_attn_error(op(query, key, key, is_causal = 1), "argument", "is_causal")
  expect_attn_error(op(query, key, key, flash_attention = "a"), "argument", "flash_attention")
  for (bad in list(0, -1, NA, "a", Inf)) {
    expect_attn_error(op(query, key, key, attn_logits_soft_cap = bad), "argument", "soft_cap")
  }
})

test_that("calls with plain arguments are the same with and without R's checks", {
  withr::local_seed(13)
  q <- random_array(2, 3, 4, 5)
  k <- random_array(2, 6, 2, 5)
  v <- random_array(2, 6, 2, 7)
  masks <- list(
    NULL, array(stats::runif(12) < 0.6, c(1, 1, 2, 6)), array(1, 1), rep(c(0, 1), 3),
    array(stats::runif(18) < 0.6, c(3, 6)), array(c(0L, 1L), c(2, 4, 3, 6))
  )
  masks[[2]] <- masks[[2]][, , 1, , drop = FALSE]
  for (floatx in c("float32", "float64")) {
    old <- config_set_floatx(floatx)
    withr::defer(config_set_floatx(old))
    for (mask in masks) for (causal in c(FALSE, TRUE)) for (flash in list(NULL, TRUE, FALSE)) {
      planned <- .Call(ffi_op_call, q, k, v, mask, causal, flash, floatx, TRUE)
      # a scale is what C leaves to R
      by_r <- op_dot_product_attention(q, k, v,
        mask = mask, scale = 1 / sqrt(5), is_causal = causal, flash_attention = flash
      )
      # both arguments are bits that R rounds to the dtype
      if (floatx == "float64") {
        expect_identical(planned, by_r)
      } else {
        expect_equal(planned, by_r, tolerance = 1e-6)
      }
      expect_identical(
        op_dot_product_attention(q, k, v,
          mask = mask, is_causal = causal, flash_attention = flash
        ), planned
      )
    }
  }
  same <- op_dot_product_attention(q, q, q)
  expect_identical(op_dot_product_attention(q, copy_of(q), copy_of(q)), same)
  bad <- list(
    list(q, k, v[, 1:5, , ]), list(q, v, k), list(q[, , 1:3, ], k, v), list(q, k[1, , , ], v),
    list("a", k, v), list(q, k, NULL), list(q, k, v, mask = matrix(NA, 3, 6)),
    list(q, k, v, mask = matrix(TRUE, 3, 5)), list(q, k, v, is_causal = NA),
    list(q, k, v, flash_attention = "a"), list(q, k, v, mask = array(TRUE, rep(1, 5)))
  )
  for (arguments in bad) {
    expect_attn_error(do.call(op_dot_product_attention, arguments, quote = TRUE))
  }
})
