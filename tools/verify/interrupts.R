# P6: an interrupt or a time limit gives control back soon, leaves everything as it was, and
# the next call is right.
#
# A process makes long calls; this one interrupts it at random moments. Both read the same
# clock. How soon is a promise about a machine with a core to spare: the short form, which
# runs on busy ones, only finds out whether control comes back at all.
source(file.path(Sys.getenv("ATTN_ROOT"), "tools/verify/proof.R"))
source(file.path(root, "tools/verify/interrupts-child.R"))

positions <- as.integer(Sys.getenv("ATTN_VERIFY_LENGTH", 32768))
moments <- pick(1L, 3L) # of each case and each setting
patience <- 600 # seconds until a process is given up
bound <- pick(10, 0.1)
set.seed(6)

new_results <- function() {
  data.frame(
    calls = character(), how = character(), seconds = numeric(),
    same = logical(), right = logical()
  )
}

# One process: interrupts it whenever it says that it has begun.
results_of <- function(isa, threads) {
  child <- callr::r_bg(interrupts_child,
    list(threads = threads, moments = moments, length = positions),
    libpath = .libPaths(), stdout = "|", stderr = "errors", supervise = TRUE,
    env = c(callr::rcmd_safe_env(), if (nzchar(isa)) c(ATTN_ISA = isa))
  )
  on.exit(child$kill())
  results <- new_results()
  sent <- NA
  finished <- FALSE
  calls <- "layers"
  deadline <- Sys.time() + patience
  while (!finished && Sys.time() < deadline && (child$is_alive() || child$is_incomplete_output())) {
    child$poll_io(1000)
    for (line in child$read_output_lines()) {
      words <- strsplit(trimws(line), " ")[[1L]]
      last <- words[length(words)]
      if (words[1L] == "others") {
        calls <- "others"
      } else if (words[1L] == "begun") {
        Sys.sleep(stats::runif(1, 0, pick(1, 2)))
        sent <- as.numeric(Sys.time())
        child$interrupt()
      } else if (words[1L] %in% c("left", "limited")) {
        how <- if (words[1L] == "left") "interrupt" else "limit"
        seconds <- if (how == "interrupt") as.numeric(last) - sent else as.numeric(last)
        results[nrow(results) + 1L, ] <- list(calls, how, seconds, NA, NA)
        deadline <- Sys.time() + patience
      } else if (words[1L] %in% c("same", "changed")) {
        results[nrow(results), c("same", "right")] <- list(words[1L] == "same", last == "right")
      }
      finished <- finished || words[1L] == "finished"
    }
  }
  if (!finished) {
    message("a process has not come to its end: ", paste(readLines("errors"), collapse = "\n"))
    results[nrow(results) + 1L, ] <- list(calls, "lost", NA, FALSE, FALSE)
  }
  results
}

settings <- pick(
  list(list("", 2L)),
  list(list("", 1L), list("", 2L), list("scalar", 1L), list("scalar", 2L))
)
results <- do.call(rbind, lapply(settings, function(setting) {
  results_of(setting[[1L]], setting[[2L]])
}))

# R's own vectorised functions, which cannot be left, are part of the other calls: copies and
# sums of arrays, the checks of what a file's JSON says. Not among them: the HDF5 library,
# with which save_model() writes; initializer_orthogonal(), whose decomposition is R's qr().
cases <- c(
  layers = sprintf("8 kinds of calls at T = %s", format(positions, big.mark = ",")),
  others = paste0(
    "initializers, builds, operation, predict, set and save weights, load, ",
    "summary and tidy of scores"
  )
)
if (!is_short) {
  cases <- paste0(cases, ", 1 and 2 threads, best and scalar kernels")
  names(cases) <- c("layers", "others")
}
report_latency <- function(calls, how, what) {
  seconds <- results$seconds[results$calls == calls & results$how == how]
  proof(
    "P6",
    sprintf("control back after %s, %d random moments, %s", what, length(seconds), cases[[calls]]),
    sprintf("at worst %.0f ms, median %.0f ms", 1000 * max(seconds), 1000 * stats::median(seconds)),
    sprintf("%.0f ms", 1000 * bound), length(seconds) > 0 && all(seconds <= bound)
  )
}
for (calls in names(cases)) {
  report_latency(calls, "interrupt", "Ctrl-C")
  report_latency(calls, "limit", "setTimeLimit()")
}
count <- function(bad) sprintf("%d of %d", sum(bad), length(bad))
proof(
  "P6", "weights or counters changed by a call that was interrupted", count(!results$same),
  "0", nrow(results) > 0 && all(results$same)
)
proof(
  "P6", "next call not the bits of an undisturbed copy's", count(!results$right),
  "0", nrow(results) > 0 && all(results$right)
)
