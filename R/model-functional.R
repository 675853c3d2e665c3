# Functional models: a graph of layers between inputs and outputs.
#
# A model is a layer: a function with a class over an environment `self`, with
#   inputs, outputs                 symbolic tensors as they were given: one, or lists
#   input_tensors, output_tensors   the same in a flat list, see model-structure.R
#   nodes, operations               see model-graph.R; operations are what users hold
#   layers                          those of them that are layers
#   cache, cache_version            what calls need (model-call.R); not saved

functional_kind <- list(
  class_name = "Functional", serialized_name = "Functional",
  module = "keras.src.models.functional", constructor = "keras_model", prefix = "functional",
  heads = FALSE, calls = "model", fields = c("layers", "input_layers", "output_layers"),
  required = c("layers", "input_layers", "output_layers"), many = FALSE,
  trace = function(tracer, self, inputs, arguments) {
    trace_functional(tracer, self, inputs, arguments)
  }
)

#' A model from its inputs and outputs
#'
#' Layers that are called with symbolic tensors ([keras_input()]) make a graph; a model is
#' the part of it that leads from `inputs` to `outputs`. It is called with arrays like a
#' layer, it can be used as a layer in other models, and layers may be parts of several
#' models or be called several times in one: their weights are shared.
#'
#' @section Calling a model:
#' `model(inputs, training = NULL, mask = NULL)`. `inputs`: an array; or for several
#' inputs a list, by position or by the names of `inputs` or of the input layers. An input
#' that is `optional` may be `NULL` or be left out by name. The results come in the form
#' of `outputs`: an array, or a list with the same names. Masks that are attached to the
#' inputs ([set_keras_mask()]) or given as `mask` travel through the layers, and outputs
#' that have one carry it. `training = TRUE` switches dropout on in all layers. See
#' [predict][predict.attn_model] for many rows at once.
#'
#' @section Methods and properties:
#' Those of every layer ([attn_layer]) and
#' * `model$layers`: the layers in Keras's order, input layers included;
#'   `model$get_layer(name, index)` finds one, see [get_layer()].
#' * `model$inputs`, `model$outputs`: lists of symbolic tensors; `model$input`,
#'   `model$output`: in the form that they were given in. `model$input_shape`,
#'   `model$output_shape`, `model$input_names`, `model$output_names`.
#' * `model$weights`, `model$trainable_weights`, `model$non_trainable_weights`,
#'   `model$losses`: those of all layers. `model$trainable <- FALSE` freezes all layers.
#' * `model$predict(x, batch_size)`, `model$predict_on_batch(x)`, `model$summary()`.
#'
#' @param inputs,outputs A symbolic tensor, or a list of them, with or without names; lists
#'   may be nested. Inputs may be tensors in the midst of a graph: the model begins there.
#' @param ... `name` and `trainable` of the model.
#' @return A model, of class `attn_model`.
#' @section Errors:
#' `attn_error_argument` when `inputs` or `outputs` are something else, when `outputs` need
#' an input that is not among `inputs`, or when two layers have the same name. Calls:
#' `attn_error_argument` and `attn_error_shape` for inputs of another number, type or shape
#' than the model's; an error in a layer names that layer, and leaves all layers as they
#' were.
#' @references <https://keras.io/api/models/model/>
#' @seealso [keras_model_sequential()], [predict.attn_model()], [summary.attn_model()],
#'   [get_layer()], [clone_model()], [freeze_weights()]
#' @examples
#' input <- keras_input(shape = c(5, 8))
#' attended <- layer_multi_head_attention(input, num_heads = 2, key_dim = 4)
#' output <- layer_dense(attended, units = 2)
#' model <- keras_model(input, output)
#' model
#' x <- array(rnorm(3 * 5 * 8), c(3, 5, 8))
#' dim(model(x))
#' @export
keras_model <- function(inputs = NULL, outputs = NULL, ...) {
  owner <- "keras_model()"
  dots <- check_dots(owner, c("name", "trainable"), ...)
  flat_inputs <- check_model_tensors(inputs, owner, "inputs")
  check_model_tensors(outputs, owner, "outputs")
  name <- check_layer_name(dots[["name"]], owner)
  trainable <- dots[["trainable"]]
  trainable <- if (!is.null(trainable)) check_flag(trainable, owner, "trainable")
  check_inputs_differ(flat_inputs, owner)
  tensors <- graph_from_inputs(inputs, outputs, flat_inputs, owner)
  graph <- map_graph(
    flatten_structure(tensors$inputs), flatten_structure(tensors$outputs), owner
  )
  self <- new_model("functional", name)
  set_model_graph(self, tensors$inputs, tensors$outputs, graph$nodes)
  self$operations <- lapply(graph$layers, layer_object)
  self$layers <- Filter(function(layer) layer_self(layer)$kind != "operation", self$operations)
  if (!is.null(trainable)) {
    set_trainable(self, trainable)
  }
  layer_object(self)
}

check_inputs_differ <- function(inputs, owner) {
  keys <- vapply(inputs, tensor_key, "")
  if (anyDuplicated(keys)) {
    abort_argument(owner, "inputs", "different tensors",
      received = sprintf("\"%s\" twice", inputs[[anyDuplicated(keys)]]$name)
    )
  }
}

# The environment of a model that has no layers yet.
new_model <- function(kind, name) {
  traits <- layer_kinds[[kind]]
  self <- new.env(parent = emptyenv())
  self$kind <- kind
  self$class_name <- self$serialized_name <- traits$class_name
  self$constructor <- traits$constructor
  self$calls <- "model"
  self$heads <- FALSE
  self$name <- if (is.null(name)) unique_name(traits$prefix) else name
  self$label <- sprintf("%s(), model \"%s\"", traits$constructor, self$name)
  self$dtype <- config_floatx()
  self$trainable <- TRUE
  self$config <- list()
  self$weights <- list()
  self$layers <- list()
  self$built <- FALSE
  self
}

set_model_graph <- function(self, inputs, outputs, nodes) {
  self$inputs <- inputs
  self$outputs <- outputs
  self$input_tensors <- flatten_structure(inputs)
  self$output_tensors <- flatten_structure(outputs)
  self$nodes <- nodes
  self$built <- TRUE
  forget_model_calls(self)
}

# ---- as a part of a program ----

# The layers' steps, in the order of the nodes. `inputs`: values in the model's order, NULL
# for an optional one that is not given. What the call says of training wins over what the
# calls of the layers said.
trace_functional <- function(tracer, self, inputs, arguments) {
  values <- new_map()
  input_keys <- vapply(self$input_tensors, tensor_key, "")
  for (i in seq_along(input_keys)) {
    if (!is.null(inputs[[i]])) {
      map_set(values, input_keys[i], inputs[[i]])
    }
  }
  resolve <- function(x) {
    if (is_keras_tensor(x)) {
      return(map_get(values, tensor_key(x)))
    }
    if (is_plain_list(x)) lapply(x, resolve) else x
  }
  for (node in self$nodes) {
    if (!is_input_node(node)) {
      call <- resolve(node$arguments)
      if (!is.null(arguments[["training"]])) {
        call["training"] <- list(arguments[["training"]])
      }
      layer <- layer_self(node$layer)
      given <- unname(resolve(node$inputs))
      check_values_given(node, given, layer)
      made <- trace_layer(tracer, layer, given, call)
      key <- node_key(node)
      for (i in seq_along(made)) {
        map_set(values, result_key(key, i), made[[i]])
      }
    }
  }
  Map(function(tensor, value) {
    if (is.null(value)) {
      abort_argument(self$label, input_name(tensor), "given, because it is an output", NULL)
    }
    value
  }, self$output_tensors, lapply(self$output_tensors, resolve))
}

# An optional input that is not given may only be a mask or a key.
check_values_given <- function(node, given, layer) {
  is_lost <- vapply(given, is.null, NA) & !vapply(unname(node$inputs), is.null, NA)
  if (layer$calls %in% c("heads", "scores")) {
    is_lost <- is_lost[1:2]
  }
  if (any(is_lost) && layer$calls != "model") {
    abort_argument(layer$label, "inputs", "given", received = "an optional input without a value")
  }
}

# The model called with symbolic tensors: shapes come from tracing it.
model_symbolic <- function(self, tensors, arguments) {
  check_symbolic_inputs(self, tensors)
  outputs <- self$output_tensors
  shapes <- lapply(tensors, dim)
  if (identical(shapes, lapply(self$input_tensors, dim))) {
    specs <- lapply(outputs, function(x) list(shape = dim(x), dtype = x$dtype))
  } else {
    tracer <- new_tracer()
    values <- lapply(tensors, function(x) if (!is.null(x)) new_value(tracer, dim(x), x$dtype))
    specs <- trace_functional(tracer, self, values, arguments)
  }
  node <- new_node(self, tensors, arguments)
  made <- Map(function(spec, i) {
    new_keras_tensor(spec$shape, spec$dtype, node = node, index = i)
  }, specs, seq_along(specs))
  pack_structure(self$outputs, unname(made))
}

check_symbolic_inputs <- function(self, tensors) {
  Map(function(x, wanted) {
    if (!is.null(x)) check_model_shape(dim(x), dim(wanted), self$label, input_name(wanted))
  }, tensors, self$input_tensors)
}
