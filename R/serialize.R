#' Serialized objects
#'
#' `serialize_keras_object()` gives an object as a list that says what it is and how it
#' is configured; `deserialize_keras_object()` makes the object from such a list. The
#' lists are those of Keras, and go to and from JSON as [get_config()] describes.
#'
#' For a layer that is built the list has `build_config`, the shapes it was built for,
#' and the layer made from it is built for them. Weights are not included: use
#' [get_weights()], or `saveRDS()` for the layer as a whole.
#'
#' @param obj A layer, initializer, regularizer or constraint; a list of them; or a
#'   number, string, logical value or `NULL`, which stay as they are.
#' @param config A list as `serialize_keras_object()` gives it.
#' @param custom_objects Keras's place for classes of one's own, which there are none of
#'   here: `NULL`.
#' @param safe_mode `TRUE` or `FALSE`. Code in a config is never run here, so it makes no
#'   difference.
#' @param ... Not used; anything here is an error.
#' @return `serialize_keras_object()`: a list with `module`, `class_name`, `config`,
#'   `registered_name` and, for a built layer, `build_config`.
#'   `deserialize_keras_object()`: the object.
#' @section Errors:
#' `attn_error_config` for objects that have no serialized form and for lists that cannot
#' be understood; `attn_error_argument` for values in them that a constructor refuses.
#' @references <https://keras.io/api/models/model_saving_apis/serialization_utils/>
#' @examples
#' layer <- layer_attention(use_scale = TRUE)
#' layer$build(c(NA, 5, 4), c(NA, 6, 4))
#' dict <- serialize_keras_object(layer)
#' json <- jsonlite::toJSON(dict, auto_unbox = TRUE, null = "null", digits = NA)
#' deserialize_keras_object(jsonlite::fromJSON(json))
#' @export
serialize_keras_object <- function(obj, ...) {
  owner <- "serialize_keras_object()"
  check_no_dots(owner, ...)
  check_given(missing(obj), owner, "obj", "an object")
  check_list_depth(obj, owner, "obj")
  serialize_value(obj, owner)
}

serialize_value <- function(obj, owner) {
  check_given(missing(obj), owner, "obj", "an object")
  if (is_layer(obj)) {
    return(serialize_member(layer_self(obj)))
  }
  if (is.function(obj) && inherits(obj, "attn_object")) {
    return(object_serialize(obj, owner, "obj"))
  }
  if (is.null(obj) || (!is.object(obj) && is.atomic(obj))) {
    return(obj)
  }
  if (!is.object(obj) && is.list(obj)) {
    return(lapply(obj, serialize_value, owner))
  }
  abort_argument(owner, "obj", "a layer, initializer, regularizer or constraint", obj,
    subclass = "attn_error_config"
  )
}

serialize_layer <- function(self) {
  if (is_operation(self)) {
    return(serialize_operation(self))
  }
  kind <- layer_kinds[[self$kind]]
  dict <- list(
    module = kind$module, class_name = self$serialized_name,
    config = layer_config(self), registered_name = kind$registered_name
  )
  if (has_build_config(self)) {
    dict$build_config <- layer_build_config(self)
  }
  dict
}

#' @rdname serialize_keras_object
#' @export
deserialize_keras_object <- function(config, custom_objects = NULL, safe_mode = TRUE, ...) {
  owner <- "deserialize_keras_object()"
  check_no_dots(owner, ...)
  check_given(missing(config), owner, "config", "a list")
  check_list_depth(config, owner, "config")
  check_no_custom_objects(custom_objects, owner)
  check_flag(safe_mode, owner, "safe_mode")
  deserialize_value(config, owner)
}

deserialize_value <- function(config, owner) {
  if (is.null(config) || (is.atomic(config) && !is.object(config))) {
    return(config)
  }
  if (!is.list(config) || is.object(config)) {
    abort_argument(owner, "config", "a list made by serialize_keras_object()", config,
      subclass = "attn_error_config"
    )
  }
  if ("class_name" %in% names(config)) {
    return(deserialize_dict(config, owner))
  }
  lapply(config, deserialize_value, owner)
}

# list(class_name =, config =, ...) -> the object.
deserialize_dict <- function(dict, owner) {
  class_name <- dict[["class_name"]]
  if (!is_string(class_name)) {
    abort_argument(owner, "class_name", "the name of a class", class_name,
      subclass = "attn_error_config"
    )
  }
  if (is_model_class(class_name)) {
    return(model_from_dict(dict, owner))
  }
  kind <- layer_kind_of_class(class_name)
  if (!is.null(kind)) {
    return(deserialize_layer(kind, dict, owner))
  }
  maker <- object_maker(dict[["module"]], class_name)
  if (is.null(maker)) {
    abort_argument(owner, "class_name",
      "the class of a layer, model, initializer, regularizer or constraint", class_name,
      subclass = "attn_error_config"
    )
  }
  maker(dict, owner, "config")
}

layer_kind_of_class <- function(class_name) {
  for (kind in names(layer_kinds)) {
    traits <- layer_kinds[[kind]]
    if (class_name %in% c(traits$class_name, traits$serialized_name)) {
      return(kind)
    }
  }
  NULL
}

# The function that makes objects of this class; where the module is not said, the
# class decides.
object_maker <- function(module, class_name) {
  makers <- list(
    keras.initializers = as_initializer, keras.regularizers = as_regularizer,
    keras.constraints = as_constraint
  )
  if (is_string(module)) {
    return(makers[[module]])
  }
  kinds <- list(initializer_kind(), regularizer_kind(), constraint_kind())
  has_class <- vapply(kinds, function(kind) class_name %in% names(kind$builders), NA)
  if (any(has_class)) makers[[which(has_class)[1L]]]
}

deserialize_layer <- function(kind, dict, owner) {
  layer <- layer_from_config(kind, dict[["config"]], owner)
  build_config <- dict[["build_config"]]
  if (is.null(build_config) || layer_self(layer)$built) {
    return(layer)
  }
  shapes <- shapes_from_build_config(build_config)
  # jsonlite turns a single shape into a vector
  is_shape <- is.atomic(shapes) && length(shapes) && layer_self(layer)$calls == "tensors"
  if (!is.list(shapes) && !is_shape) {
    abort_argument(owner, "build_config", "a list with `shapes_dict` or `input_shape`",
      build_config,
      subclass = "attn_error_config"
    )
  }
  build_layer(layer_self(layer), shapes)
  layer
}
