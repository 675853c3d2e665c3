# What memory.R has done in processes of their own. Expects the environment variables
# ATTN_HEAP (the library of heap.c) and ATTN_ROOT.

# ---- peaks ----

peak_bytes <- function() {
  line <- grep("^VmHWM:", readLines("/proc/self/status"), value = TRUE)
  1024 * as.numeric(gsub("[^0-9]", "", line))
}

# Each case: a call of an array x (1, T, D) or, `is_op`, (1, T, 2, D / 2), and how many
# numbers of the dtype it needs for a position beyond its result: queries and attended
# values once, keys and values twice (as projected and as packed for the kernels).
peak_cases <- function(width) {
  all_four <- 6 * width
  scores <- function(make) {
    list(numbers = all_four, call = function() {
      layer <- make()
      function(x) layer(list(x, x), use_causal_mask = TRUE)
    })
  }
  list(
    "multi-head" = list(numbers = all_four, call = function() {
      layer <- layer_multi_head_attention(num_heads = 2L, key_dim = width / 2)
      function(x) layer(x, x)
    }),
    "multi-head, dropout, causal" = list(numbers = all_four, call = function() {
      layer <- layer_multi_head_attention(num_heads = 2L, key_dim = width / 2, dropout = 0.1)
      function(x) layer(x, x, use_causal_mask = TRUE, training = TRUE)
    }),
    # the gate is as wide as the queries
    "grouped, gate, window, padding" = list(numbers = all_four + width, call = function() {
      layer <- layer_group_query_attention(
        head_dim = width / 4, num_query_heads = 4L, num_key_value_heads = 2L, use_gate = TRUE,
        sliding_window = 5000L
      )
      function(x) layer(x, x, value_mask = matrix(TRUE, 1L, dim(x)[2]), use_causal_mask = TRUE)
    }),
    "attention" = scores(function() layer_attention()),
    "additive" = scores(function() layer_additive_attention()),
    "op" = list(numbers = all_four, is_op = TRUE, call = function() {
      function(x) op_dot_product_attention(x, x, x, is_causal = TRUE)
    })
  )
}

# By how much one call raises the peak: bytes, those of the result, those that the tensors
# of the call need.
peak_of <- function(name, positions, width, threads) {
  library(attn)
  attn_threads(threads)
  case <- peak_cases(width)[[name]]
  run <- case$call()
  input <- function(n) {
    x <- sin(seq_len(n * width))
    dim(x) <- if (isTRUE(case$is_op)) c(1L, n, 2L, width / 2) else c(1L, n, width)
    x
  }
  run(input(64L))
  x <- input(positions)
  gc()
  .Call(getNativeSymbolInfo("heap_trim", dyn.load(Sys.getenv("ATTN_HEAP"))))
  cat("5", file = "/proc/self/clear_refs")
  before <- peak_bytes()
  y <- run(x)
  grown <- peak_bytes() - before
  stopifnot(all(is.finite(y)))
  c(grown = grown, result = 8 * length(y), tensors = 4 * case$numbers * positions)
}

# ---- growth ----

# Growth of what is in use, from after `warm` turns to after `count` more. R and malloc keep
# some empty pages, and more of them the first few times; so where the growth is over the
# limit, it is measured once more, from there: what leaks, leaks again.
growth <- function(task, count, warm, limit) {
  library(attn)
  source(file.path(Sys.getenv("ATTN_ROOT"), "tools/verify/every-layer.R"))
  heap <- dyn.load(Sys.getenv("ATTN_HEAP"))
  symbol <- function(name) getNativeSymbolInfo(name, heap)
  in_use <- symbol("heap_in_use")
  trim <- symbol("heap_trim")
  held <- getFromNamespace("ffi_memory", "attn")
  settle <- function() {
    for (i in 1:8) used <- gc(full = TRUE)
    .Call(trim)
    status <- grep("^VmRSS:", readLines("/proc/self/status"), value = TRUE)
    c(
      heap = .Call(in_use), resident = 1024 * as.numeric(gsub("[^0-9]", "", status)),
      cells = sum(used[, 1] * c(56, 8)), .Call(held)
    )
  }
  turn <- get(task)(symbol("interrupt_after"))
  seen <- 0
  for (i in seq_len(warm)) turn(i)
  settle()
  for (window in 0:2) {
    before <- settle()
    seen <- 0
    for (i in seq_len(count)) seen <- seen + turn(i)
    grown <- settle() - before
    if (max(grown[c("heap", "resident", "cells")]) <= limit) break
  }
  c(grown, seen = seen, windows = window + 1)
}

# Tasks: a function of no use in itself gives the one that does turn i, and says whether
# it was what it should have been: a result, an error, an interrupt.

calls <- function(...) {
  entries <- every_layer()
  layers <- lapply(entries, function(entry) entry$make())
  model <- small_model()
  ids <- matrix(0:9, 2)
  heads <- array(sin(seq_len(64)), c(1, 4, 2, 8))
  others <- list(
    function() model(ids), function() predict(model, ids, batch_size = 1L, verbose = FALSE),
    function() predict_on_batch(model, ids),
    function() op_dot_product_attention(heads, heads, heads)
  )
  kinds <- length(entries) + length(others)
  function(i) {
    k <- i %% kinds + 1L
    y <- if (k <= length(entries)) {
      call_entry(layers[[k]], entries[[k]])
    } else {
      others[[k - length(entries)]]()
    }
    length(y) > 0L
  }
}

failures <- function(...) {
  entry <- every_layer()[["multi_head_attention"]]
  layer <- entry$make()
  call_entry(layer, entry)
  folder <- tempfile()
  dir.create(folder)
  all <- every_failure(layer, small_model(), folder)
  function(i) {
    tryCatch(
      {
        all[[i %% length(all) + 1L]]()
        FALSE
      },
      attn_error = function(error) TRUE
    )
  }
}

# Whether the code was interrupted by SIGINT after so many milliseconds.
by_signal <- function(interrupt_after, milliseconds, code) {
  tryCatch(
    {
      .Call(interrupt_after, milliseconds)
      code()
      .Call(interrupt_after, 0)
      Sys.sleep(0.001) # one that came at the last moment ends here
      FALSE
    },
    interrupt = function(condition) TRUE
  )
}

by_time_limit <- function(milliseconds, code) {
  on.exit(setTimeLimit())
  tryCatch(
    {
      setTimeLimit(elapsed = milliseconds / 1000, transient = TRUE)
      code()
      FALSE
    },
    error = function(error) {
      grepl("time limit", conditionMessage(error)) || stop(error)
    }
  )
}

interrupts <- function(interrupt_after) {
  n <- 12000L
  x <- array(sin(seq_len(n * 16)), c(1, n, 16))
  heads <- array(x, c(1, n, 2, 8))
  layer <- layer_multi_head_attention(num_heads = 2L, key_dim = 8L, dropout = 0.1)
  plain <- layer_multi_head_attention(num_heads = 2L, key_dim = 8L, flash_attention = FALSE)
  additive <- layer_additive_attention()
  input <- keras_input(c(NA, 16))
  model <- keras_model(
    input, layer_transformer_encoder(input, intermediate_dim = 16L, num_heads = 2L)
  )
  small <- array(x[, 1:20, ], c(1, 20, 16))
  long <- list(
    function() layer(x, x, training = TRUE), function() plain(x, x),
    function() additive(list(x, x)), function() model(x),
    function() op_dot_product_attention(heads, heads, heads),
    function() predict(model, x, verbose = FALSE)
  )
  expected <- layer(small, small)
  function(i) {
    code <- long[[i %/% 2L %% length(long) + 1L]]
    after <- 5 + (7 * i) %% 40
    repeat { # sooner, where the call was over before
      ended <- if (i %% 2L == 0L) {
        by_signal(interrupt_after, after, code)
      } else {
        by_time_limit(after, code)
      }
      if (ended || after < 1) break
      after <- after / 2
    }
    ended && identical(layer(small, small), expected)
  }
}

layers <- function(...) {
  entries <- every_layer()
  function(i) {
    entry <- entries[[i %% length(entries) + 1L]]
    layer <- entry$make()
    length(call_entry(layer, entry)) > 0L
  }
}

# .keras files are only read: hdf5r, which writes them, keeps some cells of its own for
# every file.
files <- function(...) {
  folder <- tempfile()
  dir.create(folder)
  ids <- matrix(0:9, 2)
  first <- small_model()
  expected_first <- first(ids)
  has_keras <- requireNamespace("hdf5r", quietly = TRUE)
  keras <- file.path(folder, "first.keras")
  if (has_keras) save_model(first, keras)
  function(i) {
    if (i %% 3L == 2L && has_keras) {
      return(identical(load_model(keras)(ids), expected_first))
    }
    model <- small_model()
    expected <- model(ids)
    path <- file.path(folder, c("m.safetensors", "m.rds")[i %% 2L + 1L])
    read <- if (i %% 2L == 0L) {
      save_model(model, path, overwrite = TRUE)
      load_model(path)
    } else {
      saveRDS(model, path)
      readRDS(path)
    }
    identical(read(ids), expected)
  }
}
