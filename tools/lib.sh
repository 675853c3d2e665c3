# shellcheck shell=bash
# Shell functions that demo.sh and test.sh share. Sourced, not run.
#
# They bring a Debian machine to the point where the package can be built:
# R and the compiler from apt, R packages from apt where Debian has them and
# from CRAN otherwise. What is already there is left alone, so a second run
# needs no network. Nothing is written into the checkout.

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)

say() {
  printf '==> %s\n' "$*"
}

die() {
  printf 'Error: %s\n' "$*" >&2
  exit 1
}

# Runs a command quietly; its output is shown only if it fails.
quietly() {
  local log
  log=$(mktemp "$scratch/log.XXXXXX")
  if ! "$@" >"$log" 2>&1 </dev/null; then
    tail -n 60 "$log" >&2
    return 1
  fi
}

# Sets `scratch`, a temporary folder that goes when the script ends, and
# `library`, the private library that is kept between runs.
prepare_folders() {
  local cache
  scratch=$(mktemp -d "${TMPDIR:-/tmp}/attn.XXXXXX") || die "cannot create a temporary folder"
  cache="${XDG_CACHE_HOME:-${HOME:-}/.cache}/attn"
  if ! mkdir -p "$cache" 2>/dev/null || [ ! -w "$cache" ]; then
    cache="$scratch"
  fi
  library_parent="$cache"
}

# R needs a UTF-8 locale to build packages; a bare container has none.
prepare_locale() {
  case "${LC_ALL:-${LC_CTYPE:-${LANG:-}}}" in
    *[Uu][Tt][Ff]*) ;;
    *) export LC_ALL=C.UTF-8 ;;
  esac
}

# sudo may ask for a password only where someone can type it.
if [ -t 0 ]; then sudo_options=(); else sudo_options=(-n); fi

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null 2>&1; then
    sudo ${sudo_options[@]+"${sudo_options[@]}"} "$@"
  else
    return 1
  fi
}

apt_has() {
  dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'install ok installed'
}

# Fetches apt's package lists once per run. A failure is not the end: the
# lists on the machine may do.
apt_refreshed=no
apt_refresh() {
  if [ "$apt_refreshed" = no ]; then
    apt_refreshed=yes
    say "Updating the apt package lists"
    quietly as_root apt-get update ||
      say "apt-get update failed; going on with the lists that are here"
  fi
}

# Installs those of the given Debian packages that are missing and known to
# apt. Succeeds when all of them are there afterwards.
apt_install() {
  local name wanted=() known=()
  command -v apt-get >/dev/null 2>&1 || return 1
  for name in "$@"; do
    apt_has "$name" || wanted+=("$name")
  done
  [ "${#wanted[@]}" -eq 0 ] && return 0
  apt_refresh
  for name in "${wanted[@]}"; do
    if [ -n "$(apt-cache madison "$name" 2>/dev/null)" ]; then known+=("$name"); fi
  done
  if [ "${#known[@]}" -gt 0 ]; then
    say "Installing with apt: ${known[*]}"
    quietly as_root env DEBIAN_FRONTEND=noninteractive \
      apt-get install -y --no-install-recommends "${known[@]}" ||
      say "apt-get could not install all of: ${known[*]}"
  fi
  for name in "${wanted[@]}"; do
    apt_has "$name" || return 1
  done
}

# R itself, and a compiler: enough to install a package written in C.
ensure_r() {
  if ! command -v R >/dev/null 2>&1; then
    say "R is missing"
    apt_install r-base-core gcc libc6-dev make || true
  fi
  command -v R >/dev/null 2>&1 ||
    die "R is needed and could not be installed"
  command -v make >/dev/null 2>&1 || apt_install make || true
  if ! command -v "$(R CMD config CC | cut -d' ' -f1)" >/dev/null 2>&1 ||
    [ ! -e /usr/include/stdio.h ]; then
    apt_install gcc libc6-dev make || true
  fi
  Rscript --vanilla -e 'quit(status = getRversion() < "4.1")' ||
    die "R 4.1 or newer is needed; this is $(Rscript --vanilla -e 'cat(format(getRversion()))')"
  library="$library_parent/library-$(Rscript --vanilla -e 'cat(format(getRversion()[, 1:2]))')"
  mkdir -p "$library" || die "cannot create the library $library"
  export R_LIBS="$library${R_LIBS:+:$R_LIBS}"
  say "R $(Rscript --vanilla -e 'cat(format(getRversion()))') with the library $library"
}

# Prints those of the given R packages that R does not find.
r_missing() {
  Rscript -e '
    wanted <- commandArgs(TRUE)
    found <- vapply(wanted, requireNamespace, NA, quietly = TRUE)
    cat(wanted[!found], sep = " ")' "$@" 2>/dev/null
}

# apt's R packages serve the R that apt installed, and no other.
r_is_debians() {
  [ "$(R RHOME)" = /usr/lib/R ]
}

ensure_r_packages() {
  local missing name names=()
  missing=$(r_missing "$@")
  [ -z "$missing" ] && return 0
  if r_is_debians; then
    for name in $missing; do
      names+=("r-cran-$(printf '%s' "$name" | tr '[:upper:]' '[:lower:]')")
    done
    apt_install "${names[@]}" || true
    missing=$(r_missing "$@")
  fi
  [ -z "$missing" ] && return 0
  say "Installing from CRAN: $missing"
  if r_is_debians; then apt_install g++ r-base-dev || true; fi
  # shellcheck disable=SC2086  # one word per package
  quietly Rscript -e '
    repositories <- getOption("repos")
    if (!length(repositories) || any(repositories == "@CRAN@")) {
      utils::chooseCRANmirror(ind = 1L, local.only = TRUE)
    }
    install.packages(commandArgs(TRUE)[-1], lib = commandArgs(TRUE)[1])' \
    "$library" $missing || true
  missing=$(r_missing "$@")
  [ -z "$missing" ] || die "these R packages could not be installed: $missing"
}

# build_package FOLDER [OPTION ...]: the source package, in that folder; sets
# `tarball`.
build_package() {
  local folder="$1"
  shift
  mkdir -p "$folder"
  (cd -- "$folder" && quietly R CMD build "$@" "$root") || return 1
  tarball=$(ls "$folder"/attn_*.tar.gz)
}

install_package() {
  quietly R CMD INSTALL --no-test-load --library="$library" "$tarball" &&
    Rscript -e 'library(attn)' >/dev/null
}
