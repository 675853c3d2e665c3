test_that("a child of a fork has one thread and keeps it", {
  result <- in_forked_child(
    function() c(attn::attn_threads(), attn::attn_threads(4L), attn::attn_threads())
  )
  expect_identical(result$child, c(1L, 1L, 1L))
  # The parent keeps what it has and can change it, as far as OpenMP lets it.
  here <- c(with_threads(2L, attn_threads()), 0L, with_threads(4L, attn_threads()))
  here[2] <- here[1]
  expect_identical(result$parent, here)
})

test_that("large work in a child neither hangs nor differs, and parents go on", {
  withr::local_seed(1)
  x <- random_array(4, 300, 64)
  layer <- layer_multi_head_attention(num_heads = 4, key_dim = 16)
  expected <- layer(x, x)
  results <- in_forked_child(function(layer, x) {
    child <- function() parallel::mclapply(1:2, function(i) layer(x, x), mc.cores = 2L)[[1L]]
    # Children of the child, and turns.
    list(layer(x, x), child(), layer(x, x), child())
  }, layer, x)
  for (i in 1:4) {
    expect_same_bits(results$child[[i]], expected, paste("child", i))
    expect_same_bits(results$parent[[i]], expected, paste("parent", i))
  }
})

test_that("weights set in a child stay there", {
  layer <- small_mha()
  result <- in_forked_child(function(layer) {
    before <- attn::get_weights(layer)
    attn::set_weights(layer, lapply(before, function(w) 0 * w))
    list(before = before, after = attn::get_weights(layer))
  }, layer)
  expect_true(all(unlist(result$child$after) == 0))
  expect_identical(result$parent$before, get_weights(layer))
})

test_that("a child that loads the package itself has one thread, and does not hang", {
  skip_on_os("windows")
  # Threads that OpenMP has started in the parent are none of the child's.
  results <- in_fresh_process(function(openmp) {
    dyn.load(openmp)
    stopifnot(.C("use_openmp", threads = 0L)$threads > 0L)
    child <- function() {
      set.seed(1)
      x <- array(sin(seq_len(4 * 200 * 32)), c(4, 200, 32))
      layer <- attn::layer_multi_head_attention(num_heads = 2L, key_dim = 16L)
      threads <- c(attn::attn_threads(), attn::attn_threads(2L), attn::attn_threads())
      list(threads = threads, result = layer(x, x))
    }
    job <- parallel::mcparallel(child())
    # The limit is for what would never end.
    inner <- parallel::mccollect(job, wait = FALSE, timeout = 120)[[1L]]
    if (is.null(inner)) tools::pskill(job$pid, tools::SIGKILL)
    list(child = inner, parent = child())
  }, library_with_openmp())
  expect_identical(results$child$threads, c(1L, 1L, 1L))
  expect_same_bits(results$child$result, results$parent$result, "child and parent")
})

test_that("a child of a fork that loads the package anew keeps to one thread", {
  threads <- in_forked_child(function() {
    library.dynam.unload("attn", getNamespaceInfo("attn", "path"))
    unloadNamespace("attn")
    c(attn::attn_threads(), attn::attn_threads(2L), attn::attn_threads())
  })
  expect_identical(threads$child, c(1L, 1L, 1L))
})

# Runs the call until R's time limit ends it.
interrupt <- function(code) {
  setTimeLimit(elapsed = 0.3, transient = TRUE)
  on.exit(setTimeLimit())
  code
}

# Seconds of work, so that it cannot be over before the limit is.
long_calls <- function() {
  n <- 16384
  x <- array(sin(seq_len(n * 8)), c(1, n, 8))
  list(
    multi_head_attention = list(
      layer_multi_head_attention(num_heads = 8, key_dim = 16, dropout = 0.5, seed = 1L),
      function(layer) layer(x, x, training = TRUE)
    ),
    plain = list(
      layer_multi_head_attention(
        num_heads = 8, key_dim = 16, dropout = 0.5, seed = 1L, flash_attention = FALSE
      ),
      function(layer) layer(x, x, training = TRUE)
    ),
    attention = list(
      layer_attention(dropout = 0.5, seed = 1L, score_mode = "concat"),
      function(layer) layer(list(rep_batch(x, 4), rep_batch(x, 4)), training = TRUE)
    ),
    additive_attention = list(
      layer_additive_attention(dropout = 0.5, seed = 1L),
      function(layer) layer(list(rep_batch(x, 4), rep_batch(x, 4)), training = TRUE)
    )
  )
}

rep_batch <- function(x, n) array(rep(x, each = n), c(n, dim(x)[-1]))

test_that("a time limit ends a long call and leaves the layer as it was", {
  withr::local_seed(2)
  x <- random_array(2, 20, 8)
  for (threads in 1:2) {
    local_threads(threads)
    calls <- long_calls()
    for (name in names(calls)) {
      label <- paste(name, threads)
      layer <- calls[[name]][[1]]
      long_call <- calls[[name]][[2]]
      call_layer(layer, x, training = TRUE)
      weights <- get_weights(layer)
      undisturbed <- unserialize(serialize(layer, NULL))
      expect_error(interrupt(long_call(layer)), "time limit", label = label)
      expect_identical(get_weights(layer), weights, label = label)
      expect_identical(dropout_calls(layer), dropout_calls(undisturbed), label = label)
      for (training in c(FALSE, TRUE)) {
        expect_same_bits(
          call_layer(layer, x, training = training),
          call_layer(undisturbed, x, training = training), label
        )
      }
    }
  }
})

test_that("an interrupt ends a long operation, and the next one is right", {
  withr::local_seed(3)
  n <- 16384
  long <- array(sin(seq_len(n * 8 * 16)), c(1, n, 8, 16))
  short <- random_array(1, 30, 2, 16)
  local_threads(1L)
  expected <- op_dot_product_attention(short, short, short)
  expect_error(interrupt(op_dot_product_attention(long, long, long)), "time limit")
  expect_same_bits(op_dot_product_attention(short, short, short), expected, "after")
})

test_that("a time limit that is over during a build is no other error, and nothing is built", {
  on.exit(setTimeLimit())
  layer <- layer_dense(units = 2, kernel_initializer = function(shape, dtype) {
    init <- initializer_random_normal(seed = 1)
    setTimeLimit(elapsed = 1e-6, transient = TRUE)
    repeat init(c(shape, 2^16)) # R looks at its limits every now and then only
  })
  error <- expect_error(layer$build(c(NA, 2)), "time limit")
  setTimeLimit()
  expect_false(inherits(error, "attn_error"))
  expect_false(layer$built)
  expect_true(is_time_limit(error))
  expect_false(is_time_limit(simpleError("cannot allocate vector of size 1 Gb")))

  # the same where the initializer is the package's own
  init <- initializer_zeros()
  slow <- structure(function(...) {
    setTimeLimit(elapsed = 1e-6, transient = TRUE)
    repeat init(10)
  }, class = class(init))
  spec <- list(initializer = slow, shape = 2L, path = "kernel", argument = "kernel_initializer")
  error <- expect_error(initial_value(spec, list(label = "a layer", dtype = "float32")), "time")
  setTimeLimit()
  expect_false(inherits(error, "attn_error"))
})

test_that("the end of a time limit is no error of a file or a config", {
  over <- function() {
    setTimeLimit(elapsed = 1e-6, transient = TRUE)
    on.exit(setTimeLimit())
    repeat poll()
  }
  for (within in list(
    function() within_file(over(), "save_model()", "a.keras", "writing"),
    function() within_config(over(), "from_config()", "a layer")
  )) {
    error <- expect_error(within(), "time limit")
    expect_true(is_time_limit(error))
    expect_false(inherits(error, "attn_error"))
  }
})
