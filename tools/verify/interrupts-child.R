# Long calls that are interrupted, in a process of their own: what tools/verify/interrupts.R
# starts by callr. Everything is in one function, as callr sends no other.
interrupts_child <- function(threads, moments, length) {
  attn <- asNamespace("attn")
  attn::attn_threads(threads)
  say <- function(...) {
    cat(..., "\n")
    flush(stdout())
  }
  now <- function() as.numeric(Sys.time())
  numbers <- function(...) array(sin(seq_len(prod(...))), c(...))
  long <- numbers(1, length, 64)
  narrow <- numbers(1, length, 8)
  short <- numbers(2, 20, 64)
  slim <- numbers(2, 20, 8)
  heads <- function(...) attn::layer_multi_head_attention(num_heads = 4, key_dim = 16, ...)
  input <- attn::layer_input(shape = c(NA, 64))
  encoded <- attn::layer_transformer_encoder(input,
    intermediate_dim = 128, num_heads = 4, dropout = 0.1
  )
  itself <- function(layer, x) layer(x, x, training = TRUE)
  listed <- function(layer, x) layer(list(x, x), training = TRUE)

  # name = list(layer, its call, a long input, a short one)
  cases <- list(
    "causal" = list(heads(seed = 1L), function(layer, x) layer(x, x, use_causal_mask = TRUE),
      long, short
    ),
    "float64" = list(heads(dtype = "float64"), itself, long, short),
    "dropout" = list(heads(dropout = 0.5, seed = 2L), itself, long, short),
    "plain definition" = list(heads(dropout = 0.5, seed = 3L, flash_attention = FALSE), itself,
      long, short
    ),
    "grouped queries, gate, dropout" = list(
      attn::layer_group_query_attention(
        head_dim = 16, num_query_heads = 4, num_key_value_heads = 2, dropout = 0.2, seed = 4L,
        use_gate = TRUE
      ), itself, long, short
    ),
    "attention, concat" = list(
      attn::layer_attention(score_mode = "concat", dropout = 0.5, seed = 5L), listed, narrow, slim
    ),
    "additive attention" = list(
      attn::layer_additive_attention(dropout = 0.5, seed = 6L), listed, narrow, slim
    ),
    "encoder" = list(attn::keras_model(input, encoded),
      function(model, x) model(x, training = TRUE), long, short
    )
  )

  # What else takes long: name = list(a long call, a short one like it). Members of `large`
  # are what these calls could change.
  large <- attn::keras_model_sequential(input_shape = c(NA, 1500))
  for (units in c(1500, 1500)) {
    large <- large |> attn::layer_dense(units = units)
  }
  path <- file.path(tempdir(), "large.keras")
  attn::save_model(large, path)
  weights <- file.path(tempdir(), "large.safetensors")
  attn::save_model_weights(large, weights)
  wide <- numbers(64, 100, 1500)
  across <- numbers(1, length %/% 2, 4, 16)
  scores_of <- function(size) {
    attn$new_attn_scores(abs(numbers(1, 2, size, size)), 1L, 1L, 1L, TRUE)
  }
  many <- scores_of(1500)
  few <- scores_of(5)
  labels <- as.character(1:1500)
  initializer <- attn::initializer_truncated_normal(seed = 7L)
  constants <- function(size) {
    shape <- c(size, size)
    list(attn::initializer_ones()(shape), attn::initializer_identity(2)(shape))
  }
  same_weights <- attn::get_weights(large)
  built <- function(units) {
    layer <- attn::layer_dense(units = units, kernel_initializer = initializer)
    layer$build(c(NA, units))
    attn::get_weights(layer)
  }
  attention <- function(x) attn::op_dot_product_attention(x, x, x)
  predicted <- function(x) stats::predict(large, x, verbose = 0)
  others <- list(
    "initializer" = list(function() initializer(c(2000, 2000)), function() initializer(c(5, 7))),
    "constant initializers" = list(function() constants(4000), function() constants(5)),
    "set_weights()" = list(function() attn::set_weights(large, same_weights),
      function() attn::get_weights(large)
    ),
    "build" = list(function() built(3000), function() built(5)),
    "operation" = list(function() attention(across),
      function() attention(across[, 1:20, , , drop = FALSE])
    ),
    "predict()" = list(function() predicted(wide),
      function() predicted(wide[1, , , drop = FALSE])
    ),
    "save_model_weights()" = list(
      function() attn::save_model_weights(large, weights, overwrite = TRUE),
      function() attn::get_weights(attn::load_model_weights(large, weights))
    ),
    "load_model()" = list(function() attn::load_model(path),
      function() attn::get_weights(attn::load_model(path))
    ),
    "summary() of scores" = list(function() summary(many), function() summary(few)),
    "tidy() of scores" = list(function() attn::tidy(many, query_labels = labels),
      function() attn::tidy(few)
    )
  )

  # everything that a call could change
  state <- function(layer) {
    members <- if (inherits(layer, "attn_model")) layer$layers else list(layer)
    calls <- lapply(members, function(member) {
      self <- attn$layer_self(member)
      handles <- c(list(self$handle), lapply(self$parts, function(part) part$handle))
      lapply(Filter(Negate(is.null), handles), function(handle) {
        .Call(attn$ffi_layer_info, handle)$calls
      })
    })
    list(attn::get_weights(layer), calls)
  }

  # Leaves `call`, repeated for as long as it takes, by Ctrl-C and then by a time limit. What
  # `prepare` gives is called each time afterwards, and says what is as it was.
  leave <- function(call, prepare) {
    for (moment in seq_len(moments)) {
      check <- prepare()
      at <- tryCatch({
        say("begun")
        repeat call()
      }, interrupt = function(condition) now())
      say("left", sprintf("%.6f", at))
      check()
    }
    for (moment in seq_len(moments)) {
      check <- prepare()
      limit <- 0.1 + stats::runif(1)
      start <- now()
      setTimeLimit(elapsed = limit, transient = TRUE)
      at <- tryCatch(repeat call(), error = function(condition) {
        if (attn$is_time_limit(condition)) now() else Inf # another error: not what was to come
      })
      setTimeLimit()
      say("limited", sprintf("%.6f", at - start - limit))
      check()
    }
  }
  say_whether <- function(same, right) {
    say(if (same) "same" else "changed", if (right) "right" else "wrong")
  }

  for (case in cases) {
    layer <- case[[1L]]
    call <- case[[2L]]
    call(layer, case[[4L]]) # builds it
    copy <- unserialize(serialize(layer, NULL))
    leave(function() call(layer, case[[3L]]), function() {
      before <- state(layer)
      # the next call is to give what that of an undisturbed copy gives
      function() {
        same <- identical(state(layer), before)
        say_whether(same, identical(call(layer, case[[4L]]), call(copy, case[[4L]])))
      }
    })
  }

  say("others")
  for (case in others) {
    before <- list(state(large), case[[2L]]())
    leave(case[[1L]], function() function() {
      same <- identical(state(large), before[[1L]])
      say_whether(same, identical(case[[2L]](), before[[2L]]))
    })
  }
  say("finished")
}
