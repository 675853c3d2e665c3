# last.csv as text: a list of peers, the table, and the memory table. Sourced by
# run.R; as a script, table.R CSV README replaces what stands between the marks
# in README.md.

case_fields <- c(
  "section", "kind", "B", "T", "D", "N", "G", "K", "M", "C", "mask", "variant", "dtype", "isa",
  "threads"
)
peer_columns <- c("openblas", "onnxruntime", "pytorch", "ggmlR", "R", "R+OpenBLAS")
column_titles <- c(
  "row", "shape", "mask", "threads", "attn", "GFLOP/s", "of peak", "1 thread /", "R side",
  "OpenBLAS", "onnxruntime", "PyTorch", "ggmlR", "plain R", "R + OpenBLAS"
)

cpu_model <- function() {
  lines <- tryCatch(readLines("/proc/cpuinfo"), error = function(e) "", warning = function(w) "")
  sub(".*: ", "", c(grep("^model name", lines, value = TRUE), "unknown processor")[1L])
}

significant <- function(x, digits = 3L) {
  format(signif(x, digits), scientific = FALSE, trim = TRUE, big.mark = ",", drop0trailing = TRUE)
}

milliseconds <- function(seconds) {
  if (seconds < 1e-3) {
    paste(significant(1e6 * seconds), "\u00b5s")
  } else if (seconds < 1) {
    paste(significant(1e3 * seconds), "ms")
  } else {
    paste(significant(seconds), "s")
  }
}

percent <- function(x) sprintf("%.0f%%", 100 * x)

case_keys <- function(data) do.call(paste, data[case_fields])

# Seconds of a peer at each of the keys; NA where it has none.
seconds_at <- function(data, keys, peer) {
  of_peer <- data[data$peer == peer, ]
  found <- of_peer$seconds[match(keys, case_keys(of_peer))]
  ifelse(is.finite(found), found, NA_real_)
}

# One line per case: what attn takes, and beside it everything else.
compare <- function(data) {
  cases <- data[!data$kind %in% c("hello", "memory"), ]
  cases <- cases[!duplicated(case_keys(cases)), ]
  keys <- case_keys(cases)
  cases$core <- seconds_at(data, keys, "core")
  attn <- seconds_at(data, keys, "attn")
  cases$r_side <- (attn - cases$core) / attn
  cases$attn <- ifelse(is.na(attn), cases$core, attn)
  for (peer in peer_columns) cases[[peer]] <- seconds_at(data, keys, peer)
  cases$gigaflops <- cases$gigaflop / cases$attn
  cases$of_peak <- cases$gigaflops / peaks_of(cases)
  single <- cases
  single$threads <- 1L
  cases$speedup <- cases$attn[match(case_keys(single), keys)] / cases$attn
  peak <- cases$kind == "peak" # where every thread does the whole work
  cases$speedup[peak] <- cases$speedup[peak] * cases$threads[peak]
  cases
}

# GFLOP/s of the loop of multiply-adds with the same instructions and threads. On
# a busy machine several threads show less of it than one thread does of its own.
peaks_of <- function(cases) {
  peaks <- cases[cases$kind == "peak", ]
  speeds <- peaks$gigaflop / peaks$attn
  of <- function(threads) {
    speeds[match(paste(cases$isa, cases$dtype, threads), paste(peaks$isa, peaks$dtype,
      peaks$threads
    ))]
  }
  shown <- of(cases$threads)
  single <- cases$threads * of(1L)
  # many cores together may run at a lower clock: that is not another load
  ifelse(cases$threads <= 2L & shown < busy_below * single, single, shown)
}

# Less than this share of `threads` times one thread's peak: not alone here.
busy_below <- 0.9

busy_text <- function(cases) {
  peaks <- cases[cases$kind == "peak" & cases$threads == 2L, ]
  if (any(peaks$speedup < busy_below * peaks$threads, na.rm = TRUE)) {
    c("**The machine was busy: rows with two threads say little, those with one may be slow.**", "")
  }
}

shape_text <- function(case) {
  switch(case$kind,
    peak = , tanh = "",
    matmul = sprintf("%d x %d x %d", case$M, case$D, case$C),
    additive = , concat = sprintf("%d, %d, %d", case$B, case$T, case$D),
    paste0(
      sprintf("%d, %d, %d, %d", case$B, case$T, case$D, case$N),
      if (case$G != case$N) sprintf(" on %d", case$G),
      sprintf(", K %d", case$K)
    )
  )
}

row_text <- function(case) {
  paste0(case$section, if (case$dtype == "float64" && case$section != "float64") ", float64",
    if (case$kind %in% c("peak", "tanh", "matmul", "attention")) paste0(", ", case$isa)
  )
}

peer_text <- function(case, peer) {
  seconds <- case[[peer]]
  if (is.na(seconds)) return("")
  sprintf("%s (%s)", milliseconds(seconds), sprintf("%.2f", seconds / case$attn))
}

speed_text <- function(case) {
  if (case$kind %in% c("tanh", "additive", "concat")) {
    return(sprintf("%s Gtanh/s", significant(gigatanhs_of(case) / case$attn)))
  }
  significant(case$gigaflops)
}

line_of <- function(case) {
  c(
    row_text(case), shape_text(case),
    if (case$kind %in% c("attention", "layer", "encoder")) case$mask else "",
    case$threads, if (case$kind %in% c("peak", "tanh")) "" else milliseconds(case$attn),
    speed_text(case),
    if (is.na(case$of_peak) || case$kind == "peak") "" else percent(case$of_peak),
    if (case$threads == 1L || is.na(case$speedup)) "" else sprintf("%.2f", case$speedup),
    if (is.na(case$r_side)) "" else percent(case$r_side),
    vapply(peer_columns, function(peer) peer_text(case, peer), "")
  )
}

# Cells padded, so that it reads as well in a terminal.
markdown <- function(titles, cells, left) {
  cells <- rbind(titles, cells)
  for (column in seq_along(titles)) {
    cells[, column] <- formatC(cells[, column], width = max(nchar(cells[, column])),
      flag = if (column <= left) "-" else ""
    )
  }
  lines <- paste0("| ", apply(cells, 1L, paste, collapse = " | "), " |")
  widths <- nchar(cells[1L, ])
  rule <- vapply(seq_along(titles), function(column) {
    dashes <- strrep("-", widths[column] + 1L)
    if (column <= left) paste0(dashes, "-") else paste0(dashes, ":")
  }, "")
  c(lines[1L], paste0("|", paste(rule, collapse = "|"), "|"), lines[-1L])
}

memory_lines <- function(data) {
  memory <- data[data$kind == "memory", ]
  if (!nrow(memory)) return(character())
  cases <- memory[memory$peer == "attn", ]
  rows <- lapply(seq_len(nrow(cases)), function(i) {
    case <- cases[i, ]
    other <- memory[memory$peer == "onnxruntime" & memory$T == case$T & memory$mask == case$mask, ]
    measured <- function(x) {
      if (is.na(x$bytes)) return(c(x$note, ""))
      c(paste(significant(x$bytes / 1e6), "MB"), milliseconds(x$seconds))
    }
    result <- 8 * case$T * case$D
    c(case$mask, significant(case$T, 6L), paste(significant(result / 1e6), "MB"), measured(case),
      sprintf("%.1f", (case$bytes - result) / (case$T * case$D)), measured(other)
    )
  })
  titles <- c("mask", "T", "result", "attn", "time", "bytes per T D", "onnxruntime", "time")
  c("Peak memory of one call beyond what the process held before it (1, T, 512, 8; two threads):",
    "", markdown(titles, do.call(rbind, rows), 1L))
}

report <- function(data) {
  cases <- compare(data)
  cases <- cases[!is.na(cases$attn), ]
  lines <- do.call(rbind, lapply(seq_len(nrow(cases)), function(i) line_of(as.list(cases[i, ]))))
  hello <- data[data$kind == "hello", ]
  peers <- hello[hello$section == "Peers", ]
  c(hello$note[hello$section == "Machine"], "", busy_text(cases),
    markdown(c("peer", "what answered"), cbind(peers$peer, peers$note), 2L), "",
    markdown(column_titles, lines, 3L), "", memory_lines(data)
  )
}

if (sys.nframe() == 0L) {
  folder <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1L]))
  source(file.path(folder, "cases.R"))
  arguments <- commandArgs(TRUE)
  text <- report(utils::read.csv(arguments[1L], na.strings = "NA", check.names = FALSE))
  if (length(arguments) < 2L) {
    writeLines(text)
  } else {
    readme <- readLines(arguments[2L])
    marks <- match(c("<!-- table -->", "<!-- end of table -->"), readme)
    stopifnot(!anyNA(marks))
    writeLines(
      c(readme[seq_len(marks[1L])], "", text, "", readme[marks[2L]:length(readme)]), arguments[2L]
    )
  }
}
