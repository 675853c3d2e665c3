# What each C entry point checks for itself, because memory safety depends on it. R checks
# all this earlier, so only calls of the entry points show it. test-native-calls.R has the
# plans and programs.

expect_refusals <- function(calls, class = "internal", env = parent.frame()) {
  for (i in seq_along(calls)) {
    expect_error(
      eval(calls[[i]], env), names(calls)[i],
      class = paste0("attn_error_", class), fixed = TRUE, label = deparse(calls[[i]])[1]
    )
  }
}

layer_config <- function(...) {
  config <- list(
    num_heads = 2L, num_key_value_heads = 2L, key_dim = 2L, value_dim = 2L, use_bias = FALSE,
    use_gate = FALSE, use_scale = FALSE, score_mode = "dot", dropout = 0
  )
  config[names(list(...))] <- list(...)
  config
}

test_that("layers are made only of a configuration that can be", {
  create <- function(kind = "attention", dtype = "float32", config = layer_config(),
                     key = c(1, 2)) {
    .Call(ffi_layer_create, kind, dtype, config, key)
  }
  expect_identical(.Call(ffi_layer_info, create())$kind, "attention")
  expect_refusals(alist(
    "kind is not a string" = create(1),
    "kind is not a string" = create(c("attention", "attention")),
    "a layer needs a known kind" = create("dense_attention"),
    "dtype is not a string" = create(dtype = NULL),
    "there is no dtype float16" = create(dtype = "float16"),
    "a key is not two numbers" = create(key = 1:2),
    "a key is not two numbers" = create(key = 1),
    "a word of a key is out of range" = create(key = c(1, 2^32)),
    "a word of a key is out of range" = create(key = c(-1, 0)),
    "a word of a key is out of range" = create(key = c(0, NaN)),
    "an option is missing: num_heads" = create(config = list()),
    "an option is missing: num_heads" = create(config = NULL),
    "an option is missing: num_heads" = create(config = unname(layer_config())),
    "an option is missing: num_heads" = create(config = c(num_heads = 1)),
    "an option is not a number: key_dim" = create(config = layer_config(key_dim = 1:2)),
    "an option is not a number: key_dim" = create(config = layer_config(key_dim = "1")),
    "an option is out of range: key_dim" = create(config = layer_config(key_dim = -1)),
    "an option is out of range: key_dim" = create(config = layer_config(key_dim = 2^31)),
    "an option is out of range: use_bias" = create(config = layer_config(use_bias = NA_real_)),
    "score_mode is not a string" = create(config = layer_config(score_mode = 1)),
    "configuration of a layer is out of range" = create(config = layer_config(num_heads = 0)),
    "configuration of a layer is out of range" = create(config = layer_config(value_dim = 0)),
    "configuration of a layer is out of range" = create(config = layer_config(num_heads = 3)),
    "configuration of a layer is out of range" = create(config = layer_config(dropout = 1.5)),
    "configuration of a layer is out of range" = create(config = layer_config(dropout = NaN))
  ))
})

test_that("weights are made and set only in shapes that fit", {
  weights <- function(names = "kernel", dims = list(2:3), depths = 2L) {
    .Call(ffi_weights_create, "float64", names, dims, depths, c(1, 2))
  }
  expect_identical(.Call(ffi_layer_weight_names, weights()), "kernel")
  expect_refusals(alist(
    "weights are a name, dims and a depth each" = weights(1),
    "weights are a name, dims and a depth each" = weights(dims = 2:3),
    "weights are a name, dims and a depth each" = weights(dims = list()),
    "weights are a name, dims and a depth each" = weights(depths = 2),
    "weights are a name, dims and a depth each" = weights(depths = 1:2),
    "weights are a name, dims and a depth each" = weights(rep("a", 99), rep(list(1L), 99), 1:99),
    "a weight has an odd name or odd dims" = weights(dims = list(2)),
    "a weight has an odd name or odd dims" = weights(dims = list(rep(1L, 99))),
    "a weight has an odd name or odd dims" = weights(strrep("k", 1000)),
    "dims of weights are positive" = weights(dims = list(c(2L, 0L))),
    "dims of weights are positive" = weights(dims = list(NA_integer_))
  ))
  huge <- rep(.Machine$integer.max, 3)
  expect_refusals(alist(
    "the weights would be larger than memory can address" = weights(dims = list(huge))
  ), "shape")

  handle <- .Call(
    ffi_layer_create, "multi_head_attention", "float32", layer_config(), c(1, 2)
  )
  build <- function(widths = c(3L, 3L, 3L), output = 4L) {
    .Call(ffi_layer_build, handle, widths, output)
  }
  expect_refusals(alist(
    "a layer is built once" = build(c(3, 3, 3)),
    "a layer is built once" = build(1:2),
    "a layer is built once" = build(output = 4),
    "a layer is built once" = build(output = rep(1L, 99)),
    "widths and output dims must be positive" = build(c(3L, 0L, 3L)),
    "widths and output dims must be positive" = build(output = -1L),
    "set_weights() needs a built layer" = .Call(ffi_layers_set_weights, list(handle), list(list()))
  ))
  expect_refusals(alist(
    "the weights would be larger than memory can address" = build(huge, rep(huge[1], 8))
  ), "shape")
  expect_false(.Call(ffi_layer_info, handle)$built)
  build()
  expect_true(.Call(ffi_layer_info, handle)$built)
  before <- .Call(ffi_layer_get_weights, handle)
  set <- function(at, value) {
    changed <- lapply(before, `+`, 1)
    changed[at] <- list(value)
    .Call(ffi_layers_set_weights, list(handle), list(changed))
  }
  expect_refusals(alist(
    "a layer is built once" = build(),
    "set_weights() needs a built layer" = set(99, 1),
    "set_weights() needs a built layer" = .Call(ffi_layers_set_weights, list(handle), list(1)),
    "a weight is not a numeric array" = set(1, "a"),
    "a weight is not a numeric array" = set(2, NULL),
    "a weight does not have the length of its dims" = set(4, 1)
  ))
  expect_identical(.Call(ffi_layer_get_weights, handle), before)
})

test_that("attention is computed only over arrays that fit each other", {
  options <- function(...) {
    all <- list(
      dtype = "float64", scale = 1, soft_cap = 0, causal = FALSE, reference = FALSE
    )
    all[names(list(...))] <- list(...)
    all
  }
  x <- random_array(2, 3, 4, 5)
  attend <- function(query = x, key = x, value = x, bias = NULL, masks = list(),
                     options = list(
                       dtype = "float64", scale = 1, soft_cap = 0, causal = FALSE,
                       reference = FALSE
                     )) {
    .Call(ffi_op_attention, query, key, value, bias, masks, options)
  }
  pair <- function(dim) list(array(1, dim), as.integer(dim))
  huge <- list(1, rep(.Machine$integer.max, 4))
  expect_identical(dim(attend(bias = pair(c(1, 1, 3, 3)))), dim(x))
  expect_refusals(alist(
    "query has no dim" = attend(1),
    "key is not a numeric array" = attend(key = array("a", dim(x))),
    "value is not a numeric array" = attend(value = array(list(), 0)),
    "query, key and value do not fit each other" = attend(x[, , , 1]),
    "query, key and value do not fit each other" = attend(x[, , 1:3, ]),
    "query, key and value do not fit each other" = attend(value = x[, 1:2, , ]),
    "query, key and value do not fit each other" = attend(key = x[1, , , , drop = FALSE]),
    "there is no dtype float" = attend(options = options(dtype = "float")),
    "an option is missing: dtype" = attend(options = list(scale = 1)),
    "an option is not a number: scale" = attend(options = options(scale = "1")),
    "bias is not a pair of values and dims" = attend(bias = 1),
    "bias is not a pair of values and dims" = attend(bias = list(1)),
    "bias does not have the length of its dims" = attend(bias = list(1, c(1L, 1L, 1L, 3L))),
    "bias does not fit the scores" = attend(bias = pair(c(1, 1, 3, 2))),
    "bias does not fit the scores" = attend(bias = pair(c(3, 3))),
    "masks are not a list of at most" = attend(masks = NULL),
    "masks are not a list of at most" = attend(masks = rep(list(pair(c(1, 1, 1, 1))), 99)),
    "a mask is not a pair of values and dims" = attend(masks = list(TRUE)),
    "a mask does not fit the scores" = attend(masks = list(pair(c(2, 3, 3, 3))))
  ))
  expect_refusals(alist(
    "query has dims that are empty or too large" = attend(x[0, , , , drop = FALSE]),
    "query must have from 1 to" = attend(array(1, rep(1, 40))),
    "bias must have from 1 to" = attend(bias = list(1, 1)),
    "bias must have from 1 to" = attend(bias = list(1, integer())),
    "bias has dims that are empty or too large" = attend(bias = huge)
  ), "shape")
})

test_that("calls of attention by way of C alone leave to R what is not plain", {
  x <- random_array(2, 3, 4, 5)
  call <- function(query = x, key = x, mask = NULL, causal = FALSE, flash = NULL) {
    .Call(ffi_op_call, query, key, key, mask, causal, flash, "float64", TRUE)
  }
  expected <- call()
  expect_identical(dim(expected), dim(x))
  expect_identical(call(mask = TRUE), expected)
  expect_identical(call(mask = array(1L, c(3, 3))), expected)
  expect_identical(call(mask = c(1, 2, 3)), expected)
  expect_equal(call(flash = FALSE), expected, tolerance = 1e-13)
  left <- alist(
    call(x[, , , 1]), call(structure(x, class = "own")), call(x + 0i),
    call(x[0, , , , drop = FALSE]), call(x[, , 1:3, ]), call(causal = NA), call(causal = 1),
    call(causal = logical()), call(causal = matrix(TRUE)), call(flash = "no"), call(mask = NA),
    call(mask = logical()),
    call(mask = array(TRUE, rep(1, 5))), call(mask = array(TRUE, c(3, 2))), call(mask = "a"),
    call(mask = c(1, NaN, 1)), call(mask = c(1L, NA, 1L)), call(mask = factor(1:3)),
    call(mask = array(TRUE, c(0, 3))), call(array(1, rep(1, 40)))
  )
  for (one in left) expect_null(eval(one), label = deparse(one)[1])
})

test_that("numbers of files are read and written only where their bytes are", {
  read <- function(parts = list(raw(4), raw(4)), type = "F32", dim = 2) {
    .Call(ffi_stored_read, parts, type, dim)
  }
  write <- function(array = c(1, 2), type = "F32", dim = 2, first = 0, count = 2) {
    .Call(ffi_stored_write, array, type, dim, first, count)
  }
  expect_identical(read(), array(c(0, 0)))
  expect_identical(read(list(raw(8)), "F64", numeric()), 0)
  expect_identical(write(count = 0), raw())
  expect_identical(write(first = 1, count = 1), as.raw(c(0, 0, 0, 0x40)))
  hdf5 <- function(at, bytes = raw(16)) .Call(ffi_hdf5_read, bytes, at, "F64", 1, FALSE)
  expect_identical(hdf5(8), array(0))
  expect_refusals(alist(
    "the type of a tensor is not a string" = read(type = 1),
    "the type of a tensor is not a string" = read(type = c("F32", "F32")),
    "a tensor has an unknown type: F31" = read(type = "F31"),
    "the shape of a tensor is not one" = read(dim = 2L),
    "the shape of a tensor is not one" = read(dim = rep(1, 1000)),
    "larger than an array can be" = read(dim = -1),
    "larger than an array can be" = read(dim = NaN),
    "larger than an array can be" = read(dim = 2^31),
    "a tensor is larger than an array can be" = read(dim = rep(2^30, 3)),
    "a tensor is larger than an array can be" = read(dim = c(2^30, 2^30)),
    "the bytes of a tensor are not a list" = read(raw(8)),
    "a part of a tensor is not made of whole elements" = read(list(raw(5), raw(3))),
    "a part of a tensor is not made of whole elements" = read(list(1, 2)),
    "a tensor does not have the bytes of its shape" = read(dim = 3),
    "a tensor does not have the bytes of its shape" = read(list()),
    "is not an array of its shape" = write(1:2),
    "is not an array of its shape" = write(dim = 3),
    "is not an array of its shape" = write(type = "I32"),
    "is not an array of its shape" = write(first = 1),
    "is not an array of its shape" = write(first = -1),
    "is not an array of its shape" = write(first = NA_real_),
    "is not an array of its shape" = write(count = -1),
    "a tensor lies outside its file" = hdf5(9),
    "a tensor lies outside its file" = hdf5(-1),
    "a tensor lies outside its file" = hdf5(NA_real_),
    "a tensor lies outside its file" = hdf5(0, numeric(2)),
    "a file is not a raw vector" = .Call(ffi_hdf5_parse, "a")
  ))
  # what no double holds is named by its place
  expect_identical(read(list(as.raw(rep(255, 8))), "U64", c(1, 1)), "[1, 1]")
  expect_identical(write(c(1, 1e300)), "[2]")
})

test_that("headers of files are read and written only of what they can be", {
  size <- function(prefix = raw(8), size = 100) .Call(ffi_safetensors_size, prefix, size)
  parse <- function(header = charToRaw("{}"), size = 0) {
    .Call(ffi_safetensors_parse, header, size)
  }
  write <- function(names = "a", type = "F32", shapes = list(2), keys = "k", values = "v") {
    .Call(ffi_safetensors_write, names, type, shapes, keys, values)
  }
  expect_identical(parse()$name, character())
  expect_refusals(alist(
    "the start of a file is not 8 bytes" = size(raw(7)),
    "the start of a file is not 8 bytes" = size("12345678"),
    "the size of a file is not a number" = size(size = -1),
    "the size of a file is not a number" = size(size = NA_real_),
    "the size of a file is not a number" = size(size = 2^54),
    "a header is not a raw vector" = parse("{}"),
    "the size of a file is not a number" = parse(size = NaN),
    "a header is larger than headers can be" = parse(raw(100e6 + 1)),
    "does not have a shape for every name" = write(1),
    "does not have a shape for every name" = write(shapes = list()),
    "does not have a shape for every name" = write(shapes = 2),
    "does not have a shape for every name" = write(keys = 1),
    "does not have a shape for every name" = write(keys = character()),
    "does not have a shape for every name" = write(values = 1)
  ))
  bytes <- write()
  expect_identical(parse(bytes[-(1:8)], 8)$metadata, c(k = "v"))
})

test_that("paths, checksums, JSON, threads and random numbers want what they are made of", {
  path <- tempfile()
  expect_identical(.Call(ffi_file_kind, path), "none")
  expect_identical(.Call(ffi_file_kind, tempdir()), "folder")
  expect_match(.Call(ffi_file_sync, path), ".")
  file.create(path)
  expect_identical(.Call(ffi_file_kind, path), "file")
  expect_identical(.Call(ffi_file_sync, path), "")
  unlink(path)
  skip_on_os("windows")
  expect_identical(.Call(ffi_file_kind, "/dev/null"), "other")
  # a device has nothing to wait for
  expect_identical(.Call(ffi_file_sync, "/dev/null"), "")
  threads <- .Call(ffi_threads, NULL)
  elementary <- function(x = 1, name = "exp", dtype = "float64") {
    .Call(ffi_elementary, x, name, dtype)
  }
  random_numbers <- function(n = 1, inner = unmoved, is_normal = FALSE, outer = unmoved) {
    .Call(ffi_random_numbers, n, c(1, 2), inner, is_normal, outer)
  }
  expect_equal(elementary(), exp(1), tolerance = 1e-15)
  expect_refusals(alist(
    "a path is not a string" = .Call(ffi_file_kind, 1),
    "a path is not a string" = .Call(ffi_file_kind, NA_character_),
    "a path is not a string" = .Call(ffi_file_sync, character()),
    "a checksum is of a raw vector and a number" = .Call(ffi_crc32, "a", 0),
    "a checksum is of a raw vector and a number" = .Call(ffi_crc32, raw(1), 0L),
    "a checksum is of a raw vector and a number" = .Call(ffi_crc32, raw(1), c(0, 0)),
    "a checksum is a number of 32 bits" = .Call(ffi_crc32, raw(1), 2^32),
    "a checksum is a number of 32 bits" = .Call(ffi_crc32, raw(1), NaN),
    "a JSON text is not a raw vector" = .Call(ffi_json_extent, "{}"),
    "threads is not an integer" = .Call(ffi_threads, 2),
    "threads is not an integer" = .Call(ffi_threads, 1:2),
    "numbers need a count" = random_numbers(1L),
    "numbers need a count" = .Call(ffi_same_numbers, 1, c(1, 2)),
    "the count of numbers is out of range" = random_numbers(-1),
    "the count of numbers is out of range" = .Call(ffi_same_numbers, 1, 2^60),
    "by a shift and a scale" = random_numbers(inner = 1:2),
    "by a shift and a scale" = random_numbers(outer = c(0, 1, 2)),
    "random numbers are normal or not" = random_numbers(is_normal = NA),
    "only one number can be repeated" = .Call(ffi_same_numbers, 1L, 1),
    "only one number can be repeated" = .Call(ffi_same_numbers, c(1, 2), 1),
    "only numbers can be rounded" = .Call(ffi_round_to_float32, 1L),
    "an elementary function needs numbers" = elementary(1L),
    "the name of a function is not a string" = elementary(name = 1),
    "there is no dtype int8" = elementary(dtype = "int8"),
    "a shape is not" = .Call(ffi_einsum, "ab,bc->ac", NULL, c(1, 2), 3L),
    "a shape is not" = .Call(ffi_einsum, "ab,bc->ac", NULL, 1:2, rep(1L, 40)),
    "an equation is not a string" = .Call(ffi_einsum, 1, NULL, 1:2, 3L),
    "the bias's axes is not a string" = .Call(ffi_einsum, "ab,bc->ac", 1, 1:2, 3L)
  ))
  expect_identical(.Call(ffi_threads, NULL), threads)
})

test_that("a layer is called with three inputs, once it is built", {
  options <- list(
    causal = FALSE, window = 0L, dead_row = "mean", training = FALSE, scores = FALSE,
    reference = FALSE, projections = FALSE, mask_threshold = 0
  )
  handle <- .Call(ffi_layer_create, "attention", "float32", layer_config(), c(1, 2))
  x <- random_array(2, 3, 4)
  forward <- function(inputs) {
    .Call(ffi_layer_forward, handle, inputs, 0:1, 1L, list(), NULL, options)
  }
  expect_refusals(alist(
    "a call needs three inputs" = forward(list(x, x)),
    "a call needs three inputs" = forward(x),
    "a call needs a built layer" = forward(list(x, x, NULL))
  ))
})

test_that("a handle has no bytes that R could see, and says what it holds", {
  layer <- layer_attention(use_scale = TRUE)
  layer$build(list(c(2, 3, 4), c(2, 5, 4)))
  handle <- environment(layer)$self$handle
  expect_identical(typeof(handle), "raw")
  expect_length(handle, 0)
  expect_identical(rawToChar(handle), "")
  expect_identical(rev(handle), raw())
  expect_true(identical(handle, raw()))
  expect_output(.Internal(inspect(handle)), "attn layer handle (attention)", fixed = TRUE)
  gone <- unserialize(serialize(handle, NULL, version = 2))
  expect_identical(gone, raw())
})

test_that("no layer gets its weights where those of a later one are refused", {
  layers <- lapply(1:3, function(i) {
    layer <- layer_dense(units = 2, dtype = "float64")
    layer$build(c(NA, 3))
    layer
  })
  handles <- lapply(layers, function(layer) environment(layer)$self$handle)
  before <- lapply(handles, function(handle) .Call(ffi_layer_get_weights, handle))
  good <- lapply(before[[1]], `+`, 1)
  expect_refusals(alist(
    "a weight does not have the length of its dims" =
      .Call(ffi_layers_set_weights, handles, list(good, good, c(good[1], list(1))))
  ))
  expect_identical(lapply(handles, function(handle) .Call(ffi_layer_get_weights, handle)), before)
  .Call(ffi_layers_set_weights, handles[1:2], list(good, good))
  expect_identical(.Call(ffi_layer_get_weights, handles[[2]]), good)
})
