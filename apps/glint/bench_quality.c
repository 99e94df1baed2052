/*
 * glint bench quality: a set of scenes with right answers, asked of a running server. This file has
 * the options and the order of things. It starts no server: train/evaluate does.
 */
#include "bench.h"

#include "bench_quality_ask.h"
#include "bench_quality_report.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct quality_bench {
    int64_t n_clients, limit, give_up_ms;
    const char *token;
    bool no_cache, verbose, json;
    gi_quality_settings settings;
    gi_quality_cases cases;
    gi_quality_tally tally;
    gi_quality_report report;
} quality_bench;

static glint_status check_operands(quality_bench *b, const gi_options *o, glint_error *err) {
    const char *url = o->n_operands > 1 ? o->operands[1] : "http://127.0.0.1:8080";
    if (o->n_operands == 0)
        return gi_fail(err, GLINT_ERR_ARG, "no folder of scenes; train/scenes makes them");
    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
        return gi_fail(err, GLINT_ERR_ARG, "\"%.200s\" does not begin with http:// or https://",
                       url);
    if (url[strlen(url) - 1] == '/')
        return gi_fail(err, GLINT_ERR_ARG, "\"%.200s\": leave the last / out", url);
    b->settings = (gi_quality_settings){.url = url,
                                        .dir = o->operands[0],
                                        .token = b->token,
                                        .n_clients = (size_t)b->n_clients,
                                        .give_up_ms = (long)b->give_up_ms,
                                        .no_cache = b->no_cache,
                                        .progress = isatty(STDERR_FILENO) == 1};
    return GLINT_OK;
}

static glint_status measure(quality_bench *b, glint_error *err) {
    GI_TRY(gi_quality_cases_read(&b->cases, b->settings.dir, err));
    const size_t limit = (size_t)b->limit;
    const size_t n = b->cases.n < limit ? b->cases.n : limit;
    return gi_quality_ask(&b->settings, &b->cases, n, &b->tally, err);
}

static int print(quality_bench *b, glint_error *err) {
    int code = GI_EXIT_OK;
    b->report.dir = b->settings.dir;
    b->report.url = b->settings.url;
    b->report.tally = &b->tally;
    if (b->json)
        code = gi_command_print_json(gi_quality_report_json(&b->report), GI_BENCH_JSON_INDENT);
    else
        gi_quality_report_print(&b->report, b->verbose);
    code = gi_command_end_output(code); /* before what goes to stderr */
    if (code != GI_EXIT_OK) return code;
    if (b->tally.n_unanswered < b->tally.total.n) return GI_EXIT_OK;
    gi_fail(err, GLINT_ERR_IO, "no question was answered: %.40s",
            b->tally.n_ends ? b->tally.ends[0].word : "");
    return gi_command_fail("bench quality", GI_EXIT_INPUT, err);
}

static int run(void *state, const gi_options *o, glint_error *err) {
    quality_bench *b = state;
    if (check_operands(b, o, err) != GLINT_OK ||
        gi_bench_card_read(0, NULL, &b->report.card, err) != GLINT_OK)
        return gi_command_fail("bench quality", GI_EXIT_USAGE, err);
    if (measure(b, err) != GLINT_OK) return gi_command_fail("bench quality", GI_EXIT_INPUT, err);
    return print(b, err);
}

static const char ABOUT[] =
    "Asks a running glint server the questions of DIR/cases.json (train/scenes writes such "
    "folders)\n"
    "and compares its answers with the right ones: exact matches and character errors by task,\n"
    "verdicts against the right ones, how far confidences can be believed.\n\n"
    "An answer is right when it is so to the letter; a verdict, when its result and every reason "
    "are.\n"
    "URL is http://127.0.0.1:8080 unless given.\n";

static const char FOOTER[] =
    "Examples:\n"
    "  train/scenes --count 500 --seed 9000 --out /tmp/scenes\n"
    "  glint bench quality /tmp/scenes --verbose\n"
    "  glint bench quality /tmp/scenes http://127.0.0.1:8081 --json > q.json\n"
    "  bench/plot q.json > q.svg\n\n"
    "Exit status: 0 measured, 2 wrong use, 3 the scenes cannot be read, or no question was\n"
    "answered, 5 out of memory.\n";

#define AT(member) offsetof(quality_bench, member)

static const gi_option ROWS[] = {
    {.name = "clients",
     .kind = GI_OPTION_INT,
     .offset = AT(n_clients),
     .value = "N",
     .fallback = "4",
     .min = 1,
     .max = GI_QUALITY_CLIENTS_MAX,
     .help = "questions under way at once"},
    {.name = "limit",
     .kind = GI_OPTION_INT,
     .offset = AT(limit),
     .value = "N",
     .fallback = "1000000",
     .min = 1,
     .max = GI_QUALITY_CASES_MAX,
     .help = "most questions to ask"},
    {.name = "give-up-ms",
     .kind = GI_OPTION_INT,
     .offset = AT(give_up_ms),
     .value = "MS",
     .fallback = "600000",
     .min = 1,
     .max = 3600000,
     .help = "after so long a question counts as not answered"},
    {.name = "no-cache",
     .kind = GI_OPTION_SWITCH,
     .offset = AT(no_cache),
     .help = "ask the server not to use its caches"},
    {.name = "token",
     .kind = GI_OPTION_TEXT,
     .offset = AT(token),
     .value = "TOKEN",
     .help = "sent as Authorization: Bearer"},
    {.name = "verbose",
     .letter = 'v',
     .kind = GI_OPTION_SWITCH,
     .offset = AT(verbose),
     .help = "list every wrong answer"},
    {.name = "json",
     .letter = 'j',
     .kind = GI_OPTION_SWITCH,
     .offset = AT(json),
     .help = "the same as JSON, with every wrong answer"},
};

static gi_options describe(void *state) {
    return (gi_options){.command = "bench quality",
                        .usage = "glint bench quality [OPTION]... DIR [URL]",
                        .about = ABOUT,
                        .footer = FOOTER,
                        .groups = {GI_OPTION_GROUP(ROWS, state)},
                        .operands_max = 2};
}

static void done(void *state) {
    quality_bench *b = state;
    gi_quality_tally_done(&b->tally);
    gi_quality_cases_done(&b->cases);
}

int gi_bench_quality(int argc, char **argv) {
    static const gi_bench_spec spec = {sizeof(quality_bench), describe, run, done};
    return gi_bench_main(&spec, argc, argv);
}
