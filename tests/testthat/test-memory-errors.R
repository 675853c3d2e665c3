# Memory that the system does not give, in a process of its own whose address space is
# limited from within.

test_that("no memory is an error that leaves the layer as it was, and the next call right", {
  skip_if_not(nzchar(Sys.which("prlimit")), "no prlimit here")
  result <- in_fresh_process(without_environment(function() {
    heads <- attn::layer_multi_head_attention(num_heads = 2, key_dim = 8, seed = 1L)
    attention <- attn::layer_attention(name = "attention")
    x <- array(sin(seq_len(300 * 16)), c(1, 300, 16))
    long <- array(0.5, c(1, 5800, 2)) # 256 MiB of scores
    expected <- heads(x, x)
    weights <- attn::get_weights(heads)
    large <- attn::layer_dense(units = 2^14, kernel_initializer = "zeros")
    limit <- function(size) {
      system2("prlimit", c("--pid", Sys.getpid(), sprintf("--as=%s:", size)))
    }
    used <- 1024 * as.numeric(gsub("[^0-9]", "", grep("^VmSize", readLines("/proc/self/status"),
      value = TRUE)))
    status <- limit(sprintf("%.0f", used + 60 * 2^20))
    attn::attn_threads(20L)
    result <- list(
      limited = status == 0L,
      call = identical(heads(x, x), expected),
      scores = tryCatch(attention(list(long, long), return_attention_scores = TRUE),
        error = function(error) class(error)),
      build = tryCatch(large$build(c(NA, 2^12)), error = function(error) class(error)),
      built = large$built
    )
    limit("unlimited")
    attn::attn_threads(2L)
    large$build(c(NA, 3L))
    c(result, list(
      weights = identical(attn::get_weights(heads), weights),
      after = identical(heads(x, x), expected),
      small = dim(large(matrix(1, 1, 3)))
    ))
  }))
  skip_if_not(result$limited, "no limit can be set")
  expect_true(result$call)
  expect_true("attn_error_memory" %in% result$scores)
  expect_true("attn_error_memory" %in% result$build)
  expect_false(result$built)
  expect_true(result$weights)
  expect_true(result$after)
  expect_identical(result$small, c(1L, 16384L))
})

test_that("weights of several layers are set for all of them or for none", {
  layers <- lapply(1:2, function(i) {
    layer <- layer_dense(units = 2, dtype = "float64")
    layer$build(c(NA, 3))
    layer
  })
  handles <- lapply(layers, function(layer) layer_self(layer)$handle)
  before <- lapply(layers, get_weights)
  new <- lapply(before, function(weights) lapply(weights, function(w) w + 1))
  wrong <- list(new[[1L]], list(new[[2L]][[1L]], "a"))
  expect_error(.Call(ffi_layers_set_weights, handles, wrong), class = "attn_error_internal")
  expect_error(.Call(ffi_layers_set_weights, handles, new[1L]), class = "attn_error_internal")
  expect_identical(lapply(layers, get_weights), before)
  .Call(ffi_layers_set_weights, handles, new)
  expect_identical(lapply(layers, get_weights), new)
})

test_that("R's own errors for want of memory are no errors of a file, a text or a config", {
  hungry <- function() vector("list", 2^47)
  for (within in list(
    function() within_file(hungry(), "save_model()", "a.keras", "writing"),
    function() within_file(stop("cannot allocate vector of size 8.0 Gb"), "load", "a", "reading")
  )) {
    expect_attn_error(within(), "memory", "not enough memory")
  }
  local_function("parse_json_text", function(text) hungry())
  expect_attn_error(parse_json_bytes(charToRaw("{}"), "load()", "a", "this"), "memory")
  expect_attn_error(from_config("{}"), "memory")
  local_function("deserialize_model", function(dict, owner) hungry())
  expect_attn_error(model_from_dict(list(), "from_config()"), "memory")
  expect_attn_error(within_config(hungry(), "from_config()", "a layer"), "memory")
  expect_attn_error(layer_lambda(keras_input(4), function(x) hungry()), "memory")
  expect_attn_error(layer_lambda(keras_input(4), function(x) x[[5, 5, 5]]), "argument")
})

test_that("R's own errors are told from each other in every language of R", {
  memory <- c("cannot allocate vector of size %0.1f Gb", "memory exhausted (limit reached?)")
  time <- "reached elapsed time limit"
  for (language in c("en", list.dirs(R.home("library/translations"), full.names = FALSE))) {
    withr::local_language(language)
    for (text in sprintf(gettext(memory, domain = "R"), 3.5)) {
      expect_true(is_no_memory(simpleError(text)), label = text)
      expect_false(is_time_limit(simpleError(text)), label = text)
    }
    text <- gettext(time, domain = "R")
    expect_true(is_time_limit(simpleError(text)), label = text)
    expect_false(is_no_memory(simpleError(text)), label = text)
    expect_attn_error(within_file(stop("a b"), "load_model()", "a.keras", "reading"), "file", "a b")
  }
})

test_that("conditions whose message is no string are no errors of R's own", {
  for (message in list(NULL, 5, NA, NA_character_, character(), c("a", "b"), "\xff")) {
    odd <- structure(
      class = c("odd", "error", "condition"), list(message = message, call = NULL)
    )
    expect_false(is_no_memory(odd))
    expect_false(is_time_limit(odd))
    expect_attn_error(layer_lambda(keras_input(4), function(x) stop(odd)), "argument")
  }
})
