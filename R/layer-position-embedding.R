# layer_position_embedding(): learned positions. In C: src/layers/position.c. And what the
# layers that know positions share.

# What makes a kind one of KerasHub's. Keras writes the module of such a class as Python
# has it, and finds the class by its registered name.
hub_kind <- function(kind, ...) {
  kind$module <- paste0("keras_hub.src.layers.modeling.", kind$prefix)
  kind$registered_name <- paste0("keras_hub>", kind$class_name)
  c(kind, list(...))
}

# `step(self, start)`: list(operation, settings); `check(self, shape, start)`: about a
# shape, some of which may be NA, and a start, NA where it is a tensor.
position_kind <- function(class_name, constructor, prefix, fields, step, check, ...) {
  kind <- tensor_kind(
    class_name = class_name, constructor = constructor, prefix = prefix, fields = fields,
    call_arguments = "start_index",
    output_shape = function(self, shapes) {
      check(self, shapes[[1L]], 0)
      shapes[[1L]]
    },
    trace = function(tracer, self, inputs, arguments) {
      start <- arguments[["start_index"]]
      number <- if (is_whole_number(start)) start else 0
      made <- step(self, number)
      trace_step(tracer, self, made$operation, list(inputs[[1L]], if (is_value(start)) start),
        shapes = list(inputs[[1L]]$shape), settings = made$settings
      )
    },
    ...
  )
  hub_kind(kind, check_arguments = function(self, shapes, arguments) {
    start <- arguments[["start_index"]]
    check(self, shapes[[1L]], if (is_whole_number(start)) start else NA)
  })
}

# The number of the first position: a whole number from 0, or a symbolic tensor.
check_start_index <- function(x, owner) {
  if (is.null(x)) {
    return(0L)
  }
  if (!is_keras_tensor(x) && (!is_whole_number(x) || x < 0)) {
    abort_argument(owner, "start_index", "a whole number from 0", x)
  }
  if (is_keras_tensor(x)) x else as.integer(x)
}

# (..., positions, features)
check_sequence <- function(self, shape) {
  if (length(shape) < 2L) {
    abort_shape(self$label, "inputs",
      "an array of at least 2 dims (..., positions, features)",
      paste("shape", format_shape(shape))
    )
  }
}

position_embedding_kind <- position_kind(
  class_name = "PositionEmbedding", constructor = "layer_position_embedding",
  prefix = "position_embedding", fields = c("sequence_length", "initializer"),
  required = "sequence_length",
  check = function(self, shape, start) check_position_embedding(self, shape, start),
  weights = function(self, shapes) {
    width <- check_known_width(self, shapes[[1L]])
    list(weight_spec(self, "embeddings", c(self$config$sequence_length, width), "embeddings",
      initializer = self$config$initializer
    ))
  },
  step = function(self, start) list(operation = "learned_positions", settings = start)
)

#' Learned embedding of positions
#'
#' Gives, for a sequence, one learned vector per position, to be added to the embeddings
#' of the tokens. Only the shape of the input matters.
#'
#' @section Shapes:
#' Input `(batch, ..., T, D)`, output the same. Weights: `embeddings`
#' `(sequence_length, D)`; position `t` of the output is its row `start_index + t`.
#'
#' @section Call arguments:
#' `layer(inputs, start_index = 0)`: `start_index` is the number of the first position,
#' counted from 0 as in KerasHub. Set it when a sequence is decoded step by step. It may be
#' a symbolic tensor.
#'
#' @inheritParams layer_dense
#' @param sequence_length How many positions there are at most, a positive whole number.
#' @param initializer How the embeddings start, see [initializer_glorot_uniform()].
#' @return The layer, or what it gives for `object`.
#' @section Errors:
#' `attn_error_argument` for an argument of another type or value than said, and when a
#' model's input is longer than there are positions; `attn_error_shape` when the input
#' has fewer than 2 dims, is longer than `sequence_length` from `start_index` on, or has
#' another last dim than the layer was built for.
#' @references <https://keras.io/keras_hub/api/modeling_layers/position_embedding/>
#' @seealso [layer_sine_position_encoding()], [layer_rotary_embedding()]
#' @examples
#' layer <- layer_position_embedding(sequence_length = 10)
#' tokens <- array(rnorm(2 * 5 * 4), c(2, 5, 4))
#' dim(tokens + layer(tokens))
#' layer(tokens[, 1, , drop = FALSE], start_index = 5) # the sixth position
#' @export
layer_position_embedding <- function(object, sequence_length, initializer = "glorot_uniform",
                                     ...) {
  owner <- "layer_position_embedding()"
  check_given(missing(sequence_length), owner, "sequence_length", "a positive whole number")
  dots <- check_dots(owner, layer_dots, ...)
  config <- list(
    sequence_length = check_positive_int(sequence_length, owner, "sequence_length"),
    initializer = as_initializer(initializer, owner, "initializer")
  )
  layer <- new_layer("position_embedding", config, dots, seed = NULL)
  if (missing(object) || is.null(object)) layer else compose_layer(object, layer)
}

check_position_embedding <- function(self, shape, start) {
  check_sequence(self, shape)
  rank <- length(shape)
  width <- shape[rank]
  if (self$built && !sizes_agree(width, self$weights[[1L]]$shape[2L])) {
    abort_shape(self$label, "inputs",
      sprintf("an array whose last dim is %d, as the layer was built for",
        self$weights[[1L]]$shape[2L]),
      paste("shape", format_shape(shape))
    )
  }
  length <- self$config$sequence_length
  if (isTRUE(shape[rank - 1L] + start > length)) {
    abort_shape(self$label, "inputs",
      sprintf("of at most %d positions from `start_index` on, which is %d",
        as.integer(max(0, length - start)), as.integer(start)),
      paste("shape", format_shape(shape))
    )
  }
}
