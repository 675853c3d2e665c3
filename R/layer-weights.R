# Weights: which ones a layer has, building it, reading and setting them, and the
# losses that regularizers make of them.

# One weight: its path, its shape as in Keras, how it starts, and the objects that
# act on it. `part` is "kernel", "bias" or "scale" (no regularizer or constraint).
# `depth`: 0, or the rows of the matrix that it is in products (layers/weights.h).
weight_spec <- function(self, path, shape, part, input_axes = NULL, output_axes = NULL,
                        initializer = self$config[[paste0(part, "_initializer")]],
                        depth = 0L) {
  list(
    path = path, shape = as.integer(shape), initializer = initializer, depth = as.integer(depth),
    input_axes = input_axes, output_axes = output_axes,
    regularizer = self$config[[paste0(part, "_regularizer")]],
    constraint = self$config[[paste0(part, "_constraint")]],
    argument = paste0(part, "_initializer")
  )
}

# The weights in Keras's order. `widths` are the last dims of query, value, key.
weight_specs <- function(self, widths) {
  specs <- switch(self$kind,
    multi_head_attention = ,
    group_query_attention = projection_specs(self, widths),
    attention = attention_specs(self),
    additive_attention = additive_specs(self, widths)
  )
  specs <- as.list(specs)
  names(specs) <- vapply(specs, function(spec) spec$path, "")
  specs
}

projection_specs <- function(self, widths) {
  sizes <- head_sizes(self, widths)
  into_heads <- function(name, width, heads, dim) {
    c(
      list(weight_spec(self, paste0(name, "/kernel"), c(width, heads, dim), "kernel", 0L, 1:2)),
      if (sizes$use_bias) list(weight_spec(self, paste0(name, "/bias"), c(heads, dim), "bias"))
    )
  }
  out <- sizes$output
  c(
    into_heads("query", widths[1L], sizes$heads, sizes$key_dim),
    into_heads("key", widths[3L], sizes$key_heads, sizes$key_dim),
    if (sizes$use_gate) into_heads("gate", widths[1L], sizes$heads, sizes$value_dim),
    into_heads("value", widths[2L], sizes$key_heads, sizes$value_dim),
    list(weight_spec(self, "attention_output/kernel", c(sizes$heads, sizes$value_dim, out),
      "kernel", 0:1, 1L + seq_along(out)
    )),
    if (sizes$use_bias) list(weight_spec(self, "attention_output/bias", out, "bias"))
  )
}

# What the two layers with heads call by different names.
head_sizes <- function(self, widths) {
  config <- self$config
  if (self$kind == "multi_head_attention") {
    out <- config$output_shape
    list(
      heads = config$num_heads, key_heads = config$num_heads,
      key_dim = config$key_dim, value_dim = config$value_dim,
      output = if (is.null(out)) widths[1L] else out,
      use_bias = config$use_bias, use_gate = config$use_gate
    )
  } else {
    list(
      heads = config$num_query_heads, key_heads = config$num_key_value_heads,
      key_dim = config$head_dim, value_dim = config$head_dim, output = widths[1L],
      use_bias = config$use_bias, use_gate = config$use_gate
    )
  }
}

attention_specs <- function(self) {
  ones <- initializer_ones()
  c(
    if (self$config$use_scale) {
      list(weight_spec(self, "scale", integer(), "scale", initializer = ones))
    },
    if (self$config$score_mode == "concat") {
      list(weight_spec(self, "concat_score_weight", integer(), "scale", initializer = ones))
    }
  )
}

additive_specs <- function(self, widths) {
  if (self$config$use_scale) {
    list(weight_spec(self, "scale", widths[1L], "scale",
      initializer = initializer_glorot_uniform()
    ))
  }
}

# `layer$build()`: shapes come as two or three arguments, or as one list of them.
build_layer <- function(self, query_shape, value_shape = NULL, key_shape = NULL) {
  finished <- FALSE
  before <- fields_of(self)
  on.exit(if (!finished) suspendInterrupts(restore_fields(self, before)))
  if (self$calls == "tensors") {
    build_tensors(self, as_tensor_shapes(self, query_shape))
  } else {
    shapes <- as_input_shapes(self, query_shape, value_shape, key_shape)
    about_shapes({
      geometry <- layer_geometry(self, shapes$query, shapes$value, shapes$key)
      if (!self$built) {
        build_native(self, geometry)
      }
    })
  }
  finished <- TRUE
  invisible(layer_object(self))
}

# Makes the native state with its first weights and only then, when nothing can
# fail any more, makes it the layer's.
build_native <- function(self, geometry) {
  widths <- geometry$widths
  if (anyNA(widths) && !needs_widths(self)) {
    widths <- c(1L, 1L, 1L) # any will do
  }
  if (anyNA(widths)) {
    odd <- c("query", "value", "key")[is.na(widths)][1L]
    shape <- geometry$shapes[[odd]]
    abort_shape(self$label, odd, "of a shape whose last dim is known",
      paste("shape", format_shape(if (is.null(shape)) geometry$shapes$value else shape))
    )
  }
  specs <- weight_specs(self, widths)
  values <- lapply(specs, initial_value, self = self)
  handle <- .Call(ffi_layer_create, self$kind, self$dtype, native_config(self), self$key)
  out <- if (self$heads) head_sizes(self, widths)$output else widths[1L]
  .Call(ffi_layer_build, handle, as.integer(widths), as.integer(out))
  .Call(ffi_layers_set_weights, list(handle), list(unname(values)))

  if (self$kind == "multi_head_attention") {
    self$config["attention_axes"] <- list(geometry$axes)
  }
  self$handle <- handle
  self$widths <- widths
  self$rank <- geometry$rank
  self$shapes <- geometry$shapes
  self$weights <- specs
  self$built <- TRUE
  invisible(self)
}

# Whether a weight depends on the last dims of the inputs.
needs_widths <- function(self) {
  self$heads || (self$kind == "additive_attention" && self$config$use_scale)
}

# The first values of a weight. Initializers of this package fail only for want of
# memory or time once their arguments are checked; errors of a user's function are the user's.
initial_value <- function(spec, self) {
  if (is_loading()) {
    return(blank_weight(spec$shape))
  }
  make <- function() {
    call_initializer(spec$initializer, spec$shape, self$dtype,
      spec$input_axes, spec$output_axes,
      owner = self$label, argument = spec$argument
    )
  }
  if (is.function(spec$initializer) && !inherits(spec$initializer, "attn_initializer")) {
    return(make())
  }
  tryCatch(make(), error = function(error) {
    if (inherits(error, "attn_error") && !inherits(error, "attn_error_memory")) {
      within_argument(stop(error), self$label, spec$argument)
    }
    if (is_time_limit(error)) {
      stop(error)
    }
    attn_abort(
      sprintf(
        "%s: no weight \"%s\" of shape %s can be made: %s.", self$label, spec$path,
        format_shape(spec$shape), conditionMessage(error)
      ),
      "attn_error_memory",
      owner = self$label, argument = spec$path,
      expected = "enough memory", received = conditionMessage(error)
    )
  })
}

# What the core wants to know; entries that a kind does not have are any value.
native_config <- function(self) {
  config <- self$config
  result <- list(
    num_heads = 1L, num_key_value_heads = 1L, key_dim = 1L, value_dim = 1L,
    use_bias = FALSE, use_gate = FALSE, use_scale = FALSE, score_mode = "dot",
    dropout = config$dropout
  )
  if (self$heads) {
    sizes <- head_sizes(self, c(1L, 1L, 1L))
    result$num_heads <- sizes$heads
    result$num_key_value_heads <- sizes$key_heads
    result$key_dim <- sizes$key_dim
    result$value_dim <- sizes$value_dim
    result$use_bias <- sizes$use_bias
    result$use_gate <- sizes$use_gate
  } else {
    result$use_scale <- config$use_scale
    result$score_mode <- if (self$kind == "attention") config$score_mode else "additive"
  }
  result
}

layer_geometry <- function(self, query, value, key) {
  if (self$heads) {
    heads_geometry(self, query, value, key)
  } else {
    scores_geometry(self, query, value, key)
  }
}

# Shapes as arguments (query, value[, key]) or as one list of two or three.
as_input_shapes <- function(self, query_shape, value_shape, key_shape) {
  owner <- self$label
  if (is_list_of_shapes(query_shape)) {
    if (!is.null(value_shape) || !is.null(key_shape) || !(length(query_shape) %in% 2:3)) {
      abort_argument(owner, "query_shape",
        "one shape, or a list of the two or three shapes of query, value and key", query_shape
      )
    }
    key_shape <- if (length(query_shape) == 3L) query_shape[[3L]]
    value_shape <- query_shape[[2L]]
    query_shape <- query_shape[[1L]]
  }
  for (argument in c("query_shape", "value_shape")) {
    if (is.null(get(argument))) {
      abort_argument(owner, argument, "a shape such as c(NA, 10, 16)", NULL)
    }
  }
  list(
    query = as_partial_shape(query_shape, owner, "query_shape"),
    value = as_partial_shape(value_shape, owner, "value_shape"),
    key = if (!is.null(key_shape)) as_partial_shape(key_shape, owner, "key_shape")
  )
}

# A list of single numbers (or NULLs) is a shape, a list of vectors is several.
is_list_of_shapes <- function(x) {
  !is.object(x) && typeof(x) == "list" && any(lengths(x) > 1L)
}

# Errors about the shape of an input are errors about the argument `..._shape`.
about_shapes <- function(code) {
  tryCatch(code, attn_error_shape = function(error) {
    if (!(error$argument %in% c("query", "value", "key"))) {
      stop(error)
    }
    abort_shape(error$layer, paste0(error$argument, "_shape"),
      sub("^an array", "the shape of an array", error$expected), error$received
    )
  })
}

layer_weights <- function(self) {
  if (!self$built || !length(self$weights)) {
    return(structure(list(), names = character()))
  }
  values <- if (is.null(self$parts)) {
    .Call(ffi_layer_get_weights, self$handle)
  } else {
    parts_weights(self)
  }
  names(values) <- names(self$weights)
  values
}

set_layer_weights <- function(self, weights) {
  if (self$calls == "model") {
    return(set_model_weights(self, weights))
  }
  put_weights(list(self), list(check_new_weights(self, weights)))
  invisible(self)
}

check_new_weights <- function(self, weights) {
  owner <- self$label
  if (is.object(weights) || !is.list(weights)) {
    abort_argument(owner, "weights", "a list of arrays", weights,
      subclass = "attn_error_weights"
    )
  }
  if (!self$built && length(weights)) {
    attn_abort(
      sprintf("%s: `weights` cannot be set before the layer is built. %s", owner,
        "Build it with `layer$build()` or call it once."),
      "attn_error_state",
      owner = owner, argument = "weights",
      expected = "a built layer", received = describe_value(weights)
    )
  }
  specs <- self$weights
  if (length(weights) != length(specs)) {
    abort_argument(owner, "weights", sprintf("a list of %d arrays", length(specs)),
      received = sprintf("a list of length %d", length(weights)),
      subclass = "attn_error_weights"
    )
  }
  # Names that are the layer's own, in any order, say which weight is which.
  if (!is.null(names(weights)) && setequal(names(weights), names(specs))) {
    weights <- weights[names(specs)]
  }
  unname(Map(function(value, spec) check_new_weight(value, spec, owner), weights, specs))
}

check_new_weight <- function(value, spec, owner) {
  argument <- paste0("weights: ", spec$path)
  rank <- length(spec$shape)
  if (!(is.numeric(value) || is.logical(value)) || is_foreign_object(value)) {
    abort_argument(owner, argument, "a numeric array", value, subclass = "attn_error_weights")
  }
  shape <- dim(value)
  fits <- if (rank == 0L) {
    length(value) == 1L
  } else if (rank == 1L && is.null(shape)) {
    length(value) == spec$shape
  } else {
    length(shape) == rank && all(shape == spec$shape)
  }
  if (!fits) {
    abort_argument(owner, argument,
      if (rank) paste("an array of shape", format_shape(spec$shape)) else "a single number",
      received = if (is.null(shape)) describe_value(value) else paste("shape", format_shape(shape)),
      subclass = "attn_error_weights"
    )
  }
  with_shape(value, spec$shape)
}

count_layer_params <- function(self) {
  if (!self$built) {
    attn_abort(
      sprintf("%s: parameters cannot be counted before the layer is built.", self$label),
      "attn_error_state",
      owner = self$label, expected = "a built layer", received = "a layer that is not built"
    )
  }
  sum(vapply(self$weights, function(weight) prod(weight$shape), 1))
}

# Activity losses of the last call, then one per regularized weight that can be
# trained, computed from what the weights are now.
layer_losses <- function(self) {
  losses <- as.list(self$activity_losses)
  regularized <- if (self$trainable && self$built) {
    !vapply(self$weights, function(weight) is.null(weight$regularizer), NA)
  }
  if (!any(regularized)) {
    return(losses)
  }
  values <- layer_weights(self)[regularized]
  weight_losses <- Map(
    function(value, weight) {
      regularizer_loss(weight$regularizer, value, self$label, weight$path)
    },
    values, self$weights[regularized]
  )
  c(losses, unname(weight_losses))
}

# The regularizer's value for each of these arrays, per example of the batch.
activity_losses <- function(regularizer, arrays, owner) {
  vapply(arrays, function(x) {
    regularizer_loss(regularizer, x, owner, "activity_regularizer") / dim(x)[1L]
  }, 1)
}

# Users' functions may return anything.
regularizer_loss <- function(regularizer, x, owner, argument, ...) {
  check_no_dots("regularizer_loss()", ...)
  loss <- regularizer(x)
  if (!(is.numeric(loss) || is.logical(loss)) || is_foreign_object(loss) || length(loss) != 1L) {
    abort_argument(owner, argument, "a function that returns one number", loss)
  }
  as.double(loss)
}

#' Weights of a layer
#'
#' `get_weights()` gives a layer's weights as a list of arrays, `set_weights()`
#' replaces them, `count_params()` counts their elements. The order is Keras's:
#' for multi-head and grouped query attention `query`, `key`, `gate` (if there is
#' one), `value`, `attention_output`, each with a kernel and, unless
#' `use_bias = FALSE`, a bias; for [layer_attention()] `scale`, then
#' `concat_score_weight`; for [layer_additive_attention()] `scale`.
#'
#' A layer has weights once it is built: by `layer$build()` or by its first call.
#' `layer$weights` gives them with their names, such as `"query/kernel"`.
#'
#' Weights are kept in the precision of the layer's `dtype`, so a `"float32"` layer
#' gives back what was set, rounded to 32-bit floats.
#'
#' @param object A layer.
#' @param trainable `NA` (default): all weights; `TRUE`, `FALSE`: only those that
#'   training changes, or does not change.
#' @param weights A list of numeric arrays with the shapes of the layer's weights,
#'   in their order. If it has the layer's own weight names, it may be in any order.
#' @param ... Not used; anything here is an error.
#' @return `get_weights()`: a list of arrays; weights without dims are plain
#'   numbers. `set_weights()`: the layer, invisibly. `count_params()`: a number.
#' @section Errors:
#' `attn_error_weights` when the number, a type or a shape of the weights is wrong,
#' in which case all weights stay as they were; `attn_error_state` when the layer is
#' not built; `attn_error_argument` when `object` is no layer.
#' @references <https://keras.io/api/layers/base_layer/>
#' @examples
#' layer <- layer_multi_head_attention(num_heads = 2, key_dim = 3)
#' layer$build(c(NA, 5, 4), c(NA, 5, 4))
#' weights <- get_weights(layer)
#' lapply(weights, dim)
#' set_weights(layer, lapply(weights, function(w) w * 0))
#' count_params(layer)
#' @export
get_weights <- function(object, trainable = NA, ...) {
  owner <- "get_weights()"
  check_no_dots(owner, ...)
  check_given(missing(object), owner, "object", "a layer")
  UseMethod("get_weights")
}

#' @export
get_weights.default <- function(object, trainable = NA, ...) {
  abort_argument("get_weights()", "object", "a layer", object)
}

#' @export
get_weights.attn_layer <- function(object, trainable = NA, ...) {
  self <- layer_self(object)
  if (!is_scalar(trainable, is.logical)) {
    abort_argument(self$label, "trainable", "TRUE, FALSE or NA", trainable)
  }
  if (!is.na(trainable) && trainable != self$trainable) {
    return(list())
  }
  unname(layer_weights(self))
}

#' @rdname get_weights
#' @export
set_weights <- function(object, weights, ...) {
  owner <- "set_weights()"
  check_no_dots(owner, ...)
  check_given(missing(object), owner, "object", "a layer")
  UseMethod("set_weights")
}

#' @export
set_weights.default <- function(object, weights, ...) {
  abort_argument("set_weights()", "object", "a layer", object)
}

#' @export
set_weights.attn_layer <- function(object, weights, ...) {
  self <- layer_self(object)
  check_given(missing(weights), self$label, "weights", "a list of arrays")
  set_layer_weights(self, weights)
  invisible(object)
}

#' @rdname get_weights
#' @export
count_params <- function(object, ...) {
  owner <- "count_params()"
  check_no_dots(owner, ...)
  check_given(missing(object), owner, "object", "a layer")
  UseMethod("count_params")
}

#' @export
count_params.default <- function(object, ...) {
  abort_argument("count_params()", "object", "a layer", object)
}

#' @export
count_params.attn_layer <- function(object, ...) {
  count_layer_params(layer_self(object))
}
