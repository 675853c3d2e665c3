/* Equations of EinsumDense: their shapes, their refusals, and their numbers against
 * sums over every letter. */
#include "activations.h"
#include "einsum.h"
#include "tensors.h"

typedef long double wide;

static const struct attn_activation linear = {ATTN_LINEAR, {0}};

static ptrdiff_t product(int rank, const ptrdiff_t* dim) {
    ptrdiff_t count = 1;
    for (int axis = 0; axis < rank; axis++) {
        count *= dim[axis];
    }
    return count;
}

/* Axes of an equation by letter; those of "..." are '1', '2', ... */
struct spec {
    char input[32], kernel[32], output[32];
    ptrdiff_t size[128];
};

static void expand(const char* text, int rank_of_dots, char* to) {
    while (*text != '\0' && *text != ',' && *text != '-') {
        if (*text == '.') {
            for (int i = 0; i < rank_of_dots; i++) {
                *to++ = (char)('1' + i);
            }
            text += 3;
        } else {
            *to++ = *text++;
        }
    }
    *to = '\0';
}

static struct spec read_spec(const char* equation, int dots) {
    struct spec spec = {"", "", "", {0}};
    expand(equation, dots, spec.input);
    expand(strchr(equation, ',') + 1, 0, spec.kernel);
    expand(strchr(equation, '>') + 1, dots, spec.output);
    return spec;
}

static ptrdiff_t place(const struct spec* spec, const char* part, const ptrdiff_t* at) {
    ptrdiff_t index = 0;
    for (; *part != '\0'; part++) {
        index = index * spec->size[(int)*part] + at[(int)*part];
    }
    return index;
}

/* out[at] summed over the letters that are not in the output, one after the other */
static wide sum_over(const struct spec* spec, const char* letters, ptrdiff_t* at,
                     const struct tensor* x, const struct tensor* kernel, wide* size) {
    if (*letters == '\0') {
        const wide term = (wide)tensor_get(x, place(spec, spec->input, at)) *
                          (wide)tensor_get(kernel, place(spec, spec->kernel, at));
        *size += fabsl(term);
        return term;
    }
    wide sum = 0;
    const int letter = *letters;
    if (strchr(spec->output, letter) != NULL) {
        return sum_over(spec, letters + 1, at, x, kernel, size);
    }
    for (at[letter] = 0; at[letter] < spec->size[letter]; at[letter]++) {
        sum += sum_over(spec, letters + 1, at, x, kernel, size);
    }
    return sum;
}

/* Runs the equation for random sizes; shape[] gets Keras's output_shape. */
static void equation_case(struct dice* dice, enum attn_dtype dtype, const char* equation, int dots,
                          const char* bias_axes) {
    static const int sizes[] = {1, 2, 3, 4, 5};
    const struct attn_context context = context_new(2);
    struct spec spec = read_spec(equation, dots);
    struct attn_einsum einsum;
    ptrdiff_t input_dim[ATTN_MAX_RANK], shape[ATTN_MAX_RANK];
    int rank = (int)strlen(spec.input), given = 0;
    for (int letter = '1'; letter < 128; letter++) {
        spec.size[letter] = dice_one_of(dice, sizes, 5);
    }
    for (int axis = 0; axis < rank; axis++) {
        input_dim[axis] = spec.size[(int)spec.input[axis]];
    }
    for (const char* at = spec.output; *at != '\0'; at++) {
        const int batch = at == spec.output, known = strchr(spec.input, *at) != NULL;
        if (!batch && (*at < '1' || *at > '9')) {
            shape[given++] = known && dice_below(dice, 2) ? -1 : spec.size[(int)*at];
        }
    }
    const enum attn_status status =
        attn_einsum_analyse(equation, bias_axes, rank, input_dim, given, shape, &einsum);
    CHECK(status == ATTN_OK, "%s: problem %d", equation, (int)einsum.problem);
    if (status != ATTN_OK) {
        return;
    }
    for (int axis = 0; axis < einsum.kernel_rank; axis++) {
        CHECK(einsum.kernel_dim[axis] == spec.size[(int)spec.kernel[axis]], "%s: kernel", equation);
    }
    CHECK(einsum.output_rank == (int)strlen(spec.output), "%s: rank of the output", equation);
    for (int axis = 0; axis < einsum.output_rank; axis++) {
        CHECK(einsum.output_dim[axis] == spec.size[(int)spec.output[axis]], "%s: output", equation);
    }
    struct tensor x = tensor_normal(dice, dtype, product(rank, input_dim));
    struct tensor kernel =
        tensor_normal(dice, dtype, product(einsum.kernel_rank, einsum.kernel_dim));
    struct tensor bias = tensor_normal(dice, dtype, product(einsum.bias_rank, einsum.bias_dim));
    struct tensor out = tensor_new(dtype, product(einsum.output_rank, einsum.output_dim));
    size_t bytes;
    CHECK(attn_einsum_packed_size(dtype, &einsum, &bytes) == ATTN_OK, "packed size");
    void* packed = aligned_alloc(64, (bytes + 63) / 64 * 64);
    attn_einsum_pack(&context, dtype, &einsum, kernel.data, packed);
    CHECK(attn_einsum(&context, dtype, &einsum, x.data, packed,
                      bias_axes == NULL ? NULL : bias.data, &linear, out.data) == ATTN_OK,
          "%s", equation);
    char letters[64];
    strcpy(letters, spec.input);
    for (const char* k = spec.kernel; *k != '\0'; k++) {
        if (strchr(spec.input, *k) == NULL) {
            const size_t end = strlen(letters);
            letters[end] = *k;
            letters[end + 1] = '\0';
        }
    }
    double worst = 0;
    for (ptrdiff_t i = 0; i < out.count; i++) {
        ptrdiff_t at[128] = {0}, rest = i, bias_at = 0;
        wide size = 0, b = 0;
        for (int axis = einsum.output_rank - 1; axis >= 0; axis--) {
            at[(int)spec.output[axis]] = rest % einsum.output_dim[axis];
            rest /= einsum.output_dim[axis];
        }
        if (bias_axes != NULL) {
            for (int axis = 0; axis < einsum.bias_rank; axis++) {
                const int letter = spec.output[einsum.output_rank - einsum.bias_rank + axis];
                const int has = strchr(bias_axes, letter) != NULL;
                CHECK(einsum.bias_dim[axis] == (has ? spec.size[letter] : 1), "%s: bias", equation);
                bias_at = bias_at * einsum.bias_dim[axis] + (has ? at[letter] : 0);
            }
            b = (wide)tensor_get(&bias, bias_at);
        }
        const wide wanted = sum_over(&spec, letters, at, &x, &kernel, &size) + b;
        const wide error = fabsl((wide)tensor_get(&out, i) - wanted);
        const double part =
            error == 0 ? 0 : (double)(error / (size + fabsl(b))) / unit_of(dtype);
        worst = !(part <= worst) ? part : worst;
    }
    CHECK(worst <= 10, "%s %s %s: %g units", attn_kernels()->isa, name_of(dtype), equation, worst);
    free(packed);
    CHECK(tensor_end(&x) && tensor_end(&kernel) && tensor_end(&bias) && tensor_end(&out),
          "%s wrote behind its output", equation);
}

static void equations(enum attn_dtype dtype) {
    static const struct {
        const char* equation;
        const char* bias;
        int dots; /* at most */
    } table[] = {
        {"ab,bc->ac", "c", 0},        {"abc,cd->abd", "d", 0},      {"abc,cde->abde", "de", 0},
        {"abcd,cde->abe", "e", 0},    {"abc,cd->abd", "bd", 0},     {"abc,bd->adc", "dc", 0},
        {"abc,cd->adb", "d", 0},      {"abc,abd->acd", NULL, 0},    {"abc,bcd->abd", "bd", 0},
        {"abc,bcd->adb", "d", 0},     {"abcd,bde->abce", "be", 0},  {"abc,dc->abd", NULL, 0},
        {"abc,dce->aebd", "ed", 0},   {"ab,c->abc", "c", 0},        {"abc,cd->ad", "d", 0},
        {"abcd,de->ae", "e", 0},      {"abc,bc->a", "a", 0},        {"abc,bc->ab", NULL, 0},
        {"abc,dae->acde", "de", 0},   {"...x,xy->...y", "y", 3},    {"...ab,bc->...ac", "c", 2},
        {"...ab,bc->...ca", "c", 2},  {"ab...,bc->ac...", "c", 2},  {"abc...,cb->ac...", NULL, 2},
        {"abcd,cdef->abfe", "f", 0},  {"abcde,edf->acbf", "bf", 0}, {"...abc,bd->...dca", "ca", 1},
        {"abc,cd->abd", "b", 0},      {"aBc,cD->aBD", "D", 0},
    };
    struct dice dice = {61};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        for (int again = 0; again < 3; again++) {
            const int dots = table[i].dots > 0 ? 1 + again % table[i].dots : 0;
            equation_case(&dice, dtype, table[i].equation, dots, again ? table[i].bias : NULL);
        }
    }
}

/* activations behind the bias, softmax over the last axis among them */
static void activated(enum attn_dtype dtype) {
    const struct attn_context context = context_new(1);
    struct dice dice = {67};
    struct attn_activation softmax, relu;
    attn_activation_named("softmax", &softmax);
    attn_activation_named("relu", &relu);
    const ptrdiff_t input[3] = {2, 3, 4}, shape[2] = {3, 5};
    struct attn_einsum einsum;
    attn_einsum_analyse("abc,cd->abd", "bd", 3, input, 2, shape, &einsum);
    struct tensor x = tensor_normal(&dice, dtype, 24), kernel = tensor_normal(&dice, dtype, 20);
    struct tensor bias = tensor_normal(&dice, dtype, 15), plain = tensor_new(dtype, 30);
    struct tensor out = tensor_new(dtype, 30);
    size_t bytes;
    attn_einsum_packed_size(dtype, &einsum, &bytes);
    void* packed = aligned_alloc(64, (bytes + 63) / 64 * 64);
    attn_einsum_pack(&context, dtype, &einsum, kernel.data, packed);
    attn_einsum(&context, dtype, &einsum, x.data, packed, bias.data, &linear, plain.data);
    attn_einsum(&context, dtype, &einsum, x.data, packed, bias.data, &relu, out.data);
    for (int i = 0; i < 30; i++) {
        const double y = tensor_get(&plain, i);
        CHECK(tensor_get(&out, i) == (y > 0 ? y : 0), "relu behind an equation");
    }
    attn_einsum(&context, dtype, &einsum, x.data, packed, bias.data, &softmax, out.data);
    for (int row = 0; row < 6; row++) {
        double sum = 0;
        for (int i = 0; i < 5; i++) {
            sum += tensor_get(&out, row * 5 + i);
        }
        CHECK(fabs(sum - 1) < 8 * unit_of(dtype), "softmax behind an equation: %g", sum);
    }
    free(packed);
    CHECK(tensor_end(&x) && tensor_end(&kernel) && tensor_end(&bias) && tensor_end(&plain) &&
              tensor_end(&out),
          "wrote behind its output");
}

static void refused(const char* equation, const char* bias, int rank, int given, ptrdiff_t b,
                    enum attn_einsum_problem problem, char letter) {
    const ptrdiff_t input[6] = {2, 3, 4, 5, 6, 7}, shape[6] = {b, 9, 9, 9, 9, 9};
    struct attn_einsum einsum;
    const enum attn_status status =
        attn_einsum_analyse(equation, bias, rank, input, given, shape, &einsum);
    CHECK(status == ATTN_BAD_LENGTH && einsum.problem == problem && einsum.letter == letter,
          "'%s': problem %d, letter '%c'", equation, (int)einsum.problem, einsum.letter);
}

static void refusals(void) {
    static const char* const forms[] = {
        "",           "ab",           "ab,bc",          "ab,bc->",      "ab,bc>ac",    "ab,->a",
        ",bc->c",     "ab,bc->ac.",   "ab, bc->ac",     "ab,bc->ac,",   "a1,1c->ac",   "...,bc->bc",
        "...ab,bc->ac", "ab,bc->...ac", "ab...,bc->ac", "ab..,bc->ac..", "...ab...,bc->...ac...",
        "a...,ac->c...", "ab,b...->a", "....ab,bc->...ac", "ab,bc->ac\n"};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        refused(forms[i], NULL, 2, 1, 9, ATTN_EINSUM_FORM, 0);
    }
    refused("aab,bc->ac", NULL, 3, 1, 9, ATTN_EINSUM_REPEATED, 'a');
    refused("ab,bcc->ac", NULL, 2, 1, 9, ATTN_EINSUM_REPEATED, 'c');
    refused("ab,bc->acc", NULL, 2, 2, 9, ATTN_EINSUM_REPEATED, 'c');
    refused("ab,bc->ac", NULL, 3, 1, 9, ATTN_EINSUM_RANK, 0);
    refused("abc,cd->abd", NULL, 2, 2, 9, ATTN_EINSUM_RANK, 0);
    refused("...abc,cd->...abd", NULL, 2, 2, 9, ATTN_EINSUM_RANK, 0);
    refused("abcdefghijklmnopq,qr->ar", NULL, 2, 1, 9, ATTN_EINSUM_RANK, 0);
    refused("abc,cd->abd", NULL, 3, 1, 9, ATTN_EINSUM_OUTPUT_RANK, 0);
    refused("...c,cd->...d", NULL, 3, 2, 9, ATTN_EINSUM_OUTPUT_RANK, 0);
    refused("abc,cd->abd", NULL, 3, 2, 8, ATTN_EINSUM_MISMATCH, 'b');
    refused("ab,bc->ad", NULL, 2, 1, 9, ATTN_EINSUM_UNMATCHED, 'd');
    refused("ab,bcd->ac", NULL, 2, 1, 9, ATTN_EINSUM_FREE, 'd');
    refused("ab,bc->ac", "b", 2, 1, 9, ATTN_EINSUM_BIAS, 'b');
    refused("ab,bc->ac", "c.", 2, 1, 9, ATTN_EINSUM_BIAS, '.');
    /* unknown dims: fine to analyse, not to run or pack where the kernel needs them */
    const ptrdiff_t input[3] = {-1, -1, 4}, shape[2] = {-1, 5};
    struct attn_einsum einsum;
    size_t bytes;
    CHECK(attn_einsum_analyse("abc,cd->abd", "d", 3, input, 2, shape, &einsum) == ATTN_OK &&
              einsum.kernel_dim[0] == 4 && einsum.output_dim[0] == ATTN_UNKNOWN_DIM &&
              attn_einsum_packed_size(ATTN_FLOAT32, &einsum, &bytes) == ATTN_OK,
          "unknown batch and steps");
    CHECK(attn_einsum(NULL, ATTN_FLOAT32, &einsum, NULL, NULL, NULL, &linear, NULL) ==
              ATTN_BAD_LENGTH,
          "an unknown dim is run");
    const ptrdiff_t known[2] = {9, 4};
    CHECK(attn_einsum_analyse("abc,bd->adc", NULL, 3, input, 2, known, &einsum) == ATTN_OK &&
              attn_einsum_packed_size(ATTN_FLOAT32, &einsum, &bytes) == ATTN_BAD_LENGTH,
          "a kernel of unknown size is packed");
}

/* any text at all is either an equation or refused with a reason */
static void noise(void) {
    static const char letters[] = "abcd...,->Z";
    const ptrdiff_t input[4] = {2, 3, 4, 5}, shape[4] = {-1, -1, -1, -1};
    struct dice dice = {71};
    int accepted = 0;
    for (int i = 0; i < 40000; i++) {
        char text[24];
        const int length = dice_below(&dice, 20);
        for (int j = 0; j < length; j++) {
            text[j] = letters[dice_below(&dice, (int)sizeof letters - 1)];
        }
        text[length] = '\0';
        if (i % 2) {
            snprintf(text, sizeof text, "%.3s,%.3s->%.3s", &"abc"[dice_below(&dice, 3)],
                     &"bcd"[dice_below(&dice, 3)], &"acd"[dice_below(&dice, 3)]);
            text[dice_below(&dice, (int)strlen(text))] =
                letters[dice_below(&dice, (int)sizeof letters - 1)];
        }
        struct attn_einsum einsum;
        const enum attn_status status =
            attn_einsum_analyse(text, i % 3 ? NULL : "c", 1 + dice_below(&dice, 4), input,
                                dice_below(&dice, 4), shape, &einsum);
        accepted += status == ATTN_OK;
        CHECK((status == ATTN_OK) == (einsum.problem == ATTN_EINSUM_FINE), "'%s'", text);
    }
    CHECK(accepted > 50, "only %d equations of the noise were accepted", accepted);
}

int main(void) {
    for_each_setting(equations);
    for_each_setting(activated);
    refusals();
    noise();
    return checks_end();
}
