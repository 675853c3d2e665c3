# Layer objects. A layer is a function with a class, so that it can be called,
# and its closure holds one environment, `self`, with everything that the layer
# is: its configuration, its shapes once built, and the handle of its native
# state. Copies of the function share `self`: layers have reference semantics, as
# in Keras. `self` is made of plain R values and of the handle, which serializes
# itself, so a layer survives saveRDS() and parallel workers.
#
# Fields of `self`:
#   kind, class_name, serialized_name, constructor   what it is (layer_kinds, in table-of-kinds.R)
#   calls                                 how it is called: "heads", "scores", "tensors" or
#                                         "model"
#   heads                                 whether that is "heads"
#   name, dtype, trainable, label         `label` begins the layer's messages
#   config                                constructor arguments, in Keras's order
#   flash_attention, activity_regularizer, key   what the config does not tell
#   built, handle, widths, rank, shapes, weights   after build()
#   geometry                              what follows from the last call's dims
#   activity_losses                       of the last call
#
# A call goes to C first: if the layer has done one of the same form before (the same
# ranks, flags and kinds of masks), its handle has a plan for it, and that is all.
# Else C returns NULL, and R checks everything and has the plan remembered.

name_counts <- new.env(parent = emptyenv())

# "attention", "attention_1", "attention_2", ... within one R session.
unique_name <- function(prefix) {
  count <- name_counts[[prefix]]
  count <- if (is.null(count)) 0L else count
  assign(prefix, count + 1L, envir = name_counts)
  if (count == 0L) prefix else paste0(prefix, "_", count)
}

# The arguments that every constructor takes in `...`. A layer with an `input_shape` brings
# the input of a sequential model that begins with it.
layer_dots <- c("name", "dtype", "trainable", "input_shape")

# They, checked, and others that a kind's config may bring along but that must be NULL.
# check_layer_dots(owner, unavailable, ...)
check_layer_dots <- function(...) {
  owner <- ..1
  unavailable <- ..2
  dots <- dots_behind(2L, c(layer_dots, unavailable), owner)
  for (argument in unavailable) {
    check_not_available(dots[[argument]], owner, argument)
  }
  dots[setdiff(names(dots), unavailable)]
}

check_not_available <- function(x, owner, argument) {
  if (!is.null(x)) {
    abort_argument(owner, argument, "NULL (this is not available here)", x)
  }
}

# `dots` is what the constructor got in `...`, `config` what it made of its own
# arguments. All arguments are checked before the first random number is drawn
# and before a name is used up.
new_layer <- function(kind, config, dots, seed, flash_attention = NULL,
                      activity_regularizer = NULL) {
  traits <- layer_kinds[[kind]]
  owner <- paste0(traits$constructor, "()")
  force_piped(parent.frame())
  dtype <- as_dtype(dots[["dtype"]], owner)
  trainable <- dots[["trainable"]]
  trainable <- if (is.null(trainable)) TRUE else check_flag(trainable, owner, "trainable")
  name <- check_layer_name(dots[["name"]], owner)
  input_shape <- dots[["input_shape"]]
  if (!is.null(input_shape)) {
    input_shape <- as_partial_shape(input_shape, owner, "input_shape")
  }

  self <- new.env(parent = emptyenv())
  self$kind <- kind
  self$class_name <- traits$class_name
  self$serialized_name <- traits$serialized_name
  self$constructor <- traits$constructor
  self$calls <- traits$calls
  self$heads <- traits$calls == "heads"
  self$name <- if (is.null(name)) unique_name(traits$prefix) else name
  self$label <- sprintf("%s, layer \"%s\"", owner, self$name)
  self$dtype <- dtype
  self$trainable <- trainable
  self$config <- config
  self$flash_attention <- flash_attention
  self$activity_regularizer <- activity_regularizer
  self$input_shape_given <- input_shape
  self$key <- draw_key(seed)
  self$built <- FALSE
  layer_object(self)
}

# What a constructor is piped into comes before the layer itself, so that layers get their
# names and random numbers in the order in which they are written.
force_piped <- function(frame) {
  for (argument in c("object", "inputs")) {
    if (exists(argument, envir = frame, inherits = FALSE) &&
      !eval(call("missing", as.name(argument)), frame)) {
      get(argument, envir = frame, inherits = FALSE)
    }
  }
}

check_layer_name <- function(name, owner) {
  name <- check_string(name, owner, "name", null_ok = TRUE)
  if (!is.null(name) && grepl("/", name, fixed = TRUE)) {
    abort_argument(owner, "name", "a string without \"/\"", name)
  }
  if (!is.null(name) && !is_unicode(name)) {
    abort_argument(owner, "name", "a string that UTF-8 can hold", name)
  }
  name
}

# The function that the user holds. Any number of them may share one `self`.
layer_object <- function(self) {
  fun <- switch(self$calls,
    heads = heads_function(self), scores = scores_function(self),
    model = model_function(self), kind_function(self)
  )
  structure(fun, class = c(
    paste0("attn_layer_", self$kind), if (self$calls == "model") "attn_model", "attn_layer"
  ))
}

is_layer <- function(x) inherits(x, "attn_layer")

# What a layer is. Functions and lists that only have the class are none.
layer_self <- function(layer) {
  self <- if (is.function(layer)) environment(layer)$self
  if (!is.environment(self) || is.null(self$kind)) {
    attn_abort(
      "attn_layer: `layer` has the class of a layer, but is none. Received: another object.",
      "attn_error_state",
      owner = "attn_layer", argument = "layer", expected = "a layer",
      received = if (is.function(layer)) "a function" else typeof(layer)
    )
  }
  self
}

# What a call that fails puts back: the fields of a layer, and R's random numbers, of which
# the initializers may have drawn some.
fields_of <- function(self) {
  list(fields = as.list(self, all.names = TRUE), random = random_state())
}

restore_fields <- function(self, before) {
  rm(list = setdiff(ls(self, all.names = TRUE), names(before$fields)), envir = self)
  list2env(before$fields, self)
  restore_random_state(before$random)
}

check_given <- function(is_missing, owner, argument, expected) {
  if (is_missing) {
    abort_argument(owner, argument, expected, received = "nothing")
  }
}

# What a constructor returns: the layer itself without data, else its result.
# Whatever can be the first argument of a constructor has a method here: arrays,
# lists of arrays, symbolic tensors (and models, when there are some).
compose_layer <- function(object, layer) {
  UseMethod("compose_layer")
}

is_attention <- function(self) self$calls %in% c("heads", "scores")

# One array: self-attention.
#' @export
compose_layer.default <- function(object, layer) {
  self <- layer_self(layer)
  if (!is_attention(self)) {
    return(layer(object))
  }
  if (!is_plain_array(object)) {
    abort_first_argument(self, object)
  }
  if (self$heads) layer(object, object) else layer(list(object, object))
}

#' @export
compose_layer.keras_tensor <- function(object, layer) {
  if (!is_attention(layer_self(layer))) {
    return(layer(object))
  }
  if (layer_self(layer)$heads) layer(object, object) else layer(list(object, object))
}

# Lists with a class, such as data frames, do not come here.
#' @export
compose_layer.list <- function(object, layer) {
  self <- layer_self(layer)
  if (!is_attention(self)) {
    return(layer(object))
  }
  if (!can_be_arguments(object)) {
    abort_first_argument(self, object)
  }
  roles <- c("query", "value", "key")
  arguments <- name_inputs(object, roles, self)
  if (!("value" %in% names(arguments))) {
    arguments <- append(arguments, list(value = arguments[["query"]]), after = 1L)
  }
  if (self$heads) {
    return(do.call(layer, arguments, quote = TRUE))
  }
  is_input <- names(arguments) %in% roles
  if (is.null(arguments[["key"]])) {
    arguments[["key"]] <- NULL # a key that is NULL is no key
    is_input <- names(arguments) %in% roles
  }
  inputs <- unname(arguments[intersect(roles, names(arguments))])
  do.call(layer, c(list(inputs), arguments[!is_input]), quote = TRUE)
}

# Unnamed elements take the roles that no name has taken, in order, as the
# arguments of a call do.
name_inputs <- function(object, roles, self) {
  given <- names(object)
  if (is.null(given)) {
    given <- rep("", length(object))
  }
  unnamed <- which(given == "" | is.na(given))
  free <- setdiff(roles, given)
  if (length(unnamed) > length(free)) {
    abort_first_argument(self, object)
  }
  given[unnamed] <- free[seq_along(unnamed)]
  if (!("query" %in% given) || anyDuplicated(given)) {
    abort_first_argument(self, object)
  }
  names(object) <- given
  inputs <- intersect(roles, given)
  object[c(inputs, setdiff(given, inputs))]
}

abort_first_argument <- function(self, object) {
  abort_argument(
    self$label, if (self$kind == "multi_head_attention") "inputs" else "object",
    paste(
      "an array, a symbolic tensor, a list of one to three of them (query, value, key)",
      "with further call arguments by name, or missing"
    ),
    object
  )
}

# As many dims as the core can address.
most_dims <- 16L
most_output_dims <- 8L

# Classes whose data are still the plain numbers of an array.
plain_classes <- c("attn_scores", "table", "ts", "mts", "AsIs")

is_foreign_object <- function(x) is.object(x) && !inherits(x, plain_classes)

is_plain_array <- function(x) {
  (is.double(x) || is.integer(x) || is.logical(x)) && !is.null(dim(x)) && !is_foreign_object(x)
}

# An input of a layer -> its dims. What the numbers are is not checked: NaN and
# Inf go through, as in any arithmetic.
check_input <- function(x, owner, argument) {
  if (!is_plain_array(x)) {
    abort_argument(owner, argument, "a numeric array of at least 3 dims", x)
  }
  shape <- dim(x)
  if (!all(shape)) {
    abort_shape(owner, argument, "an array without zero-length dims",
      paste("shape", format_shape(shape))
    )
  }
  shape
}

check_rank <- function(shape, owner, argument, rank, exactly = FALSE) {
  if (length(shape) < rank || length(shape) > (if (exactly) rank else most_dims)) {
    abort_shape(owner, argument,
      sprintf(
        "an array of %s dims (batch, positions, features)",
        if (exactly) rank else sprintf("at least %d and at most %d", rank, most_dims)
      ),
      paste("shape", format_shape(shape))
    )
  }
}

check_same_rank <- function(shape, query_shape, owner, argument) {
  if (length(shape) != length(query_shape)) {
    abort_shape(owner, argument,
      sprintf("of as many dims as `query`, whose shape is %s", format_shape(query_shape)),
      paste("shape", format_shape(shape))
    )
  }
}

# Sizes that are not known (NA) agree with any other.
sizes_agree <- function(a, b) all(a == b, na.rm = TRUE)

check_value_key_agree <- function(value, key, owner) {
  last <- length(value)
  if (length(key) != last || !sizes_agree(value[-last], key[-last])) {
    abort_shape(owner, "key",
      paste(
        "of the shape of `value`, except for the last dim; `value` has shape",
        format_shape(value)
      ),
      paste("shape", format_shape(key))
    )
  }
}

# A built layer has kernels for these last dims.
check_widths <- function(widths, shapes, built_widths, owner) {
  differ <- which(widths != built_widths)
  if (length(differ)) {
    odd <- differ[1L]
    argument <- c("query", "value", "key")[odd]
    shape <- shapes[[argument]]
    shape <- if (is.null(shape)) shapes[["value"]] else shape
    abort_shape(owner, argument,
      sprintf("an array whose last dim is %d, as the layer was built for", built_widths[odd]),
      paste("shape", format_shape(shape))
    )
  }
}

# Layers are called with numbers or with symbols, not with both.
is_symbolic_call <- function(inputs, owner) {
  symbolic <- vapply(inputs, is_keras_tensor, NA)
  if (!any(symbolic)) {
    return(FALSE)
  }
  odd <- which(!symbolic & !vapply(inputs, is.null, NA))
  if (length(odd)) {
    abort_argument(owner, names(inputs)[odd[1L]],
      "a symbolic tensor, because another input is one", inputs[[odd[1L]]]
    )
  }
  TRUE
}

# What a call is like, as `struct form` in src/glue/plan.c has it: all that its plan
# depends on. The sizes of the arrays are no part of it. `masks` are those that apply.
call_form <- function(geometry, scores, training, causal, masks) {
  ranks <- lengths(lapply(masks, function(mask) if (!is.null(mask)) dim_or_length(mask)))
  as.integer(c(
    geometry$rank, !is.null(geometry$shapes$key), scores, training, causal,
    session_settings$flash_attention, ranks
  ))
}

# After a call that went well, and of which nothing but results remains to be seen.
remember_plan <- function(self, form, geometry, masks, row_mask, options, result) {
  .Call(
    ffi_layer_remember, self$handle, form, geometry$order, geometry$n_attention, masks, row_mask,
    options, if (options$scores) attr(result[[2L]], "axes")
  )
}

use_reference <- function(self) {
  flash <- self$flash_attention
  if (is.null(flash)) !config_is_flash_attention_enabled() else !flash
}
