#!/usr/bin/env bash
# bench/run.sh [--quick] [--record] [--no-peers]: measures attn beside its peers
# and prints one table. See README.md.
#   --quick     some of the rows, under three minutes
#   --record    put the table, the CSV and the plots into bench/
#   --no-peers  attn and plain R only; nothing is installed but attn
# shellcheck disable=SC2154  # variables of tools/lib.sh
set -u
bench=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=../tools/lib.sh
source "$bench/../tools/lib.sh"
# shellcheck source=peers.sh
source "$bench/peers.sh"

quick=no record=no with_peers=yes
for option in "$@"; do
  case "$option" in
    --quick) quick=yes ;;
    --record) record=yes ;;
    --no-peers) with_peers=no ;;
    *) die "unknown option $option; see the first lines of bench/run.sh" ;;
  esac
done

prepare_folders
trap 'rm -rf -- "$scratch"' EXIT
prepare_locale
ensure_r
ensure_r_packages cli jsonlite generics
cache=$library_parent/bench
work=$scratch/work
mkdir -p "$cache" "$work/models" "$work/library"

if [ "$with_peers" = yes ]; then
  get_openblas
  get_onnxruntime
  get_pytorch
  get_ggmlr
else
  openblas="" ggmlr_library=""
  openblas_missing="not asked for" onnxruntime_missing="not asked for"
  pytorch_missing="not asked for" ggmlr_missing="not asked for"
fi

say "Building attn"
build_package "$scratch/build" --no-build-vignettes || die "attn does not build"
quietly R CMD INSTALL --no-docs --no-test-load --library="$work/library" "$tarball" ||
  die "attn does not install"
build_core

# Slow peers are not asked for cases of more GFLOP than this.
if [ "$quick" = yes ]; then slow_limit=1; else slow_limit=2; fi

# One line per peer: name, what is missing (or nothing), command.
{
  printf 'attn\t\tenv R_LIBS=%q:%q Rscript %q\n' "$work/library" "$R_LIBS" \
    "$bench/peer-attn.R"
  printf 'core\t\t%q\n' "$work/core"
  printf 'openblas\t%s\t%q\n' "$openblas_missing" "$work/openblas"
  printf 'onnxruntime\t%s\tenv NODE_PATH=%q node %q %q\n' "$onnxruntime_missing" \
    "${onnx_modules:-}" "$bench/peer-onnxruntime.js" "$work/models"
  printf 'pytorch\t%s\tenv LD_LIBRARY_PATH=%q %q %q\n' "$pytorch_missing" "$openblas" \
    "$python" "$bench/peer_torch.py"
  printf 'ggmlR\t%s\tenv BENCH_LIMIT_GFLOP=%s R_LIBS=%q Rscript %q\n' "$ggmlr_missing" \
    "$slow_limit" "$ggmlr_library" "$bench/peer-ggml.R"
  printf 'R\t\tenv BENCH_LIMIT_GFLOP=%s Rscript %q\n' "$slow_limit" "$bench/peer-plain.R"
  printf 'R+OpenBLAS\t%s\tenv BENCH_LIMIT_GFLOP=20 LD_PRELOAD=%q Rscript %q\n' \
    "$openblas_missing" "$openblas/libblas.so.3" "$bench/peer-plain.R"
} >"$work/peers.tsv"

results=$cache/results
mkdir -p "$results"
Rscript "$bench/run.R" "$work" "$results" "$quick" "$python" || die "the benchmark has failed"
Rscript "$bench/plot.R" "$results/last.csv" "$results" || die "the plots have failed"
say "Results: $results"
if [ "$record" = yes ]; then
  Rscript "$bench/table.R" "$results/last.csv" "$bench/README.md" || die "README.md has no place"
  mkdir -p "$bench/results"
  rm -f -- "$bench/results"/*
  cp -- "$results/last.csv" "$results"/*.svg "$bench/results/"
fi
