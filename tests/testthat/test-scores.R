# Rows sum to one; every weight is different, so that misplaced axes are noticed.
example_scores <- function(shape = c(2, 3, 4, 5), n_batch = 1L, n_query = 1L, n_key = 1L,
                           has_heads = TRUE) {
  weights <- matrix(exp(sin(seq_len(prod(shape)))), ncol = prod(utils::tail(shape, n_key)))
  new_attn_scores(
    array(weights / rowSums(weights), shape), n_batch, n_query, n_key, has_heads
  )
}

# (B, N, T, S) without class; each group of axes is flattened with its last axis fastest.
flatten_scores <- function(x, axes) {
  extents <- scores_extents(x, axes)
  flat <- plain_array(x)
  dimnames(flat) <- NULL
  if (any(lengths(axes) > 1L)) {
    flat <- aperm(flat, unlist(lapply(axes, rev)))
  }
  dim(flat) <- unname(flat_extents(extents))
  flat
}

test_that("the constructor records what each axis is", {
  axes <- attr(example_scores(), "axes")
  expect_identical(axes, list(batch = 1L, head = 2L, query = 3L, key = 4L))
  no_heads <- attr(example_scores(c(2, 4, 5), has_heads = FALSE), "axes")
  expect_identical(no_heads, list(batch = 1L, head = integer(), query = 2L, key = 3L))
  several <- attr(example_scores(c(2, 2, 3, 2, 2, 3), n_query = 2L, n_key = 2L), "axes")
  expect_identical(several, list(batch = 1L, head = 2L, query = 3:4, key = 5:6))
})

test_that("the constructor keeps other attributes and makes doubles", {
  counts <- array(1:8, c(1, 2, 2, 2))
  attr(counts, "keras_mask") <- TRUE
  scores <- new_attn_scores(counts, 1L, 1L, 1L, TRUE)
  expect_type(unclass(scores), "double")
  expect_true(attr(scores, "keras_mask"))
  expect_error(new_attn_scores(array(0, c(2, 2)), 1L, 1L, 1L, TRUE), class = "attn_error_shape")
  expect_error(new_attn_scores("a", 1L, 1L, 1L, TRUE), class = "attn_error_shape")
})

test_that("scores behave as the array they are", {
  scores <- example_scores()
  plain <- as.array(scores)
  expect_identical(class(plain), "array")
  expect_identical(names(attributes(plain)), "dim")
  expect_identical(dim(scores), dim(plain))
  expect_equal(sum(scores), 2 * 3 * 4)
  expect_equal(mean(scores), mean(plain))
  expect_identical(as.vector(scores), as.vector(plain))
  expect_equal(apply(scores, c(1, 2, 3), sum), array(1, c(2, 3, 4)))
  expect_identical(as.array(scores * 2), plain * 2)
  expect_s3_class(scores * 2, "attn_scores")
  expect_identical(scores > 0.2, plain > 0.2)
  expect_identical(aperm(scores), aperm(plain))
})

test_that("a subset keeps the class only if it keeps all axes", {
  scores <- example_scores()
  plain <- as.array(scores)
  kept <- scores[2, , 1:2, , drop = FALSE]
  expect_s3_class(kept, "attn_scores")
  expect_identical(attr(kept, "axes"), attr(scores, "axes"))
  expect_identical(as.array(kept), plain[2, , 1:2, , drop = FALSE])
  expect_s3_class(scores[, 1:2, , ], "attn_scores")
  expect_s3_class(scores[], "attn_scores")
  expect_s3_class(head(scores, 1), "attn_scores")
  expect_identical(scores[1, 2, , ], plain[1, 2, , ])
  expect_identical(scores[1, , , ], plain[1, , , ])
  expect_identical(scores[7], plain[7])
  expect_identical(scores[scores > 0.2], plain[plain > 0.2])
  expect_identical(scores[cbind(1, 2, 3, 4)], plain[1, 2, 3, 4])
})

test_that("assignment keeps the class, new dimensions remove it", {
  scores <- example_scores()
  scores[1, 1, 1, 1] <- 0
  expect_s3_class(scores, "attn_scores")
  expect_identical(scores[1, 1, 1, 1], 0)
  dim(scores) <- c(6, 20)
  expect_identical(class(scores), c("matrix", "array"))
  expect_null(attr(scores, "axes"))
  scores <- example_scores()
  for (dims in list("a", c(2, 3), -Inf, NA, 1i, numeric(), c(-6, -20))) {
    expect_attn_error(expect_no_warning(dim(scores) <- dims), "argument", "dims of 120 numbers")
  }
  dim(scores) <- NULL
  expect_identical(scores, as.vector(example_scores()))
})

test_that("all.equal() looks at numbers and shape", {
  scores <- example_scores()
  plain <- as.array(scores)
  expect_true(all.equal(scores, plain))
  expect_true(all.equal(scores, scores))
  expect_true(all.equal(scores, plain * (1 + 1e-6), tolerance = 1e-5))
  expect_type(all.equal(scores, plain * 1.1), "character")
  expect_type(all.equal(scores, plain[, , , 1:4]), "character")
  other <- example_scores(c(2, 3, 4, 5), n_batch = 2L, has_heads = FALSE)
  expect_match(all.equal(scores, other), "axes")
})

test_that("print() is short, names the axes and returns its argument", {
  scores <- example_scores(c(2, 4, 30, 40))
  shown <- capture.output(result <- withVisible(print(scores)))
  expect_false(result$visible)
  expect_identical(result$value, scores)
  expect_identical(shown, format(scores))
  expect_lt(length(shown), 12)
  expect_match(shown[1], "2 batches, 4 heads, 30 queries, 40 keys", fixed = TRUE)
  expect_match(shown[2], "weights from 0.0", fixed = TRUE)
  expect_match(shown[3], "Batch 1, head 1 (25 more queries and 34 more keys)", fixed = TRUE)
  expect_match(shown[5], sprintf("%.3f", scores[1, 1, 1, 1]), fixed = TRUE)
})

test_that("print() copes with one, several and no positions and with odd values", {
  one <- format(example_scores(c(1, 1, 1, 1)))
  expect_match(one[1], "1 batch, 1 head, 1 query, 1 key", fixed = TRUE)
  no_heads <- format(example_scores(c(2, 4, 5), has_heads = FALSE))
  expect_match(no_heads[1], "2 batches, 4 queries, 5 keys", fixed = TRUE)
  expect_false(any(grepl("head", no_heads)))
  several <- format(example_scores(c(1, 2, 3, 2, 3, 2), n_query = 2L, n_key = 2L))
  expect_match(several[1], "3 x 2 queries, 3 x 2 keys", fixed = TRUE)
  empty <- format(new_attn_scores(array(0, c(0, 2, 3, 3)), 1L, 1L, 1L, TRUE))
  expect_identical(empty[2], "no weights")
  odd <- example_scores()
  odd[1:3] <- c(NaN, Inf, NA)
  expect_match(format(odd)[2], "3 values not finite")
  odd[] <- NaN
  expect_identical(format(odd)[2], "no finite weight")
})

test_that("str() is one line", {
  shown <- capture.output(str(example_scores()))
  expect_length(shown, 1)
  expect_match(shown, "[1:2, 1:3, 1:4, 1:5]", fixed = TRUE)
  expect_match(shown, "2 batches, 3 heads", fixed = TRUE)
})

test_that("scores that lost their axes are refused, not misread", {
  broken <- example_scores()
  attr(broken, "axes") <- NULL
  expect_error(print(broken), class = "attn_error_argument")
  expect_error(summary(broken), class = "attn_error_argument")
  expect_error(as.data.frame(broken), class = "attn_error_argument")
  axes <- attr(example_scores(), "axes")
  wrong <- structure(array(0, c(2, 2)), class = "attn_scores", axes = axes)
  expect_error(print(wrong), class = "attn_error_argument")
  expect_error(print(example_scores(), digits = 0), class = "attn_error_argument")
})

test_that("slices and the flat form agree with the array, last axis fastest", {
  shape <- c(2, 3, 4, 2, 3, 2, 5)
  scores <- example_scores(shape, n_batch = 2L, n_query = 2L, n_key = 2L)
  axes <- scores_axes(scores, "test")
  flat <- flatten_scores(scores, axes)
  expect_identical(dim(flat), c(6L, 4L, 6L, 10L))
  # batch (2, 1) is 4th, query (1, 3) is 3rd, key (2, 4) is 9th
  expect_identical(flat[4, 3, 3, 9], scores[2, 1, 3, 1, 3, 2, 4])
  expect_identical(slice_scores(scores, axes, 4L, 3L), flat[4, 3, , ])
})

test_that("summary() gives entropy and effective keys of known distributions", {
  weights <- array(0, c(1, 3, 2, 4))
  weights[1, 1, , ] <- 0.25
  weights[1, 2, , 3] <- 1
  weights[1, 3, 1, 1:2] <- 0.5
  weights[1, 3, 2, 4] <- 1
  heads <- summary(new_attn_scores(weights, 1L, 1L, 1L, TRUE))$heads
  expect_equal(heads$entropy, c(log(4), 0, log(2) / 2))
  expect_equal(heads$entropy_share, c(1, 0, 0.25))
  expect_equal(heads$effective_keys, c(4, 1, sqrt(2)))
  expect_identical(heads$head, 1:3)
  expect_identical(heads$rows, rep(2L, 3))
})

test_that("summary() agrees with a direct calculation over all batches", {
  scores <- example_scores()
  plain <- as.array(scores)
  result <- summary(scores, top = 2L)
  entropy <- apply(-plain * log(plain), 2, sum) / (2 * 4)
  expect_equal(result$heads$entropy, entropy)
  key_mean <- apply(plain, c(2, 4), mean)
  top <- result$top_keys
  expect_identical(top$rank, rep(1:2, 3))
  expect_identical(top$key, as.vector(apply(key_mean, 1, function(w) order(-w)[1:2])))
  expect_equal(top$weight, key_mean[cbind(top$head, top$key)])
})

test_that("summary() leaves out masked and invalid rows and counts them", {
  scores <- example_scores()
  clean <- summary(scores[, , 2:4, , drop = FALSE])$heads
  scores[, 1, 1, ] <- 0
  scores[, 2, 1, 3] <- NaN
  scores[, 3, 1, 2] <- -0.5
  heads <- summary(scores)$heads
  expect_equal(heads$entropy, clean$entropy)
  expect_identical(heads$masked_rows, c(2L, 0L, 0L))
  expect_identical(heads$invalid_rows, c(0L, 2L, 2L))
  shown <- capture.output(print(summary(scores)))
  expect_match(shown, "2 of 24 rows with every key masked", all = FALSE)
  expect_match(shown, "4 of 24 rows with negative or non-finite", all = FALSE)
})

test_that("summary() of a head without live rows is NA and has no top keys", {
  result <- summary(new_attn_scores(array(0, c(1, 1, 2, 3)), 1L, 1L, 1L, TRUE))
  expect_identical(result$heads$entropy, NA_real_)
  expect_identical(result$heads$effective_keys, NA_real_)
  expect_identical(nrow(result$top_keys), 0L)
  expect_match(capture.output(print(result)), "none", all = FALSE)
})

test_that("summary() rescales rows that dropout changed", {
  scores <- example_scores()
  expect_equal(summary(scores * 3)$heads$entropy, summary(scores)$heads$entropy)
})

test_that("summary() copes with one key, no head axis, several axes and no cells", {
  expect_identical(summary(example_scores(c(1, 1, 2, 1)))$heads$entropy_share, NA_real_)
  no_heads <- summary(example_scores(c(2, 4, 5), has_heads = FALSE))
  expect_identical(no_heads$heads$head, 1L)
  expect_false(any(grepl("head", capture.output(print(no_heads)))))
  several <- example_scores(c(1, 2, 3, 2, 3, 2), n_query = 2L, n_key = 2L)
  flat <- new_attn_scores(flatten_scores(several, attr(several, "axes")), 1L, 1L, 1L, TRUE)
  expect_equal(summary(several)$heads, summary(flat)$heads)
  best <- summary(several)$top_keys
  from_zero <- best$key - 1L
  expect_identical(best$position, sprintf("%d,%d", from_zero %/% 2L + 1L, from_zero %% 2L + 1L))
  for (shape in list(c(0, 2, 3, 3), c(2, 0, 3, 3), c(2, 2, 0, 3), c(2, 2, 3, 0))) {
    empty <- new_attn_scores(array(0, shape), 1L, 1L, 1L, TRUE)
    expect_output(print(summary(empty)), "Attention scores")
  }
})

test_that("summary() uses the dimnames of the keys and checks its arguments", {
  scores <- example_scores()
  dimnames(scores) <- list(NULL, NULL, NULL, letters[1:5])
  top <- summary(scores)$top_keys
  expect_identical(top$position, letters[top$key])
  expect_error(summary(scores, top = 0), class = "attn_error_argument")
  expect_error(print(summary(scores), digits = NA), class = "attn_error_argument")
  # more than any number has
  all_digits <- capture.output(print(summary(scores), digits = 15L))
  expect_identical(
    capture.output(print(summary(scores), digits = .Machine$integer.max)), all_digits
  )
  expect_identical(
    format(scores, digits = .Machine$integer.max), format(scores, digits = 15L)
  )
})

test_that("as.data.frame() has one row per weight in the documented order", {
  scores <- example_scores()
  cells <- as.data.frame(scores)
  expect_identical(names(cells), c("batch", "head", "query", "key", "weight"))
  expect_identical(nrow(cells), length(scores))
  expect_identical(cells$weight, scores[as.matrix(cells[1:4])])
  expect_identical(cells$key[1:6], c(1:5, 1L))
  expect_false(is.unsorted(cells$batch))
})

test_that("as.data.frame() adds labels of any kind", {
  scores <- example_scores(c(1, 2, 4, 5))
  days <- as.Date("2020-01-01") + 0:4
  cells <- as.data.frame(scores, query_labels = c("the", "cat", "the", "dog"), key_labels = days)
  expect_identical(
    names(cells), c("batch", "head", "query", "query_label", "key", "key_label", "weight")
  )
  expect_identical(cells$query_label, c("the", "cat", "the", "dog")[cells$query])
  expect_identical(cells$key_label, days[cells$key])
})

test_that("as.data.frame() gives each of several axes a column", {
  scores <- example_scores(c(1, 2, 3, 2, 3, 2), n_query = 2L, n_key = 2L)
  cells <- as.data.frame(scores)
  expect_identical(
    names(cells),
    c("batch", "head", "query", "query_1", "query_2", "key", "key_1", "key_2", "weight")
  )
  index <- as.matrix(cells[c("batch", "head", "query_1", "query_2", "key_1", "key_2")])
  expect_identical(cells$weight, scores[unname(index)])
  expect_identical(cells$query, (cells$query_1 - 1L) * 2L + cells$query_2)
})

test_that("as.data.frame() copes with no heads and no cells", {
  scores <- example_scores(c(2, 4, 5), has_heads = FALSE)
  cells <- as.data.frame(scores)
  expect_identical(unique(cells$head), 1L)
  expect_identical(cells$weight, scores[as.matrix(cells[c("batch", "query", "key")])])
  empty <- as.data.frame(new_attn_scores(array(0, c(0, 2, 3, 3)), 1L, 1L, 1L, TRUE))
  expect_identical(dim(empty), c(0L, 5L))
})

test_that("as.data.frame() works inside data.frame() and checks its arguments", {
  scores <- example_scores(c(1, 1, 2, 2))
  expect_identical(data.frame(scores), as.data.frame(scores))
  expect_identical(rownames(as.data.frame(scores, row.names = letters[1:4])), letters[1:4])
  expect_error(as.data.frame(scores, row.names = letters[1:3]), class = "attn_error_argument")
  expect_error(as.data.frame(scores, row.names = rep("a", 4)), class = "attn_error_argument")
  expect_error(as.data.frame(scores, query_labels = 1:3), class = "attn_error_argument")
  expect_error(as.data.frame(scores, key_labels = list(1, 2)), class = "attn_error_argument")
  expect_error(as.data.frame(scores, labels = 1:2), class = "attn_error_argument")
})

test_that("tidy() is as.data.frame()", {
  scores <- example_scores(c(1, 2, 2, 3))
  expect_identical(tidy(scores), as.data.frame(scores))
  expect_identical(
    generics::tidy(scores, key_labels = letters[1:3])$key_label, rep(letters[1:3], 4)
  )
})

test_that("parts of scores give what all of them at once give", {
  withr::local_seed(5)
  shape <- c(2, 2, 701, 411) # three parts a head
  scores <- new_attn_scores(array(runif(prod(shape)), shape), 1L, 1L, 1L, TRUE)
  scores[1, 2, 500, 7] <- NaN
  scores[2, 1, 600, ] <- 0
  flat <- plain_array(scores)
  expect_gt(length(row_parts(scores_extents(scores, attr(scores, "axes")))), 1L)

  cells <- tidy(scores)
  expect_identical(cells$weight, as.vector(aperm(flat, 4:1)))
  at <- as.matrix(cells[c("batch", "head", "query", "key")])
  expect_identical(flat[at], cells$weight)

  measured <- summary(scores)$heads
  expect_identical(measured$masked_rows, c(1L, 0L))
  expect_identical(measured$invalid_rows, c(0L, 1L))
  shares <- flat[1, 1, , ] / rowSums(flat[1, 1, , ])
  second <- flat[2, 1, -600, ] / rowSums(flat[2, 1, -600, ])
  entropy <- mean(c(-rowSums(shares * log(shares)), -rowSums(second * log(second))))
  expect_equal(measured$entropy[1], entropy, tolerance = 1e-13)
  range <- format(range(flat, finite = TRUE), digits = 3)
  expect_match(format(scores)[2],
    sprintf("weights from %s to %s, 1 value not finite", range[1], range[2])
  )
})
