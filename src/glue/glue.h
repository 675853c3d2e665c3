/* The only code that knows R. It proves that a call is safe for memory (types,
 * lengths, live handles); wording errors about what a user passed is R's job. */
#ifndef ATTN_GLUE_H
#define ATTN_GLUE_H

/* a build may have set them already, to some value */
#ifndef R_NO_REMAP
#define R_NO_REMAP
#endif
#ifndef STRICT_R_HEADERS
#define STRICT_R_HEADERS
#endif
#include <R.h>
#include <Rinternals.h>

#include "layer.h"
#include "parallel.h"
#include "stored.h"

/* ---- errors ---- */

/* Raises an R condition of class attn_error_<kind>; does not return. */
#if defined(__GNUC__)
__attribute__((noreturn, format(printf, 2, 3)))
#endif
void glue_abort(const char* kind, const char* format, ...);

/* ---- one call into the core ---- */

void glue_register_calls(void);
/* gives back what calls share, unless one is under way */
void glue_unregister_calls(void);

/* new weights that a call has made for a layer, which has not got them yet */
struct glue_new_weights {
    struct glue_new_weights* before;
    struct attn_layer* layer;
    unsigned char* storage;
    R_xlen_t index; /* of the layer in the list that came from R */
};

/* Memory and polling of a call. Between begin and end only the poll may leave
 * by longjmp, and it releases the memory on its way. */
struct glue_call {
    struct attn_context context;
    struct attn_workspace* tensors; /* of what outlives a step of a model */
    struct attn_workspace own[2];   /* used when the shared ones are busy */
    int uses_shared;
    /* what glue_end() gives up, unless it has been handed on: the storage of new weights,
     * a layer that is being read */
    struct glue_new_weights* new_weights; /* the last of them */
    struct attn_layer* layer;
};

/* whether another call is under way, which must find its layer as it left it */
int glue_is_nested(void);
void glue_begin(struct glue_call* call);
void glue_end(struct glue_call* call);
/* glue_end() and, unless all went well, the R error for `status` */
void glue_end_checked(struct glue_call* call, enum attn_status status);
/* make(data), which allocates R objects while the call is under way: where R gives up,
 * the call ends first. The result is not protected. */
SEXP glue_allocate(struct glue_call* call, SEXP (*make)(void*), void* data);
/* memory of the call, or an R error after glue_end() */
void* glue_take(struct glue_call* call, size_t count, size_t size);

/* ---- memory of R ---- */

/* Rf_allocVector() and R_alloc(), whose error is of class attn_error_memory where what
 * R has no memory for is large: what is small it always has, or it can do nothing more. */
SEXP glue_vector(SEXPTYPE type, R_xlen_t length);
void* glue_scratch(size_t count, size_t size); /* also where there is nothing to put */

/* ---- handles ---- */

void glue_register_handles(DllInfo* dll);
/* to be called when R unloads the library: whoever is alive keeps it in memory */
void glue_keep_library(void);
SEXP glue_new_handle(void);
/* handles whose finalizer has not run yet */
size_t glue_handles_alive(void);
/* gives the layer to the handle, which then owns it */
void glue_own(SEXP handle, struct attn_layer* layer);
/* the live layer, or an R error of class attn_error_state */
struct attn_layer* glue_layer(SEXP handle);
struct attn_layer* glue_layer_or_null(SEXP handle);
/* The plans of calls that the handle of a live layer carries, R_NilValue at first;
 * they are not saved with it. */
SEXP glue_plans(SEXP handle);
void glue_set_plans(SEXP handle, SEXP plans);

/* ---- values and lists; R errors where they are not what R's side always passes ---- */

const char* glue_string(SEXP x, const char* what);
enum attn_dtype glue_dtype(SEXP name);
struct attn_random_key glue_key(SEXP words);

SEXP glue_element(SEXP list, const char* name); /* R error when missing */
int glue_int(SEXP list, const char* name);
int glue_flag(SEXP list, const char* name);
double glue_number(SEXP list, const char* name);

/* ---- names that every call needs ---- */

struct glue_symbols {
    SEXP handle_tag, keras_mask, axes; /* symbols */
    SEXP scores_class;                 /* "attn_scores" */
};
extern struct glue_symbols glue_symbols;

/* ---- plain arguments ---- */

/* number of dims of an array of numbers without a class; 0: x is none, or empty */
int glue_plain_rank(SEXP x);
/* the same for a mask, which may be a vector and has no missing values; sets its dims,
 * at most ATTN_MAX_RANK */
int glue_plain_mask(SEXP x, int* dim);
/* 0 or 1; -1: x is not TRUE or FALSE */
int glue_plain_flag(SEXP x);

/* ---- tensors in files ---- */

/* type: "F32" and so on; dim: the shape as doubles, of length 0 for one number */
struct attn_stored glue_stored(SEXP type, SEXP dim, int is_big_endian);
/* its number of elements, which an R vector can hold */
R_xlen_t glue_stored_length(const struct attn_stored* tensor);
/* the array of a tensor with these bytes; or, as a string, where a number has no double */
SEXP glue_read_stored(const struct attn_stored* tensor, const unsigned char* bytes);

/* ---- loops over what R owns, outside of a call ---- */

/* elements that such a loop passes between two polls: some milliseconds */
enum { GLUE_POLL_EVERY = 1 << 20 };
/* leaves by longjmp where an interrupt has come or a time limit is over */
void glue_poll(void);

/* ---- entry points ---- */

SEXP ffi_layer_create(SEXP kind, SEXP dtype, SEXP config, SEXP key);
SEXP ffi_layer_build(SEXP handle, SEXP widths, SEXP output_shape);
SEXP ffi_layer_get_weights(SEXP handle);
SEXP ffi_layer_weight_names(SEXP handle);
SEXP ffi_layers_set_weights(SEXP handles, SEXP weights);
SEXP ffi_layer_info(SEXP handle);
SEXP ffi_layer_forward(SEXP handle, SEXP inputs, SEXP order, SEXP n_attention, SEXP masks,
                       SEXP row_mask, SEXP options);
SEXP ffi_layer_remember(SEXP handle, SEXP form, SEXP order, SEXP n_attention, SEXP masks,
                        SEXP row_mask, SEXP options, SEXP axes);
SEXP ffi_heads_call(SEXP handle, SEXP query, SEXP value, SEXP key, SEXP query_mask,
                    SEXP value_mask, SEXP key_mask, SEXP attention_mask, SEXP scores,
                    SEXP training, SEXP causal, SEXP flash);
SEXP ffi_scores_call(SEXP handle, SEXP inputs, SEXP mask, SEXP scores, SEXP training, SEXP causal,
                     SEXP flash);
SEXP ffi_weights_create(SEXP dtype, SEXP names, SEXP dims, SEXP depths, SEXP key);
SEXP ffi_program_run(SEXP program, SEXP handles, SEXP arrays, SEXP batch, SEXP training,
                     SEXP reference, SEXP parts);
SEXP ffi_model_call(SEXP cache, SEXP inputs, SEXP flash);
SEXP ffi_calls_get(SEXP handles);
SEXP ffi_calls_set(SEXP handles, SEXP calls);
SEXP ffi_cache_new(SEXP owner, SEXP value);
SEXP ffi_cache_get(SEXP cache);
SEXP ffi_addresses(SEXP environments);
SEXP ffi_einsum(SEXP equation, SEXP bias_axes, SEXP input, SEXP output);
SEXP ffi_op_call(SEXP query, SEXP key, SEXP value, SEXP mask, SEXP causal, SEXP flash,
                 SEXP dtype, SEXP session_flash);
SEXP ffi_op_attention(SEXP query, SEXP key, SEXP value, SEXP bias, SEXP masks, SEXP options);
SEXP ffi_random_numbers(SEXP n, SEXP key, SEXP inner, SEXP is_normal, SEXP outer);
SEXP ffi_same_numbers(SEXP value, SEXP times);
SEXP ffi_round_to_float32(SEXP x);
SEXP ffi_poll(void);
SEXP ffi_elementary(SEXP x, SEXP name, SEXP dtype);
SEXP ffi_stored_read(SEXP parts, SEXP type, SEXP dim);
SEXP ffi_stored_write(SEXP array, SEXP type, SEXP dim, SEXP first, SEXP count);
SEXP ffi_safetensors_size(SEXP prefix, SEXP size);
SEXP ffi_safetensors_parse(SEXP header, SEXP data_size);
SEXP ffi_safetensors_write(SEXP names, SEXP type, SEXP shapes, SEXP keys, SEXP values);
SEXP ffi_hdf5_parse(SEXP bytes);
SEXP ffi_hdf5_read(SEXP bytes, SEXP at, SEXP type, SEXP dim, SEXP big_endian);
SEXP ffi_json_extent(SEXP bytes);
SEXP ffi_crc32(SEXP bytes, SEXP before);
SEXP ffi_file_create(SEXP path);
SEXP ffi_file_limit_kills(SEXP kills);
SEXP ffi_file_sync(SEXP path);
SEXP ffi_file_kind(SEXP path);
SEXP ffi_threads(SEXP threads);
SEXP ffi_info(void);
SEXP ffi_memory(void);

#endif
