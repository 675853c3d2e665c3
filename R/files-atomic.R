# Reading and writing files: paths, connections, and saves that happen as a whole or
# not at all.

# ---- paths ----

# what R can expand
most_path_bytes <- 4095L

check_path <- function(path, owner, argument = "path") {
  check_string(path, owner, argument)
  if (nchar(path, "bytes") > most_path_bytes) {
    abort_argument(owner, argument,
      sprintf("a path of at most %d bytes", most_path_bytes),
      received = sprintf("one of %d", nchar(path, "bytes"))
    )
  }
  path.expand(path)
}

# "file", "folder", "other" (a device, a pipe) or "none".
file_kind <- function(path) {
  kind <- .Call(ffi_file_kind, path)
  if (kind == "none" && file.exists(path)) {
    # a name that the C library does not understand, but R does (Windows)
    kind <- if (dir.exists(path)) "folder" else "file"
  }
  kind
}

# Its size, if there is a file to be read.
check_file <- function(path, owner) {
  switch(file_kind(path),
    none = abort_file(owner, path, "there is no such file"),
    folder = abort_file(owner, path, "this is a folder, not a file"),
    other = abort_file(owner, path, "this is not a regular file")
  )
  file.size(path)
}

has_package <- function(package) requireNamespace(package, quietly = TRUE)

# A package that is only suggested.
check_package <- function(package, owner, purpose) {
  if (!has_package(package)) {
    attn_abort(
      sprintf(
        "%s: %s needs the package %s, which is not installed: install.packages(\"%s\").",
        owner, purpose, package, package
      ),
      "attn_error_file",
      owner = owner, argument = "path", expected = paste("the package", package),
      received = "no such package"
    )
  }
}

# ---- connections ----

# code, whose errors (and warnings, which is how R's connections say what went wrong)
# become an error about the file, but for those that say nothing of it.
within_file <- function(code, owner, path, doing) {
  fail <- function(condition) {
    pass_on(condition, owner)
    reason <- sub("[.[:space:]]+$", "", conditionMessage(condition))
    abort_file(owner, path, sprintf("%s failed: %s", doing, reason), parent = condition)
  }
  tryCatch(code, warning = fail, error = fail)
}

# use(connection) of a file that is opened for it, and closed whatever happens. `shown` is
# the name for messages.
with_connection <- function(path, mode, owner, use, shown = path) {
  doing <- if (mode == "rb") "reading the file" else "writing the file"
  # file() takes some relative names for other things: "clipboard", "stdin"
  full <- file.path(normalizePath(dirname(path), mustWork = FALSE), basename(path))
  connection <- within_file(file(full, mode), owner, shown, doing)
  is_open <- TRUE
  on.exit(if (is_open) suppressWarnings(close(connection)))
  result <- within_file(use(connection), owner, shown, doing)
  is_open <- FALSE
  # what was buffered is written only now
  status <- within_file(close(connection), owner, shown, doing)
  if (!is.null(status) && status != 0L) {
    abort_file(owner, shown, paste(doing, "failed at its end"))
  }
  result
}

# Bytes that are read or written at a time.
part_size <- function() 2^26

# `size` bytes as a list of raw vectors, since one of them could be longer than R reads
# or writes at a time.
read_parts <- function(connection, size, owner, path) {
  starts <- seq(0, max(size - 1, 0), by = part_size())
  lapply(starts, function(start) {
    wanted <- min(part_size(), size - start)
    part <- readBin(connection, "raw", wanted)
    if (length(part) != wanted) {
      abort_file(owner, path, "the file ends before its data does")
    }
    part
  })
}

# ---- writing ----

# writer(temporary path), and then, in one step, that file under its name: a reader sees
# the old file or the new one, whenever the process or the machine stops. The temporary
# file is in the same folder, since only within a file system is a rename one step; a
# process that is killed leaves it there, ".attn-" and some digits, and nothing reads it.
# `writer` may return the size that the file must have.
write_atomically <- function(path, overwrite, writer, owner = "write_atomically()") {
  target <- check_target(path, overwrite, owner)
  temporary <- tempfile(".attn-", dirname(target))
  create_file(temporary, owner, path)
  on.exit(unlink(temporary, force = TRUE))
  size <- within_file_limit(writer(temporary))
  check_written(temporary, size, owner, path)
  if (file.exists(target)) {
    Sys.chmod(temporary, file.mode(target), use_umask = FALSE)
  } else {
    Sys.chmod(temporary, "666")
  }
  sync_file(temporary, owner, path)
  check_target(path, overwrite, owner)
  within_file(
    if (!file.rename(temporary, target)) stop("it could not be renamed"),
    owner, path, "giving the file its name"
  )
  sync_file(dirname(target), owner, path)
  invisible(path)
}

# A file that was not there before, and that nobody else may open.
create_file <- function(path, owner, shown) {
  problem <- .Call(ffi_file_create, enc2native(path))
  if (nzchar(problem)) {
    abort_file(owner, shown, paste("a file cannot be made in its folder:", problem))
  }
}

# code, where writing beyond a limit for the size of files (`ulimit -f`) fails, as writing to
# a full disk does. As R leaves it, the process would end.
within_file_limit <- function(code) {
  if (.Call(ffi_file_limit_kills, FALSE)) {
    on.exit(.Call(ffi_file_limit_kills, TRUE))
  }
  code
}

write_text_file <- function(text, path, owner, shown) {
  bytes <- charToRaw(enc2utf8(text))
  write_bytes(bytes, length(bytes), path, owner, shown)
}

# The first `size` bytes.
write_bytes <- function(bytes, size, path, owner, shown) {
  with_connection(path, "wb", owner, shown = shown, use = function(connection) {
    for (start in seq(0, max(size - 1, 0), by = part_size())) {
      writeBin(bytes[start + seq_len(min(part_size(), size - start))], connection)
    }
  })
  check_written(path, size, owner, shown)
  size
}

# The name under which the file is to be: where `path` is a link, what it leads to.
check_target <- function(path, overwrite, owner) {
  target <- check_path(path, owner)
  kind <- file_kind(target)
  if (kind == "folder") {
    abort_file(owner, path, "this is a folder; give the name of a file")
  }
  if (kind == "other") {
    abort_file(owner, path, "this is not a regular file")
  }
  if (kind == "file" && !overwrite) {
    abort_file(owner, path, "the file exists; it is replaced only with `overwrite = TRUE`")
  }
  if (kind == "file") {
    target <- normalizePath(target)
  } else if (!(Sys.readlink(target) %in% c("", NA))) {
    abort_file(owner, path, "this is a link that leads to no file")
  }
  folder <- dirname(target)
  if (file_kind(folder) != "folder") {
    abort_file(owner, path, sprintf(
      "there is no folder %s", encodeString(enc2utf8(folder), quote = "\"")
    ))
  }
  if (file.access(folder, 2L) != 0L) {
    abort_file(owner, path, sprintf(
      "nothing can be written to the folder %s", encodeString(enc2utf8(folder), quote = "\"")
    ))
  }
  target
}

check_written <- function(temporary, size, owner, path) {
  if (!file.exists(temporary) || file.size(temporary) == 0) {
    abort_file(owner, path, "nothing was written")
  }
  if (is.numeric(size) && file.size(temporary) != size) {
    abort_file(owner, path, sprintf(
      "only %.0f of %.0f bytes could be written", file.size(temporary), size
    ))
  }
}

sync_file <- function(path, owner, shown) {
  problem <- .Call(ffi_file_sync, path)
  if (nzchar(problem)) {
    abort_file(owner, shown, paste("waiting for the disk failed:", problem))
  }
}
