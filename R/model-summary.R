# What a person sees of a model: keras3's table.

#' Print and summarize models
#'
#' `print()` and `summary()` show a table with one row per layer (its name and class, the
#' shape of its output, its number of parameters and, unless each layer simply follows the
#' one before, what it is connected to) and the number of parameters, with their size in
#' memory. `format()` and `str()` are one line.
#'
#' @param x,object A model.
#' @param line_length The width of the table in characters; `NULL` (default): that of the
#'   terminal (`getOption("width")`).
#' @param expand_nested Whether the layers of models in the model have rows of their own.
#' @param show_trainable Whether a column says which layers can be trained; `NULL`
#'   (default): where some layers can and others cannot.
#' @param compact Whether the lines between the rows are left out.
#' @param ... Not used; anything here is an error.
#' @return `summary()`: an object of class `summary.attn_model`, a list with `name`,
#'   `table` (a data frame with `layer`, `class`, `output_shape`, `params`,
#'   `connected_to`, `trainable` and `depth`, how deep in nested models the layer is) and
#'   `params` (numbers `total`, `trainable`, `non_trainable`) and `bytes` (the same in
#'   bytes); it prints as the table. `print()` and `str()`: the model, invisibly.
#'   `format()`: a string.
#' @section Errors:
#' `attn_error_argument` for arguments of another type or value than said.
#' @references <https://keras.io/api/models/model/>
#' @examples
#' model <- keras_model_sequential(input_shape = 4) |>
#'   layer_dense(units = 3) |>
#'   layer_dense(units = 2)
#' model
#' summary(model)$params
#' @export
summary.attn_model <- function(object, ..., line_length = NULL, expand_nested = FALSE,
                               show_trainable = NULL, compact = TRUE) {
  self <- layer_self(object)
  owner <- "summary()"
  check_no_dots(owner, ...)
  line_length <- check_positive_int(line_length, owner, "line_length", null_ok = TRUE)
  expand_nested <- check_flag(expand_nested, owner, "expand_nested")
  show_trainable <- check_flag(show_trainable, owner, "show_trainable", null_ok = TRUE)
  compact <- check_flag(compact, owner, "compact")
  table <- model_table(self, expand_nested)
  leaves <- weight_layers(self)
  trained <- vapply(leaves, function(layer) self$trainable && layer$trainable, NA)
  counts <- vapply(leaves, params_or_zero, 1)
  bytes <- counts * vapply(leaves, function(layer) if (layer$dtype == "float64") 8 else 4, 1)
  by_kind <- function(x) {
    c(total = sum(x), trainable = sum(x[trained]), non_trainable = sum(x[!trained]))
  }
  structure(
    list(
      name = self$name, class_name = self$class_name, built = !is.null(self$input_tensors),
      table = table, params = by_kind(counts), bytes = by_kind(bytes), line_length = line_length,
      is_chain = is_chain(self), compact = compact,
      show_trainable = if (is.null(show_trainable)) {
        length(unique(table$trainable[table$params > 0])) > 1L
      } else {
        show_trainable
      }
    ),
    class = "summary.attn_model"
  )
}

params_or_zero <- function(self) if (self$built) count_layer_params(self) else 0

# ---- the rows ----

model_table <- function(self, expand_nested, depth = 0L) {
  members <- lapply(if (length(self$operations)) self$operations else self$layers, layer_self)
  rows <- lapply(members, function(member) {
    row <- member_row(self, member, depth)
    if (expand_nested && member$calls == "model") {
      row <- rbind(row, model_table(member, TRUE, depth + 1L))
    }
    row
  })
  if (length(rows)) do.call(rbind, rows) else empty_row[0L, ]
}

empty_row <- data.frame(
  layer = "", class = "", output_shape = "", params = 0, connected_to = "", trainable = NA,
  depth = 0L, stringsAsFactors = FALSE
)

member_row <- function(self, member, depth) {
  nodes <- Filter(function(node) identical(layer_self(node$layer), member), self$nodes)
  from <- unlist(lapply(nodes, function(node) {
    vapply(node_tensors(node), tensor_source, "")
  }))
  data.frame(
    layer = member$name, class = member$class_name,
    output_shape = member_shape(self, member, nodes),
    params = member_params(member),
    connected_to = paste(if (length(from)) unique(from) else "-", collapse = ", "),
    trainable = member$trainable && self$trainable, depth = depth, stringsAsFactors = FALSE
  )
}

# Keras: "name[0][0]", the number of the layer's call and of its result.
tensor_source <- function(tensor) {
  name <- layer_self(tensor$node$layer)$name
  if (tensor$index > 1L) sprintf("%s[%d]", name, tensor$index) else name
}

member_params <- function(member) {
  if (member$calls == "model") {
    return(sum(vapply(weight_layers(member), params_or_zero, 1)))
  }
  params_or_zero(member)
}

# Shapes of what the layer gives in this model: from tensors that know its calls.
member_shape <- function(self, member, nodes) {
  if (!length(nodes)) {
    return("?")
  }
  key <- node_key(nodes[[1L]])
  used <- c(
    unlist(lapply(self$nodes, node_tensors), recursive = FALSE), self$output_tensors,
    self$input_tensors
  )
  own <- Filter(function(tensor) node_key(tensor$node) == key, used)
  index <- vapply(own, function(tensor) tensor$index, 1L)
  own <- own[!duplicated(index)][order(index[!duplicated(index)])]
  paste(vapply(own, function(tensor) format_shape(dim(tensor)), ""), collapse = ", ")
}

# Whether each layer is called once, with what the one before gives.
is_chain <- function(self) {
  if (self$kind == "sequential" || !length(self$nodes)) {
    return(TRUE)
  }
  calls <- Filter(Negate(is_input_node), self$nodes)
  inputs <- lapply(calls, function(node) {
    unique(vapply(node_tensors(node), function(tensor) node_key(tensor$node), ""))
  })
  length(self$input_tensors) == 1L && length(self$output_tensors) == 1L &&
    all(lengths(inputs) == 1L) && !anyDuplicated(unlist(inputs))
}

# ---- printing ----

#' @rdname summary.attn_model
#' @export
print.summary.attn_model <- function(x, ...) {
  cat(summary_lines(x), sep = "\n")
  invisible(x)
}

summary_lines <- function(x) {
  width <- if (is.null(x$line_length)) getOption("width", 80L) else x$line_length
  title <- sprintf("Model: \"%s\"", x$name)
  if (!nrow(x$table)) {
    return(c(title, "  no layers yet"))
  }
  c(title, table_lines(summary_columns(x), max(width, 40L), x$compact), total_lines(x))
}

summary_columns <- function(x) {
  table <- x$table
  indent <- strrep("  ", table$depth)
  columns <- list(
    `Layer (type)` = paste0(indent, table$layer, " (", table$class, ")"),
    `Output Shape` = table$output_shape,
    `Param #` = format_count_each(table$params)
  )
  if (!x$is_chain) {
    columns[["Connected to"]] <- table$connected_to
  }
  if (x$show_trainable) {
    columns[["Trainable"]] <- ifelse(table$params > 0, ifelse(table$trainable, "Y", "N"), "-")
  }
  columns
}

format_count_each <- function(x) vapply(x, format_count, "")

total_lines <- function(x) {
  line <- function(label, which) {
    sprintf(" %s: %s (%s)", label, format_count(x$params[[which]]), format_bytes(x$bytes[[which]]))
  }
  c(
    line("Total params", "total"), line("Trainable params", "trainable"),
    line("Non-trainable params", "non_trainable"),
    if (!x$built) " The model is not built: shapes and weights are not known yet."
  )
}

# As Keras has it: "2.04 MB", in steps of 1024.
format_bytes <- function(bytes) {
  units <- c("B", "KB", "MB", "GB", "TB", "PB")
  step <- if (bytes < 1) 0 else min(floor(log(bytes, 1024)), length(units) - 1)
  sprintf("%.2f %s", bytes / 1024^step, units[step + 1])
}

# Box drawing characters where the terminal has them.
box_characters <- function() {
  if (isTRUE(l10n_info()[["UTF-8"]])) {
    list(h = "\u2500", v = "\u2502", H = "\u2501", V = "\u2503",
      top = c("\u250f", "\u2533", "\u2513"), head = c("\u2521", "\u2547", "\u2529"),
      middle = c("\u251c", "\u253c", "\u2524"), bottom = c("\u2514", "\u2534", "\u2518"))
  } else {
    plus <- rep("+", 3L)
    list(h = "-", v = "|", H = "=", V = "|", top = plus, head = plus, middle = plus, bottom = plus)
  }
}

# Columns of text in boxes of `width` characters; what is too long goes on below.
table_lines <- function(columns, width, compact) {
  box <- box_characters()
  is_number <- names(columns) == "Param #"
  wanted <- mapply(function(column, name) max(nchar(c(column, name), "width")), columns,
    names(columns)
  )
  widths <- fit_widths(wanted, width - 3L * length(columns) - 1L, is_number)
  rule <- function(ends, stroke) {
    inner <- vapply(widths + 2L, function(n) strrep(stroke, n), "")
    paste0(ends[1L], paste(inner, collapse = ends[2L]), ends[3L])
  }
  row <- function(cells, bar) row_lines(cells, widths, is_number, bar)
  rows <- lapply(seq_along(columns[[1L]]), function(i) {
    row(vapply(columns, `[`, "", i), box$v)
  })
  if (!compact && length(rows) > 1L) {
    between <- rule(box$middle, box$h)
    rows <- c(lapply(rows[-length(rows)], c, between), rows[length(rows)])
  }
  c(
    rule(box$top, box$H), row(names(columns), box$V), rule(box$head, box$H),
    unlist(rows), rule(box$bottom, box$h)
  )
}

# Columns of numbers keep their width; the others share what is left, none less than 10.
fit_widths <- function(wanted, available, keep) {
  widths <- wanted
  while (sum(widths) > available && any(widths[!keep] > 10L)) {
    widest <- which(!keep)[which.max(widths[!keep])]
    widths[widest] <- widths[widest] - 1L
  }
  widths
}

row_lines <- function(cells, widths, right, bar) {
  parts <- Map(wrap_cell, cells, widths)
  height <- max(lengths(parts))
  padded <- Map(function(part, width, right) {
    part <- c(part, rep("", height - length(part)))
    formatC(part, width = width, flag = if (right) "" else "-")
  }, parts, widths, right)
  lines <- do.call(paste, c(unname(padded), sep = paste0(" ", bar, " ")))
  paste0(bar, " ", lines, " ", bar)
}

# Broken at spaces where there are any, else anywhere.
wrap_cell <- function(text, width) {
  lines <- character()
  while (nchar(text, "width") > width) {
    spaces <- gregexpr(" ", substr(text, 1L, width + 1L), fixed = TRUE)[[1L]]
    indent <- nchar(sub("^( *).*$", "\\1", text))
    spaces <- spaces[spaces > indent]
    at <- if (length(spaces)) max(spaces) else width
    lines <- c(lines, sub(" +$", "", substr(text, 1L, at)))
    text <- substr(text, at + 1L, nchar(text))
  }
  c(lines, text)
}

#' @rdname summary.attn_model
#' @export
print.attn_model <- function(x, ...) {
  print(summary.attn_model(x, ...))
  invisible(x)
}

#' @rdname summary.attn_model
#' @export
format.attn_model <- function(x, ...) {
  self <- layer_self(x)
  leaves <- weight_layers(self)
  is_built <- self$built && all(vapply(leaves, function(layer) layer$built, NA))
  sprintf("<%s \"%s\": %d layers, %s>", self$constructor, self$name, length(self$layers),
    if (is_built) {
      paste(format_count(sum(vapply(leaves, params_or_zero, 1))), "parameters")
    } else {
      "not built"
    }
  )
}

#' @rdname summary.attn_model
#' @export
str.attn_model <- function(object, ...) {
  cat(" ", format(object), "\n", sep = "")
  invisible(object)
}
