# Symbolic tensors: a shape and a dtype without numbers. They record the call
# that made them, so that a model can later be put together from its inputs and
# outputs. The state is an environment, because a model must be able to tell one
# tensor from another with the same shape.

tensor_dtypes <- c(
  "float32", "float64", "float16", "bfloat16", "int8", "int16", "int32", "int64",
  "uint8", "uint16", "uint32", "uint64", "bool"
)

#' A symbolic input
#'
#' Makes a symbolic tensor: a shape, a dtype and a name, without numbers. A layer
#' that is called with symbolic tensors is built for their shapes and returns
#' symbolic tensors, whose shapes can be looked at before there is any data.
#'
#' Sizes that are not known yet, usually the batch size, are `NA`. The fields
#' `shape`, `dtype`, `name`, `sparse`, `ragged` and `optional` are read with `$`;
#' `dim()` gives the shape.
#'
#' @param shape The shape without the batch axis: a vector of positive whole
#'   numbers, `NA` for an unknown size (or a list, `NULL` for an unknown size).
#' @param batch_size The batch size, a positive whole number; `NULL` (default) when
#'   it is not known.
#' @param dtype The dtype of the data, `"float32"` or another one of Keras's names.
#'   `NULL` (default): [config_floatx()].
#' @param sparse,ragged Sparse and ragged data are not available here: `NULL` or
#'   `FALSE`.
#' @param batch_shape The shape with the batch axis, in place of `shape` and
#'   `batch_size`.
#' @param name A name without `"/"`; by default one is made (`"keras_tensor"`,
#'   `"keras_tensor_1"`).
#' @param tensor A symbolic tensor, which is returned as it is.
#' @param optional Whether a model may be called without this input.
#' @param ... Not used; anything here is an error. (As everywhere in R, the names of
#'   the arguments listed above may be abbreviated.)
#' @return A symbolic tensor of class `keras_tensor`.
#' @section Errors:
#' `attn_error_argument` when an argument has another type or value than said, or
#' when arguments contradict each other.
#' @references <https://keras.io/api/layers/core_layers/input/>
#' @examples
#' target <- keras_input(shape = c(8, 16))
#' source <- keras_input(shape = c(4, 16))
#' target
#' layer <- layer_multi_head_attention(num_heads = 2, key_dim = 2)
#' result <- layer(target, source, return_attention_scores = TRUE)
#' dim(result[[1]])
#' dim(result[[2]])
#' @export
keras_input <- function(shape = NULL, batch_size = NULL, dtype = NULL, sparse = NULL,
                        ragged = NULL, batch_shape = NULL, name = NULL, tensor = NULL,
                        optional = FALSE, ...) {
  owner <- "keras_input()"
  check_no_dots(owner, ...)
  check_dense(sparse, owner, "sparse")
  check_dense(ragged, owner, "ragged")
  optional <- check_flag(optional, owner, "optional")
  name <- check_layer_name(name, owner)
  dtype <- check_string(dtype, owner, "dtype", tensor_dtypes, null_ok = TRUE)
  if (!is.null(tensor)) {
    return(check_given_tensor(tensor, shape, batch_size, batch_shape, dtype, owner))
  }
  shape <- input_shape(shape, batch_size, batch_shape, owner)
  dtype <- if (is.null(dtype)) config_floatx() else dtype
  new_keras_tensor(shape, dtype, name = name, optional = optional,
    node = new_node(new_input_layer(shape, dtype, name, optional), list(), list())
  )
}

check_dense <- function(x, owner, argument) {
  if (!is.null(x) && !(is_scalar(x, is.logical) && isFALSE(x))) {
    abort_argument(owner, argument, "NULL or FALSE (only dense arrays are available)", x)
  }
}

check_given_tensor <- function(tensor, shape, batch_size, batch_shape, dtype, owner) {
  if (!is_keras_tensor(tensor)) {
    abort_argument(owner, "tensor", "a symbolic tensor or NULL", tensor)
  }
  given <- list(shape = shape, batch_size = batch_size, batch_shape = batch_shape, dtype = dtype)
  given <- given[!vapply(given, is.null, NA)]
  if (length(given)) {
    abort_argument(owner, names(given)[1L], "NULL when `tensor` is given", given[[1L]])
  }
  tensor
}

input_shape <- function(shape, batch_size, batch_shape, owner) {
  if (is.null(batch_shape)) {
    if (is.null(shape)) {
      abort_argument(owner, "shape", "given, or else `batch_shape` or `tensor`", shape)
    }
    batch_size <- check_positive_int(batch_size, owner, "batch_size", null_ok = TRUE)
    batch <- if (is.null(batch_size)) NA_integer_ else batch_size
    return(c(batch, as_partial_shape(shape, owner, "shape")))
  }
  if (!is.null(shape) || !is.null(batch_size)) {
    abort_argument(owner, "batch_shape", "NULL when `shape` or `batch_size` is given", batch_shape)
  }
  result <- as_partial_shape(batch_shape, owner, "batch_shape")
  if (!length(result)) {
    abort_argument(owner, "batch_shape", "a shape with at least the batch axis", batch_shape)
  }
  result
}

#' @rdname keras_input
#' @export
layer_input <- keras_input

# A shape as users write it (a vector with NA, or a list with NULL or NA) -> an
# integer vector with NA.
as_partial_shape <- function(x, owner, argument) {
  expected <- "a vector of positive whole numbers, NA where a size is unknown"
  if (is.object(x) || length(x) > most_dims || length(dim(x)) > 1L) {
    abort_argument(owner, argument, expected, x)
  }
  sizes <- if (is.list(x)) unlist_sizes(x) else x
  usable <- is.numeric(sizes) || (is.logical(sizes) && all(is.na(sizes)))
  known <- if (usable) sizes[!is.na(sizes)]
  whole <- usable && !any(is.nan(sizes)) && all(known == trunc(known)) &&
    all(known >= 1 & known <= .Machine$integer.max)
  if (!whole) {
    abort_argument(owner, argument, expected, x)
  }
  as.integer(sizes)
}

# A list of single values or NULLs -> a vector, NULLs as NA; other lists stay lists.
unlist_sizes <- function(x) {
  is_size <- vapply(x, function(size) {
    is.null(size) || is_scalar(size, is.numeric) || (is_scalar(size, is.logical) && is.na(size))
  }, NA)
  if (!all(is_size)) {
    return(x)
  }
  sizes <- unlist(lapply(x, function(size) if (is.null(size)) NA else size))
  if (is.null(sizes)) integer() else sizes
}

# `node` is shared by all outputs of one call; `index` counts those outputs from 1. The
# node of an input is that of its input layer, and has no inputs.
new_keras_tensor <- function(shape, dtype, name = NULL, optional = FALSE,
                             node = NULL, index = 1L) {
  state <- new.env(parent = emptyenv())
  state$shape <- shape
  state$dtype <- dtype
  state$name <- if (is.null(name)) unique_name("keras_tensor") else name
  state$sparse <- FALSE
  state$ragged <- FALSE
  state$optional <- optional
  state$node <- node
  state$index <- index
  lockEnvironment(state, bindings = TRUE)
  tensor <- structure(list(state), class = "keras_tensor")
  if (!is.null(node)) {
    assign(as.character(index), tensor, envir = node$outputs)
  }
  tensor
}

# One call of a layer with symbolic tensors. An environment, so that one node can be told
# from another; `id` orders the nodes of a session by their making.
new_node <- function(self, inputs, arguments) {
  node <- new.env(parent = emptyenv())
  name_counts$nodes <- if (is.null(name_counts$nodes)) 1 else name_counts$nodes + 1
  node$id <- name_counts$nodes
  node$layer <- layer_object(self)
  node$inputs <- inputs
  node$arguments <- arguments
  node$outputs <- new.env(parent = emptyenv())
  lockEnvironment(node, bindings = TRUE)
  remember_node(self, node)
  node
}

# What the layer has been called with, for `layer$input` and `layer$output`: no part of the
# layer, and not saved with it; models keep the nodes that they are made of.
remember_node <- function(self, node) {
  called <- .Call(ffi_cache_get, self$called)
  if (is.null(called)) {
    called <- new.env(parent = emptyenv())
    self$called <- .Call(ffi_cache_new, self, called)
  }
  called$nodes <- c(called$nodes, list(node))
}

called_nodes <- function(self) .Call(ffi_cache_get, self$called)$nodes

# A layer's only call with symbolic tensors.
called_node <- function(self, what) {
  nodes <- called_nodes(self)
  if (length(nodes) != 1L) {
    attn_abort(
      sprintf("%s: `%s` needs a layer that was called once with symbolic tensors, not %s.",
        self$label, what, if (length(nodes)) "several times" else "never"
      ),
      "attn_error_state",
      owner = self$label, argument = what, expected = "one call with symbolic tensors",
      received = sprintf("%d calls", length(nodes))
    )
  }
  nodes[[1L]]
}

node_outputs <- function(node) {
  places <- sort(as.integer(names(node$outputs)))
  unname(mget(as.character(places), envir = node$outputs))
}

# A model that has been read again knows its nodes, its layers do not.
recall_nodes <- function(nodes) {
  forgot <- vapply(nodes, function(node) {
    is.null(.Call(ffi_cache_get, layer_self(node$layer)$called))
  }, NA)
  for (node in nodes[as.logical(forgot)]) remember_node(layer_self(node$layer), node)
}

# The class alone does not make a tensor: only the locked state does.
is_keras_tensor <- function(x) {
  if (!inherits(x, "keras_tensor") || !is.list(x)) {
    return(FALSE)
  }
  fields <- unclass(x)
  length(fields) == 1L && is.environment(fields[[1L]]) &&
    environmentIsLocked(fields[[1L]]) && is.integer(fields[[1L]][["shape"]])
}

tensor_state <- function(x) {
  if (!is_keras_tensor(x)) {
    attn_abort(
      "keras_tensor: `x` has the class of a symbolic tensor, but is none.", "attn_error_state",
      owner = "keras_tensor", argument = "x", expected = "a symbolic tensor",
      received = typeof(x)
    )
  }
  unclass(x)[[1L]]
}

tensor_fields <- c(
  "shape", "dtype", "name", "sparse", "ragged", "optional", "ndim", "node", "index"
)

#' @export
`$.keras_tensor` <- function(x, name) {
  state <- tensor_state(x)
  if (name == "ndim") {
    return(length(state$shape))
  }
  if (!(name %in% tensor_fields)) {
    abort_argument("keras_tensor", "name",
      paste("one of", paste(tensor_fields, collapse = ", ")), name
    )
  }
  state[[name]]
}

#' @export
`[[.keras_tensor` <- function(x, i, ...) {
  if (!missing(i) && is_string(i)) {
    return(`$.keras_tensor`(x, i))
  }
  abort_argument("keras_tensor", "i", "the name of a field", i)
}

#' @export
`[.keras_tensor` <- function(x, ...) {
  attn_abort(
    "keras_tensor: `x` must be an array. Received: a symbolic tensor.", "attn_error_argument",
    owner = "keras_tensor", argument = "x", expected = "an array",
    received = "a symbolic tensor"
  )
}

#' @export
`$<-.keras_tensor` <- function(x, name, value) {
  attn_abort(
    sprintf("keras_tensor: `%s` cannot be assigned; make another tensor instead.", name),
    "attn_error_read_only",
    owner = "keras_tensor", argument = name,
    expected = "no assignment", received = describe_value(value)
  )
}

#' @export
`[[<-.keras_tensor` <- function(x, i, ..., value) {
  `$<-.keras_tensor`(x, if (!missing(i) && is_string(i)) i else "...", value)
}

# Tensors that are combined are a list of tensors.
#' @export
c.keras_tensor <- function(...) list(...)

#' @export
names.keras_tensor <- function(x) tensor_fields

#' @export
dim.keras_tensor <- function(x) tensor_state(x)$shape

#' Printing symbolic tensors
#'
#' One line with the shape, in which `NA` is a size that is not known yet.
#'
#' @param x,object A symbolic tensor, see [keras_input()].
#' @param ... Not used.
#' @return `format()`: a string. `print()` and `str()`: the tensor, invisibly.
#' @section Errors:
#' `attn_error_state` for an object that has the class of a symbolic tensor, but is none.
#' @references <https://keras.io/api/layers/core_layers/input/>
#' @seealso [keras_input()]
#' @examples
#' format(keras_input(c(8, 16)))
#' @name keras_tensor
NULL

#' @rdname keras_tensor
#' @export
format.keras_tensor <- function(x, ...) {
  sprintf(
    "<KerasTensor shape=%s, dtype=%s, name=%s>",
    format_shape(x$shape), x$dtype, x$name
  )
}

#' @rdname keras_tensor
#' @export
print.keras_tensor <- function(x, ...) {
  cat(format(x), "\n", sep = "")
  invisible(x)
}

#' @rdname keras_tensor
#' @export
str.keras_tensor <- function(object, ...) {
  cat(" ", format(object), "\n", sep = "")
  invisible(object)
}
