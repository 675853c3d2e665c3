#!/usr/bin/env bash
# Compiles the C core without R and runs its tests: once optimised over all
# problems, once under the address and undefined-behaviour sanitizers over some.
# Where the processor lacks AVX-512, its kernels run once more, emulated.
# Where a cross compiler for 64-bit Arm is installed, the NEON kernels are
# compiled, and run if qemu is there. On x86-64 the scalar kernels run once in x87's
# registers. Ends with "N passed, N failed, N skipped".
#
# tools/verify/coverage.sh gives a folder that is to keep what is built, further flags for
# the compiler, with which nothing is sanitized, and how many problems the plain build is to
# get: CORE_TESTS_FOLDER, CORE_TESTS_FLAGS, CORE_TESTS_PROBLEMS.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
src=$here/../../src
# shellcheck source=tests/core/emulated/emulate.sh
. "$here/emulated/emulate.sh"
work=${CORE_TESTS_FOLDER:-}
if [ -z "$work" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
fi
read -ra further_flags <<<"${CORE_TESTS_FLAGS:-}"
portable_tests=(random threads elementary matmul attend_kernels state scores attention
    extreme_values same_bits activation_ops normalization_ops layout_ops einsum_ops
    sequence_ops cached_attention program step_refusals)
# run where the compiler's own code runs, plain and sanitized: files know no instruction
# set, failed allocations and interrupts take too long where one is emulated
native_tests=(allocation safetensors hdf5 hdf5_refusals fuzz_header fuzz_json fuzz_einsum fuzz_state interrupts)
tests=("${portable_tests[@]}")
warnings=(-Wall -Wextra -Wconversion -Wshadow -Wvla -pedantic)

note() { # note PASSED FAILED SKIPPED: what the last line adds up
    echo "$1 $2 $3" >>"$work/counts"
}

count() { # the last "N passed, N failed" of a log
    local line
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$1" | tail -n 1)
    if [ -n "$line" ]; then
        note "$(echo "$line" | cut -d' ' -f1)" "$(echo "$line" | cut -d' ' -f3)" 0
    else
        note 0 1 0
    fi
}

# compile NAME KERNELS COMPILER FLAGS...: the core with the kernels of that folder,
# and every test as $work/NAME/TEST
compile() {
    local out=$work/$1 kernels=$2 folder test file options objects=()
    local build=("$3" -std=gnu11 "${warnings[@]}" "${@:4}" "${further_flags[@]}"
        -I"$src/core" -I"$kernels"
        -I"$src/ops" -I"$src/layers" -I"$src/models" -I"$here")
    mkdir -p "$out"
    for file in "$src"/core/*.c "$kernels"/*.c "$src"/{ops,layers,models}/*.c "$here/oracle.c"; do
        folder=$(basename "$(dirname "$file")") # files of two folders may have one name
        objects+=("$out/$folder-$(basename "$file" .c).o")
        if ! "${build[@]}" -c "$file" -o "${objects[-1]}" >>"$out/compile.log" 2>&1; then
            cat "$out/compile.log"
            return 1
        fi
    done
    for test in "${tests[@]}"; do
        file=$here/test_$test.c
        if [ "$test" = intrinsics ]; then
            file=$intrinsics
        fi
        options=()
        if [ "$test" = allocation ]; then
            options=("-Wl,--wrap=malloc" "-Wl,--wrap=calloc" "-Wl,--wrap=free")
        fi
        if ! "${build[@]}" "$file" "${objects[@]}" "${options[@]}" -lm -o "$out/$test" >>"$out/compile.log" 2>&1; then
            cat "$out/compile.log"
            return 1
        fi
    done
    cat "$out/compile.log"
    if grep -q 'warning:' "$out/compile.log"; then
        note 0 1 0
    fi
}

run() { # run NAME RUNNER PROBLEMS
    local test status
    for test in "${tests[@]}"; do
        echo "== $1: $test"
        case $test in
            attention) $2 "$work/$1/$test" "$3" ;;
            matmul) $2 "$work/$1/$test" $(($3 / 5)) ;;
            scores) $2 "$work/$1/$test" $(($3 / 10)) ;;
            extreme_values) $2 "$work/$1/$test" $((2 + $3 / 50)) ;;
            same_bits) $2 "$work/$1/$test" $((4 + $3 / 100)) ;;
            *) $2 "$work/$1/$test" ;;
        esac >"$work/$1/log" 2>&1
        status=$?
        tail -n 40 "$work/$1/log"
        count "$work/$1/log"
        # a sanitizer's report or a signal, after counts that looked good
        if [ $status -gt 1 ]; then
            note 0 1 0
        fi
    done
}

has() { grep -qw "$1" /proc/cpuinfo 2>/dev/null; } # has FLAG: whether this processor does

native() { # as the compiler makes it here, then under the sanitizers
    tests+=("${native_tests[@]}")
    # the intrinsics are tested over the true ones where they are, else over the emulated
    if has avx512f; then
        intrinsics=$here/emulated/test_intrinsics.c
        tests+=(intrinsics)
    fi
    if compile plain "$src/kernels" gcc -O2 -fopenmp; then
        run plain "" "${CORE_TESTS_PROBLEMS:-600}"
    else
        note 0 1 0
    fi
    # lines are counted once: the sanitizers' build has no others
    if [ -n "${CORE_TESTS_FLAGS:-}" ]; then
        return
    fi
    if compile sanitized "$src/kernels" gcc -O1 -g -fsanitize=address,undefined \
        -fno-sanitize-recover=all; then
        run sanitized "" 60
    else
        note 0 1 0
    fi
}

emulated() {
    if has avx512f; then
        echo "== avx512 emulated: not needed, this processor runs the AVX-512 kernels itself"
        return
    fi
    if ! has avx2 || ! has fma; then
        echo "== avx512 emulated: not run, this processor lacks AVX2"
        note 0 0 1
        return
    fi
    echo "== avx512 emulated: no AVX-512 here; its kernels run on AVX2, emulated"
    intrinsics=$work/test_intrinsics.c
    tests+=(intrinsics)
    if emulate_avx512 "$src/kernels" "$work/kernels" &&
        emulate_avx512_in "$here/emulated/test_intrinsics.c" "$work/test_intrinsics.c" &&
        compile "avx512 emulated" "$work/kernels" gcc -O1 -ftree-loop-vectorize -fopenmp \
            -Wno-psabi -Wno-unused-function -I"$here/emulated"; then
        run "avx512 emulated" "" 80
    else
        note 0 1 0
    fi
}

# The scalar kernels in registers of 80 bits, where 32-bit x86 computes by default.
x87() {
    if [ "$(uname -m)" != x86_64 ]; then
        return
    fi
    tests=(elementary scores)
    mkdir "$work/scalar"
    cp "$src"/kernels/*.h "$src"/kernels/*_scalar.c "$work/scalar"
    sed -e '/{"avx/d' "$src/kernels/cpu.c" >"$work/scalar/cpu.c"
    if compile x87 "$work/scalar" gcc -O1 -mfpmath=387 -Wno-unused-function; then
        run x87 "" 200
    else
        note 0 1 0
    fi
}

neon() {
    local runner
    tests=("${portable_tests[@]}")
    if ! command -v aarch64-linux-gnu-gcc >/dev/null 2>&1; then
        echo "== neon: not compiled, there is no aarch64-linux-gnu-gcc"
        note 0 0 1
        return
    fi
    if ! compile neon "$src/kernels" aarch64-linux-gnu-gcc -O2 -static; then
        note 0 1 0
        return
    fi
    runner=$(command -v qemu-aarch64-static || command -v qemu-aarch64)
    if [ -z "$runner" ]; then
        echo "== neon: compiled; not run, qemu-user is not installed"
        note 0 0 1
        return
    fi
    run neon "$runner" 10
}

# what is emulated runs beside what is not: both take minutes on one core
(emulated; x87; neon) >"$work/emulated.log" 2>&1 &
native
wait
cat "$work/emulated.log"
failed=$(awk '{ sum += $2 } END { print sum + 0 }' "$work/counts")
awk '{ p += $1; f += $2; s += $3 } END { printf "%d passed, %d failed, %d skipped\n", p, f, s }' \
    "$work/counts"
[ "$failed" -eq 0 ]
