# For handles.R: layers and models that are alive when something happens. Started as
#   Rscript handles-live.R WHAT FOLDER SIZE LIBRARY
# Writes its figures, one a line, to FOLDER/figures. It fails where a result is not what it
# would have been without.
arguments <- commandArgs(TRUE)
what <- arguments[1]
folder <- arguments[2]
size <- as.integer(arguments[3])
figures <- function(...) writeLines(as.character(c(...)), file.path(folder, "figures"))
invisible(compiler::enableJIT(0))
here <- new.env(parent = asNamespace("attn"))
sys.source(file.path(Sys.getenv("ATTN_ROOT"), "tools/verify/handles-use.R"), here)
numbers <- here$numbers

# Every third of them is a layer without heads, from the third on.
new_layers <- function(count) {
  made <- list(
    attn::layer_dense(units = 1), attn::layer_multi_head_attention(num_heads = 1, key_dim = 1),
    attn::layer_attention(use_scale = TRUE)
  )
  made[[1]]$build(c(1, 1))
  for (layer in made[-1]) layer$build(c(1, 2, 1), c(1, 2, 1))
  bytes <- lapply(made, serialize, NULL)
  lapply(seq_len(count), function(i) unserialize(bytes[[(i - 1L) %% 3L + 1L]]))
}

new_model <- function() {
  input <- attn::keras_input(shape = c(3, 4))
  hidden <- attn::layer_multi_head_attention(num_heads = 2, key_dim = 2)(input, input)
  attn::keras_model(input, attn::layer_dense(hidden, units = 2))
}

# ---- at the end of the session: finalizers run then, those of R objects as well ----

at_quit <- function() {
  layers <<- new_layers(size)
  models <<- lapply(seq_len(size %/% 100L), function(i) new_model())
  lapply(models, function(model) model(numbers(2, 3, 4)))
  expected <- layers[[3]](list(numbers(1, 2, 1), numbers(1, 2, 1)))
  for (i in 1:100) {
    holder <- new.env()
    holder$layer <- layers[[i]]
    reg.finalizer(holder, function(holder) attn::get_weights(holder$layer), onexit = TRUE)
    kept <<- c(get0("kept"), holder)
  }
  invisible(gc())
  stopifnot(identical(layers[[3]](list(numbers(1, 2, 1), numbers(1, 2, 1))), expected))
  figures(length(layers) + 2L * length(models))
  quit(save = "no", status = 0L)
}

# ---- the namespace is unloaded under layers that live on ----

at_unload <- function() {
  layers <- c(new_layers(size), list(new_model()))
  bytes <- serialize(layers[[3]], NULL)
  x <- list(numbers(1, 2, 1), numbers(1, 2, 1))
  expected <- layers[[3]](x)
  unloadNamespace("attn")
  invisible(gc())
  stopifnot(!("attn" %in% loadedNamespaces()))
  tried <- vapply(layers[1:100], function(layer) {
    outcome <- tryCatch(
      {
        format(unclass(layer))
        layer(x)
        "used"
      },
      error = function(e) "refused"
    )
    outcome
  }, "")
  layers[2:size] <- list(NULL)
  for (i in 1:3) invisible(gc())
  again <- unserialize(bytes)
  stopifnot(identical(again(x), expected), "attn" %in% loadedNamespaces())
  figures(length(tried))
}

# ---- finalizers of other objects use layers, in the middle of calls of layers ----

in_finalizers <- function() {
  layer <- attn::layer_multi_head_attention(num_heads = 2, key_dim = 3)
  model <- new_model()
  x <- numbers(2, 3, 4)
  expected <- list(layer(x, x), model(x), attn::get_weights(layer))
  ran <- 0L
  failed <- 0L
  nested <- function(holder) {
    ran <<- ran + 1L
    if (!identical(holder$layer(x, x), expected[[1]])) failed <<- failed + 1L
    if (!identical(model(x), expected[[2]])) failed <<- failed + 1L
    # of one's own copy: the same layer, so that its weights may not change under a call
    try(attn::set_weights(holder$layer, expected[[3]]), silent = TRUE)
    unserialize(serialize(holder$layer, NULL))
  }
  for (i in seq_len(size)) {
    for (j in 1:5) {
      holder <- new.env()
      holder$layer <- layer
      holder$itself <- holder
      reg.finalizer(holder, nested)
    }
    rm(holder)
    if (i %% 2 == 0) invisible(gc())
    gctorture(TRUE)
    first <- layer(x, x)
    second <- model(x)
    gctorture(FALSE)
    if (!identical(list(first, second), expected[1:2])) failed <- failed + 1L
  }
  # a layer that calls another one, and itself on something smaller
  inner <- attn::layer_lambda(f = function(x) model(x))
  outer <- attn::layer_lambda(f = function(x) inner(x) + inner(x))
  stopifnot(identical(c(outer(x)), c(2 * model(x))))
  # handles that share a layer: what is left of them keeps it
  handle <- environment(layer)$self$handle
  attr(handle, "note") <- 1
  twin <- unserialize(serialize(layer, NULL))
  assign("handle", handle, envir = environment(twin)$self)
  rm(layer, handle)
  for (i in 1:3) invisible(gc())
  stopifnot(identical(twin(x, x), expected[[1]]), failed == 0L, ran > 0L)
  figures(ran, failed)
}

# ---- the serialized state of a handle, damaged and forged ----

damaged_states <- function() {
  invisible(dyn.load(arguments[4]))
  outcomes <- c(accepted = 0, refused = 0, other = 0)
  note <- function(bytes) {
    outcome <- tryCatch(
      {
        use_handle(unserialize(bytes))
        "accepted"
      },
      attn_error = function(e) "refused", error = function(e) "other"
    )
    outcomes[[outcome]] <<- outcomes[[outcome]] + 1
  }
  small <- attn::layer_attention(use_scale = TRUE)
  small$build(list(c(1, 1, 1), c(1, 1, 1)))
  dense <- attn::layer_dense(units = 1, use_bias = FALSE)
  dense$build(c(1, 1))
  states <- lapply(list(small, dense), function(layer) serialize(environment(layer)$self$handle, NULL))
  for (bytes in states) {
    place <- find_state(bytes)
    state <- bytes[place]
    for (n in seq_along(state)) note(with_state(bytes, place, state[seq_len(n - 1L)]))
    flips <- if (size > 100L) 1:255 else c(1, 2, 4, 8, 16, 32, 64, 128, 255)
    for (i in seq_along(state)) {
      for (flip in flips) note(replace(bytes, place[i], xor(state[i], as.raw(flip))))
    }
  }
  # a state of no bytes is that of a layer that has lost its weights
  stopifnot(outcomes[["accepted"]] == 0, outcomes[["other"]] == 0)
  damaged <- sum(outcomes)
  # whoever forges a state knows how to make its checksum
  set.seed(1)
  outcomes[] <- 0
  for (i in seq_len(size * 100L)) {
    bytes <- states[[i %% 2 + 1]]
    place <- find_state(bytes)
    state <- bytes[place]
    for (j in seq_len(sample.int(3L, 1L))) {
      at <- sample.int(length(state) - 8L, 1L)
      state[at] <- as.raw(sample(c(0L, 1L, 2L, 127L, 128L, 255L, sample(0:255, 1L)), 1L))
    }
    note(with_state(bytes, place, .Call("forge_checksum", state)))
  }
  stopifnot(outcomes[["other"]] == 0)
  figures(damaged, sum(outcomes), outcomes[["accepted"]])
}

# What is accepted is a layer: it can be asked and changed.
routines <- here$routines()
use_handle <- function(handle) {
  info <- .Call(routines$ffi_layer_info, handle)
  weights <- .Call(routines$ffi_layer_get_weights, handle)
  if (info$built) .Call(routines$ffi_layers_set_weights, list(handle), list(weights))
  .Call(routines$ffi_layer_weight_names, handle)
  serialize(handle, NULL)
}

find_state <- function(bytes) {
  text <- rawToChar(replace(bytes, bytes == 0, as.raw(1)))
  start <- regexpr("ATTN(LAY|WTS)1", text, useBytes = TRUE)
  size <- sum(as.integer(bytes[start - 4:1]) * 256^(3:0))
  start + seq_len(size) - 1L
}

with_state <- function(bytes, place, state) {
  length_bytes <- as.raw(length(state) %/% 256^(3:0) %% 256)
  c(bytes[seq_len(place[1] - 5L)], length_bytes, state, bytes[-seq_len(place[length(place)])])
}

# ---- garbage is collected at every allocation ----

under_torture <- function() {
  # at every allocation, or in the short form at every fifth one of fewer calls
  step <- if (size > 1L) 1L else 5L
  recorded <- here$record_calls(here$use_everything(), most = size)
  recorded <- recorded[intersect(names(recorded), names(routines))]
  fresh <- function(given) {
    lapply(given, function(x) {
      if (typeof(x) %in% c("weakref", "environment")) x else unserialize(serialize(x, NULL))
    })
  }
  differ <- character()
  made <- 0L
  for (name in sort(names(recorded))) {
    for (form in recorded[[name]]) {
      routine <- routines[[name]]
      results <- lapply(c(FALSE, TRUE), function(torture) {
        call <- as.call(c(quote(.Call), routine, lapply(fresh(form), function(x) call("quote", x))))
        cat(name, file = file.path(folder, "at"))
        if (torture) gctorture2(step)
        result <- tryCatch(eval(call), error = conditionMessage)
        gctorture(FALSE)
        result
      })
      made <- made + 1L
      if (!identical(results[[1]], results[[2]])) differ <- c(differ, name)
    }
  }
  figures(length(recorded), made, length(differ), paste(unique(differ), collapse = " "))
}

# The same for all that R code does above them, at every so manieth allocation.
under_torture_in_r <- function() {
  # paths in messages differ, and names of layers count up
  shown <- function(results) {
    results[setdiff(names(results), c("config", "summary", "model_summary"))]
  }
  expected <- shown(here$use_everything())
  gctorture2(step = size)
  results <- here$use_everything()
  gctorture(FALSE)
  differ <- names(expected)[!mapply(identical, shown(results), expected)]
  figures(length(results), length(differ), paste(differ, collapse = " "))
}

switch(what,
  quit = at_quit(), unload = at_unload(), finalizers = in_finalizers(), states = damaged_states(),
  torture = under_torture(), torture_in_r = under_torture_in_r()
)
