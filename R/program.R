# Programs: what the C core runs for a model, or for one layer that is called with
# arrays. A program is made by following calls ("tracing"): every layer adds its steps
# to a tracer, and what it returns are values: list(slot, shape, dtype), where the shape
# may have NA. Models and layers that are made of layers trace these.
#
# What the core has no step for (lambda layers, attention over several axes) is a step of
# R, between two programs of the core, with arrays for tensors.
#
# Programs are made again where they are needed and are never saved: they are kept in a
# cache that R writes without its content (src/glue/cache.c). They hold layers by their
# place among `layers`.

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

# Adds a step of R: run(arrays, training) gives a list of arrays. It lives as long as the
# program, so it should be made where nothing else is in reach.
trace_r_step <- function(tracer, self, run, inputs, shapes, dtypes, training = NULL) {
  outputs <- Map(function(shape, dtype) new_value(tracer, shape, dtype), shapes, dtypes)
  if (!is.null(self$handle)) {
    layer_place(tracer, self)
  }
  step <- list(
    kind = "R", run = run, self = self,
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

# `inputs`, `outputs`: values. `native` is the program for the core; or NULL where there
# are steps of R, and then the core's steps that follow each other are one of `segments`.
finish_program <- function(tracer, inputs, outputs) {
  steps <- tracer$steps
  input_slots <- vapply(inputs, function(value) value$slot, 1L)
  output_slots <- vapply(outputs, function(value) value$slot, 1L)
  is_r <- vapply(steps, function(step) step$kind == "R", NA)
  native <- if (!any(is_r)) native_program(tracer, steps, input_slots, output_slots)
  list(
    slots = length(tracer$dtypes), layers = tracer$layers,
    inputs = input_slots, outputs = output_slots, native = native,
    segments = if (is.null(native)) program_segments(tracer, steps, is_r, output_slots)
  )
}

program_segments <- function(tracer, steps, is_r, output_slots) {
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
  segments
}

# `needed`: slots that are wanted after these steps.
core_segment <- function(tracer, steps, needed) {
  made <- unlist(lapply(steps, function(step) step$outputs))
  used <- unlist(lapply(steps, function(step) step$inputs))
  inputs <- setdiff(unique(used[used >= 0L]), made)
  outputs <- intersect(unique(needed), made)
  list(kind = "core", program = native_program(tracer, steps, inputs, outputs))
}

# What src/glue/program.c reads. `outputs` may be inputs, and may come twice.
native_program <- function(tracer, steps, inputs, outputs) {
  release <- released_slots(steps, outputs)
  native <- Map(function(step, release) {
    list(
      step$operation, step$dtype, step$layer, step$inputs, step$outputs, step$settings,
      step$text, release, step$training, step$label
    )
  }, steps, release)
  list(
    slots = length(tracer$dtypes), steps = unname(native), inputs = as.integer(inputs),
    types = value_type(tracer$dtypes[inputs + 1L]), outputs = as.integer(outputs)
  )
}

# For each step the slots that nobody needs after it, its own results among them.
released_slots <- function(steps, kept) {
  last_use <- integer()
  for (i in seq_along(steps)) {
    slots <- c(steps[[i]]$inputs, steps[[i]]$outputs)
    last_use[as.character(slots[slots >= 0L])] <- i
  }
  slots <- as.integer(names(last_use))
  lapply(seq_along(steps), function(i) {
    setdiff(slots[last_use == i], kept)
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

program_handles <- function(program) lapply(program$layers, function(self) self$handle)

# Arrays in, arrays out, both in the order of the program's inputs and outputs.
# `training`: NA: each step knows; TRUE or FALSE: for all of them. `batch`: NULL, or the
# first and the number of those entries of the batch that are meant.
run_program <- function(program, arrays, training = NA, batch = NULL) {
  handles <- program_handles(program)
  reference <- !session_settings$flash_attention
  if (!is.null(program$native)) {
    return(.Call(
      ffi_program_run, program$native, handles, arrays, batch, training, reference, NULL
    ))
  }
  if (!is.null(batch)) {
    arrays <- lapply(arrays, batch_of, batch)
  }
  finished <- FALSE
  before <- layers_before(program, handles)
  on.exit(if (!finished) suspendInterrupts(put_layers_back(program, handles, before)))
  results <- run_segments(program, handles, arrays, training, reference)
  finished <- TRUE
  results
}

run_segments <- function(program, handles, arrays, training, reference) {
  slots <- vector("list", program$slots)
  slots[program$inputs + 1L] <- arrays
  for (segment in program$segments) {
    if (segment$kind == "R") {
      own <- if (is.na(training)) isTRUE(segment$training) else training
      results <- segment$run(slots[segment$inputs + 1L], own)
      outputs <- segment$outputs
    } else {
      inputs <- slots[segment$program$inputs + 1L]
      results <- .Call(
        ffi_program_run, segment$program, handles, inputs, NULL, training, reference, NULL
      )
      outputs <- segment$program$outputs
    }
    slots[outputs + 1L] <- results
  }
  slots[program$outputs + 1L]
}

# What a call changes of its layers, in case that a later step of it fails.
layers_before <- function(program, handles) {
  list(
    calls = .Call(ffi_calls_get, handles),
    losses = lapply(r_step_layers(program), function(self) self$activity_losses)
  )
}

put_layers_back <- function(program, handles, before) {
  .Call(ffi_calls_set, handles, before$calls)
  Map(function(self, losses) self$activity_losses <- losses, r_step_layers(program), before$losses)
}

r_step_layers <- function(program) {
  Filter(Negate(is.null), lapply(program$segments, function(segment) segment$self))
}

# Called from the C glue where a step fails: `owner` is the label of its layer.
abort_step <- function(owner, kind, number) {
  if (kind == "index") {
    abort_argument(owner, "inputs", "ids of rows that there are",
      received = sprintf("the id %s", describe_number_or_text(number))
    )
  }
  abort_shape(owner, "inputs", "of shapes that fit the layer", "shapes that do not")
}

# The entries first, ..., first + count - 1 of an array's first axis, with its mask, of which
# one entry may stand for all.
batch_of <- function(x, batch) {
  rows <- seq.int(batch[1L], length.out = batch[2L])
  result <- first_axis(x, rows)
  mask <- attr(x, "keras_mask", exact = TRUE)
  if (!is.null(mask)) {
    attr(result, "keras_mask") <- if (dim_or_length(mask)[1L] == 1L) mask else {
      first_axis(mask, rows)
    }
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
