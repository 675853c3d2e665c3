saved_models <- function() fixture("models")

weights_file <- function(model) fixture_path(model$files[2])

# What hdf5r sees of a file: all that a reader could ask.
h5_listing <- function(path) {
  file <- hdf5r::H5File$new(path, "r")
  on.exit(file$close_all())
  names <- sort(file$ls(recursive = TRUE)$name)
  lapply(stats::setNames(names, names), function(name) {
    object <- file[[name]]
    on.exit(object$close())
    if (inherits(object, "H5Group")) {
      attributes <- hdf5r::h5attr_names(object)
      return(lapply(stats::setNames(attributes, attributes), function(attribute) {
        attribute <- object$attr_open(attribute)
        type <- attribute$get_type()
        list(
          attribute$read(), as.character(type$get_cset()), as.character(type$get_strpad()),
          type$is_vlen(), as.character(attribute$get_space()$get_simple_extent_type())
        )
      }))
    }
    plan <- object$get_create_plist()
    list(
      type = object$get_type()$to_text(), value = object$read(),
      attributes = hdf5r::h5attr_names(object),
      layout = as.character(plan$get_layout()), filters = plan$get_nfilters(),
      space = as.character(object$get_space()$get_simple_extent_type())
    )
  })
}

test_that("the weights that Keras saved are read", {
  for (model in saved_models()) {
    file <- read_weights_h5(weights_file(model))
    expect_identical(file$format, "keras3")
    expect_null(file$layers)
    # the same arrays; models.rds has them by other names, in another order
    sorted <- function(weights) {
      key <- vapply(weights, function(x) paste(c(dim(x), 0, x), collapse = " "), "")
      unname(lapply(weights[order(key)], function(x) if (is.null(dim(x))) x else x + 0))
    }
    expect_identical(sorted(file$weights), sorted(model$weights))
  }
})

test_that("paths, shapes and names are those of the file", {
  file <- read_weights_h5(fixture_path("model_decoder_3.weights.h5"))
  kernel <- file$weights[["layers/grouped_query_attention/_output_dense/vars/0"]]
  expect_identical(dim(kernel), c(2L, 2L, 4L))
  expect_null(dim(file$weights[["layers/attention/vars/0"]]))
  expect_identical(dim(file$weights[["layers/dense/vars/0"]]), c(12L, 4L))
  expect_identical(file$names[["layers/dense/vars"]], "logits")
  expect_identical(file$names[["vars"]], "decoder")
  expect_identical(file$names[["layers/concatenate/vars"]], "cat")
  expect_identical(length(file$weights), 15L)
  expect_identical(length(file$names), 16L)
})

test_that("a file can be given as its bytes", {
  path <- fixture_path("model_func_mha_1.weights.h5")
  expect_identical(read_weights_h5(file_bytes(path)), read_weights_h5(path))
  expect_attn_error(read_weights_h5(raw(3)), "file", "the raw vector.*does not start as")
})

test_that("what is no HDF5 file of weights is refused", {
  expect_attn_error(read_weights_h5(local_file(charToRaw("text"))), "file", "no sound HDF5 file")
  expect_attn_error(read_weights_h5(local_file()), "file", "no sound HDF5 file")
  expect_attn_error(read_weights_h5(tempdir()), "file", "folder")
  expect_attn_error(read_weights_h5("no/such"), "file", "no such file")
  expect_attn_error(read_weights_h5(1), "argument")
})

test_that("a file that is cut anywhere is refused", {
  bytes <- file_bytes(fixture_path("model_func_mha_1.weights.h5"))
  lengths <- c(0:99, seq(100, length(bytes) - 1, by = 499), length(bytes) - 1:9)
  for (length in lengths) {
    expect_attn_error(read_weights_h5(bytes[seq_len(length)]), "file")
  }
})

# tests/core/test_hdf5.c has every byte; here is what a user gets.
test_that("a damaged file is refused, or what it still names is what it was", {
  bytes <- file_bytes(fixture_path("model_func_mha_1.weights.h5"))
  # the HDF5 library is tested below: it takes a second a file
  local_function("read_foreign_h5", function(path, bytes, reason, owner) {
    abort_file(owner, path, reason)
  })
  right <- read_weights_h5(bytes)
  data <- 16584:17652
  structure <- setdiff(which(bytes != 0), data)
  outcomes <- c(refused = 0, read = 0)
  withr::with_seed(1, {
    at <- sample(structure, 400)
    flips <- sample(255, 400, replace = TRUE)
  })
  for (i in seq_along(at)) {
    damaged <- bytes
    damaged[at[i]] <- xor(damaged[at[i]], as.raw(flips[i]))
    if (file_error(read <- read_weights_h5(damaged)) == "none") {
      outcomes["read"] <- outcomes["read"] + 1
      same <- intersect(names(read$weights), names(right$weights))
      has_shape <- function(name) {
        identical(dim(read$weights[[name]]), dim(right$weights[[name]]))
      }
      same <- Filter(has_shape, same)
      expect_identical(read$weights[same], right$weights[same])
    } else {
      outcomes["refused"] <- outcomes["refused"] + 1
    }
  }
  expect_true(all(outcomes > 20))
})

test_that("weights are written as Keras writes them", {
  skip_if_not_installed("hdf5r")
  for (model in saved_models()) {
    right <- read_weights_h5(weights_file(model))
    path <- withr::local_tempfile(fileext = ".weights.h5")
    write_weights_h5(path, right$weights, right$names)
    expect_identical(read_weights_h5(path), right)
    expect_identical(h5_listing(path), h5_listing(weights_file(model)))
  }
})

test_that("numbers, empty arrays and float64 are written", {
  skip_if_not_installed("hdf5r")
  path <- withr::local_tempfile()
  weights <- list(
    "a/vars/0" = 0.1, "a/vars/1" = array(1:24 / 7, c(2, 3, 4)), "b" = array(0, c(0, 3)),
    "c" = array(2, 1L), "d" = array(c(Inf, NaN, -0), 3L)
  )
  write_weights_h5(path, weights, c("e/f" = "\u00e9", "a/vars" = "a"), "F64")
  read <- read_weights_h5(path)
  expect_identical(read$weights, weights)
  expect_identical(read$names[c("e/f", "a/vars")], c("e/f" = "\u00e9", "a/vars" = "a"))
  write_weights_h5(path, weights[1], overwrite = TRUE)
  expect_equal(read_weights_h5(path)$weights, weights[1], tolerance = 1e-7)
  special <- list(a = array(c(Inf, -Inf, NaN, -0, 2^-149, (2 - 2^-23) * 2^127), 6L), b = -Inf)
  write_weights_h5(path, special, overwrite = TRUE)
  read <- read_weights_h5(path)$weights
  expect_identical(read, special)
  expect_identical(1 / read$a[4], -Inf)
  write_weights_h5(path, list(), overwrite = TRUE)
  expect_identical(length(read_weights_h5(path)$weights), 0L)
})

test_that("what cannot be written is refused before a file is touched", {
  skip_if_not_installed("hdf5r")
  folder <- withr::local_tempdir()
  path <- file.path(folder, "x.h5")
  expect_refused <- function(..., regexp = NULL) {
    expect_attn_error(write_weights_h5(path, ...), "argument", regexp)
    expect_identical(list.files(folder, all.files = TRUE, no.. = TRUE), character())
  }
  expect_refused(list(1))
  expect_refused(list("a/" = 1), regexp = "paths")
  expect_refused(list("/a" = 1), regexp = "paths")
  expect_refused(list("a//b" = 1), regexp = "paths")
  expect_refused(list("a/../b" = 1), regexp = "paths")
  expect_refused(list("a" = 1, "a/b" = 2), regexp = "none is a group")
  expect_refused(list("a" = 1), c("a/b" = "x"), regexp = "none is a group")
  expect_refused(list("a" = 1), c("x"))
  expect_refused(list("a" = 1), c(b = NA))
  expect_refused(list("a" = 1), dtype = "F16")
  expect_refused(list("a" = array(c(0, 0, 1e39), c(1, 3))), regexp = "\"a\" at \\[1, 3\\]")
  writeBin(charToRaw("old"), path)
  expect_attn_error(write_weights_h5(path, list(a = 1)), "file", "overwrite = TRUE")
  expect_identical(file_bytes(path), charToRaw("old"))
})

test_that("the largest float32 is written, and what is not is refused as the format does", {
  skip_if_not_installed("hdf5r")
  path <- withr::local_tempfile()
  largest <- (2 - 2^-23) * 2^127
  write_weights_h5(path, list(a = largest, b = -largest, c = largest * (1 + 2^-26)))
  expect_identical(unlist(read_weights_h5(path)$weights, use.names = FALSE), c(1, -1, 1) * largest)
  above <- (2 - 2^-24) * 2^127
  expect_attn_error(write_weights_h5(path, list(a = above), overwrite = TRUE), "argument")
  expect_attn_error(write_safetensors(path, list(a = above), overwrite = TRUE), "argument")
})

test_that("files of Keras 2 are recognised, with their weights by name", {
  skip_if_not_installed("hdf5r")
  fill <- function(file, prefix = "") {
    root <- if (nzchar(prefix)) file$create_group(prefix) else file
    put_text(root, "layer_names", c("dense", "drop"))
    put_text(root, "backend", "tensorflow")
    group <- root$create_group("dense")
    put_text(group, "weight_names", c("dense/kernel:0", "dense/bias:0"))
    inner <- group$create_group("dense")
    inner$create_dataset("kernel:0", matrix(1:6 + 0, 3), chunk_dims = NULL)
    inner$create_dataset("bias:0", c(1, 2, 3), chunk_dims = NULL)
    root$create_group("drop")
    if (nzchar(prefix)) put_text(file, "model_config", "{\"class_name\": \"Sequential\"}")
  }
  for (prefix in c("", "model_weights")) {
    path <- local_h5(function(file) fill(file, prefix))
    read <- read_weights_h5(path)
    expect_identical(read$format, "keras2")
    expect_identical(names(read$layers), c("dense", "drop"))
    expect_identical(names(read$layers$dense), c("dense/kernel:0", "dense/bias:0"))
    # hdf5r has the dims the other way round
    expect_identical(read$layers$dense[["dense/kernel:0"]], t(matrix(1:6 + 0, 3)))
    expect_identical(read$layers$drop, stats::setNames(list(), character()))
  }
  expect_identical(read$attributes$model_config, "{\"class_name\": \"Sequential\"}")
  path <- local_h5(function(file) {
    put_text(file, "layer_names", "dense")
    put_text(file$create_group("dense"), "weight_names", "dense/kernel:0")
  })
  expect_attn_error(read_weights_h5(path), "file", "dense/kernel:0\".*missing")
})

test_that("long lists of names that Keras 2 has cut are put together", {
  content <- list(
    owner = c("", "", "", "x"),
    attribute = c("layer_names1", "layer_names0", "other", "layer_names2"),
    value = list(c("c", "d"), c("a", "b"), "o", "z")
  )
  expect_identical(split_attribute(content, "", "layer_names"), c("a", "b", "c", "d"))
  expect_null(split_attribute(content, "x", "layer_names"))
  expect_identical(split_attribute(content, "", "other"), "o")
})

test_that("links, text and other things that are no weights are refused", {
  skip_if_not_installed("hdf5r")
  path <- local_h5(function(file) file$link_create_soft("/a", "b"))
  expect_attn_error(read_weights_h5(path), "file", "soft link")
  path <- local_h5(function(file) file$create_group("a")$link_create_hard(file, "/", "b"))
  expect_attn_error(read_weights_h5(path), "file", "overlap")
  path <- local_h5(function(file) file$create_dataset("a", "text", chunk_dims = NULL))
  expect_attn_error(read_weights_h5(path), "file", "neither floating-point")
  path <- local_h5(function(file) {
    file$create_dataset("a", data.frame(x = 1:2, y = c(0.5, 1)), chunk_dims = NULL)
  })
  expect_attn_error(read_weights_h5(path), "file", "neither floating-point")
})

test_that("deep groups are refused", {
  skip_if_not_installed("hdf5r")
  path <- local_h5(function(file) {
    for (depth in 1:40) file$create_group(paste(rep("g", depth), collapse = "/"))
  })
  expect_attn_error(read_weights_h5(path), "file", "nested too deeply")
})

test_that("without hdf5r, Keras's own files are read; the rest says what to install", {
  local_function("has_package", function(package) FALSE)
  expect_identical(read_weights_h5(fixture_path("model_func_mha_1.weights.h5"))$format, "keras3")
  bytes <- file_bytes(fixture_path("model_func_mha_1.weights.h5"))
  bytes[9] <- as.raw(2)
  expect_attn_error(read_weights_h5(bytes), "file", "install.packages\\(\"hdf5r\"\\)")
  path <- withr::local_tempfile()
  expect_attn_error(write_weights_h5(path, list(a = 1)), "file", "install.packages\\(\"hdf5r\"\\)")
  expect_false(file.exists(path))
})

test_that("a file that is read in several parts is the same", {
  path <- fixture_path("model_func_mha_1.weights.h5")
  whole <- read_bytes(path, "load()")
  local_function("part_size", function() 1000)
  expect_identical(read_bytes(path, "load()"), whole)
  expect_identical(length(whole), as.integer(file.size(path)))
})

test_that("a long name is read whole", {
  skip_if_not_installed("hdf5r")
  name <- strrep("n", 1e5)
  path <- local_h5(function(file) {
    group <- file$create_group("vars")
    write_h5_name(group, name)
    group$create_dataset("0", c(1, 2), chunk_dims = NULL)
  })
  expect_identical(read_weights_h5(path)$names, c(vars = name))
})
