# Formulas of KerasHub's layers in plain R, for the tests.

# Numbers as 32-bit floats.
as_float32 <- function(x) {
  x[] <- readBin(writeBin(as.double(x), raw(), size = 4L), "double", length(x), size = 4L)
  x
}

# (T, D): one row per position
sine_table <- function(positions, width, max_wavelength = 10000) {
  feature <- seq_len(width) - 1
  timescale <- (1 / max_wavelength)^(2 * (feature %/% 2) / width)
  angle <- outer(positions, timescale)
  even <- feature %% 2 == 0
  angle[, even] <- sin(angle[, even])
  angle[, !even] <- cos(angle[, !even])
  angle
}

# A table (T, D) at every index of the axes before the last two of `shape`.
repeat_rows <- function(table, shape) {
  rank <- length(shape)
  ahead <- prod(shape[seq_len(rank - 2)])
  array(rep(table, each = ahead), shape)
}

# x: (T, F), turned in exact arithmetic.
turned <- function(x, positions, max_wavelength = 10000, scaling_factor = 1) {
  half <- ncol(x) / 2
  first <- seq_len(half)
  angle <- outer(positions / scaling_factor, max_wavelength^(-2 * (first - 1) / ncol(x)))
  a <- x[, first, drop = FALSE]
  b <- x[, half + first, drop = FALSE]
  cbind(a * cos(angle) - b * sin(angle), b * cos(angle) + a * sin(angle))
}
