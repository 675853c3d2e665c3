/* What R sees of the shared library: R_init_attn, and the routines it registers. */
#include <stdlib.h>

#include "glue.h"
#include "kernels.h"

#include <R_ext/Rdynload.h>
#include <R_ext/Visibility.h>

/* by way of void (*)(void), which stands for a function of any type */
#define ENTRY(name, arguments) {#name, (DL_FUNC)(void (*)(void))&(name), arguments}

static const R_CallMethodDef entries[] = {
    ENTRY(ffi_layer_create, 4),
    ENTRY(ffi_layer_build, 3),
    ENTRY(ffi_layer_get_weights, 1),
    ENTRY(ffi_layer_weight_names, 1),
    ENTRY(ffi_layers_set_weights, 2),
    ENTRY(ffi_layer_info, 1),
    ENTRY(ffi_layer_forward, 7),
    ENTRY(ffi_layer_remember, 8),
    ENTRY(ffi_heads_call, 12),
    ENTRY(ffi_scores_call, 7),
    ENTRY(ffi_weights_create, 5),
    ENTRY(ffi_program_run, 7),
    ENTRY(ffi_model_call, 3),
    ENTRY(ffi_calls_get, 1),
    ENTRY(ffi_calls_set, 2),
    ENTRY(ffi_cache_new, 2),
    ENTRY(ffi_cache_get, 1),
    ENTRY(ffi_addresses, 1),
    ENTRY(ffi_einsum, 4),
    ENTRY(ffi_op_call, 8),
    ENTRY(ffi_op_attention, 6),
    ENTRY(ffi_random_numbers, 5),
    ENTRY(ffi_same_numbers, 2),
    ENTRY(ffi_round_to_float32, 1),
    ENTRY(ffi_poll, 0),
    ENTRY(ffi_elementary, 3),
    ENTRY(ffi_stored_read, 3),
    ENTRY(ffi_stored_write, 5),
    ENTRY(ffi_safetensors_size, 2),
    ENTRY(ffi_safetensors_parse, 2),
    ENTRY(ffi_safetensors_write, 5),
    ENTRY(ffi_hdf5_parse, 1),
    ENTRY(ffi_hdf5_read, 5),
    ENTRY(ffi_json_extent, 1),
    ENTRY(ffi_crc32, 2),
    ENTRY(ffi_file_create, 1),
    ENTRY(ffi_file_limit_kills, 1),
    ENTRY(ffi_file_sync, 1),
    ENTRY(ffi_file_kind, 1),
    ENTRY(ffi_threads, 1),
    ENTRY(ffi_info, 0),
    ENTRY(ffi_memory, 0),
    {NULL, NULL, 0},
};

static void unload(DllInfo* dll) {
    (void)dll;
    glue_keep_library();
    glue_unregister_calls();
}

/* R calls what has this name before it unloads the library. It looks among the routines
 * that are registered, as dynamic symbols are off. */
static const R_CMethodDef unload_entry[] = {
    {"R_unload_attn", (DL_FUNC)(void (*)(void))&unload, 1, NULL},
    {NULL, NULL, 0, NULL},
};

void R_init_attn(DllInfo* dll);

void attribute_visible R_init_attn(DllInfo* dll) {
    R_registerRoutines(dll, unload_entry, entries, NULL, NULL);
    R_useDynamicSymbols(dll, FALSE);
    R_forceSymbols(dll, TRUE);
    glue_register_handles(dll);
    glue_register_calls();
    attn_threads_initialize();
    const char* isa = getenv("ATTN_ISA");
    /* .onLoad() warns where the wish could not be granted */
    attn_kernels_choose(isa != NULL && isa[0] != '\0' ? isa : NULL);
}
