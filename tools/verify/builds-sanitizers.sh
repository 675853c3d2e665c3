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

# sanitizer_reports NAME: how many reports the sanitizers have left, shown on stderr; without
# those of other programs that tests start (make reads behind a string), and without notes that
# something was too large to be allocated, as tests ask for
sanitizer_reports() {
  local file found=0
  for file in "$scratch/reports/$1".*; do
    [ -f "$file" ] || continue
    grep -v 'WARNING: AddressSanitizer failed to allocate' "$file" | grep -q '[^[:space:]]' || continue
    if grep -q ' in main (' "$file" && ! grep -q ' in main (.*/bin/exec/R+' "$file"; then continue; fi
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
# what is too large for the sanitizer is for R no memory: NULL, as everywhere
address_options=exitcode=99:allocator_may_return_null=1:detect_stack_use_after_return=1:strict_string_checks=1

# run_planted NAME PRELOAD LEAKS CALL: calls what builds-planted.c has, in R and compiled as that
# build; its name in reports is that of the package's library
run_planted() {
  local folder=$scratch/planted-$1 home
  home=$(R RHOME)
  mkdir -p "$folder"
  cp "$here/builds-planted.c" "$folder/planted_attn.c"
  (
    cd "$folder" || exit 1
    R_MAKEVARS_USER=$scratch/variants/$1/Makevars R CMD SHLIB planted_attn.c >build.log 2>&1
    env "$2" R_HOME="$home" LD_LIBRARY_PATH="$home/lib" \
      ASAN_OPTIONS="$address_options:detect_leaks=$3:log_path=$scratch/reports/planted-$4" \
      UBSAN_OPTIONS="halt_on_error=1:log_path=$scratch/reports/planted-$4" \
      "$home/bin/exec/R" --vanilla --no-echo \
      -e "dyn.load('planted_attn.so'); .Call('planted_$4', 1L)" >run.log 2>&1 </dev/null
  )
}

# sees_planted NAME PRELOAD LEAKS: whether the sanitizers of that build find a read behind the end
# of a block of memory within R and, where they look for LEAKS (1), blocks that are lost
sees_planted() {
  if run_planted "$1" "$2" 0 read; then return 1; fi
  cat "$scratch/reports/planted-read".* "$scratch/planted-$1/run.log" 2>/dev/null |
    grep -qE 'heap-buffer-overflow|runtime error' || return 1
  [ "$3" -eq 1 ] || return 0
  if run_planted "$1" "$2" 1 leak; then return 1; fi
  test "$(sanitizer_reports planted-leak 2>/dev/null)" -eq 1
}

# The whole suite, or some of it that calls every layer; leaks are looked for where no other
# process is started.
sanitized_r() {
  local filter preload reports first second quit what='some' planted=missed
  local undefined="UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:log_path=$scratch/reports/gcc"
  preload="LD_PRELOAD=$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"
  # what others lose: the fonts of a plot, and sed when a test starts the script "R"
  printf 'leak:libfontconfig\nleak:/bin/sed\n' >"$scratch/leaks"
  local leaks=("ASAN_OPTIONS=$address_options:detect_leaks=1:log_path=$scratch/reports/gcc"
    "LSAN_OPTIONS=suppressions=$scratch/leaks:print_suppressions=0")
  if ! install_variant sanitized "CC = gcc -std=gnu17" "CFLAGS = $sanitizing" \
    "STRIP_STATIC_LIB = true"; then
    proof P11 "the package under gcc's sanitizers" "does not build" "0 reports" false
    return
  fi
  if [ "$ATTN_VERIFY" = short ]; then
    first=$(r_tests sanitized '^(layer-[a-e]|layer-m|scores|serialize$|files-safe|op)' no "$preload" \
      "${leaks[@]}" "$undefined")
    second=$first
  else
    what='all'
    filter="^($tests_with_processes|$tests_of_memory)"
    first=$(r_tests sanitized "$filter" yes "$preload" "${leaks[@]}" "$undefined")
    second=$(r_tests sanitized "^($tests_with_processes)" no "$preload" \
      "ASAN_OPTIONS=$address_options:detect_leaks=0:log_path=$scratch/reports/gcc" "$undefined")
    say "not under the sanitizers: test-memory.R and test-memory-errors.R, which measure and limit" \
      "memory; without the search for leaks, as they start other programs: $tests_with_processes"
    first="$first; with other processes: $second"
  fi
  reports=$(sanitizer_reports gcc)
  if sees_planted sanitized "$preload" 1; then planted=found; fi
  proof P11 "R tests ($what) under gcc's address, leak and undefined-behaviour sanitizers" \
    "$reports reports; $first; a planted read and a planted leak: $planted" "0; found" eval \
    'test "$reports" -eq 0 && pass "${first%%;*}" "$second" && test "$planted" = found'
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
  local runtime tests reports preload planted=missed
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
  if sees_planted clang "$preload" 0; then planted=found; fi
  proof P11 "R tests (all but those of other processes, memory and bad input) under clang's\
 address, undefined-behaviour and implicit-conversion sanitizers" \
    "$reports reports; $tests; a planted read: $planted" "0; found" eval \
    'test "$reports" -eq 0 && pass "$tests" && test "$planted" = found'
}

# ---- threads ----

# Tests of the core whose work threads share: "TEST LEAST [ARGUMENT ...]", where LEAST is the number
# of threads for calls that name fewer. Not as many problems as elsewhere.
tests_with_threads=("matmul 1 20" "scores 1 20" "attention 1 12" "same_bits 1 4 1"
  "activation_ops 1" "normalization_ops 1" "layout_ops 1" "einsum_ops 1" "sequence_ops 1"
  "step_refusals 3" "interrupts 1 1 1 50" "threads 1" "cached_attention 3")

# for the core and its tests; builds-threads.c looks at their regions
race_build=(clang -std=gnu11 -g -O1 -fopenmp -fsanitize=thread "${includes[@]:0:5}" -I"$core_tests")
race_links=(-lm "-Wl,--wrap=attn_team_join" "-Wl,--wrap=attn_parallel_width")

# The core, with threads even where the work is too small to pay for them.
race_core() {
  local file files=("$here/builds-threads.c" "$core_tests/oracle.c" "$scratch/parallel.c")
  for file in "$src"/{core,kernels,ops,layers,models}/*.c; do
    [ "$file" = "$src/core/parallel.c" ] || files+=("$file")
  done
  sed 's/^\(static const double OPERATIONS_PER_THREAD = \)[^;]*/\11/' "$src/core/parallel.c" \
    >"$scratch/parallel.c"
  grep -q 'OPERATIONS_PER_THREAD = 1;' "$scratch/parallel.c" || return 1
  mkdir -p "$scratch/races"
  each_file "${race_build[*]@Q} -c {} -o $(object_in "$scratch/races")" "${files[@]}" \
    >"$scratch/reports/races"
}

# race_run FILE LEAST [ARGUMENT ...]: the program of that file; what it says is in race.log
race_run() {
  local links=("${race_links[@]}")
  # under a limit of address space the sanitizer itself has no memory
  [[ "$1" != */test_threads.c ]] || links+=("-Wl,--wrap=setrlimit")
  "${race_build[@]}" "$1" "$scratch/races"/*.o "${links[@]}" -o "$scratch/race" \
    >"$scratch/race.log" 2>&1 || return 1
  env OMP_WAIT_POLICY=passive LEAST_THREADS="$2" OMP_TOOL_LIBRARIES="$archer" \
    TSAN_OPTIONS=ignore_noninstrumented_modules=1:exitcode=66 \
    "$scratch/race" "${@:3}" >"$scratch/race.log" 2>&1
}

# Data races: the C core with clang's libomp, which tells the thread sanitizer of its barriers
# by libarcher. A planted race must be found, and every program have a region of several threads.
races() {
  local library_of_llvm archer entry words planted=0 reports=0 passed=0 serial=() least=99 most=0 width
  local what="thread sanitizer over programs of the C core's tests"
  library_of_llvm=$(dirname "$(readlink -f "$(command -v clang || echo /nonexistent)")")/../lib
  has clang clang && apt_install libomp-dev >&2
  archer=$(find "$library_of_llvm" /usr/lib/llvm-*/lib -name 'libarcher.so' 2>/dev/null | head -n 1)
  if [ -z "$archer" ]; then
    proof_skipped P11 "$what" "clang with libomp and libarcher is not here"
    return
  fi
  race_core || {
    proof P11 "$what" "the core does not build" "0 reports" false
    return
  }
  for entry in "${tests_with_threads[@]}"; do
    read -ra words <<<"$entry"
    race_run "$core_tests/test_${words[0]}.c" "${words[@]:1}" || {
      head -n 30 "$scratch/race.log" >&2
      reports=$((reports + 1))
    }
    reports=$((reports + $(count 'WARNING: ThreadSanitizer' "$scratch/race.log")))
    passed=$((passed + $(sed -nE 's/^([0-9]+) passed.*/\1/p' "$scratch/race.log" | tail -n 1)))
    width=$(sed -n 's/^widest region \([0-9]*\) threads$/\1/p' "$scratch/race.log")
    [ "${width:-1}" -gt 1 ] || serial+=("${words[0]}")
    least=$((${width:-1} < least ? ${width:-1} : least))
    most=$((${width:-1} > most ? ${width:-1} : most))
  done
  # it ends with the sanitizer's status
  race_run "$here/builds-race.c" 1
  planted=$(count 'WARNING: ThreadSanitizer' "$scratch/race.log")
  proof P11 "$what" "$reports reports in $passed tests of ${#tests_with_threads[@]} programs, whose\
 widest regions have $least to $most threads${serial[*]:+, one in ${serial[*]}}; a planted race:\
 $planted" "0; 2 or more; found" eval \
    'test "$reports" -eq 0 && test "$least" -gt 1 && test "$planted" -gt 0'
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
