# Shared by the tests of the layers.

layer_constructors <- list(
  MultiHeadAttention = layer_multi_head_attention,
  GroupedQueryAttention = layer_group_query_attention,
  Attention = layer_attention,
  AdditiveAttention = layer_additive_attention
)

has_heads <- function(class_name) class_name %in% c("MultiHeadAttention", "GroupedQueryAttention")

fixture <- function(name) readRDS(test_path("fixtures", paste0(name, ".rds")))

make_layer <- function(class_name, config = list(), ...) {
  do.call(layer_constructors[[class_name]], c(list(NULL), config, list(...)))
}

build_for <- function(layer, class_name, inputs) {
  shapes <- unname(lapply(inputs, dim))
  if (has_heads(class_name)) do.call(layer$build, shapes) else layer$build(shapes)
  layer
}

golden_cases <- function() {
  do.call(c, lapply(c("mha", "gqa", "attention", "additive"), fixture))
}

# A layer with the case's weights, and its result as list(output, scores, mask).
run_case <- function(case, dtype, ...) {
  layer <- make_layer(case$layer, case$config, dtype = dtype, ...)
  build_for(layer, case$layer, case$inputs)
  set_weights(layer, unname(case$weights))
  list(layer = layer, result = call_case(layer, case))
}

call_case <- function(layer, case) {
  inputs <- case$inputs
  for (name in names(case$input_masks)) {
    inputs[[name]] <- set_keras_mask(inputs[[name]], case$input_masks[[name]])
  }
  call <- case$call
  result <- if (has_heads(case$layer)) {
    suppressWarnings(do.call(layer, c(inputs, call)), classes = "attn_warning")
  } else {
    masks <- list(call$query_mask, call$value_mask)
    call[c("query_mask", "value_mask")] <- NULL
    given <- !all(vapply(masks, is.null, NA))
    do.call(layer, c(list(unname(inputs)), if (given) list(mask = masks), call))
  }
  output <- if (is.list(result)) result[[1]] else result
  mask <- get_keras_mask(output)
  list(
    output = set_keras_mask(output, NULL), mask = mask,
    scores = if (is.list(result)) as.array(result[[2]])
  )
}

plain <- function(x) array(as.vector(x), dim(x))

random_array <- function(...) {
  shape <- c(...)
  array(stats::rnorm(prod(shape)), shape)
}

expect_attn_error <- function(object, subclass = NULL, regexp = NULL) {
  class <- if (is.null(subclass)) "attn_error" else paste0("attn_error_", subclass)
  expect_error(object, regexp, class = class)
}

# The case's outputs, mask and scores, within the tolerance of the precision.
expect_case <- function(case, dtype, ...) {
  got <- run_case(case, dtype, ...)$result
  size <- max(1, max(abs(case$output)))
  expected <- case$output
  tolerance <- if (dtype == "float64") case$tol * size else 2e-6 * size
  # Rows without a visible key really differ between the precisions here.
  if (dtype == "float32" && case$path == "subtract_1e9" && case$fully_masked_rows > 0) {
    expected <- case$output_float32
    tolerance <- 1e-5
  }
  label <- paste(case$id, dtype)
  expect_identical(dim(got$output), dim(expected), label = label)
  expect_lte(max(abs(got$output - expected)), tolerance, label = paste(label, "output"))
  expect_identical(got$mask, case$output_mask, label = paste(label, "output mask"))
  if (!is.null(case$scores)) {
    expect_identical(dim(got$scores), dim(case$scores), label = label)
    error <- max(abs(plain(got$scores) - case$scores))
    expect_lte(error, if (dtype == "float64") case$tol else 1e-5, label = paste(label, "scores"))
  }
}

# Equal after JSON, with the same fields in the same order.
expect_same_json <- function(object, json, label) {
  expect_equal(
    jsonlite::fromJSON(to_json(object), simplifyVector = FALSE),
    jsonlite::fromJSON(json, simplifyVector = FALSE),
    label = label
  )
}

layer_rows <- function(rows) Filter(function(row) row$layer %in% names(layer_constructors), rows)

configured_layer <- function(row) {
  layer <- make_layer(row$layer, jsonlite::fromJSON(row$args))
  shapes <- jsonlite::fromJSON(row$serialized)$build_config$shapes_dict
  if (!is.null(shapes)) {
    layer$build(shapes$query_shape, shapes$value_shape)
  }
  layer
}

# NumPy's broadcasting: aligned at the last dims.
broadcast_to <- function(x, shape) {
  from <- if (is.null(dim(x))) length(x) else dim(x)
  from <- c(rep(1L, length(shape) - length(from)), from)
  stopifnot(length(from) == length(shape), all(from == shape | from == 1))
  index <- Map(function(size, wanted) rep_len(seq_len(size), wanted), from, shape)
  array(do.call(`[`, c(list(array(x, from)), index, list(drop = FALSE))), shape)
}

broadcast_and <- function(x, y) {
  if (is.null(x)) {
    return(y)
  }
  rank <- max(length(dim(x)), length(dim(y)))
  pad <- function(a) c(rep(1L, rank - length(dim(a))), dim(a))
  shape <- pmax(pad(x), pad(y))
  array(broadcast_to(x, shape) & broadcast_to(y, shape), shape)
}

with_axis <- function(x, position) array(x, append(dim(x), 1L, after = position))

# Multi-head and grouped query attention on inputs of rank 3, written out.
# `visible` broadcasts to (B, N, T, S) or is NULL.
oracle_heads <- function(layer, query, value, key = value, visible = NULL, dead_row = "mean") {
  weights <- layer$weights
  project <- function(x, name) {
    kernel <- weights[[paste0(name, "/kernel")]]
    flat <- matrix(x, ncol = dim(x)[3]) %*% matrix(kernel, dim(kernel)[1])
    bias <- weights[[paste0(name, "/bias")]]
    if (!is.null(bias)) {
      flat <- sweep(flat, 2, as.vector(bias), `+`)
    }
    array(flat, c(dim(x)[1:2], dim(kernel)[-1]))
  }
  q <- project(query, "query")
  k <- project(key, "key")
  v <- project(value, "value")
  batch <- dim(q)[1]
  n_query <- dim(q)[2]
  heads <- dim(q)[3]
  shape <- c(batch, heads, n_query, dim(k)[2])
  visible <- if (is.null(visible)) array(TRUE, shape) else broadcast_to(visible, shape)
  scores <- array(0, shape)
  context <- array(0, c(batch, n_query, heads, dim(v)[4]))
  for (b in seq_len(batch)) for (n in seq_len(heads)) for (t in seq_len(n_query)) {
    group <- ceiling(n / (heads / dim(k)[3]))
    seen <- visible[b, n, t, ]
    logits <- matrix(k[b, , group, ], shape[4]) %*% q[b, t, n, ] / sqrt(dim(q)[4])
    p <- exp(logits - max(logits[seen], -Inf)) * seen
    p <- if (any(seen)) p / sum(p) else rep(if (dead_row == "mean") 1 / shape[4] else 0, shape[4])
    scores[b, n, t, ] <- p
    context[b, t, n, ] <- as.vector(p) %*% matrix(v[b, , group, ], shape[4])
  }
  if (!is.null(weights[["gate/kernel"]])) {
    context <- context / (1 + exp(-project(query, "gate")))
  }
  kernel <- weights[["attention_output/kernel"]]
  out <- dim(kernel)[-(1:2)]
  flat <- matrix(context, batch * n_query) %*% matrix(kernel, prod(dim(kernel)[1:2]))
  bias <- weights[["attention_output/bias"]]
  if (!is.null(bias)) {
    flat <- sweep(flat, 2, as.vector(bias), `+`)
  }
  list(output = array(flat, c(batch, n_query, out)), scores = scores)
}

# One of each kind.
all_layers <- function(...) {
  list(
    layer_multi_head_attention(num_heads = 2, key_dim = 3, ...),
    layer_group_query_attention(
      head_dim = 3, num_query_heads = 2, num_key_value_heads = 1, ...
    ),
    layer_attention(use_scale = TRUE, ...),
    layer_additive_attention(...)
  )
}

# Calls a layer of any kind on query and value.
call_layer <- function(layer, x, y = x, ...) {
  if ("inputs" %in% names(formals(layer))) layer(list(x, y), ...) else layer(x, y, ...)
}

# A built layer for inputs of width 4.
small_mha <- function(..., heads = 2) {
  layer <- layer_multi_head_attention(num_heads = heads, key_dim = 3, dtype = "float64", ...)
  layer$build(c(NA, NA, 4), c(NA, NA, 4))
  layer
}

make_gqa <- function(...) {
  given <- list(...)
  defaults <- list(head_dim = 3, num_query_heads = 4, num_key_value_heads = 2)
  do.call(
    layer_group_query_attention, c(given, defaults[setdiff(names(defaults), names(given))])
  )
}

# The query, value and key of Keras's own tests of correctness.
tiny_inputs <- function() {
  list(
    array(c(1, 0, 0, 1), c(1, 2, 2)), array(c(1, 3, 2, 4), c(1, 2, 2)),
    array(c(0, 1, 1, 0), c(1, 2, 2))
  )
}

# op_dot_product_attention(), written out.
oracle_op <- function(query, key, value, bias = NULL, mask = NULL, scale = NULL,
                      is_causal = FALSE, cap = NULL) {
  shape <- c(dim(query)[1], dim(query)[3], dim(query)[2], dim(key)[2])
  scale <- if (is.null(scale)) 1 / sqrt(dim(query)[4]) else scale
  bias <- if (is.null(bias)) array(0, shape) else broadcast_to(bias, shape)
  mask <- if (is.null(mask)) array(TRUE, shape) else broadcast_to(mask, shape) != 0
  out <- array(0, c(dim(query)[1:3], dim(value)[4]))
  for (b in seq_len(shape[1])) for (n in seq_len(shape[2])) for (t in seq_len(shape[3])) {
    g <- ceiling(n / (shape[2] / dim(key)[3]))
    logits <- scale * (matrix(key[b, , g, ], shape[4]) %*% query[b, t, n, ]) + bias[b, n, t, ]
    if (!is.null(cap)) logits <- cap * tanh(logits / cap)
    seen <- mask[b, n, t, ] & (!is_causal | seq_len(shape[4]) <= t)
    p <- if (any(seen)) exp(logits - max(logits[seen])) * seen else rep(1, shape[4])
    out[b, t, n, ] <- as.vector(p / sum(p)) %*% matrix(value[b, , g, ], shape[4])
  }
  out
}

# For the rest of the caller.
in_float64 <- function(env = parent.frame()) {
  old <- config_set_floatx("float64")
  withr::defer(config_set_floatx(old), envir = env)
}

# The array again, at another address.
copy_of <- function(x) {
  x[1] <- x[1] + 0
  x
}
