/*
 * The store by hand, for tests: reads commands from standard input, one a line, and answers each
 * with a line.
 *
 *     store_probe URL SECRET-FILE [TTL-MS [CA-FILE]]
 *
 *     put KIND KEY N         -> ok            N bytes that depend on KEY
 *     get KIND KEY           -> N MS | none MS    N: they are those that were put
 *     take KEY PER_S BURST N -> how many of N were allowed
 *     stats                  -> JSON
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "server/rate_limit_shared.h"
#include "store/store.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { WORDS_MAX = 6, LINE_BYTES = 512, KEYS_MAX = 100, VALUE_BYTES_MAX = 16 << 20 };

typedef struct probe {
    gi_store *store;
    gi_rate_limiter *limiter;
    char *words[WORDS_MAX];
    gi_buf value;
} probe;

static uint64_t number(const char *word) {
    uint64_t n;
    gi_assert(word && gi_parse_u64(word, &n));
    return n;
}

static void make_key(const probe *p, gi_digest *ret) {
    const char *word = p->words[2];
    gi_assert(gi_sha256_of_bytes("probe", word, strlen(word), ret, NULL) == GLINT_OK);
}

static uint8_t byte_at(const gi_digest *key, size_t i) {
    return (uint8_t)(key->bytes[i % 32] + i / 32);
}

static void put(probe *p, gi_store_kind kind) {
    gi_digest key;
    make_key(p, &key);
    gi_buf_clear(&p->value);
    const size_t n = number(p->words[3]);
    gi_assert(gi_buf_reserve(&p->value, n, NULL) == GLINT_OK);
    for (size_t i = 0; i < n; i++) p->value.data[i] = byte_at(&key, i);
    gi_store_put(p->store, kind, &key, p->value.data, n, gi_store_ttl_ms(p->store));
    puts("ok");
}

static void get(const probe *p, gi_store_kind kind) {
    gi_digest key;
    gi_store_found found;
    make_key(p, &key);
    const double begin_ms = gi_clock_ms();
    const bool is_found = gi_store_get(p->store, kind, &key, &found);
    const double ms = gi_clock_ms() - begin_ms;
    if (!is_found) {
        printf("none %.1f\n", ms);
        return;
    }
    for (size_t i = 0; i < found.n; i++) gi_assert(found.bytes[i] == byte_at(&key, i));
    printf("%zu %.1f\n", found.n, ms);
    gi_store_found_done(&found);
}

static void take(const probe *p) {
    const gi_rate_rule rule = {(double)number(p->words[2]), (double)number(p->words[3])};
    uint64_t n_allowed = 0;
    for (uint64_t n = number(p->words[4]); n > 0; n--)
        n_allowed += p->limiter->take(p->limiter, p->words[1], rule, 1, gi_clock_ms()).is_allowed;
    printf("%llu\n", (unsigned long long)n_allowed);
}

static const char *state_name(gi_breaker_state state) {
    switch (state) {
    case GI_BREAKER_CLOSED:
        return "closed";
    case GI_BREAKER_OPEN:
        return "open";
    case GI_BREAKER_HALF_OPEN:
        return "half_open";
    }
    return "unknown";
}

static void print_stats(const probe *p) {
    const gi_store_stats s = gi_store_get_stats(p->store);
    printf("{\"state\": \"%s\", \"connections\": %zu, \"opened\": %llu, \"errors\": %llu, "
           "\"timeouts\": %llu, \"skipped\": %llu, \"dropped\": %llu, \"queue_bytes\": %zu, "
           "\"tally_failures\": %llu",
           state_name(s.pool.state), s.pool.n_connections, (unsigned long long)s.pool.n_opened,
           (unsigned long long)s.n_errors, (unsigned long long)s.n_timeouts,
           (unsigned long long)s.n_skipped, (unsigned long long)s.n_dropped, s.queue_bytes,
           (unsigned long long)s.n_tally_failures);
    for (gi_store_kind k = GI_STORE_ANSWER; k <= GI_STORE_LIMIT; k++)
        printf(", \"%s\": {\"hits\": %llu, \"misses\": %llu, \"stored\": %llu, \"refused\": %llu}",
               gi_store_kind_name(k), (unsigned long long)s.kinds[k].n_hits,
               (unsigned long long)s.kinds[k].n_misses, (unsigned long long)s.kinds[k].n_stored,
               (unsigned long long)s.kinds[k].n_refused);
    puts("}");
}

static void obey(probe *p) {
    const char *what = p->words[0];
    if (strcmp(what, "stats") == 0) {
        print_stats(p);
    } else if (strcmp(what, "take") == 0) {
        take(p);
    } else {
        gi_store_kind kind = GI_STORE_ANSWER;
        while (strcmp(p->words[1], gi_store_kind_name(kind)) != 0) kind++;
        if (strcmp(what, "put") == 0)
            put(p, kind);
        else
            get(p, kind);
    }
    fflush(stdout);
}

int main(int argc, char **argv) {
    probe p = {0};
    glint_error err = {0};
    char line[LINE_BYTES];
    gi_store_settings settings = gi_store_settings_default();
    gi_assert(argc >= 3);
    signal(SIGPIPE, SIG_IGN);
    gi_log_set_level(GI_LOG_INFO);
    settings.url = argv[1];
    settings.secret_file = argv[2];
    if (argc > 3) settings.ttl_ms = (int64_t)number(argv[3]);
    if (argc > 4) settings.ca_file = argv[4];
    if (gi_store_create(&settings, &p.store, &err) != GLINT_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 2;
    }
    gi_assert(gi_rate_limiter_create_shared(p.store, "probe", KEYS_MAX, &p.limiter, NULL) ==
              GLINT_OK);
    gi_buf_init(&p.value, VALUE_BYTES_MAX);
    while (fgets(line, sizeof line, stdin)) {
        char *save = NULL;
        size_t n = 0;
        for (char *w = strtok_r(line, " \n", &save); w && n < WORDS_MAX;
             w = strtok_r(NULL, " \n", &save))
            p.words[n++] = w;
        if (n > 0) obey(&p);
    }
    p.limiter->free(p.limiter);
    gi_store_free(p.store);
    gi_buf_done(&p.value);
    return 0;
}
