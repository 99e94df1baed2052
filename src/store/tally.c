/*
 * A tally is two keys: a plain number that INCRBY adds to, which cannot carry a MAC, and its mark,
 * a sealed value. What a stranger does to the number can be told only by its effect; see
 * server/rate_limit_shared.c for what is made of that.
 */
#include "store/store_inside.h"

#include "base/little_endian.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { COMMANDS_EACH = 3, BYTES_EACH = 1024, MARK_BYTES = 24 };

_Static_assert(COMMANDS_EACH *GI_STORE_TALLIES_MAX <= GI_REDIS_REPLIES_MAX, "fits one exchange");

static const char NUMBER = 'n';

static void encode_mark(const gi_store_mark *mark, uint8_t out[MARK_BYTES]) {
    uint64_t level;
    memcpy(&level, &mark->level, sizeof level);
    gi_le_put(out, (uint64_t)mark->total, 8);
    gi_le_put(out + 8, level, 8);
    gi_le_put(out + 16, (uint64_t)mark->at_unix_ms, 8);
}

static bool decode_mark(const uint8_t *bytes, size_t n, gi_store_mark *ret) {
    if (n != MARK_BYTES) return false;
    const uint64_t level = gi_le_get(bytes + 8, 8);
    memcpy(&ret->level, &level, sizeof level);
    ret->total = (int64_t)gi_le_get(bytes, 8);
    ret->at_unix_ms = (int64_t)gi_le_get(bytes + 16, 8);
    return isfinite(ret->level);
}

static void number_text(char out[24], int64_t value) {
    snprintf(out, 24, "%lld", (long long)value);
}

static glint_status push_add(const gi_store *s, const gi_store_tally *t, gi_buf *out) {
    gi_store_key number, mark;
    char add[24], ttl[24];
    GI_TRY(gi_store_key_make(s, GI_STORE_LIMIT, NUMBER, &t->key, &number));
    GI_TRY(
        gi_store_key_make(s, GI_STORE_LIMIT, gi_store_kind_letter(GI_STORE_LIMIT), &t->key, &mark));
    number_text(add, t->add);
    number_text(ttl, t->ttl_ms);
    const gi_resp_arg incr[] = {GI_RESP_TEXT("INCRBY"), GI_RESP_TEXT(number.text),
                                GI_RESP_TEXT(add)};
    const gi_resp_arg expire[] = {GI_RESP_TEXT("PEXPIRE"), GI_RESP_TEXT(number.text),
                                  GI_RESP_TEXT(ttl)};
    const gi_resp_arg get[] = {GI_RESP_TEXT("GET"), GI_RESP_TEXT(mark.text)};
    GI_TRY(gi_resp_command(out, incr, 3, NULL));
    GI_TRY(gi_resp_command(out, expire, 3, NULL));
    return gi_resp_command(out, get, 2, NULL);
}

/* What Redis said about one tally. False: that cannot be. */
static bool read_add(gi_store *s, const gi_resp_reply replies[COMMANDS_EACH], gi_store_tally *t) {
    const gi_resp_reply *incr = &replies[0], *expire = &replies[1], *get = &replies[2];
    const bool is_sane =
        (incr->type == GI_RESP_INT || incr->type == GI_RESP_ERROR) &&
        (expire->type == GI_RESP_INT || expire->type == GI_RESP_ERROR) &&
        (get->type == GI_RESP_BULK || get->type == GI_RESP_NIL || get->type == GI_RESP_ERROR);
    t->is_known = t->has_mark = false;
    if (!is_sane) return false;
    for (size_t i = 0; i < COMMANDS_EACH; i++)
        if (replies[i].type == GI_RESP_ERROR) atomic_fetch_add(&s->n_errors, 1);
    t->is_known = incr->type == GI_RESP_INT;
    t->total = incr->integer;
    if (get->type != GI_RESP_BULK) return true;
    gi_store_key name;
    const uint8_t *bytes;
    size_t n;
    if (gi_store_key_make(s, GI_STORE_LIMIT, gi_store_kind_letter(GI_STORE_LIMIT), &t->key,
                          &name) != GLINT_OK)
        return true;
    const gi_store_verdict verdict = gi_store_open(
        &s->secret, GI_STORE_LIMIT, &name.name, gi_store_unix_ms(), get->bytes, get->n, &bytes, &n);
    t->has_mark = verdict == GI_STORE_GOOD && decode_mark(bytes, n, &t->mark);
    if (verdict == GI_STORE_REFUSED) atomic_fetch_add(&s->kinds[GI_STORE_LIMIT].n_refused, 1);
    atomic_fetch_add(
        t->has_mark ? &s->kinds[GI_STORE_LIMIT].n_hits : &s->kinds[GI_STORE_LIMIT].n_misses, 1);
    return true;
}

bool gi_store_tally_add(gi_store *s, gi_store_tally *tallies, size_t n) {
    gi_resp_reply replies[GI_REDIS_REPLIES_MAX];
    gi_redis_conn *c;
    gi_buf out;
    gi_assert(n >= 1 && n <= GI_STORE_TALLIES_MAX);
    gi_buf_init(&out, n * BYTES_EACH);
    bool ok = true;
    for (size_t i = 0; i < n && ok; i++) ok = push_add(s, &tallies[i], &out) == GLINT_OK;
    ok = ok && gi_store_exchange(s, &out, n * COMMANDS_EACH, replies, &c);
    gi_buf_done(&out);
    if (ok) {
        for (size_t i = 0; i < n; i++)
            if (!read_add(s, replies + i * COMMANDS_EACH, &tallies[i])) ok = false;
        if (!ok) atomic_fetch_add(&s->n_errors, 1);
        gi_redis_pool_give(s->pool, c, ok);
    }
    if (!ok) atomic_fetch_add(&s->n_tally_failures, 1);
    return ok;
}

static glint_status push_mark(const gi_store *s, const gi_store_tally *t, gi_buf *out) {
    uint8_t mark[MARK_BYTES];
    encode_mark(&t->mark, mark);
    return gi_store_push_set(s, GI_STORE_LIMIT, &t->key, t->ttl_ms, mark, sizeof mark, out);
}

bool gi_store_tally_mark(gi_store *s, const gi_store_tally *tallies, size_t n) {
    gi_resp_reply replies[GI_REDIS_REPLIES_MAX];
    gi_redis_conn *c;
    gi_buf out;
    size_t n_marks = 0, n_ok = 0, n_sane = 0;
    gi_assert(n >= 1 && n <= GI_STORE_TALLIES_MAX);
    gi_buf_init(&out, n * BYTES_EACH);
    for (size_t i = 0; i < n; i++)
        if (tallies[i].has_mark && push_mark(s, &tallies[i], &out) == GLINT_OK) n_marks++;
    const bool is_sent = n_marks > 0 && gi_store_exchange(s, &out, n_marks, replies, &c);
    gi_buf_done(&out);
    if (n_marks == 0) return true;
    if (!is_sent) return false;
    for (size_t i = 0; i < n_marks; i++) {
        n_ok += gi_resp_is_ok(&replies[i]);
        n_sane += gi_resp_is_ok(&replies[i]) || replies[i].type == GI_RESP_ERROR;
    }
    atomic_fetch_add(&s->kinds[GI_STORE_LIMIT].n_stored, n_ok);
    atomic_fetch_add(&s->n_errors, n_marks - n_ok);
    gi_redis_pool_give(s->pool, c, n_sane == n_marks);
    return n_ok == n_marks;
}
