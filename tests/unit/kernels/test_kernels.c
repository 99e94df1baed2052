/*
 * Every kernel of every tier that the machine has, on random shapes and data.
 *
 *   test_kernels                 all checks; ends with `N passed, N failed, N skipped`
 *   test_kernels NAME...         these kernels or tiers only
 *     --seed N                   replay: the data of a round depend on the seed, the check and the
 *                                round alone, so a kernel may be tried alone or with more rounds
 *     --rounds N                 rounds of each check (default $GLINT_KERNELS_ROUNDS or 100)
 *     --slack N                  bytes between the end of a buffer and the page that faults, for
 *                                emulators whose masked loads read what the mask leaves out
 *                                (qemu 7.2); writes are found all the same (default
 *                                $GLINT_KERNELS_SLACK or 0)
 *     --verbose                  a line per check, with the largest error seen
 *     --list                     the checks
 *     --bench [NAME]             no checks; times all kernels, or one
 *
 * A tier counts only for kernels that it has its own version of. A kernel that dies of a signal is
 * a failed check, not the end of the program.
 */
#include "kernel_test.h"

#include "base/clock.h"
#include "base/parse.h"
#include "kernels/x86/cpu.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 100, WORDS_MAX = 16, SLACK_ALIGN = 64, SLACK_MAX = 4096 };

typedef struct options {
    uint64_t seed, rounds, slack;
    bool verbose;
    const char *words[WORDS_MAX]; /* kernels and tiers asked for */
    size_t n_words;
} options;

typedef struct counts {
    size_t n_passed, n_failed, n_skipped;
} counts;

static sigjmp_buf after_signal;

static void on_signal(int number) {
    siglongjmp(after_signal, number);
}

static void catch_signals(void) {
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_NODEFER};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sigaction(numbers[i], &action, NULL);
}

/* ---- running -------------------------------------------------------------------------------- */

typedef void (*case_visitor)(const kt_case *c, size_t index, void *ctx);

/* Cases have a number each, part of their data's seed. */
static void each_case(case_visitor visit, void *ctx) {
    for (size_t i = 0; i < kt_n_product_cases; i++) visit(&kt_product_cases[i], i, ctx);
    for (size_t i = 0; i < kt_n_row_cases; i++) visit(&kt_row_cases[i], 100 + i, ctx);
    for (size_t i = 0; i < kt_n_attention_cases; i++) visit(&kt_attention_cases[i], 200 + i, ctx);
}

static void list_case(const kt_case *c, size_t index, void *ctx) {
    (void)index;
    (void)ctx;
    printf("%-14s %s\n", c->kernel, c->property);
}

typedef struct tier_run {
    kt_run run;
    gi_kernels tier, below, ref;
    const options *o;
    counts counts;
} tier_run;

static bool wanted(const options *o, const char *kernel, const char *tier) {
    if (o->n_words == 0) return true;
    for (size_t i = 0; i < o->n_words; i++)
        if (strcmp(o->words[i], kernel) == 0 || strcmp(o->words[i], tier) == 0) return true;
    return false;
}

/* One round; a signal is a failure of it. */
static void run_round(tier_run *t, const kt_case *c, size_t index, uint64_t i_round) {
    kt_run *r = &t->run;
    kt_begin(r, t->o->seed, index, i_round);
    const int number = sigsetjmp(after_signal, 1);
    if (number == 0)
        c->round(r);
    else
        kt_fail(r, "signal %d (%s)", number, strsignal(number));
}

static void run_case(const kt_case *c, size_t index, void *ctx) {
    tier_run *t = ctx;
    const char *tier = t->tier.tier;
    const bool is_ref = strcmp(tier, "ref") == 0;
    if (!wanted(t->o, c->kernel, tier) || (!is_ref && !kt_differs(&t->tier, &t->below, c->slot)))
        return;
    kt_run *r = &t->run;
    r->fail[0] = '\0';
    r->worst = 0;
    uint64_t i = 0;
    for (; i < t->o->rounds && !r->fail[0]; i++) run_round(t, c, index, i);
    if (r->fail[0]) {
        t->counts.n_failed++;
        printf("FAILED %s %s: %s: %s\n  round %llu, %s\n  again: --seed %llu %s\n", tier, c->kernel,
               c->property, r->fail, (unsigned long long)i - 1, r->shape,
               (unsigned long long)t->o->seed, c->kernel);
        fflush(stdout);
        return;
    }
    t->counts.n_passed++;
    if (t->o->verbose)
        printf("ok     %-10s %-12s %-9s error up to %.3f of what is allowed\n", tier, c->kernel,
               c->property, r->worst);
}

static int run_all(const options *o) {
    static tier_run t; /* the blocks' addresses must survive a jump out of a signal */
    t.o = o;
    t.run.slack = o->slack;
    if (!kt_open(&t.run)) {
        fprintf(stderr, "test_kernels: no memory\n");
        return 2;
    }
    catch_signals();
    printf("kernel checks: seed %llu, %llu rounds, processor has %s\n", (unsigned long long)o->seed,
           (unsigned long long)o->rounds, gi_cpu_tier_name(gi_cpu_flags()));
    gi_kernels_init_ref(&t.ref);
    t.run.k = &t.tier;
    t.run.ref = &t.ref;
    for (size_t i = 0; i < GI_CPU_N_TIERS; i++) {
        t.below = t.tier;
        if (gi_kernels_get(gi_cpu_tiers[i].name, &t.tier)) {
            printf("FAILED %s: no such tier\n", gi_cpu_tiers[i].name);
            t.counts.n_failed++;
        } else if (strcmp(t.tier.tier, gi_cpu_tiers[i].name) != 0) {
            printf("SKIPPED %s: this processor lacks it\n", gi_cpu_tiers[i].name);
            t.counts.n_skipped++;
        } else {
            each_case(run_case, &t);
        }
    }
    kt_close(&t.run);
    printf("%zu passed, %zu failed", t.counts.n_passed, t.counts.n_failed);
    if (t.counts.n_skipped) printf(", %zu skipped", t.counts.n_skipped);
    printf("\n");
    if (t.counts.n_passed == 0) fprintf(stderr, "test_kernels: nothing was checked\n");
    return t.counts.n_failed || t.counts.n_passed == 0;
}

/* ---- options -------------------------------------------------------------------------------- */

static const char USAGE[] =
    "usage: test_kernels [NAME...] [--seed N] [--rounds N] [--slack N] [--verbose]\n"
    "       test_kernels --list | --bench [NAME]\n";

static int usage(const char *what) {
    fprintf(stderr, "test_kernels: bad option '%s'\n%s", what, USAGE);
    return 2;
}

static bool is_case_name(const char *word) {
    for (size_t i = 0; i < GI_CPU_N_TIERS; i++)
        if (strcmp(word, gi_cpu_tiers[i].name) == 0) return true;
    for (size_t i = 0; i < kt_n_product_cases; i++)
        if (strcmp(word, kt_product_cases[i].kernel) == 0) return true;
    for (size_t i = 0; i < kt_n_row_cases; i++)
        if (strcmp(word, kt_row_cases[i].kernel) == 0) return true;
    for (size_t i = 0; i < kt_n_attention_cases; i++)
        if (strcmp(word, kt_attention_cases[i].kernel) == 0) return true;
    return false;
}

static bool parse_slack(const char *s, uint64_t *ret) {
    return gi_parse_u64(s, ret) && *ret <= SLACK_MAX && *ret % SLACK_ALIGN == 0;
}

int main(int argc, char **argv) {
    options o = {.seed = gi_clock_ns() & 0xFFFFFFFFu, .rounds = ROUNDS};
    const char *rounds = getenv("GLINT_KERNELS_ROUNDS"), *slack = getenv("GLINT_KERNELS_SLACK");
    if (rounds && !gi_parse_u64(rounds, &o.rounds)) return usage(rounds);
    if (slack && !parse_slack(slack, &o.slack)) return usage(slack);
    for (int i = 1; i < argc; i++) {
        const bool has_next = i + 1 < argc;
        if (strcmp(argv[i], "--help") == 0) {
            printf("%s", USAGE);
            return 0;
        }
        if (strcmp(argv[i], "--list") == 0) {
            each_case(list_case, NULL);
            return 0;
        }
        if (strcmp(argv[i], "--bench") == 0) return kt_bench(has_next ? argv[i + 1] : NULL);
        if (strcmp(argv[i], "--verbose") == 0) {
            o.verbose = true;
        } else if (strcmp(argv[i], "--seed") == 0 && has_next) {
            if (!gi_parse_u64(argv[++i], &o.seed)) return usage(argv[i]);
        } else if (strcmp(argv[i], "--slack") == 0 && has_next) {
            if (!parse_slack(argv[++i], &o.slack)) return usage(argv[i]);
        } else if (strcmp(argv[i], "--rounds") == 0 && has_next) {
            if (!gi_parse_u64(argv[++i], &o.rounds)) return usage(argv[i]);
        } else if (is_case_name(argv[i]) && o.n_words < WORDS_MAX) {
            o.words[o.n_words++] = argv[i];
        } else {
            return usage(argv[i]);
        }
    }
    return run_all(&o);
}
