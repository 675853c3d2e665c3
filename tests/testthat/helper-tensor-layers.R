# What is the same for every layer of tensors.

# Far enough from the rounding of one operation on numbers near 1, near enough to see a
# wrong formula.
layer_tolerance <- c(float32 = 3e-6, float64 = 1e-13)

expect_near <- function(got, expected, dtype, label) {
  got <- set_keras_mask(got, NULL)
  expect_identical(dim(got), dim(expected), label = label)
  same_nan <- identical(which(is.nan(got)), which(is.nan(expected)))
  expect(same_nan, paste(label, "has NaN elsewhere"))
  error <- max(abs(got - expected)[!is.nan(expected)], 0)
  size <- max(1, abs(expected[!is.nan(expected)]))
  expect_lte(error / size, layer_tolerance[[dtype]], label = label)
}

# random weights, so that zeros and ones hide nothing
shake_weights <- function(layer) {
  set_weights(layer, lapply(get_weights(layer), function(w) {
    w[] <- stats::rnorm(length(w))
    w
  }))
}

# make(...): the layer. expected(x, weights): its result by plain R, weights by name.
expect_layer <- function(make, x, expected, weights = TRUE, mask = implicit_mask_of(x)) {
  for (dtype in c("float32", "float64")) {
    layer <- make(dtype = dtype)
    layer$build(dim(x))
    if (weights) shake_weights(layer)
    label <- paste(environment(layer)$self$label, dtype, format_dim(x))
    y <- layer(x)
    expect_near(y, expected(x, layer$weights), dtype, label)
    expect_identical(get_keras_mask(y), mask, label = paste("mask of", label))
    expect_identical(as.integer(layer$compute_output_shape(dim(x))), dim(y), label = label)
    expect_copies(layer, x, y, label)
    expect_in_model(layer, x, y, label)
  }
}

implicit_mask_of <- function(x) get_keras_mask(x)
format_dim <- function(x) paste0("(", paste(dim(x), collapse = ", "), ")")

# By config, by JSON, by serialization: the same bits.
expect_copies <- function(layer, x, y, label) {
  dict <- serialize_keras_object(layer)
  copies <- list(
    config = deserialize_keras_object(dict),
    json = deserialize_keras_object(jsonlite::parse_json(to_json(dict))),
    simplified = deserialize_keras_object(jsonlite::fromJSON(to_json(dict)))
  )
  for (name in names(copies)) {
    copy <- set_weights(copies[[name]], get_weights(layer))
    if (name != "simplified") { # which cannot tell a list of one number from a number
      expect_identical(get_config(copy), get_config(layer), label = paste(name, "of", label))
    }
    expect_identical(copy(x), y, label = paste(name, "of", label))
  }
  expect_identical(unserialize(serialize(layer, NULL))(x), y, label = paste("saved", label))
}

expect_in_model <- function(layer, x, y, label) {
  type <- if (is.integer(x)) "int32" else layer$dtype
  input <- keras_input(batch_shape = c(NA, dim(x)[-1]), dtype = type)
  output <- layer(input)
  expect_identical(dim(output)[-1], dim(y)[-1], label = paste("symbolic", label))
  expect_identical(keras_model(input, output)(x), y, label = paste("model of", label))
}

expect_config_fields <- function(layer, fields) {
  expect_identical(names(get_config(layer)), c("name", "trainable", "dtype", fields))
}

# The layer says no, and stays as it was.
expect_refused_input <- function(layer, x, regexp = NULL, subclass = "shape", ...) {
  before <- list(get_config(layer), layer$built, get_weights_if(layer))
  expect_attn_error(layer(x, ...), subclass, regexp)
  expect_identical(list(get_config(layer), layer$built, get_weights_if(layer)), before)
}

get_weights_if <- function(layer) if (layer$built) get_weights(layer)
