# Shared by the tests of models in files.

# The three models of the fixtures, from R code.
model_from_code <- function(case) {
  args <- jsonlite::fromJSON(case$args)
  switch(case$kind,
    func_mha = func_mha_model(args), encoder = encoder_model(args), decoder = decoder_model(args)
  )
}

func_mha_model <- function(a) {
  q <- keras_input(c(a$T, a$dq), name = "q")
  v <- keras_input(c(a$S, a$dv), name = "v")
  k <- keras_input(c(a$S, a$dk), name = "k")
  attention <- layer_multi_head_attention(
    num_heads = a$H, key_dim = a$kd, value_dim = a$vd, output_shape = a$out, name = "attn"
  )
  head <- layer_dense(units = a$units, activation = "tanh", name = "head")
  keras_model(list(q, v, k), head(attention(q, v, k)), name = "func_mha")
}

encoder_model <- function(a) {
  tokens <- keras_input(a$T, dtype = "int32", name = "tokens")
  x <- layer_embedding(tokens, a$vocab, a$d, mask_zero = a$mask, name = "emb")
  mha <- layer_multi_head_attention(
    num_heads = a$H, key_dim = a$kd, value_dim = a$vd, name = "mha"
  )
  x <- layer_add(x, mha(x, x), name = "add1")
  x <- layer_layer_normalization(x, epsilon = 1e-6, name = "ln1")
  h <- layer_dense(x, a$ff, activation = "relu", name = "ff1")
  h <- layer_dense(h, a$d, name = "ff2")
  h <- layer_dropout(h, 0, name = "drop")
  x <- layer_add(x, h, name = "add2")
  x <- layer_layer_normalization(x, name = "ln2")
  x <- layer_global_average_pooling_1d(x, name = "pool")
  x <- layer_dense(x, a$ncls, activation = "softmax", name = "out")
  keras_model(tokens, x, name = "encoder")
}

decoder_model <- function(a) {
  tokens <- keras_input(a$T, dtype = "int32", name = "tokens")
  e <- layer_embedding(tokens, a$vocab, a$d, name = "emb")
  gqa <- layer_group_query_attention(
    head_dim = a$hd, num_query_heads = a$nq, num_key_value_heads = a$nkv,
    use_bias = a$bias, sliding_window = a$win, name = "gqa"
  )
  x <- layer_add(e, gqa(e, e, use_causal_mask = TRUE), name = "add")
  x <- layer_layer_normalization(x, name = "ln")
  att <- layer_attention(use_scale = TRUE, name = "att")(list(x, e))
  addatt <- layer_additive_attention(name = "addatt")(list(att, x, e))
  cat <- layer_concatenate(x, att, addatt, name = "cat")
  keras_model(tokens, layer_dense(cat, a$units, name = "logits"), name = "decoder")
}

# What a model gives for a case's inputs, without attributes of its own.
model_answer <- function(model, case) {
  inputs <- unname(case$inputs)
  plain(model(if (length(inputs) == 1L) inputs[[1L]] else inputs))
}

# A .keras file's bytes with another config. `change` is given the JSON text.
with_config <- function(bytes, change) {
  read <- read_keras_archive(bytes)
  path <- withr::local_tempfile(fileext = ".keras")
  write_keras_archive(path, change(read$config_json), read$weights$weights, read$weights$names)
  file_bytes(path)
}

# Without what Keras adds so that objects are made once: who shares them does not matter.
without_ids <- function(x) {
  if (is.list(x)) {
    keep <- if (is.null(names(x))) rep(TRUE, length(x)) else names(x) != "shared_object_id"
    x[keep] <- lapply(x[keep], without_ids)
    x <- x[keep]
  }
  x
}
