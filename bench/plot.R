# plot.R CSV FOLDER: throughput against T and memory against T, as throughput.svg
# and memory.svg.

arguments <- commandArgs(TRUE)
data <- utils::read.csv(arguments[1L])
colors <- c(attn = "#1b6ca8", onnxruntime = "#c1440e", pytorch = "#6b6b6b")
line_types <- c(full = 1, causal = 2)

# A line per peer and mask through (T, y), both axes logarithmic where said.
draw <- function(points, y_label, title, log, y_range) {
  graphics::par(mar = c(3.6, 4.6, 2.4, 1), las = 1, mgp = c(2.4, 0.6, 0), tcl = -0.3)
  graphics::plot(range(points$T), y_range,
    type = "n", log = log, xaxt = "n", xlab = "T (length)", ylab = "", main = title,
    font.main = 1, bty = "l"
  )
  graphics::mtext(y_label, side = 2, line = 3.2, las = 0)
  lengths <- sort(unique(points$T))
  graphics::axis(1, lengths, format(lengths, big.mark = ",", trim = TRUE))
  for (peer in names(colors)) {
    for (mask in names(line_types)) {
      one <- points[points$peer == peer & points$mask == mask, ]
      one <- one[order(one$T), ]
      graphics::lines(one$T, one$y,
        type = "o", col = colors[[peer]], lty = line_types[[mask]], pch = 19, cex = 0.7, lwd = 1.8
      )
    }
  }
  there <- names(colors) %in% points$peer
  graphics::legend("topleft", c(names(colors)[there], names(line_types)),
    col = c(colors[there], "black", "black"), lty = c(rep(1, sum(there)), line_types),
    bty = "n", lwd = 1.8
  )
}

to_file <- function(name, ...) {
  grDevices::svg(file.path(arguments[2L], name), width = 7, height = 4.5)
  draw(...)
  invisible(grDevices::dev.off())
}

layer <- data[data$kind == "layer" & data$B == 1 & data$D == 512 & data$N == 8 & data$G == 8 &
  data$K == 64 & data$variant == "plain" & data$dtype == "float32" & data$threads == 2 &
  data$peer %in% names(colors) & data$mask %in% names(line_types) & is.finite(data$seconds) &
  data$section %in% c("Multi-head layer", "Multi-head layer, other lengths"), ]
layer$y <- layer$gigaflop / layer$seconds
if (nrow(layer) > 1L) {
  to_file("throughput.svg", layer, "GFLOP/s, masked pairs not counted",
    "Multi-head layer (1, T, 512, 8), two threads", "x", c(0, 1.25 * max(layer$y))
  )
}

memory <- data[data$kind == "memory" & !is.na(data$bytes), ]
memory$y <- memory$bytes / 1e6
if (nrow(memory) > 1L) {
  to_file("memory.svg", memory, "MB beyond what was there before",
    "Peak memory of one call, (1, T, 512, 8)", "xy", range(memory$y) * c(0.8, 2)
  )
}
