test_that("a symbolic tensor has shape, dtype and name", {
  x <- keras_input(shape = c(8, 16), name = "x")
  expect_s3_class(x, "keras_tensor")
  expect_identical(dim(x), c(NA, 8L, 16L))
  expect_identical(x$shape, c(NA, 8L, 16L))
  expect_identical(x$dtype, "float32")
  expect_identical(x$name, "x")
  expect_identical(list(x$sparse, x$ragged, x$optional), list(FALSE, FALSE, FALSE))
  expect_identical(x$ndim, 3L)
  expect_identical(format(x), "<KerasTensor shape=(NA, 8, 16), dtype=float32, name=x>")
  expect_output(print(x), "<KerasTensor shape=(NA, 8, 16), dtype=float32, name=x>", fixed = TRUE)
  expect_output(str(x), "KerasTensor")
  expect_identical(length(x), 1L)
  expect_true(all.equal(x, x))
  expect_match(keras_input(3)$name, "^keras_tensor(_[0-9]+)?$")
  expect_identical(lengths(list(c(x, x)))[[1]], 2L)
})

test_that("shapes may be written in several ways", {
  expect_identical(dim(keras_input(list(NULL, 16))), c(NA, NA, 16L))
  expect_identical(dim(keras_input(c(NA, 16))), c(NA, NA, 16L))
  expect_identical(dim(keras_input(NA)), c(NA_integer_, NA_integer_))
  expect_identical(dim(keras_input(integer())), NA_integer_)
  expect_identical(dim(keras_input(5, batch_size = 2)), c(2L, 5L))
  expect_identical(dim(keras_input(batch_shape = list(NULL, 5))), c(NA, 5L))
  expect_identical(keras_input(5, dtype = "int32")$dtype, "int32")
  x <- keras_input(5)
  expect_identical(keras_input(tensor = x), x)
})

test_that("the default dtype is config_floatx()", {
  old <- config_set_floatx("float64")
  withr::defer(config_set_floatx(old))
  expect_identical(keras_input(5)$dtype, "float64")
})

test_that("what is no input is a classed error", {
  for (bad in list(
    "a", 1.5, -1, 0, Inf, NaN, 2^31, TRUE, list("a"), list(1:2), mean, matrix(1, 2, 2)
  )) {
    expect_attn_error(keras_input(bad), "argument", "shape")
    expect_attn_error(keras_input(batch_shape = bad), "argument", "batch_shape")
  }
  expect_attn_error(keras_input(), "argument", "shape")
  expect_attn_error(keras_input(3, sparse = TRUE), "argument", "sparse")
  expect_attn_error(keras_input(3, ragged = TRUE), "argument", "ragged")
  expect_attn_error(keras_input(3, dtype = "foo"), "argument", "dtype")
  expect_attn_error(keras_input(3, batch_size = 0), "argument", "batch_size")
  expect_attn_error(keras_input(3, batch_shape = c(NA, 3)), "argument", "batch_shape")
  expect_attn_error(keras_input(batch_shape = list()), "argument", "batch_shape")
  expect_attn_error(keras_input(tensor = 1), "argument", "tensor")
  expect_attn_error(keras_input(3, tensor = keras_input(3)), "argument", "shape")
  expect_attn_error(keras_input(3, name = 1), "argument", "name")
  expect_attn_error(keras_input(3, optional = NULL), "argument", "optional")
})

test_that("tensors cannot be changed or indexed", {
  x <- keras_input(3)
  expect_attn_error(x$shape <- 1, "read_only")
  expect_attn_error(x[["shape"]] <- 1, "read_only")
  expect_attn_error(x$foo, "argument")
  expect_attn_error(x[[1]], "argument")
  expect_attn_error(x[1], "argument")
  expect_identical(x[["shape"]], c(NA, 3L))
})

test_that("Keras's documented examples work", {
  layer <- layer_multi_head_attention(num_heads = 2, key_dim = 2)
  target <- keras_input(shape = c(8, 16))
  source <- keras_input(shape = c(4, 16))
  result <- layer(target, source, return_attention_scores = TRUE)
  expect_identical(dim(result[[1]]), c(NA, 8L, 16L))
  expect_identical(dim(result[[2]]), c(NA, 2L, 8L, 4L))
  expect_true(layer$built)
  layer <- layer_multi_head_attention(num_heads = 2, key_dim = 2, attention_axes = c(2, 3))
  input <- keras_input(shape = c(5, 3, 4, 16))
  expect_identical(dim(layer(input, input)), c(NA, 5L, 3L, 4L, 16L))
  result <- layer(input, input, return_attention_scores = TRUE)
  expect_identical(dim(result[[2]]), c(NA, 5L, 2L, 3L, 4L, 3L, 4L))
  gqa <- layer_group_query_attention(head_dim = 4, num_query_heads = 4, num_key_value_heads = 2)
  result <- gqa(keras_input(c(10, 32)), keras_input(c(15, 32)), return_attention_scores = TRUE)
  expect_identical(dim(result[[1]]), c(NA, 10L, 32L))
  expect_identical(dim(result[[2]]), c(NA, 4L, 10L, 15L))
  result <- layer_attention()(
    list(keras_input(c(3, 5)), keras_input(c(4, 5))),
    return_attention_scores = TRUE
  )
  expect_identical(dim(result[[1]]), c(NA, 3L, 5L))
  expect_identical(dim(result[[2]]), c(NA, 3L, 4L))
})

test_that("symbolic outputs know the call that made them", {
  layer <- layer_multi_head_attention(num_heads = 2, key_dim = 2, dtype = "float64")
  target <- keras_input(c(8, 16))
  outputs <- layer(target, target, use_causal_mask = TRUE, return_attention_scores = TRUE)
  expect_identical(outputs[[1]]$dtype, "float64")
  expect_identical(outputs[[1]]$node, outputs[[2]]$node)
  expect_identical(c(outputs[[1]]$index, outputs[[2]]$index), 1:2)
  node <- outputs[[1]]$node
  expect_identical(node$inputs$query, target)
  expect_true(node$arguments$use_causal_mask)
  expect_identical(layer_self(node$layer), layer_self(layer))
  expect_length(target$node$inputs, 0)
  expect_identical(class(target$node$layer)[1], "attn_layer_input_layer")
})

test_that("masks of symbolic calls are checked as far as shapes are known", {
  layer <- layer_multi_head_attention(num_heads = 2, key_dim = 2)
  x <- keras_input(c(8, 16))
  expect_identical(dim(layer(x, x, attention_mask = keras_input(c(8, 8)))), c(NA, 8L, 16L))
  expect_attn_error(layer(x, x, attention_mask = keras_input(c(8, 7))), "shape")
  expect_attn_error(layer(x, x, attention_mask = matrix(TRUE, 7, 8)), "shape")
  z <- keras_input(c(8, 8, 16))
  two <- layer_multi_head_attention(num_heads = 2, key_dim = 2)
  expect_attn_error(two(z, z, use_causal_mask = TRUE), "shape")
})

test_that("a width must be known to build", {
  x <- keras_input(c(8, NA))
  expect_attn_error(layer_multi_head_attention(num_heads = 2, key_dim = 2)(x, x), "shape")
  expect_attn_error(layer_additive_attention()(list(x, x)), "shape")
})

test_that("a layer called symbolically then computes", {
  layer <- layer_attention()
  symbolic <- layer(list(keras_input(c(3, 4)), keras_input(c(5, 4))))
  expect_identical(dim(symbolic), c(NA, 3L, 4L))
  expect_identical(dim(layer(list(random_array(2, 3, 4), random_array(2, 5, 4)))), c(2L, 3L, 4L))
})
