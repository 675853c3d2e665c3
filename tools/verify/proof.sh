# shellcheck shell=bash
# What the proofs written for the shell share. Sourced, not run.

# shellcheck source=tools/lib.sh
. "$ATTN_ROOT/tools/lib.sh"
scratch=$PWD

# proof PROMISE WHAT FIGURE BOUND COMMAND...: a line of the report; the proof holds if the
# command succeeds.
proof() {
  local outcome=FAILED
  if "${@:5}"; then outcome=ok; fi
  printf '%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" "$outcome"
}

# proof_skipped PROMISE WHAT WHY
proof_skipped() {
  printf '%s\t%s\t%s\t\tskipped\n' "$1" "$2" "$3"
}

# pick SHORT LONG: the one for the form in which the proofs are to run
pick() {
  if [ "$ATTN_VERIFY" = short ]; then printf '%s' "$1"; else printf '%s' "$2"; fi
}
