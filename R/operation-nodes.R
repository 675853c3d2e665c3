# Operations as nodes of a model: what Keras makes of arithmetic on symbolic tensors and of
# functions such as ops.not_equal(), by which masks are computed in models that it saves.
# In C: src/layers/calculate.c, src/layers/reduce.c, src/layers/reshape.c.
#
# A node of an operation has all that the operation was called with, tensors and numbers,
# in `inputs`, in order. Its layer is an object of the kind "operation", whose `class_name`
# is Keras's, and whose `config` has what Keras's constructor was given. Operations have no
# weights, are not built, and nobody calls them a second time.

operation_kind <- tensor_kind(
  class_name = NA_character_, constructor = "operation_node", prefix = "operation",
  module = "keras.src.ops.numpy", fields = character(), many = TRUE,
  output_shape = function(self, shapes) refuse_call(self), supports_masking = FALSE,
  trace = function(tracer, self, inputs, arguments) trace_operation(tracer, self, inputs)
)

refuse_call <- function(self) {
  attn_abort(
    sprintf("%s: an operation belongs to the tensors that it was made for.", self$label),
    "attn_error_argument",
    owner = self$label, argument = "inputs", expected = "no further call", received = "a call"
  )
}

# Operations are among the layers of a graph without being layers: they have no group in a
# file.
is_operation <- function(self) identical(self$kind, "operation")

# The symbolic result of an operation. `class_name`, `name`, `args`, `kwargs`, `config`: as
# in a model's config, but symbolic tensors in place of the dicts of tensors; `name` may be
# NULL, and the config without its name.
operation_node <- function(class_name, name = NULL, args, kwargs = list(), config = list(),
                           owner = "from_config()") {
  if (!is_string(class_name) || is.null(operations[[class_name]])) {
    abort_argument(owner, "class_name", "the class of an operation that there is here",
      class_name,
      subclass = "attn_error_config"
    )
  }
  operation <- operations[[class_name]]
  name <- check_layer_name(name, owner)
  config <- config[setdiff(names(config), "name")]
  check_operation_config(operation, class_name, config, owner)
  args <- operation_arguments(operation, class_name, args, kwargs, owner)
  self <- new_operation(class_name, name, config)
  result <- operation_result(self, operands_of(self, args))
  self$dtype <- result$dtype
  new_keras_tensor(result$shape, result$dtype,
    node = new_node(self, args, list()), index = 1L
  )
}

new_operation <- function(class_name, name, config) {
  self <- new.env(parent = emptyenv())
  self$kind <- "operation"
  self$class_name <- self$serialized_name <- class_name
  self$constructor <- "operation_node"
  self$calls <- "tensors"
  self$heads <- FALSE
  self$name <- if (is.null(name)) unique_name(snake_case(class_name)) else name
  self$label <- sprintf("operation %s, \"%s\"", class_name, self$name)
  self$trainable <- TRUE
  self$config <- config
  self$weights <- list()
  self$built <- TRUE
  self
}

check_operation_config <- function(operation, class_name, config, owner) {
  unknown <- setdiff(names(config), operation$fields)
  if (!is.list(config) || length(unknown) || (length(config) && is.null(names(config)))) {
    abort_argument(owner, "config",
      sprintf("a config of %s, whose fields are %s", class_name,
        paste(c("name", operation$fields), collapse = ", ")
      ),
      received = if (length(unknown)) paste("the field", unknown[1L]) else describe_value(config),
      subclass = "attn_error_config"
    )
  }
}

# Arguments by position and by name -> all by position.
operation_arguments <- function(operation, class_name, args, kwargs, owner) {
  names(args) <- operation$arguments[seq_along(args)]
  args <- c(args, kwargs)
  known <- operation$arguments
  tensors <- vapply(args, is_keras_tensor, NA)
  if (!setequal(names(args), known) || length(args) != length(known) || !any(tensors)) {
    abort_argument(owner, "args",
      sprintf("the arguments of %s, which are %s", class_name, paste(known, collapse = ", ")),
      received = sprintf("%d values", length(args)), subclass = "attn_error_config"
    )
  }
  unname(args[known])
}

# ---- operands: what results and steps are found from ----

# A symbolic tensor, a value of a program, a number or an array -> list(shape, dtype,
# number). `dtype` of a number: "bool", "int" or "float", which give way to a tensor's.
as_operand <- function(x, owner) {
  if (is_keras_tensor(x)) {
    return(list(shape = dim(x), dtype = x$dtype))
  }
  if (is_value(x)) {
    return(list(shape = x$shape, dtype = x$dtype))
  }
  is_number <- is.double(x) || is.integer(x) || is.logical(x)
  if (!is_number || is_foreign_object(x) || !length(x) || length(dim(x)) > most_dims) {
    abort_argument(owner, "x", "a symbolic tensor, a number or an array of numbers", x)
  }
  shape <- if (!is.null(dim(x))) dim(x) else if (length(x) > 1L) length(x) else integer()
  # a single whole number counts as an integer, however R has it: files write 2 for both
  dtype <- if (is.logical(x)) {
    "bool"
  } else if (is.integer(x) || is_whole_number(x)) {
    "int"
  } else {
    "float"
  }
  list(shape = shape, dtype = dtype, number = x)
}

operands_of <- function(self, args) lapply(args, as_operand, self$label)

operation_result <- function(self, operands) {
  operation <- operations[[self$class_name]]
  list(
    shape = operation$shape(self, operands), dtype = operation$dtype(self, operands)
  )
}

trace_operation <- function(tracer, self, inputs) {
  operands <- operands_of(self, inputs)
  result <- operation_result(self, operands)
  step <- operations[[self$class_name]]$step(self, operands, result)
  of_step <- list(
    dtype = if (result$dtype == "float64") "float64" else "float32", handle = NULL,
    label = self$label
  )
  trace_step(tracer, of_step, step$operation, Filter(is_value, inputs),
    shapes = list(result$shape), settings = step$settings,
    text = if (is.null(step$text)) "" else step$text, dtypes = result$dtype
  )
}

dtype_rank <- function(dtype) {
  if (dtype == "bool") 0L else if (grepl("int", dtype, fixed = TRUE)) 1L else 2L
}

# The dtype of a calculation, as Keras promotes dtypes.
promote_dtypes <- function(dtypes) {
  ranks <- vapply(dtypes, dtype_rank, 1L)
  top <- unique(dtypes[ranks == max(ranks)])
  tensors <- setdiff(top, c("int", "float"))
  if (length(tensors) == 1L) {
    return(tensors)
  }
  if (max(ranks) == 1L) {
    return(if ("int64" %in% tensors) "int64" else "int32")
  }
  if (!length(tensors)) config_floatx() else if ("float64" %in% tensors) "float64" else "float32"
}

operand_dtypes <- function(operands) vapply(operands, function(x) x$dtype, "")

# The shape of a calculation: a size that is not known is that of the other, if it is not 1.
operation_shape <- function(self, operands) {
  shapes <- lapply(operands, function(x) x$shape)
  rank <- max(lengths(shapes))
  aligned <- lapply(shapes, function(shape) c(rep(1L, rank - length(shape)), shape))
  sizes <- vapply(seq_len(rank), function(axis) {
    size <- unique(vapply(aligned, function(shape) shape[axis], 1L))
    size <- size[is.na(size) | size != 1L]
    known <- size[!is.na(size)]
    if (length(known) > 1L) 0L else if (length(known)) known else c(size, 1L)[1L]
  }, 1L)
  if (any(sizes == 0L, na.rm = TRUE)) {
    abort_shape(self$label, "x", "tensors whose dims are equal or 1", describe_shapes(shapes))
  }
  sizes
}

result_code <- function(dtype) {
  switch(dtype_rank(dtype) + 1L, 2, 1, 0)
}

# ---- the operations ----

calculation <- function(arguments, dtype, name) {
  list(
    fields = character(), arguments = arguments, shape = operation_shape, dtype = dtype,
    step = function(self, operands, result) {
      settings <- lapply(operands, function(x) if (is.null(x$number)) -1 else array_settings(x))
      list(
        operation = "calculate", text = name,
        settings = c(result_code(result$dtype), length(operands), unlist(settings))
      )
    }
  )
}

# rank, dims and numbers in row-major order
array_settings <- function(x) {
  rank <- length(x$shape)
  numbers <- if (rank > 1L) aperm(x$number, rev(seq_len(rank))) else x$number
  c(rank, x$shape, as.double(numbers))
}

promoted <- function(self, operands) promote_dtypes(operand_dtypes(operands))
flags <- function(self, operands) "bool"
floats <- function(self, operands) promote_dtypes(c(operand_dtypes(operands), "float"))
no_flags <- function(self, operands) promote_dtypes(c(operand_dtypes(operands), "int"))

two <- c("x1", "x2")
calculations <- list(
  Add = list(two, promoted), Subtract = list(two, promoted), Multiply = list(two, promoted),
  Divide = list(two, floats), TrueDivide = list(two, floats, "divide"),
  FloorDivide = list(two, no_flags), Mod = list(two, no_flags), Power = list(two, promoted),
  Maximum = list(two, promoted), Minimum = list(two, promoted),
  Equal = list(two, flags), NotEqual = list(two, flags), Greater = list(two, flags),
  GreaterEqual = list(two, flags), Less = list(two, flags), LessEqual = list(two, flags),
  LogicalAnd = list(two, flags), LogicalOr = list(two, flags), LogicalXor = list(two, flags),
  LogicalNot = list("x", flags), Negative = list("x", no_flags),
  Absolute = list("x", no_flags), Square = list("x", no_flags), Sqrt = list("x", floats),
  Exp = list("x", floats), Log = list("x", floats)
)

# Where: the first operand is a condition, and says nothing of the dtype.
where_operation <- calculation(c("condition", "x1", "x2"),
  function(self, operands) promote_dtypes(operand_dtypes(operands[-1L])), "where"
)

reduction <- function(dtype, name) {
  list(
    fields = c("axis", "keepdims", if (name %in% c("max", "min")) "initial"),
    arguments = "x", dtype = dtype,
    shape = function(self, operands) {
      check_not_available(self$config[["initial"]], self$label, "initial")
      shape <- operands[[1L]]$shape
      axes <- operation_axes(self, length(shape))
      if (!isTRUE(self$config$keepdims)) {
        return(shape[setdiff(seq_along(shape), axes + 1L)])
      }
      replace(shape, axes + 1L, 1L)
    },
    step = function(self, operands, result) {
      axes <- operation_axes(self, length(operands[[1L]]$shape))
      list(
        operation = "reduce", text = name,
        settings = c(result_code(result$dtype), isTRUE(self$config$keepdims), axes)
      )
    }
  )
}

# The axes of the config, from 0; all of them where it has none.
operation_axes <- function(self, rank, config = self$config, none = seq_len(rank) - 1L) {
  axes <- unlist(config[["axis"]])
  if (is.null(axes)) {
    return(none)
  }
  whole <- is.numeric(axes) && all(is.finite(axes)) && all(axes == trunc(axes))
  axes <- if (whole) ifelse(axes < 0, axes + rank, axes)
  if (!whole || any(axes < 0 | axes >= rank) || anyDuplicated(axes)) {
    abort_argument(self$label, "axis", "axes of the tensor, from 0", config[["axis"]],
      subclass = "attn_error_config"
    )
  }
  as.integer(axes)
}

same_dtype <- function(self, operands) operands[[1L]]$dtype
summed_dtype <- function(self, operands) {
  dtype <- operands[[1L]]$dtype
  if (dtype_rank(dtype) == 0L) "int32" else dtype
}

expand_dims_operation <- list(
  fields = "axis", arguments = "x", dtype = same_dtype,
  shape = function(self, operands) {
    shape <- operands[[1L]]$shape
    count <- max(length(unlist(self$config$axis)), 1L)
    if (length(shape) + count > most_dims) {
      abort_shape(self$label, "x", sprintf("a tensor of fewer than %d dims", most_dims),
        paste("shape", format_shape(shape))
      )
    }
    rank <- length(shape) + count
    result <- rep(1L, rank)
    result[setdiff(seq_len(rank), operation_axes(self, rank, none = rank - 1L) + 1L)] <- shape
    result
  },
  step = function(self, operands, result) {
    rank <- length(result$shape)
    list(operation = "expand_dims", settings = operation_axes(self, rank, none = rank - 1L))
  }
)

squeeze_operation <- list(
  fields = "axis", arguments = "x", dtype = same_dtype,
  shape = function(self, operands) {
    shape <- operands[[1L]]$shape
    ones <- which(shape == 1L) - 1L
    axes <- operation_axes(self, length(shape), none = ones)
    if (!all(is.na(shape[axes + 1L]) | shape[axes + 1L] == 1L)) {
      abort_shape(self$label, "x", "a tensor whose axis is 1", paste("shape", format_shape(shape)))
    }
    shape[setdiff(seq_along(shape), axes + 1L)]
  },
  step = function(self, operands, result) {
    shape <- operands[[1L]]$shape
    axes <- operation_axes(self, length(shape), none = which(shape == 1L) - 1L)
    if (length(axes)) list(operation = "squeeze", settings = axes) else list(operation = "identity")
  }
)

reshape_operation <- list(
  fields = "newshape", arguments = "x", dtype = same_dtype,
  shape = function(self, operands) {
    target <- check_target_shape(unlist(self$config$newshape), self$label, "newshape")
    reshaped_shape(self, operands[[1L]]$shape, target)
  },
  step = function(self, operands, result) {
    list(operation = "reshape", settings = c(0, unlist(self$config$newshape)))
  }
)

transpose_operation <- list(
  fields = "axes", arguments = "x", dtype = same_dtype,
  shape = function(self, operands) {
    shape <- operands[[1L]]$shape
    shape[transpose_axes(self, length(shape)) + 1L]
  },
  step = function(self, operands, result) {
    list(operation = "permute", settings = transpose_axes(self, length(result$shape)))
  }
)

transpose_axes <- function(self, rank) {
  axes <- unlist(self$config[["axes"]])
  if (is.null(axes)) {
    return(rev(seq_len(rank)) - 1L)
  }
  axes <- operation_axes(self, rank, config = list(axis = axes))
  if (length(axes) != rank) {
    abort_argument(self$label, "axes", sprintf("%d axes", rank), axes,
      subclass = "attn_error_config"
    )
  }
  axes
}

operations <- c(
  Map(function(class_name, entry) {
    name <- if (length(entry) > 2L) entry[[3L]] else snake_case(class_name)
    calculation(entry[[1L]], entry[[2L]], name)
  }, names(calculations), calculations),
  list(
    Where = where_operation,
    Any = reduction(flags, "any"), All = reduction(flags, "all"),
    Sum = reduction(summed_dtype, "sum"), Mean = reduction(floats, "mean"),
    Max = reduction(same_dtype, "max"), Min = reduction(same_dtype, "min"),
    ExpandDims = expand_dims_operation, Squeeze = squeeze_operation,
    Reshape = reshape_operation, Transpose = transpose_operation
  )
)

# ---- configs ----

operation_config <- function(self) c(list(name = self$name), self$config)

serialize_operation <- function(self) {
  list(
    module = layer_kinds$operation$module, class_name = self$class_name,
    config = operation_config(self), registered_name = self$class_name
  )
}
