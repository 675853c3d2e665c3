# The attention layers in a program: a step of the core where the inputs are sequences
# (batch, positions, features) with one attention axis, else the layer itself on arrays.

trace_heads <- function(tracer, self, inputs, arguments) {
  scores <- isTRUE(arguments[["return_attention_scores"]])
  causal <- isTRUE(arguments[["use_causal_mask"]])
  shapes <- lapply(inputs, function(value) if (!is.null(value)) value$shape)
  key_shape <- if (length(inputs) > 2L) shapes[[3L]]
  geometry <- heads_geometry(self, shapes[[1L]], shapes[[2L]], key_shape)
  output <- heads_output_shape(self, shapes[[1L]], shapes[[2L]], key_shape)
  result_shapes <- c(list(output), if (scores) list(geometry$extents))
  masks <- arguments[c("query_mask", "value_mask", "key_mask", "attention_mask")]
  names(masks) <- c("query_mask", "value_mask", "key_mask", "attention_mask")
  if (self$kind == "multi_head_attention") {
    masks["query_mask"] <- list(NULL)
  }
  pairs <- masks[["attention_mask"]]
  is_native <- geometry$rank == 3L && is.null(self$activity_regularizer) &&
    all(vapply(masks, is_value_or_null, NA)) &&
    (is.null(pairs) || (length(pairs$shape) %in% 2:3 && pairs$dtype == "bool"))
  if (!is_native) {
    return(trace_attention_in_r(tracer, self, inputs, arguments, result_shapes))
  }
  window <- self$config$sliding_window
  settings <- c(TRUE, causal, if (is.null(window)) 0 else window, flash_setting(self))
  key <- if (length(inputs) > 2L) inputs[3L] else list(NULL)
  trace_step(tracer, self, "attend", c(inputs[1:2], key, unname(masks)), result_shapes,
    settings = settings, training = arguments[["training"]]
  )
}

trace_scores <- function(tracer, self, inputs, arguments) {
  scores <- isTRUE(arguments[["return_attention_scores"]])
  causal <- isTRUE(arguments[["use_causal_mask"]])
  shapes <- lapply(inputs, function(value) if (!is.null(value)) value$shape)
  key_shape <- if (length(inputs) > 2L) shapes[[3L]]
  geometry <- scores_geometry(self, shapes[[1L]], shapes[[2L]], key_shape)
  output <- scores_output_shape(shapes[[1L]], shapes[[2L]])
  extents <- geometry$extents[-(geometry$n_batch + 1L)]
  result_shapes <- c(list(output), if (scores) list(extents))
  mask <- arguments[["mask"]]
  is_native <- geometry$rank == 3L && is.null(self$activity_regularizer) &&
    all(vapply(mask, is_value_or_null, NA))
  if (!is_native) {
    return(trace_attention_in_r(tracer, self, inputs, arguments, result_shapes))
  }
  key <- if (length(inputs) > 2L) inputs[3L] else list(NULL)
  masks <- list(mask$query, mask$value, NULL, NULL)
  trace_step(tracer, self, "attend", c(inputs[1:2], key, masks), result_shapes,
    settings = c(FALSE, causal, 0, 0), training = arguments[["training"]]
  )
}

# Whose setting decides how attention is computed: the session's, or the layer's own.
flash_setting <- function(self) {
  flash <- self$flash_attention
  if (is.null(flash)) 0 else if (flash) 1 else 2
}

# Values among the arguments travel as inputs, behind those of the layer; masks that are
# arrays stay arguments.
trace_attention_in_r <- function(tracer, self, inputs, arguments, shapes) {
  inputs <- inputs[!vapply(inputs, is.null, NA)]
  is_one <- vapply(arguments, is_value, NA)
  masks <- c(arguments[is_one], Filter(is_value, arguments[["mask"]]))
  run <- attention_in_r(layer_object(self), length(inputs), names(masks), arguments[!is_one])
  trace_r_step(tracer, self, run, c(inputs, unname(masks)), shapes,
    dtypes = rep(self$dtype, length(shapes)), training = arguments[["training"]]
  )
}

# The layer's call as a step: the first `count` arrays are its inputs, the others its
# masks. `arguments` are the other ones; a list of masks among them has places for these.
attention_in_r <- function(layer, count, mask_names, arguments) {
  heads <- layer_self(layer)$heads
  function(arrays, training) {
    given <- arrays[seq_len(count)]
    masks <- arrays[-seq_len(count)]
    names(masks) <- mask_names
    if (!heads && length(masks)) {
      arguments[["mask"]][mask_names] <- masks
      masks <- NULL
    }
    arguments["training"] <- list(training)
    inputs <- if (heads) given else list(given)
    results <- do.call(layer, c(inputs, arguments, masks), quote = TRUE)
    if (is.list(results)) list(results[[1L]], plain_scores(results[[2L]])) else list(results)
  }
}

plain_scores <- function(x) array(as.double(x), dim(x))

is_value <- function(x) is.list(x) && !is.object(x) && !is.null(x[["slot"]])

is_value_or_null <- function(x) is.null(x) || is_value(x)
