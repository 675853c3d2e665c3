# Dot-product (and concatenation) attention, and what it shares with additive
# attention: layers without projections, called on a list of inputs.

#' Dot-product attention
#'
#' Attention in the manner of Luong: the output for a query is the mean of the
#' values, weighted by the softmax over the keys of `query . key` (or of
#' `sum(tanh(query + key))` with `score_mode = "concat"`). There are no projections
#' and the products are not divided by the square root of the size.
#'
#' @section The layer:
#' The constructor without data returns a layer, which is a function:
#' ```
#' layer(inputs, mask = NULL, training = NULL, return_attention_scores = FALSE,
#'       use_causal_mask = FALSE)
#' ```
#' * `inputs`: `list(query, value)` or `list(query, value, key)`, arrays of shape
#'   `(B, T, D)`, `(B, S, Dv)` and `(B, S, D)`; by default `value` is the key as well.
#'   There may be further axes between the batch and the positions; attention is over
#'   the last but one.
#' * `mask`: `list(query_mask, value_mask)`, each `NULL` or a logical or numeric array
#'   (non-zero is `TRUE`) of shape `(B, T)` and `(B, S)`, `FALSE` for padding; a third
#'   element is not used. The query mask sets rows of the output to zero. Without `mask`, masks
#'   attached by [set_keras_mask()] are used.
#' * `training`: `TRUE` switches dropout on.
#' * `return_attention_scores`: whether to return `list(output, scores)`, scores of
#'   shape `(B, T, S)` and after dropout, see [attn_scores].
#' * `use_causal_mask`: whether a query sees only keys up to its own position.
#'
#' The result has shape `(B, T, Dv)`. For methods and properties of layers see
#' [attn_layer].
#'
#' @section Rows without a visible key:
#' As in Keras, a masked score is lowered by 1e9. Where all keys of a query are
#' masked, this leaves the softmax of the unmasked scores in `"float64"`, and nearly
#' equal weights in `"float32"`, whose numbers near 1e9 are 64 apart.
#'
#' @param object Missing or `NULL`: the layer is returned. A list
#'   `list(query, value, key)` of one to three arrays, in which call arguments may be
#'   given by name: the result of that call. One array, or a list of one: the result of
#'   self-attention. A [keras_input()] or a list of them: a symbolic result.
#' @param use_scale Whether the scores are multiplied by a weight (that starts at 1).
#' @param score_mode `"dot"` (default) or `"concat"`.
#' @param dropout Share of the attention weights that training sets to zero, 0 to 1.
#'   Keras takes numbers beyond 1 as well; here they are an error.
#' @param seed A whole number that fixes the dropout; `NULL` (default): R's random
#'   number generator gives it one when the layer is made.
#' @param ... `name` (a string), `dtype` (`"float32"` or `"float64"`), `trainable`
#'   (`TRUE` or `FALSE`) and `activity_regularizer` (of the result) of the layer. These
#'   names must be given in full; those of the arguments listed above may be
#'   abbreviated, as everywhere in R.
#' @return A layer, or the result of calling it, see `object`.
#' @section Errors:
#' `attn_error_argument` for arguments of a wrong type or value, `attn_error_shape` for
#' inputs and masks whose shapes do not fit each other. After an error the layer is as
#' it was.
#' @references Luong et al. (2015), Effective Approaches to Attention-based Neural
#'   Machine Translation, <https://arxiv.org/abs/1508.04025>;
#'   <https://keras.io/api/layers/attention_layers/attention/>
#' @seealso [layer_additive_attention()], [layer_multi_head_attention()]
#' @examples
#' set.seed(1)
#' query <- array(rnorm(2 * 3 * 4), c(2, 3, 4))
#' value <- array(rnorm(2 * 5 * 4), c(2, 5, 4))
#' layer <- layer_attention()
#' dim(layer(list(query, value)))
#'
#' padding <- matrix(c(TRUE, TRUE, TRUE, TRUE, TRUE, FALSE, TRUE, FALSE, TRUE, FALSE), 2)
#' result <- layer(list(query, value), mask = list(NULL, padding),
#'   return_attention_scores = TRUE
#' )
#' result[[2]][2, , ]
#' @export
layer_attention <- function(object, use_scale = FALSE, score_mode = "dot", dropout = 0,
                            seed = NULL, ...) {
  owner <- "layer_attention()"
  dots <- check_dots(owner, c(layer_dots, "activity_regularizer"), ...)
  seed <- check_seed(seed, owner)
  config <- list(
    use_scale = check_flag(use_scale, owner, "use_scale"),
    score_mode = check_string(score_mode, owner, "score_mode", c("dot", "concat")),
    dropout = check_number(dropout, owner, "dropout", 0, 1),
    seed = seed
  )
  layer <- new_layer("attention", config, dots, seed,
    activity_regularizer = as_regularizer(
      dots[["activity_regularizer"]], owner, "activity_regularizer"
    )
  )
  if (missing(object) || is.null(object)) layer else compose_layer(object, layer)
}

# The function that is the layer, for both layers without projections. A saved layer
# keeps this body, so all it does is to hand its arguments on.
scores_function <- function(self) {
  force(self)
  function(inputs, mask = NULL, training = NULL, return_attention_scores = FALSE,
           use_causal_mask = FALSE, ...) {
    call_scores(self, inputs, mask, training, return_attention_scores, use_causal_mask, ...)
  }
}

# Its first name is as that of call_heads().
call_scores <- function(` self`, inputs, mask, training, return_attention_scores, use_causal_mask,
                        ...) {
  if (...length()) {
    refuse_dots_of_layer()
  }
  if (missing(inputs)) {
    check_given(TRUE, ` self`$label, "inputs", "a list of arrays: query, value[, key]")
  }
  result <- .Call(
    ffi_scores_call, ` self`$handle, inputs, mask, return_attention_scores, training,
    use_causal_mask, session_settings$flash_attention
  )
  if (is.null(result)) {
    result <- call_scores_newly(
      ` self`, inputs, mask, return_attention_scores, training, use_causal_mask
    )
  }
  result
}

# A call of a form that the layer has no plan for yet, or one that is an error.
call_scores_newly <- function(self, inputs, mask, scores, training, causal) {
  owner <- self$label
  inputs <- check_input_list(inputs, owner)
  mask <- check_mask_list(mask, owner)
  scores <- check_flag(scores, owner, "return_attention_scores")
  causal <- check_flag(causal, owner, "use_causal_mask")
  training <- check_flag(training, owner, "training", null_ok = TRUE)
  if (is_symbolic_call(inputs, owner)) {
    return(scores_symbolic(self, inputs, mask, scores, causal, training))
  }
  scores_forward(self, inputs, mask, scores, causal, isTRUE(training))
}

# Two or three inputs, by position or by the names query, value and key -> a list
# with these names; without a key the third is NULL.
check_input_list <- function(inputs, owner) {
  if (!is.list(inputs) || is.object(inputs)) {
    abort_argument(owner, "inputs", "a list of arrays: query, value[, key]", inputs)
  }
  if (!(length(inputs) %in% 2:3)) {
    abort_argument(owner, "inputs", "a list of length 2 or 3: query, value[, key]",
      received = sprintf("a list of length %d", length(inputs))
    )
  }
  roles <- c("query", "value", "key")
  given <- names(inputs)
  if (is.null(given) || !any(nzchar(given))) {
    return(list(query = inputs[[1L]], value = inputs[[2L]], key = if (length(inputs) == 3L) {
      inputs[[3L]]
    }))
  }
  if (!setequal(given, roles[seq_along(inputs)])) {
    abort_argument(owner, "inputs", "named query, value[, key], or not at all",
      received = paste("the names", paste(encodeString(given, quote = "\""), collapse = ", "))
    )
  }
  list(query = inputs[["query"]], value = inputs[["value"]], key = inputs[["key"]])
}

check_mask_list <- function(mask, owner) {
  if (is.null(mask)) {
    return(NULL)
  }
  if (!is.list(mask) || is.object(mask)) {
    abort_argument(owner, "mask", "a list of two: query mask, value mask", mask)
  }
  if (!(length(mask) %in% 2:3)) {
    abort_argument(owner, "mask", "a list of length 2 or 3: query mask, value mask",
      received = sprintf("a list of length %d", length(mask))
    )
  }
  given <- names(mask)
  if (is.null(given) || !any(nzchar(given))) {
    return(list(query = mask[[1L]], value = mask[[2L]]))
  }
  given <- sub("_mask$", "", given)
  if (!setequal(given, c("query", "value", "key")[seq_along(mask)])) {
    abort_argument(owner, "mask", "named query, value[, key], or not at all",
      received = paste("the names", paste(encodeString(names(mask), quote = "\""), collapse = ", "))
    )
  }
  names(mask) <- given
  list(query = mask[["query"]], value = mask[["value"]])
}

scores_forward <- function(self, inputs, mask, scores, causal, training) {
  owner <- self$label
  query <- inputs$query
  value <- inputs$value
  key <- inputs$key
  geometry <- scores_geometry(
    self, check_input(query, owner, "query"), check_input(value, owner, "value"),
    if (!is.null(key)) check_input(key, owner, "key")
  )
  if (is.null(mask)) {
    mask <- list(query = implicit_mask(query), value = implicit_mask(value))
  }
  placed <- scores_masks(mask, geometry, owner)
  if (!self$built) {
    finished <- FALSE
    before <- fields_of(self)
    on.exit(if (!finished) suspendInterrupts(restore_fields(self, before)))
    build_native(self, geometry)
  }
  options <- list(
    causal = causal, window = 0L, dead_row = "shifted", training = training,
    scores = scores, reference = use_reference(self), projections = FALSE,
    mask_threshold = 0
  )
  result <- .Call(
    ffi_layer_forward, self$handle, list(query, value, key), geometry$order, 1L,
    placed$masks, placed$row_mask, options
  )
  result <- scores_result(self, result, geometry, mask$query, scores)
  finished <- TRUE
  if (is.null(self$activity_regularizer)) {
    form <- call_form(geometry, scores, training, causal, list(
      query_mask = mask$query, value_mask = mask$value, key_mask = NULL, attention_mask = NULL
    ))
    remember_plan(self, form, geometry, placed$masks, placed$row_mask, options, result)
  }
  result
}

scores_result <- function(self, result, geometry, output_mask, scores) {
  output <- result[[1L]]
  weights <- result[[2L]]
  if (!is.null(self$activity_regularizer)) {
    self$activity_losses <- activity_losses(
      self$activity_regularizer, c(list(output), if (scores) list(weights)), self$label
    )
  }
  if (!is.null(output_mask)) {
    attr(output, "keras_mask") <- output_mask
  }
  if (!scores) {
    return(output)
  }
  list(output, new_attn_scores(weights, geometry$n_batch, 1L, 1L, FALSE))
}

# Shapes of the inputs -> everything about the call that follows from them, kept
# for the next call with the same shapes.
scores_geometry <- function(self, query, value, key) {
  last <- self$geometry
  shapes <- list(query = query, value = value, key = key)
  if (self$built && !is.null(last) && identical(last$shapes, shapes)) {
    return(last)
  }
  owner <- self$label
  check_rank(query, owner, "query", 3L)
  check_same_rank(value, query, owner, "value")
  if (!is.null(key)) {
    check_same_rank(key, query, owner, "key")
    check_value_key_agree(value, key, owner)
  }
  rank <- length(query)
  leading <- seq_len(rank - 2L)
  if (!sizes_agree(query[leading], value[leading])) {
    abort_shape(owner, "value",
      paste(
        "an array that has the sizes of `query` in all dims but the last two; `query` has shape",
        format_shape(query)
      ),
      paste("shape", format_shape(value))
    )
  }
  key_or_value <- if (is.null(key)) value else key
  if (!sizes_agree(query[rank], key_or_value[rank])) {
    abort_shape(owner, if (is.null(key)) "value" else "key",
      sprintf("an array with the last dim of `query`, which is %d", query[rank]),
      paste("shape", format_shape(key_or_value))
    )
  }
  widths <- c(query[rank], value[rank], key_or_value[rank])
  if (self$built) {
    check_scale_width(self, query)
  }
  geometry <- list(
    shapes = shapes, rank = rank, widths = widths, order = seq_len(rank - 1L) - 1L,
    n_attention = 1L, n_batch = rank - 2L,
    extents = c(query[leading], 1L, query[rank - 1L], value[rank - 1L])
  )
  if (self$built) {
    self$geometry <- geometry
  }
  geometry
}

# The one weight here that depends on an input's last dim.
check_scale_width <- function(self, query) {
  width <- query[length(query)]
  if (self$kind == "additive_attention" && self$config$use_scale && !is.na(width) &&
    width != self$widths[1L]) {
    abort_shape(self$label, "query",
      sprintf("an array whose last dim is %d, as the layer was built for", self$widths[1L]),
      paste("shape", format_shape(query))
    )
  }
}

scores_masks <- function(mask, geometry, owner) {
  extents <- geometry$extents
  masks <- list()
  row_mask <- NULL
  if (!is.null(mask$value)) {
    component <- mask_component(mask$value, owner, "mask (value mask)", "key")
    masks <- list(place_score_mask(component, extents, owner))
  }
  if (!is.null(mask$query)) {
    component <- mask_component(mask$query, owner, "mask (query mask)")
    rows <- extents[c(seq_len(geometry$n_batch), geometry$n_batch + 2L)]
    row_mask <- place_row_mask(component, rows, owner)
  }
  list(masks = masks, row_mask = row_mask)
}

# Symbolic tensors in, symbolic tensors out; builds the layer.
scores_symbolic <- function(self, inputs, mask, scores, causal, training) {
  spec <- scores_spec(self, inputs, mask, scores)
  if (!self$built) {
    build_native(self, spec$geometry)
  }
  symbolic_outputs(self, spec, inputs, c(
    if (!is.null(mask)) list(mask = mask),
    list(return_attention_scores = scores, use_causal_mask = causal),
    if (!is.null(training)) list(training = training)
  ))
}

scores_spec <- function(self, inputs, mask, scores) {
  shapes <- lapply(inputs, function(x) if (!is.null(x)) dim(x))
  geometry <- scores_geometry(self, shapes$query, shapes$value, shapes$key)
  scores_masks(mask, geometry, self$label)
  list(
    geometry = geometry,
    output = scores_output_shape(shapes$query, shapes$value),
    scores = if (scores) geometry$extents[-(geometry$n_batch + 1L)]
  )
}

scores_output_shape <- function(query, value) {
  c(query[-length(query)], value[length(value)])
}
