# What the proofs written in R share. A proof begins with
#   source(file.path(Sys.getenv("ATTN_ROOT"), "tools/verify/proof.R"))

# A line of the report; the proof holds if `holds` is TRUE.
proof <- function(promise, what, figure, bound, holds) {
  outcome <- if (isTRUE(holds)) "ok" else "FAILED"
  cat(promise, what, figure, bound, outcome, sep = "\t")
  cat("\n")
}

proof_skipped <- function(promise, what, why) {
  cat(promise, what, why, "", "skipped", sep = "\t")
  cat("\n")
}

is_short <- identical(Sys.getenv("ATTN_VERIFY"), "short")

# The one for the form in which the proofs are to run.
pick <- function(short, long) if (is_short) short else long

root <- Sys.getenv("ATTN_ROOT")
