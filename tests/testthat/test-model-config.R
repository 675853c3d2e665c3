config_json <- function(model) jsonlite::parse_json(save_model_config(model))

small_model <- function(name = NULL, units = 2) {
  input <- keras_input(4, name = "x")
  keras_model(input, layer_dense(input, units, name = "d"), name = name)
}

member <- function(config, name) {
  names <- vapply(config$layers, function(layer) layer$name, "")
  config$layers[[which(names == name)]]
}

dict_of <- function(model) jsonlite::parse_json(save_model_config(model))

history <- function(tensor) tensor$config$keras_history

# A model's dict with one of its layers changed.
with_layer <- function(dict, name, change) {
  at <- which(vapply(dict$config$layers, function(layer) layer$name, "") == name)
  dict$config$layers[[at]] <- change(dict$config$layers[[at]])
  dict
}

# The model after its config was written and read, with the same weights.
read_again <- function(model) {
  other <- from_config(save_model_config(model))
  expect_identical(get_config(other), get_config(model))
  set_tree_values(weight_tree(layer_self(other)), tree_values(weight_tree(layer_self(model))))
  other
}

test_that("the config of a model is Keras's", {
  config <- get_config(small_model("m"))
  expect_identical(names(config), c("name", "trainable", "layers", "input_layers", "output_layers"))
  expect_identical(config$input_layers, list("x", 0L, 0L))
  expect_identical(config$output_layers, list("d", 0L, 0L))
  expect_identical(config$layers[[1]], list(
    module = "keras.layers", class_name = "InputLayer",
    config = list(
      batch_shape = list(NULL, 4L), dtype = "float32", sparse = FALSE, ragged = FALSE,
      name = "x", optional = FALSE
    ),
    registered_name = NULL, name = "x", inbound_nodes = list()
  ))
  dense <- config$layers[[2]]
  expect_identical(
    names(dense),
    c("module", "class_name", "config", "registered_name", "build_config", "name", "inbound_nodes")
  )
  expect_identical(dense$build_config, list(input_shape = list(NULL, 4L)))
  expect_identical(dense$inbound_nodes[[1]]$args[[1]], list(
    class_name = "__keras_tensor__",
    config = list(shape = list(NULL, 4L), dtype = "float32", keras_history = list("x", 0L, 0L))
  ))
  dict <- serialize_keras_object(small_model("m"))
  expect_identical(dict$module, "keras.src.models.functional")
  expect_identical(dict$registered_name, "Functional")
  expect_identical(dict["build_config"], list(build_config = list(input_shape = NULL)))
  expect_match(write_json(dict), "\"compile_config\": {}", fixed = TRUE)
})

test_that("from_config() makes a model from its config, bare, with its class, or as JSON", {
  model <- small_model("m")
  for (config in list(
    get_config(model), serialize_keras_object(model), save_model_config(model),
    write_json(get_config(model))
  )) {
    other <- from_config(config)
    expect_identical(get_config(other), get_config(model))
    set_tree_values(weight_tree(layer_self(other)), tree_values(weight_tree(layer_self(model))))
    x <- random_array(3, 4)
    expect_identical(other(x), model(x))
  }
  expect_identical(get_config(deserialize_keras_object(serialize_keras_object(model))),
    get_config(model)
  )
})

test_that("layers that are shared are made once, their calls numbered as they were made", {
  a <- keras_input(4, name = "a")
  b <- keras_input(4, name = "b")
  shared <- layer_dense(units = 4, name = "shared")
  first <- shared(a)
  second <- shared(b)
  third <- shared(second)
  outside <- shared(keras_input(4)) # not of the model
  last <- shared(third)
  model <- keras_model(list(a, b), list(first, last), name = "m")
  config <- get_config(model)
  expect_identical(length(config$layers), 3L)
  nodes <- member(config, "shared")$inbound_nodes
  expect_identical(lapply(nodes, function(node) history(node$args[[1]])), list(
    list("a", 0L, 0L), list("b", 0L, 0L), list("shared", 1L, 0L), list("shared", 2L, 0L)
  ))
  expect_identical(config$output_layers, list(list("shared", 0L, 0L), list("shared", 3L, 0L)))
  other <- from_config(save_model_config(model))
  expect_identical(get_config(other), config)
  set_tree_values(weight_tree(layer_self(other)), tree_values(weight_tree(layer_self(model))))
  x <- list(random_array(2, 4), random_array(2, 4))
  expect_identical(other(x), model(x))
})

test_that("models within models have their own layers", {
  inner <- small_model("inner", units = 4)
  x <- keras_input(4, name = "top")
  twice <- inner(inner(x))
  model <- keras_model(x, list(twice, layer_dense(twice, 3, name = "end")), name = "outer")
  config <- get_config(model)
  part <- member(config, "inner")
  expect_identical(part$class_name, "Functional")
  expect_identical(part$config, get_config(inner))
  expect_identical(history(part$inbound_nodes[[2]]$args[[1]]), list("inner", 0L, 0L))
  # as an output Keras counts a functional model's calls from 1
  expect_identical(config$output_layers[[1]], list("inner", 2L, 0L))
  expect_identical(history(member(config, "end")$inbound_nodes[[1]]$args[[1]]),
    list("inner", 1L, 0L)
  )
  other <- from_config(save_model_config(model))
  expect_identical(get_config(other), config)
  set_tree_values(weight_tree(layer_self(other)), tree_values(weight_tree(layer_self(model))))
  values <- random_array(2, 4)
  expect_identical(other(values), model(values))
})

test_that("arguments of calls are kept: masks, flags, tensors and arrays", {
  x <- keras_input(c(3, 4), name = "x")
  mask <- keras_input(c(3, 3), dtype = "bool", name = "pairs")
  mha <- layer_multi_head_attention(num_heads = 2, key_dim = 2, name = "mha")
  y <- mha(x, x, attention_mask = mask, use_causal_mask = TRUE, return_attention_scores = TRUE)
  att <- layer_attention(name = "att")
  z <- att(list(y[[1]], x), use_causal_mask = TRUE)
  model <- keras_model(list(x, mask), list(z, y[[2]]), name = "m")
  config <- get_config(model)
  kwargs <- member(config, "mha")$inbound_nodes[[1]]$kwargs
  expect_identical(history(kwargs$attention_mask), list("pairs", 0L, 0L))
  expect_true(kwargs$use_causal_mask)
  expect_true(kwargs$return_attention_scores)
  expect_identical(member(config, "att")$inbound_nodes[[1]]$kwargs, list(use_causal_mask = TRUE))
  expect_length(member(config, "att")$inbound_nodes[[1]]$args, 1L)
  expect_identical(config$output_layers[[2]], list("mha", 0L, 1L))
  other <- from_config(save_model_config(model))
  expect_identical(get_config(other), config)
  set_tree_values(weight_tree(layer_self(other)), tree_values(weight_tree(layer_self(model))))
  given <- list(random_array(2, 3, 4), array(c(TRUE, TRUE, FALSE), c(2, 3, 3)))
  expect_identical(other(given), model(given))
})

test_that("arguments by name, in another order of layers, or of older versions are read", {
  model <- small_model("m")
  dict <- dict_of(model)
  by_name <- with_layer(dict, "d", function(layer) {
    layer$inbound_nodes[[1]]$kwargs <- list(inputs = layer$inbound_nodes[[1]]$args[[1]])
    layer$inbound_nodes[[1]]$args <- list()
    layer
  })
  expect_identical(get_config(from_config(by_name)), get_config(model))
  reversed <- dict
  reversed$config$layers <- rev(reversed$config$layers)
  expect_identical(get_config(from_config(reversed)), get_config(model))
  # Keras 3.0 wrote lists of one tensor, and fewer fields
  older <- with_layer(dict, "d", function(layer) {
    layer$config$quantization_config <- NULL
    layer$config$dtype <- "float32"
    layer
  })
  older <- with_layer(older, "x", function(layer) {
    layer$config[c("ragged", "optional")] <- NULL
    layer
  })
  older$config$input_layers <- list(list("x", 0L, 0L))
  read <- from_config(older)
  expect_identical(get_config(read)$layers, get_config(model)$layers)
  expect_identical(get_config(read)$input_layers, list(list("x", 0L, 0L)))
  # calls as Keras 2 wrote them
  oldest <- with_layer(dict, "d", function(layer) {
    layer$inbound_nodes <- list(list(list("x", 0L, 0L, structure(list(), names = character()))))
    layer
  })
  expect_identical(get_config(from_config(oldest)), get_config(model))
})

test_that("classes that are code, unknown or somebody's own are refused by name", {
  dict <- dict_of(small_model("m"))
  refused <- function(regexp, ...) {
    changed <- with_layer(dict, "d", function(layer) utils::modifyList(layer, list(...)))
    expect_attn_error(from_config(changed), "config", regexp)
  }
  refused("\"Lambda\".*code", class_name = "Lambda")
  refused("\"TFOpLambda\".*code", class_name = "TFOpLambda")
  refused("\"TorchModuleWrapper\"", class_name = "TorchModuleWrapper")
  refused("\"Dense3000\".*not known", class_name = "Dense3000")
  refused("\"Dense\" of the module \"os\"", module = "os")
  refused("\"Dense\" of the module \"keras2evil", module = "keras2evil.layers")
  refused("\"Dense\".*somebody's own", registered_name = "mine>Dense")
  refused("\"system\"", class_name = "system", module = "keras.layers")
  # anywhere in it
  within <- function(field, value) {
    changed <- with_layer(dict, "d", function(layer) {
      layer$config[[field]] <- value
      layer
    })
    expect_attn_error(from_config(changed), "config", "code|not known|not Keras")
  }
  within("activation", list(
    module = "builtins", class_name = "function", config = "eval", registered_name = "function"
  ))
  within("activation", list(class_name = "__lambda__", config = list(value = "code")))
  within("kernel_initializer", list(
    module = "os", class_name = "Zeros", config = list(), registered_name = NULL
  ))
  within("kernel_regularizer", list(class_name = "Popen", config = list()))
  node <- with_layer(dict, "d", function(layer) {
    layer$inbound_nodes[[1]]$kwargs$training <- list(class_name = "__lambda__", config = list())
    layer
  })
  expect_attn_error(from_config(node), "config", "__lambda__")
  # how a model was trained does not matter
  dict$compile_config <- list(loss = list(
    module = "builtins", class_name = "function", config = "my_loss", registered_name = "function"
  ))
  expect_s3_class(from_config(dict), "attn_model")
})

test_that("graphs that are none are refused", {
  dict <- dict_of(small_model("m"))
  refused <- function(changed, regexp) expect_attn_error(from_config(changed), "config", regexp)
  point_to <- function(...) {
    with_layer(dict, "d", function(layer) {
      layer$inbound_nodes[[1]]$args[[1]]$config$keras_history <- list(...)
      layer
    })
  }
  refused(point_to("d", 0L, 0L), "\"d\" is called with a tensor that is never made")
  refused(point_to("d", 1L, 0L), "call of the layer \"d\" that there is not")
  refused(point_to("nobody", 0L, 0L), "\"nobody\", which is not there")
  refused(point_to("x", 0L, 1L), "result of the layer \"x\" that there is not")
  refused(point_to("x", -1L, 0L), "that there is not")
  refused(point_to("x", 0.5, 0L), "where it comes from")
  refused(point_to("x", 0L), "where it comes from")
  a <- keras_input(4, name = "a")
  ring <- keras_model(a, layer_dense(layer_dense(a, 4, name = "one"), 4, name = "two"))
  ring <- with_layer(dict_of(ring), "one", function(layer) {
    layer$inbound_nodes[[1]]$args[[1]]$config$keras_history <- list("two", 0L, 0L)
    layer
  })
  refused(ring, "never made, or that depends on the call")
  twice <- dict
  twice$config$layers <- c(twice$config$layers, twice$config$layers[2])
  refused(twice, "two layers have the name \"d\"")
  changed <- dict
  changed$config$output_layers <- list("d", 5L, 0L)
  refused(changed, "that there is not")
  changed$config$output_layers <- list()
  refused(changed, "output_layers")
  changed <- dict
  changed$config$input_layers <- NULL
  refused(changed, "Python code")
  changed <- dict
  changed$config$surprise <- 1L
  refused(changed, "\"surprise\"")
  refused(with_layer(dict, "d", function(layer) {
    layer$config$units <- -1L
    layer
  }), "layer \"d\".*units")
  refused(with_layer(dict, "d", function(layer) {
    layer$config$surprise <- 1L
    layer
  }), "layer \"d\".*surprise")
  refused(with_layer(dict, "d", function(layer) {
    layer$inbound_nodes[[1]]$kwargs$surprise <- 1L
    layer
  }), "call of the layer \"d\".*surprise")
  refused(with_layer(dict, "d", function(layer) {
    layer$inbound_nodes <- 3L
    layer
  }), "calls of the layer \"d\"")
  refused(with_layer(dict, "d", function(layer) {
    layer$inbound_nodes[[1]]$args <- c(layer$inbound_nodes[[1]]$args, 1L, 2L)
    layer
  }), "more arguments")
  deep <- list()
  for (i in 1:200) deep <- list(deep)
  refused(with_layer(dict, "d", function(layer) {
    layer$config$units <- deep
    layer
  }), "at most 100 deep")
})

test_that("anything in the place of anything in a config is an error with a class, or right", {
  set.seed(1)
  dict <- dict_of(small_model("m"))
  odd <- list(
    NULL, list(), structure(list(), names = character()), -1L, 1e300, NaN, TRUE, "", "x",
    list(1L, 2L), list(a = 1L), list(class_name = "Dense", config = list()), .Machine$integer.max
  )
  places <- list()
  find <- function(x, at) {
    for (i in seq_along(x)) {
      places[[length(places) + 1L]] <<- c(at, i)
      if (is.list(x[[i]])) find(x[[i]], c(at, i))
    }
  }
  find(dict, integer())
  put <- function(x, at, value) {
    if (length(at) == 1L) {
      x[at] <- list(value)
    } else {
      x[[at[1L]]] <- put(x[[at[1L]]], at[-1L], value)
    }
    x
  }
  if (on_cran()) places <- sample(places, 20L)
  outcomes <- vapply(places, function(at) {
    value <- odd[[sample(length(odd), 1L)]]
    tryCatch(
      {
        made <- from_config(put(dict, at, value))
        if (is.null(made) || is_layer(made)) "made" else "odd"
      },
      attn_error = function(error) "refused"
    )
  }, "")
  expect_setequal(outcomes, c("made", "refused"))
})

test_that("sequential models are written as Keras writes them", {
  model <- keras_model_sequential(input_shape = 4, name = "s") |> layer_dense(2, name = "d")
  dict <- dict_of(model)
  expect_identical(dict$module, "keras")
  expect_identical(dict$class_name, "Sequential")
  expect_null(dict$registered_name)
  expect_identical(dict$build_config, list(input_shape = list(NULL, 4L)))
  expect_identical(
    names(dict$config), c("name", "trainable", "dtype", "layers", "build_input_shape")
  )
  expect_identical(dict$config$build_input_shape, list(NULL, 4L))
  expect_identical(
    vapply(dict$config$layers, function(layer) layer$class_name, ""), c("InputLayer", "Dense")
  )
  expect_false("inbound_nodes" %in% names(dict$config$layers[[2]]))
  expect_identical(get_config(from_config(dict)), get_config(model))
  expect_identical(get_config(from_config(dict$config)), get_config(model))
  # without its input layer, as older versions wrote it: the shape is said elsewhere
  older <- dict
  older$config$layers <- older$config$layers[2]
  read <- from_config(older)
  expect_identical(dim(read$input), c(NA, 4L))
  open <- keras_model_sequential(layers = list(layer_dense(units = 2, name = "d")), name = "s")
  expect_false("build_config" %in% names(dict_of(open)))
  expect_identical(get_config(from_config(dict_of(open))), get_config(open))
  bad <- dict
  bad$config$layers[[2]]$class_name <- "Lambda"
  expect_attn_error(from_config(bad), "config", "Lambda")
  bad <- dict
  bad$config$layers[[2]]$config$units <- "many"
  expect_attn_error(from_config(bad), "config", "layer \"d\".*units")
})

test_that("inputs and outputs with names stay what they are, in any order of names", {
  a <- keras_input(3, name = "za")
  b <- keras_input(3, name = "yb")
  inner <- keras_model(
    list(z = a, y = b), list(q = layer_add(a, b), p = layer_subtract(a, b)), name = "dict"
  )
  s <- keras_input(3, name = "s")
  t <- keras_input(3, name = "t")
  outer <- keras_model(list(s, t), inner(list(z = s, y = t)), name = "outer")
  given <- list(matrix(1:6, 2), matrix(6:1, 2))
  expect_identical(outer(given)$q, matrix(7, 2, 3))
  for (again in list(from_config(save_model_config(outer)), from_config(get_config(outer)))) {
    expect_identical(again(given), outer(given))
    expect_identical(get_config(again), get_config(outer))
  }
})

test_that("layers that are frozen stay so, whatever their model is", {
  x <- keras_input(3)
  frozen <- layer_dense(units = 2, name = "frozen")
  frozen$trainable <- FALSE
  model <- keras_model(x, layer_dense(frozen(x), 2, name = "free"))
  read <- from_config(get_config(model))
  expect_identical(
    vapply(read$layers, function(layer) layer$trainable, NA), c(TRUE, FALSE, TRUE)
  )
  expect_true(read$trainable)
})

test_that("functions of R are in no config", {
  x <- keras_input(3)
  model <- keras_model(x, layer_lambda(x, function(x) x, output_shape = 3, name = "mine"))
  expect_attn_error(get_config(model), "config", "\"mine\".*function of R")
  path <- withr::local_tempfile(fileext = ".safetensors")
  expect_attn_error(save_model(model, path), "config", "function of R")
  expect_false(file.exists(path))
})

test_that("arrays that operations were given are in the config, the last axis innermost", {
  given <- function(tensor) tensor$node$inputs[[2]]
  written <- function(array) {
    input <- keras_input(c(2, 3), name = "x")
    product <- attn:::operation_node("Multiply", "product", list(input, array))
    model <- keras_model(input, product)
    again <- read_again(model)
    expect_identical(as.vector(given(again$output)), as.vector(array))
    x <- random_array(4, 2, 3)
    expect_identical(again(x), model(x))
    args <- member(get_config(model), "product")$inbound_nodes[[1]]$args
    expect_identical(args[[2]]$class_name, "__numpy__")
    args[[2]]$config
  }
  expect_identical(written(matrix(c(1.5, 2, 3, 4, 5, 6), 2)), list(
    value = list(list(1.5, 3, 5), list(2, 4, 6)), dtype = "float32"
  ))
  expect_identical(written(1:3), list(value = list(1L, 2L, 3L), dtype = "int32"))
  expect_identical(written(array(2L, c(1, 1, 1))), list(
    value = list(list(list(2L))), dtype = "int32"
  ))
  flags <- keras_input(2, dtype = "bool", name = "flags")
  other <- attn:::operation_node("LogicalXor", "other", list(flags, c(TRUE, FALSE)))
  model <- keras_model(flags, other)
  args <- member(get_config(model), "other")$inbound_nodes[[1]]$args
  expect_identical(args[[2]]$config, list(value = list(TRUE, FALSE), dtype = "bool"))
  x <- rbind(c(TRUE, TRUE), c(FALSE, TRUE))
  expect_identical(read_again(model)(x), cbind(!x[, 1], x[, 2]))
})

test_that("arrays in a config have rows of one length, and numbers in them", {
  input <- keras_input(2, name = "x")
  model <- keras_model(input, attn:::operation_node("Add", "sum", list(input, c(1, 2))))
  with_value <- function(...) {
    with_layer(dict_of(model), "sum", function(layer) {
      layer$inbound_nodes[[1]]$args[[2]]$config["value"] <- list(...)
      layer
    })
  }
  x <- matrix(c(1, 2, 3, 4), 2)
  expect_identical(from_config(with_value(list(10, 20)))(x), x + rep(c(10, 20), each = 2))
  expect_identical(from_config(with_value(5))(x), x + 5)
  deep <- 1
  for (i in 1:17) deep <- list(deep)
  ragged <- list(list(list(1), list(2, 3)), list(list(1, 2), list(3)), list(list(1), list(list(2))))
  for (value in c(ragged, list(list("a", "b"), "a", list(), list(1, list(2)), deep, NULL))) {
    expect_attn_error(from_config(with_value(value)), "config", "array in the config")
  }
})

test_that("masks of attention on lists are kept, those that lack among them", {
  x <- keras_input(c(3, 4), name = "x")
  keys <- keras_input(3, dtype = "bool", name = "keys")
  seen <- rbind(c(TRUE, TRUE, FALSE), c(TRUE, FALSE, FALSE))
  data <- random_array(2, 3, 4)
  for (mask in list(list(keys, keys), list(keys, NULL), list(NULL, keys))) {
    attention <- layer_attention(name = "att")
    model <- keras_model(list(x, keys), attention(list(x, x), mask = mask))
    kwargs <- member(get_config(model), "att")$inbound_nodes[[1]]$kwargs
    expect_named(kwargs, "mask")
    expect_null(names(kwargs$mask))
    lacks <- vapply(mask, is.null, NA)
    expect_identical(vapply(kwargs$mask, is.null, NA), lacks)
    expect_identical(history(kwargs$mask[!lacks][[1]]), list("keys", 0L, 0L))
    wanted <- attention(list(data, data), mask = lapply(lacks, function(no) if (!no) seen))
    expect_equal(plain(read_again(model)(list(data, seen))), plain(wanted), tolerance = 1e-6)
  }
})

test_that("inputs and models within models are read as older versions of Keras wrote them", {
  dict <- dict_of(small_model("m"))
  older <- with_layer(dict, "x", function(layer) {
    layer$config <- list(
      batch_input_shape = list(NULL, 4L), name = "x", sparse = FALSE,
      dtype = list(
        module = "keras", class_name = "DTypePolicy", config = list(name = "float64"),
        registered_name = NULL
      )
    )
    layer
  })
  read <- from_config(older)
  expect_identical(read$input_shape, c(NA, 4L))
  expect_identical(read$input$dtype, "float64")
  x <- keras_input(4, name = "top")
  outer <- keras_model(x, layer_dense(small_model("inner")(x), 3, name = "end"), name = "outer")
  as_model <- with_layer(dict_of(outer), "inner", function(layer) {
    layer$class_name <- layer$registered_name <- "Model"
    layer
  })
  expect_identical(get_config(from_config(as_model)), get_config(outer))
})

test_that("calls and fields of other forms than Keras's are refused", {
  dict <- dict_of(small_model("m"))
  refused <- function(changed, regexp) expect_attn_error(from_config(changed), "config", regexp)
  with_node <- function(...) {
    with_layer(dict, "d", function(layer) {
      layer$inbound_nodes[1] <- list(...)
      layer
    })
  }
  refused(with_node(3L), "a call of the layer \"d\" is not a list")
  for (node in list(list(), list(1L), list(list("x", 0L)), list(list(1L, 0L, 0L)))) {
    refused(with_node(node), "a call of the layer \"d\" is not understood")
  }
  refused(with_layer(dict, "d", function(layer) {
    node <- layer$inbound_nodes[[1]]
    layer$inbound_nodes[[1]]$kwargs <- list(inputs = node$args[[1]])
    layer
  }), "call of the layer \"d\".*argument twice")
  changed <- dict
  changed$config$trainable <- "yes"
  refused(changed, "`trainable` in the config must be TRUE or FALSE.*\"yes\"")
  changed <- dict
  changed$config$layers <- "d"
  refused(changed, "`layers` in the config must be a list of layers")
})

test_that("an error of R's own, where no check foresaw it, is one of the config", {
  local_function("deserialize_model", function(dict, owner) stop("something else."))
  expect_attn_error(from_config(dict_of(small_model("m"))), "config",
    "cannot be understood: something else\\.$"
  )
})

test_that("a model that is frozen stays so", {
  input <- keras_input(4, name = "x")
  model <- keras_model(input, layer_dense(input, 2), trainable = FALSE)
  expect_false(model$trainable)
  expect_false(model$layers[[2]]$trainable)
  expect_length(model$trainable_weights, 0)
  expect_false(from_config(get_config(model))$trainable)
  expect_attn_error(keras_model(input, input, trainable = NA), "argument", "trainable")
})

test_that("what JSON cannot hold is no part of a config", {
  dict <- serialize_keras_object(keras_model_sequential(input_shape = 3) |> layer_dense(2))
  for (value in list(Sys.Date(), sum, quote(x), globalenv())) {
    dict$config$layers[[1L]]$config$more <- value
    expect_attn_error(deserialize_keras_object(dict), "config", "in it")
  }
})
