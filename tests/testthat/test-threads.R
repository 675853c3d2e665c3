# Threads, what the build is and uses, and the instruction set that is asked for.

test_that("the number of threads is told, and set with the one before as the result", {
  before <- attn_threads()
  withr::defer(attn_threads(before))
  attn_threads(2)
  two <- expect_visible(attn_threads())
  # fewer without OpenMP, or where its limit is lower
  expect_identical(two, if (attn_info()$openmp && Sys.getenv("OMP_THREAD_LIMIT") != "1") 2L else 1L)
  expect_identical(expect_invisible(attn_threads(1)), two)
  expect_identical(attn_threads(), 1L)
  for (n in list(0, -1, 1.5, NA, "two", c(1, 2), TRUE)) {
    expect_attn_error(attn_threads(n), "argument", "`n`")
  }
  expect_attn_error(attn_threads(1, 2), "argument")
  expect_identical(attn_threads(), 1L)
})

test_that("a check of R that limits the cores has two threads, or fewer", {
  withr::local_envvar(OMP_NUM_THREADS = "5", OMP_THREAD_LIMIT = NA)
  threads <- vapply(c("TRUE", "warn", "False", ""), function(value) {
    withr::local_envvar(`_R_CHECK_LIMIT_CORES_` = value)
    in_fresh_process(function() attn::attn_threads())
  }, 0L)
  expected <- if (attn_info()$openmp) c(2L, 2L, 5L, 5L) else rep(1L, 4)
  expect_identical(unname(threads), expected)
  withr::local_envvar(`_R_CHECK_LIMIT_CORES_` = "true", OMP_NUM_THREADS = "1")
  expect_identical(in_fresh_process(function() attn::attn_threads()), 1L)
})

test_that("attn_info() says what this build is and uses", {
  local_threads(1L)
  info <- attn_info()
  expect_s3_class(info, "attn_info", exact = TRUE)
  expect_named(info, c("version", "isa", "isa_available", "threads", "openmp", "floatx"))
  expect_identical(info$version, as.character(utils::packageVersion("attn")))
  expect_true(all(info$isa_available %in% c("scalar", "avx2", "avx512", "neon")))
  expect_identical(info$isa_available[length(info$isa_available)], "scalar")
  expect_true(info$isa %in% info$isa_available)
  expect_identical(info$threads, 1L)
  expect_true(isTRUE(info$openmp) || isFALSE(info$openmp))
  expect_identical(info$floatx, config_floatx())
  in_float64()
  expect_identical(attn_info()$floatx, "float64")
  expect_attn_error(attn_info(1), "argument")
})

test_that("attn_info() prints a line for each thing", {
  info <- structure(
    list(
      version = "1.2.3", isa = "avx2", isa_available = c("avx2", "scalar"), threads = 7L,
      openmp = TRUE, floatx = "float64"
    ),
    class = "attn_info"
  )
  bullet <- cli::symbol$bullet
  lines <- c(
    "attn 1.2.3", paste(bullet, "instruction set: avx2 (available: avx2, scalar)"),
    paste(bullet, "threads: 7 (with OpenMP)"), paste(bullet, "default dtype: float64")
  )
  expect_identical(format(info), lines)
  expect_identical(capture.output(print(info)), lines)
  expect_output(expect_identical(expect_invisible(print(info)), info))
  info$openmp <- FALSE
  expect_identical(format(info)[3], paste(bullet, "threads: 7 (without OpenMP)"))
})

test_that("an instruction set that cannot be used is refused with a warning", {
  isa <- attn_info()$isa
  load <- function(wanted) {
    withr::local_envvar(ATTN_ISA = wanted)
    attn:::.onLoad(NULL, "attn")
  }
  warning <- expect_warning(load("nonsense"), "ATTN_ISA=nonsense cannot be used here",
    class = "attn_warning_isa"
  )
  expect_match(conditionMessage(warning), paste0("attn uses ", isa), fixed = TRUE)
  expect_identical(warning$argument, "ATTN_ISA")
  expect_silent(load(NA))
  expect_silent(load(isa))
  loaded <- in_fresh_process(function() {
    Sys.setenv(ATTN_ISA = "scalar")
    attn::attn_info()$isa
  })
  expect_identical(loaded, "scalar")
})
