/*
 * Four running numbers. Vision and prefill are plain averages of a ratio. Base and row time of an
 * answer step come from a straight line through (rows, ms) of the newest steps; as long as all
 * steps have had the same number of rows their slope cannot be seen, so a small weight holds it
 * where it was.
 */
#include "sched/cost.h"

#include <math.h>

static const double RATE_MIN_MS = 1e-12;   /* so that a share of it is never a division by zero */
static const double NEWEST_WEIGHT = 0.05;  /* of the newest measurement, once there are many */
static const double FAR_OFF = 3;           /* measurements count as at most this much off */
static const double SLOPE_HOLD = 0.5;      /* rows^2: the slope stays while rows vary by less */
static const double PREFILL_ROWS_MIN = 16; /* fewer rows say little beside the answers' noise */

static double at_least_tiny(double ms) {
    return ms > RATE_MIN_MS ? ms : RATE_MIN_MS; /* NaN becomes tiny too */
}

void gi_costs_init(gi_costs *costs, const gi_cost_rates *guess) {
    *costs = (gi_costs){
        .rates = {.vision_ms = at_least_tiny(guess->vision_ms),
                  .prefill_row_ms = at_least_tiny(guess->prefill_row_ms),
                  .base_ms = at_least_tiny(guess->base_ms),
                  .answer_row_ms = at_least_tiny(guess->answer_row_ms)},
        .batch = 1,
    };
}

/* `ms`, but not further from what was expected than FAR_OFF times. */
static double tame(double ms, double expected_ms) {
    return fmin(fmax(ms, expected_ms / FAR_OFF), expected_ms * FAR_OFF);
}

/* Move a rate towards a newly seen one. */
static void learn(double *rate, double *n_seen, double seen) {
    *n_seen += 1;
    if (*n_seen > 1) seen = tame(seen, *rate);
    *rate = at_least_tiny(*rate + fmax(1 / *n_seen, NEWEST_WEIGHT) * (seen - *rate));
}

void gi_costs_saw_vision(gi_costs *costs, double work, double ms) {
    if (work > 0 && ms > 0) learn(&costs->rates.vision_ms, &costs->n_vision, ms / work);
}

/* A step of answers alone: the line through the newest of them. */
static void saw_answers(gi_costs *c, double n, double ms) {
    gi_cost_rates *r = &c->rates;
    if (c->sum_w > 0) ms = tame(ms, r->base_ms + r->answer_row_ms * n);
    const double keep = 1 - NEWEST_WEIGHT;
    c->sum_w = keep * c->sum_w + 1;
    c->sum_n = keep * c->sum_n + n;
    c->sum_ms = keep * c->sum_ms + ms;
    c->sum_nn = keep * c->sum_nn + n * n;
    c->sum_nms = keep * c->sum_nms + n * ms;
    const double mean_n = c->sum_n / c->sum_w, mean_ms = c->sum_ms / c->sum_w;
    const double var = fmax(0, c->sum_nn / c->sum_w - mean_n * mean_n);
    const double cov = c->sum_nms / c->sum_w - mean_n * mean_ms;
    const double slope = (cov + SLOPE_HOLD * r->answer_row_ms) / (var + SLOPE_HOLD);
    /* Neither part is negative; the line goes through the mean in any case. */
    r->answer_row_ms = at_least_tiny(fmin(slope, mean_ms / mean_n));
    r->base_ms = at_least_tiny(mean_ms - r->answer_row_ms * mean_n);
}

void gi_costs_saw_text(gi_costs *costs, size_t n_answer_rows, size_t n_other_rows, double ms) {
    if (n_answer_rows + n_other_rows == 0 || !(ms > 0)) return;
    const double n = (double)n_answer_rows, n_other = (double)n_other_rows;
    if (n > 0) {
        costs->batch += NEWEST_WEIGHT * (n - costs->batch);
        costs->batch = fmax(1, costs->batch);
    }
    if (n_other_rows == 0) {
        saw_answers(costs, n, ms);
    } else if (n_other >= PREFILL_ROWS_MIN) {
        const gi_cost_rates *r = &costs->rates;
        const double answers_ms = gi_costs_text_ms(costs, n_answer_rows, 0);
        const double base_ms = n > 0 ? answers_ms : r->base_ms;
        learn(&costs->rates.prefill_row_ms, &costs->n_prefill,
              fmax(ms - base_ms, ms / FAR_OFF / FAR_OFF) / n_other);
    }
}

double gi_costs_vision_ms(const gi_costs *costs, double work) {
    return costs->rates.vision_ms * work;
}

double gi_costs_text_ms(const gi_costs *costs, size_t n_answer_rows, size_t n_other_rows) {
    const gi_cost_rates *r = &costs->rates;
    if (n_answer_rows + n_other_rows == 0) return 0;
    return r->base_ms + r->answer_row_ms * (double)n_answer_rows +
           r->prefill_row_ms * (double)n_other_rows;
}

double gi_costs_request_ms(const gi_costs *costs, const gi_cost_request *request) {
    const gi_cost_rates *r = &costs->rates;
    return gi_costs_vision_ms(costs, request->vision_work) +
           r->prefill_row_ms * (double)request->n_prompt_rows +
           (r->base_ms / costs->batch + r->answer_row_ms) * (double)request->n_answer_tokens;
}
