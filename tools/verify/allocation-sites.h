/* Makes every place that allocates one that can be told to fail. Included before all else
 * when the proof "allocation" compiles the package's C code: each place registers itself,
 * so that the number of places is known, and asks allocation.c whether it is its turn. */
#ifndef ALLOCATION_SITES_H
#define ALLOCATION_SITES_H

#include <stdlib.h>

struct allocation_site {
    const char *file, *what, *function;
    int line, is_of_r;
    long asked, failed;
};

int allocation_site_fails(struct allocation_site* site);
void allocation_site_gave(void* memory);
void allocation_site_takes_back(void* memory);

/* whether this place is to fail now */
#define SITE_FAILS(what, is_of_r)                                                          \
    ({                                                                                     \
        static struct allocation_site here = {__FILE__, what, NULL, __LINE__, is_of_r, 0, 0}; \
        static struct allocation_site* const to_here                                       \
            __attribute__((section("attn_sites"), used)) = &here;                          \
        here.function = __func__;                                                          \
        allocation_site_fails(&here);                                                      \
    })

static inline void* allocation_site_counted(void* memory) {
    allocation_site_gave(memory);
    return memory;
}

#define malloc(size) \
    (SITE_FAILS("malloc", 0) ? NULL : allocation_site_counted((malloc)(size)))
#define calloc(count, size) \
    (SITE_FAILS("calloc", 0) ? NULL : allocation_site_counted((calloc)(count, size)))
#define free(memory) (allocation_site_takes_back(memory), (free)(memory))

#include "workspace.h"
#define attn_workspace_take(workspace, count, size) \
    (SITE_FAILS("take", 0) ? NULL : (attn_workspace_take)(workspace, count, size))

#ifdef ALLOCATION_SITES_OF_R
#define R_NO_REMAP
#define STRICT_R_HEADERS
#include <R.h>
#include <Rinternals.h>

#include <R_ext/Altrep.h>

/* R's own way to say so */
#define SITE_OF_R(what, made) \
    (SITE_FAILS(what, 1) ? (Rf_allocVector)(RAWSXP, (R_xlen_t)1 << 50) : (made))
#define Rf_allocVector(type, length) SITE_OF_R("Rf_allocVector", (Rf_allocVector)(type, length))
#define R_alloc(count, size) \
    (SITE_FAILS("R_alloc", 1) ? (R_alloc)((size_t)1 << 50, 1) : (R_alloc)(count, size))
#define Rf_mkString(text) SITE_OF_R("Rf_mkString", (Rf_mkString)(text))
#define Rf_mkChar(text) SITE_OF_R("Rf_mkChar", (Rf_mkChar)(text))
#define Rf_mkCharLenCE(text, length, encoding) \
    SITE_OF_R("Rf_mkCharLenCE", (Rf_mkCharLenCE)(text, length, encoding))
#define Rf_mkNamed(type, names) SITE_OF_R("Rf_mkNamed", (Rf_mkNamed)(type, names))
#define Rf_ScalarReal(x) SITE_OF_R("Rf_ScalarReal", (Rf_ScalarReal)(x))
#define Rf_ScalarInteger(x) SITE_OF_R("Rf_ScalarInteger", (Rf_ScalarInteger)(x))
#define Rf_ScalarString(x) SITE_OF_R("Rf_ScalarString", (Rf_ScalarString)(x))
#define Rf_setAttrib(x, name, value) SITE_OF_R("Rf_setAttrib", (Rf_setAttrib)(x, name, value))
#define R_MakeExternalPtr(address, tag, kept) \
    SITE_OF_R("R_MakeExternalPtr", (R_MakeExternalPtr)(address, tag, kept))
#define R_MakeWeakRef(key, value, finalizer, onexit) \
    SITE_OF_R("R_MakeWeakRef", (R_MakeWeakRef)(key, value, finalizer, onexit))
#define R_new_altrep(kind, first, second) \
    SITE_OF_R("R_new_altrep", (R_new_altrep)(kind, first, second))
#define Rf_lang3(a, b, c) SITE_OF_R("Rf_lang3", (Rf_lang3)(a, b, c))
#define Rf_lang4(a, b, c, d) SITE_OF_R("Rf_lang4", (Rf_lang4)(a, b, c, d))
#endif

#endif
