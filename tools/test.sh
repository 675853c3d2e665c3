#!/usr/bin/env bash
# Installs what the tests need, and R where it is missing; then runs
#   the R tests, at every instruction set of this machine,
#   the tests of the C core,
#   the proofs of reliability, each in its short form,
#   R CMD check --as-cran.
# The last line is "N passed, N failed, N skipped"; the exit status is 0 if
# nothing failed.
#
#   ./tools/test.sh
set -u

# shellcheck source=tools/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

case "${1:-}" in
  -h | --help)
    sed -n '2,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 0
    ;;
esac

passed=0
failed=0
skipped=0
finished=no

# Whatever happens, the last line is the count, and a run that was cut short
# counts as a failure.
report() {
  if [ "$finished" = no ]; then failed=$((failed + 1)); fi
  rm -rf -- "${scratch:-/nonexistent}"
  printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
  if [ "$failed" -gt 0 ]; then exit 1; fi
  exit 0
}
trap report EXIT
trap 'exit 130' INT TERM

# Adds the counts of a line "N passed, N failed, N skipped" to the totals.
add_counts() {
  local line="$1"
  if [[ "$line" =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]]; then
    passed=$((passed + BASH_REMATCH[1]))
    failed=$((failed + BASH_REMATCH[2]))
    skipped=$((skipped + BASH_REMATCH[3]))
  else
    printf 'Error: no count came back\n' >&2
    failed=$((failed + 1))
  fi
}

# Runs a command, shows its output and adds the last count in it (R may say more
# while it ends). The counts on the way are indented; only the total stands at
# the margin.
run_counted() {
  local output="$scratch/counted"
  "$@" 2>&1 </dev/null | tee "$output" |
    sed -u 's/^[0-9]* passed, [0-9]* failed, [0-9]* skipped$/    &/'
  add_counts "$(grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$output" | tail -n 1)"
}

isa_in_use() {
  # shellcheck disable=SC2016 # R's dollar, not the shell's
  Rscript -e 'cat(attn::attn_info()$isa)' 2>/dev/null
}

# run_r_tests FOLDER [FILTER]: on a copy of that name, so that nothing they write lands in
# the checkout.
run_r_tests() {
  cp -R "$root/tests/testthat" "$scratch/$1"
  Rscript "$root/tools/run-tests.R" "$scratch/$1" "${@:2}"
}

prepare_folders
prepare_locale
ensure_r
apt_install pandoc qpdf tidy || true
ensure_r_packages cli generics jsonlite testthat callr withr knitr rmarkdown hdf5r zip
command -v pandoc >/dev/null 2>&1 || die "pandoc is needed to build the vignette"

say "Building and installing attn"
build_package "$scratch/build" --no-manual || die "the package does not build"
install_package || die "the package does not install"

best=$(isa_in_use)
numbers='^(fixtures|accuracy|extreme|determinism|dropout|layer|op)'
others=()
for isa in scalar avx2 avx512 neon; do
  [ "$isa" = "$best" ] && continue
  got=$(ATTN_ISA=$isa isa_in_use)
  if [ "$got" != "$isa" ]; then
    say "This machine has no $isa: its tests are not run"
    continue
  fi
  others+=("$isa")
  # beside all tests, most of which use one core
  ATTN_ISA=$isa run_r_tests "testthat-$isa" "$numbers" >"$scratch/$isa.log" 2>&1 </dev/null &
done

# The tests of the C core need no R, and run beside it. The packages are for the NEON
# kernels; without them run.sh says what it leaves out.
apt_install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user || true
nice -n 5 bash "$root/tests/core/run.sh" >"$scratch/core.log" 2>&1 </dev/null &

say "R tests, all, with the instruction set that attn chooses here: $best"
run_counted run_r_tests testthat
wait
for isa in ${others[@]+"${others[@]}"}; do
  say "R tests of the numbers with ATTN_ISA=$isa"
  run_counted cat "$scratch/$isa.log"
done
say "Tests of the C core"
run_counted cat "$scratch/core.log"

say "What the package promises of its reliability, in short (tools/verify.sh has it in full)"
run_counted env ATTN_TARBALL="$tarball" bash "$root/tools/verify.sh" --short

say "R CMD check --as-cran (counts as one test)"
check_options=(--as-cran)
if ! command -v pdflatex >/dev/null 2>&1; then
  say "pdflatex is missing: the check leaves out the PDF manual"
  check_options+=(--no-manual)
fi
run_counted bash "$root/tools/check.sh" "$scratch" "$tarball" "${check_options[@]}"

finished=yes
