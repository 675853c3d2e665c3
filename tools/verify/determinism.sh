#!/usr/bin/env bash
# P3: the same bits. Attention itself (tests/core/test_same_bits.c) at 1, 2, 3, 7 and 16
# threads, with a core that starts as many as it is asked for even where the work is too
# small to pay for them; then layers and models at these numbers of threads and in other
# circumstances, and dropout (determinism.R).
set -u
# shellcheck source=tools/verify/proof.sh
. "$ATTN_ROOT/tools/verify/proof.sh"
# shellcheck source=tools/verify/attention-core.sh
. "$ATTN_ROOT/tools/verify/attention-core.sh"

sed 's/^\(static const double OPERATIONS_PER_THREAD = \)[^;]*/\11/' \
  "$core_source/core/parallel.c" >parallel.c
grep -q 'OPERATIONS_PER_THREAD = 1;' parallel.c || exit 1
PARALLEL=$PWD/parallel.c
problems=$(pick 20 200)
repeats=$(pick 2 20)

# Spinning for each other, more threads than processors would take hours.
export OMP_WAIT_POLICY=passive
compile_native same_bits || exit 1
./native "$problems" "$repeats" >native.log 2>&1
logs=(native.log)
if [ "$ATTN_VERIFY" = long ]; then
  if has_other_set avx512-emulated compile_emulated same_bits P3 "same bits"; then
    ./emulated 40 5 >emulated.log 2>&1
    sed -i 's/^bits avx512 /bits avx512-emulated /' emulated.log
    logs+=(emulated.log)
  fi
  if has_other_set neon-emulated compile_neon same_bits P3 "same bits"; then
    run_neon 20 2 >neon.log 2>&1
    sed -i '/^bits scalar /d; s/^bits neon /bits neon-emulated /' neon.log
    logs+=(neon.log)
  fi
fi
proof P3 "attention with 1, 2, 3, 7, 16 threads, calls with other bits (of so many)" \
  "$(by_set differing/calls ^bits "${logs[@]}")" "0" all_sets_hold ^bits "${logs[@]}"

Rscript --vanilla "$ATTN_ROOT/tools/verify/determinism-layers.R"
