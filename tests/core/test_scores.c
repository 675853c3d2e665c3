/* The weights that attention returns, tiled against the plain definition
 * (attn_attention_reference), over seeded random problems at every instruction set:
 * every order of the axes of their array, masks that hide nothing, something and
 * whole rows, every kind of dead row, dropout before and after. One thread and two
 * give the same bits, and no cell is left out or written beyond the array. */
#include <stdlib.h>
#include <string.h>

#include "attention.h"
#include "check.h"
#include "kernels.h"

enum { GUARD = 8 };

struct problem {
    struct attn_attention attention;
    ptrdiff_t *batch, *head, *target, *source;
    ptrdiff_t cells;
    void *query, *key, *value, *output;
    uint8_t* visible;
    double largest_logit;
};

static void* normals(struct dice* dice, enum attn_dtype dtype, ptrdiff_t count) {
    void* x = malloc((size_t)count * attn_dtype_size(dtype));
    for (ptrdiff_t i = 0; i < count; i++) {
        const double value = dice_normal(dice);
        if (dtype == ATTN_FLOAT32) {
            ((float*)x)[i] = (float)value;
        } else {
            ((double*)x)[i] = value;
        }
    }
    return x;
}

/* offsets of an axis whose elements lie `step` apart, in a random order if shuffled:
 * an axis that stands for several */
static ptrdiff_t* offsets(struct dice* dice, ptrdiff_t length, ptrdiff_t step, int shuffled) {
    ptrdiff_t* offset = malloc((size_t)length * sizeof *offset);
    for (ptrdiff_t i = 0; i < length; i++) {
        offset[i] = i * step;
    }
    for (ptrdiff_t i = length - 1; shuffled && i > 0; i--) {
        const ptrdiff_t j = dice_below(dice, (int)i + 1), kept = offset[i];
        offset[i] = offset[j];
        offset[j] = kept;
    }
    return offset;
}

static void draw_places(struct dice* dice, struct problem* p) {
    const struct attn_attention* a = &p->attention;
    const ptrdiff_t length[4] = {a->batch, a->heads, a->target, a->source};
    int order[4] = {0, 1, 2, 3}; /* fastest first: R's order */
    ptrdiff_t step[4], cells = 1;
    if (dice_below(dice, 3) == 0) {
        for (int i = 3; i > 0; i--) {
            const int j = dice_below(dice, i + 1), kept = order[i];
            order[i] = order[j];
            order[j] = kept;
        }
    }
    for (int i = 0; i < 4; i++) {
        step[order[i]] = cells;
        cells *= length[order[i]];
    }
    const int shuffled = dice_below(dice, 4) == 0;
    p->cells = cells;
    p->batch = offsets(dice, length[0], step[0], shuffled);
    p->head = offsets(dice, length[1], step[1], 0);
    p->target = offsets(dice, length[2], step[2], shuffled);
    p->source = offsets(dice, length[3], step[3], shuffled);
}

static void draw_mask(struct dice* dice, struct problem* p) {
    struct attn_attention* a = &p->attention;
    a->mask.causal = dice_below(dice, 3) == 0;
    a->mask.window = dice_below(dice, 4) == 0 ? 1 + dice_below(dice, (int)a->source + 20) : 0;
    const int kind = dice_below(dice, 4);
    if (kind == 0) {
        return;
    }
    /* keys of a batch entry, or of every query; kind 3: whole rows of zeros as well */
    const ptrdiff_t rows = kind == 1 ? a->batch : a->batch * a->target;
    p->visible = malloc((size_t)(rows * a->source));
    for (ptrdiff_t i = 0; i < rows; i++) {
        const int hidden = kind == 3 && dice_below(dice, 3) == 0;
        for (ptrdiff_t s = 0; s < a->source; s++) {
            p->visible[i * a->source + s] = !hidden && dice_below(dice, 5) > 0;
        }
    }
    a->mask.parts = 1;
    a->mask.part[0] = (struct attn_mask_part){
        p->visible, kind == 1 ? a->source : a->target * a->source, 0, kind == 1 ? 0 : a->source, 1};
}

static double number(const void* x, enum attn_dtype dtype, ptrdiff_t at) {
    return dtype == ATTN_FLOAT32 ? (double)((const float*)x)[at] : ((const double*)x)[at];
}

static void find_largest_logit(struct problem* p) {
    const struct attn_attention* a = &p->attention;
    if (a->score == ATTN_SCORE_TANH) {
        p->largest_logit = a->scale * (double)a->key_dim;
        return;
    }
    for (ptrdiff_t row = 0; row < a->batch * a->heads * a->target; row++) {
        const ptrdiff_t n = row / a->target % a->heads, b = row / a->target / a->heads;
        const ptrdiff_t query = attn_row(&a->query_strides, b, n, row % a->target);
        for (ptrdiff_t s = 0; s < a->source; s++) {
            const ptrdiff_t key =
                attn_row(&a->key_strides, b, n / (a->heads / a->key_heads), s);
            double dot = 0;
            for (ptrdiff_t d = 0; d < a->key_dim; d++) {
                dot += number(a->query, a->dtype, query + d) * number(a->key, a->dtype, key + d);
            }
            p->largest_logit = fmax(p->largest_logit, fabs(a->scale * dot));
        }
    }
}

static void draw(uint64_t seed, struct problem* p) {
    static const int lengths[] = {1, 2, 7, 15, 16, 17, 33, 48, 63, 64, 65, 100, 144, 145, 150, 290};
    static const int counts[] = {1, 2, 3, 4, 5, 7, 8, 9, 12, 16};
    struct dice dice = {seed * UINT64_C(104729) + 3};
    memset(p, 0, sizeof *p);
    struct attn_attention* a = &p->attention;
    a->dtype = dice_below(&dice, 2) ? ATTN_FLOAT32 : ATTN_FLOAT64;
    a->target = dice_one_of(&dice, lengths, 16);
    a->source = dice_one_of(&dice, lengths, 16);
    const int many = a->target * a->source < 5000;
    a->batch = many ? dice_one_of(&dice, counts, 10) : 1 + dice_below(&dice, 2);
    a->key_heads = 1 + dice_below(&dice, 2);
    a->heads = a->key_heads * (many ? 1 + dice_below(&dice, 5) : 1 + dice_below(&dice, 4));
    a->key_dim = 1 + dice_below(&dice, 20);
    a->value_dim = 1 + dice_below(&dice, 9);
    const ptrdiff_t N = a->heads, G = a->key_heads, K = a->key_dim, V = a->value_dim;
    a->query = p->query = normals(&dice, a->dtype, a->batch * N * a->target * K);
    a->key = p->key = normals(&dice, a->dtype, a->batch * G * a->source * K);
    a->value = p->value = normals(&dice, a->dtype, a->batch * G * a->source * V);
    a->output = p->output = malloc((size_t)(a->batch * N * a->target * V) * sizeof(double));
    a->query_strides = attn_strides(a->target * N * K, K, N * K);
    a->key_strides = attn_strides(a->source * G * K, K, G * K);
    a->value_strides = attn_strides(a->source * G * V, V, G * V);
    a->output_strides = attn_strides(a->target * N * V, V, N * V);
    a->score = dice_below(&dice, 4) ? ATTN_SCORE_DOT : ATTN_SCORE_TANH;
    a->scale = 1 / sqrt((double)K);
    a->inner = 1;
    a->dead_row = (enum attn_dead_row)dice_below(&dice, 3);
    a->dropout.rate = dice_below(&dice, 3) ? 0 : 0.3;
    a->dropout.call = seed;
    a->scores_after_dropout = dice_below(&dice, 2);
    draw_mask(&dice, p);
    draw_places(&dice, p);
    find_largest_logit(p);
}

static void release(struct problem* p) {
    free(p->query);
    free(p->key);
    free(p->value);
    free(p->output);
    free(p->visible);
    free(p->batch);
    free(p->head);
    free(p->target);
    free(p->source);
}

/* the array of weights between guards; NaN before */
static double* weights_of(struct problem* p, int threads, int reference) {
    double* guarded = malloc((size_t)(p->cells + 2 * GUARD) * sizeof *guarded);
    for (ptrdiff_t i = 0; i < p->cells + 2 * GUARD; i++) {
        guarded[i] = i < GUARD || i >= p->cells + GUARD ? 17 : (double)NAN;
    }
    p->attention.scores =
        (struct attn_scores_out){guarded + GUARD, p->batch, p->head, p->target, p->source};
    struct attn_workspace workspace = {0};
    struct attn_context context = {&workspace, threads, NULL, NULL};
    const enum attn_status status = reference ? attn_attention_reference(&context, &p->attention)
                                              : attn_attention(&context, &p->attention);
    CHECK(status == ATTN_OK, "attention returned %d", (int)status);
    attn_workspace_reset(&workspace, 0);
    return guarded;
}

static int guards_hold(const struct problem* p, const double* guarded) {
    int hold = 1;
    for (int i = 0; i < GUARD; i++) {
        hold = hold && guarded[i] == 17 && guarded[p->cells + GUARD + i] == 17;
    }
    return hold;
}

static void judge(int seed, struct problem* p, const double* wanted) {
    const double u = p->attention.dtype == ATTN_FLOAT32 ? 0x1p-24 : 0x1p-53;
    const char* isa = attn_kernels()->isa;
    double* one = weights_of(p, 1, 0);
    double* two = weights_of(p, 2, 0);
    /* of both: a weight's logit, the row's largest one, and the sum over the keys */
    const double roundings =
        8 + 4 * p->largest_logit + sqrt((double)p->attention.source);
    double worst = 0;
    int zeros = 1;
    for (ptrdiff_t i = GUARD; i < p->cells + GUARD; i++) {
        const double bound = roundings * u * fabs(wanted[i]) + 2 * u * u;
        const double error = fabs(one[i] - wanted[i]) / bound;
        worst = error <= worst ? worst : error;
        zeros = zeros && (one[i] == 0) == (wanted[i] == 0);
    }
    CHECK(worst <= 1, "problem %d, %s: %.2f of the bound", seed, isa, worst);
    CHECK(zeros, "problem %d, %s: zeros where there are none, or none where there are", seed, isa);
    CHECK(guards_hold(p, one), "problem %d, %s: wrote outside the array", seed, isa);
    CHECK(memcmp(one, two, (size_t)(p->cells + 2 * GUARD) * sizeof *one) == 0,
          "problem %d, %s: 1 and 2 threads give other bits", seed, isa);
    free(one);
    free(two);
}

int main(int argc, char** argv) {
    const int problems = argc > 1 ? atoi(argv[1]) : 200;
    for (int seed = 1; seed <= problems; seed++) {
        struct problem p;
        draw((uint64_t)seed, &p);
        double* wanted = weights_of(&p, 1, 1);
        for (int set = 0; attn_kernels_available(set) != NULL; set++) {
            attn_kernels_choose(attn_kernels_available(set));
            judge(seed, &p, wanted);
        }
        free(wanted);
        release(&p);
    }
    return checks_end();
}
