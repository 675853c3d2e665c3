# predict(): a call of the core for each batch, which reads its entries from the arrays
# that were given and writes its results into those that are returned.

#' Predict with a model
#'
#' Computes a model's outputs for arrays of any number of rows, `batch_size` of them at a
#' time. `predict_on_batch()` takes all rows at once.
#'
#' The result does not depend on the batch size, but for the rounding of the last digit.
#' Dropout is off. Unlike a call of the model, results carry no masks.
#'
#' @param object A model.
#' @param x An array whose first axis is the batch; for models with several inputs a list
#'   of them, by position or by name, see [keras_model()]. Masks that are attached to
#'   arrays ([set_keras_mask()]) count.
#' @param ... Not used; anything here is an error.
#' @param batch_size How many rows are computed at a time; `NULL` (default): 32.
#' @param verbose `1` or `TRUE`: a progress bar; `0` or `FALSE`: none. `"auto"` (default):
#'   one for work that takes long, in an interactive session.
#' @param steps How many batches are computed, the others are left out; `NULL` (default):
#'   all of them.
#' @param callbacks Callbacks are not available here: `NULL`.
#' @return An array, or a list of arrays in the form of the model's outputs.
#' @section Errors:
#' `attn_error_argument` and `attn_error_shape` for inputs of another number, type or shape
#' than the model's, for ids that are missing, and for arrays with different numbers of
#' rows; `attn_error_shape` for a model whose outputs do not have the batch as their first
#' axis.
#' @references <https://keras.io/api/models/model_training_apis/>
#' @seealso [keras_model()]
#' @examples
#' model <- keras_model_sequential(input_shape = 4) |> layer_dense(units = 2)
#' x <- matrix(rnorm(100 * 4), 100)
#' dim(predict(model, x))
#' @importFrom stats predict
#' @export
predict.attn_model <- function(object, x, ..., batch_size = NULL,
                               verbose = getOption("keras.verbose", "auto"), steps = NULL,
                               callbacks = NULL) {
  self <- layer_self(object)
  owner <- self$label
  check_no_dots(owner, ...)
  check_given(missing(x), owner, "x", "an array, or a list of arrays")
  batch_size <- check_positive_int(batch_size, owner, "batch_size", null_ok = TRUE)
  steps <- check_positive_int(steps, owner, "steps", null_ok = TRUE)
  check_not_available(callbacks, owner, "callbacks")
  bar <- wants_progress(verbose, owner)
  batch_size <- if (is.null(batch_size)) 32L else batch_size
  predict_with(self, x, function(arrays) {
    rows <- same_rows(arrays, owner)
    batches <- ceiling(rows / batch_size)
    if (!is.null(steps) && steps < batches) {
      batches <- steps
      rows <- as.integer(steps * batch_size)
    }
    with_progress(bar, batches, function(tick) {
      predict_batches(self, arrays, rows, batch_size, batches, tick)
    })
  })
}

# results_of(the arrays of all inputs, checked), in the form of the outputs; builds a model that
# is not.
predict_with <- function(self, x, results_of) {
  predict_now <- function(x) {
    arrays <- check_model_arrays(self, match_model_inputs(self, x, self$label))
    pack_structure(self$outputs, results_of(arrays))
  }
  if (self$built) predict_now(x) else build_and_use(self, x, "x", predict_now)
}

same_rows <- function(arrays, owner) {
  rows <- unlist(lapply(arrays, function(x) if (!is.null(x)) dim(x)[1L]))
  if (is.null(rows)) {
    abort_argument(owner, "x", "at least one array", received = "none")
  }
  if (any(rows != rows[1L])) {
    abort_shape(owner, "x", "arrays with the same number of rows",
      paste(rows, collapse = ", ")
    )
  }
  rows[1L]
}

predict_batches <- function(self, arrays, rows, batch_size, batches, tick) {
  is_given <- !vapply(arrays, is.null, NA)
  arrays <- arrays[is_given]
  program <- model_plan(self, is_given)$program
  if (is.null(program$native)) {
    return(predict_in_parts(self, program, arrays, rows, batch_size, batches, tick))
  }
  handles <- program_handles(program)
  reference <- !session_settings$flash_attention
  results <- rows
  for (i in seq_len(batches)) {
    first <- (i - 1L) * batch_size + 1L
    batch <- c(first, min(batch_size, rows - first + 1L))
    results <- .Call(
      ffi_program_run, program$native, handles, arrays, batch, FALSE, reference, results
    )
    tick(i)
  }
  results
}

# Programs with steps of R give arrays for each batch, which are put together here.
predict_in_parts <- function(self, program, arrays, rows, batch_size, batches, tick) {
  parts <- vector("list", batches)
  for (i in seq_len(batches)) {
    first <- (i - 1L) * batch_size + 1L
    count <- min(batch_size, rows - first + 1L)
    parts[[i]] <- run_program(program, arrays, FALSE, as.integer(c(first, count)))
    for (x in parts[[i]]) {
      if (is.null(dim(x)) || dim(x)[1L] != count) {
        abort_shape(self$label, "outputs", "of a model whose first axis is the batch",
          paste("shape", format_shape(dim(x)))
        )
      }
    }
    tick(i)
  }
  lapply(seq_along(parts[[1L]]), function(output) {
    bind_first_axis(lapply(parts, function(part) part[[output]]), self$label)
  })
}

# Arrays that differ in the first axis only -> one array, without masks.
bind_first_axis <- function(parts, owner) {
  shape <- dim(parts[[1L]])
  for (part in parts) {
    if (!identical(dim(part)[-1L], shape[-1L])) {
      abort_shape(owner, "outputs", paste("of shape", format_shape(c(NA, shape[-1L]))),
        paste("shape", format_shape(dim(part)))
      )
    }
  }
  as_columns <- function(x) matrix(as.vector(x), nrow = dim(x)[1L])
  bound <- do.call(rbind, lapply(parts, as_columns))
  array(bound, c(nrow(bound), shape[-1L]))
}

# ---- progress ----

# "no", "long": when the work takes long; "yes".
wants_progress <- function(verbose, owner) {
  ok <- identical(verbose, "auto") || is_scalar(verbose, is.logical) ||
    (is_whole_number(verbose) && verbose %in% 0:2)
  if (!ok || is.na(verbose)) {
    abort_argument(owner, "verbose", "\"auto\", TRUE, FALSE, 0, 1 or 2", verbose)
  }
  if (identical(verbose, "auto")) {
    return(if (interactive() && !is_testing()) "long" else "no")
  }
  if (as.integer(verbose) > 0L) "yes" else "no"
}

is_testing <- function() identical(Sys.getenv("TESTTHAT"), "true")

seconds_now <- function() unclass(Sys.time())

# code(tick), where tick(i) says that batch i is done.
with_progress <- function(wanted, batches, code) {
  if (wanted == "no" || batches < 2L) {
    return(code(function(i) NULL))
  }
  after <- if (wanted == "yes") 0 else 2
  start <- seconds_now()
  shown <- start
  bar <- NULL
  frame <- environment()
  tick <- function(i) {
    now <- seconds_now()
    if (now - start < after || (now - shown < 0.1 && i < batches)) {
      return(invisible())
    }
    shown <<- now
    if (is.null(bar)) {
      bar <<- cli::cli_progress_bar("Predicting", total = batches, .envir = frame,
        .auto_close = FALSE
      )
    }
    cli::cli_progress_update(set = i, id = bar, force = TRUE, .envir = frame)
  }
  on.exit(if (!is.null(bar)) cli::cli_progress_done(id = bar, .envir = frame))
  code(tick)
}

#' @rdname predict.attn_model
#' @export
predict_on_batch <- function(object, x, ...) {
  owner <- "predict_on_batch()"
  check_no_dots(owner, ...)
  check_given(missing(object), owner, "object", "a model")
  self <- model_self(object, owner)
  check_given(missing(x), self$label, "x", "an array, or a list of arrays")
  predict_with(self, x, function(arrays) {
    rows <- same_rows(arrays, self$label)
    predict_batches(self, arrays, rows, rows, 1L, function(i) NULL)
  })
}
