# For handles.R: everything that the package can do, once, and the native calls that this
# makes. Its workers source it into an environment within the namespace of the package.

numbers <- function(...) {
  shape <- c(...)
  array(sin(seq_len(prod(shape))), shape)
}

# Results of all kinds of layers, models, files and functions, as plain R values: made to
# reach every routine of the shared library.
use_everything <- function(folder = tempfile("use")) {
  dir.create(folder)
  on.exit(unlink(folder, recursive = TRUE))
  set.seed(1)
  x <- numbers(2, 3, 4)
  y <- numbers(2, 5, 4)
  mask <- matrix(c(TRUE, TRUE, FALSE), 2, 3)
  mha <- layer_multi_head_attention(num_heads = 2, key_dim = 3, dropout = 0.2, seed = 1)
  gqa <- layer_group_query_attention(head_dim = 2, num_query_heads = 4, num_key_value_heads = 2)
  attention <- layer_attention(use_scale = TRUE, score_mode = "concat")
  results <- list(
    mha = mha(x, y), again = mha(x, y), trained = mha(x, y, training = TRUE),
    scores = mha(x, y, return_attention_scores = TRUE, query_mask = NULL),
    gqa = gqa(x, y, query_mask = mask), attention = attention(list(x, y)),
    masked = attention(list(x, y), mask = list(mask, matrix(TRUE, 2, 5))),
    once_more = attention(list(x, y)),
    additive = layer_additive_attention(list(x, y)), weights = get_weights(mha),
    dense = layer_dense(x, units = 2, activation = "gelu"),
    norm = layer_layer_normalization(x), conv = layer_conv_1d(x, filters = 2, kernel_size = 2),
    einsum = layer_einsum_dense(x, equation = "abc,cd->abd", output_shape = list(NULL, 2)),
    encoder = layer_transformer_encoder(x, intermediate_dim = 3, num_heads = 2),
    embedding = layer_embedding(matrix(0:3, 2), input_dim = 5, output_dim = 2),
    dropout = layer_dropout(rate = 0.5, seed = 1)(x, training = TRUE),
    lambda = layer_lambda(f = function(x) mha(x, x))(x),
    op = op_dot_product_attention(numbers(1, 3, 2, 4), numbers(1, 3, 2, 4), numbers(1, 3, 2, 4)),
    op_bias = op_dot_product_attention(numbers(1, 3, 2, 4), numbers(1, 3, 2, 4),
      numbers(1, 3, 2, 4),
      bias = numbers(1, 2, 3, 3), mask = array(TRUE, c(1, 1, 3, 3))
    ),
    gelu = activation_gelu(1:3), softmax = activation_softmax(matrix(1:4, 2)),
    normal = initializer_orthogonal(seed = 1)(c(3, 3)), summary = format(mha),
    copy = unserialize(serialize(mha, NULL))(x, y), threads = attn_threads(),
    info = names(attn_info()), summary_scores = format(summary(
      mha(x, y, return_attention_scores = TRUE)[[2]]
    ))
  )
  set_weights(mha, lapply(get_weights(mha), function(w) w * 2))
  c(results, list(doubled = mha(x, y)), use_models(x, folder))
}

use_models <- function(x, folder) {
  input <- keras_input(shape = c(3, 4))
  hidden <- layer_multi_head_attention(num_heads = 2, key_dim = 2)(input, input)
  model <- keras_model(input, layer_dense(hidden, units = 2))
  paths <- file.path(folder, c("m.keras", "m.weights.h5", "m.safetensors", "m.json"))
  save_model(model, paths[1])
  save_model_weights(model, paths[3])
  save_model_config(model, paths[4])
  loaded <- load_model(paths[1])
  load_model_weights(model, paths[3])
  list(
    model = model(x), again = model(x), predicted = predict(model, x, batch_size = 1),
    loaded = loaded(x), config = names(get_config(model)), clone = clone_model(model)$built,
    from_config = count_params(load_model_config(paths[4])), model_summary = format(summary(model))
  )
}

# The arguments of every .Call that `code` makes: a list for each routine, of at most
# `most` lists of arguments, each as different as its types, lengths and dims say.
record_calls <- function(code, most = 8L) {
  recorded <- new.env()
  space <- asNamespace("attn")
  # compiled code does not look for `.Call`, so the functions go without
  for (name in ls(space, all.names = TRUE)) without_bytecode(space, name)
  real <- base::.Call
  note <- function(name, given) {
    forms <- vapply(given, function(x) paste(typeof(x), length(x), list(dim(x))), "")
    known <- recorded[[name]]
    form <- paste(forms, collapse = ";")
    if (!(form %in% names(known)) && length(known) < most) {
      known[[form]] <- given
      assign(name, known, envir = recorded)
    }
  }
  replace_binding(baseenv(), ".Call", function(.NAME, ...) {
    if (is.list(.NAME) && startsWith(.NAME$name, "ffi_")) note(.NAME$name, list(...))
    real(.NAME, ...)
  })
  on.exit(replace_binding(baseenv(), ".Call", real))
  force(code)
  note_others(note)
  as.list(recorded)
}

# Routines that serve the tests, or of which R code calls only some.
note_others <- function(note) {
  layer <- layer_multi_head_attention(num_heads = 2, key_dim = 3)
  layer$build(c(2, 3, 4), c(2, 5, 4))
  handle <- layer_self(layer)$handle
  note("ffi_layer_weight_names", list(handle))
  note("ffi_layer_info", list(handle))
  note("ffi_calls_get", list(list(handle, NULL)))
  note("ffi_calls_set", list(list(handle), 3))
  note("ffi_elementary", list(c(-1, 0, 1), "exp", "float32"))
  note("ffi_elementary", list(c(-1, 0, 1), "tanh", "float64"))
  note("ffi_threads", list(2L))
}

plain_function <- function(f) {
  body(f) <- body(f)
  f
}

# A function, or a list that has some in it, such as the tables of layers.
without_bytecode <- function(space, name) {
  value <- get0(name, envir = space, inherits = FALSE)
  if (is.function(value) && !is.primitive(value)) {
    replace_binding(space, name, plain_function(value))
  } else if (is.list(value) && !is.object(value)) {
    replace_binding(space, name, rapply(value, plain_function, "function", how = "replace"))
  }
}

replace_binding <- function(space, name, value) {
  if (bindingIsLocked(name, space)) unlockBinding(name, space)
  assign(name, value, envir = space)
}

# The symbols of all routines that the shared library has registered, but for those without
# arguments (`ffi_memory`, `ffi_info`).
routines <- function() {
  found <- getDLLRegisteredRoutines("attn")$.Call
  found[vapply(found, function(one) one$numParameters > 0L, NA)]
}
