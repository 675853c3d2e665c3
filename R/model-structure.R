# Inputs and outputs of models: one tensor, or lists of them, as deep as one likes. Keras
# goes through a list with names (its dict) in the order of the names; so does this,
# because the order of a model's layers, and with it the numbers of weights in files,
# follows from it.

# The elements of a structure in Keras's order. `is_leaf` says what is one.
flatten_structure <- function(x, is_leaf = is_keras_tensor) {
  if (is_leaf(x)) {
    return(list(x))
  }
  if (!is_plain_list(x)) {
    return(list())
  }
  parts <- lapply(x[structure_order(x)], flatten_structure, is_leaf)
  unlist(unname(parts), recursive = FALSE)
}

# Named lists are dicts: each name once.
structure_order <- function(x) {
  if (is_dict(x)) order(names(x), method = "radix") else seq_along(x)
}

is_dict <- function(x) {
  given <- if (is_plain_list(x)) names(x)
  length(given) > 0L && all(nzchar(given)) && !anyNA(given) && !anyDuplicated(given)
}

# `flat`, in Keras's order, in the form of `structure`, with its names.
pack_structure <- function(structure, flat, is_leaf = is_keras_tensor) {
  place <- 0L
  pack <- function(x) {
    if (is_leaf(x)) {
      place <<- place + 1L
      return(flat[[place]])
    }
    result <- vector("list", length(x))
    names(result) <- names(x)
    for (i in structure_order(x)) {
      packed <- pack(x[[i]])
      if (!is.null(packed)) result[[i]] <- packed
    }
    result
  }
  pack(structure)
}

# One tensor or a list of lists of them, not empty.
check_model_tensors <- function(x, owner, argument) {
  if (is_keras_tensor(x)) {
    return(list(x))
  }
  check_list_depth(x, owner, argument)
  flat <- if (is_plain_list(x)) flatten_structure(x, function(x) !is_plain_list(x))
  if (!length(flat) || !all(vapply(flat, is_keras_tensor, NA))) {
    abort_argument(owner, argument, "a symbolic tensor, or a list of them", x)
  }
  check_structure_names(x, owner, argument)
  flat
}

# Lists have a name for each element, or none at all.
check_structure_names <- function(x, owner, argument) {
  if (!is_plain_list(x)) {
    return(invisible())
  }
  if (!is.null(names(x)) && !is_dict(x)) {
    abort_argument(owner, argument, "a list in which every element has its own name, or none has",
      received = paste("the names", paste(encodeString(names(x), quote = "\""), collapse = ", "))
    )
  }
  for (part in x) check_structure_names(part, owner, argument)
}

is_flat_structure <- function(x) {
  is_keras_tensor(x) || all(vapply(x, is_keras_tensor, NA))
}

# ---- what a call of a model gives for its inputs ----

# -> a list in the order of the model's inputs, NULL for an optional one that is not given.
match_model_inputs <- function(self, inputs, owner) {
  wanted <- self$input_tensors
  flat <- match_structure(self$inputs, inputs, wanted, owner)
  for (i in which(vapply(flat, is.null, NA))) {
    if (!is_optional_input(wanted[[i]])) {
      abort_argument(owner, input_name(wanted[[i]]),
        "an array (this input is not optional)", NULL
      )
    }
  }
  flat
}

is_optional_input <- function(tensor) isTRUE(layer_self(tensor$node$layer)$config$optional)

input_name <- function(tensor) layer_self(tensor$node$layer)$name

match_structure <- function(wanted, given, tensors, owner) {
  count <- length(tensors)
  if (count == 1L && !is_plain_list(given)) {
    return(list(given))
  }
  if (!is_plain_list(given)) {
    abort_argument(owner, "inputs", sprintf("a list of %d arrays", count), given)
  }
  if (is_dict(given)) {
    flat <- match_by_name(wanted, given, tensors)
    if (!is.null(flat)) {
      return(flat)
    }
  }
  if (is_flat_structure(wanted) && (is.null(names(given)) || !is_dict(given))) {
    return(match_by_place(wanted, given, tensors, owner))
  }
  if (!has_structure(wanted, given)) {
    abort_argument(owner, "inputs",
      paste("of the form of the model's inputs,", describe_structure(wanted)),
      received = if (is_dict(given)) {
        paste("a list of", paste(encodeString(names(given), quote = "\""), collapse = ", "))
      } else {
        describe_value(given)
      }
    )
  }
  flatten_like(wanted, given)
}

# By the names of the model's list, or else by those of its input layers. Others than
# these are an error elsewhere; optional inputs may lack. NULL where the names are others.
match_by_name <- function(wanted, given, tensors) {
  if (!is_flat_structure(wanted)) {
    return(NULL)
  }
  known <- if (is_dict(wanted)) sort(names(wanted), method = "radix")
  for (names in list(known, vapply(tensors, input_name, ""))) {
    lacking <- setdiff(names, names(given))
    optional <- vapply(tensors[match(lacking, names)], is_optional_input, NA)
    if (!is.null(names) && all(names(given) %in% names) && all(optional)) {
      flat <- vector("list", length(names))
      flat[match(names(given), names)] <- given
      return(flat)
    }
  }
  NULL
}

match_by_place <- function(wanted, given, tensors, owner) {
  if (length(given) != length(tensors)) {
    abort_argument(owner, "inputs",
      sprintf("a list of %d arrays", length(tensors)),
      received = sprintf("a list of length %d", length(given))
    )
  }
  order <- if (is_keras_tensor(wanted)) 1L else structure_order(wanted)
  unname(given)[order]
}

has_structure <- function(wanted, given) {
  if (is_keras_tensor(wanted)) {
    return(!is_plain_list(given))
  }
  if (!is_plain_list(given) || length(given) != length(wanted)) {
    return(FALSE)
  }
  if (is_dict(wanted)) {
    if (!setequal(names(given), names(wanted))) {
      return(FALSE)
    }
    given <- given[names(wanted)]
  }
  all(mapply(has_structure, wanted, given))
}

flatten_like <- function(wanted, given) {
  if (is_keras_tensor(wanted)) {
    return(list(given))
  }
  order <- structure_order(wanted)
  given <- if (is_dict(wanted)) given[names(wanted)[order]] else given[order]
  unlist(unname(Map(flatten_like, wanted[order], given)), recursive = FALSE)
}

describe_structure <- function(x) {
  if (is_keras_tensor(x)) {
    return(format_shape(dim(x)))
  }
  parts <- vapply(x, describe_structure, "")
  if (!is.null(names(x))) {
    parts <- paste(names(x), "=", parts)
  }
  sprintf("list(%s)", paste(parts, collapse = ", "))
}
