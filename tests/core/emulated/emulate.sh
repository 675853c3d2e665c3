# shellcheck shell=bash
# The AVX-512 kernels where the processor has none. Sourced, not run.

# emulate_avx512_in FILE COPY: with the intrinsics of avx512.h, and no word of the true
# ones left; lines keep their numbers
emulate_avx512_in() {
    sed -e 's/_mm512_/emulated_/g; s/__m512/emulated_m512/g' \
        -e 's/avx512f,//; s/"avx512f"/"avx2"/' \
        -e 's/^#include <immintrin.h>/#include "avx512.h"/' \
        -e 's/^.*{"avx2", has_avx2,.*//; s/^.*{"scalar", always,.*//' \
        "$1" >"$2"
    ! grep -nE 'avx512(f|vl|bw|dq|cd|ifma|vbmi)' "$2"
}

# emulate_avx512 KERNELS FOLDER: src/kernels with AVX-512 as the only instruction set,
# emulated
emulate_avx512() {
    local file
    mkdir "$2" || return 1
    for file in "$1"/*.h "$1"/*.c; do
        case $file in
            *_scalar.c | *_avx2.c | *_neon.c) continue ;;
        esac
        emulate_avx512_in "$file" "$2/$(basename "$file")" || return 1
    done
}
