#!/usr/bin/env bash
# Compiles the C core without R and runs its tests: once optimised over all
# problems, once under the address and undefined-behaviour sanitizers over some.
# Ends with "N passed, N failed, N skipped". Where a cross compiler for 64-bit
# Arm is installed, the NEON kernels are compiled, and run if qemu is there.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
src=$here/../../src
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0
tests=(random threads elementary kernels matmul attend_kernels state attention)

sources=("$src"/core/*.c "$src"/kernels/*.c "$src"/ops/*.c "$src"/layers/*.c "$here/oracle.c")
includes=(-I"$src/core" -I"$src/kernels" -I"$src/ops" -I"$src/layers" -I"$here")
warnings=(-Wall -Wextra -Wshadow -Wvla -pedantic)

count() { # the last "N passed, N failed" of a log
    local line
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$1" | tail -n 1)
    if [ -n "$line" ]; then
        passed=$((passed + $(echo "$line" | cut -d' ' -f1)))
        failed=$((failed + $(echo "$line" | cut -d' ' -f3)))
    else
        failed=$((failed + 1))
    fi
}

# compile NAME COMPILER FLAGS...: builds every test as $work/NAME-test
compile() {
    local name=$1 compiler=$2 test
    shift 2
    for test in "${tests[@]}"; do
        if ! "$compiler" -std=gnu11 "${warnings[@]}" "$@" "${includes[@]}" "${sources[@]}" \
            "$here/test_$test.c" -lm -o "$work/$name-$test" >"$work/compile.log" 2>&1; then
            cat "$work/compile.log"
            return 1
        fi
        cat "$work/compile.log"
        if grep -q 'warning:' "$work/compile.log"; then
            failed=$((failed + 1))
        fi
    done
}

run() { # run NAME RUNNER PROBLEMS
    local test
    for test in "${tests[@]}"; do
        echo "== $1: $test"
        if [ "$test" = attention ]; then
            $2 "$work/$1-$test" "$3" >"$work/log" 2>&1
        elif [ "$test" = matmul ]; then
            $2 "$work/$1-$test" $(($3 / 5)) >"$work/log" 2>&1
        else
            $2 "$work/$1-$test" >"$work/log" 2>&1
        fi
        local status=$?
        tail -n 40 "$work/log"
        count "$work/log"
        # a sanitizer's report or a signal, after counts that looked good
        if [ $status -gt 1 ]; then
            failed=$((failed + 1))
        fi
    done
}

if compile plain gcc -O2 -fopenmp; then
    run plain "" 2000
else
    failed=$((failed + 1))
fi
if compile sanitized gcc -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all; then
    run sanitized "" 60
else
    failed=$((failed + 1))
fi
if command -v aarch64-linux-gnu-gcc >/dev/null 2>&1; then
    if compile neon aarch64-linux-gnu-gcc -O2 -static; then
        if command -v qemu-aarch64-static >/dev/null 2>&1; then
            run neon qemu-aarch64-static 20
        elif command -v qemu-aarch64 >/dev/null 2>&1; then
            run neon qemu-aarch64 20
        else
            echo "== neon: compiled; not run, qemu-user is not installed"
            skipped=$((skipped + 1))
        fi
    else
        failed=$((failed + 1))
    fi
else
    echo "== neon: not compiled, there is no aarch64-linux-gnu-gcc"
    skipped=$((skipped + 1))
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
