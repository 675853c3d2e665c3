# Geometry and drawing of attention scores. All lengths are inches, which are also
# the user coordinates of the one plot region (see plot-scores.R); the origin is
# its lower left corner.

# Everything the drawing needs to know: where the panels and the color bar are,
# which labels fit, and the text sizes. Text shrinks until the panels are
# reasonably large; the smallest text has to do with smaller panels.
plan_score_plot <- function(data, titles, max_labels, legend, room, owner) {
  scales <- c(1, 0.9, 0.8, 0.7, 0.6, 0.5)
  for (scale in scales) {
    plan <- plan_at_scale(data, titles, max_labels, legend, room, scale)
    smallest <- if (scale == min(scales)) 0.25 else 1.3 * scale
    if (!is.null(plan) && min(plan$panel_size) >= smallest) {
      return(plan)
    }
  }
  count <- length(data$panels)
  attn_abort(
    sprintf(
      paste(
        "%s: %s of %.1f x %.1f inches cannot hold %s with axes.",
        "Open a larger device or choose fewer heads with `heads`."
      ),
      owner, "a figure", room[1L], room[2L], count_of(count, "head")
    ),
    "attn_error_argument",
    owner = owner, argument = "heads", expected = "heads that fit on the device",
    received = count_of(count, "head")
  )
}

plan_at_scale <- function(data, titles, max_labels, legend, room, scale) {
  text <- text_sizes(scale)
  sizes <- margin_sizes(data, titles, max_labels, legend, text)
  ratio <- min(3, max(1 / 3, data$size[["query"]] / data$size[["key"]]))
  count <- length(data$panels)
  grid <- arrange_panels(count, ratio, room, sizes)
  if (is.null(grid)) {
    return(NULL)
  }
  key <- fit_key_ticks(data$key, max_labels, grid$panel_size[1L], text)
  if (key$rotated) {
    sizes$bottom <- sizes$bottom - text$line[["axis"]] + max(text_width(key$labels, text, "axis"))
    sizes$overhang <- 0
    grid <- arrange_panels(count, ratio, room, sizes)
    if (is.null(grid)) {
      return(NULL)
    }
    key <- fit_key_ticks(data$key, max_labels, grid$panel_size[1L], text, rotated = TRUE)
  }
  query <- fitting_ticks(data$query, max_labels, grid$panel_size[2L], function(labels) {
    rep(text$line[["axis"]], length(labels))
  })
  c(grid, list(key = key, query = query, text = text, sizes = sizes))
}

# Character expansions and line heights, by what the text is for.
text_sizes <- function(scale) {
  cex <- scale * c(
    axis = 0.8 * graphics::par("cex.axis"), lab = 0.95 * graphics::par("cex.lab"),
    head = 0.75 * graphics::par("cex.main"), main = graphics::par("cex.main")
  )
  list(
    scale = scale, cex = cex, font = c(
      axis = graphics::par("font.axis"), lab = graphics::par("font.lab"),
      head = graphics::par("font.main"), main = graphics::par("font.main")
    ),
    line = cex * graphics::par("cin")[2L] * graphics::par("cex")
  )
}

text_width <- function(labels, text, use) {
  graphics::strwidth(labels, units = "inches", cex = text$cex[[use]], font = text$font[[use]])
}

# Space around and between the panels, for key labels in one horizontal line.
margin_sizes <- function(data, titles, max_labels, legend, text) {
  line <- text$line
  unit <- text$scale
  query_labels <- axis_ticks(data$query, max_labels)$labels
  key_widths <- text_width(axis_ticks(data$key, max_labels)$labels, text, "axis")
  legend_numbers <- legend_ticks(data$zlim)$labels
  tick <- 0.045 * unit
  text_gap <- 0.05 * unit
  pad <- 0.1 * unit
  titled <- any(nzchar(data$names)) || legend
  legend_width <- max(
    0.15 * unit + tick + text_gap + text_width(legend_numbers, text, "axis"),
    text_width("Weight", text, "axis")
  )
  list(
    tick = tick, text_gap = text_gap, pad = pad, bar = 0.15 * unit, bar_gap = 0.22 * unit,
    left = pad + (if (is.null(titles$ylab)) 0 else 1.25 * line[["lab"]]) +
      max(text_width(query_labels, text, "axis")) + text_gap + tick,
    bottom = pad + (if (is.null(titles$xlab)) 0 else 1.25 * line[["lab"]]) +
      line[["axis"]] + tick,
    top = pad + if (is.null(titles$main)) 0 else 1.3 * line[["main"]],
    title = if (titled) 1.4 * line[["head"]] else 0,
    right = pad + if (legend) 0.22 * unit + legend_width else 0.05,
    gap = 0.16 * unit, overhang = max(key_widths)
  )
}

# Panels in the grid that makes them largest, as many as possible side by side.
# ratio: height over width of a panel. NULL if nothing fits.
arrange_panels <- function(count, ratio, room, sizes) {
  best <- NULL
  best_area <- 0
  for (columns in rev(seq_len(count))) {
    rows <- ceiling(count / columns)
    gap_x <- if (columns > 1L) max(sizes$gap, 0.75 * sizes$overhang) else 0
    width <- (room[1L] - sizes$left - sizes$right - (columns - 1) * gap_x) / columns
    height <- (room[2L] - sizes$top - sizes$bottom - rows * sizes$title -
      (rows - 1) * sizes$gap) / rows
    width <- min(width, height / ratio)
    area <- width * width * ratio * if (rows * columns > count) 0.85 else 1
    if (width > 0 && area > best_area * 1.2) {
      best_area <- area
      best <- list(
        rows = rows, columns = columns, gap_x = gap_x, panel_size = c(width, width * ratio)
      )
    }
  }
  if (!is.null(best)) place_panels(best, count, room, sizes)
}

# Corners of each panel, of the block of all panels, centered in the room.
place_panels <- function(grid, count, room, sizes) {
  width <- grid$panel_size[1L]
  height <- grid$panel_size[2L]
  block_width <- grid$columns * width + (grid$columns - 1) * grid$gap_x
  block_height <- grid$rows * height + (grid$rows - 1) * (sizes$title + sizes$gap)
  spare <- room - c(
    sizes$left + block_width + sizes$right,
    sizes$bottom + block_height + sizes$title + sizes$top
  )
  x0 <- sizes$left + spare[1L] / 2
  y1 <- room[2L] - sizes$top - sizes$title - spare[2L] / 2
  column <- (seq_len(count) - 1) %% grid$columns
  row <- (seq_len(count) - 1) %/% grid$columns
  left <- x0 + column * (width + grid$gap_x)
  top <- y1 - row * (height + sizes$title + sizes$gap)
  c(grid, list(
    panels = data.frame(
      x0 = left, y0 = top - height, x1 = left + width, y1 = top,
      is_first_column = column == 0, is_last_in_column = seq_len(count) + grid$columns > count
    ),
    block = list(x0 = x0, y0 = y1 - block_height, x1 = x0 + block_width, y1 = y1)
  ))
}

# As many labels as fit along `span` inches. extent_of(labels) gives the space
# that each needs along the axis.
fitting_ticks <- function(source, max_labels, span, extent_of) {
  for (count in rev(seq_len(min(max_labels, source$count)))) {
    ticks <- axis_ticks(source, count)
    if (labels_fit(ticks$at, extent_of(ticks$labels), span / source$count)) {
      break
    }
  }
  ticks
}

labels_fit <- function(at, extents, step) {
  last <- length(at)
  last < 2L || all((extents[-1L] + extents[-last]) / 2 + 0.05 <= diff(at) * step)
}

# Key labels lie flat if they can. Positions are thinned for that and dates too, as
# long as three remain; words are better all there and turned.
fit_key_ticks <- function(source, max_labels, span, text, rotated = FALSE) {
  widths <- function(labels) text_width(labels, text, "axis")
  heights <- function(labels) rep(text$line[["axis"]], length(labels))
  if (!rotated) {
    ticks <- fitting_ticks(source, max_labels, span, widths)
    wanted <- length(axis_ticks(source, max_labels)$at)
    rotated <- length(ticks$at) < switch(source$kind, position = 1L, date = min(3L, wanted), wanted)
  }
  if (rotated) {
    ticks <- fitting_ticks(source, max_labels, span, heights)
  }
  c(ticks, list(rotated = rotated))
}

legend_ticks <- function(zlim) {
  at <- pretty(zlim, n = 5)
  slack <- diff(zlim) * 1e-8
  at <- at[at >= zlim[1L] - slack & at <= zlim[2L] + slack]
  list(at = at, labels = format(at, trim = TRUE))
}

draw_score_plot <- function(data, plan, titles, colors, legend) {
  for (i in seq_along(data$panels)) {
    box <- plan$panels[i, ]
    cells <- color_cells(data$panels[[i]], data$zlim, colors)
    draw_cells(cells, box)
    draw_steps(data, box)
    graphics::rect(box$x0, box$y0, box$x1, box$y1, border = "gray40", lwd = 0.8)
    graphics::text((box$x0 + box$x1) / 2, box$y1 + 0.4 * plan$text$line[["head"]],
      data$names[i],
      adj = c(0.5, 0), cex = plan$text$cex[["head"]], font = plan$text$font[["head"]],
      col = graphics::par("col.main")
    )
    if (box$is_first_column) draw_query_axis(plan, box, data$size[["query"]])
    if (box$is_last_in_column) draw_key_axis(plan, box, data$size[["key"]])
  }
  draw_titles(plan, titles)
  if (legend) draw_legend(plan, data$zlim, data$beyond, colors)
}

color_cells <- function(values, zlim, colors) {
  share <- (values - zlim[1L]) / diff(zlim)
  share <- pmin(1, pmax(0, share))
  cells <- colors[1L + round(share * (length(colors) - 1L))]
  cells[is.na(cells)] <- "gray80"
  matrix(cells, nrow(values), ncol(values))
}

# A few cells are rectangles with a fine outline. Many are an image, enlarged
# because some PDF viewers blur the cells of small images.
draw_cells <- function(cells, box) {
  rows <- nrow(cells)
  columns <- ncol(cells)
  few <- rows <= 32L && columns <= 32L
  if (few || identical(grDevices::dev.capabilities("rasterImage")$rasterImage, "no")) {
    x <- box$x0 + (col(cells) - 1) / columns * (box$x1 - box$x0)
    y <- box$y1 - (row(cells) - 1) / rows * (box$y1 - box$y0)
    graphics::rect(x, y, x + (box$x1 - box$x0) / columns, y - (box$y1 - box$y0) / rows,
      col = cells, border = if (few) "gray88" else cells, lwd = 0.4
    )
  } else {
    enlarged <- cells[
      rep(seq_len(rows), each = ceiling(600 / rows)),
      rep(seq_len(columns), each = ceiling(600 / columns))
    ]
    graphics::rasterImage(grDevices::as.raster(enlarged), box$x0, box$y0, box$x1, box$y1,
      interpolate = FALSE
    )
  }
}

# With several axes on a side: where the position on the first one changes.
draw_steps <- function(data, box) {
  inner_steps <- function(source) {
    if (!is.null(source$block)) {
      utils::head(seq_len(source$count %/% source$block), -1L) * source$block
    }
  }
  down <- inner_steps(data$query)
  across <- inner_steps(data$key)
  if (length(down)) {
    y <- box$y1 - down / data$size[["query"]] * (box$y1 - box$y0)
    graphics::segments(box$x0, y, box$x1, y, col = "gray55", lwd = 0.7)
  }
  if (length(across)) {
    x <- box$x0 + across / data$size[["key"]] * (box$x1 - box$x0)
    graphics::segments(x, box$y0, x, box$y1, col = "gray55", lwd = 0.7)
  }
}

draw_query_axis <- function(plan, box, count) {
  y <- box$y1 - (plan$query$at - 0.5) / count * (box$y1 - box$y0)
  graphics::segments(box$x0 - plan$sizes$tick, y, box$x0, y, col = "gray40", lwd = 0.8)
  x <- box$x0 - plan$sizes$tick - plan$sizes$text_gap
  draw_labels(plan, x, y, plan$query$labels, c(1, 0.45))
}

draw_key_axis <- function(plan, box, count) {
  x <- box$x0 + (plan$key$at - 0.5) / count * (box$x1 - box$x0)
  graphics::segments(x, box$y0 - plan$sizes$tick, x, box$y0, col = "gray40", lwd = 0.8)
  y <- box$y0 - plan$sizes$tick - plan$sizes$text_gap
  if (plan$key$rotated) {
    draw_labels(plan, x, y, plan$key$labels, c(1, 0.45), srt = 90)
  } else {
    # Placed by the baseline, so that letters that hang below it do not lift a label.
    y <- y - 0.6 * plan$text$line[["axis"]]
    draw_labels(plan, x, y, plan$key$labels, c(0.5, 0))
  }
}

draw_labels <- function(plan, x, y, labels, adj, srt = 0) {
  graphics::text(x, y, labels,
    adj = adj, srt = srt, cex = plan$text$cex[["axis"]], font = plan$text$font[["axis"]],
    col = graphics::par("col.axis")
  )
}

draw_titles <- function(plan, titles) {
  block <- plan$block
  line <- plan$text$line
  middle <- c((block$x0 + block$x1) / 2, (block$y0 + block$y1) / 2)
  write_title <- function(title, x, y, use, color, srt = 0) {
    if (!is.null(title)) {
      graphics::text(x, y, title,
        srt = srt, cex = plan$text$cex[[use]], font = plan$text$font[[use]],
        col = graphics::par(color)
      )
    }
  }
  left <- block$x0 - plan$sizes$left + plan$sizes$pad
  bottom <- block$y0 - plan$sizes$bottom + plan$sizes$pad
  top <- block$y1 + plan$sizes$title + plan$sizes$top - plan$sizes$pad
  write_title(titles$ylab, left + 0.4 * line[["lab"]], middle[2L], "lab", "col.lab", srt = 90)
  write_title(titles$xlab, middle[1L], bottom + 0.4 * line[["lab"]], "lab", "col.lab")
  write_title(titles$main, middle[1L], top - 0.5 * line[["main"]], "main", "col.main")
}

# A bar with numbers. A pointed end says that there are weights beyond it.
draw_legend <- function(plan, zlim, beyond, colors) {
  block <- plan$block
  x <- block$x1 + plan$sizes$bar_gap + c(0, 0.5, 1) * plan$sizes$bar
  tip <- 0.8 * plan$sizes$bar
  top <- block$y1
  bottom <- max(block$y0, top - 3)
  y0 <- bottom + if (beyond[1L]) tip else 0
  y1 <- top - if (beyond[2L]) tip else 0
  edges <- y0 + seq(0, 1, length.out = length(colors) + 1L) * (y1 - y0)
  graphics::rect(x[1L], edges[-length(edges)], x[3L], edges[-1L], col = colors, border = NA)
  if (beyond[1L]) graphics::polygon(x, c(y0, bottom, y0), col = colors[1L], border = NA)
  if (beyond[2L]) graphics::polygon(x, c(y1, top, y1), col = colors[length(colors)], border = NA)
  graphics::polygon(c(x, rev(x)), c(y0, bottom, y0, y1, top, y1), border = "gray40", lwd = 0.8)
  ticks <- legend_ticks(zlim)
  y <- y0 + (ticks$at - zlim[1L]) / diff(zlim) * (y1 - y0)
  graphics::segments(x[3L], y, x[3L] + plan$sizes$tick, y, col = "gray40", lwd = 0.8)
  draw_labels(plan, x[3L] + plan$sizes$tick + plan$sizes$text_gap, y, ticks$labels, c(0, 0.45))
  draw_labels(plan, x[1L], top + 0.55 * plan$text$line[["head"]], "Weight", c(0, 0))
}
