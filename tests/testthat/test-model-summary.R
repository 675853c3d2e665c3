test_that("the table of a model has its layers, shapes, parameters and connections", {
  withr::local_options(width = 80)
  input <- keras_input(shape = c(5, 8), name = "tokens")
  h <- layer_multi_head_attention(input, num_heads = 2, key_dim = 4, name = "mha")
  model <- keras_model(input, layer_add(list(input, h), name = "sum"), name = "net")
  summary <- summary(model)
  expect_s3_class(summary, "summary.attn_model")
  expect_identical(summary$table$layer, c("tokens", "mha", "sum"))
  expect_identical(summary$table$class, c("InputLayer", "MultiHeadAttention", "Add"))
  expect_identical(summary$table$output_shape, rep("(NA, 5, 8)", 3))
  expect_identical(summary$table$params, c(0, 288, 0))
  expect_identical(summary$table$connected_to, c("-", "tokens", "tokens, mha"))
  expect_identical(summary$params, c(total = 288, trainable = 288, non_trainable = 0))
  expect_identical(summary$bytes, c(total = 1152, trainable = 1152, non_trainable = 0))
  lines <- capture.output(print(model))
  expect_identical(capture.output(print(summary)), lines)
  expect_identical(lines[1], "Model: \"net\"")
  expect_true(any(grepl("Layer (type)", lines, fixed = TRUE)))
  expect_true(any(grepl("Connected to", lines, fixed = TRUE)))
  expect_true(" Total params: 288 (1.12 KB)" %in% lines)
  expect_true(" Non-trainable params: 0 (0.00 B)" %in% lines)
  expect_true(all(nchar(lines, "width") <= 80))
  table <- lines[2:(length(lines) - 3)]
  expect_length(unique(nchar(table, "width")), 1)
  expect_identical(format(model), "<keras_model \"net\": 3 layers, 288 parameters>")
  expect_output(str(model), "net")
  expect_output(expect_invisible(print(model)))
})

test_that("the table is as wide as it may be", {
  model <- keras_model_sequential(input_shape = 4, name = "m") |>
    layer_dense(units = 3, name = "a_layer_whose_name_is_much_longer_than_what_there_is_room_for") |>
    layer_dense(units = 2, name = "b")
  for (width in c(40, 50, 60, 80, 120)) {
    lines <- capture.output(print(model, line_length = width))
    expect_true(all(nchar(lines, "width") <= width))
    text <- gsub("[^a-z_]", "", paste(lines, collapse = ""))
    expect_match(text, "a_layer_whose")
  }
  lines <- capture.output(print(model))
  expect_gt(length(capture.output(print(model, compact = FALSE))), length(lines))
  expect_false(any(grepl("Connected", capture.output(print(model)))))
})

test_that("frozen layers, nested models and models that are not built are shown", {
  inner <- keras_model_sequential(input_shape = 4, name = "inner") |>
    layer_dense(units = 3, name = "d")
  input <- keras_input(shape = 4)
  model <- keras_model(input, layer_dense(inner(input), units = 1, dtype = "float64", name = "e"))
  expect_identical(nrow(summary(model)$table), 3L)
  table <- summary(model, expand_nested = TRUE)$table
  expect_identical(table$layer[2:4], c("inner", "d", "e"))
  expect_identical(table$depth, c(0L, 0L, 1L, 0L))
  expect_identical(summary(model)$bytes[["total"]], 15 * 4 + 4 * 8)
  freeze_weights(get_layer(model, "e"))
  lines <- capture.output(print(model))
  expect_true(any(grepl("Trainable ", lines[1:4])))
  expect_false(any(grepl("Trainable ", capture.output(print(model, show_trainable = FALSE))[1:4])))
  expect_true(any(grepl("Trainable ", capture.output(print(inner, show_trainable = TRUE))[1:4])))
  expect_identical(summary(model)$params, c(total = 19, trainable = 15, non_trainable = 4))
  open <- keras_model_sequential() |> layer_dense(units = 2)
  expect_output(print(open), "not built")
  expect_match(format(open), "not built")
  expect_output(print(keras_model_sequential()), "no layers")
  expect_attn_error(summary(model, foo = 1), "argument")
  expect_attn_error(summary(model, line_length = 0), "argument")
  expect_attn_error(print(model, expand_nested = NA), "argument")
})

test_that("bytes are shown as Keras shows them", {
  expect_identical(
    vapply(c(0, 1, 1023, 1024, 1536, 1024^2, 3.5 * 1024^3), format_bytes, ""),
    c("0.00 B", "1.00 B", "1023.00 B", "1.00 KB", "1.50 KB", "1.00 MB", "3.50 GB")
  )
})

test_that("results of a layer beside its first are told by their number", {
  x <- keras_input(shape = c(3, 4), name = "x")
  both <- layer_attention(name = "att")(list(x, x), return_attention_scores = TRUE)
  model <- keras_model(x, list(layer_flatten(both[[2]], name = "scores"), both[[1]]))
  table <- summary(model)$table
  expect_identical(table$connected_to[table$layer == "scores"], "att[2]")
  expect_identical(table$output_shape[table$layer == "att"], "(NA, 3, 4), (NA, 3, 3)")
})

test_that("where there are no characters for boxes, the table is of plain ones", {
  model <- keras_model_sequential(input_shape = 4, name = "m") |> layer_dense(units = 3, name = "d")
  boxed <- capture.output(print(model))
  withr::local_locale(c(LC_CTYPE = "C"))
  lines <- capture.output(print(model))
  expect_false(any(grepl("[^ -~]", lines)))
  expect_match(lines[2], "^[+]=+[+]=+[+]=+[+]$")
  expect_match(lines[3], "^[|] Layer")
  expect_length(lines, length(boxed))
})
