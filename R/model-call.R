# Calls of models with arrays. The C core is asked first: if the model has been called
# before and the inputs are plain arrays of the model's shapes, it does all of the call
# (ffi_model_call() in src/glue/program.c). Else it returns NULL, and R checks everything.

# The function that the user holds. A saved model keeps this body.
model_function <- function(self) {
  force(self)
  function(inputs, ...) call_model(self, inputs, ...)
}

# call_model(self, inputs, ...): see check_dots()
call_model <- function(...) {
  self <- ..1
  if (...length() == 2L && !missing(..2) && cache_is_good(self)) {
    result <- .Call(ffi_model_call, self$cache, ..2, session_settings$flash_attention)
    if (!is.null(result)) {
      return(result)
    }
  }
  call_model_newly(...)
}

call_model_newly <- function(...) {
  self <- ..1
  owner <- self$label
  check_given(missing(..2), owner, "inputs", "an array, or a list of arrays")
  inputs <- ..2
  if (inherits(inputs, "attn_layer_sequential")) {
    return(compose_layer(inputs, layer_object(self)))
  }
  arguments <- dots_behind(2L, c("training", "mask"), owner)
  training <- check_flag(arguments[["training"]], owner, "training", null_ok = TRUE)
  if (!self$built) {
    return(build_and_use(self, inputs, "inputs", function(inputs) {
      call_model_newly(self, inputs, training = training, mask = arguments[["mask"]])
    }))
  }
  given <- match_model_inputs(self, inputs, owner)
  names(given) <- vapply(self$input_tensors, input_name, "")
  if (is_symbolic_call(given, owner)) {
    check_not_available(arguments[["mask"]], owner, "mask")
    return(model_symbolic(self, unname(given), if (!is.null(training)) list(training = training)))
  }
  arrays <- check_model_arrays(self, unname(given), arguments[["mask"]])
  plan <- model_plan(self, !vapply(arrays, is.null, NA))
  given <- arrays[!vapply(arrays, is.null, NA)]
  results <- run_program(plan$program, given, if (is.null(training)) NA else training)
  pack_structure(self$outputs, results)
}

# ---- checking arrays ----

# Every array in the type and with the dims that the model wants.
check_model_arrays <- function(self, arrays, masks = NULL) {
  masks <- match_model_masks(self, masks)
  Map(function(x, tensor, mask) {
    if (!is.null(x)) check_model_array(x, tensor, mask, self$label)
  }, arrays, self$input_tensors, masks)
}

match_model_masks <- function(self, masks) {
  count <- length(self$input_tensors)
  if (is.null(masks)) {
    return(vector("list", count))
  }
  if (count == 1L && !is_plain_list(masks)) {
    return(list(masks))
  }
  if (!is_plain_list(masks) || length(masks) != count) {
    abort_argument(self$label, "mask",
      if (count == 1L) "an array" else sprintf("a list of %d masks, NULL for none", count), masks
    )
  }
  unname(masks)
}

check_model_array <- function(x, tensor, mask, owner) {
  argument <- input_name(tensor)
  shape <- dim(tensor)
  if (is.null(mask)) {
    mask <- implicit_mask(x)
  }
  x <- fit_rank(check_tensor(x, owner, argument), length(shape), shape)
  check_model_shape(dim(x), shape, owner, argument)
  check_model_type(x, tensor$dtype, owner, argument)
  if (!is.null(mask)) {
    attr(x, "keras_mask") <- check_covering_mask(mask, x, owner, "mask", argument)
  }
  x
}

# As Keras does: a last dim of size 1 may lack, or be there in excess.
fit_rank <- function(x, rank, shape) {
  given <- dim(x)
  if (length(given) == rank + 1L && given[rank + 1L] == 1L) {
    dim(x) <- given[seq_len(rank)]
  } else if (length(given) == rank - 1L && identical(shape[rank], 1L)) {
    dim(x) <- c(given, 1L)
  }
  x
}

# The size of the batch is free.
check_model_shape <- function(shape, wanted, owner, argument) {
  if (length(shape) != length(wanted) || !sizes_agree(shape[-1L], wanted[-1L])) {
    abort_shape(owner, argument,
      paste("an array of shape", format_shape(c(NA, wanted[-1L]))),
      paste("shape", format_shape(shape))
    )
  }
}

# Ids are whole numbers that there can be; flags are not missing.
check_model_type <- function(x, dtype, owner, argument) {
  type <- value_type(dtype)
  if (type == "bool" && anyNA(x)) {
    abort_argument(owner, argument, "free of missing values", x,
      received = paste(describe_value(x), "with NA")
    )
  }
  if (type == "int32" && (anyNA(x) || (is.double(x) && any(abs(x) > .Machine$integer.max)))) {
    abort_argument(owner, argument,
      sprintf("numbers without NA, from -2^31 to 2^31 (its dtype is %s)", dtype), x,
      received = if (anyNA(x)) paste(describe_value(x), "with NA") else "numbers beyond"
    )
  }
}

# ---- what calls need and what is not saved ----

# Goes up when a model that others may be made of has changed.
model_versions <- new.env(parent = emptyenv())
model_versions$now <- 1

forget_model_calls <- function(self) {
  self$cache <- NULL
  model_versions$now <- model_versions$now + 1
}

cache_is_good <- function(self) identical(self$cache_version, model_versions$now)

# The plan of a call in which these inputs are given, as src/glue/program.c has it, and
# behind that the program. Plans of calls without optional inputs are kept in that of the
# call with all of them.
model_plan <- function(self, is_given) {
  plan <- if (cache_is_good(self)) .Call(ffi_cache_get, self$cache)
  if (is.null(plan)) {
    plan <- new_model_plan(self, rep(TRUE, length(is_given)))
    self$cache <- .Call(ffi_cache_new, self, plan)
    self$cache_version <- model_versions$now
  }
  if (all(is_given)) {
    return(plan)
  }
  key <- paste(which(is_given), collapse = " ")
  if (is.null(plan$others[[key]])) {
    assign(key, new_model_plan(self, is_given), envir = plan$others)
  }
  plan$others[[key]]
}

new_model_plan <- function(self, is_given) {
  program <- model_program(self, is_given)
  order <- if (all(is_given) && is_flat_structure(self$inputs)) user_order(self$inputs)
  is_native <- !is.null(order) && is_flat_structure(self$outputs)
  list(
    native = if (is_native) native_call(program$native, order, user_order(self$outputs)),
    handles = program_handles(program),
    specs = lapply(self$input_tensors, dim)[order],
    inputs = model_input_names(self)[order],
    single = is_keras_tensor(self$outputs),
    names = if (!is_keras_tensor(self$outputs)) names(self$outputs),
    program = program, others = new.env(parent = emptyenv())
  )
}

# The names of the model's list, or else of its input layers, in Keras's order.
model_input_names <- function(self) {
  if (is_plain_list(self$inputs) && is_dict(self$inputs)) {
    return(names(self$inputs)[structure_order(self$inputs)])
  }
  vapply(self$input_tensors, input_name, "")
}

# Of a flat structure: where each element, as the user has them, is in Keras's order.
user_order <- function(x) if (is_keras_tensor(x)) 1L else order(structure_order(x))

# The program with inputs and outputs in the order of the user's lists.
native_call <- function(native, inputs, outputs) {
  if (!is.null(native)) {
    native$inputs <- native$inputs[inputs]
    native$types <- native$types[inputs]
    native$outputs <- native$outputs[outputs]
  }
  native
}

model_program <- function(self, is_given) {
  tracer <- new_tracer()
  inputs <- Map(function(tensor, is_given) {
    if (is_given) new_value(tracer, dim(tensor), tensor$dtype)
  }, self$input_tensors, is_given)
  outputs <- trace_functional(tracer, self, inputs, list())
  finish_program(tracer, inputs[is_given], outputs)
}
