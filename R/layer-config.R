# Configs: a layer as a list of settings, in the words of Keras, and back.

# What each kind's config must have; `activity_regularizer` may be added.
config_fields <- list(
  multi_head_attention = c(
    "num_heads", "key_dim", "value_dim", "dropout", "use_bias", "use_gate", "output_shape",
    "attention_axes", "sliding_window", "kernel_initializer", "bias_initializer",
    "kernel_regularizer", "bias_regularizer", "activity_regularizer", "kernel_constraint",
    "bias_constraint", "seed"
  ),
  group_query_attention = c(
    "head_dim", "num_query_heads", "num_key_value_heads", "use_bias", "use_gate",
    "sliding_window", "dropout", "kernel_initializer", "bias_initializer",
    "kernel_regularizer", "bias_regularizer", "activity_regularizer", "kernel_constraint",
    "bias_constraint", "seed"
  ),
  attention = c("use_scale", "score_mode", "dropout", "seed"),
  additive_attention = c("use_scale", "dropout", "seed")
)

base_fields <- c("name", "trainable", "dtype")

# Arguments without a default.
required_fields <- list(
  multi_head_attention = c("num_heads", "key_dim"),
  group_query_attention = c("head_dim", "num_query_heads", "num_key_value_heads"),
  attention = character(), additive_attention = character()
)

fields_of_kind <- function(kind) {
  fields <- config_fields[[kind]]
  if (is.null(fields)) layer_kinds[[kind]]$fields else fields
}

required_of_kind <- function(kind) {
  fields <- required_fields[[kind]]
  if (is.null(fields)) layer_kinds[[kind]]$required else fields
}

object_fields <- c(
  "activity_regularizer", "initializer",
  outer(
    c("kernel", "bias", "embeddings", "gamma", "beta", "alpha"),
    c("initializer", "regularizer", "constraint"), paste, sep = "_"
  )
)

layer_config <- function(self) {
  if (is_operation(self)) {
    return(operation_config(self))
  }
  config <- self$config
  for (field in intersect(object_fields, names(config))) {
    config[field] <- list(object_serialize(config[[field]], self$label, field))
  }
  # JSON tells a list of one number from a number; so do these.
  lists <- c("output_shape", "attention_axes", "target_shape", "dims")
  for (field in intersect(lists, names(config))) {
    if (!is.null(config[[field]])) {
      config[[field]] <- as.list(config[[field]])
    }
  }
  if (!is.null(config[["activation"]])) {
    config$activation <- activation_config(config$activation)
  }
  write_config <- layer_kinds[[self$kind]]$write_config
  if (!is.null(write_config)) {
    config <- write_config(self, config)
  }
  base <- list(
    name = self$name, trainable = self$trainable, dtype = serialize_dtype(self$dtype)
  )
  # Keras writes the activity regularizer that a layer applies itself with the
  # base settings; multi-head attention leaves it to its projections.
  if (self$kind != "multi_head_attention" && !is.null(self$activity_regularizer)) {
    base$activity_regularizer <- object_serialize(
      self$activity_regularizer, self$label, "activity_regularizer"
    )
    config <- config[names(config) != "activity_regularizer"]
  }
  c(base, config)
}

layer_build_config <- function(self) {
  if (!self$built) {
    return(NULL)
  }
  if (self$calls == "tensors") {
    shapes <- self$shapes
    roles <- layer_kinds[[self$kind]]$shape_names
    if (is.list(shapes) && !is.null(roles)) {
      shapes <- lapply(shapes, shape_to_config)
      names(shapes) <- roles[seq_along(shapes)]
      return(list(shapes_dict = shapes))
    }
    return(list(input_shape = if (is.list(shapes)) {
      lapply(shapes, shape_to_config)
    } else {
      shape_to_config(shapes)
    }))
  }
  shapes <- lapply(self$shapes[!vapply(self$shapes, is.null, NA)], shape_to_config)
  if (!self$heads) {
    return(list(input_shape = unname(shapes)))
  }
  names(shapes) <- paste0(names(shapes), "_shape")
  list(shapes_dict = shapes)
}

shape_to_config <- function(shape) {
  lapply(shape, function(size) if (is.na(size)) NULL else size)
}

# A bare config of a known kind -> a layer.
layer_from_config <- function(kind, config, owner = "from_config()") {
  if (!is.list(config) || is.object(config) || (length(config) && is.null(names(config)))) {
    abort_argument(owner, "config", "a named list, as get_config() gives it", config,
      subclass = "attn_error_config"
    )
  }
  config <- without_older_fields(kind, config)
  known <- unique(c(base_fields, fields_of_kind(kind), "activity_regularizer"))
  unknown <- setdiff(names(config), known)
  absent <- setdiff(required_of_kind(kind), names(config))
  if (length(unknown) || length(absent) || anyDuplicated(names(config))) {
    attn_abort(
      sprintf(
        "%s: this is no config of %s. %s", owner, layer_kinds[[kind]]$class_name,
        if (length(unknown)) {
          sprintf("It has no field %s.", paste0("`", unknown, "`", collapse = ", "))
        } else if (length(absent)) {
          sprintf("It lacks %s.", paste0("`", absent, "`", collapse = ", "))
        } else {
          "A field comes twice."
        }
      ),
      "attn_error_config",
      owner = owner, argument = "config", expected = known,
      received = if (length(config)) names(config) else "an empty list"
    )
  }
  read_config <- layer_kinds[[kind]]$read_config
  if (!is.null(read_config)) {
    config <- within_argument(read_config(config), owner, "config")
  }
  do.call(layer_kinds[[kind]]$constructor, c(list(NULL), config),
    quote = TRUE, envir = environment(layer_from_config)
  )
}

# What configs of older versions of Keras also have. Shapes are known from the calls; what
# would change the numbers stays, to be refused as a field that is not known.
older_fields <- list(
  embedding = "input_length",
  multi_head_attention = c("query_shape", "value_shape", "key_shape")
)

without_older_fields <- function(kind, config) {
  unused <- c("batch_input_shape", older_fields[[kind]])
  if (kind %in% c("attention", "additive_attention") && isFALSE(config[["causal"]])) {
    unused <- c(unused, "causal")
  }
  config <- config[!(names(config) %in% unused)]
  if (kind == "leaky_relu" && !("negative_slope" %in% names(config))) {
    names(config)[names(config) == "alpha"] <- "negative_slope"
  }
  config
}

# The kind that a config belongs to, or NULL: it has the fields that tell the kind,
# and none that the kind does not know. Older versions of Keras write fewer fields.
kind_of_config <- function(config) {
  fields <- names(config)
  for (kind in names(telling_fields)) {
    known <- c(base_fields, config_fields[[kind]], "activity_regularizer")
    if (all(telling_fields[[kind]] %in% fields) && all(fields %in% known)) {
      return(kind)
    }
  }
  NULL
}

# Fields that only this kind has, and every version of Keras writes.
telling_fields <- list(
  multi_head_attention = c("num_heads", "key_dim"),
  group_query_attention = c("head_dim", "num_query_heads", "num_key_value_heads"),
  attention = c("use_scale", "score_mode"),
  additive_attention = c("use_scale", "dropout")
)

# The shapes that a build_config records, or NULL. jsonlite turns shapes of equal
# length into the rows of a matrix.
shapes_from_build_config <- function(build_config) {
  if (!is.list(build_config) || is.object(build_config)) {
    return(NULL)
  }
  shapes <- build_config[["shapes_dict"]]
  if (is.list(shapes) && !is.object(shapes)) {
    shapes <- shapes[c("query_shape", "value_shape", "key_shape")]
    shapes <- shapes[!vapply(shapes, is.null, NA)]
  } else {
    shapes <- build_config[["input_shape"]]
  }
  if (is.matrix(shapes)) {
    shapes <- lapply(seq_len(nrow(shapes)), function(row) shapes[row, ])
  }
  unname(shapes)
}

#' Configs of layers and other objects
#'
#' `get_config()` gives the settings of a layer or model (or of an initializer, regularizer or
#' constraint) as a named list with the fields of Keras's `get_config()`;
#' `from_config()` makes a new object from them. Weights are not part of a config.
#'
#' A config can go through JSON: write it with
#' `jsonlite::toJSON(config, auto_unbox = TRUE, null = "null", digits = NA)`, and read it
#' with `jsonlite::fromJSON()`. Keras reads the result, and configs that Keras wrote can
#' be read here.
#'
#' @param object A layer, model, initializer, regularizer or constraint.
#' @param config A config: either with the class, as [serialize_keras_object()] gives it
#'   (`list(class_name = , config = )`), or the bare list that `get_config()` gives for
#'   a model or one of the four attention layers, which is recognized by its fields. (For a bare
#'   config of any other object use its class's name.) Either may be a string of JSON.
#' @param custom_objects Keras's place for classes of one's own, which there are none of
#'   here: `NULL`.
#' @param ... Not used; anything here is an error.
#' @return `get_config()`: a named list. `from_config()`: an object that is configured
#'   alike; a layer is built when the config carries the shapes it was built for.
#' @section Errors:
#' `attn_error_config` when a config cannot be understood, or when the object has parts
#' without a config, such as an R function as an initializer; `attn_error_argument` when
#' a value in it is not one that the constructor takes.
#' @references <https://keras.io/api/models/model_saving_apis/model_config_serialization/>
#' @examples
#' layer <- layer_attention(use_scale = TRUE)
#' config <- get_config(layer)
#' str(config)
#' from_config(config)
#' @export
get_config <- function(object, ...) {
  owner <- "get_config()"
  check_no_dots(owner, ...)
  check_given(missing(object), owner, "object",
    "a layer, initializer, regularizer or constraint"
  )
  UseMethod("get_config")
}

#' @export
get_config.default <- function(object, ...) {
  abort_argument("get_config()", "object",
    "a layer, initializer, regularizer or constraint", object
  )
}

#' @export
get_config.attn_layer <- function(object, ...) {
  layer_config(layer_self(object))
}

#' @export
get_config.attn_model <- function(object, ...) {
  model_config(layer_self(object))
}

#' @rdname get_config
#' @export
from_config <- function(config, custom_objects = NULL, ...) {
  owner <- "from_config()"
  check_no_dots(owner, ...)
  check_no_custom_objects(custom_objects, owner)
  check_given(missing(config), owner, "config", "a list")
  check_list_depth(config, owner, "config", subclass = "attn_error_config")
  if (is.character(config) && length(config) == 1L) {
    config <- config_from_json(config, owner)
  }
  if (is.list(config) && !is.object(config)) {
    if (!is.null(config[["class_name"]]) && "config" %in% names(config)) {
      return(deserialize_dict(config, owner))
    }
    model <- model_class_of_config(config)
    if (!is.null(model)) {
      return(model_from_dict(list(class_name = model, config = config), owner))
    }
    kind <- kind_of_config(config)
    if (!is.null(kind)) {
      return(layer_from_config(kind, config, owner))
    }
  }
  abort_argument(owner, "config",
    "list(class_name = , config = ), or the full config of an attention layer", config,
    subclass = "attn_error_config"
  )
}

config_from_json <- function(text, owner) {
  tryCatch(
    parse_json_text(text),
    error = function(error) {
      pass_on_limits(error, owner)
      abort_argument(owner, "config", "a list, or a string of JSON", text,
        subclass = "attn_error_config"
      )
    }
  )
}

check_no_custom_objects <- function(custom_objects, owner) {
  if (!is.null(custom_objects) && !identical(custom_objects, list())) {
    abort_argument(owner, "custom_objects", "NULL (there are no custom classes here)",
      custom_objects
    )
  }
}
