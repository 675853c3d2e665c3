# Every argument of calls and methods of the four layers, given every bad value; the
# layer must stay as it was.

flag <- c("true", "false")
flag_or_null <- c("null", flag)
# Numbers are masks too (what is not zero is TRUE), a scalar broadcasts.
scalar_masks <- c(
  "null", "inf", "minus_inf", "minus_one", "zero", "half", "tiny", "two_31", "minus_two_31",
  "huge", "true", "false", "column", "array_1"
)
query_masks <- c(scalar_masks, "matrix")
value_masks <- c(scalar_masks, "too_wide")
roles <- c("query", "value", "key", "mask", "inputs")

good_inputs <- function() {
  set.seed(1)
  list(query = random_array(2, 3, 4), value = random_array(2, 5, 4), key = random_array(2, 5, 4))
}

heads_layers <- function() {
  list(
    layer_multi_head_attention(
      num_heads = 2, key_dim = 3, dtype = "float64", seed = 1, name = "m",
      kernel_regularizer = "l2", activity_regularizer = "l1"
    ),
    layer_group_query_attention(
      head_dim = 3, num_query_heads = 4, num_key_value_heads = 2, dtype = "float64", seed = 1,
      name = "g", use_gate = TRUE
    )
  )
}

scores_layers <- function() {
  list(
    layer_attention(
      use_scale = TRUE, score_mode = "concat", dtype = "float64", seed = 1, name = "a",
      activity_regularizer = "l1"
    ),
    layer_additive_attention(dtype = "float64", seed = 1, name = "b")
  )
}

test_that("calls of the layers with heads refuse bad arguments and leave the layer alone", {
  skip_on_cran() # for its time alone
  good <- good_inputs()
  for (layer in heads_layers()) {
    do.call(layer, good)
    snapshot <- function() {
      layer_snapshot(layer, function(layer) do.call(layer, c(good, return_attention_scores = TRUE)))
    }
    accepts <- list(
      query = "forged_scores", value = character(), key = "null", query_mask = query_masks,
      value_mask = value_masks, key_mask = value_masks, attention_mask = c("null", "column"),
      return_attention_scores = flag, training = flag_or_null, use_causal_mask = flag
    )
    if (layer$name == "m") {
      # There it is not used, and may be anything that can be attached to the query.
      attachable <- c("flags", "two", "named", "forged_scores", "forged_mask", "forged_mask_shape")
      accepts$query_mask <- c(query_masks, attachable)
    }
    sweep_arguments(layer, layer$name, good, accepts, snapshot, aliases = c("value", "key"))
    accepts$query <- c(accepts$query, "forged_mask", "forged_mask_shape")
    sweep_arguments(
      layer$compute_output_spec, paste(layer$name, "spec"), good, accepts, snapshot,
      aliases = c("value", "key")
    )
  }
})

test_that("calls of the layers without heads refuse bad arguments and leave the layer alone", {
  good <- good_inputs()
  for (layer in scores_layers()) {
    layer(unname(good))
    snapshot <- function() {
      layer_snapshot(layer, function(layer) layer(unname(good), return_attention_scores = TRUE))
    }
    accepts <- list(
      inputs = character(), mask = "null", training = flag_or_null,
      return_attention_scores = flag, use_causal_mask = flag
    )
    all_inputs <- list(inputs = unname(good))
    for (f in list(layer, layer$compute_output_spec)) {
      sweep_arguments(f, layer$name, all_inputs, accepts, snapshot, aliases = roles)
    }
    sweep_arguments(
      function(query, value, key) layer(list(query, value, key)), layer$name, good,
      list(query = "forged_scores", value = character(), key = "null"), snapshot,
      aliases = roles
    )
    sweep_arguments(
      function(query, value) layer(unname(good), mask = list(query, value)), layer$name,
      list(query = NULL, value = NULL), list(query = query_masks, value = value_masks), snapshot
    )
  }
})

test_that("shapes, weights and configs given to methods are checked", {
  good <- good_inputs()
  shapes <- list(query_shape = c(2, 3, 4), value_shape = c(2, 5, 4), key_shape = c(2, 5, 4))
  accepts <- list(query_shape = character(), value_shape = character(), key_shape = "null")
  for (layer in c(heads_layers(), scores_layers())) {
    do.call(layer$build, shapes)
    snapshot <- function() layer_snapshot(layer)
    sweep <- function(f, good, accepts, ...) {
      sweep_arguments(f, layer$name, good, accepts, snapshot, ...)
    }
    sweep(layer$build, shapes, accepts, aliases = names(shapes))
    sweep(layer$compute_output_shape, shapes, accepts, aliases = names(shapes))
    weights <- get_weights(layer)
    # A list of two numbers is what the layer with two scalar weights has.
    two_numbers <- if (layer$name == "a") "list_class_na" else character()
    for (f in list(layer$set_weights, function(weights) set_weights(layer, weights))) {
      sweep_arguments(f, layer$name, list(weights = weights), list(weights = two_numbers))
      set_weights(layer, weights)
    }
    if (layer$name != "a") {
      one <- function(weights) set_weights(layer, replace(get_weights(layer), 1, list(weights)))
      sweep(one, list(weights = weights[[1]]), list(weights = character()))
    }
    empty <- if ("query_dense" %in% names(layer)) character() else "list_0"
    sweep(layer$from_config, list(config = get_config(layer)), list(config = empty))
    sweep(get_weights, list(object = layer), list(trainable = c("na", flag)))
    sweep(`[[`, list(layer, i = "name"), list(i = character()))
    sweep(
      function(trainable) {
        layer$trainable <- trainable
        layer$trainable <- TRUE
      },
      list(), list(trainable = flag)
    )
  }
})

test_that("methods that get the configs of layers check each of their fields", {
  for (layer in c(heads_layers(), scores_layers())) {
    config <- get_config(layer)
    make <- function(...) from_config(list(...))
    is_object <- grepl("_(initializer|regularizer|constraint)$", names(config))
    for (field in names(config)[!is_object]) {
      for (name in c("list_deep", "data_frame", "bytes", "environment", "half", "forged_tensor")) {
        if (field != "dropout" || name != "half") {
          bad <- replace(config, field, bad_values()[name])
          expect_refused(do.call(make, bad, quote = TRUE), field, paste(layer$name, field, name))
        }
      }
    }
    told <- names(config) %in% c("num_heads", "head_dim", "use_scale")
    expect_refused(from_config(config[!told]), "config")
    expect_refused(from_config(c(config, foo = 1)), "config")
    expect_refused(from_config(c(config, config[1])), "config")
    expect_refused(from_config(unname(config)), "config")
  }
})

test_that("a refused first call does not build the layer", {
  good <- good_inputs()
  for (layer in heads_layers()) {
    before <- layer_snapshot(layer)
    expect_refused(layer(good$query, good$value[, , 1:2], good$key[, 1:2, ]), "key")
    expect_refused(layer(good$query, good$value, attention_mask = array(TRUE, 9)), "mask")
    expect_refused(layer$build(c(2, 3, NA), c(2, 5, 4)), "query_shape")
    expect_identical(layer_snapshot(layer), before)
  }
  for (layer in scores_layers()) {
    before <- layer_snapshot(layer)
    expect_refused(layer(list(good$query, good$value[, , 1:2])), "value")
    expect_refused(layer(unname(good), mask = list(NULL, array(TRUE, 9))), "mask")
    expect_refused(layer$build(list(c(2, 3, 4), c(7, 5, 4))), "value_shape")
    expect_identical(layer_snapshot(layer), before)
  }
})

test_that("missing, unknown, unnamed and empty arguments of calls are refused", {
  good <- good_inputs()
  for (layer in heads_layers()) {
    expect_refused(layer(), "query")
    expect_refused(layer(good$query), "value")
    expect_refused(layer(value = good$value), "query")
    expect_refused(layer(good$query, good$value, attention_msk = 1), "attention_msk")
    expect_refused(layer(good$query, good$value, foo = 1, foo = 2), "foo")
    expect_refused(layer(good$query, good$value, foo = stop("evaluated")), "foo")
    expect_refused(do.call(layer, unname(c(good, as.list(1:8)))), "unnamed value")
    expect_refused(layer(good$query, NULL), "value")
    expect_refused(layer(good$query, keras_input(c(5, 4))), "query")
    expect_refused(layer$build(1, 2, 3, 4), "unnamed value")
    expect_refused(layer$build(query_shapes = 1), "query_shapes")
    expect_refused(layer$build(), "query_shape")
    expect_refused(layer$compute_mask(), "query")
  }
  for (layer in scores_layers()) {
    expect_refused(layer(), "inputs")
    expect_refused(layer(good, msk = 1), "msk")
    expect_refused(layer(good, NULL, FALSE, FALSE, FALSE, 6), "unnamed value")
    expect_refused(layer(good$query, good$value), "inputs")
    expect_refused(layer(list(good$query, keras_input(c(5, 4)))), "query")
    expect_refused(layer(list(a = good$query, b = good$value)), "inputs")
    expect_refused(layer$compute_mask(foo = 1), "foo")
  }
  layer <- layer_attention()
  for (method in c("get_config", "get_weights", "count_params", "get_build_config")) {
    expect_refused(layer[[method]](1), "unnamed value")
  }
  expect_refused(layer$set_weights(), "weights")
  expect_refused(layer$from_config(), "config")
  expect_refused(layer$no_such_thing, "no_such_thing")
  expect_refused(layer[1], "[", "an index")
  expect_refused(layer[[]], "i")
  expect_refused(layer$name <- "b", "name")
  expect_refused(layer[[1]] <- "b", "i")
})

test_that("masks attached to inputs are checked as those of arguments are", {
  good <- good_inputs()
  bad_masks <- list("a", list(TRUE), array(NA, c(2, 3)), array(TRUE, c(9, 9)), factor("a"))
  for (mask in bad_masks) {
    query <- structure(good$query, keras_mask = mask)
    for (layer in heads_layers()) expect_refused(layer(query, good$value), "query_mask")
    for (layer in scores_layers()) expect_refused(layer(list(query, good$value)), "query mask")
    expect_refused(set_keras_mask(good$query, mask), "mask")
  }
})

test_that("inputs and masks of more dims than the core can address are refused", {
  x <- array(1, c(rep(1, 14), 2, 3))
  layer <- layer_multi_head_attention(num_heads = 1, key_dim = 1)
  expect_identical(dim(layer(x, x)), dim(x))
  before <- layer_snapshot(layer)
  expect_refused(layer(array(1, rep(1, 17)), array(1, rep(1, 17))), "query")
  expect_refused(layer(x, x, attention_mask = array(TRUE, rep(1, 30))), "mask")
  expect_identical(layer_snapshot(layer), before)
})
