# layer_transformer_decoder(): causal self-attention, attention to an encoder's output where
# there is one, and a network of two dense layers, each with a residual connection; with
# caches for decoding step by step. In C: src/layers/cached_attention.c.

# Part of the config of a layer that is built; one with them is built at once, as in Keras.
decoder_shape_fields <- c("decoder_sequence_shape", "encoder_sequence_shape")

transformer_decoder_kind <- composite_kind(
  class_name = "TransformerDecoder", constructor = "layer_transformer_decoder",
  prefix = "transformer_decoder",
  fields = c(
    "intermediate_dim", "num_heads", "dropout", "activation", "layer_norm_epsilon",
    "kernel_initializer", "bias_initializer", "normalize_first", "decoder_sequence_shape",
    "encoder_sequence_shape"
  ),
  required = c("intermediate_dim", "num_heads"), shape_names = decoder_shape_fields,
  layer_function = function(self) decoder_function(self),
  make_parts = function(self, shapes) {
    decoder_parts(self, shapes[[1L]], if (length(shapes) > 1L) shapes[[2L]])
  },
  trace = function(tracer, self, inputs, arguments) {
    trace_decoder(tracer, self, inputs, arguments)
  },
  members = list(
    build = function(self) decoder_build_function(self),
    compute_output_shape = function(self) decoder_shape_function(self),
    compute_output_spec = function(self) decoder_spec_function(self),
    make_cache = function(self) decoder_cache_function(self)
  )
)

#' Transformer decoder
#'
#' One block of a Transformer's decoder (Vaswani et al. 2017): causal self-attention, then,
#' in an encoder-decoder model, attention to the output of the encoder, then a network of
#' two dense layers for each position; each with dropout, a residual connection and layer
#' normalization.
#'
#' @section The layer:
#' The constructor without data returns a layer, which is a function:
#' ```
#' layer(decoder_sequence, encoder_sequence = NULL, decoder_padding_mask = NULL,
#'       decoder_attention_mask = NULL, encoder_padding_mask = NULL,
#'       encoder_attention_mask = NULL, self_attention_cache = NULL,
#'       self_attention_cache_update_index = NULL, cross_attention_cache = NULL,
#'       cross_attention_cache_update_index = NULL, use_causal_mask = TRUE,
#'       training = NULL)
#' ```
#' * `decoder_sequence`: `(batch, T, D)`; the output has the same shape.
#'   `encoder_sequence`: `(batch, S, De)`. Whether there is one is decided by the first call
#'   (or by `layer$build()`): later calls must agree.
#' * `decoder_padding_mask`: `(batch, T)`, `encoder_padding_mask`: `(batch, S)`, logical or
#'   numeric, `FALSE` (zero) where a position is padding that nobody shall look at. Without
#'   them, masks that the sequences carry ([set_keras_mask()], [layer_embedding()]) are used.
#' * `decoder_attention_mask`: `(batch, T, T)`, `encoder_attention_mask`: `(batch, T, S)`,
#'   `FALSE` where a position of the decoder (second axis) shall not look at another (third
#'   axis). In all masks, a dim of 1 stands for any size.
#' * `use_causal_mask`: whether a position sees only positions up to its own.
#' * `training`: `TRUE` switches dropout on.
#'
#' The output carries the mask of `decoder_sequence`.
#'
#' @section Step by step:
#' A cache holds the keys and values of the positions so far, so that a step costs time in
#' proportion to their number and not to its square. It is an array
#' `(batch, 2, max_length, num_heads, D %/% num_heads)`, keys first;
#' `layer$make_cache(batch_size, max_length)` of a built layer makes one of zeros.
#' * With `self_attention_cache` the layer returns `list(output, self_attention_cache)`, with
#'   an encoder `list(output, self_attention_cache, cross_attention_cache)`: give them to the
#'   next step. A layer with an encoder needs both caches or none.
#' * `self_attention_cache_update_index`: where in the cache the positions of
#'   `decoder_sequence` go, **counted from 0** as in KerasHub: 0 in the first step. In a
#'   causal layer position `t` sees the cache up to there plus `t`. `NULL`: the cache is used
#'   as it is.
#' * `cross_attention_cache_update_index`: 0 in the first step, which puts the keys and values
#'   of `encoder_sequence` into the cache; `NULL` in later steps, which use them.
#'   (`encoder_sequence` is given in every step, but only its mask is looked at then.)
#' * With a cache, `decoder_padding_mask` is `(batch, max_length)` and
#'   `decoder_attention_mask` `(batch, T, max_length)`; those of the encoder are of the
#'   length of the cross-attention cache.
#'
#' @section Weights:
#' Those of its parts, in this order: `self_attention` (heads of size `D %/% num_heads`),
#' `self_attention_layer_norm`, with an encoder `cross_attention` and
#' `cross_attention_layer_norm`, `feedforward_intermediate_dense`,
#' `feedforward_output_dense`, `feedforward_layer_norm`.
#'
#' @inheritParams layer_transformer_encoder
#' @param object What to call the layer with: an array `(batch, T, D)`; a list of this, the
#'   encoder's output, and further call arguments by name; symbolic tensors likewise; a
#'   sequential model (to which the layer is added); or nothing, which gives the layer
#'   itself.
#' @return The layer, or what it gives for `object`.
#' @section Errors:
#' `attn_error_argument` for an argument of another type or value than said, and for call
#' arguments that contradict each other or what the layer was built for;
#' `attn_error_shape` for shapes of sequences, masks or caches that do not fit.
#' @references <https://keras.io/keras_hub/api/modeling_layers/transformer_decoder/>;
#'   Vaswani et al. (2017), Attention Is All You Need, <https://arxiv.org/abs/1706.03762>
#' @seealso [layer_transformer_encoder()], [layer_multi_head_attention()]
#' @examples
#' decoder <- layer_transformer_decoder(intermediate_dim = 16, num_heads = 2)
#' x <- array(rnorm(1 * 4 * 8), c(1, 4, 8)) # batch, positions, features
#' at_once <- decoder(x)
#'
#' # the same, one position after the other
#' cache <- decoder$make_cache(batch_size = 1, max_length = 4)
#' for (position in 1:4) {
#'   step <- decoder(x[, position, , drop = FALSE],
#'     self_attention_cache = cache, self_attention_cache_update_index = position - 1
#'   )
#'   cache <- step[[2]]
#'   print(all.equal(step[[1]][1, 1, ], at_once[1, position, ], tolerance = 1e-5))
#' }
#' @export
layer_transformer_decoder <- function(object, intermediate_dim, num_heads, dropout = 0,
                                      activation = "relu", layer_norm_epsilon = 1e-05,
                                      kernel_initializer = "glorot_uniform",
                                      bias_initializer = "zeros", normalize_first = FALSE,
                                      ...) {
  owner <- "layer_transformer_decoder()"
  check_given(missing(intermediate_dim), owner, "intermediate_dim", "a positive whole number")
  check_given(missing(num_heads), owner, "num_heads", "a positive whole number")
  dots <- block_dots(owner, decoder_shape_fields, ...)
  shapes <- lapply(decoder_shape_fields, function(field) {
    if (!is.null(dots[[field]])) as_partial_shape(dots[[field]], owner, field)
  })
  config <- block_config(owner, intermediate_dim, num_heads, dropout, activation,
    layer_norm_epsilon, kernel_initializer, bias_initializer, normalize_first
  )
  config[decoder_shape_fields] <- list(NULL)
  dots <- dots[setdiff(names(dots), decoder_shape_fields)]
  layer <- new_layer("transformer_decoder", config, dots, seed = NULL)
  if (!is.null(shapes[[1L]])) {
    build_decoder(layer_self(layer), shapes[[1L]], shapes[[2L]])
  }
  if (missing(object) || is.null(object)) layer else compose_layer(object, layer)
}

# ---- shapes and parts ----

has_cross_attention <- function(self) !is.null(self$parts[["_cross_attention_layer"]])

# The last dims that the layer was built for: of the decoder's sequence, and the encoder's.
decoder_widths <- function(self) {
  part <- self$parts[[if (has_cross_attention(self)) "_cross_attention_layer" else 1L]]
  part$widths[1:2]
}

check_decoder_shapes <- function(self, decoder, encoder) {
  owner <- self$label
  widths <- if (self$built) decoder_widths(self)
  check_block_shape(self, decoder, "decoder_sequence", widths[1L])
  if (!is.na(decoder[3L])) {
    head_size(self, decoder)
  }
  if (self$built && has_cross_attention(self) != !is.null(encoder)) {
    abort_argument(owner, "encoder_sequence",
      if (is.null(encoder)) {
        "given, as the layer was built with attention to an encoder"
      } else {
        "NULL, as the layer was built without attention to an encoder"
      },
      received = if (is.null(encoder)) "nothing" else paste("shape", format_shape(encoder))
    )
  }
  if (is.null(encoder)) {
    return(invisible())
  }
  check_block_shape(self, encoder, "encoder_sequence", widths[2L])
  if (!sizes_agree(encoder[1L], decoder[1L])) {
    abort_shape(owner, "encoder_sequence",
      sprintf("of as many sequences as `decoder_sequence`, whose shape is %s",
        format_shape(decoder)),
      paste("shape", format_shape(encoder))
    )
  }
}

build_decoder <- function(self, decoder, encoder) {
  check_decoder_shapes(self, decoder, encoder)
  if (!self$built) {
    build_tensors(self, c(list(decoder), if (!is.null(encoder)) list(encoder)))
    self$config["decoder_sequence_shape"] <- list(shape_to_config(decoder))
    if (!is.null(encoder)) {
      self$config["encoder_sequence_shape"] <- list(shape_to_config(encoder))
    }
  }
  invisible(self)
}

decoder_parts <- function(self, decoder, encoder) {
  config <- self$config
  shape <- c(NA, NA, check_known_width(self, decoder))
  size <- head_size(self, shape)
  wide <- c(NA, NA, config$intermediate_dim)
  c(
    decoder_attention_parts(self, "self_attention", size, shape, shape),
    if (!is.null(encoder)) {
      source <- c(NA, NA, check_known_width(self, encoder))
      decoder_attention_parts(self, "cross_attention", size, shape, source)
    },
    list(
      `_feedforward_intermediate_dense` = build_part(self,
        dense_part(self, "feedforward_intermediate_dense", config$intermediate_dim,
          config$activation),
        shape
      ),
      `_feedforward_output_dense` =
        build_part(self, dense_part(self, "feedforward_output_dense", shape[3L]), wide),
      `_feedforward_layer_norm` =
        build_part(self, norm_part(self, "feedforward_layer_norm"), shape),
      `_feedforward_dropout` = build_part(self, dropout_part(self, "feedforward_dropout"), shape)
    )
  )
}

# Attention (`name`), its normalization and its dropout.
decoder_attention_parts <- function(self, name, size, query, value) {
  parts <- list(
    build_part(self, attention_part(self, name, size), query, value),
    build_part(self, norm_part(self, paste0(name, "_layer_norm")), query),
    build_part(self, dropout_part(self, paste0(name, "_dropout")), query)
  )
  names(parts) <- paste0("_", name, c("_layer", "_layer_norm", "_dropout"))
  parts
}

decoder_build_function <- function(self) {
  force(self)
  function(decoder_sequence_shape, encoder_sequence_shape = NULL, ...) {
    check_no_dots(self$label, ...)
    shapes <- decoder_shapes(self, decoder_sequence_shape, encoder_sequence_shape)
    build_decoder(self, shapes[[1L]], shapes[[2L]])
    invisible(layer_object(self))
  }
}

decoder_shape_function <- function(self) {
  force(self)
  function(decoder_sequence_shape, encoder_sequence_shape = NULL, ...) {
    check_no_dots(self$label, ...)
    shapes <- decoder_shapes(self, decoder_sequence_shape, encoder_sequence_shape)
    if (is.null(shapes[[2L]])) {
      check_block_shape(self, shapes[[1L]], "decoder_sequence")
    } else {
      check_decoder_shapes(self, shapes[[1L]], shapes[[2L]])
    }
    shapes[[1L]]
  }
}

decoder_shapes <- function(self, decoder, encoder) {
  owner <- self$label
  check_given(missing(decoder), owner, "decoder_sequence_shape", "a shape such as c(NA, 10, 16)")
  list(
    as_partial_shape(decoder, owner, "decoder_sequence_shape"),
    if (!is.null(encoder)) as_partial_shape(encoder, owner, "encoder_sequence_shape")
  )
}

# Zeros for the keys and values of `max_length` positions.
decoder_cache_function <- function(self) {
  force(self)
  function(batch_size, max_length, ...) {
    owner <- self$label
    check_no_dots(owner, ...)
    check_built(self, "make_cache")
    check_given(missing(batch_size), owner, "batch_size", "a positive whole number")
    check_given(missing(max_length), owner, "max_length", "a positive whole number")
    batch_size <- check_positive_int(batch_size, owner, "batch_size")
    max_length <- check_positive_int(max_length, owner, "max_length")
    array(0, cache_shape(self, batch_size, max_length))
  }
}

cache_shape <- function(self, batch_size, max_length) {
  heads <- self$config$num_heads
  c(batch_size, 2L, max_length, heads, decoder_widths(self)[1L] %/% heads)
}

# ---- calls ----

# A saved layer keeps this body.
decoder_function <- function(self) {
  force(self)
  function(decoder_sequence, encoder_sequence = NULL, decoder_padding_mask = NULL,
           decoder_attention_mask = NULL, encoder_padding_mask = NULL,
           encoder_attention_mask = NULL, self_attention_cache = NULL,
           self_attention_cache_update_index = NULL, cross_attention_cache = NULL,
           cross_attention_cache_update_index = NULL, use_causal_mask = TRUE,
           training = NULL, ...) {
    check_no_dots(self$label, ...)
    check_given(missing(decoder_sequence), self$label, "decoder_sequence",
      "an array, or a symbolic tensor"
    )
    if (is.list(decoder_sequence) && !is.object(decoder_sequence)) {
      return(call_decoder_with_list(self, decoder_sequence, nargs()))
    }
    call_decoder(self, list(
      decoder_sequence = decoder_sequence, encoder_sequence = encoder_sequence,
      decoder_padding_mask = decoder_padding_mask,
      decoder_attention_mask = decoder_attention_mask,
      encoder_padding_mask = encoder_padding_mask,
      encoder_attention_mask = encoder_attention_mask,
      self_attention_cache = self_attention_cache,
      self_attention_cache_update_index = self_attention_cache_update_index,
      cross_attention_cache = cross_attention_cache,
      cross_attention_cache_update_index = cross_attention_cache_update_index
    ), use_causal_mask, training)
  }
}

# The arguments of a call in one list, as the constructor takes them.
call_decoder_with_list <- function(self, arguments, count, make = decoder_function) {
  if (count != 1L) {
    abort_argument(self$label, "decoder_sequence",
      "an array where there are other arguments", arguments
    )
  }
  if (!can_be_arguments(arguments) || any(vapply(arguments, is_plain_list, NA))) {
    abort_argument(self$label, "decoder_sequence",
      "an array, or a list of arrays and further call arguments by name", arguments
    )
  }
  do.call(make(self), arguments, quote = TRUE)
}

decoder_inputs <- c("decoder_sequence", "encoder_sequence")
decoder_masks <- c(
  "decoder_padding_mask", "decoder_attention_mask", "encoder_padding_mask",
  "encoder_attention_mask"
)
decoder_caches <- c("self_attention_cache", "cross_attention_cache")
decoder_indices <- paste0(decoder_caches, "_update_index")

# compute_output_spec(): of a call's arguments, its results as symbolic tensors.
decoder_spec_function <- function(self) {
  force(self)
  function(decoder_sequence, encoder_sequence = NULL, decoder_padding_mask = NULL,
           decoder_attention_mask = NULL, encoder_padding_mask = NULL,
           encoder_attention_mask = NULL, self_attention_cache = NULL,
           self_attention_cache_update_index = NULL, cross_attention_cache = NULL,
           cross_attention_cache_update_index = NULL, use_causal_mask = TRUE,
           training = NULL, ...) {
    check_no_dots(self$label, ...)
    check_given(missing(decoder_sequence), self$label, "decoder_sequence",
      "an array, or a symbolic tensor"
    )
    if (is.list(decoder_sequence) && !is.object(decoder_sequence)) {
      return(call_decoder_with_list(self, decoder_sequence, nargs(), decoder_spec_function))
    }
    tensors <- mget(c(decoder_inputs, decoder_masks, decoder_caches, decoder_indices))
    decoder_outputs(self, check_decoder_call(self, tensors, use_causal_mask, training), NULL)
  }
}

# list(tensors, is_number: which of them are numbers of R, symbolic: whether the others are,
# shapes of the inputs, causal, training)
check_decoder_call <- function(self, tensors, use_causal_mask, training) {
  owner <- self$label
  causal <- check_flag(use_causal_mask, owner, "use_causal_mask")
  training <- check_flag(training, owner, "training", null_ok = TRUE)
  for (field in decoder_indices) {
    tensors[field] <- list(check_update_index(tensors[[field]], owner, field))
  }
  is_number <- vapply(tensors, is.integer, NA) & names(tensors) %in% decoder_indices
  symbolic <- is_symbolic_call(tensors[!is_number], owner)
  shapes <- lapply(tensors[decoder_inputs], decoder_input_shape, owner, symbolic)
  check_given(is.null(shapes[[1L]]), owner, "decoder_sequence", "an array")
  check_decoder_shapes(self, shapes[[1L]], shapes[[2L]])
  check_decoder_caches(self, tensors, shapes)
  check_decoder_masks(self, tensors, shapes)
  list(
    tensors = tensors, is_number = is_number, symbolic = symbolic, shapes = shapes,
    causal = causal, training = training
  )
}

call_decoder <- function(self, tensors, use_causal_mask, training) {
  call <- check_decoder_call(self, tensors, use_causal_mask, training)
  build_decoder(self, call$shapes[[1L]], call$shapes[[2L]])
  if (call$symbolic) {
    return(decoder_symbolic(self, call))
  }
  arrays <- call$tensors
  arrays[call$is_number] <- lapply(arrays[call$is_number], array, 1L)
  results <- run_parts(self, decoder_inputs, arrays, list(use_causal_mask = call$causal),
    isTRUE(call$training)
  )
  if (length(results) == 1L) results[[1L]] else results
}

decoder_input_shape <- function(x, owner, symbolic) {
  if (is.null(x)) NULL else if (symbolic) dim(x) else check_input(x, owner, "decoder_sequence")
}

check_update_index <- function(x, owner, argument) {
  if (is.null(x) || is_keras_tensor(x)) {
    return(x)
  }
  if (!is_whole_number(x) || x < 0) {
    abort_argument(owner, argument, "a whole number from 0, or NULL", x)
  }
  as.integer(x)
}

decoder_symbolic <- function(self, call) {
  given <- call$tensors[!vapply(call$tensors, is.null, NA)]
  is_input <- names(given) %in% decoder_inputs
  node <- new_node(self, unname(given[is_input]), c(
    given[!is_input], if (!call$causal) list(use_causal_mask = FALSE),
    if (!is.null(call$training)) list(training = call$training)
  ))
  decoder_outputs(self, call, node)
}

# The output, and the caches that the next call is to be given.
decoder_outputs <- function(self, call, node) {
  caches <- Filter(Negate(is.null), call$tensors[decoder_caches])
  like <- c(call$tensors[1L], caches)
  outputs <- lapply(seq_along(like), function(i) {
    new_keras_tensor(dim(like[[i]]), self$dtype, node = node, index = i)
  })
  if (length(outputs) == 1L) outputs[[1L]] else outputs
}

# ---- tracing ----

trace_decoder <- function(tracer, self, inputs, arguments) {
  training <- arguments[["training"]]
  encoder <- if (length(inputs) > 1L) inputs[[2L]] else arguments[["encoder_sequence"]]
  causal <- !isFALSE(arguments[["use_causal_mask"]])
  own <- trace_decoder_attention(tracer, self, inputs[[1L]], NULL, "self", "decoder",
    arguments, causal
  )
  if (is.null(encoder)) {
    output <- trace_feedforward(tracer, self, own$output, training)
    return(c(list(output), own["cache"][!is.null(own$cache)]))
  }
  cross <- trace_decoder_attention(tracer, self, own$output, encoder, "cross", "encoder",
    arguments, FALSE
  )
  output <- trace_feedforward(tracer, self, cross$output, training)
  unname(c(
    list(output), own["cache"][!is.null(own$cache)], cross["cache"][!is.null(cross$cache)]
  ))
}

# Attention of `x` to itself (`value` NULL) or to `value`: list(output, cache). `which`:
# "self" or "cross"; `side`: whose masks.
trace_decoder_attention <- function(tracer, self, x, value, which, side, arguments, causal) {
  parts <- self$parts[paste0("_", which, "_attention_", c("layer", "layer_norm", "dropout"))]
  training <- arguments[["training"]]
  argument <- function(name) arguments[[name]]
  cache <- argument(paste0(which, "_attention_cache"))
  index <- argument(paste0(which, "_attention_cache_update_index"))
  positions <- argument(paste0(side, "_padding_mask"))
  pairs <- argument(paste0(side, "_attention_mask"))
  updated <- NULL
  output <- trace_residual(tracer, self, x, parts[[2L]], parts[[3L]], training, function(x) {
    source <- if (is.null(value)) x else value
    if (is.null(cache)) {
      made <- trace_step(tracer, parts[[1L]], "attend",
        list(x, source, NULL, NULL, positions, NULL, pairs), list(x$shape),
        settings = c(attend_with$key_masks, causal, 0), training = training
      )
      return(made[[1L]])
    }
    number <- if (is.null(index) || is_value(index)) -1 else index
    made <- trace_step(tracer, parts[[1L]], "cached_attention",
      list(x, source, cache, if (is_value(index)) index, positions, pairs),
      list(x$shape, cache$shape), settings = c(causal, number), training = training
    )
    updated <<- made[[2L]]
    made[[1L]]
  })
  list(output = output, cache = updated)
}
