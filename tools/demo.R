# Rscript demo.R PICTURE.png: causal self-attention over 231 years of monthly
# sunspot numbers (`datasets::sunspots`, 1749 to 1983). demo.sh calls it.
#
# The layer is not trained. Three of its four heads get weights by hand, so
# that each asks a question one can read in the picture; the fourth keeps the
# random weights that every new layer starts with.

library(attn)
invisible(Sys.setlocale("LC_TIME", "C")) # English month names

picture <- commandArgs(TRUE)[1L]
window_length <- 396L # months: 33 years, three solar cycles
head_names <- c(
  "recent months", "same phase of an 11-year clock",
  "similar activity and trend", "random weights"
)

# ---- The series as an array (windows, months, features) ---------------------

# What is smoothed is smoothed over this month and earlier ones only.
monthly_features <- function(series) {
  standardize <- function(x) (x - mean(x, na.rm = TRUE)) / sd(x, na.rm = TRUE)
  # The square root makes the noise about equally large at high and low activity.
  smoothed <- sqrt(as.numeric(stats::filter(series, rep(1 / 13, 13), sides = 1)))
  activity <- standardize(smoothed)
  trend <- standardize(c(rep(NA, 18), diff(smoothed, 18)))
  year <- as.numeric(time(series))
  cbind(
    activity = activity, activity_squared = activity^2,
    trend = trend, trend_squared = trend^2,
    clock_sin = sin(2 * pi * year / 11), clock_cos = cos(2 * pi * year / 11),
    season_sin = sin(2 * pi * year), season_cos = cos(2 * pi * year)
  )
}

# The latest full windows; `rows` says which months of the series they hold.
cut_windows <- function(features, window_length) {
  n_windows <- sum(stats::complete.cases(features)) %/% window_length
  n_months <- n_windows * window_length
  rows <- matrix(nrow(features) - n_months + seq_len(n_months), n_windows, byrow = TRUE)
  position <- seq(-1, 1, length.out = window_length)
  names <- c(colnames(features), "position", "position_squared", "one")
  x <- array(0, c(n_windows, window_length, length(names)))
  for (b in seq_len(n_windows)) {
    x[b, , ] <- cbind(features[rows[b, ], ], position, position^2, 1)
  }
  list(x = x, rows = rows, features = names)
}

# ---- Weights by hand --------------------------------------------------------

# A head scores query t against key s by sum_k (x_t Q)_k (x_s K)_k / sqrt(key_dim).
# `pairs` says for each k which feature of t meets which feature of s.
ask <- function(weights, head, features, pairs) {
  query <- weights[[1L]]
  key <- weights[[3L]]
  query[, head, ] <- 0
  key[, head, ] <- 0
  for (k in seq_along(pairs)) {
    pair <- pairs[[k]]
    query[match(pair$query, features), head, k] <- sqrt(dim(query)[3L])
    key[match(pair$key, features), head, k] <- pair$weight
  }
  weights[[1L]] <- query
  weights[[3L]] <- key
  weights
}

# -w (a_t - a_s)^2 = 2 w a_t a_s - w a_s^2 + (something the softmax cancels), so
# a feature and its square let a head look for months that are alike in it.
alike <- function(feature, weight) {
  list(
    list(query = feature, key = feature, weight = 2 * weight),
    list(query = "one", key = paste0(feature, "_squared"), weight = -weight)
  )
}

hand_set <- function(weights, features) {
  # Positions run from -1 to 1; this weight makes nine months one standard deviation.
  nine_months <- (window_length / 2)^2 / (2 * 9^2)
  weights |>
    ask(1L, features, pairs = alike("position", nine_months)) |>
    ask(2L, features, pairs = list(
      list(query = "clock_sin", key = "clock_sin", weight = 4),
      list(query = "clock_cos", key = "clock_cos", weight = 4)
    )) |>
    ask(3L, features, pairs = c(alike("activity", 4), alike("trend", 4)))
}

# ---- What a head looks at, by distance in months ----------------------------

score_by_lag <- function(scores, head) {
  months <- dim(scores)[3L]
  lag <- outer(seq_len(months), seq_len(months), "-")
  mean_score <- colMeans(array(scores[, head, , ], dim(scores)[c(1L, 3L, 4L)]))
  as.numeric(tapply(mean_score[lag >= 0], lag[lag >= 0], mean))
}

# ---- The job ----------------------------------------------------------------

windows <- cut_windows(monthly_features(sunspots), window_length)
x <- windows$x
cat(sprintf(
  "Input: %d windows of %d months with %d features each, dim (%s).\n\n",
  dim(x)[1L], dim(x)[2L], dim(x)[3L], paste(dim(x), collapse = ", ")
))

set.seed(1749)
layer <- layer_multi_head_attention(num_heads = 4, key_dim = 8)
layer$build(dim(x), dim(x))
set_weights(layer, hand_set(get_weights(layer), windows$features))
print(layer)

seconds <- system.time(
  result <- layer(x, x, use_causal_mask = TRUE, return_attention_scores = TRUE)
)[["elapsed"]]
output <- result[[1L]]
scores <- result[[2L]]

cat(sprintf("\nOutput: dim (%s), in %.2f s.\n", paste(dim(output), collapse = ", "), seconds))
cat(sprintf(
  "Scores: dim (%s): window, head, month that looks, month looked at.\n\n",
  paste(dim(scores), collapse = ", ")
))
print(summary(scores))

numbers <- unclass(scores)
future <- upper.tri(numbers[1L, 1L, , ])
largest_ahead <- max(apply(numbers, 1:2, function(window) max(window[future])))
cat(sprintf(
  "\nLargest weight on a month still to come: %g. The weights of a month sum to 1 within %.0e.\n",
  largest_ahead, max(abs(apply(numbers, 1:3, sum) - 1))
))

lags <- 61:240
profile <- stats::filter(score_by_lag(numbers, 3L), rep(1 / 13, 13))[lags + 1L]
best <- lags[which.max(profile)]
cat(sprintf(
  paste0(
    "Head 3 (\"%s\") has no calendar. Beyond the last five years it looks\n",
    "back %d months (%.1f years) most of all: it finds the solar cycle, about 11 years.\n"
  ),
  head_names[3L], best, best / 12
))

# ---- The picture ------------------------------------------------------------

last <- dim(x)[1L]
months <- as.Date(sprintf("%d-%02d-01", floor(time(sunspots) + 1e-6), cycle(sunspots)))
months <- months[windows$rows[last, ]]

png(picture, width = 2600, height = 880, res = 130)
plot(
  scores,
  batch = last, max_labels = 11, # one label in 36 months
  query_labels = format(months, "%b %Y"), key_labels = format(months, "%b %Y"),
  main = sprintf(
    "Sunspots, %s to %s: how much each month looks at the months before it",
    format(months[1L], "%B %Y"), format(months[length(months)], "%B %Y")
  ),
  ylab = "Month that looks",
  xlab = "Month looked at",
  head_labels = paste0("Head ", seq_along(head_names), ": ", head_names),
  zlim = c(0, 0.06)
)
invisible(dev.off())
