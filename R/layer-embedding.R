# layer_embedding(): rows of a table by their numbers. In C: src/layers/embedding.c.

embedding_kind <- tensor_kind(
  class_name = "Embedding", constructor = "layer_embedding", prefix = "embedding",
  fields = c(
    "input_dim", "output_dim", "embeddings_initializer", "embeddings_regularizer",
    "activity_regularizer", "embeddings_constraint", "mask_zero", "quantization_config"
  ),
  required = c("input_dim", "output_dim"),
  supports_masking = function(self) self$config$mask_zero,
  output_mask = function(self, inputs, mask) {
    if (self$config$mask_zero) check_tensor(inputs, self$label) != 0
  },
  # Numbers of rows are as exact as they came, whatever the layer's dtype. A missing one is
  # no whole number.
  input_dtype = function(self, x) {
    if (is.double(x) || anyNA(x)) "float64" else array_dtype(self, x)
  },
  output_shape = function(self, shapes) {
    c(check_embedding_shape(self, shapes[[1L]]), self$config$output_dim)
  },
  weights = function(self, shapes) {
    shape <- c(self$config$input_dim, self$config$output_dim)
    list(weight_spec(self, "embeddings", shape, "embeddings"))
  },
  step = function(self, shapes, arguments) {
    list(operation = "embedding", settings = self$config$mask_zero)
  }
)

check_embedding_shape <- function(self, shape) {
  if (length(shape) >= most_dims) {
    abort_shape(self$label, "inputs", sprintf("an array of at most %d dims", most_dims - 1L),
      paste("shape", format_shape(shape))
    )
  }
  shape
}

#' Embedding layer
#'
#' Gives each id of the input its row of a table of weights: vectors for words, tokens or
#' other classes.
#'
#' @section Shapes:
#' Input: ids of any shape, usually `(batch, positions)`, whole numbers from 0 to
#' `input_dim - 1`, as integers or doubles (what stands behind the point is cut off).
#' Output `(batch, positions, output_dim)`. Weight: `embeddings`
#' `(input_dim, output_dim)`; its first row is that of id 0.
#' @section Masks:
#' With `mask_zero = TRUE` id 0 is padding: the output carries the mask `ids != 0`, which
#' later layers that know of masks find.
#'
#' @inheritParams layer_dense
#' @param input_dim The number of ids, a positive whole number: the largest id plus 1.
#' @param output_dim The length of the vectors, a positive whole number.
#' @param embeddings_initializer How the weights start; `"uniform"` (default) is
#'   [initializer_random_uniform()].
#' @param embeddings_regularizer,embeddings_constraint A penalty on the weights and a
#'   constraint, see [regularizer_l2()], [constraint_maxnorm()]; `NULL` for none.
#' @param mask_zero Whether id 0 is padding.
#' @param weights The first values of `embeddings`: an array `(input_dim, output_dim)`, or
#'   a list of this one array. `NULL` (default): the initializer's. With them the layer is
#'   built at once.
#' @param ... `name`, `dtype`, `trainable` and `activity_regularizer` of the layer.
#' @section Errors:
#' `attn_error_argument` for an argument of another type or value than said, and for an id
#' that is not in the table; `attn_error_weights` when `weights` do not fit.
#' @references <https://keras.io/api/layers/core_layers/embedding/>
#' @examples
#' layer <- layer_embedding(input_dim = 10, output_dim = 4, mask_zero = TRUE)
#' ids <- rbind(c(3, 1, 0), c(9, 2, 5))
#' y <- layer(ids)
#' dim(y)
#' get_keras_mask(y)
#' @export
layer_embedding <- function(object, input_dim, output_dim, embeddings_initializer = "uniform",
                            embeddings_regularizer = NULL, embeddings_constraint = NULL,
                            mask_zero = FALSE, weights = NULL, lora_rank = NULL,
                            lora_alpha = NULL, ...) {
  owner <- "layer_embedding()"
  check_given(missing(input_dim), owner, "input_dim", "a positive whole number")
  check_given(missing(output_dim), owner, "output_dim", "a positive whole number")
  dots <- tensor_dots(owner, "quantization_config", NULL, ...)
  check_not_available(lora_rank, owner, "lora_rank")
  check_not_available(lora_alpha, owner, "lora_alpha")
  config <- list(
    input_dim = check_positive_int(input_dim, owner, "input_dim"),
    output_dim = check_positive_int(output_dim, owner, "output_dim"),
    embeddings_initializer = as_initializer(
      embeddings_initializer, owner, "embeddings_initializer"
    ),
    embeddings_regularizer = as_regularizer(
      embeddings_regularizer, owner, "embeddings_regularizer"
    ),
    activity_regularizer = dots[["activity_regularizer"]],
    embeddings_constraint = as_constraint(embeddings_constraint, owner, "embeddings_constraint"),
    mask_zero = check_flag(mask_zero, owner, "mask_zero"),
    quantization_config = NULL
  )
  if (is.null(weights)) {
    return(finish_layer(given_object(object), "embedding", config, dots))
  }
  weights <- check_embedding_weights(weights, config, owner)
  layer <- finish_layer(NULL, "embedding", config, dots)
  self <- layer_self(layer)
  build_tensors(self, list(NA_integer_))
  set_layer_weights(self, list(weights))
  object <- given_object(object)
  if (is.null(object)) layer else compose_layer(object, layer)
}

# Before the layer is made, which takes a name and random numbers.
check_embedding_weights <- function(weights, config, owner) {
  if (is_plain_list(weights) && length(weights) == 1L && can_be_arguments(weights)) {
    weights <- weights[[1L]]
  }
  shape <- c(config$input_dim, config$output_dim)
  if (!is.numeric(weights) || is_foreign_object(weights) || !identical(dim(weights), shape)) {
    abort_argument(owner, "weights", paste("NULL, or an array of shape", format_shape(shape)),
      weights,
      subclass = "attn_error_weights"
    )
  }
  weights
}
