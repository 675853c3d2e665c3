# P7: forks and workers: no hang, the same results.
root <- Sys.getenv("ATTN_ROOT")
source(file.path(root, "tools/verify/proof.R"))

if (.Platform$OS.type == "windows") {
  proof_skipped("P7", "forks", "Windows has none")
  quit()
}

# A function of workers-child.R in a process of its own that ends when its seconds are over:
# the number of wrong results, or NA where it hung or failed.
in_child <- function(fun, ..., seconds, env = character()) {
  run <- function(script, fun, arguments) {
    source(script, local = globalenv())
    do.call(fun, arguments)
  }
  environment(run) <- globalenv()
  tryCatch(
    callr::r(run, list(file.path(root, "tools/verify/workers-child.R"), fun, list(...)),
      timeout = seconds, env = c(callr::rcmd_safe_env(), env), libpath = library
    ),
    error = function(error) {
      message(fun, ": ", conditionMessage(error), "\n", toString(error$parent))
      NA
    }
  )
}

library <- .libPaths()
# A hang is one that is over by far: where others use the processor too, work takes longer.
patience <- pick(120, 60)

try_workers <- function(what, fun, rounds, package = NULL, seconds = patience, ...) {
  if (!is.null(package) && !requireNamespace(package, quietly = TRUE)) {
    return(proof_skipped("P7", what, sprintf("the package %s is not installed", package)))
  }
  started <- proc.time()[["elapsed"]]
  wrong <- in_child(fun, rounds, seconds = seconds, ...)
  took <- proc.time()[["elapsed"]] - started
  proof(
    "P7", what,
    if (is.na(wrong)) {
      sprintf("hung or failed within %.0f s", took)
    } else {
      sprintf("%d rounds, %g results differ, %.1f s", rounds, wrong, took)
    },
    sprintf("0 differ, no hang in %g s", seconds), identical(as.numeric(wrong), 0)
  )
}

forks <- "rounds of mclapply() on 2 cores after a parallel call in the parent"
try_workers(forks, "forked_rounds", pick(40L, 200L))
try_workers("mcparallel() and mccollect(), the parent working meanwhile", "parallel_jobs",
  pick(5L, 50L)
)
try_workers("forks of forks, weights set and layers dropped in a child", "nested_forks",
  pick(3L, 25L)
)
try_workers("workers of a PSOCK cluster get the layer and the model", "psock", pick(4L, 50L))
try_workers("callr::r() and r_bg()", "callr_processes", pick(1L, 10L))
try_workers("future, multicore and multisession", "with_future", pick(2L, 20L), "future")
try_workers("mirai", "with_mirai", pick(4L, 50L), "mirai")
# its sort starts and ends its threads often, which costs where they have no core each
try_workers("mclapply() between parallel work of data.table", "with_data_table", pick(3L, 20L),
  "data.table", 300
)

# A parent that has used OpenMP, and children that load attn after it has: with a package that
# does, and with a few lines of C.
in_children <- "attn loaded in children alone, after work of OpenMP in the parent"
try_workers(paste0(in_children, " (data.table)"), "loaded_in_children", pick(3L, 25L),
  "data.table", 300,
  openmp = ""
)

build_openmp <- function() {
  writeLines(c(
    "void use_openmp(int* threads) {", "#pragma omp parallel num_threads(2)", "#pragma omp atomic",
    "    ++*threads;", "}"
  ), "openmp.c")
  status <- system2(file.path(R.home("bin"), "R"), c("CMD", "SHLIB", "openmp.c"),
    env = c("PKG_CFLAGS=-fopenmp", "PKG_LIBS=-fopenmp"),
    stdout = "openmp.log", stderr = "openmp.log"
  )
  if (status == 0L) normalizePath(paste0("openmp", .Platform$dynlib.ext))
}
openmp <- build_openmp()
if (is.null(openmp)) {
  proof_skipped("P7", paste0(in_children, " (C)"), "no compiler with OpenMP is here")
} else {
  try_workers(paste0(in_children, " (C)"), "loaded_in_children", pick(3L, 25L),
    seconds = 300, openmp = openmp
  )
}

# Most threads that may be had, and what says so.
limits <- list(
  list(1L, c(OMP_THREAD_LIMIT = "1")), list(2L, c(OMP_THREAD_LIMIT = "2")),
  list(1L, c(OMP_NUM_THREADS = "1")),
  list(2L, c(OMP_NUM_THREADS = "5", `_R_CHECK_LIMIT_CORES_` = "TRUE")),
  list(2L, c(OMP_NUM_THREADS = "5", `_R_CHECK_LIMIT_CORES_` = "warn"))
)
wrong <- vapply(limits, function(limit) {
  as.numeric(in_child("under_limit", limit[[1]], seconds = patience, env = limit[[2]]))
}, 0)
proof(
  "P7", paste(
    "OMP_THREAD_LIMIT, OMP_NUM_THREADS, _R_CHECK_LIMIT_CORES_: more threads than they allow,",
    "or other results"
  ),
  sprintf("%d of %d settings", sum(is.na(wrong) | wrong > 0), length(limits)), "0",
  identical(sum(wrong), 0)
)

# The other runtime of OpenMP, in a build of its own.
with_libomp <- function() {
  what <- paste(forks, "(clang, libomp)")
  clang <- Sys.which("clang")
  writeLines(
    c("CC=clang", "SHLIB_LD=clang", "SHLIB_OPENMP_CFLAGS=-fopenmp=libomp"), "makevars"
  )
  makevars <- normalizePath("makevars")
  dir.create("libomp")
  folder <- normalizePath("libomp")
  status <- if (nzchar(clang)) {
    system2(file.path(R.home("bin"), "R"),
      c(
        "CMD", "INSTALL", "--no-docs", "--no-test-load", paste0("--library=", folder),
        Sys.getenv("ATTN_TARBALL")
      ),
      env = paste0("R_MAKEVARS_USER=", makevars), stdout = "build.log", stderr = "build.log"
    )
  }
  object <- file.path(folder, "attn", "libs", "attn.so")
  uses <- if (identical(status, 0L)) system2("ldd", object, stdout = TRUE)
  if (!any(grepl("libomp", uses))) {
    return(proof_skipped("P7", what, "clang with libomp is not here, or does not build it"))
  }
  library <<- c(folder, library)
  try_workers(what, "forked_rounds", 200L)
}
if (!is_short) with_libomp()
