/*
 * One pass for the sum, one for the likeliest: a short sorted list that most tokens do not enter.
 */
#include "engine/logprobs.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "model/sampler.h"

#include <math.h>

glint_status gi_logprobs_init(gi_logprobs *l, const gi_tokenizer *tokenizer, size_t n_max,
                              size_t n_top, glint_error *err) {
    size_t n_all;
    *l = (gi_logprobs){.tokenizer = tokenizer, .n_max = n_max, .n_top = n_top};
    if (gi_mul_size(n_max, n_top, &n_all)) {
        l->tokens = gi_calloc(n_max, sizeof *l->tokens);
        if (n_all > 0) l->top = gi_calloc(n_all, sizeof *l->top);
    }
    if (l->tokens && (l->top || n_top == 0)) return GLINT_OK;
    gi_logprobs_done(l);
    return gi_fail(err, GLINT_ERR_MEMORY, "no memory for the probabilities of %zu tokens", n_max);
}

void gi_logprobs_done(gi_logprobs *l) {
    gi_free(l->tokens);
    gi_free(l->top);
    *l = (gi_logprobs){0};
}

static glint_token token_of(const gi_logprobs *l, int32_t id, double logprob) {
    glint_token t = {.logprob = logprob};
    t.bytes = (const char *)gi_tokenizer_bytes(l->tokenizer, id, &t.n_bytes);
    return t;
}

/* The n_top likeliest ids of the tokenizer, lowest id first among equals. */
static size_t likeliest(const float *logits, size_t n, size_t n_top,
                        int32_t ret[GLINT_TOP_LOGPROBS_MAX]) {
    size_t n_ret = 0;
    for (size_t i = 0; i < n; i++) {
        if (isnan(logits[i]) || (n_ret == n_top && !(logits[i] > logits[ret[n_ret - 1]]))) continue;
        size_t at = n_ret < n_top ? n_ret++ : n_ret - 1;
        for (; at > 0 && logits[ret[at - 1]] < logits[i]; at--) ret[at] = ret[at - 1];
        ret[at] = (int32_t)i;
    }
    return n_ret;
}

void gi_logprobs_push(gi_logprobs *l, const float *logits, size_t n_logits, int32_t id) {
    if (l->n >= l->n_max) return;
    glint_token *top = l->n_top ? l->top + l->n * l->n_top : NULL;
    glint_token *token = &l->tokens[l->n++];
    *token = token_of(l, id, 0);
    for (size_t i = 0; i < l->n_top; i++) top[i] = *token;
    if (!logits) return;
    int32_t ids[GLINT_TOP_LOGPROBS_MAX];
    const double sum = gi_logits_log_sum(logits, n_logits);
    token->logprob = (double)logits[id] - sum;
    if (l->n_top == 0) return;
    const size_t n = likeliest(logits, n_logits, l->n_top, ids);
    for (size_t i = 0; i < n; i++) top[i] = token_of(l, ids[i], (double)logits[ids[i]] - sum);
}
