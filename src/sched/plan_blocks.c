/*
 * KV blocks of running requests. A request takes blocks only for what it is about to feed, but one
 * that has begun counts with its whole prompt when another wants to begin: two half-fed prompts
 * that wait for each other's blocks would have cost time and gained nothing. Blocks are taken away
 * from the back of the order only, so the first one always gets what it needs.
 */
#include "sched/plan_state.h"

/* Blocks that each running answer should still find when a prompt has begun. */
static const size_t GROWTH_BLOCKS = 2;

void gi_plan_look(gi_plan *plan, gi_plan_seq *seq) {
    if (seq->has_looked) return;
    seq->has_looked = true;
    if (!seq->keys) return;
    /* One token has to be fed in any case, for its logits. */
    const size_t n_most = (seq->n_prefill - 1) / plan->pool->block_tokens;
    gi_kv_sequence_adopt(seq->kv, seq->keys, seq->n_keys < n_most ? seq->n_keys : n_most);
}

void gi_plan_unlook(gi_plan_seq *seq) {
    gi_assert(!seq->has_begun);
    gi_kv_sequence_release(seq->kv);
    seq->has_looked = false;
}

/* Blocks that a request still needs for its prompt. */
static size_t blocks_missing(const gi_plan *plan, const gi_plan_seq *seq) {
    const size_t n = gi_kv_pool_blocks_for(plan->pool, seq->n_prefill);
    return n > seq->kv->n_blocks ? n - seq->kv->n_blocks : 0;
}

bool gi_plan_can_begin(const gi_plan *plan, const gi_plan_seq *seq) {
    size_t n_need = blocks_missing(plan, seq);
    bool is_alone = true;
    for (const gi_plan_seq *s = plan->head; s; s = s->next) {
        if (!s->has_begun) continue;
        is_alone = false;
        n_need += gi_plan_is_answering(s) ? GROWTH_BLOCKS : blocks_missing(plan, s);
    }
    return is_alone || n_need <= gi_kv_pool_available(plan->pool);
}

void gi_plan_preempt(gi_plan *plan, gi_plan_seq *seq) {
    if (!seq->has_begun) {
        gi_plan_unlook(seq);
        return;
    }
    gi_kv_sequence_release(seq->kv);
    seq->has_begun = seq->has_looked = false;
    seq->n_prefill = seq->n_known;
    seq->n_preempted++;
    plan->stats.n_preempted++;
}

/* The last one in order that holds blocks, down to `seq` exclusive. */
static gi_plan_seq *last_holder_after(const gi_plan *plan, const gi_plan_seq *seq) {
    for (gi_plan_seq *s = plan->tail; s != seq; s = s->prev)
        if (s->kv->n_blocks > 0) return s;
    return NULL;
}

size_t gi_plan_hold(gi_plan *plan, gi_plan_seq *seq, size_t n_most, bool may_preempt) {
    const size_t n_stored = gi_plan_stored(seq);
    for (;;) {
        const size_t n_blocks = seq->kv->n_blocks + gi_kv_pool_available(plan->pool);
        const size_t n_room = n_blocks * plan->pool->block_tokens;
        if (n_room > n_stored) {
            const size_t n = n_room - n_stored < n_most ? n_room - n_stored : n_most;
            const glint_status st = gi_kv_sequence_reserve(seq->kv, n_stored + n, NULL);
            gi_assert(st == GLINT_OK); /* else it was extended past its tokens_max */
            return n;
        }
        gi_plan_seq *victim = may_preempt ? last_holder_after(plan, seq) : NULL;
        if (!victim) return 0;
        gi_plan_preempt(plan, victim);
    }
}

void gi_plan_make_room(gi_plan *plan, gi_plan_seq *seq) {
    size_t n_could = gi_kv_pool_available(plan->pool);
    for (const gi_plan_seq *s = plan->tail; s->priority < seq->priority; s = s->prev)
        n_could += s->kv->n_blocks;
    if (n_could < blocks_missing(plan, seq)) return;
    while (!gi_plan_can_begin(plan, seq)) {
        gi_plan_seq *victim = last_holder_after(plan, seq);
        if (!victim || victim->priority >= seq->priority) return;
        gi_plan_preempt(plan, victim);
    }
}
