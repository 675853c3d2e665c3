# What Keras's attention_test.py asserts. See README.md for what is not here.

softmax_rows <- function(x) exp(x) / rowSums(exp(x))

random_list <- function(...) lapply(list(...), random_array)

test_that("run_layer_test holds with score_mode dot and dropout [test_attention_basics]", {
  expect_layer_test("Attention", list(score_mode = "dot", dropout = 0.5),
    list(c(2, 3, 4), c(2, 4, 4)), c(2, 3, 4),
    n_weights = 0, dropout = TRUE
  )
})

test_that("run_layer_test holds with scale, concat and dropout [test_attention_basics]", {
  expect_layer_test("Attention", list(use_scale = TRUE, score_mode = "concat", dropout = 0.5),
    list(c(2, 3, 4), c(2, 4, 4)), c(2, 3, 4),
    n_weights = 2, dropout = TRUE
  )
})

test_that("the config keeps the seed [test_attention_seed_preserved_in_config]", {
  layer <- layer_attention(seed = 1337)
  expect_equal(get_config(layer)$seed, 1337)
  expect_equal(layer$from_config(get_config(layer))$seed, 1337)
  expect_equal(from_config(get_config(layer))$seed, 1337)
})

test_that("dot scores give the numbers known [test_attention_correctness]", {
  result <- layer_attention(score_mode = "dot")(
    keras_small_inputs(),
    return_attention_scores = TRUE
  )
  expect_lte(max(abs(result[[1]][1, , ] - rbind(c(2.462, 3.462), c(1.538, 2.538)))), 1e-3)
  expect_lte(max(abs(plain(result[[2]])[1, , ] - rbind(c(0.269, 0.731), c(0.731, 0.269)))), 1e-3)
})

test_that("concat scores give the numbers known [test_attention_correctness]", {
  result <- layer_attention(score_mode = "concat")(
    keras_small_inputs(),
    return_attention_scores = TRUE
  )
  expect_lte(max(abs(result[[1]][1, , ] - rbind(c(1.727, 2.727), c(2.272, 3.272)))), 1e-3)
  expect_lte(max(abs(plain(result[[2]])[1, , ] - rbind(c(0.636, 0.363), c(0.363, 0.636)))), 1e-3)
})

test_that("the query mask empties rows, not scores [test_attention_with_mask]", {
  inputs <- keras_small_inputs()
  inputs[[2]] <- array(1, c(1, 2, 2))
  mask <- matrix(c(TRUE, FALSE), 1)
  result <- layer_attention()(inputs, mask = list(mask, mask), return_attention_scores = TRUE)
  expect_equal(plain(result[[1]])[1, , ], rbind(c(1, 1), c(0, 0)))
  expect_equal(plain(result[[2]])[1, , ], rbind(c(1, 0), c(1, 0)))
})

test_that("masks may have different lengths [test_attention_2D_mask_shape_mismatch]", {
  inputs <- random_list(c(2, 3, 5), c(2, 4, 5), c(2, 4, 5))
  query_mask <- rbind(c(TRUE, TRUE, FALSE), c(TRUE, FALSE, FALSE))
  value_mask <- rbind(c(TRUE, TRUE, FALSE, FALSE), c(TRUE, TRUE, TRUE, FALSE))
  result <- layer_attention()(inputs,
    mask = list(query_mask, value_mask), return_attention_scores = TRUE
  )
  expect_identical(dim(result[[1]]), c(2L, 3L, 5L))
  expect_identical(dim(result[[2]]), c(2L, 3L, 4L))
  expect_true(all(result[[1]][1, 3, ] == 0) && all(result[[1]][2, 2:3, ] == 0))
  expect_true(all(plain(result[[2]])[1, , 3:4] == 0) && all(plain(result[[2]])[2, , 4] == 0))
})

test_that("inputs and masks must be lists of the right length [test_attention_errors]", {
  layer <- layer_attention()
  x <- array(1, c(1, 2, 2))
  expect_attn_error(layer(x), "argument", "must be a list")
  expect_attn_error(layer(list(x, x, x, x)), "argument", "length 2 or 3")
  expect_attn_error(layer(list(x, x), mask = matrix(TRUE, 1, 2)), "argument", "`mask`.*list")
  expect_attn_error(layer(list(x, x), mask = list(matrix(TRUE, 1, 2))), "argument", "length 2 or 3")
})

test_that("training changes output and returned scores [test_attention_with_dropout]", {
  inputs <- random_list(c(2, 8, 4), c(2, 9, 4))
  layer <- layer_attention(dropout = 0.2, seed = 1)
  still <- layer(inputs, return_attention_scores = TRUE, training = FALSE)
  moved <- layer(inputs, return_attention_scores = TRUE, training = TRUE)
  expect_gt(max(abs(moved[[1]] - still[[1]])), 1e-3)
  expect_gt(max(abs(plain(moved[[2]]) - plain(still[[2]]))), 1e-3)
  # The scores are those that made the output.
  first <- plain(moved[[2]])[1, , ] %*% inputs[[2]][1, , ]
  expect_equal(moved[[1]][1, , ], first, tolerance = 1e-5)
})

test_that("other score modes are refused [test_attention_invalid_score_mode]", {
  error <- expect_attn_error(
    layer_attention(score_mode = "scaled_dot"), "argument", "\"dot\".*\"concat\""
  )
  expect_identical(error$argument, "score_mode")
})

test_that("dot scores are q k' times scale [test_attention_calculate_scores_with_scale]", {
  inputs <- random_list(c(1, 3, 4), c(1, 5, 4))
  product <- inputs[[1]][1, , ] %*% t(inputs[[2]][1, , ])
  layer <- layer_attention(use_scale = TRUE, dtype = "float64")
  layer$build(lapply(inputs, dim))
  expect_equal(as.vector(layer$scale), 1)
  for (scale in c(1, -2.5)) {
    set_weights(layer, list(scale))
    scores <- plain(layer(inputs, return_attention_scores = TRUE)[[2]])
    expect_equal(scores[1, , ], softmax_rows(product * scale), tolerance = 1e-12)
  }
})

test_that("no mask hides no key [test_attention_calculate_score_mask_no_causal_no_vmask]", {
  inputs <- random_list(c(2, 4, 3), c(2, 5, 3))
  scores <- layer_attention()(inputs, return_attention_scores = TRUE)[[2]]
  expect_support(scores, matrix(TRUE, 4, 5))
})

test_that(
  "causal masks start at the first key [test_attention_calculate_score_mask_with_causal_no_vmask]",
  {
    for (lengths in list(c(4, 5), c(5, 3))) {
      inputs <- random_list(c(2, lengths[1], 3), c(2, lengths[2], 3))
      scores <- layer_attention()(inputs, use_causal_mask = TRUE, return_attention_scores = TRUE)
      expect_support(scores[[2]], outer(seq_len(lengths[1]), seq_len(lengths[2]), `>=`))
    }
  }
)

test_that(
  "causal and value masks join [test_attention_calculate_score_mask_with_causal_and_vmask]",
  {
    inputs <- random_list(c(2, 4, 3), c(2, 5, 3))
    keys <- c(TRUE, FALSE, TRUE, TRUE, FALSE)
    scores <- layer_attention()(inputs,
      mask = list(NULL, rbind(keys, keys)), use_causal_mask = TRUE, return_attention_scores = TRUE
    )
    expect_support(scores[[2]], outer(1:4, 1:5, `>=`) & matrix(keys, 4, 5, byrow = TRUE))
  }
)

test_that("no mask, no output mask [test_attention_compute_mask_with_no_mask]", {
  inputs <- random_list(c(2, 3, 4), c(2, 3, 4))
  expect_null(layer_attention()$compute_mask(inputs, mask = NULL))
})

test_that("no query mask, no output mask [test_attention_compute_mask_with_first_element_none]", {
  inputs <- random_list(c(2, 3, 4), c(2, 3, 4))
  expect_null(layer_attention()$compute_mask(inputs, mask = list(NULL, matrix(TRUE, 2, 3))))
})

test_that(
  "with masks there is one [test_attention_compute_mask_does_not_return_none_with_valid_mask]",
  {
    inputs <- random_list(c(2, 3, 4), c(2, 3, 4))
    masks <- list(matrix(c(TRUE, FALSE), 2, 3), matrix(TRUE, 2, 3))
    expect_false(is.null(layer_attention()$compute_mask(inputs, mask = masks)))
  }
)

test_that(
  "it is the first [test_attention_compute_mask_returns_correct_tensor_with_valid_mask]",
  {
    inputs <- random_list(c(2, 3, 4), c(2, 3, 4))
    masks <- list(matrix(c(TRUE, FALSE), 2, 3), matrix(TRUE, 2, 3))
    expect_identical(layer_attention()$compute_mask(inputs, mask = masks), masks[[1]])
  }
)

test_that(
  "if all TRUE too [test_attention_compute_mask_returns_correct_tensor_with_all_true_mask]",
  {
    inputs <- random_list(c(2, 3, 4), c(2, 3, 4))
    masks <- list(matrix(TRUE, 2, 3), matrix(FALSE, 2, 3))
    expect_identical(layer_attention()$compute_mask(inputs, mask = masks), masks[[1]])
  }
)

test_that(
  "if all FALSE too [test_attention_compute_mask_returns_correct_tensor_with_all_false_mask]",
  {
    inputs <- random_list(c(2, 3, 4), c(2, 3, 4))
    masks <- list(matrix(FALSE, 2, 3), matrix(TRUE, 2, 3))
    expect_identical(layer_attention()$compute_mask(inputs, mask = masks), masks[[1]])
  }
)

expect_float_mask_kept <- function(step) {
  inputs <- random_list(c(2, 3, 4), c(2, 3, 4))
  mask <- matrix(c(1, 0, 1, 1, 0, 1) + step, 2, 3)
  expect_identical(layer_attention()$compute_mask(inputs, mask = list(mask, mask + 1)), mask)
}

test_that(
  "float masks come back as they are [test_attention_compute_mask_with_tolerance_1e_3]",
  {
    expect_float_mask_kept(1e-3)
  }
)

test_that(
  "to the fifth digit [test_attention_compute_mask_with_tolerance_1e_5]",
  {
    expect_float_mask_kept(1e-5)
  }
)

test_that(
  "to the seventh digit [test_attention_compute_mask_with_tolerance_1e_7]",
  {
    expect_float_mask_kept(1e-7)
  }
)

test_that(
  "a mask of one element keeps its dim [test_attention_compute_mask_with_single_element_masks]",
  {
    inputs <- random_list(c(1, 1, 4), c(1, 1, 4))
    masks <- list(array(TRUE, 1), array(FALSE, 1))
    mask <- layer_attention()$compute_mask(inputs, mask = masks)
    expect_identical(dim(mask), 1L)
    expect_identical(mask, masks[[1]])
  }
)

test_that(
  "integer masks stay integer [test_attention_compute_mask_with_non_boolean_masks]",
  {
    inputs <- random_list(c(2, 3, 4), c(2, 3, 4))
    masks <- list(matrix(c(1L, 0L), 2, 3), matrix(1L, 2, 3))
    expect_identical(layer_attention()$compute_mask(inputs, mask = masks), masks[[1]])
  }
)

test_that("odd masks come back as they are [test_attention_compute_mask_with_edge_case_masks]", {
  inputs <- random_list(c(2, 3, 4), c(2, 3, 4))
  odd <- list(
    matrix(TRUE, 2, 3), matrix(FALSE, 2, 3), matrix(c(TRUE, FALSE), 2, 3), matrix(TRUE, 1, 1),
    matrix(-1, 2, 3)
  )
  for (mask in odd) {
    expect_identical(layer_attention()$compute_mask(inputs, mask = list(mask, NULL)), mask)
  }
})

test_that("whatever the inputs [test_attention_compute_mask_with_different_input_shapes]", {
  masks <- list(matrix(c(TRUE, FALSE), 2, 3), matrix(TRUE, 2, 3))
  for (shape in list(c(1, 2, 3), c(2, 3, 4), c(5, 6, 7, 8), c(9, 1))) {
    inputs <- random_list(shape, shape)
    expect_identical(layer_attention()$compute_mask(inputs, mask = masks), masks[[1]])
  }
})

test_that("the output has the value's width [test_attention_compute_output_shape]", {
  inputs <- random_list(c(2, 3, 4), c(2, 3, 5), c(2, 3, 4))
  layer <- layer_attention()
  expect_identical(layer$compute_output_shape(lapply(inputs, dim)), c(2L, 3L, 5L))
  expect_identical(dim(layer(inputs)), c(2L, 3L, 5L))
  expect_identical(layer$compute_output_shape(lapply(inputs, function(x) as.list(dim(x)))),
    c(2L, 3L, 5L)
  )
})

test_that("leading axes are batch axes [test_attention_nd_inputs]", {
  x <- random_array(2, 8, 6, 4)
  result <- layer_attention()(list(x, x), return_attention_scores = TRUE)
  expect_identical(dim(result[[1]]), c(2L, 8L, 6L, 4L))
  expect_identical(dim(result[[2]]), c(2L, 8L, 6L, 6L))
  single <- layer_attention()(list(x[, 3, , ], x[, 3, , ]))
  expect_equal(result[[1]][, 3, , ], single, tolerance = 1e-6)
})

test_that("scores have a row per query [test_return_attention_scores_true]", {
  inputs <- random_list(c(2, 8, 16), c(2, 4, 16))
  result <- layer_attention()(inputs, return_attention_scores = TRUE)
  expect_identical(dim(result[[1]]), c(2L, 8L, 16L))
  expect_identical(dim(result[[2]]), c(2L, 8L, 4L))
  expect_equal(apply(plain(result[[2]]), 1:2, sum), matrix(1, 2, 8), tolerance = 1e-6)
})

test_that("with scores the result is a list of two [test_return_attention_scores_true_and_tuple]", {
  inputs <- random_list(c(2, 8, 16), c(2, 4, 16))
  result <- layer_attention()(inputs, return_attention_scores = TRUE)
  expect_type(result, "list")
  expect_length(result, 2)
  expect_false(is.list(layer_attention()(inputs, return_attention_scores = FALSE)))
})

test_that("output is first, then scores [test_return_attention_scores_true_tuple_then_unpack]", {
  inputs <- random_list(c(2, 8, 16), c(2, 4, 16))
  layer <- layer_attention()
  result <- layer(inputs, return_attention_scores = TRUE)
  shapes <- unname(lapply(result, dim))
  expect_identical(shapes, list(c(2L, 8L, 16L), c(2L, 8L, 4L)))
  expect_s3_class(result[[2]], "attn_scores")
  expect_equal(result[[1]], layer(inputs), tolerance = 1e-6)
})

test_that("symbols have scores [test_return_attention_scores_with_symbolic_tensors]", {
  inputs <- list(keras_input(c(3, 5)), keras_input(c(4, 5)))
  result <- layer_attention()(inputs, return_attention_scores = TRUE)
  expect_identical(dim(result[[1]]), c(NA, 3L, 5L))
  expect_identical(dim(result[[2]]), c(NA, 3L, 4L))
})

test_that(
  "a call with scores leaves no trace [test_symbolic_call_does_not_leak_return_attention_scores]",
  {
    layer <- layer_attention()
    layer(random_list(c(2, 3, 5), c(2, 4, 5)), return_attention_scores = TRUE)
    output <- layer(list(keras_input(c(3, 5)), keras_input(c(4, 5))))
    expect_s3_class(output, "keras_tensor")
    expect_identical(dim(output), c(NA, 3L, 5L))
    expect_identical(layer$compute_output_shape(list(c(NA, 3, 5), c(NA, 4, 5))), c(NA, 3L, 5L))
  }
)
