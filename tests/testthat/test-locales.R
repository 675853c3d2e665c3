# The locale of the session changes no name, no result and no file.

# Runs code in the locale, or skips where the machine has none of that name.
in_locale <- function(locale, code) {
  old <- Sys.getlocale("LC_CTYPE")
  if (!nzchar(suppressWarnings(Sys.setlocale("LC_CTYPE", locale)))) {
    skip(paste("this machine has no locale", locale))
  }
  on.exit(Sys.setlocale("LC_CTYPE", old))
  code
}

test_that("letters of ASCII get their small ones, all others stay", {
  expect_identical(lower_ascii(paste(LETTERS, collapse = "")), paste(letters, collapse = ""))
  expect_identical(lower_ascii(c("", "aZ_1", "\u00c9I\u0130")), c("", "az_1", "\u00c9i\u0130"))
})

test_that("no name is made by the letters of the locale", {
  namespace <- asNamespace("attn")
  calls <- lapply(mget(ls(namespace, all.names = TRUE), namespace), function(x) {
    if (is.function(x)) all.names(body(x))
  })
  by_locale <- vapply(calls, function(x) any(c("tolower", "toupper", "casefold") %in% x), NA)
  # this one compares names as a file system may: any capitals
  expect_identical(names(calls)[by_locale], "check_zip_members")
  expect_gt(length(calls), 1000L)
})

test_that("names and settings of Keras are the same in Turkish", {
  in_locale("tr_TR.UTF-8", {
    expect_identical(snake_case(c("InputLayer", "BIDI")), c("input_layer", "bidi"))
    layer <- layer_conv_1d(filters = 1, kernel_size = 1, padding = "VALID")
    expect_identical(get_config(layer)$padding, "valid")
    expect_identical(
      get_config(initializer_variance_scaling(distribution = "UNIFORM"))$distribution, "uniform"
    )
  })
})

test_that("what UTF-8 cannot hold is no name, nor written, where any byte is a letter", {
  in_locale("C", {
    byte <- "d\xff"
    expect_identical(is_unicode(c(byte, "d", "\u00e9")), c(FALSE, TRUE, TRUE))
    expect_attn_error(layer_dense(units = 1, name = byte), "argument", "UTF-8")
    expect_attn_error(keras_input(2, name = byte), "argument", "UTF-8")
    expect_attn_error(keras_model_sequential(name = byte), "argument", "UTF-8")
    path <- withr::local_tempfile()
    expect_attn_error(write_safetensors(path, stats::setNames(list(1), byte)), "argument")
    expect_attn_error(write_safetensors(path, list(a = 1), metadata = c(a = byte)), "argument")
    expect_false(file.exists(path))
    name <- "\u00e9"
    write_safetensors(path, stats::setNames(list(1), name))
    expect_identical(names(read_safetensors(path)$tensors), name)
  })
})

test_that("names with what separates groups are no names of inputs either", {
  expect_attn_error(keras_input(2, name = "a/b"), "argument", "without \"/\"")
})
