sample_tensors <- function() {
  list(
    "layers/dense/vars/0" = array(c(1.5, -2, 0.25, 8, 1e-3, 3e5), c(2, 3)),
    scale = 0.5, bias = array(c(1, 2), 2L), deep = array(seq_len(120) / 8, c(2, 3, 4, 5)),
    empty = array(0, c(0, 3)), "\u00e9 \"quoted\"\n" = array(-1, c(1, 1, 1))
  )
}

test_that("what is written is read", {
  path <- withr::local_tempfile()
  tensors <- sample_tensors()
  write_safetensors(path, tensors, "F64", c(format = "attn", "\u00e9" = "{\"a\": \"\u20ac\"}"))
  read <- read_safetensors(path)
  expect_identical(read$tensors, tensors)
  expect_identical(unique(read$dtypes), "F64")
  expect_identical(
    read$metadata[1:2], c(format = "attn", "\u00e9" = "{\"a\": \"\u20ac\"}")
  )
  header <- read_safetensors_header(path)
  expect_identical(names(header$tensors), names(tensors))
  expect_identical(header$tensors$deep, list(dtype = "F64", shape = c(2, 3, 4, 5)))
  expect_identical(header$tensors$scale$shape, double())
  expect_identical(header$metadata, read$metadata)
})

test_that("float32 keeps what a 32-bit float can hold", {
  path <- withr::local_tempfile()
  tensors <- sample_tensors()
  write_safetensors(path, tensors)
  read <- read_safetensors(path)$tensors
  expect_identical(lapply(read, dim), lapply(tensors, dim))
  expect_equal(read, tensors, tolerance = 2^-24)
  expect_identical(read$bias, tensors$bias)
  special <- c(Inf, -Inf, NaN, NA, -0, 2^-149)
  write_safetensors(path, list(x = special), overwrite = TRUE)
  read <- read_safetensors(path)$tensors$x
  expect_identical(is.nan(as.vector(read)), c(FALSE, FALSE, TRUE, TRUE, FALSE, FALSE))
  expect_identical(1 / read[[5]], -Inf)
  expect_identical(as.vector(read)[c(1, 2, 6)], special[c(1, 2, 6)])
})

test_that("integers, logical values and vectors without dim are written as numbers", {
  path <- withr::local_tempfile()
  write_safetensors(path, list(a = 1:3, b = TRUE, c = matrix(c(TRUE, FALSE), 1), d = double()))
  expect_identical(
    read_safetensors(path)$tensors,
    list(a = array(c(1, 2, 3), 3L), b = 1, c = matrix(c(1, 0), 1), d = array(double(), 0L))
  )
  write_safetensors(path, list(), overwrite = TRUE)
  expect_identical(length(read_safetensors(path)$tensors), 0L)
})

test_that("the file is the format's, byte by byte", {
  path <- withr::local_tempfile()
  write_safetensors(
    path, list(w = array(c(1, 4, 2, 5, 3, 6), c(2, 3)), s = 7),
    metadata = list(k = "v")
  )
  header <- paste0(
    "{\"__metadata__\":{\"k\":\"v\",\"attn_file\":\"1\",\"attn_crc32\":\"00000000\"},",
    "\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},",
    "\"s\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[24,28]}}"
  )
  header <- paste0(header, strrep(" ", -nchar(header) %% 8))
  # row by row
  bytes <- safetensors_bytes(header, little(c(1, 2, 3, 4, 5, 6, 7), 4L))
  crc <- charToRaw(format_checksum(checksum_of(bytes)))
  bytes[8L + regexpr("00000000", header) - 1L + 1:8] <- crc
  expect_identical(file_bytes(path), bytes)
})

test_that("all types of numbers are read", {
  entry <- function(dtype, begin, end, shape = "[2]") {
    sprintf(
      "\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%d,%d]}",
      dtype, dtype, shape, begin, end
    )
  }
  header <- sprintf("{%s}", paste(
    entry("F64", 0, 16), entry("F32", 16, 24), entry("F16", 24, 28), entry("BF16", 28, 32),
    entry("I64", 32, 48), entry("I32", 48, 56), entry("I16", 56, 60), entry("I8", 60, 62),
    entry("U8", 62, 64), entry("BOOL", 64, 66, "[1,2]"),
    sep = ","
  ))
  data <- c(
    little(c(0.1, -1e300), 8L), little(c(1.5, -2), 4L), as.raw(c(0x55, 0x35, 0x01, 0x80)),
    as.raw(c(0xC0, 0x3F, 0x80, 0xFF)), c(little(2L, 4L), raw(4), as.raw(rep(255, 8))),
    little(c(.Machine$integer.max, -5L), 4L), little(c(-300L, 300L), 2L), as.raw(c(0x80, 0x7F)),
    as.raw(c(0x80, 0xFF)), as.raw(c(1, 0))
  )
  read <- read_safetensors(local_file(safetensors_bytes(header, data)))
  expect_identical(lapply(read$tensors, as.vector), list(
    F64 = c(0.1, -1e300), F32 = c(1.5, -2), F16 = c(0.333251953125, -2^-24),
    BF16 = c(1.5, -Inf), I64 = c(2, -1), I32 = c(.Machine$integer.max, -5), I16 = c(-300, 300),
    I8 = c(-128, 127), U8 = c(128, 255), BOOL = c(TRUE, FALSE)
  ))
  expect_identical(dim(read$tensors$BOOL), c(1L, 2L))
  expect_identical(unname(read$dtypes), names(read$dtypes))
})

test_that("numbers that R cannot hold are refused with their place", {
  header <- "{\"a\":{\"dtype\":\"I64\",\"shape\":[1,2],\"data_offsets\":[0,16]}}"
  large <- c(as.raw(c(1, 0, 0, 0, 0, 0, 32, 0)), raw(8))
  path <- local_file(safetensors_bytes(header, rev(large)))
  expect_attn_error(read_safetensors(path), "file", "tensor \"a\" \\(I64\\).*2\\^53 at \\[1, 2\\]")
  header <- "{\"b\":{\"dtype\":\"BOOL\",\"shape\":[],\"data_offsets\":[0,1]}}"
  path <- local_file(safetensors_bytes(header, as.raw(2)))
  expect_attn_error(read_safetensors(path), "file", "other than 0 and 1\\.$")
  header <- "{\"c\":{\"dtype\":\"U8\",\"shape\":[0,2147483648],\"data_offsets\":[0,0]}}"
  path <- local_file(safetensors_bytes(header))
  expect_attn_error(read_safetensors(path), "file", "tensor \"c\".*2147483648")
})

test_that("headers may be padded, spaced and in any order", {
  header <- "{ \"b\" : {\"shape\":[ 1 ],\"data_offsets\":[ 2 , 3 ],\"dtype\":\"U8\" } ,
    \"a\": {\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}   "
  read <- read_safetensors(local_file(safetensors_bytes(header, as.raw(7:9))))
  expect_identical(read$tensors, list(a = array(c(7, 8), 2L), b = array(9, 1L)))
})

test_that("errors name the file, the place and the tensor", {
  path <- local_file(charToRaw("short"))
  error <- expect_attn_error(read_safetensors(path), "file", "only 5 bytes")
  expect_match(conditionMessage(error), encodeString(path, quote = "\""), fixed = TRUE)
  path <- local_file(safetensors_bytes("{\"a\":{\"dtype\":\"C64\"}}"))
  expect_attn_error(read_safetensors(path), "file", "byte 22 .* dtype other than .*tensor \"a\"")
  path <- local_file(c(as.raw(rep(255, 8)), raw(10)))
  expect_attn_error(read_safetensors(path), "file", "larger than 100 MB")
  path <- local_file(c(as.raw(c(50, rep(0, 7))), raw(10)))
  expect_attn_error(read_safetensors(path), "file", "larger than the file")
  expect_attn_error(read_safetensors("no/such/file"), "file", "no such file")
  expect_attn_error(read_safetensors(tempdir()), "file", "folder")
  expect_attn_error(read_safetensors(""), "argument")
  expect_attn_error(read_safetensors(1), "argument")
  expect_attn_error(read_safetensors(local_file(), owner = "load_model()"), "file", "^load_model")
})

test_that("a file that is cut anywhere is refused", {
  path <- withr::local_tempfile()
  write_safetensors(path, list(ab = array(1:6, c(2, 3)), c = 1), metadata = c(k = "v"))
  bytes <- file_bytes(path)
  for (length in seq_len(length(bytes)) - 1L) {
    writeBin(bytes[seq_len(length)], path)
    expect_attn_error(read_safetensors(path), "file")
  }
  writeBin(c(bytes, as.raw(0)), path)
  expect_attn_error(read_safetensors(path), "file", "belong to no tensor")
})

# What is accepted must be consistent in itself: the data has the size of the shapes.
test_that("a file with any one byte changed is refused or read in full", {
  header <- "{\"a\":{\"dtype\":\"U8\",\"shape\":[2,1],\"data_offsets\":[0,2]}}"
  bytes <- safetensors_bytes(header, as.raw(1:2))
  refused <- 0
  accepted <- 0
  look <- function(result) {
    if (is.null(result$problem)) {
      accepted <<- accepted + 1
      expect_identical(result$end, 2)
      width <- switch(result$dtype, U8 = , I8 = 1, 0)
      expect_identical(prod(result$shape[[1]]) * width, 2)
    } else {
      refused <<- refused + 1
    }
  }
  for_each_flip(charToRaw(header), seq_len(nchar(header)), 1:255, function(flipped, ...) {
    look(.Call(ffi_safetensors_parse, flipped, 2))
  })
  expect_gt(refused, 200 * nchar(header))
  expect_gt(accepted, 0)
  path <- withr::local_tempfile()
  for_each_flip(bytes, seq_along(bytes), c(1, 32, 128, 255), function(flipped, ...) {
    writeBin(flipped, path)
    outcome <- file_error(read <- read_safetensors(path))
    expect_true(outcome == "attn_error_file" || length(read$tensors[[1]]) == 2L)
  })
})

test_that("any one byte changed of a file that is written here is noticed", {
  path <- withr::local_tempfile()
  tensors <- list("\u00e9" = array(c(1, 2), c(1, 2)), b = 3)
  write_safetensors(path, tensors, metadata = c(k = "v"))
  bytes <- file_bytes(path)
  outcomes <- character()
  for_each_flip(bytes, seq_along(bytes), c(1, 2, 6, 32, 128), function(flipped, ...) {
    writeBin(flipped, path)
    outcomes <<- c(outcomes, file_error(read_safetensors(path)))
  })
  expect_identical(unique(outcomes), "attn_error_file")
  # the names of the two keys, whatever else their bytes are
  names <- unlist(lapply(c(checksum_key, origin_key), function(key) {
    grepRaw(key, bytes, fixed = TRUE) + seq_len(nchar(key)) - 1L
  }))
  flips <- if (on_cran()) c(3, 64, 255) else 1:255
  for_each_flip(bytes, names, flips, function(flipped, ...) {
    writeBin(flipped, path)
    outcomes <<- c(outcomes, file_error(read_safetensors(path)))
  })
  expect_identical(unique(outcomes), "attn_error_file")
})

test_that("a checksum is looked at where there is one, and follows what is written", {
  path <- withr::local_tempfile()
  write_safetensors(path, list(a = 1), metadata = c(k = "v"))
  read <- read_safetensors(path)
  # metadata that was read may be written again
  write_safetensors(path, list(a = 2), metadata = read$metadata, overwrite = TRUE)
  expect_identical(read_safetensors(path)$tensors, list(a = 2))
  for (digits in c("", "00000000", "no checksum")) {
    header <- sprintf("{\"__metadata__\":{\"attn_crc32\":\"%s\"}}", digits)
    path <- local_file(safetensors_bytes(header))
    expect_attn_error(read_safetensors(path), "file", "checksum is not right")
  }
  lost <- local_file(safetensors_bytes("{\"__metadata__\":{\"attn_file\":\"1\"}}"))
  expect_attn_error(read_safetensors(lost), "file", "checksum is not there.*`attn_file`")
  others <- local_file(safetensors_bytes("{\"__metadata__\":{\"format\":\"keras\"}}"))
  expect_identical(read_safetensors(others)$metadata, c(format = "keras"))
  spaced <- local_file(safetensors_bytes("{\"__metadata__\": {\"attn_crc32\": \"00000000\"}}"))
  expect_attn_error(read_safetensors(spaced), "file", "checksum is not right")
})

test_that("what cannot be written is refused before a file is touched", {
  folder <- withr::local_tempdir()
  path <- file.path(folder, "x.safetensors")
  expect_refused <- function(..., regexp = NULL) {
    expect_attn_error(write_safetensors(path, ...), "argument", regexp)
    expect_identical(list.files(folder, all.files = TRUE, no.. = TRUE), character())
  }
  expect_refused(1)
  expect_refused(list(1), regexp = "without names")
  expect_refused(list(a = 1, a = 2), regexp = "\"a\" twice")
  expect_refused(list(a = "1"))
  expect_refused(list(a = factor(1)))
  expect_refused(list(`__metadata__` = 1))
  expect_refused(list(a = array(1, rep(1, 33))))
  expect_refused(list("\xff" = 1))
  expect_refused(list(a = 1), dtype = "F16")
  expect_refused(list(a = 1), metadata = c("a", "b"))
  expect_refused(list(a = 1), metadata = list(a = 1))
  expect_refused(list(a = 1), metadata = c(a = NA_character_))
  expect_refused(list(a = 1), overwrite = NA)
  expect_refused(list(a = c(0, 1e39)), regexp = "float32.*\"a\" at \\[2\\]")
  expect_refused(list(b = array(c(0, 0, 0, -1e39), c(2, 2))), regexp = "\"b\" at \\[2, 2\\]")
})

test_that("an existing file is replaced only when that is wanted", {
  path <- local_file(charToRaw("old"))
  expect_attn_error(write_safetensors(path, list(a = 1)), "file", "overwrite = TRUE")
  expect_identical(file_bytes(path), charToRaw("old"))
  # a failed save keeps the old file
  expect_attn_error(write_safetensors(path, list(a = 1e300), overwrite = TRUE), "argument")
  expect_identical(file_bytes(path), charToRaw("old"))
  write_safetensors(path, list(a = 1), overwrite = TRUE)
  expect_identical(read_safetensors(path)$tensors, list(a = 1))
})

test_that("tensors longer than a part are read and written in parts", {
  path <- withr::local_tempfile()
  x <- array(seq_len(7 * 11 * 13), c(7, 11, 13))
  local_function("part_size", function() 64)
  write_safetensors(path, list(x = x, y = 1:16), "F64")
  expect_identical(
    read_safetensors(path)$tensors, list(x = x + 0, y = array(as.double(1:16), 16L))
  )
  x[7, 11, 12] <- Inf
  write_safetensors(path, list(x = x), overwrite = TRUE)
  expect_identical(read_safetensors(path)$tensors$x, x)
})

test_that("a file that is cut while it is read is refused", {
  path <- local_file(safetensors_bytes("{}      "))
  expect_attn_error(
    with_connection(path, "rb", "load()", function(connection) {
      safetensors_header(connection, 1e6, "load()", path)
    }), "file", "no safetensors file"
  )
  bytes <- safetensors_bytes("{}      ")
  bytes[1] <- as.raw(100)
  path <- local_file(bytes)
  expect_attn_error(
    with_connection(path, "rb", "load()", function(connection) {
      safetensors_header(connection, 1e6, "load()", path)
    }), "file", "it ends within its header"
  )
})

test_that("metadata of more than the format has room for is refused", {
  path <- withr::local_tempfile()
  expect_attn_error(
    write_safetensors(path, list(a = 1), metadata = c(long = strrep("x", 1e8))),
    "argument", "at most 100 MB"
  )
  expect_false(file.exists(path))
})

test_that("a tensor that is read and written in several steps is the same", {
  x <- array(stats::runif(1500 * 1500), c(1500, 1500))
  path <- withr::local_tempfile()
  write_safetensors(path, list(x = x), dtype = "F64")
  expect_identical(read_safetensors(path)$tensors$x, x)
  bytes <- as.raw(seq_len(3e6) %% 251)
  whole <- .Call(ffi_crc32, bytes, 0)
  expect_identical(.Call(ffi_crc32, bytes[-(1:17)], .Call(ffi_crc32, bytes[1:17], 0)), whole)
})
