# shellcheck shell=bash disable=SC2154
# Address, undefined-behaviour and thread sanitizers, and valgrind. Sourced by builds.sh.

# Tests that start processes of their own, whose shells leak memory, or fork: without the search
# for leaks. Those that measure memory are not run: the sanitizers' own memory would be measured.
tests_with_processes='files-atomic|forks-and-interrupts|model-members|native-calls|serialize-state'
tests_of_memory='memory'

# install_variant NAME LINE...: the package in variants/NAME, built with these lines in Makevars.
# What the compiler says is in reports/NAME.
install_variant() {
  local name=$1 folder=$scratch/variants/$1
  shift
  mkdir -p "$folder"
  printf '%s\n' "$@" >"$folder/Makevars"
  MAKEFLAGS=-j2 R_MAKEVARS_USER=$folder/Makevars R CMD INSTALL --no-docs --no-test-load \
    --library="$folder" "$ATTN_TARBALL" >"$scratch/reports/$name" 2>&1 || {
    tail -n 20 "$scratch/reports/$name" >&2
    return 1
  }
}

# r_itself NAME SCRIPT [VARIABLE=VALUE ...] -- ARGUMENT...: the script in R itself, with the package
# in variants/NAME, without the shell script that starts R: under a preload that would be looked at
# as well.
r_itself() (
  name=$1 script=$2 home=$(R RHOME) variables=()
  shift 2
  while [ "$1" != -- ]; do
    variables+=("$1")
    shift
  done
  shift
  export R_HOME=$home LD_LIBRARY_PATH=$home/lib NOT_CRAN=true
  R_SHARE_DIR=$(Rscript -e 'cat(R.home("share"))') R_DOC_DIR=$(Rscript -e 'cat(R.home("doc"))')
  R_INCLUDE_DIR=$r_headers
  export R_SHARE_DIR R_DOC_DIR R_INCLUDE_DIR
  export R_LIBS=$scratch/variants/$name:$R_LIBS
  exec env "${variables[@]}" "$home/bin/exec/R" --no-echo --no-save --no-restore -f "$script" \
    --args "$@"
)

# r_tests NAME FILTER INVERT [VARIABLE=VALUE ...]: tests of the package in variants/NAME. Prints
# "N passed, N failed, N skipped, status N" and shows on stderr what failed.
r_tests() {
  local name=$1 filter=$2 invert=$3 output="$scratch/reports/tests $1"
  shift 3
  # the tests, and what they write
  rm -rf -- "$scratch/testthat"
  cp -R "$ATTN_ROOT/tests/testthat" "$scratch/testthat"
  r_itself "$name" "$here/builds-tests.R" "$@" -- "$scratch/testthat" "$filter" "$invert" \
    >"$output" 2>&1 </dev/null
  local status=$? counts
  counts=$(grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$output" | tail -n 1)
  case "$counts" in
    *' 0 failed'*) [ "$status" -eq 0 ] || tail -n 30 "$output" >&2 ;;
    *) tail -n 30 "$output" >&2 ;;
  esac
  printf '%s, status %d' "${counts:-no counts}" "$status"
}

# sanitizer_reports NAME: how many reports the sanitizers have left, shown on stderr; without the
# leaks of other programs, as sed has one when a test starts the script "R"
sanitizer_reports() {
  local file found=0
  for file in "$scratch/reports/$1".*; do
    [ -f "$file" ] || continue
    if grep -q 'LeakSanitizer' "$file" && ! grep -q 'attn\.so' "$file"; then continue; fi
    found=$((found + 1))
    head -n 25 "$file" >&2
  done
  printf '%d' "$found"
}

# pass TESTS...: whether each of what r_tests() has printed is good
pass() {
  local tests
  for tests in "$@"; do
    [[ "$tests" =~ ^[0-9]+\ passed,\ 0\ failed,\ [0-9]+\ skipped,\ status\ 0$ ]] || return 1
  done
}

sanitizing="-O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined\
 -U_FORTIFY_SOURCE"
address_options=exitcode=99:detect_stack_use_after_return=1:strict_string_checks=1

# sees_planted NAME PRELOAD: whether the sanitizers of that build find a read behind the end of a
# block of memory within R
sees_planted() {
  local folder=$scratch/planted-$1
  mkdir -p "$folder"
  cp "$here/builds-planted.c" "$folder/planted.c"
  (
    cd "$folder" || exit 1
    R_MAKEVARS_USER=$scratch/variants/$1/Makevars R CMD SHLIB planted.c >build.log 2>&1
    ! env "$2" ASAN_OPTIONS=$address_options:detect_leaks=0 R_HOME="$(R RHOME)" \
      LD_LIBRARY_PATH="$(R RHOME)/lib" "$(R RHOME)/bin/exec/R" --vanilla --no-echo \
      -e 'dyn.load("planted.so"); .Call("planted_read", 1L)' >run.log 2>&1 </dev/null
    grep -qE 'heap-buffer-overflow|runtime error' run.log
  )
}

# The whole suite, or some of it that calls every layer; leaks are looked for where no other
# process is started.
sanitized_r() {
  local filter preload reports first second quit what='some'
  preload="LD_PRELOAD=$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"
  if ! install_variant sanitized "CC = gcc -std=gnu17" "CFLAGS = $sanitizing" \
    "STRIP_STATIC_LIB = true"; then
    proof P11 "the package under gcc's sanitizers" "does not build" "0 reports" false
    return
  fi
  if [ "$ATTN_VERIFY" = short ]; then
    first=$(r_tests sanitized '^(layer-[a-e]|layer-m|scores|serialize$|files-safe|op)' no "$preload" \
      "ASAN_OPTIONS=$address_options:detect_leaks=1:log_path=$scratch/reports/gcc" \
      "UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:log_path=$scratch/reports/gcc")
    second=$first
  else
    what='all'
    filter="^($tests_with_processes|$tests_of_memory)"
    first=$(r_tests sanitized "$filter" yes "$preload" \
      "ASAN_OPTIONS=$address_options:detect_leaks=1:log_path=$scratch/reports/gcc" \
      "UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:log_path=$scratch/reports/gcc")
    second=$(r_tests sanitized "^($tests_with_processes)" no "$preload" \
      "ASAN_OPTIONS=$address_options:detect_leaks=0:log_path=$scratch/reports/gcc" \
      "UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:log_path=$scratch/reports/gcc")
    say "not under the sanitizers: test-memory.R, which measures memory; without the search for" \
      "leaks, as they start other programs: $tests_with_processes"
    first="$first; with other processes: $second"
  fi
  reports=$(sanitizer_reports gcc)
  proof P11 "R tests ($what) under gcc's address, leak and undefined-behaviour sanitizers" \
    "$reports reports; $first" "0" eval \
    'test "$reports" -eq 0 && pass "${first%%;*}" "$second" && sees_planted sanitized "$preload"'
  # R itself gives little back at its end, so leaks are not looked for
  quit=$(live_at_quit sanitized "$preload" "ASAN_OPTIONS=$address_options:detect_leaks=0" \
    "UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1")
  proof P8 "q() with 10,000 live layers under gcc's address and undefined-behaviour sanitizers" \
    "status $quit" "0" test "$quit" = 0
}

# live_at_quit NAME VARIABLE=VALUE...: the end of a session with 10,000 layers, and models, that are
# alive, with the package in variants/NAME; prints the status
live_at_quit() {
  local folder=$scratch/quit-$1 output="$scratch/reports/quit $1" status
  mkdir -p "$folder"
  r_itself "$1" "$here/handles-live.R" "${@:2}" -- quit "$folder" 10000 >"$output" 2>&1 </dev/null
  status=$?
  # written right before the end
  [ -s "$folder/figures" ] || status="$status, before the end"
  [ "$status" = 0 ] || tail -n 30 "$output" >&2
  printf '%s' "$status"
}

sanitized_clang() {
  local runtime tests reports preload
  if ! has clang clang libclang-rt-14-dev libomp-dev; then
    proof_skipped P11 "R tests under clang's sanitizers" "clang is not here"
    return
  fi
  runtime=$(clang -print-file-name="libclang_rt.asan-$(uname -m).so")
  preload="LD_PRELOAD=$runtime"
  if ! install_variant clang "CC = clang -std=gnu17" \
    "CFLAGS = ${sanitizing/undefined /undefined,implicit-conversion } -fno-sanitize=float-divide-by-zero\
 -shared-libsan" "LDFLAGS = -fsanitize=address,undefined -shared-libsan" "SHLIB_LD = clang" \
    "STRIP_STATIC_LIB = true"; then
    proof P11 "the package under clang's sanitizers" "does not build" "0 reports" false
    return
  fi
  # no search for leaks: LeakSanitizer of clang breaks off at the end of libomp's threads
  tests=$(r_tests clang "^($tests_with_processes|$tests_of_memory|bad-input)" yes "$preload" \
    "ASAN_OPTIONS=$address_options:detect_leaks=0:log_path=$scratch/reports/clang" \
    "UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:log_path=$scratch/reports/clang")
  reports=$(sanitizer_reports clang)
  proof P11 "R tests (all but those of other processes, memory and bad input) under clang's\
 address, undefined-behaviour and implicit-conversion sanitizers" "$reports reports; $tests" "0" eval \
    'test "$reports" -eq 0 && pass "$tests" && sees_planted clang "$preload"'
}

# ---- threads ----

# Data races: the C core with clang's libomp, which tells the thread sanitizer of its barriers
# by libarcher. A planted race must be found.
races() {
  local library_of_llvm archer test file status planted=0 reports=0 passed=0 objects=$scratch/races problems
  local what="thread sanitizer over the tests of the C core with 1 to 9 threads"
  library_of_llvm=$(dirname "$(readlink -f "$(command -v clang || echo /nonexistent)")")/../lib
  has clang clang && apt_install libomp-dev >&2
  archer=$(find "$library_of_llvm" /usr/lib/llvm-*/lib -name 'libarcher.so' 2>/dev/null | head -n 1)
  if [ -z "$archer" ]; then
    proof_skipped P11 "$what" "clang with libomp and libarcher is not here"
    return
  fi
  mkdir -p "$objects"
  local build=(clang -std=gnu11 -g -O1 -fopenmp -fsanitize=thread "${includes[@]:0:5}" -I"$core_tests")
  each_file "${build[*]@Q} -c {} -o $(object_in "$objects")" "$src"/core/*.c "$src"/kernels/*.c "$src"/ops/*.c "$src"/layers/*.c "$src"/models/*.c \
    "$core_tests/oracle.c" >"$scratch/reports/races" || {
    proof P11 "$what" "does not build" "0 reports" false
    return
  }
  for test in random elementary matmul attend_kernels scores attention activation_ops \
    normalization_ops layout_ops einsum_ops sequence_ops cached_attention program planted; do
    problems=()
    case $test in
      attention) problems=(30) ;;
      matmul | scores) problems=(20) ;;
    esac
    file=$core_tests/test_$test.c
    [ "$test" = planted ] && file=$here/builds-race.c
    "${build[@]}" "$file" "$objects"/*.o -lm -o "$scratch/race" 2>>"$scratch/reports/races" || {
      proof P11 "$what" "test_$test does not build" "0 reports" false
      return
    }
    OMP_TOOL_LIBRARIES=$archer TSAN_OPTIONS=ignore_noninstrumented_modules=1:exitcode=66 \
      "$scratch/race" "${problems[@]}" >"$scratch/race.log" 2>&1
    status=$?
    if [ "$test" = planted ]; then
      planted=$(count 'WARNING: ThreadSanitizer' "$scratch/race.log")
    else
      reports=$((reports + $(count 'WARNING: ThreadSanitizer' "$scratch/race.log")))
      [ "$status" -eq 0 ] || { head -n 30 "$scratch/race.log" >&2; reports=$((reports + 1)); }
      passed=$((passed + $(sed -nE 's/^([0-9]+) passed.*/\1/p' "$scratch/race.log" | tail -n 1)))
    fi
  done
  proof P11 "$what" "$reports reports in $passed tests; a planted race: $planted" "0; found" eval \
    'test "$reports" -eq 0 && test "$planted" -gt 0'
}

# ---- valgrind ----

memcheck() {
  local home errors lost planted status
  home=$(R RHOME)
  if ! has valgrind valgrind; then
    proof_skipped P11 "valgrind" "valgrind is not here"
    return
  fi
  # it knows no AVX-512; of the memory that R never gives back it is silent
  local command=(env R_HOME="$home" LD_LIBRARY_PATH="$home/lib" ATTN_ISA=avx2 OMP_NUM_THREADS=2
    valgrind -q --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite
    --error-exitcode=9 "$home/bin/exec/R" --vanilla --no-echo)
  "${command[@]}" -f "$here/builds-calls.R" >"$scratch/reports/memcheck" 2>&1 </dev/null
  status=$?
  errors=$(count '^==[0-9]+== (Invalid|Conditional|Use of|Syscall|Source and|Mismatched)' \
    "$scratch/reports/memcheck")
  lost=$(count '^==[0-9]+==.*definitely lost' "$scratch/reports/memcheck")
  grep -E '^==' "$scratch/reports/memcheck" | head -n 40 >&2
  mkdir -p "$scratch/planted-memcheck"
  cp "$here/builds-planted.c" "$scratch/planted-memcheck/planted.c"
  (cd "$scratch/planted-memcheck" && R CMD SHLIB planted.c >build.log 2>&1)
  "${command[@]}" -e "dyn.load('$scratch/planted-memcheck/planted.so'); .Call('planted_read', 1L)" \
    >"$scratch/reports/memcheck planted" 2>&1 </dev/null
  planted=$(count '^==[0-9]+== Invalid read' "$scratch/reports/memcheck planted")
  proof P11 "valgrind with AVX2: $(grep -E '^[0-9]+ calls' "$scratch/reports/memcheck")" \
    "$errors errors, $lost leaks; a planted read: $planted" "0, 0; found" eval \
    'test "$status" -eq 0 && test "$errors$lost" = 00 && test "$planted" -gt 0'
}
