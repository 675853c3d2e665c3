# Layers as the real Keras wrote them into model files.

test_that("configs of Keras's models make layers that write the same configs", {
  classes <- c(
    "Dense", "Embedding", "LayerNormalization", "Dropout", "Activation", "GlobalAveragePooling1D"
  )
  found <- character()
  for (case in fixture("models")) {
    layers <- jsonlite::parse_json(case$config_json)$config$layers
    for (dict in Filter(function(dict) dict$class_name %in% classes, layers)) {
      found <- union(found, dict$class_name)
      layer <- deserialize_keras_object(dict[c("module", "class_name", "config", "build_config")])
      ours <- jsonlite::parse_json(to_json(serialize_keras_object(layer)))
      dict$config$dtype$shared_object_id <- NULL
      expect_identical(names(ours$config), names(dict$config), label = dict$config$name)
      expect_equal(ours$config, dict$config, label = dict$config$name)
      expect_equal(ours$build_config, dict$build_config, label = dict$config$name)
    }
  }
  expect_true(all(c("Dense", "Embedding", "LayerNormalization") %in% found))
})
