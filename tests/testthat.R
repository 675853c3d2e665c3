library(testthat)
library(attn)

# Every kind of bad value for every argument takes minutes: tools/test.sh has that done, R
# CMD check on machines of CRAN does not.
if (identical(Sys.getenv("NOT_CRAN"), "true")) {
  test_check("attn")
} else {
  test_check("attn", filter = "^bad-input", invert = TRUE)
}
