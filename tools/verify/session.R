# library(attn) leaves the session as it found it.
root <- Sys.getenv("ATTN_ROOT")
source(file.path(root, "tools/verify/proof.R"))

rscript <- file.path(R.home("bin"), "Rscript")
child_script <- file.path(root, "tools/verify/session-child.R")
for (folder in c("home", "temporary", "work", "results")) dir.create(folder)

compile_probe <- function() {
  file.copy(file.path(root, "tools/verify/floating-point-mode.c"), "probe.c")
  system2(file.path(R.home("bin"), "R"), c("CMD", "SHLIB", "probe.c"), stdout = FALSE)
  normalizePath(paste0("probe", .Platform$dynlib.ext))
}

# A task of session-child.R in a process of its own, whose HOME, TMPDIR and folder are empty;
# NULL where it crashed or hung.
in_child <- function(task) {
  result <- file.path(normalizePath("results"), paste0(basename(tempfile(task)), ".rds"))
  home <- normalizePath("home")
  temporary <- normalizePath("temporary")
  old <- setwd("work")
  on.exit(setwd(old))
  status <- system2(rscript, c("--vanilla", shQuote(child_script), task, shQuote(result)),
    env = c(
      paste0("HOME=", shQuote(home)), paste0("TMPDIR=", shQuote(temporary)),
      paste0("ATTN_PROBE=", shQuote(probe))
    ),
    stdout = FALSE, timeout = 300
  )
  if (status == 0 && file.exists(result)) readRDS(result)
}

probe <- compile_probe()

state <- in_child("loading_and_calls")
list_changes <- function(names) if (length(names)) paste0(": ", toString(names)) else ""
proof(
  "session", sprintf(
    paste(
      "state of the session changed by library(attn): options, environment, random numbers,",
      "floating-point mode, threads, files, signals, locale, ... (%d kinds)"
    ), state$kinds
  ),
  paste0(length(state$by_loading), " changed", list_changes(state$by_loading)), "0",
  !is.null(state) && length(state$by_loading) == 0L
)
proof(
  "session", sprintf(
    "the same by %d calls of all layers, models, predict(), files, and failing ones",
    state$calls
  ),
  paste0(length(state$by_calls), " changed", list_changes(state$by_calls)), "0",
  !is.null(state) && length(state$by_calls) == 0L
)
seed <- in_child("no_seed")
proof(
  "session", "R's random numbers after loading, layers with seeds, calls and training calls",
  if (isFALSE(seed$exists)) "not begun" else "begun", "not begun", isFALSE(seed$exists)
)

starts <- pick(5L, 15L)
seconds <- unlist(lapply(seq_len(starts), function(i) in_child("load_time")$seconds))
# Where others use the processor as well, only a hundredfold slip is one.
bound <- pick(1, 0.15)
proof(
  "session", sprintf("time of library(attn), median of %d new sessions", length(seconds)),
  sprintf("%.3f s", stats::median(seconds)), sprintf("%g s", bound),
  length(seconds) == starts && stats::median(seconds) < bound
)

threads <- in_child("waiting_threads")
proof(
  "session", "threads that wait after large calls with two and attn_threads(1)",
  sprintf("%d, %.2f s of processor time in 1 s", threads$after - threads$before, threads$seconds),
  "1, 0.05 s",
  isTRUE(threads$after - threads$before <= 1L) && isTRUE(threads$seconds <= 0.05)
)

ways <- c("unload_detach", "unload_namespace", "unload_library")
# by detach(unload = TRUE), unloadNamespace(), and library.dynam.unload()
unloaded <- vapply(ways, function(way) isTRUE(in_child(way)$right), NA)
proof(
  "session", "unloading with 101 live layers, gc(), loading again: crashed, or other results after",
  sprintf("%d of %d ways", sum(!unloaded), length(ways)), "0", all(unloaded)
)
