# library(attn) and calls leave the session as they found it; it can be unloaded while layers
# are alive. tools/verify/session.R looks at more of it.

test_that("loading and calls change no option, no variable, no random state, no thread", {
  changed <- in_fresh_process(function() {
    threads <- function() length(list.files("/proc/self/task"))
    state <- function() {
      list(
        options = options(), environment = Sys.getenv(), generator = RNGkind(),
        search = setdiff(search(), "package:attn"), connections = nrow(showConnections()),
        devices = grDevices::dev.list(), locale = Sys.getlocale(), threads = threads(),
        handlers = getTaskCallbackNames(), subnormal = 2^-1070 * 1 > 0,
        loaded = intersect(loadedNamespaces(), c("cli", "jsonlite", "hdf5r", "png"))
      )
    }
    state()
    had_seed <- exists(".Random.seed", globalenv(), inherits = FALSE)
    before <- state()
    suppressPackageStartupMessages(library(attn))
    loaded <- state()
    attn_threads(1L)
    layer <- layer_multi_head_attention(
      num_heads = 2L, key_dim = 4L, dropout = 0.5, seed = 1L,
      kernel_initializer = initializer_glorot_uniform(seed = 2L)
    )
    x <- array(1, c(1, 4, 8))
    layer(x, x)
    layer(x, x, training = TRUE)
    try(layer(x, x[, , 1:3, drop = FALSE]), silent = TRUE)
    called <- state()
    has_seed <- exists(".Random.seed", globalenv(), inherits = FALSE)
    c(
      names(before)[!mapply(identical, before, loaded)],
      names(before)[!mapply(identical, before, called)],
      if (has_seed != had_seed) "random seed"
    )
  })
  expect_identical(as.character(changed), character())
})

test_that("the package can be unloaded and loaded again while layers are alive", {
  ways <- list(
    function() detach("package:attn", unload = TRUE, character.only = TRUE),
    function() unloadNamespace("attn"),
    function() {
      library.dynam.unload("attn", getNamespaceInfo("attn", "path"))
      unloadNamespace("attn")
    }
  )
  for (way in ways) {
    results <- in_fresh_process(function(way) {
      environment(way) <- globalenv()
      library(attn)
      x <- array(sin(1:32), c(1, 4, 8))
      dropped <- layer_multi_head_attention(num_heads = 2L, key_dim = 4L)
      expected <- dropped(x, x)
      saved <- serialize(dropped, NULL)
      alive <- unserialize(saved)
      way()
      rm(dropped)
      gc() # its finalizer is code of the library
      library(attn)
      again <- unserialize(saved)(x, x)
      rm(alive)
      gc()
      list(expected, again)
    }, without_environment(way))
    expect_identical(results[[2]], results[[1]])
  }
})

test_that("the shared library stays while handles are there that never had a layer", {
  skip_on_os("windows")
  outcome <- in_fresh_process(function() {
    x <- array(sin(1:32), c(1, 4, 8))
    saved <- local({
      layer <- attn::layer_multi_head_attention(num_heads = 2L, key_dim = 4L)
      layer(x, x)
      serialize(layer, NULL)
    })
    gc()
    # what is left of these: handles that never had a layer
    damaged <- saved
    text <- rawToChar(replace(saved, saved == 0, as.raw(1)))
    place <- regexpr("ATTNLAY1", text, useBytes = TRUE) + 8L
    damaged[place] <- xor(damaged[place], as.raw(255))
    for (i in 1:20) stopifnot(inherits(try(unserialize(damaged), silent = TRUE), "try-error"))
    library.dynam.unload("attn", getNamespaceInfo("attn", "path"))
    unloadNamespace("attn")
    gc()
    gc()
    "alive"
  })
  expect_identical(outcome, "alive")
})
