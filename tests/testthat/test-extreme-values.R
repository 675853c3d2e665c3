# What numbers at the ends of the scale give, as a table. NaN and Inf under masks, rows
# that see nothing and the layers' odd cases by path: also test-accuracy.R. Of attention
# itself at every instruction set: tests/core/test_extreme_values.c.

# Huge numbers of a precision, and where exp() overflows.
huge_numbers <- c(float32 = 1e30, float64 = 1e300)
exp_edges <- c(float32 = 88.8, float64 = 709.9)
unit_roundoff <- c(float32 = 2^-24, float64 = 2^-53)
both_dtypes <- names(huge_numbers)

in_dtype <- function(dtype, code) {
  old <- config_set_floatx(dtype)
  on.exit(config_set_floatx(old))
  force(code)
}

# f(-h), f(h) for a huge h, in units of h where they are not small: list(of_h, constant)
limits <- list(
  linear = c(-1, 1) * 1i, relu = c(0, 1i), relu6 = c(0, 6), leaky_relu = c(-0.2i, 1i),
  elu = c(-1, 1i), celu = c(-1, 1i), selu = c(-1.7580993408473766, 1.0507009873554805i),
  gelu = c(0, 1i), silu = c(0, 1i), mish = c(0, 1i), sigmoid = c(0, 1),
  log_sigmoid = c(-1i, 0), hard_sigmoid = c(0, 1), sparse_sigmoid = c(0, 1), tanh = c(-1, 1),
  hard_tanh = c(-1, 1), tanh_shrink = c(-1i, 1i), exponential = c(0, Inf), softplus = c(0, 1i),
  softsign = c(-1, 1), squareplus = c(0, 1i), sparse_plus = c(0, 1i), soft_shrink = c(-1i, 1i),
  hard_shrink = c(-1i, 1i)
)

test_that("activations of huge numbers are their limits", {
  elementwise <- setdiff(
    ls("package:attn", pattern = "^activation_"),
    paste0("activation_", c("softmax", "log_softmax", "sparsemax", "glu", "threshold"))
  )
  expect_setequal(paste0("activation_", names(limits)), elementwise)
  for (dtype in both_dtypes) in_dtype(dtype, {
    huge <- huge_numbers[[dtype]]
    # all lanes of a vector, and what is left beside it
    x <- array(rep(c(-huge, huge), 35), c(5, 14))
    for (name in names(limits)) {
      expected <- ifelse(Im(limits[[name]]) != 0, Im(limits[[name]]) * huge, Re(limits[[name]]))
      got <- get(paste0("activation_", name))(x)
      expect_identical(is.finite(got), is.finite(array(expected, dim(x))), label = name)
      wrong <- got != expected & abs(got / expected - 1) > 4 * unit_roundoff[[dtype]]
      expect_false(any(wrong), label = paste(name, dtype, format(got[1]), format(got[2])))
    }
    expect_equal(activation_gelu(x, approximate = TRUE)[1:2], c(0, huge), tolerance = 1e-6)
  })
})

test_that("activations about the edge of exp() are the formulas, NaN stays NaN", {
  stable <- list(
    sigmoid = stats::plogis, silu = function(x) x * stats::plogis(x),
    softplus = function(x) pmax(x, 0) + log1p(exp(-abs(x))),
    log_sigmoid = function(x) stats::plogis(x, log.p = TRUE), tanh = tanh,
    elu = function(x) ifelse(x < 0, expm1(x), x)
  )
  for (dtype in both_dtypes) in_dtype(dtype, {
    edge <- exp_edges[[dtype]]
    x <- round_to_dtype(c(-1, 1) %o% c(edge, edge - 0.5, edge + 15, edge * 1.2, 20, 1e-4), dtype)
    smallest <- if (dtype == "float32") 2^-126 else 2^-1022
    for (name in names(stable)) {
      expected <- stable[[name]](x)
      error <- abs(get(paste0("activation_", name))(x) - expected)
      # 1 / (1 + exp(-x)) may be nothing where it is below the smallest normal number
      bound <- 8 * unit_roundoff[[dtype]] * abs(expected) + pmax(1, abs(x)) * smallest
      expect_true(all(error <= bound), label = name)
      got <- get(paste0("activation_", name))(c(NaN, 1, NA)) # NA or NaN: not promised
      expect_identical(as.vector(is.na(got)), c(TRUE, FALSE, TRUE), label = name)
    }
    expect_identical(1 / activation_tanh(array(-0, 9)), array(-Inf, 9), label = "-0")
    expect_identical(1 / activation_linear(array(-0, 9)), array(-Inf, 9), label = "-0")
  })
})

test_that("softmax of huge numbers: the largest share the whole", {
  for (dtype in both_dtypes) in_dtype(dtype, {
    h <- huge_numbers[[dtype]]
    edge <- exp_edges[[dtype]]
    u <- unit_roundoff[[dtype]]
    rows <- list(
      list(c(h, -h, h, 0), c(0.5, 0, 0.5, 0)), list(c(-h, -h), c(0.5, 0.5)),
      list(c(h, h / 2), c(1, 0)), list(c(edge, -edge, 0), c(1, 0, 0)),
      list(c(-Inf, 0, 0), c(0, 0.5, 0.5)), list(rep(h, 70), rep(1 / 70, 70)),
      list(c(-edge, -edge), c(0.5, 0.5))
    )
    for (row in rows) {
      x <- matrix(row[[1]], 1)
      label <- paste(dtype, toString(utils::head(row[[1]], 4)))
      got <- as.vector(activation_softmax(x))
      expect_lte(max(abs(got - row[[2]])), 2 * u + exp(-edge), label = label)
      expect_lte(abs(sum(got) - 1), 4 * u * length(got), label = label)
      # Keras's threshold of the sparse softmax adds sums up: known where one number has all
      if (all(is.finite(x))) {
        expect_true(all(is.finite(activation_sparsemax(x))), label = paste("sparsemax", label))
        finite <- activation_log_softmax(x)
        expect_true(all(is.finite(finite) & finite <= 0), label = paste("log_softmax", label))
      }
    }
    expect_identical(as.vector(activation_sparsemax(matrix(c(h, -h, 0), 1))), c(0, 0, 0) + (h == 0))
    expect_true(all(is.nan(activation_softmax(matrix(c(1, NaN, 2), 1)))))
  })
})

test_that("softmax of a row that is masked in full is zeros", {
  for (dtype in both_dtypes) {
    layer <- layer_activation_softmax(dtype = dtype)
    x <- rbind(c(1, 2, 3), c(1, NaN, 2))
    mask <- rbind(FALSE, c(TRUE, FALSE, TRUE))
    got <- layer(x, mask = mask)
    expect_identical(got[1, ], c(0, 0, 0))
    expect_equal(got[2, ], c(1, 0, exp(1)) / (1 + exp(1)), tolerance = 1e-6)
  }
})

test_that("normalization of constant and of huge rows", {
  for (dtype in both_dtypes) {
    huge <- c(huge_numbers[[dtype]], if (dtype == "float32") 3e38 else 1.7e308)
    norm <- function(x, ...) layer_layer_normalization(x, dtype = dtype, ...)
    rms <- function(x) layer_rms_normalization(x, dtype = dtype)
    tolerance <- if (dtype == "float32") 1e-6 else 1e-14
    for (columns in c(1, 5, 37, 300)) {
      for (value in c(0, 1, 0.1, 1e-40, huge, -huge)) {
        label <- paste(dtype, columns, value)
        x <- matrix(value, 2, columns)
        expect_lte(max(abs(norm(x))), if (abs(value) < 10) 1e-5 else 0, label = label)
      }
      for (value in c(huge, -huge)) {
        label <- paste(dtype, columns, value)
        x <- matrix(value, 2, columns)
        expect_equal(rms(x), x / value * sign(value), tolerance = tolerance, label = label)
        x <- cbind(x, -x)
        expect_equal(norm(x), x / abs(value), tolerance = tolerance, label = label)
        expect_equal(
          norm(x, rms_scaling = TRUE), x / abs(value), tolerance = tolerance, label = label
        )
      }
    }
    x <- rbind(c(1, NaN, 2), c(1, 2, 3), c(1, Inf, 2))
    expect_identical(is.nan(norm(x)), matrix(c(TRUE, FALSE, TRUE), 3, 3), label = dtype)
  }
})

test_that("pooling of huge steps, and of none", {
  for (dtype in both_dtypes) {
    h <- huge_numbers[[dtype]]
    x <- array(rep(c(h, -h), each = 30), c(2, 30, 3))
    x[2, , ] <- -h
    x[1, , ] <- h
    average <- layer_global_average_pooling_1d(dtype = dtype)
    expect_equal(average(x), x[, 1, ], tolerance = 1e-5)
    expect_identical(
      layer_global_max_pooling_1d(x, dtype = dtype),
      matrix(round_to_dtype(x[, 1, ], dtype), 2)
    )
    # as Keras has it: 0 / 0
    expect_true(all(is.nan(average(x, mask = matrix(FALSE, 2, 30)))))
  }
})

# ---- attention -------------------------------------------------------------------

# A layer of each kind, built on inputs of width 6, with weights of the kind.
attention_layers <- function(dtype, ...) {
  made <- c(all_layers(dtype = dtype, ...), concat = layer_attention(
    score_mode = "concat", dtype = dtype, ...
  ))
  withr::with_seed(21, lapply(made, function(layer) {
    call_layer(layer, random_array(1, 2, 6))
    layer
  }))
}

# The layer as it was saved: its dropout begins anew.
afresh <- function(layer) unserialize(serialize(layer, NULL))

# Every way in which a key can be hidden: the arguments of a call that hides, and which
# keys (of 70) no query sees. NULL where the layer does not know it.
ways_to_hide <- function(layer, query, value) {
  padding <- rep(c(TRUE, TRUE, FALSE, TRUE, FALSE), 14)
  batch <- rbind(padding, padding)
  given <- function(...) list(query, value, ...)
  if ("inputs" %in% names(formals(layer))) {
    return(list(
      padding = list(list(list(query, value), mask = list(NULL, batch)), !padding),
      implicit = list(list(list(query, set_keras_mask(value, batch))), !padding)
    ))
  }
  list(
    matrix = list(given(attention_mask = rep(1, 20) %o% padding != 0), !padding),
    batch = list(given(attention_mask = with_axis(batch, 1)), !padding),
    value_mask = list(given(value_mask = batch), !padding),
    key_mask = list(given(value, key_mask = batch), !padding),
    implicit = list(list(query, set_keras_mask(value, batch)), !padding),
    causal = list(given(use_causal_mask = TRUE), seq_len(70) > 20)
  )
}

test_that("a key that is hidden in any way makes no difference to the bits", {
  withr::local_seed(22)
  query <- random_array(2, 20, 6)
  value <- random_array(2, 70, 6)
  for (dtype in both_dtypes) for (dropout in c(0, 0.4)) for (flash in c(TRUE, FALSE)) {
    layers <- attention_layers(dtype, dropout = dropout, seed = 1L)
    for (layer in layers) for (way in names(ways_to_hide(layer, query, value))) {
      spoiled <- value
      hidden <- ways_to_hide(layer, query, value)[[way]][[2]]
      spoiled[, hidden, ] <- rep_len(c(NaN, Inf, -Inf, NA, 1e300), 12 * sum(hidden))
      for (scores in c(FALSE, TRUE)) {
        call <- function(value) {
          arguments <- ways_to_hide(layer, query, value)[[way]][[1]]
          more <- list(return_attention_scores = scores, training = dropout > 0)
          run <- function() do.call(afresh(layer), c(arguments, more))
          got <- if (flash) run() else without_flash_attention(run())
          lapply(if (is.list(got)) got else list(got), plain)
        }
        label <- paste(layer$name, dtype, way, dropout, scores, if (flash) "tiled" else "plain")
        clean <- call(value)
        expect_true(all(is.finite(unlist(clean))), label = paste(label, "- finite"))
        expect_same_bits(call(spoiled), clean, label)
      }
    }
  }
})

test_that("a sliding window and masks of the operation hide NaN as well", {
  withr::local_seed(23)
  x <- random_array(1, 90, 6)
  spoiled <- replace(x, cbind(1, 50, 1:6), NaN)
  for (dtype in both_dtypes) for (flash in c(TRUE, FALSE)) {
    layer <- layer_multi_head_attention(
      num_heads = 2, key_dim = 3, sliding_window = 10, flash_attention = flash, dtype = dtype
    )
    clean <- layer(x, x)
    got <- layer(x, spoiled)
    sees <- abs(seq_len(90) - 50) < 10
    expect_same_bits(got[, !sees, ], clean[, !sees, ], paste("window", dtype, flash))
    expect_true(all(is.nan(got[, sees, ])), label = paste("window", dtype, flash))
    in_dtype(dtype, {
      heads <- array(x, c(1, 90, 2, 3))
      mask <- array(TRUE, c(90, 90))
      mask[, 50] <- FALSE
      run <- function(value) {
        op_dot_product_attention(heads, value, value, mask = mask, flash_attention = flash)
      }
      bad <- replace(heads, cbind(1, 50, 1:2, 2), Inf)
      expect_same_bits(run(bad), run(heads), paste("op", dtype, flash))
    })
  }
})

test_that("huge logits in layers: finite, and weights sum to 1", {
  withr::local_seed(24)
  for (dtype in both_dtypes) {
    size <- sqrt(huge_numbers[[dtype]]) / 100
    query <- size * random_array(2, 20, 6)
    for (layer in attention_layers(dtype)) for (flash in c(TRUE, FALSE)) {
      run <- function() call_layer(layer, query, return_attention_scores = TRUE)
      got <- if (flash) run() else without_flash_attention(run())
      sums <- apply(plain(got[[2]]), seq_len(length(dim(got[[2]])) - 1), sum)
      label <- paste(layer$name, dtype, flash)
      expect_true(all(is.finite(got[[1]])), label = label)
      expect_lte(max(abs(sums - 1)), 4 * unit_roundoff[[dtype]] * 20, label = label)
    }
  }
})

test_that("denormal values keep their digits, infinite ones stay infinite", {
  withr::local_seed(25)
  for (dtype in both_dtypes) in_dtype(dtype, {
    tiny <- c(float32 = 1e-40, float64 = 1e-310)[[dtype]]
    smallest <- c(float32 = 2^-149, float64 = 2^-1074)[[dtype]]
    query <- random_array(1, 40, 1, 4)
    key <- random_array(1, 300, 1, 4)
    value <- round_to_dtype(tiny * random_array(1, 300, 1, 3), dtype)
    logits <- matrix(query, 40) %*% t(matrix(key, 300)) / 2
    weights <- exp(logits - apply(logits, 1, max))
    factor <- 2^(if (dtype == "float32") 100 else 1000)
    expected <- (weights / rowSums(weights)) %*% (matrix(value, 300) * factor) / factor
    got <- op_dot_product_attention(query, key, value)
    bound <- unit_roundoff[[dtype]] * (1 + max(abs(logits))) * max(abs(value)) + smallest
    expect_lte(max(abs(matrix(got, 40) - expected)) / smallest, bound / smallest, label = dtype)
    value[1, 7, 1, 2] <- -Inf
    got <- op_dot_product_attention(query, key, value)
    expect_identical(got[1, , 1, 2], rep(-Inf, 40))
    expect_true(all(is.finite(got[1, , 1, -2])))
  })
})

test_that("subnormal numbers are numbers before and after calls", {
  smallest <- 2^-1074
  layer_attention(list(random_array(1, 3, 2), random_array(1, 3, 2)))
  activation_softmax(random_array(3, 3))
  expect_true(smallest > 0 && smallest * 1.5 > smallest && smallest / 2 == 0)
})
