# shellcheck shell=bash disable=SC2034,SC2154
# (variables come from and go to run.sh)
#
# Brings the peers to this machine. Sourced by run.sh after tools/lib.sh.
#
# Each function leaves `<peer>_missing` empty, or a sentence that says why the
# peer is not there: that becomes a row of the table. What is not from apt's own
# folders lands in $cache, so a second run needs no network. R's BLAS stays what
# it was: OpenBLAS is unpacked, not installed.

openblas_missing="" onnxruntime_missing="" pytorch_missing="" ggmlr_missing=""
python=/usr/bin/python3

# Sets `openblas`, the folder with libopenblas.so.0 and OpenBLAS's libblas.so.3.
get_openblas() {
  local unpacked=$cache/openblas found
  found=$(find "$unpacked" -name libopenblas.so.0 2>/dev/null | head -n 1)
  if [ -z "$found" ]; then
    say "Fetching OpenBLAS with apt"
    mkdir -p "$unpacked" "$scratch/debs"
    (cd "$scratch/debs" && quietly apt-get download libopenblas0-pthread) ||
      { apt_refresh && (cd "$scratch/debs" && quietly apt-get download libopenblas0-pthread); } ||
      openblas_missing="apt-get download libopenblas0-pthread failed"
    [ -z "$openblas_missing" ] && dpkg -x "$scratch"/debs/libopenblas0-pthread_*.deb "$unpacked"
    found=$(find "$unpacked" -name libopenblas.so.0 2>/dev/null | head -n 1)
  fi
  if [ -z "$found" ]; then
    openblas_missing=${openblas_missing:-no libopenblas.so.0 in its package}
    openblas=""
    return
  fi
  openblas=$(dirname "$found")
}

get_onnxruntime() {
  onnx_modules=$cache/node/node_modules
  command -v node >/dev/null 2>&1 || apt_install nodejs || true
  if ! command -v node >/dev/null 2>&1; then
    onnxruntime_missing="Node.js could not be installed"
    return
  fi
  if [ ! -d "$onnx_modules/onnxruntime-node" ]; then
    command -v npm >/dev/null 2>&1 || apt_install npm || true
    say "Installing onnxruntime-node with npm"
    mkdir -p "$cache/node"
    # the install script would fetch libraries for graphics cards
    quietly npm install --prefix "$cache/node" --ignore-scripts --no-audit --no-fund \
      onnxruntime-node || onnxruntime_missing="npm install onnxruntime-node failed"
  fi
  if ! "$python" -c 'import onnx' 2>/dev/null && ! apt_install python3-onnx; then
    onnxruntime_missing="python3-onnx, which writes the models, could not be installed"
  fi
}

get_pytorch() {
  if ! "$python" -c 'import torch' 2>/dev/null && ! apt_install python3-torch; then
    pytorch_missing="python3-torch could not be installed"
  fi
}

get_ggmlr() {
  ggmlr_library=$cache/r-library
  mkdir -p "$ggmlr_library"
  R_LIBS=$ggmlr_library Rscript -e 'library(ggmlR)' >/dev/null 2>&1 && return
  say "Building ggmlR from CRAN (at most 15 minutes)"
  quietly timeout 900 env MAKEFLAGS="-j$(nproc)" R_LIBS="$ggmlr_library" Rscript -e '
    repositories <- getOption("repos")
    if (!length(repositories) || any(repositories == "@CRAN@")) {
      utils::chooseCRANmirror(ind = 1L, local.only = TRUE)
    }
    install.packages("ggmlR", lib = commandArgs(TRUE), INSTALL_opts = "--no-docs")' \
    "$ggmlr_library" || true
  R_LIBS=$ggmlr_library Rscript -e 'library(ggmlR)' >/dev/null 2>&1 ||
    ggmlr_missing="ggmlR could not be built from CRAN within 15 minutes"
}

# The C core without R, with the flags that R compiles packages with.
build_core() {
  local source=$root/src
  # shellcheck disable=SC2046  # flags are several words
  quietly $(R CMD config CC) $(R CMD config CFLAGS) -fopenmp -I"$source/core" \
    -I"$source/kernels" -I"$source/ops" -I"$source/layers" "$bench/core.c" "$bench/peak.c" \
    "$source"/{core,kernels,ops,layers}/*.c -lm -o "$work/core" || die "the C core does not build"
  if [ -n "$openblas" ]; then
    # shellcheck disable=SC2046
    quietly $(R CMD config CC) $(R CMD config CFLAGS) "$bench/openblas.c" \
      "$openblas/libopenblas.so.0" -Wl,-rpath,"$openblas" -o "$work/openblas" ||
      openblas_missing="the program around it does not build"
  fi
}
