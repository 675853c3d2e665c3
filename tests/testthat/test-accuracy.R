# Sizes on both sides of every tile's edge.
edges <- c(1, 2, 7, 8, 9, 15:17, 31:33, 47:49, 63:65, 95:97, 127:129, 191:193, 255:257)

# A seeded problem for op_dot_product_attention() in numbers that float32 can hold.
# `size` is about how large the logits are.
random_problem <- function(seed, size) {
  withr::with_seed(seed, {
    pick <- function(x) x[sample.int(length(x), 1L)]
    batch <- pick(1:2)
    groups <- pick(c(1L, 2L))
    heads <- groups * pick(1:2)
    target <- pick(edges)
    source <- pick(edges)
    depth <- pick(c(1, 3, 8, 16, 33, 64))
    problem <- list(
      query = random_array(batch, target, heads, depth),
      key = random_array(batch, source, groups, depth),
      value = random_array(batch, source, groups, pick(c(1, 5, 16, 40)))
    )
    # The root of the size in each factor, as neither may overflow.
    problem$query <- problem$query * sqrt(size)
    problem$key <- problem$key * sqrt(size)
    problem$value <- problem$value * pick(c(1, 1e-3, 1e3))
    problem <- lapply(problem, round_to_dtype, "float32")
    problem$is_causal <- pick(c(FALSE, FALSE, TRUE))
    if (pick(1:3) == 1L) {
      shapes <- list(
        c(target, source), c(batch, 1, 1, source), c(batch, heads, target, source)
      )
      shape <- shapes[[pick(1:3)]]
      problem$mask <- array(stats::runif(prod(shape)) < pick(c(0.2, 0.8)), shape)
    }
    problem
  })
}

largest_logit <- function(problem) {
  shape <- dim(problem$query)
  groups <- dim(problem$key)[3]
  largest <- 0
  for (b in seq_len(shape[1])) for (n in seq_len(shape[3])) {
    g <- ceiling(n / (shape[3] / groups))
    query <- matrix(problem$query[b, , n, ], shape[2])
    key <- matrix(problem$key[b, , g, ], dim(problem$key)[2])
    largest <- max(largest, abs(tcrossprod(query, key)))
  }
  largest / sqrt(shape[4])
}

solve_in <- function(problem, floatx, flash) {
  old <- config_set_floatx(floatx)
  on.exit(config_set_floatx(old))
  do.call(op_dot_product_attention, c(problem, list(flash_attention = flash)))
}

test_that("attention is as accurate as promised, at every tile's edge and scale", {
  scales <- c(1e-30, 1e-12, 1, 4, 30, 1e3, 1e6, 1e18)
  worst <- c(float32 = 0, float64 = 0)
  for (seed in 1:200) {
    problem <- random_problem(seed, scales[seed %% length(scales) + 1L])
    oracle <- solve_in(problem, "float64", FALSE)
    size <- (1 + largest_logit(problem)) * max(abs(problem$value))
    single <- max(abs(solve_in(problem, "float32", TRUE) - oracle)) / (2^-24 * size)
    # The oracle is as inexact as what is compared with it.
    double <- max(abs(solve_in(problem, "float64", TRUE) - oracle)) / (2 * 2^-53 * size)
    worst <- c(float32 = max(worst[1], single), float64 = max(worst[2], double))
    expect_true(single <= 1 && double <= 1,
      label = sprintf("problem %d: %.3g and %.3g of the bounds", seed, single, double)
    )
  }
  # Errors of nothing at all would mean that nothing was compared.
  expect_gt(worst[["float32"]], 0.01)
})

test_that("the oracle is right", {
  in_float64()
  for (seed in 201:230) {
    problem <- random_problem(seed, 1)
    dims <- lapply(problem[1:3], dim)
    if (prod(dims$query[1:3]) * dims$key[2] < 20000) {
      expected <- do.call(oracle_op, problem)
      expect_close(
        do.call(op_dot_product_attention, c(problem, flash_attention = FALSE)), expected,
        1e-13, seed
      )
    }
  }
})

# The distance of neighboring numbers at x, with this many bits of mantissa.
ulp <- function(x, bits, lowest) {
  exponent <- floor(log2(abs(x)))
  exponent <- exponent + (2^(exponent + 1) <= abs(x)) - (2^exponent > abs(x))
  2^(pmax(exponent, lowest) - bits + 1)
}

elementary <- function(x, name, dtype) .Call(ffi_elementary, as.double(x), name, dtype)

ulp_errors <- function(x, name, dtype) {
  single <- dtype == "float32"
  exact <- match.fun(name)(x)
  step <- ulp(exact, if (single) 24 else 53, if (single) -126 else -1022)
  abs(elementary(x, name, dtype) - exact) / step
}

test_that("exp() is within 1.5 ulp", {
  withr::local_seed(1)
  near_zero <- 10^stats::runif(5000, -30, 0)
  for (dtype in c("float32", "float64")) {
    lowest <- if (dtype == "float32") -87 else -708
    x <- c(
      stats::runif(40000, lowest, 0), stats::runif(20000, 0, -lowest), -near_zero, near_zero,
      # Where the argument is reduced to one interval or the next.
      log(2) * (seq(2 * lowest, 0) / 2), log(2) * seq(2 * lowest, 0) / 2 + 1e-4
    )
    x <- round_to_dtype(x[x >= lowest], dtype)
    expect_lte(max(ulp_errors(x, "exp", dtype)), 1.5, label = dtype)
    below <- c(lowest - c(0.5, 1, 10, 100), -1e5, -1e30, -Inf)
    y <- elementary(below, "exp", dtype)
    expect_true(all(y >= 0 & y <= exp(lowest)), label = paste(dtype, "below the range"))
    expect_identical(elementary(c(0, -0, -Inf), "exp", dtype), c(1, 1, 0))
    expect_identical(elementary(c(NaN, NA), "exp", dtype) + 0, c(NaN, NA), label = dtype)
  }
})

test_that("tanh() is within 3 ulp, odd, and never above 1", {
  withr::local_seed(2)
  for (dtype in c("float32", "float64")) {
    smallest <- if (dtype == "float32") -37 else -300
    x <- round_to_dtype(c(
      stats::runif(40000, 0, 3), stats::runif(10000, 0, 25), 10^stats::runif(20000, smallest, 1),
      log(2) * (1:80) / 4
    ), dtype)
    # The kernels' bound is 3; in float64 the C library's own tanh() is off by a unit or two.
    expect_lte(max(ulp_errors(x, "tanh", dtype)), if (dtype == "float32") 3 else 4, label = dtype)
    y <- elementary(x, "tanh", dtype)
    expect_identical(elementary(-x, "tanh", dtype), -y, label = dtype)
    expect_true(all(y <= 1))
    large <- c(25, 50, 1e5, 1e30, Inf)
    expect_identical(elementary(c(large, -large), "tanh", dtype), rep(c(1, -1), each = 5))
    expect_identical(elementary(c(0, -0), "tanh", dtype), c(0, 0))
    expect_identical(1 / elementary(-0, "tanh", dtype), -Inf)
    expect_true(is.nan(elementary(NaN, "tanh", dtype)))
  }
})

# All layers and computations: f(make) for each, make() gives a built layer with
# the weights of the kind. Queries and values are 6 wide.
for_all_layers <- function(f) {
  for (dtype in c("float32", "float64")) {
    made <- withr::with_seed(9, {
      lapply(all_layers(dtype = dtype), function(layer) {
        call_layer(layer, random_array(1, 2, 6))
        layer
      })
    })
    made$concat <- layer_attention(score_mode = "concat", dtype = dtype)
    for (layer in made) {
      label <- paste(layer$name, dtype)
      f(layer, paste(label, "tiled"))
      without_flash_attention(f(layer, paste(label, "plain")))
    }
  }
}

call_masked <- function(layer, query, value, visible, ...) {
  if ("inputs" %in% names(formals(layer))) {
    layer(list(query, value), mask = list(NULL, visible), ...)
  } else {
    layer(query, value, value_mask = visible, ...)
  }
}

bad_numbers <- list(NaN, NA_real_, Inf, -Inf, 1e300)

test_that("what a masked key holds makes no difference to the bits", {
  withr::local_seed(3)
  query <- random_array(2, 19, 6)
  value <- random_array(2, 150, 6)
  visible <- matrix(stats::runif(300) < 0.6, 2, 150)
  visible[, 1] <- TRUE
  hidden <- as.vector(!visible)
  for_all_layers(function(layer, label) {
    expected <- call_masked(layer, query, value, visible)
    scores <- call_masked(layer, query, value, visible, return_attention_scores = TRUE)
    for (bad in bad_numbers) {
      spoiled <- value
      spoiled[rep(hidden, 6)] <- bad
      expect_same_bits(call_masked(layer, query, spoiled, visible), expected, paste(label, bad))
      got <- call_masked(layer, query, spoiled, visible, return_attention_scores = TRUE)
      expect_same_bits(got, scores, paste(label, bad, "with scores"))
    }
  })
})

test_that("what comes later makes no difference under a causal mask", {
  withr::local_seed(4)
  query <- random_array(1, 140, 6)
  value <- random_array(1, 140, 6)
  for_all_layers(function(layer, label) {
    expected <- call_layer(layer, query, value, use_causal_mask = TRUE)
    for (from in c(2, 40, 64, 65, 128, 140)) {
      spoiled <- value
      spoiled[1, from:140, ] <- NaN
      got <- call_layer(layer, query, spoiled, use_causal_mask = TRUE)
      before <- seq_len(from - 1)
      expect_same_bits(
        got[, before, , drop = FALSE], expected[, before, , drop = FALSE], paste(label, from)
      )
      expect_true(all(is.nan(got[, from:140, ])), label = paste(label, from))
    }
  })
})

test_that("NaN and Inf reach exactly the rows that see them", {
  withr::local_seed(5)
  query <- random_array(2, 37, 6)
  value <- random_array(2, 70, 6)
  spoiled_keys <- c(1, 9, 33, 64, 70)
  for_all_layers(function(layer, label) {
    if (!layer_self(layer)$heads) {
      return(NULL)
    }
    for (key in spoiled_keys) {
      mask <- array(stats::runif(2 * 37 * 70) < 0.5, c(2, 37, 70))
      mask[, , 2] <- TRUE
      expected <- layer(query, value, attention_mask = mask)
      for (bad in c(NaN, Inf)) {
        spoiled <- value
        spoiled[1, key, ] <- bad
        got <- layer(query, spoiled, attention_mask = mask)
        touched <- apply(!is.finite(got), 1:2, all)
        seen <- rbind(mask[1, , key], FALSE)
        expect_same_bits(touched, seen, paste(label, key, bad, "rows"))
        rest <- rep(!seen, 6)
        expect_same_bits(got[rest], expected[rest], paste(label, key, bad, "other rows"))
      }
    }
  })
})

test_that("NaN in one place of a value, key or query stays in its column, rows or row", {
  withr::local_seed(6)
  for (floatx in c("float32", "float64")) {
    query <- random_array(2, 20, 2, 5)
    key <- random_array(2, 70, 2, 5)
    value <- random_array(2, 70, 2, 4)
    spoil <- function(x, at) replace(x, at, NaN)
    clean <- solve_in(list(query, key, value), floatx, TRUE)
    for (flash in c(TRUE, FALSE)) {
      of_value <- solve_in(list(query, key, spoil(value, matrix(c(2, 66, 1, 3), 1))), floatx, flash)
      where <- array(FALSE, dim(clean))
      where[2, , 1, 3] <- TRUE
      expect_same_bits(is.nan(of_value), where, "value")
      of_key <- solve_in(list(query, spoil(key, matrix(c(2, 66, 1, 3), 1)), value), floatx, flash)
      where[2, , 1, ] <- TRUE
      expect_same_bits(is.nan(of_key), where, "key")
      of_query <- solve_in(list(spoil(query, matrix(c(1, 7, 2, 3), 1)), key, value), floatx, flash)
      where[] <- FALSE
      where[1, 7, 2, ] <- TRUE
      expect_same_bits(is.nan(of_query), where, "query")
      expect_close(of_query[!where], clean[!where], 1e-5, "the other rows")
    }
  }
})

test_that("huge logits give the value of the largest, equal ones the mean", {
  withr::local_seed(7)
  for (floatx in c("float32", "float64")) {
    for (flash in c(TRUE, FALSE)) {
      label <- paste(floatx, flash)
      value <- round_to_dtype(random_array(1, 130, 1, 4), "float32")
      query <- array(c(1e15, -1e15), c(1, 2, 1, 1))
      key <- array(sample(130) * 1e13, c(1, 130, 1, 1))
      got <- solve_in(list(query, key, value), floatx, flash)
      expected <- value[1, c(which.max(key), which.min(key)), 1, ]
      expect_identical(got[1, , 1, ], expected, label = label)

      for (logit in c(0, 1e-30, 20, -90, 1e30, -1e30)) {
        key[] <- 1
        query[] <- logit
        got <- solve_in(list(query, key, value), floatx, flash)
        mean_value <- rbind(colMeans(value[1, , 1, ]), colMeans(value[1, , 1, ]))
        expect_close(got[1, , 1, ], mean_value, if (floatx == "float32") 3e-7 else 1e-15, label)
      }
    }
  }
})

test_that("logits far apart underflow to nothing, not to NaN", {
  for (floatx in c("float32", "float64")) {
    for (flash in c(TRUE, FALSE)) {
      query <- array(1, c(1, 1, 1, 1))
      key <- array(c(0, -1e4, -1e30, -80), c(1, 4, 1, 1))
      value <- array(c(1, 1e30, 1e30, 1), c(1, 4, 1, 1))
      got <- solve_in(list(query, key, value, scale = 1), floatx, flash)
      expect_identical(as.vector(got), 1)
    }
  }
})

test_that("a scale below the smallest float counts as 0", {
  value <- array(1:6, c(1, 3, 1, 2))
  for (scale in c(1e-38, 1e-44, 1e-50, 0)) {
    for (flash in c(TRUE, FALSE)) {
      got <- op_dot_product_attention(value, value, value, scale = scale, flash_attention = flash)
      expect_close(got[1, , 1, ], matrix(c(2, 5), 3, 2, byrow = TRUE), 1e-6, scale)
    }
  }
})

# ---- rows whose keys are all masked; what they give depends on Keras's path ----

dead_inputs <- function() {
  list(query = random_array(2, 5, 4), value = random_array(2, 7, 4))
}

test_that("dead rows of the layers with heads: the mean or nothing, by Keras's path", {
  withr::local_seed(8)
  inputs <- dead_inputs()
  visible <- array(TRUE, c(2, 5, 7))
  visible[1, 2, ] <- FALSE
  visible[2, , ] <- FALSE
  grown <- with_axis(visible, 1)
  for (use_gate in c(FALSE, TRUE)) {
    for (kind in c("mha", "gqa")) {
      make <- function(...) {
        layer <- if (kind == "mha") small_mha(..., use_gate = use_gate) else {
          make_gqa(..., use_gate = use_gate, dtype = "float64")
        }
        layer$build(c(NA, NA, 4), c(NA, NA, 4))
        set_weights(layer, lapply(get_weights(layer), function(w) random_array(dim(w))))
        layer
      }
      for (flash in list(TRUE, FALSE)) {
        fused <- make(flash_attention = flash)
        label <- paste(kind, use_gate, flash)
        mean_rows <- oracle_heads(fused, inputs$query, inputs$value, visible = grown)
        zero_rows <- oracle_heads(
          fused, inputs$query, inputs$value, visible = grown, dead_row = "zero"
        )
        run <- function(layer, ...) {
          layer(inputs$query, inputs$value, attention_mask = visible, ...)
        }
        expect_close(run(fused), mean_rows$output, 1e-12, label)
        with_scores <- run(fused, return_attention_scores = TRUE)
        expect_close(with_scores[[1]], zero_rows$output, 1e-12, label)
        expect_close(plain(with_scores[[2]]), zero_rows$scores, 1e-12, label)
        expect_true(all(with_scores[[2]][2, , , ] == 0), label = label)
        # With a dropout rate Keras leaves the fused path even outside training.
        dropping <- make(flash_attention = flash, dropout = 0.5)
        set_weights(dropping, get_weights(fused))
        expect_close(run(dropping), zero_rows$output, 1e-12, label)
      }
    }
  }
})

test_that("dead rows with further axes are empty", {
  withr::local_seed(9)
  layer <- layer_multi_head_attention(
    num_heads = 2, key_dim = 3, attention_axes = 2, bias_initializer = "ones"
  )
  x <- random_array(2, 3, 4, 5)
  got <- layer(x, x, attention_mask = array(FALSE, c(2, 3, 4, 4)))
  expect_identical(got, array(1, dim(x)))
})

test_that("dead rows of the operation are the mean of all values", {
  withr::local_seed(10)
  in_float64()
  query <- random_array(1, 5, 2, 3)
  key <- random_array(1, 70, 2, 3)
  value <- random_array(1, 70, 2, 3)
  mask <- array(TRUE, c(5, 70))
  mask[3, ] <- FALSE
  for (flash in c(TRUE, FALSE)) {
    got <- op_dot_product_attention(query, key, value, mask = mask, flash_attention = flash)
    expect_close(got[1, 3, , ], apply(value[1, , , ], 2:3, mean), 1e-14, flash)
    expect_close(got, oracle_op(query, key, value, mask = mask), 1e-12, flash)
  }
})

test_that("dead rows of the layers without heads see all keys, 1e9 lower", {
  withr::local_seed(11)
  inputs <- dead_inputs()
  mask <- list(NULL, rbind(rep(TRUE, 7), FALSE))
  for (make in list(
    function(...) layer_attention(...), function(...) layer_attention(score_mode = "concat", ...),
    function(...) layer_additive_attention(use_scale = FALSE, ...)
  )) {
    run <- function(dtype, flash, ...) {
      layer <- make(dtype = dtype)
      call <- function() layer(unname(inputs), ..., return_attention_scores = TRUE)
      result <- if (flash) call() else without_flash_attention(call())
      list(result[[1]][2, , ], plain(result[[2]])[2, , ])
    }
    for (flash in c(TRUE, FALSE)) {
      label <- paste(format(body(make))[1], flash)
      # In float64 the shift costs seven digits, no more.
      dead <- run("float64", flash, mask = mask)
      alive <- run("float64", flash)
      expect_close(dead[[1]], alive[[1]], 1e-5, label)
      expect_close(dead[[2]], alive[[2]], 1e-5, label)
      # In float32 what is below 32 vanishes in 1e9.
      dead <- run("float32", flash, mask = mask)
      mean_value <- matrix(colMeans(inputs$value[2, , ]), 5, 4, byrow = TRUE)
      expect_close(dead[[1]], mean_value, 1e-6, label)
      expect_close(dead[[2]], matrix(1 / 7, 5, 7), 1e-7, label)
    }
  }
})

test_that("in float32 the shift rounds logits of dead rows to multiples of 64", {
  query <- array(1, c(1, 1, 1))
  key <- array(c(0, 31, 97), c(1, 3, 1))
  value <- array(c(2, 4, 8), c(1, 3, 1))
  mask <- list(NULL, matrix(FALSE, 1, 3))
  run <- function(key) {
    layer <- layer_attention()
    c(
      layer(list(query, value, key), mask = mask),
      without_flash_attention(layer(list(query, value, key), mask = mask))
    )
  }
  expect_identical(run(key), c(8, 8))
  key[3] <- 31
  expect_close(run(key), c(14, 14) / 3, 2e-7, "mean")
})
