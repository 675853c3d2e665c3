# What random calls with bad arguments (tools/verify/calls.R) have found.

test_that("a name in `...` is never taken for an argument of the package's own functions", {
  x <- random_array(2, 3, 4)
  layers <- list(
    layer_dense(units = 2), layer_multi_head_attention(num_heads = 1, key_dim = 1),
    layer_attention(), layer_transformer_encoder(intermediate_dim = 2, num_heads = 2),
    layer_lambda(f = function(x) x), layer_flatten(),
    keras_model_sequential(layers = list(layer_dense(units = 2)))
  )
  others <- list("a", 1, new.env(), layer_attention(), sum, methods::new("externalptr"))
  for (layer in layers) {
    inputs <- if (inherits(layer, "attn_layer_attention")) list(x, x) else x
    first <- names(formals(layer))[1]
    for (name in c("self", "s", "owner", "known", "kind", "own", "frame")) {
      for (other in others) {
        given <- stats::setNames(list(inputs, other), c(first, name))
        if ("value" %in% names(formals(layer))) given$value <- x
        condition <- expect_attn_error(do.call(layer, given, quote = TRUE), "argument", "unknown")
        expect_identical(condition$argument, name)
      }
    }
  }
  for (name in c("owner", "known", "kind", "unavailable", "others", "dots", "own", "inputs_")) {
    given <- stats::setNames(list(1), name)
    for (f in list(layer_dense, layer_flatten, layer_layer_normalization, layer_attention)) {
      needed <- if ("units" %in% names(formals(f))) list(units = 2)
      expect_attn_error(do.call(f, c(needed, given)), "argument", "unknown")
    }
    for (f in list(layer_add, layer_concatenate, activation_relu)) {
      expect_attn_error(do.call(f, c(list(x), given)), "argument", "unknown")
    }
  }
})

test_that("what cannot be built leaves neither a handle nor used random numbers", {
  layers <- list(
    layer_dropout(rate = 0.5), layer_embedding(input_dim = 3, output_dim = 2),
    layer_dense(units = 2, kernel_initializer = function(shape, ...) {
      stats::runif(1)
      stop("no")
    }),
    layer_multi_head_attention(num_heads = 1, key_dim = 1, bias_initializer = function(...) "a")
  )
  set.seed(1)
  for (layer in layers) {
    before <- as.list(layer_self(layer))
    random <- .Random.seed
    expect_error(if (inherits(layer, "attn_layer_multi_head_attention")) {
      layer$build(c(2, 3, 4), c(2, 3, 4))
    } else if (inherits(layer, "attn_layer_dense")) {
      layer$build(c(2, 3))
    } else {
      layer$build(-5)
    })
    expect_identical(as.list(layer_self(layer))[names(before)], before)
    expect_null(layer_self(layer)$handle)
    expect_identical(.Random.seed, random)
  }
  layer <- layers[[3]]
  expect_error(layer(matrix(1, 2, 3)), "no")
  expect_identical(.Random.seed, random)
})

test_that("arguments of all types are looked at before they are used", {
  expect_refused(layer_dot(axes = layer_attention()), "axes")
  expect_refused(layer_dot(axes = "a"), "axes")
  expect_refused(layer_permute(dims = 1:1e9), "dims")
  embedding <- layer_embedding(input_dim = 3, output_dim = 2, mask_zero = TRUE)
  expect_refused(embedding$compute_mask(mean), "inputs")
  for (pattern in list(c("a", "b"), 1, NULL, "[", mean)) {
    expect_refused(.DollarNames(embedding, pattern), "pattern")
  }
  tensor <- keras_input(shape = 2)
  expect_attn_error(tensor * list(1), "argument")
  expect_attn_error(list(1, 2) + tensor, "argument")
  text <- "\xff"
  Encoding(text) <- "bytes"
  expect_refused(layer_attention(name = text), "name")
  expect_refused(load_model(text), "model")
})

# Lists that are odd as such: very deep, without end, with the empty symbol, with a name that
# is too long for an argument.
odd_lists <- function() {
  deep <- list()
  for (i in 1:500) deep <- list(deep)
  endless <- list()
  for (i in 1:40) endless <- list(endless, endless)
  list(
    deep = deep, endless = endless, empty = list(quote(expr = )),
    named = list(a = quote(expr = ), quote(expr = )),
    long = stats::setNames(list(diag(2), diag(2)), c(strrep("n", 1e5), "query"))
  )
}

# The call has names of values, not values, so that a list without end is never shown as code.
expect_no_other_error <- function(f, argument, given = list(), label) {
  odd <- odd_lists()
  for (name in names(odd)) {
    given[argument] <- odd[name]
    values <- lapply(seq_along(given), function(i) call("[[", quote(given), i))
    names(values) <- names(given)
    error <- tryCatch(
      {
        utils::capture.output(eval(as.call(c(quote(f), values))))
        NULL
      },
      error = identity
    )
    says <- if (is.null(error)) "" else conditionMessage(error)
    expect_true(
      is.null(error) || (inherits(error, "attn_error") && !inherits(error, "attn_error_internal")),
      label = paste(label, argument, name, substr(says, 1L, 200L))
    )
  }
}

test_that("odd lists are values or classed errors of every function and every layer", {
  skip_on_cran() # for its time alone
  needed <- list(
    layer_multi_head_attention = list(num_heads = 1, key_dim = 2),
    layer_group_query_attention = list(
      head_dim = 2, num_query_heads = 2, num_key_value_heads = 1
    ),
    layer_dense = list(units = 2), layer_embedding = list(input_dim = 3, output_dim = 2),
    layer_transformer_encoder = list(intermediate_dim = 2, num_heads = 1),
    layer_transformer_decoder = list(intermediate_dim = 2, num_heads = 1),
    layer_einsum_dense = list(equation = "ab,bc->ac", output_shape = 2),
    layer_time_distributed = list(layer = layer_dense(units = 2)),
    layer_conv_1d = list(filters = 1, kernel_size = 1), layer_reshape = list(target_shape = 4),
    layer_position_embedding = list(sequence_length = 4), layer_repeat_vector = list(n = 2)
  )
  for (name in setdiff(getNamespaceExports("attn"), "tidy")) { # a generic of another package
    f <- getExportedValue("attn", name)
    for (argument in setdiff(names(formals(f)), "...")) {
      expect_no_other_error(f, argument, needed[[name]], name)
    }
  }
  layers <- lapply(stats::setNames(nm = names(needed)), function(name) {
    do.call(getExportedValue("attn", name), needed[[name]])
  })
  layers$layer_attention <- layer_attention()
  layers$layer_add <- layer_add()
  layers$sequential <- keras_model_sequential(layers = list(layer_dense(units = 2)))
  input <- keras_input(4)
  layers$functional <- keras_model(input, layer_dense(input, 2))
  for (name in names(layers)) {
    for (argument in setdiff(names(formals(layers[[name]])), "...")) {
      expect_no_other_error(layers[[name]], argument, list(), name)
    }
  }
})

test_that("a name twice in `...` is refused as a name is", {
  x <- random_array(2, 3, 4)
  for (layer in list(
    layer_multi_head_attention(num_heads = 1, key_dim = 1), layer_attention(),
    layer_transformer_encoder(intermediate_dim = 2, num_heads = 2), layer_dense(units = 2)
  )) {
    for (name in c("self", "s", "owner", "other")) {
      given <- stats::setNames(list(x, 1, 1), c(names(formals(layer))[1], name, name))
      expect_attn_error(do.call(layer, given, quote = TRUE), "argument")
    }
  }
})

test_that("what has no default is asked for by name", {
  layer <- layer_embedding(input_dim = 3, output_dim = 2)
  expect_attn_error(layer$compute_mask(), "argument", "inputs")
  x <- random_array(1, 2, 3)
  scores <- layer_attention()(list(x, x), return_attention_scores = TRUE)[[2]]
  expect_attn_error(all.equal(scores), "argument", "current")
})

test_that("inputs, shapes, dims and paths that cannot be are refused", {
  tensor <- keras_input(3)
  expect_refused(layer_add(list(NULL), tensor), "inputs[[1]]")
  expect_refused(layer_add()(list(NULL, diag(2))), "inputs[[1]]")
  expect_refused(layer_dense(units = 2)$build(integer()), "input_shape")
  expect_refused(layer_dense(units = 2)$compute_output_shape(integer()), "input_shape")
  expect_refused(layer_add()$build(list(c(NA, 2), integer())), "input_shape")
  expect_refused(layer_lambda(f = sum, arguments = list(a = quote(expr = ))), "arguments")
  path <- strrep("x", 1e5)
  expect_refused(expect_no_warning(load_model_config(path)), "filepath")
  expect_refused(expect_no_warning(load_model(path)), "model")
  x <- array(1, c(1, 2, 3))
  heads <- layer_multi_head_attention(num_heads = 1, key_dim = 2)
  for (layer in list(heads, layer_transformer_encoder(intermediate_dim = 2, num_heads = 1))) {
    error <- expect_error(do.call(layer, list(x, x, . = 1, . = 2)), class = "attn_error_argument")
    expect_match(conditionMessage(error), "unknown argument")
  }
})

test_that("an initializer and a prediction that fail leave no trace", {
  set.seed(1)
  random <- .Random.seed
  expect_attn_error(initializer_glorot_uniform()(rep(40000L, 3L)), "memory")
  expect_identical(.Random.seed, random)
  for (predict_with in list(predict_on_batch, function(...) predict(..., verbose = 0))) {
    embedding <- layer_embedding(input_dim = 3, output_dim = 2)
    model <- keras_model_sequential() |> embedding()
    random <- .Random.seed
    expect_attn_error(predict_with(model, list(quote(expr = ))), "argument")
    expect_attn_error(predict_with(model, matrix(5, 1, 1)), "argument", "ids")
    expect_identical(.Random.seed, random)
    expect_false(model$built)
    expect_false(embedding$built)
    expect_visible(predict_with(model, matrix(2, 1, 1)))
    expect_true(model$built)
  }
})
