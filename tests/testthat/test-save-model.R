# A model with all that the core offers without other layers: shared, nested, attention.
mixed_model <- function(dtype = NULL) {
  x <- keras_input(c(3, 4), name = "x")
  inner_input <- keras_input(c(3, 4), name = "inner_x")
  inner <- keras_model(
    inner_input, layer_dense(inner_input, 4, name = "d", dtype = dtype), name = "inner"
  )
  shared <- layer_dense(units = 4, name = "shared", dtype = dtype)
  mha <- layer_multi_head_attention(
    num_heads = 2, key_dim = 2, use_gate = TRUE, name = "mha", dtype = dtype
  )
  gqa <- layer_group_query_attention(
    head_dim = 2, num_query_heads = 2, num_key_value_heads = 1, use_gate = TRUE, name = "gqa",
    dtype = dtype
  )
  h <- shared(inner(shared(x)))
  h <- gqa(mha(h, h), h)
  h <- layer_attention(use_scale = TRUE, score_mode = "concat", name = "att", dtype = dtype)(
    list(h, inner(h))
  )
  keras_model(x, layer_dense(h, 2, name = "end", dtype = dtype), name = "mixed")
}

weights_of <- function(model) tree_values(weight_tree(layer_self(model)))

mixed_input <- function() random_array(2, 3, 4)

fill_model <- function(model) {
  tree <- weight_tree(layer_self(model))
  set_tree_values(tree, lapply(tree$weights, function(weight) {
    shape <- weight$shape
    if (length(shape)) random_array(shape) else stats::rnorm(1)
  }))
  model
}

test_that("a model comes back from every format, bit by bit", {
  set.seed(1)
  for (dtype in c("float32", "float64")) {
    model <- fill_model(mixed_model(dtype))
    x <- mixed_input()
    y <- model(x)
    path <- withr::local_tempfile(fileext = ".safetensors")
    result <- withVisible(save_model(model, path))
    expect_false(result$visible)
    expect_identical(result$value, model)
    loaded <- load_model(path)
    expect_identical(loaded(x), y)
    expect_identical(weights_of(loaded), weights_of(model))
    stored <- c(float32 = "F32", float64 = "F64")
    expect_identical(read_safetensors(path)$dtypes[[1]], stored[[dtype]])
    skip_if_not_installed("hdf5r")
    skip_if_not_installed("zip")
    bytes <- save_model(model)
    expect_type(bytes, "raw")
    expect_identical(load_model(bytes)(x), y)
    path <- withr::local_tempfile(fileext = ".keras")
    save_model(model, path)
    expect_identical(load_model(path)(x), y)
    for (ending in c(".weights.h5", ".safetensors")) {
      path <- withr::local_tempfile(fileext = ending)
      expect_identical(save_model_weights(model, path), model)
      other <- mixed_model(dtype)
      expect_false(identical(other(x), y))
      expect_identical(load_model_weights(other, path), other)
      expect_identical(other(x), y)
    }
  }
})

# A layer by its name, model by model.
get_member <- function(model, ...) {
  for (name in c(...)) {
    members <- model_members(layer_self(model))
    names <- vapply(members, function(member) member$name, "")
    model <- layer_object(members[[which(names == name)]])
  }
  model
}

test_that("the tree of an HDF5 file is Keras's", {
  skip_if_not_installed("hdf5r")
  model <- mixed_model()
  path <- withr::local_tempfile(fileext = ".weights.h5")
  save_model_weights(model, path)
  read <- read_weights_h5(path)
  heads <- function(key, prefix, public, name) {
    projections <- c("query", "key", "value", "output")
    groups <- c(
      if (public) paste0(projections, "_dense") else paste0("_", projections, "_dense"),
      "_gate_dense", "_softmax", "_dropout_layer"
    )
    names <- c("query", "key", "value", "attention_output", "gate", "softmax", "dropout")
    names(names) <- paste("layers", key, groups, "vars", sep = "/")
    c(names, stats::setNames(name, paste("layers", key, "vars", sep = "/")))
  }
  expected <- c(
    vars = "mixed", "layers/input_layer/vars" = "x", "layers/dense/vars" = "shared",
    "layers/functional/vars" = "inner", "layers/functional/layers/input_layer/vars" = "inner_x",
    "layers/functional/layers/dense/vars" = "d", "layers/attention/vars" = "att",
    "layers/dense_1/vars" = "end",
    heads("multi_head_attention", "mha", TRUE, "mha"),
    heads("grouped_query_attention", "gqa", FALSE, "gqa")
  )
  expect_identical(read$names[order(names(read$names))], expected[order(names(expected))])
  at <- read$weights
  expect_identical(at[["layers/functional/layers/dense/vars/0"]],
    unname(layer_weights(layer_self(get_member(model, "inner", "d"))))[[1]]
  )
  expect_identical(shape_of_value(at[["layers/attention/vars/1"]]), integer())
  expect_identical(dim(at[["layers/multi_head_attention/query_dense/vars/0"]]), c(4L, 2L, 2L))
})

test_that("errors about the config in a file are errors of the file", {
  input <- keras_input(2, name = "x")
  model <- keras_model(input, layer_dense(input, 1, name = "out"), name = "m")
  json <- save_model_config(model)
  changed <- c(
    sub("\"units\": 1", "\"units\": -1", json), sub("\"Dense\"", "\"Nobody\"", json),
    sub("\"Functional\"", "\"Dense\"", json), sub("\"linear\"", "\"run\"", json),
    sub("\"input_layers\": ", "\"other\": ", json)
  )
  path <- withr::local_tempfile(fileext = ".safetensors")
  for (text in changed) {
    expect_false(text == json)
    write_safetensors(path, list(), metadata = c(config = text), overwrite = TRUE)
    for (read in list(
      function() load_model_config(charToRaw(text)), function() load_model(path)
    )) {
      error <- tryCatch(read(), error = identity)
      expect_identical(class(error)[1:3], c("attn_error_config", "attn_error_file", "attn_error"))
    }
    error <- tryCatch(from_config(jsonlite::parse_json(text)), error = identity)
    expect_false(inherits(error, "attn_error_file"))
  }
})

test_that("every byte of a config that changes is another model or an error of the file", {
  input <- keras_input(2, name = "x")
  model <- keras_model(input, layer_dense(input, 1, name = "out"), name = "m")
  bytes <- charToRaw(save_model_config(model))
  places <- seq(1, length(bytes), by = if (on_cran()) 11 else 3)
  outcomes <- character()
  for (place in places) {
    for_each_flip(bytes, place, 1 + place %% 255, function(flipped, ...) {
      outcomes <<- c(outcomes, file_error(load_model_config(flipped)))
    })
  }
  expect_setequal(outcomes, c("none", "attn_error_file"))
})

test_that("checksums are those of ZIP", {
  expect_identical(format_checksum(checksum_of(charToRaw("123456789"))), "cbf43926")
  long <- as.raw(seq_len(30011) %% 251)
  expect_identical(checksum_of(long), checksum_of(split(long, ceiling(seq_along(long) / 100))))
  expect_identical(.Call(ffi_crc32, charToRaw("6789"), .Call(ffi_crc32, charToRaw("12345"), 0)),
    strtoi("cbf4", 16L) * 65536 + strtoi("3926", 16L)
  )
})

test_that("class names become those of groups", {
  expect_identical(
    snake_case(c(
      "Dense", "GlobalAveragePooling1D", "MultiHeadAttention", "ReLU", "LeakyReLU", "PReLU", "ELU",
      "RMSNormalization", "EinsumDense", "Conv1D", "InputLayer", "TimeDistributed"
    )),
    c(
      "dense", "global_average_pooling1d", "multi_head_attention", "re_lu", "leaky_re_lu",
      "p_re_lu", "elu", "rms_normalization", "einsum_dense", "conv1d", "input_layer",
      "time_distributed"
    )
  )
})

test_that("a file that exists is not replaced unless that is said", {
  model <- mixed_model()
  path <- local_file(charToRaw("keep me"), ".safetensors")
  for (save in list(save_model, save_model_weights)) {
    expect_attn_error(save(model, path), "file", "overwrite = TRUE")
    expect_identical(rawToChar(file_bytes(path)), "keep me")
  }
  json <- local_file(charToRaw("keep me"), ".json")
  expect_attn_error(save_model_config(model, json), "file", "overwrite = TRUE")
  expect_identical(rawToChar(file_bytes(json)), "keep me")
  save_model_config(model, json, overwrite = TRUE)
  expect_identical(get_config(load_model_config(json)), get_config(model))
  expect_identical(rawToChar(file_bytes(json)), save_model_config(model))
  save_model(model, path, overwrite = TRUE)
  expect_identical(weights_of(load_model(path)), weights_of(model))
})

test_that("who sits before the session is asked whether a file is replaced", {
  path <- local_file(charToRaw("keep me"))
  asked <- character()
  may <- may_overwrite
  answer <- function(reply, interactive = TRUE, file = path, overwrite = FALSE) {
    environment(may) <- list2env(
      list(interactive = function() interactive), parent = asNamespace("attn")
    )
    withr::local_options(askYesNo = function(msg, default, ...) {
      asked <<- c(asked, msg)
      expect_false(default)
      reply
    })
    may(file, overwrite)
  }
  expect_true(answer(TRUE))
  expect_false(answer(FALSE))
  expect_false(answer(NA))
  expect_identical(asked, rep(sprintf("The file %s exists. Replace it?", quote_name(path)), 3))
  # nobody is asked where there is nothing to decide
  expect_false(answer(TRUE, interactive = FALSE))
  expect_true(answer(FALSE, overwrite = TRUE))
  expect_false(answer(TRUE, file = paste0(path, "-none")))
  expect_length(asked, 3)
})

test_that("arguments are checked", {
  model <- mixed_model()
  expect_attn_error(save_model(), "argument", "`model` must be a model")
  expect_attn_error(save_model(1), "argument")
  expect_attn_error(save_model(layer_dense(units = 1), "x.keras"), "argument", "keras_model\\(\\)")
  expect_attn_error(save_model(model, "x.h5"), "argument", ".keras or .safetensors")
  expect_attn_error(save_model(model, 1), "argument")
  expect_attn_error(save_model(model, "x.keras", zipped = FALSE), "argument", "zipped")
  expect_attn_error(save_model(model, "x.keras", overwrite = NA), "argument")
  expect_attn_error(save_model(model, "x.keras", surprise = 1), "argument")
  expect_attn_error(save_model(model, "no/such/folder/x.safetensors"), "file", "no folder")
  expect_attn_error(save_model_weights(model, "x.h5"), "argument", ".weights.h5")
  expect_attn_error(save_model_weights(model), "argument")
  expect_attn_error(save_model_weights(model, "x.weights.h5", max_shard_size = 1), "argument")
  expect_attn_error(load_model(), "argument")
  expect_attn_error(load_model(1), "argument")
  expect_attn_error(load_model("no-such.keras"), "file", "no such file")
  expect_attn_error(load_model(tempdir()), "file", "folder")
  expect_attn_error(load_model(raw()), "file", "neither")
  expect_attn_error(load_model(charToRaw("some text that is no model")), "file", "neither")
  expect_attn_error(load_model("x", custom_objects = list(a = 1)), "argument", "custom_objects")
  expect_attn_error(load_model("x", compile = 1), "argument")
  expect_attn_error(load_model("x", safe_mode = 1), "argument")
  expect_attn_error(load_model_weights(1, "x"), "argument")
  expect_attn_error(load_model_weights(model), "argument")
  expect_attn_error(load_model_weights(model, "x", skip_mismatch = 2), "argument")
  expect_attn_error(load_model_config("no-such.json"), "file")
  expect_attn_error(load_model_config(local_file(charToRaw("{"))), "file", "not JSON")
  expect_attn_error(load_model_config(local_file(charToRaw("[]"))), "file", "not that of a model")
  expect_attn_error(
    load_model_config(local_file(charToRaw("{\"class_name\": \"Dense\", \"config\": {}}"))),
    "config", "not a model"
  )
  local_function("check_file", function(path, owner) 2^28 + 1)
  expect_attn_error(load_model_config(local_file(charToRaw("{}"))), "file", "larger than any")
})

test_that("formats are told by their content, not their names", {
  model <- mixed_model()
  path <- withr::local_tempfile(fileext = ".safetensors")
  save_model(model, path)
  other <- withr::local_tempfile(fileext = ".keras")
  file.copy(path, other)
  expect_identical(weights_of(load_model(other)), weights_of(model))
  expect_identical(weights_of(load_model_weights(mixed_model(), other)), weights_of(model))
  weights <- withr::local_tempfile(fileext = ".safetensors")
  save_model_weights(model, weights)
  expect_attn_error(load_model(weights), "file", "load_model_weights\\(\\)")
})

test_that("weights in an HDF5 file of another form than Keras's are refused", {
  skip_if_not_installed("zip")
  skip_if_not_installed("hdf5r")
  model <- mixed_model()
  path <- withr::local_tempfile(fileext = ".keras")
  write_keras_archive(path, save_model_config(model), list(a = 1))
  expect_attn_error(load_model(path), "file", "not in the form of Keras 3")
  expect_attn_error(load_model_weights(model, path), "file", "not in the form of Keras 3")
})

small_dense <- function(units = 2, name = "d") {
  input <- keras_input(3, name = "x")
  h <- layer_dense(input, 4, name = "first")
  keras_model(input, layer_dense(h, units, name = name), name = "m")
}

test_that("weights of another model change nothing, or with skip_mismatch what fits", {
  set.seed(1)
  for (ending in c(".safetensors", ".weights.h5")) {
    if (ending == ".weights.h5") skip_if_not_installed("hdf5r")
    path <- withr::local_tempfile(fileext = ending)
    source <- fill_model(small_dense(units = 5))
    save_model_weights(source, path)
    model <- small_dense()
    before <- weights_of(model)
    expect_attn_error(load_model_weights(model, path), "file", "shape \\(4, 5\\).*\"d/kernel\"")
    expect_identical(weights_of(model), before)
    expect_warning(load_model_weights(model, path, skip_mismatch = TRUE),
      "d/kernel, d/bias", class = "attn_warning_skipped"
    )
    expect_identical(weights_of(model), c(weights_of(source)[1:2], before[3:4]))
    # too many, too few
    x <- keras_input(3)
    fewer <- keras_model(x, layer_dense(x, 4, name = "first"))
    expect_attn_error(load_model_weights(fewer, path), "file", "nothing like")
    more <- keras_model(x, layer_dense(small_dense(units = 5)(x), 4, name = "third"))
    before <- weights_of(more)
    expect_attn_error(load_model_weights(more, path), "file", "not of this model")
    expect_identical(weights_of(more), before)
  }
})

test_that("a failure while weights are set leaves them all as they were", {
  path <- withr::local_tempfile(fileext = ".safetensors")
  save_model_weights(fill_model(small_dense()), path)
  model <- small_dense()
  before <- weights_of(model)
  right <- weights_by_handle
  count <- 0
  local_function("weights_by_handle", function(self, values) {
    count <<- count + 1
    right(self, if (count == 2) lapply(values, as.character) else values)
  })
  expect_attn_error(load_model_weights(model, path), "internal", "not a numeric array")
  expect_identical(count, 2)
  expect_identical(weights_of(model), before)
})

test_that("names that other versions of Keras give to groups are understood", {
  skip_if_not_installed("hdf5r")
  model <- fill_model(mixed_model())
  parts <- h5_parts(layer_self(model), "test")
  weights <- parts$weights
  names(weights) <- sub("attention/(query|key|value|output)_dense", "attention/_\\1_dense",
    names(weights)
  )
  weights[["layers/multi_head_attention/_dropout_layer/seed_generator/vars/0"]] <- c(1, 2)
  weights[["optimizer/vars/0"]] <- 3
  path <- withr::local_tempfile(fileext = ".weights.h5")
  write_weights_h5(path, weights)
  other <- mixed_model()
  load_model_weights(other, path)
  expect_identical(weights_of(other), weights_of(model))
})

# A Keras 2 file: attributes at the root list the layers, and in each group its weights.
old_file <- function(weights, root = "", config = NULL) {
  path <- withr::local_tempfile(fileext = ".h5", .local_envir = parent.frame())
  file <- hdf5r::H5File$new(path, "w")
  on.exit(file$close_all())
  base <- if (nzchar(root)) file$create_group(root) else file
  hdf5r::h5attr(base, "layer_names") <- names(weights)
  hdf5r::h5attr(base, "keras_version") <- "2.13.1"
  if (!is.null(config)) hdf5r::h5attr(file, "model_config") <- config
  for (layer in names(weights)) {
    group <- base$create_group(layer)
    own <- weights[[layer]]
    if (length(own)) hdf5r::h5attr(group, "weight_names") <- names(own)
    for (name in names(own)) {
      for (parent in parent_paths(name)) {
        if (!group$exists(parent)) group$create_group(parent)
      }
      write_h5_data(group, name, own[[name]], "F32")
    }
  }
  path
}

clone_config <- function(model) from_config(get_config(model))

test_that("files of Keras 2: weights are read in their order, whole models are explained", {
  skip_if_not_installed("hdf5r")
  set.seed(1)
  x <- keras_input(c(3, 4), name = "x")
  mha <- layer_multi_head_attention(num_heads = 2, key_dim = 2, name = "mha")
  model <- fill_model(keras_model(x, layer_dense(mha(x, x), 2, name = "end"), name = "m"))
  values <- weights_of(model)
  names(values) <- c(
    paste0("multi_head_attention/", c(
      "query/kernel:0", "query/bias:0", "key/kernel:0", "key/bias:0", "value/kernel:0",
      "value/bias:0", "attention_output/kernel:0", "attention_output/bias:0"
    )), "dense/kernel:0", "dense/bias:0"
  )
  layers <- list(input_1 = NULL, multi_head_attention = values[1:8], dense = values[9:10])
  for (root in c("", "model_weights")) {
    path <- old_file(layers, root, config = "{\"class_name\": \"Functional\"}")
    other <- clone_config(model)
    load_model_weights(other, path)
    expect_identical(weights_of(other), weights_of(model))
    expect_attn_error(load_model(path), "file", "Keras 2.*save it as \\.keras")
  }
  wrong <- layers
  wrong$dense <- wrong$dense[1]
  other <- clone_config(model)
  before <- weights_of(other)
  expect_attn_error(load_model_weights(other, old_file(wrong)), "file", "not of this model")
  wrong$dense <- list("dense/kernel:0" = matrix(1, 3, 3), "dense/bias:0" = c(1, 2))
  expect_attn_error(load_model_weights(other, old_file(wrong)), "file", "shape \\(3, 3\\)")
  expect_identical(weights_of(other), before)
})

test_that("what needs a package that is missing says so; what does not, works", {
  model <- mixed_model()
  local_function("has_package", function(package) FALSE)
  keras <- withr::local_tempfile(fileext = ".keras")
  expect_attn_error(save_model(model, keras), "file", "install.packages\\(\"(zip|hdf5r)\"\\)")
  expect_attn_error(save_model(model), "file", "install.packages")
  h5 <- withr::local_tempfile(fileext = ".weights.h5")
  expect_attn_error(save_model_weights(model, h5), "file", "install.packages\\(\"hdf5r\"\\)")
  expect_false(file.exists(keras) || file.exists(h5))
  path <- withr::local_tempfile(fileext = ".safetensors")
  save_model(model, path)
  expect_identical(weights_of(load_model(path)), weights_of(model))
  # what Keras wrote
  expect_s3_class(load_model(fixture_path("model_func_mha_1.keras")), "attn_model")
})

test_that("loading moves R's random numbers no more than layers do, and draws no weights", {
  path <- withr::local_tempfile(fileext = ".safetensors")
  save_model(small_dense(), path)
  local_function("call_initializer", function(...) stop("no weights are drawn"))
  expect_s3_class(load_model(path), "attn_model")
  expect_false(is_loading())
})

test_that("a config that asks for more memory than the file has weights is refused", {
  path <- withr::local_tempfile(fileext = ".safetensors")
  model <- small_dense()
  save_model(model, path)
  read <- read_safetensors(path)
  config <- sub("\"units\": 2", "\"units\": 2000000000", read$metadata[["config"]], fixed = TRUE)
  write_safetensors(path, read$tensors, metadata = c(config = config), overwrite = TRUE)
  expect_attn_error(load_model(path), "file", "more weights than the file has")
  expect_false(is_loading())
})

test_that("models that are not built have no weights to save", {
  model <- keras_model_sequential(layers = list(layer_dense(units = 3), layer_dense(units = 2)))
  path <- withr::local_tempfile(fileext = ".safetensors")
  expect_attn_error(save_model(model, path), "state", "not built")
  expect_attn_error(save_model_weights(model, path), "state", "not built")
  expect_attn_error(load_model_weights(model, path), "state", "not built")
  expect_false(file.exists(path))
  x <- random_array(2, 4)
  y <- model(x)
  save_model(model, path)
  expect_identical(load_model(path)(x), y)
})

test_that("sequential models, and layers made of layers, come back from every format", {
  set.seed(1)
  model <- keras_model_sequential(input_shape = c(5, 8), name = "seq") |>
    layer_multi_head_attention(num_heads = 2, key_dim = 3, name = "mha") |>
    layer_time_distributed(layer_dense(units = 8, name = "inner"), name = "td") |>
    layer_transformer_encoder(intermediate_dim = 6, num_heads = 2, name = "enc") |>
    layer_conv_1d(filters = 3, kernel_size = 2, name = "cv") |>
    layer_flatten() |>
    layer_dense(units = 2, name = "end")
  x <- random_array(2, 5, 8)
  y <- model(x)
  path <- withr::local_tempfile(fileext = ".safetensors")
  save_model(model, path)
  expect_identical(load_model(path)(x), y)
  expect_true(all(c("td/inner/kernel", "enc/self_attention_layer/query/kernel") %in%
    names(read_safetensors(path)$tensors)))
  # as a part of another
  input <- keras_input(c(5, 8), name = "i")
  outer <- keras_model(input, list(layer_dense(model(input), 3, name = "head"), model(input)))
  save_model(outer, path, overwrite = TRUE)
  expect_identical(load_model(path)(x), outer(x))
  skip_if_not_installed("hdf5r")
  skip_if_not_installed("zip")
  loaded <- load_model(save_model(outer))
  expect_identical(loaded(x), outer(x))
  expect_identical(get_config(loaded), get_config(outer))
  h5 <- withr::local_tempfile(fileext = ".weights.h5")
  save_model_weights(model, h5)
  names <- read_weights_h5(h5)$names
  expect_false("layers/input_layer/vars" %in% names(names))
  expect_identical(names[["layers/time_distributed/layer/vars"]], "inner")
  expect_true("layers/conv1d/vars" %in% names(names))
  expect_true("layers/transformer_encoder/_self_attention_layer/query_dense/vars" %in% names(names))
})

# ---- damaged files ----

# "loaded" right, or the class of an error.
outcome_of <- function(bytes, answer, x) {
  tryCatch(
    {
      model <- load_model(bytes)
      if (identical(model(x), answer)) "loaded" else "other"
    },
    attn_error = function(error) "refused"
  )
}

damaged_files <- function() {
  model <- fill_model(small_dense())
  path <- withr::local_tempfile(fileext = ".safetensors")
  save_model(model, path)
  files <- list(safetensors = file_bytes(path))
  if (has_package("hdf5r") && has_package("zip")) files$keras <- save_model(model)
  list(model = model, files = files)
}

test_that("a file that is cut is refused", {
  set.seed(1)
  made <- damaged_files()
  x <- random_array(2, 3)
  answer <- made$model(x)
  for (bytes in made$files) {
    lengths <- unique(c(0:20, sample(length(bytes) - 1L, 30L), length(bytes) - 1:5))
    for (length in lengths) {
      expect_identical(outcome_of(bytes[seq_len(length)], answer, x), "refused",
        label = paste("cut after", length)
      )
    }
  }
})

test_that("a byte that is flipped gives an error with a class, or a model that is whole", {
  set.seed(2)
  made <- damaged_files()
  x <- random_array(2, 3)
  answer <- made$model(x)
  # every byte of a .keras file is under a checksum, or in the directory
  for (format in names(made$files)) {
    bytes <- made$files[[format]]
    allowed <- if (format == "keras") c("refused", "loaded") else c("refused", "loaded", "other")
    places <- if (on_cran()) 20L else 150L
    for_each_flip(bytes, sample(length(bytes), places), sample(255L, 1L), function(flipped, ...) {
      expect_true(outcome_of(flipped, answer, x) %in% allowed)
    })
  }
})

test_that("the files of Keras stand it as well", {
  set.seed(3)
  case <- fixture("models")[[1]]
  bytes <- file_bytes(fixture_path(case$files[1]))
  x <- unname(case$inputs)
  answer <- load_model(bytes)(x)
  places <- sample(length(bytes), if (on_cran()) 20L else 100L)
  for_each_flip(bytes, places, sample(255L, 1L), function(flipped, ...) {
    expect_true(outcome_of(flipped, answer, x) %in% c("refused", "loaded"))
  })
  for (length in sample(length(bytes) - 1L, 30L)) {
    expect_identical(outcome_of(bytes[seq_len(length)], answer, x), "refused")
  }
})
