# What the C entry points do with arguments that the R code above them never gives,
# or at sizes and moments that no other test reaches.

native_config <- function(...) {
  config <- list(
    num_heads = 1L, num_key_value_heads = 1L, key_dim = 1L, value_dim = 1L, use_bias = FALSE,
    use_gate = FALSE, use_scale = FALSE, score_mode = "dot", dropout = 0
  )
  utils::modifyList(config, list(...))
}

native_options <- function(...) {
  options <- list(
    causal = FALSE, window = 0L, dead_row = "mean", training = FALSE, scores = FALSE,
    reference = FALSE, projections = FALSE, mask_threshold = 0
  )
  utils::modifyList(options, list(...))
}

test_that("scores of a layer without heads do not depend on its number of heads", {
  config <- native_config(num_heads = 4L)
  handle <- .Call(ffi_layer_create, "attention", "float32", config, c(1, 2))
  .Call(ffi_layer_build, handle, c(3L, 3L, 3L), integer())
  x <- random_array(2, 5, 3)
  result <- .Call(
    ffi_layer_forward, handle, list(x, x, NULL), 0:1, 1L, list(), NULL,
    native_options(scores = TRUE)
  )
  expected <- layer_attention()(list(x, x), return_attention_scores = TRUE)
  expect_identical(result$scores, plain(expected[[2]]))
})

test_that("scores that no array can hold are an error", {
  skip_on_cran()
  n <- 2^22
  x <- array(0, c(1, n, 1))
  layer <- layer_multi_head_attention(
    num_heads = 2^20, key_dim = 1, use_bias = FALSE, kernel_initializer = "zeros"
  )
  layer$build(dim(x), dim(x))
  expect_attn_error(layer(x, x, return_attention_scores = TRUE), "shape")
})

test_that("a scale too small for the dtype leaves a mask its meaning", {
  query <- random_array(1, 3, 1, 4)
  for (flash in c(TRUE, FALSE)) {
    output <- op_dot_product_attention(
      query, query, query,
      scale = 1e-60, is_causal = TRUE, flash_attention = flash
    )
    means <- apply(query[1, , 1, ], 2, cumsum) / 1:3
    expect_equal(output[1, , 1, ], means, tolerance = 1e-6)
  }
})

test_that("a long run of random numbers can be interrupted", {
  skip_on_cran()
  expect_error(
    local({
      setTimeLimit(elapsed = 0.1, transient = TRUE)
      on.exit(setTimeLimit())
      philox_uniform(5e7, c(1, 2))
    }),
    "time limit"
  )
})

test_that("an event in the middle of a call may use layers but not set weights", {
  skip_if_not(capabilities("tcltk"))
  skip_on_os(c("windows", "mac"))
  result <- in_fresh_process(function() {
    suppressWarnings(requireNamespace("tcltk"))
    layer <- attn::layer_multi_head_attention(num_heads = 8, key_dim = 16)
    x <- array(sin(seq_len(8192 * 8)), c(1, 8192, 8))
    small <- x[, 1:4, , drop = FALSE]
    expected <- layer(small, small)
    weights <- layer$get_weights()
    events <- list()
    in_call <- FALSE
    event <- function() {
      error <- tryCatch(layer$set_weights(lapply(weights, `*`, 0)), error = identity)
      events <<- c(events, list(list(
        in_call = in_call, output = layer(small, small), refused = class(error)
      )))
    }
    tcltk::tcl("after", 50, event)
    in_call <- TRUE
    long <- layer(x, x)
    in_call <- FALSE
    list(
      events = events, expected = expected, finite = all(is.finite(long)),
      kept = identical(layer$get_weights(), weights)
    )
  })
  skip_if(length(result$events) == 0L, "R does not run Tcl's events at a poll here")
  event <- result$events[[1]]
  expect_true(event$in_call)
  expect_true("attn_error_state" %in% event$refused)
  expect_identical(event$output, result$expected)
  expect_true(result$finite)
  expect_true(result$kept)
})

test_that("a plan that R would never have remembered is refused or does no harm", {
  x <- random_array(2, 3, 4)
  deep <- random_array(2, 3, 3, 4)
  layer <- small_mha()
  handle <- layer_self(layer)$handle
  form <- c(3L, 0L, 0L, 0L, 0L, 1L, 0L, 0L, 0L, 0L)
  remember <- function(form, order = 0:1, n_attention = 1L, masks = list(), row_mask = NULL,
                       options = native_options(), axes = NULL, on = handle) {
    .Call(ffi_layer_remember, on, form, order, n_attention, masks, row_mask, options, axes)
  }
  mask <- function(axes) list(NULL, NULL, axes)
  with_masks <- function(...) replace(form, 7:10, c(...))
  bad <- list(
    function() remember(form, on = NULL), function() remember(form[-1]),
    function() remember(as.double(form)), function() remember(form, order = c(0L, 2L)),
    function() remember(form, order = c(1L, 1L)), function() remember(form, order = 0L),
    function() remember(form, order = c(0, 1)), function() remember(form, order = 0:40),
    function() remember(form, n_attention = 0L), function() remember(form, n_attention = 2L),
    function() remember(form, n_attention = 1:2), function() remember(form, options = list()),
    function() remember(form, options = native_options(window = -1)),
    function() remember(form, options = native_options(dead_row = 1)),
    function() remember(form, masks = list(mask(0:3))),
    function() remember(form, row_mask = mask(1:2)),
    function() remember(with_masks(0L, 0L, 0L, 3L)),
    function() remember(with_masks(0L, 0L, 0L, 3L), masks = NULL),
    function() remember(with_masks(0L, 0L, 0L, 3L), masks = list(1)),
    function() remember(with_masks(0L, 0L, 0L, 3L), masks = list(mask(1:4))),
    function() remember(with_masks(0L, 0L, 0L, 3L), masks = list(mask(-1L))),
    function() remember(with_masks(0L, 0L, 0L, 3L), masks = list(mask(c(0, 1, 2, 3)))),
    function() remember(with_masks(0L, 0L, 0L, 3L), masks = list(mask(rep(0L, 17)))),
    function() remember(with_masks(0L, 0L, 0L, 3L), masks = rep(list(mask(0:3)), 2)),
    function() remember(with_masks(0L, 0L, 0L, 3L), masks = rep(list(mask(0:3)), 9))
  )
  for (i in seq_along(bad)) {
    expect_error(bad[[i]](), class = "attn_error", label = paste("plan", i))
  }
  expect_identical(.Call(ffi_layer_info, handle)$plans, 0L)

  # Of another rank than its inputs, or with masks in another layout than the scores.
  call <- function(x, mask = NULL, scores = FALSE) {
    .Call(ffi_heads_call, handle, x, x, NULL, NULL, NULL, NULL, mask, scores, NULL, FALSE, TRUE)
  }
  remember(replace(form, 1, 4L))
  expect_null(call(deep))
  for (axes in list(0:3, c(0L, 0L, 1L), integer(), c(3L, 0L, 1L, 2L), c(0L, 0L, 3L, 1L))) {
    handle <- unserialize(serialize(handle, NULL))
    remember(with_masks(0L, 0L, 0L, 3L), masks = list(mask(axes)), on = handle)
    result <- tryCatch(call(x, array(TRUE, c(1, 3, 3))), attn_error = function(error) NULL)
    expect_true(is.null(result) || identical(dim(result), dim(x)))
  }
  remember(replace(form, 3, 1L), options = native_options(scores = TRUE), on = handle)
  expect_identical(dim(call(x, scores = TRUE)[[2]]), c(2L, 2L, 3L, 3L))
  # A plan of scores that does not ask for them, and the other way round.
  handle <- unserialize(serialize(handle, NULL))
  remember(replace(form, 3, 1L), on = handle)
  remember(form, options = native_options(scores = TRUE, projections = TRUE), on = handle)
  expect_identical(dim(call(x)[[2]]), c(2L, 2L, 3L, 3L))
  expect_identical(dim(call(x, scores = TRUE)), dim(x))
})

test_that("the result of a program belongs to its caller alone", {
  input <- keras_input(c(NA, 1))
  model <- keras_model(input, layer_dense(input, 100))
  x <- array(1, c(1, 10000, 1))
  model(x)
  model(x[, 1:10, , drop = FALSE])
  vector_megabytes <- function() {
    gc()
    gc()["Vcells", 2]
  }
  before <- vector_megabytes()
  for (i in 1:5) {
    model(x) # 8 MB; a call of more than 40 ms would let go of it by chance
    expect_lt(vector_megabytes() - before, 4)
  }
})

test_that("steps of a program refuse layers that are not theirs", {
  run <- function(handle, operation, inputs, settings, text, x) {
    step <- list(
      operation, "float32", 1L, inputs, 1L, settings, text, integer(), FALSE, "a layer"
    )
    program <- list(
      slots = 2L, steps = list(step), inputs = 0L, types = "float32", outputs = 1L
    )
    .Call(ffi_program_run, program, list(handle), list(x), NULL, FALSE, FALSE, NULL)
  }
  expect_refused <- function(...) expect_attn_error(run(...), "internal")
  x <- random_array(1, 2, 3)
  attend <- c(0L, 0L, rep(-1L, 5))

  direct <- .Call(ffi_layer_create, "attention", "float32", native_config(), c(1, 2))
  .Call(ffi_layer_build, direct, c(3L, 3L, 3L), integer())
  expect_identical(dim(run(direct, "attend", attend, c(0, 0, 0), "", x)[[1]]), dim(x))
  expect_refused(direct, "attend", attend, c(1, 0, 0), "", x)
  heads <- .Call(ffi_layer_create, "multi_head_attention", "float32", native_config(), c(1, 2))
  .Call(ffi_layer_build, heads, c(3L, 3L, 3L), 4L)
  expect_identical(dim(run(heads, "attend", attend, c(1, 0, 0), "", x)[[1]]), c(1L, 2L, 4L))
  expect_refused(heads, "attend", attend, c(0, 0, 0), "", x)

  weights <- function(bias) {
    .Call(
      ffi_weights_create, "float32", c("kernel", "bias"), list(c(3L, 5L), bias), c(3L, 0L), c(1, 2)
    )
  }
  expect_identical(dim(run(weights(5L), "dense", 0L, numeric(), "linear", x)[[1]]), c(1L, 2L, 5L))
  for (bias in list(1L, 4L, 6L, integer())) {
    expect_refused(weights(bias), "dense", 0L, numeric(), "linear", x)
  }
  expect_refused(heads, "dense", 0L, numeric(), "linear", x)
})

# A program as R/program.R makes it for layer_dense(), and what its call needs.
dense_call <- function() {
  input <- keras_input(shape = 3)
  model <- keras_model(input, layer_dense(input, units = 2))
  model(matrix(1, 1, 3))
  plan <- .Call(ffi_cache_get, layer_self(model)$cache)
  list(model = model, plan = plan, program = plan$program$native, handles = plan$handles)
}

test_that("programs and calls that R would never have made are refused", {
  call <- dense_call()
  x <- matrix(rnorm(12), 4)
  run <- function(program = call$program, handles = call$handles, arrays = list(x), batch = NULL,
                  training = NA, reference = FALSE, parts = NULL) {
    .Call(ffi_program_run, program, handles, arrays, batch, training, reference, parts)
  }
  with_program <- function(...) {
    program <- call$program
    program[names(list(...))] <- list(...)
    program
  }
  with_step <- function(part, value) {
    program <- call$program
    program$steps[[1]][part] <- list(value)
    program
  }
  expect_identical(run()[[1]], call$model(x))
  bad <- list(
    function() run(list()), function() run(NULL), function() run(1),
    function() run(with_program(slots = -1L)), function() run(with_program(slots = NA)),
    function() run(with_program(slots = 1e9)), function() run(with_program(slots = 1L)),
    function() run(with_program(steps = NULL)), function() run(with_program(steps = list(1))),
    function() run(with_program(steps = list(list()))),
    function() run(with_program(inputs = 5L)), function() run(with_program(inputs = -1L)),
    function() run(with_program(inputs = c(0L, 0L))), function() run(with_program(inputs = "a")),
    function() run(with_program(inputs = NA_integer_)),
    function() run(with_program(types = 1)), function() run(with_program(types = character())),
    function() run(with_program(outputs = 7L)), function() run(with_program(outputs = 1.5)),
    function() run(handles = NULL), function() run(handles = list()),
    function() run(handles = list(1)), function() run(handles = list(raw())),
    function() run(arrays = list()), function() run(arrays = x), function() run(arrays = list("a")),
    function() run(arrays = list(NULL)), function() run(arrays = list(matrix(1, 0, 3))),
    function() run(arrays = list(structure(x, keras_mask = TRUE[0]))),
    function() run(arrays = list(structure(x, keras_mask = rep(TRUE, 5)))),
    function() run(arrays = list(structure(x, keras_mask = "a"))),
    function() run(arrays = list(structure(x, keras_mask = array(TRUE, c(4, 3, 1))))),
    function() run(batch = 1L), function() run(batch = c(1, 2)), function() run(batch = c(0L, 2L)),
    function() run(batch = c(4L, 2L)), function() run(batch = c(1L, NA)),
    function() run(batch = c(NA, 1L)), function() run(batch = c(1L, -1L)),
    function() run(training = 1), function() run(training = logical()),
    function() run(reference = NULL),
    function() run(parts = 4L), function() run(batch = 1:2, parts = 0L),
    function() run(batch = 1:2, parts = NA_integer_), function() run(batch = 1:2, parts = list()),
    function() run(batch = 1:2, parts = list(NULL)), function() run(batch = 1:2, parts = 1L),
    function() run(batch = 1:2, parts = list(matrix(1, 4, 3))),
    function() run(batch = 1:2, parts = list(matrix(1L, 4, 2))),
    function() run(batch = 3:4, parts = list(matrix(1, 4, 2))),
    function() run(batch = 1:2, parts = list(1:10 / 2)),
    function() run(with_step(1, "none")), function() run(with_step(1, NULL)),
    function() run(with_step(2, "float64")), function() run(with_step(2, "int8")),
    function() run(with_step(3, 0L)), function() run(with_step(3, 2L)),
    function() run(with_step(3, -1L)), function() run(with_step(3, NA_integer_)),
    function() run(with_step(3, 1)), function() run(with_step(4, -1L)),
    function() run(with_step(4, 1L)), function() run(with_step(4, integer())),
    function() run(with_step(4, rep(0L, 100))), function() run(with_step(5, 9L)),
    function() run(with_step(5, integer())), function() run(with_step(5, c(1L, 1L, 1L))),
    function() run(with_step(6, 1)), function() run(with_step(6, NULL)),
    function() run(with_step(7, "none")), function() run(with_step(7, NA)),
    function() run(with_step(8, 5L)), function() run(with_step(8, -3L)),
    function() run(with_step(8, 1L)), function() run(with_step(9, 1)),
    function() run(with_step(10, NULL)), function() run(with_step(10, 1))
  )
  for (i in seq_along(bad)) {
    expect_error(bad[[i]](), class = "attn_error", label = paste("program", i))
  }
  expect_identical(run()[[1]], call$model(x))
})

test_that("plans of models that were replaced are refused or do no harm", {
  call <- dense_call()
  self <- layer_self(call$model)
  x <- matrix(rnorm(6), 2)
  expected <- call$model(x)
  cached <- function(plan, inputs = x) {
    .Call(ffi_model_call, .Call(ffi_cache_new, self, plan), inputs, TRUE)
  }
  expect_identical(cached(call$plan), expected)
  for (cache in list(NULL, 1, self, list())) expect_null(.Call(ffi_model_call, cache, x, TRUE))
  for (plan in list(NULL, 1, list(), call$plan[1:5])) expect_null(cached(plan))
  replaced <- function(name, value) {
    plan <- call$plan
    plan[name] <- list(value)
    plan
  }
  expect_null(cached(replaced("native", NULL)))
  for (specs in list(NULL, list(), list(1), list(c(NA, 4L)), list(c(NA, 3)), list(3L))) {
    expect_null(cached(replaced("specs", specs)))
  }
  expect_attn_error(cached(replaced("native", 1)))
  expect_attn_error(cached(replaced("handles", NULL)))
  expect_attn_error(cached(replaced("handles", list(raw(3)))))
  expect_attn_error(cached(replaced("single", NULL)))
  expect_attn_error(cached(replaced("names", c("a", "b"))))
  expect_attn_error(cached(replaced("specs", list(c(NA, 3L), c(NA, 3L))), list(x, x)))
  expect_null(cached(call$plan, list(x, x)))
  expect_null(cached(call$plan, list(list(x))))
  expect_null(cached(call$plan, "a"))
  expect_null(cached(call$plan, structure(x, keras_mask = c(TRUE, NA))))
  expect_null(.Call(ffi_cache_get, 1))
  expect_attn_error(.Call(ffi_cache_new, 1, 1), "internal")
  expect_attn_error(.Call(ffi_addresses, list(1)), "internal")
  expect_attn_error(.Call(ffi_addresses, 1), "internal")
  expect_attn_error(.Call(ffi_calls_get, 1), "internal")
  expect_attn_error(.Call(ffi_calls_set, call$handles, 1:2), "internal")
  # a cache goes with its owner, and is not saved
  expect_null(.Call(ffi_cache_get, unserialize(serialize(self$cache, NULL))))
})
