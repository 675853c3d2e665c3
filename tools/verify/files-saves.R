# Saves that are cut short: by SIGKILL, by writes, syncs and renames that fail, by a full
# disk, by a limit. What must hold each time: the error has the class attn_error_file, the
# file is wholly the old one or wholly the new one, and nothing is left beside it (a process
# that was killed: its one temporary file).
source(file.path(Sys.getenv("ATTN_ROOT"), "tools/verify/proof.R"))
library(attn)

arguments <- commandArgs(TRUE)

new_model <- function(units, value) {
  input <- keras_input(c(2, 4), name = "x")
  model <- keras_model(input, layer_dense(input, units, name = "out"), name = "m")
  set_weights(model, lapply(get_weights(model), function(w) w * 0 + value))
  model
}

# endings of files: how to save to one, and what is in one
formats <- list(
  safetensors = list(ending = ".safetensors", save = save_model, read = function(path) {
    get_weights(load_model(path))
  })
)
if (requireNamespace("hdf5r", quietly = TRUE)) {
  formats$weights.h5 <- list(ending = ".weights.h5", save = save_model_weights,
    read = function(path) {
      weights <- attn:::read_weights_h5(path)$weights
      unname(weights[order(names(weights))])
    }
  )
  if (requireNamespace("zip", quietly = TRUE)) {
    formats$keras <- list(ending = ".keras", save = save_model, read = formats$safetensors$read)
  }
}

values_of <- function(format, path) {
  tryCatch(sort(unique(unlist(format$read(path)))), error = function(error) "unreadable")
}

files_in <- function(folder) list.files(folder, all.files = TRUE, no.. = TRUE)

new_folder <- function() {
  folder <- tempfile("saves-", getwd())
  dir.create(folder)
  normalizePath(folder)
}

# ---- SIGKILL ----

# A child saves one model and then the other over the same file until it is killed.
kill_one <- function(format, models, folder, longest) {
  path <- file.path(folder, paste0("model", format$ending))
  child <- parallel::mcparallel(
    repeat for (model in models) format$save(model, path, overwrite = TRUE),
    detached = TRUE
  )
  Sys.sleep(stats::runif(1, 0, longest))
  tools::pskill(child$pid, tools::SIGKILL)
  while (file.exists(file.path("/proc", child$pid)) &&
    !grepl("^State:\\s*Z", grep("^State", suppressWarnings(
      tryCatch(readLines(file.path("/proc", child$pid, "status")), error = function(e) "State: Z")
    ), value = TRUE)[1])) {
    Sys.sleep(0.002)
  }
  left <- setdiff(files_in(folder), basename(path))
  ok <- values_of(format, path) %in% c(1, 2) && length(left) <= 1L && all(startsWith(left, ".attn-"))
  unlink(file.path(folder, left))
  c(bad = !isTRUE(ok), midway = length(left) > 0L)
}

kills <- function(count) {
  # large enough that most of the time of a save is spent writing
  models <- list(new_model(20000, 1), new_model(20000, 2))
  result <- c(bad = 0, midway = 0)
  for (i in seq_len(count)) {
    format <- formats[[(i - 1L) %% length(formats) + 1L]]
    folder <- new_folder()
    path <- file.path(folder, paste0("model", format$ending))
    format$save(models[[1L]], path)
    took <- system.time(format$save(models[[1L]], path, overwrite = TRUE))[["elapsed"]]
    result <- result + kill_one(format, models, folder, 3 * took)
    unlink(folder, recursive = TRUE)
  }
  proof("P10", sprintf("saves killed by kill -9 at random moments (%s)", toString(names(formats))),
    sprintf("%d of %d left another file than the old or the new one, or more than one temporary file (%d stopped within a save)",
      result[["bad"]], count, result[["midway"]]
    ), "0", result[["bad"]] == 0 && result[["midway"]] > 0
  )
}

# ---- saves that fail ----

# One try over a file that has the values 1. Returns "saved", "refused", or what is wrong.
try_save <- function(format, model, path) {
  outcome <- tryCatch(
    {
      format$save(model, path, overwrite = TRUE)
      "saved"
    },
    attn_error_file = function(error) "refused",
    error = function(error) paste("another error:", conditionMessage(error))
  )
  outcome
}

check_try <- function(outcome, format, path) {
  values <- values_of(format, path)
  left <- setdiff(files_in(dirname(path)), basename(path))
  if (!(outcome %in% c("saved", "refused"))) {
    outcome
  } else if (length(left)) {
    paste("left behind:", toString(left))
  } else if (identical(values, 2)) {
    # what failed may have been the last sync, when the new file had its name
    outcome
  } else if (outcome == "saved" || !identical(values, 1)) {
    paste("saved, but the file has", toString(values))
  } else {
    outcome
  }
}

report_tries <- function(what, outcomes, names) {
  wrong <- !(outcomes %in% c("saved", "refused"))
  for (text in utils::head(unique(paste(names, outcomes)[wrong]), 5)) message(what, ": ", text)
  c(tried = length(outcomes), refused = sum(outcomes == "refused"), wrong = sum(wrong))
}

faults <- function(library) {
  dyn.load(library)
  models <- list(new_model(300, 1), new_model(300, 2))
  outcomes <- character()
  synced <- 0
  for (name in names(formats)) {
    format <- formats[[name]]
    folder <- new_folder()
    path <- file.path(folder, paste0("model", format$ending))
    old <- file.path(getwd(), "old")
    unlink(old)
    format$save(models[[1L]], path)
    file.copy(path, old)
    for (number in pick(28L, c(28L, 5L))) { # ENOSPC, EIO
      k <- 0L
      repeat {
        k <- k + 1L
        file.copy(old, path, overwrite = TRUE)
        .C("fault_watch", folder)
        .C("fault_arm", k, number)
        outcome <- try_save(format, models[[2L]], path)
        counts <- .C("fault_counts", integer(4))[[1]]
        .C("fault_watch", "")
        if (counts[4] == 0L) break
        if (outcome == "saved") outcome <- "a failure went unnoticed"
        outcomes[paste(name, k, number)] <- check_try(outcome, format, path)
      }
      # the file and its folder were waited for
      synced <- synced + (counts[2] == 2L && counts[3] == 1L && outcome == "saved")
    }
    # a limit for the size, at many sizes
    size <- file.size(path)
    for (limit in unique(round(seq(0, size - 1, length.out = pick(5, 200))))) {
      file.copy(old, path, overwrite = TRUE)
      .C("fault_limit", limit)
      outcome <- try_save(format, models[[2L]], path)
      .C("fault_limit", -1)
      outcomes[paste(name, "limit", limit)] <- check_try(outcome, format, path)
    }
  }
  result <- report_tries("faults", outcomes, names(outcomes))
  proof("P10", sprintf("each write, sync and rename of a save fails once (%s), and ulimit -f at many sizes",
      pick("ENOSPC", "ENOSPC, EIO")
    ),
    sprintf("%d of %d were no attn_error_file, lost the old file or left another; the file and its folder are synced in %d of %d saves",
      result[["wrong"]], result[["tried"]], synced, pick(1L, 2L) * length(formats)
    ), "0", result[["wrong"]] == 0 && result[["tried"]] > 20 && synced == pick(1L, 2L) * length(formats)
  )
}

# In a file system of 1 MiB that is mounted for this, and in one that is read-only.
full <- function(disk) {
  outcomes <- character()
  large <- new_model(200000, 2)
  small <- new_model(2, 1)
  for (name in names(formats)) {
    format <- formats[[name]]
    path <- file.path(disk, paste0("model", format$ending))
    format$save(small, path)
    outcomes[paste(name, "full")] <- check_try(try_save(format, large, path), format, path)
    system2("mount", c("-o", "remount,ro", disk))
    outcomes[paste(name, "read-only")] <- check_try(try_save(format, small, path), format, path)
    other <- paste0(path, format$ending)
    outcomes[paste(name, "read-only, new")] <- check_try(try_save(format, small, other), format, path)
    system2("mount", c("-o", "remount,rw", disk))
    unlink(path)
  }
  result <- report_tries("full disk", outcomes, names(outcomes))
  proof("P10", "saves to a full disk (a tmpfs of 1 MiB) and to a read-only one",
    sprintf("%d of %d were no attn_error_file, lost the old file or left another",
      result[["wrong"]], result[["tried"]]
    ), "0", result[["wrong"]] == 0 && result[["refused"]] == result[["tried"]]
  )
}

set.seed(10)
switch(arguments[1],
  kills = kills(pick(9, 200)),
  faults = faults(arguments[2]),
  full = full(arguments[2])
)
