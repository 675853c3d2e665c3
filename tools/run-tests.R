# Rscript run-tests.R FOLDER [FILTER]: runs the testthat files in the folder
# against the installed package, shows what failed, and ends with a line
# "N passed, N failed, N skipped". test.sh calls it.

arguments <- commandArgs(TRUE)
folder <- arguments[1L]
filter <- if (length(arguments) > 1L) arguments[2L]

Sys.setenv(NOT_CRAN = "true")
suppressPackageStartupMessages(library(testthat))

results <- as.data.frame(test_dir(
  folder,
  package = "attn", load_package = "installed", filter = filter,
  reporter = SummaryReporter$new(show_praise = FALSE, omit_dots = TRUE, max_reports = 50L),
  stop_on_failure = FALSE
))

failed <- results$failed + results$error
seconds <- sort(tapply(results$real, results$file, sum), decreasing = TRUE)
slowest <- head(seconds, 3L)
cat(sprintf(
  "%d tests in %d files, %.0f s; slowest: %s\n",
  nrow(results), length(seconds), sum(seconds),
  paste0(names(slowest), " (", round(slowest), " s)", collapse = ", ")
))
for (i in which(results$warning > 0)) {
  cat(sprintf("warning in %s: %s\n", results$file[i], results$test[i]))
}
cat(sprintf(
  "%d passed, %d failed, %d skipped\n",
  sum(results$passed), sum(failed), sum(results$skipped)
))
