# Sequential models: a stack of layers, each called with what the one before gives. Once it
# knows the shape of its input, it is a graph like that of a functional model, with the
# same fields; `stack` are its layers, with the input layer if there is one.

sequential_kind <- list(
  class_name = "Sequential", serialized_name = "Sequential",
  module = "keras.src.models.sequential", constructor = "keras_model_sequential",
  prefix = "sequential", heads = FALSE, calls = "model",
  fields = c("layers", "build_input_shape"), required = "layers", many = FALSE,
  trace = function(tracer, self, inputs, arguments) {
    check_has_layers(self)
    trace_functional(tracer, self, inputs, arguments)
  }
)

#' A model as a stack of layers
#'
#' Each layer is called with what the layer before it gives. A layer is added by a pipe:
#' `model |> layer_dense(units = 4)` changes the model in place and returns it invisibly.
#'
#' With an input shape the model is built as layers are added, and its layers have weights
#' at once. The first layer may bring it instead, as in
#' `layer_dense(units = 4, input_shape = 8)`. Without one the model is built by
#' `model$build(input_shape)` or by its first call.
#' An attention layer in the stack is self-attention: the tensor is query, value and key.
#' Masks travel through the stack.
#'
#' A sequential model is a model like that of [keras_model()], where calls, methods and
#' properties are described, and can be a layer of other models. `model$layers` leaves out
#' the input layer, as in Keras.
#'
#' @param input_shape The shape of the input without the batch axis, `NA` for an unknown
#'   size; `NULL` (default): not known yet.
#' @param name The name of the model, a string.
#' @param ... Not used; anything here is an error.
#' @param input_dtype,input_batch_size,input_sparse,input_ragged,input_batch_shape,input_name
#'   Of the input, see [keras_input()].
#' @param input_tensor A symbolic tensor made by [keras_input()], in place of the others.
#' @param input_optional Whether the model may be called without its input.
#' @param trainable Whether the model's weights may be trained.
#' @param layers A list of layers to begin with; the first may be a [keras_input()].
#' @return A model of class `attn_model`.
#' @section Errors:
#' `attn_error_argument` for layers that are none, for two layers of the same name and for
#' a second input; `attn_error_shape` for a layer that does not fit the one before it. The
#' model then stays as it was. `attn_error_state` for shapes and weights of a model that is
#' not built.
#' @references <https://keras.io/api/models/sequential/>
#' @seealso [keras_model()], [pop_layer()]
#' @examples
#' model <- keras_model_sequential(input_shape = c(5, 8)) |>
#'   layer_multi_head_attention(num_heads = 2, key_dim = 4) |>
#'   layer_dense(units = 3)
#' model
#' dim(model(array(rnorm(2 * 5 * 8), c(2, 5, 8))))
#' @export
keras_model_sequential <- function(input_shape = NULL, name = NULL, ..., input_dtype = NULL,
                                   input_batch_size = NULL, input_sparse = NULL,
                                   input_ragged = NULL, input_batch_shape = NULL,
                                   input_name = NULL, input_tensor = NULL,
                                   input_optional = FALSE, trainable = TRUE, layers = list()) {
  owner <- "keras_model_sequential()"
  check_no_dots(owner, ...)
  name <- check_layer_name(name, owner)
  trainable <- check_flag(trainable, owner, "trainable")
  given <- list(
    dtype = input_dtype, batch_size = input_batch_size, batch_shape = input_batch_shape,
    name = input_name, tensor = input_tensor
  )
  input <- if (!is.null(input_shape) || !all(vapply(given, is.null, NA))) {
    within_input_arguments(owner, keras_input(
      shape = input_shape, batch_size = input_batch_size, dtype = input_dtype,
      sparse = input_sparse, ragged = input_ragged, batch_shape = input_batch_shape,
      name = input_name, tensor = input_tensor, optional = input_optional
    ))
  }
  layers <- as_layer_list(layers, owner)
  self <- new_model("sequential", name)
  self$label <- sprintf("keras_model_sequential(), model \"%s\"", self$name)
  self$stack <- list()
  if (!is.null(input)) {
    add_to_stack(self, input)
  }
  for (layer in layers) {
    add_to_stack(self, layer)
  }
  if (!trainable) {
    set_trainable(self, FALSE)
  }
  layer_object(self)
}

# Errors about keras_input()'s arguments are errors about `input_...`.
within_input_arguments <- function(owner, code) {
  tryCatch(code, attn_error = function(error) {
    argument <- if (error$argument == "shape") "input_shape" else paste0("input_", error$argument)
    abort_argument(owner, argument, error$expected, received = error$received,
      subclass = class(error)[1L]
    )
  })
}

as_layer_list <- function(layers, owner) {
  if (is_layer(layers) || is_keras_tensor(layers)) {
    return(list(layers))
  }
  if (is.null(layers)) {
    return(list())
  }
  if (!is_plain_list(layers) || !can_be_arguments(layers)) {
    abort_argument(owner, "layers", "a list of layers", layers)
  }
  unname(layers)
}

#' @export
compose_layer.attn_layer_sequential <- function(object, layer) {
  add_to_stack(layer_self(object), layer)
  invisible(object)
}

# Only a sequential model can take on a layer.
#' @export
compose_layer.attn_layer <- function(object, layer) {
  abort_argument(layer_self(layer)$label, "object",
    "an array, a symbolic tensor, a list of them, or a sequential model",
    received = format(object)
  )
}

# ---- adding and removing ----

# `layer`: a layer, or the symbolic tensor of an input. On failure all is as it was.
add_to_stack <- function(self, layer) {
  layer <- check_stack_layer(self, layer)
  added <- layer_self(layer)
  first <- length(self$stack) == 0L
  if (added$kind == "input_layer") {
    input <- attr(layer, "tensor")
    attr(layer, "tensor") <- NULL
    if (!first) {
      return(build_stack(self, c(list(layer), self$stack), input))
    }
    self$stack <- list(layer)
    set_stack_graph(self, input, input, list(input$node))
    self$built <- FALSE
    return(invisible(self))
  }
  if (first && !is.null(added$input_shape_given)) {
    return(with_layers_kept(list(self, added), {
      add_to_stack(self, keras_input(shape = added$input_shape_given))
      add_to_stack(self, layer)
    }))
  }
  if (is.null(self$input_tensors)) {
    self$stack <- c(self$stack, list(layer))
    self$layers <- stack_layers(self$stack)
    return(invisible(self))
  }
  output <- with_layers_kept(list(added), compose_layer(self$outputs, layer))
  self$stack <- c(self$stack, list(layer))
  set_stack_graph(self, self$inputs, output, c(self$nodes, list(node_of(output))))
  self$layers <- stack_layers(self$stack)
  invisible(self)
}

node_of <- function(output) flatten_structure(output)[[1L]]$node

set_stack_graph <- function(self, input, output, nodes) {
  set_model_graph(self, input, output, nodes)
  invisible(self)
}

stack_layers <- function(stack) {
  Filter(function(layer) layer_self(layer)$kind != "input_layer", stack)
}

has_input_layer <- function(stack) {
  length(stack) > 0L && layer_self(stack[[1L]])$kind == "input_layer"
}

# A tensor of keras_input() stands for its input layer.
check_stack_layer <- function(self, layer) {
  if (is_keras_tensor(layer) && is_input_node(layer$node)) {
    tensor <- layer
    layer <- tensor$node$layer
    attr(layer, "tensor") <- tensor
    if (has_input_layer(self$stack)) {
      abort_argument(self$label, "layers", "layers without a second input", tensor)
    }
  } else if (!is_layer(layer)) {
    abort_argument(self$label, "layers", "layers, the first of which may be a keras_input()", layer)
  }
  added <- layer_self(layer)
  for (other in self$stack) {
    other <- layer_self(other)
    if (other$name == added$name && !identical(other, added)) {
      abort_argument(self$label, "name", "a name that no other layer of the model has",
        received = encodeString(added$name, quote = "\"")
      )
    }
  }
  if (identical(added, self)) {
    abort_argument(self$label, "layers", "layers other than the model itself",
      received = "the model itself"
    )
  }
  layer
}

# The whole graph of a stack that begins with an input layer, whose tensor is `input`.
build_stack <- function(self, stack, input) {
  layers <- stack_layers(stack)
  nodes <- list(input$node)
  output <- input
  with_layers_kept(lapply(layers, layer_self), {
    for (layer in layers) {
      output <- compose_layer(output, layer)
      nodes <- c(nodes, list(node_of(output)))
    }
  })
  self$stack <- stack
  set_stack_graph(self, input, output, nodes)
  self$built <- length(layers) > 0L
  self$layers <- layers
  invisible(self)
}

# Layers that `code` builds are not built when it fails.
with_layers_kept <- function(selves, code) {
  all <- unlist(lapply(selves, layer_and_parts), recursive = FALSE)
  before <- lapply(all, fields_of)
  finished <- FALSE
  on.exit(if (!finished) suspendInterrupts(Map(restore_fields, all, before)))
  result <- force(code)
  finished <- TRUE
  invisible(result)
}

# model$build(input_shape)
build_sequential <- function(self, input_shape) {
  owner <- self$label
  check_has_layers(self)
  shape <- as_partial_shape(input_shape, owner, "input_shape")
  if (length(shape) < 1L) {
    abort_argument(owner, "input_shape", "a shape with the batch axis", input_shape)
  }
  if (has_input_layer(self$stack)) {
    wanted <- dim(self$input_tensors[[1L]])
    if (length(wanted) != length(shape) || !sizes_agree(wanted[-1L], shape[-1L])) {
      abort_shape(owner, "input_shape",
        paste("the shape that the model has already,", format_shape(wanted)), format_shape(shape)
      )
    }
    return(invisible(layer_object(self)))
  }
  dtype <- layer_self(self$stack[[1L]])$dtype
  input <- keras_input(batch_shape = shape, dtype = dtype)
  build_stack(self, c(list(input$node$layer), self$stack), input)
  invisible(layer_object(self))
}

check_has_layers <- function(self) {
  if (!length(self$layers)) {
    attn_abort(
      sprintf("%s: the model has no layers yet.", self$label), "attn_error_state",
      owner = self$label, argument = "layers", expected = "a model with layers",
      received = "a model without"
    )
  }
}

# The first use of a model without an input shape, which its input builds: code(the input). When
# it fails, nothing is built.
build_and_use <- function(self, inputs, argument, code) {
  check_has_layers(self)
  if (is_plain_list(inputs) && length(inputs) == 1L && can_be_arguments(inputs)) {
    inputs <- inputs[[1L]]
  }
  symbolic <- is_keras_tensor(inputs)
  shape <- dim(if (symbolic) inputs else check_tensor(inputs, self$label, argument))
  selves <- c(list(self), lapply(self$layers, layer_self))
  result <- with_layers_kept(selves, {
    build_sequential(self, c(NA, shape[-1L]))
    code(inputs)
  })
  result
}

#' Remove the last layer of a sequential model
#'
#' The model is changed in place. The layer keeps its weights.
#'
#' @param object A model made by [keras_model_sequential()].
#' @param rebuild Whether the model, if it was built, stays built: `TRUE` (default). With
#'   `FALSE` it is built again by its next call or by `model$build()`.
#' @param ... Not used; anything here is an error.
#' @return The layer, invisibly.
#' @section Errors:
#' `attn_error_argument` when `object` is no sequential model; `attn_error_state` when it
#' has no layers.
#' @references <https://keras.io/api/models/sequential/>
#' @examples
#' model <- keras_model_sequential(input_shape = 4) |>
#'   layer_dense(units = 3) |>
#'   layer_dense(units = 2)
#' pop_layer(model)
#' model$output_shape
#' @export
pop_layer <- function(object, rebuild = TRUE, ...) {
  owner <- "pop_layer()"
  check_no_dots(owner, ...)
  check_given(missing(object), owner, "object", "a sequential model")
  rebuild <- check_flag(rebuild, owner, "rebuild")
  if (!inherits(object, "attn_layer_sequential")) {
    abort_argument(owner, "object", "a sequential model", object)
  }
  self <- layer_self(object)
  check_has_layers(self)
  count <- length(self$stack)
  last <- self$stack[[count]]
  stack <- self$stack[-count]
  if (has_input_layer(stack)) {
    if (rebuild) {
      pop_from_graph(self, stack)
    } else {
      forget_graph(self, stack[-1L])
    }
  } else {
    forget_graph(self, stack)
  }
  invisible(last)
}

# The call of the last layer goes; what it was called with is the output then.
pop_from_graph <- function(self, stack) {
  nodes <- self$nodes[-length(self$nodes)]
  gone <- self$nodes[[length(self$nodes)]]
  # attention was called with the same tensor twice; what merges, with a list
  output <- unname(gone$inputs)
  if (length(output) == 1L || is_attention(layer_self(gone$layer))) {
    output <- output[[1L]]
  }
  self$stack <- stack
  set_stack_graph(self, self$inputs, output, nodes)
  self$layers <- stack_layers(stack)
  self$built <- length(self$layers) > 0L
}

forget_graph <- function(self, stack) {
  self$stack <- stack
  self$layers <- stack_layers(stack)
  self$inputs <- self$outputs <- self$input_tensors <- self$output_tensors <- NULL
  self$nodes <- list()
  self$built <- FALSE
  forget_model_calls(self)
}
