# Loads a model between two marks: files that are not there, and that a tracer sees opened.
library(attn)
path <- commandArgs(TRUE)[1L]
input <- keras_input(2, name = "x")
save_model(keras_model(input, layer_dense(input, 1)), path)
mark <- function(name) suppressWarnings(try(file(name, "r"), silent = TRUE))
# what is loaded once, also for a mark's message, is loaded now
invisible(load_model(path))
mark("attn-first")
mark("attn-begin")
invisible(load_model(path))
mark("attn-end")
