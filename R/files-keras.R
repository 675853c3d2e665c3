# .keras files: ZIP archives of metadata.json, config.json and model.weights.h5. The
# archive's directory is read here, before anything is taken out: what is to be taken out
# must be there once, plain or deflated, of a size that can be believed, and nothing in
# the archive may have a name that leads elsewhere. Plain members, which is what Keras
# writes, are read here as well; the package zip inflates others.

keras_members <- c("metadata.json", "config.json", "model.weights.h5")

# path: the name of a file, or its content as a raw vector. Returns list(metadata =,
# config =, config_json =, weights =): lists as of jsonlite::fromJSON(simplifyVector =
# FALSE), the text of the config, and what read_weights_h5() gives.
read_keras_archive <- function(path, owner = "read_keras_archive()") {
  if (!is.raw(path)) {
    path <- check_path(path, owner)
    check_file(path, owner)
  }
  folder <- tempfile("attn-keras-")
  dir.create(folder)
  on.exit(unlink(folder, recursive = TRUE))
  archive <- path
  if (is.raw(path)) {
    archive <- file.path(folder, "archive.keras")
    within_file(writeBin(path, archive), owner, path, "copying the file")
  }
  members <- read_zip_directory(archive, owner, path)
  members <- choose_keras_members(members, file.size(archive), owner, path)
  bytes <- read_members(archive, members, folder, owner, path)
  parse_member <- function(name) {
    parse_json_bytes(bytes[[name]], owner, path, name, members$values[members$name == name])
  }
  metadata <- parse_member("metadata.json")
  check_keras_metadata(metadata, owner, path)
  parsed <- parse_member("config.json")
  if (!is.list(parsed) || is.null(names(parsed))) {
    abort_not_keras(owner, path, "its config.json is not an object")
  }
  weights <- within_member("model.weights.h5", owner, path,
    read_weights_h5(bytes[["model.weights.h5"]], owner)
  )
  list(
    metadata = metadata, config = parsed, config_json = bytes_as_text(bytes[["config.json"]]),
    weights = weights
  )
}

abort_not_keras <- function(owner, path, ...) {
  abort_file(owner, path, paste0("this is no sound .keras file: ", sprintf(...)),
    expected = "a .keras file"
  )
}

# Errors about a file that was in the archive: say which, and where that was.
within_member <- function(name, owner, path, code) {
  tryCatch(code, attn_error_file = function(error) {
    abort_file(owner, path, paste0(name, ": ", error$received), parent = error)
  })
}

check_keras_metadata <- function(metadata, owner, path) {
  version <- if (is.list(metadata)) metadata[["keras_version"]]
  if (!is_string(version) || !grepl("^[0-9]+[.][0-9]+", version)) {
    abort_not_keras(owner, path, "its metadata.json does not say of which version of Keras it is")
  }
}

# ---- JSON ----

# `values`: more of them take more memory than their text, or its file, is worth.
parse_json_bytes <- function(bytes, owner, path, what, values = Inf) {
  extent <- .Call(ffi_json_extent, bytes)
  if (extent[1L] > config_depth) {
    abort_file(owner, path, sprintf("%s is nested deeper than %d levels", what, config_depth))
  }
  if (extent[2L] > values) {
    abort_file(owner, path, sprintf("%s has more values than a model of this size", what))
  }
  tryCatch(parse_json_text(bytes_as_text(bytes)), error = function(error) {
    pass_on(error, owner)
    reason <- trimws(strsplit(conditionMessage(error), "\n", fixed = TRUE)[[1L]][1L])
    abort_file(owner, path, sprintf("%s is not JSON: %s", what, reason), parent = error)
  })
}

# jsonlite takes what is wrong with a text, with a piece of it, for a format of C's printf():
# "%n" in a text that is not JSON ends R. So only JSON is given to its parser.
parse_json_text <- function(text) {
  verdict <- jsonlite::validate(text)
  if (!isTRUE(as.vector(verdict))) {
    stop(c(attr(verdict, "err"), "it cannot be parsed")[1L], call. = FALSE)
  }
  # Not fromJSON(), which would read files and addresses.
  jsonlite::parse_json(text)
}

bytes_as_text <- function(bytes) {
  # not bytes == 0, which takes four bytes for each
  if (length(grepRaw(as.raw(0L), bytes, fixed = TRUE))) {
    stop("it has a NUL character")
  }
  text <- rawToChar(bytes)
  Encoding(text) <- "UTF-8"
  if (!validUTF8(text)) {
    stop("it is not UTF-8")
  }
  text
}

# ---- the directory of a ZIP archive ----

# Integers of `width` bytes, little-endian, at byte `at` (from 0).
zip_number <- function(bytes, at, width) {
  sum(as.integer(bytes[at + seq_len(width)]) * 256^(seq_len(width) - 1))
}

# A data frame: name, flags, method, crc, packed and size (of the data, as it is in the
# archive and after), offset, begin and end (of its bytes in the archive, from 0).
read_zip_directory <- function(archive, owner, path) {
  size <- file.size(archive)
  with_connection(archive, "rb", owner, shown = path, use = function(connection) {
    read_at <- function(at, length) {
      seek(connection, at)
      bytes <- readBin(connection, "raw", length)
      if (length(bytes) < length) {
        abort_not_keras(owner, path, "it ends too early")
      }
      bytes
    }
    end <- find_zip_end(read_at, size, owner, path)
    bytes <- read_at(end$offset, end$size)
    members <- split_zip_directory(bytes, end$count, owner, path)
    check_zip_members(members, owner, path)
    for (i in seq_len(nrow(members))) {
      members$end[i] <- check_zip_member(members[i, ], read_at, end$offset, owner, path)
    }
    order <- order(members$offset)
    is_apart <- utils::head(members$end[order], -1L) <= members$offset[order][-1L]
    if (!all(is_apart)) {
      abort_not_keras(owner, path, "two of its members share bytes")
    }
    members
  })
}

# The last record: "PK\5\6", numbers of disks (2, 2), members here and in all (2, 2), size
# and offset of the directory (4, 4), length of a comment (2), the comment.
find_zip_end <- function(read_at, size, owner, path) {
  if (size < 22) {
    abort_not_keras(owner, path, "it is shorter than any ZIP archive")
  }
  start <- max(0, size - 22 - 65535)
  tail <- read_at(start, size - start)
  signature <- as.raw(c(0x50, 0x4B, 0x05, 0x06))
  at <- which(tail[seq_len(length(tail) - 21)] == signature[1L]) - 1
  at <- at[vapply(at, function(place) {
    identical(tail[place + 1:4], signature) &&
      place + 22 + zip_number(tail, place + 20, 2) == length(tail)
  }, NA)]
  if (!length(at)) {
    abort_not_keras(owner, path, "it does not end as a ZIP archive does")
  }
  at <- at[length(at)]
  end <- list(
    count = zip_number(tail, at + 10, 2), size = zip_number(tail, at + 12, 4),
    offset = zip_number(tail, at + 16, 4)
  )
  if (end$count > 1000 && end$count < 65535) {
    abort_not_keras(owner, path, "it has %.0f members, and Keras writes three", end$count)
  }
  if (end$count == 65535 || end$offset == 2^32 - 1) {
    abort_not_keras(owner, path, "it is larger than 4 GB (ZIP64), which is not read")
  }
  if (any(tail[at + 5:8] != 0) || zip_number(tail, at + 8, 2) != end$count ||
    end$offset + end$size != start + at) {
    abort_not_keras(owner, path, "its directory is not where it says")
  }
  end
}

# Records: "PK\1\2", versions (2, 2), flags (2), method (2), time (4), CRC (4), sizes
# (4, 4), lengths of name, extra and comment (2, 2, 2), disk (2), attributes (2, 4),
# offset (4), name, extra, comment.
split_zip_directory <- function(bytes, count, owner, path) {
  rows <- vector("list", count)
  at <- 0
  for (i in seq_len(count)) {
    if (at + 46 > length(bytes) ||
      !identical(bytes[at + 1:4], as.raw(c(0x50, 0x4B, 0x01, 0x02)))) {
      abort_not_keras(owner, path, "its directory is damaged")
    }
    lengths <- c(
      zip_number(bytes, at + 28, 2), zip_number(bytes, at + 30, 2), zip_number(bytes, at + 32, 2)
    )
    if (at + 46 + sum(lengths) > length(bytes)) {
      abort_not_keras(owner, path, "its directory is damaged")
    }
    rows[[i]] <- data.frame(
      name = zip_name(bytes[at + 46 + seq_len(lengths[1L])], owner, path),
      flags = zip_number(bytes, at + 8, 2), method = zip_number(bytes, at + 10, 2),
      crc = zip_number(bytes, at + 16, 4), packed = zip_number(bytes, at + 20, 4),
      size = zip_number(bytes, at + 24, 4), mode = zip_number(bytes, at + 40, 2),
      system = zip_number(bytes, at + 5, 1), offset = zip_number(bytes, at + 42, 4), end = 0
    )
    at <- at + 46 + sum(lengths)
  }
  if (at != length(bytes)) {
    abort_not_keras(owner, path, "its directory is damaged")
  }
  do.call(rbind, rows)
}

zip_name <- function(bytes, owner, path) {
  is_text <- length(bytes) > 0L && !any(bytes < as.raw(0x20))
  name <- if (is_text) rawToChar(bytes) else ""
  Encoding(name) <- "UTF-8"
  parts <- strsplit(name, "[/\\\\]")[[1L]]
  is_safe <- is_text && validUTF8(name) && !grepl("^([/\\\\]|[A-Za-z]:)", name) &&
    !any(parts %in% c("", ".", ".."))
  if (!is_safe) {
    abort_not_keras(owner, path, "a member has the name %s, which is no plain name", if (is_text) {
      quote_name(if (validUTF8(name)) name else "?")
    } else {
      "\"\""
    })
  }
  name
}

check_zip_members <- function(members, owner, path) {
  if (is.null(members)) {
    abort_not_keras(owner, path, "it is empty")
  }
  twice <- members$name[duplicated(tolower(lower_ascii(members$name)))]
  if (length(twice)) {
    abort_not_keras(owner, path, "it has the member %s twice", quote_name(twice[1L]))
  }
  refuse <- function(is_bad, ...) {
    if (any(is_bad)) {
      abort_not_keras(owner, path, "its member %s %s", quote_name(members$name[is_bad][1L]), ...)
    }
  }
  # bit 0: encrypted, 6: strongly, 13: with hidden names; 5: a patch
  refuse(bitwAnd(members$flags, 1L + 32L + 64L + 8192L) != 0, "is encrypted")
  refuse(!(members$method %in% c(0, 8)), "is compressed in an unusual way")
  # the kind of file, where the archive was made on Unix: nothing said, or a regular one
  kind <- bitwAnd(members$mode, 61440L)
  refuse(members$system == 3 & !(kind %in% c(0, 32768, 16384)), "is not a regular file")
  refuse(members$method == 0 & members$packed != members$size, "has another size than it says")
  # a little more than 1000 times is what deflate can do; weights do not come near that
  refuse(members$size > 2^28 & members$size > 100 * members$packed, "claims to be far too large")
}

# The member's own header says the same: "PK\3\4", version (2), flags (2), method (2), time
# (4), CRC (4), sizes (4, 4), lengths of name and extra (2, 2), name, extra. Returns where
# its data ends.
check_zip_member <- function(member, read_at, limit, owner, path) {
  fail <- function() {
    abort_not_keras(owner, path, "its member %s is not where it says", quote_name(member$name))
  }
  if (member$offset + 30 > limit) fail()
  header <- read_at(member$offset, 30)
  lengths <- c(zip_number(header, 26, 2), zip_number(header, 28, 2))
  end <- member$offset + 30 + sum(lengths) + member$packed
  if (!identical(header[1:4], as.raw(c(0x50, 0x4B, 0x03, 0x04))) || end > limit) fail()
  name <- read_at(member$offset + 30, lengths[1L])
  is_same <- identical(name, charToRaw(enc2utf8(member$name))) &&
    zip_number(header, 6, 2) == member$flags && zip_number(header, 8, 2) == member$method
  # bit 3: CRC and sizes were not known when the header was written
  is_later <- bitwAnd(member$flags, 8L) != 0
  numbers <- c(zip_number(header, 14, 4), zip_number(header, 18, 4), zip_number(header, 22, 4))
  if (!is_same || !(is_later || all(numbers == c(member$crc, member$packed, member$size)))) fail()
  end
}

# Keras does not compress its members. Where they are, a few bytes can stand for a thousand
# times as many, and a text of numbers takes fifty times its size in memory: what comes out is
# held against the size of the archive. A config has about 1000 bytes and 50 values for each
# layer, and its weights, compressed, take 200 bytes or more.
choose_keras_members <- function(members, size, owner, path) {
  missing <- setdiff(keras_members, members$name)
  if (length(missing)) {
    abort_not_keras(owner, path, "it has no %s", missing[1L])
  }
  members <- members[match(keras_members, members$name), ]
  refuse <- function(is_bad, why) {
    if (any(is_bad)) {
      abort_not_keras(owner, path, "its %s is %s", members$name[is_bad][1L], why)
    }
  }
  refuse(members$size > c(2^20, 2^28, Inf), "larger than any that Keras writes")
  is_deflated <- members$method != 0
  believed <- c(2^16, min(2^20 + 4 * size, 2^24), 2^21 + 20 * members$packed[3L])
  refuse(is_deflated & members$size > believed,
    "compressed to less than a model can be: save it without compression"
  )
  members$values <- ifelse(is_deflated, 2^16 + size / 4, Inf)
  members
}

# The bytes of each, by name.
read_members <- function(archive, members, folder, owner, path) {
  is_deflated <- members$method != 0
  if (any(is_deflated)) {
    check_package("zip", owner, "reading a compressed .keras file")
    extract_members(archive, members[is_deflated, ], folder, owner, path)
  }
  bytes <- lapply(seq_len(nrow(members)), function(i) {
    if (is_deflated[i]) {
      read_bytes(file.path(folder, members$name[i]), owner)
    } else {
      read_stored_member(archive, members[i, ], owner, path)
    }
  })
  names(bytes) <- members$name
  bytes
}

read_stored_member <- function(archive, member, owner, path) {
  parts <- with_connection(archive, "rb", owner, shown = path, use = function(connection) {
    seek(connection, member$end - member$size)
    read_parts(connection, member$size, owner, path)
  })
  crc <- 0
  for (part in parts) {
    crc <- .Call(ffi_crc32, part, crc)
  }
  if (crc != member$crc) {
    abort_not_keras(owner, path, "the checksum of its %s is not right", member$name)
  }
  if (length(parts) == 1L) parts[[1L]] else do.call(c, parts)
}

# zip checks sizes and CRCs on the way.
extract_members <- function(archive, members, folder, owner, path) {
  within_file(
    zip::unzip(archive, files = members$name, exdir = folder), owner, path,
    "taking its members out"
  )
  sizes <- file.size(file.path(folder, members$name))
  if (anyNA(sizes) || any(sizes != members$size)) {
    abort_not_keras(owner, path, "a member has another size than it says")
  }
}

# ---- writing ----

# config_json: the model as JSON text; weights, names, dtype: as for write_weights_h5().
# The members are stored, not compressed, in Keras's order.
write_keras_archive <- function(path, config_json, weights, names = character(),
                                metadata = keras_metadata(), dtype = "F32", overwrite = FALSE,
                                owner = "write_keras_archive()") {
  check_path(path, owner)
  check_flag(overwrite, owner, "overwrite")
  check_string(config_json, owner, "config_json")
  if (!isTRUE(jsonlite::validate(config_json))) {
    abort_argument(owner, "config_json", "JSON", config_json)
  }
  check_package("zip", owner, "writing .keras files")
  folder <- tempfile("attn-keras-")
  dir.create(folder)
  on.exit(unlink(folder, recursive = TRUE))
  write_weights_h5(
    file.path(folder, "model.weights.h5"), weights, names, dtype, TRUE, owner
  )
  within_file_limit({
    write_text_file(metadata_json(metadata), file.path(folder, "metadata.json"), owner, path)
    write_text_file(config_json, file.path(folder, "config.json"), owner, path)
  })
  write_atomically(path, overwrite, owner = owner, writer = function(temporary) {
    # zip changes to `root`
    full <- file.path(normalizePath(dirname(temporary)), basename(temporary))
    within_file(
      zip::zip(full, keras_members,
        root = folder, mode = "cherry-pick", compression_level = 0, include_directories = FALSE
      ),
      owner, path, "writing the archive"
    )
    NULL
  })
}

# What Keras says of a file: by which version it was written, and when.
keras_metadata <- function(time = Sys.time()) {
  list(keras_version = "3.16.0", date_saved = format(time, "%Y-%m-%d@%H:%M:%S"))
}

metadata_json <- function(metadata) {
  fields <- vapply(names(metadata), function(name) {
    sprintf("\"%s\": %s", name, jsonlite::toJSON(metadata[[name]], auto_unbox = TRUE))
  }, "")
  sprintf("{%s}", paste(fields, collapse = ", "))
}
