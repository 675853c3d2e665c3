# For the tests of initializers, regularizers, constraints and dtypes.

# Values that are wrong wherever one finite number is meant.
not_a_number <- function() {
  list(
    NA, NA_real_, NaN, Inf, -Inf, "a", TRUE, numeric(), c(1, 2), list(1),
    data.frame(a = 1), factor("a"), mean, quote(x)
  )
}

# Every value gives an error of the class that names the argument.
expect_all_refused <- function(f, values, argument, class = "attn_error_argument") {
  for (value in values) {
    error <- tryCatch(f(value), error = identity)
    label <- paste0(argument, " = ", paste(deparse(value), collapse = " "))
    testthat::expect(
      inherits(error, class) && inherits(error, "attn_error") &&
        identical(error$argument, argument) && grepl(argument, conditionMessage(error)),
      sprintf(
        "%s should give an %s that names it, got: %s", label, class,
        if (inherits(error, "error")) conditionMessage(error) else "no error"
      )
    )
  }
  invisible()
}

to_json <- function(x) {
  as.character(jsonlite::toJSON(x, auto_unbox = TRUE, null = "null", digits = NA))
}

from_json <- function(x) {
  jsonlite::fromJSON(x, simplifyVector = FALSE)
}

config_cases <- function(kind) {
  Filter(
    function(case) case$layer == kind,
    readRDS(testthat::test_path("fixtures", "configs.rds"))
  )
}

# The state of R's generator, NULL when it has none yet.
rng_state <- function() {
  get0(".Random.seed", envir = globalenv(), inherits = FALSE)
}
