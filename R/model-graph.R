# The graph between the inputs and the outputs of a model, in the order that Keras gives
# its layers: a file's weights are numbered by it (Keras 3, src/ops/function.py,
# map_graph).

# Names of nodes, by which one is told from another. Saved nodes get others when they are
# read, so nobody keeps them.
node_keys <- function(nodes) .Call(ffi_addresses, nodes)

node_key <- function(node) .Call(ffi_addresses, list(node))

tensor_key <- function(tensor) result_key(node_key(tensor$node), tensor$index)

# of result `index` of the node with that key
result_key <- function(key, index) paste(index, key)

# list(nodes, layers): the nodes in an order in which they can be computed, and the layers
# (`self` of each) as `model$layers` lists them. `inputs` are those of input layers.
map_graph <- function(inputs, outputs, owner) {
  walk <- walk_graph(inputs, outputs, owner)
  node_name <- node_keys(walk$nodes)
  selves <- lapply(walk$nodes, function(node) layer_self(node$layer))
  place <- match(.Call(ffi_addresses, selves), .Call(ffi_addresses, walk$layers))
  depths <- numeric(length(walk$nodes))
  layer_depth <- numeric(length(walk$layers))
  for (i in rev(seq_along(walk$nodes))) {
    # a layer that is shared counts as deep as its deepest call
    depth <- max(depths[i], layer_depth[place[i]])
    layer_depth[place[i]] <- depths[i] <- depth
    parents <- lapply(node_tensors(walk$nodes[[i]]), function(tensor) tensor$node)
    parents <- match(unique(node_keys(parents)), node_name)
    parents <- parents[!is.na(parents)]
    depths[parents] <- pmax(depths[parents], depth + 1)
  }
  nodes <- walk$nodes[order(-depths)]
  layers <- walk$layers[order(-layer_depth, seq_along(walk$layers))]
  unused <- unused_inputs(inputs, walk$nodes)
  at <- if (length(layers)) sum(layer_depth > 0) else 0L
  layers <- append(layers, lapply(unused, function(node) layer_self(node$layer)), after = at)
  check_layer_names(layers, owner)
  list(nodes = c(nodes, unused), layers = layers)
}

# Inputs that nothing depends on belong to the model as well: Keras gives them depth 0,
# and there the first places.
unused_inputs <- function(inputs, nodes) {
  given <- lapply(inputs, function(tensor) tensor$node)
  given <- given[!duplicated(node_keys(given))]
  given[!(node_keys(given) %in% node_keys(nodes))]
}

# Depth first from the outputs: nodes in the order in which they are finished, layers in
# the order in which they are met.
walk_graph <- function(inputs, outputs, owner) {
  input_keys <- vapply(inputs, tensor_key, "")
  done <- new_map()
  met <- new_map()
  nodes <- list()
  layers <- list()
  visit <- function(tensor) {
    node <- tensor$node
    key <- node_key(node)
    if (!is.null(map_get(done, key))) {
      return(invisible())
    }
    map_set(done, key, TRUE)
    self <- layer_self(node$layer)
    is_input <- result_key(key, tensor$index) %in% input_keys
    if (is_input_node(node) && !is_input) {
      abort_missing_input(self, owner)
    }
    layer_key <- node_key(self)
    if (is.null(map_get(met, layer_key))) {
      map_set(met, layer_key, TRUE)
      layers[[length(layers) + 1L]] <<- self
    }
    if (!is_input) {
      for (parent in node_tensors(node)) visit(parent)
    }
    nodes[[length(nodes) + 1L]] <<- node
  }
  for (output in outputs) visit(output)
  list(nodes = nodes, layers = layers)
}

abort_missing_input <- function(self, owner) {
  attn_abort(
    sprintf("%s: `outputs` need the input \"%s\", which is not among `inputs`.", owner, self$name),
    "attn_error_argument",
    owner = owner, argument = "inputs", expected = "all inputs that the outputs need",
    received = sprintf("inputs without \"%s\"", self$name)
  )
}

# Saved configs tell layers by their names.
check_layer_names <- function(layers, owner) {
  names <- vapply(layers, function(self) self$name, "")
  twice <- names[duplicated(names)]
  if (length(twice)) {
    attn_abort(
      sprintf(
        "%s: all layers of a model must have different names. Received: \"%s\" %d times.",
        owner, twice[1L], sum(names == twice[1L])
      ),
      "attn_error_argument",
      owner = owner, argument = "name", expected = "a name that no other layer has",
      received = twice[1L]
    )
  }
}

is_input_node <- function(node) !length(node$inputs)

# All symbolic tensors that a call was made with, those among its arguments included.
node_tensors <- function(node) {
  c(flatten_structure(unname(node$inputs)), flatten_structure(node$arguments))
}

# All symbolic tensors in a list, in its own order.
find_tensors <- function(x) {
  if (is_keras_tensor(x)) {
    return(list(x))
  }
  if (is_plain_list(x)) unlist(lapply(unname(x), find_tensors), recursive = FALSE) else list()
}

# ---- models that begin at tensors in the midst of a graph ----

# Such a tensor is replaced by an input of its shape, and the calls behind it are
# repeated symbolically, with the same layers. -> list(inputs, outputs)
graph_from_inputs <- function(inputs, outputs, flat_inputs, owner) {
  if (all(vapply(flat_inputs, function(x) is_input_node(x$node), NA))) {
    return(list(inputs = inputs, outputs = outputs))
  }
  flat_outputs <- flatten_structure(outputs)
  nodes <- walk_graph(flat_inputs, flat_outputs, owner)$nodes
  copies <- new_map()
  for (tensor in flat_inputs) {
    map_set(copies, tensor_key(tensor), if (is_input_node(tensor$node)) tensor else {
      keras_input(
        batch_shape = dim(tensor), dtype = tensor$dtype, name = paste0(tensor$name, "CLONE")
      )
    })
  }
  copied_nodes <- new_map()
  copy_of <- function(x) {
    if (!is_keras_tensor(x)) {
      return(if (is_plain_list(x)) lapply(x, copy_of) else x)
    }
    key <- tensor_key(x)
    if (is.null(map_get(copies, key))) {
      node <- map_get(copied_nodes, node_key(x$node))
      map_set(copies, key, new_keras_tensor(dim(x), x$dtype, node = node, index = x$index))
    }
    map_get(copies, key)
  }
  begins <- node_keys(lapply(flat_inputs, function(x) x$node))
  for (node in nodes) {
    key <- node_key(node)
    if (!(key %in% begins)) {
      made <- new_node(layer_self(node$layer), copy_of(node$inputs), copy_of(node$arguments))
      map_set(copied_nodes, key, made)
    }
  }
  list(inputs = copy_of(inputs), outputs = copy_of(outputs))
}
