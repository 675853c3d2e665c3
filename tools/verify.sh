#!/usr/bin/env bash
# Proves what attn promises about its reliability, and prints one line for each
# proof with its figure:
#
#   ./tools/verify.sh                  all proofs in full: takes hours
#   ./tools/verify.sh --short          a short form of each: minutes
#   ./tools/verify.sh memory files     only these (the files in tools/verify/)
#   ./tools/verify.sh --record memory  also writes the figures to
#                                      vignettes/reliability/, from where the
#                                      vignette "Reliability" takes its tables
#
# Installs what a proof needs where it is missing. The last line is
# "N passed, N failed, N skipped".
set -u

# shellcheck source=tools/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

all_proofs=(accuracy extremes determinism memory allocation interrupts workers handles calls
  files builds coverage session)
ATTN_VERIFY=long
record=no
proofs=()
for argument in "$@"; do
  case "$argument" in
    -h | --help)
      sed -n '2,14s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
      printf 'proofs: %s\n' "${all_proofs[*]}"
      exit 0
      ;;
    --short) ATTN_VERIFY=short ;;
    --record) record=yes ;;
    *)
      [[ " ${all_proofs[*]} " = *" $argument "* ]] ||
        die "there is no proof '$argument'; there are: ${all_proofs[*]}"
      proofs+=("$argument")
      ;;
  esac
done
[ "${#proofs[@]}" -gt 0 ] || proofs=("${all_proofs[@]}")
# where figures go; ATTN_RECORD names another folder, and asks for them as well
[ -z "${ATTN_RECORD:-}" ] || record=yes
figures="${ATTN_RECORD:-$root/vignettes/reliability}"

passed=0
failed=0
skipped=0
finished=no

# A run that was cut short counts as a failure.
report() {
  if [ "$finished" = no ]; then failed=$((failed + 1)); fi
  rm -rf -- "${scratch:-/nonexistent}"
  printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
  if [ "$failed" -gt 0 ]; then exit 1; fi
  exit 0
}
trap report EXIT
trap 'exit 130' INT TERM

# Shows the lines "promise TAB what TAB figure TAB bound TAB outcome" of a proof as they
# come, and counts them.
show_lines() {
  local promise what figure bound outcome
  # a tab would count as white space, of which read sees no empty field
  while IFS=$'\x1f' read -r promise what figure bound outcome; do
    case "$outcome" in
      ok) passed=$((passed + 1)) ;;
      skipped) skipped=$((skipped + 1)) ;;
      FAILED) failed=$((failed + 1)) ;;
      *) # not a figure: what a program says on the way
        printf '    %s\n' "$promise${what:+ $what}"
        continue
        ;;
    esac
    printf '%-7s %-3s %s: %s%s\n' "$outcome" "$promise" "$what" "$figure" "${bound:+ (promised: $bound)}"
  done
}

run_proof() {
  local name="$1" started=$SECONDS command
  proof_scratch="$scratch/$name"
  mkdir -p "$proof_scratch"
  command=(bash "$root/tools/verify/$name.sh")
  [ -f "${command[1]}" ] || command=(Rscript --vanilla "$root/tools/verify/$name.R")
  say "$name"
  # The work of a proof happens in its own folder, never in the checkout.
  (cd -- "$proof_scratch" && exec "${command[@]}") </dev/null 2>"$scratch/errors" \
    > >(tee "$scratch/lines" | sed -u 's/\t/\x1f/g' >"$scratch/pipe") &
  local job=$!
  show_lines <"$scratch/pipe"
  if ! wait "$job"; then
    tail -n 40 "$scratch/errors" >&2
    printf '%-7s     the proof "%s" did not come to its end\n' FAILED "$name"
    failed=$((failed + 1))
  else
    # what the proof has to say of what failed
    if grep -q $'\tFAILED$' "$scratch/lines"; then tail -n 100 "$scratch/errors" >&2; fi
    if [ "$record" = yes ]; then
      mkdir -p "$figures"
      sed -n "s/\t\(ok\|FAILED\|skipped\)\$/&\t$ATTN_VERIFY/p" "$scratch/lines" \
        >"$figures/$name.tsv"
    fi
  fi
  rm -rf -- "$proof_scratch"
  printf '    %d s\n' $((SECONDS - started))
}

prepare_folders
prepare_locale
ensure_r
ensure_r_packages cli generics jsonlite testthat callr withr
# test.sh has built and installed the package already
tarball="${ATTN_TARBALL:-}"
if [ ! -f "$tarball" ]; then
  say "Building and installing attn"
  build_package "$scratch/build" --no-manual --no-build-vignettes || die "the package does not build"
  install_package || die "the package does not install"
fi
mkfifo "$scratch/pipe"

# What the proofs may use: the checkout, the source package, a folder of their own (the
# one they start in), and whether they are to be short.
export ATTN_VERIFY ATTN_ROOT="$root" ATTN_TARBALL="$tarball"
for name in "${proofs[@]}"; do
  run_proof "$name"
done
finished=yes
