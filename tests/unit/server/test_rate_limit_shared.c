/*
 * src/server/rate_limit_shared: the arithmetic of levels, alone; then several servers that follow
 * it in any order are as strict as one bucket. The rounds through Redis: tests/store.
 */
#include "../cm.h"

#include "server/rate_limit_shared.h"

#include <math.h>
#include <stdlib.h>

static const gi_rate_rule RULE = {10, 50}; /* 10 a second, 50 saved up */

typedef struct row {
    const char *what;
    gi_store_tally tally;
    double level_local, want;
} row;

enum { NOW = 10000, M = 1000000 };

static const row ROWS[] = {
    {"Redis said nothing", {.is_known = false}, 12, 12},
    {"a new bucket, all of it ours", {.is_known = true, .total = 5 * M}, 45, 45},
    {"a new bucket, others took too", {.is_known = true, .total = 20 * M}, 45, 30},
    {"the mark was lost: empty at worst", {.is_known = true, .total = 900 * M}, 45, 0},
    {"a mark, and time since",
     {.is_known = true, .total = 20 * M, .has_mark = true, .mark = {15 * M, 30, NOW - 1000}},
     50,
     35},
    {"never above the burst",
     {.is_known = true, .total = 20 * M, .has_mark = true, .mark = {19 * M, 30, NOW - 60000}},
     3,
     49},
    {"it may owe",
     {.is_known = true, .total = 100 * M, .has_mark = true, .mark = {10 * M, 30, NOW}},
     20,
     -60},
    {"a mark from the future: a clock is wrong",
     {.is_known = true, .total = 20 * M, .has_mark = true, .mark = {15 * M, 30, NOW + 5000}},
     50,
     25},
    {"the tally began anew",
     {.is_known = true, .total = 2 * M, .has_mark = true, .mark = {15 * M, 0, NOW - 1000}},
     40,
     40},
    {"a sum that cannot be",
     {.is_known = true, .total = INT64_MAX, .has_mark = true, .mark = {15 * M, 30, NOW}},
     20,
     20},
    {"a negative sum gives nothing",
     {.is_known = true, .total = -INT64_MAX, .has_mark = true, .mark = {15 * M, 30, NOW}},
     20,
     20},
};

static void test_levels(void **state) {
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        gi_store_tally t = ROWS[i].tally;
        const double level = gi_rate_shared_level(&t, RULE, ROWS[i].level_local, NOW);
        if (fabs(level - ROWS[i].want) > 1e-6) fail_msg("%s: %g", ROWS[i].what, level);
        assert_int_equal(t.has_mark, t.is_known);
        if (!t.is_known) continue;
        assert_int_equal(t.mark.total, t.total);
        assert_int_equal(t.mark.at_unix_ms, NOW);
        assert_true(fabs(t.mark.level - level) < 1e-9);
    }
}

/* Three servers take at random from their copies and make rounds at random; marks overwrite each
 * other. In the end no more was granted than one bucket would have, and a burst for each. */
static void test_many(void **state) {
    enum { SERVERS = 3, STEPS = 200000 };
    struct {
        double level, taken, fresh_ms;
    } s[SERVERS];
    int64_t total = 0;
    gi_store_mark mark = {0};
    bool has_mark = false;
    double granted = 0;
    unsigned seed = 7;
    for (size_t i = 0; i < SERVERS; i++) {
        s[i].level = RULE.burst;
        s[i].taken = s[i].fresh_ms = 0;
    }
    for (int64_t now = 1; now <= STEPS; now++) {
        const size_t i = (size_t)rand_r(&seed) % SERVERS;
        s[i].level =
            fmin(RULE.burst, s[i].level + ((double)now - s[i].fresh_ms) / 1e3 * RULE.per_s);
        s[i].fresh_ms = (double)now;
        if (s[i].level >= 1) {
            s[i].level--;
            s[i].taken++;
            granted++;
        }
        if (rand_r(&seed) % 8 > 0 || s[i].taken < 1) continue;
        gi_store_tally t = {.is_known = true, .has_mark = has_mark, .mark = mark};
        t.total = total += (int64_t)(s[i].taken * M);
        s[i].taken = 0;
        s[i].level = gi_rate_shared_level(&t, RULE, s[i].level, now);
        mark = t.mark;
        has_mark = true;
    }
    const double allowed = RULE.burst + RULE.per_s * STEPS / 1e3;
    assert_true(granted > 0.99 * allowed - SERVERS * RULE.burst);
    assert_true(granted < allowed + SERVERS * RULE.burst);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
