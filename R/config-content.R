# What may be in the config of a model. Nothing in it is trusted and nothing of it is run:
# classes come from the table of kinds, and everything else is refused by name before the
# first layer is made.

# Deeper than this, neither JSON nor lists are a config that Keras wrote (parsers might fail, and
# R's own stack end).
config_depth <- 100L

# A look at everything in a config before anything is made from it. parse_json_bytes() and
# check_list_depth() have seen that it is not too deep.
check_config_content <- function(x, owner) {
  if (is.object(x) || !(is.null(x) || is.list(x) || is.atomic(x))) {
    abort_config(owner, paste("the config has", describe_value(x), "in it"))
  }
  if (!is.list(x)) {
    return(invisible())
  }
  if (is_string(x[["class_name"]]) && "config" %in% names(x)) {
    check_config_class(x, owner)
  }
  # how a model was trained is of no concern here
  own <- if (is.null(names(x))) x else x[!(names(x) %in% "compile_config")]
  for (part in own) {
    check_config_content(part, owner)
  }
}

# Those that could make Python run what is in the file.
code_classes <- c(
  "Lambda", "TFOpLambda", "SlicingOpLambda", "__lambda__", "function", "__function__",
  "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "TFSMLayer"
)

check_config_class <- function(dict, owner) {
  class_name <- dict[["class_name"]]
  module <- dict[["module"]]
  registered <- dict[["registered_name"]]
  refuse <- function(why) {
    of <- if (is_string(module)) sprintf(" of the module %s", quote_name(module)) else ""
    abort_config(owner,
      sprintf("the config has the class %s%s, %s", quote_name(class_name), of, why),
      received = class_name, expected = "classes that are known here"
    )
  }
  if (is_activation_config(dict)) {
    return(invisible())
  }
  if (class_name %in% code_classes) {
    name <- if (is_string(dict[["config"]])) paste(" called", quote_name(dict[["config"]])) else ""
    refuse(sprintf("code%s that is not run here", name))
  }
  is_ours <- is.null(module) ||
    (is_string(module) && grepl("^(keras|keras_hub|keras_nlp)([.]|$)", module))
  if (!is_ours) {
    refuse("which is not Keras's")
  }
  is_custom <- !is.null(registered) && !(is_string(registered) &&
    (registered == class_name || grepl("^(keras_hub|keras_nlp|keras)>", registered)))
  if (is_custom) {
    refuse("which is somebody's own")
  }
  if (!is_known_class(class_name, module)) {
    refuse("which is not known here")
  }
}

is_known_class <- function(class_name, module) {
  class_name %in% c("__keras_tensor__", "__numpy__", "__tensor__", "DTypePolicy", "Model") ||
    !is.null(layer_kind_of_class(class_name)) ||
    (is_string(module) && grepl("^keras[.]src[.]ops[.]", module)) ||
    is_object_class(class_name)
}

# Initializers, regularizers and constraints; their own readers say more.
is_object_class <- function(class_name) {
  kinds <- list(initializer_kind(), regularizer_kind(), constraint_kind())
  any(vapply(kinds, function(kind) {
    class_name %in% c(names(kind$builders), names(kind$aliases))
  }, NA))
}

is_model_class <- function(class_name) class_name %in% c("Functional", "Model", "Sequential")
