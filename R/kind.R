# What a kind of layer is. (The file comes before those of the layers, which use it while
# the package is put together; the table of kinds, table-of-kinds.R, comes after them.)

# A kind of layer is a list, made by tensor_kind():
#   class_name, serialized_name, module   Keras's names
#   constructor, prefix                   R's name; how unnamed layers are called
#   fields, required                      of its config, in Keras's order
#   many                                  whether it takes a list of tensors
#   call_arguments                        beyond `inputs`: "training" and, if it looks at
#                                         masks, "mask"
#   output_shape(self, shapes)            the result's shape, or an error about `inputs`
#   output_dtype(self, dtypes)            its dtype
#   input_dtype(self, x)                  what an array becomes in a call by itself
#   weights(self, shapes)                 weight_spec()s, in Keras's order
#   random                                whether it draws random numbers in training
#   after_build(self, shapes)             what building changes of the config
#   supports_masking                      else a mask that comes is lost, with a warning;
#                                         TRUE, FALSE or a function of `self`
#   output_mask(self, inputs, mask)       the result's mask, where it is not the input's
#   step(self, shapes, arguments)         list(operation, settings, text)
#   trace(tracer, self, inputs, arguments)   a list of values, where one step is not enough
#   write_config(self, config)            what get_config() makes of it, where that differs
#   read_config(config)                   a config as the constructor's arguments: axes count
#                                         from 1 there
# and, added to the list by the few kinds that need them,
#   registered_name                       by which Keras finds classes of other packages
#   check_arguments(self, shapes, arguments)   an error where they do not go together
#   shape_names                           names in a build_config of the shapes of a layer
#                                         that takes several inputs one by one
# `shapes` is a list of shapes, each an integer vector with NA for what is not known.

tensor_kind <- function(class_name, constructor, prefix, fields, output_shape, step = NULL,
                        required = character(), weights = NULL, many = FALSE,
                        call_arguments = "training", random = FALSE, supports_masking = TRUE,
                        serialized_name = class_name, module = "keras.layers",
                        output_dtype = function(self, dtypes) self$dtype,
                        input_dtype = array_dtype, after_build = NULL, output_mask = NULL,
                        trace = NULL, write_config = NULL, read_config = NULL) {
  list(
    class_name = class_name, serialized_name = serialized_name, module = module,
    constructor = constructor, prefix = prefix, heads = FALSE, calls = "tensors",
    fields = fields, required = required, many = many, call_arguments = call_arguments,
    output_shape = output_shape, output_dtype = output_dtype, weights = weights,
    input_dtype = input_dtype, after_build = after_build, random = random,
    supports_masking = supports_masking, output_mask = output_mask, step = step,
    write_config = write_config, read_config = read_config,
    trace = if (is.null(trace)) {
      function(tracer, self, inputs, arguments) trace_tensors(tracer, self, inputs, arguments)
    } else {
      trace
    }
  )
}

# What the numbers of an array become: a real number is of the layer's dtype.
array_dtype <- function(self, x) {
  if (is.logical(x)) "bool" else if (is.integer(x)) "int32" else self$dtype
}

# Keras's name of a class as it names layers and groups of files: "RepeatVector",
# "repeat_vector"; "GlobalAveragePooling1D", "global_average_pooling1d".
snake_case <- function(class_name) {
  name <- gsub("\\W+", "", class_name)
  name <- gsub("(.)([A-Z][a-z]+)", "\\1_\\2", name)
  lower_ascii(gsub("([a-z])([A-Z])", "\\1_\\2", name))
}
