#!/usr/bin/env bash
# Installs attn, and R where it is missing, and shows two scenes: causal
# self-attention over windows of the monthly sunspot series, and Transformers
# that are loaded, built, saved and run without Python.
#
#   ./tools/demo.sh [picture.png]
#
# The picture of the first goes to ./attn-demo.png, in the folder the command is
# started from, unless another place is given; that of the second lies beside it,
# with "-model" in its name.
set -eu

here=$(pwd -P)
# shellcheck source=tools/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

case "${1:-}" in
  -h | --help)
    sed -n '2,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 0
    ;;
esac

picture="${1:-attn-demo.png}"
case "$picture" in
  /*) ;;
  *) picture="$here/$picture" ;;
esac
[ -d "$(dirname -- "$picture")" ] || die "no such folder: $(dirname -- "$picture")"

prepare_folders
trap 'rm -rf -- "$scratch"' EXIT
prepare_locale
ensure_r
ensure_r_packages cli generics jsonlite

say "Installing attn from source"
build_package "$scratch/build" --no-build-vignettes --no-manual || die "the package does not build"
install_package || die "the package does not install"

say "Running tools/demo.R"
Rscript "$root/tools/demo.R" "$picture"
say "The picture of the attention scores: $picture"

say "Running tools/demo-model.R"
model_picture=${picture%.png}-model.png
Rscript "$root/tools/demo-model.R" "$model_picture"
say "The picture of the model: $model_picture"
say "To go on in R: library(attn, lib.loc = \"$library\")"
