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

compile_native() { # compile_native TEST
  [ -d kernels ] || native_kernels || return 1
  compile_test "$1" native kernels gcc -fopenmp
}

# The AVX-512 kernels on AVX2, where the processor lacks the former and has the latter.
compile_emulated() { # compile_emulated TEST
  ! processor_has avx512f && processor_has avx2 && processor_has fma || return 1
  emulate_avx512 "$core_source/kernels" emulated_kernels &&
    compile_test "$1" emulated emulated_kernels gcc -fopenmp -Wno-psabi \
      -I"$core_tests/emulated"
}

# The NEON kernels, for run_neon; not where the processor has them itself.
compile_neon() { # compile_neon TEST
  [ "$(uname -m)" != aarch64 ] || return 1
  apt_install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static >/dev/null || return 1
  compile_test "$1" neon "$core_source/kernels" aarch64-linux-gnu-gcc -static
}

run_neon() { qemu-aarch64-static ./neon "$@"; }

# "avx2 0.693, scalar 0.612": the KEY of lines "WORD isa ... KEY value ..." that match
# PATTERN; the greatest of each instruction set.
by_set() { # by_set KEY PATTERN FILE...
  grep -hE -- "$2" "${@:3}" | awk -v key="$1" '
    { for (i = 3; i < NF; i++) if ($i == key) {
        if (!($2 in worst)) { order[++sets] = $2; worst[$2] = $(i + 1) }
        if ($(i + 1) + 0 > worst[$2] + 0) worst[$2] = $(i + 1) } }
    END { for (i = 1; i <= sets; i++)
        printf "%s%s %s", (i > 1 ? ", " : ""), order[i], worst[order[i]] }'
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
