/* OpenBLAS as a peer: sgemm and dgemm. It packs the right-hand side at every
 * call, as its interface demands; attn has its weights packed beforehand. */
#include "peer.h"

/* from OpenBLAS's cblas.h, which Debian has in another package */
enum { ROW_MAJOR = 101, NO_TRANSPOSE = 111 };
void openblas_set_num_threads(int threads);
char* openblas_get_config(void);
void cblas_sgemm(int order, int trans_a, int trans_b, int rows, int columns, int depth,
                 float alpha, const float* a, int a_row, const float* b, int b_row, float beta,
                 float* c, int c_row);
void cblas_dgemm(int order, int trans_a, int trans_b, int rows, int columns, int depth,
                 double alpha, const double* a, int a_row, const double* b, int b_row,
                 double beta, double* c, int c_row);

struct product {
    int is_double, rows, depth, columns;
    void *a, *b, *c;
};

static void call_product(void* data) {
    const struct product* p = data;
    if (p->is_double) {
        cblas_dgemm(ROW_MAJOR, NO_TRANSPOSE, NO_TRANSPOSE, p->rows, p->columns, p->depth, 1, p->a,
                    p->depth, p->b, p->columns, 0, p->c, p->columns);
    } else {
        cblas_sgemm(ROW_MAJOR, NO_TRANSPOSE, NO_TRANSPOSE, p->rows, p->columns, p->depth, 1, p->a,
                    p->depth, p->b, p->columns, 0, p->c, p->columns);
    }
}

int main(void) {
    char line[LINE_SIZE];
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (is_word(line, "kind", "hello")) {
            printf("0 %s\n", openblas_get_config());
        } else if (!is_word(line, "kind", "matmul")) {
            printf("skip no such operation\n");
        } else {
            struct product p = {is_word(line, "dtype", "float64"), (int)number_of(line, "M"),
                                (int)number_of(line, "D"), (int)number_of(line, "C"), NULL, NULL,
                                NULL};
            p.a = filled(p.is_double, (ptrdiff_t)p.rows * p.depth);
            p.b = filled(p.is_double, (ptrdiff_t)p.depth * p.columns);
            p.c = filled(p.is_double, (ptrdiff_t)p.rows * p.columns);
            openblas_set_num_threads((int)number_of(line, "threads"));
            printf("%.9g\n", fastest_call(call_product, &p, atof(word_of(line, "seconds", "0.2"))));
            free(p.a);
            free(p.b);
            free(p.c);
        }
        fflush(stdout);
    }
    return 0;
}
