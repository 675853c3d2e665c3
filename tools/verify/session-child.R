# Runs in a process of its own, which session.R starts:
#   Rscript --vanilla session-child.R TASK RESULT
# and writes a list to the file RESULT. TASK is one of the functions below.

# Whatever of the session a package could change, by kind. `probe`: the library of
# floating-point-mode.c.
session_state <- function(probe) {
  folders <- c(Sys.getenv(c("HOME", "TMPDIR")), getwd())
  files <- list.files(folders, all.files = TRUE, recursive = TRUE, full.names = TRUE)
  files <- files[!grepl("^probe\\.", basename(files))]
  process <- function(name) {
    path <- file.path("/proc/self", name)
    if (dir.exists(path)) list.files(path)
  }
  signals <- if (file.exists("/proc/self/status")) {
    grep("^(SigBlk|SigIgn|SigCgt)", readLines("/proc/self/status"), value = TRUE)
  }
  options <- options()
  environment <- Sys.getenv()
  list(
    floating_point_mode = .Call(probe), subnormal = 2^-1070 * 1 > 0,
    random_seed = get0(".Random.seed", globalenv(), inherits = FALSE), generator = RNGkind(),
    options = options, environment = environment,
    search = setdiff(search(), "package:attn"), locale = Sys.getlocale(),
    folder = getwd(), umask = Sys.umask(NA), threads = length(process("task")),
    file_descriptors = length(process("fd")), signals = signals,
    connections = unname(getAllConnections()), devices = grDevices::dev.list(),
    files = files, file_times = file.mtime(files), workspace = ls(globalenv(), all.names = TRUE),
    task_callbacks = getTaskCallbackNames(), hooks = ls(baseenv()$.userHooksEnv),
    calling_handlers = if (getRversion() >= "4.0.0") globalCallingHandlers(),
    time_limit_warning = getOption("warn"), sinks = sink.number(), trace = tracingState(),
    encodings = l10n_info(), jit = compiler::enableJIT(-1L), timezone = Sys.timezone(),
    library = .libPaths(), deparse = getOption("deparse.max.lines"), memory_limit = mem.maxVSize()
  )
}

changed <- function(before, after) {
  names(before)[!mapply(identical, before, after)]
}

load_probe <- function() {
  library <- dyn.load(Sys.getenv("ATTN_PROBE"))
  getNativeSymbolInfo("floating_point_mode", library)
}

# Loads the package, then uses all of it; says what has changed after each of the two.
loading_and_calls <- function() {
  probe <- load_probe()
  set.seed(1)
  session_state(probe) # what it loads itself must be there before
  before <- session_state(probe)
  library(attn)
  loaded <- session_state(probe)
  # Threads start with the first large call, and their number is the next proof's. Layers
  # without a seed draw their numbers from R's generator as they are made, by design.
  attn_threads(1L)
  source(file.path(Sys.getenv("ATTN_ROOT"), "tools/verify/every-layer.R"), local = TRUE)
  entries <- every_layer()
  layers <- lapply(entries, function(entry) {
    layer <- entry$make()
    call_entry(layer, entry)
    layer
  })
  model <- small_model()
  model(matrix(0:9, 2))
  folder <- tempfile()
  dir.create(folder)
  failures <- every_failure(layers[[1]], model, folder)
  safe <- file.path(folder, "weights.safetensors")
  save_model_weights(model, safe)
  ready <- session_state(probe)
  calls <- 0
  for (turn in seq_len(if (Sys.getenv("ATTN_VERIFY") == "short") 2L else 20L)) {
    for (name in names(entries)) call_entry(layers[[name]], entries[[name]])
    model(matrix(0:9, 2))
    predict(model, matrix(0:9, 2), batch_size = 1L, verbose = FALSE)
    op_dot_product_attention(
      array(1, c(1, 2, 1, 4)), array(1, c(1, 3, 1, 4)), array(1, c(1, 3, 1, 4))
    )
    for (failure in failures) tryCatch(failure(), error = identity)
    for (layer in layers) {
      get_weights(layer)
      serialize(layer, NULL)
    }
    save_model(model)
    load_model_weights(model, safe)
    calls <- calls + 3L * length(entries) + 5L + length(failures)
  }
  list(
    by_loading = changed(before, loaded), by_calls = changed(ready, session_state(probe)),
    kinds = length(before), calls = calls, mode = before$floating_point_mode
  )
}

# Nothing of it in the session before: set.seed() would have made it.
no_seed <- function() {
  library(attn)
  layer <- layer_multi_head_attention(
    num_heads = 2L, key_dim = 4L, dropout = 0.5, seed = 1L,
    kernel_initializer = initializer_glorot_uniform(seed = 2L)
  )
  x <- array(1, c(1, 4, 8))
  layer(x, x)
  layer(x, x, training = TRUE)
  list(exists = exists(".Random.seed", globalenv(), inherits = FALSE))
}

load_time <- function() list(seconds = system.time(library(attn))[["elapsed"]])

# Threads that wait, and the time they take while they do.
waiting_threads <- function() {
  threads <- function() length(list.files("/proc/self/task"))
  before <- threads()
  library(attn)
  attn_threads(2L)
  x <- array(sin(seq_len(512 * 64)), c(1, 512, 64))
  layer <- layer_multi_head_attention(num_heads = 4L, key_dim = 16L)
  layer(x, x)
  used <- threads()
  attn_threads(1L)
  layer(x, x)
  Sys.sleep(0.2)
  start <- proc.time()
  Sys.sleep(1)
  spent <- sum((proc.time() - start)[1:2])
  list(before = before, used = used, after = threads(), seconds = spent)
}

unload <- function(how) {
  path <- getNamespaceInfo("attn", "path")
  switch(how,
    detach = detach("package:attn", unload = TRUE, character.only = TRUE),
    namespace = unloadNamespace("attn"),
    library = library.dynam.unload("attn", path)
  )
}

# Layers are alive while the package is unloaded; garbage collection; loaded again.
unload_alive <- function(how) {
  library(attn)
  source(file.path(Sys.getenv("ATTN_ROOT"), "tools/verify/every-layer.R"), local = TRUE)
  entries <- every_layer()["multi_head_attention"]
  layer <- entries[[1]]$make()
  expected <- call_entry(layer, entries[[1]])
  dropped <- lapply(1:100, function(i) {
    one <- entries[[1]]$make()
    call_entry(one, entries[[1]])
    one
  })
  saved <- tempfile()
  saveRDS(layer, saved)
  unload(how)
  rm(dropped)
  gc()
  if (how == "library") {
    # the namespace is there still, its routines are gone: R's error, no crash
    refused <- inherits(try(layer$get_weights(), silent = TRUE), "try-error")
    unloadNamespace("attn")
    gc()
  }
  library(attn)
  read <- identical(call_entry(readRDS(saved), entries[[1]]), expected)
  old <- how == "library" || identical(call_entry(layer, entries[[1]]), expected)
  made <- identical(dim(call_entry(entries[[1]]$make(), entries[[1]])), dim(expected))
  rm(layer)
  gc()
  list(right = read && old && made)
}

unload_detach <- function() unload_alive("detach")
unload_namespace <- function() unload_alive("namespace")
unload_library <- function() unload_alive("library")

arguments <- commandArgs(TRUE)
saveRDS(get(arguments[1], globalenv(), mode = "function")(), arguments[2])
