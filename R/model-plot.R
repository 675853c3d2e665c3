# A drawing of a model's graph: boxes in rows by their depth, inputs on top, arrows for
# tensors. Base graphics only.

#' Draw a model
#'
#' Draws the layers of a model as boxes, from the inputs down to the outputs, with an arrow
#' for each tensor.
#'
#' @param x A model.
#' @param show_shapes Whether the boxes show the shapes of outputs.
#' @param show_layer_names Whether they show the names of layers.
#' @param show_dtype Whether they show the dtypes of layers.
#' @param show_params Whether they show the numbers of parameters.
#' @param main The title; `NULL` (default): the model's name.
#' @param cex The size of the text; `NULL` (default): the largest at which it fits.
#' @param ... Not used; anything here is an error.
#' @return Invisibly, a data frame with one row per box: `layer`, `class`, the `label`, the
#'   middle `x`, `y` of the box in user coordinates and its `width` and `height`.
#' @section Errors:
#' `attn_error_state` for a model that is not built; `attn_error_argument` for arguments of
#' another type or value than said.
#' @references <https://keras.io/api/utils/model_plotting_utils/>
#' @examples
#' input <- keras_input(shape = c(5, 8), name = "tokens")
#' attended <- layer_multi_head_attention(input, num_heads = 2, key_dim = 4)
#' model <- keras_model(input, layer_dense(attended, units = 2))
#' plot(model, show_shapes = TRUE)
#' @export
plot.attn_model <- function(x, show_shapes = FALSE, show_layer_names = TRUE, show_dtype = FALSE,
                            show_params = FALSE, main = NULL, cex = NULL, ...) {
  owner <- "plot()"
  check_no_dots(owner, ...)
  self <- layer_self(x)
  show <- list(
    shapes = check_flag(show_shapes, owner, "show_shapes"),
    names = check_flag(show_layer_names, owner, "show_layer_names"),
    dtype = check_flag(show_dtype, owner, "show_dtype"),
    params = check_flag(show_params, owner, "show_params")
  )
  main <- if (is.null(main)) self$name else check_string(main, owner, "main")
  cex <- check_number(cex, owner, "cex", min = 0.01, null_ok = TRUE)
  check_graph(self, "plot")
  graph <- drawn_graph(self, show)
  graph$boxes <- place_boxes(graph)
  draw_graph(graph, main, cex)
}

# boxes: one per node; arrows: from one box to another, by number.
drawn_graph <- function(self, show) {
  nodes <- self$nodes
  keys <- node_keys(nodes)
  members <- lapply(nodes, function(node) layer_self(node$layer))
  arrows <- do.call(rbind, lapply(seq_along(nodes), function(i) {
    from <- match(unique(node_keys(lapply(node_tensors(nodes[[i]]), function(t) t$node))), keys)
    from <- from[!is.na(from)]
    if (length(from) && !is_input_node(nodes[[i]])) data.frame(from = from, to = i)
  }))
  if (is.null(arrows)) {
    arrows <- data.frame(from = integer(), to = integer())
  }
  labels <- Map(function(member, node) box_label(self, member, node, show), members, nodes)
  list(
    boxes = data.frame(
      layer = vapply(members, function(member) member$name, ""),
      class = vapply(members, function(member) member$class_name, ""),
      label = vapply(labels, paste, "", collapse = "\n"), stringsAsFactors = FALSE
    ),
    arrows = arrows
  )
}

box_label <- function(self, member, node, show) {
  c(
    if (show$names) paste0(member$name, " (", member$class_name, ")") else member$class_name,
    if (show$shapes) member_shape(self, member, list(node)),
    if (show$dtype) member$dtype,
    if (show$params) paste(format_count(member_params(member)), "parameters")
  )
}

# Rows by depth: a box is below all that it depends on. Within a row, boxes are as near as
# can be to those above them.
place_boxes <- function(graph) {
  boxes <- graph$boxes
  count <- nrow(boxes)
  row <- rep(1L, count)
  for (i in seq_len(count)) { # nodes come in an order in which they can be computed
    from <- graph$arrows$from[graph$arrows$to == i]
    if (length(from)) row[i] <- max(row[from]) + 1L
  }
  is_source <- !(seq_len(count) %in% graph$arrows$to)
  for (i in which(is_source)) { # an input is just above where it is needed first
    to <- graph$arrows$to[graph$arrows$from == i]
    if (length(to)) row[i] <- max(1L, min(row[to]) - 1L)
  }
  x <- numeric(count)
  for (r in seq_len(max(row))) {
    members <- which(row == r)
    wish <- vapply(members, function(i) {
      from <- graph$arrows$from[graph$arrows$to == i]
      if (length(from)) mean(x[from]) else NA_real_
    }, 1)
    members <- members[order(wish, na.last = TRUE)]
    x[members] <- seq_along(members) - (length(members) + 1) / 2
  }
  boxes$x <- x
  boxes$y <- -row
  boxes
}

draw_graph <- function(graph, main, cex) {
  boxes <- graph$boxes
  old <- graphics::par(mar = c(0.5, 0.5, if (nzchar(main)) 2.5 else 0.5, 0.5))
  on.exit(graphics::par(old))
  across <- max(table(boxes$y))
  graphics::plot.new()
  graphics::plot.window(
    xlim = c(-0.5, 0.5) * (max(across, 1L) + 0.1), ylim = range(boxes$y) + c(-0.5, 0.5)
  )
  graphics::title(main)
  size <- label_sizes(boxes$label, 1)
  room <- c(0.92, 0.62)
  if (is.null(cex)) {
    cex <- min(1.2, room[1L] / max(size$width), room[2L] / max(size$height))
  }
  size <- label_sizes(boxes$label, cex)
  boxes$width <- size$width
  boxes$height <- size$height
  draw_arrows(boxes, graph$arrows)
  fill <- ifelse(boxes$class == "InputLayer", "grey92", "white")
  graphics::rect(
    boxes$x - boxes$width / 2, boxes$y - boxes$height / 2,
    boxes$x + boxes$width / 2, boxes$y + boxes$height / 2, col = fill, border = "grey30"
  )
  graphics::text(boxes$x, boxes$y, boxes$label, cex = cex)
  invisible(boxes[c("layer", "class", "label", "x", "y", "width", "height")])
}

# With a margin of half a character around the text.
label_sizes <- function(labels, cex) {
  list(
    width = graphics::strwidth(labels, cex = cex) + graphics::strwidth("MM", cex = cex),
    height = graphics::strheight(labels, cex = cex) + 1.2 * graphics::strheight("M", cex = cex)
  )
}

# From the lower edge of one box to the upper edge of another; past boxes in between they
# go in a curve.
draw_arrows <- function(boxes, arrows) {
  for (i in seq_len(nrow(arrows))) {
    from <- boxes[arrows$from[i], ]
    to <- boxes[arrows$to[i], ]
    start <- c(from$x, from$y - from$height / 2)
    end <- c(to$x, to$y + to$height / 2)
    path <- arrow_path(start, end, boxes, from, to)
    last <- nrow(path)
    graphics::lines(path, col = "grey40")
    graphics::arrows(
      path[last - 1L, 1L], path[last - 1L, 2L], path[last, 1L], path[last, 2L],
      length = 0.08, angle = 25, col = "grey40"
    )
  }
}

arrow_path <- function(start, end, boxes, from, to) {
  between <- boxes$y < from$y & boxes$y > to$y
  crossed <- between & abs(boxes$x - (start[1L] + end[1L]) / 2) < boxes$width / 2 + 0.05
  if (!any(crossed)) {
    return(rbind(start, end))
  }
  aside <- max(boxes$x[crossed] + boxes$width[crossed] / 2) + 0.06
  part <- seq(0, 1, length.out = 24)
  # a cubic curve whose two middle points are beside the boxes
  side <- (aside - (start[1L] + end[1L]) / 8) * 4 / 3
  cbind(
    start[1L] * (1 - part)^3 + 3 * side * part * (1 - part) + end[1L] * part^3,
    start[2L] + (end[2L] - start[2L]) * part
  )
}
