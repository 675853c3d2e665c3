# Everything else that is exported, given every bad value.

flag <- c("true", "false")
flag_or_null <- c("null", flag)
seeds <- c("null", "minus_one", "zero")
finite <- c("minus_one", "zero", "half", "tiny", "two_31", "minus_two_31", "huge")
not_negative <- setdiff(finite, c("minus_one", "minus_two_31"))
arrays <- c(
  "matrix", "column", "array_1", "rank_4", "rank_20", "other_batch", "other_width",
  "forged_mask", "forged_mask_shape"
)
empty_arrays <- c("numeric_0", "integer_0", "array_0", "no_batch", "no_rows", "no_features")
numbers <- c(
  finite, arrays, empty_arrays, "na_real", "na_integer", "nan", "inf", "minus_inf", "two",
  "eight", "with_na", "named", "too_wide"
)
# A billion numbers are all right where numbers are meant.
without_long <- function() bad_values()[setdiff(names(bad_values()), "long")]

test_that("constructors of initializers refuse bad arguments", {
  accepts <- list(
    initializer_constant = list(value = c(
      finite, arrays, "two", "eight", "named", "too_wide"
    )),
    initializer_glorot_uniform = list(seed = seeds),
    initializer_glorot_normal = list(seed = seeds),
    initializer_he_uniform = list(seed = seeds), initializer_he_normal = list(seed = seeds),
    initializer_lecun_uniform = list(seed = seeds), initializer_lecun_normal = list(seed = seeds),
    initializer_identity = list(gain = finite),
    initializer_orthogonal = list(gain = finite, seed = seeds),
    initializer_random_normal = list(mean = finite, stddev = not_negative, seed = seeds),
    initializer_truncated_normal = list(mean = finite, stddev = not_negative, seed = seeds),
    initializer_random_uniform = list(
      minval = c("minus_one", "zero", "tiny", "minus_two_31"), maxval = not_negative, seed = seeds
    ),
    initializer_stft = list(
      side = character(), scaling = "null", periodic = flag,
      window = c("null", finite, "two", "eight", "named", "array_1", "too_wide")
    ),
    initializer_variance_scaling = list(
      scale = setdiff(not_negative, "zero"), mode = character(), distribution = character(),
      seed = seeds
    )
  )
  for (name in names(accepts)) {
    sweep_arguments(get(name), name, list(), accepts[[name]], values = without_long())
  }
})

test_that("calls of initializers refuse bad arguments", {
  shapes <- c(
    "zero", "numeric_0", "integer_0", "two", "eight", "list_0", "list_1", "list_named",
    "pairlist", "array_1", "array_0"
  )
  axes <- c(
    "null", "minus_one", "zero", "list_1", "list_named", "pairlist", "array_1", "numeric_0",
    "integer_0", "list_0", "array_0"
  )
  for (name in ls(asNamespace("attn"), pattern = "^initializer_")) {
    make <- get(name, asNamespace("attn"))
    if (is.function(make) && name %in% getNamespaceExports("attn")) {
      own <- switch(name,
        initializer_stft = character(), initializer_identity = "two",
        initializer_orthogonal = c("two", "eight"), shapes
      )
      good <- if (name == "initializer_stft") c(4, 1, 3) else c(3, 4)
      axes_here <- c(axes, if (length(good) == 3) "two")
      sweep_arguments(
        make(), name, list(shape = good),
        list(shape = own, dtype = "null", input_axes = axes_here, output_axes = axes_here)
      )
    }
  }
})

test_that("constructors and calls of regularizers and constraints refuse bad arguments", {
  factors <- c("null", not_negative)
  axes <- c("null", "minus_one", "two", "eight", "array_1")
  makers <- list(
    regularizer_l1 = list(l1 = factors), regularizer_l2 = list(l2 = factors),
    regularizer_l1_l2 = list(l1 = factors, l2 = factors),
    regularizer_orthogonal = list(factor = not_negative, mode = character()),
    constraint_maxnorm = list(max_value = not_negative, axis = axes),
    constraint_minmaxnorm = list(
      min_value = c("zero", "tiny"), max_value = not_negative, rate = c("zero", "tiny"),
      axis = axes
    ),
    constraint_nonneg = list(), constraint_unitnorm = list(axis = axes)
  )
  # What arithmetic makes of NaN and of infinite norms is right, as in Keras.
  nan_ok <- c("nan", "inf", "minus_inf", "huge")
  for (name in names(makers)) {
    make <- get(name)
    sweep_arguments(make, name, list(), makers[[name]])
    accepts <- if (name == "regularizer_orthogonal") {
      list(x = c("matrix", "column"))
    } else if (startsWith(name, "regularizer")) {
      list(x = c(numbers, "forged_scores"))
    } else {
      list(w = numbers)
    }
    sweep_arguments(make(), name, list(), accepts, values = without_long(), nan_ok = nan_ok)
  }
})

test_that("op_dot_product_attention() refuses bad arguments", {
  good <- list(
    query = random_array(2, 3, 2, 4), key = random_array(2, 5, 2, 4),
    value = random_array(2, 5, 2, 3)
  )
  scalars <- c("null", "minus_one", "zero", "half", "tiny", "two_31", "minus_two_31", flag)
  broadcasting <- c("column", "array_1", "too_wide")
  accepts <- list(
    query = "rank_4", key = character(), value = character(),
    bias = c(scalars, "minus_inf", broadcasting),
    mask = c(scalars, "inf", "minus_inf", "huge", broadcasting),
    scale = setdiff(scalars, flag), is_causal = flag, flash_attention = flag_or_null,
    attn_logits_soft_cap = c("null", "half", "two_31")
  )
  # A bias of -Inf everywhere leaves nothing to take the mean of, as in Keras.
  sweep_arguments(
    op_dot_product_attention, "op_dot_product_attention", good, accepts,
    aliases = c("key", "value"), nan_ok = "minus_inf"
  )
  expect_refused(op_dot_product_attention(), "query")
  expect_refused(op_dot_product_attention(good$query, good$key), "value")
  expect_refused(do.call(op_dot_product_attention, c(good, maskk = 1)), "maskk")
  expect_refused(do.call(op_dot_product_attention, unname(c(good, as.list(1:9)))), "unnamed")
})

test_that("symbolic inputs refuse bad arguments", {
  unknown <- c("na", "na_real", "na_integer")
  shapes <- c(
    unknown, "two", "eight", "with_na", "list_1", "list_null", "list_named", "list_class_na",
    "pairlist", "array_1", "too_wide"
  )
  empty <- c("numeric_0", "logical_0", "integer_0", "list_0", "array_0")
  sweep_arguments(keras_input, "keras_input", list(shape = 3), list(
    shape = c(shapes, empty), batch_size = "null", dtype = "null", sparse = c("null", "false"),
    ragged = c("null", "false"), name = c("null", "string"), optional = flag
  ))
  sweep_arguments(
    keras_input, "keras_input", list(), list(batch_shape = shapes, tensor = character()),
    aliases = "shape"
  )
  x <- keras_input(3)
  expect_refused(keras_input(3, foo = 1), "foo")
  expect_refused(x$foo, "name")
  expect_refused(x[["foo", exact = TRUE]], "name")
  expect_refused(x[[1]], "i")
  expect_refused(x[[]], "i")
  expect_refused(x[1], "x")
  expect_refused(x$shape <- 1, "shape")
  expect_refused(x[["shape"]] <- 1, "shape")
})

test_that("masks, configs and settings of the session refuse bad arguments", {
  masks <- c(
    "null", "inf", "minus_inf", "minus_one", "zero", "half", "tiny", "two_31", "minus_two_31",
    "huge", flag, "flags", "two", "named", "matrix", "column", "array_1", "forged_scores",
    "forged_mask", "forged_mask_shape"
  )
  sweep_arguments(set_keras_mask, "set_keras_mask", list(
    x = random_array(2, 3, 4), mask = matrix(TRUE, 2, 3)
  ), list(mask = masks))
  sweep_arguments(set_keras_mask, "set_keras_mask", list(mask = NULL), list(x = c(
    "matrix", "column", "array_1", "array_0", "no_batch", "no_rows", "no_features", "rank_4",
    "rank_20", "other_batch", "other_width", "forged_mask", "forged_mask_shape", "forged_scores"
  )))
  settings <- function() list(config_floatx(), attn_threads(), config_is_flash_attention_enabled())
  set.seed(1)
  rng <- function() get(".Random.seed", envir = globalenv())
  sweep_arguments(
    config_set_floatx, "config_set_floatx", list(), list(value = character()), settings
  )
  sweep_arguments(attn_threads, "attn_threads", list(), list(n = "null"), settings)
  seeds_here <- bad_values()[setdiff(names(bad_values()), c("minus_one", "zero"))]
  sweep_arguments(
    set_random_seed, "set_random_seed", list(), list(seed = character()), rng, seeds_here
  )
  for (name in c("get_config", "get_weights", "count_params")) {
    sweep_arguments(get(name), name, list(), list(object = character()))
    expect_refused(get(name)(), "object")
  }
  expect_refused(set_weights(), "object")
  expect_refused(set_weights(1, list()), "object")
  expect_refused(set_weights(layer_attention()), "weights")
  sweep_arguments(from_config, "from_config", list(), list(config = character()), aliases = "class")
  config <- serialize_keras_object(layer_attention())
  sweep_arguments(
    deserialize_keras_object, "deserialize_keras_object", list(config = config),
    list(custom_objects = c("null", "list_0"), safe_mode = flag)
  )
})

test_that("what no object can be made from is refused, part by part", {
  dict <- serialize_keras_object(layer_attention(name = "a"))
  make <- function(...) deserialize_keras_object(list(...))
  sweep_arguments(make, "deserialize_keras_object", dict, list(
    class_name = character(), config = "list_0", build_config = "null"
  ), aliases = c("config", "query_shape"))
  dict <- serialize_keras_object(initializer_constant(array(1:4, c(2, 2))))
  make <- function(value) {
    deserialize_keras_object(list(
      module = "keras.initializers", class_name = "Constant", config = list(value = value)
    ))
  }
  sweep_arguments(
    make, "deserialize_keras_object", list(),
    list(value = c(finite, arrays, "two", "eight", "named", "too_wide")),
    values = without_long()
  )
  refused <- setdiff(names(bad_values()), names(Filter(
    function(value) is.null(value) || (is.atomic(value) && !is.object(value)) ||
      (is.list(value) && !is.object(value)),
    bad_values()
  )))
  for (name in refused) {
    expect_refused(serialize_keras_object(bad_values()[[name]]), "obj", name)
    expect_refused(deserialize_keras_object(bad_values()[[name]]), "config", name)
  }
})

test_that("scores are drawn and summarized only with good arguments", {
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off())
  x <- random_array(2, 3, 4)
  scores <- layer_attention()(list(x, random_array(2, 5, 4)), return_attention_scores = TRUE)[[2]]
  texts <- c("null", "string", "empty_string", "symbol", "call", "formula", "expression")
  colors <- c("half", "tiny", "column", "array_1", "rank_20")
  sweep_arguments(plot, "plot", list(x = scores), list(
    batch = "array_1", heads = c("null", "column", "array_1"), query_labels = "null",
    key_labels = c("null", "too_wide"), main = texts, xlab = texts, ylab = texts,
    zlim = c("null", "two", "named"), max_labels = character(), legend = flag,
    cex = "half", font.main = character(), col.lab = colors, bg = colors
  ))
  sweep_arguments(plot, "plot", list(x = scores), list(palette = c(
    "two", "eight", "named", "matrix", "rank_4", "other_batch", "other_width", "too_wide",
    "forged_mask", "forged_mask_shape"
  )))
  expect_refused(plot(scores, foo = 1), "foo")
  sweep_arguments(summary, "summary", list(object = scores), list(top = character()))
  sweep_arguments(format, "format", list(x = scores), list(digits = character()))
  sweep_arguments(as.data.frame, "as.data.frame", list(x = scores), list(
    row.names = "null", query_labels = "null", key_labels = c("null", "too_wide")
  ))
  expect_refused(as.data.frame(scores, key_label = 1), "key_label")
})

test_that("functions refuse arguments that they do not have", {
  # the one argument that some need
  first <- list(
    op_dot_product_attention = list(1, 2, 3), keras_input = list(1),
    set_keras_mask = list(1, 2), get_keras_mask = list(1), get_weights = list(1),
    set_weights = list(1, 2), count_params = list(1), get_config = list(1),
    from_config = list(1), serialize_keras_object = list(1), deserialize_keras_object = list(1),
    config_set_floatx = list("float32"), set_random_seed = list(1)
  )
  exported <- setdiff(getNamespaceExports("attn"), "tidy")
  exported <- exported[!startsWith(exported, "layer_") & !startsWith(exported, ".")]
  for (name in exported) {
    f <- getExportedValue("attn", name)
    if ("..." %in% names(formals(f))) {
      misnamed <- c(first[[name]], list(no_such_argument = 1))
      expect_refused(do.call(f, misnamed), "no_such_argument", name)
      surplus <- c(first[[name]], as.list(1:20))
      expect_refused(do.call(f, surplus), "unnamed value", name)
    } else {
      fail(sprintf("%s() lets R's own error about unused arguments through", name))
    }
  }
  for (object in list(initializer_ones(), regularizer_l1(), constraint_nonneg())) {
    expect_refused(object(1, no_such_argument = 1), "no_such_argument")
    expect_refused(object(), "", "a call without arguments")
  }
})
