# Saving and loading of models and their weights. The formats: files-*.R; the trees of
# weights: model-weights.R; the configs: model-config.R, model-from-config.R.

#' Save and load models
#'
#' `save_model()` writes a model to a file, and `load_model()` makes a model from one:
#' layers, weights and calls. The files are those of Keras, which reads what is written
#' here, as the files that it writes are read here.
#'
#' Two formats are written, told apart by the name of the file:
#' * `.keras`, Keras's own: a ZIP archive of the model as JSON and the weights as HDF5.
#'   Writing it needs the packages hdf5r and zip.
#' * `.safetensors`: the weights by name, readable by many programs, and the model as
#'   JSON (in the metadata, as `config`). Needs no other package. The metadata also has a
#'   checksum of the file, `attn_crc32`, and `attn_file`, which says that it is there: a
#'   program that changes the file must leave both out.
#'
#' Reading looks at the content of a file, not at its name. Nothing in a file is run:
#' layers come from those of this package, and any other class, R's and Python's functions
#' and Keras's lambda layers among them, is refused by name. All of a file is checked, and
#' that it has weights for all that the model needs, before memory is taken for them. A
#' file is written as a whole or not at all; a process that is killed on the way can leave
#' its unfinished file beside it, with a name that starts with `.attn-`, which nothing reads.
#' Ctrl-C and [setTimeLimit()] end reading and writing, but for the steps in which the HDF5
#' library writes a `.keras` file: a large array is done first.
#'
#' Files of Keras 2 (`.h5`) are recognized. Their weights can be loaded into a model that
#' is made here, by [load_model_weights()]; for the model as a whole load the file in
#' Python and save it as `.keras`.
#'
#' @param model For `save_model()` a model; for `load_model()` the name of a file, or a raw
#'   vector with the content of one.
#' @param filepath The name of the file, which ends in `.keras` or `.safetensors`. `NULL`
#'   (default): the content of a `.keras` file is returned.
#' @param overwrite Whether a file that exists is replaced. When it is `FALSE` (default),
#'   this is an error; in an interactive session you are asked.
#' @param zipped `NULL` or `TRUE`: folders in place of `.keras` files are not written.
#' @param custom_objects Keras's place for classes of one's own, which there are none of
#'   here: `NULL`.
#' @param compile,safe_mode `TRUE` or `FALSE`. Optimizers and losses are not loaded, and
#'   code is never run, so they make no difference.
#' @param ... Not used; anything here is an error.
#' @return `save_model()`: the model, invisibly, or a raw vector. `load_model()`: a model.
#' @section Errors:
#' `attn_error_file` when a file cannot be read or written, exists, or is not what it
#' should be. Where the model in it is not one that can be made here, the error is an
#' `attn_error_config` as well. `attn_error_config` alone when a model that is to be saved has
#' parts that a file cannot hold; `attn_error_memory` where memory runs out;
#' `attn_error_argument` for other arguments.
#' @references <https://keras.io/api/models/model_saving_apis/model_saving_and_loading/>
#' @seealso [save_model_weights()], [save_model_config()]
#' @examples
#' input <- keras_input(shape = 4)
#' model <- keras_model(input, layer_dense(input, units = 2))
#' path <- tempfile(fileext = ".safetensors")
#' save_model(model, path)
#' same <- load_model(path)
#' x <- matrix(1:8, 2)
#' identical(same(x), model(x))
#' unlink(path)
#' @export
save_model <- function(model, filepath = NULL, overwrite = FALSE, zipped = NULL, ...) {
  owner <- "save_model()"
  check_no_dots(owner, ...)
  self <- check_model(if (!missing(model)) model, owner)
  check_flag(overwrite, owner, "overwrite")
  if (!is.null(zipped) && !isTRUE(zipped)) {
    abort_argument(owner, "zipped", "NULL or TRUE (folders are not written)", zipped)
  }
  if (is.null(filepath)) {
    path <- tempfile(fileext = ".keras")
    on.exit(unlink(path))
    write_keras_model(path, self, FALSE, owner)
    return(read_bytes(path, owner))
  }
  format <- check_format(filepath, c(".keras", ".safetensors"), owner)
  overwrite <- may_overwrite(filepath, overwrite)
  if (format == ".keras") {
    write_keras_model(filepath, self, overwrite, owner)
  } else {
    write_safetensors_model(filepath, self, overwrite, owner, with_config = TRUE)
  }
  invisible(model)
}

#' @rdname save_model
#' @export
load_model <- function(model, custom_objects = NULL, compile = TRUE, safe_mode = TRUE, ...) {
  owner <- "load_model()"
  check_no_dots(owner, ...)
  check_given(missing(model), owner, "model", "the name of a file, or a raw vector")
  check_no_custom_objects(custom_objects, owner)
  check_flag(compile, owner, "compile")
  check_flag(safe_mode, owner, "safe_mode")
  path <- check_source(model, owner, "model")
  file <- read_model_file(path, owner)
  if (is.null(file$config)) {
    abort_file(owner, path, paste(
      "this file has weights but no model: make the model, and load them with",
      "load_model_weights()"
    ))
  }
  size <- sum(vapply(file$weights, length, 1))
  loaded <- with_blank_weights(size, owner, path, model_from_file(file$config, owner, path))
  self <- layer_self(loaded)
  tree <- weight_tree(self)
  values <- check_found_values(tree, match_values(tree, file), FALSE, owner, path)
  set_tree_values(tree, values)
  loaded
}

#' Save and load the weights of a model
#'
#' `save_model_weights()` writes the weights of a model to a file, and
#' `load_model_weights()` sets those of a model that is alike. All weights are set or, when
#' one is missing or has another shape, none.
#'
#' Files whose names end in `.weights.h5` are Keras's own, as `model.save_weights()` in
#' Python writes them; writing them needs the package hdf5r. In `.safetensors` weights are
#' named by their paths, such as `"mha/query/kernel"`. Reading looks at the content of a
#' file, not at its name; `.keras` files and the `.h5` files of Keras 2 do as well. Where the
#' HDF5 library writes a large array, Ctrl-C waits until it has.
#'
#' @param model A model.
#' @param filepath The name of a file. For writing it ends in `.weights.h5` or
#'   `.safetensors`.
#' @param overwrite Whether a file that exists is replaced. When it is `FALSE` (default),
#'   this is an error; in an interactive session you are asked.
#' @param max_shard_size `NULL`: weights are in one file.
#' @param skip_mismatch Whether weights that do not fit are passed over, with a warning
#'   that names them.
#' @param ... Not used; anything here is an error.
#' @return The model, invisibly.
#' @section Errors:
#' `attn_error_file` when a file cannot be read or written, exists, or has not the weights
#' of this model; `attn_error_state` when layers of the model are not built yet;
#' `attn_error_argument` for other arguments.
#' @references <https://keras.io/api/models/model_saving_apis/weights_saving_and_loading/>
#' @seealso [save_model()]
#' @examples
#' new_model <- function() {
#'   input <- keras_input(shape = 4)
#'   keras_model(input, layer_dense(input, units = 2, name = "out"))
#' }
#' model <- new_model()
#' path <- tempfile(fileext = ".safetensors")
#' save_model_weights(model, path)
#' other <- new_model()
#' load_model_weights(other, path)
#' x <- matrix(1:8, 2)
#' identical(other(x), model(x))
#' unlink(path)
#' @export
save_model_weights <- function(model, filepath, overwrite = FALSE, max_shard_size = NULL, ...) {
  owner <- "save_model_weights()"
  check_no_dots(owner, ...)
  self <- check_model(if (!missing(model)) model, owner)
  check_given(missing(filepath), owner, "filepath", "the name of a file")
  check_flag(overwrite, owner, "overwrite")
  check_not_available(max_shard_size, owner, "max_shard_size")
  format <- check_format(filepath, c(".weights.h5", ".safetensors"), owner)
  overwrite <- may_overwrite(filepath, overwrite)
  if (format == ".safetensors") {
    write_safetensors_model(filepath, self, overwrite, owner, with_config = FALSE)
  } else {
    parts <- h5_parts(self, owner)
    write_weights_h5(filepath, parts$weights, parts$groups, parts$dtype, overwrite, owner)
  }
  invisible(model)
}

#' @rdname save_model_weights
#' @export
load_model_weights <- function(model, filepath, skip_mismatch = FALSE, ...) {
  owner <- "load_model_weights()"
  check_no_dots(owner, ...)
  self <- check_model(if (!missing(model)) model, owner)
  check_given(missing(filepath), owner, "filepath", "the name of a file")
  check_flag(skip_mismatch, owner, "skip_mismatch")
  path <- check_source(filepath, owner, "filepath")
  tree <- built_tree(self, owner)
  file <- read_model_file(path, owner, with_config = FALSE)
  found <- match_values(tree, file)
  set_tree_values(tree, check_found_values(tree, found, skip_mismatch, owner, path))
  invisible(model)
}

#' Save and load the architecture of a model
#'
#' `save_model_config()` writes what a model is made of, without its weights, as JSON;
#' `load_model_config()` makes a new model from that, with new weights. The JSON is that of
#' Keras's `model.to_json()` and `keras.models.model_from_json()`.
#'
#' @param model A model.
#' @param filepath The name of a file. `NULL` (default): the JSON is returned.
#' @param overwrite Whether a file that exists is replaced. When it is `FALSE` (default),
#'   this is an error; in an interactive session you are asked.
#' @param custom_objects Keras's place for classes of one's own, which there are none of
#'   here: `NULL`.
#' @param ... Not used; anything here is an error.
#' @return `save_model_config()`: the model, invisibly, or a string of JSON.
#'   `load_model_config()`: a model.
#' @section Errors:
#' As of [save_model()].
#' @references <https://keras.io/api/models/model_saving_apis/model_config_serialization/>
#' @seealso [get_config()] for the same as a list.
#' @examples
#' input <- keras_input(shape = 4)
#' model <- keras_model(input, layer_dense(input, units = 2))
#' path <- tempfile(fileext = ".json")
#' save_model_config(model, path)
#' load_model_config(path)
#' unlink(path)
#' @export
save_model_config <- function(model, filepath = NULL, overwrite = FALSE, ...) {
  owner <- "save_model_config()"
  check_no_dots(owner, ...)
  self <- check_model(if (!missing(model)) model, owner)
  check_flag(overwrite, owner, "overwrite")
  json <- model_json(self)
  if (is.null(filepath)) {
    return(json)
  }
  check_string(filepath, owner, "filepath")
  write_atomically(filepath, may_overwrite(filepath, overwrite), owner = owner,
    writer = function(temporary) write_text_file(json, temporary, owner, filepath)
  )
  invisible(model)
}

#' @rdname save_model_config
#' @export
load_model_config <- function(filepath, custom_objects = NULL, ...) {
  owner <- "load_model_config()"
  check_no_dots(owner, ...)
  check_given(missing(filepath), owner, "filepath", "the name of a file")
  check_no_custom_objects(custom_objects, owner)
  path <- check_source(filepath, owner, "filepath")
  bytes <- if (is.raw(path)) path else {
    if (check_file(path, owner) > 2^28) {
      abort_file(owner, path, "this is larger than any config of a model")
    }
    read_bytes(path, owner)
  }
  model_from_file(parse_json_bytes(bytes, owner, path, "this file"), owner, path)
}

# ---- arguments ----

check_model <- function(model, owner) {
  if (is_layer(model) && !inherits(model, "attn_model")) {
    abort_argument(owner, "model",
      "a model (put the layer into keras_model(), or use saveRDS() for a layer)", model
    )
  }
  if (!is_layer(model)) {
    abort_argument(owner, "model", "a model", model)
  }
  layer_self(model)
}

# The ending of a file's name, one of `endings`.
check_format <- function(filepath, endings, owner) {
  check_string(filepath, owner, "filepath")
  is_this <- endsWith(lower_ascii(filepath), endings)
  if (!any(is_this)) {
    abort_argument(owner, "filepath",
      paste("the name of a file that ends in", paste(endings, collapse = " or ")), filepath
    )
  }
  endings[is_this][1L]
}

# The name of a file, or its content.
check_source <- function(x, owner, argument) {
  if (is.raw(x) && !is.object(x)) {
    return(x)
  }
  if (!is_string(x)) {
    abort_argument(owner, argument, "the name of a file, or a raw vector", x)
  }
  check_path(x, owner, argument)
}

# As in keras3, who sits before the session is asked.
may_overwrite <- function(filepath, overwrite) {
  if (overwrite || !interactive() || !file.exists(filepath)) {
    return(overwrite)
  }
  isTRUE(utils::askYesNo(sprintf("The file %s exists. Replace it?", quote_name(filepath)), FALSE))
}

# ---- writing ----

model_json <- function(self) write_json(serialize_model(self))

built_tree <- function(self, owner) {
  check_all_built(self, owner)
  weight_tree(self)
}

check_all_built <- function(self, owner) {
  members <- stored_members(self)
  is_built <- vapply(members, function(member) isTRUE(member$built), NA)
  if (!isTRUE(self$built) || !all(is_built)) {
    attn_abort(
      sprintf("%s: the model \"%s\" is not built yet, so it has no weights. %s", owner,
        self$name, "Give it an input shape, or call it once."
      ),
      "attn_error_state",
      owner = owner, argument = "model", expected = "a model that is built",
      received = "one that is not"
    )
  }
  for (member in members) {
    if (is_model(member)) check_all_built(member, owner)
  }
}

# For write_weights_h5().
h5_parts <- function(self, owner) {
  tree <- built_tree(self, owner)
  weights <- tree_values(tree)
  names(weights) <- tree_keys(tree)
  list(weights = weights, groups = tree$groups, dtype = tree_dtype(tree))
}

write_keras_model <- function(path, self, overwrite, owner) {
  json <- model_json(self)
  parts <- h5_parts(self, owner)
  write_keras_archive(path, json, parts$weights, parts$groups,
    dtype = parts$dtype, overwrite = overwrite, owner = owner
  )
}

write_safetensors_model <- function(path, self, overwrite, owner, with_config) {
  tree <- built_tree(self, owner)
  weights <- tree_values(tree)
  names(weights) <- tree_paths(tree)
  metadata <- c(format = "keras", keras_version = keras_metadata()$keras_version)
  if (with_config) {
    json <- model_json(self)
    metadata <- c(metadata, config = json)
  }
  write_safetensors(path, weights, tree_dtype(tree), metadata, overwrite, owner)
}

# ---- reading ----

# What a file is, by its first bytes: "keras", "h5", "safetensors" or "other".
file_format <- function(path, owner) {
  head <- if (is.raw(path)) utils::head(path, 16L) else {
    if (file_kind(path) == "folder") {
      abort_file(owner, path, paste(
        "this is a folder: of the formats of Keras only single files are read;",
        "load it in Python, and save it as .keras"
      ))
    }
    check_file(path, owner)
    with_connection(path, "rb", owner, function(connection) readBin(connection, "raw", 16L))
  }
  starts <- function(...) identical(utils::head(head, ...length()), as.raw(c(...)))
  if (starts(0x50, 0x4B, 0x03, 0x04) || starts(0x50, 0x4B, 0x05, 0x06)) {
    "keras"
  } else if (starts(0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A)) {
    "h5"
  } else if (length(head) > 8L && head[9L] == as.raw(0x7B)) {
    "safetensors"
  } else {
    "other"
  }
}

# list(kind = "keras", "h5", "old" or "safetensors", config = the model's dict or NULL,
# weights = arrays by name, layers = those of Keras 2).
read_model_file <- function(path, owner, with_config = TRUE) {
  switch(file_format(path, owner),
    keras = {
      archive <- read_keras_archive(path, owner)
      check_h5_kind(archive$weights, owner, path)
      list(kind = "h5", config = archive$config, weights = archive$weights$weights)
    },
    h5 = read_h5_model(path, owner, with_config),
    safetensors = read_safetensors_model(path, owner, with_config),
    abort_file(owner, path,
      "this is neither a .keras file, nor HDF5, nor safetensors", expected = "a file of a model"
    )
  )
}

check_h5_kind <- function(file, owner, path) {
  if (file$format != "keras3") {
    abort_file(owner, path, "its weights are not in the form of Keras 3")
  }
}

read_h5_model <- function(path, owner, with_config) {
  file <- read_weights_h5(path, owner)
  if (file$format == "keras2") {
    if (with_config) {
      abort_file(owner, path, paste(
        "this file was written by Keras 2: load it in Python with Keras and save it as",
        ".keras, or make the model here and load the file with load_model_weights()"
      ))
    }
    return(list(kind = "old", weights = file$weights, layers = file$layers))
  }
  check_h5_kind(file, owner, path)
  list(kind = "h5", weights = file$weights)
}

read_safetensors_model <- function(path, owner, with_config) {
  file <- path
  if (is.raw(path)) {
    file <- tempfile(fileext = ".safetensors")
    on.exit(unlink(file))
    within_file(writeBin(path, file), owner, path, "copying the file")
  }
  read <- read_safetensors(file, owner)
  config <- if (with_config && "config" %in% names(read$metadata)) {
    json <- charToRaw(read$metadata[["config"]])
    parse_json_bytes(json, owner, path, "the config in its metadata")
  }
  list(kind = "safetensors", config = config, weights = read$tensors)
}

match_values <- function(tree, file) {
  switch(file$kind,
    h5 = match_h5_values(tree, file$weights),
    old = match_old_values(tree, file$layers),
    match_named_values(tree, file$weights)
  )
}

model_from_file <- function(dict, owner, path) {
  is_dict <- is_plain_list(dict) && is_string(dict[["class_name"]]) &&
    is_plain_list(dict[["config"]])
  if (!is_dict) {
    abort_file(owner, path, "its config is not that of a model", expected = "a model")
  }
  shown <- if (is.raw(path)) "the raw vector" else encodeString(enc2utf8(path), quote = "\"")
  place <- sprintf("%s: %s", sub(":$", "", owner), shown)
  within_file_config({
    if (!is_model_class(dict[["class_name"]])) {
      check_config_content(dict, place)
      abort_config(place, sprintf("the class %s is not a model", quote_name(dict[["class_name"]])))
    }
    model_from_dict(dict, place)
  })
}

# What is wrong with the config in a file is wrong with the file: its errors have both classes.
within_file_config <- function(code) {
  tryCatch(code, attn_error = function(error) {
    if (!inherits(error, c("attn_error_file", "attn_error_memory"))) {
      class(error) <- append(class(error), "attn_error_file", after = 1L)
    }
    stop(error)
  })
}

# ---- weights of a model that is being loaded ----

loading <- new.env(parent = emptyenv())
loading$left <- NULL

# Layers that `code` builds have zeros for weights, since those of a file are to come, and
# no more of them than the file has: a config may say anything.
with_blank_weights <- function(size, owner, path, code) {
  before <- loading$left
  on.exit(loading$left <- before)
  loading$left <- size
  loading$place <- list(owner = owner, path = path)
  code
}

is_loading <- function() !is.null(loading$left)

blank_weight <- function(shape) {
  loading$left <- loading$left - prod(shape)
  if (loading$left < 0) {
    abort_file(loading$place$owner, loading$place$path,
      "its config makes a model of more weights than the file has",
      expected = "as many weights as the model has"
    )
  }
  if (length(shape)) array(0, shape) else 0
}
