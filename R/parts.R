# Long work of R's own, done in parts: R's vectorised functions cannot be left by Ctrl-C or
# a time limit before they are done.

# 1, ..., count in parts of `size`.
parts_of <- function(count, size) {
  starts <- if (count > 0) seq(1, count, by = size) else numeric()
  lapply(starts, function(start) seq.int(start, min(start + size - 1, count)))
}

# Leaves where an interrupt has come or a time limit is over.
poll <- function() .Call(ffi_poll)

# values[at], some at a time: of strings not many, as R may collect its garbage in between.
pick <- function(values, at) {
  picked <- vector(typeof(values), length(at))
  for (part in parts_of(length(at), 2^15)) {
    poll()
    picked[part] <- values[at[part]]
  }
  picked
}
