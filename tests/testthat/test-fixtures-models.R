# The models that the real Keras saved.

tolerance_of <- function(case, dtype) {
  (if (dtype == "float32") 5e-6 else 1e-9) * max(1, max(abs(case$output)))
}

expect_answer <- function(model, case, dtype = "float32") {
  expect_lte(max(abs(model_answer(model, case) - case$output)), tolerance_of(case, dtype),
    label = paste(case$id, dtype)
  )
}

json_of <- function(case) jsonlite::parse_json(case$config_json)

model_tensors <- function(model) {
  tree <- weight_tree(layer_self(model))
  values <- tree_values(tree)
  names(values) <- tree_paths(tree)
  values
}

test_that("the .keras files load, and predict what Keras did", {
  for (case in fixture("models")) {
    model <- load_model(fixture_path(case$files[1]))
    expect_answer(model, case)
    expect_identical(model$name, json_of(case)$config$name)
  }
})

test_that("their weights have Keras's paths, order and values", {
  for (case in fixture("models")) {
    tensors <- model_tensors(load_model(fixture_path(case$files[1])))
    expect_identical(names(tensors), names(case$weights))
    for (path in names(tensors)) {
      expect_identical(as.vector(tensors[[path]]), as.vector(case$weights[[path]]), label = path)
      expect_identical(shape_of_value(tensors[[path]]), shape_of_value(case$weights[[path]]))
    }
  }
})

test_that("in float64 they predict it to 1e-9", {
  skip_if_not_installed("hdf5r")
  skip_if_not_installed("zip")
  for (case in fixture("models")) {
    bytes <- with_config(file_bytes(fixture_path(case$files[1])), function(json) {
      gsub("\"float32\"", "\"float64\"", json, fixed = TRUE)
    })
    model <- load_model(bytes)
    expect_answer(model, case, "float64")
    dtypes <- vapply(layer_self(model)$layers, function(layer) layer_self(layer)$dtype, "")
    expect_true(all(dtypes %in% c("float64", "int32", "bool")))
  }
})

test_that("the .weights.h5 files load into the models made from R code", {
  for (case in fixture("models")) {
    model <- model_from_code(case)
    before <- model_answer(model, case)
    expect_gt(max(abs(before - case$output)), 1e-3)
    load_model_weights(model, fixture_path(case$files[2]))
    expect_answer(model, case)
    loaded <- load_model(fixture_path(case$files[1]))
    expect_identical(model_answer(model, case), model_answer(loaded, case))
    # a .keras file has weights, too
    again <- load_model_weights(model_from_code(case), fixture_path(case$files[1]))
    expect_identical(model_answer(again, case), model_answer(loaded, case))
  }
})

test_that("saving and loading again changes no bit, in any format", {
  for (case in fixture("models")) {
    model <- load_model(fixture_path(case$files[1]))
    answer <- model_answer(model, case)
    tensors <- model_tensors(model)
    expect_same <- function(other) {
      expect_identical(model_answer(other, case), answer)
      expect_identical(model_tensors(other), tensors)
      expect_identical(get_config(other), get_config(model))
    }
    path <- withr::local_tempfile(fileext = ".safetensors")
    save_model(model, path)
    expect_same(load_model(path))
    expect_same(load_model(file_bytes(path)))
    skip_if_not_installed("hdf5r")
    skip_if_not_installed("zip")
    expect_same(load_model(save_model(model)))
    path <- withr::local_tempfile(fileext = ".keras")
    save_model(model, path)
    expect_same(load_model(path))
    for (ending in c(".weights.h5", ".safetensors")) {
      path <- withr::local_tempfile(fileext = ending)
      save_model_weights(model, path)
      expect_same(load_model_weights(load_model(fixture_path(case$files[1])), path))
    }
  }
})

test_that("what is written is what Keras wrote", {
  for (case in fixture("models")) {
    model <- load_model(fixture_path(case$files[1]))
    own <- jsonlite::parse_json(save_model_config(model))
    expect_identical(own, without_ids(json_of(case)), label = case$id)
    archive <- read_keras_archive(fixture_path(case$files[1]))
    expect_identical(own, without_ids(archive$config))
    skip_if_not_installed("hdf5r")
    path <- withr::local_tempfile(fileext = ".weights.h5")
    save_model_weights(model, path)
    expect_identical(
      read_weights_h5(path)[c("weights", "names")],
      read_weights_h5(fixture_path(case$files[2]))[c("weights", "names")]
    )
    skip_if_not_installed("zip")
    saved <- read_keras_archive(save_model(model))
    expect_identical(saved$config, own)
    expect_identical(saved$weights[c("weights", "names")], archive$weights[c("weights", "names")])
  }
})

test_that("models of R code are written as Keras writes them, but for nodes of masks", {
  for (case in fixture("models")) {
    own <- jsonlite::parse_json(save_model_config(model_from_code(case)))$config
    expected <- without_ids(json_of(case))$config
    is_mask_node <- vapply(expected$layers, function(layer) {
      layer$class_name %in% c("NotEqual", "LogicalOr")
    }, NA)
    expected$layers <- expected$layers[!is_mask_node]
    expected$layers <- lapply(expected$layers, function(layer) {
      for (i in seq_along(layer$inbound_nodes)) {
        if (!is.null(layer$inbound_nodes[[i]]$kwargs$mask)) {
          layer$inbound_nodes[[i]]$kwargs <- structure(list(), names = character())
        }
      }
      layer
    })
    own_names <- vapply(own$layers, function(layer) layer$name, "")
    names <- vapply(expected$layers, function(layer) layer$name, "")
    expect_identical(own_names, names)
    expect_identical(own, expected, label = case$id)
  }
})
