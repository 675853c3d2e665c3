# Layers whose insides were replaced: an error of class attn_error_state, never a crash.

forged_state <- function(expr) expect_attn_error(expr, "state")

built_layers <- function() {
  x <- random_array(2, 3, 4)
  layers <- list(
    layer_multi_head_attention(num_heads = 2, key_dim = 2, seed = 1),
    layer_group_query_attention(
      head_dim = 2, num_query_heads = 2, num_key_value_heads = 1, seed = 1
    ),
    layer_attention(use_scale = TRUE, seed = 1), layer_additive_attention(seed = 1)
  )
  for (layer in layers) layer$build(list(dim(x), dim(x)))
  layers
}

use_everywhere <- function(layer) {
  x <- random_array(2, 3, 4)
  forged_state(if ("query_dense" %in% names(layer)) layer(x, x) else layer(list(x, x)))
  forged_state(get_weights(layer))
  forged_state(set_weights(layer, lapply(environment(layer)$self$weights, function(weight) {
    if (length(weight$shape)) array(1, weight$shape) else 1
  })))
  forged_state(layer$weights)
}

test_that("a handle that was replaced is noticed", {
  foreign <- list(
    NULL, raw(), raw(8), methods::new("externalptr"), 1, "a", list(), new.env(), mean, quote(x),
    1:10, seq_len(100)
  )
  for (handle in foreign) {
    for (layer in built_layers()) {
      self <- environment(layer)$self
      assign("handle", handle, envir = self)
      use_everywhere(layer)
    }
  }
})

test_that("a layer serialized with version 2 has lost its weights and says so", {
  for (layer in built_layers()) {
    copy <- unserialize(serialize(layer, NULL, version = 2))
    use_everywhere(copy)
    expect_identical(get_config(copy), get_config(layer))
    expect_silent(format(copy))
    # with version 3 it keeps them
    copy <- unserialize(serialize(layer, NULL, version = 3))
    expect_identical(get_weights(copy), get_weights(layer))
  }
})

test_that("the handle of another layer does not make the core read beyond its weights", {
  layers <- built_layers()
  x <- random_array(2, 3, 4)
  for (victim in layers) {
    for (donor in built_layers()) {
      assign("handle", environment(donor)$self$handle, envir = environment(victim)$self)
      result <- outcome(function() {
        if ("query_dense" %in% names(victim)) victim(x, x) else victim(list(x, x))
      })
      expect_true(result$kind %in% c("value", "refused"))
    }
  }
})

test_that("things that only have the class of a layer, tensor, object or scores are refused", {
  for (name in c("forged_layer", "forged_layer_function")) {
    forged <- bad_values()[[name]]
    forged_state(forged$weights)
    forged_state(forged[["name"]])
    forged_state(forged$name <- 1)
    forged_state(get_weights(forged))
    forged_state(set_weights(forged, list()))
    forged_state(get_config(forged))
    forged_state(count_params(forged))
    forged_state(format(forged))
    forged_state(print(forged))
    forged_state(summary(forged))
    forged_state(serialize_keras_object(forged))
  }
  for (name in c("forged_tensor", "forged_tensor_0", "forged_tensor_state")) {
    forged <- bad_values()[[name]]
    forged_state(dim(forged))
    forged_state(format(forged))
    forged_state(forged$shape)
    expect_refused(layer_attention(forged), "query")
  }
  for (name in c("forged_object", "forged_regularizer", "forged_constraint")) {
    expect_refused(get_config(bad_values()[[name]]), "object")
    expect_refused(serialize_keras_object(bad_values()[[name]]), "obj")
  }
  axes <- function(...) list(...)
  forged_scores <- list(
    array(0, c(2, 2)), 1, list(), structure("a", axes = axes(batch = 1, query = 2, key = 3)),
    structure(array(1, c(2, 2, 2)),
      axes = axes(batch = 1L, head = integer(), query = 3L, key = 2L)
    ),
    structure(array("a", c(2, 2, 2)),
      axes = axes(batch = 1L, head = integer(), query = 2L, key = 3L)
    )
  )
  for (forged in forged_scores) {
    class(forged) <- "attn_scores"
    for (f in list(plot, summary, as.data.frame, format, print, str, tidy)) {
      expect_refused(f(forged), "x")
    }
  }
})
