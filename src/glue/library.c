/* The shared library outlives R's dyn.unload() where there are handles, or threads: R has no
 * way to take a finalizer back, and one whose code is gone would end the process at the next
 * garbage collection, as would what a thread calls at its end. Unloading the package by R's
 * own means (detach(unload = TRUE), unloadNamespace()) never comes to this, as the package
 * does not ask for it. */
#ifndef _WIN32
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* dladdr(), in glibc */
#endif
#include <dlfcn.h>
#endif

#include "glue.h"
#include "team.h"

void glue_keep_library(void) {
#if !defined(_WIN32) && defined(RTLD_NODELETE)
    static const char here = 0;
    Dl_info library;
    const int in_use = glue_handles_alive() > 0 || attn_team_has_worked();
    if (in_use && dladdr(&here, &library) != 0) {
        dlopen(library.dli_fname, RTLD_NOW | RTLD_NODELETE);
    }
#endif
}
