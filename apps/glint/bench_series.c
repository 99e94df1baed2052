/*
 * Order statistics of a few dozen numbers.
 */
#include "bench_series.h"

#include "base/fail.h"

#include <string.h>

void gi_bench_series_push(gi_bench_series *s, double value) {
    gi_assert(s->n < GI_BENCH_ROUNDS_MAX);
    s->values[s->n++] = value;
}

double gi_bench_series_median(const gi_bench_series *s) {
    if (s->n == 0) return 0;
    double sorted[GI_BENCH_ROUNDS_MAX];
    for (size_t i = 0; i < s->n; i++) { /* insertion sort */
        size_t at = i;
        for (; at > 0 && sorted[at - 1] > s->values[i]; at--) sorted[at] = sorted[at - 1];
        sorted[at] = s->values[i];
    }
    return (sorted[(s->n - 1) / 2] + sorted[s->n / 2]) / 2;
}

double gi_bench_series_min(const gi_bench_series *s) {
    double least = s->n ? s->values[0] : 0;
    for (size_t i = 1; i < s->n; i++)
        if (s->values[i] < least) least = s->values[i];
    return least;
}

double gi_bench_series_max(const gi_bench_series *s) {
    double most = s->n ? s->values[0] : 0;
    for (size_t i = 1; i < s->n; i++)
        if (s->values[i] > most) most = s->values[i];
    return most;
}

json_t *gi_bench_series_json(const gi_bench_series *s) {
    json_t *runs = json_array();
    for (size_t i = 0; i < s->n; i++) json_array_append_new(runs, json_real(s->values[i]));
    return json_pack("{sf sf sf so}", "median", gi_bench_series_median(s), "min",
                     gi_bench_series_min(s), "max", gi_bench_series_max(s), "runs", runs);
}
