/*
 * Order statistics of up to millions of numbers.
 */
#include "bench_serve_samples.h"

#include "base/alloc.h"

#include <math.h>
#include <stdlib.h>

enum { CDF_STEPS = 100 };

glint_status gi_load_samples_push(gi_load_samples *s, double value, glint_error *err) {
    if (s->n == GI_LOAD_SAMPLES_MAX)
        return gi_fail(err, GLINT_ERR_LIMIT, "more than %zu samples", GI_LOAD_SAMPLES_MAX);
    if (s->n == s->cap) {
        const size_t cap = s->cap ? 2 * s->cap : 256;
        double *grown = gi_realloc_array(s->values, cap, sizeof *grown);
        if (!grown) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for %zu samples", cap);
        s->values = grown;
        s->cap = cap;
    }
    s->values[s->n++] = value;
    s->sorted = false;
    return GLINT_OK;
}

static int by_size(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double gi_load_samples_at(gi_load_samples *s, double share) {
    if (s->n == 0) return 0;
    if (!s->sorted) qsort(s->values, s->n, sizeof *s->values, by_size);
    s->sorted = true;
    /* The share of a decimal like 0.999 is not exact: a rank a hair above a whole number is it. */
    const double rank = ceil(share * (double)s->n - 1e-9);
    return s->values[rank < 1 ? 0 : (size_t)rank - 1];
}

double gi_load_samples_mean(const gi_load_samples *s) {
    double sum = 0;
    for (size_t i = 0; i < s->n; i++) sum += s->values[i];
    return s->n ? sum / (double)s->n : 0;
}

json_t *gi_load_samples_json(gi_load_samples *s) {
    if (s->n == 0) return json_null();
    return json_pack("{sI sf sf sf sf sf sf sf}", "n", (json_int_t)s->n, "mean",
                     gi_load_samples_mean(s), "min", gi_load_samples_at(s, 0), "p50",
                     gi_load_samples_at(s, 0.5), "p90", gi_load_samples_at(s, 0.9), "p99",
                     gi_load_samples_at(s, 0.99), "p999", gi_load_samples_at(s, 0.999), "max",
                     gi_load_samples_at(s, 1));
}

json_t *gi_load_samples_cdf_json(gi_load_samples *s) {
    static const double tail[] = {0.992, 0.994, 0.996, 0.998, 0.999, 0.9995, 1};
    json_t *points = json_array();
    if (s->n == 0) return points;
    for (int i = 0; i < CDF_STEPS; i++) {
        const double share = (double)i / CDF_STEPS;
        json_array_append_new(points, json_pack("[ff]", share, gi_load_samples_at(s, share)));
    }
    for (size_t i = 0; i < sizeof tail / sizeof tail[0]; i++)
        json_array_append_new(points, json_pack("[ff]", tail[i], gi_load_samples_at(s, tail[i])));
    return points;
}

void gi_load_samples_done(gi_load_samples *s) {
    gi_free(s->values);
    *s = (gi_load_samples){0};
}
