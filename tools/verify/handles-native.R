# For handles.R: gives the registered routines of the shared library, called directly, what
# they are never given. Started as
#   Rscript handles-native.R MODE FIRST LAST FOLDER LIBRARY
# MODE: "sweep", where the numbers are places in the list of all routines, each called with
# every wrong thing for every argument; or "random", where they are seeds. Writes to FOLDER:
# `at`, the call in progress (what is left of a process that dies), and `count`: how many
# calls gave a result, an error of the package, another error of R.
arguments <- commandArgs(TRUE)
mode <- arguments[1]
numbers_to_do <- as.integer(arguments[2]):as.integer(arguments[3])
folder <- arguments[4]
invisible(dyn.load(arguments[5]))
invisible(compiler::enableJIT(0))
here <- new.env(parent = asNamespace("attn"))
sys.source(file.path(Sys.getenv("ATTN_ROOT"), "tools/verify/handles-use.R"), here)

recorded <- here$record_calls(here$use_everything())
routines <- here$routines()
never <- setdiff(names(routines), names(recorded))
if (length(never)) stop("nothing here calls ", toString(never))
recorded <- recorded[sort(names(routines))]

# ---- what is no handle, and not much else ----

built_layer <- function() {
  layer <- attn::layer_attention(use_scale = TRUE)
  layer$build(list(c(2, 3, 4), c(2, 5, 4)))
  layer
}
handle_of <- function(layer) environment(layer)$self$handle
kept <- list(other = built_layer(), dense = attn::layer_dense(units = 2))
kept$dense$build(c(2, 3))

wrong <- list(
  NULL, 1L, TRUE, NA, 1.5, 1i, "a", NA_character_, raw(), raw(8), list(), list(NULL), list(1, 2),
  mean, sum, new.env(), globalenv(), quote(x), quote(f(x)), y ~ x, expression(a), pairlist(a = 1),
  methods::new("externalptr"), methods::getClass("numeric"), 1:1e9, seq_len(100), c(0, NaN, Inf, -1),
  2^31, 2^53, 1e308, -1L, .Machine$integer.max, NA_integer_, NA_real_, integer(), double(),
  character(), structure(1, dim = 1L), array(0, c(0, 2)), array(1, rep(1L, 20)), matrix(1, 2, 3),
  structure(list(), class = "attn_layer"), structure(raw(), class = "attn_handle"), factor("a"),
  handle_of(kept$other), handle_of(kept$dense), kept$other,
  unserialize(serialize(handle_of(kept$other), NULL)),
  unserialize(serialize(handle_of(kept$other), NULL, version = 2)),
  .Call("forge_pointer", "attn_layer_handle", TRUE),
  .Call("forge_pointer", "attn_layer_handle", FALSE), .Call("forge_pointer", "another", FALSE),
  .Call("forge_pointer_of", handle_of(kept$other)),
  .Call("forge_weak_reference", globalenv(), list(1, 2, 3, 4, 5, 6, 7))
)
if (requireNamespace("xml2", quietly = TRUE)) wrong <- c(wrong, xml2::read_xml("<a/>")$node)
if (requireNamespace("data.table", quietly = TRUE)) {
  wrong <- c(wrong, attr(data.table::data.table(a = 1), ".internal.selfref"))
}

# ---- the calls ----

counts <- c(result = 0, classed = 0, other = 0)
try_call <- function(name, given, what) {
  cat(what, file = file.path(folder, "at"))
  outcome <- tryCatch(
    {
      setTimeLimit(elapsed = 120, transient = TRUE)
      suppressWarnings(do.call(.Call, c(list(routines[[name]]), given), quote = TRUE))
      "result"
    },
    attn_error = function(e) "classed", error = function(e) "other"
  )
  setTimeLimit()
  counts[[outcome]] <<- counts[[outcome]] + 1
}

# A weak reference is not copied: its copy would have no value.
fresh <- function(given) {
  lapply(given, function(x) {
    if (typeof(x) %in% c("weakref", "environment")) x else unserialize(serialize(x, NULL))
  })
}

# Every argument of every recorded call, and every element of those that are lists.
sweep_routine <- function(name) {
  for (form in recorded[[name]]) {
    for (i in seq_along(form)) {
      for (w in seq_along(wrong)) {
        given <- fresh(form)
        given[i] <- wrong[w]
        try_call(name, given, sprintf("%s, argument %d, wrong thing %d", name, i, w))
        if (is.list(form[[i]]) && length(form[[i]])) {
          given <- fresh(form)
          at <- 1L + w %% length(form[[i]])
          given[[i]][at] <- wrong[w]
          try_call(name, given, sprintf("%s, argument %d, element %d, thing %d", name, i, at, w))
        }
      }
      sweep_gone(name, form, i)
    }
  }
}

# A handle whose layer is gone, is none, or that has the tag of another.
sweep_gone <- function(name, form, i) {
  is_handle <- function(x) identical(typeof(x), "raw") && !length(x)
  if (!is_handle(form[[i]])) return(invisible())
  for (state in 0:2) {
    given <- fresh(form)
    .Call("forge_state", given[[i]], state)
    try_call(name, given, sprintf("%s, argument %d, forged state %d", name, i, state))
    .Call("forge_state", given[[i]], 3)
  }
}

pick_one <- function(x) x[[sample.int(length(x), 1L)]]

# Some random thing of R's: mostly vectors of odd lengths and dims.
random_thing <- function(depth = 0L) {
  kind <- sample.int(if (depth < 3L) 9L else 6L, 1L)
  n <- sample(c(0:3, 8L, 10L, 17L, 64L), 1L)
  switch(kind,
    sample(c(0L, 1L, 2L, -1L, NA, 3L, 16L, 1000L, .Machine$integer.max), n, TRUE),
    sample(c(0, 1, -1, 0.5, NA, NaN, Inf, 2^31, 2^53, 1e308, 5e-324), n, TRUE),
    sample(c(TRUE, FALSE, NA), n, TRUE), as.raw(sample(0:255, n, TRUE)),
    sample(c("", "a", NA, "float32", "dense", "mean", strrep("x", 300), "\u00e9"), n, TRUE),
    if (length(wrong)) pick_one(wrong),
    lapply(seq_len(n), function(i) random_thing(depth + 1L)),
    {
      dims <- sample(0:3, sample.int(5L, 1L), TRUE)
      array(sample(c(0, 1, -2.5, NA), max(1, prod(dims)), TRUE), dims)
    },
    stats::setNames(lapply(1:3, function(i) random_thing(depth + 1L)), c("slots", "steps", "dim"))
  )
}

# The thing with something in it changed.
mutate <- function(x, depth = 0L) {
  kind <- sample.int(6L, 1L)
  is_vector <- (is.atomic(x) || is.list(x)) && !is.object(x)
  if (!is_vector || !length(x) || kind == 1L) return(random_thing())
  at <- sample.int(length(x), 1L)
  if (is.list(x)) {
    if (kind == 2L) return(x[-at])
    if (kind == 3L) return(c(x, x[at]))
    x[at] <- list(if (depth < 4L) mutate(x[[at]], depth + 1L) else NULL)
    return(x)
  }
  if (kind == 2L) return(x[-at])
  if (kind == 3L) return(c(x, x[at]))
  if (kind == 4L && length(dim(x))) return(structure(c(x), dim = rev(dim(x))))
  other <- random_thing(3L)
  if (is.atomic(other) && typeof(other) == typeof(x) && length(other)) x[at] <- other[1L]
  if (kind == 5L) attr(x, "keras_mask") <- random_thing()
  x
}

make_random_call <- function(seed) {
  set.seed(seed)
  name <- sample(names(recorded), 1L)
  given <- fresh(pick_one(recorded[[name]]))
  for (i in sample.int(length(given), min(length(given), sample.int(3L, 1L)))) {
    given[i] <- list(if (stats::runif(1) < 0.8) mutate(given[[i]]) else random_thing())
  }
  try_call(name, given, sprintf("%s, seed %d", name, seed))
}

threads <- attn::attn_threads()
for (number in numbers_to_do) {
  if (mode == "sweep") {
    sweep_routine(names(recorded)[number])
  } else {
    cat(number, file = file.path(folder, "number"))
    make_random_call(number)
  }
  attn::attn_threads(threads)
}
# what was called wrongly is as it was
stopifnot(
  identical(dim(kept$dense(matrix(1, 2, 3))), c(2L, 2L)), length(attn::get_weights(kept$other)) == 1L
)
writeLines(as.character(c(counts, length(recorded))), file.path(folder, "count"))
