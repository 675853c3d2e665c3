# The weights of models: those of their layers, one after the other, each layer once.

# The layers of a model that are no models, in Keras's order, those of models within it in
# their place.
weight_layers <- function(self) {
  found <- list()
  names <- character()
  collect <- function(self) {
    name <- node_key(self)
    if (name %in% names) {
      return(invisible())
    }
    names <<- c(names, name)
    if (self$calls == "model") {
      for (layer in self$layers) collect(layer_self(layer))
    } else {
      found <<- c(found, list(self))
    }
  }
  collect(self)
  found
}

# `trainable`: NA: all; TRUE, FALSE: only those that can, or cannot, be trained. Named by
# layer and weight, such as "dense/kernel".
model_weights <- function(self, trainable) {
  layers <- weight_layers(self)
  if (!is.na(trainable)) {
    layers <- Filter(function(layer) (self$trainable && layer$trainable) == trainable, layers)
  }
  weights <- lapply(layers, function(layer) {
    own <- layer_weights(layer)
    names(own) <- paste0(rep(layer$name, length(own)), rep("/", length(own)), names(own))
    own
  })
  result <- unlist(weights, recursive = FALSE)
  if (is.null(result)) structure(list(), names = character()) else result
}

# All weights or none.
set_model_weights <- function(self, weights) {
  owner <- self$label
  if (!is_plain_list(weights)) {
    abort_argument(owner, "weights", "a list of arrays", weights, subclass = "attn_error_weights")
  }
  check_model_built(self, "weights")
  layers <- weight_layers(self)
  counts <- vapply(layers, function(layer) length(layer$weights), 1L)
  if (length(weights) != sum(counts)) {
    abort_argument(owner, "weights", sprintf("a list of %d arrays", sum(counts)),
      received = sprintf("a list of length %d", length(weights)), subclass = "attn_error_weights"
    )
  }
  weights <- by_weight_names(weights, layers)
  last <- cumsum(counts)
  shares <- Map(function(last, count) weights[last - count + seq_len(count)], last, counts)
  put_weights(layers, Map(check_new_weights, layers, lapply(shares, unname)))
  invisible(self)
}

# Names that are the model's own, in any order, say which weight is which.
by_weight_names <- function(weights, layers) {
  known <- unlist(lapply(layers, function(layer) {
    paste0(rep(layer$name, length(layer$weights)), rep("/", length(layer$weights)),
      names(layer$weights)
    )
  }))
  is_named <- !is.null(names(weights)) && !anyDuplicated(known) && setequal(names(weights), known)
  if (is_named) weights[known] else weights
}

check_model_built <- function(self, what) {
  layers <- weight_layers(self)
  built <- vapply(layers, function(layer) layer$built, NA)
  if (!all(built) || (self$kind == "sequential" && is.null(self$input_tensors))) {
    attn_abort(
      sprintf("%s: `%s` need a model that is built. %s", self$label, what,
        "Build it with `model$build(input_shape)` or call it once."),
      "attn_error_state",
      owner = self$label, argument = what, expected = "a model that is built",
      received = "a model that does not know the shape of its input"
    )
  }
}

count_model_params <- function(self) {
  check_model_built(self, "parameters")
  sum(vapply(weight_layers(self), count_layer_params, 1))
}

#' @export
get_weights.attn_model <- function(object, trainable = NA, ...) {
  self <- layer_self(object)
  if (!is_scalar(trainable, is.logical)) {
    abort_argument(self$label, "trainable", "TRUE, FALSE or NA", trainable)
  }
  unname(model_weights(self, trainable))
}

#' @export
set_weights.attn_model <- function(object, weights, ...) {
  self <- layer_self(object)
  check_given(missing(weights), self$label, "weights", "a list of arrays")
  set_model_weights(self, weights)
  invisible(object)
}

#' @export
count_params.attn_model <- function(object, ...) {
  count_model_params(layer_self(object))
}
