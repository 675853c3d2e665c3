# What the peers written in R share; see peer.h for the protocol.

case_of_line <- function(line) {
  words <- strsplit(strsplit(line, " ", fixed = TRUE)[[1L]], "=", fixed = TRUE)
  case <- lapply(words, function(word) utils::type.convert(word[2L], as.is = TRUE))
  stats::setNames(case, vapply(words, `[`, "", 1L))
}

clock_seconds <- function() as.numeric(Sys.time())

# As in peer.h.
fastest_call <- function(call, budget) {
  timed <- function(n) {
    start <- clock_seconds()
    for (i in seq_len(n)) call()
    (clock_seconds() - start) / n
  }
  best <- timed(1L)
  if (best > 2) {
    return(best)
  }
  best <- timed(1L)
  n <- if (best < 1e-3) as.integer(2e-3 / (best + 1e-9)) + 1L else 1L
  end <- clock_seconds() + budget
  while (best < budget && clock_seconds() < end) best <- min(best, timed(n))
  best
}

# Seconds of one call, and its peak memory beyond what the process held before
# it, in bytes.
memory_growth <- function(call) {
  status <- function(field) {
    lines <- readLines("/proc/self/status")
    line <- grep(paste0("^", field, ":"), lines, value = TRUE)
    1024 * as.numeric(gsub("[^0-9]", "", line))
  }
  force(call) # its inputs are not part of the growth
  gc()
  cat("5", file = "/proc/self/clear_refs")
  before <- status("VmRSS")
  start <- clock_seconds()
  call()
  seconds <- clock_seconds() - start
  c(seconds, status("VmHWM") - before)
}

random_array <- function(...) {
  dims <- c(...)
  array(stats::runif(prod(dims), -0.5, 0.5), dims)
}

# `answer` is a function of a case; an error is an answer as well.
serve <- function(answer) {
  input <- file("stdin", "r")
  while (length(line <- readLines(input, 1L))) {
    text <- tryCatch(
      paste(as.character(answer(case_of_line(line))), collapse = " "),
      error = function(e) paste("skip", gsub("\n", " ", conditionMessage(e)))
    )
    cat(text, "\n", sep = "")
    flush(stdout())
    gc(FALSE)
  }
}
