# Constructors and calls of the layers of tensors, given every bad value.

flag <- c("true", "false")
finite <- c("minus_one", "zero", "half", "tiny", "two_31", "minus_two_31", "huge")
not_negative <- setdiff(finite, c("minus_one", "minus_two_31"))
functions <- c("null", "fun", "primitive")
arrays <- c(
  "matrix", "column", "array_1", "rank_4", "rank_20", "other_batch", "other_width",
  "forged_mask", "forged_mask_shape"
)
initializers <- c(functions, arrays)
regularizers <- c(functions, "list_class_name")
axes <- c("minus_one", "two", "eight", "list_1", "array_1", "pairlist", "list_named")
base <- list(
  name = c("null", "string"), dtype = "null", trainable = c("null", flag),
  activity_regularizer = regularizers
)
kernel <- list(
  kernel_initializer = initializers, bias_initializer = initializers,
  kernel_regularizer = regularizers, bias_regularizer = regularizers,
  kernel_constraint = functions, bias_constraint = functions
)
single <- c("list_1", "list_named", "pairlist")
pooling <- list(data_format = "null", keepdims = flag)

# constructor, arguments that work, and which bad values each argument takes
constructors <- list(
  list("layer_embedding", list(input_dim = 3, output_dim = 2), list(
    input_dim = character(), output_dim = character(), embeddings_initializer = initializers,
    embeddings_regularizer = regularizers, embeddings_constraint = functions,
    mask_zero = flag, weights = "null", lora_rank = "null", lora_alpha = "null"
  )),
  list("layer_activation", list(activation = "relu"), list(activation = "null")),
  list("layer_activation_relu", list(), list(
    max_value = c("null", not_negative), negative_slope = not_negative, threshold = not_negative
  )),
  list("layer_activation_leaky_relu", list(), list(negative_slope = not_negative)),
  list("layer_activation_elu", list(), list(alpha = finite)),
  list("layer_activation_parametric_relu", list(), list(
    alpha_initializer = initializers, alpha_regularizer = regularizers,
    alpha_constraint = functions, shared_axes = c("null", axes)
  )),
  list("layer_activation_softmax", list(), list(axis = axes)),
  list("layer_layer_normalization", list(), list(
    axis = axes, epsilon = not_negative, center = flag, scale = flag, rms_scaling = c("null", flag),
    beta_initializer = initializers, gamma_initializer = initializers,
    beta_regularizer = regularizers, gamma_regularizer = regularizers,
    beta_constraint = functions, gamma_constraint = functions
  )),
  list("layer_rms_normalization", list(), list(axis = axes, epsilon = not_negative)),
  list("layer_dropout", list(rate = 0.5), list(
    rate = c("zero", "tiny"), seed = c("null", "minus_one", "zero"),
    noise_shape = c(
      "null", "na", "na_real", "na_integer", "two", "eight", "with_na", "list_1", "list_null",
      "list_class_na",
      "list_named", "array_1", "pairlist", "too_wide"
    )
  )),
  list("layer_einsum_dense", list(equation = "ab,bc->ac", output_shape = 2), c(kernel, list(
    equation = character(), activation = "null", bias_axes = "null"
  ))),
  list("layer_conv_1d", list(filters = 2, kernel_size = 2), c(kernel, list(
    filters = character(), kernel_size = single, strides = single, dilation_rate = single,
    padding = character(), data_format = "null", groups = character(), activation = "null",
    use_bias = flag
  ))),
  list("layer_masking", list(), list(mask_value = finite)),
  list("layer_rescaling", list(scale = 2), list(
    scale = c(finite, "two", "eight", "named", "list_1", "array_1", "list_named", "too_wide",
      "pairlist"),
    offset = c(finite, "two", "eight", "named", "list_1", "array_1", "list_named", "too_wide",
      "pairlist")
  )),
  list("layer_global_average_pooling_1d", list(), pooling),
  list("layer_global_max_pooling_1d", list(), pooling)
)

test_that("constructors refuse bad arguments and draw no random number for them", {
  set.seed(1)
  rng <- function() get(".Random.seed", envir = globalenv())
  for (case in constructors) {
    accepts <- c(case[[3]], base)
    for (argument in names(accepts)) {
      bad <- bad_values()
      bad <- bad[setdiff(names(bad), accepts[[argument]])]
      none <- stats::setNames(list(character()), argument)
      sweep_arguments(get(case[[1]]), case[[1]], case[[2]], none, rng, bad)
      taken <- bad_values()[accepts[[argument]]]
      sweep_arguments(get(case[[1]]), case[[1]], case[[2]], accepts[argument], values = taken)
    }
  }
})

test_that("calls refuse bad inputs, masks and flags, and leave the layer as it was", {
  set.seed(1)
  x <- random_array(2, 3, 4)
  no_input <- c(
    "null", "string", "empty_string", "na_string", "bytes", "strings", "character_0", "list_0",
    "list_1", "list_null", "data_frame", "factor", "date", "complex", "raw", "fun", "symbol",
    "call", "environment", "pointer", "classed", "integer64", "text_array", "complex_array",
    "list_array", "forged_layer", "forged_tensor", "no_batch", "no_rows", "no_features",
    "rank_20", "other_width", "matrix"
  )
  values <- bad_values()
  for (case in constructors) {
    if (!(case[[1]] %in% c("layer_embedding", "layer_einsum_dense"))) {
      layer <- do.call(case[[1]], case[[2]])
      layer(x)
      snapshot <- function() layer_snapshot(layer, function(layer) layer(x))
      fits <- outcome(function() layer(values$matrix))$kind == "value"
      wide <- outcome(function() layer(values$other_width))$kind == "value"
      tried <- setdiff(no_input, c(if (fits) "matrix", if (wide) "other_width"))
      sweep_arguments(layer, case[[1]], list(inputs = x), list(inputs = character()), snapshot,
        values[tried]
      )
      accepts <- list(training = c("null", "true", "false"))
      sweep_arguments(layer, case[[1]], list(inputs = x), accepts, snapshot, values,
        aliases = "inputs"
      )
    }
  }
})

test_that("masks of pooling and softmax are refused where they do not fit", {
  x <- random_array(2, 3, 4)
  scalar <- c(
    "inf", "minus_inf", "minus_one", "zero", "half", "tiny", "two_31", "minus_two_31", "huge",
    "true", "false", "array_1"
  )
  pool <- layer_global_average_pooling_1d()
  sweep_arguments(pool, "pool", list(inputs = x), list(mask = c("null", "column", "matrix")),
    function() get_config(pool), nan_ok = "column"
  )
  softmax <- layer_activation_softmax()
  sweep_arguments(softmax, "softmax", list(inputs = x),
    list(mask = c("null", scalar, "column", "forged_scores", "forged_mask", "forged_mask_shape")),
    function() get_config(softmax)
  )
})
