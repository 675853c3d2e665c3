# Other processes that use the installed package.

# The library that this attn was loaded from comes first. Where it was not
# installed (load_all()), a child could only find another one.
child_library <- function() {
  path <- getNamespaceInfo("attn", "path")
  skip_if_not(file.exists(file.path(path, "Meta", "package.rds")), "attn is not installed")
  unique(c(dirname(path), .libPaths()))
}

# fun(...) in a fresh R process that has not loaded attn.
in_fresh_process <- function(fun, ...) {
  skip_if_not_installed("callr")
  # The limit is for what would never end.
  callr::r(fun, list(...), libpath = child_library(), timeout = 300)
}

# A function of the tests would take the package along as its environment.
without_environment <- function(fun) {
  environment(fun) <- globalenv()
  fun
}

in_psock_worker <- function(fun, ...) {
  libraries <- child_library()
  cluster <- parallel::makePSOCKcluster(1L)
  on.exit(parallel::stopCluster(cluster))
  # Not clusterCall(.libPaths): the worker would change its copy of that function.
  parallel::clusterCall(cluster, eval, bquote(.libPaths(.(libraries))), globalenv())
  parallel::clusterCall(cluster, without_environment(fun), ...)[[1L]]
}

# fun(...) in a child of a fork, and after that in the parent, which has used its
# threads before: list(child =, parent =). All that is in a process of its own,
# because callr and parallel take each other's signals when one process uses both.
in_forked_child <- function(fun, ...) {
  skip_on_os("windows")
  fork <- function(fun, ...) {
    attn::attn_threads(2L)
    attn::layer_attention(array(stats::rnorm(4 * 64 * 64), c(4, 64, 64)))
    child <- parallel::mclapply(1:2, function(i) fun(...), mc.cores = 2L)[[2L]]
    list(child = child, parent = fun(...))
  }
  in_fresh_process(fork, without_environment(fun), ...)
}

# A shared library whose routine use_openmp() has OpenMP start a thread; built where there is
# a compiler, and gone at the end of the test.
library_with_openmp <- function(env = parent.frame()) {
  folder <- withr::local_tempdir(.local_envir = env)
  source <- file.path(folder, "openmp.c")
  writeLines(c(
    "void use_openmp(int* threads) {", "#pragma omp parallel num_threads(2)", "#pragma omp atomic",
    "    ++*threads;", "}"
  ), source)
  result <- callr::rcmd("SHLIB", "openmp.c",
    wd = folder, env = c(callr::rcmd_safe_env(), PKG_CFLAGS = "-fopenmp", PKG_LIBS = "-fopenmp")
  )
  skip_if_not(identical(result$status, 0L), "no compiler with OpenMP is here")
  file.path(folder, paste0("openmp", .Platform$dynlib.ext))
}

local_threads <- function(n, env = parent.frame()) {
  before <- attn_threads(n)
  withr::defer(attn_threads(before), envir = env)
}

with_threads <- function(n, code) {
  local_threads(n)
  force(code)
}

# Training calls that the layer's dropout has counted.
dropout_calls <- function(layer) .Call(ffi_layer_info, layer_self(layer)$handle)$calls

# Comparisons of large arrays, with a message of one line.
expect_same_bits <- function(object, expected, label) {
  # not those of 0 and -0
  same <- identical(object, expected, num.eq = FALSE)
  expect_true(same, label = paste(label, "- the same bits"))
}

expect_close <- function(object, expected, tolerance, label) {
  expect_identical(dim(object), dim(expected), label = label)
  size <- max(1, max(abs(expected)))
  expect_lte(max(abs(object - expected)), tolerance * size, label = paste(label, "- difference"))
}

without_flash_attention <- function(code) {
  config_disable_flash_attention()
  on.exit(config_enable_flash_attention())
  force(code)
}
