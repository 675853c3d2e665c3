# shellcheck shell=bash disable=SC2154
# The ways in which the package may be built and run. Sourced by builds.sh.

# ---- the C core, without R ----

core_sources=("$src"/core/*.c "$src"/kernels/*.c "$src"/ops/*.c "$src"/layers/*.c "$src"/models/*.c)

# core_objects NAME COMPILER FLAG...: the core as objects in core/NAME
core_objects() {
  local folder=$scratch/core/$1
  mkdir -p "$folder"
  shift
  each_file "${*@Q} ${includes[*]@Q} -c {} -o $(object_in "$folder")" "${core_sources[@]}" "$core_tests/oracle.c" >"$folder/log"
  ! grep -E 'error:' "$folder/log" >&2
}

# core_counts NAME COMPILER FLAG...: builds the core and its tests, runs them over few problems,
# and adds to core_passed, core_failed
core_counts() {
  local name=$1 folder=$scratch/core/$1 test problems counts status
  core_objects "$@" || { core_failed=$((core_failed + 1)); return; }
  shift
  for test in random elementary matmul attend_kernels state scores attention activation_ops \
    normalization_ops layout_ops einsum_ops sequence_ops cached_attention program step_refusals \
    safetensors hdf5 hdf5_refusals; do
    problems=()
    case $test in
      attention) problems=(60) ;;
      matmul | scores) problems=(12) ;;
    esac
    "$@" "${includes[@]}" "$core_tests/test_$test.c" "$folder"/*.o -lm -o "$folder/test" \
      >"$folder/log" 2>&1 && "$folder/test" "${problems[@]}" >"$folder/log" 2>&1
    status=$?
    counts=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$folder/log" | tail -n 1)
    core_passed=$((core_passed + $(cut -d' ' -f1 <<<"${counts:-0}")))
    if [ "$status" -ne 0 ] || [[ "$counts" != *' 0 failed' ]]; then
      printf 'test_%s of the build "%s":\n' "$test" "$name" >&2
      tail -n 10 "$folder/log" >&2
      core_failed=$((core_failed + 1))
    fi
  done
}

core_variants() {
  local core_passed=0 core_failed=0 file differing=0 files=0
  core_counts O0 gcc -std=gnu11 -O0
  core_counts O3 gcc -std=gnu11 -O3 -fopenmp -funsigned-char
  core_counts gnu2x gcc -std=gnu2x -O2 -fopenmp
  core_counts gnu17 gcc -std=gnu17 -O2 -fwrapv -fstack-protector-all
  if has clang clang; then core_counts clang clang -std=c11 -O2 -D_DEFAULT_SOURCE; fi
  proof P11 "tests of the C core built at -O0, -O3 -funsigned-char, as gnu17 and gnu2x, by clang as\
 c11" "$core_failed failed, $core_passed passed" "0 failed" test "$core_failed" -eq 0

  core_objects plain gcc -std=gnu11 -O1
  core_objects "no long double" gcc -std=gnu11 -O1 -mlong-double-64
  core_objects NDEBUG gcc -std=gnu11 -O1 -DNDEBUG
  rm -f "$scratch"/core/*/*oracle.c.o # of the tests: computes in long double
  for file in "$scratch"/core/plain/*.o; do
    files=$((files + 1))
    cmp -s "$file" "$scratch/core/no long double/$(basename "$file")" || differing=$((differing + 1))
    cmp -s "$file" "$scratch/core/NDEBUG/$(basename "$file")" || differing=$((differing + 1))
  done
  proof P11 "object files of the core that change with long double of 64 bits, or with NDEBUG" \
    "$differing of $files" "0" test "$differing" -eq 0
}

# ---- the package in R ----

some_tests='^(layer-attention|layer-multi|op|files-safe|json|layer-config|layer-print|serialize$)'

# bits NAME [VARIABLE=VALUE ...]: the results of many calls, in bits/NAME
bits() {
  mkdir -p "$scratch/bits"
  env "${@:2}" Rscript --vanilla "$here/builds-calls.R" "$scratch/bits/$1" \
    >"$scratch/reports/bits" 2>&1 || { tail -n 5 "$scratch/reports/bits" >&2; return 1; }
}

# differing NAME...: which of them have other results than the usual build; shown on stderr as well
differing() {
  Rscript --vanilla -e 'files <- commandArgs(TRUE)
    results <- function(file) if (file.exists(file)) readRDS(file)
    usual <- results(files[1])
    for (file in files[-1]) {
      other <- results(file)
      names <- if (is.null(usual) || is.null(other)) {
        "no results"
      } else {
        Filter(
          function(name) !identical(usual[[name]], other[[name]]), union(names(usual), names(other))
        )
      }
      for (name in names) {
        cat(basename(file), ": ", name, "\n", sep = "")
        message(basename(file), ": ", name)
      }
    }' "${@/#/$scratch/bits/}"
}

r_variants() {
  local tests serial_symbols differences warnings
  bits usual
  # what R's own link-time optimisation asks for
  tests='does not build'
  if install_variant lto "LTO = -flto" "LDFLAGS = -flto=2" \
    "CFLAGS = -g -O2 -Wall -pedantic -Wlto-type-mismatch -flto" "STRIP_STATIC_LIB = true"; then
    tests=$(r_tests lto "$some_tests" no)
  fi
  warnings=$(count 'warning:' "$scratch/reports/lto")
  grep -A 3 'warning:' "$scratch/reports/lto" | head -n 20 >&2
  proof P11 "built with link-time optimisation, -Wlto-type-mismatch" "$warnings warnings; $tests" "0" \
    eval 'test "$warnings" -eq 0 && pass "$tests"'

  tests='does not build'
  if install_variant serial "SHLIB_OPENMP_CFLAGS =" "CC = gcc -std=gnu2x" \
    "CPPFLAGS = -DR_NO_REMAP=1 -DSTRICT_R_HEADERS=1"; then
    tests=$(r_tests serial "$some_tests" no)
    bits serial "R_LIBS=$scratch/variants/serial:$R_LIBS"
  fi
  serial_symbols=$(nm -D --undefined-only "$scratch/variants/serial/attn/libs/attn.so" |
    grep -cE 'GOMP_|omp_')
  warnings=$(count 'warning:' "$scratch/reports/serial")
  grep -A 3 'warning:' "$scratch/reports/serial" | head -n 20 >&2
  differences=$(differing usual serial | wc -l)
  proof P11 "built without OpenMP, as C23, with strict headers: warnings, symbols of OpenMP, results of\
 other bits than with OpenMP" "$warnings, $serial_symbols, $differences; $tests" "0, 0, 0" \
    eval 'test "$warnings $serial_symbols $differences" = "0 0 0" && pass "$tests"'
}

# Locales of other letters and numbers: C, Turkish (in which "I" is no capital "i") and German
# (with a comma in numbers), made here where the machine lacks them.
locales() {
  local name tests results=() differences names=(C tr_TR.UTF-8 de_DE.UTF-8) folder=$scratch/locales
  mkdir -p "$folder" "$scratch/variants"
  if has localedef locales; then
    for name in tr_TR de_DE; do
      localedef -i "$name" -f UTF-8 "$folder/$name.UTF-8" >&2 || true
    done
  fi
  if [ ! -d "$folder/tr_TR.UTF-8" ] || [ ! -d "$folder/de_DE.UTF-8" ]; then
    proof_skipped P11 "locales" "the locales of Turkey and Germany cannot be made here"
    return
  fi
  [ -f "$scratch/bits/usual" ] || bits usual
  ln -sfn "$(dirname "$(Rscript --vanilla -e 'cat(system.file(package = "attn"))')")" \
    "$scratch/variants/usual"
  for name in "${names[@]}"; do
    bits "$name" "LOCPATH=$folder" "LC_ALL=$name"
    results+=("$(r_tests usual \
      '^(config|constraints|dtype|files|fixtures-config|fixtures-errors|json|keras|layer-[a-m]|locales|model|save|serialize|summary)' no \
      "LOCPATH=$folder" "LC_ALL=$name")")
  done
  differences=$(differing usual "${names[@]}" | wc -l)
  tests=$(printf '%s\n' "${results[@]}" | sort -u | paste -sd';')
  proof P11 "locales C, Turkish and German: results and messages that differ; R tests of layers, files,\
 configs" "$differences; $tests" "0" eval 'test "$differences" -eq 0 && pass "${results[@]}"'
}

# ---- other processors ----

# NEON, and AVX-512 where the processor lacks it: what the tests of the core compile for
# another processor, and run by qemu
neon() {
  local counts
  if ! has aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu libc6-dev-arm64-cross ||
    ! has qemu-aarch64 qemu-user; then
    proof_skipped P11 "NEON" "the compiler for Arm, or qemu, is not here"
    return
  fi
  bash "$core_tests/run.sh" >"$scratch/reports/core" 2>&1
  counts=$(awk '/^== /{ neon = /^== neon/ } neon && /^[0-9]+ passed, [0-9]+ failed$/ {
    passed += $1; failed += $3; programs++ } END {
    printf "%d failed, %d passed in %d programs", failed, passed, programs }' "$scratch/reports/core")
  grep -E 'FAIL|failed at' "$scratch/reports/core" | head -20 >&2
  proof P11 "NEON kernels under qemu; all of tests/core/run.sh: \
$(tail -n 1 "$scratch/reports/core")" "$counts" "0 failed" eval \
    '[[ "$counts" = "0 failed, "[1-9]* ]] && tail -n 1 "$scratch/reports/core" | grep -q " 0 failed"'
}

# ---- R CMD check ----

# checked NAME OPTION...: R CMD check of `tarball` in check/NAME; the last line of check.sh, and how
# many times the elapsed time its processor time was
checked() {
  local folder=$scratch/check/$1
  mkdir -p "$folder"
  (
    TIMEFORMAT='%R %U %S'
    time bash "$ATTN_ROOT/tools/check.sh" "$folder" "$tarball" --as-cran --no-manual "${@:2}" \
      >"$folder/out" 2>&1
  ) 2>"$folder/time"
  grep -E '^(NOTE|WARNING|ERROR|FAILURE) in' -A 12 "$folder/out" >&2
  printf '%s; processor time %s times the elapsed' "$(tail -n 1 "$folder/out")" \
    "$(awk '{ printf "%.2f", ($2 + $3) / $1 }' "$folder/time")"
}

checks() {
  local bare limited
  apt_install pandoc qpdf tidy >&2
  ensure_r_packages testthat callr withr knitr rmarkdown hdf5r zip >&2
  # sets `tarball`; the proofs' own has no vignettes
  build_package "$scratch/with-vignettes" --no-manual || {
    proof P11 "R CMD check --as-cran" "the package does not build" "nothing but new" false
    return
  }
  bare=$(_R_CHECK_DEPENDS_ONLY_=true checked bare --ignore-vignettes)
  proof P11 "R CMD check --as-cran without the suggested packages, but for testthat" "$bare" \
    "nothing but new" test "${bare%%;*}" = "1 passed, 0 failed, 0 skipped"
  limited=$(_R_CHECK_LIMIT_CORES_=true OMP_THREAD_LIMIT=2 checked limited --run-donttest)
  proof P11 "R CMD check --as-cran --run-donttest, limited to two cores" "$limited" \
    "nothing but new; at most 2.5 times" eval \
    'test "${limited%%;*}" = "1 passed, 0 failed, 0 skipped" && test "$(awk "{ print (\$2 + \$3) / \$1 <= 2.5 }" \
      "$scratch/check/limited/time")" = 1'
}
