# safetensors files (https://github.com/huggingface/safetensors): tensors by name and
# metadata in text, no code. Reading is src/core/safetensors.c; here are the bytes
# fetched and the errors worded.

# What is in a file, without its data: list(tensors =, metadata =). `tensors` is a list
# by name of list(dtype =, shape =), in the order of the data.
read_safetensors_header <- function(path, owner = "read_safetensors_header()") {
  path <- check_path(path, owner)
  with_safetensors(path, owner, function(connection, header) {
    tensors <- Map(
      function(dtype, shape) list(dtype = dtype, shape = shape), header$dtype, header$shape
    )
    names(tensors) <- header$name
    list(tensors = tensors, metadata = header$metadata)
  })
}

# list(tensors =, dtypes =, metadata =). A tensor is an R array with the dim of its shape
# (x[b, t, d] is the same element here and there), doubles or, from BOOL, logical; one of
# rank 0 is a plain number.
read_safetensors <- function(path, owner = "read_safetensors()") {
  path <- check_path(path, owner)
  with_safetensors(path, owner, function(connection, header) {
    crc <- header$crc
    # the tensors are in the order of their data, and have every byte of it
    tensors <- lapply(seq_along(header$name), function(i) {
      parts <- read_parts(connection, header$end[i] - header$begin[i], owner, path)
      crc <<- checksum_of(parts, crc)
      tensor <- .Call(ffi_stored_read, parts, header$dtype[i], header$shape[[i]])
      as_tensor(tensor, header$dtype[i], header$name[i], owner, path)
    })
    check_checksum(crc, header$metadata, owner, path)
    names(tensors) <- header$name
    dtypes <- header$dtype
    names(dtypes) <- header$name
    list(tensors = tensors, dtypes = dtypes, metadata = header$metadata)
  })
}

# use(connection, header) with the connection where the data starts.
with_safetensors <- function(path, owner, use) {
  size <- check_file(path, owner)
  with_connection(path, "rb", owner, function(connection) {
    use(connection, safetensors_header(connection, size, owner, path))
  })
}

safetensors_header <- function(connection, size, owner, path) {
  prefix <- readBin(connection, "raw", 8L)
  if (length(prefix) < 8L) {
    abort_not_safetensors(owner, path, "it has only %.0f bytes, and the header's length takes 8",
      length(prefix)
    )
  }
  header_size <- .Call(ffi_safetensors_size, prefix, size)
  abort_bad_header(header_size, owner, path)
  bytes <- readBin(connection, "raw", header_size)
  if (length(bytes) < header_size) {
    abort_not_safetensors(owner, path, "it ends within its header")
  }
  header <- .Call(ffi_safetensors_parse, bytes, size - 8 - header_size)
  abort_bad_header(header, owner, path)
  for (i in seq_along(header$name)) {
    check_array_shape(header$shape[[i]], header$name[i], owner, path)
  }
  header$crc <- checksum_of(without_checksum(bytes), checksum_of(prefix))
  header
}

abort_not_safetensors <- function(owner, path, ...) {
  abort_file(owner, path, paste0("this is no safetensors file: ", sprintf(...)),
    expected = "a safetensors file"
  )
}

abort_bad_header <- function(header, owner, path) {
  if (is.list(header) && !is.null(header$problem)) {
    where <- if (nzchar(header$key)) sprintf(" (tensor %s)", shorten(header$key)) else ""
    abort_not_safetensors(owner, path, "at byte %.0f the header %s%s", header$at,
      header$problem, where
    )
  }
}

# For names from files: they may be of any length.
shorten <- function(text, width = 80L) {
  if (nchar(text, "chars") <= width) text else paste0(substr(text, 1L, width), "...")
}

check_array_shape <- function(shape, name, owner, path) {
  if (any(shape > .Machine$integer.max)) {
    abort_file(owner, path, sprintf(
      "tensor %s has the shape %s, and a dim of an array is at most %d",
      quote_name(name), format_shape(shape), .Machine$integer.max
    ))
  }
}

quote_name <- function(name) encodeString(shorten(name), quote = "\"")

# What the C code made of the bytes of a tensor: an array, or the indices of a value that
# it cannot hold.
as_tensor <- function(tensor, dtype, name, owner, path) {
  if (is.character(tensor)) {
    abort_file(owner, path, sprintf(
      "tensor %s (%s) has %s%s", quote_name(name), dtype,
      if (dtype == "BOOL") "a value other than 0 and 1" else "a number beyond 2^53",
      at_indices(tensor)
    ))
  }
  if (dtype == "BOOL") {
    storage.mode(tensor) <- "logical"
  }
  tensor
}

# "[2, 3]" as the end of a sentence; a number of rank 0 has no indices.
at_indices <- function(indices) if (indices == "[]") "" else paste(" at", indices)

# ---- the checksum ----

# The format has none: a bit of the data that changes is a weight that changes. What is
# written here has the CRC-32 of the whole file in its metadata, as eight hexadecimal
# digits, and these are zeros where it is computed. Another key says that it must be there:
# a byte that changes in the name of either is found by the other.
checksum_key <- "attn_crc32"
origin_key <- "attn_file"
checksum_zeros <- strrep("0", 8L)

# Where the digits are in a header, or NULL. (In a string of JSON quotes are escaped, so that
# this can be nothing else.)
checksum_place <- function(bytes) {
  before <- charToRaw(sprintf("\"%s\":\"", checksum_key))
  at <- grepRaw(before, bytes, fixed = TRUE)
  if (length(at)) at + length(before) + 0:7
}

# A header as it is when the checksum is computed.
without_checksum <- function(bytes) {
  place <- checksum_place(bytes)
  if (!is.null(place) && place[8L] <= length(bytes)) {
    bytes[place] <- charToRaw(checksum_zeros)
  }
  bytes
}

# Of a raw vector, or several in a list, that come after others.
checksum_of <- function(parts, before = 0) {
  for (part in if (is.raw(parts)) list(parts) else parts) {
    before <- .Call(ffi_crc32, part, before)
  }
  before
}

format_checksum <- function(crc) {
  sprintf("%04x%04x", as.integer(crc %/% 65536), as.integer(crc %% 65536))
}

# Files of others have none.
check_checksum <- function(crc, metadata, owner, path) {
  is_there <- c(checksum_key, origin_key) %in% names(metadata)
  if (any(is_there) && !(is_there[1L] && metadata[[checksum_key]] == format_checksum(crc))) {
    abort_file(owner, path, sprintf(paste(
      "its checksum is %s: the file is damaged, or a program has changed it and kept",
      "`%s` of its metadata"
    ), if (is_there[1L]) "not right" else "not there", c(checksum_key, origin_key)[is_there][1L]))
  }
}

# ---- writing ----

# tensors: a list by name of numeric or logical arrays (a number without dim has rank 0,
# a longer vector rank 1); metadata: strings by name.
write_safetensors <- function(path, tensors, dtype = "F32", metadata = NULL,
                              overwrite = FALSE, owner = "write_safetensors()") {
  check_path(path, owner)
  check_flag(overwrite, owner, "overwrite")
  check_string(dtype, owner, "dtype", choices = c("F32", "F64"))
  shapes <- lapply(check_tensors(tensors, owner), tensor_shape)
  metadata <- check_metadata(metadata, owner)
  metadata[c(origin_key, checksum_key)] <- c("1", checksum_zeros)
  header <- .Call(
    ffi_safetensors_write, enc2utf8(as.character(names(tensors))), dtype, unname(shapes),
    enc2utf8(as.character(names(metadata))), enc2utf8(as.character(metadata))
  )
  if (length(header) - 8 > 1e8) {
    abort_argument(owner, "metadata", "names and metadata of at most 100 MB", metadata)
  }
  width <- if (dtype == "F32") 4 else 8
  write_atomically(path, overwrite, owner = owner, writer = function(temporary) {
    with_connection(temporary, "wb", owner, shown = path, use = function(connection) {
      writeBin(header, connection)
      crc <- checksum_of(header)
      for (i in seq_along(tensors)) {
        crc <- write_tensor(
          connection, tensors[[i]], shapes[[i]], dtype, width, names(tensors)[i], owner, crc
        )
      }
      seek(connection, checksum_place(header)[1L] - 1L, rw = "write")
      writeBin(charToRaw(format_checksum(crc)), connection)
    })
    length(header) + width * sum(lengths(tensors))
  })
}

# Returns the checksum of what is written by then.
write_tensor <- function(connection, tensor, shape, dtype, width, name, owner, crc) {
  if (!is.double(tensor)) {
    storage.mode(tensor) <- "double"
  }
  per_part <- part_size() / width
  for (first in seq(0, max(length(tensor) - 1, 0), by = per_part)) {
    count <- min(per_part, length(tensor) - first)
    bytes <- .Call(ffi_stored_write, tensor, dtype, shape, first, count)
    if (is.character(bytes)) {
      abort_argument(
        owner, "tensors", "numbers that float32 can hold",
        received = sprintf("a larger one in %s%s", quote_name(name), at_indices(bytes))
      )
    }
    writeBin(bytes, connection)
    crc <- checksum_of(bytes, crc)
  }
  crc
}

# Numbers that would become infinite.
check_representable <- function(tensors, dtype, owner, argument) {
  # halfway between the largest float32 and what would come next
  limit <- if (dtype == "F32") (2 - 2^-24) * 2^127 else Inf
  for (name in names(tensors)) {
    tensor <- tensors[[name]]
    place <- which(is.finite(tensor) & abs(tensor) >= limit)
    if (length(place)) {
      indices <- if (is.null(dim(tensor))) place[1L] else arrayInd(place[1L], dim(tensor))
      at <- if (length(tensor) == 1L) "" else sprintf(" at [%s]", paste(indices, collapse = ", "))
      abort_argument(owner, argument, "numbers that float32 can hold",
        received = sprintf("a larger one in %s%s", quote_name(name), at)
      )
    }
  }
}

tensor_shape <- function(tensor) {
  if (!is.null(dim(tensor))) {
    as.double(dim(tensor))
  } else if (length(tensor) == 1L) {
    double()
  } else {
    as.double(length(tensor))
  }
}

check_tensors <- function(tensors, owner, argument = "tensors") {
  expected <- "a list of numeric arrays with unique names"
  if (!is.list(tensors) || is.object(tensors)) {
    abort_argument(owner, argument, expected, tensors)
  }
  check_text_names(tensors, owner, argument, expected)
  if ("__metadata__" %in% names(tensors)) {
    abort_argument(owner, argument, expected, received = "the name \"__metadata__\"")
  }
  for (tensor in tensors) {
    if (!(is.numeric(tensor) || is.logical(tensor)) || is.object(tensor)) {
      abort_argument(owner, argument, expected, tensor)
    }
    if (length(dim(tensor)) > 32L) {
      abort_argument(owner, argument, "arrays of at most 32 dims", tensor)
    }
  }
  tensors
}

check_metadata <- function(metadata, owner) {
  expected <- "strings with unique names"
  if (is.list(metadata) && !is.object(metadata)) {
    is_text <- vapply(metadata, is_string, NA)
    if (!all(is_text)) {
      abort_argument(owner, "metadata", expected, metadata[[which(!is_text)[1L]]])
    }
    metadata <- unlist(metadata)
  }
  if (is.null(metadata)) {
    return(character())
  }
  if (!is.character(metadata) || is.object(metadata) || anyNA(metadata) ||
    !all(is_unicode(metadata))) {
    abort_argument(owner, "metadata", expected, metadata)
  }
  check_text_names(metadata, owner, "metadata", expected)
  metadata
}

check_text_names <- function(x, owner, argument, expected) {
  names <- names(x)
  if (length(x) == 0L) {
    return(invisible(x))
  }
  if (is.null(names) || anyNA(names) || !all(is_unicode(names))) {
    abort_argument(owner, argument, expected, received = "elements without names")
  }
  twice <- enc2utf8(names)[duplicated(enc2utf8(names))]
  if (length(twice)) {
    abort_argument(owner, argument, expected,
      received = sprintf("the name %s twice", quote_name(twice[1L]))
    )
  }
  invisible(x)
}
