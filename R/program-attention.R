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
    (is.null(pairs) || (length(pairs$shape) %in% 2:3 && pairs$dtype == "bool"))
  if (!is_native) {
    return(trace_attention_in_r(tracer, self, inputs, arguments, result_shapes))
  }
  window <- self$config$sliding_window
  settings <- c(TRUE, causal, if (is.null(window)) 0 else window)
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
  if (geometry$rank != 3L || !is.null(self$activity_regularizer)) {
    return(trace_attention_in_r(tracer, self, inputs, arguments, result_shapes))
  }
  mask <- arguments[["mask"]]
  key <- if (length(inputs) > 2L) inputs[3L] else list(NULL)
  masks <- list(mask$query, mask$value, NULL, NULL)
  trace_step(tracer, self, "attend", c(inputs[1:2], key, masks), result_shapes,
    settings = c(FALSE, causal, 0), training = arguments[["training"]]
  )
}

# Values among the arguments travel as inputs, behind those of the layer.
trace_attention_in_r <- function(tracer, self, inputs, arguments, shapes) {
  layer <- layer_object(self)
  inputs <- inputs[!vapply(inputs, is.null, NA)]
  is_list <- vapply(arguments, is_mask_pair, NA)
  is_one <- vapply(arguments, is_value, NA)
  plain <- arguments[!is_list & !is_one]
  pair <- arguments[["mask"]]
  masks <- c(arguments[is_one], if (any(is_list)) Filter(is_value, pair))
  count <- length(inputs)
  heads <- self$heads
  run <- function(arrays, training) {
    given <- arrays[seq_len(count)]
    arrays <- arrays[-seq_len(count)]
    names(arrays) <- names(masks)
    more <- if (heads) arrays else if (length(arrays)) {
      list(mask = list(query = arrays[["query"]], value = arrays[["value"]]))
    }
    plain["training"] <- list(training)
    results <- do.call(layer, c(if (heads) given else list(given), plain, more), quote = TRUE)
    if (is.list(results)) lapply(results, unclass) else list(results)
  }
  trace_r_step(tracer, self, run, c(inputs, unname(masks)), shapes,
    dtypes = rep(self$dtype, length(shapes)), training = arguments[["training"]]
  )
}

is_value <- function(x) is.list(x) && !is.object(x) && !is.null(x[["slot"]])

is_mask_pair <- function(x) is.list(x) && !is.object(x) && is.null(x[["slot"]])
