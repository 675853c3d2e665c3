# The graph between the inputs and the outputs of a model, in the order that Keras gives
# its layers: a file's weights are numbered by it (Keras 3, src/ops/function.py,
# map_graph).

# list(nodes, layers): the nodes in an order in which they can be computed, and the layers
# (`self` of each) as `model$layers` lists them.
map_graph <- function(inputs, outputs, owner) {
  walk <- walk_graph(inputs, outputs, owner)
  depths <- node_depths(walk$nodes)
  layer_depth <- numeric(length(walk$layers))
  place <- vapply(walk$nodes, function(node) layer_index(walk$layers, node), 1L)
  for (i in rev(seq_along(walk$nodes))) {
    # a layer that is shared counts as deep as its deepest call
    depth <- max(depths[i], layer_depth[place[i]])
    layer_depth[place[i]] <- depths[i] <- depth
    parents <- parent_places(walk$nodes, walk$nodes[[i]])
    depths[parents] <- pmax(depths[parents], depth + 1)
  }
  list(
    nodes = walk$nodes[order(-depths)],
    layers = walk$layers[order(-layer_depth, seq_along(walk$layers))]
  )
}

# Depth first from the outputs: nodes in the order in which they are finished, layers in
# the order in which they are met.
walk_graph <- function(inputs, outputs, owner) {
  state <- new.env(parent = emptyenv())
  state$nodes <- list()
  state$layers <- list()
  state$done <- new.env(parent = emptyenv())
  visit <- function(tensor) {
    node <- tensor$node
    key <- node_key(node)
    if (!is.null(state$done[[key]])) {
      return(invisible())
    }
    state$done[[key]] <- TRUE
    layer <- layer_self(node$layer)
    if (!length(node$inputs) && !contains_tensor(inputs, tensor)) {
      attn_abort(
        sprintf("%s: `outputs` need the input \"%s\", which is not among `inputs`.",
          owner, layer$name
        ),
        "attn_error_argument",
        owner = owner, argument = "inputs", expected = "all inputs that the outputs need",
        received = sprintf("inputs without \"%s\"", layer$name)
      )
    }
    if (!is_among(state$layers, layer)) {
      state$layers <- c(state$layers, list(layer))
    }
    if (!contains_tensor(inputs, tensor)) {
      lapply(node_tensors(node), visit)
    }
    state$nodes <- c(state$nodes, list(node))
  }
  lapply(outputs, visit)
  # inputs that nothing depends on belong to the model as well
  for (tensor in inputs) {
    if (is.null(state$done[[node_key(tensor$node)]])) {
      state$done[[node_key(tensor$node)]] <- TRUE
      state$layers <- c(state$layers, list(layer_self(tensor$node$layer)))
      state$nodes <- c(state$nodes, list(tensor$node))
    }
  }
  list(nodes = state$nodes, layers = state$layers)
}

node_depths <- function(nodes) numeric(length(nodes))

node_key <- function(node) format(node$id, digits = 15)

is_among <- function(layers, self) {
  any(vapply(layers, identical, NA, self))
}

layer_index <- function(layers, node) {
  which(vapply(layers, identical, NA, layer_self(node$layer)))[1L]
}

contains_tensor <- function(tensors, tensor) {
  any(vapply(tensors, is_same_tensor, NA, tensor))
}

is_same_tensor <- function(a, b) identical(a$node, b$node) && a$index == b$index

# All symbolic tensors that a call was made with, those among its arguments included.
node_tensors <- function(node) c(find_tensors(node$inputs), find_tensors(node$arguments))

find_tensors <- function(x) {
  if (is_keras_tensor(x)) {
    return(list(x))
  }
  if (is.list(x) && !is.object(x)) {
    return(unlist(lapply(unname(x), find_tensors), recursive = FALSE))
  }
  list()
}

parent_places <- function(nodes, node) {
  parents <- lapply(node_tensors(node), function(tensor) tensor$node)
  which(vapply(nodes, function(other) is_among(parents, other), NA))
}
