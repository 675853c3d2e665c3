# What `model$...` gives beside what every layer has, and the functions that find the
# layers of a model or freeze them.

# The layers that a layer is made of: `self` of each.
sub_layers <- function(self) {
  if (self$calls == "model") {
    members <- c(self$stack, self$operations)
    return(lapply(if (length(members)) members else self$layers, layer_self))
  }
  parts <- layer_kinds[[self$kind]]$parts
  if (is.null(parts)) list() else unname(parts(self))
}

# `self` and everything in it, each once.
layer_and_parts <- function(self) {
  found <- list(self)
  names <- node_key(self)
  collect <- function(self) {
    for (part in sub_layers(self)) {
      name <- node_key(part)
      if (!(name %in% names)) {
        names <<- c(names, name)
        found <<- c(found, list(part))
        collect(part)
      }
    }
  }
  collect(self)
  found
}

# As in Keras, what holds for a layer holds for its parts.
set_trainable <- function(self, trainable) {
  for (part in layer_and_parts(self)) {
    part$trainable <- trainable
  }
  invisible(self)
}

check_graph <- function(self, what) {
  if (is.null(self$input_tensors)) {
    attn_abort(
      sprintf("%s: `%s` is not known before the model is built.", self$label, what),
      "attn_error_state",
      owner = self$label, argument = what, expected = "a model that is built",
      received = "a model that does not know the shape of its input"
    )
  }
}

# A property of the model's graph.
graph_property <- function(what, get) {
  force(what)
  force(get)
  function(self) {
    check_graph(self, what)
    get(self)
  }
}

one_or_list <- function(x) if (length(x) == 1L) x[[1L]] else x

tensor_layer_names <- function(tensors) {
  vapply(tensors, function(x) layer_self(x$node$layer)$name, "")
}

model_properties <- list(
  layers = function(self) self$layers,
  inputs = graph_property("inputs", function(self) self$input_tensors),
  outputs = graph_property("outputs", function(self) self$output_tensors),
  input = graph_property("input", function(self) self$inputs),
  output = graph_property("output", function(self) self$outputs),
  input_shape = graph_property("input_shape", function(self) {
    one_or_list(lapply(self$input_tensors, dim))
  }),
  output_shape = graph_property("output_shape", function(self) {
    one_or_list(lapply(self$output_tensors, dim))
  }),
  input_names = graph_property("input_names", function(self) {
    tensor_layer_names(self$input_tensors)
  }),
  output_names = graph_property("output_names", function(self) {
    tensor_layer_names(self$output_tensors)
  }),
  weights = function(self) model_weights(self, NA),
  trainable_weights = function(self) model_weights(self, TRUE),
  non_trainable_weights = function(self) model_weights(self, FALSE),
  losses = function(self) {
    unlist(lapply(weight_layers(self), layer_losses), recursive = FALSE)
  }
)

model_methods <- list(
  build = function(self) {
    function(input_shape, ...) {
      check_no_dots(self$label, ...)
      check_given(missing(input_shape), self$label, "input_shape", "a shape such as c(NA, 16)")
      build_model(self, input_shape)
    }
  },
  compute_output_shape = function(self) {
    function(input_shape, ...) {
      check_no_dots(self$label, ...)
      check_given(missing(input_shape), self$label, "input_shape", "a shape such as c(NA, 16)")
      model_output_shape(self, input_shape)
    }
  },
  compute_output_spec = function(self) {
    function(inputs, ...) {
      check_no_dots(self$label, ...)
      check_given(missing(inputs), self$label, "inputs",
        "an array or a symbolic tensor, or a list of them"
      )
      check_graph(self, "compute_output_spec")
      tensors <- match_model_inputs(self, inputs, self$label)
      if (!is_symbolic_call(name_each(tensors, "inputs"), self$label)) {
        tensors <- Map(function(x, wanted) {
          if (!is.null(x)) new_keras_tensor(dim(x), wanted$dtype)
        }, check_model_arrays(self, tensors), self$input_tensors)
      }
      model_symbolic(self, tensors, list())
    }
  },
  compute_mask = function(self) {
    function(inputs, mask = NULL, ...) {
      check_no_dots(self$label, ...)
      check_given(missing(inputs), self$label, "inputs", "an array, or a list of arrays")
      result <- layer_object(self)(inputs, mask = mask)
      if (is_plain_list(result)) lapply(result, get_keras_mask) else get_keras_mask(result)
    }
  },
  get_layer = function(self) {
    function(name = NULL, index = NULL, ...) {
      check_no_dots(self$label, ...)
      find_layer(self, name, index)
    }
  },
  get_weights = function(self) {
    no_arguments(self, function(self) unname(model_weights(self, NA)))
  },
  predict = function(self) {
    function(x, ...) predict.attn_model(layer_object(self), x, ...)
  },
  predict_on_batch = function(self) {
    function(x, ...) predict_on_batch(layer_object(self), x, ...)
  },
  summary = function(self) {
    function(...) print(summary.attn_model(layer_object(self), ...))
  },
  count_params = function(self) no_arguments(self, count_model_params)
)

build_model <- function(self, input_shape) {
  if (self$kind == "sequential") {
    return(build_sequential(self, input_shape))
  }
  invisible(layer_object(self))
}

# `input_shape`: one shape, or a list of them in the order of the inputs.
model_output_shape <- function(self, input_shape) {
  check_graph(self, "compute_output_shape")
  shapes <- if (is_list_of_shapes(input_shape)) unname(input_shape) else list(input_shape)
  wanted <- self$input_tensors
  if (length(shapes) != length(wanted)) {
    abort_argument(self$label, "input_shape", sprintf("a list of %d shapes", length(wanted)),
      input_shape
    )
  }
  tracer <- new_tracer()
  values <- Map(function(shape, tensor) {
    shape <- as_partial_shape(shape, self$label, "input_shape")
    check_model_shape(shape, dim(tensor), self$label, "input_shape")
    new_value(tracer, shape, tensor$dtype)
  }, shapes, wanted)
  made <- trace_functional(tracer, self, values, list())
  one_or_list(lapply(made, function(value) value$shape))
}

# ---- one layer of a model ----

#' Find a layer of a model
#'
#' Layers are numbered in the order of `model$layers`: in functional models input layers
#' count, in sequential models they do not.
#'
#' @param object A model.
#' @param name The name of a layer.
#' @param index The number of a layer, from 1; negative numbers count from the end, -1 is
#'   the last. If both are given, `index` decides.
#' @param ... Not used; anything here is an error.
#' @return The layer.
#' @section Errors:
#' `attn_error_argument` when `object` is no model, and when it has no such layer.
#' @references <https://keras.io/api/models/model/>
#' @examples
#' model <- keras_model_sequential(input_shape = 4) |>
#'   layer_dense(units = 3, name = "hidden") |>
#'   layer_dense(units = 2)
#' get_layer(model, "hidden")
#' get_layer(model, index = -1)
#' @export
get_layer <- function(object, name = NULL, index = NULL, ...) {
  owner <- "get_layer()"
  check_no_dots(owner, ...)
  check_given(missing(object), owner, "object", "a model")
  find_layer(model_self(object, owner), name, index)
}

model_self <- function(object, owner, argument = "object") {
  self <- if (is_layer(object)) layer_self(object)
  if (is.null(self) || self$calls != "model") {
    abort_argument(owner, argument, "a model", if (is.null(self)) object,
      received = if (is.null(self)) describe_value(object) else format(object)
    )
  }
  self
}

find_layer <- function(self, name, index) {
  owner <- self$label
  recall_nodes(self$nodes)
  layers <- self$layers
  if (!is.null(index)) {
    if (!is_whole_number(index) || index == 0 || abs(index) > length(layers)) {
      abort_argument(owner, "index",
        sprintf("a whole number from 1 to %1$d, or from -%1$d to -1", length(layers)), index
      )
    }
    return(layers[[if (index < 0) length(layers) + 1 + index else index]])
  }
  name <- check_string(name, owner, "name", null_ok = TRUE)
  if (is.null(name)) {
    abort_argument(owner, "name", "given, or else `index`", NULL)
  }
  known <- layer_names(layers)
  if (!(name %in% known)) {
    abort_argument(owner, "name",
      paste("the name of one of the layers,", paste0("\"", known, "\"", collapse = ", ")), name
    )
  }
  layers[[match(name, known)]]
}

layer_names <- function(layers) vapply(layers, function(layer) layer_self(layer)$name, "")

# ---- freezing ----

#' Freeze and unfreeze weights
#'
#' `freeze_weights()` sets `trainable` of a layer, or of layers of a model, to `FALSE`,
#' `unfreeze_weights()` to `TRUE`. When some layers of a model are asked for, all others
#' get the opposite, as in keras3.
#'
#' @param object A layer or a model; it is changed in place.
#' @param from,to The first and the last of the model's layers that are meant: a layer, its
#'   name or its number (from 1, or negative from the end). `NULL`: the model's first or
#'   last layer.
#' @param which In place of `from` and `to`: names or numbers of layers, a list of layers,
#'   one logical value per layer, or a function of a layer that gives one.
#' @param ... Not used; anything here is an error.
#' @return `object`, invisibly.
#' @section Errors:
#' `attn_error_argument` when `object` has no such layers, or `which` and `from` or `to`
#' are given together.
#' @references <https://keras3.posit.co/reference/freeze_weights.html>
#' @examples
#' model <- keras_model_sequential(input_shape = 4) |>
#'   layer_dense(units = 3) |>
#'   layer_dense(units = 2)
#' freeze_weights(model, to = 1)
#' vapply(model$layers, function(layer) layer$trainable, NA)
#' unfreeze_weights(model)
#' @export
freeze_weights <- function(object, from = NULL, to = NULL, which = NULL, ...) {
  check_no_dots("freeze_weights()", ...)
  check_given(missing(object), "freeze_weights()", "object", "a layer or a model")
  change_trainable(object, from, to, which, FALSE, "freeze_weights()")
}

#' @rdname freeze_weights
#' @export
unfreeze_weights <- function(object, from = NULL, to = NULL, which = NULL, ...) {
  check_no_dots("unfreeze_weights()", ...)
  check_given(missing(object), "unfreeze_weights()", "object", "a layer or a model")
  change_trainable(object, from, to, which, TRUE, "unfreeze_weights()")
}

change_trainable <- function(object, from, to, which, trainable, owner) {
  if (!is_layer(object)) {
    abort_argument(owner, "object", "a layer or a model", object)
  }
  self <- layer_self(object)
  by_range <- !is.null(from) || !is.null(to)
  if (by_range && !is.null(which)) {
    abort_argument(owner, "which", "NULL when `from` or `to` is given", which)
  }
  if (!by_range && is.null(which)) {
    set_trainable(self, trainable)
    return(invisible(object))
  }
  model_self(object, owner)
  layers <- self$layers
  chosen <- if (by_range) {
    chosen_range(layers, from, to, owner)
  } else {
    chosen_layers(layers, which, owner)
  }
  self$trainable <- TRUE
  for (i in seq_along(layers)) {
    set_trainable(layer_self(layers[[i]]), if (i %in% chosen) trainable else !trainable)
  }
  invisible(object)
}

chosen_range <- function(layers, from, to, owner) {
  first <- if (is.null(from)) 1L else place_of_layer(layers, from, owner, "from")
  last <- if (is.null(to)) length(layers) else place_of_layer(layers, to, owner, "to")
  if (first <= last) first:last else integer()
}

chosen_layers <- function(layers, which, owner) {
  if (is.function(which) && !is_layer(which)) {
    which <- vapply(layers, function(layer) {
      check_flag(which(layer), owner, "the result of `which`")
    }, NA)
  }
  if (is.logical(which)) {
    if (is.object(which) || length(which) != length(layers) || anyNA(which)) {
      abort_argument(owner, "which",
        sprintf("%d values TRUE or FALSE, one for each layer", length(layers)), which
      )
    }
    return(base::which(which))
  }
  if (is_layer(which)) {
    which <- list(which)
  }
  if (is.object(which) || !(is.list(which) || is.character(which) || is.numeric(which))) {
    abort_argument(owner, "which",
      "names or numbers of layers, layers, logical values or a function", which
    )
  }
  vapply(as.list(which), function(x) place_of_layer(layers, x, owner, "which"), 1L)
}

place_of_layer <- function(layers, x, owner, argument) {
  place <- if (is_layer(x)) {
    match(node_key(layer_self(x)), vapply(layers, function(y) node_key(layer_self(y)), ""))
  } else if (is_string(x)) {
    match(x, layer_names(layers))
  } else if (is_whole_number(x) && x != 0 && abs(x) <= length(layers)) {
    if (x < 0) length(layers) + 1 + x else x
  }
  if (is.null(place) || is.na(place)) {
    abort_argument(owner, argument, "layers of the model, by name, by number or as such",
      if (is_layer(x)) NULL else x,
      received = if (is_layer(x)) format(x) else describe_value(x)
    )
  }
  as.integer(place)
}
