#!/usr/bin/env bash
# P11, coverage: which lines of src/ (by gcov) and of R/ (by covr) are reached by the R
# tests and by the tests of the C core, which run every set of kernels, those for AVX-512
# and NEON emulated where the machine lacks them. uncovered.md has what no test reaches,
# function by function with the reason; no other function may have uncovered lines.
# The short form measures what costs seconds: readers of files under their own tests.
set -u

# shellcheck source=tools/verify/proof.sh
. "$ATTN_ROOT/tools/verify/proof.sh"
here=$ATTN_ROOT/tools/verify
flags='-g -O0 --coverage'

# figures COMMAND FOLDER...: what coverage-figures.R says of the counts in the folders, as
# lines of the report, after the functions that are not explained
figures() {
  if ! Rscript --vanilla "$here/coverage-figures.R" "$@" \
    >"$scratch/figures" 2>"$scratch/unexplained"; then
    cat "$scratch/unexplained" >&2
    return 1
  fi
  cat "$scratch/unexplained"
  while IFS=$'\t' read -r what figure bound holds; do
    proof P11 "$what" "$figure" "$bound" [ "$holds" = TRUE ]
  done <"$scratch/figures"
}

# The package in $scratch/library, from $scratch/package, where the programs leave their
# counts beside the objects.
install_counted() {
  mkdir -p "$scratch/package" "$scratch/library"
  tar -xf "$ATTN_TARBALL" -C "$scratch/package"
  # without its symbols the library would have no counts: STRIP_STATIC_LIB, see Makevars
  printf 'CFLAGS = %s\nLDFLAGS = --coverage\nSTRIP_STATIC_LIB = true\n' "$flags" \
    >"$scratch/makevars"
  R_MAKEVARS_USER="$scratch/makevars" MAKEFLAGS=-j2 quietly R CMD INSTALL --no-docs \
    --no-test-load --with-keep.source --library="$scratch/library" "$scratch/package/attn"
}

# run_r_tests PART PARTS: that part of the test files. That the code is counted shows in
# it, so that a test of what functions look like fails: test.sh judges the tests.
run_r_tests() {
  local folder="$scratch/tests-$1"
  cp -R "$ATTN_ROOT/tests/testthat" "$folder"
  R_LIBS="$scratch/library${R_LIBS:+:$R_LIBS}" Rscript "$here/coverage-tests.R" \
    "$folder" "$1" "$2" "$scratch/trace-$1.rds" >"$scratch/log-$1" 2>&1
  rm -rf -- "$folder"
}

run_core_tests() {
  mkdir -p "$scratch/core"
  CORE_TESTS_FOLDER="$scratch/core" CORE_TESTS_FLAGS="$flags" \
    CORE_TESTS_PROBLEMS=200 bash "$ATTN_ROOT/tests/core/run.sh" >"$scratch/log-core" 2>&1
}

# What reads and writes files of numbers, without R.
run_readers() {
  local src="$ATTN_ROOT/src/core" tests="$ATTN_ROOT/tests/core" name
  mkdir -p "$scratch/readers"
  cd "$scratch/readers" || return 1
  for name in json safetensors safetensors_write stored; do
    # shellcheck disable=SC2086  # one word per flag
    quietly gcc -std=gnu11 $flags -I"$src" -c "$src/$name.c" -o "$name.o" || return 1
  done
  quietly gcc -std=gnu11 --coverage -I"$src" -I"$tests" "$tests/test_safetensors.c" ./*.o -lm \
    -o test && quietly ./test
}

if ! command -v gcov >/dev/null 2>&1 || ! gcov --help | grep -q -- --json-format; then
  proof_skipped P11 "line coverage" "there is no gcov that writes JSON"
  exit 0
fi
if [ "$ATTN_VERIFY" = short ]; then
  run_readers || die "the tests of the readers fail"
  figures readers "$scratch/readers"
  exit 0
fi
ensure_r_packages covr hdf5r zip knitr
apt_install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user || true
install_counted || die "the package does not install"
run_core_tests &
parts=8
export -f run_r_tests
export scratch here ATTN_ROOT
seq "$parts" | xargs -P "$(nproc)" -I{} bash -c "run_r_tests {} $parts"
wait
for part in $(seq "$parts"); do
  [ -f "$scratch/trace-$part.rds" ] ||
    die "the R tests did not come to their end: $(tail "$scratch/log-$part")"
done
figures all "$scratch/package" "$scratch/core"
