draw <- function(...) {
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off())
  plot(...)
}

test_that("a model is drawn with its inputs on top and no box over another", {
  a <- keras_input(shape = 4, name = "a")
  b <- keras_input(shape = 4, name = "b")
  shared <- layer_dense(units = 3, name = "shared")
  h <- layer_add(list(shared(a), shared(b)), name = "sum")
  model <- keras_model(list(a, b), layer_concatenate(list(h, a), name = "both"), name = "net")
  boxes <- draw(model, show_shapes = TRUE, show_params = TRUE, show_dtype = TRUE)
  expect_identical(nrow(boxes), 6L)
  y <- function(name) boxes$y[boxes$layer == name]
  expect_true(all(y("a") > y("shared"), y("shared") > y("sum"), y("sum") > y("both")))
  expect_true(all(grepl("(NA, ", boxes$label, fixed = TRUE)))
  for (i in 1:5) {
    for (j in (i + 1):6) {
      apart <- abs(boxes$x[i] - boxes$x[j]) >= (boxes$width[i] + boxes$width[j]) / 2 ||
        abs(boxes$y[i] - boxes$y[j]) >= (boxes$height[i] + boxes$height[j]) / 2
      expect_true(apart)
    }
  }
  expect_identical(draw(model, show_layer_names = FALSE)$label[1], "InputLayer")
  expect_invisible(draw(model, main = "A model", cex = 0.5))
})

test_that("a model that gives its input back is a box without arrows", {
  input <- keras_input(shape = 4, name = "only")
  model <- keras_model(input, input)
  expect_identical(draw(model)$layer, "only")
  expect_identical(nrow(drawn_graph(layer_self(model), list(
    shapes = TRUE, names = TRUE, dtype = FALSE, params = FALSE
  ))$arrows), 0L)
})

test_that("what cannot be drawn is refused", {
  model <- keras_model_sequential() |> layer_dense(units = 2)
  expect_attn_error(draw(model), "state")
  model$build(c(NA, 3))
  expect_identical(nrow(draw(model)), 2L)
  expect_attn_error(draw(model, show_shapes = 1), "argument")
  expect_attn_error(draw(model, foo = 1), "argument")
  expect_attn_error(draw(model, cex = -1), "argument")
})
