# Layers of tensors: everything that is not attention. They take one tensor (or a list of
# tensors, those that merge), and give one; in C they are weights and a step
# (src/layers/step.h).
#
# What kinds there are: kind.R, table-of-kinds.R.

# The function that the user holds: the kind's own, or that of all layers of tensors.
kind_function <- function(self) {
  own <- layer_kinds[[self$kind]]$layer_function
  if (is.null(own)) tensors_function(self) else own(self)
}

# A saved layer keeps this body.
tensors_function <- function(self) {
  force(self)
  function(inputs, ...) call_tensors(self, inputs, ...)
}

# call_tensors(self, inputs, ...): see check_dots()
call_tensors <- function(...) {
  self <- ..1
  owner <- self$label
  kind <- layer_kinds[[self$kind]]
  check_given(missing(..2), owner, "inputs", "an array, or a symbolic tensor")
  inputs <- ..2
  if (inherits(inputs, "attn_layer_sequential")) {
    return(compose_layer(inputs, layer_object(self)))
  }
  arguments <- dots_behind(2L, kind$call_arguments, owner)
  arguments <- check_call_arguments(arguments, owner, kind$many)
  tensors <- if (kind$many) check_tensor_list(inputs, owner) else list(inputs)
  if (is_symbolic_call(name_each(tensors, "inputs"), owner)) {
    mask <- arguments[["mask"]]
    if (!is.null(mask) && !is.list(mask)) {
      abort_argument(owner, "mask", "a symbolic tensor, because `inputs` is one", mask)
    }
    return(tensors_symbolic(self, kind, tensors, arguments))
  }
  if (is_keras_tensor(arguments[["mask"]])) {
    abort_argument(owner, "mask", "an array, because `inputs` is one", arguments[["mask"]])
  }
  tensors <- lapply(tensors, check_tensor, owner)
  shapes <- lapply(tensors, dim)
  kind$output_shape(self, shapes)
  check_own_arguments(self, kind, shapes, arguments)
  finished <- FALSE
  before <- fields_of(self)
  on.exit(if (!finished) suspendInterrupts(restore_fields(self, before)))
  build_tensors(self, shapes)
  warn_lost_mask(self, tensors)
  result <- run_eagerly(self, tensors, arguments)
  if (!is.null(self$activity_regularizer)) {
    self$activity_losses <- activity_losses(
      self$activity_regularizer, list(set_keras_mask(result, NULL)), owner
    )
  }
  finished <- TRUE
  result
}

name_each <- function(x, name) {
  names(x) <- rep(name, length(x))
  x
}

# `lists`: whether a mask may be a list, of one for each tensor.
check_call_arguments <- function(arguments, owner, lists = TRUE) {
  if ("training" %in% names(arguments)) {
    training <- check_flag(arguments$training, owner, "training", null_ok = TRUE)
    arguments["training"] <- list(training)
  }
  if ("start_index" %in% names(arguments)) {
    arguments$start_index <- check_start_index(arguments$start_index, owner)
  }
  mask <- arguments[["mask"]]
  if (!is.null(mask) && !is_keras_tensor(mask) && !(lists && is.list(mask))) {
    check_mask_values(mask, owner, "mask")
    attr(arguments$mask, "keras_mask") <- NULL
  }
  arguments
}

# What a kind has to say about shapes and call arguments together.
check_own_arguments <- function(self, kind, shapes, arguments) {
  if (!is.null(kind$check_arguments)) {
    kind$check_arguments(self, shapes, arguments)
  }
}

check_tensor_list <- function(inputs, owner) {
  if (is.object(inputs) || !is.list(inputs) || !length(inputs)) {
    abort_argument(owner, "inputs", "a list of arrays or symbolic tensors", inputs)
  }
  absent <- which(vapply(inputs, is.null, NA))
  if (length(absent)) {
    abort_argument(owner, sprintf("inputs[[%d]]", absent[1L]),
      "an array or a symbolic tensor", NULL
    )
  }
  unname(inputs)
}

# An input -> an array with dims; what the numbers are is not looked at.
check_tensor <- function(x, owner, argument = "inputs") {
  is_number <- is.double(x) || is.integer(x) || is.logical(x)
  if (!is_number || is_foreign_object(x)) {
    abort_argument(owner, argument, "a numeric array", x)
  }
  if (is.null(dim(x))) {
    dim(x) <- length(x)
  }
  if (!all(dim(x)) || length(dim(x)) > most_dims) {
    abort_shape(owner, argument,
      sprintf("an array of at most %d dims, none of length zero", most_dims),
      paste("shape", format_shape(dim(x)))
    )
  }
  mask <- implicit_mask(x)
  if (!is.null(mask)) {
    check_covering_mask(mask, x, owner, argument, argument)
  }
  x
}

supports_masking <- function(self) {
  supports <- layer_kinds[[self$kind]]$supports_masking
  if (is.function(supports)) supports(self) else supports
}

# Keras's warning: what comes after the layer will not know of the mask.
warn_lost_mask <- function(self, tensors) {
  masked <- !vapply(tensors, function(x) is.null(implicit_mask(x)), NA)
  if (any(masked) && !supports_masking(self)) {
    attn_warn(
      paste0(
        self$label, ": `inputs` has a mask, which this layer does not support: ",
        "it has no effect, and the result has none."
      ),
      "attn_warning_ignored", self$label, "inputs"
    )
  }
}

tensors_symbolic <- function(self, kind, tensors, arguments) {
  shapes <- lapply(tensors, dim)
  shape <- kind$output_shape(self, shapes)
  check_own_arguments(self, kind, shapes, arguments)
  build_tensors(self, shapes)
  node <- new_node(self, tensors, arguments)
  dtype <- kind$output_dtype(self, vapply(tensors, function(x) x$dtype, ""))
  new_keras_tensor(shape, dtype, node = node, index = 1L)
}

# Weights are made once, for the first shapes.
build_tensors <- function(self, shapes) {
  if (self$built) {
    return(invisible(self))
  }
  kind <- layer_kinds[[self$kind]]
  if (!is.null(kind$make_parts)) {
    return(build_parts(self, kind, shapes))
  }
  specs <- if (is.null(kind$weights)) list() else as.list(kind$weights(self, shapes))
  names(specs) <- vapply(specs, function(spec) spec$path, "")
  handle <- NULL
  if (length(specs) || kind$random) {
    values <- lapply(specs, initial_value, self = self)
    handle <- .Call(
      ffi_weights_create, self$dtype, as.character(names(specs)),
      unname(lapply(specs, function(spec) spec$shape)),
      as.integer(vapply(specs, function(spec) spec$depth, 1L)), self$key
    )
    .Call(ffi_layers_set_weights, list(handle), list(unname(values)))
  }
  self$handle <- handle
  self$shapes <- if (kind$many) shapes else shapes[[1L]]
  self$weights <- specs
  self$built <- TRUE
  if (!is.null(kind$after_build)) {
    kind$after_build(self, shapes)
  }
  invisible(self)
}

# One step of the core, or as many as the kind's own `trace` makes.
trace_tensors <- function(tracer, self, inputs, arguments) {
  kind <- layer_kinds[[self$kind]]
  shapes <- lapply(inputs, function(value) value$shape)
  dtypes <- vapply(inputs, function(value) value$dtype, "")
  step <- kind$step(self, shapes, arguments)
  masks <- if ("mask" %in% kind$call_arguments) list(arguments[["mask"]])
  trace_step(tracer, self, step$operation, c(inputs, masks),
    shapes = list(kind$output_shape(self, shapes)), settings = step$settings,
    text = if (is.null(step$text)) "" else step$text, training = arguments$training,
    dtypes = kind$output_dtype(self, dtypes)
  )
}

# The layer as a program of its own. What an array becomes follows from its type.
run_eagerly <- function(self, arrays, arguments) {
  tracer <- new_tracer()
  input_dtype <- layer_kinds[[self$kind]]$input_dtype
  as_input <- function(x) new_value(tracer, dim(x), input_dtype(self, x))
  inputs <- lapply(arrays, as_input)
  mask <- arguments[["mask"]]
  if (is.null(mask)) {
    arguments["mask"] <- NULL
  } else {
    arguments$mask <- new_value(tracer, dim_or_length(mask), "bool")
  }
  outputs <- trace_layer(tracer, self, inputs, arguments)
  given <- c(inputs, if (!is.null(mask)) list(arguments$mask))
  program <- finish_program(tracer, given, outputs)
  run_program(program, c(arrays, if (!is.null(mask)) list(mask)))[[1L]]
}

# ---- methods and properties ----

# Every weight by its name, such as `layer$kernel`.
tensors_properties <- function(self) {
  weights <- lapply(names(self$weights), function(path) {
    function(self) single_weight(self, path)
  })
  names(weights) <- names(self$weights)
  c(weights, list(
    input_shape = function(self) self$shapes,
    supports_masking = function(self) supports_masking(self)
  ))
}

tensors_methods <- list(
  build = function(self) {
    function(input_shape, ...) {
      check_no_dots(self$label, ...)
      check_given(missing(input_shape), self$label, "input_shape", "a shape such as c(NA, 16)")
      build_layer(self, input_shape)
    }
  },
  compute_output_shape = function(self) {
    function(input_shape, ...) {
      check_no_dots(self$label, ...)
      check_given(missing(input_shape), self$label, "input_shape", "a shape such as c(NA, 16)")
      layer_kinds[[self$kind]]$output_shape(self, as_tensor_shapes(self, input_shape))
    }
  },
  compute_output_spec = function(self) {
    function(inputs, ...) {
      kind <- layer_kinds[[self$kind]]
      check_given(missing(inputs), self$label, "inputs", "an array or a symbolic tensor")
      check_dots(self$label, kind$call_arguments, ...)
      tensors <- if (kind$many) check_tensor_list(inputs, self$label) else list(inputs)
      if (!is_symbolic_call(name_each(tensors, "inputs"), self$label)) {
        tensors <- lapply(tensors, check_tensor, self$label)
      }
      dtypes <- vapply(tensors, function(x) {
        if (is_keras_tensor(x)) x$dtype else kind$input_dtype(self, x)
      }, "")
      shape <- kind$output_shape(self, lapply(tensors, dim))
      new_keras_tensor(shape, kind$output_dtype(self, dtypes))
    }
  },
  compute_mask = function(self) {
    function(inputs, mask = NULL, ...) {
      check_no_dots(self$label, ...)
      check_given(missing(inputs), self$label, "inputs", "an array, or a list of arrays")
      own <- layer_kinds[[self$kind]]$output_mask
      if (!is.null(own)) return(own(self, inputs, mask))
      if (is.null(mask) || is.list(mask)) return(NULL)
      if (supports_masking(self)) check_given_mask(mask, self$label)
    }
  }
)

# A shape, or a list of shapes where the layer takes several tensors.
as_tensor_shapes <- function(self, shape) {
  owner <- self$label
  if (layer_kinds[[self$kind]]$many) {
    if (!is_list_of_shapes(shape)) {
      abort_argument(owner, "input_shape", "a list of shapes", shape)
    }
    return(lapply(shape, as_batch_shape, owner))
  }
  list(as_batch_shape(shape, owner))
}

# A shape whose first size is that of the batch.
as_batch_shape <- function(shape, owner) {
  if (!length(shape)) {
    abort_argument(owner, "input_shape", "a shape such as c(NA, 16)", shape)
  }
  as_partial_shape(shape, owner, "input_shape")
}
