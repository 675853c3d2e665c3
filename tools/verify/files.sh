#!/usr/bin/env bash
# Files: saves that are cut short, files that are damaged or hostile, and fuzzers over the
# readers. ATTN_FUZZ_RUNS: how often the header of a safetensors file is tried in the long
# form (default 1e9).
set -u
# shellcheck source=tools/verify/proof.sh
. "$ATTN_ROOT/tools/verify/proof.sh"
here=$ATTN_ROOT/tools/verify
core=$ATTN_ROOT/tests/core
cores=$(nproc 2>/dev/null || echo 1)

# ---- nothing in a file is run ----

# test-files-no-code.R follows the calls; this looks at the words, where files are read and
# where what they name is made. The one `get()` takes functions of this package for another
# process.
readers=("$ATTN_ROOT"/R/{files-*,config-content,model-from-config,save-model,json}.R
  "$ATTN_ROOT"/R/{keras-object,layer-config,serialize,kind*,table-of-kinds,initializers*}.R
  "$ATTN_ROOT"/R/{activations,constraints,regularizers,operation-nodes}.R)
words=$(sed 's/#.*//' "${readers[@]}" | grep -v 'get(name, namespace)' |
  grep -cE '\b(eval|parse|get|match\.fun|readRDS|unserialize|load|source)\(')
proof P10 "words of R that run code, in the ${#readers[@]} files that read files or make what they name" \
  "$words" 0 test "$words" -eq 0
# What is called by a value, all of it: functions by name here, those of the tables of builders,
# kinds and members, and the R that reads HDF5.
# shellcheck disable=SC2016  # words of R
allowed='do.call(.Call
do.call(`[`
do.call(build
do.call(c
do.call(c
do.call(layer_kinds[[kind]]$constructor
do.call(member$layer
do.call(rbind
system2('
calls=$(sed 's/#.*//' "${readers[@]}" |
  grep -oE '\b(do\.call|getFromNamespace|getExportedValue|system2)\([^,]*' | LC_ALL=C sort)
proof P10 "calls of a function that is a value, in the same files: those known by name alone" \
  "$(wc -l <<<"$calls")" "$(wc -l <<<"$allowed")" test "$calls" = "$allowed"

# ---- one file is opened ----

if command -v strace >/dev/null 2>&1 || apt_install strace >&2; then
  if strace -f -qq -e trace=?open,openat,?creat,connect,execve -o "$scratch/opens" \
    Rscript --vanilla "$here/files-opens.R" "$scratch/model.safetensors"; then
    between=$(sed -n '/attn-begin/,/attn-end/p' "$scratch/opens" | grep -v 'attn-begin\|attn-end')
    right=$(grep -c '"[^"]*model\.safetensors"' <<<"$between")
    other=$(grep -cE '(open|openat|creat|connect|execve)\(' <<<"$(grep -v 'model\.safetensors"' <<<"$between")")
    proof P10 "other files, addresses and programs that load_model() opens beside a .safetensors file" \
      "$other (its file: $right times)" 0 test "$other" -eq 0 -a "$right" -gt 0
  else
    proof_skipped P10 "other files that load_model() opens" "strace may not trace here"
  fi
else
  proof_skipped P10 "other files that load_model() opens" "there is no strace"
fi

# part NAME COMMAND...: a part that dies says so
part() {
  "${@:2}" && return
  proof P10 "$1" "the part ended with status $?" "0" false
}

# ---- saves ----

part "saves that are killed" Rscript --vanilla "$here/files-saves.R" kills
if gcc -shared -fPIC -O1 "$here/files-faults.c" -o "$scratch/faults.so" -ldl; then
  part "saves whose writes fail" env LD_PRELOAD="$scratch/faults.so" \
    Rscript --vanilla "$here/files-saves.R" faults "$scratch/faults.so"
else
  proof_skipped P10 "each write, sync and rename of a save fails once" "no compiler for the preloaded library"
fi
mkdir "$scratch/disk"
in_small_disk() {
  # shellcheck disable=SC2016  # the inner shell's
  unshare -m sh -c 'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@"' "$scratch/disk" "$@"
}
if [ "$(id -u)" = 0 ] && in_small_disk true 2>/dev/null; then
  part "saves to a full disk" in_small_disk Rscript --vanilla "$here/files-saves.R" full "$scratch/disk"
else
  proof_skipped P10 "saves to a full disk" "a file system can be mounted by root alone"
fi

# ---- damaged files ----

part "damaged files" Rscript --vanilla "$here/files-damage.R" damage
part "hostile files" Rscript --vanilla "$here/files-damage.R" hostile
# a config may ask for any memory
with_little_memory() {
  (ulimit -v 6000000 && exec "$@")
}
part "configs changed at random" with_little_memory Rscript --vanilla "$here/files-damage.R" configs

# ---- fuzzers ----

include=(-I"$ATTN_ROOT/src/core" -I"$ATTN_ROOT/src/kernels" -I"$ATTN_ROOT/src/ops"
  -I"$ATTN_ROOT/src/layers" -I"$core")
sanitize=(-g -O2 "-fsanitize=fuzzer,address,undefined" -fno-sanitize-recover=all)
# comparing what is compared costs more time than it finds in these
light=("-fno-sanitize-coverage=trace-cmp,indirect-calls")
# an allocation of the fuzzer's own for each run
export ASAN_OPTIONS=malloc_context_size=0:quarantine_size_mb=1:thread_local_quarantine_size_kb=16

# fuzz_build NAME FLAG... FILE...
fuzz_build() {
  clang "${sanitize[@]}" "${include[@]}" "$core/fuzz_$1.c" "${@:2}" -lm -o "$scratch/fuzz_$1"
}

# fuzz NAME RUNS LENGTH PROCESSES FLAG...: sets executed, crashes, edges, rate. LENGTH: that of
# the longest file, or two of them, "256/128", for every other process.
fuzz() {
  local name=$1 each=$(($2 / $4)) job log jobs=() started seconds status lengths
  lengths=("${3#*/}" "${3%/*}")
  crashes=0
  started=$(date +%s)
  mkdir -p "$scratch/found_$name"
  for job in $(seq "$4"); do
    "$scratch/fuzz_$name" -seed=$((1000 + job)) -runs="$each" -max_len="${lengths[job % 2]}" -print_final_stats=1 \
      -artifact_prefix="$scratch/$name-" -reload=0 "${@:5}" "$scratch/found_$name" "$core/corpus/$name" \
      >"$scratch/fuzz_$name.$job.log" 2>&1 &
    jobs+=($!)
  done
  for job in "${jobs[@]}"; do
    wait "$job"
    status=$?
    if [ "$status" -ne 0 ]; then crashes=$((crashes + 1)); fi
  done
  seconds=$(($(date +%s) - started))
  executed=0
  edges=0
  for log in "$scratch/fuzz_$name".*.log; do
    each=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    executed=$((executed + ${each:-0}))
    each=$(grep -o ' cov: [0-9]*' "$log" | tail -n 1 | tr -dc 0-9)
    if [ "${each:-0}" -gt "$edges" ]; then edges=$each; fi
    if [ "$crashes" -gt 0 ]; then tail -n 30 "$log" >&2; fi
  done
  rate=$((executed / (seconds > 0 ? seconds : 1)))
}

# a harness that does not compile has found nothing
fuzz_missing() {
  proof P10 "fuzzed under ASAN and UBSAN: $1" "the harness does not compile" "0 crashes" false
}

# fuzz_proof WHAT NAME RUNS LENGTH PROCESSES FLAG...
fuzz_proof() {
  local bound="0 crashes in $3"
  fuzz "${@:2}"
  # each process rounds down
  proof P10 "fuzzed under ASAN and UBSAN: $1" \
    "$crashes crashes in $executed executions ($edges edges, $rate a second)" "$bound" \
    test "$crashes" -eq 0 -a "$executed" -ge $(($3 - $5))
}

if ! command -v clang >/dev/null 2>&1 && ! apt_install clang >&2; then
  proof_skipped P10 "fuzzed under ASAN and UBSAN" "there is no clang"
  exit 0
fi
src=$ATTN_ROOT/src
if fuzz_build header "${light[@]}" "$src"/core/{json,safetensors,stored}.c; then
  fuzz_proof "headers of safetensors files" header "$(pick 300000 "${ATTN_FUZZ_RUNS:-1000000000}")" \
    256/128 "$cores" -len_control=0 -entropic=0 -detect_leaks=0 -reduce_inputs=0
else
  fuzz_missing "headers of safetensors files"
fi
if fuzz_build safetensors "$src"/core/{json,safetensors,stored}.c; then
  fuzz_proof "safetensors files, with their data" safetensors "$(pick 20000 20000000)" 1024 "$cores"
else
  fuzz_missing "safetensors files, with their data"
fi
if fuzz_build json "$src/core/json.c"; then
  fuzz_proof "the JSON check that configs pass first" json "$(pick 50000 20000000)" 512 "$cores"
else
  fuzz_missing "the JSON check that configs pass first"
fi
if fuzz_build hdf5 "$src"/core/hdf5*.c "$src/core/stored.c"; then
  fuzz_proof "HDF5 files" hdf5 "$(pick 20000 2000000)" 8192 "$cores"
else
  fuzz_missing "HDF5 files"
fi
if [ "$ATTN_VERIFY" = long ]; then
  # the kernels, which take minutes to compile for a fuzzer, are not what is tried here
  mkdir "$scratch/objects"
  for file in "$src"/kernels/*.c; do
    gcc -O1 -c "${include[@]}" "$file" -o "$scratch/objects/kernel_$(basename "$file").o"
  done
  for file in "$src"/core/*.c "$src"/ops/*.c "$src"/layers/*.c; do
    clang -g -O1 -c -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all \
      "${include[@]}" "$file" -o "$scratch/objects/$(basename "$(dirname "$file")")_$(basename "$file").o"
  done
  if fuzz_build state "$scratch"/objects/*.o; then
    fuzz_proof "the state of a layer, run where it is accepted" state 10000000 1024 "$cores"
  else
    fuzz_missing "the state of a layer, run where it is accepted"
  fi
  if fuzz_build einsum "$scratch"/objects/*.o; then
    fuzz_proof "einsum equations, computed where they are accepted" einsum 5000000 64 "$cores"
  else
    fuzz_missing "einsum equations, computed where they are accepted"
  fi
fi
