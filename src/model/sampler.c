/*
 * Sampling. Works on the whole vocabulary once per token; sorting only what top-k and top-p can
 * keep would be the first thing to do if profiles ever showed it.
 */
#include "model/sampler.h"

#include "base/alloc.h"

#include <math.h>
#include <stdlib.h>

struct gi_sampler_entry {
    double p;
    int32_t id;
};

glint_status gi_sampler_init(gi_sampler *s, size_t vocab, double temperature, double top_p,
                             size_t top_k, uint64_t seed, glint_error *err) {
    *s = (gi_sampler){
        .temperature = temperature, .top_p = top_p, .top_k = top_k, .state = seed, .vocab = vocab};
    if (temperature <= 0) return GLINT_OK;
    s->entries = gi_calloc(vocab, sizeof *s->entries);
    if (!s->entries) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for a sampler");
    return GLINT_OK;
}

void gi_sampler_done(gi_sampler *s) {
    gi_free(s->entries);
    s->entries = NULL;
}

/* Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators". */
static double next_uniform(uint64_t *state) {
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

static int32_t largest(const float *logits, size_t vocab) {
    size_t best = 0;
    while (best + 1 < vocab && isnan(logits[best])) best++;
    for (size_t i = best + 1; i < vocab; i++)
        if (logits[i] > logits[best]) best = i;
    return (int32_t)best;
}

/* Most likely first; the lower id first among equals, so that sorting is a total order. */
static int by_probability(const void *a, const void *b) {
    const struct gi_sampler_entry *x = a, *y = b;
    if (x->p != y->p) return x->p < y->p ? 1 : -1;
    return x->id < y->id ? -1 : x->id > y->id;
}

int32_t gi_sampler_next(gi_sampler *s, const float *logits) {
    const int32_t best = largest(logits, s->vocab);
    if (s->temperature <= 0) return best;
    for (size_t i = 0; i < s->vocab; i++) {
        const double z = ((double)logits[i] - (double)logits[best]) / s->temperature;
        s->entries[i] = (struct gi_sampler_entry){.p = isnan(z) ? 0 : exp(z), .id = (int32_t)i};
    }
    qsort(s->entries, s->vocab, sizeof *s->entries, by_probability);
    const size_t n_top = s->top_k > 0 && s->top_k < s->vocab ? s->top_k : s->vocab;
    double mass = 0, kept = 0;
    for (size_t i = 0; i < n_top; i++) mass += s->entries[i].p;
    size_t n = 0;
    while (n < n_top && (n == 0 || kept < s->top_p * mass)) kept += s->entries[n++].p;
    double u = next_uniform(&s->state) * kept;
    for (size_t i = 0; i < n; i++) {
        u -= s->entries[i].p;
        if (u < 0) return s->entries[i].id;
    }
    return s->entries[n - 1].id;
}

double gi_token_probability(const float *logits, size_t vocab, int32_t id) {
    const float max = logits[largest(logits, vocab)];
    double sum = 0;
    for (size_t i = 0; i < vocab; i++) {
        const double e = exp((double)logits[i] - (double)max);
        if (!isnan(e)) sum += e;
    }
    return exp((double)logits[id] - (double)max) / sum;
}
