# Multi-head attention, and what it shares with grouped query attention.

#' Multi-head attention
#'
#' Scaled dot-product attention with several heads, as in "Attention Is All You
#' Need". Query, key and value are projected to `num_heads` heads; each head
#' compares queries with keys, turns the scaled products into weights that sum to
#' one over the keys, and takes the weighted mean of the values; the heads are
#' joined by a last projection.
#'
#' @section The layer:
#' The constructor without data returns a layer, which is a function:
#' ```
#' layer(query, value, key = NULL, query_mask = NULL, value_mask = NULL,
#'       key_mask = NULL, attention_mask = NULL, return_attention_scores = FALSE,
#'       training = NULL, use_causal_mask = FALSE)
#' ```
#' * `query`: an array of shape `(B, T, Dq)`, or with more axes between the batch
#'   and the features, see `attention_axes`. `value`: `(B, S, Dv)`. `key`:
#'   `(B, S, Dk)`; by default `value` is the key as well.
#' * `attention_mask`: logical or numeric (non-zero is `TRUE`), `TRUE` where a query
#'   may see a key; shape `(B, T, S)`, `(T, S)`, `(B, N, T, S)` or anything that
#'   broadcasts to it.
#' * `value_mask`, `key_mask`: shape `(B, S)`, `FALSE` for padding. When not given,
#'   masks attached with [set_keras_mask()] are used. `query_mask`: has no effect, as in
#'   Keras, and a warning says so; a mask attached to `query` has one.
#' * `use_causal_mask`: whether a query sees only keys up to its own position.
#' * `return_attention_scores`: whether to return `list(output, scores)`, scores of
#'   shape `(B, N, T, S)`, see [attn_scores].
#' * `training`: `TRUE` switches dropout on.
#'
#' The result has shape `(B, T, Dq)`, or `(B, T, output_shape)`. For methods and
#' properties of layers see [attn_layer].
#'
#' @section Rows without a visible key:
#' Such a query gets the mean of all values where Keras takes its fused path (no
#' dropout, no scores, one attention axis), and zero context, so that the output is
#' the bias of the last projection, where it does not.
#'
#' @param inputs Missing or `NULL`: the layer is returned. An array of shape
#'   `(B, T, D)`: the result of self-attention. A list `list(query, value, key)` of
#'   one to three arrays, in which call arguments may be given by name: the result of
#'   that call. A [keras_input()] or a list of them: a symbolic result.
#' @param num_heads Number of heads.
#' @param key_dim Size of each head for query and key.
#' @param value_dim Size of each head for value; `NULL` (default): `key_dim`.
#' @param dropout Share of the attention weights that training sets to zero, 0 to 1.
#' @param use_bias Whether the projections have biases.
#' @param output_shape Shape of the output beyond the batch and query axes, a whole
#'   number or a vector of them; `NULL` (default), 0 or empty: the query's last dim.
#' @param attention_axes Axes over which attention goes, as Keras counts them: 0 is
#'   the batch axis, -1 the last one. `NULL` (default): all but the first and last.
#' @param flash_attention `NULL` (default): as [config_enable_flash_attention()] says;
#'   `TRUE`: the tiled computation whose memory grows with T, also with dropout and
#'   scores; `FALSE`: the plain computation of one row of weights after another.
#' @param kernel_initializer,bias_initializer How the weights start: an initializer
#'   object, its name, or a function of the shape.
#' @param kernel_regularizer,bias_regularizer Regularizers of the weights; their
#'   losses are in `layer$losses`.
#' @param activity_regularizer Regularizer of the output of each projection, per
#'   example of the batch.
#' @param kernel_constraint,bias_constraint Constraints that training applies.
#' @param seed A whole number that fixes the dropout; `NULL` (default): R's random
#'   number generator gives it one when the layer is made.
#' @param use_gate Whether the heads' results are multiplied by a sigmoid of a further
#'   projection of the query.
#' @param sliding_window `NULL` (default) or a whole number `w`: queries see only keys
#'   that are less than `w` positions away.
#' @param ... `name` (a string), `dtype` (`"float32"` or `"float64"`) and `trainable`
#'   (`TRUE` or `FALSE`) of the layer. These
#'   names must be given in full; those of the arguments listed above may be
#'   abbreviated, as everywhere in R.
#' @return A layer, or the result of calling it, see `inputs`.
#' @section Errors:
#' `attn_error_argument` for arguments of a wrong type or value, `attn_error_shape` for
#' inputs and masks whose shapes do not fit each other or the built layer. After an
#' error the layer is as it was.
#' @references Vaswani et al. (2017), Attention Is All You Need,
#'   <https://arxiv.org/abs/1706.03762>;
#'   <https://keras.io/api/layers/attention_layers/multi_head_attention/>
#' @seealso [layer_group_query_attention()], [layer_attention()],
#'   [layer_additive_attention()], [op_dot_product_attention()]
#' @examples
#' set.seed(1)
#' query <- array(rnorm(2 * 5 * 8), c(2, 5, 8))
#' value <- array(rnorm(2 * 7 * 8), c(2, 7, 8))
#' layer <- layer_multi_head_attention(num_heads = 2, key_dim = 4)
#' dim(layer(query, value))
#' result <- layer(query, value, return_attention_scores = TRUE)
#' dim(result[[2]])
#'
#' # directly on data: causal self-attention
#' y <- layer_multi_head_attention(
#'   list(query, use_causal_mask = TRUE),
#'   num_heads = 2, key_dim = 4
#' )
#' dim(y)
#' @export
layer_multi_head_attention <- function(inputs, num_heads, key_dim, value_dim = NULL, dropout = 0,
                                       use_bias = TRUE, output_shape = NULL,
                                       attention_axes = NULL, flash_attention = NULL,
                                       kernel_initializer = "glorot_uniform",
                                       bias_initializer = "zeros",
                                       kernel_regularizer = NULL, bias_regularizer = NULL,
                                       activity_regularizer = NULL,
                                       kernel_constraint = NULL, bias_constraint = NULL,
                                       seed = NULL, use_gate = FALSE, sliding_window = NULL,
                                       ...) {
  owner <- "layer_multi_head_attention()"
  dots <- check_dots(owner, layer_dots, ...)
  check_given(missing(num_heads), owner, "num_heads", "a positive whole number")
  check_given(missing(key_dim), owner, "key_dim", "a positive whole number")
  num_heads <- check_positive_int(num_heads, owner, "num_heads")
  key_dim <- check_positive_int(key_dim, owner, "key_dim")
  value_dim <- check_positive_int(value_dim, owner, "value_dim", null_ok = TRUE)
  seed <- check_seed(seed, owner)
  objects <- heads_objects(
    owner, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
    activity_regularizer, kernel_constraint, bias_constraint
  )
  config <- c(
    list(
      num_heads = num_heads, key_dim = key_dim,
      value_dim = if (is.null(value_dim)) key_dim else value_dim,
      dropout = check_number(dropout, owner, "dropout", 0, 1),
      use_bias = check_flag(use_bias, owner, "use_bias"),
      use_gate = check_flag(use_gate, owner, "use_gate"),
      output_shape = check_output_shape(output_shape, owner),
      attention_axes = check_attention_axes(attention_axes, owner),
      sliding_window = check_positive_int(sliding_window, owner, "sliding_window", null_ok = TRUE)
    ),
    objects, list(seed = seed)
  )
  layer <- new_layer("multi_head_attention", config, dots, seed,
    flash_attention = check_flag(flash_attention, owner, "flash_attention", null_ok = TRUE),
    activity_regularizer = objects$activity_regularizer
  )
  if (missing(inputs) || is.null(inputs)) layer else compose_layer(inputs, layer)
}

heads_objects <- function(owner, kernel_initializer, bias_initializer, kernel_regularizer,
                          bias_regularizer, activity_regularizer, kernel_constraint,
                          bias_constraint) {
  list(
    kernel_initializer = as_initializer(kernel_initializer, owner, "kernel_initializer"),
    bias_initializer = as_initializer(bias_initializer, owner, "bias_initializer"),
    kernel_regularizer = as_regularizer(kernel_regularizer, owner, "kernel_regularizer"),
    bias_regularizer = as_regularizer(bias_regularizer, owner, "bias_regularizer"),
    activity_regularizer = as_regularizer(activity_regularizer, owner, "activity_regularizer"),
    kernel_constraint = as_constraint(kernel_constraint, owner, "kernel_constraint"),
    bias_constraint = as_constraint(bias_constraint, owner, "bias_constraint")
  )
}

# Nothing and zero both mean: the query's last dim.
check_output_shape <- function(x, owner) {
  sizes <- whole_numbers(x)
  if (is.null(sizes) || any(sizes < 0) || (length(sizes) > 1L && any(sizes == 0)) ||
    length(sizes) > most_output_dims) {
    abort_argument(owner, "output_shape",
      sprintf("a positive whole number, a vector of at most %d, or NULL", most_output_dims), x
    )
  }
  if (!length(sizes) || identical(sizes, 0L)) NULL else sizes
}

check_attention_axes <- function(x, owner) {
  axes <- whole_numbers(x)
  if (is.null(axes)) {
    abort_argument(owner, "attention_axes", "a whole number, a vector of them, or NULL", x)
  }
  if (length(axes)) axes else NULL
}

# The function that is the layer, for both layers with heads. A saved layer keeps this
# body, so all it does is to hand its arguments on; alone they make the commonest
# call, whose other arguments R need not look at.
heads_function <- function(self) {
  force(self)
  function(query, value, key = NULL, query_mask = NULL, value_mask = NULL, key_mask = NULL,
           attention_mask = NULL, return_attention_scores = FALSE, training = NULL,
           use_causal_mask = FALSE, ...) {
    if (nargs() == 2L && !missing(query) && !missing(value)) {
      call_heads_plainly(self, query, value)
    } else {
      call_heads(
        self, query, value, key, query_mask, value_mask, key_mask, attention_mask,
        return_attention_scores, training, use_causal_mask, ...
      )
    }
  }
}

call_heads_plainly <- function(self, query, value) {
  result <- .Call(
    ffi_heads_call, self$handle, query, value, NULL, NULL, NULL, NULL, NULL, FALSE, NULL, FALSE,
    session_settings$flash_attention
  )
  if (is.null(result)) {
    result <- call_heads_newly(self, query, value, NULL, no_masks, FALSE, NULL, FALSE)
  }
  result
}

no_masks <- list(query_mask = NULL, value_mask = NULL, key_mask = NULL, attention_mask = NULL)

# Its first name is one that no caller gives in `...`, not even in part or twice.
call_heads <- function(` self`, query, value, key, query_mask, value_mask, key_mask, attention_mask,
                       return_attention_scores, training, use_causal_mask, ...) {
  if (...length()) {
    refuse_dots_of_layer()
  }
  if (missing(query) || missing(value)) {
    check_given(missing(query), ` self`$label, "query", "an array")
    check_given(missing(value), ` self`$label, "value",
      "given (for self-attention, give the query a second time)"
    )
  }
  result <- .Call(
    ffi_heads_call, ` self`$handle, query, value, key, query_mask, value_mask, key_mask,
    attention_mask, return_attention_scores, training, use_causal_mask,
    session_settings$flash_attention
  )
  if (is.null(result)) {
    masks <- list(
      query_mask = query_mask, value_mask = value_mask, key_mask = key_mask,
      attention_mask = attention_mask
    )
    result <- call_heads_newly(
      ` self`, query, value, key, masks, return_attention_scores, training, use_causal_mask
    )
  }
  result
}

# A call of a form that the layer has no plan for yet, or one that is an error.
call_heads_newly <- function(self, query, value, key, masks, scores, training, causal) {
  scores <- check_flag(scores, self$label, "return_attention_scores")
  causal <- check_flag(causal, self$label, "use_causal_mask")
  training <- check_flag(training, self$label, "training", null_ok = TRUE)
  inputs <- list(query = query, value = value, key = key)
  if (is_symbolic_call(inputs, self$label)) {
    return(heads_symbolic(self, inputs, masks, scores, causal, training))
  }
  heads_forward(self, query, value, key, masks, scores, causal, isTRUE(training))
}

heads_forward <- function(self, query, value, key, masks, scores, causal, training) {
  owner <- self$label
  geometry <- heads_geometry(
    self, check_input(query, owner, "query"), check_input(value, owner, "value"),
    if (!is.null(key)) check_input(key, owner, "key")
  )
  output_mask <- implicit_mask(query)
  masks <- effective_masks(
    self, masks, query, output_mask, implicit_mask(value), implicit_mask(key)
  )
  fused <- self$config$dropout == 0 && !scores && geometry$rank == 3L
  placed <- heads_masks(self, geometry, masks, causal, fused)
  regularizer <- self$activity_regularizer
  if (!self$built) {
    finished <- FALSE
    before <- fields_of(self)
    on.exit(if (!finished) suspendInterrupts(restore_fields(self, before)))
    build_native(self, geometry)
  }
  options <- list(
    causal = placed$causal, window = placed$window,
    dead_row = if (fused) "mean" else "zero",
    training = training, scores = scores, reference = use_reference(self),
    projections = !is.null(regularizer), mask_threshold = placed$threshold
  )
  result <- .Call(
    ffi_layer_forward, self$handle, list(query, value, key), geometry$order,
    geometry$n_attention, placed$masks, NULL, options
  )
  result <- heads_result(self, result, geometry, output_mask, scores, regularizer)
  finished <- TRUE
  if (is.null(regularizer) && placed$is_native) {
    form <- call_form(geometry, scores, training, causal, masks)
    remember_plan(self, form, geometry, placed$masks, NULL, options, result)
  }
  result
}

heads_result <- function(self, result, geometry, output_mask, scores, regularizer) {
  output <- result[[1L]]
  weights <- result[[2L]]
  if (!is.null(regularizer)) {
    # Grouped query attention regularizes its own outputs too, before the rest.
    own <- if (self$kind == "group_query_attention") c(list(output), if (scores) list(weights))
    self$activity_losses <- activity_losses(
      regularizer, c(own, projection_outputs(result[[3L]]), list(output)), self$label
    )
  }
  if (!is.null(output_mask)) {
    attr(output, "keras_mask") <- output_mask
  }
  if (!scores) {
    return(output)
  }
  n <- geometry$n_attention
  list(output, new_attn_scores(weights, geometry$n_batch, n, n, TRUE))
}

# What the projections give, in the order of their weights. The gate's sigmoid is
# part of its projection in Keras, though not of the core's.
projection_outputs <- function(projections) {
  gate <- projections[["gate"]]
  c(
    list(projections[["query"]], projections[["key"]]),
    if (!is.null(gate)) list(1 / (1 + exp(-gate))),
    list(projections[["value"]])
  )
}

# Explicit masks win over those attached to the inputs; but multi-head attention
# knows the query's mask only from the query, as in Keras.
effective_masks <- function(self, masks, input, query, value, key) {
  explicit_query <- masks[["query_mask"]]
  if (self$kind == "multi_head_attention" && !is.null(explicit_query)) {
    check_covering_mask(explicit_query, input, self$label, "query_mask")
    attn_warn(
      paste0(
        self$label, ": `query_mask` has no effect on the result, as in Keras. ",
        "Attach the mask with set_keras_mask(), or use `attention_mask`."
      ),
      "attn_warning_ignored", self$label, "query_mask"
    )
    explicit_query <- NULL
  }
  value_mask <- masks[["value_mask"]]
  key_mask <- masks[["key_mask"]]
  list(
    query_mask = if (is.null(explicit_query)) query else explicit_query,
    value_mask = if (is.null(value_mask)) value else value_mask,
    key_mask = if (is.null(key_mask)) key else key_mask,
    attention_mask = masks[["attention_mask"]]
  )
}

# Shapes of the inputs -> everything about the call that follows from them. The
# last result is kept, as calls with the same shapes come one after the other.
heads_geometry <- function(self, query, value, key) {
  last <- self$geometry
  shapes <- list(query = query, value = value, key = key)
  if (self$built && !is.null(last) && identical(last$shapes, shapes)) {
    return(last)
  }
  owner <- self$label
  check_heads_ranks(self, query, value, key)
  rank <- length(query)
  axes <- resolve_attention_axes(self, rank)
  batch <- setdiff(seq_len(rank - 2L), axes)
  batch <- c(0L, batch)
  if (!sizes_agree(query[batch + 1L], value[batch + 1L])) {
    abort_shape(owner, "value",
      paste(
        "an array that has the sizes of `query` in the batch axes; `query` has shape",
        format_shape(query)
      ),
      paste("shape", format_shape(value))
    )
  }
  if (!is.null(key)) {
    check_value_key_agree(value, key, owner)
  }
  widths <- c(query[rank], value[rank], if (is.null(key)) value[rank] else key[rank])
  if (self$built) {
    check_known_widths(self, widths, shapes)
  }
  heads <- if (self$kind == "multi_head_attention") {
    self$config$num_heads
  } else {
    self$config$num_query_heads
  }
  geometry <- list(
    shapes = shapes, rank = rank, widths = widths, axes = axes,
    order = c(batch, axes), n_attention = length(axes), n_batch = length(batch),
    extents = c(query[batch + 1L], heads, query[axes + 1L], value[axes + 1L])
  )
  if (self$built) {
    self$geometry <- geometry
  }
  geometry
}

check_heads_ranks <- function(self, query, value, key) {
  owner <- self$label
  check_rank(query, owner, "query", 3L, exactly = self$kind == "group_query_attention")
  check_same_rank(value, query, owner, "value")
  if (!is.null(key)) {
    check_same_rank(key, query, owner, "key")
  }
  if (self$built && length(query) != self$rank) {
    abort_shape(owner, "query",
      sprintf("an array of %d dims, as the layer was built for", self$rank),
      paste("shape", format_shape(query))
    )
  }
}

check_known_widths <- function(self, widths, shapes) {
  widths[is.na(widths)] <- self$widths[is.na(widths)]
  check_widths(widths, shapes, self$widths, self$label)
}

# Attention axes of an input of this rank, counted from 0, in the order given.
resolve_attention_axes <- function(self, rank) {
  given <- self$config$attention_axes
  if (is.null(given)) {
    return(seq_len(rank - 2L))
  }
  axes <- ifelse(given < 0L, given + rank, given)
  if (any(axes < 1L | axes > rank - 2L) || anyDuplicated(axes)) {
    abort_shape(self$label, "attention_axes",
      sprintf(
        "different axes from 1 to %d (or from %d to -2) for inputs of %d dims",
        rank - 2L, 1L - rank, rank
      ),
      paste(given, collapse = ", ")
    )
  }
  as.integer(axes)
}

# The masks of a call, placed in the layout of the scores. A causal mask and a
# window are about axis 1; where that is the only attention axis they go to the
# core as such, else they are a mask over axis 1 like any other, of the sizes of this
# call (`is_native` is FALSE).
heads_masks <- function(self, geometry, masks, causal, fused) {
  window <- self$config$sliding_window
  window <- if (is.null(window)) 0L else window
  components <- mask_components(masks, self$label)
  positional <- causal || window > 0L
  result <- list(
    masks = list(), causal = causal, window = window, threshold = 0, is_native = TRUE
  )
  if (!length(components) && !positional) {
    return(result)
  }
  # Keras's softmax layer compares a mask that reaches it as numbers with one half.
  only_attention_mask <- !positional && length(components) == 1L &&
    components[[1L]]$argument == "attention_mask"
  if (self$kind == "group_query_attention" && !fused && only_attention_mask) {
    result$threshold <- 0.5
  }
  if (positional && !identical(geometry$axes, 1L)) {
    sizes <- c(geometry$shapes$query[2L], geometry$shapes$value[2L])
    mask <- if (!anyNA(sizes)) dense_position_mask(sizes[1L], sizes[2L], causal, window)
    component <- list(
      mask = mask, dims = c(1L, sizes), axes = 1:3, given = c(1L, sizes),
      argument = if (causal) "use_causal_mask" else "sliding_window"
    )
    if (length(geometry$axes) == 1L || length(components)) {
      components <- c(components, list(component))
    }
    result$causal <- FALSE
    result$window <- 0L
    result$is_native <- FALSE
  }
  result$masks <- place_masks(
    components, geometry$extents, 2L * geometry$n_attention, self$label,
    least_rank = if (positional) 3L else 0L,
    positional = if (causal) "use_causal_mask" else "sliding_window"
  )
  result
}

# Calls without masks come through here as well, so this loops only over given ones.
mask_components <- function(masks, owner) {
  components <- list()
  for (argument in names(masks)) {
    mask <- masks[[argument]]
    if (!is.null(mask)) {
      fold <- switch(argument, attention_mask = "none", query_mask = "query", "key")
      components[[length(components) + 1L]] <- mask_component(mask, owner, argument, fold)
    }
  }
  components
}

# Symbolic tensors in, symbolic tensors out; builds the layer.
heads_symbolic <- function(self, inputs, masks, scores, causal, training) {
  spec <- heads_spec(self, inputs, masks, scores, causal)
  if (!self$built) {
    build_native(self, spec$geometry)
  }
  symbolic_outputs(self, spec, inputs, c(
    masks[!vapply(masks, is.null, NA)],
    list(return_attention_scores = scores, use_causal_mask = causal),
    if (!is.null(training)) list(training = training)
  ))
}

heads_spec <- function(self, inputs, masks, scores, causal) {
  shapes <- lapply(inputs, function(x) if (!is.null(x)) dim(x))
  geometry <- heads_geometry(self, shapes$query, shapes$value, shapes$key)
  masks <- effective_masks(self, masks, inputs$query, NULL, NULL, NULL)
  heads_masks(self, geometry, masks, causal, fused = FALSE)
  list(
    geometry = geometry,
    output = heads_output_shape(self, shapes$query, shapes$value, shapes$key),
    scores = if (scores) geometry$extents
  )
}

heads_output_shape <- function(self, query, value, key) {
  owner <- self$label
  if (!is.null(key)) {
    check_value_key_agree(value, key, owner)
  }
  last <- length(query)
  if (self$kind == "multi_head_attention") {
    out <- self$config$output_shape
    return(if (is.null(out)) query else c(query[-last], out))
  }
  if (!sizes_agree(query[last], value[length(value)])) {
    abort_shape(owner, "value_shape",
      sprintf("of the last dim of `query_shape`, which is %d", query[last]),
      paste("shape", format_shape(value))
    )
  }
  query
}

# One tensor, or a list of two when scores are asked for.
symbolic_outputs <- function(self, spec, inputs, arguments) {
  node <- new_node(self, inputs, arguments)
  output <- new_keras_tensor(spec$output, self$dtype, node = node, index = 1L)
  if (is.null(spec$scores)) {
    return(output)
  }
  list(output, new_keras_tensor(spec$scores, self$dtype, node = node, index = 2L))
}
