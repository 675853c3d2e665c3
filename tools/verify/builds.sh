#!/usr/bin/env bash
# P11: the code is clean for compilers, analyzers and sanitizers, and builds and works in
# every way in which it may be built. ATTN_BUILDS names the parts to run, all by default.
set -u

# shellcheck source=tools/verify/proof.sh
. "$ATTN_ROOT/tools/verify/proof.sh"
library=$(Rscript -e 'cat(dirname(system.file(package = "attn")))')
here=$ATTN_ROOT/tools/verify
src=$ATTN_ROOT/src
core_tests=$ATTN_ROOT/tests/core
r_headers=$(Rscript -e 'cat(R.home("include"))')
includes=(-I"$src/core" -I"$src/kernels" -I"$src/ops" -I"$src/layers" -I"$src/models"
  -I"$src/glue" -I"$core_tests" -isystem "$r_headers")
mkdir -p "$scratch/reports"

# has COMMAND [PACKAGE ...]: whether there is that command, after the packages of Debian that
# bring it were asked for
has() {
  command -v "$1" >/dev/null 2>&1 || apt_install "${@:2}" >&2 || true
  command -v "$1" >/dev/null 2>&1
}

# each_file COMMAND FILE...: each file through the shell command, in which {} is the file, on two
# processors; what they say goes to standard output
each_file() {
  printf '%s\n' "${@:2}" | xargs -P 2 -I{} bash -c "$1" 2>&1
}

# object_in FOLDER: for each_file(), a name for the object of {}; names of files alone meet twice
object_in() {
  printf '%s/$(tr / _ <<<{}).o' "${1@Q}"
}

# count PATTERN FILE: how many lines of a report say something
count() { grep -cE "$1" "$2" || true; }

# shellcheck source=tools/verify/builds-static.sh
. "$here/builds-static.sh"
# shellcheck source=tools/verify/builds-sanitizers.sh
. "$here/builds-sanitizers.sh"
# shellcheck source=tools/verify/builds-variants.sh
. "$here/builds-variants.sh"

short_parts="warnings analyzers lint shared_library"
long_parts="warnings analyzers lint shared_library sanitized_r sanitized_clang races memcheck core_variants
  r_variants locales neon checks"
for part in ${ATTN_BUILDS:-$(pick "$short_parts" "$long_parts")}; do
  "$part"
done
