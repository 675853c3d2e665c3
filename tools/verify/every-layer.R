# One of each kind of layer, small, with an input: what the proofs that count memory,
# threads and changes of the session go through. Expects library(attn).

every_layer <- function() {
  x <- array(sin(seq_len(2 * 5 * 8)), c(2, 5, 8))
  y <- array(cos(seq_len(2 * 7 * 8)), c(2, 7, 8))
  flat <- array(sin(seq_len(2 * 8)), c(2, 8))
  ids <- matrix(0:9, 2)
  masked <- set_keras_mask(x, matrix(c(TRUE, TRUE, TRUE, FALSE, TRUE), 2, 5, byrow = TRUE))
  # what is made, and what it is called with
  entry <- function(make, ...) list(make = make, arguments = list(...))
  one <- function(constructor, input, ...) {
    arguments <- list(...)
    entry(function() do.call(constructor, arguments), input)
  }
  heads <- function(...) layer_multi_head_attention(num_heads = 2L, key_dim = 4L, seed = 1L, ...)
  list(
    multi_head_attention = entry(heads, x, y),
    multi_head_attention_scores = entry(heads, x, x, return_attention_scores = TRUE),
    multi_head_attention_dropout = entry(function() heads(dropout = 0.3), x, y, training = TRUE),
    multi_head_attention_masks = entry(heads, masked, masked, use_causal_mask = TRUE),
    multi_head_attention_float64 = entry(function() heads(dtype = "float64"), x, y),
    multi_head_attention_plain = entry(function() heads(flash_attention = FALSE), x, y),
    group_query_attention = entry(function() {
      layer_group_query_attention(
        head_dim = 3L, num_query_heads = 4L, num_key_value_heads = 2L, use_gate = TRUE
      )
    }, x, y),
    attention = one(layer_attention, list(x, y), use_scale = TRUE),
    attention_concat = one(layer_attention, list(x, y), score_mode = "concat"),
    additive_attention = one(layer_additive_attention, list(x, y)),
    dense = one(layer_dense, x, units = 3L, activation = "gelu"),
    einsum_dense = one(layer_einsum_dense, x, equation = "abc,cd->abd", output_shape = c(NA, 3L)),
    conv_1d = one(layer_conv_1d, x, filters = 3L, kernel_size = 3L),
    embedding = one(layer_embedding, ids, input_dim = 10L, output_dim = 4L, mask_zero = TRUE),
    position_embedding = one(layer_position_embedding, x, sequence_length = 5L),
    sine_position_encoding = one(layer_sine_position_encoding, x),
    rotary_embedding = one(layer_rotary_embedding, x),
    layer_normalization = one(layer_layer_normalization, x),
    rms_normalization = one(layer_rms_normalization, x),
    activation = one(layer_activation, x, activation = "softmax"),
    elu = one(layer_activation_elu, x), relu = one(layer_activation_relu, x),
    leaky_relu = one(layer_activation_leaky_relu, x),
    parametric_relu = one(layer_activation_parametric_relu, x),
    softmax = one(layer_activation_softmax, x),
    add = one(layer_add, list(x, x)), subtract = one(layer_subtract, list(x, x)),
    multiply = one(layer_multiply, list(x, x)), average = one(layer_average, list(x, x)),
    maximum = one(layer_maximum, list(x, x)), minimum = one(layer_minimum, list(x, x)),
    concatenate = one(layer_concatenate, list(x, x)), dot = one(layer_dot, list(x, x), axes = 3L),
    average_pooling = one(layer_global_average_pooling_1d, masked),
    max_pooling = one(layer_global_max_pooling_1d, x),
    dropout = entry(function() layer_dropout(rate = 0.4, seed = 2L), x, training = TRUE),
    masking = one(layer_masking, x), rescaling = one(layer_rescaling, x, scale = 2),
    flatten = one(layer_flatten, x), reshape = one(layer_reshape, x, target_shape = c(8L, 5L)),
    permute = one(layer_permute, x, dims = 2:1), identity = one(layer_identity, x),
    repeat_vector = one(layer_repeat_vector, flat, n = 3L),
    lambda = entry(function() layer_lambda(f = function(x) 2 * x), x),
    time_distributed = entry(function() {
      layer_time_distributed(layer = layer_dense(units = 3L))
    }, x),
    transformer_encoder = one(layer_transformer_encoder, masked,
      intermediate_dim = 6L, num_heads = 2L
    ),
    transformer_decoder = entry(function() {
      layer_transformer_decoder(intermediate_dim = 6L, num_heads = 2L)
    }, x, y)
  )
}

call_entry <- function(layer, entry) do.call(layer, entry$arguments, quote = TRUE)

# A model that has attention, an embedding, a mask, dropout and a dense layer.
small_model <- function() {
  tokens <- keras_input(5L, dtype = "int32", name = "tokens")
  x <- layer_embedding(tokens, 10L, 8L, mask_zero = TRUE)
  x <- layer_transformer_encoder(x, intermediate_dim = 6L, num_heads = 2L, dropout = 0.1)
  x <- layer_global_average_pooling_1d(x)
  keras_model(tokens, layer_dense(x, 3L, activation = "softmax"))
}

# Calls that must fail, each by itself. `layer` and `model` are alive and must stay as they
# are; `folder` is for files.
every_failure <- function(layer, model, folder) {
  x <- array(sin(seq_len(2 * 5 * 8)), c(2, 5, 8))
  weights <- get_weights(layer)
  wrong <- weights
  wrong[[1]] <- array(0, c(9, 2, 4))
  # one bit of the layer's own state, which begins with its signature
  damaged <- serialize(layer, NULL)
  state <- grepRaw("ATTNLAY1", damaged, fixed = TRUE)
  damaged[state + 300L] <- xor(damaged[state + 300L], as.raw(1))
  whole <- file.path(folder, "whole.safetensors")
  save_model(model, whole, overwrite = TRUE)
  cut <- file.path(folder, "cut.safetensors")
  writeBin(utils::head(readBin(whole, "raw", file.size(whole)), 100L), cut)
  flipped <- save_model(model)
  middle <- length(flipped) %/% 2L
  flipped[middle] <- xor(flipped[middle], as.raw(255))
  list(
    mask_shape = function() layer(x, x, attention_mask = array(TRUE, c(2, 3, 4))),
    mask_type = function() layer(x, x, value_mask = "a"),
    width = function() layer(x, array(0, c(2, 5, 9))),
    batch = function() layer(x, array(0, c(3, 5, 8))),
    rank = function() layer(x[1, , ], x[1, , ]),
    text = function() layer("a", "b"),
    id_not_there = function() model(matrix(99L, 2, 5)),
    id_missing = function() model(matrix(NA_integer_, 2, 5)),
    model_shape = function() model(matrix(1L, 2, 6)),
    predict_shape = function() predict(model, matrix(1L, 2, 6)),
    weights_number = function() set_weights(layer, weights[1]),
    weights_shape = function() set_weights(layer, wrong),
    weights_missing = function() set_weights(layer, lapply(weights, function(w) NA)),
    state_damaged = function() unserialize(damaged),
    file_cut = function() load_model(cut),
    file_flipped = function() load_model(flipped),
    file_not_there = function() load_model(file.path(folder, "nothing.keras")),
    config = function() from_config(list(class_name = "Nothing", config = list())),
    argument = function() layer_multi_head_attention(num_heads = 0, key_dim = 2),
    op_shape = function() op_dot_product_attention(x, x, x)
  )
}
