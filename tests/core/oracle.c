#include "oracle.h"

#include <math.h>

int oracle_sees(const struct oracle_problem* p, ptrdiff_t b, ptrdiff_t n, ptrdiff_t t,
                ptrdiff_t s) {
    if (p->causal && s > t) {
        return 0;
    }
    if (p->window > 0 && (t > s ? t - s : s - t) >= p->window) {
        return 0;
    }
    if (p->mask == NULL) {
        return 1;
    }
    const ptrdiff_t* d = p->mask_dim;
    const ptrdiff_t index[4] = {d[0] > 1 ? b : 0, d[1] > 1 ? n : 0, d[2] > 1 ? t : 0,
                                d[3] > 1 ? s : 0};
    return p->mask[((index[0] * d[1] + index[1]) * d[2] + index[2]) * d[3] + index[3]] != 0;
}

int oracle_is_dead(const struct oracle_problem* p, ptrdiff_t b, ptrdiff_t n, ptrdiff_t t) {
    ptrdiff_t s = 0;
    while (s < p->S && !oracle_sees(p, b, n, t, s)) {
        s++;
    }
    return s == p->S;
}

struct oracle_row oracle_attend(const struct oracle_problem* p, ptrdiff_t b, ptrdiff_t n,
                                ptrdiff_t t, long double* output, long double* weights) {
    const ptrdiff_t g = n / (p->N / p->G);
    const double* query = p->query + ((b * p->N + n) * p->T + t) * p->K;
    const double* key = p->key + (b * p->G + g) * p->S * p->K;
    const double* value = p->value + (b * p->G + g) * p->S * p->V;
    struct oracle_row row = {1, 0};
    long double max = -INFINITY, sum = 0;
    for (ptrdiff_t s = 0; s < p->S; s++) {
        weights[s] = -INFINITY;
        if (oracle_sees(p, b, n, t, s)) {
            long double dot = 0;
            for (ptrdiff_t k = 0; k < p->K; k++) {
                dot += (long double)query[k] * (long double)key[s * p->K + k];
            }
            weights[s] = (long double)p->scale * dot;
            row.dead = 0;
            max = weights[s] > max ? weights[s] : max;
            row.largest_logit = fmaxl(row.largest_logit, fabsl(weights[s]));
        }
    }
    for (ptrdiff_t s = 0; s < p->S; s++) {
        weights[s] = row.dead ? 1 : weights[s] == -INFINITY ? 0 : expl(weights[s] - max);
        sum += weights[s];
    }
    for (ptrdiff_t v = 0; v < p->V; v++) {
        output[v] = 0;
    }
    for (ptrdiff_t s = 0; s < p->S; s++) {
        weights[s] /= sum;
        for (ptrdiff_t v = 0; v < p->V && weights[s] != 0; v++) {
            output[v] += weights[s] * (long double)value[s * p->V + v];
        }
    }
    return row;
}
