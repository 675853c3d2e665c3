# Programs: what the C core runs for a model, or for one layer that is called with
# arrays. A program is made by following calls ("tracing"): every layer adds its steps
# to a tracer, and what it returns are values: list(slot, shape, dtype), where the shape
# may have NA. Models and layers that are made of layers trace these.
#
# What the core has no step for (lambda layers, attention over several axes) is a step of
# R, between two programs of the core, with arrays for tensors.
#
# Programs hold layers by their place among `layers`, not their handles: a handle that is
# saved twice would be two layers when it is read again.

new_tracer <- function() {
  tracer <- new.env(parent = emptyenv())
  tracer$steps <- list()
  tracer$dtypes <- character() # of the slots
  tracer$layers <- list()      # the `self` of each layer
  tracer
}

new_value <- function(tracer, shape, dtype) {
  tracer$dtypes <- c(tracer$dtypes, dtype)
  list(slot = length(tracer$dtypes) - 1L, shape = shape, dtype = dtype)
}

# The place of a layer among those of the program.
layer_place <- function(tracer, self) {
  for (place in seq_along(tracer$layers)) {
    if (identical(tracer$layers[[place]], self)) {
      return(place)
    }
  }
  tracer$layers <- c(tracer$layers, list(self))
  length(tracer$layers)
}

# Adds a step of the core. `inputs`: values, or NULL where there is none; `shapes`: of
# the results. What settings and text mean, the operation's file in src/layers says.
trace_step <- function(tracer, self, operation, inputs, shapes, settings = numeric(),
                       text = "", training = NULL, dtypes = rep(self$dtype, length(shapes))) {
  outputs <- Map(function(shape, dtype) new_value(tracer, shape, dtype), shapes, dtypes)
  slots <- vapply(inputs, function(value) if (is.null(value)) -1L else value$slot, 1L)
  step <- list(
    kind = "core", operation = operation, dtype = self$dtype,
    layer = if (is.null(self$handle)) 0L else layer_place(tracer, self),
    inputs = as.integer(slots), outputs = vapply(outputs, function(value) value$slot, 1L),
    settings = as.double(settings), text = text,
    training = if (is.null(training)) NA else training, label = self$label
  )
  tracer$steps <- c(tracer$steps, list(step))
  unname(outputs)
}

# Adds a step of R: run(arrays, training) gives a list of arrays.
trace_r_step <- function(tracer, self, run, inputs, shapes, dtypes, training = NULL) {
  outputs <- Map(function(shape, dtype) new_value(tracer, shape, dtype), shapes, dtypes)
  step <- list(
    kind = "R", run = run,
    inputs = vapply(inputs, function(value) value$slot, 1L),
    outputs = vapply(outputs, function(value) value$slot, 1L),
    training = if (is.null(training)) NA else training, label = self$label
  )
  tracer$steps <- c(tracer$steps, list(step))
  unname(outputs)
}

# One call of a layer: values and arguments in, a list of values out.
trace_layer <- function(tracer, self, inputs, arguments = list()) {
  switch(self$calls,
    heads = trace_heads(tracer, self, inputs, arguments),
    scores = trace_scores(tracer, self, inputs, arguments),
    layer_kinds[[self$kind]]$trace(tracer, self, inputs, arguments)
  )
}

# ---- from a trace to a program ----

# `inputs`, `outputs`: values. The core's steps that follow each other are one segment.
finish_program <- function(tracer, inputs, outputs) {
  steps <- tracer$steps
  input_slots <- vapply(inputs, function(value) value$slot, 1L)
  output_slots <- vapply(outputs, function(value) value$slot, 1L)
  is_r <- vapply(steps, function(step) step$kind == "R", NA)
  runs <- rle(is_r)
  last <- cumsum(runs$lengths)
  first <- last - runs$lengths + 1L
  segments <- list()
  for (i in seq_along(last)) {
    members <- steps[first[i]:last[i]]
    later <- steps[seq_along(steps) > last[i]]
    needed <- c(output_slots, unlist(lapply(later, function(step) step$inputs)))
    segments <- c(segments, if (runs$values[i]) {
      members
    } else {
      list(core_segment(tracer, members, needed))
    })
  }
  list(
    slots = length(tracer$dtypes), segments = segments, layers = tracer$layers,
    inputs = input_slots, types = value_type(vapply(inputs, function(value) value$dtype, "")),
    outputs = output_slots
  )
}

# `needed`: slots that are wanted after these steps.
core_segment <- function(tracer, steps, needed) {
  made <- unlist(lapply(steps, function(step) step$outputs))
  used <- unlist(lapply(steps, function(step) step$inputs))
  inputs <- setdiff(unique(used[used >= 0L]), made)
  outputs <- intersect(unique(needed), made)
  release <- released_slots(steps, outputs)
  native <- Map(function(step, release) {
    list(
      step$operation, step$dtype, step$layer, step$inputs, step$outputs, step$settings,
      step$text, release, step$training
    )
  }, steps, release)
  list(
    kind = "core",
    program = list(
      slots = length(tracer$dtypes), steps = unname(native), inputs = inputs,
      types = value_type(tracer$dtypes[inputs + 1L]), outputs = outputs
    ),
    labels = vapply(steps, function(step) step$label, "")
  )
}

# For each step the slots that nobody needs after it.
released_slots <- function(steps, kept) {
  last_use <- list()
  for (i in seq_along(steps)) {
    for (slot in steps[[i]]$inputs) {
      last_use[[as.character(slot)]] <- i
    }
  }
  slots <- as.integer(names(last_use))
  last_use <- unlist(last_use, use.names = FALSE)
  lapply(seq_along(steps), function(i) {
    setdiff(slots[last_use == i], c(kept, -1L))
  })
}

# What an input becomes in the core.
value_type <- function(dtype) {
  type <- rep("float32", length(dtype))
  type[dtype == "float64"] <- "float64"
  type[grepl("^u?int", dtype)] <- "int32"
  type[dtype == "bool"] <- "bool"
  type
}

# ---- running ----

# Arrays in, arrays out, both in the order of the program's inputs and outputs. `batch`:
# NULL, or the first and the number of those entries of the batch that are meant.
run_program <- function(program, arrays, training = FALSE, batch = NULL) {
  handles <- lapply(program$layers, function(self) self$handle)
  reference <- !config_is_flash_attention_enabled()
  if (length(program$segments) == 1L && program$segments[[1L]]$kind == "core") {
    segment <- program$segments[[1L]]
    given <- match(segment$program$inputs, program$inputs)
    results <- run_segment(segment, handles, arrays[given], batch, training, reference)
    return(results[match(program$outputs, segment$program$outputs)])
  }
  run_segments(program, handles, arrays, training, batch, reference)
}

run_segments <- function(program, handles, arrays, training, batch, reference) {
  slots <- vector("list", program$slots)
  if (!is.null(batch)) {
    arrays <- lapply(arrays, batch_of, batch)
  }
  slots[program$inputs + 1L] <- arrays
  for (segment in program$segments) {
    if (segment$kind == "R") {
      own <- if (is.na(segment$training)) training else segment$training
      results <- segment$run(slots[segment$inputs + 1L], own)
      outputs <- segment$outputs
    } else {
      inputs <- slots[segment$program$inputs + 1L]
      results <- run_segment(segment, handles, inputs, NULL, training, reference)
      outputs <- segment$program$outputs
    }
    slots[outputs + 1L] <- results
  }
  slots[program$outputs + 1L]
}

run_segment <- function(segment, handles, arrays, batch, training, reference) {
  tryCatch(
    .Call(ffi_program_run, segment$program, handles, arrays, batch, training, reference),
    attn_step_failure = function(failure) abort_failed_step(failure, segment$labels)
  )
}

# Called from the C glue where a step fails.
abort_step <- function(step, kind, number) {
  stop(structure(
    class = c("attn_step_failure", "error", "condition"),
    list(message = "a step has failed", call = NULL, step = step, kind = kind, number = number)
  ))
}

abort_failed_step <- function(failure, labels) {
  owner <- labels[[failure$step]]
  if (failure$kind == "index") {
    abort_argument(owner, "inputs", "ids of rows that there are",
      received = sprintf("the id %s", format_id(failure$number))
    )
  }
  abort_shape(owner, "inputs", "of shapes that fit the layer", "shapes that do not")
}

# Integers that are NA are the core's smallest whole number.
format_id <- function(number) {
  if (isTRUE(number == -2^31)) "NA" else describe_number_or_text(number)
}

# The entries first, ..., first + count - 1 of an array's first axis, with its mask.
batch_of <- function(x, batch) {
  rows <- seq.int(batch[1L], length.out = batch[2L])
  result <- first_axis(x, rows)
  mask <- attr(x, "keras_mask", exact = TRUE)
  if (!is.null(mask)) {
    attr(result, "keras_mask") <- first_axis(mask, rows)
  }
  result
}

first_axis <- function(x, rows) {
  if (is.null(dim(x))) {
    return(x[rows])
  }
  indices <- c(list(rows), rep(list(TRUE), length(dim(x)) - 1L))
  do.call(`[`, c(list(x), indices, list(drop = FALSE)))
}
