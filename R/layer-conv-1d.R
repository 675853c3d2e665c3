# layer_conv_1d(): convolution along the steps of sequences. In C: src/layers/conv1d.c.

conv_1d_kind <- tensor_kind(
  class_name = "Conv1D", constructor = "layer_conv_1d", prefix = "conv1d",
  fields = c(
    "filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "groups",
    "activation", "use_bias", "kernel_initializer", "bias_initializer", "kernel_regularizer",
    "bias_regularizer", "activity_regularizer", "kernel_constraint", "bias_constraint"
  ),
  required = c("filters", "kernel_size"), supports_masking = FALSE,
  write_config = function(self, config) {
    for (field in c("kernel_size", "strides", "dilation_rate")) {
      config[[field]] <- list(config[[field]])
    }
    config
  },
  output_shape = function(self, shapes) conv_1d_output_shape(self, shapes[[1L]]),
  weights = function(self, shapes) conv_1d_weights(self, shapes[[1L]]),
  step = function(self, shapes, arguments) {
    config <- self$config
    list(
      operation = "conv1d", text = activation_name(config$activation),
      settings = c(
        config$strides, config$dilation_rate, config$groups,
        match(config$padding, conv_paddings) - 1, config$data_format == "channels_first"
      )
    )
  }
)

# enum attn_padding (src/ops/conv1d.h)
conv_paddings <- c("valid", "same", "causal")

# The places of channels and steps in a shape.
conv_1d_axes <- function(self) {
  if (self$config$data_format == "channels_first") {
    list(channels = 2L, steps = 3L, order = "(batch, channels, steps)")
  } else {
    list(channels = 3L, steps = 2L, order = "(batch, steps, channels)")
  }
}

conv_1d_output_shape <- function(self, shape) {
  axes <- conv_1d_axes(self)
  config <- self$config
  check_tensor_rank(self, shape, 3L, axes$order, exactly = TRUE)
  check_conv_channels(self, shape, shape[axes$channels])
  steps <- shape[axes$steps]
  spread <- (config$kernel_size - 1) * config$dilation_rate
  starts <- if (config$padding == "valid") steps - spread else steps
  if (!is.na(starts) && starts < 1) {
    abort_shape(self$label, "inputs",
      sprintf("an array of at least %.0f steps, as the kernel has", spread + 1),
      paste("shape", format_shape(shape))
    )
  }
  shape[axes$steps] <- as.integer((starts - 1) %/% config$strides + 1)
  shape[axes$channels] <- config$filters
  shape
}

check_conv_channels <- function(self, shape, channels) {
  groups <- self$config$groups
  built_for <- if (self$built) self$weights[["kernel"]]$shape[2L] * groups else channels
  if (!sizes_agree(channels, built_for)) {
    abort_shape(self$label, "inputs",
      sprintf("an array of %d channels, as the layer was built for", built_for),
      paste("shape", format_shape(shape))
    )
  }
  if (!is.na(channels) && channels %% groups != 0L) {
    abort_shape(self$label, "inputs",
      sprintf("an array whose channels can be divided by `groups`, which is %d", groups),
      paste("shape", format_shape(shape))
    )
  }
}

conv_1d_weights <- function(self, shape) {
  config <- self$config
  channels <- shape[conv_1d_axes(self)$channels]
  if (is.na(channels)) {
    abort_shape(self$label, "inputs", "of a shape whose channels are known",
      paste("shape", format_shape(shape))
    )
  }
  kernel <- c(config$kernel_size, channels %/% config$groups, config$filters)
  depth <- if (config$groups == 1L) kernel[1L] * kernel[2L] else 0L
  c(
    list(weight_spec(self, "kernel", kernel, "kernel", depth = depth)),
    if (config$use_bias) list(weight_spec(self, "bias", config$filters, "bias"))
  )
}

#' Convolution along a sequence
#'
#' `activation(bias + sum of windows of the input times the kernel)`: output step t is made
#' of the `kernel_size` input steps from `(t - 1) * strides + 1` on, `dilation_rate` apart.
#'
#' @section Shapes:
#' Input `(batch, steps, channels)`, output `(batch, new_steps, filters)`; with
#' `data_format = "channels_first"` the last two axes of both change places. Weights:
#' `kernel` `(kernel_size, channels / groups, filters)` and, unless `use_bias = FALSE`,
#' `bias` `(filters)`.
#' @section Masks:
#' As in Keras the layer knows no masks: that of the input is lost, with a warning of class
#' `attn_warning_ignored`.
#'
#' @inheritParams layer_dense
#' @param filters The number of filters, the size of the output's channel axis.
#' @param kernel_size,strides,dilation_rate The length of the windows, the steps from one
#'   to the next, and the steps from one place of a window to the next: positive whole
#'   numbers. Not both `strides` and `dilation_rate` can be above 1.
#' @param padding `"valid"` (default): windows within the input; `"same"`: zeros on both
#'   sides, so that with `strides = 1` there are as many steps as before; `"causal"`: zeros in
#'   front, so that no output step knows of later input steps.
#' @param data_format `"channels_last"` or `"channels_first"`; `NULL` (default) is the
#'   first.
#' @param groups The number of groups that the channels are divided into, each with filters
#'   of its own; it divides `filters` and the channels.
#' @param ... `name`, `dtype` and `trainable` of the layer.
#' @section Errors:
#' `attn_error_argument` for an argument of another type or value than said;
#' `attn_error_shape` when the input has too few steps or other channels than the layer was
#' built for.
#' @references <https://keras.io/api/layers/convolution_layers/convolution1d/>
#' @examples
#' x <- array(rnorm(2 * 10 * 4), c(2, 10, 4))
#' dim(layer_conv_1d(x, filters = 3, kernel_size = 5))
#' dim(layer_conv_1d(x, filters = 3, kernel_size = 5, padding = "causal", activation = "relu"))
#' @export
layer_conv_1d <- function(object, filters, kernel_size, strides = 1L, padding = "valid",
                          data_format = NULL, dilation_rate = 1L, groups = 1L,
                          activation = NULL, use_bias = TRUE,
                          kernel_initializer = "glorot_uniform", bias_initializer = "zeros",
                          kernel_regularizer = NULL, bias_regularizer = NULL,
                          activity_regularizer = NULL, kernel_constraint = NULL,
                          bias_constraint = NULL, ...) {
  owner <- "layer_conv_1d()"
  check_given(missing(filters), owner, "filters", "a positive whole number")
  check_given(missing(kernel_size), owner, "kernel_size", "a positive whole number")
  dots <- check_layer_dots(owner, NULL, ...)
  activity <- as_regularizer(activity_regularizer, owner, "activity_regularizer")
  config <- list(
    filters = check_positive_int(filters, owner, "filters"),
    kernel_size = check_single_size(kernel_size, owner, "kernel_size"),
    strides = check_single_size(strides, owner, "strides"),
    padding = check_padding(padding, owner),
    data_format = check_data_format(data_format, owner),
    dilation_rate = check_single_size(dilation_rate, owner, "dilation_rate"),
    groups = check_positive_int(groups, owner, "groups"),
    activation = as_activation(activation, owner, "activation"),
    use_bias = check_flag(use_bias, owner, "use_bias"),
    kernel_initializer = as_initializer(kernel_initializer, owner, "kernel_initializer"),
    bias_initializer = as_initializer(bias_initializer, owner, "bias_initializer"),
    kernel_regularizer = as_regularizer(kernel_regularizer, owner, "kernel_regularizer"),
    bias_regularizer = as_regularizer(bias_regularizer, owner, "bias_regularizer"),
    activity_regularizer = activity,
    kernel_constraint = as_constraint(kernel_constraint, owner, "kernel_constraint"),
    bias_constraint = as_constraint(bias_constraint, owner, "bias_constraint")
  )
  check_conv_numbers(config, owner)
  dots["activity_regularizer"] <- list(activity)
  finish_layer(given_object(object), "conv_1d", config, dots)
}

check_conv_numbers <- function(config, owner) {
  if (config$filters %% config$groups != 0L) {
    abort_argument(owner, "groups",
      sprintf("a number that divides `filters`, which is %d", config$filters), config$groups
    )
  }
  if (config$strides > 1L && config$dilation_rate > 1L) {
    abort_argument(owner, "dilation_rate", "1 where `strides` is above 1", config$dilation_rate)
  }
}

# A positive whole number, or a list of one, as Keras's configs have it.
check_single_size <- function(x, owner, argument) {
  given <- x
  if (is.list(x) && !is.object(x) && length(x) == 1L && can_be_arguments(x)) {
    x <- x[[1L]]
  }
  if (!is_whole_number(x) || x < 1) {
    abort_argument(owner, argument, "a positive whole number", given)
  }
  as.integer(x)
}

# Keras does not mind capitals.
check_padding <- function(x, owner) {
  check_string(if (is_string(x)) lower_ascii(x) else x, owner, "padding", conv_paddings)
}
