# Layers that move numbers and compute nothing: flatten, reshape, permute, repeat_vector,
# identity. In C: src/layers/reshape.c, permute.c, repeat_vector.c.

# Whole numbers and flags stay what they are.
moved_dtype <- function(self, dtypes) {
  if (dtypes[1L] %in% c("float32", "float64", "float16", "bfloat16")) self$dtype else dtypes[1L]
}

moving_kind <- function(class_name, fields = character(), required = character(), ...,
                        supports_masking = FALSE) {
  name <- snake_case(class_name)
  tensor_kind(
    class_name = class_name, constructor = paste0("layer_", name), prefix = name,
    fields = fields, required = required, supports_masking = supports_masking,
    output_dtype = moved_dtype, ...
  )
}

flatten_kind <- moving_kind("Flatten",
  fields = "data_format",
  output_shape = function(self, shapes) {
    shape <- shapes[[1L]]
    c(shape[1L], shape_size(self, shape[-1L]))
  },
  step = function(self, shapes, arguments) {
    list(operation = "flatten", settings = self$config$data_format == "channels_first")
  }
)

reshape_kind <- moving_kind("Reshape",
  fields = "target_shape", required = "target_shape",
  output_shape = function(self, shapes) {
    shape <- shapes[[1L]]
    c(shape[1L], reshaped_shape(self, shape[-1L], self$config$target_shape))
  },
  step = function(self, shapes, arguments) {
    list(operation = "reshape", settings = c(1, self$config$target_shape))
  }
)

permute_kind <- moving_kind("Permute",
  fields = "dims", required = "dims",
  output_shape = function(self, shapes) {
    shape <- shapes[[1L]]
    dims <- self$config$dims
    if (length(shape) != length(dims) + 1L) {
      abort_shape(self$label, "inputs", sprintf("an array of %d dims", length(dims) + 1L),
        paste("shape", format_shape(shape))
      )
    }
    shape[c(1L, dims + 1L)]
  },
  step = function(self, shapes, arguments) {
    list(operation = "permute", settings = c(0, self$config$dims))
  }
)

repeat_vector_kind <- moving_kind("RepeatVector",
  fields = "n", required = "n",
  output_shape = function(self, shapes) {
    shape <- shapes[[1L]]
    if (length(shape) != 2L) {
      abort_shape(self$label, "inputs", "an array of 2 dims (batch, features)",
        paste("shape", format_shape(shape))
      )
    }
    c(shape[1L], self$config$n, shape[2L])
  },
  step = function(self, shapes, arguments) {
    list(operation = "repeat_vector", settings = self$config$n)
  }
)

identity_kind <- moving_kind("Identity",
  supports_masking = TRUE,
  output_shape = function(self, shapes) shapes[[1L]],
  step = function(self, shapes, arguments) list(operation = "identity")
)

#' Layers that change the shape
#'
#' `layer_flatten()` makes one axis of all but the batch, `layer_reshape()` any others,
#' `layer_permute()` puts axes in another order, `layer_repeat_vector()` repeats each vector
#' and `layer_identity()` gives back what it gets.
#'
#' @section Shapes:
#' * `layer_flatten()`: `(batch, a, b, ...)` to `(batch, a * b * ...)`, `(batch)` to
#'   `(batch, 1)`.
#' * `layer_reshape()`: `(batch, ...)` to `(batch, target_shape)`.
#' * `layer_permute()`: axis `i` of the result, the batch not counted, is axis `dims[i]`.
#' * `layer_repeat_vector()`: `(batch, features)` to `(batch, n, features)`.
#'
#' Numbers are taken in Python's order, in which the last axis runs fastest (in R's own it
#' is the first): the array with `x[1, , ]` equal to `rbind(1:2, 3:4)` is flattened to
#' `1, 2, 3, 4`. These layers have no weights.
#'
#' @section Masks:
#' `layer_identity()` hands a mask on; the others lose it, as in Keras.
#'
#' @param object What to call the layer with: an array, a symbolic tensor, a sequential
#'   model (to which the layer is added), or nothing, which gives the layer itself.
#' @param data_format `"channels_last"` (default, also for `NULL`), or `"channels_first"`:
#'   the second axis is put last before all are flattened.
#' @param target_shape The new shape without the batch, whole numbers; one of them may be
#'   `NA` or -1, for what is left.
#' @param dims The axes in their new order, counted from 1 without the batch: `c(2, 1)`
#'   transposes.
#' @param n How often each vector is repeated, a positive whole number.
#' @param ... `name`, `dtype` and `trainable` of the layer.
#' @return The layer, or what it gives for `object`.
#' @section Errors:
#' `attn_error_argument` for arguments that are none; `attn_error_shape` for inputs that
#' have another number of dims or of numbers than the layer needs.
#' @references <https://keras.io/api/layers/reshaping_layers/>
#' @examples
#' x <- array(1:12, c(1, 3, 4))
#' layer_flatten(x)
#' dim(layer_reshape(x, c(2, NA)))
#' dim(layer_permute(x, c(2, 1)))
#' dim(layer_repeat_vector(matrix(1:6, 2), 5))
#' @name reshaping_layers
NULL

#' @rdname reshaping_layers
#' @export
layer_flatten <- function(object, data_format = NULL, ...) {
  owner <- "layer_flatten()"
  dots <- check_layer_dots(owner, character(), ...)
  formats <- c("channels_last", "channels_first")
  data_format <- check_string(data_format, owner, "data_format", formats, null_ok = TRUE)
  config <- list(data_format = if (is.null(data_format)) "channels_last" else data_format)
  moving_layer("flatten", config, dots, if (!missing(object)) object)
}

#' @rdname reshaping_layers
#' @export
layer_reshape <- function(object, target_shape, ...) {
  owner <- "layer_reshape()"
  check_given(missing(target_shape), owner, "target_shape", "a shape such as c(4, 8)")
  dots <- check_layer_dots(owner, character(), ...)
  config <- list(target_shape = check_target_shape(target_shape, owner, "target_shape"))
  moving_layer("reshape", config, dots, if (!missing(object)) object)
}

#' @rdname reshaping_layers
#' @export
layer_permute <- function(object, dims, ...) {
  owner <- "layer_permute()"
  check_given(missing(dims), owner, "dims", "axes such as c(2, 1)")
  dots <- check_layer_dots(owner, character(), ...)
  dims <- if (is.list(dims) && !is.object(dims)) unlist_sizes(dims) else dims
  if (is.object(dims) || !is.numeric(dims) || !length(dims) || length(dims) >= most_dims ||
    !setequal(dims, seq_along(dims))) {
    abort_argument(owner, "dims", "the axes 1, 2, ... in another order", dims)
  }
  moving_layer("permute", list(dims = as.integer(dims)), dots, if (!missing(object)) object)
}

#' @rdname reshaping_layers
#' @export
layer_repeat_vector <- function(object, n, ...) {
  owner <- "layer_repeat_vector()"
  check_given(missing(n), owner, "n", "a positive whole number")
  dots <- check_layer_dots(owner, character(), ...)
  config <- list(n = check_positive_int(n, owner, "n"))
  moving_layer("repeat_vector", config, dots, if (!missing(object)) object)
}

#' @rdname reshaping_layers
#' @export
layer_identity <- function(object, ...) {
  dots <- check_layer_dots("layer_identity()", character(), ...)
  moving_layer("identity", list(), dots, if (!missing(object)) object)
}

moving_layer <- function(kind, config, dots, object) {
  layer <- new_layer(kind, config, dots, seed = NULL)
  if (is.null(object)) layer else compose_layer(object, layer)
}

# A shape of positive whole numbers of which one may be unknown -> the same with -1 there.
check_target_shape <- function(x, owner, argument) {
  expected <- "a shape of positive whole numbers, of which one may be NA or -1"
  shape <- if (is.list(x) && !is.object(x)) unlist_sizes(x) else x
  if (is.object(shape) || !(is.numeric(shape) || (is.logical(shape) && all(is.na(shape)))) ||
    length(shape) >= most_dims) {
    abort_argument(owner, argument, expected, x)
  }
  shape[is.na(shape) & !is.nan(shape)] <- -1
  whole <- !anyNA(shape) && all(shape == trunc(shape)) && all(shape == -1 | shape >= 1) &&
    all(shape <= .Machine$integer.max)
  if (!whole || sum(shape == -1) > 1L) {
    abort_argument(owner, argument, expected, x)
  }
  as.integer(shape)
}

# The product of the sizes; NA where one is not known.
shape_size <- function(self, shape) {
  size <- prod(as.double(shape))
  if (isTRUE(size > .Machine$integer.max)) {
    abort_shape(self$label, "inputs", "an array whose dims can be one dim of an array",
      paste("shape", format_shape(shape))
    )
  }
  as.integer(size)
}

# `target` with what stands for its -1.
reshaped_shape <- function(self, shape, target) {
  size <- prod(as.double(shape))
  known <- prod(as.double(target[target != -1L]))
  open <- target == -1L
  fits <- is.na(size) || (if (any(open)) size %% known == 0 else size == known)
  if (!fits) {
    abort_shape(self$label, "inputs",
      sprintf("an array of as many numbers as shape %s", format_shape(target)),
      paste("shape", format_shape(shape))
    )
  }
  target[open] <- if (is.na(size)) NA_integer_ else as.integer(size / known)
  target
}
