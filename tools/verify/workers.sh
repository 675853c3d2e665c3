#!/usr/bin/env bash
# P7: forks and workers: installs the packages that are to be tried, then workers.R.
set -u
# shellcheck source=tools/verify/proof.sh
. "$ATTN_ROOT/tools/verify/proof.sh"

export library="${R_LIBS%%:*}"
# What cannot be had is a proof skipped, not one failed.
if [ "$ATTN_VERIFY" = short ]; then
  (ensure_r_packages future data.table) >&2
else
  (ensure_r_packages future data.table) >&2
  (ensure_r_packages mirai) >&2
  apt_install clang-14 clang libomp-14-dev >&2 || true
fi
exec Rscript --vanilla "$ATTN_ROOT/tools/verify/workers.R"
