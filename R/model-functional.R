# Functional models: a graph of layers between inputs and outputs.
#
# A model is a layer: a function with a class over an environment `self`, with
#   inputs, outputs   symbolic tensors as they were given: one, or a list
#   nodes, layers     see model-graph.R; layers are the functions that users hold
#   program           made by the first call (program.R)

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
#' @param inputs,outputs A symbolic tensor, or a list of them (with names, if you like).
#' @param ... `name` and `trainable` of the model.
#' @return A model.
#' @section Errors:
#' `attn_error_argument` when `outputs` need an input that is not among `inputs`.
#' @references <https://keras.io/api/models/model/>
#' @examples
#' input <- keras_input(shape = 4)
#' model <- keras_model(input, layer_dense(input, units = 2))
#' model(matrix(1:8, 2))
#' @export
keras_model <- function(inputs = NULL, outputs = NULL, ...) {
  owner <- "keras_model()"
  dots <- check_dots(owner, c("name", "trainable"), ...)
  check_model_tensors(inputs, owner, "inputs")
  check_model_tensors(outputs, owner, "outputs")
  name <- check_layer_name(dots[["name"]], owner)
  trainable <- dots[["trainable"]]
  trainable <- if (is.null(trainable)) TRUE else check_flag(trainable, owner, "trainable")
  graph <- map_graph(find_tensors(inputs), find_tensors(outputs), owner)

  self <- new.env(parent = emptyenv())
  self$kind <- "functional"
  self$class_name <- self$serialized_name <- "Functional"
  self$constructor <- "keras_model"
  self$calls <- "model"
  self$heads <- FALSE
  self$name <- if (is.null(name)) unique_name("functional") else name
  self$label <- sprintf("keras_model(), model \"%s\"", self$name)
  self$dtype <- config_floatx()
  self$trainable <- trainable
  self$config <- list()
  self$inputs <- inputs
  self$outputs <- outputs
  self$nodes <- graph$nodes
  self$layers <- lapply(graph$layers, layer_object)
  self$weights <- list()
  self$built <- TRUE
  layer_object(self)
}

check_model_tensors <- function(x, owner, argument) {
  ok <- is_keras_tensor(x) ||
    (is.list(x) && !is.object(x) && length(x) && all(vapply(x, is_keras_tensor, NA)))
  if (!ok) {
    abort_argument(owner, argument, "a symbolic tensor, or a list of them", x)
  }
}

model_function <- function(self) {
  force(self)
  function(inputs, ...) call_model(self, inputs, ...)
}

call_model <- function(self, inputs, ...) {
  owner <- self$label
  check_given(missing(inputs), owner, "inputs", "an array, or a list of arrays")
  arguments <- check_call_arguments(check_dots(owner, c("training", "mask"), ...), owner)
  given <- match_model_inputs(self, inputs, owner)
  if (is_symbolic_call(name_each(given, "inputs"), owner)) {
    return(model_symbolic(self, given, arguments))
  }
  arrays <- Map(check_model_array, given, find_tensors(self$inputs), list(owner))
  results <- run_program(model_program(self), unname(arrays), isTRUE(arguments$training))
  as_model_outputs(self, results)
}

# What a call gives, in the order of the model's inputs.
match_model_inputs <- function(self, inputs, owner) {
  wanted <- find_tensors(self$inputs)
  if (length(wanted) == 1L && !(is.list(inputs) && !is.object(inputs))) {
    return(list(inputs))
  }
  if (!is.list(inputs) || is.object(inputs) || length(inputs) != length(wanted)) {
    abort_argument(owner, "inputs", sprintf("a list of %d arrays", length(wanted)), inputs)
  }
  known <- model_input_names(self)
  if (!is.null(names(inputs)) && setequal(names(inputs), known)) {
    inputs <- inputs[known]
  }
  unname(inputs)
}

# Names by which inputs are found: those of the list, else those of the input layers.
model_input_names <- function(self) {
  given <- if (!is_keras_tensor(self$inputs)) names(self$inputs)
  if (is.null(given)) {
    given <- vapply(find_tensors(self$inputs), function(x) layer_self(x$node$layer)$name, "")
  }
  given
}

check_model_array <- function(x, tensor, owner) {
  x <- check_tensor(x, owner)
  wanted <- dim(tensor)
  if (length(dim(x)) != length(wanted) || !sizes_agree(dim(x), wanted)) {
    abort_shape(owner, "inputs", paste("an array of shape", format_shape(wanted)),
      paste("shape", format_shape(dim(x)))
    )
  }
  x
}

as_model_outputs <- function(self, results) {
  if (is_keras_tensor(self$outputs)) {
    return(results[[1L]])
  }
  names(results) <- names(self$outputs)
  results
}

model_program <- function(self) {
  if (is.null(self$program)) {
    tracer <- new_tracer()
    inputs <- lapply(find_tensors(self$inputs), function(tensor) {
      new_value(tracer, dim(tensor), tensor$dtype)
    })
    outputs <- trace_functional(tracer, self, inputs, list())
    self$program <- finish_program(tracer, inputs, outputs)
  }
  self$program
}

# The layers' steps, in the order of the nodes.
trace_functional <- function(tracer, self, inputs, arguments) {
  values <- new.env(parent = emptyenv())
  key <- function(tensor) paste(node_key(tensor$node), tensor$index)
  wanted <- find_tensors(self$inputs)
  for (i in seq_along(wanted)) {
    assign(key(wanted[[i]]), inputs[[i]], envir = values)
  }
  resolve <- function(x) {
    if (is_keras_tensor(x)) {
      return(values[[key(x)]])
    }
    if (is.list(x) && !is.object(x)) lapply(x, resolve) else x
  }
  for (node in self$nodes) {
    done <- paste(node_key(node), 1L)
    if (length(node$inputs) && is.null(values[[done]])) {
      call <- resolve(node$arguments)
      if (is.null(call$training)) {
        call["training"] <- list(arguments$training)
      }
      made <- trace_layer(tracer, layer_self(node$layer), unname(resolve(node$inputs)), call)
      for (i in seq_along(made)) {
        assign(paste(node_key(node), i), made[[i]], envir = values)
      }
    }
  }
  lapply(find_tensors(self$outputs), resolve)
}

model_symbolic <- function(self, tensors, arguments) {
  node <- new_node(self, tensors, arguments)
  outputs <- find_tensors(self$outputs)
  made <- lapply(seq_along(outputs), function(i) {
    shape <- dim(outputs[[i]])
    shape[1L] <- dim(tensors[[1L]])[1L]
    new_keras_tensor(shape, outputs[[i]]$dtype, node = node, index = i)
  })
  as_model_outputs(self, made)
}
