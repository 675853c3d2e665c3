# What workers.R has done in processes of their own. Each function says how many of its
# results were not the parent's; it begins by a parallel call in the parent.

begin <- function(threads = 2L) {
  library(attn)
  attn_threads(threads)
  x <- array(sin(seq_len(4 * 200 * 32)), c(4, 200, 32))
  layer <- layer_multi_head_attention(num_heads = 2L, key_dim = 16L, seed = 1L)
  input <- keras_input(c(NA, 32))
  model <- keras_model(
    input, layer_transformer_encoder(input, intermediate_dim = 32L, num_heads = 2L)
  )
  both <- function() list(layer(x, x), model(x))
  list(layer = layer, model = model, x = x, both = both, expected = both())
}

differing <- function(results, expected) {
  sum(!vapply(results, identical, NA, expected))
}

# A round: a parallel call in the parent, two children that call, the parent again.
forked_rounds <- function(rounds) {
  start <- begin()
  wrong <- 0
  for (round in seq_len(rounds)) {
    start$both()
    results <- parallel::mclapply(1:2, function(i) start$both(), mc.cores = 2L)
    wrong <- wrong + differing(results, start$expected)
  }
  wrong + differing(list(start$both()), start$expected)
}

parallel_jobs <- function(rounds) {
  start <- begin()
  wrong <- 0
  for (round in seq_len(rounds)) {
    jobs <- lapply(1:3, function(i) parallel::mcparallel(start$both()))
    here <- start$both() # while they run
    wrong <- wrong + differing(c(parallel::mccollect(jobs), list(here)), start$expected)
  }
  wrong
}

# A child of a child of a child; and one that sets weights, which stay its own.
nested_forks <- function(rounds) {
  start <- begin()
  wrong <- 0
  level <- function(depth) {
    own <- start$both()
    if (depth == 0L) {
      return(list(own))
    }
    inner <- parallel::mclapply(1:2, function(i) level(depth - 1L), mc.cores = 2L)
    c(list(own), unlist(inner, recursive = FALSE))
  }
  for (round in seq_len(rounds)) {
    results <- level(2L)
    wrong <- wrong + differing(results, start$expected) + (length(results) != 7L)
  }
  zero <- function(i) {
    set_weights(start$layer, lapply(get_weights(start$layer), function(w) 0 * w))
    rm(list = "layer", envir = environment(start$both))
    gc() # the child's finalizer runs
    all(unlist(get_weights(start$layer)) == 0)
  }
  changed <- parallel::mclapply(1:2, zero, mc.cores = 2L)
  wrong + sum(!vapply(changed, isTRUE, NA)) + differing(list(start$both()), start$expected)
}

psock <- function(rounds) {
  start <- begin()
  cluster <- parallel::makePSOCKcluster(2L)
  on.exit(parallel::stopCluster(cluster))
  run <- function(i, layer, model, x) list(layer(x, x), model(x))
  environment(run) <- globalenv()
  results <- parallel::parLapply(
    cluster, seq_len(rounds), run, start$layer, start$model, start$x
  )
  differing(results, start$expected)
}

callr_processes <- function(rounds) {
  start <- begin()
  run <- function(layer, model, x) {
    attn::attn_threads(2L)
    list(layer(x, x), model(x))
  }
  environment(run) <- globalenv()
  arguments <- start[c("layer", "model", "x")]
  results <- lapply(seq_len(rounds), function(i) {
    background <- callr::r_bg(run, arguments)
    now <- callr::r(run, arguments, timeout = 60)
    background$wait(60000)
    list(now, background$get_result())
  })
  differing(unlist(results, recursive = FALSE), start$expected)
}

with_future <- function(rounds) {
  start <- begin()
  wrong <- 0
  layer <- start$layer
  model <- start$model
  x <- start$x
  for (plan in c("multicore", "multisession")) {
    future::plan(plan, workers = 2L)
    jobs <- lapply(seq_len(rounds), function(i) {
      future::future(list(layer(x, x), model(x)), packages = "attn", seed = NULL)
    })
    wrong <- wrong + differing(lapply(jobs, future::value), start$expected)
    future::plan("sequential")
  }
  wrong
}

with_mirai <- function(rounds) {
  start <- begin()
  mirai::daemons(2L)
  on.exit(mirai::daemons(0L))
  jobs <- lapply(seq_len(rounds), function(i) {
    mirai::mirai(list(layer(x, x), model(x)), layer = start$layer, model = start$model, x = start$x)
  })
  differing(lapply(jobs, function(job) job[]), start$expected)
}

# data.table's threads before, between and after ours, in the parent and in children.
with_data_table <- function(rounds) {
  start <- begin()
  data.table::setDTthreads(2L)
  sort_some <- function() {
    data.table::setorderv(data.table::data.table(a = sin(seq_len(200000))), "a")$a[1:5]
  }
  sorted <- sort_some()
  both <- function() list(sort_some(), start$both(), sort_some())
  expected <- list(sorted, start$expected, sorted)
  wrong <- 0
  for (round in seq_len(rounds)) {
    results <- parallel::mclapply(1:2, function(i) both(), mc.cores = 2L)
    wrong <- wrong + differing(c(results, list(both())), expected)
  }
  wrong
}

# OpenMP at work, by a package that uses it or, where `openmp` is the path of one, a shared
# library with a routine use_openmp().
with_openmp <- function(openmp) {
  if (nzchar(openmp)) {
    dyn.load(openmp)
    return(.C("use_openmp", threads = 0L)$threads)
  }
  data.table::setDTthreads(2L)
  data.table::setorderv(data.table::data.table(a = sin(seq_len(200000))), "a")
}

# Only the children load attn, after a parent whose threads of OpenMP they do not have; they
# keep to one thread.
loaded_in_children <- function(rounds, openmp) {
  child <- function() {
    set.seed(1)
    start <- begin()
    list(attn_threads(), start$both())
  }
  results <- list()
  for (round in seq_len(rounds)) {
    with_openmp(openmp)
    job <- parallel::mcparallel(child())
    results <- c(results, parallel::mccollect(job), parallel::mclapply(1:2, function(i) {
      # and a child of the child
      if (i == 1L) child() else parallel::mclapply(1:2, function(j) child(), mc.cores = 2L)[[2L]]
    }, mc.cores = 2L))
  }
  stopifnot(!("attn" %in% loadedNamespaces()))
  expected <- child()[[2L]]
  differing(unname(results), list(1L, expected))
}

# Under a limit from the environment: the same bits, and no more threads than that.
under_limit <- function(threads) {
  library(attn)
  allowed <- attn_threads()
  attn_threads(64L)
  raised <- attn_threads()
  start <- begin(2L)
  attn_threads(1L)
  differing(list(start$both()), start$expected) + (allowed > threads) +
    (nzchar(Sys.getenv("OMP_THREAD_LIMIT")) && raised > threads)
}
