# Sequential models, against their layers called one after the other.

test_that("layers are added by pipes, in place", {
  model <- keras_model_sequential(input_shape = 4, name = "stack")
  expect_invisible(model |> layer_dense(units = 3, activation = "relu", name = "one"))
  expect_invisible(layer_dense(model, units = 2, name = "two"))
  expect_identical(vapply(model$layers, function(layer) layer$name, ""), c("one", "two"))
  expect_identical(model$input_shape, c(NA, 4L))
  expect_identical(model$output_shape, c(NA, 2L))
  expect_true(model$built)
  x <- matrix(rnorm(12), 3)
  expected <- model$layers[[2]](model$layers[[1]](x))
  expect_equal(model(x), expected, tolerance = 1e-6)
  same <- keras_model_sequential(input_shape = 4, layers = model$layers)
  expect_identical(same(x), model(x))
  layer <- layer_dense(units = 5)
  expect_identical(dim(layer(model)(x)), c(3L, 5L))
  expect_length(model$layers, 3)
})

test_that("piped layers are named in the order in which they are written", {
  model <- keras_model_sequential() |>
    layer_dense(units = 3) |>
    layer_dense(units = 2)
  names <- vapply(model$layers, function(layer) layer$name, "")
  count <- as.integer(sub("^dense_?", "", names))
  count[is.na(count)] <- 0L
  expect_identical(diff(count), 1L)
})

test_that("without an input shape the first call builds, or build()", {
  make <- function() keras_model_sequential() |> layer_dense(units = 3) |> layer_dense(units = 2)
  model <- make()
  expect_false(model$built)
  expect_attn_error(model$input_shape, "state")
  expect_attn_error(count_params(model), "state")
  expect_attn_error(set_weights(model, list()), "state")
  x <- matrix(rnorm(12), 3)
  expect_visible(model(x))
  expect_true(model$built)
  expect_identical(model$input_shape, c(NA, 4L))
  expect_identical(dim(model(x[1:2, ])), c(2L, 2L))
  other <- make()
  other$build(c(NA, 4))
  expect_length(other$weights, 4)
  expect_attn_error(other$build(c(NA, 5)), "shape")
  before <- other$get_weights()
  expect_identical(expect_invisible(other$build(list(NULL, 4)))$name, other$name)
  expect_identical(other$get_weights(), before)
  expect_attn_error(make()$build(integer()), "argument", "a shape with the batch axis")
  listed <- make()
  expect_identical(dim(listed(list(x))), c(3L, 2L))
  expect_identical(listed(list(x)), listed(x))
  third <- make()
  expect_identical(dim(predict(third, x)), c(3L, 2L))
  fourth <- make()
  expect_identical(dim(fourth(keras_input(shape = 4))), c(NA, 2L))
  expect_attn_error(keras_model_sequential()(x), "state")
  expect_attn_error(predict(keras_model_sequential(), x), "state")
  expect_attn_error(keras_model_sequential()$build(c(NA, 3)), "state")
})

test_that("a first call that fails leaves nothing built", {
  model <- keras_model_sequential() |>
    layer_dense(units = 3) |>
    layer_reshape(target_shape = 7) |>
    layer_dense(units = 2)
  expect_attn_error(model(matrix(1, 2, 4)), "shape")
  expect_false(model$built)
  expect_false(model$layers[[1]]$built)
  expect_attn_error(model(matrix(1, 2, 4)), "shape")
  # an added layer that does not fit
  model <- keras_model_sequential(input_shape = 4) |> layer_dense(units = 3)
  layer <- layer_reshape(target_shape = 7)
  expect_attn_error(layer(model), "shape")
  expect_length(model$layers, 1)
  expect_false(layer$built)
  expect_identical(dim(model(matrix(1, 2, 4))), c(2L, 3L))
})

test_that("attention in a stack is self-attention, and masks travel", {
  x <- random_array(2, 5, 8)
  mask <- matrix(c(TRUE, TRUE, TRUE, FALSE, TRUE, FALSE, TRUE, FALSE, TRUE, FALSE), 2)
  makers <- list(
    function(...) layer_multi_head_attention(..., num_heads = 2, key_dim = 4),
    function(...) {
      layer_group_query_attention(..., head_dim = 4, num_query_heads = 2, num_key_value_heads = 1)
    },
    function(...) layer_attention(...), function(...) layer_additive_attention(...)
  )
  for (make in makers) {
    model <- keras_model_sequential(input_shape = c(5, 8))
    make(model)
    layer <- model$layers[[1]]
    call <- function(x) if ("query_dense" %in% names(layer)) layer(x, x) else layer(list(x, x))
    expect_equal(model(x), call(x), tolerance = 1e-6)
    masked <- set_keras_mask(x, mask)
    expect_equal(model(masked), call(masked), tolerance = 1e-6)
    expect_identical(get_keras_mask(model(masked)), mask)
    expect_equal(model(x, mask = mask), call(masked), tolerance = 1e-6)
    expect_null(get_keras_mask(predict(model, masked)))
    expect_equal(predict(model, masked, batch_size = 1), plain(call(masked)), tolerance = 1e-6)
  }
})

test_that("layers are removed from the end", {
  model <- keras_model_sequential(input_shape = 4) |>
    layer_dense(units = 3, name = "one") |>
    layer_dense(units = 2, name = "two")
  x <- matrix(rnorm(8), 2)
  first <- model$layers[[1]]
  model(x)
  expect_invisible(pop_layer(model))
  expect_identical(model$output_shape, c(NA, 3L))
  expect_equal(model(x), first(x), tolerance = 1e-6)
  model |> layer_dense(units = 7)
  expect_identical(dim(model(x)), c(2L, 7L))
  pop_layer(model, rebuild = FALSE)
  expect_false(model$built)
  expect_equal(model(x), first(x), tolerance = 1e-6)
  pop_layer(model)
  expect_attn_error(pop_layer(model), "state")
  expect_attn_error(pop_layer(first), "argument")
  open <- keras_model_sequential() |>
    layer_dense(units = 3, name = "one") |>
    layer_dense(units = 2, name = "two")
  expect_identical(pop_layer(open)$name, "two")
  expect_false(open$built)
  expect_identical(dim(open(x)), c(2L, 3L))
  attention <- keras_model_sequential(input_shape = c(3, 4)) |>
    layer_dense(units = 4) |>
    layer_attention()
  pop_layer(attention)
  expect_identical(dim(attention(random_array(2, 3, 4))), c(2L, 3L, 4L))
})

test_that("what cannot be added is refused", {
  model <- keras_model_sequential(input_shape = 4) |> layer_dense(units = 3, name = "one")
  expect_attn_error(layer_dense(model, units = 3, name = "one"), "argument", "one")
  expect_attn_error(keras_model_sequential(layers = list(1)), "argument")
  expect_attn_error(keras_model_sequential(layers = 1), "argument")
  expect_attn_error(keras_model_sequential(input_shape = 4, layers = keras_input(3)), "argument")
  expect_attn_error(keras_model_sequential(input_shape = -1), "argument", "input_shape")
  expect_attn_error(keras_model_sequential(input_dtype = "foo", input_shape = 1), "argument")
  expect_attn_error(keras_model_sequential(trainable = NA), "argument")
  expect_attn_error(keras_model_sequential(foo = 1), "argument")
  expect_attn_error(keras_model_sequential(name = ""), "argument")
  expect_attn_error(layer_dense(layer_dense(units = 1), units = 2), "argument")
  expect_attn_error(model(model), "argument", "itself")
  expect_length(model$layers, 1)
})

test_that("a model takes the arguments of its input", {
  model <- keras_model_sequential(
    input_batch_shape = c(2, 3), input_dtype = "float64", input_name = "x",
    layers = list(layer_dense(units = 1))
  )
  expect_identical(model$input_shape, 2:3)
  expect_identical(model$inputs[[1]]$dtype, "float64")
  expect_identical(model$input_names, "x")
  tensor <- keras_input(shape = 3)
  model <- keras_model_sequential(input_tensor = tensor) |> layer_dense(units = 1)
  expect_identical(dim(model$inputs[[1]]), dim(tensor))
  model <- keras_model_sequential(layers = list(keras_input(shape = 3), layer_dense(units = 2)))
  expect_identical(dim(model(matrix(1, 1, 3))), 1:2)
  later <- keras_model_sequential(layers = list(layer_dense(units = 2), keras_input(3, name = "x")))
  expect_identical(later$input_names, "x")
  expect_identical(dim(later(matrix(1, 1, 3))), 1:2)
  expect_length(keras_model_sequential(layers = NULL)$layers, 0)
  layer <- layer_dense(units = 2)
  frozen <- keras_model_sequential(input_shape = 3, trainable = FALSE, layers = layer)
  expect_length(frozen$trainable_weights, 0)
})

test_that("a stack is a layer of other models, also when it grows later", {
  inner <- keras_model_sequential(input_shape = 4) |> layer_dense(units = 4)
  x <- matrix(rnorm(8), 2)
  outer <- keras_model_sequential(input_shape = 4, layers = list(inner, layer_dense(units = 2)))
  expect_equal(outer(x), outer$layers[[2]](inner(x)), tolerance = 1e-6)
  inner |> layer_dense(units = 4, activation = "tanh")
  expect_equal(outer(x), outer$layers[[2]](inner(x)), tolerance = 1e-6)
  expect_length(outer$weights, 6)
})

test_that("the first layer may bring the shape of the input", {
  x <- array(stats::rnorm(2 * 5 * 4), c(2, 5, 4))
  model <- keras_model_sequential() |>
    layer_multi_head_attention(num_heads = 2, key_dim = 3, input_shape = c(NA, 4)) |>
    layer_dense(units = 2, input_shape = 99)
  expect_identical(model$input_shape, c(NA, NA, 4L))
  expect_length(model$layers, 2L)
  other <- keras_model_sequential(input_shape = c(NA, 4)) |>
    layer_multi_head_attention(num_heads = 2, key_dim = 3) |>
    layer_dense(units = 2)
  set_weights(other, get_weights(model))
  expect_identical(predict(other, x), predict(model, x))
  from_list <- keras_model_sequential(layers = list(layer_flatten(input_shape = list(5, 4))))
  expect_identical(from_list$output_shape, c(NA, 20L))
  expect_identical(predict(from_config(get_config(model)), x) |> dim(), c(2L, 5L, 2L))
  # elsewhere it says nothing
  expect_identical(dim(layer_dense(keras_input(3), units = 2, input_shape = 4)), c(NA, 2L))
  expect_attn_error(layer_dense(units = 2, input_shape = -1), "argument", "input_shape")
  expect_attn_error(layer_add(input_shape = "a"), "argument", "input_shape")
  # a layer that does not fit leaves the model without an input
  empty <- keras_model_sequential()
  expect_attn_error(
    empty |> layer_conv_1d(filters = 2, kernel_size = 3, input_shape = 4), "shape"
  )
  expect_length(empty$layers, 0L)
  expect_false(empty$built)
  empty |> layer_dense(units = 2, input_shape = 4)
  expect_identical(empty$output_shape, c(NA, 2L))
})
