# Rscript demo-model.R PICTURE.png: a Transformer that Keras has saved predicts without
# Python, and one that is built here goes through a file into another R process. demo.sh
# calls it.

library(attn)

picture <- commandArgs(TRUE)[1L]
milliseconds <- function(call) {
  call()
  1e3 * min(vapply(1:5, function(i) system.time(call())[["elapsed"]], 1))
}

# ---- A model from Python ------------------------------------------------------

cat("A Transformer encoder, trained nowhere, saved by Keras 3.16 as encoder.keras:\n\n")
model <- load_model(system.file("extdata", "encoder.keras", package = "attn"))
print(model)

texts <- rbind(c(8, 3, 6, 2), c(12, 12, 4, 9), c(15, 8, 0, 0)) # ids of tokens, 0 is padding
probabilities <- predict(model, texts)
cat("\nThree texts of token ids, and the probabilities of the model's three classes:\n\n")
print(cbind(texts, round(probabilities, 3)))
alone <- predict(model, texts[3L, , drop = FALSE])
cat(sprintf(
  "\nThe padded text alone gives the same: largest difference %.0e.\n",
  max(abs(alone - probabilities[3L, ]))
))

png(picture, width = 1400, height = 1800, res = 130)
plot(model)
invisible(dev.off())

# ---- A model from R -------------------------------------------------------------

set.seed(1)
encoder <- keras_model_sequential(input_shape = c(128, 256))
for (layer in 1:6) {
  layer_transformer_encoder(encoder, intermediate_dim = 1024, num_heads = 8)
}
layer_global_average_pooling_1d(encoder)
layer_dense(encoder, units = 10, activation = "softmax")
x <- array(rnorm(8 * 128 * 256), c(8, 128, 256))
cat(sprintf(
  "\nA Transformer of 6 layers, built here: %s parameters, %.0f ms for 8 sequences of 128 steps.\n",
  format(count_params(encoder), big.mark = ","), milliseconds(function() encoder(x))
))

file <- tempfile(fileext = ".safetensors")
save_model(encoder, file)
saveRDS(x, paste0(file, ".x.rds"))
elsewhere <- sprintf(
  "library(attn); x <- readRDS('%s.x.rds'); saveRDS(predict(load_model('%s'), x), '%s.y.rds')",
  file, file, file
)
status <- system2(file.path(R.home("bin"), "Rscript"), c("-e", shQuote(elsewhere)))
stopifnot(status == 0L)
cat(sprintf(
  "Saved as safetensors (%.0f MB), loaded and run in another R process: %s predictions.\n",
  file.size(file) / 1e6,
  if (identical(readRDS(paste0(file, ".y.rds")), predict(encoder, x))) "the same" else "OTHER"
))
