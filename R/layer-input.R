# The input layer: what keras_input() stands for among the layers of a model. Nobody
# calls it.

input_layer_kind <- tensor_kind(
  class_name = "InputLayer", constructor = "keras_input", prefix = "input_layer",
  fields = c("batch_shape", "dtype", "sparse", "ragged", "optional"),
  output_shape = function(self, shapes) self$config$batch_shape
)

new_input_layer <- function(batch_shape, dtype, name, optional) {
  self <- new.env(parent = emptyenv())
  self$kind <- "input_layer"
  self$class_name <- self$serialized_name <- "InputLayer"
  self$constructor <- "keras_input"
  self$calls <- "tensors"
  self$heads <- FALSE
  self$name <- if (is.null(name)) unique_name("input_layer") else name
  self$label <- sprintf("keras_input(), layer \"%s\"", self$name)
  self$dtype <- dtype
  self$trainable <- TRUE
  self$config <- list(
    batch_shape = batch_shape, dtype = dtype, sparse = FALSE, ragged = FALSE,
    optional = optional
  )
  self$shapes <- batch_shape
  self$weights <- list()
  self$built <- TRUE
  self
}
