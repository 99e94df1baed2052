/*
 * Sampling. One pass over the vocabulary puts tokens into classes of probability; only the classes
 * that top-k and top-p can reach into are sorted.
 */
#include "model/sampler.h"

#include "base/alloc.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

/* Classes are this fine, and reach down to exp(-32) of the likeliest token; the last holds all that
 * is less likely. */
enum { N_CLASSES = 256, CLASSES_PER_E = 8 };

struct gi_sampler_entry {
    double p;
    int32_t id;
    uint32_t class;
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

static bool is_allowed(const uint32_t *allowed, size_t id) {
    return !allowed || (allowed[id / 32] >> id % 32 & 1) != 0;
}

static int32_t largest(const float *logits, size_t vocab, const uint32_t *allowed) {
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < vocab; i++) {
        if (!is_allowed(allowed, i)) continue;
        if (best == SIZE_MAX || logits[i] > logits[best] || isnan(logits[best])) best = i;
    }
    return best == SIZE_MAX ? -1 : (int32_t)best;
}

/* Most likely first; the lower id first among equals, so that sorting is a total order. */
static int by_probability(const void *a, const void *b) {
    const struct gi_sampler_entry *x = a, *y = b;
    if (x->p != y->p) return x->p < y->p ? 1 : -1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* How likely the tokens of a class are: classes are steps of p, the likeliest first. */
typedef struct share {
    size_t n;
    double mass;
} share;

/* Fill the entries with the allowed tokens; returns their number. */
static size_t weigh(gi_sampler *s, const float *logits, const uint32_t *allowed, int32_t best,
                    share shares[N_CLASSES]) {
    size_t n = 0;
    for (size_t i = 0; i < s->vocab; i++) {
        if (!is_allowed(allowed, i)) continue;
        const double z = ((double)logits[i] - (double)logits[best]) / s->temperature;
        const double p = isnan(z) ? 0 : exp(z), step = -z * CLASSES_PER_E;
        const uint32_t class = step < N_CLASSES - 1 ? (uint32_t)step : N_CLASSES - 1;
        s->entries[n++] = (struct gi_sampler_entry){.p = p, .id = (int32_t)i, .class = class};
        shares[class].n++;
        shares[class].mass += p;
    }
    return n;
}

/* Keep the classes that hold all that top_k and top_p can; sorted. Returns the tokens left; top_p
 * is a share of *ret_whole. */
static size_t keep_top(gi_sampler *s, size_t n, const share shares[N_CLASSES], double *ret_whole) {
    double total = 0, mass = 0;
    size_t n_kept = 0, count = 0;
    uint32_t end = 0;
    for (size_t c = 0; c < N_CLASSES; c++) total += shares[c].mass;
    const bool by_count = s->top_k > 0 && s->top_k < n;
    while (end < N_CLASSES && (by_count ? count < s->top_k : mass < s->top_p * total)) {
        count += shares[end].n;
        mass += shares[end++].mass;
    }
    if (count == 0) end = N_CLASSES;
    for (size_t i = 0; i < n; i++)
        if (s->entries[i].class < end) s->entries[n_kept++] = s->entries[i];
    qsort(s->entries, n_kept, sizeof *s->entries, by_probability);
    *ret_whole = total;
    if (!by_count) return n_kept;
    const size_t n_top = s->top_k < n_kept ? s->top_k : n_kept;
    *ret_whole = 0;
    for (size_t i = 0; i < n_top; i++) *ret_whole += s->entries[i].p;
    return n_top;
}

int32_t gi_sampler_next(gi_sampler *s, const float *logits, const uint32_t *allowed) {
    const int32_t best = largest(logits, s->vocab, allowed);
    if (s->temperature <= 0 || best < 0) return best;
    share shares[N_CLASSES] = {{0}};
    size_t n = weigh(s, logits, allowed, best, shares);
    /* No choice, no draw: whether a forced token is asked for or not, what follows is the same. */
    if (n == 1) return best;
    if ((s->top_k > 0 && s->top_k < n) || s->top_p < 1) {
        double whole = 0, kept = 0;
        const size_t n_top = keep_top(s, n, shares, &whole);
        for (n = 0; n < n_top && (n == 0 || kept < s->top_p * whole);) kept += s->entries[n++].p;
    }
    double kept = 0;
    for (size_t i = 0; i < n; i++) kept += s->entries[i].p;
    double u = next_uniform(&s->state) * kept;
    for (size_t i = 0; i < n; i++) {
        u -= s->entries[i].p;
        if (u < 0) return s->entries[i].id;
    }
    return s->entries[n - 1].id;
}

double gi_logits_log_sum(const float *logits, size_t n) {
    double max = -HUGE_VAL, sum = 0;
    for (size_t i = 0; i < n; i++) max = fmax(max, (double)logits[i]);
    for (size_t i = 0; i < n; i++) {
        const double e = exp((double)logits[i] - max);
        if (!isnan(e)) sum += e;
    }
    return max + log(sum);
}
