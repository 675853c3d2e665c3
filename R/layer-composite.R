# Layers that are made of layers: KerasHub's Transformer blocks. What they compute is what
# their parts compute, traced into one program (program.R). Such a kind has, besides what
# kind.R says,
#   layer_function(self)       the function that users hold
#   make_parts(self, shapes)   its parts, built: a list, Keras's attribute -> `self` of each;
#                              the names of the attributes are those of the groups in files
#   parts(self)                these once the layer is built, else an empty list
#   members                    methods and properties of its own
# and the layer has
#   parts                      what make_parts() made
#   programs                   made by its calls with arrays, one per form of a call

# `output_shape`: not for a kind whose members compute it
composite_kind <- function(class_name, constructor, prefix, fields, required,
                           layer_function, make_parts, trace, output_shape = NULL,
                           members = list(), shape_names = NULL) {
  kind <- tensor_kind(
    class_name = class_name, constructor = constructor, prefix = prefix, fields = fields,
    required = required, output_shape = output_shape, trace = trace
  )
  hub_kind(kind,
    layer_function = layer_function, make_parts = make_parts, members = members,
    shape_names = shape_names,
    parts = function(self) as.list(self$parts)
  )
}

# ---- building ----

# Nothing of the layer changes before all parts are there.
build_parts <- function(self, kind, shapes) {
  parts <- kind$make_parts(self, shapes)
  self$weights <- do.call(c, unname(lapply(parts, part_specs)))
  self$shapes <- if (length(shapes) == 1L) shapes[[1L]] else shapes
  self$parts <- parts
  self$built <- TRUE
  invisible(self)
}

# A part of a layer, built for `...`. It speaks in the name of the whole.
build_part <- function(self, layer, ...) {
  part <- layer_self(layer)
  part$label <- self$label
  build_layer(part, ...)
  part
}

# The weights of a part as those of the whole: "self_attention_layer/query/kernel".
part_specs <- function(part) {
  specs <- lapply(part$weights, function(spec) {
    spec$path <- paste0(part$name, "/", spec$path)
    spec
  })
  names(specs) <- vapply(specs, function(spec) spec$path, "")
  specs
}

# ---- weights ----

parts_weights <- function(self) {
  unlist(unname(lapply(self$parts, function(part) unname(layer_weights(part)))),
    recursive = FALSE
  )
}

# `values` by handle: list(handle =, values =) for the layer, or for each of its parts
# that has weights.
weights_by_handle <- function(self, values) {
  if (!length(values)) {
    return(list())
  }
  if (is.null(self$parts)) {
    return(list(list(handle = self$handle, values = unname(values))))
  }
  result <- list()
  for (part in self$parts) {
    own <- seq_along(part$weights)
    result <- c(result, weights_by_handle(part, values[own]))
    values <- values[setdiff(seq_along(values), own)]
  }
  result
}

# All layers get their values or, where there is not memory for all, none.
put_weights <- function(layers, values) {
  native <- unlist(Map(weights_by_handle, layers, values, USE.NAMES = FALSE), recursive = FALSE)
  .Call(
    ffi_layers_set_weights, lapply(native, function(one) one$handle),
    lapply(native, function(one) one$values)
  )
  invisible()
}

# ---- tracing ----

# One tensor through a part.
through <- function(tracer, part, x, training) {
  trace_layer(tracer, part, list(x), list(training = training))[[1L]]
}

through_dropout <- function(tracer, part, x, training) {
  if (part$config$rate == 0) x else through(tracer, part, x, training)
}

# inner(x) with a residual connection around it, normalized before or after. `norm`,
# `dropout`: parts.
trace_residual <- function(tracer, self, x, norm, dropout, training, inner) {
  residual <- x
  if (self$config$normalize_first) {
    x <- through(tracer, norm, x, training)
  }
  x <- through_dropout(tracer, dropout, inner(x), training)
  x <- trace_step(tracer, self, "merge", list(x, residual), list(residual$shape), text = "add")
  if (self$config$normalize_first) x[[1L]] else through(tracer, norm, x[[1L]], training)
}

# The network of two dense layers that encoder and decoder end with.
trace_feedforward <- function(tracer, self, x, training) {
  parts <- self$parts
  trace_residual(tracer, self, x, parts[["_feedforward_layer_norm"]],
    parts[["_feedforward_dropout"]], training,
    function(x) {
      x <- through(tracer, parts[["_feedforward_intermediate_dense"]], x, training)
      through(tracer, parts[["_feedforward_output_dense"]], x, training)
    }
  )
}

# ---- calls with arrays ----

# `arrays`: by name, NULL where there is none. `options`: flags and numbers that the trace
# depends on. The program of a form of call is made once, for any sizes.
run_parts <- function(self, inputs, arrays, options, training) {
  arrays <- arrays[!vapply(arrays, is.null, NA)]
  dtypes <- vapply(arrays, array_type, "", self)
  form <- paste(c(names(arrays), dtypes, names(options), unlist(options)), collapse = " ")
  program <- self$programs[[form]]
  if (is.null(program)) {
    program <- program_of_parts(self, inputs, arrays, dtypes, options)
    self$programs[[form]] <- program
  }
  run_program(program, unname(arrays), training)
}

array_type <- function(x, self) {
  if (is.logical(x)) "bool" else if (is.integer(x)) "int32" else self$dtype
}

# `inputs`: the names of those arrays that are inputs, in their order.
program_of_parts <- function(self, inputs, arrays, dtypes, options) {
  tracer <- new_tracer()
  values <- Map(function(x, dtype) {
    shape <- dim(x)
    shape[-length(shape)] <- NA_integer_
    new_value(tracer, shape, dtype)
  }, arrays, dtypes)
  is_input <- names(values) %in% inputs
  outputs <- trace_layer(tracer, self, unname(values[is_input]), c(values[!is_input], options))
  finish_program(tracer, unname(values), outputs)
}

# ---- checks ----

# block_dots(owner, more, ...)
block_dots <- function(...) dots_behind(2L, c(layer_dots, ..2), ..1)

# What the constructors of encoder and decoder have in common.
block_config <- function(owner, intermediate_dim, num_heads, dropout, activation,
                         layer_norm_epsilon, kernel_initializer, bias_initializer,
                         normalize_first) {
  list(
    intermediate_dim = check_positive_int(intermediate_dim, owner, "intermediate_dim"),
    num_heads = check_positive_int(num_heads, owner, "num_heads"),
    dropout = check_number(dropout, owner, "dropout", 0, 1),
    activation = as_activation(activation, owner, "activation"),
    layer_norm_epsilon = check_number(layer_norm_epsilon, owner, "layer_norm_epsilon", min = 0),
    kernel_initializer = as_initializer(kernel_initializer, owner, "kernel_initializer"),
    bias_initializer = as_initializer(bias_initializer, owner, "bias_initializer"),
    normalize_first = check_flag(normalize_first, owner, "normalize_first")
  )
}

# A sequence (batch, positions, features), of the width that the layer was built for.
check_block_shape <- function(self, shape, argument, built_for = NULL) {
  owner <- self$label
  check_rank(shape, owner, argument, 3L, exactly = TRUE)
  if (!is.null(built_for) && !sizes_agree(shape[3L], built_for)) {
    abort_shape(owner, argument,
      sprintf("an array whose last dim is %d, as the layer was built for", built_for),
      paste("shape", format_shape(shape))
    )
  }
}

# Keras: `hidden_dim // num_heads`, which must not be 0.
head_size <- function(self, shape) {
  width <- check_known_width(self, shape)
  if (width < self$config$num_heads) {
    abort_shape(self$label, "inputs",
      sprintf("an array whose last dim is at least `num_heads`, which is %d",
        self$config$num_heads),
      paste("shape", format_shape(shape))
    )
  }
  width %/% self$config$num_heads
}

# A mask whose dims are `wanted`, or 1. Sizes that are not known agree with any.
check_block_mask <- function(mask, wanted, meaning, owner, argument) {
  if (is.null(mask)) {
    return(invisible())
  }
  if (!is_keras_tensor(mask)) {
    check_mask_values(mask, owner, argument)
  }
  shape <- dim_or_length(mask)
  ok <- length(shape) == length(wanted) && all(shape == wanted | shape == 1L, na.rm = TRUE)
  if (!ok) {
    abort_shape(owner, argument,
      sprintf("of shape %s, which is %s", meaning, format_shape(wanted)),
      paste("shape", format_shape(shape))
    )
  }
}

# The mask that an input carries.
check_carried_mask <- function(x, owner, argument) {
  mask <- if (!is_keras_tensor(x)) implicit_mask(x)
  if (!is.null(mask)) {
    check_block_mask(mask, dim(x)[1:2], "(batch, positions)", owner, argument)
  }
}

# ---- a decoder's caches and masks ----

check_decoder_caches <- function(self, tensors, shapes) {
  owner <- self$label
  own <- tensors[["self_attention_cache"]]
  cross <- tensors[["cross_attention_cache"]]
  if (is.null(shapes[[2L]]) && !is.null(cross)) {
    abort_argument(owner, "cross_attention_cache", "NULL without `encoder_sequence`", cross)
  }
  if (!is.null(shapes[[2L]]) && is.null(own) != is.null(cross)) {
    abort_argument(owner, if (is.null(cross)) "cross_attention_cache" else "self_attention_cache",
      "given, because the other cache is, and there is an `encoder_sequence`",
      received = "nothing"
    )
  }
  check_cache(self, own, tensors[["self_attention_cache_update_index"]], shapes[[1L]],
    shapes[[1L]], "self_attention_cache"
  )
  check_cache(self, cross, tensors[["cross_attention_cache_update_index"]], shapes[[1L]],
    shapes[[2L]], "cross_attention_cache"
  )
}

# `sequence`: the shape of what goes into the cache.
check_cache <- function(self, cache, index, decoder, sequence, argument) {
  owner <- self$label
  if (is.null(cache)) {
    if (!is.null(index)) {
      abort_argument(owner, paste0(argument, "_update_index"),
        sprintf("NULL without `%s`", argument), index
      )
    }
    return(invisible())
  }
  if (!is_keras_tensor(cache) && !is_plain_array(cache)) {
    abort_argument(owner, argument, "an array, or NULL", cache)
  }
  heads <- self$config$num_heads
  wanted <- c(decoder[1L], 2L, NA, heads, decoder[3L] %/% heads)
  shape <- dim(cache)
  if (length(shape) != 5L || !sizes_agree(shape, wanted) || !all(shape > 0L, na.rm = TRUE)) {
    abort_shape(owner, argument,
      paste("of shape (batch, 2, max_length, num_heads, head size), which is",
        format_shape(wanted)),
      paste("shape", format_shape(shape))
    )
  }
  if (is.integer(index) && isTRUE(index + sequence[2L] > shape[3L])) {
    abort_argument(owner, paste0(argument, "_update_index"),
      sprintf("at most %d, where %d positions still fit into a cache of %d",
        max(0L, shape[3L] - sequence[2L]), sequence[2L], shape[3L]),
      index
    )
  }
}

check_decoder_masks <- function(self, tensors, shapes) {
  owner <- self$label
  lengths <- c(shapes[[1L]][2L], shapes[[2L]][2L])
  caches <- tensors[c("self_attention_cache", "cross_attention_cache")]
  for (i in 1:2) {
    side <- c("decoder", "encoder")[i]
    source <- if (is.null(caches[[i]])) lengths[i] else dim(caches[[i]])[3L]
    positions <- paste0(side, "_padding_mask")
    pairs <- paste0(side, "_attention_mask")
    if (is.null(shapes[[i]])) {
      for (argument in c(positions, pairs)) {
        if (!is.null(tensors[[argument]])) {
          abort_argument(owner, argument, "NULL without `encoder_sequence`", tensors[[argument]])
        }
      }
      next
    }
    batch <- shapes[[1L]][1L]
    check_block_mask(tensors[[positions]], c(batch, source), "(batch, positions)", owner,
      positions
    )
    check_block_mask(tensors[[pairs]], c(batch, lengths[1L], source),
      "(batch, positions of the decoder, positions)", owner, pairs
    )
    sequence <- tensors[[paste0(side, "_sequence")]]
    if (is.null(tensors[[positions]]) && !is_keras_tensor(sequence)) {
      check_block_mask(implicit_mask(sequence), c(batch, source), "(batch, positions)", owner,
        positions
      )
    }
  }
}
