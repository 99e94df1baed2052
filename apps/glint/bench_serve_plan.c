/*
 * The plan is drawn before the load begins: when a request is due must not depend on how fast the
 * server answers, or slow answers would thin out the load that made them slow.
 */
#include "bench_serve_plan.h"

#include "base/alloc.h"

#include <math.h>

uint64_t gi_load_random_next(gi_load_random *r) {
    uint64_t z = r->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

double gi_load_random_unit(gi_load_random *r) {
    return (double)((gi_load_random_next(r) >> 11) + 1) * 0x1p-53;
}

glint_status gi_load_plan_poisson(double rate_per_s, double duration_ms, uint64_t seed,
                                  gi_load_plan *ret, glint_error *err) {
    gi_load_random random = {seed};
    gi_load_plan p = {0};
    size_t cap = 0;
    const double mean_gap_ms = 1e3 / rate_per_s;
    for (double at = 0;;) {
        at += -log(gi_load_random_unit(&random)) * mean_gap_ms;
        if (at >= duration_ms) break;
        if (p.n == GI_LOAD_PLAN_MAX) {
            gi_load_plan_done(&p);
            return gi_fail(err, GLINT_ERR_LIMIT, "%g requests/s for %g s are more than %zu",
                           rate_per_s, duration_ms / 1e3, GI_LOAD_PLAN_MAX);
        }
        if (p.n == cap) {
            cap = cap ? 2 * cap : 1024;
            double *grown = gi_realloc_array(p.due_ms, cap, sizeof *grown);
            if (!grown) {
                gi_load_plan_done(&p);
                return gi_fail(err, GLINT_ERR_MEMORY, "no memory for a plan of %zu requests", cap);
            }
            p.due_ms = grown;
        }
        p.due_ms[p.n++] = at;
    }
    *ret = p;
    return GLINT_OK;
}

void gi_load_plan_done(gi_load_plan *p) {
    gi_free(p->due_ms);
    *p = (gi_load_plan){0};
}
