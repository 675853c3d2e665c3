#!/usr/bin/env bash
# P5: where memory or a thread cannot be had, there is an error or less speed, and nothing
# is lost. Every place in the C code that allocates fails, in a build made for that; limits
# of the system are set on the package as it is installed.
set -u
# shellcheck source=tools/verify/proof.sh
. "$ATTN_ROOT/tools/verify/proof.sh"
here=$ATTN_ROOT/tools/verify

if [ "$(uname -s)" != Linux ]; then
  proof_skipped P5 "allocation failures" "the injector is for Linux"
  exit 0
fi

# Beside the installed package one whose C code asks the injector at each place.
build_sites() {
  local installed
  installed=$(Rscript --vanilla -e 'cat(find.package("attn"))')
  mkdir -p lib && cp -R "$installed" lib/ && tar -xzf "$ATTN_TARBALL" || return 1
  # a name in parentheses is no macro
  sed -i 's/^void\* attn_workspace_take(/void* (attn_workspace_take)(/' attn/src/core/workspace.c
  # so that the small results of the proof count as large ones as well
  sed -i 's/LARGE = (size_t)1 << 16/LARGE = 64/' attn/src/glue/call.c
  cp "$here/allocation-registry.c" attn/src/
  sed -i 's/^OBJECTS = init.o/OBJECTS = allocation-registry.o init.o/' attn/src/Makevars
  cat >makevars <<END
CFLAGS = -O0 -w -fPIC
CPPFLAGS = -D_GNU_SOURCE -include $here/allocation-sites.h
glue/%.o: CPPFLAGS += -DALLOCATION_SITES_OF_R
init.o: CPPFLAGS += -DALLOCATION_SITES_OF_R
END
  R_MAKEVARS_USER=$PWD/makevars MAKEFLAGS=-j$(nproc) R CMD INSTALL --libs-only --no-test-load \
    --library=lib attn
}

gcc -O1 -shared -fPIC "$here/allocation.c" -o allocation.so -ldl || exit 1
quietly build_sites || exit 1

# ---- every place ----

if ! Rscript --vanilla "$here/allocation-sweep.R" "$PWD/allocation.so" "$PWD/lib" \
  "$ATTN_VERIFY" >sweep.log 2>&1; then
  tail -n 40 sweep.log >&2
fi
grep -v '^RESULT' sweep.log >&2
read -r _ c_failed c_sites r_failed r_sites scenarios failures wrong of_memory of_r seconds \
  < <(grep '^RESULT' sweep.log || echo RESULT 0 1 0 1 0 0 1 0 0 0)
proof P5 "places of the C code that allocate and have failed (malloc, workspace)" \
  "$c_failed of $c_sites" "all" [ "$c_failed" -eq "$c_sites" ]
proof P5 "places of the C code that ask R for memory and have failed" \
  "$r_failed of $r_sites" "all" [ "$r_failed" -eq "$r_sites" ]
proof P5 "failed allocations after which the error's class, the weights, the next call or a \
block were wrong" "$wrong of $failures in $scenarios scenarios ($seconds s); of these $of_memory were\
 attn_error_memory, $of_r R's own errors for its small objects, the others without effect" "0" \
  [ "$wrong" -eq 0 ]

# ---- limits of the system, and threads that cannot be started ----

Rscript --vanilla "$here/allocation-limits.R" "$PWD/allocation.so"
