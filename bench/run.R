# Asks every peer for every case and writes last.csv; prints the table. Called
# by run.sh: run.R WORK RESULTS QUICK PYTHON, with peers.tsv in WORK.
#
# Rounds are outermost and peers innermost: peers that are compared run within
# the same second, and a slow minute of the machine hits one round of all of
# them. The fastest answer counts.

arguments <- commandArgs(TRUE)
work <- arguments[1L]
results <- arguments[2L]
quick <- arguments[3L] == "yes"
python <- arguments[4L]
folder <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1L]))
isas <- switch(R.version$arch, x86_64 = c("avx512", "avx2", "scalar"),
  aarch64 = c("neon", "scalar"), "scalar"
)
source(file.path(folder, "cases.R"))
source(file.path(folder, "table.R"))

rounds <- if (quick) 2L else 4L
seconds <- 0.1

# ---- Child processes --------------------------------------------------------

peers <- utils::read.delim(file.path(work, "peers.tsv"),
  header = FALSE, quote = "", col.names = c("name", "missing", "command"), colClasses = "character",
  na.strings = character()
)
running <- new.env()

# A peer under a forced instruction set is another process, and so is R with
# OpenBLAS under another number of threads: both are read once, at the start.
start_peer <- function(key, command, isa, threads) {
  stem <- file.path(work, gsub("[^A-Za-z0-9]", "_", key))
  pipes <- paste0(stem, c(".in", ".out"))
  unlink(pipes)
  system2("mkfifo", shQuote(pipes))
  settings <- sprintf("OPENBLAS_NUM_THREADS=%d ATTN_ISA=%s", threads,
    if (isa == "best") "" else isa
  )
  system(sprintf("%s %s < %s > %s 2> %s.log &", settings, command, shQuote(pipes[1L]),
    shQuote(pipes[2L]), shQuote(stem)
  ))
  input <- fifo(pipes[1L], "w", blocking = TRUE)
  output <- fifo(pipes[2L], "r", blocking = TRUE)
  list(input = input, output = output)
}

ask <- function(name, line, isa = "best", threads = 1L) {
  peer <- peers[peers$name == name, ]
  if (nzchar(peer$missing)) {
    return(paste("skip", peer$missing))
  }
  if (name %in% c("core", "openblas")) isa <- "best"
  if (name != "R+OpenBLAS") threads <- 1L
  key <- paste(name, isa, threads)
  if (is.null(running[[key]])) {
    running[[key]] <- start_peer(key, peer$command, isa, threads)
  }
  answer <- tryCatch({
    writeLines(line, running[[key]]$input)
    readLines(running[[key]]$output, 1L)
  }, error = function(e) character())
  if (!length(answer)) {
    stop_peer(key)
    return("skip the peer has died")
  }
  answer
}

stop_peer <- function(key) {
  close(running[[key]]$input)
  close(running[[key]]$output)
  rm(list = key, envir = running)
}

stop_peers <- function() for (key in ls(running)) stop_peer(key)

# ---- Cases ------------------------------------------------------------------

write_models <- function(cases) {
  if (nzchar(peers$missing[peers$name == "onnxruntime"])) return()
  wanted <- cases[grepl("onnxruntime", cases$peers), ]
  lines <- unique(paste(wanted$kind, wanted$D, wanted$N, wanted$K, wanted$mask, wanted$C))
  lines <- c(lines, "layer 512 8 64 full 0", "layer 512 8 64 causal 0")
  system2(python, shQuote(c(file.path(folder, "onnx_models.py"), file.path(work, "models"))),
    input = unique(lines)
  )
}

# One row per case and peer.
plan_of <- function(cases) {
  names <- strsplit(cases$peers, " ", fixed = TRUE)
  plan <- cases[rep(seq_len(nrow(cases)), lengths(names)), ]
  plan$peer <- unlist(names)
  plan <- plan[plan$threads == 1L | plan$peer != "R", ] # R's own BLAS has no threads
  plan[, c("peers", "quick")] <- NULL
  plan$seconds <- Inf
  plan$answers <- 0L
  plan$note <- ""
  plan
}

measure_round <- function(plan) {
  for (i in seq_len(nrow(plan))) {
    # Cases that cannot be asked once will not be later. Long calls vary little,
    # and those of slow peers need not be known to the percent.
    patience <- if (plan$peer[i] %in% c("attn", "core", "onnxruntime")) 2 else 0.3
    if (nzchar(plan$note[i]) || (plan$answers[i] > 0L && plan$seconds[i] > patience)) next
    isa <- plan$isa[i]
    case <- as.list(plan[i, ])
    if (isa == "best" && plan$peer[i] == "core") case$isa <- isas_here[1L]
    answer <- ask(plan$peer[i], case_line(case, seconds), isa, case$threads)
    if (startsWith(answer, "skip")) {
      plan$note[i] <- sub("^skip ", "", answer)
    } else {
      plan$seconds[i] <- min(plan$seconds[i], as.numeric(sub(" .*", "", answer)))
      plan$answers[i] <- plan$answers[i] + 1L
    }
  }
  plan
}

# Peak memory is of a fresh process each: allocators keep what they once had.
measure_memory <- function() {
  lengths <- if (quick) c(1024, 4096) else 2^(10:16)
  wanted <- expand.grid(T = lengths, mask = c("full", "causal"), peer = c("attn", "onnxruntime"),
    stringsAsFactors = FALSE
  )
  rows <- lapply(seq_len(nrow(wanted)), function(i) {
    case <- utils::modifyList(blank_case, list(section = "Memory", kind = "memory", B = 1,
      D = 512, N = 8, G = 8, K = 64, T = wanted$T[i], mask = wanted$mask[i], threads = 2L,
      peer = wanted$peer[i]
    ))
    case[c("peers", "quick")] <- NULL
    stop_peers()
    answer <- ask(case$peer, case_line(case, 0))
    skipped <- startsWith(answer, "skip")
    numbers <- if (skipped) c(Inf, NA) else as.numeric(strsplit(answer, " ")[[1L]])
    data.frame(case, seconds = numbers[1L], answers = as.integer(!skipped),
      note = if (skipped) sub("^skip ", "", answer) else "", bytes = numbers[2L]
    )
  })
  stop_peers()
  do.call(rbind, rows)
}

hello_rows <- function() {
  rows <- lapply(peers$name, function(name) {
    answer <- ask(name, "kind=hello")
    there <- startsWith(answer, "0 ")
    case <- utils::modifyList(blank_case, list(section = "Peers", kind = "hello", peer = name))
    case[c("peers", "quick")] <- NULL
    case$threads <- 1L
    data.frame(case, seconds = Inf, answers = as.integer(there), bytes = NA_real_,
      note = if (there) sub("^0 ", "", answer) else paste("not there:", sub("^skip ", "", answer))
    )
  })
  do.call(rbind, rows)
}

load_average <- function() {
  tryCatch(sub(" .*", "", readLines("/proc/loadavg")), error = function(e) "unknown")
}

started <- Sys.time()
load <- load_average()
hello <- hello_rows()
core_isa <- hello$note[hello$peer == "core"]
isas_here <- isas[seq(match(core_isa, isas), length(isas))]
cases <- all_cases()
cases <- cases[cases$isa %in% c("best", isas_here) & (!quick | cases$quick), ]
write_models(cases)
plan <- plan_of(cases)
for (round in seq_len(rounds)) {
  plan <- measure_round(plan)
  message(sprintf("round %d of %d: %.1f minutes, load average %s", round, rounds,
    as.numeric(difftime(Sys.time(), started, units = "mins")), load_average()
  ))
}
stop_peers()
plan$bytes <- rep(NA_real_, nrow(plan))
memory <- measure_memory()
about <- hello[1L, ]
about$section <- "Machine"
about$peer <- ""
about$note <- sprintf("%s, %d processors, %s; load average before: %s; %s, %s run of %d rounds",
  cpu_model(), parallel::detectCores(), core_isa, load, format(started, "%Y-%m-%d %H:%M"),
  if (quick) "quick" else "full", rounds
)
everything <- rbind(about, hello, plan[names(hello)], memory[names(hello)])
everything$gigaflop <- vapply(seq_len(nrow(everything)), function(i) {
  value <- gigaflops_of(everything[i, ])
  if (is.na(value)) NA_real_ else value
}, 0)
everything$isa[everything$isa == "best"] <- core_isa
utils::write.csv(everything, file.path(results, "last.csv"), row.names = FALSE)
writeLines(report(everything))
