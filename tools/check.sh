#!/usr/bin/env bash
# check.sh FOLDER TARBALL OPTION...: R CMD check in that folder. Ends with
# "1 passed, 0 failed, 0 skipped" if all it has to say is that the package is
# new to CRAN. test.sh calls it.
set -u

folder="$1"
tarball="$2"
shift 2

# The same result with and without a network, a clock server or a dictionary.
export _R_CHECK_CRAN_INCOMING_REMOTE_=false
export _R_CHECK_XREFS_USE_ALIASES_FROM_CRAN_=false
export _R_CHECK_SYSTEM_CLOCK_=0
export _R_CHECK_CRAN_INCOMING_USE_ASPELL_=false
export _R_CHECK_RD_MATH_RENDERING_=false
# Warnings and machine flags that Debian's R was built with are not ours.
_R_CHECK_COMPILATION_FLAGS_KNOWN_=$(R CMD config CFLAGS | tr ' ' '\n' | grep -E '^-[Wm]' |
  tr '\n' ' ')
export _R_CHECK_COMPILATION_FLAGS_KNOWN_

cd -- "$folder" || exit 1
R CMD check "$@" "$tarball" >check.out 2>&1
[ -f attn.Rcheck/00check.log ] || cat check.out

Rscript --vanilla - attn.Rcheck/00check.log <<'R'
log <- commandArgs(TRUE)
problems <- tryCatch(
  {
    details <- tools::check_packages_in_dir_details(logs = log, drop_ok = TRUE)
    details[details$Status %in% c("NOTE", "WARNING", "ERROR", "FAILURE"), ]
  },
  error = function(e) stop("the log of R CMD check cannot be read: ", conditionMessage(e))
)
is_new <- problems$Check == "CRAN incoming feasibility" & problems$Status == "NOTE" &
  vapply(strsplit(problems$Output, "\n"), function(lines) {
    all(!nzchar(lines) | grepl("^(Maintainer: |New submission$)", lines))
  }, NA)
lines <- readLines(log, warn = FALSE)
complete <- any(grepl("^Status: ", lines))
for (i in which(!is_new)) {
  cat(sprintf("%s in: %s\n%s\n", problems$Status[i], problems$Check[i], problems$Output[i]))
}
if (!complete) cat(tail(lines, 20), "R CMD check did not come to its end.", sep = "\n")
ok <- complete && all(is_new)
cat(grep("^Status: ", lines, value = TRUE), sep = "\n")
cat(sprintf("%d passed, %d failed, 0 skipped\n", as.integer(ok), as.integer(!ok)))
R
