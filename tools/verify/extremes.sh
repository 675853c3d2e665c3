#!/usr/bin/env bash
# P2: extreme values. The tables are tests: tests/core/test_extreme_values.c of attention
# itself, tests/testthat/test-extreme-values.R and test-accuracy.R of the layers. Here they
# run at every instruction set, the former on many more problems in the long form; the
# short form leaves it to the tests of the core. Then the processor's floating-point mode,
# before and after calls of everything.
set -u
# shellcheck source=tools/verify/proof.sh
. "$ATTN_ROOT/tools/verify/proof.sh"
# shellcheck source=tools/verify/attention-core.sh
. "$ATTN_ROOT/tools/verify/attention-core.sh"

if [ "$ATTN_VERIFY" = long ]; then
  compile_native extreme_values || exit 1
  ./native 400 >native.log 2>&1 &
  logs=(native.log)
  if has_other_set avx512-emulated compile_emulated extreme_values P2 "extreme values"; then
    ./emulated 100 >emulated.log 2>&1
    sed -i 's/^extremes avx512 /extremes avx512-emulated /' emulated.log
    logs+=(emulated.log)
  fi
  if has_other_set neon-emulated compile_neon extreme_values P2 "extreme values"; then
    run_neon 10 >neon.log 2>&1
    sed -i '/^extremes scalar /d; s/^extremes neon /extremes neon-emulated /' neon.log
    logs+=(neon.log)
  fi
  wait
  proof P2 "cases of extreme logits, NaN, Inf, denormals, -0 in attention that are wrong (of so\
 many)" \
    "$(by_set failed/cases ^extremes "${logs[@]}")" "0" all_sets_hold ^extremes "${logs[@]}"
fi

for isa in $(instruction_sets); do
  ATTN_ISA=$isa Rscript --vanilla "$ATTN_ROOT/tools/verify/extremes-tables.R" "$isa" \
    >"tables-$isa" &
done
wait
# a table that was not written is not one without failures
tables_hold() {
  [ "$(total_of failed ^table tables-*)" -eq 0 ] &&
    [ "$(cat tables-* | grep -c ^table)" -eq "$(instruction_sets | wc -l)" ]
}
proof P2 "entries of the tables of layers and activations that are wrong (of so many)" \
  "$(by_set failed/entries ^table tables-*)" "0" tables_hold

# MXCSR and the x87 control word, or what the processor has instead
cat >mode.c <<'C'
#include <fenv.h>
#include <string.h>
#include <R.h>
#include <Rinternals.h>
SEXP floating_point_mode(void) {
    double mode = fegetround();
#if defined(__x86_64__)
    unsigned control = 0;
    unsigned short x87 = 0;
    __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(control), "=m"(x87));
    mode = (control & ~0x3Fu) * 65536.0 + x87;
#elif defined(__aarch64__)
    unsigned long control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    mode = (double)control;
#endif
    return Rf_ScalarReal(mode);
}
C
R CMD SHLIB mode.c >shlib.log 2>&1 || { cat shlib.log >&2; exit 1; }
for isa in $(instruction_sets); do
  ATTN_ISA=$isa Rscript --vanilla "$ATTN_ROOT/tools/verify/extremes-mode.R" >"mode-$isa" || exit 1
done
modes_hold() { [ "$(total_of changed ^mode mode-*)" -eq 0 ]; }
proof P2 "changes of the floating-point mode in $(total_of looks ^mode mode-*) looks" \
  "$(by_set changed ^mode mode-*)" "0" modes_hold
