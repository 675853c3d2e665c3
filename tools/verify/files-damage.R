# Files that are damaged or hostile: cut at every length, changed in every byte, made to ask
# for memory, configs that say something else. Each is an error with a class, or a right load.
source(file.path(Sys.getenv("ATTN_ROOT"), "tools/verify/proof.R"))
library(attn)
options(warn = 1)
suppressWarnings(requireNamespace("hdf5r", quietly = TRUE))
cores <- max(1L, min(2L, parallel::detectCores()))
set.seed(10)

# ---- small files, and how each is read ----

input <- keras_input(2, name = "x")
model <- keras_model(input, layer_dense(input, 1, name = "out"), name = "m")
right <- get_weights(model)

save_as <- function(save, ending) {
  path <- tempfile(fileext = ending)
  save(model, path)
  readBin(path, "raw", file.size(path))
}

is_right <- function(model) {
  identical(unname(get_weights(model)), unname(right)) && identical(get_config(model), config)
}
config <- get_config(model)

in_file <- function(bytes, use) {
  path <- file.path(getwd(), paste0("damaged-", Sys.getpid()))
  writeBin(bytes, path)
  use(path)
}

# A reader gives TRUE for a right load. Those of files look at the weights first, since
# whatever is refused there is not a model either.
formats <- list(
  safetensors = list(
    bytes = save_as(save_model, ".safetensors"), flips = pick(1L, 255L), step = 1L,
    finds_all = TRUE, # a checksum of the whole file, and a key that asks for it
    read = function(bytes) in_file(bytes, function(path) {
      attn:::read_safetensors(path)
      is_right(load_model(path))
    })
  ),
  config = list(
    bytes = charToRaw(save_model_config(model)), flips = pick(1L, 255L), step = pick(5L, 1L),
    read = function(bytes) identical(get_config(load_model_config(bytes)), config)
  )
)
if (requireNamespace("hdf5r", quietly = TRUE)) {
  formats$weights.h5 <- list(
    bytes = save_as(save_model_weights, ".weights.h5"), flips = 1L, step = pick(11L, 1L),
    read = function(bytes) {
      other <- clone_model(model)
      load_model_weights(other, bytes)
      identical(unname(get_weights(other)), unname(right))
    }
  )
  if (requireNamespace("zip", quietly = TRUE)) {
    formats$keras <- list(
      bytes = save_model(model), flips = 1L, step = pick(101L, 1L),
      read = function(bytes) {
        attn:::read_keras_archive(bytes)
        is_right(load_model(bytes))
      }
    )
  }
}

# The state of a layer within what serialize() makes; its length stands before it.
layer <- layer_multi_head_attention(num_heads = 1, key_dim = 1)
query <- array(0, c(1, 1, 1))
invisible(layer(query, query))
stream <- serialize(layer, NULL)
state_start <- grepRaw("ATTNLAY1", stream, fixed = TRUE)
state_size <- sum(as.integer(stream[state_start - 4:1]) * 256^(3:0))
formats$state <- list(
  bytes = stream[state_start + seq_len(state_size) - 1L], flips = pick(3L, 255L), step = 1L,
  refusal = "attn_error_state",
  read = function(bytes) {
    length <- as.raw(length(bytes) %/% 256^(3:0) %% 256)
    whole <- c(
      stream[seq_len(state_start - 5L)], length, bytes,
      stream[-seq_len(state_start + state_size - 1L)]
    )
    identical(get_weights(unserialize(whole)), get_weights(layer))
  }
)

# HDF5 files of forms that attn does not read itself go to the HDF5 library, in a process of
# its own that takes a second: the first ones do, and the others only up to that door.
foreign <- new.env()
foreign$left <- pick(2L, 50L)
read_foreign <- attn:::read_foreign_h5
unlockBinding("read_foreign_h5", asNamespace("attn"))
assign("read_foreign_h5", function(path, bytes, reason, owner) {
  foreign$left <- foreign$left - 1L
  if (foreign$left < 0L) {
    foreign$handed_over <- TRUE
    attn:::abort_file(owner, path, "handed to the HDF5 library")
  }
  started <- proc.time()
  on.exit(foreign$time <- sum(proc.time()[c("elapsed")] - started["elapsed"]))
  read_foreign(path, bytes, reason, owner)
}, asNamespace("attn"))

# `refusal`: the class that an error must have.
outcome_of <- function(read, bytes, refusal = "attn_error_file") {
  foreign$handed_over <- FALSE
  tryCatch(
    if (read(bytes)) "same" else "other",
    error = function(error) {
      if (foreign$handed_over) return("handed over")
      if (inherits(error, c(refusal, "attn_error_memory"))) return("refused")
      message("not an ", refusal, ": ", conditionMessage(error))
      "unclassed"
    }
  )
}

# ---- every cut and every changed byte ----

# A list of what is done to the bytes: the lengths, and place and change.
damages <- function(format) {
  size <- length(format$bytes)
  cuts <- seq(0L, size - 1L, by = format$step)
  places <- seq(1L, size, by = format$step)
  changes <- if (format$flips == 255L) {
    rep(list(1:255), length(places))
  } else {
    lapply(places, function(place) sample(255L, format$flips))
  }
  list(cut = cuts, place = rep(places, lengths(changes)), change = unlist(changes))
}

refusal_of <- function(format) if (is.null(format$refusal)) "attn_error_file" else format$refusal

damage <- function(bytes, place, change) {
  bytes[place] <- xor(bytes[place], as.raw(change))
  bytes
}

# In children, so that a crash is counted: a part without an answer is one.
count_outcomes <- function(format) {
  work <- damages(format)
  jobs <- c(
    lapply(work$cut, function(length) list(length = length)),
    Map(function(place, change) list(place = place, change = change), work$place, work$change)
  )
  run <- function(jobs) {
    slowest <- 0
    outcomes <- vapply(jobs, function(job) {
      bytes <- if (is.null(job$length)) damage(format$bytes, job$place, job$change) else
        format$bytes[seq_len(job$length)]
      foreign$time <- 0
      started <- proc.time()
      outcome <- outcome_of(format$read, bytes, refusal_of(format))
      took <- sum((proc.time() - started)[c("user.self", "sys.self")])
      slowest <<- max(slowest, took)
      outcome
    }, "")
    list(table = table(factor(outcomes, c("refused", "same", "other", "unclassed", "handed over"))), slowest = slowest)
  }
  parts <- split(jobs, rep_len(seq_len(cores * 4L), length(jobs)))
  results <- suppressWarnings(parallel::mclapply(parts, run, mc.cores = cores, mc.preschedule = FALSE))
  lost <- !vapply(results, is.list, NA)
  list(
    count = Reduce(`+`, lapply(results[!lost], `[[`, "table")), crashes = sum(lost),
    slowest = max(vapply(results[!lost], `[[`, 1, "slowest")), tried = length(jobs)
  )
}

each_damage <- function() {
  for (name in names(formats)) {
    result <- count_outcomes(formats[[name]])
    count <- result$count
    # a text of JSON and an HDF5 file have no checksum, and some bytes of them are numbers
    others <- c(config = "another model", weights.h5 = "other numbers (the format has no checksum)")
    may_differ <- name %in% names(others)
    finds_all <- isTRUE(formats[[name]]$finds_all)
    proof("P10",
      sprintf("%s: cut at %s of its %d bytes, and that byte changed to %s", name,
        if (formats[[name]]$step == 1L) "each" else sprintf("every %dth", formats[[name]]$step),
        length(formats[[name]]$bytes),
        switch(as.character(formats[[name]]$flips), `1` = "a random value",
          `255` = "all 255 others", sprintf("%d random values", formats[[name]]$flips)
        )
      ),
      sprintf("%d crashes and %d errors of another class than %s in %d files; %d refused, %d loaded right%s%s; at most %.2f s",
        result$crashes, count[["unclassed"]], refusal_of(formats[[name]]), result$tried, count[["refused"]], count[["same"]],
        if (may_differ) sprintf(", %d with %s", count[["other"]], others[[name]]) else
          sprintf(", %d wrong", count[["other"]]),
        if (count[["handed over"]]) {
          sprintf(", %d more are for the HDF5 library", count[["handed over"]])
        } else "",
        result$slowest
      ),
      paste0("0 crashes, 0 wrong, ", if (finds_all) "0 loaded, ", "1 s of processor time"),
      result$crashes == 0 && count[["unclassed"]] == 0 && (may_differ || count[["other"]] == 0) &&
        !(finds_all && count[["same"]] > 0) && result$slowest <= pick(10, 1)
    )
  }
}

# ---- configs that say something else ----

hostile_values <- list(
  NULL, NA, TRUE, -1, 0L, 1.5, 2^31, 1e12, 1e308, Inf, NaN, "", "a", strrep("x", 1e5), "\u00e9\u4e2d\U1F600",
  list(), list(1, 2), list(a = 1), rep(list(NULL), 5), list(list(list())), "relu",
  list(class_name = "Lambda", config = list()), list(class_name = "Dense", config = list()),
  list(module = "os", class_name = "system", config = list(command = "true")), 2147483647L,
  as.list(rep(65536L, 8)), list("x", 0L, 0L), list("out", 0L, 0L), list("nobody", 9L, 9L)
)

# all places of a config, as paths of indices
places_of <- function(x, at = integer()) {
  if (!is.list(x) || !length(x)) return(list(at))
  c(list(at), unlist(lapply(seq_along(x), function(i) places_of(x[[i]], c(at, i))), FALSE))
}

mutate <- function(config) {
  for (n in seq_len(sample(3L, 1L))) {
    places <- Filter(length, places_of(config))
    place <- places[[sample(length(places), 1L)]]
    parent <- place[-length(place)]
    i <- place[length(place)]
    level <- if (length(parent)) config[[parent]] else config
    if (i > length(level)) next
    kind <- sample(6L, 1L)
    if (kind == 1L) {
      level <- level[-i]
    } else if (kind == 2L && !is.null(names(level))) {
      names(level)[i] <- sample(c("", "name", "class_name", "config", "units", "\u00e9", "registered_name"), 1L)
    } else if (kind == 3L) {
      level <- c(level, level[i])
    } else if (kind == 4L) {
      deep <- level[i]
      for (d in seq_len(sample(c(3L, 40L, 150L), 1L))) deep <- list(deep)
      level[i] <- list(deep)
    } else if (kind == 5L) {
      other <- places[[sample(length(places), 1L)]]
      level[i] <- list(config[[other]])
    } else {
      level[i] <- hostile_values[sample(length(hostile_values), 1L)]
    }
    if (length(parent)) config[[parent]] <- level else config <- level
  }
  config
}

each_config <- function(count) {
  x <- keras_input(c(3, 4), name = "x")
  h <- layer_einsum_dense(layer_add(x, layer_multi_head_attention(num_heads = 2, key_dim = 2, name = "mha")(x, x)),
    equation = "abc,cd->abd", output_shape = c(NA, 4), bias_axes = "d", name = "ed"
  )
  big <- keras_model(x, layer_dense(layer_layer_normalization(h), 2, activation = "gelu"), name = "big")
  stack <- keras_model_sequential(input_shape = c(5, 4), name = "s") |>
    layer_conv_1d(filters = 2, kernel_size = 2) |> layer_flatten() |> layer_dense(units = 1)
  sources <- lapply(list(big, stack, model), function(model) {
    jsonlite::parse_json(save_model_config(model))
  })
  run <- function(seed) {
    set.seed(seed)
    slowest <- 0
    outcomes <- vapply(seq_len(count / 8), function(i) {
      json <- tryCatch(
        charToRaw(enc2utf8(attn:::write_json(mutate(sources[[sample(3L, 1L)]])))),
        error = function(error) raw()
      )
      if (stats::runif(1) < 0.2 && length(json) > 10) {
        json[sample(length(json), 2L)] <- as.raw(sample(0:255, 2L))
      }
      started <- proc.time()
      outcome <- tryCatch(
        {
          load_model_config(json)
          "same"
        },
        attn_error_file = function(error) "refused", attn_error_memory = function(error) "refused",
        error = function(error) {
          message("not an attn_error_file: ", conditionMessage(error), "\n", substr(rawToChar(json[json != 0]), 1, 3000))
          "unclassed"
        }
      )
      slowest <<- max(slowest, sum((proc.time() - started)[c("user.self", "sys.self")]))
      outcome
    }, "")
    list(table = table(factor(outcomes, c("refused", "same", "unclassed"))), slowest = slowest)
  }
  results <- suppressWarnings(parallel::mclapply(1:8, run, mc.cores = cores, mc.preschedule = FALSE))
  lost <- !vapply(results, is.list, NA)
  total <- Reduce(`+`, lapply(results[!lost], `[[`, "table"))
  slowest <- max(vapply(results[!lost], `[[`, 1, "slowest"))
  proof("P10", "configs changed at random: fields, types, sizes, nesting, names, calls",
    sprintf("%d crashes and %d errors of another class than attn_error_file in %d configs; %d refused, %d made a model; at most %.2f s",
      sum(lost), total[["unclassed"]], sum(total), total[["refused"]], total[["same"]], slowest
    ),
    "0 crashes", !any(lost) && total[["unclassed"]] == 0 && slowest <= pick(20, 5)
  )
}

# ---- small files that claim to be large ----

number <- function(x, width) as.raw(floor(x / 256^(seq_len(width) - 1)) %% 256)

header_file <- function(header, data = raw(), size = nchar(header)) {
  c(number(size, 8), charToRaw(header), data)
}

shape_file <- function(shape, end) {
  header_file(sprintf("{\"a\":{\"dtype\":\"F64\",\"shape\":%s,\"data_offsets\":[0,%s]}}", shape, end), raw(8))
}

# A member of a ZIP archive that is said to have this size, in both of its headers.
grown_member <- function(bytes, name, size) {
  for (at in grepRaw(name, bytes, fixed = TRUE, all = TRUE)) {
    if (identical(bytes[at - 30 + 0:3], as.raw(c(0x50, 0x4B, 3, 4)))) bytes[at - 30 + 22:25] <- number(size, 4)
    if (identical(bytes[at - 46 + 0:3], as.raw(c(0x50, 0x4B, 1, 2)))) bytes[at - 46 + 24:27] <- number(size, 4)
  }
  bytes
}

# A .keras file with this text as its config.json, compressed.
packed_keras <- function(text) {
  folder <- tempfile("packed-")
  dir.create(folder)
  archive <- attn:::read_zip_directory(in_file(formats$keras$bytes, identity), "files", "files")
  for (i in seq_len(nrow(archive))) {
    at <- archive$end[i] - archive$size[i]
    writeBin(formats$keras$bytes[at + seq_len(archive$size[i])], file.path(folder, archive$name[i]))
  }
  cat(text, file = file.path(folder, "config.json"))
  path <- file.path(folder, "packed.keras")
  zip::zip(path, archive$name, root = folder, mode = "cherry-pick", compression_level = 9)
  readBin(path, "raw", file.size(path))
}

# An HDF5 file of 4 million zeros, compressed to a thousandth of them.
packed_h5 <- function() {
  path <- tempfile(fileext = ".h5")
  file <- hdf5r::H5File$new(path, "w")
  file$create_dataset("a", numeric(4e6), chunk_dims = 4e6, gzip_level = 9)
  file$close_all()
  readBin(path, "raw", file.size(path))
}

# The dims of the first data of an HDF5 file, 2 x 1 of Keras's doubles, made 10^12.
grown_h5 <- function(bytes) {
  at <- grepRaw(c(number(2, 8), number(1, 8)), bytes, fixed = TRUE, all = TRUE)
  for (place in at) bytes[place + 0:15] <- c(number(1e6, 8), number(1e6, 8))
  if (length(at)) bytes
}

hostile_files <- function() {
  giant <- sub("\"units\": 1", "\"units\": 2147483647", rawToChar(formats$config$bytes), fixed = TRUE)
  read <- attn:::read_safetensors(in_file(formats$safetensors$bytes, identity))
  list(
    "a header of 2^62 bytes" = header_file("{}", size = 2^62),
    "a header of 99 MB" = header_file("{}", size = 99e6),
    "a tensor of 8 TB" = shape_file("[1000000,1000000]", "8000000000000"),
    "a tensor beyond 64 bits" = shape_file("[9000000000000000000,9000000000000000000]", "8"),
    "a tensor whose size wraps to 8" = shape_file("[2305843009213693953]", "8"),
    "100,000 levels of JSON" = charToRaw(strrep("[", 1e5)),
    "a layer of 2^31 units beside 3 weights" = save_as(function(model, path) {
      attn:::write_safetensors(path, read$tensors, metadata = c(config = giant))
    }, ".safetensors"),
    "a ZIP member of 4 GB" = if (!is.null(formats$keras)) grown_member(formats$keras$bytes, "model.weights.h5", 2^32 - 2),
    "a config.json of 4 GB" = if (!is.null(formats$keras)) grown_member(formats$keras$bytes, "config.json", 2^32 - 2),
    "a config.json of 48 MiB in 50 KB" = if (!is.null(formats$keras)) packed_keras(strrep(" ", 48 * 2^20)),
    "a million numbers in 20 KB" = if (!is.null(formats$keras)) packed_keras(paste0("[", strrep("1,", 2^20), "1]")),
    "an HDF5 file of 10^12 weights" = if (!is.null(formats$weights.h5)) grown_h5(formats$weights.h5$bytes),
    "4 million zeros of HDF5 in 35 KB" = if (!is.null(formats$weights.h5)) packed_h5()
  )
}

status_of <- function(field) {
  line <- grep(paste0("^", field, ":"), readLines("/proc/self/status"), value = TRUE)
  as.numeric(gsub("[^0-9]", "", line)) / 1024
}

# What code comes to in a process of its own: what others left behind would hide what it takes.
in_child <- function(code) parallel::mccollect(parallel::mcparallel(code))[[1L]]

# list(outcome =, time =, growth = MiB beyond the size of the file)
cost_of <- function(read, bytes) {
  gc()
  before <- status_of("VmRSS")
  cat("5", file = "/proc/self/clear_refs")
  started <- proc.time()
  outcome <- outcome_of(function(bytes) !is.null(read(bytes)), bytes)
  list(
    outcome = outcome, time = sum((proc.time() - started)[c("user.self", "sys.self")]),
    growth = status_of("VmHWM") - before - length(bytes) / 2^20
  )
}

each_hostile <- function() {
  if (!file.exists("/proc/self/clear_refs")) {
    return(proof_skipped("P10", "small files that claim to be large", "there is no /proc/self/clear_refs"))
  }
  files <- Filter(Negate(is.null), in_child(hostile_files()))
  read <- function(bytes) if (identical(bytes[1], charToRaw("["))) load_model_config(bytes) else load_model(bytes)
  # what is read first brings code into memory; hostile files are read once, when they count
  for (right in c("safetensors", "keras", "weights.h5")) {
    if (!is.null(formats[[right]])) outcome_of(function(bytes) !is.null(read(bytes)), formats[[right]]$bytes)
  }
  costs <- lapply(files, function(bytes) in_child(cost_of(read, bytes)))
  lost <- !vapply(costs, is.list, NA)
  refused <- sum(vapply(costs[!lost], `[[`, "", "outcome") == "refused")
  slowest <- max(vapply(costs[!lost], `[[`, 1, "time"))
  growth <- vapply(costs[!lost], `[[`, 1, "growth")
  for (name in names(costs)) {
    cost <- costs[[name]]
    if (!is.list(cost) || cost$outcome != "refused" || cost$growth > 16) {
      message(name, ": ", if (is.list(cost)) sprintf("%s, %.1f MiB", cost$outcome, cost$growth) else "a crash")
    }
  }
  proof("P10", sprintf("small files that claim to be large (%s, ...)", toString(names(files)[c(3, 7, 8, 10)])),
    sprintf("%d of %d refused; R's process takes %.1f MiB beyond the file's size and %.2f s at most", refused, length(files),
      max(growth), slowest
    ),
    "all, 16 MiB, 1 s", refused == length(files) && max(growth) <= 16 && slowest <= pick(10, 1)
  )
}

switch(commandArgs(TRUE)[1],
  damage = each_damage(),
  configs = each_config(pick(400, 40000)),
  hostile = each_hostile()
)
