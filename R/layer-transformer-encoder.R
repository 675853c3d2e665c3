# layer_transformer_encoder(): self-attention and a network of two dense layers, each with
# a residual connection.

transformer_encoder_kind <- composite_kind(
  class_name = "TransformerEncoder", constructor = "layer_transformer_encoder",
  prefix = "transformer_encoder",
  fields = c(
    "intermediate_dim", "num_heads", "dropout", "activation", "layer_norm_epsilon",
    "kernel_initializer", "bias_initializer", "normalize_first"
  ),
  required = c("intermediate_dim", "num_heads"),
  output_shape = function(self, shapes) {
    check_encoder_shape(self, shapes[[1L]])
    shapes[[1L]]
  },
  layer_function = function(self) encoder_function(self),
  make_parts = function(self, shapes) encoder_parts(self, shapes[[1L]]),
  trace = function(tracer, self, inputs, arguments) {
    trace_encoder(tracer, self, inputs, arguments)
  },
  members = list(compute_output_spec = function(self) encoder_spec_function(self))
)

#' Transformer encoder
#'
#' One block of a Transformer's encoder (Vaswani et al. 2017): self-attention, then a
#' network of two dense layers for each position; each with dropout, a residual connection
#' and layer normalization. Put several one after the other for an encoder.
#'
#' @section The layer:
#' The constructor without data returns a layer, which is a function:
#' ```
#' layer(inputs, padding_mask = NULL, attention_mask = NULL, training = NULL,
#'       return_attention_scores = FALSE)
#' ```
#' * `inputs`: `(batch, T, D)`; the output has the same shape.
#' * `padding_mask`: `(batch, T)`, logical or numeric, `FALSE` (zero) where a position is
#'   padding that nobody shall look at. `attention_mask`: `(batch, T, T)`, `FALSE` where a
#'   position (second axis) shall not look at another (third axis). A dim of 1 stands for
#'   any size. A pair must be visible in all masks that there are, a mask that `inputs`
#'   carries ([set_keras_mask()], [layer_embedding()]) among them. The output carries that
#'   of `inputs`.
#' * `training`: `TRUE` switches dropout on.
#' * `return_attention_scores`: whether to return `list(output, scores)`, scores of shape
#'   `(batch, num_heads, T, T)`, see [attn_scores].
#'
#' @section Weights:
#' Those of its parts, in this order: `self_attention_layer` (heads of size
#' `D %/% num_heads`), `self_attention_layer_norm`, `feedforward_layer_norm`,
#' `feedforward_intermediate_dense`, `feedforward_output_dense`. They are named like
#' `"self_attention_layer/query/kernel"`.
#'
#' @inheritParams layer_dense
#' @param object What to call the layer with: an array `(batch, T, D)`, a symbolic tensor,
#'   a sequential model (to which the layer is added), or nothing, which gives the layer
#'   itself.
#' @param intermediate_dim Units of the first dense layer, a positive whole number.
#' @param num_heads Number of attention heads, at most `D`.
#' @param dropout Share of attention weights and of outputs that training sets to zero,
#'   0 to 1.
#' @param activation The activation of the first dense layer, by name; `NULL` for none.
#' @param layer_norm_epsilon What the layer normalizations add to the variance.
#' @param kernel_initializer,bias_initializer How the weights of attention and of the dense
#'   layers start, see [initializer_glorot_uniform()].
#' @param normalize_first `FALSE` (default): results are normalized after the residual
#'   connection, as in the paper and in BERT. `TRUE`: inputs are normalized before attention
#'   and before the dense layers, as in GPT-2.
#' @return The layer, or what it gives for `object`.
#' @section Errors:
#' `attn_error_argument` for an argument of another type or value than said;
#' `attn_error_shape` when the input does not have three dims, its last dim is smaller than
#' `num_heads` or is not what the layer was built for, or a mask does not fit.
#' @references <https://keras.io/keras_hub/api/modeling_layers/transformer_encoder/>;
#'   Vaswani et al. (2017), Attention Is All You Need, <https://arxiv.org/abs/1706.03762>
#' @seealso [layer_transformer_decoder()], [layer_multi_head_attention()]
#' @examples
#' encoder <- layer_transformer_encoder(intermediate_dim = 16, num_heads = 2)
#' x <- array(rnorm(2 * 5 * 8), c(2, 5, 8)) # batch, positions, features
#' dim(encoder(x))
#'
#' # the second sequence has only three positions
#' mask <- rbind(rep(TRUE, 5), c(TRUE, TRUE, TRUE, FALSE, FALSE))
#' masked <- encoder(x, padding_mask = mask)
#' alone <- encoder(x[2, 1:3, , drop = FALSE])
#' all.equal(masked[2, 1:3, ], alone[1, , ], tolerance = 1e-5)
#' @export
layer_transformer_encoder <- function(object, intermediate_dim, num_heads, dropout = 0,
                                      activation = "relu", layer_norm_epsilon = 1e-05,
                                      kernel_initializer = "glorot_uniform",
                                      bias_initializer = "zeros", normalize_first = FALSE,
                                      ...) {
  owner <- "layer_transformer_encoder()"
  check_given(missing(intermediate_dim), owner, "intermediate_dim", "a positive whole number")
  check_given(missing(num_heads), owner, "num_heads", "a positive whole number")
  dots <- block_dots(owner, character(), ...)
  config <- block_config(owner, intermediate_dim, num_heads, dropout, activation,
    layer_norm_epsilon, kernel_initializer, bias_initializer, normalize_first
  )
  layer <- new_layer("transformer_encoder", config, dots, seed = NULL)
  if (missing(object) || is.null(object)) layer else compose_layer(object, layer)
}

# A saved layer keeps this body.
encoder_function <- function(self) {
  force(self)
  function(inputs, padding_mask = NULL, attention_mask = NULL, training = NULL,
           return_attention_scores = FALSE, ...) {
    call_encoder(
      self, inputs, padding_mask, attention_mask, training, return_attention_scores, ...
    )
  }
}

# Its first name is as that of call_heads().
call_encoder <- function(` self`, inputs, padding_mask, attention_mask, training,
                         return_attention_scores, ...) {
  self <- ` self`
  if (...length()) {
    refuse_dots_of_layer()
  }
  call <- check_encoder_call(self, inputs, padding_mask, attention_mask, training,
    return_attention_scores
  )
  build_tensors(self, list(call$shape))
  if (call$symbolic) {
    return(encoder_symbolic(self, call))
  }
  options <- if (call$scores) list(return_attention_scores = TRUE)
  results <- run_parts(self, "inputs", call$tensors, options, isTRUE(call$training))
  if (call$scores) {
    list(results[[1L]], new_attn_scores(results[[2L]], 1L, 1L, 1L, TRUE))
  } else {
    results[[1L]]
  }
}

# list(tensors, symbolic: whether they are, shape of the input, training, scores: whether they are
# asked for)
check_encoder_call <- function(self, inputs, padding_mask, attention_mask, training,
                               return_attention_scores) {
  owner <- self$label
  check_given(missing(inputs), owner, "inputs", "an array, or a symbolic tensor")
  training <- check_flag(training, owner, "training", null_ok = TRUE)
  scores <- check_flag(return_attention_scores, owner, "return_attention_scores")
  tensors <- list(
    inputs = inputs, padding_mask = padding_mask, attention_mask = attention_mask
  )
  symbolic <- is_symbolic_call(tensors, owner)
  shape <- if (symbolic) dim(inputs) else check_input(inputs, owner, "inputs")
  check_encoder_shape(self, shape)
  check_block_mask(padding_mask, shape[1:2], "(batch, positions)", owner, "padding_mask")
  check_block_mask(attention_mask, shape[c(1L, 2L, 2L)], "(batch, positions, positions)",
    owner, "attention_mask"
  )
  check_carried_mask(inputs, owner, "inputs")
  list(tensors = tensors, symbolic = symbolic, shape = shape, training = training, scores = scores)
}

# compute_output_spec(): of a call's arguments, its results as symbolic tensors.
encoder_spec_function <- function(self) {
  force(self)
  function(inputs, padding_mask = NULL, attention_mask = NULL, training = NULL,
           return_attention_scores = FALSE, ...) {
    check_no_dots(self$label, ...)
    call <- check_encoder_call(self, inputs, padding_mask, attention_mask, training,
      return_attention_scores
    )
    encoder_outputs(self, call, NULL)
  }
}

check_encoder_shape <- function(self, shape) {
  check_block_shape(self, shape, "inputs", if (self$built) self$shapes[3L])
  if (!is.na(shape[3L])) {
    head_size(self, shape)
  }
}

encoder_symbolic <- function(self, call) {
  masks <- call$tensors[-1L]
  node <- new_node(self, call$tensors[1L], c(
    masks[!vapply(masks, is.null, NA)],
    if (!is.null(call$training)) list(training = call$training),
    if (call$scores) list(return_attention_scores = TRUE)
  ))
  encoder_outputs(self, call, node)
}

encoder_outputs <- function(self, call, node) {
  output <- new_keras_tensor(call$shape, self$dtype, node = node, index = 1L)
  if (!call$scores) {
    return(output)
  }
  extents <- encoder_scores_shape(self, call$shape)
  list(output, new_keras_tensor(extents, self$dtype, node = node, index = 2L))
}

encoder_scores_shape <- function(self, shape) {
  c(shape[1L], self$config$num_heads, shape[2L], shape[2L])
}

encoder_parts <- function(self, shape) {
  config <- self$config
  shape <- c(NA, NA, check_known_width(self, shape))
  wide <- c(NA, NA, config$intermediate_dim)
  list(
    `_self_attention_layer` = build_part(
      self, attention_part(self, "self_attention_layer", head_size(self, shape)), shape, shape
    ),
    `_self_attention_layer_norm` =
      build_part(self, norm_part(self, "self_attention_layer_norm"), shape),
    `_self_attention_dropout` =
      build_part(self, dropout_part(self, "self_attention_dropout"), shape),
    `_feedforward_layer_norm` =
      build_part(self, norm_part(self, "feedforward_layer_norm"), shape),
    `_feedforward_intermediate_dense` = build_part(self,
      dense_part(self, "feedforward_intermediate_dense", config$intermediate_dim,
        config$activation),
      shape
    ),
    `_feedforward_output_dense` =
      build_part(self, dense_part(self, "feedforward_output_dense", shape[3L]), wide),
    `_feedforward_dropout` = build_part(self, dropout_part(self, "feedforward_dropout"), shape)
  )
}

# ---- parts of encoder and decoder, by Keras's names ----

attention_part <- function(self, name, size) {
  config <- self$config
  layer_multi_head_attention(
    num_heads = config$num_heads, key_dim = size, dropout = config$dropout,
    kernel_initializer = config$kernel_initializer, bias_initializer = config$bias_initializer,
    dtype = self$dtype, name = name
  )
}

norm_part <- function(self, name) {
  layer_layer_normalization(
    epsilon = self$config$layer_norm_epsilon, dtype = self$dtype, name = name
  )
}

dropout_part <- function(self, name) {
  layer_dropout(rate = self$config$dropout, dtype = self$dtype, name = name)
}

dense_part <- function(self, name, units, activation = NULL) {
  config <- self$config
  layer_dense(
    units = units, activation = activation, kernel_initializer = config$kernel_initializer,
    bias_initializer = config$bias_initializer, dtype = self$dtype, name = name
  )
}

# ---- tracing ----

# How the step "attend" treats the query's own mask (src/layers/attend.c).
attend_with <- list(query_mask = 1, key_masks = 2)

trace_encoder <- function(tracer, self, inputs, arguments) {
  training <- arguments[["training"]]
  parts <- self$parts
  shape <- inputs[[1L]]$shape
  wants_scores <- isTRUE(arguments[["return_attention_scores"]])
  scores <- NULL
  x <- trace_residual(tracer, self, inputs[[1L]], parts[["_self_attention_layer_norm"]],
    parts[["_self_attention_dropout"]], training,
    function(x) {
      # the padding mask comes as that of the keys, beside the masks that x may carry
      made <- trace_step(tracer, parts[["_self_attention_layer"]], "attend",
        list(x, x, NULL, NULL, NULL, arguments[["padding_mask"]], arguments[["attention_mask"]]),
        c(list(shape), if (wants_scores) list(encoder_scores_shape(self, shape))),
        settings = c(attend_with$query_mask, FALSE, 0), training = training
      )
      if (wants_scores) {
        scores <<- made[[2L]]
      }
      made[[1L]]
    }
  )
  c(list(trace_feedforward(tracer, self, x, training)), if (wants_scores) list(scores))
}
