/*
 * What if: requests with one picture each come at random (Poisson, open loop: nobody waits for
 * anybody), at several loads; how long do they take? Defaults were chosen by this: docs/adr/0005.
 *
 *     test_simulation --what-if [name=value ...]
 *
 *     px=224|336|448        the picture: encoding takes 10, 26 or 62 ms of all cores
 *     rate=0                requests a second; 0 = a series of rates
 *     timeout=0             deadline of each in ms; only those answered are counted then
 *     clients=0             instead: so many clients, each with one request after the other
 *     seqs=16 share=3 step_ms=5 patches=256 pictures=4 rows=512 blocks=2048 crew=2
 *     shared=0              part of the requests, in percent, that show one of eight known pictures
 *     answer=13             tokens of an answer, more or less a third; of these a third are forced
 *     prompt=16             tokens beside the picture
 *     n=4000 seed=1
 *
 * Costs, as measured with the default model on two cores: 0.036 ms per prompt row, 0.10 + 0.06 ms
 * per row for a step with answers, 3 ms of one core to decode the picture.
 */
#include "../cm.h"

#include "simulate.h"

#include "base/alloc.h"
#include "base/parse.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct what_if {
    double px, rate, clients, timeout, seqs, share, step_ms, patches, pictures, rows, blocks, crew,
        shared, answer, prompt, n, seed;
} what_if;

static const struct {
    const char *name;
    size_t offset;
} OPTIONS[] = {
    {"px", offsetof(what_if, px)},
    {"rate", offsetof(what_if, rate)},
    {"seqs", offsetof(what_if, seqs)},
    {"share", offsetof(what_if, share)},
    {"step_ms", offsetof(what_if, step_ms)},
    {"patches", offsetof(what_if, patches)},
    {"pictures", offsetof(what_if, pictures)},
    {"rows", offsetof(what_if, rows)},
    {"blocks", offsetof(what_if, blocks)},
    {"crew", offsetof(what_if, crew)},
    {"shared", offsetof(what_if, shared)},
    {"answer", offsetof(what_if, answer)},
    {"prompt", offsetof(what_if, prompt)},
    {"n", offsetof(what_if, n)},
    {"seed", offsetof(what_if, seed)},
    {"clients", offsetof(what_if, clients)},
    {"timeout", offsetof(what_if, timeout)},
};

static bool set_option(what_if *o, const char *arg) {
    const char *eq = strchr(arg, '=');
    for (size_t i = 0; eq && i < sizeof OPTIONS / sizeof *OPTIONS; i++)
        if (strlen(OPTIONS[i].name) == (size_t)(eq - arg) &&
            strncmp(arg, OPTIONS[i].name, (size_t)(eq - arg)) == 0)
            return gi_parse_double(eq + 1, (double *)(void *)((char *)o + OPTIONS[i].offset));
    return false;
}

static double encode_ms(double px) {
    return px <= 224 ? 10 : px <= 336 ? 26 : 62;
}

static sim_config make_config(const what_if *o) {
    const size_t n_patches = (size_t)(o->px / 14) * (size_t)(o->px / 14);
    sim_config c = {
        .seed = (uint64_t)o->seed,
        .n_cores = 2,
        .n_crew = (size_t)o->crew,
        .n_clients = (size_t)o->clients,
        .queue_max = 100000,
        .ready_max = 32,
        .n_blocks = (size_t)o->blocks,
        .block_tokens = 16,
        .n_cached_max = (size_t)o->blocks / 2,
        .plan = {.seqs_max = (size_t)o->seqs,
                 .rows_max = (size_t)o->rows,
                 .patches_max = (size_t)o->patches,
                 .pictures_max = (size_t)o->pictures,
                 .vision_layers = 8,
                 .share = o->share,
                 .step_ms_max = o->step_ms},
        .truth = {.prefill_row_ms = 0.036, .base_ms = 0.10, .answer_row_ms = 0.06},
        .noise = 0.1,
        .n_kept = 8,
        .unread_max = 1,
    };
    for (size_t i = 0; i < SIM_CONTENTS_MAX; i++) c.picture_patches[i] = n_patches;
    c.truth.vision_ms = encode_ms(o->px) / (double)n_patches;
    c.guess = (gi_cost_rates){.vision_ms = 2 * c.truth.vision_ms, /* not quite right */
                              .prefill_row_ms = 0.04,
                              .base_ms = 0.2,
                              .answer_row_ms = 0.04};
    return c;
}

static sim_script *make_scripts(const what_if *o, size_t n) {
    sim_script *scripts = gi_calloc(n, sizeof *scripts);
    if (!scripts) return NULL;
    uint64_t rng = (uint64_t)o->seed;
    const size_t side = (size_t)(o->px / 28);
    double at_ms = 0;
    for (size_t i = 0; i < n; i++) {
        sim_script *s = &scripts[i];
        at_ms += 1e3 / o->rate * -log(1 - sim_unit(&rng));
        const size_t answer = (size_t)o->answer, spread = answer * 2 / 3;
        *s = (sim_script){
            .arrive_ms = at_ms,
            .timeout_ms = o->timeout,
            .admit_ms = 0.2,
            .prepare_ms = 3,
            .seed = sim_random(&rng) | 1,
            .n_prefix = 0,
            .n_prompt = side * side + 4 + (size_t)o->prompt,
            .n_answer = answer - spread / 2 + sim_draw(&rng, (uint32_t)spread + 1),
            .n_pictures = 1,
            .forced_every = 8, /* 1 chosen token in 8 brings 1..7 forced ones: a third of all */
            .forced_max = 7,
        };
        s->pictures[0] = (sim_picture_ref){.first_token = 20, .n_tokens = side * side};
        /* Contents 0..7 are the known ones; the others are shown once, in turn. */
        s->pictures[0].content = 100 * sim_unit(&rng) < o->shared
                                     ? sim_draw(&rng, 8)
                                     : 8 + (unsigned)i % (SIM_CONTENTS_MAX - 8);
    }
    return scripts;
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double percentile(double *sorted, size_t n, double p) {
    return n == 0 ? 0 : sorted[(size_t)(p / 100 * (double)(n - 1) + 0.5)];
}

static int run_one(const what_if *o) {
    const size_t n = (size_t)o->n;
    const sim_config config = make_config(o);
    sim_script *scripts = make_scripts(o, n);
    sim_outcome *outcomes = gi_calloc(n, sizeof *outcomes);
    double *ms = gi_calloc(n, sizeof *ms), *gaps = gi_calloc(n, sizeof *gaps);
    sim_report r;
    int status = 1;
    if (!scripts || !outcomes || !ms || !gaps) goto done;
    sim_run(&config, scripts, n, outcomes, &r);
    size_t n_counted = 0;
    for (size_t i = n / 20; i < n; i++) { /* the first ones find it empty */
        if (outcomes[i].how != SIM_END_ANSWERED) continue;
        gaps[n_counted] = outcomes[i].gap_max_ms;
        ms[n_counted++] = outcomes[i].end_ms - outcomes[i].arrive_ms;
    }
    qsort(ms, n_counted, sizeof *ms, by_value);
    qsort(gaps, n_counted, sizeof *gaps, by_value);
    print_message(
        "%4.0f px %5.1f/s %3.0f clients  done %5.1f/s  busy %3.0f%%  P50 %4.0f  P90 %4.0f  P99 "
        "%4.0f ms"
        "  gap P99 %5.1f ms  answers/step %4.1f  preempted %llu  shared %llu\n",
        o->px, o->clients > 0 ? 0 : o->rate, o->clients,
        1e3 * (double)r.n_ends[SIM_END_ANSWERED] / r.end_ms,
        100 * (r.vision_ms + r.text_ms) / r.end_ms, percentile(ms, n_counted, 50),
        percentile(ms, n_counted, 90), percentile(ms, n_counted, 99),
        percentile(gaps, n_counted, 99), (double)r.plan.n_answer_rows / (double)r.n_answer_steps,
        (unsigned long long)r.plan.n_preempted, (unsigned long long)r.plan.n_cached_tokens);
    status = 0;
done:
    gi_free(scripts);
    gi_free(outcomes);
    gi_free(ms);
    gi_free(gaps);
    return status;
}

int sim_what_if(int argc, char **argv) {
    what_if o = {.px = 224,
                 .seqs = 16,
                 .share = 3,
                 .step_ms = 5,
                 .patches = 256,
                 .pictures = 4,
                 .rows = 512,
                 .blocks = 2048,
                 .crew = 2,
                 .answer = 13,
                 .prompt = 16,
                 .n = 4000,
                 .seed = 1};
    for (int i = 0; i < argc; i++) {
        if (set_option(&o, argv[i])) continue;
        print_error("not an option: %s\n", argv[i]);
        return 2;
    }
    if (o.clients > 0) {
        o.rate = 1;
        return run_one(&o);
    }
    if (o.rate > 0) return run_one(&o);
    const double top = o.px <= 224 ? 40 : o.px <= 336 ? 22 : 11;
    int status = 0;
    for (int i = 5; i <= 10 && status == 0; i++) {
        o.rate = top * i / 10;
        status = run_one(&o);
    }
    return status;
}
