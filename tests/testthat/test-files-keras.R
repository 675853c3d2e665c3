archive_file <- function(model) fixture_path(model$files[1])

json_list <- function(text) jsonlite::fromJSON(text, simplifyVector = FALSE)

# A ZIP archive byte by byte: members are lists of name, data and what is to be unusual.
zip_bytes <- function(members, comment = raw()) {
  number <- function(x, width) as.raw(floor(x / 256^(seq_len(width) - 1)) %% 256)
  locals <- raw()
  directory <- raw()
  for (member in members) {
    m <- utils::modifyList(list(
      flags = 0, method = 0, crc = crc32(member$data), mode = 0, packed = length(member$data),
      size = length(member$data), offset = length(locals), local_name = member$name, disk = 0
    ), member)
    sizes <- c(number(m$crc, 4), number(m$packed, 4), number(m$size, 4))
    common <- c(number(20, 2), number(m$flags, 2), number(m$method, 2), raw(4), sizes)
    name <- charToRaw(m$name)
    directory <- c(
      directory, as.raw(c(0x50, 0x4B, 1, 2)), as.raw(c(20, 3)), common, number(length(name), 2),
      raw(4), number(m$disk, 2), raw(2), raw(2), number(m$mode, 2), number(m$offset, 4), name
    )
    name <- charToRaw(m$local_name)
    locals <- c(
      locals, as.raw(c(0x50, 0x4B, 3, 4)), common, number(length(name), 2), raw(2), name, m$data
    )
  }
  c(
    locals, directory, as.raw(c(0x50, 0x4B, 5, 6)), raw(4),
    rep(number(length(members), 2), 2), number(length(directory), 4), number(length(locals), 4),
    number(length(comment), 2), comment
  )
}

# The checksum of ZIP, bit by bit.
crc32 <- function(bytes) {
  table <- vapply(0:255, function(byte) {
    crc <- byte
    for (i in 1:8) {
      low <- crc %% 2
      crc <- floor(crc / 2)
      if (low == 1) crc <- xor32(crc, 0xEDB88320)
    }
    crc
  }, 0)
  crc <- 2^32 - 1
  for (byte in as.integer(bytes)) {
    crc <- xor32(table[bitwXor(crc %% 256, byte) + 1], floor(crc / 256))
  }
  xor32(crc, 2^32 - 1)
}

xor32 <- function(a, b) {
  high <- bitwXor(floor(a / 65536), floor(b / 65536))
  high * 65536 + bitwXor(a %% 65536, b %% 65536)
}

tiny_weights <- function() file_bytes(test_path("fixtures", "model_func_mha_1.weights.h5"))

# The three members, with some of them changed.
tiny_members <- function(...) {
  members <- list(
    metadata = list(name = "metadata.json", data = charToRaw("{\"keras_version\": \"3.16.0\"}")),
    config = list(name = "config.json", data = charToRaw("{\"class_name\": \"Sequential\"}")),
    weights = list(name = "model.weights.h5", data = charToRaw("no weights"))
  )
  utils::modifyList(members, list(...))
}

expect_refused <- function(members, regexp, ...) {
  expect_attn_error(read_keras_archive(zip_bytes(members, ...)), "file", regexp)
}

test_that("the models that Keras saved are read", {
  skip_if_not_installed("zip")
  for (model in fixture("models")) {
    read <- read_keras_archive(archive_file(model))
    expect_identical(read$metadata$keras_version, "3.16.0")
    expect_match(read$metadata$date_saved, "^[0-9-]{10}@[0-9:]{8}$")
    expect_identical(read$config$class_name, "Functional")
    expect_identical(read$config, json_list(read$config_json))
    expect_identical(read$config$config$name, json_list(model$config_json)$config$name)
    expect_identical(read$weights, read_weights_h5(fixture_path(model$files[2])))
    expect_identical(read_keras_archive(file_bytes(archive_file(model))), read)
  }
})

test_that("what is written is read, and is in Keras's order, not compressed", {
  skip_if_not_installed("zip")
  skip_if_not_installed("hdf5r")
  model <- fixture("models")[[3]]
  right <- read_keras_archive(archive_file(model))
  path <- withr::local_tempfile(fileext = ".keras")
  write_keras_archive(path, right$config_json, right$weights$weights, right$weights$names)
  read <- read_keras_archive(path)
  expect_identical(read[-1], right[-1])
  expect_identical(read$metadata$keras_version, "3.16.0")
  expect_lt(
    abs(as.numeric(Sys.time() - as.POSIXct(read$metadata$date_saved, format = "%Y-%m-%d@%H:%M:%S"),
      units = "secs"
    )), 300
  )
  members <- read_zip_directory(path, "test", path)
  expect_identical(members$name, c("metadata.json", "config.json", "model.weights.h5"))
  expect_identical(members$method, c(0, 0, 0))
  expect_attn_error(write_keras_archive(path, "{}", list()), "file", "overwrite = TRUE")
  write_keras_archive(path, "{\"a\": \"\u20ac\"}", list(a = 1),
    metadata = list(keras_version = "3.17.1", note = "\"x\""), overwrite = TRUE
  )
  read <- read_keras_archive(path)
  expect_identical(read$config, list(a = "\u20ac"))
  expect_identical(read$metadata, list(keras_version = "3.17.1", note = "\"x\""))
  expect_attn_error(write_keras_archive(path, "{", list(), overwrite = TRUE), "argument", "JSON")
  expect_attn_error(
    write_keras_archive(path, "{}", list(a = 1e39), overwrite = TRUE), "argument", "float32"
  )
  expect_identical(read_keras_archive(path), read)
})

test_that("compressed members, comments and other members are read or passed over", {
  skip_if_not_installed("zip")
  folder <- withr::local_tempdir()
  write <- function(name, bytes) writeBin(bytes, file.path(folder, name))
  write("metadata.json", charToRaw("{\"keras_version\": \"3.1.0\"}"))
  write("config.json", charToRaw("{\"a\": 1}"))
  write("model.weights.h5", tiny_weights())
  write("notes.txt", charToRaw("hello"))
  archive <- file.path(folder, "x.keras")
  zip::zip(archive, c("notes.txt", keras_members), root = folder, mode = "cherry-pick")
  expect_true(any(read_zip_directory(archive, "test", archive)$method == 8))
  read <- read_keras_archive(archive)
  expect_identical(length(read$weights$weights), 10L)
  bytes <- zip_bytes(
    tiny_members(weights = list(data = tiny_weights())),
    comment = charToRaw("PK\005\006 a comment")
  )
  expect_identical(read_keras_archive(bytes)$weights, read$weights)
})

test_that("an archive that is cut anywhere is refused", {
  skip_if_not_installed("zip")
  bytes <- zip_bytes(tiny_members())
  lengths <- seq_along(bytes) - 1L
  if (on_cran()) lengths <- lengths[lengths %% 7 == 0]
  for (length in lengths) {
    outcome <- file_error(read_zip_directory(local_file(bytes[seq_len(length)]), "f()", "x"))
    expect_identical(outcome, "attn_error_file")
  }
  expect_attn_error(read_keras_archive(utils::head(bytes, -1)), "file", "raw vector.*ZIP")
  expect_attn_error(read_keras_archive(c(bytes, as.raw(1))), "file")
})

test_that("an archive with any one byte changed is refused, or read as it was", {
  skip_if_not_installed("zip")
  archive <- file_bytes(archive_file(fixture("models")[[1]]))
  right <- read_keras_archive(archive)
  # the directory and the members' headers, a bit of each byte, and some of the members
  members <- read_zip_directory(archive_file(fixture("models")[[1]]), "test", "x")
  headers <- unlist(lapply(members$offset, function(offset) offset + 1:30))
  structure <- c(headers, max(members$end + 1):length(archive))
  content <- withr::with_seed(1, sample(length(archive), 60))
  outcomes <- character()
  look <- function(flipped, ...) {
    outcome <- file_error(read <- read_keras_archive(flipped))
    if (outcome == "none") expect_identical(read, right)
    outcomes <<- c(outcomes, outcome)
  }
  if (on_cran()) structure <- structure[structure %% 5 == 0]
  for (place in structure) for_each_flip(archive, place, 2^(place %% 8), look)
  for_each_flip(archive, content, 64, look)
  expect_setequal(outcomes, c("none", "attn_error_file"))
})

test_that("names that lead elsewhere are refused", {
  names <- c(
    "/metadata.json", "../metadata.json", "a/../b", "C:x", "a\\..\\b", "", "a//b", "./a", "a\nb"
  )
  for (name in names) {
    expect_refused(c(tiny_members(), list(list(name = name, data = raw(1)))), "no plain name")
  }
})

test_that("what an archive of Keras never has is refused", {
  expect_refused(c(tiny_members(), tiny_members()["config"]), "\"config.json\" twice")
  expect_refused(tiny_members(config = list(name = "Metadata.json")), "twice")
  expect_refused(tiny_members()[-2], "no config.json")
  expect_refused(tiny_members(config = list(flags = 1)), "encrypted")
  expect_refused(tiny_members(config = list(method = 12)), "unusual way")
  expect_refused(tiny_members(config = list(mode = 41471)), "not a regular file")
  expect_refused(tiny_members(config = list(size = 5)), "another size")
  expect_refused(tiny_members(config = list(local_name = "other.json!")), "not where it says")
  expect_refused(tiny_members(config = list(offset = 0)), "not where it says")
  expect_refused(
    tiny_members(weights = list(method = 8, size = 2^29)), "far too large"
  )
  expect_refused(
    tiny_members(config = list(method = 8, size = 2^28 + 1, packed = 2^23)), "too large|not where"
  )
  expect_refused(tiny_members(metadata = list(data = raw(2^20 + 1), crc = 0)), "larger than any")
  expect_refused(list(), "empty")
  expect_attn_error(read_keras_archive(charToRaw("PK")), "file", "shorter")
  expect_attn_error(read_keras_archive(raw(100)), "file", "does not end as")
  bytes <- zip_bytes(tiny_members())
  bytes[length(bytes) - 5:2] <- as.raw(255)
  expect_attn_error(read_keras_archive(bytes), "file", "ZIP64")
  # one member fewer than the directory has records
  bytes <- zip_bytes(tiny_members())
  at <- length(bytes) - 22L + c(9L, 11L)
  bytes[at] <- as.raw(as.integer(bytes[at]) - 1L)
  expect_attn_error(read_keras_archive(bytes), "file", "directory is damaged")
})

test_that("members that are read in several parts are the same", {
  bytes <- zip_bytes(tiny_members(weights = list(data = tiny_weights())))
  whole <- read_keras_archive(bytes)
  local_function("part_size", function() 1000)
  expect_identical(read_keras_archive(bytes), whole)
})

# A member that is compressed; without the header and the checksum of zlib.
deflated <- function(bytes) {
  packed <- memCompress(bytes, "gzip")
  packed <- packed[3:(length(packed) - 4L)]
  list(data = packed, method = 8, size = length(bytes), crc = .Call(ffi_crc32, bytes, 0))
}

test_that("compressed members that are a thousand times larger are refused before they are", {
  skip_if_not_installed("zip")
  local_function("extract_members", function(...) stop("they are taken out"))
  spaces <- charToRaw(strrep(" ", 4 * 2^20))
  for (name in c("metadata", "config", "weights")) {
    bomb <- tiny_members()
    bomb[[name]] <- utils::modifyList(bomb[[name]], deflated(if (name == "metadata") {
      spaces[seq_len(2^20)]
    } else {
      spaces
    }))
    expect_refused(bomb, paste0(bomb[[name]]$name, " is compressed to less"))
  }
})

test_that("compressed configs may not have more values than fits the archive", {
  skip_if_not_installed("zip")
  numbers <- function(count) charToRaw(sprintf("{\"a\": [%s1]}", strrep("1,", count - 1)))
  weights <- list(data = tiny_weights())
  read <- function(count) {
    members <- tiny_members(config = deflated(numbers(count)), weights = weights)
    read_keras_archive(zip_bytes(members))
  }
  expect_length(read(60000)$config$a, 60000L)
  expect_attn_error(read(90000), "file", "config.json has more values than a model of this size")
  # as they are, each has its bytes in the file
  stored <- tiny_members(config = list(data = numbers(90000)), weights = weights)
  stored$config$crc <- .Call(ffi_crc32, stored$config$data, 0)
  expect_length(read_keras_archive(zip_bytes(stored))$config$a, 90000L)
})

test_that("a compressed model of a thousand layers is read", {
  skip_if_not_installed("zip")
  layer <- function(i) list(
    module = "keras.layers", class_name = "Dense", registered_name = NULL,
    build_config = list(input_shape = list(NULL, 4L)), name = paste0("dense_", i),
    config = get_config(layer_dense(units = 4, name = paste0("dense_", i)))
  )
  layers <- lapply(1:1000, layer)
  json <- charToRaw(write_json(list(class_name = "Functional", config = list(layers = layers))))
  expect_gt(length(json), 7e5)
  # weights of which little is said here: 200 bytes for each layer
  noise <- list(name = "notes", data = as.raw(withr::with_seed(1, sample(0:255, 2e5, TRUE))))
  noise$crc <- .Call(ffi_crc32, noise$data, 0)
  members <- tiny_members(config = deflated(json), weights = list(data = tiny_weights()))
  read <- read_keras_archive(zip_bytes(c(members, list(noise))))
  expect_length(read$config$config$layers, 1000L)
})

test_that("members that overlap are refused", {
  bytes <- zip_bytes(tiny_members(
    metadata = list(flags = 8), config = list(flags = 8), weights = list(flags = 8)
  ))
  members <- read_zip_directory(local_file(bytes), "test", "x")
  expect_identical(nrow(members), 3L)
  # the first member's data reaches over the second's header
  directory <- members$end[3]
  grown <- bytes
  grown[directory + 20 + 1:8] <- rep(as.raw(c(60, 0, 0, 0)), 2)
  expect_attn_error(read_keras_archive(grown), "file", "share bytes")
})

test_that("members of another content than they claim are refused", {
  skip_if_not_installed("zip")
  expect_refused(tiny_members(config = list(crc = 7)), "checksum of its config.json")
  expect_refused(tiny_members(), "model.weights.h5: this is no sound HDF5 file")
  expect_refused(tiny_members(config = list(data = charToRaw("{"))), "config.json is not JSON")
  expect_refused(tiny_members(config = list(data = charToRaw("[]"))), "not an object")
  expect_refused(tiny_members(config = list(data = charToRaw("7"))), "not an object")
  expect_refused(tiny_members(config = list(data = charToRaw("{\"a\": NaN}"))), "not JSON")
  expect_refused(tiny_members(config = list(data = as.raw(c(0x7B, 0, 0x7D)))), "NUL")
  expect_refused(tiny_members(config = list(data = as.raw(c(0x22, 0xFF, 0x22)))), "not UTF-8")
  deep <- charToRaw(paste0("{\"a\":", strrep("[", 200), strrep("]", 200), "}"))
  expect_refused(tiny_members(config = list(data = deep)), "config.json is nested deeper")
  # a text that is the name of a file or an address is not followed
  address <- charToRaw("http://127.0.0.1:9/config.json")
  expect_refused(tiny_members(config = list(data = address)), "config.json is not JSON")
  expect_refused(
    tiny_members(metadata = list(data = charToRaw("{\"date_saved\": \"x\"}"))), "which version"
  )
  expect_refused(
    tiny_members(metadata = list(data = charToRaw("{\"keras_version\": 3}"))), "which version"
  )
  expect_refused(tiny_members(metadata = list(data = charToRaw("[]"))), "which version")
})

test_that("a text that is not JSON may have the formats of printf in it", {
  for (text in c("{\"a\": %n%n%n}", "%n", "[1, %s%s%s]", "{\"%n\": 1")) {
    for (read in list(load_model_config, function(bytes) {
      parse_json_bytes(bytes, "f()", "x", "config.json")
    })) {
      expect_attn_error(read(charToRaw(text)), "file", "not JSON")
    }
    expect_attn_error(from_config(text), "config")
  }
  expect_identical(parse_json_text("{\"a\": \"%n\"}"), list(a = "%n"))
})

test_that("JSON that is nested too deeply is refused before it is parsed", {
  json <- function(depth) charToRaw(paste0(strrep("[", depth), strrep("]", depth)))
  expect_attn_error(parse_json_bytes(json(101), "f()", "x", "config.json"), "file", "101|deeper")
  expect_type(parse_json_bytes(json(100), "f()", "x", "config.json"), "list")
  text <- charToRaw("{\"a\": \"[[\\\"[\"}")
  expect_identical(parse_json_bytes(text, "f()", "x", "config.json"), list(a = "[[\"["))
  expect_attn_error(parse_json_bytes(json(1e6), "f()", "x", "config.json"), "file", "deeper")
})

test_that("without zip a message says what to install", {
  local_function("has_package", function(package) package != "zip")
  # plain members, which Keras writes, are read without it
  expect_length(read_keras_archive(archive_file(fixture("models")[[1]]))$weights$weights, 10L)
  deflated <- zip_bytes(tiny_members(config = list(method = 8)))
  expect_attn_error(read_keras_archive(deflated), "file", "install.packages\\(\"zip\"\\)")
  out <- withr::local_tempfile()
  expect_attn_error(write_keras_archive(out, "{}", list()), "file", "install.packages\\(\"zip\"\\)")
  expect_false(file.exists(out))
})

test_that("arguments are checked, and folders left as they were", {
  skip_if_not_installed("zip")
  expect_attn_error(read_keras_archive(1), "argument")
  expect_attn_error(read_keras_archive("no/such.keras"), "file", "no such file")
  expect_attn_error(write_keras_archive("x.keras", 1, list()), "argument")
  before <- list.files(tempdir(), pattern = "^attn-")
  try(read_keras_archive(zip_bytes(tiny_members())), silent = TRUE)
  read_keras_archive(archive_file(fixture("models")[[1]]))
  expect_identical(list.files(tempdir(), pattern = "^attn-"), before)
})
