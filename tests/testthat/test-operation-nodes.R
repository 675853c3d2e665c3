# Operations of Keras as nodes of a model.

operation_node <- attn:::operation_node

# The arrays that a model of one operation gives.
operated <- function(class_name, x, args = list(), config = list(), dtype = "float64") {
  type <- if (is.logical(x)) "bool" else if (is.integer(x)) "int32" else dtype
  input <- keras_input(batch_shape = c(NA, dim(x)[-1L]), dtype = type)
  output <- operation_node(class_name, NULL, c(list(input), args), list(), config)
  result <- keras_model(input, output)(x)
  known <- dim(output)
  expect_identical(length(dim(result)), length(known), info = class_name)
  expect_true(all(dim(result) == known, na.rm = TRUE), info = class_name)
  result
}

test_that("masks as Keras saves them are computed", {
  tokens <- keras_input(shape = 4, dtype = "int32")
  first <- operation_node("NotEqual", "not_equal", list(tokens, 0L))
  second <- operation_node("LogicalOr", "logical_or", list(first, first))
  expect_identical(first$dtype, "bool")
  expect_identical(dim(second), c(NA, 4L))
  expect_identical(second$node$layer$name, "logical_or")
  x <- rbind(c(3L, 5L, 0L, 0L), c(0L, 1L, 2L, 0L))
  expect_identical(keras_model(tokens, second)(x), x != 0L)
  # and what reads them, as an explicit mask does
  embedded <- keras_input(shape = c(4, 2))
  attention <- layer_attention(dtype = "float64")
  masked <- attention(list(embedded, embedded), mask = list(first, second))
  model <- keras_model(list(tokens, embedded), masked)
  y <- array(stats::rnorm(16), c(2, 4, 2))
  wanted <- attention(list(y, y), mask = list(x != 0L, x != 0L))
  expect_equal(plain(model(list(x, y))), plain(wanted), tolerance = 1e-6)
})

test_that("the node keeps what it was made from, and its layer what Keras writes", {
  tokens <- keras_input(shape = 4, dtype = "int32")
  node <- operation_node("NotEqual", "not_equal_3", list(tokens, 0L))$node
  expect_identical(node$inputs[[2L]], 0L)
  expect_identical(node$inputs[[1L]]$node, tokens$node)
  expect_identical(node$arguments, list())
  expect_identical(get_config(node$layer), list(name = "not_equal_3"))
  dict <- serialize_keras_object(node$layer)
  expect_identical(dict, list(
    module = "keras.src.ops.numpy", class_name = "NotEqual",
    config = list(name = "not_equal_3"), registered_name = "NotEqual"
  ))
  any <- operation_node("Any", NULL, list(tokens), list(), list(axis = -1L, keepdims = FALSE))
  expect_identical(get_config(any$node$layer)[-1L], list(axis = -1L, keepdims = FALSE))
  by_name <- operation_node("Add", NULL, list(tokens), list(x2 = 1L))
  expect_identical(by_name$node$inputs[[2L]], 1L)
})

test_that("reductions are those of R over any axes", {
  set.seed(1)
  x <- array(stats::rnorm(120), c(2, 3, 4, 5))
  functions <- list(Sum = sum, Mean = mean, Max = max, Min = min)
  for (class_name in names(functions)) {
    f <- functions[[class_name]]
    last <- operated(class_name, x, config = list(axis = -1L, keepdims = FALSE))
    expect_equal(last, apply(x, 1:3, f), tolerance = 1e-14)
    middle <- operated(class_name, x, config = list(axis = list(1L, 2L), keepdims = FALSE))
    expect_equal(middle, apply(x, c(1, 4), f), tolerance = 1e-14)
    kept <- operated(class_name, x, config = list(axis = 1L, keepdims = TRUE))
    expect_equal(kept, array(apply(x, c(1, 3, 4), f), c(2, 1, 4, 5)), tolerance = 1e-14)
  }
  all_axes <- operated("Sum", x, config = list(axis = NULL, keepdims = TRUE))
  expect_equal(all_axes, array(sum(x), c(1, 1, 1, 1)))
  flags <- x > 0.5
  expect_identical(operated("Any", flags, config = list(axis = 3L)), apply(flags, 1:3, any))
  expect_identical(operated("All", flags, config = list(axis = 2L)), apply(flags, c(1, 2, 4), all))
  expect_identical(operated("Sum", flags, config = list(axis = 3L)), apply(flags, 1:3, sum))
  ids <- array(1:24, c(2, 3, 4))
  expect_identical(operated("Max", ids, config = list(axis = 1L)), apply(ids, c(1, 3), max))
  with_nan <- matrix(c(1, NaN, 3, NaN, 2, 5), 2)
  expect_identical(operated("Max", with_nan, config = list(axis = 1L, keepdims = TRUE)),
    matrix(c(3, NaN))
  )
})

test_that("axes are put in, taken away, turned and cut anew", {
  x <- array(as.double(1:24), c(2, 3, 1, 4))
  expect_identical(dim(operated("ExpandDims", x, config = list(axis = -1L))), c(2L, 3L, 1L, 4L, 1L))
  expect_identical(operated("ExpandDims", x, config = list(axis = list(1L, 3L))),
    array(x, c(2, 1, 3, 1, 1, 4))
  )
  expect_identical(operated("Squeeze", x, config = list(axis = 2L)), array(x, c(2, 3, 4)))
  expect_identical(operated("Squeeze", x), array(x, c(2, 3, 4)))
  none <- array(x, c(2, 3, 4))
  expect_identical(operated("Squeeze", none), none)
  turned <- operated("Transpose", x, config = list(axes = list(0L, 3L, 1L, 2L)))
  expect_identical(turned, aperm(x, c(1, 4, 2, 3)))
  expect_identical(operated("Transpose", x), aperm(x))
  ids <- array(1:24, c(2, 3, 4))
  expect_identical(operated("Transpose", ids, config = list(axes = list(0L, -1L, 1L))),
    aperm(ids, c(1, 3, 2))
  )
  cut <- operated("Reshape", x, config = list(newshape = list(-1L, 6L)))
  expect_identical(cut, aperm(array(aperm(x), c(6, 4))))
})

test_that("a choice, a maximum and functions are those of R", {
  x <- matrix(c(-1.5, 2, 0.25, -3, 4, 1), 2)
  input <- keras_input(shape = 3, dtype = "float64")
  chosen <- operation_node("Where", NULL, list(input > 0, input, 0))
  expect_identical(keras_model(input, chosen)(x), ifelse(x > 0, x, 0))
  expect_identical(operated("Maximum", x, list(0.5)), pmax(x, 0.5))
  expect_identical(operated("Minimum", x, list(0.5)), pmin(x, 0.5))
  whole <- matrix(c(-3L, 5L, 0L, 2L), 2)
  expect_identical(operated("Maximum", whole, list(1L)), pmax(whole, 1L))
  expect_identical(operated("Minimum", whole, list(1L)), pmin(whole, 1L))
  functions <- list(Absolute = abs, Square = function(x) x^2, Exp = exp)
  for (class_name in names(functions)) {
    expect_equal(operated(class_name, x), functions[[class_name]](x), tolerance = 1e-15)
    expect_equal(operated(class_name, x, dtype = "float32"), functions[[class_name]](x),
      tolerance = 1e-6
    )
  }
  expect_equal(operated("Sqrt", abs(x)), sqrt(abs(x)), tolerance = 1e-15)
  expect_equal(operated("Log", abs(x)), log(abs(x)), tolerance = 1e-15)
  expect_identical(operated("LogicalXor", x > 0, list(TRUE)), !(x > 0))
})

test_that("results are the same for any number of threads", {
  before <- attn_threads()
  on.exit(attn_threads(before))
  x <- array(stats::rnorm(2 * 300 * 64), c(2, 300, 64))
  input <- keras_input(shape = c(300, 64))
  model <- keras_model(input, (input^2 + 1) / (input * 3 - 0.1))
  attn_threads(1)
  alone <- model(x)
  attn_threads(2)
  expect_identical(model(x), alone)
})

test_that("what Keras does not have, or has otherwise, is refused by its name", {
  x <- keras_input(shape = 3)
  config_error <- function(...) {
    expect_error(operation_node(...), class = "attn_error_config")
  }
  config_error("System", NULL, list(x))
  config_error(NULL, NULL, list(x))
  config_error(c("Add", "Add"), NULL, list(x, x))
  config_error("Add", NULL, list(x))
  config_error("Add", NULL, list(x, x, x))
  config_error("Add", NULL, list(1, 2))
  config_error("Add", NULL, list(x, x), list(x1 = x))
  config_error("Add", NULL, list(x), list(y = x))
  config_error("Add", NULL, list(x, x), list(), list(axis = 1))
  config_error("Any", NULL, list(x), list(), list(axis = 5L))
  config_error("Any", NULL, list(x), list(), list(axis = "a"))
  config_error("Any", NULL, list(x), list(), list(axis = list(1L, 1L)))
  config_error("Transpose", NULL, list(x), list(), list(axes = list(0L)))
  expect_error(operation_node("Squeeze", NULL, list(x), list(), list(axis = 1L)),
    class = "attn_error_shape"
  )
  expect_error(operation_node("Reshape", NULL, list(x), list(), list(newshape = list(-1L, -1L))),
    class = "attn_error_argument"
  )
  expect_error(operation_node("Add", "a/b", list(x, x)), class = "attn_error_argument")
  expect_error(operation_node("Add", NULL, list(x, "b")), class = "attn_error_argument")
  expect_error((x + 1)$node$layer(x), class = "attn_error_argument")
  again <- (x + 1)$node$layer
  for (call in list(function() again(list(x)), function() again(list(matrix(1, 2, 3))))) {
    expect_attn_error(call(), "argument", "belongs to the tensors that it was made for")
  }
  expect_attn_error(again$compute_output_shape(c(NA, 3)), "argument", "belongs to the tensors")
  full <- keras_input(batch_shape = rep(1, 16))
  expect_attn_error(operation_node("ExpandDims", NULL, list(full)), "shape", "fewer than 16 dims")
  expect_attn_error(
    operation_node("ExpandDims", NULL, list(x), list(), list(axis = as.list(0:14))), "shape"
  )
  expect_error(from_config(list(class_name = "NotEqual", config = list())), class = "attn_error")
})

test_that("the dtype of a calculation is the widest, and numbers give way to tensors", {
  tensor <- function(dtype) keras_input(shape = 3, dtype = dtype)
  dtype_of <- function(...) operation_node("Add", NULL, list(...))$dtype
  expect_identical(dtype_of(tensor("bool"), tensor("bool")), "bool")
  expect_identical(dtype_of(tensor("bool"), TRUE), "bool")
  expect_identical(dtype_of(tensor("bool"), 2L), "int32")
  expect_identical(dtype_of(tensor("int32"), tensor("int64")), "int64")
  expect_identical(dtype_of(tensor("int32"), tensor("uint8")), "int32")
  expect_identical(dtype_of(tensor("int64"), 2L), "int64")
  expect_identical(dtype_of(tensor("int32"), 2.5), "float32")
  expect_identical(dtype_of(tensor("float32"), tensor("float64")), "float64")
  expect_identical(dtype_of(tensor("float16"), tensor("bfloat16")), "float32")
  expect_identical(dtype_of(tensor("float64"), 2.5), "float64")
  expect_identical(dtype_of(tensor("float16"), 2.5), "float16")
  in_float64()
  expect_identical(dtype_of(tensor("int32"), 2.5), "float64")
  expect_identical(dtype_of(tensor("float32"), 2.5), "float32")
})
