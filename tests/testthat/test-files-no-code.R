# Nothing that a file says is run: the functions that read files call none that could.

could_run <- c(
  "eval", "evalq", "eval.parent", "local", "parse", "str2lang", "str2expression", "get", "get0",
  "mget", "dynGet", "match.fun", "getAnywhere", "getFunction", "getExportedValue", "readRDS",
  "unserialize", "load", "attach", "source", "sys.source", "library", "require", "loadNamespace",
  "attachNamespace", "system", "system2", "shell", "pipe", "dyn.load", "library.dynam", "url",
  "download.file", "socketConnection", "Recall", "dget", "as.function", "body<-", "deparse"
)

# The names in a function, where they are called and where they are values.
names_in <- function(f) {
  walk <- function(x) {
    if (is.name(x)) return(as.character(x))
    if (is.function(x)) return(names_in(x))
    if (!is.call(x) && !is.pairlist(x) && !is.list(x)) return(character())
    # a field is no function
    parts <- if (is.call(x) && identical(x[[1L]], quote(`$`))) x[2L] else as.list(x)
    parts <- lapply(as.list(parts), function(part) if (!missing(part)) walk(part))
    unlist(parts)
  }
  unique(c(walk(formals(f)), walk(body(f))))
}

# All functions of the package that these lead to.
reached_from <- function(start, namespace) {
  reached <- character()
  while (length(start)) {
    reached <- c(reached, start)
    names <- unlist(lapply(start, function(name) names_in(get(name, namespace))))
    own <- Filter(function(name) {
      is.function(get0(name, namespace, inherits = FALSE))
    }, setdiff(names, ""))
    start <- setdiff(own, reached)
  }
  reached
}

test_that("what reads files calls nothing that could run what is in them", {
  namespace <- asNamespace("attn")
  readers <- c(
    "read_model_file", "read_keras_archive", "read_weights_h5", "read_safetensors",
    "parse_json_bytes", "check_config_content", "match_values"
  )
  reached <- reached_from(readers, namespace)
  expect_gt(length(reached), 80)
  expect_true(all(c("parse_json_text", "run_h5r", "zip_name", "check_checksum") %in% reached))
  guilty <- Filter(function(name) any(names_in(get(name, namespace)) %in% could_run), reached)
  # starts R with functions of this package's own, written out, and nothing from the file
  expect_setequal(guilty, "run_h5r")
  # whether a package is there is asked by its name in the code
  asked <- Filter(function(name) "requireNamespace" %in% names_in(get(name, namespace)), reached)
  expect_identical(asked, "has_package")
})

test_that("models are made without a look at names that a config could choose", {
  namespace <- asNamespace("attn")
  own <- c(
    "load_model", "load_model_weights", "load_model_config", "model_from_file",
    "deserialize_model", "functional_from_config", "sequential_from_config", "new_member",
    "layer_from_entry", "layer_from_config", "make_call", "deserialize_dict", "object_maker",
    "layer_kind_of_class", "check_config_class", "with_blank_weights"
  )
  for (name in own) {
    expect_identical(intersect(names_in(get(name, namespace)), could_run), character(),
      label = name
    )
  }
  # do.call() gets functions, never names
  for (name in c("layer_from_config", "make_call")) {
    calls <- grep("do.call(", deparse(get(name, namespace)), fixed = TRUE, value = TRUE)
    expect_length(calls, 1L)
    expect_match(calls, "do.call\\((layer_kinds\\[\\[|member\\$layer)")
  }
})
