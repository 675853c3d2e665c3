# R -f builds-calls.R [--args FILE]: calls every layer, a model, files, activations and
# initializers, and what must fail. Says how many calls it was, and leaves in FILE the bits of
# all results, with the texts of the errors.
suppressPackageStartupMessages(library(attn))
source(file.path(Sys.getenv("ATTN_ROOT"), "tools/verify/every-layer.R"))
output <- commandArgs(TRUE)

results <- list()
calls <- 0L
keep <- function(name, value) {
  calls <<- calls + 1L
  results[[name]] <<- value
}
plain <- function(x) if (is.list(x)) lapply(x, plain) else as.vector(x)

set_random_seed(1L)
entries <- every_layer()
for (name in names(entries)) {
  entry <- entries[[name]]
  layer <- entry$make()
  keep(paste(name, "call"), plain(call_entry(layer, entry)))
  keep(paste(name, "again"), plain(call_entry(layer, entry)))
  weights <- get_weights(layer)
  set_weights(layer, weights)
  keep(paste(name, "weights"), weights)
  restored <- unserialize(serialize(layer, NULL))
  keep(paste(name, "restored"), plain(call_entry(restored, entry)))
  if (!name %in% c("lambda")) {
    keep(paste(name, "config"), class(deserialize_keras_object(serialize_keras_object(layer))))
  }
}
invisible(gc())

model <- small_model()
tokens <- matrix(c(1:4, 0L, 5:9), 2, 5, byrow = TRUE)
keep("model", plain(model(tokens)))
keep("predict", plain(predict(model, tokens)))
keep("training", plain(model(tokens, training = TRUE)))
folder <- tempfile("files")
dir.create(folder)
for (format in c("safetensors", "keras")) {
  file <- file.path(folder, paste0("model.", format))
  saved <- try(save_model(model, file), silent = TRUE)
  if (!inherits(saved, "try-error")) {
    keep(paste("load", format), plain(predict(load_model(file), tokens)))
  }
}
encoder <- load_model(system.file("extdata", "encoder.keras", package = "attn"))
keep("encoder", lapply(get_weights(encoder), plain))

scores <- layer_multi_head_attention(num_heads = 2L, key_dim = 4L, seed = 1L)
keep("scores", tidy(
  scores(entries[[1]]$arguments[[1]], entries[[1]]$arguments[[1]],
    return_attention_scores = TRUE
  )[[2]]
))
query <- array(sin(seq_len(2 * 5 * 2 * 4)), c(2, 5, 2, 4))
keep("op", plain(op_dot_product_attention(query, query, query, is_causal = TRUE)))

numbers <- matrix(c(-2, -0.5, 0, 0.25, 3, 40, -1, 1), 2)
for (name in grep("^activation_", getNamespaceExports("attn"), value = TRUE)) {
  fun <- getExportedValue("attn", name)
  arguments <- if (name == "activation_threshold") list(numbers, 0.5, 1) else list(numbers)
  keep(name, plain(do.call(fun, arguments)))
}
for (name in c(
  "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "lecun_normal",
  "lecun_uniform", "orthogonal", "random_normal", "random_uniform", "truncated_normal",
  "variance_scaling"
)) {
  make <- getExportedValue("attn", paste0("initializer_", name))
  keep(paste("initializer", name), plain(make(seed = 3L)(c(4L, 4L))))
}

layer <- entries[[1]]$make()
invisible(call_entry(layer, entries[[1]]))
failures <- every_failure(layer, model, folder)
for (name in names(failures)) {
  keep(paste("failure:", name), tryCatch(
    {
      failures[[name]]()
      "no error"
    },
    error = function(e) sub(folder, "", conditionMessage(e), fixed = TRUE)
  ))
}
unlink(folder, recursive = TRUE)
rm(layer, model, encoder)
invisible(gc())

# names in the order of no locale
results <- results[order(names(results), method = "radix")]
if (length(output) > 0L) {
  # the same bytes for the same bits: without what tells how R holds them
  saveRDS(rapply(results, function(x) if (is.double(x)) c(x) else x, how = "replace"), output[1L])
}
cat(calls, "calls\n")
