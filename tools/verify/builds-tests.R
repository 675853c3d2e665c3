# R -f builds-tests.R --args FOLDER FILTER INVERT: runs tests of the installed package, or with
# INVERT "yes" the others. Ends with "N passed, N failed, N skipped".
arguments <- commandArgs(TRUE)
suppressPackageStartupMessages(library(testthat))
library(attn)

results <- as.data.frame(test_dir(
  arguments[1L],
  filter = arguments[2L], invert = arguments[3L] == "yes", package = "attn",
  load_package = "installed", reporter = "silent", stop_on_failure = FALSE
))
for (i in which(results$failed > 0 | results$error)) {
  cat("failed:", results$file[i], results$test[i], "\n")
  for (result in results$result[[i]]) {
    if (inherits(result, c("expectation_failure", "expectation_error"))) {
      cat(conditionMessage(result), "\n")
    }
  }
}
cat(sprintf(
  "%d passed, %d failed, %d skipped\n",
  sum(results$passed), sum(results$failed + results$error), sum(results$skipped)
))
