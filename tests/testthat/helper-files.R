# Shared by the tests of files.

# A file of these bytes that goes with the test.
local_file <- function(bytes = raw(), fileext = "", env = parent.frame()) {
  path <- withr::local_tempfile(fileext = fileext, .local_envir = env)
  writeBin(bytes, path)
  path
}

file_bytes <- function(path) readBin(path, "raw", file.size(path))

# A safetensors file byte by byte: its header in text, and its data.
safetensors_bytes <- function(header, data = raw()) {
  header <- charToRaw(enc2utf8(header))
  c(writeBin(length(header), raw(), size = 4L, endian = "little"), raw(4L), header, data)
}

little <- function(numbers, size) writeBin(numbers, raw(), size = size, endian = "little")

# The class of the error that code ends with, or "none"; other errors are failures.
file_error <- function(code) {
  tryCatch(
    {
      code
      "none"
    },
    attn_error_file = function(error) "attn_error_file"
  )
}

# A file made by hdf5r.
local_h5 <- function(fill, env = parent.frame()) {
  path <- withr::local_tempfile(fileext = ".h5", .local_envir = env)
  file <- hdf5r::H5File$new(path, "w")
  fill(file)
  file$close_all()
  path
}

put_text <- function(object, name, value) {
  hdf5r::h5attr(object, name) <- value
}

# Every byte of `bytes` at the places `at`, with each of `flips` (1 to 255) over it.
for_each_flip <- function(bytes, at, flips, use) {
  for (place in at) {
    for (flip in flips) {
      flipped <- bytes
      flipped[place] <- xor(flipped[place], as.raw(flip))
      use(flipped, place, flip)
    }
  }
}

fixture_path <- function(name) test_path("fixtures", name)

# Another function in the place of one of the package's own, for the rest of the caller.
local_function <- function(name, value, env = parent.frame()) {
  namespace <- asNamespace("attn")
  before <- get(name, namespace)
  put <- function(value) {
    unlockBinding(name, namespace)
    assign(name, value, namespace)
    lockBinding(name, namespace)
  }
  put(value)
  withr::defer(put(before), envir = env)
}

on_cran <- function() !identical(Sys.getenv("NOT_CRAN"), "true")
