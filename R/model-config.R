# Configs of models: what Keras's get_config() gives for them, and the dict around it that
# a file holds. (From a config to a model: model-from-config.R.)
#
# Keras numbers the calls of a layer within a model, and names a tensor by the layer, the
# call and which of its results it is, all counted from 0: its "keras_history".

is_model <- function(self) self$calls == "model"

model_config <- function(self) {
  if (self$kind == "sequential") sequential_config(self) else functional_config(self)
}

# The dict of a model, as a file has it.
serialize_model <- function(self) {
  if (self$kind == "sequential") {
    shape <- sequential_build_shape(self)
    list(
      module = "keras", class_name = "Sequential", config = sequential_config(self),
      registered_name = NULL,
      build_config = if (!is.null(shape)) list(input_shape = shape_to_config(shape)),
      compile_config = empty_config()
    )[c(TRUE, TRUE, TRUE, TRUE, !is.null(shape), TRUE)]
  } else {
    list(
      module = "keras.src.models.functional", class_name = "Functional",
      config = functional_config(self), registered_name = "Functional",
      build_config = list(input_shape = NULL), compile_config = empty_config()
    )
  }
}

# The dict of anything in a model.
serialize_member <- function(self) {
  if (is_model(self)) {
    return(serialize_model(self))
  }
  if (self$kind == "input_layer") {
    return(list(
      module = "keras.layers", class_name = "InputLayer", config = input_layer_config(self),
      registered_name = NULL
    ))
  }
  if (self$kind == "lambda") {
    attn_abort(
      sprintf(
        "%s: a function of R cannot be written to a file that other programs read. %s",
        self$label, "Use saveRDS(), or a layer that does the same."
      ),
      "attn_error_config",
      owner = self$label, argument = "model", expected = "a model without lambda layers",
      received = "a lambda layer"
    )
  }
  serialize_layer(self)
}

input_layer_config <- function(self) {
  config <- self$config
  list(
    batch_shape = shape_to_config(config$batch_shape), dtype = config$dtype,
    sparse = config$sparse, ragged = config$ragged, name = self$name,
    optional = config$optional
  )
}

# Keras notes the shapes that a layer was built for where its class has a build() of its
# own: those that have weights, merge tensors or wrap other layers.
has_build_config <- function(self) {
  kind <- layer_kinds[[self$kind]]
  self$built && (self$calls %in% c("heads", "scores") || !is.null(kind$weights) ||
    isTRUE(kind$many) || !is.null(kind$parts))
}

# ---- functional models ----

functional_config <- function(self) {
  members <- model_members(self)
  calls <- own_calls(self, members)
  place <- tensor_places(members, calls)
  layers <- Map(function(member, nodes) {
    nodes <- Filter(function(node) length(node$inputs) > 0L, nodes)
    c(serialize_member(member), list(
      name = member$name,
      inbound_nodes = lapply(unname(nodes), node_config, member, place)
    ))
  }, members, calls)
  list(
    name = self$name, trainable = self$trainable, layers = unname(layers),
    input_layers = tensor_structure(self$inputs, place),
    output_layers = tensor_structure(self$outputs, place)
  )
}

# The `self` of everything in the graph, in Keras's order.
model_members <- function(self) {
  lapply(if (is.null(self$operations)) self$layers else self$operations, layer_self)
}

# For each member the calls that belong to this model, in the order in which they were
# made.
own_calls <- function(self, members) {
  owners <- vapply(self$nodes, function(node) layer_self(node$layer)$name, "")
  ids <- vapply(self$nodes, function(node) node$id, 0)
  lapply(members, function(member) {
    own <- which(owners == member$name)
    self$nodes[own[order(ids[own])]]
  })
}

# A function: tensor -> list(name, number of the call, number of the result).
tensor_places <- function(members, calls) {
  places <- new_map()
  for (i in seq_along(members)) {
    for (j in seq_along(calls[[i]])) {
      map_set(places, node_key(calls[[i]][[j]]), list(
        name = members[[i]]$name, call = j - 1L, shift = members[[i]]$kind == "functional"
      ))
    }
  }
  function(tensor, as_output = FALSE) {
    place <- map_get(places, node_key(tensor$node))
    # where Keras names the results of a model, it counts one call more: the one that a
    # functional model has of itself
    call <- place$call + (as_output && place$shift)
    list(place$name, as.integer(call), as.integer(tensor$index) - 1L)
  }
}

tensor_structure <- function(tensors, place) {
  if (is_keras_tensor(tensors)) {
    return(place(tensors, as_output = TRUE))
  }
  lapply(tensors, tensor_structure, place)
}

# One call: list(args =, kwargs =), with tensors by their places.
node_config <- function(node, member, place) {
  call <- call_of_node(node, member)
  list(
    args = lapply(call$args, argument_config, place),
    kwargs = if (length(call$kwargs)) lapply(call$kwargs, argument_config, place) else {
      empty_config()
    }
  )
}

# What the call was in Keras's words.
call_of_node <- function(node, member) {
  if (is_operation(member)) {
    return(list(args = unname(node$inputs), kwargs = node$arguments))
  }
  inputs <- node$inputs[!vapply(node$inputs, is.null, NA)]
  is_list <- member$calls == "scores" || isTRUE(layer_kinds[[member$kind]]$many)
  args <- if (is_model(member) && !is_keras_tensor(member$inputs)) {
    list(pack_structure(member$inputs, node$inputs))
  } else if (is_list) {
    list(unname(inputs))
  } else {
    unname(inputs)
  }
  list(args = args, kwargs = given_arguments(node$arguments, member))
}

# Arguments that are at Keras's defaults were not given. (Layers made of layers note none
# that are.)
given_arguments <- function(arguments, member) {
  is_default <- vapply(arguments, is.null, NA)
  flags <- c(
    if (member$calls %in% c("heads", "scores")) c("return_attention_scores", "use_causal_mask"),
    if (member$calls == "scores") "training"
  )
  is_default <- is_default | (names(arguments) %in% flags & vapply(arguments, isFALSE, NA))
  arguments <- arguments[!is_default]
  if (member$calls == "scores" && is.list(arguments[["mask"]])) {
    masks <- unname(arguments[["mask"]])
    arguments[["mask"]] <- if (is.null(masks[[length(masks)]])) masks[1:2] else masks
  }
  arguments
}

argument_config <- function(x, place) {
  if (is_keras_tensor(x)) {
    return(list(
      class_name = "__keras_tensor__",
      config = list(
        shape = shape_to_config(dim(x)), dtype = x$dtype, keras_history = place(x)
      )
    ))
  }
  if (is.list(x) && !is.object(x)) {
    return(lapply(x, argument_config, place))
  }
  if (!is.null(dim(x)) || (is.atomic(x) && length(x) > 1L)) {
    return(list(
      class_name = "__numpy__",
      config = list(value = nested_rows(x), dtype = array_type_name(x))
    ))
  }
  x
}

# An array as lists within lists, the last axis innermost.
nested_rows <- function(x) {
  shape <- if (is.null(dim(x))) length(x) else dim(x)
  if (length(shape) == 1L) {
    return(as.list(as.vector(x)))
  }
  lapply(seq_len(shape[1L]), function(i) {
    part <- first_axis(x, i)
    dim(part) <- shape[-1L]
    nested_rows(part)
  })
}

array_type_name <- function(x) {
  switch(typeof(x), logical = "bool", integer = "int32", config_floatx())
}

# ---- sequential models ----

sequential_config <- function(self) {
  shape <- sequential_build_shape(self)
  c(
    list(
      name = self$name, trainable = self$trainable, dtype = serialize_dtype(self$dtype),
      layers = lapply(unname(sequential_members(self)), serialize_member)
    ),
    if (!is.null(shape)) list(build_input_shape = shape_to_config(shape))
  )
}

# `self` of its layers, an input layer included.
sequential_members <- function(self) lapply(self$stack, layer_self)

# NULL before it is known.
sequential_build_shape <- function(self) {
  if (self$built && !is.null(self$input_tensors)) dim(self$input_tensors[[1L]])
}
