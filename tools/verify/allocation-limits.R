# Memory and threads that the system refuses to the package as it is installed. Run by
# allocation.sh. Arguments: the injector; in a child also what is refused and how much is
# left.
arguments <- commandArgs(TRUE)
injector <- arguments[1L]

# ---- in a process of its own: what calls give while a limit holds ----

# kind: "memory" (MiB above what is in use), "processes" (of the user), "threads" (that may
# run, by the injector), "unlimited". moment: "first", before the first parallel region; "later".
under_limit <- function(kind, amount, moment) {
  library(attn)
  heads <- layer_multi_head_attention(num_heads = 4, key_dim = 16, seed = 1L)
  x <- array(sin(seq_len(600 * 64)), c(1, 600, 64))
  long <- array(0.5, c(1, 5800, 2)) # 256 MiB of scores
  short <- x[, 1:20, , drop = FALSE]
  attn_threads(1)
  expected <- list(heads = heads(x, x), short = heads(short, short))
  weights <- get_weights(heads)
  says <- character()
  try_call <- function(threads) {
    attn_threads(threads)
    got <- tryCatch(heads(x, x), error = function(error) class(error)[1L])
    says <<- c(says, if (is.character(got)) got
      else if (identical(got, expected$heads)) "right" else "wrong")
  }
  limit_address_space <- function(bytes) {
    set <- .C("allocation_address_space", as.double(bytes), set = 0L)$set
    if (set != 1L) says <<- c(says, "unlimited")
  }
  if (kind %in% c("threads", "memory")) dyn.load(injector)
  if (moment == "later") for (threads in c(6L, 2L)) try_call(threads)
  if (kind == "threads") {
    .C("allocation_threads", as.integer(amount))
  } else if (kind == "processes") {
    system2("prlimit", c("--pid", Sys.getpid(), sprintf("--nproc=%s:", amount)))
    forked <- tryCatch(parallel::mcparallel(NULL), error = function(error) NULL)
    if (!is.null(forked)) says <- c(says, "unlimited")
  } else if (kind == "memory") {
    line <- grep("^VmSize", readLines("/proc/self/status"), value = TRUE)
    used <- 1024 * as.numeric(gsub("[^0-9]", "", line))
    limit_address_space(used + amount * 2^20)
  }
  for (threads in c(6L, 2L, 6L, 20L, 1L)) try_call(threads)
  if (kind == "memory") {
    # R has no room for these
    scores <- tryCatch(
      layer_attention()(list(long, long), return_attention_scores = TRUE),
      error = function(error) class(error)[1L]
    )
    says <- c(says, if (is.character(scores)) scores else "right")
    limit_address_space(-1)
  }
  same <- identical(get_weights(heads), weights) && identical(heads(short, short), expected$short)
  cat("SAYS", says, if (same) "same" else "changed", "\n")
}

if (length(arguments) > 1L) {
  under_limit(arguments[2L], as.numeric(arguments[3L]), arguments[4L])
  quit(status = 0L)
}

# ---- many such processes ----

source(file.path(Sys.getenv("ATTN_ROOT"), "tools/verify/proof.R"))
script <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))

run <- function(kind, amount, moment, env = character(), before = character()) {
  command <- c(before, file.path(R.home("bin"), "Rscript"), "--vanilla", script, injector, kind,
    amount, moment)
  lines <- suppressWarnings(system2(command[1L], command[-1L], stdout = TRUE, stderr = TRUE,
    env = env))
  said <- grep("^SAYS ", lines, value = TRUE)
  if (!length(said)) {
    message(paste(c(kind, amount, moment, utils::tail(lines, 3L)), collapse = " | "))
    return("died")
  }
  strsplit(said, " ")[[1L]][-1L]
}

# The package, what it needs beside R's own packages, and this script, where everybody may read
# them; moves the script there.
readable <- tempfile("attn-verify-", "/tmp")
invisible(reg.finalizer(globalenv(), function(all) unlink(readable, recursive = TRUE), TRUE))
readable_copy <- function() {
  installed <- utils::installed.packages()
  own <- rownames(installed)[installed[, "Priority"] %in% "base"]
  needed <- tools::package_dependencies("attn", installed, recursive = TRUE)[[1L]]
  folders <- find.package(c("attn", setdiff(needed, own)))
  dir.create(readable, mode = "0755")
  stopifnot(file.copy(c(folders, script), readable, recursive = TRUE))
  for (path in list.files(readable, recursive = TRUE, include.dirs = TRUE, full.names = TRUE)) {
    Sys.chmod(path, if (dir.exists(path)) "0755" else "0644", use_umask = FALSE)
  }
  Sys.chmod(readable, "0755", use_umask = FALSE)
  script <<- file.path(readable, basename(script))
  readable
}

# proof of the children's answers, which may be no other than these
judge <- function(what, answers, allowed, bound) {
  said <- unlist(answers)
  other <- setdiff(said, c(allowed, "same"))
  counts <- sprintf("%d processes, %d calls right, %d without memory, %d died",
    length(answers), sum(said == "right"), sum(said == "attn_error_memory"), sum(said == "died"))
  if (length(other)) counts <- paste(counts, "- also:", paste(other, collapse = ", "))
  proof("P5", what, counts, bound, length(answers) > 0L && !length(other))
}

each <- function(kind, amounts, ...) {
  cases <- expand.grid(amount = amounts, moment = c("first", "later"), stringsAsFactors = FALSE)
  Map(function(amount, moment) run(kind, amount, moment, ...), cases$amount, cases$moment)
}

amounts <- pick(c(10, 60), c(2, 4, 8, 9, 10, 12, 16, 17, 20, 25, 32, 40, 50, 64, 80, 100, 200))
judge("calls whose memory is limited while they run (RLIMIT_AS)", each("memory", amounts),
  c("right", "attn_error_memory"), "a right result or attn_error_memory, none dies")
judge("calls that get no thread, or too few (pthread_create() fails)",
  each("threads", pick(c(1, 3), 1:9), env = paste0("LD_PRELOAD=", injector)),
  "right", "right results, none dies")
judge("calls with stacks of threads that do not fit (OMP_STACKSIZE)",
  list(run("threads", -1, "first", env = c("OMP_STACKSIZE=200000G",
    paste0("LD_PRELOAD=", injector)))),
  "right", "right results, none dies")

# root may have as many processes as it likes: another user runs a copy of the library that all
# may read. What this user cannot do without the limit either says nothing about it.
root_only <- Sys.info()[["effective_user"]] == "root"
what <- "calls of a user who may have no more threads (RLIMIT_NPROC)"
as_other <- character()
if (root_only) {
  as_other <- c("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env",
    paste0("R_LIBS=", readable_copy()))
}
can_change <- !root_only || nzchar(Sys.which("setpriv"))
control <- if (can_change) run("unlimited", 0, "later", before = as_other) else "died"
if (!all(control %in% c("right", "same"))) {
  proof_skipped("P5", what, "no other user than root can run R with the package here")
} else {
  judge(what, each("processes", 1, before = as_other), "right",
    "right results, none dies, as without the limit")
}
