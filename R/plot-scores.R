# The picture of attention scores. Three steps, of which only the last draws:
# prepare_score_panels() picks and checks the data, arrange_panels() divides the
# figure region, and the draw_* functions put it on the device.
#
# All panels share one plot region whose user coordinates are inches. So text can
# be measured and placed exactly, no margin can be too large, and the plot fits
# into a cell of the user's own par(mfrow) or layout() without disturbing it.

#' Draw attention scores
#'
#' A heat map for each head, side by side or in a grid, whichever gives the larger
#' maps on the device. Queries run from top to bottom, keys from left to right; all
#' heads share one color scale, from white (no weight) to dark (most weight), which
#' the bar on the right explains.
#'
#' Weights outside `zlim` get the color of the nearer end, and that end of the bar is
#' then pointed; weights that are not numbers are gray. Maps with more than 600 rows
#' or columns are drawn with fewer cells, each showing the largest weight that it
#' stands for, so that narrow bands stay visible. Scores with several attention axes
#' are flattened in order, the last axis fastest; the labels then give the position on
#' every axis, such as `2,3`, and fine lines separate the steps of the first axis.
#'
#' The plot takes one figure of the current device, so it can be a cell of
#' `par(mfrow = )` or `layout()`. Text shrinks on small devices.
#'
#' @param x Attention scores as returned by a layer called with
#'   `return_attention_scores = TRUE`: an array of class [attn_scores] and of shape
#'   `(B, N, T, S)`, `(B, T, S)` or with several attention axes.
#' @param batch Which batch row to draw, a whole number from 1; default 1. With
#'   several batch axes one number for each, or a single number that counts through
#'   them with the last axis fastest.
#' @param heads Which heads to draw, whole numbers from 1, in the order wanted.
#'   `NULL` (default): all. Scores without a head axis are one panel.
#' @param query_labels,key_labels `NULL` or one label for each query or key: text,
#'   numbers, a factor, dates or times. The default is the dimnames if there are any,
#'   otherwise positions. Dates in ascending order are labeled at round dates.
#' @param head_labels `NULL` (default: "Head 1", "Head 2", ...) or a title for each panel
#'   that is drawn, strings.
#' @param main The title above all panels, a string or an expression, or `NULL`
#'   (default) for none.
#' @param xlab,ylab The titles of the axes, as `main`.
#' @param palette The colors from low to high: the name of a sequential palette of
#'   [grDevices::hcl.pals()] (default `"Blues"`; its light end is the low one), a
#'   vector of at least two colors to blend, or a function that returns `n` colors.
#' @param zlim The weights at the ends of the color scale, two increasing numbers.
#'   `NULL` (default): from 0 (or the smallest weight drawn, if negative) to the
#'   largest weight drawn, or in maps of 1000 cells and more to the weight that one
#'   cell in 200 exceeds, if the largest is more than twice that. Set it to compare
#'   several plots, and to `c(0, 1)` for the whole range.
#' @param max_labels How many labels an axis may have, a positive whole number;
#'   default 12. Where they would touch, fewer are shown.
#' @param legend Whether to draw the color bar, `TRUE` (default) or `FALSE`.
#' @param ... Graphical parameters for this plot: `bg`, `cex`, `cex.axis`, `cex.lab`,
#'   `cex.main`, `col.axis`, `col.lab`, `col.main`, `family`, `fg`, `font.axis`,
#'   `font.lab` or `font.main`, see [graphics::par()].
#'
#' @return `x`, invisibly. Graphical parameters are as before the call.
#'
#' @section Errors:
#' `attn_error_argument` if `batch` or `heads` is out of range, labels have a wrong
#' length, any other argument has a wrong type or value, there are no weights to
#' draw, or the device is too small for that many heads.
#'
#' @references Heat maps of heads as in Vaswani et al. (2017),
#'   <https://arxiv.org/abs/1706.03762>. Palettes: Zeileis et al. (2020),
#'   \doi{10.18637/jss.v096.i01}.
#' @seealso [summary.attn_scores()], [as.data.frame.attn_scores()]
#' @examples
#' set.seed(1)
#' x <- array(rnorm(1 * 6 * 8), c(1, 6, 8))
#' layer <- layer_multi_head_attention(num_heads = 2L, key_dim = 4L)
#' res <- layer(x, x, return_attention_scores = TRUE)
#' plot(res[[2]])
#'
#' words <- c("the", "cat", "sat", "on", "the", "mat")
#' plot(res[[2]], heads = 2, query_labels = words, key_labels = words, main = "Who looks at whom")
#' @export
plot.attn_scores <- function(x, batch = 1L, heads = NULL, query_labels = NULL,
                             key_labels = NULL, main = NULL, xlab = "Key", ylab = "Query",
                             palette = "Blues", zlim = NULL, max_labels = 12L,
                             legend = TRUE, head_labels = NULL, ...) {
  owner <- "plot.attn_scores"
  data <- prepare_score_panels(
    x, batch, heads, query_labels, key_labels, zlim, head_labels, owner
  )
  titles <- list(
    main = check_title(main, owner, "main"), xlab = check_title(xlab, owner, "xlab"),
    ylab = check_title(ylab, owner, "ylab")
  )
  colors <- score_colors(palette, owner)
  max_labels <- check_positive_int(max_labels, owner, "max_labels")
  legend <- check_flag(legend, owner, "legend")
  settings <- check_plot_settings(list(...), owner)

  grDevices::dev.hold()
  on.exit(grDevices::dev.flush())
  # `mar` last: a change of `cex` changes the margins in inches.
  changed <- c(settings, list(pty = "m", xpd = NA, mar = c(0, 0, 0, 0)))
  before <- graphics::par(c("xlog", "ylog", names(changed), "usr", "xaxp", "yaxp"))
  on.exit(graphics::par(before), add = TRUE, after = FALSE)
  graphics::par(changed)
  graphics::plot.new()
  room <- graphics::par("fin")
  graphics::par(usr = c(0, room[1L], 0, room[2L]))
  plan <- plan_score_plot(data, titles, max_labels, legend, room, owner)
  draw_score_plot(data, plan, titles, colors, legend)
  invisible(x)
}

plot_settings <- c(
  "bg", "cex", "cex.axis", "cex.lab", "cex.main", "col.axis", "col.lab", "col.main",
  "family", "fg", "font.axis", "font.lab", "font.main"
)

check_plot_settings <- function(settings, owner) {
  check_no_unknown(settings, plot_settings, owner)
  for (name in names(settings)) {
    value <- settings[[name]]
    if (startsWith(name, "cex")) {
      check_number(value, owner, name, min = 0.01, max = 50)
    } else if (startsWith(name, "font")) {
      check_positive_int(value, owner, name)
    } else if (name == "family") {
      check_family(value, owner)
    } else if (!are_colors(value) || length(value) != 1L) {
      abort_argument(owner, name, "one color", value)
    }
  }
  settings
}

# The default family is the empty string, which check_string() refuses.
check_family <- function(value, owner) {
  if (!identical(value, "")) check_string(value, owner, "family")
}

check_title <- function(title, owner, argument) {
  if (is.null(title) || is.language(title)) {
    return(title)
  }
  if (!is_string(title)) {
    abort_argument(owner, argument, "a string, an expression or NULL", title)
  }
  if (nzchar(title)) title
}

are_colors <- function(colors) {
  is_code <- function(x) is.numeric(x) && all(x >= 0 & x <= .Machine$integer.max)
  !is.object(colors) && is.atomic(colors) && length(colors) <= 10000L &&
    !anyNA(colors) && (is.character(colors) || is_code(colors)) &&
    !inherits(try(grDevices::col2rgb(colors), silent = TRUE), "try-error")
}

# 256 colors from low to high.
score_colors <- function(palette, owner, count = 256L) {
  expected <- paste(
    "the name of a palette (see `grDevices::hcl.pals()`), at least two colors or",
    "a function that returns `n` colors"
  )
  if (is.function(palette)) {
    colors <- tryCatch(palette(count), error = function(e) NULL)
    if (length(colors) != count || !are_colors(colors)) {
      abort_argument(owner, "palette", expected, palette)
    }
    return(colors)
  }
  if (is.character(palette) && length(palette) == 1L && palette %in% grDevices::hcl.pals()) {
    return(light_to_dark(grDevices::hcl.colors(count, palette)))
  }
  if (!are_colors(palette) || length(palette) < 2L) {
    abort_argument(owner, "palette", expected, palette)
  }
  grDevices::colorRampPalette(palette)(count)
}

# No weight must look like paper, so an end that is nearly white becomes white.
light_to_dark <- function(colors) {
  ends <- grDevices::col2rgb(colors[c(1L, length(colors))])
  luminance <- colSums(ends * c(0.299, 0.587, 0.114)) / 255
  if (luminance[1L] < luminance[2L]) {
    colors <- rev(colors)
  }
  if (all(grDevices::col2rgb(colors[1L]) > 230)) {
    colors[1L] <- "#FFFFFF"
  }
  colors
}

# What is drawn, without a device: a list of
#   panels  matrices (T, S), row 1 = first query (large ones already reduced)
#   names   panel titles, "" for scores without heads
#   size    c(queries, keys) before any reduction
#   query, key  what the labels of the axes are made from, see axis_source()
#   zlim    the two ends of the color scale
#   beyond  whether there are weights below and above these ends
prepare_score_panels <- function(x, batch = 1L, heads = NULL, query_labels = NULL,
                                 key_labels = NULL, zlim = NULL, head_labels = NULL,
                                 owner = "plot.attn_scores") {
  axes <- scores_axes(x, owner)
  extents <- scores_extents(x, axes)
  batch <- check_batch(batch, extents$batch, owner)
  heads <- check_heads(heads, extents$head, owner)
  size <- flat_extents(extents)[c("query", "key")]
  if (any(size == 0L) || !length(heads)) {
    abort_argument(owner, "x", "scores with at least one head, query and key", as.array(x))
  }
  query_labels <- axis_labels(query_labels, x, axes$query, owner, "query_labels")
  key_labels <- axis_labels(key_labels, x, axes$key, owner, "key_labels")
  zlim <- check_zlim(zlim, owner)
  panels <- lapply(heads, function(head) slice_scores(x, axes, batch, head))
  if (is.null(zlim)) {
    zlim <- color_range(panels)
  }
  list(
    panels = lapply(panels, reduce_matrix, limit = 600L),
    names = panel_names(head_labels, heads, length(axes$head) > 0L, owner),
    size = size,
    query = axis_source(query_labels, extents$query),
    key = axis_source(key_labels, extents$key),
    zlim = zlim,
    beyond = c(any_weight(panels, `<`, zlim[1L]), any_weight(panels, `>`, zlim[2L]))
  )
}

panel_names <- function(labels, heads, has_heads, owner) {
  if (is.null(labels)) {
    return(if (has_heads) paste("Head", heads) else "")
  }
  if (!is.character(labels) || length(labels) != length(heads) || anyNA(labels)) {
    abort_argument(owner, "head_labels",
      sprintf("NULL or %d strings, one for each panel", length(heads)), labels
    )
  }
  labels
}

check_batch <- function(batch, extent, owner) {
  count <- as.integer(prod(extent))
  given <- batch
  batch <- if (!is.list(batch)) whole_numbers(batch)
  whole <- length(batch) > 0L
  if (whole && length(batch) == 1L && batch >= 1 && batch <= count) {
    return(as.integer(batch))
  }
  if (whole && length(batch) > 1L && length(batch) == length(extent) &&
    all(batch >= 1 & batch <= extent)) {
    return(as.integer(sum((batch - 1) * rev(cumprod(rev(c(extent[-1L], 1L))))) + 1))
  }
  expected <- if (length(extent) > 1L) {
    sprintf(
      "a whole number from 1 to %d or one number for each batch axis %s",
      count, format_shape(extent)
    )
  } else {
    sprintf("a whole number from 1 to %d", count)
  }
  abort_argument(owner, "batch", expected, given)
}

# Scores without a head axis have one head, number 1.
check_heads <- function(heads, extent, owner) {
  count <- as.integer(prod(extent))
  if (is.null(heads)) {
    return(seq_len(count))
  }
  fits <- !is.object(heads) && is.numeric(heads) && length(heads) > 0L &&
    length(heads) <= 10000L && isTRUE(min(heads) >= 1 && max(heads) <= count) &&
    all(heads == trunc(heads))
  if (!fits) {
    abort_argument(owner, "heads",
      sprintf("NULL or whole numbers from 1 to %d", count), heads
    )
  }
  as.integer(heads)
}

check_zlim <- function(zlim, owner) {
  fits <- is.null(zlim) || (!is.object(zlim) && is.numeric(zlim) && length(zlim) == 2L &&
    all(is.finite(zlim)) && zlim[1L] < zlim[2L])
  if (!fits) {
    abort_argument(owner, "zlim", "NULL or two increasing numbers", zlim)
  }
  zlim
}

# From zero to the largest weight. But the first rows under a causal mask have few
# keys and so weights near 1, next to which all later rows of a long sequence would
# be blank: in large maps, one weight in 200 may lie beyond the end of the scale.
color_range <- function(panels) {
  values <- unlist(panels)
  values <- values[is.finite(values)]
  ends <- c(min(0, values), max(0, values))
  if (length(values) >= 1000L * length(panels)) {
    usual <- stats::quantile(values, 0.995, names = FALSE)
    if (usual > 0 && ends[2L] > 2 * usual) {
      ends[2L] <- signif(usual, 2)
    }
  }
  if (ends[1L] < ends[2L]) ends else c(0, 1)
}

any_weight <- function(panels, is_beyond, end) {
  any(vapply(panels, function(panel) any(is_beyond(panel, end), na.rm = TRUE), NA))
}

# At most `limit` rows and columns; each remaining cell is the largest of a block.
reduce_matrix <- function(values, limit) {
  reduce_columns(t(reduce_columns(t(values), limit)), limit)
}

reduce_columns <- function(values, limit) {
  count <- ncol(values)
  block <- ceiling(count / limit)
  if (block == 1L) {
    return(values)
  }
  firsts <- seq(1L, count, by = block)
  largest <- values[, firsts, drop = FALSE]
  for (step in seq_len(block - 1L)) {
    largest[] <- pmax(largest, values[, pmin(firsts + step, count)], na.rm = TRUE)
  }
  largest
}

# What an axis can be labeled with: kind "position", "date" or "text", the values
# (NULL for plain positions), the count, and the length of each step of the first
# of several axes (NULL for one axis).
axis_source <- function(labels, extent) {
  source <- list(kind = "position", values = NULL, count = as.integer(prod(extent)), block = NULL)
  if (length(extent) > 1L) {
    source$block <- as.integer(prod(extent[-1L]))
  }
  if (inherits(labels, "Date") && !anyNA(labels) && !is.unsorted(labels, strictly = TRUE)) {
    source$kind <- "date"
    source$values <- labels
  } else if (!is.null(labels)) {
    source$kind <- "text"
    source$values <- shorten_labels(ifelse(is.na(labels), "", as_text(labels)))
  } else if (length(extent) > 1L) {
    source$kind <- "text"
    source$values <- apply(axis_positions(extent), 1L, paste, collapse = ",")
  }
  source
}

as_text <- function(labels) {
  if (is.character(labels)) labels else trimws(format(labels, justify = "none"))
}

shorten_labels <- function(labels, limit = 24L) {
  long <- nchar(labels) > limit
  labels[long] <- paste0(substr(labels[long], 1L, limit - 3L), "...")
  labels
}

# Where to put at most `max_count` labels: list(at, labels), `at` in positions.
axis_ticks <- function(source, max_count) {
  max_count <- max(1L, max_count)
  switch(source$kind,
    position = position_ticks(source$count, max_count),
    date = date_ticks(source$values, max_count),
    text = {
      at <- seq(1L, source$count, by = text_step(source, max_count))
      list(at = at, labels = source$values[at])
    }
  )
}

# With several axes, prefer to label the first position of whole steps.
text_step <- function(source, max_count) {
  step <- ceiling(source$count / max_count)
  block <- source$block
  if (is.null(block) || step == 1) {
    return(step)
  }
  if (step > block) {
    return(block * ceiling(step / block))
  }
  divisors <- which(block %% seq_len(block) == 0)
  divisors[divisors >= step][1L]
}

# All positions, or every second, or multiples of 5, 10, 20, 50, ... after the first.
position_ticks <- function(count, max_count) {
  steps <- c(1, 2, as.vector(outer(c(5, 10, 20), 10^(0:9))))
  shown <- function(step) {
    if (step <= 2) seq(1, count, by = step) else c(1, seq_len(count %/% step) * step)
  }
  step <- Find(function(step) length(shown(step)) <= max_count, steps)
  at <- if (is.null(step)) 1 else shown(step)
  list(at = as.integer(at), labels = format(at, trim = TRUE, scientific = FALSE))
}

# Every date if there is room, otherwise round dates, each at the first position
# that is not before it.
date_ticks <- function(dates, max_count) {
  if (length(dates) <= max_count) {
    return(list(at = seq_along(dates), labels = format_dates(dates)))
  }
  ends <- dates[c(1L, length(dates))]
  for (wanted in rev(seq_len(max_count))) {
    round_dates <- as.Date(pretty(ends, n = wanted))
    round_dates <- round_dates[round_dates >= ends[1L] & round_dates <= ends[2L]]
    at <- findInterval(round_dates, dates, left.open = TRUE) + 1L
    if (length(at) && length(at) <= max_count && !anyDuplicated(at)) {
      return(list(at = at, labels = format_dates(round_dates)))
    }
  }
  list(at = 1L, labels = format_dates(dates[1L]))
}

# No more detail than the dates have: years, months or days.
format_dates <- function(dates) {
  if (any(format(dates, "%d") != "01")) {
    format(dates, "%Y-%m-%d")
  } else if (any(format(dates, "%m") != "01")) {
    format(dates, "%b %Y")
  } else {
    format(dates, "%Y")
  }
}
