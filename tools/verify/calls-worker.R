# For calls.R: makes the random calls of some seeds, one each, and judges what comes of
# them. Started as
#   Rscript calls-worker.R FIRST LAST FOLDER SECONDS
# in a folder of its own. Writes to FOLDER: `at`, the seed in progress (what is left of a
# process that dies), and lines of tab-separated fields to `lines`: "seed", kind of
# outcome, promise broken, call, message.
arguments <- commandArgs(TRUE)
seeds <- as.integer(arguments[1]):as.integer(arguments[2])
folder <- arguments[3]
seconds <- as.numeric(arguments[4])
root <- Sys.getenv("ATTN_ROOT")
library(attn)
source(file.path(root, "tests/testthat/helper-bad-input.R"))
source(file.path(root, "tools/verify/calls-values.R"))
options(device = function(...) grDevices::pdf(NULL), warn = 1)

bad <- c(
  lapply(bad_values(), function(value) function() value), odd_values, our_objects, arrays
)
our_namespace <- asNamespace("attn")

# ---- the things that are called ----

exports <- sort(getNamespaceExports("attn"))
generics <- c(
  "print", "format", "summary", "plot", "predict", "str", "toString", "as.list", "all.equal",
  "identical", "c", "length", "names", "dim", "t", "aperm", "mean", "as.array", "as.data.frame",
  "as.vector", "as.numeric", "as.character", "rev", "rep", "unlist", "is.na", "unique", "head",
  "tail", "lapply", "nchar", "$", "[[", "[", "$<-", "[[<-", "[<-", "names<-", "dim<-", "length<-",
  "levels", "sort", "order", "seq_along", "anyNA", "range", "sum", "max", "any", "prod", "abs",
  "exp", "sqrt", "round", "cumsum", "floor", "+", "-", "*", "/", "^", "%%", "==", "<", "!", "&",
  ".DollarNames", "tidy", "count_params", "get_config", "get_weights", "serialize", "class<-",
  "attributes", "with", "merge", "split", "transform", "cat", "deparse", "object.size", "is.function"
)
# Generics and objects to call them with, and whether a method of the package's is reached.
group_of <- c(
  stats::setNames(rep("Ops", 10L), c("+", "-", "*", "/", "^", "%%", "==", "<", "!", "&")),
  stats::setNames(rep("Math", 6L), c("abs", "exp", "sqrt", "round", "cumsum", "floor")),
  stats::setNames(rep("Summary", 5L), c("range", "sum", "max", "any", "prod"))
)
generic_calls <- expand.grid(
  name = generics, kind = names(our_objects), stringsAsFactors = FALSE
)
generic_calls$is_ours <- local({
  methods <- getNamespaceInfo("attn", "S3methods")
  methods <- paste(methods[, 1L], methods[, 2L])
  classes <- lapply(our_objects, function(make) class(make()))
  mapply(function(name, kind) {
    any(paste(name, classes[[kind]]) %in% methods) ||
      any(paste(group_of[name], classes[[kind]]) %in% methods)
  }, generic_calls$name, generic_calls$kind)
})

members <- c(attention_layers, tensor_layers, merge_layers, models)
called <- c(attention_layers, tensor_layers, merge_layers, models)

pick_one <- function(x) x[[sample.int(length(x), 1L)]]
random_value <- function() pick_one(bad)()

# list(label =, f =, target = a layer or model, or NULL, formals =, given = first arguments)
random_function <- function() {
  switch(sample.int(10L, 1L),
    of_an_export(), of_an_export(), of_an_export(), of_an_export(), of_a_layer(), of_a_layer(),
    of_a_member(), of_a_member(), of_a_generic(), of_a_generic()
  )
}

of_an_export <- function() {
  name <- sample(exports, 1L)
  f <- getExportedValue("attn", name)
  list(label = name, f = f, formals = names(formals(f)))
}

of_a_layer <- function() {
  kind <- sample(names(called), 1L)
  layer <- called[[kind]]()
  list(label = paste0("<", kind, ">"), f = layer, target = layer, formals = names(formals(layer)))
}

# Layers that are made take their random numbers before they look at their input.
makes_layers <- function(name) grepl("^(layer_|keras_|clone_|from_|deserialize_|load_)", name)

of_a_member <- function() {
  kind <- sample(names(members), 1L)
  object <- members[[kind]]()
  name <- sample(names(object), 1L)
  member <- if (stats::runif(1) < 0.7) tryCatch(object[[name]], error = function(e) NULL)
  if (is.function(member)) {
    formals <- names(formals(member))
    return(list(
      label = paste0("<", kind, ">$", name), f = member, target = object, formals = formals
    ))
  }
  list(
    label = paste0("<", kind, ">$", name, "<-"), target = object, formals = "value",
    f = function(value) {
      object[[name]] <- value
      object
    }
  )
}

of_a_generic <- function() {
  all <- seq_len(nrow(generic_calls))
  chosen <- sample(if (stats::runif(1) < 0.8) all[generic_calls$is_ours] else all, 1L)
  name <- generic_calls$name[chosen]
  kind <- generic_calls$kind[chosen]
  object <- our_objects[[kind]]()
  f <- get(name)
  method <- utils::getS3method(name, class(object)[length(class(object))], optional = TRUE)
  usual <- if (is.function(method)) method else args(f)
  formals <- if (is.null(usual)) "x" else names(formals(usual))[-1L]
  list(
    label = paste0(name, "(<", kind, ">)"), f = f, formals = formals, given = list(object),
    target = if (inherits(object, "attn_layer")) object
  )
}

# ---- their arguments ----

required <- function(f, names) {
  if (is.primitive(f)) return(names)
  defaults <- formals(f)[names]
  names[vapply(defaults, function(x) is.symbol(x) && !nzchar(x), NA)]
}

# A list of values; an empty symbol for an empty argument.
random_arguments <- function(what) {
  known <- setdiff(what$formals, "...")
  needed <- intersect(required(what$f, known), known)
  extra <- setdiff(known, needed)
  chosen <- c(needed, extra[stats::runif(length(extra)) < 0.15])
  # what a constructor needs although it has a default
  if (length(extra) && stats::runif(1) < 0.3) chosen <- union(chosen, extra[1L])
  given <- stats::setNames(lapply(chosen, function(name) {
    value <- good_value(name)
    value()
  }), chosen)
  wrongs <- sample(0:3, 1L, prob = c(1, 12, 4, 2))
  takes_more <- "..." %in% what$formals
  for (i in seq_len(wrongs)) {
    given <- if (grepl("<-$", what$label)) list(value = random_value())
      else spoil(given, known, takes_more)
  }
  given
}

# Of what R refuses by itself, arguments that are given twice or not known, there is little.
spoil_kinds <- c(
  value = 6, new = 2, drop = 2, unknown = 2, twice = 0.3, empty = 1, position = 2
)

spoil <- function(given, known, takes_more) {
  at <- if (length(given)) sample.int(length(given), 1L)
  if (!takes_more) spoil_kinds["unknown"] <- 0.3
  kind <- sample(names(spoil_kinds), 1L, prob = spoil_kinds)
  if (is.null(at) && kind %in% c("value", "drop", "twice", "empty", "position")) kind <- "new"
  if (kind == "value") given[at] <- list(random_value())
  if (kind == "new" && length(known)) given[sample(known, 1L)] <- list(random_value())
  if (kind == "drop") given <- given[-at]
  if (kind == "unknown") {
    name <- sample(c(
      "foo", "", "self", "s", "owner", "known", "kind", ".", "n u", "...", "query", "trainable", "name"
    ), 1L)
    given <- c(given, stats::setNames(list(random_value()), name))
  }
  if (kind == "twice") given <- c(given, given[at])
  if (kind == "empty") {
    if (takes_more) given <- c(given, list(quote(expr = ))) else given[at] <- list(quote(expr = ))
  }
  if (kind == "position") names(given)[at] <- ""
  given
}

# The call, whose arguments are variables in `environment`, as they are in scripts; a few
# calls hold the values themselves, as those of do.call() do.
make_call <- function(what, given, environment) {
  given <- c(what$given, given)
  assign("f", what$f, envir = environment)
  inline <- stats::runif(1) < 0.2 && !any(vapply(given, is.character, NA))
  arguments <- lapply(seq_along(given), function(i) {
    value <- given[[i]]
    if (missing(value)) return(quote(expr = ))
    if (inline) return(if (is.language(value)) call("quote", value) else value)
    name <- paste0("a", i)
    assign(name, value, envir = environment)
    as.name(name)
  })
  names(arguments) <- names(given)
  as.call(c(quote(f), arguments))
}

# For the report: names and kinds of values.
describe_call <- function(what, given) {
  shown <- vapply(seq_along(given), function(i) {
    value <- given[[i]]
    text <- if (missing(value)) "" else tryCatch(attn:::describe_value(value), error = function(e) "?")
    name <- names(given)[i]
    if (length(name) && !is.na(name) && nzchar(name)) paste(substr(name, 1, 30), "=", text) else text
  }, "")
  text <- sprintf("%s(%s)", what$label, paste(shown, collapse = ", "))
  gsub("[\t\n\r]", " ", substr(iconv(text, to = "ASCII", sub = "byte"), 1, 400))
}

# ---- the verdict ----

# Whose code raised an error: "ours", "theirs" (a function that the caller gave), or "R"
# (before any code of the package was reached).
origin_of <- function() {
  # without this function and the handler that asks
  for (i in rev(seq_len(sys.nframe() - 2L))) {
    f <- sys.function(i)
    if (is.primitive(f)) next
    home <- topenv(environment(f))
    # which only calls an initializer that the caller gave: one of R's own functions, maybe
    if (identical(f, attn:::call_user_initializer)) return("theirs")
    if (identical(home, our_namespace)) return("ours")
    if (isTRUE(attr(f, "judge"))) return("R")
    if (identical(home, globalenv()) && !is_worker_function(f)) return("theirs")
  }
  "R"
}

worker_functions <- NULL
is_worker_function <- function(f) {
  any(vapply(worker_functions, identical, NA, f))
}

# What a refused call must have left as it was.
state_of <- function(target, makes) {
  list(
    session = list(
      random = if (!makes) get0(".Random.seed", globalenv()), floatx = config_floatx(),
      threads = attn_threads(), flash = config_is_flash_attention_enabled(), folder = getwd(),
      time_limit = NULL
    ),
    target = if (!is.null(target)) state_of_layer(target)
  )
}

quietly_try <- function(code) tryCatch(suppressWarnings(code), error = function(e) conditionMessage(e))

state_of_layer <- function(layer) {
  self <- environment(layer)$self
  list(
    weights = quietly_try(get_weights(layer)), config = quietly_try(get_config(layer)),
    built = self$built, trainable = quietly_try(layer$trainable), name = self$name,
    losses = quietly_try(layer$losses), attributes = attributes(layer),
    calls = if (!is.null(self$handle)) .Call(attn:::ffi_calls_get, list(self$handle))
  )
}

changed_parts <- function(before, after) {
  changes <- character()
  for (part in names(before)) {
    for (field in names(before[[part]])) {
      if (!identical(before[[part]][[field]], after[[part]][[field]])) {
        changes <- c(changes, paste(part, field))
      }
    }
  }
  changes
}

# Errors that are R's own to raise although code of the package was under way:
#   - that it cannot allocate memory for as many numbers as the call is about (a billion);
#   - that scores cannot be indexed like that, as no array can (`[` hands on to R's).
# Where the stack is used up R asks no handler: then a function of the caller's may be to blame.
is_of_r <- function(error, origin, what, given) {
  given <- given[!vapply(given, is.symbol, NA)]
  if (is.null(origin)) {
    return(inherits(error, "stackOverflowError") && any(vapply(given, is.function, NA)))
  }
  says <- message_of(error)
  origin != "ours" ||
    (startsWith(says, " cannot allocate vector of size") && any(lengths(given) >= 1e9)) ||
    (startsWith(what$label, "[(<scores") && grepl("subscript|dimension|argument", says))
}

# What a function of the caller's raises may be no proper condition.
message_of <- function(condition) {
  paste(c("", tryCatch(conditionMessage(condition), error = function(e) "?")), collapse = " ")
}

judge <- structure(function(call, environment, what, given) {
  origin <- NULL
  escaped <- character()
  value <- tryCatch(
    withCallingHandlers(
      {
        setTimeLimit(elapsed = seconds, transient = TRUE)
        utils::capture.output(result <- withVisible(eval(call, environment)), type = "output")
        "value"
      },
      warning = function(w) {
        if (!inherits(w, "attn_warning") && origin_of() == "ours") {
          escaped <<- c(escaped, paste("warning:", conditionMessage(w)))
        }
        invokeRestart("muffleWarning")
      },
      error = function(e) origin <<- origin_of()
    ),
    error = identity, finally = setTimeLimit()
  )
  if (!inherits(value, "error")) {
    kind <- "value"
  } else if (grepl("reached elapsed time limit", message_of(value), fixed = TRUE)) {
    kind <- "slow"
    escaped <- c(escaped, paste("took longer than", seconds, "s"))
  } else if (inherits(value, "attn_error_internal")) {
    kind <- "internal"
    escaped <- c(escaped, paste("internal:", message_of(value)))
  } else if (inherits(value, "attn_error")) {
    kind <- "refused"
  } else {
    kind <- if (identical(origin, "R")) "R" else if (is_of_r(value, origin, what, given)) "foreign"
      else "escaped"
    if (kind == "escaped") {
      escaped <- c(escaped, paste("error:", paste(class(value)[1]), message_of(value)))
    }
  }

  list(kind = kind, escaped = escaped)
}, judge = TRUE)

worker_functions <- Filter(is.function, mget(ls(globalenv()), globalenv()))

clean <- function(text) {
  gsub("[\t\n\r]", " ", substr(iconv(paste(text, collapse = "; "), to = "ASCII", sub = "byte"), 1, 600))
}

# Files that a call left in the working folder or the home, but for one whose path it was
# given.
new_files <- function(environment) {
  found <- list.files(c(".", Sys.getenv("HOME")), all.files = TRUE, no.. = TRUE)
  if (!length(found)) return(NULL)
  given <- unlist(lapply(mget(ls(environment), environment), function(x) {
    if (is.character(x) && length(x) == 1L) x
  }))
  unlink(file.path(rep(c(".", Sys.getenv("HOME")), each = length(found)), found), recursive = TRUE)
  odd <- setdiff(found, given)
  if (length(odd)) paste("files:", paste(odd, collapse = ", "))
}

threads <- attn_threads()
out <- file(file.path(folder, "lines"), "a")
for (seed in seeds) {
  set.seed(seed)
  config_set_floatx("float32")
  config_enable_flash_attention()
  what <- random_function()
  given <- random_arguments(what)
  environment <- new.env()
  call <- make_call(what, given, environment)
  cat(seed, describe_call(what, given), sep = "\t", file = file.path(folder, "at"))
  makes <- makes_layers(what$label)
  before <- state_of(what$target, makes)
  verdict <- judge(call, environment, what, given)
  problems <- verdict$escaped
  if (verdict$kind != "value") {
    changes <- changed_parts(before, state_of(what$target, makes))
    if (length(changes)) problems <- c(problems, paste("changed:", paste(changes, collapse = ", ")))
  }
  problems <- c(problems, new_files(environment))
  attn_threads(threads)
  if (grDevices::dev.cur() > 1L) grDevices::graphics.off()
  cat(seed, verdict$kind, what$label, describe_call(what, given), clean(problems),
    sep = "\t", file = out
  )
  cat("\n", file = out)
}
close(out)
