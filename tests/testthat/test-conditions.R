test_that("shapes are shown as in Keras's messages", {
  expect_identical(format_shape(c(2, NA, 3)), "(2, NA, 3)")
  expect_identical(format_shape(5), "(5)")
  expect_identical(format_shape(NULL), "NULL")
})

test_that("names from files are shown cut to a length that can be read", {
  expect_identical(quote_name("a"), "\"a\"")
  expect_identical(quote_name(strrep("x", 80)), paste0("\"", strrep("x", 80), "\""))
  expect_identical(quote_name(strrep("x", 81)), paste0("\"", strrep("x", 80), "...\""))
})
