test_that("weights have Keras's order, names and shapes", {
  mha <- layer_multi_head_attention(
    num_heads = 2, key_dim = 3, value_dim = 5, use_gate = TRUE, output_shape = c(6, 7)
  )
  mha$build(c(NA, 4, 8), c(NA, 4, 9), c(NA, 4, 10))
  expect_identical(lapply(mha$weights, dim), list(
    "query/kernel" = c(8L, 2L, 3L), "query/bias" = 2:3,
    "key/kernel" = c(10L, 2L, 3L), "key/bias" = 2:3,
    "gate/kernel" = c(8L, 2L, 5L), "gate/bias" = c(2L, 5L),
    "value/kernel" = c(9L, 2L, 5L), "value/bias" = c(2L, 5L),
    "attention_output/kernel" = c(2L, 5L, 6L, 7L), "attention_output/bias" = c(6L, 7L)
  ))
  gqa <- layer_group_query_attention(
    head_dim = 3, num_query_heads = 4, num_key_value_heads = 2, use_bias = FALSE, use_gate = TRUE
  )
  gqa$build(c(NA, 4, 8), c(NA, 4, 8))
  expect_identical(lapply(gqa$weights, dim), list(
    "query/kernel" = c(8L, 4L, 3L), "key/kernel" = c(8L, 2L, 3L),
    "gate/kernel" = c(8L, 4L, 3L), "value/kernel" = c(8L, 2L, 3L),
    "attention_output/kernel" = c(4L, 3L, 8L)
  ))
  attention <- layer_attention(use_scale = TRUE, score_mode = "concat")
  attention$build(c(NA, 4, 8), c(NA, 4, 8))
  expect_identical(attention$weights, list(scale = 1, concat_score_weight = 1))
  for (layer in list(mha, gqa, attention)) {
    native <- .Call(ffi_layer_weight_names, layer_self(layer)$handle)
    expect_identical(names(layer$weights), native)
    expect_identical(unname(layer$weights), get_weights(layer))
    expect_identical(layer$get_weights(), get_weights(layer))
    expect_identical(count_params(layer), sum(lengths(layer$weights)) + 0)
    expect_identical(layer$count_params(), count_params(layer))
  }
})

test_that("a layer without weights has none", {
  layer <- layer_attention()
  layer$build(c(NA, 4, 8), c(NA, 4, 8))
  expect_identical(get_weights(layer), list())
  expect_identical(count_params(layer), 0)
  expect_identical(set_weights(layer, list()), layer)
  expect_attn_error(set_weights(layer, list(1)), "weights")
})

test_that("set_weights() and get_weights() are inverse, up to the precision", {
  for (dtype in c("float32", "float64")) {
    layer <- layer_multi_head_attention(num_heads = 2, key_dim = 3, dtype = dtype)
    layer$build(c(NA, 4, 5), c(NA, 4, 5))
    new <- lapply(get_weights(layer), function(w) array(stats::rnorm(length(w)), dim(w)))
    expect_identical(set_weights(layer, new), layer)
    expected <- lapply(new, round_to_dtype, dtype = dtype)
    expect_identical(get_weights(layer), expected)
    # By name, in any order; vectors for weights of rank 1.
    named <- rev(stats::setNames(new, names(layer$weights)))
    set_weights(layer, lapply(get_weights(layer), function(w) w * 0))
    named[["attention_output/bias"]] <- as.vector(named[["attention_output/bias"]])
    layer$set_weights(named)
    expect_identical(get_weights(layer), expected)
  }
})

test_that("weights that do not fit change nothing", {
  layer <- layer_multi_head_attention(num_heads = 2, key_dim = 3)
  layer$build(c(NA, 4, 5), c(NA, 4, 5))
  before <- get_weights(layer)
  zeros <- lapply(before, function(w) w * 0)
  for (bad in list(
    zeros[-1], c(zeros, list(1)), 1, NULL, "a", list(), data.frame(a = 1), mean,
    replace(zeros, 8, list("a")), replace(zeros, 8, list(1:3)), replace(zeros, 1, list(NULL)),
    replace(zeros, 1, list(aperm(zeros[[1]]))), replace(zeros, 1, list(factor("a")))
  )) {
    expect_attn_error(set_weights(layer, bad), "weights")
    expect_identical(get_weights(layer), before)
  }
  expect_attn_error(set_weights(layer), "argument")
})

test_that("layers that are not built say so", {
  layer <- layer_multi_head_attention(num_heads = 2, key_dim = 3)
  expect_identical(get_weights(layer), list())
  expect_length(layer$weights, 0)
  expect_attn_error(count_params(layer), "state")
  expect_attn_error(set_weights(layer, list(1)), "state")
})

test_that("get_weights() chooses by trainable", {
  layer <- layer_additive_attention()
  layer$build(c(NA, 4, 5), c(NA, 4, 5))
  expect_length(get_weights(layer, trainable = TRUE), 1)
  expect_length(get_weights(layer, trainable = FALSE), 0)
  layer$trainable <- FALSE
  expect_length(get_weights(layer, trainable = TRUE), 0)
  expect_length(get_weights(layer, trainable = FALSE), 1)
  expect_attn_error(get_weights(layer, trainable = "a"), "argument")
})

test_that("generics refuse what is no layer", {
  expect_attn_error(get_weights(1), "argument")
  expect_attn_error(set_weights(1, list()), "argument")
  expect_attn_error(count_params("a"), "argument")
  expect_attn_error(get_config(mean), "argument")
})

test_that("unseeded initializers draw anew for each weight, seeded ones do not", {
  layer <- layer_multi_head_attention(num_heads = 2, key_dim = 4, use_gate = TRUE,
    kernel_initializer = initializer_truncated_normal(stddev = 0.02)
  )
  layer$build(c(NA, 3, 8), c(NA, 3, 8))
  kernels <- layer$weights[grepl("kernel", names(layer$weights))]
  expect_length(unique(lapply(kernels, as.vector)), 5)
  seeded <- layer_multi_head_attention(num_heads = 2, key_dim = 4,
    kernel_initializer = initializer_glorot_uniform(seed = 3)
  )
  seeded$build(c(NA, 3, 8), c(NA, 3, 8))
  expect_identical(seeded$query_dense$kernel, seeded$key_dense$kernel)
  expect_identical(seeded$query_dense$kernel, seeded$value_dense$kernel)
})

test_that("set.seed() makes first weights reproducible", {
  make <- function() {
    set.seed(10)
    layer <- layer_multi_head_attention(num_heads = 2, key_dim = 4)
    layer$build(c(NA, 3, 8), c(NA, 3, 8))
    get_weights(layer)
  }
  expect_identical(make(), make())
})

test_that("initializers may be functions, arrays and NULL", {
  layer <- layer_multi_head_attention(num_heads = 2, key_dim = 4,
    kernel_initializer = function(shape, dtype) array(seq_len(prod(shape)), shape),
    bias_initializer = "ones"
  )
  layer$build(c(NA, 3, 8), c(NA, 3, 8))
  expect_identical(layer$query_dense$kernel, array(as.double(1:64), c(8, 2, 4)))
  expect_identical(layer$query_dense$bias, matrix(1, 2, 4))
  none <- layer_multi_head_attention(num_heads = 2, key_dim = 4, kernel_initializer = NULL)
  none$build(c(NA, 3, 8), c(NA, 3, 8))
  expect_gt(stats::sd(none$query_dense$kernel), 0)
})

test_that("a build that fails leaves the layer unbuilt", {
  layer <- layer_multi_head_attention(num_heads = 2, key_dim = 4,
    bias_initializer = function(shape, dtype) stop("no")
  )
  expect_error(layer$build(c(NA, 3, 8), c(NA, 3, 8)), "no")
  expect_false(layer$built)
  wrong <- layer_multi_head_attention(num_heads = 2, key_dim = 4,
    kernel_initializer = function(shape, dtype) 1
  )
  expect_attn_error(wrong$build(c(NA, 3, 8), c(NA, 3, 8)), "shape")
  expect_false(wrong$built)
})

test_that("build() takes shapes as arguments or as a list, for every layer", {
  for (make in list(
    function() layer_multi_head_attention(num_heads = 2, key_dim = 4),
    function() {
      layer_group_query_attention(head_dim = 2, num_query_heads = 2, num_key_value_heads = 1)
    },
    layer_attention, layer_additive_attention
  )) {
    for (shapes in list(
      list(c(2, 3, 8), c(2, 4, 8)), list(c(NA, NA, 8), c(NA, NA, 8), c(NA, NA, 8)),
      list(list(NULL, 3, 8), list(NULL, 4, 8))
    )) {
      layer <- make()
      expect_identical(do.call(layer$build, shapes), layer)
      expect_true(layer$built)
      layer <- make()
      layer$build(shapes)
      expect_true(layer$built)
    }
    layer <- make()
    for (bad in list(
      list(), list(NULL), list(c(2, 3, 8)), list(c(2, 3, 8), "a"),
      list(c(2, 3, 8), c(3, 4, 8)), list(c(2, 8), c(2, 8)), list(c(2, 3, 8), c(2, 4, 2, 8)),
      list(c(2, 3, 8), c(2, 4, 8), c(2, 5, 8)), list(c(2, 0, 8), c(2, 4, 8))
    )) {
      expect_attn_error(do.call(layer$build, bad))
      expect_false(layer$built)
    }
  }
})

test_that("the last dims must be known where a weight depends on them", {
  unknown <- list(c(2, 3, NA), c(2, 4, NA))
  for (layer in list(
    layer_multi_head_attention(num_heads = 2, key_dim = 4),
    layer_group_query_attention(head_dim = 2, num_query_heads = 2, num_key_value_heads = 1),
    layer_additive_attention()
  )) {
    expect_attn_error(do.call(layer$build, unknown), "shape")
    expect_false(layer$built)
  }
  x <- array(sin(1:24), c(2, 3, 4))
  for (layer in list(
    layer_attention(use_scale = TRUE), layer_additive_attention(use_scale = FALSE)
  )) {
    do.call(layer$build, unknown)
    expect_true(layer$built)
    expect_identical(dim(layer(list(x, x))), dim(x))
    again <- unserialize(serialize(layer, NULL))
    expect_identical(again(list(x, x)), layer(list(x, x)))
  }
})

test_that("building again changes nothing, and fails for shapes that do not fit", {
  layer <- layer_multi_head_attention(num_heads = 2, key_dim = 4)
  layer$build(c(NA, 3, 8), c(NA, 3, 8))
  weights <- get_weights(layer)
  layer$build(c(5, 7, 8), c(5, 9, 8))
  expect_identical(get_weights(layer), weights)
  expect_attn_error(layer$build(c(NA, 3, 6), c(NA, 3, 8)), "shape")
  expect_attn_error(layer$build(c(NA, 3, 3, 8), c(NA, 3, 3, 8)), "shape")
})

test_that("losses follow the weights, the last call and trainable", {
  x <- random_array(2, 3, 4)
  layer <- layer_multi_head_attention(num_heads = 1, key_dim = 2, dtype = "float64",
    kernel_regularizer = regularizer_l2(0.5), activity_regularizer = function(x) sum(x^2)
  )
  expect_identical(layer$losses, list())
  layer$build(dim(x), dim(x))
  kernels <- layer$weights[grepl("kernel", names(layer$weights))]
  expect_equal(layer$losses, unname(lapply(kernels, function(w) 0.5 * sum(w^2))))
  output <- layer(x, x)
  expect_length(layer$losses, 8)
  expect_equal(layer$losses[[4]], sum(output^2) / 2)
  first <- layer$losses
  layer(x * 2, x)
  expect_false(identical(layer$losses, first))
  layer(x, x)
  expect_identical(layer$losses, first)
  set_weights(layer, lapply(get_weights(layer), function(w) w * 0))
  expect_equal(unlist(layer$losses[5:8]), rep(0, 4))
  layer$trainable <- FALSE
  expect_length(layer$losses, 4)
})

test_that("layers without projections regularize their results", {
  x <- random_array(2, 3, 4)
  layer <- layer_attention(activity_regularizer = regularizer_l1(1), dtype = "float64")
  result <- layer(list(x, x), return_attention_scores = TRUE)
  expect_equal(layer$losses, list(sum(abs(result[[1]])) / 2, sum(abs(result[[2]])) / 2))
  layer(list(x, x))
  expect_length(layer$losses, 1)
  gqa <- layer_group_query_attention(
    head_dim = 2, num_query_heads = 2, num_key_value_heads = 1, dtype = "float64",
    activity_regularizer = function(x) sum(abs(x))
  )
  result <- gqa(x, x, return_attention_scores = TRUE)
  expect_equal(gqa$losses[[1]], sum(abs(result[[1]])) / 2)
  expect_equal(gqa$losses[[2]], sum(result[[2]]) / 2)
  expect_equal(gqa$losses[[6]], gqa$losses[[1]])
})

test_that("more shapes than a layer has inputs are refused", {
  layer <- layer_multi_head_attention(num_heads = 1, key_dim = 2)
  shape <- c(1, 2, 3)
  for (shapes in list(list(shape), rep(list(shape), 4))) {
    expect_attn_error(layer$build(shapes), "argument", "two or three shapes")
  }
  expect_attn_error(layer$build(list(shape, shape), shape), "argument", "two or three shapes")
  expect_false(layer$built)
})

test_that("weights for which there is no memory are an error of that kind", {
  for (initializer in c("glorot_uniform", "zeros", "orthogonal")) {
    layer <- layer_dense(units = 1e7, kernel_initializer = initializer)
    expect_attn_error(layer$build(c(NA, 2e7)), "memory", "layer \"")
    expect_false(layer$built)
  }
  # R's own function asks for the memory
  layer <- layer_dense(units = 1.6e7, kernel_initializer = "identity")
  expect_attn_error(layer$build(c(NA, 1.6e7)), "memory", "no weight \"[^\"]*\" of shape")
})
