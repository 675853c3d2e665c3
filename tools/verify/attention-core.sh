# shellcheck shell=bash
# The attention of src/ops without R under the tests of tests/core, for the proofs of
# accuracy, extreme values and determinism. Sourced, not run.

core_tests="$ATTN_ROOT/tests/core"
core_source="$ATTN_ROOT/src"
# shellcheck source=tests/core/emulated/emulate.sh
. "$core_tests/emulated/emulate.sh"

processor_has() { grep -qw "$1" /proc/cpuinfo 2>/dev/null; }

# of the installed package
instruction_sets() { Rscript -e 'writeLines(attn::attn_info()[["isa_available"]])'; }

# compile_test TEST PROGRAM KERNELS COMPILER FLAGS...: two files at a time. $PARALLEL may
# name another parallel.c.
compile_test() {
  local program="$2" kernels="$3" file jobs=0
  local build=("${@:4}" -std=gnu11 -O2 -w -I"$kernels" -I"$core_source/core"
    -I"$core_source/ops" -I"$core_tests")
  mkdir -p "$program.objects"
  for file in "$kernels"/*.c "$core_source"/core/{workspace,random,team,tensor}.c \
    "${PARALLEL:-$core_source/core/parallel.c}" \
    "$core_source"/ops/{attention,attention_reference,dropout,mask}.c \
    "$core_tests/oracle.c" "$core_tests/test_$1.c"; do
    "${build[@]}" -c "$file" -o "$program.objects/$(basename "$file").o" &
    jobs=$((jobs + 1))
    if [ $((jobs % 2)) -eq 0 ]; then wait -n; fi
  done
  wait
  "${build[@]}" "$program.objects"/*.o -lm -o "$program"
}

# Kernels of the sets that this processor runs: those of AVX-512 take longest to compile.
native_kernels() {
  mkdir kernels && cp "$core_source"/kernels/*.[ch] kernels || return 1
  if [ "$(uname -m)" = x86_64 ] && ! processor_has avx512f; then
    rm kernels/kernels_avx512.c
    sed -i '/{"avx512", has_avx512,/d' kernels/cpu.c
  fi
}

# The sets of which a proof must have figures.
expected_sets=()

compile_native() { # compile_native TEST
  [ -d kernels ] || native_kernels || return 1
  mapfile -t expected_sets < <(instruction_sets)
  compile_test "$1" native kernels gcc -fopenmp
}

# Sets that the processor lacks. Each compile_... gives 0; 1 where the processor has the set
# itself; 2 where it cannot be emulated; 3 where it does not compile.

# The AVX-512 kernels on AVX2.
compile_emulated() { # compile_emulated TEST
  if processor_has avx512f; then return 1; fi
  processor_has avx2 && processor_has fma || return 2
  emulate_avx512 "$core_source/kernels" emulated_kernels &&
    compile_test "$1" emulated emulated_kernels gcc -fopenmp -Wno-psabi \
      -I"$core_tests/emulated" || return 3
}

# The NEON kernels, for run_neon.
compile_neon() { # compile_neon TEST
  [ "$(uname -m)" != aarch64 ] || return 1
  apt_install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static >/dev/null || return 2
  compile_test "$1" neon "$core_source/kernels" aarch64-linux-gnu-gcc -static || return 3
}

# has_other_set SET COMPILE TEST PROMISE WHAT: whether there is a program of that set, which the
# processor lacks; a line of the report where there should be one
has_other_set() {
  "$2" "$3"
  case $? in
    0) expected_sets+=("$1") && return 0 ;;
    1) ;;
    2) proof_skipped "$4" "$5, $1" "it cannot be emulated here" ;;
    *) proof "$4" "$5, $1" "does not compile" "" false ;;
  esac
  return 1
}

run_neon() { qemu-aarch64-static ./neon "$@"; }

# "avx2 0.693, scalar 0.612": the KEY of lines "WORD isa ... KEY value ..." that match
# PATTERN; the greatest of each instruction set. With KEY/COUNT "avx2 0.693 (4000), ...": the
# sum of the set's COUNT as well.
by_set() { # by_set KEY[/COUNT] PATTERN FILE...
  grep -hE -- "$2" "${@:3}" | awk -v keys="$1" '
    BEGIN { counted = split(keys, key, "/") > 1 }
    { if (!($2 in seen)) { order[++sets] = $2; seen[$2] = 0 }
      for (i = 3; i < NF; i++) {
        if ($i == key[1]) {
          if (!($2 in worst) || $(i + 1) + 0 > worst[$2] + 0) worst[$2] = $(i + 1)
        } else if (counted && $i == key[2]) seen[$2] += $(i + 1) } }
    END { for (i = 1; i <= sets; i++)
        printf "%s%s %s%s", (i > 1 ? ", " : ""), order[i], worst[order[i]],
          (counted ? " (" seen[order[i]] ")" : "") }'
}

# the sum of KEY over such lines
total_of() { # total_of KEY PATTERN FILE...
  grep -hE -- "$2" "${@:3}" | awk -v key="$1" '
    { for (i = 3; i < NF; i++) if ($i == key) sum += $(i + 1) } END { printf "%d", sum }'
}

# Whether the tests said so themselves: every log ends with a count without failures.
all_hold() { # all_hold LOG...
  local log
  for log in "$@"; do
    grep -qE '^[0-9]+ passed, 0 failed$' "$log" || {
      grep -m 5 'test_' "$log" >&2
      return 1
    }
  done
}

# The same, and whether there are lines of every set that is expected.
all_sets_hold() { # all_sets_hold PATTERN LOG...
  local set
  for set in "${expected_sets[@]}"; do
    grep -hE -- "$1" "${@:2}" | grep -q "^[a-z]* $set " || {
      printf 'nothing is known of %s\n' "$set" >&2
      return 1
    }
  done
  all_hold "${@:2}"
}
