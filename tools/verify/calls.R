# P9: whatever the exported functions, layers, models, their members and the generics of R
# are given, they give a result or a classed error that leaves everything as it was.
#
# Every seed is one random call (calls-worker.R) with values that are wrong in every way
# that was thought of (calls-values.R, tests/testthat/helper-bad-input.R). Processes with a
# limit on their memory make some hundred of them each; of one that dies or hangs the seed
# is known, and the next one goes on behind it.
source(file.path(Sys.getenv("ATTN_ROOT"), "tools/verify/proof.R"))

calls <- as.integer(Sys.getenv("ATTN_VERIFY_CALLS", pick(4000, 100000)))
first_seed <- as.integer(Sys.getenv("ATTN_VERIFY_SEED", 1))
per_process <- 500L
seconds <- 60 # a single call; a machine may be busy
memory <- 5e9 # bytes of address space, of which R and the threads' stacks take a part

rscript <- file.path(R.home("bin"), "Rscript")
worker <- file.path(root, "tools/verify/calls-worker.R")
top <- getwd()

# Makes the calls of seeds from `from` to `to`; returns the lines about them. What the
# worker says on its way is not kept.
make_calls <- function(from, to) {
  lines <- character()
  while (from <= to) {
    folder <- file.path(top, paste0("from-", from))
    for (name in c("report", "work", "home", "temporary")) {
      dir.create(file.path(folder, name), recursive = TRUE)
    }
    report <- file.path(folder, "report")
    command <- sprintf(
      "cd %s && ulimit -v %.0f && exec %s --vanilla %s %d %d %s %d",
      shQuote(file.path(folder, "work")), memory / 1024, shQuote(rscript), shQuote(worker),
      from, to, shQuote(report), seconds
    )
    environment <- c(
      paste0("HOME=", file.path(folder, "home")), paste0("TMPDIR=", file.path(folder, "temporary"))
    )
    status <- system2("env", c(environment, "bash", "-c", shQuote(command)),
      stdout = file.path(folder, "output"), stderr = file.path(folder, "output"),
      timeout = seconds * 2 + 2 * (to - from)
    )
    lines <- c(lines, read_lines(file.path(report, "lines")))
    at <- strsplit(c(read_lines(file.path(report, "at")), paste0(from, "\t?"))[1L], "\t")[[1L]]
    if (status != 0) {
      said <- utils::tail(read_lines(file.path(folder, "output")), 3)
      problem <- sprintf("the process ended with status %d: %s", status, paste(said, collapse = " "))
      lines <- c(lines, paste(at[1L], "died", "", at[2L], problem, sep = "\t"))
    }
    unlink(folder, recursive = TRUE)
    from <- if (status != 0) as.integer(at[1L]) + 1L else to + 1L
  }
  lines
}

read_lines <- function(path) if (file.exists(path)) readLines(path, warn = FALSE) else character()

starts <- seq(first_seed, first_seed + calls - 1L, by = per_process)
ends <- pmin(starts + per_process - 1L, first_seed + calls - 1L)
cores <- max(1L, min(parallel::detectCores(), 8L))
lines <- unlist(parallel::mcmapply(make_calls, starts, ends,
  mc.cores = cores, mc.preschedule = FALSE
))
fields <- do.call(rbind, lapply(strsplit(lines, "\t"), function(x) c(x, rep("", 5))[1:5]))
made <- data.frame(
  seed = as.numeric(fields[, 1]), kind = fields[, 2], label = fields[, 3],
  call = fields[, 4], problem = fields[, 5]
)

show <- function(rows, most = 40L) {
  for (i in utils::head(which(rows), most)) {
    cat(sprintf("seed %.0f: %s: %s\n", made$seed[i], made$call[i], made$problem[i]))
  }
}

of_calls <- function(rows) sprintf("%s of %s calls", format(sum(rows), big.mark = ","),
  format(nrow(made), big.mark = ","))
unclassed <- made$kind == "escaped" | grepl("warning:", made$problem)
internal <- made$kind == "internal"
died <- made$kind %in% c("died", "slow")
changed <- grepl("changed:", made$problem)
refused <- made$kind %in% c("refused", "escaped", "internal", "R", "foreign")
show(nzchar(made$problem))

# those that no code of the package has seen
by_r <- made$kind == "R"
labels <- unique(sub("[(].*", "", made$label))
proof("P9", sprintf(
  "random calls with bad arguments, of %d functions, methods and members: neither a result nor a classed error",
  length(labels)
), sprintf("%s, of which R refused %s before any code of the package ran", of_calls(unclassed),
  format(sum(by_r), big.mark = ",")), "0", !any(unclassed) && nrow(made) == calls)
# Each in its turn by chance: the short form is too short for all.
if (!is_short) {
  exports <- getNamespaceExports("attn")
  reached <- exports %in% made$label[!made$kind %in% c("R", "died", "slow")]
  cat(sprintf("%s was never reached\n", exports[!reached]), sep = "")
  proof("P9", "exported functions of which such a call ran code of the package",
    sprintf("%d of %d", sum(reached), length(reached)), "all", all(reached))
}
proof("P9", "errors that the R code should have foreseen (attn_error_internal)",
  of_calls(internal), "0", !any(internal))
proof("P9", sprintf("crashes, calls longer than %d s or beyond %.0f GB of address space",
  seconds, memory / 1e9), of_calls(died), "0", !any(died))
proof("P9", "layers, models, options and random numbers changed by a call that gave an error",
  sprintf("%s of %s", format(sum(changed)), format(sum(refused), big.mark = ",")), "0",
  !any(changed) && sum(refused) > calls / 4)
left <- grepl("files:", made$problem)
proof("P9", "files left in the working folder or the home by a call not told to write there",
  sprintf("%d", sum(left)), "0", !any(left))
