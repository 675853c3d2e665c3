# HDF5 by way of the package hdf5r: reading the forms that src/core/hdf5.c does not know,
# and writing.

# ---- reading, in another process ----

# The functions h5r_*() run in a fresh R that has only hdf5r and jsonlite: they use
# nothing else of this package. What they read they write as plain numbers and JSON, so
# that nothing that comes back is trusted either.

# The content of a file as read_h5() gives it.
read_foreign_h5 <- function(path, bytes, reason, owner) {
  check_package("hdf5r", owner, sprintf("reading an HDF5 file of this form (%s)", reason))
  folder <- tempfile("attn-hdf5-")
  dir.create(folder)
  on.exit(unlink(folder, recursive = TRUE))
  input <- file.path(folder, "input.h5")
  within_file(writeBin(bytes, input), owner, path, "copying the file")
  run_h5r(folder, length(bytes), owner, path)
  index <- read_h5r_index(folder, owner, path)
  if (!is.null(index$problem)) {
    abort_file(owner, path, paste("this HDF5 file is not read:", index$problem))
  }
  content <- list(
    path = vapply(index$nodes, `[[`, "", "path"), node = read_h5r_nodes(index, folder, owner, path),
    owner = vapply(index$attributes, `[[`, "", "owner"),
    attribute = vapply(index$attributes, `[[`, "", "name"),
    value = lapply(index$attributes, function(attribute) as.character(attribute$value))
  )
  check_h5_text(content, owner, path)
  content
}

# Runs h5r_main() on folder/input.h5, for a minute and some time that grows with the file.
run_h5r <- function(folder, size, owner, path) {
  script <- file.path(folder, "read.R")
  namespace <- environment(run_h5r)
  functions <- ls(namespace, pattern = "^h5r_")
  lines <- unlist(lapply(functions, function(name) {
    c(paste0(name, " <-"), deparse(get(name, namespace), control = "digits17"))
  }))
  settings <- c(
    sprintf(".libPaths(%s)", paste(deparse(.libPaths()), collapse = "")),
    sprintf("h5r_main(%s)", paste(deparse(folder), collapse = ""))
  )
  writeLines(c(lines, settings), script, useBytes = TRUE)
  status <- suppressWarnings(system2(
    file.path(R.home("bin"), "Rscript"), c("--vanilla", shQuote(script)),
    stdout = FALSE, stderr = FALSE, timeout = 60 + size / 1e7
  ))
  if (status != 0L) {
    abort_file(owner, path, if (status == 124L) {
      "the HDF5 library did not come to an end with it: it is damaged"
    } else {
      "the HDF5 library crashed on it: it is damaged"
    })
  }
}

read_h5r_index <- function(folder, owner, path) {
  index <- read_bytes(file.path(folder, "index.json"), owner)
  parse_json_bytes(index, owner, path, "what the HDF5 library found")
}

read_h5r_nodes <- function(index, folder, owner, path) {
  is_data <- vapply(index$nodes, function(node) !is.null(node$shape), NA)
  shapes <- lapply(index$nodes, function(node) as.double(unlist(node$shape)))
  sizes <- ifelse(is_data, vapply(shapes, prod, 0), 0)
  values <- file.path(folder, "values")
  if (file.size(values) != 8 * sum(sizes)) {
    abort_file(owner, path, "the HDF5 library read something else than it found")
  }
  with_connection(values, "rb", owner, shown = path, use = function(connection) {
    lapply(seq_along(shapes), function(i) {
      if (is_data[i]) {
        check_array_shape(shapes[[i]], index$nodes[[i]]$path, owner, path)
        parts <- read_parts(connection, 8 * sizes[i], owner, path)
        .Call(ffi_stored_read, parts, "F64", shapes[[i]])
      }
    })
  })
}

# Writes folder/values (doubles, row-major, one tensor after the other) and
# folder/index.json: list(nodes =, attributes =), or list(problem =).
h5r_main <- function(folder) {
  values <- file(file.path(folder, "values"), "wb")
  result <- tryCatch(
    {
      file <- hdf5r::H5File$new(file.path(folder, "input.h5"), "r")
      on.exit(file$close_all())
      found <- new.env()
      found$nodes <- list()
      found$attributes <- list()
      found$addresses <- character()
      found$size <- file.size(file.path(folder, "input.h5"))
      # bytes of memory for all that is compressed
      found$left <- 2^22 + 40 * found$size
      h5r_group(file$open("/"), "", 0L, found, values)
      list(nodes = found$nodes, attributes = found$attributes)
    },
    h5r_refusal = function(refusal) list(problem = conditionMessage(refusal)),
    error = function(error) {
      list(problem = paste("the HDF5 library says:", h5r_first_line(conditionMessage(error))))
    }
  )
  close(values)
  json <- jsonlite::toJSON(result, auto_unbox = TRUE, null = "null", digits = NA)
  writeBin(charToRaw(enc2utf8(json)), file.path(folder, "index.json"))
}

h5r_refuse <- function(...) {
  stop(structure(
    class = c("h5r_refusal", "error", "condition"), list(message = sprintf(...), call = NULL)
  ))
}

# The library's messages are a stack of lines; the first that says something.
h5r_first_line <- function(message) {
  lines <- trimws(strsplit(message, "\n", fixed = TRUE)[[1L]])
  lines <- sub("^error #[0-9]+: .*: line [0-9]+: ", "", lines)
  lines <- lines[nzchar(lines) & !grepl("^HDF5-API Errors", lines)]
  if (length(lines)) substr(lines[1L], 1L, 200L) else "nothing"
}

h5r_group <- function(group, path, depth, found, values) {
  if (depth > 32L) {
    h5r_refuse("groups are nested too deeply")
  }
  found$nodes <- c(found$nodes, list(list(path = path)))
  h5r_attributes(group, path, found)
  count <- group$group_info()$nlinks
  names <- vapply(seq_len(count) - 1, function(i) group$link_name_by_idx(i, "."), "")
  for (name in sort(names, method = "radix")) {
    place <- if (nzchar(path)) paste(path, name, sep = "/") else name
    type <- as.character(group$link_info(name)$type)
    if (type != "H5L_TYPE_HARD") {
      h5r_refuse("%s is a link to another place", place)
    }
    address <- format(group$obj_info_by_name(name)$addr)
    if (address %in% found$addresses) {
      h5r_refuse("%s is a second name for something else", place)
    }
    found$addresses <- c(found$addresses, address)
    object <- group$open(name)
    if (inherits(object, "H5Group")) {
      h5r_group(object, place, depth + 1L, found, values)
    } else if (inherits(object, "H5D")) {
      h5r_data(object, place, found, values)
    } else {
      h5r_refuse("%s is neither a group nor data", place)
    }
    object$close()
  }
}

h5r_attributes <- function(object, path, found) {
  for (name in hdf5r::h5attr_names(object)) {
    attribute <- object$attr_open(name)
    if (as.character(attribute$get_type()$get_class()) == "H5T_STRING") {
      value <- as.character(attribute$read())
      entry <- list(owner = path, name = name, value = I(value))
      found$attributes <- c(found$attributes, list(entry))
    }
    attribute$close()
  }
}

h5r_data <- function(data, path, found, values) {
  type <- data$get_type()
  known <- hdf5r::h5types
  names <- c(
    "H5T_IEEE_F32LE", "H5T_IEEE_F64LE", "H5T_IEEE_F32BE", "H5T_IEEE_F64BE", "H5T_STD_I8LE",
    "H5T_STD_I16LE", "H5T_STD_I32LE", "H5T_STD_I64LE", "H5T_STD_U8LE", "H5T_STD_U16LE",
    "H5T_STD_U32LE", "H5T_STD_U64LE"
  )
  is_half <- as.character(type$get_class()) == "H5T_FLOAT" && type$get_size() == 2
  if (!is_half && !any(vapply(names, function(name) type$equal(known[[name]]), NA))) {
    h5r_refuse("%s has numbers of an unknown type", path)
  }
  shape <- h5r_shape(data, path, type$get_size(), found)
  read <- data$read_low_level(mem_type = known$H5T_NATIVE_DOUBLE, set_dim = FALSE)
  if (length(read) != prod(shape)) {
    h5r_refuse("%s has another size than its shape says", path)
  }
  if (as.character(type$get_class()) == "H5T_INTEGER" && any(abs(read) >= 2^53)) {
    h5r_refuse("%s has a number beyond 2^53", path)
  }
  writeBin(as.double(read), values, endian = "little")
  found$nodes <- c(found$nodes, list(list(path = path, shape = I(shape))))
}

# The shape as Keras has it, once it is clear that its data is within this file, and not
# much larger than that when it was compressed: deflate makes zeros a thousand times smaller,
# but weights of a model are other numbers as well.
h5r_shape <- function(data, path, width, found) {
  plan <- data$get_create_plist()
  layout <- as.character(plan$get_layout())
  if (!(layout %in% c("H5D_COMPACT", "H5D_CONTIGUOUS", "H5D_CHUNKED")) ||
    plan$get_external_count() > 0) {
    h5r_refuse("%s has its data elsewhere", path)
  }
  filters <- vapply(seq_len(plan$get_nfilters()) - 1, function(i) {
    as.character(plan$get_filter(i)$filter)
  }, "")
  usual <- c("H5Z_FILTER_DEFLATE", "H5Z_FILTER_SHUFFLE", "H5Z_FILTER_FLETCHER32")
  if (!all(filters %in% usual)) {
    h5r_refuse("%s is compressed in an unusual way", path)
  }
  space <- data$get_space()
  if (as.character(space$get_simple_extent_type()) == "H5S_NULL") {
    h5r_refuse("%s has no shape", path)
  }
  is_scalar <- as.character(space$get_simple_extent_type()) == "H5S_SCALAR"
  shape <- if (is_scalar) numeric() else rev(as.double(space$dims))
  stored <- as.double(data$get_storage_size())
  # deflate makes nothing smaller than by a factor of 1032
  ratio <- if (length(filters)) 1100 else 1
  if (length(filters)) {
    found$left <- found$left - 8 * prod(shape)
  }
  if (stored > found$size || prod(shape) * width > stored * ratio || found$left < 0) {
    h5r_refuse("%s is larger than its data can be", path)
  }
  shape
}

# ---- writing ----

# weights: arrays by path, "layers/dense/vars/0"; names: the attribute `name` of groups, by
# path, which are made even if they stay empty. The tree is Keras 3's.
write_weights_h5 <- function(path, weights, names = character(), dtype = "F32",
                             overwrite = FALSE, owner = "write_weights_h5()") {
  check_path(path, owner)
  check_flag(overwrite, owner, "overwrite")
  check_string(dtype, owner, "dtype", choices = c("F32", "F64"))
  check_tensors(weights, owner, "weights")
  check_h5_paths(weights, names, owner)
  check_representable(weights, dtype, owner, "weights")
  check_package("hdf5r", owner, "writing HDF5 files")
  write_atomically(path, overwrite, owner = owner, writer = function(temporary) {
    within_file(
      write_h5_tree(temporary, weights, names, dtype, owner, path), owner, path,
      "writing the HDF5 file"
    )
  })
}

# Every part of a path is a name, nothing is both data and a group, and what has a name
# is a group.
check_h5_paths <- function(weights, names, owner) {
  check_text_names(names, owner, "names", "strings by the path of a group")
  if (!is.character(names) || anyNA(names) || !all(is_unicode(names))) {
    abort_argument(owner, "names", "strings by the path of a group", names)
  }
  for (argument in c("weights", "names")) {
    paths <- as.character(names(if (argument == "weights") weights else names))
    parts <- strsplit(paths, "/", fixed = TRUE)
    is_path <- !grepl("/$", paths) & vapply(parts, function(part) {
      length(part) > 0L && all(nzchar(part)) && !any(part %in% c(".", ".."))
    }, NA)
    if (!all(is_path)) {
      abort_argument(owner, argument, "paths such as \"layers/dense/vars/0\" as names",
        received = quote_name(paths[!is_path][1L])
      )
    }
  }
  groups <- c(names(names), unlist(lapply(names(weights), parent_paths)))
  both <- intersect(names(weights), c(groups, unlist(lapply(groups, parent_paths))))
  if (length(both)) {
    abort_argument(owner, "weights", "paths of which none is a group",
      received = quote_name(both[1L])
    )
  }
}

# "a/b/c" -> "a", "a/b"
parent_paths <- function(path) {
  cuts <- gregexpr("/", path, fixed = TRUE)[[1L]]
  if (cuts[1L] < 0L) character() else substring(path, 1L, cuts - 1L)
}

# The HDF5 library makes the file in memory, and its bytes are written here: when its own
# writing fails, on a full disk, it cannot close the file and crashes R later.
write_h5_tree <- function(path, weights, names, dtype, owner, shown) {
  file <- new_h5_file(path)
  is_open <- TRUE
  on.exit(if (is_open) try(file$close_all(), silent = TRUE))
  groups <- unlist(lapply(c(names(names), dirname(as.character(names(weights)))), function(group) {
    c(parent_paths(group), group)
  }))
  for (group in setdiff(unique(groups), ".")) {
    made <- file$create_group(group)
    if (group %in% names(names)) {
      write_h5_name(made, names[[group]])
    }
    made$close()
  }
  for (name in names(weights)) {
    write_h5_data(file, name, weights[[name]], dtype)
  }
  file$flush()
  image <- h5_call("R_H5Fget_file_image", file$id, raw(file$get_filesize()),
    file$get_filesize(), TRUE
  )
  is_open <- FALSE
  file$close_all()
  write_bytes(image$buf_ptr, image$return_val, path, owner, shown)
  image$return_val
}

# The path is only a name: nothing is on the disk.
new_h5_file <- function(path) {
  access <- hdf5r::H5P_FILE_ACCESS$new()
  on.exit(access$close())
  h5_call("R_H5Pset_fapl_core", access$id, 2^20, FALSE)
  hdf5r::H5File$new(path, "w", file_access_pl = access)
}

# A function of the library that hdf5r has no method for: one of its own native routines.
h5_call <- function(name, ...) {
  do.call(.Call, list(getNativeSymbolInfo(name, "hdf5r")$address, ...))
}

write_h5_name <- function(group, name) {
  type <- hdf5r::H5T_STRING$new(type = "c", size = Inf)
  type$set_cset("UTF-8")
  group$create_attr("name",
    robj = enc2utf8(name), dtype = type, space = hdf5r::H5S$new("scalar")
  )$close()
}

# HDF5 has the dims of hdf5r in the other order: the values are given row by row, as they
# are to be in the file.
write_h5_data <- function(file, name, tensor, dtype) {
  shape <- tensor_shape(tensor)
  type <- hdf5r::h5types[[if (dtype == "F32") "H5T_IEEE_F32LE" else "H5T_IEEE_F64LE"]]
  space <- if (length(shape)) {
    hdf5r::H5S$new("simple", dims = rev(shape), maxdims = rev(shape))
  } else {
    hdf5r::H5S$new("scalar")
  }
  data <- file$create_dataset(name, dtype = type, space = space, chunk_dims = NULL)
  values <- as.double(if (length(shape) > 1L) aperm(tensor) else tensor)
  if (length(values)) {
    # rounded here, because HDF5 calls some numbers too large that round to the largest
    values <- if (dtype == "F32") round_to_dtype(values, "float32") else values
    without_range_warning(data$write_low_level(values), any(is.infinite(values)))
  }
  data$close()
}

# HDF5 writes infinite numbers as such, but with a warning that float32 cannot hold them.
without_range_warning <- function(code, is_wrong) {
  withCallingHandlers(code, warning = function(warning) {
    if (is_wrong && grepl("H5T_CONV_EXCEPT_RANGE", conditionMessage(warning), fixed = TRUE)) {
      invokeRestart("muffleWarning")
    }
  })
}
