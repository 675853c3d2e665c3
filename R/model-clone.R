#' Clone a model
#'
#' Makes a model of the same structure and configuration with layers, and so weights, of
#' its own. New weights come from the layers' initializers.
#'
#' @param model A model.
#' @param input_tensors Symbolic tensors to build the clone upon, one or a list in the order
#'   of the model's inputs; `NULL` (default): new inputs of the same shapes.
#' @param clone_function A function that is given each layer but the input layers and
#'   returns the layer to use in its place; `NULL` (default): a new layer of the same
#'   config.
#' @param call_function A function `function(layer, ...)` that calls the layer in the
#'   clone; `NULL` (default): the layer is called.
#' @param recursive Whether models within the model are cloned layer by layer, with
#'   `clone_function`. By default they are given to `clone_function` as they are.
#' @param ... Not used; anything here is an error.
#' @return A model.
#' @section Errors:
#' `attn_error_argument` for arguments of another type than said, and when
#' `clone_function` returns something else than a layer.
#' @references <https://keras.io/api/models/model/>
#' @examples
#' model <- keras_model_sequential(input_shape = 4) |> layer_dense(units = 2)
#' copy <- clone_model(model)
#' set_weights(copy, get_weights(model))
#' @export
clone_model <- function(model, input_tensors = NULL, clone_function = NULL,
                        call_function = NULL, recursive = FALSE, ...) {
  owner <- "clone_model()"
  check_no_dots(owner, ...)
  check_given(missing(model), owner, "model", "a model")
  self <- model_self(model, owner, "model")
  recursive <- check_flag(recursive, owner, "recursive")
  for (argument in c("clone_function", "call_function")) {
    value <- get(argument)
    if (!is.null(value) && (!is.function(value) || is_layer(value))) {
      abort_argument(owner, argument, "a function or NULL", value)
    }
  }
  how <- list(make = clone_function, call = call_function, recursive = recursive, owner = owner)
  if (self$kind == "sequential") {
    clone_sequential(self, input_tensors, how)
  } else {
    clone_functional(self, input_tensors, how)
  }
}

# A layer of its own for each layer of the model, the same for each of its calls.
clone_layer <- function(self, how) {
  if (self$calls == "model" && (how$recursive || is.null(how$make))) {
    how$make <- if (how$recursive) how$make
    return(if (self$kind == "sequential") {
      clone_sequential(self, NULL, how)
    } else {
      clone_functional(self, NULL, how)
    })
  }
  if (is.null(how$make)) {
    if (self$kind == "lambda") {
      return(clone_lambda(self))
    }
    return(layer_from_config(self$kind, layer_config(self)))
  }
  layer <- how$make(layer_object(self))
  if (!is_layer(layer)) {
    abort_argument(how$owner, "clone_function", "a function that returns a layer", layer)
  }
  layer
}

# A function of R has no config, but the clone can call the same.
clone_lambda <- function(self) {
  base <- list(name = self$name, dtype = self$dtype, trainable = self$trainable)
  do.call(layer_lambda, c(list(NULL), self$config, base), quote = TRUE)
}

clone_input <- function(tensor) {
  config <- layer_self(tensor$node$layer)$config
  keras_input(
    batch_shape = dim(tensor), dtype = tensor$dtype, name = input_name(tensor),
    optional = isTRUE(config$optional)
  )
}

# The input tensors of the clone, in the order of the model's.
clone_inputs <- function(self, given, owner) {
  wanted <- self$input_tensors
  if (is.null(given)) {
    return(lapply(wanted, clone_input))
  }
  flat <- check_model_tensors(given, owner, "input_tensors")
  if (length(flat) != length(wanted)) {
    abort_argument(owner, "input_tensors", sprintf("%d symbolic tensors", length(wanted)), given)
  }
  flat
}

clone_functional <- function(self, input_tensors, how) {
  inputs <- clone_inputs(self, input_tensors, how$owner)
  made <- new_map() # layers, by the address of the original
  tensors <- new_map()
  Map(function(tensor, input) map_set(tensors, tensor_key(tensor), input),
    self$input_tensors, inputs
  )
  swap <- function(x) {
    if (is_keras_tensor(x)) {
      return(map_get(tensors, tensor_key(x)))
    }
    if (is_plain_list(x)) lapply(x, swap) else x
  }
  for (node in Filter(Negate(is_input_node), self$nodes)) {
    original <- layer_self(node$layer)
    results <- if (original$kind == "operation") {
      clone_operation(original, swap(node$inputs), swap(node$arguments))
    } else {
      key <- node_key(original)
      if (is.null(map_get(made, key))) {
        map_set(made, key, clone_layer(original, how))
      }
      call_clone(map_get(made, key), swap(node$inputs), swap(node$arguments), how)
    }
    flat <- find_tensors(results)
    for (i in seq_along(flat)) {
      map_set(tensors, result_key(node_key(node), i), flat[[i]])
    }
  }
  copy <- keras_model(
    pack_structure(self$inputs, inputs), swap(self$outputs), name = self$name
  )
  copy_trainable(self, layer_self(copy))
  copy
}

clone_operation <- function(original, inputs, arguments) {
  operation_node(original$class_name, original$name, inputs, arguments, original$config)
}

# The call that a node stands for.
call_clone <- function(layer, inputs, arguments, how) {
  self <- layer_self(layer)
  inputs <- inputs[!vapply(inputs, is.null, NA)]
  if (!self$heads) {
    is_list <- self$calls == "scores" || self$calls == "model" ||
      isTRUE(layer_kinds[[self$kind]]$many)
    inputs <- unname(inputs)
    inputs <- if (self$calls == "model") {
      list(pack_structure(self$inputs, inputs))
    } else if (is_list) {
      list(inputs)
    } else {
      inputs
    }
  }
  call <- if (is.null(how$call)) layer else function(...) how$call(layer, ...)
  do.call(call, c(unname(inputs), arguments), quote = TRUE)
}

clone_sequential <- function(self, input_tensors, how) {
  input <- if (!is.null(self$input_tensors)) {
    clone_inputs(self, input_tensors, how$owner)
  } else if (!is.null(input_tensors)) {
    check_model_tensors(input_tensors, how$owner, "input_tensors")
  }
  made <- new_map()
  layers <- lapply(self$layers, function(layer) {
    original <- layer_self(layer)
    key <- node_key(original)
    if (is.null(map_get(made, key))) {
      map_set(made, key, clone_layer(original, how))
    }
    map_get(made, key)
  })
  copy <- keras_model_sequential(name = self$name, layers = c(input, layers))
  copy_trainable(self, layer_self(copy))
  copy
}

# A model may be frozen as such while its layers are not.
copy_trainable <- function(self, copy) {
  copy$trainable <- self$trainable
  originals <- lapply(self$layers, layer_self)
  copies <- lapply(copy$layers, layer_self)
  if (length(originals) == length(copies)) {
    Map(function(original, copy) copy$trainable <- original$trainable, originals, copies)
  }
}
