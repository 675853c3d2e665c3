# P4: memory grows with the number of positions, and what was taken is given back.
root <- Sys.getenv("ATTN_ROOT")
source(file.path(root, "tools/verify/proof.R"))

if (!file.exists("/proc/self/clear_refs")) {
  proof_skipped("P4", "memory", "there is no /proc/self/clear_refs here")
  quit()
}

invisible(file.copy(file.path(root, "tools/verify/heap.c"), "."))
system2(file.path(R.home("bin"), "R"), c("CMD", "SHLIB", "heap.c"), stdout = FALSE)
Sys.setenv(ATTN_HEAP = normalizePath(paste0("heap", .Platform$dynlib.ext)))

# A function of memory-child.R in a process of its own; the message where it fails.
in_child <- function(fun, ..., minutes = 30) {
  run <- function(script, fun, arguments) {
    source(script, local = globalenv())
    do.call(fun, arguments)
  }
  environment(run) <- globalenv()
  tryCatch(
    callr::r(run, list(file.path(root, "tools/verify/memory-child.R"), fun, list(...)),
      timeout = 60 * minutes
    ),
    error = function(error) {
      message(fun, ": ", conditionMessage(error), "\n", toString(error$parent))
      NULL
    }
  )
}

mib <- function(bytes) sprintf("%.2f MiB", bytes / 2^20)

# ---- peaks ----

source(file.path(root, "tools/verify/memory-child.R"))
positions <- pick(16384L, 65536L)
width <- 32L
for (threads in pick(2L, 1:2)) {
  cases <- names(peak_cases(width))
  if (is_short) cases <- c("multi-head, dropout, causal", "op")
  peaks <- lapply(cases, function(name) in_child("peak_of", name, positions, width, threads))
  beyond <- vapply(peaks, function(peak) {
    if (is.null(peak)) Inf else peak[["grown"]] - peak[["result"]] - peak[["tensors"]]
  }, 0)
  worst <- which.max(beyond)
  allowed <- (8 + threads) * 2^20
  scores <- 4 * as.double(positions)^2
  proof(
    "P4", sprintf(
      paste(
        "peak of a call at %d x %d, width %d, %d thread%s, beyond result (8 bytes a number),",
        "q, attended (4 each), k, v (8 each); %d calls (a matrix of scores: %g GiB)"
      ),
      positions, positions, width, threads, if (threads > 1L) "s" else "", length(cases),
      scores / 2^30
    ),
    sprintf("at most %s (%s)", mib(max(0, beyond[worst])), cases[worst]), mib(allowed),
    max(beyond) <= allowed
  )
}

# ---- growth ----

tasks <- list(
  calls = list("calls of all layers, models, predict() and the op", 3000L, 100000L, 3000L),
  failures = list("failing calls, files and states", 400L, 10000L, 200L),
  interrupts = list("calls interrupted by SIGINT and setTimeLimit()", 48L, 1000L, 24L),
  layers = list("layers made, built, called and dropped", 500L, 10000L, 600L),
  files = list("models made, saved, loaded and dropped", 30L, 1000L, 30L)
)
for (name in names(tasks)) {
  task <- tasks[[name]]
  count <- pick(task[[2]], task[[3]])
  grown <- in_child("growth", name, count, pick(task[[4]], 3L * task[[4]]), 2^20)
  if (is.null(grown)) {
    proof("P4", task[[1]], "no answer", "1 MiB", FALSE)
    next
  }
  proof(
    "P4", sprintf("growth after gc() by %s %s", format(count, big.mark = ","), task[[1]]),
    sprintf(
      paste(
        "heap %+.0f KiB (resident %+.0f, R's cells %+.0f), %g layers left, %g of %d as expected,",
        "in round %g of at most 3"
      ),
      grown[["heap"]] / 1024, grown[["resident"]] / 1024, grown[["cells"]] / 1024,
      grown[["layers"]], grown[["seen"]], count, grown[["windows"]]
    ),
    "1 MiB in one round, 0 layers",
    max(grown[c("heap", "resident", "cells")]) <= 2^20 && grown[["layers"]] == 0 &&
      grown[["layer_bytes"]] == 0 && grown[["under_way"]] == 0 && grown[["seen"]] == count
  )
}
