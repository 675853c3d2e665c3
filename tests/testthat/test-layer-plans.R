# Calls by a remembered plan: the same results and errors as by way of R, which has
# looked at a call of the same form before.

# A layer with a new handle: the same weights and counters, no plans.
forget_plans <- function(layer) {
  self <- layer_self(layer)
  self$handle <- unserialize(serialize(self$handle, NULL))
  invisible(layer)
}

# What C alone makes of a call: NULL where it needs R.
by_plan <- function(layer, ...) {
  self <- layer_self(layer)
  given <- list(...)
  flash <- config_is_flash_attention_enabled()
  defaults <- if (self$heads) {
    list(
      query = NULL, value = NULL, key = NULL, query_mask = NULL, value_mask = NULL,
      key_mask = NULL, attention_mask = NULL, return_attention_scores = FALSE,
      training = NULL, use_causal_mask = FALSE
    )
  } else {
    list(
      inputs = NULL, mask = NULL, return_attention_scores = FALSE, training = FALSE,
      use_causal_mask = FALSE
    )
  }
  names(given) <- complete_names(given, names(defaults))
  arguments <- defaults
  arguments[names(given)] <- given
  entry <- if (self$heads) ffi_heads_call else ffi_scores_call
  do.call(.Call, c(list(entry, self$handle), unname(arguments), list(flash)), quote = TRUE)
}

complete_names <- function(given, known) {
  own <- if (is.null(names(given))) rep("", length(given)) else names(given)
  own[own == ""] <- setdiff(known, own)[seq_len(sum(own == ""))]
  own
}

plan_count <- function(layer) .Call(ffi_layer_info, layer_self(layer)$handle)$plans

# Both ways, on layers in the same state.
expect_plan_agrees <- function(layer, ..., label = NULL) {
  self <- layer_self(layer)
  layer(...) # R has it remembered
  state <- serialize(self$handle, NULL)
  planned <- by_plan(layer, ...)
  self$handle <- unserialize(state)
  expect_null(by_plan(layer, ...), label = paste(label, "- without a plan"))
  by_r <- layer(...)
  expect_false(is.null(planned), label = paste(label, "- planned"))
  expect_identical(planned, by_r, label = paste(label, "- by plan"))
}

expect_same_error <- function(layer, call, label) {
  planned <- tryCatch(call(layer), error = identity)
  by_r <- tryCatch(call(forget_plans(layer)), error = identity)
  expect_s3_class(planned, "attn_error")
  expect_identical(class(planned), class(by_r), label = label)
  expect_identical(conditionMessage(planned), conditionMessage(by_r), label = label)
}

heads_layers <- function(...) {
  list(
    layer_multi_head_attention(num_heads = 2, key_dim = 3, ...),
    layer_group_query_attention(
      head_dim = 3, num_query_heads = 2, num_key_value_heads = 1, ...
    )
  )
}

direct_layers <- function(...) {
  list(
    layer_attention(...), layer_attention(use_scale = TRUE, score_mode = "concat", ...),
    layer_additive_attention(...)
  )
}

test_that("golden cases are the same by plan", {
  planned <- 0
  for (dtype in c("float32", "float64")) {
    for (case in golden_cases()) {
      first <- run_case(case, dtype)
      expect_identical(call_case(first$layer, case), first$result, label = case$id)
      again <- call_case(forget_plans(first$layer), case)
      expect_identical(again, first$result, label = paste(case$id, "- by way of R"))
      planned <- planned + plan_count(first$layer)
    }
  }
  # All but those that are warned about and those with positions over several axes.
  expect_gt(planned, 0.8 * 2 * length(golden_cases()))
})

test_that("plans serve all sizes of a form", {
  withr::local_seed(1)
  for (dtype in c("float32", "float64")) {
    for (layer in heads_layers(dtype = dtype)) {
      x <- random_array(2, 5, 4)
      layer(x, x)
      for (shape in list(c(2, 5), c(1, 1), c(3, 7), c(1, 70), c(2, 5))) {
        query <- random_array(shape, 4)
        value <- random_array(shape[1], 9, 4)
        planned <- by_plan(layer, query, value)
        expect_identical(layer(query, value), planned)
        expect_identical(forget_plans(layer)(query, value), planned)
      }
    }
    for (layer in direct_layers(dtype = dtype)) {
      layer(list(random_array(2, 5, 4), random_array(2, 3, 6), random_array(2, 3, 4)))
      for (shape in list(c(1, 1), c(3, 7), c(1, 70))) {
        inputs <- list(
          random_array(shape, 4), random_array(shape[1], 9, 5), random_array(shape[1], 9, 4)
        )
        planned <- by_plan(layer, inputs)
        expect_identical(layer(inputs), planned)
        expect_identical(forget_plans(layer)(inputs), planned)
      }
    }
  }
})

expect_plan_agrees_flagged <- function(layer, flags, ..., label = NULL) {
  expect_plan_agrees(layer, ...,
    use_causal_mask = flags$causal, return_attention_scores = flags$scores,
    training = flags$training, label = label
  )
}

test_that("flags make forms of their own", {
  withr::local_seed(2)
  either <- c(FALSE, TRUE)
  flags <- expand.grid(causal = either, scores = either, training = either)
  x <- random_array(2, 6, 4)
  y <- random_array(2, 8, 4)
  for (layer in c(heads_layers(seed = 1, dropout = 0.5), heads_layers(sliding_window = 2))) {
    for (flash in c(TRUE, FALSE)) {
      if (!flash) config_disable_flash_attention()
      withr::defer(config_enable_flash_attention())
      for (i in seq_len(nrow(flags))) {
        label <- paste(flash, paste(flags[i, ], collapse = " "))
        expect_plan_agrees_flagged(layer, flags[i, ], x, y, label = label)
        expect_plan_agrees_flagged(layer, flags[i, ], x, y, y, label = paste(label, "with a key"))
      }
      config_enable_flash_attention()
    }
  }
  for (layer in direct_layers(seed = 1, dropout = 0.5)) {
    for (i in seq_len(nrow(flags))) {
      expect_plan_agrees_flagged(layer, flags[i, ], list(x, y))
    }
  }
})

test_that("flags in turn give what each gives alone", {
  withr::local_seed(3)
  x <- random_array(2, 6, 4)
  layer <- small_mha()
  calls <- list(
    function(layer) layer(x, x), function(layer) layer(x, x, use_causal_mask = TRUE),
    function(layer) layer(x, x, return_attention_scores = TRUE),
    function(layer) layer(x, x, attention_mask = diag(6) > 0),
    function(layer) layer(x, x, value_mask = matrix(c(1, 1, 1, 0, 0, 0), 2, 6, byrow = TRUE)),
    function(layer) layer(x, copy_of(x)), function(layer) layer(x, x, x)
  )
  expected <- lapply(calls, function(call) call(forget_plans(layer)))
  forget_plans(layer)
  for (round in 1:3) {
    for (i in seq_along(calls)) {
      expect_identical(calls[[i]](layer), expected[[i]])
    }
  }
  # the same object twice is the same as two equal ones
  expect_identical(expected[[6]], expected[[1]])
  expect_identical(expected[[7]], expected[[1]])
})

test_that("masks of all kinds, shapes and types", {
  withr::local_seed(4)
  x <- random_array(2, 3, 4)
  y <- random_array(2, 5, 4)
  keep <- function(...) array(stats::runif(prod(...)) < 0.6, c(...))
  attention_masks <- list(
    keep(c(2, 3, 5)), keep(c(1, 3, 5)), keep(c(3, 5)), keep(c(1, 5)), keep(c(2, 1, 5)),
    keep(c(2, 2, 3, 5)), keep(c(2, 1, 3, 1)), keep(c(1, 1))
  )
  others <- list(
    list(), list(value_mask = keep(c(2, 5))),
    list(value_mask = keep(c(1, 5)), key_mask = keep(c(2, 5))), list(value_mask = rep(TRUE, 5))
  )
  as_type <- list(
    identity, function(m) `storage.mode<-`(m, "integer"), function(m) m * 0.4,
    function(m) -2 * m, function(m) structure(m, dimnames = lapply(dim(m), seq_len))
  )
  for (dtype in c("float32", "float64")) for (layer in heads_layers(dtype = dtype)) {
    for (scores in c(FALSE, TRUE)) for (other in others) {
      for (i in seq_along(attention_masks)) {
        mask <- as_type[[1 + i %% length(as_type)]](attention_masks[[i]])
        arguments <- c(
          list(layer, x, y, attention_mask = mask, return_attention_scores = scores), other
        )
        # not every combination is a call, see place_masks()
        is_call <- !inherits(
          try(do.call(layer, arguments[-1], quote = TRUE), silent = TRUE), "try-error"
        )
        if (is_call) {
          do.call(expect_plan_agrees, arguments, quote = TRUE)
        }
      }
    }
  }
  grouped <- heads_layers()[[2]]
  expect_plan_agrees(grouped, x, y, query_mask = keep(c(2, 3)))
  expect_plan_agrees(grouped, x, y, query_mask = keep(c(2, 3)), value_mask = keep(c(2, 5)))
  for (layer in direct_layers()) {
    for (type in as_type) {
      expect_plan_agrees(layer, list(x, y), mask = list(type(keep(c(2, 3))), type(keep(c(2, 5)))))
      expect_plan_agrees(layer, list(x, y), mask = list(NULL, type(keep(c(2, 5)))))
      expect_plan_agrees(layer, list(x, y),
        mask = list(type(keep(c(1, 3))), NULL), return_attention_scores = TRUE
      )
      expect_plan_agrees(layer, list(x, y), mask = list(NULL, NULL, NULL))
    }
    expect_plan_agrees(layer, list(x, y), mask = list(c(TRUE, FALSE, TRUE), rep(1, 5)))
  }
})

test_that("a plan reads the mask of its call, not that of the first one", {
  withr::local_seed(5)
  x <- random_array(1, 6, 4)
  layer <- small_mha()
  for (i in 1:4) {
    mask <- array(stats::runif(36) < 0.5, c(6, 6))
    mask[1, ] <- TRUE
    expected <- oracle_heads(layer, x, x, visible = mask)$output
    expect_equal(layer(x, x, attention_mask = mask), expected, tolerance = 1e-12)
  }
})

test_that("attached masks take part and are handed on", {
  withr::local_seed(6)
  plain_x <- random_array(2, 4, 4)
  x <- set_keras_mask(plain_x, rbind(c(TRUE, TRUE, FALSE, TRUE), c(TRUE, FALSE, FALSE, FALSE)))
  y <- set_keras_mask(random_array(2, 3, 4), matrix(c(1, 1, 0, 1, 1, 1), 2))
  for (layer in heads_layers()) {
    expect_plan_agrees(layer, x, y)
    expect_plan_agrees(layer, x, y, y, return_attention_scores = TRUE)
    expect_plan_agrees(layer, x, y, value_mask = matrix(TRUE, 2, 3))
    expect_plan_agrees(layer, plain_x, y)
    for (i in 1:2) {
      expect_identical(get_keras_mask(layer(x, y)), get_keras_mask(x))
      expect_null(get_keras_mask(layer(plain_x, y)))
    }
  }
  for (layer in direct_layers()) {
    expect_plan_agrees(layer, list(x, y))
    expect_plan_agrees(layer, list(x, y), mask = list(NULL, matrix(TRUE, 2, 3)))
    expect_plan_agrees(layer, list(x, y), mask = list(matrix(TRUE, 2, 4), NULL))
    for (i in 1:2) {
      expect_identical(get_keras_mask(layer(list(x, y))), get_keras_mask(x))
      given <- layer(list(x, y), mask = list(NULL, matrix(TRUE, 2, 3)))
      expect_null(get_keras_mask(given))
    }
  }
  # what is attached may be anything
  odd <- structure(plain_x, keras_mask = "a")
  layer <- heads_layers()[[1]]
  layer(x, x)
  expect_null(by_plan(layer, odd, odd))
  expect_same_error(layer, function(layer) layer(odd, odd), "odd mask")
})

test_that("classes, names and types of the inputs", {
  withr::local_seed(7)
  x <- random_array(2, 3, 4)
  layer <- small_mha()
  expected <- layer(x, x)
  names_too <- structure(x, dimnames = list(c("a", "b"), NULL, letters[1:4]), note = "kept")
  expect_identical(by_plan(layer, names_too, x), expected)
  expect_identical(layer(names_too, names_too), expected)
  for (class in c("table", "AsIs", "ts", "attn_scores")) {
    classed <- structure(x, class = class)
    expect_null(by_plan(layer, classed, x), label = class)
    expect_identical(layer(classed, classed), expected, label = class)
  }
  strange <- structure(x, class = c("strange", "array"))
  expect_null(by_plan(layer, strange, strange))
  expect_same_error(layer, function(layer) layer(strange, x), "strange class")
  layer(x, x)
  whole <- array(as.integer(round(10 * x)), dim(x))
  expect_identical(by_plan(layer, whole, whole), layer(whole + 0, whole + 0))
  flags <- x > 0
  expect_identical(by_plan(layer, flags, flags), layer(flags + 0, flags + 0))
  # a missing number reaches the rows that see it, and no others
  whole[1, 2, 3] <- NA
  numbers <- whole + 0
  expect_true(is.na(numbers[1, 2, 3]))
  missing_output <- by_plan(layer, whole, x)
  expect_identical(is.na(missing_output), is.na(layer(numbers, x)))
  expect_true(all(is.nan(missing_output[1, 2, ])))
  expect_false(anyNA(missing_output[, c(1, 3), ]))
  expect_false(anyNA(missing_output[2, , ]))
})

# R lets an array and the same under other dims share their numbers.
test_that("the same numbers under other dims are another input", {
  withr::local_seed(14)
  other_dims <- function(x, ...) {
    dim(x) <- c(...)
    x
  }
  x <- random_array(2, 6, 8)
  layers <- heads_layers()
  for (layer in layers) {
    y <- other_dims(x, 2, 12, 4)
    expected <- layer(copy_of(x), copy_of(y))
    for (i in 1:2) expect_identical(layer(x, y), expected)
    expect_identical(layer(x, y, y), expected)
    expect_identical(layer(x, copy_of(y), y), expected)
  }
  for (layer in direct_layers()) {
    key <- random_array(2, 12, 8)
    y <- other_dims(x, 2, 12, 4)
    expected <- layer(list(copy_of(x), copy_of(y), key))
    for (i in 1:2) expect_identical(layer(list(x, y, key)), expected)
  }
  # as many rows, which are other positions
  x <- random_array(2, 3, 5, 4)
  y <- other_dims(x, 2, 5, 3, 4)
  layer <- heads_layers()[[1]]
  expected <- layer(copy_of(x), copy_of(y))
  for (i in 1:2) expect_identical(layer(x, y), expected)
})

test_that("new weights are what the next call uses", {
  withr::local_seed(8)
  x <- random_array(2, 3, 4)
  weighted <- list(layer_attention(use_scale = TRUE), layer_additive_attention())
  for (layer in c(heads_layers(), weighted)) {
    call_layer(layer, x)
    weights <- lapply(get_weights(layer), function(weight) weight + 0.25)
    set_weights(layer, weights)
    changed <- call_layer(layer, x)
    expect_identical(call_layer(forget_plans(layer), x), changed)
    set_weights(layer, lapply(weights, function(weight) 0 * weight))
    call_layer(layer, x)
    expect_error(set_weights(layer, list(1, 2, 3, 4, 5, 6, 7, 8, 9)))
    expect_false(identical(call_layer(layer, x), changed))
    set_weights(layer, weights)
    expect_identical(call_layer(layer, x), changed)
  }
})

test_that("what is wrong is said in R's words, whatever is remembered", {
  withr::local_seed(9)
  x <- random_array(2, 3, 4)
  y <- random_array(2, 5, 4)
  wide <- random_array(2, 5, 6)
  shapes <- list(
    "batch" = list(x, random_array(3, 5, 4)), "width" = list(wide, y), "value" = list(x, wide),
    "key" = list(x, y, random_array(2, 6, 4)), "key's width" = list(x, y, wide),
    "rank" = list(random_array(2, 3, 2, 4), y),
    "all ranks" = rep(list(random_array(2, 3, 2, 4)), 2),
    "no rows" = list(x[, 0, , drop = FALSE], y), "matrix" = list(x[, 1, ], y),
    "vector" = list(x, as.vector(y)), "text" = list(x, array("a", dim(y))),
    "nothing" = list(x, NULL), "list" = list(x, list(y)), "key is text" = list(x, y, "a")
  )
  flags <- list(NULL, NA, "a", 1, c(TRUE, FALSE), logical(), list(TRUE), array(TRUE, 1))
  masks <- list(
    array(TRUE, c(2, 3, 4)), array(TRUE, c(3, 3, 5)), array(NA, c(2, 3, 5)), array(NaN, c(3, 5)),
    array("a", c(3, 5)), array(TRUE, c(0, 3, 5)), factor("a"), list(TRUE), TRUE, logical(),
    array(TRUE, rep(1, 17)), array(TRUE, rep(1, 9))
  )
  for (layer in heads_layers()) {
    good <- function(layer) {
      layer(x, y)
      layer(x, y, y)
      layer(x, y, attention_mask = array(TRUE, c(2, 3, 5)))
      layer(x, y, attention_mask = array(TRUE, c(3, 5)))
      layer(x, y, value_mask = array(TRUE, c(2, 5)))
    }
    check <- function(name, ...) {
      good(layer)
      given <- list(...)
      expect_same_error(layer, function(layer) do.call(layer, given, quote = TRUE), name)
    }
    good(layer)
    expected <- layer(x, y)
    for (name in names(shapes)) do.call(check, c(list(name), shapes[[name]]), quote = TRUE)
    for (flag in flags) {
      check("scores", x, y, return_attention_scores = flag)
      check("causal", x, y, use_causal_mask = flag)
      if (!is.null(flag)) check("training", x, y, training = flag)
    }
    for (mask in masks) check("mask", x, y, attention_mask = mask)
    check("value mask", x, y, value_mask = array(TRUE, c(2, 4)))
    check("missing value", x)
    check("missing query", value = y)
    check("no argument")
    check("unknown", x, y, foo = 1)
    check("unknown instead of value", x, foo = 1)
    check("unnamed", x, y, NULL, NULL, NULL, NULL, NULL, FALSE, NULL, FALSE, 1)
    expect_identical(layer(x, y), expected)
  }
  for (layer in direct_layers()) {
    check <- function(name, ...) {
      layer(list(x, y))
      layer(list(x, y), mask = list(NULL, matrix(TRUE, 2, 5)))
      given <- list(...)
      expect_same_error(layer, function(layer) do.call(layer, given, quote = TRUE), name)
    }
    layer(list(x, y))
    shapes[["value"]] <- NULL # may have a width of its own, with a key
    shapes[["width"]] <- list(wide, y)
    shapes[["key's width"]] <- list(x, y, wide)
    shapes[["all ranks"]] <- NULL # is allowed here
    for (name in names(shapes)) check(name, shapes[[name]])
    for (flag in flags) {
      check("scores", list(x, y), return_attention_scores = flag)
      check("causal", list(x, y), use_causal_mask = flag)
    }
    check("no list", x)
    check("short list", list(x))
    check("long list", list(x, y, y, y))
    check("names", list(query = x, foo = y))
    check("classed list", structure(list(x, y), class = "a"))
    check("mask", list(x, y), mask = matrix(TRUE, 2, 5))
    check("short mask", list(x, y), mask = list(NULL))
    check("mask's size", list(x, y), mask = list(NULL, matrix(TRUE, 2, 4)))
    check("row mask's size", list(x, y), mask = list(matrix(TRUE, 2, 4), NULL))
    check("mask with NA", list(x, y), mask = list(NULL, matrix(NA, 2, 5)))
    check("missing inputs")
    check("unknown", list(x, y), foo = 1)
  }
})

test_that("query_mask warns at every call of multi-head attention", {
  x <- random_array(2, 3, 4)
  mask <- matrix(c(TRUE, FALSE, TRUE), 2, 3, byrow = TRUE)
  layer <- small_mha()
  layer(x, x)
  for (i in 1:3) {
    expect_warning(output <- layer(x, x, query_mask = mask), class = "attn_warning_ignored")
    expect_identical(output, layer(x, x))
  }
})

test_that("named inputs, numbers as symbols and unbuilt layers go by way of R", {
  withr::local_seed(10)
  x <- random_array(2, 3, 4)
  y <- random_array(2, 5, 4)
  layer <- layer_attention()
  expected <- layer(list(x, y))
  expect_null(by_plan(layer, list(query = x, value = y)))
  expect_identical(layer(list(value = y, query = x)), expected)
  layer <- layer_multi_head_attention(num_heads = 2, key_dim = 3)
  expect_null(by_plan(layer, x, y))
  layer$build(dim(x), dim(y))
  expect_null(by_plan(layer, x, y))
  layer(x, y)
  expect_s3_class(layer(keras_input(c(3, 4)), keras_input(c(5, 4))), "keras_tensor")
  expect_false(is.null(by_plan(layer, x, y)))
})

test_that("activity losses are those of the last call", {
  withr::local_seed(11)
  for (layer in list(
    layer_multi_head_attention(num_heads = 2, key_dim = 3, activity_regularizer = "l2"),
    layer_attention(activity_regularizer = "l2")
  )) {
    losses <- lapply(1:3, function(i) {
      call_layer(layer, i * random_array(2, 3, 4))
      layer$losses
    })
    expect_false(anyDuplicated(losses) > 0)
  }
})

test_that("planned training calls are counted", {
  x <- random_array(2, 3, 4)
  for (layer in c(heads_layers(dropout = 0.5, seed = 3), direct_layers(dropout = 0.5, seed = 3))) {
    outputs <- lapply(1:4, function(i) call_layer(layer, x, training = TRUE))
    expect_identical(dropout_calls(layer), 4)
    expect_false(anyDuplicated(outputs) > 0)
    call_layer(layer, x)
    call_layer(layer, x)
    expect_identical(dropout_calls(layer), 4)
  }
})

test_that("plans are few, and the layer works when it has forgotten one", {
  withr::local_seed(12)
  layer <- layer_multi_head_attention(num_heads = 2, key_dim = 3)
  x <- random_array(1, 3, 4)
  forms <- expand.grid(
    causal = c(FALSE, TRUE), scores = c(FALSE, TRUE), training = c(FALSE, TRUE),
    masked = c(FALSE, TRUE), key = c(FALSE, TRUE)
  )
  call_form <- function(i) {
    form <- forms[i, ]
    layer(x, x, if (form$key) x,
      attention_mask = if (form$masked) matrix(TRUE, 3, 3), use_causal_mask = form$causal,
      return_attention_scores = form$scores, training = form$training
    )
  }
  first <- lapply(seq_len(nrow(forms)), call_form)
  expect_identical(plan_count(layer), 16L)
  for (i in c(seq_len(nrow(forms)), 1:5, 1:5)) {
    expect_identical(call_form(i), first[[i]])
  }
  expect_identical(plan_count(layer), 16L)
  # Calls that need R for another reason do not push the others out.
  layer(x, x, attention_mask = matrix(TRUE, 3, 3))
  for (i in 1:40) layer(structure(x, class = "table"), x)
  expect_false(is.null(by_plan(layer, x, x, attention_mask = matrix(TRUE, 3, 3))))
})

test_that("plans are not saved, and a restored layer makes its own", {
  x <- random_array(2, 3, 4)
  for (layer in c(heads_layers(), direct_layers())) {
    expected <- call_layer(layer, x)
    bytes <- serialize(layer_self(layer)$handle, NULL)
    call_layer(layer, x, use_causal_mask = TRUE)
    call_layer(layer, x, return_attention_scores = TRUE)
    expect_identical(plan_count(layer), 3L)
    expect_identical(serialize(layer_self(layer)$handle, NULL), bytes)
    copy <- unserialize(serialize(layer, NULL))
    expect_identical(plan_count(copy), 0L)
    for (i in 1:3) {
      expect_identical(call_layer(copy, x), expected)
    }
    expect_identical(plan_count(copy), 1L)
  }
})

test_that("the body of a layer does nothing but hand its arguments on", {
  for (layer in c(heads_layers(), direct_layers())) {
    used <- setdiff(all.names(body(layer)), c(names(formals(layer)), "self"))
    own <- used[vapply(used, exists, NA, envir = asNamespace("attn"), inherits = FALSE)]
    expect_true(all(grepl("^call_(heads|scores)", own)))
    expect_true(all(setdiff(used, own) %in% c("{", "(", "if", "&&", "!", "==", "nargs", "missing")))
  }
})

test_that("a missing argument of the caller is a missing argument", {
  layer <- small_mha()
  x <- random_array(1, 2, 4)
  layer(x, x)
  wrapper <- function(query, value) layer(query, value)
  expect_identical(wrapper(x, x), layer(x, x))
  expect_attn_error(wrapper(x), "argument", "`value` must be given")
  expect_attn_error(wrapper(value = x), "argument", "`query` must be")
})

test_that("arguments are evaluated once", {
  layer <- small_mha()
  x <- random_array(1, 2, 4)
  count <- 0
  counted <- function(value) {
    count <<- count + 1
    value
  }
  for (i in 1:2) {
    count <- 0
    layer(counted(x), counted(x), use_causal_mask = counted(TRUE))
    layer(counted(x), counted(x))
    expect_identical(count, 5)
  }
})
