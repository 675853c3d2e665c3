# layer_lambda(): a function of R as a layer. It has no step in the core: a program stops
# for it, and goes on with what it gives.

lambda_kind <- c(
  tensor_kind(
    class_name = "Lambda", constructor = "layer_lambda", prefix = "lambda",
    fields = c("f", "output_shape", "mask", "arguments"), required = "f",
    call_arguments = c("training", "mask"),
    output_shape = function(self, shapes) lambda_spec(self, shapes[[1L]])$shape,
    trace = function(tracer, self, inputs, arguments) {
      trace_lambda(tracer, self, inputs[[1L]], arguments)
    },
    write_config = function(self, config) refuse_lambda_config(self$label),
    read_config = function(config) refuse_lambda_config("layer_lambda()")
  ),
  list(layer_function = function(self) lambda_function(self))
)

#' A function of R as a layer
#'
#' Calls `f` with an array and takes what it gives. In a model the other layers stay in the
#' native core; arrays of R are made for `f` alone. Where a layer or an operator does the
#' same ([tensor_arithmetic], [layer_activation()]), it is faster and can be saved.
#'
#' @section The function:
#' `f(x, ...)` gets the array and `arguments`; if it has arguments named `mask` and
#' `training`, these as well: the mask of `x` (or `NULL`) and `TRUE` or `FALSE`. It returns
#' a numeric, integer or logical array whose first dim is the batch. Real numbers are
#' rounded to the layer's dtype.
#'
#' @section Shapes:
#' With symbolic tensors the shape of the result must be known before there are data. It is
#' `output_shape`; if that is `NULL`, `f` is called with an array of ones of a batch of 2 (in
#' which sizes that are not known are 2, and, in a second call, 3).
#'
#' @section Files:
#' A layer with a function has no config, because files never hold code: models with such
#' layers are saved by `saveRDS()`, whose files are for those who trust them.
#'
#' @inheritParams reshaping_layers
#' @param f A function.
#' @param output_shape The shape of the result without the batch, `NA` for what is not known;
#'   or a function that gives it for the shape of the input with the batch; or `NULL`.
#' @param mask The mask of the result: a logical array, a function of the input and its
#'   mask, or `NULL` (default) for none.
#' @param arguments A list of further arguments of `f`, by name.
#' @return The layer, or what it gives for `object`.
#' @section Errors:
#' `attn_error_argument` when an argument is none, `f` gives no array, or the shape cannot be
#' found; `attn_error_shape` when the result does not have the shape that was said;
#' `attn_error_config` when a config is asked for. Errors of `f` are its own.
#' @references <https://keras.io/api/layers/core_layers/lambda/>
#' @examples
#' cumulate <- layer_lambda(f = function(x) t(apply(x, 1, cumsum)))
#' cumulate(matrix(1:6, 2))
#'
#' input <- keras_input(shape = c(4, 8))
#' first <- layer_lambda(input, function(x) x[, 1, ], output_shape = 8)
#' dim(first)
#' @export
layer_lambda <- function(object, f, output_shape = NULL, mask = NULL, arguments = NULL, ...) {
  owner <- "layer_lambda()"
  check_given(missing(f), owner, "f", "a function")
  dots <- check_layer_dots(owner, character(), ...)
  if (!is.function(f) || inherits(f, c("attn_layer", "attn_object"))) {
    abort_argument(owner, "f", "a function", f)
  }
  if (!is.null(output_shape) && !is.function(output_shape)) {
    output_shape <- as_partial_shape(output_shape, owner, "output_shape")
  }
  if (!is.null(mask) && !is.function(mask)) {
    check_mask_values(mask, owner, "mask")
  }
  if (!is.null(arguments) && !(has_names_or_nothing(arguments) && can_be_arguments(arguments))) {
    abort_argument(owner, "arguments", "a list whose elements have different names", arguments)
  }
  config <- list(f = f, output_shape = output_shape, mask = mask, arguments = arguments)
  layer <- new_layer("lambda", config, dots, seed = NULL)
  if (missing(object) || is.null(object)) layer else compose_layer(object, layer)
}

# A list whose elements have different names; it may be empty.
has_names_or_nothing <- function(x) {
  is_plain_list(x) &&
    (!length(x) || (all(nzchar(names(x))) && !is.null(names(x)) && !anyDuplicated(names(x))))
}

refuse_lambda_config <- function(owner) {
  attn_abort(
    sprintf("%s: a layer with a function has no config. Use saveRDS(), or another layer.", owner),
    "attn_error_config",
    owner = owner, argument = "f", expected = "a layer without code", received = "a function"
  )
}

# A saved layer keeps this body.
lambda_function <- function(self) {
  force(self)
  function(inputs, ...) call_lambda(self, inputs, ...)
}

# With arrays there is nothing to be found out: the function is called once.
# call_lambda(self, inputs, ...): see check_dots()
call_lambda <- function(...) {
  self <- ..1
  owner <- self$label
  check_given(missing(..2), owner, "inputs", "an array, or a symbolic tensor")
  inputs <- ..2
  arguments <- check_call_arguments(dots_behind(2L, c("training", "mask"), owner), owner)
  mask <- arguments[["mask"]]
  if (is_symbolic_call(list(inputs = inputs, mask = mask), owner)) {
    spec <- lambda_spec(self, dim(inputs), inputs$dtype)
    build_tensors(self, list(dim(inputs)))
    node <- new_node(self, list(inputs), arguments)
    return(new_keras_tensor(spec$shape, spec$dtype, node = node, index = 1L))
  }
  x <- check_tensor(inputs, owner)
  mask <- if (is.null(mask)) implicit_mask(x) else mask
  result <- run_lambda(self, x, mask, isTRUE(arguments$training))
  build_tensors(self, list(dim(x)))
  result
}

# The function's result for an array, with its mask.
run_lambda <- function(self, x, mask, training) {
  plain <- set_keras_mask(x, NULL)
  result <- apply_lambda(self, plain, mask, training)
  result <- check_lambda_result(self, result, dim(x), declared_shape(self, dim(x)))
  own <- self$config$mask
  own <- if (is.function(own)) own(plain, mask) else own
  if (is.null(own)) {
    return(result)
  }
  check_covering_mask(own, result, self$label, "mask", "f(x)")
  set_keras_mask(result, own)
}

apply_lambda <- function(self, x, mask, training) {
  f <- self$config$f
  known <- names(formals(args(f)))
  given <- list(mask = mask, training = training)
  given <- given[intersect(c("mask", "training"), setdiff(known, names(self$config$arguments)))]
  do.call(f, c(list(x), self$config$arguments, given), quote = TRUE)
}

check_lambda_result <- function(self, result, shape, expected) {
  is_number <- is.double(result) || is.integer(result) || is.logical(result)
  if (!is_number || is_foreign_object(result)) {
    abort_argument(self$label, "f", "a function that returns a numeric array", result)
  }
  made <- if (is.null(dim(result))) length(result) else dim(result)
  if (made[1L] != shape[1L] || length(made) > most_dims || !all(made)) {
    abort_shape(self$label, "f",
      sprintf("a function whose result has the batch of %d as its first dim", shape[1L]),
      paste("shape", format_shape(made))
    )
  }
  if (!is.null(expected) && (length(made) != length(expected) || !sizes_agree(made, expected))) {
    abort_shape(self$label, "f",
      sprintf("a function whose result has the shape %s", format_shape(expected)),
      paste("shape", format_shape(made))
    )
  }
  result <- array(result, made)
  if (is.double(result)) round_to_dtype(result, self$dtype) else result
}

# The shape with the batch that `output_shape` says; NULL where it does not.
declared_shape <- function(self, shape) {
  declared <- self$config$output_shape
  if (is.function(declared)) {
    given <- declared(shape)
    return(within_argument(as_partial_shape(given, self$label, "output_shape"),
      self$label, "output_shape"
    ))
  }
  if (!is.null(declared)) c(shape[1L], declared)
}

# list(shape, dtype) of the result for a symbolic tensor.
lambda_spec <- function(self, shape, dtype = self$dtype) {
  declared <- declared_shape(self, shape)
  if (!is.null(declared)) {
    return(list(shape = declared, dtype = self$dtype))
  }
  form <- paste(c(shape, dtype), collapse = " ")
  if (is.null(self$specs[[form]])) {
    self$specs[[form]] <- find_lambda_spec(self, shape, dtype)
  }
  self$specs[[form]]
}

find_lambda_spec <- function(self, shape, dtype) {
  first <- probe_lambda(self, shape, 2L, dtype)
  result <- dim(first)
  if (anyNA(shape[-1L])) {
    second <- probe_lambda(self, shape, 3L, dtype)
    if (length(dim(second)) != length(result)) {
      abort_argument(self$label, "output_shape",
        "given, because the number of the result's dims varies", NULL
      )
    }
    result[dim(second) != result] <- NA_integer_
  }
  result[1L] <- shape[1L]
  list(shape = result, dtype = array_dtype(self, first))
}

# The result for ones, where sizes that are not known are `unknown`.
probe_lambda <- function(self, shape, unknown, dtype) {
  sizes <- as.integer(ifelse(is.na(shape), unknown, shape))
  sizes[1L] <- 2L
  one <- switch(value_type(dtype), int32 = 1L, bool = TRUE, 1)
  result <- tryCatch(
    apply_lambda(self, array(one, sizes), NULL, FALSE),
    error = function(error) {
      pass_on_limits(error, self$label)
      abort_argument(self$label, "output_shape",
        "given, because `f` fails for an array of ones, by which the shape would be found",
        received = conditionMessage(error)
      )
    }
  )
  check_lambda_result(self, result, sizes, NULL)
}

trace_lambda <- function(tracer, self, x, arguments) {
  spec <- lambda_spec(self, x$shape, x$dtype)
  mask <- arguments[["mask"]]
  run <- function(arrays, training) {
    mask <- if (length(arrays) > 1L) arrays[[2L]] else implicit_mask(arrays[[1L]])
    list(run_lambda(self, arrays[[1L]], mask, training))
  }
  trace_r_step(tracer, self, run, c(list(x), if (!is.null(mask)) list(mask)),
    shapes = list(spec$shape), dtypes = spec$dtype, training = arguments$training
  )
}
