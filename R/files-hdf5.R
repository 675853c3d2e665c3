# HDF5 files of weights, as Keras writes them: what is in one, and which Keras wrote it.
#
# Files in the form that Keras has always written are read by src/core/hdf5.c, which
# takes nothing on trust. Everything else that calls itself HDF5 goes to the HDF5 library
# by way of the package hdf5r, in a process of its own (files-hdf5r.R): a damaged file
# makes that library crash or run forever. It also writes the files.

# path: the name of a file, or its content as a raw vector. Returns list(
#   format =   "keras3", "keras2" (as Keras wrote .h5 files before version 3) or "unknown",
#   weights =  arrays by path, "layers/dense/vars/0": R arrays with Keras's dim, plain
#              numbers for rank 0, in the order of the names within each group,
#   names =    the attribute `name` by group, c("layers/dense/vars" = "logits"),
#   layers =   of keras2: by layer and weight, in the model's order, list(dense =
#              list("dense/kernel:0" = array)); else NULL,
#   attributes = those of the root that are text, by name: backend, keras_version,
#              model_config (the model as JSON), ...)
read_weights_h5 <- function(path, owner = "read_weights_h5()") {
  if (!is.raw(path)) {
    path <- check_path(path, owner)
  }
  content <- read_h5(path, owner)
  is_data <- !vapply(content$node, is.null, NA)
  weights <- content$node[is_data]
  names(weights) <- content$path[is_data]
  result <- list(
    format = "unknown", weights = weights, names = group_names(content), layers = NULL,
    attributes = attributes_of(content, "")
  )
  groups <- content$path[!is_data]
  model <- intersect(c("", "model_weights"), groups)
  is_old <- vapply(model, function(group) {
    !is.null(split_attribute(content, group, "layer_names"))
  }, NA)
  if (any(is_old)) {
    result$format <- "keras2"
    result$layers <- old_layers(content, weights, model[is_old][1L], owner, path)
  } else if (any(basename(groups) == "vars")) {
    result$format <- "keras3"
  }
  result
}

# Returns list(path =, node =, owner =, attribute =, value =): all groups (node NULL) and
# data (node an array), and the attributes that are text.
read_h5 <- function(path, owner) {
  bytes <- if (is.raw(path)) path else read_bytes(path, owner)
  content <- .Call(ffi_hdf5_parse, bytes)
  if (identical(content$verdict, "foreign")) {
    return(read_foreign_h5(path, bytes, content$problem, owner))
  }
  if (!is.null(content$verdict)) {
    refuses <- if (content$verdict == "wrong") "this is no sound HDF5 file" else
      "this HDF5 file is not read"
    abort_file(owner, path, sprintf("%s: %s (byte %.0f)", refuses, content$problem, content$at),
      expected = "an HDF5 file of weights"
    )
  }
  check_h5_text(content, owner, path)
  content$node <- Map(function(node, name) {
    if (!is.null(node)) {
      check_array_shape(node$shape, name, owner, path)
      tensor <- .Call(ffi_hdf5_read, bytes, node$at, node$dtype, node$shape, node$big_endian)
      as_tensor(tensor, node$dtype, name, owner, path)
    }
  }, content$node, content$path)
  content
}

read_bytes <- function(path, owner) {
  size <- check_file(path, owner)
  parts <- with_connection(path, "rb", owner, function(connection) {
    read_parts(connection, size, owner, path)
  })
  if (length(parts) == 1L) parts[[1L]] else do.call(c, parts)
}

check_h5_text <- function(content, owner, path) {
  if (!all(validUTF8(c(content$path, content$attribute, unlist(content$value))))) {
    abort_file(owner, path, "this HDF5 file is not read: its names are not UTF-8")
  }
}

# ---- attributes ----

attributes_of <- function(content, group) {
  is_here <- content$owner == group
  values <- content$value[is_here]
  names(values) <- content$attribute[is_here]
  values
}

# `name` of every group that has one
group_names <- function(content) {
  is_name <- content$attribute == "name" & lengths(content$value) == 1L
  names <- as.character(content$value[is_name])
  names(names) <- content$owner[is_name]
  names
}

# Keras 2 cut attributes that were too long for one into name0, name1, ...
split_attribute <- function(content, group, name) {
  values <- attributes_of(content, group)
  if (!is.null(values[[name]])) {
    return(values[[name]])
  }
  parts <- paste0(name, seq_len(length(values)) - 1L)
  parts <- parts[cumprod(parts %in% names(values)) == 1]
  if (length(parts)) unlist(values[parts], use.names = FALSE)
}

# ---- Keras 2 ----

# by layer, then by weight, as the attributes list them
old_layers <- function(content, weights, model, owner, path) {
  inside <- function(...) sub("^/", "", paste(..., sep = "/"))
  layers <- split_attribute(content, model, "layer_names")
  result <- lapply(layers, function(layer) {
    group <- inside(model, layer)
    names <- as.character(split_attribute(content, group, "weight_names"))
    places <- inside(group, names)[seq_along(names)]
    missing <- setdiff(places, names(weights))
    if (length(missing)) {
      abort_file(owner, path, sprintf(
        "the weight %s, which layer %s lists, is missing", quote_name(missing[1L]),
        quote_name(layer)
      ))
    }
    values <- weights[places]
    names(values) <- names
    values
  })
  names(result) <- layers
  result
}
