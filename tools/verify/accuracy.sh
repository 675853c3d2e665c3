#!/usr/bin/env bash
# P1: how far results are from the exact ones. Attention itself against a long double
# oracle (tests/core/test_attention.c) at every instruction set, then whole layers
# against plain R (accuracy-layers.R).
#
# The problems are drawn from seeds: the same 2,000 in every long run, and as many from
# a seed of the day, which is printed. The short form takes some of the first.
set -u
# shellcheck source=tools/verify/proof.sh
. "$ATTN_ROOT/tools/verify/proof.sh"
# shellcheck source=tools/verify/attention-core.sh
. "$ATTN_ROOT/tools/verify/attention-core.sh"

problems=$(pick 60 2000)
half=$((problems / 2))
compile_native attention || exit 1
./native "$half" 1 >first.log 2>&1 &
./native "$half" $((half + 1)) >second.log 2>&1 &
wait
logs=(first.log second.log)

if [ "$ATTN_VERIFY" = long ]; then
  fresh=$((10000 + $(date +%s) / 86400 % 100000 * 2000))
  echo "the seed of the day is $fresh"
  ./native 1000 "$fresh" >third.log 2>&1 &
  ./native 1000 $((fresh + 1000)) >fourth.log 2>&1 &
  logs+=(third.log fourth.log)
  wait
  if has_other_set avx512-emulated compile_emulated attention P1 "attention"; then
    ./emulated 1000 1 >emulated1.log 2>&1 &
    ./emulated 1000 1001 >emulated2.log 2>&1 &
    wait
    sed -i 's/^worst avx512 /worst avx512-emulated /' emulated*.log
    logs+=(emulated1.log emulated2.log)
  fi
  if has_other_set neon-emulated compile_neon attention P1 "attention"; then
    run_neon 40 1 >neon1.log 2>&1 &
    run_neon 40 41 >neon2.log 2>&1 &
    wait
    # the scalar kernels there are those of here
    sed -i '/^worst scalar /d; s/^worst neon /worst neon-emulated /' neon*.log
    logs+=(neon1.log neon2.log)
  fi
fi

for dtype in float32 float64; do
  lines=" $dtype "
  what="attention in $dtype, 24 rows of each problem"
  if ! grep -q "$lines" "${logs[@]}"; then
    proof_skipped P1 "$what, worst error / u (1 + max|logit|) max|value|" \
      "long double is no more exact than double here"
    continue
  fi
  proof P1 "$what, worst error / u (1 + max|logit|) max|value| (number of problems)" \
    "$(by_set of_bound/problems "$lines" "${logs[@]}")" "1" all_sets_hold "$lines" "${logs[@]}"
  proof P1 "$what of standard normal numbers, worst error" \
    "$(by_set of_normals "$lines" "${logs[@]}")" \
    "$([ "$dtype" = float32 ] && echo 1e-6 || echo 1e-14)" all_sets_hold "$lines" "${logs[@]}"
done

for isa in $(instruction_sets); do
  ATTN_ISA=$isa Rscript --vanilla "$ATTN_ROOT/tools/verify/accuracy-layers.R" >"layers-$isa" || exit 1
done
layers_hold() { [ "$(total_of failed "^layers" layers-*)" -eq 0 ]; }
for dtype in float32 float64; do
  proof P1 "whole layers in $dtype against plain R, worst error, $(total_of cases " $dtype " layers-*) cases" \
    "$(by_set worst " $dtype " layers-*)" "$([ "$dtype" = float32 ] && echo 5e-6 || echo 1e-12)" \
    layers_hold
done
