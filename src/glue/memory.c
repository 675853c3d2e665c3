/* What the C code holds now: for tests that it gives back what it took. */
#include "glue.h"
#include "workspace.h"

/* `layers` alive, the bytes of their weights, the bytes that calls have left for the next
 * ones, and whether a call is under way */
SEXP ffi_memory(void) {
    const char* names[] = {"layers", "layer_bytes", "workspace_bytes", "under_way", ""};
    const struct attn_layers_alive alive = attn_layers_alive();
    SEXP held = PROTECT(Rf_mkNamed(REALSXP, names));
    REAL(held)[0] = (double)alive.layers;
    REAL(held)[1] = (double)alive.bytes;
    REAL(held)[2] = (double)attn_workspace_held();
    REAL(held)[3] = (double)glue_is_nested();
    UNPROTECT(1);
    return held;
}
