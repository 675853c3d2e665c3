# Scores whose weights are all different.
plain_scores <- function(shape = c(2, 3, 4, 5), n_batch = 1L, n_axes = 1L, has_heads = TRUE) {
  new_attn_scores(
    array(exp(sin(seq_len(prod(shape)))) / 4, shape), n_batch, n_axes, n_axes, has_heads
  )
}

# Runs `code` with a PDF device of this size that writes nowhere visible.
on_device <- function(code, width = 7, height = 5) {
  grDevices::pdf(NULL, width = width, height = height)
  device <- grDevices::dev.cur()
  on.exit(grDevices::dev.off(device))
  force(code)
}

layout_changes <- c("fig", "mfg")

test_that("plot() returns its argument invisibly and leaves par() as it was", {
  scores <- plain_scores()
  on_device({
    before <- graphics::par(no.readonly = TRUE)
    result <- withVisible(plot(scores, main = "Title", cex = 0.8, col.lab = "red"))
    after <- graphics::par(no.readonly = TRUE)
  })
  expect_false(result$visible)
  expect_identical(result$value, scores)
  expect_identical(after, before)
})

test_that("plot() restores par() after an error too", {
  on_device({
    before <- graphics::par(no.readonly = TRUE)
    expect_error(plot(plain_scores(), legend = NA), class = "attn_error_argument")
    after_check <- graphics::par(no.readonly = TRUE)
    expect_error(plot(plain_scores(c(1, 40, 4, 5))), class = "attn_error_argument")
    after_start <- graphics::par(no.readonly = TRUE)
  }, width = 1, height = 1)
  expect_identical(after_check, before)
  expect_identical(after_start, before)
})

test_that("plot() is one figure among the user's own", {
  on_device({
    graphics::par(mfrow = c(2, 2))
    plot(1:3)
    before <- graphics::par(no.readonly = TRUE)
    plot(plain_scores(), heads = 1:2)
    after <- graphics::par(no.readonly = TRUE)
  }, width = 8, height = 8)
  expect_identical(after$mfg, c(1L, 2L, 2L, 2L))
  same <- setdiff(names(before), layout_changes)
  expect_equal(after[same], before[same])
})

test_that("plot() draws on devices of many sizes and with many heads", {
  many <- plain_scores(c(1, 16, 6, 6))
  for (size in list(c(2, 2), c(3, 2), c(7, 7), c(12, 3), c(3, 12))) {
    on_device(expect_silent(plot(many, heads = 1:4)), size[1], size[2])
  }
  on_device(expect_silent(plot(many)), 7, 7)
})

test_that("plot() writes a PNG file", {
  skip_if_not(capabilities("png"))
  file <- tempfile(fileext = ".png")
  on.exit(unlink(file))
  grDevices::png(file, 400, 300)
  device <- grDevices::dev.cur()
  plot(plain_scores(c(1, 2, 40, 40)))
  grDevices::dev.off(device)
  expect_gt(file.size(file), 2000)
})

test_that("plot() draws every kind of scores, labels and palette", {
  words <- c("the", "cat", "sat", "on", "the")
  on_device({
    expect_silent(plot(plain_scores(c(2, 4, 5), has_heads = FALSE), key_labels = words))
    expect_silent(plot(plain_scores(c(1, 2, 2, 3, 2, 3), n_axes = 2L)))
    expect_silent(plot(plain_scores(c(1, 1, 1, 1))))
    expect_silent(plot(plain_scores() * 0))
    expect_silent(plot(plain_scores() * NaN))
    expect_silent(plot(log(plain_scores())))
    expect_silent(plot(plain_scores(), palette = c("white", "black"), legend = FALSE))
    expect_silent(plot(plain_scores(), palette = grDevices::gray.colors, zlim = c(0.1, 0.2)))
    expect_silent(plot(plain_scores(), main = quote(alpha[ts]), xlab = NULL, ylab = ""))
    expect_silent(plot(plain_scores(), key_labels = as.POSIXct("2020-01-01", "UTC") + 0:4))
  })
})

test_that("bad arguments are classed errors that name the argument", {
  scores <- plain_scores()
  bad <- list(
    batch = 0, batch = 3, batch = 1.5, batch = NA, batch = "1", batch = c(1, 1), batch = NULL,
    batch = list(1), heads = 4, heads = 0, heads = integer(), heads = "Head 1", heads = 1.5,
    heads = c(1, NA), query_labels = letters[1:5], query_labels = list(1, 2, 3, 4),
    key_labels = 1:4, key_labels = data.frame(a = 1:5), main = 1, main = c("a", "b"),
    xlab = NA_character_, ylab = list("a"), palette = "no such palette", palette = "red",
    palette = c("red", "no such color"), palette = function(n) "red", palette = NULL,
    zlim = c(1, 0), zlim = 1, zlim = c(0, Inf), zlim = "a", max_labels = 0, max_labels = 1.5,
    legend = NA, legend = "yes", cex = -1, cex.axis = "a", col.lab = "no such color", family = 1,
    no_such_parameter = 1
  )
  for (i in seq_along(bad)) {
    error <- tryCatch(
      on_device(do.call(plot, c(list(scores), bad[i]))),
      attn_error_argument = identity
    )
    expect_s3_class(error, "attn_error_argument")
    expect_identical(error$argument, names(bad)[i])
    expect_identical(error$layer, "plot.attn_scores")
  }
})

test_that("scores without cells cannot be drawn", {
  for (shape in list(c(1, 0, 3, 3), c(1, 2, 0, 3), c(1, 2, 3, 0))) {
    empty <- new_attn_scores(array(0, shape), 1L, 1L, 1L, TRUE)
    expect_error(prepare_score_panels(empty), class = "attn_error_argument")
  }
  no_batch <- new_attn_scores(array(0, c(0, 2, 3, 3)), 1L, 1L, 1L, TRUE)
  expect_error(prepare_score_panels(no_batch), class = "attn_error_argument")
})

test_that("the panels are the heads of the chosen batch", {
  scores <- plain_scores()
  data <- prepare_score_panels(scores, batch = 2, heads = c(3, 1))
  expect_identical(data$panels, list(scores[2, 3, , ], scores[2, 1, , ]))
  expect_identical(data$names, c("Head 3", "Head 1"))
  expect_identical(data$size, c(query = 4L, key = 5L))
  expect_identical(data$zlim, c(0, max(scores[2, c(1, 3), , ])))
  expect_identical(data$beyond, c(FALSE, FALSE))
})

test_that("panels can be given titles", {
  scores <- plain_scores()
  data <- prepare_score_panels(scores, heads = c(3, 1), head_labels = c("far", "near"))
  expect_identical(data$names, c("far", "near"))
  for (labels in list("one", 1:2, c("a", NA), list("a", "b"))) {
    error <- expect_error(prepare_score_panels(scores, heads = 1:2, head_labels = labels),
      class = "attn_error_argument"
    )
    expect_match(conditionMessage(error), "head_labels")
  }
})

test_that("scores without heads are one panel without a name", {
  scores <- plain_scores(c(2, 4, 5), has_heads = FALSE)
  data <- prepare_score_panels(scores, batch = 2)
  expect_identical(data$panels, list(scores[2, , ]))
  expect_identical(data$names, "")
  expect_identical(prepare_score_panels(scores, batch = 2, heads = 1)$panels, data$panels)
})

test_that("several batch axes take one number each or one for all", {
  scores <- plain_scores(c(2, 3, 2, 4, 5), n_batch = 2L)
  by_axis <- prepare_score_panels(scores, batch = c(2, 1), heads = 2)
  expect_identical(by_axis$panels, list(scores[2, 1, 2, , ]))
  expect_identical(prepare_score_panels(scores, batch = 4, heads = 2)$panels, by_axis$panels)
  expect_error(prepare_score_panels(scores, batch = c(3, 1)), class = "attn_error_argument")
  expect_error(prepare_score_panels(scores, batch = 7), class = "attn_error_argument")
})

test_that("several attention axes are flattened and labeled in order", {
  scores <- plain_scores(c(1, 1, 2, 3, 2, 3), n_axes = 2L)
  data <- prepare_score_panels(scores)
  expect_identical(data$panels[[1]][5, 3], scores[1, 1, 2, 2, 1, 3])
  expect_identical(axis_ticks(data$key, 12)$labels, c("1,1", "1,2", "1,3", "2,1", "2,2", "2,3"))
  expect_identical(data$query$block, 3L)
  expect_equal(axis_ticks(data$query, 3)$at, c(1, 4))
})

test_that("the color scale starts at zero and ends at the largest weight", {
  expect_identical(color_range(list(matrix(c(0.1, 0.4)), matrix(0.2))), c(0, 0.4))
  expect_identical(color_range(list(matrix(c(-1, NaN, Inf, 2)))), c(-1, 2))
  expect_identical(color_range(list(matrix(0, 2, 2))), c(0, 1))
  expect_identical(color_range(list(matrix(NaN, 2, 2))), c(0, 1))
})

test_that("a few large weights in a large map do not fade the others", {
  causal <- lower.tri(diag(100), diag = TRUE) / seq_len(100)
  data <- prepare_score_panels(new_attn_scores(array(causal, c(1, 100, 100)), 1L, 1L, 1L, FALSE))
  expect_lt(data$zlim[2], 0.2)
  expect_gt(mean(causal <= data$zlim[2]), 0.99)
  expect_identical(data$beyond, c(FALSE, TRUE))
  even <- matrix(seq_len(10000) / 10000, 100)
  expect_identical(color_range(list(even)), c(0, 1))
})

test_that("cells are colored by weight, clamped, and gray if not a number", {
  colors <- c("white", "gray", "black")
  values <- matrix(c(0, 0.5, 1, -1, 2, NaN, Inf, 0.1), 2)
  expect_identical(
    as.vector(color_cells(values, c(0, 1), colors)),
    c("white", "gray", "black", "white", "black", "gray80", "black", "white")
  )
})

test_that("palettes run from light to dark, white for zero", {
  for (name in c("Blues", "Oslo", "YlGnBu")) {
    colors <- score_colors(name, "test")
    brightness <- colSums(grDevices::col2rgb(colors[c(1, 256)]))
    expect_gt(brightness[1], brightness[2])
    expect_length(colors, 256)
  }
  expect_identical(score_colors("Blues", "test")[1], "#FFFFFF")
  expect_identical(score_colors(c("red", "blue"), "test")[c(1, 256)], c("#FF0000", "#0000FF"))
})

test_that("large maps keep the largest weight of each block", {
  values <- matrix(0, 1300, 7)
  values[1299, 6] <- 1
  values[5, 1] <- 0.5
  small <- reduce_matrix(values, 600)
  expect_identical(dim(small), c(434L, 7L))
  expect_identical(small[433, 6], 1)
  expect_identical(small[2, 1], 0.5)
  expect_identical(sum(small > 0), 2L)
  expect_identical(reduce_matrix(values[1:600, ], 600), values[1:600, ])
})

test_that("positions are thinned to round numbers", {
  ticks <- function(count, max_count) axis_ticks(axis_source(NULL, count), max_count)$at
  expect_identical(ticks(6, 12), 1:6)
  expect_identical(ticks(13, 12), c(1L, 3L, 5L, 7L, 9L, 11L, 13L))
  expect_identical(ticks(120, 12), c(1L, 20L, 40L, 60L, 80L, 100L, 120L))
  expect_identical(ticks(4096, 5), c(1L, 1000L, 2000L, 3000L, 4000L))
  expect_identical(ticks(1, 12), 1L)
  expect_identical(ticks(100, 1), 1L)
})

test_that("words are all shown if there are few, else every k-th", {
  words <- c("the", "cat", "sat", "on", "the", "mat")
  source <- axis_source(words, 6)
  expect_identical(axis_ticks(source, 12)$labels, words)
  expect_identical(axis_ticks(source, 3)$labels, c("the", "sat", "the"))
  long <- axis_source(strrep("a", 30), 1)
  expect_identical(long$values, paste0(strrep("a", 21), "..."))
  expect_identical(axis_source(c("a", NA), 2)$values, c("a", ""))
  # of several axes the first positions of whole steps of the last ones
  pairs <- axis_source(NULL, c(4, 6))
  expect_equal(axis_ticks(pairs, 24)$at, 1:24)
  expect_equal(axis_ticks(pairs, 12)$at, seq(1, 24, by = 2))
  expect_equal(axis_ticks(pairs, 5)$at, seq(1, 24, by = 6))
  expect_identical(axis_ticks(pairs, 5)$labels, c("1,1", "2,1", "3,1", "4,1"))
  expect_identical(axis_ticks(pairs, 2)$labels, c("1,1", "3,1"))
  expect_identical(axis_ticks(pairs, 3)$labels, c("1,1", "3,1"))
})

test_that("months are labeled at round dates", {
  months <- seq(as.Date("1974-01-01"), by = "month", length.out = 120)
  source <- axis_source(months, 120)
  ticks <- axis_ticks(source, 12)
  expect_lte(length(ticks$at), 12)
  expect_identical(ticks$labels, format(months[ticks$at], "%Y"))
  expect_true(all(format(months[ticks$at], "%m") == "01"))
  few <- axis_ticks(axis_source(months[1:3], 3), 12)
  expect_identical(few, list(at = 1:3, labels = format(months[1:3], "%b %Y")))
  days <- axis_ticks(axis_source(as.Date("2020-02-10") + 0:2, 3), 12)
  expect_identical(days$labels, c("2020-02-10", "2020-02-11", "2020-02-12"))
  unsorted <- axis_source(rev(months), 120)
  expect_identical(unsorted$kind, "text")
})

test_that("dates that leave no room for round ones have their first one labeled", {
  days <- as.Date(c("2020-03-05", "2020-03-06", "2024-11-30"))
  expect_identical(date_ticks(days, 1), list(at = 1L, labels = "2020-03-05"))
})

test_that("labels that are turned need room below the panels", {
  scores <- plain_scores(c(1, 1, 12, 12))
  plan <- function(height, letters_of_word) {
    words <- strrep(letters[1:12], letters_of_word)
    on_device(width = 7, height = height, {
      graphics::plot.new()
      data <- prepare_score_panels(scores, key_labels = words)
      plan_at_scale(data, list(), 12L, FALSE, c(7, height), 1)
    })
  }
  expect_true(plan(7, 24)$key$rotated)
  expect_true(plan(2, 1)$key$rotated)
  expect_null(plan(2, 24))
})

test_that("a tick for a date that is missing sits at the next one", {
  days <- as.Date("2019-12-20") + c(0:5, 20:60)
  ticks <- axis_ticks(axis_source(days, length(days)), 6)
  round_dates <- as.Date(ticks$labels)
  expect_true(all(days[ticks$at] >= round_dates))
  previous <- days[pmax(ticks$at - 1L, 1L)]
  expect_true(all(previous < round_dates | ticks$at == 1L))
})

test_that("labels default to dimnames, and factors are text", {
  scores <- plain_scores(c(1, 1, 2, 3))
  dimnames(scores) <- list(NULL, NULL, NULL, c("a", "b", "c"))
  data <- prepare_score_panels(scores, query_labels = factor(c("z", "y")))
  expect_identical(data$key$values, c("a", "b", "c"))
  expect_identical(data$query$values, c("z", "y"))
  plain <- prepare_score_panels(scores, key_labels = c(1.5, 10, 2))
  expect_identical(plain$key$values, c("1.5", "10.0", "2.0"))
  expect_identical(plain$query$kind, "position")
})

test_that("labels that would touch are dropped", {
  source <- axis_source(NULL, 100)
  wide <- fitting_ticks(source, 12L, 5, function(labels) rep(0.3, length(labels)))
  narrow <- fitting_ticks(source, 12L, 1, function(labels) rep(0.3, length(labels)))
  expect_gt(length(wide$at), length(narrow$at))
  expect_true(labels_fit(narrow$at, rep(0.3, length(narrow$at)), 1 / 100))
  expect_false(labels_fit(1:3, rep(0.3, 3), 0.3))
  expect_true(labels_fit(1:3, rep(0.3, 3), 0.36))
})

test_that("panels lie inside the figure, in reading order, with their proportions", {
  sizes <- list(
    left = 0.6, bottom = 0.5, top = 0.3, title = 0.25, right = 0.7, gap = 0.15, overhang = 0.1
  )
  rooms <- list(wide = c(12, 3.5), square = c(7, 7), tall = c(2.5, 12))
  for (shape in names(rooms)) {
    grid <- arrange_panels(4L, 0.5, rooms[[shape]], sizes)
    if (shape == "tall") expect_identical(grid$columns, 1L)
    if (shape == "wide") expect_lte(grid$rows, 2)
    panels <- grid$panels
    expect_true(all(panels$x0 >= sizes$left - 1e-9 & panels$y0 >= sizes$bottom - 1e-9))
    expect_true(all(panels$x1 <= rooms[[shape]][1] - sizes$right + 1e-9))
    expect_true(all(panels$y1 <= rooms[[shape]][2] - sizes$top - sizes$title + 1e-9))
    expect_equal(panels$y1 - panels$y0, 0.5 * (panels$x1 - panels$x0))
    expect_identical(order(-round(panels$y0, 6), panels$x0), 1:4)
  }
  expect_identical(arrange_panels(4L, 1, c(12, 3.5), sizes)$columns, 4L)
  expect_identical(arrange_panels(4L, 1, c(7, 7), sizes)$columns, 2L)
  expect_null(arrange_panels(4L, 1, c(1, 1), sizes))
})

test_that("the lowest panel of every column has the key axis", {
  sizes <- list(
    left = 0.6, bottom = 0.5, top = 0.3, title = 0.25, right = 0.7, gap = 0.15, overhang = 0.1
  )
  grid <- arrange_panels(5L, 1, c(7, 6), sizes)
  expect_identical(grid$columns, 3L)
  expect_identical(grid$panels$is_last_in_column, c(FALSE, FALSE, TRUE, TRUE, TRUE))
  expect_identical(grid$panels$is_first_column, c(TRUE, FALSE, FALSE, TRUE, FALSE))
})
