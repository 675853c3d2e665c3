# shellcheck shell=bash disable=SC2154
# Warnings, static analysis, lints, and what is in the shared library. Sourced by builds.sh.

warnings_wanted=(-Wall -Wextra -Wconversion -Wsign-conversion -Wshadow -Wvla -pedantic
  -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wundef)

# compile_all NAME COMPILER FLAG... -- FILE...: appends to reports/NAME what the compiler says,
# and adds to `compiled`
compile_all() {
  local report=$scratch/reports/$1 command=("$2" -std=gnu11 "${warnings_wanted[@]}")
  shift 2
  while [ "$1" != -- ]; do
    command+=("$1")
    shift
  done
  shift
  each_file "${command[*]@Q} ${includes[*]@Q} -c {} -o /dev/null || echo 'error: {} does not compile'" \
    "$@" >>"$report"
  compiled=$((compiled + $#))
}

# The compilers themselves say more with the optimiser on; clang says all before it.
warnings() {
  local all=("$src"/*.c "$src"/*/*.c "$core_tests"/*.c) found compilers=gcc
  local portable=("$src"/core/*.c "$src"/ops/*.c "$src"/layers/*.c "$src"/models/*.c
    "$core_tests"/test_*.c)
  local what="-Wall -Wextra -Wconversion -Wshadow -Wvla -pedantic and more"
  compiled=0
  compile_all warnings gcc -O2 -fopenmp -- "${all[@]}"
  if has clang clang libomp-dev; then
    compile_all warnings clang "$(pick -fsyntax-only -O2)" -fopenmp -- "${all[@]}"
    compilers+=", clang"
  else
    proof_skipped P11 "compilations with clang, $what" "clang is not here"
  fi
  if has aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu libc6-dev-arm64-cross; then
    compile_all warnings aarch64-linux-gnu-gcc -O2 -- "$src"/kernels/*.c
    compile_all warnings aarch64-linux-gnu-gcc "$(pick -fsyntax-only -O2)" -- "${portable[@]}"
    compilers+=", gcc for Arm"
  else
    proof_skipped P11 "compilations with gcc for Arm, $what" "aarch64-linux-gnu-gcc is not here"
  fi
  if [ "$ATTN_VERIFY" != short ]; then
    compile_all warnings gcc -O3 -DNDEBUG -- "${all[@]}"
  fi
  found=$(count '(warning|error):' "$scratch/reports/warnings")
  grep -E '(warning|error):' "$scratch/reports/warnings" | head -20 >&2
  proof P11 "compilations with $compilers, $what" "$found warnings in $compiled" "0" \
    test "$found" -eq 0
}

# analyzed NAME PATTERN OVER: the line of one of them
analyzed() {
  local found
  found=$(count "$2" "$scratch/reports/$1")
  grep -E "$2" "$scratch/reports/$1" | head -20 >&2
  proof P11 "$1 over src/" "$found findings in $3" "0" test "$found" -eq 0
}

analyzers() {
  local level files=("$src"/*.c "$src"/*/*.c) tidy
  if has cppcheck cppcheck; then
    cppcheck -j2 --quiet --enable=warning,portability,performance --std=c11 --inline-suppr \
      "${includes[@]:0:7}" "${files[@]}" >"$scratch/reports/cppcheck" 2>&1
    analyzed cppcheck ': (error|warning|portability|performance):' "${#files[@]} files"
  else
    proof_skipped P11 "cppcheck over src/" "cppcheck is not here"
  fi
  [ "$ATTN_VERIFY" = short ] && return
  for level in -O1 -O2; do
    each_file "gcc -std=gnu17 $level -fopenmp -fanalyzer ${includes[*]@Q} -c {} -o /dev/null" \
      "${files[@]}" >>"$scratch/reports/gcc -fanalyzer"
  done
  analyzed "gcc -fanalyzer" '(warning|error):' "${#files[@]} files, at -O1 and -O2"
  if has clang-tidy clang-tidy; then
    tidy="clang-tidy --quiet --config-file=${here@Q}/clang-tidy.yaml"
    each_file "$tidy {} -- -std=gnu11 -fopenmp ${includes[*]@Q} 2>/dev/null || echo 'error: {}'" \
      "${files[@]}" >"$scratch/reports/clang-tidy"
    analyzed clang-tidy '(warning|error):' "${#files[@]} files, $(clang-tidy --list-checks \
      --config-file="$here/clang-tidy.yaml" | grep -c '^ ') checks"
  else
    proof_skipped P11 "clang-tidy over src/" "clang-tidy is not here"
  fi
}

# ---- lints ----

# objects of R that the garbage collector may take
lint_protect() {
  local file
  for file in "$src"/glue/*.c "$src/init.c"; do
    awk -f "$here/builds-protect.awk" "$file"
  done
}

lint_c() {
  grep -nE 'long double|alloca *\(|[^a-z_](gets|strcpy|strcat|sprintf|system|popen)\(' "$src"/*.c \
    "$src"/*/*.[ch]
  grep -nE '# *include *[<"](R|Rinternals|Rmath|R_ext/.*)\.h' \
    "$src"/{core,kernels,ops,layers,models}/*.[ch]
  # allocation and errors of R in the glue alone
  grep -nE '(Rf_|R_)[a-zA-Z]+\(' "$src"/{core,kernels,ops,layers,models}/*.[ch]
  grep -nE -- '-march|-ffast-math|-Ofast' "$src/Makevars"
}

lint_shell() {
  local scripts
  mapfile -t scripts < <(cd "$ATTN_ROOT" && ls .ci/run tools/*.sh tools/verify/*.sh tests/core/*.sh \
    bench/*.sh)
  (cd "$ATTN_ROOT" && shellcheck --external-sources --source-path=SCRIPTDIR --source-path=. \
    --severity=warning --format=gcc "${scripts[@]}")
}

lint_r() {
  grep -nE '1:(length|nrow|ncol|NROW|NCOL)\(|[^A-Za-z_."]sapply\(|[^.]setwd\(|<<- *T$' "$ATTN_ROOT"/R/*.R
  Rscript --vanilla "$here/builds-lint.R" "$ATTN_ROOT/R" "$library"
}

lint() {
  local kind found total=0 what="what PROTECT misses, R in the core, R code (codetools)"
  local kinds=(protect c r)
  if has shellcheck shellcheck; then
    kinds+=(shell)
    what+=", shell scripts"
  else
    proof_skipped P11 "lints: shell scripts" "shellcheck is not here"
  fi
  for kind in "${kinds[@]}"; do
    "lint_$kind" >"$scratch/reports/lint $kind" 2>&1
    found=$(wc -l <"$scratch/reports/lint $kind")
    total=$((total + found))
    head -20 "$scratch/reports/lint $kind" >&2
  done
  proof P11 "lints: $what" "$total findings" "0" test "$total" -eq 0
}

# ---- the shared library ----

shared_library() {
  local so symbols bad
  so=$(Rscript --vanilla -e 'cat(system.file("libs", package = "attn"))')/attn.so
  symbols=$(nm -D --defined-only "$so" | awk '{ print $3 }' | sort | tr '\n' ' ')
  bad=0
  # a stack that may be executed, memory to write to and execute, paths to look for libraries
  readelf -lW "$so" | grep -E 'GNU_STACK.*E|LOAD.*RWE' && bad=$((bad + 1))
  readelf -dW "$so" | grep -E 'RPATH|RUNPATH|TEXTREL' && bad=$((bad + 1))
  proof P11 "the shared library shows R one symbol; no executable stack, no memory to write and\
 execute, no search paths" "$symbols, $bad" "R_init_attn, 0" \
    test "$symbols, $bad" = "R_init_attn , 0"
}
