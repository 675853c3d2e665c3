# The tests whose tables are of extreme values, in this instruction set. For extremes.sh:
# a line "table ISA entries N failed N".
files <- file.path(
  Sys.getenv("ATTN_ROOT"), "tests/testthat", c("test-extreme-values.R", "test-accuracy.R")
)
# The short form leaves out what has a proof of its own, and takes longest.
if (identical(Sys.getenv("ATTN_VERIFY"), "short")) files <- files[1L]
suppressPackageStartupMessages({
  library(testthat)
  library(attn)
})
isa <- commandArgs(TRUE)
stopifnot(identical(attn_info()$isa, isa))
results <- unlist(lapply(files, function(file) {
  run <- test_file(file, reporter = "silent", package = "attn", load_package = "installed",
    stop_on_failure = FALSE)
  unlist(lapply(run, function(test) lapply(test$results, function(result) class(result)[1L])))
}))
failed <- sum(!results %in% c("expectation_success", "expectation_skip"))
cat(sprintf("table %s entries %d failed %d\n", isa, length(results), failed))
