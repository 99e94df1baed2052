/*
 * glint bench serve: load on a running server, glint or any that speaks OpenAI's chat route. This
 * file has the options and the order of things: pictures, warming up, one load after the other,
 * the report. It starts no server.
 */
#include "bench.h"

#include "bench_serve_idle.h"
#include "bench_serve_load.h"
#include "bench_serve_report.h"

#include "base/alloc.h"
#include "base/parse.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { WARM_UP_CLIENTS_MAX = 4, FILES_BESIDE_CONNECTIONS = 64 };

/* A general question: audits of the built-in template want one about rules. */
static const char QUESTION[] = "请判断该商品是否存在违规内容，包括但不限于违禁品展示、虚假宣传等。";

static const char DEFAULT_URL[] = "http://127.0.0.1:8080";

typedef struct serve_bench {
    const char *url;
    gi_option_list rates, clients;
    double seconds, settle_s, think_ms, give_up_ms;
    int64_t warm_up, connections_max, n_idle, max_tokens, deadline_ms, seed;
    const char *api, *body, *pictures_dir, *question, *task, *model, *token;
    bool vary, same_picture, same_request, no_cache, stream, json;

    gi_load_pictures pictures;
    char *quoted_question;
    gi_load_recipe recipe;
    gi_load_settings settings;
    gi_load_stage stages[2 * GI_OPTION_VALUES_MAX];
    size_t n_stages;
    gi_load_result results[2 * GI_OPTION_VALUES_MAX];
    gi_load_idle idle;
    gi_load *load;
    gi_load_report report;
} serve_bench;

/* ---- what the options say ---- */

static glint_status read_rates(serve_bench *b, glint_error *err) {
    for (size_t i = 0; i < b->rates.n; i++) {
        double rate;
        if (!gi_parse_double(b->rates.values[i], &rate) || rate < 0.001 || rate > 1e6)
            return gi_fail(err, GLINT_ERR_ARG,
                           "--rate: \"%.40s\" is not a number from 0.001 to 1e6",
                           b->rates.values[i]);
        b->stages[b->n_stages++] = (gi_load_stage){.rate_per_s = rate};
    }
    return GLINT_OK;
}

static glint_status read_stages(serve_bench *b, glint_error *err) {
    static const size_t one_client[] = {1};
    size_t clients[GI_OPTION_VALUES_MAX], n = 0;
    GI_TRY(gi_bench_numbers("clients", &b->clients, 1, GI_LOAD_CONNECTIONS_MAX, one_client,
                            b->rates.n ? 0 : 1, clients, &n, err));
    for (size_t i = 0; i < n; i++)
        b->stages[b->n_stages++] = (gi_load_stage){.n_clients = clients[i]};
    return read_rates(b, err);
}

/* Names go into JSON as they are. */
static glint_status check_name(const char *option, const char *name, glint_error *err) {
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "-_./:";
    if (name[0] && strspn(name, allowed) == strlen(name)) return GLINT_OK;
    return gi_fail(err, GLINT_ERR_ARG,
                   "--%s: \"%.60s\" has characters other than letters, digits "
                   "and -_./:",
                   option, name);
}

static glint_status read_recipe(serve_bench *b, glint_error *err) {
    gi_load_recipe *r = &b->recipe;
    if (b->vary + b->same_picture + b->same_request > 1)
        return gi_fail(err, GLINT_ERR_ARG,
                       "--vary, --same-picture and --same-request exclude each other");
    GI_TRY(check_name("task", b->task, err));
    GI_TRY(check_name("model-name", b->model, err));
    if (!b->pictures_dir)
        return gi_fail(err, GLINT_ERR_ARG,
                       "no pictures to send; --pictures DIR, and bench/pictures draws some");
    *r = (gi_load_recipe){.pictures = &b->pictures,
                          .form = strcmp(b->body, "form") == 0,
                          .task = b->task,
                          .model = b->model,
                          .max_tokens = b->max_tokens,
                          .timeout_ms = b->deadline_ms,
                          .stream = b->stream,
                          .no_cache = b->no_cache,
                          .vary = b->vary,
                          .same_picture = b->same_picture,
                          .same_request = b->same_request};
    r->api = strcmp(b->api, "openai") == 0 ? GI_LOAD_API_OPENAI : GI_LOAD_API_GLINT;
    if (r->api == GI_LOAD_API_OPENAI && r->form)
        return gi_fail(err, GLINT_ERR_ARG, "--api openai sends JSON; leave --body form out");
    /* Microseconds: a run that sends fewer than a million requests a second never reaches the
     * marks of a later one. */
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    r->serial = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
    GI_TRY(gi_load_quote(b->question, &b->quoted_question, err));
    r->question = b->quoted_question;
    return GLINT_OK;
}

static glint_status read_settings(serve_bench *b, glint_error *err) {
    b->settings = (gi_load_settings){.url = b->url,
                                     .token = b->token,
                                     .recipe = &b->recipe,
                                     .connections_max = (size_t)b->connections_max,
                                     .think_ms = b->think_ms,
                                     .give_up_ms = b->give_up_ms,
                                     .settle_ms = 1e3 * b->settle_s,
                                     .window_ms = 1e3 * b->seconds,
                                     .deadline_ms = (double)b->deadline_ms,
                                     .seed = (uint64_t)b->seed};
    const size_t n = strlen(b->url);
    if (strncmp(b->url, "http://", 7) != 0 && strncmp(b->url, "https://", 8) != 0)
        return gi_fail(err, GLINT_ERR_ARG, "\"%.200s\" does not begin with http:// or https://",
                       b->url);
    if (b->url[n - 1] == '/')
        return gi_fail(err, GLINT_ERR_ARG, "\"%.200s\": leave the last / out", b->url);
    return GLINT_OK;
}

static glint_status raise_file_limit(const serve_bench *b, glint_error *err) {
    size_t want = (size_t)b->n_idle + FILES_BESIDE_CONNECTIONS, most = 0;
    for (size_t i = 0; i < b->n_stages; i++) {
        const size_t n =
            b->stages[i].n_clients ? b->stages[i].n_clients : (size_t)b->connections_max;
        most = n > most ? n : most;
    }
    want += most;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= want) return GLINT_OK;
    limit.rlim_cur = limit.rlim_max < want ? limit.rlim_max : want;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= want) return GLINT_OK;
    return gi_fail(err, GLINT_ERR_LIMIT, "the system allows %llu open files, %zu are needed",
                   (unsigned long long)limit.rlim_max, want);
}

/* ---- running ---- */

/* Why the first request was not answered; the load would only say it many times more. */
static glint_status refused(const serve_bench *b, const gi_load_result *r, glint_error *err) {
    return gi_fail(err, GLINT_ERR_IO, "%.200s: the first request was not answered: %s%s%s", b->url,
                   r->status.n_rows ? r->status.rows[0].word : "", r->status.n_rows ? " " : "",
                   r->errors.n_rows ? r->errors.rows[0].word : "");
}

static glint_status warm_up(serve_bench *b, glint_error *err) {
    gi_load_result first = {0}, rest = {0};
    const gi_load_stage one = {.n_clients = 1, .n_requests = 1};
    const size_t n_rest = (size_t)b->warm_up - 1;
    const gi_load_stage more = {.n_clients =
                                    n_rest < WARM_UP_CLIENTS_MAX ? n_rest : WARM_UP_CLIENTS_MAX,
                                .n_requests = n_rest};
    glint_status st = GLINT_OK;
    GI_TRY_DONE(gi_load_run(b->load, &one, &first, err));
    if (first.n_ok == 0) {
        st = refused(b, &first, err);
        goto done;
    }
    b->report.first_answer_ms = gi_load_samples_at(&first.latency_ms, 1);
    if (n_rest) st = gi_load_run(b->load, &more, &rest, err);
done:
    gi_load_result_done(&first);
    gi_load_result_done(&rest);
    return st;
}

static glint_status measure(serve_bench *b, glint_error *err) {
    b->report.first_answer_ms = -1;
    b->report.n_warm_up = (size_t)b->warm_up;
    b->report.settings = &b->settings;
    b->report.results = b->results;
    GI_TRY(gi_load_create(&b->settings, &b->load, err));
    GI_TRY(gi_load_idle_open(&b->idle, b->url, (size_t)b->n_idle, err));
    if (b->warm_up) GI_TRY(warm_up(b, err));
    for (size_t i = 0; i < b->n_stages; i++) {
        b->report.n_results = i + 1;
        GI_TRY(gi_load_run(b->load, &b->stages[i], &b->results[i], err));
    }
    b->report.n_idle = b->idle.n;
    b->report.n_idle_left = gi_load_idle_count(&b->idle);
    return GLINT_OK;
}

static int print(serve_bench *b, glint_error *err) {
    int code = GI_EXIT_OK;
    if (b->json)
        code = gi_command_print_json(gi_load_report_json(&b->report), GI_BENCH_JSON_INDENT);
    else
        gi_load_report_print(&b->report);
    code = gi_command_end_output(code); /* before what goes to stderr */
    if (code != GI_EXIT_OK) return code;
    size_t n_due = 0;
    for (size_t i = 0; i < b->report.n_results; i++) {
        if (b->results[i].n_ok) return GI_EXIT_OK;
        n_due += b->results[i].n_due;
    }
    gi_fail(err, GLINT_ERR_IO,
            n_due ? "no request was answered"
                  : "no request was due in the window: answers take longer; raise --seconds");
    return gi_command_fail("bench serve", GI_EXIT_INPUT, err);
}

static int run(void *state, const gi_options *o, glint_error *err) {
    serve_bench *b = state;
    b->url = o->n_operands ? o->operands[0] : DEFAULT_URL;
    if (read_stages(b, err) != GLINT_OK || read_recipe(b, err) != GLINT_OK ||
        read_settings(b, err) != GLINT_OK || raise_file_limit(b, err) != GLINT_OK ||
        gi_bench_card_read(0, NULL, &b->report.card, err) != GLINT_OK)
        return gi_command_fail("bench serve", GI_EXIT_USAGE, err);
    if (gi_load_pictures_read(&b->pictures, b->pictures_dir, b->task, b->vary, err) != GLINT_OK ||
        measure(b, err) != GLINT_OK)
        return gi_command_fail("bench serve", GI_EXIT_INPUT, err);
    return print(b, err);
}

/* ---- the command ---- */

static const char ABOUT[] =
    "Sends requests to a running server and reports latencies, throughput and errors. The server\n"
    "is glint, or with --api openai any that has POST /v1/chat/completions and takes pictures as\n"
    "data: URIs.\n\n"
    "--rate is open-loop load: requests come as from many people who know nothing of each other\n"
    "(Poisson), whether or not the server keeps up. --clients is closed-loop load: each client\n"
    "sends when it has its answer. Either may be repeated, for one load after the other. A "
    "latency\n"
    "begins when the request was due, not when it could be sent.\n";

static const char FOOTER[] =
    "Examples:\n"
    "  bench/pictures /tmp/336 --count 200 --px 336\n"
    "  glint bench serve --pictures /tmp/336 --vary --clients 1 --clients 8\n"
    "  glint bench serve --pictures /tmp/336 --vary --rate 5 --rate 10 --rate 20 --json > s.json\n"
    "  bench/plot s.json > s.svg\n"
    "  glint bench serve http://127.0.0.1:8081 --api openai --no-cache --pictures /tmp/336 "
    "--vary\n\n"
    "Exit status: 0 measured, 2 wrong use, 3 the pictures cannot be read, or no request was\n"
    "answered, 5 out of memory.\n";

#define AT(member) offsetof(serve_bench, member)

static const gi_option ROWS[] = {
    {"Load:", 0, GI_OPTION_HEADING, 0, NULL, NULL, NULL, 0, 0, NULL},
    {"rate", 0, GI_OPTION_LIST, AT(rates), "R", NULL, NULL, 0, 0, "requests per second, open loop"},
    {"clients", 0, GI_OPTION_LIST, AT(clients), "N", NULL, NULL, 0, 0,
     "clients, closed loop; without --rate one"},
    {"seconds", 0, GI_OPTION_NUMBER, AT(seconds), "S", "10", NULL, 0.1, 86400,
     "measured window of each load"},
    {"settle", 0, GI_OPTION_NUMBER, AT(settle_s), "S", "1", NULL, 0, 3600,
     "the same load before the window,\nnot counted"},
    {"warmup", 0, GI_OPTION_INT, AT(warm_up), "N", "8", NULL, 0, 1000000,
     "requests before everything, not\ncounted; 0 = none, and no check of\nthe first"},
    {"think-ms", 0, GI_OPTION_NUMBER, AT(think_ms), "MS", "0", NULL, 0, 3600000,
     "closed loop: between an answer and\nthe client's next request"},
    {"deadline-ms", 0, GI_OPTION_INT, AT(deadline_ms), "MS", "0", NULL, 0, 3600000,
     "sent to glint as timeout_ms; the share\nof requests that kept it is the goodput;\n0 = none"},
    {"give-up-ms", 0, GI_OPTION_NUMBER, AT(give_up_ms), "MS", "60000", NULL, 1, 3600000,
     "so long after it was due, a request has\nfailed"},
    {"connections-max", 0, GI_OPTION_INT, AT(connections_max), "N", "1024", NULL, 1,
     GI_LOAD_CONNECTIONS_MAX,
     "open loop: requests under way at once;\nfurther ones wait, and their waiting\ncounts"},
    {"idle-connections", 0, GI_OPTION_INT, AT(n_idle), "N", "0", NULL, 0, GI_LOAD_IDLE_MAX,
     "further connections that do nothing"},
    {"seed", 0, GI_OPTION_INT, AT(seed), "N", "1", NULL, 0, 1e9,
     "of the arrivals: the same gives the same"},
    {"Requests:", 0, GI_OPTION_HEADING, 0, NULL, NULL, NULL, 0, 0, NULL},
    {"pictures", 0, GI_OPTION_TEXT, AT(pictures_dir), "DIR", NULL, NULL, 0, 0,
     "JPEG and PNG files, sent in turns; with\na cases.json (train/scenes) its questions\nare "
     "asked "
     "and its answers checked"},
    {"vary", 0, GI_OPTION_SWITCH, AT(vary), NULL, NULL, NULL, 0, 0,
     "put a comment of its own into every\npicture: other bytes, the same pixels, so\nno cache "
     "knows "
     "it (glint's go by the\nbytes sent)"},
    {"same-picture", 0, GI_OPTION_SWITCH, AT(same_picture), NULL, NULL, NULL, 0, 0,
     "one picture, each time with another\nquestion"},
    {"same-request", 0, GI_OPTION_SWITCH, AT(same_request), NULL, NULL, NULL, 0, 0,
     "one request, again and again"},
    {"no-cache", 0, GI_OPTION_SWITCH, AT(no_cache), NULL, NULL, NULL, 0, 0,
     "ask the server not to use its caches\n(cache: false; of llama-server\ncache_prompt: false)"},
    {"stream", 0, GI_OPTION_SWITCH, AT(stream), NULL, NULL, NULL, 0, 0,
     "answers as server-sent events, with\ntimes of their tokens"},
    {"question", 0, GI_OPTION_TEXT, AT(question), "TEXT", QUESTION, NULL, 0, 0,
     "what to ask about pictures without one\nof their own"},
    {"max-tokens", 0, GI_OPTION_INT, AT(max_tokens), "N", "0", NULL, 0, 4096,
     "most tokens of an answer; 0 = the\nserver's"},
    {"api", 0, GI_OPTION_CHOICE, AT(api), "API", "glint", "glint|openai", 0, 0,
     "which route to use"},
    {"body", 0, GI_OPTION_CHOICE, AT(body), "KIND", "json", "json|form", 0, 0,
     "how pictures are sent to glint"},
    {"task", 0, GI_OPTION_TEXT, AT(task), "NAME", "audit", NULL, 0, 0,
     "glint's task, and that of the cases used"},
    {"model-name", 0, GI_OPTION_TEXT, AT(model), "NAME", "default", NULL, 0, 0,
     "model of --api openai"},
    {"token", 0, GI_OPTION_TEXT, AT(token), "TOKEN", NULL, NULL, 0, 0,
     "sent as Authorization: Bearer"},
    {"Output:", 0, GI_OPTION_HEADING, 0, NULL, NULL, NULL, 0, 0, NULL},
    {"json", 'j', GI_OPTION_SWITCH, AT(json), NULL, NULL, NULL, 0, 0,
     "the same as JSON, with the distribution"},
};

static gi_options describe(void *state) {
    return (gi_options){.command = "bench serve",
                        .usage = "glint bench serve [OPTION]... [URL]",
                        .about = ABOUT,
                        .footer = FOOTER,
                        .groups = {GI_OPTION_GROUP(ROWS, state)},
                        .operands_max = 1};
}

static void done(void *state) {
    serve_bench *b = state;
    gi_load_free(b->load);
    gi_load_idle_close(&b->idle);
    for (size_t i = 0; i < b->n_stages; i++) gi_load_result_done(&b->results[i]);
    gi_load_pictures_done(&b->pictures);
    gi_free(b->quoted_question);
}

int gi_bench_serve(int argc, char **argv) {
    static const gi_bench_spec spec = {sizeof(serve_bench), describe, run, done};
    return gi_bench_main(&spec, argc, argv);
}
