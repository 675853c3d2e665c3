# From configs to models. (What may be in one: config-content.R.)

abort_config <- function(owner, problem, received = problem, expected = "a config of Keras") {
  attn_abort(sprintf("%s: %s.", owner, problem), "attn_error_config",
    owner = owner, argument = "config", expected = expected, received = received
  )
}

# Errors of any kind that a config leads to are errors of the config.
within_config <- function(code, owner, what) {
  fail <- function(error) {
    if (inherits(error, c("attn_error_memory", "attn_error_file"))) {
      stop(error)
    }
    pass_on_limits(error, owner)
    message <- sub("[.[:space:]]+$", "", conditionMessage(error))
    if (startsWith(message, paste0(owner, ": "))) {
      message <- substring(message, nchar(owner) + 3L)
    }
    attn_abort(sprintf("%s: %s: %s.", owner, what, message), "attn_error_config",
      owner = owner, argument = "config", expected = "a config of Keras",
      received = message, parent = error
    )
  }
  tryCatch(code, error = fail)
}

# ---- models ----

# The dict of a model, as serialize_model() makes it -> the model. Errors of R's own would
# be those of a dict that no check foresaw.
model_from_dict <- function(dict, owner) {
  tryCatch(
    {
      check_config_content(dict, owner)
      deserialize_model(dict, owner)
    },
    error = function(error) {
      pass_on(error, owner)
      abort_config(owner, sprintf(
        "the config cannot be understood: %s", sub("[.[:space:]]+$", "", conditionMessage(error))
      ))
    }
  )
}

deserialize_model <- function(dict, owner) {
  config <- dict[["config"]]
  class_name <- dict[["class_name"]]
  if (!is_named_list(config)) {
    abort_config(owner, "the config of a model is not a list with names")
  }
  if (class_name != "Sequential" && is.null(config[["input_layers"]])) {
    abort_config(owner, sprintf(
      "the class %s is a model whose layers are in Python code, not in its config",
      quote_name(class_name)
    ))
  }
  if (class_name == "Sequential") {
    sequential_from_config(config, owner)
  } else {
    functional_from_config(config, owner)
  }
}

config_field <- function(config, field, is_right, owner, expected) {
  value <- config[[field]]
  if (!is_right(value)) {
    abort_config(owner, sprintf(
      "`%s` in the config must be %s. Received: %s", field, expected, describe_value(value)
    ))
  }
  value
}

is_plain_list <- function(x) is.list(x) && !is.object(x)

is_named_list <- function(x) is_plain_list(x) && !is.null(names(x)) && !anyDuplicated(names(x))

is_flag <- function(x) is_scalar(x, is.logical) && !is.na(x)

# `config`: a list with names.
check_model_fields <- function(config, known, owner) {
  unknown <- setdiff(names(config), known)
  if (length(unknown)) {
    abort_config(owner, sprintf("the config of a model has the field %s, which is not known here",
      quote_name(unknown[1L])
    ))
  }
}

functional_from_config <- function(config, owner) {
  known <- c("name", "trainable", "layers", "input_layers", "output_layers")
  check_model_fields(config, known, owner)
  entries <- config_field(config, "layers", is_plain_list, owner, "a list of layers")
  names <- vapply(entries, member_name, "", owner)
  if (anyDuplicated(names)) {
    twice <- names[duplicated(names)][1L]
    abort_config(owner, sprintf("two layers have the name %s", quote_name(twice)))
  }
  members <- Map(function(entry, name) new_member(entry, name, owner), entries, names)
  names(members) <- names
  process_nodes(members, owner)
  inputs <- structure_from_config(config[["input_layers"]], members, "input_layers", owner)
  outputs <- structure_from_config(config[["output_layers"]], members, "output_layers", owner)
  what <- if (is_string(config[["name"]])) paste("model", quote_name(config[["name"]])) else "model"
  model <- within_config(keras_model(inputs, outputs, name = config[["name"]]), owner, what)
  set_model_trainable(model, config, owner)
}

# Of the model itself: its layers have their own.
set_model_trainable <- function(model, config, owner) {
  if (!is.null(config[["trainable"]])) {
    self <- layer_self(model)
    self$trainable <- config_field(config, "trainable", is_flag, owner, "TRUE or FALSE")
  }
  model
}

sequential_from_config <- function(config, owner) {
  known <- c("name", "trainable", "dtype", "layers", "build_input_shape")
  check_model_fields(config, known, owner)
  entries <- config_field(config, "layers", is_plain_list, owner, "a list of layers")
  layers <- lapply(entries, stack_layer_from_config, owner)
  shape <- config[["build_input_shape"]]
  what <- if (is_string(config[["name"]])) paste("model", quote_name(config[["name"]])) else "model"
  model <- within_config(
    {
      model <- keras_model_sequential(name = config[["name"]], layers = layers)
      if (!is.null(shape) && !layer_self(model)$built && length(layers)) {
        model$build(shape)
      }
      model
    },
    owner, what
  )
  set_model_trainable(model, config, owner)
}

# A layer, or the tensor of an input.
stack_layer_from_config <- function(entry, owner) {
  name <- member_name(entry, owner)
  within_config(
    switch(member_kind(entry),
      input_layer = input_from_config(entry[["config"]], name, owner),
      operation = stop("operations are no layers"),
      layer_from_entry(entry, owner)
    ),
    owner, sprintf("the layer %s", quote_name(name))
  )
}

member_name <- function(entry, owner) {
  name <- if (is_plain_list(entry)) entry[["name"]]
  if (is.null(name) && is_plain_list(entry) && is_plain_list(entry[["config"]])) {
    name <- entry[["config"]][["name"]]
  }
  if (!is_string(name) || !is_string(entry[["class_name"]])) {
    abort_config(owner, "an entry of `layers` in the config has no name or no class")
  }
  name
}

# A layer on its way into a graph: list(kind =, layer =, entry =, nodes = those of its calls
# that are still to be made, results = one list of tensors for each call that was made).
new_member <- function(entry, name, owner) {
  nodes <- entry[["inbound_nodes"]]
  if (!(is.null(nodes) || (is_plain_list(nodes) && is.null(names(nodes))))) {
    abort_config(owner, sprintf("the calls of the layer %s are not a list", quote_name(name)))
  }
  member <- new.env(parent = emptyenv())
  member$name <- name
  member$entry <- entry
  member$nodes <- nodes
  member$results <- list()
  what <- sprintf("the layer %s", quote_name(name))
  within_config(
    {
      member$kind <- member_kind(entry)
      if (member$kind == "input_layer") {
        member$results <- list(list(input_from_config(entry[["config"]], name, owner)))
        member$nodes <- list()
      } else if (member$kind != "operation") {
        member$layer <- layer_from_entry(entry, owner)
      }
    },
    owner, what
  )
  member
}

member_kind <- function(entry) {
  if (is_operation_entry(entry)) "operation" else if (entry[["class_name"]] == "Model") {
    "functional"
  } else {
    layer_kind_of_class(entry[["class_name"]])
  }
}

is_operation_entry <- function(entry) {
  is_string(entry[["module"]]) && grepl("^keras[.]src[.]ops[.]", entry[["module"]])
}

# A layer by itself, and models within models. Their shapes come from the calls: what
# `build_config` says of them is not needed.
layer_from_entry <- function(entry, owner) {
  if (is_model_class(entry[["class_name"]])) {
    return(deserialize_model(entry, owner))
  }
  layer_from_config(layer_kind_of_class(entry[["class_name"]]), entry[["config"]], owner)
}

input_from_config <- function(config, name, owner) {
  # Keras 2 called the shape batch_input_shape
  shape <- if (is.null(config[["batch_shape"]])) {
    config[["batch_input_shape"]]
  } else {
    config[["batch_shape"]]
  }
  dtype <- config[["dtype"]]
  if (is_dtype_policy(dtype)) {
    dtype <- dtype[["config"]][["name"]]
  }
  keras_input(
    batch_shape = shape, dtype = dtype, sparse = config[["sparse"]],
    ragged = config[["ragged"]], name = name, optional = isTRUE(config[["optional"]])
  )
}

# ---- calls ----

# Calls wait until the tensors they need are there: a layer that is shared may be called
# at different depths. Where a whole round makes no call, the rest waits for itself.
process_nodes <- function(members, owner) {
  waiting <- Filter(function(member) length(member$nodes) > 0L, members)
  while (length(waiting)) {
    before <- sum(vapply(waiting, function(member) length(member$nodes), 1L))
    for (member in waiting) {
      process_member(member, members, owner)
    }
    left <- vapply(waiting, function(member) length(member$nodes), 1L)
    if (sum(left) == before) {
      abort_config(owner, sprintf(
        "the layer %s is called with a tensor that is never made, or that depends on the call",
        quote_name(waiting[[1L]]$name)
      ))
    }
    waiting <- waiting[left > 0L]
  }
}

process_member <- function(member, members, owner) {
  while (length(member$nodes)) {
    call <- read_node(member$nodes[[1L]], member, owner)
    found <- find_arguments(call, members, owner)
    if (is.null(found)) {
      break
    }
    what <- sprintf("the call of the layer %s", quote_name(member$name))
    results <- find_tensors(within_config(make_call(member, found), owner, what))
    # a list with names may have them in another order than they are numbered in
    results <- results[order(vapply(results, function(tensor) tensor$index, 1L))]
    member$results <- c(member$results, list(results))
    member$nodes <- member$nodes[-1L]
  }
}

# list(args =, kwargs =). Keras 2 wrote list(list(layer, call, result, kwargs), ...).
read_node <- function(node, member, owner) {
  if (!is_plain_list(node)) {
    abort_config(owner, sprintf("a call of the layer %s is not a list", quote_name(member$name)))
  }
  if (is.null(names(node))) {
    return(read_old_node(node, member, owner))
  }
  args <- node[["args"]]
  kwargs <- node[["kwargs"]]
  ok <- is_plain_list(args) && is.null(names(args)) &&
    (!length(kwargs) || is_named_list(kwargs))
  if (!ok) {
    abort_config(owner, sprintf(
      "a call of the layer %s has no `args` and `kwargs`", quote_name(member$name)
    ))
  }
  list(args = args, kwargs = kwargs)
}

read_old_node <- function(node, member, owner) {
  ok <- length(node) > 0L && all(vapply(node, function(input) {
    is_plain_list(input) && length(input) %in% 3:4 && is_string(input[[1L]])
  }, NA))
  if (!ok) {
    abort_config(owner, sprintf(
      "a call of the layer %s is not understood", quote_name(member$name)
    ))
  }
  tensors <- lapply(node, function(input) {
    list(class_name = "__keras_tensor__", config = list(keras_history = input[1:3]))
  })
  kwargs <- if (length(node[[1L]]) == 4L) node[[1L]][[4L]]
  list(args = if (length(tensors) == 1L) tensors else list(tensors), kwargs = kwargs)
}

# The arguments with tensors in their places; NULL where one is not there yet.
find_arguments <- function(call, members, owner) {
  missing <- FALSE
  resolve <- function(x) {
    if (!is_plain_list(x)) {
      return(x)
    }
    class_name <- x[["class_name"]]
    if (identical(class_name, "__keras_tensor__")) {
      tensor <- find_tensor(x[["config"]][["keras_history"]], members, owner, shift = 0L)
      missing <<- missing || is.null(tensor)
      return(tensor)
    }
    if (is_string(class_name) && class_name %in% c("__numpy__", "__tensor__")) {
      return(array_from_rows(x[["config"]][["value"]], owner))
    }
    lapply(x, resolve)
  }
  found <- list(args = resolve(call$args), kwargs = resolve(call$kwargs))
  if (!missing) found
}

# history: list(name, call, result), counted from 0.
find_tensor <- function(history, members, owner, shift) {
  ok <- is_plain_list(history) && length(history) == 3L && is_string(history[[1L]]) &&
    is_whole_number(history[[2L]]) && is_whole_number(history[[3L]])
  if (!ok) {
    abort_config(owner, "a tensor in the config does not say where it comes from")
  }
  member <- members[[history[[1L]]]]
  if (is.null(member)) {
    abort_config(owner, sprintf(
      "a tensor comes from the layer %s, which is not there", quote_name(history[[1L]])
    ))
  }
  call <- history[[2L]] - (shift > 0L && member$kind == "functional")
  result <- history[[3L]]
  if (call < 0 || result < 0 || call >= length(member$results) + length(member$nodes)) {
    abort_config(owner, sprintf(
      "a tensor comes from a call of the layer %s that there is not", quote_name(member$name)
    ))
  }
  if (call >= length(member$results)) {
    return(NULL)
  }
  results <- member$results[[call + 1]]
  if (result >= length(results)) {
    abort_config(owner, sprintf(
      "a tensor is a result of the layer %s that there is not", quote_name(member$name)
    ))
  }
  results[[result + 1]]
}

# Lists within lists -> an array, the innermost its last axis.
array_from_rows <- function(rows, owner) {
  shape <- integer()
  part <- rows
  while (is_plain_list(part) && length(part)) {
    shape <- c(shape, length(part))
    part <- part[[1L]]
  }
  values <- unlist(rows)
  ok <- length(shape) <= most_dims && (is.numeric(values) || is.logical(values)) &&
    length(values) == prod(shape) && has_shape(rows, shape)
  if (!ok) {
    abort_config(owner, paste(
      "an array in the config has rows of different lengths, or other values than numbers"
    ))
  }
  if (length(shape)) {
    values <- aperm(array(values, rev(shape)), rev(seq_along(shape)))
  }
  values
}

has_shape <- function(rows, shape) {
  if (!length(shape)) {
    return(!is.list(rows))
  }
  is_plain_list(rows) && length(rows) == shape[1L] &&
    all(vapply(rows, has_shape, NA, shape[-1L]))
}

# Names of the positional arguments, in Keras's order.
positions_of <- function(member) {
  kind <- layer_kinds[[member$kind]]
  own <- setdiff(names(formals(member$layer)), "...")
  flags <- c("return_attention_scores", "training", "use_causal_mask")
  if (!is.null(kind$layer_function)) {
    own
  } else {
    switch(kind$calls,
      heads = c("query", "value", "key", "query_mask", "value_mask", "key_mask",
        "attention_mask", flags
      ),
      scores = c("inputs", "mask", flags),
      model = c("inputs", "training", "mask"),
      "inputs"
    )
  }
}

make_call <- function(member, call) {
  arguments <- call$kwargs[!vapply(call$kwargs, is.null, NA)]
  if (member$kind == "operation") {
    entry <- member$entry
    return(operation_node(entry[["class_name"]], member$name, call$args, as.list(arguments),
      config = as.list(entry[["config"]]), owner = "it"
    ))
  }
  positions <- positions_of(member)
  if (length(call$args) > length(positions)) {
    stop("it has more arguments than the layer takes")
  }
  args <- call$args
  names(args) <- positions[seq_along(args)]
  args <- args[!vapply(args, is.null, NA)]
  if (anyDuplicated(c(names(args), names(arguments)))) {
    stop("it has an argument twice")
  }
  do.call(member$layer, c(args, arguments), quote = TRUE)
}

# ["name", 0, 0], a list of such, or a list of such with names, and so on.
structure_from_config <- function(x, members, field, owner) {
  is_place <- is_plain_list(x) && length(x) == 3L && is_string(x[[1L]])
  if (is_place) {
    return(find_tensor(x, members, owner, shift = 1L)) # all calls are made by now
  }
  if (!is_plain_list(x) || !length(x) || !all(vapply(x, is_plain_list, NA))) {
    abort_config(owner, sprintf("`%s` of the config does not name tensors", field))
  }
  lapply(x, structure_from_config, members, field, owner)
}

# The class of a bare config, or NULL.
model_class_of_config <- function(config) {
  fields <- names(config)
  if (all(c("layers", "input_layers", "output_layers") %in% fields)) {
    "Functional"
  } else if (all(c("name", "layers") %in% fields)) {
    "Sequential"
  }
}
