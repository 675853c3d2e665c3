# P8: nothing that is passed where a handle belongs ends the process, nor does anything
# else that the routines of the shared library are given; handles survive garbage
# collection at every allocation, the end of the session and the namespace.
#
# All of it happens in processes of their own, which say what they were at when they died:
# handles-native.R (the routines, called directly), handles-live.R (everything else).
source(file.path(Sys.getenv("ATTN_ROOT"), "tools/verify/proof.R"))

top <- getwd()
rscript <- file.path(R.home("bin"), "Rscript")
long_time <- 3600
memory <- 6e9 # bytes of address space, so that absurd sizes are refused at once

for (package in c("xml2", "data.table")) {
  # their pointers are among the wrong things where they are installed
  if (!requireNamespace(package, quietly = TRUE)) cat("    without pointers of", package, "\n")
}

# How many routines there are to be called: all that have arguments.
count_routines <- function() {
  here <- new.env(parent = asNamespace("attn"))
  sys.source(file.path(root, "tools/verify/handles-use.R"), here)
  length(here$routines())
}
all_routines <- count_routines()

# ---- processes ----

forge <- file.path(top, paste0("forge", .Platform$dynlib.ext))
invisible(file.copy(file.path(root, "tools/verify/handles-forge.c"), file.path(top, "forge.c")))
built <- system2(file.path(R.home("bin"), "R"), c("CMD", "SHLIB", "-o", shQuote(forge), "forge.c"),
  stdout = FALSE, stderr = "forge.log"
)
if (built != 0) stop("handles-forge.c does not compile")

# One process in a folder of its own -> list(status, at, said, and the lines of `report`).
run_worker <- function(script, arguments, report, name, prefix = character()) {
  folder <- file.path(top, name)
  dir.create(file.path(folder, "work"), recursive = TRUE)
  arguments <- paste(shQuote(arguments), collapse = " ")
  command <- sprintf("cd %s && ulimit -v %.0f && exec %s --vanilla %s %s",
    shQuote(file.path(folder, "work")), memory / 1024, shQuote(rscript),
    shQuote(file.path(root, "tools/verify", script)), gsub("FOLDER", folder, arguments)
  )
  status <- system2("env", c("R_ENABLE_JIT=0", prefix, "bash", "-c", shQuote(command)),
    stdout = file.path(folder, "output"), stderr = file.path(folder, "output"), timeout = long_time
  )
  result <- list(
    status = status, at = read_lines(file.path(folder, "at")),
    number = read_lines(file.path(folder, "number")),
    said = paste(utils::tail(read_lines(file.path(folder, "output")), 4), collapse = " "),
    lines = read_lines(file.path(folder, report))
  )
  unlink(folder, recursive = TRUE)
  result
}

read_lines <- function(path) if (file.exists(path)) readLines(path, warn = FALSE) else character()

show_death <- function(result, what) {
  if (result$status != 0) {
    cat(sprintf("    %s: status %d at %s: %s\n", what, result$status,
      paste(c(result$at, "?")[1]), result$said
    ))
  }
}

count <- function(x) format(sum(x), big.mark = ",", scientific = FALSE)

# ---- the routines ----

# Each process takes some of `places` (routines or seeds); behind one that dies it goes on.
call_routines <- function(mode, first, last) {
  deaths <- 0
  outcomes <- c(0, 0, 0, 0)
  while (first <= last) {
    result <- run_worker(
      "handles-native.R", c(mode, first, last, "FOLDER", forge), "count",
      paste(mode, first, sep = "-")
    )
    show_death(result, mode)
    if (result$status == 0) {
      outcomes <- outcomes + as.numeric(result$lines)
      break
    }
    deaths <- deaths + 1
    first <- if (mode == "random") as.integer(c(result$number, last)[1]) + 1L else first + 1L
  }
  c(deaths, outcomes)
}

cores <- max(1L, min(parallel::detectCores(), 8L))

# In as many processes as there are cores.
share <- function(mode, total) {
  parts <- pick(cores, 4L * cores)
  starts <- unique(floor(seq(1, total + 1, length.out = parts + 1)))
  outcomes <- parallel::mcmapply(call_routines, mode, starts[-length(starts)], starts[-1] - 1,
    mc.cores = cores, mc.preschedule = FALSE
  )
  rowSums(outcomes)
}

live <- function(what, size, ...) {
  result <- run_worker("handles-live.R", c(what, "FOLDER", size, forge), "figures", what, ...)
  show_death(result, what)
  result
}

if (!is_short) {
  swept <- share("sweep", all_routines)
  proof("P8", "calls of the native routines with a wrong thing for an argument: processes that died",
    sprintf("%s in %s calls (%s gave an error)", count(swept[1]), count(swept[2:4]), count(swept[3:4])),
    "0", swept[1] == 0 && sum(swept[2:4]) > 10000
  )
}
seeds <- pick(1500, 40000)
random <- share("random", seeds)
proof("P8", "calls of the native routines with random arguments: processes that died",
  sprintf("%s in %s calls (%s gave an error)", count(random[1]), count(random[2:4]), count(random[3:4])),
  "0", random[1] == 0 && sum(random[2:4]) == seeds
)

# ---- what is alive when something happens ----

sizes <- list(
  torture = pick(1, 8), torture_in_r = pick(5000, 101), states = pick(5, 1000),
  finalizers = pick(2, 40), quit = 10000, unload = 1000
)
lives <- parallel::mcmapply(live, names(sizes), sizes,
  mc.cores = cores, mc.preschedule = FALSE, SIMPLIFY = FALSE
)

# The figures of one of them, and its exit status.
figure <- function(what, i) as.numeric(lives[[what]]$lines[i])
status <- function(what) lives[[what]]$status
differ <- function(what, i) {
  if (status(what) == 0) count(figure(what, i)) else paste("exit status", status(what))
}

proof("P8", "truncated, flipped and forged states of handles: crashes and errors of another class",
  if (status("states") == 0) {
    sprintf("0 of %s (%s of those with a right checksum are sound)",
      count(figure("states", 1:2)), count(figure("states", 3)))
  } else {
    differ("states", 1)
  }, "0", status("states") == 0 && sum(figure("states", 1:2)) > 3000
)
proof("P8", sprintf("native calls with garbage collection at %s allocation: other results than without",
  pick("every fifth", "every")),
  sprintf("%s of %s calls of %s of the %d routines with arguments", differ("torture", 3),
    lives$torture$lines[2], lives$torture$lines[1], all_routines),
  "0 of all", status("torture") == 0 && figure("torture", 3) == 0 &&
    figure("torture", 1) == all_routines
)
proof("P8", sprintf("layers, models and files with garbage collection at every %s: other results",
  pick("5,000th allocation", "101st allocation")),
  sprintf("%s of %s", differ("torture_in_r", 2), lives$torture_in_r$lines[1]),
  "0", status("torture_in_r") == 0 && figure("torture_in_r", 2) == 0
)
proof("P8", "finalizers that use the layer whose call they interrupt: other results than without",
  sprintf("%s of %s", differ("finalizers", 2), lives$finalizers$lines[1]), "0",
  status("finalizers") == 0 && figure("finalizers", 2) == 0
)
proof("P8", "q() with 10,000 live layers, unloadNamespace() with 1,000: exit statuses",
  paste(status("quit"), "and", status("unload")), "0", status("quit") == 0 && status("unload") == 0
)
