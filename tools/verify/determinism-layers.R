# Layers and models: the same bits for every number of threads, in a child of a fork, in
# other processes, under other settings of OpenMP, after garbage collections, and at every
# instruction set; dropout is a function of the seed alone. For determinism.sh.
source(file.path(Sys.getenv("ATTN_ROOT"), "tools/verify/proof.R"))
grid_file <- file.path(root, "tools/verify/determinism-results.R")

# Everything that is compared, in a process of its own: its number of results, of
# comparisons, and how many of these failed. Settings of the environment come with it.
run_here <- function(grid_file, repeats, short) {
  suppressPackageStartupMessages(library(attn))
  source(grid_file)
  attn_threads(1L)
  expected <- grid_results()
  failed <- c(threads = 0L, gc = 0L, fork = 0L)
  compared <- failed
  for (threads in if (short) c(2L, 3L, 7L, 16L) else rep(c(2L, 3L, 7L, 16L), repeats)) {
    attn_threads(threads)
    stopifnot(attn_threads() == threads || !attn_info()$openmp)
    failed["threads"] <- failed["threads"] + differing(grid_results(), expected)
    compared["threads"] <- compared["threads"] + length(expected)
  }
  attn_threads(2L)
  gc(full = TRUE)
  failed["gc"] <- differing(grid_results(), expected)
  compared["gc"] <- length(expected)
  if (.Platform$OS.type != "windows") {
    child <- parallel::mcparallel(grid_results())
    failed["fork"] <- differing(parallel::mccollect(child)[[1L]], expected)
    compared["fork"] <- length(expected)
  }
  list(isa = attn_info()$isa, expected = expected, failed = failed, compared = compared)
}

# fun(args) in processes of their own, one for each environment, at the same time
in_processes <- function(fun, args, envs) {
  started <- lapply(envs, function(env) {
    env <- c(callr::rcmd_safe_env(), OMP_WAIT_POLICY = "passive", env)
    callr::r_bg(fun, args, libpath = .libPaths(), env = env)
  })
  lapply(started, function(process) {
    process$wait()
    process$get_result()
  })
}

sets <- attn::attn_info()$isa_available
arguments <- list(grid_file = grid_file, repeats = pick(1L, 5L), short = is_short)
runs <- in_processes(run_here, arguments, lapply(sets, function(isa) c(ATTN_ISA = isa)))
stopifnot(identical(vapply(runs, `[[`, "", "isa"), sets))

report <- function(part, what) {
  failed <- vapply(runs, function(run) run$failed[[part]], 0L)
  compared <- sum(vapply(runs, function(run) run$compared[[part]], 0L))
  proof(
    "P3", sprintf("%s, results with other bits, of %s", what, format(compared, big.mark = ",")),
    toString(paste(sets, failed)), "0", all(failed == 0L) && compared > 0L
  )
}
report("threads", "layers and models with 2, 3, 7, 16 threads against 1")
report("fork", "the same in a forked child")
report("gc", "the same after gc()")

# Other processes: a PSOCK worker, and what OpenMP can be told.
only_results <- function(grid_file, dtypes = c("float32", "float64")) {
  suppressPackageStartupMessages(library(attn))
  stopifnot(identical(attn_info()$isa, Sys.getenv("ATTN_ISA")))
  source(grid_file)
  grid_results(dtypes)
}
source(grid_file)
settings <- list(
  c(OMP_DYNAMIC = "true", OMP_SCHEDULE = "dynamic,1"), c(OMP_SCHEDULE = "guided,3"),
  c(OMP_SCHEDULE = "static", OMP_NUM_THREADS = "5"), c(OMP_THREAD_LIMIT = "2")
)
settings <- settings[seq_len(pick(1L, 4L))]
in_psock_worker <- function(isa) {
  cluster <- parallel::makePSOCKcluster(1L)
  on.exit(parallel::stopCluster(cluster))
  invisible(parallel::clusterCall(
    cluster, eval, bquote(.libPaths(.(.libPaths()))), globalenv()
  ))
  invisible(parallel::clusterCall(cluster, Sys.setenv, ATTN_ISA = isa))
  parallel::clusterCall(cluster, only_results, grid_file)
}
environment(only_results) <- globalenv()
elsewhere <- lapply(sets, function(isa) {
  envs <- lapply(settings, function(env) c(ATTN_ISA = isa, env))
  c(in_processes(only_results, list(grid_file), envs), in_psock_worker(isa))
})
failed <- mapply(function(results, run) {
  sum(vapply(results, differing, 0L, expected = run$expected))
}, elsewhere, runs)
proof(
  "P3", sprintf(
    "with %d setting%s of OMP_DYNAMIC, OMP_SCHEDULE%s, in a PSOCK worker, %s of %d",
    length(settings), pick("", "s"), pick("", ", OMP_THREAD_LIMIT"), "results with other bits,",
    sum(lengths(unlist(elsewhere, FALSE)))
  ), toString(paste(sets, failed)), "0", all(failed == 0L)
)

# Dropout: the fraction that is kept, for every rate, in standard deviations of it.
suppressPackageStartupMessages(library(attn))
numbers <- pick(2e5, 5e6)
rates <- c(0.01, 0.1, 0.25, 0.5, 0.9, 0.99)
off <- vapply(rates, function(rate) {
  x <- array(1, c(10, numbers / 10))
  kept <- mean(layer_dropout(rate = rate, seed = 1L)(x, training = TRUE) != 0)
  abs(kept - (1 - rate)) / sqrt(rate * (1 - rate) / numbers)
}, 0)
weights_off <- vapply(rates, function(rate) {
  x <- array(stats::rnorm(700 * 8), c(1, 700, 8))
  layer <- layer_attention(dropout = rate, seed = 2L)
  scores <- layer(list(x, x), training = TRUE, return_attention_scores = TRUE)[[2L]]
  abs(mean(scores != 0) - (1 - rate)) / sqrt(rate * (1 - rate) / length(scores))
}, 0)
worst <- max(off, weights_off)
proof(
  "P3", sprintf(
    "dropout, kept fraction off by at most, of %s",
    format(numbers, big.mark = ",", scientific = FALSE)
  ),
  sprintf("%.2f standard deviations", worst), "4", worst <= 4
)

# Without training nothing is drawn from R's generator.
set.seed(1)
layers <- grid_calls("float32")
state <- .Random.seed
changed <- vapply(layers, function(call) {
  do.call(call[[1L]], without_training(call))
  !identical(.Random.seed, state)
}, NA)
proof(
  "P3", sprintf("calls without training that changed .Random.seed, of %d", length(changed)),
  sum(changed), "0", !any(changed)
)
