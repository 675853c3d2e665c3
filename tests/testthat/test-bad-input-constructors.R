# Every argument of the constructors, given every bad value.

flag <- c("true", "false")
flag_or_null <- c("null", flag)
seeds <- c("null", "minus_one", "zero")
integer_vectors <- c(
  "null", "zero", "numeric_0", "integer_0", "two", "eight", "list_0", "list_1", "list_named",
  "pairlist", "array_1", "array_0", "too_wide"
)
functions <- c("null", "fun", "primitive")
arrays <- c(
  "matrix", "column", "array_1", "rank_4", "rank_20", "other_batch", "other_width",
  "forged_mask", "forged_mask_shape"
)

base_arguments <- list(name = c("null", "string"), dtype = "null", trainable = flag_or_null)

object_arguments <- list(
  kernel_initializer = c(functions, arrays), bias_initializer = c(functions, arrays),
  kernel_regularizer = c(functions, "list_class_name"),
  bias_regularizer = c(functions, "list_class_name"),
  activity_regularizer = c(functions, "list_class_name"),
  kernel_constraint = functions, bias_constraint = functions
)

heads_arguments <- c(
  list(
    dropout = c("zero", "tiny"), use_bias = flag, flash_attention = flag_or_null, seed = seeds,
    use_gate = flag, sliding_window = "null"
  ),
  object_arguments, base_arguments
)

scores_arguments <- c(
  list(
    use_scale = flag, dropout = c("zero", "tiny"), seed = seeds,
    activity_regularizer = c(functions, "list_class_name")
  ),
  base_arguments
)

test_that("constructors refuse bad arguments and draw no random number for them", {
  set.seed(1)
  rng <- function() get(".Random.seed", envir = globalenv())
  refuses <- function(f, owner, good, accepts) {
    for (argument in names(accepts)) {
      bad <- bad_values()
      bad <- bad[setdiff(names(bad), accepts[[argument]])]
      sweep_arguments(f, owner, good, stats::setNames(list(character()), argument), rng, bad)
      taken <- bad_values()[intersect(names(bad_values()), accepts[[argument]])]
      sweep_arguments(f, owner, good, accepts[argument], values = taken)
    }
  }
  refuses(
    layer_multi_head_attention, "layer_multi_head_attention", list(num_heads = 2, key_dim = 3),
    c(
      list(
        num_heads = character(), key_dim = character(), value_dim = "null",
        output_shape = integer_vectors,
        attention_axes = c(integer_vectors, "minus_one")
      ),
      heads_arguments
    )
  )
  refuses(
    layer_group_query_attention, "layer_group_query_attention",
    list(head_dim = 2, num_query_heads = 4, num_key_value_heads = 2),
    c(
      list(
        head_dim = character(), num_query_heads = character(), num_key_value_heads = character()
      ),
      heads_arguments
    )
  )
  refuses(
    layer_attention, "layer_attention", list(), c(list(score_mode = character()), scores_arguments)
  )
  refuses(
    layer_additive_attention, "layer_additive_attention", list(),
    c(list(score_mode = "null"), scores_arguments)
  )
})

test_that("the first argument of constructors is checked, its parts by their role", {
  # What is wrong with the one array is said of the role it plays.
  roles <- c("query", "value", "mask")
  accepts <- c("null", "other_batch", "other_width", "forged_scores")
  sweep_first <- function(f, argument, good = list(), also = character()) {
    sweep_arguments(
      f, "a constructor", good, stats::setNames(list(c(accepts, also)), argument),
      aliases = c(roles, "inputs", "object")
    )
  }
  sweep_first(layer_multi_head_attention, "inputs", list(num_heads = 2, key_dim = 3), "rank_4")
  sweep_first(layer_group_query_attention, "object", list(
    head_dim = 2, num_query_heads = 4, num_key_value_heads = 2
  ))
  sweep_first(layer_attention, "object", also = "rank_4")
  sweep_first(layer_additive_attention, "object", also = "rank_4")

  x <- random_array(2, 3, 4)
  expect_refused(layer_attention(list(x, x, x, x)), "object")
  expect_refused(layer_attention(list(x, query = x, query = x)), "object")
  expect_refused(layer_attention(list(x, foo = 1)), "foo")
  expect_refused(layer_attention(list(x, use_causal_mask = 2)), "use_causal_mask")
  expect_refused(
    layer_multi_head_attention(list(x, attention_msk = 1), num_heads = 1, key_dim = 1),
    "attention_msk"
  )
})

test_that("missing, unknown, doubled, unnamed and empty arguments of constructors are refused", {
  expect_refused(layer_multi_head_attention(key_dim = 2), "num_heads")
  expect_refused(layer_multi_head_attention(num_heads = 2), "key_dim")
  expect_refused(layer_group_query_attention(), "head_dim")
  expect_refused(layer_multi_head_attention(num_heads = 2, key_dim = 2, num_head = 3), "num_head")
  expect_refused(layer_attention(use_scal = TRUE, use_scale = TRUE), "use_scal")
  expect_refused(layer_attention(foo = 1), "foo")
  expect_refused(layer_attention(foo = 1, foo = 2), "foo")
  expect_refused(layer_attention(name = "a", name = "b"), "name")
  expect_refused(layer_attention(NULL, FALSE, "dot", 0, NULL, 1), "", "an unnamed sixth value")
  expect_refused(layer_attention(NULL, foo = stop("evaluated")), "foo")
  # A comma too many
  expect_refused(layer_attention(NULL, FALSE, "dot", 0, NULL, ), "", "an empty argument")
  for (name in names(formals(layer_group_query_attention))[-(1:4)]) {
    typo <- paste0(name, "x")
    arguments <- list(head_dim = 2, num_query_heads = 2, num_key_value_heads = 1)
    arguments[[typo]] <- 1
    expect_refused(do.call(layer_group_query_attention, arguments), typo)
  }
})

test_that("heads must be a multiple of key/value heads, sizes must fit in memory", {
  expect_refused(
    layer_group_query_attention(head_dim = 1, num_query_heads = 3, num_key_value_heads = 2),
    "num_key_value_heads"
  )
  huge <- .Machine$integer.max
  layer <- layer_multi_head_attention(num_heads = huge, key_dim = huge)
  before <- layer_snapshot(layer)
  expect_refused(layer(random_array(1, 2, 3), random_array(1, 2, 3)), "kernel_initializer")
  expect_identical(layer_snapshot(layer), before)
  layer <- layer_multi_head_attention(num_heads = 1, key_dim = 1, output_shape = rep(huge, 8))
  expect_refused(layer$build(c(1, 2, 3), c(1, 2, 3)), "kernel_initializer")
  expect_refused(
    layer_multi_head_attention(num_heads = 1, key_dim = 1, output_shape = rep(1, 9)),
    "output_shape"
  )
})

test_that("what users' functions return is checked, and a failed first call builds nothing", {
  x <- random_array(2, 3, 4)
  odd_results <- list(
    NULL, "a", list(1), c(1, 2), array(1, c(9, 9)), mean, factor("a"), data.frame(a = 1)
  )
  make <- function(...) layer_multi_head_attention(num_heads = 2, key_dim = 2, name = "m", ...)
  for (result in odd_results) {
    give <- function(...) result
    for (argument in c("kernel_initializer", "bias_initializer", "activity_regularizer")) {
      layer <- do.call(make, stats::setNames(list(give), argument))
      # an R function has no config
      before <- list(layer$built, layer$weights, layer$losses, layer$attention_axes)
      expect_refused(layer(x, x), argument)
      after <- list(layer$built, layer$weights, layer$losses, layer$attention_axes)
      expect_identical(after, before)
    }
    layer <- make(kernel_regularizer = give)
    layer(x, x)
    expect_refused(layer$losses, "query/kernel")
    if (!is.null(result)) {
      expect_refused(
        layer_attention(list(x, x), activity_regularizer = give), "activity_regularizer"
      )
    }
  }
  failing <- make(activity_regularizer = function(x) stop("the user's own"))
  expect_error(failing(x, x), "the user's own", class = "simpleError")
  expect_false(failing$built)
  failing <- layer_attention(activity_regularizer = function(x) stop("the user's own"))
  expect_error(failing(list(x, x)), "the user's own")
  expect_false(failing$built)
  # An array of another shape than the weight is known only when it is built.
  layer <- make(kernel_initializer = array(1, c(9, 9, 9)))
  expect_refused(layer$build(dim(x), dim(x)), "kernel_initializer")
  expect_false(layer$built)
})
