# The weights of a model as files have them: where each one is, and setting all of them or
# none.
#
# In HDF5 a model is a tree. Layers are in the group "layers" of their model, under the
# name of their class in snake case, numbered within the model; parts of a layer are under
# the names of Python's attributes; weights are in "vars", numbered. Everything has a
# group, also where it is empty, whose attribute `name` is the real name. In safetensors
# weights have Keras's paths, such as "mha/query/kernel".

# list(groups = names by path of a group, weights = list of list(keys =, path =, self =,
# place =, shape =)): `keys` are the places in an HDF5 tree, the first for writing and the
# rest where other versions of Keras had it; `path` is Keras's; `place` is that among the
# weights of the layer `self`. What is shared is there once, where it comes first.
weight_tree <- function(self) {
  tree <- new.env(parent = emptyenv())
  tree$groups <- character()
  tree$weights <- list()
  tree$seen <- list()
  add_model(tree, self, "", "")
  list(groups = tree$groups, weights = tree$weights)
}

inside <- function(...) {
  parts <- c(...)
  paste(parts[nzchar(parts)], collapse = "/")
}

add_group <- function(tree, keys, name) {
  tree$groups[[inside(keys[1L], "vars")]] <- name
}

add_model <- function(tree, self, keys, path) {
  add_group(tree, keys, self$name)
  counts <- list()
  for (member in stored_members(self)) {
    key <- snake_case(member$class_name)
    count <- if (is.null(counts[[key]])) 0L else counts[[key]]
    counts[[key]] <- count + 1L
    if (count > 0L) {
      key <- paste0(key, "_", count)
    }
    add_member(tree, member, vapply(keys, inside, "", "layers", key), path)
  }
}

# The layers that have a group: in a sequential model not the input.
stored_members <- function(self) {
  if (self$kind == "sequential") {
    return(lapply(self$layers, layer_self))
  }
  Filter(function(member) !is_operation(member), model_members(self))
}

# `keys`: alternatives; `path`: of what it is in.
add_member <- function(tree, self, keys, path) {
  if (is_one_of(tree$seen, self)) {
    return(invisible())
  }
  tree$seen <- c(tree$seen, list(self))
  path <- inside(path, self$name)
  if (is_model(self)) {
    return(add_model(tree, self, keys, path))
  }
  parts <- layer_parts(self)
  is_whole <- length(parts) && !self$heads # its weights are those of its parts
  own <- if (!is_whole) {
    setdiff(seq_along(self$weights), unlist(lapply(parts, function(part) part$places)))
  }
  add_weights(tree, self, own, keys, self$name, path)
  for (part in parts) {
    inner <- as.vector(outer(keys, part$attributes, paste, sep = "/"))
    if (is.null(part$self)) {
      add_weights(tree, self, part$places, inner, part$name, path)
    } else {
      add_member(tree, part$self, inner, path)
    }
  }
}

add_weights <- function(tree, self, places, keys, name, path) {
  add_group(tree, keys, name)
  added <- lapply(seq_along(places), function(i) {
    spec <- self$weights[[places[i]]]
    list(
      keys = paste(keys, "vars", i - 1L, sep = "/"), path = inside(path, spec$path),
      self = self, place = places[i], shape = spec$shape
    )
  })
  tree$weights <- c(tree$weights, added)
}

# What is inside a layer: list(attributes = Python's names for it, name =, and either places
# = of those of the layer's weights that it has, or self = a layer). A kind whose layers are
# made of layers has a function `parts` that gives these by attribute.
layer_parts <- function(self) {
  kind <- layer_kinds[[self$kind]]
  if (self$heads) {
    return(heads_parts(self))
  }
  if (is.null(kind$parts)) {
    return(list())
  }
  parts <- kind$parts(self)
  Map(function(part, attribute) {
    list(attributes = attribute, self = if (is.environment(part)) part else layer_self(part))
  }, unname(parts), names(parts))
}

# Of layers with heads. Multi-head attention has properties for its projections, by which
# newer versions of Keras name them; grouped query attention has not.
heads_parts <- function(self) {
  roles <- c(
    query = "query", key = "key", gate = if (self$config$use_gate) "gate", value = "value",
    output = "attention_output"
  )
  projections <- Map(function(role, name) {
    private <- sprintf("_%s_dense", role)
    public <- sprintf("%s_dense", role)
    is_public <- self$kind == "multi_head_attention" && role != "gate"
    list(
      attributes = if (is_public) c(public, private) else c(private, public), name = name,
      places = which(startsWith(names(self$weights), paste0(name, "/")))
    )
  }, names(roles), roles)
  c(unname(projections), list(
    list(attributes = "_softmax", name = "softmax", places = integer()),
    list(attributes = "_dropout_layer", name = "dropout", places = integer())
  ))
}

# ---- values ----

# All weights, in the tree's order.
tree_values <- function(tree) {
  done <- list()
  values <- list()
  for (weight in tree$weights) {
    at <- which(vapply(done, function(entry) identical(entry$self, weight$self), NA))
    if (!length(at)) {
      done <- c(done, list(list(self = weight$self, values = layer_weights(weight$self))))
      at <- length(done)
    }
    values <- c(values, done[[at]]$values[weight$place])
  }
  unname(values)
}

tree_paths <- function(tree) vapply(tree$weights, function(weight) weight$path, "")

tree_keys <- function(tree) vapply(tree$weights, function(weight) weight$keys[1L], "")

# The precision that holds all of them.
tree_dtype <- function(tree) {
  is_double <- vapply(tree$weights, function(weight) weight$self$dtype == "float64", NA)
  if (any(is_double)) "F64" else "F32"
}

shape_of_value <- function(x) {
  if (!is.null(dim(x))) dim(x) else if (length(x) == 1L) integer() else length(x)
}

# `values`: as the tree's weights, NULL where one stays as it is. All are set or, when one
# cannot be, none.
set_tree_values <- function(tree, values) {
  owners <- list()
  for (weight in tree$weights) {
    if (!is_one_of(owners, weight$self)) {
      owners <- c(owners, list(weight$self))
    }
  }
  put_weights(owners, lapply(owners, function(owner) {
    new <- unname(layer_weights(owner))
    for (i in which(vapply(tree$weights, function(weight) identical(weight$self, owner), NA))) {
      if (!is.null(values[[i]])) {
        new[[tree$weights[[i]]$place]] <- values[[i]]
      }
    }
    check_new_weights(owner, new)
  }))
}

# ---- values from files, by weight ----

# Each of these gives list(values = as the tree's weights, NULL where the file has none;
# extra = names of weights of the file that the model has not; names = what the file calls
# each, for messages).

match_h5_values <- function(tree, weights) {
  found <- vapply(tree$weights, function(weight) {
    there <- weight$keys[weight$keys %in% names(weights)]
    if (length(there)) there[1L] else NA_character_
  }, "")
  # what else Keras keeps in a file: random states, the optimizer's
  is_weight <- grepl("^(layers|vars)/", names(weights)) &
    !grepl("(^|/)seed_generator/", names(weights))
  list(
    values = lapply(found, function(key) if (!is.na(key)) weights[[key]]),
    extra = setdiff(names(weights)[is_weight], found),
    names = ifelse(is.na(found), tree_keys(tree), found)
  )
}

match_named_values <- function(tree, tensors) {
  paths <- tree_paths(tree)
  list(
    values = lapply(paths, function(path) tensors[[path]]),
    extra = setdiff(names(tensors), paths), names = paths
  )
}

# Keras 2 listed the layers that have weights, in the order of the model, with the weights
# of all that is inside them.
match_old_values <- function(tree, layers) {
  layers <- layers[lengths(layers) > 0L]
  tops <- vapply(strsplit(tree_keys(tree), "/", fixed = TRUE), function(parts) parts[2L], "")
  order <- unique(tops)
  values <- vector("list", length(tops))
  names <- tree_keys(tree)
  extra <- character()
  for (i in seq_along(layers)) {
    places <- if (i <= length(order)) which(tops == order[i])
    own <- layers[[i]]
    count <- min(length(own), length(places))
    values[places[seq_len(count)]] <- unname(own)[seq_len(count)]
    names[places[seq_len(count)]] <- names(own)[seq_len(count)]
    extra <- c(extra, names(own)[-seq_len(count)][seq_len(length(own) - count)])
  }
  list(values = values, extra = extra, names = names)
}

# The values to set. What does not fit is an error, or with `skip_mismatch` a warning.
check_found_values <- function(tree, found, skip_mismatch, owner, path) {
  is_missing <- vapply(found$values, is.null, NA)
  fits <- mapply(function(weight, value) {
    shape <- shape_of_value(value)
    is.null(value) || (length(shape) == length(weight$shape) && all(shape == weight$shape))
  }, tree$weights, found$values)
  fits <- as.logical(fits)
  problems <- c(
    sprintf("it has no weight %s", quote_names(found$names[is_missing])),
    vapply(which(!fits), function(i) {
      sprintf("its weight %s has the shape %s, and %s of the model has %s",
        quote_name(found$names[i]), format_shape(shape_of_value(found$values[[i]])),
        quote_name(tree$weights[[i]]$path), format_shape(tree$weights[[i]]$shape)
      )
    }, ""),
    sprintf("the model has nothing like its weight %s", quote_names(found$extra))
  )
  if (!length(problems)) {
    return(found$values)
  }
  if (!skip_mismatch) {
    more <- if (length(problems) > 1L) sprintf(" (and %d more)", length(problems) - 1L) else ""
    abort_file(owner, path,
      sprintf("the file is not of this model: %s%s", problems[1L], more),
      expected = "the weights of this model"
    )
  }
  # a layer's part gets all of its weights or none
  groups <- dirname(tree_keys(tree))
  is_bad <- groups %in% groups[is_missing | !fits]
  shown <- if (any(is_bad)) tree_paths(tree)[is_bad] else character()
  attn_warn(
    sprintf("%s: %s: %s%s", owner,
      if (is.raw(path)) "the raw vector" else encodeString(enc2utf8(path), quote = "\""),
      paste(utils::head(problems, 5L), collapse = "; "),
      if (length(shown)) sprintf(". Left as they are: %s.", paste(shown, collapse = ", ")) else "."
    ),
    "attn_warning_skipped", owner, "skip_mismatch"
  )
  found$values[is_bad] <- list(NULL)
  found$values
}

quote_names <- function(names) vapply(names, quote_name, "", USE.NAMES = FALSE)

is_one_of <- function(selves, self) any(vapply(selves, identical, NA, self))
