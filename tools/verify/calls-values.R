# For calls.R: what the random calls are made of. Sourced by calls-worker.R.
#
# Values are made by functions of nothing, so that what one call does to a layer or an
# array is not there in the next one.

numbers <- function(...) {
  shape <- c(...)
  array(sin(seq_len(prod(shape))), shape)
}

made_layer <- function(make, shape = c(2L, 3L, 4L)) {
  function() {
    layer <- make()
    layer$build(shape)
    layer
  }
}

tensor_layers <- list(
  dense = made_layer(function() layer_dense(units = 2, kernel_regularizer = "l2")),
  norm = made_layer(function() layer_layer_normalization()),
  rms = made_layer(function() layer_rms_normalization()),
  conv = made_layer(function() layer_conv_1d(filters = 2, kernel_size = 2)),
  einsum = made_layer(function() layer_einsum_dense(
    equation = "abc,cd->abd", output_shape = list(NULL, 2)
  )),
  position = made_layer(function() layer_position_embedding(sequence_length = 3)),
  prelu = made_layer(function() layer_activation_parametric_relu()),
  encoder = made_layer(function() layer_transformer_encoder(intermediate_dim = 3, num_heads = 2)),
  decoder = made_layer(function() layer_transformer_decoder(intermediate_dim = 3, num_heads = 2)),
  distributed = made_layer(function() layer_time_distributed(layer = layer_dense(units = 2))),
  embedding = function() layer_embedding(input_dim = 5, output_dim = 2, mask_zero = TRUE),
  dropout = function() layer_dropout(rate = 0.5, seed = 1),
  flatten = function() layer_flatten(),
  lambda = function() layer_lambda(f = function(x) x + 1),
  softmax = function() layer_activation_softmax(),
  unbuilt = function() layer_dense(units = 2)
)
attention_layers <- list(
  mha = function() {
    layer <- layer_multi_head_attention(
      num_heads = 2, key_dim = 3, dropout = 0.2, seed = 1, kernel_regularizer = "l2"
    )
    layer$build(c(2, 3, 4), c(2, 5, 4))
    layer
  },
  gqa = function() {
    layer <- layer_group_query_attention(head_dim = 2, num_query_heads = 4, num_key_value_heads = 2)
    layer$build(c(2, 3, 4), c(2, 5, 4))
    layer
  },
  attention = function() layer_attention(use_scale = TRUE, score_mode = "concat"),
  additive = function() {
    layer <- layer_additive_attention()
    layer$build(list(c(2, 3, 4), c(2, 5, 4)))
    layer
  }
)

merge_layers <- list(
  add = function() layer_add(), concatenate = function() layer_concatenate(),
  dot = function() layer_dot(axes = 2)
)

# Models take some milliseconds to make: they are made once, and copied by R.
kept_bytes <- new.env()
copied <- function(name, make) {
  function() {
    if (is.null(kept_bytes[[name]])) assign(name, serialize(make(), NULL), envir = kept_bytes)
    unserialize(kept_bytes[[name]])
  }
}

models <- list(
  functional = copied("functional", function() {
    input <- keras_input(shape = c(3, 4), name = "x")
    hidden <- layer_multi_head_attention(num_heads = 2, key_dim = 2, name = "mha")(input, input)
    hidden <- layer_layer_normalization(hidden, name = "norm")
    keras_model(input, layer_dense(hidden, units = 2, name = "head"))
  }),
  two_inputs = copied("two_inputs", function() {
    a <- keras_input(shape = c(3, 4), name = "a")
    b <- keras_input(shape = c(5, 4), name = "b")
    out <- layer_attention(use_scale = TRUE)(list(a, b))
    keras_model(list(a = a, b = b), list(out = out, sum = layer_dense(out, units = 1)))
  }),
  sequential = copied("sequential", function() {
    model <- keras_model_sequential(input_shape = c(3, 4), name = "s")
    layer_dense(model, units = 3, activation = "relu", name = "one")
    layer_dense(model, units = 2, name = "two")
    model
  }),
  tokens = copied("tokens", function() {
    keras_model_sequential(layers = list(
      layer_embedding(input_dim = 5, output_dim = 2, mask_zero = TRUE), layer_dense(units = 2)
    ))
  }),
  empty = function() keras_model_sequential()
)

arrays <- list(
  x = function() numbers(2, 3, 4), y = function() numbers(2, 5, 4), matrix = function() numbers(2, 3),
  heads = function() numbers(2, 3, 2, 4), tokens = function() matrix(c(0:4, 1L), 2),
  mask = function() matrix(c(TRUE, FALSE), 2, 3), one = function() array(1, c(1, 1, 1)),
  with_mask = function() set_keras_mask(numbers(2, 3, 4), matrix(TRUE, 2, 3)),
  inputs = function() list(numbers(2, 3, 4), numbers(2, 5, 4)),
  pair = function() list(numbers(2, 3, 4), numbers(2, 3, 4)),
  named = function() list(a = numbers(2, 3, 4), b = numbers(2, 5, 4))
)

tensors <- list(
  input = function() keras_input(shape = c(3, 4)),
  batched = function() keras_input(batch_shape = c(2, 3, 4), name = "given"),
  output = function() layer_dense(keras_input(shape = c(3, 4)), units = 2),
  sum = function() keras_input(shape = 4) + 1,
  of_a_model = function() models$functional()$output,
  tensor_pair = function() list(keras_input(shape = c(3, 4)), keras_input(shape = c(3, 4)))
)

score_arrays <- list(
  scores = function() {
    attention_layers$mha()(numbers(2, 3, 4), numbers(2, 5, 4), return_attention_scores = TRUE)[[2]]
  },
  scores_without_heads = function() {
    layer_attention()(list(numbers(2, 3, 4), numbers(2, 5, 4)), return_attention_scores = TRUE)[[2]]
  }
)

small_objects <- list(
  info = function() attn_info(), projection = function() attention_layers$mha()$query_dense,
  initializer = function() initializer_glorot_normal(seed = 1),
  constant = function() initializer_constant(0.5),
  regularizer = function() regularizer_l1_l2(0.1, 0.2), constraint = function() constraint_maxnorm(2),
  layer_summary = function() summary(tensor_layers$dense()),
  model_summary = function() summary(models$functional()),
  score_summary = function() summary(score_arrays$scores()),
  config = function() get_config(tensor_layers$dense()),
  model_config = function() get_config(models$functional()),
  dict = function() serialize_keras_object(tensor_layers$norm()),
  weights = function() get_weights(tensor_layers$dense())
)

our_objects <- c(
  attention_layers, tensor_layers, merge_layers, models, tensors, score_arrays, small_objects
)

# ---- what is wrong in other ways than the values of helper-bad-input.R ----

odd_values <- list(
  self_naming = function() stats::setNames(list(1, 2), c(strrep("n", 1e5), "")),
  long_name = function() strrep("x", 1e5), newline = function() "a\nb\\\"`\u00e9",
  path_like = function() "../../a/b", format_like = function() "%s%n%d%999999d",
  forged_dim = function() structure(numeric(6), dim = c(2L, 3L)),
  huge_dims = function() c(46341L, 46341L, 2L), many_dims = function() rep(2L, 300),
  sparse_dims = function() array(0, c(1, 0, 2, 0, 3, 1)),
  big_list = function() as.list(1:3000), deep_list = function() {
    x <- list()
    for (i in 1:500) x <- list(x)
    x
  },
  side_effect = function() function(...) stats::runif(1),
  failing = function() function(...) stop("this function fails"),
  endless = function() function(x, ...) sys.function()(x, ...),
  returns_odd = function() function(...) quote(a$b),
  active = function() {
    e <- new.env()
    makeActiveBinding("shape", function() 1, e)
    e
  },
  locked = function() {
    e <- new.env()
    lockEnvironment(e)
    e
  },
  ts = function() stats::ts(1:3), table = function() table(1:3), bytecode = function() base::mapply,
  promise_like = function() quote(`my var`), missing_arg = function() list(quote(expr = )),
  names_na = function() stats::setNames(list(1, 2), c(NA, "")),
  attributes = function() structure(1, names = "a", dim = 1L, foo = list()),
  wide_integer = function() .Machine$integer.max, minus_zero = function() -0,
  denormal = function() 5e-324, latin = function() iconv("\u00e9", "UTF-8", "latin1"),
  bytes_string = function() `Encoding<-`("\xff", "bytes"),
  reversed = function() rev(numbers(2, 3, 4)), infinite_array = function() array(Inf, c(2, 3, 4)),
  huge_array_values = function() array(1e308, c(2, 3, 4)), nan_array = function() array(NaN, c(2, 3, 4)),
  integer_na_array = function() array(NA_integer_, c(2, 3, 4)),
  unclassed_layer = function() unclass(attention_layers$mha()),
  reclassed_layer = function() structure(tensor_layers$dense(), class = "attn_layer_attention"),
  lost_layer = function() unserialize(serialize(attention_layers$mha(), NULL, version = 2)),
  weird_model = function() structure(models$sequential(), class = c("attn_model", "attn_layer")),
  tensor_list = function() structure(list(1, 2), class = c("keras_tensor", "list")),
  config_unknown = function() list(class_name = "Dense", config = list(units = "a", foo = 1)),
  config_deep = function() list(class_name = "Sequential", config = list(layers = list(1))),
  config_loop = function() {
    dict <- serialize_keras_object(models$functional())
    dict$config$layers[[2]]$inbound_nodes <- dict$config$layers[[3]]$inbound_nodes
    dict
  }
)
if (requireNamespace("Matrix", quietly = TRUE)) {
  odd_values$dgCMatrix <- function() Matrix::Matrix(c(0, 0, 1, 0), 2, sparse = TRUE)
}
if (requireNamespace("R6", quietly = TRUE)) {
  odd_values$r6 <- function() R6::R6Class("R6Thing", list(shape = 1, get_config = function() 1))$new()
}
if (requireNamespace("data.table", quietly = TRUE)) {
  odd_values$data_table <- function() data.table::data.table(a = 1:3)
}
if (requireNamespace("bit64", quietly = TRUE)) {
  odd_values$integer64 <- function() bit64::as.integer64(2)^40
}

# ---- good values, by the argument's name ----

one_of <- function(...) {
  values <- list(...)
  function() values[[sample.int(length(values), 1L)]]
}
any_of <- function(thunks) function() thunks[[sample.int(length(thunks), 1L)]]()

good_flag <- one_of(TRUE, FALSE)
good_count <- one_of(1, 2, 3L)
good_fraction <- one_of(0, 0.1, 0.5)
good_initializer <- one_of("zeros", "ones", "he_normal", NULL)
good_array <- any_of(arrays[c("x", "y", "matrix", "heads", "with_mask")])
scratch_path <- function() {
  file.path(tempdir(), sample(c("m.keras", "w.weights.h5", "c.json", "w.safetensors", "f.txt"), 1L))
}

good_values <- list(
  x = good_array, object = any_of(c(arrays, tensors, models["sequential"])),
  inputs = any_of(c(arrays, tensors)), outputs = any_of(tensors), model = any_of(models),
  obj = any_of(our_objects), input_tensors = any_of(tensors), layer = any_of(tensor_layers),
  layers = function() list(layer_dense(units = 2), layer_flatten()), tensor = any_of(tensors),
  config = any_of(small_objects[c("config", "model_config", "dict")]),
  query = any_of(arrays[c("x", "heads")]), key = any_of(arrays[c("x", "y", "heads")]),
  value = any_of(arrays[c("x", "y", "heads")]), attention_mask = one_of(array(TRUE, c(2, 3, 5)), NULL),
  mask = any_of(c(arrays["mask"], function() NULL)), query_mask = one_of(matrix(TRUE, 2, 3), NULL),
  value_mask = one_of(matrix(TRUE, 2, 5), NULL), key_mask = one_of(matrix(TRUE, 2, 5), NULL),
  weights = any_of(small_objects["weights"]), filepath = scratch_path,
  shape = one_of(c(3, 4), 4, list(NULL, 4)), batch_shape = one_of(c(2, 3, 4), list(NULL, 4)),
  input_shape = one_of(c(3, 4), 4), query_shape = one_of(c(2, 3, 4), list(NULL, 3, 4)),
  value_shape = one_of(c(2, 5, 4), list(NULL, 5, 4)), key_shape = one_of(c(2, 5, 4)),
  target_shape = one_of(c(4, 3), 12, c(-1, 2)), output_shape = one_of(2, c(NA, 2), list(NULL, 2)),
  noise_shape = one_of(NULL, c(NA, 1, 4)), dims = one_of(c(2, 1)), axes = one_of(2, 1, c(1, 2)),
  axis = one_of(-1, 1, 2), name = one_of("a", "b c", NULL), dtype = one_of("float32", "float64"),
  activation = one_of("relu", "softmax", NULL), initializer = good_initializer,
  equation = one_of("abc,cd->abd", "ab,bc->ac", "...x,xy->...y"), bias_axes = one_of("d", "c", NULL),
  f = one_of(function(x) x * 2, function(x, mask) x), arguments = one_of(NULL, list()),
  clone_function = one_of(NULL, function(layer) layer$from_config(layer$get_config())),
  which = one_of(NULL, 1, "one"), from = one_of(NULL, 1), to = one_of(NULL, 1), index = one_of(1, 2),
  score_mode = one_of("dot", "concat"), padding = one_of("valid", "same", "causal"),
  data_format = one_of("channels_last", NULL), mode = one_of("fan_in", "rows"),
  distribution = one_of("uniform", "normal"), side = one_of("real", "imag"), seed = one_of(NULL, 1L),
  custom_objects = one_of(NULL, list()), kernel_regularizer = one_of("l2", NULL),
  kernel_constraint = one_of("nonneg", NULL), window = one_of("hann", NULL), n = one_of(1, 2),
  threshold = one_of(0, 0.5), epsilon = one_of(1e-3, 1e-5), attention_axes = one_of(1, NULL),
  attn_logits_soft_cap = one_of(NULL, 30), max_shard_size = one_of(NULL, 1),
  scale = one_of(1, 0.5, TRUE), bias = one_of(NULL, array(0, c(2, 2, 3, 3))), offset = one_of(0, 1),
  target = any_of(score_arrays), current = any_of(score_arrays)
)
counts <- c(
  "units", "filters", "kernel_size", "strides", "dilation_rate", "groups", "num_heads", "key_dim",
  "value_dim", "head_dim", "num_query_heads", "num_key_value_heads", "intermediate_dim",
  "input_dim", "output_dim", "sequence_length", "batch_size", "sliding_window"
)
flags <- c(
  "use_scale", "use_bias", "use_gate", "trainable", "sparse", "optional", "recursive", "periodic",
  "approximate", "normalize", "keepdims", "center", "mask_zero", "is_causal", "overwrite", "zipped",
  "skip_mismatch", "compile", "safe_mode", "rebuild", "normalize_first", "flash_attention",
  "training", "use_causal_mask", "return_attention_scores"
)
fractions <- c(
  "dropout", "rate", "alpha", "negative_slope", "gain", "mean", "stddev", "minval", "l1", "l2",
  "factor", "min_value", "mask_value", "b", "default_value"
)
good_values[counts] <- list(good_count)
good_values[flags] <- list(good_flag)
good_values[fractions] <- list(good_fraction)
good_values[c("max_value", "maxval", "max_wavelength", "scaling_factor")] <- list(one_of(1, 1e4))

# What the value of a given name must be for most calls to work at all.
good_value <- function(name) {
  make <- good_values[[name]]
  if (is.null(make) && grepl("_initializer$", name)) make <- good_initializer
  if (is.null(make) && grepl("_(regularizer|constraint)$", name)) make <- function() NULL
  if (is.null(make)) make <- any_of(c(arrays, one_of(NULL, 1, TRUE, "a")))
  make
}
