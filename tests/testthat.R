library(testthat)
library(attn)

test_check("attn")
