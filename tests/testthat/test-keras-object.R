test_that("objects are functions that say what they are", {
  expect_true(is.function(initializer_zeros()))
  expect_s3_class(initializer_zeros(), c("attn_initializer", "attn_object"), exact = TRUE)
  expect_s3_class(regularizer_l1(), c("attn_regularizer", "attn_object"), exact = TRUE)
  expect_s3_class(constraint_nonneg(), c("attn_constraint", "attn_object"), exact = TRUE)
})

test_that("format, print and str show the class and its settings in one line", {
  expect_identical(format(initializer_glorot_uniform()), "<initializer GlorotUniform()>")
  expect_identical(format(initializer_glorot_uniform(3)), "<initializer GlorotUniform(seed = 3)>")
  expect_identical(
    format(constraint_maxnorm(2.5, axis = c(1, 3))),
    "<constraint MaxNorm(max_value = 2.5, axis = c(1, 3))>"
  )
  expect_identical(format(constraint_unitnorm(-1)), "<constraint UnitNorm(axis = -1)>")
  expect_identical(format(constraint_unitnorm(NULL)), "<constraint UnitNorm(axis = NULL)>")
  expect_identical(
    format(initializer_constant(diag(2))), "<initializer Constant(value = a list of length 2)>"
  )
  expect_output(print(regularizer_l2(0.5)), "<regularizer L2(l2 = 0.5)>", fixed = TRUE)
  expect_output(utils::str(initializer_ones()), "<initializer Ones()>", fixed = TRUE)
  expect_output(expect_invisible(print(constraint_nonneg())), "NonNeg")
})

test_that("get_config() and object_serialize() are Keras's", {
  expect_identical(get_config(initializer_he_normal(4L)), list(
    seed = 4L, input_axes = NULL, output_axes = NULL
  ))
  expect_identical(to_json(get_config(initializer_zeros())), "{}")
  expect_identical(object_serialize(regularizer_l2(0.5)), list(
    module = "keras.regularizers", class_name = "L2", config = list(l2 = 0.5),
    registered_name = NULL
  ))
  expect_null(object_serialize(NULL))
})

test_that("a plain function has no serialized form", {
  for (f in list(function(x) sum(x), sum, "l2", 3)) {
    expect_error(object_serialize(f), class = "attn_error_config")
  }
})

test_that("every serialized form of Keras comes back as the same object", {
  for (kind in c("initializer", "regularizer", "constraint")) {
    as_kind <- switch(kind,
      initializer = as_initializer, regularizer = as_regularizer, constraint = as_constraint
    )
    cases <- config_cases(kind)
    expect_gt(length(cases), 3L)
    for (case in cases) {
      object <- as_kind(from_json(case$args), "layer", "argument")
      expect_equal(from_json(to_json(get_config(object))), from_json(case$get_config))
      serialized <- object_serialize(object)
      expect_equal(from_json(to_json(serialized)), from_json(case$serialized))
      # The dict, as R lists of either style of JSON reader, and without its module.
      for (dict in list(
        from_json(case$serialized), jsonlite::fromJSON(case$serialized), serialized,
        serialized[c("class_name", "config")]
      )) {
        again <- as_kind(dict, "layer", "argument")
        expect_equal(object_serialize(again), serialized)
        expect_identical(format(again), format(object))
      }
    }
  }
})

test_that("objects, functions and NULL go through, constructors stand for their default", {
  init <- initializer_ones()
  expect_identical(as_initializer(init, "layer"), init)
  f <- function(shape) array(1, shape)
  expect_identical(as_initializer(f, "layer"), f)
  expect_null(as_initializer(NULL, "layer"))
  expect_null(as_regularizer(NULL, "layer"))
  expect_null(as_constraint(NULL, "layer"))
  he_normal <- as_initializer(initializer_he_normal, "layer")
  expect_identical(format(he_normal), format(initializer_he_normal()))
  expect_identical(format(as_regularizer(regularizer_l2, "layer")), format(regularizer_l2()))
  expect_identical(format(as_constraint(constraint_nonneg, "layer")), format(constraint_nonneg()))
})

test_that("what is not an object is refused", {
  unknown <- list(
    NA, NA_character_, "", "foo", "GLOROT_UNIFORM", 1, Inf, TRUE, c("l1", "l2"), character(),
    list(), list(1), list(class_name = NULL), list(class_name = "Foo", config = list()),
    list(class_name = c("L1", "L2")), list(class_name = NA_character_), list(config = list()),
    data.frame(class_name = "L1"), factor("l1"), quote(l1), globalenv(), mean(1:2)
  )
  expect_all_refused(function(x) as_initializer(x, "layer_x()", "kernel_initializer"),
    c(unknown, list("l1", regularizer_l1())), "kernel_initializer"
  )
  expect_all_refused(function(x) as_regularizer(x, "layer_x()", "bias_regularizer"),
    c(unknown, list("zeros", "l1_l2", constraint_nonneg(), diag(2))), "bias_regularizer"
  )
  expect_all_refused(function(x) as_constraint(x, "layer_x()", "bias_constraint"),
    c(unknown, list("maxnorm", initializer_zeros(), diag(2))), "bias_constraint"
  )
  error <- tryCatch(as_regularizer("foo", "layer_x()", "r"), error = identity)
  expect_identical(error$layer, "layer_x()")
  expect_match(conditionMessage(error), "layer_x(): `r` must be a regularizer", fixed = TRUE)
  expect_match(conditionMessage(error), "\"l1l2\".*\"foo\"")
})

test_that("a config that does not fit its class is refused", {
  refused <- function(config, class_name = "L2") {
    as_regularizer(list(class_name = class_name, config = config), "layer", "regularizer")
  }
  expect_all_refused(
    refused, list(list(l1 = 1), list(0.1), list(l2 = 1, l2 = 2), "l2", 0.1, c(l2 = 0.1)),
    "regularizer", "attn_error_config"
  )
  expect_error(refused(list(l2 = -1)), class = "attn_error_argument")
  expect_error(
    as_initializer(list(class_name = "Zeros", config = list(a = 1)), "layer"),
    class = "attn_error_config"
  )
  expect_identical(format(refused(NULL)), format(regularizer_l2()))
  expect_identical(format(refused(list())), format(regularizer_l2()))
})

test_that("classes that need a value cannot be given by name alone", {
  for (name in c("constant", "Constant", "stft", "STFT")) {
    expect_error(as_initializer(name, "layer", "kernel_initializer"),
      class = "attn_error_argument"
    )
  }
})

test_that("objects survive saveRDS()", {
  file <- withr::local_tempfile()
  object <- initializer_random_normal(1, 2, seed = 3)
  saveRDS(object, file)
  expect_lt(file.size(file), 20000)
  expect_identical(readRDS(file)(c(2, 3)), object(c(2, 3)))
})
