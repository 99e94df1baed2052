/*
 * glint serve: the options of the server in one table, and its life: listen, load, serve, and on
 * SIGTERM or Ctrl-C finish what is under way. A second signal ends the process at once. SIGHUP
 * reads keys, templates and what may change of the settings again, at any moment of that.
 */
#include "command.h"
#include "audit_args.h"
#include "engine_args.h"
#include "fetch_args.h"
#include "redis_args.h"
#include "serve_files.h"
#include "serve_lists.h"
#include "serve_reload.h"

#include "base/log.h"
#include "server/server.h"
#include "store/redis_url.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    MIB = 1024 * 1024,
    /* See keep_heap_small. */
    MAPPED_FROM_BYTES = 64 * 1024,
    HEAP_TOP_BYTES = 1 * MIB,
    HEAPS_MAX = 4,
};

static const char ABOUT[] =
    "Serves the page at /, POST /v1/multimodal/inference, POST /v1/chat/completions and what\n"
    "--list routes tells, over HTTP. Listens at once and becomes ready when the model is loaded.\n"
    "SIGTERM or Ctrl-C: refuses new requests, finishes those under way, exits; a second one exits "
    "at\n"
    "once. SIGHUP: reads the config file, keys and templates again, and opens the audit log "
    "again;\n"
    "the log says which settings that changed, and which take a restart.\n";

static const char FOOTER[] =
    "Examples:\n"
    "  glint serve\n"
    "  glint serve --model ~/GLM-4.6V-Flash --listen [::1]:8080 --queue-max 16\n"
    "  glint serve --allow-image-host '*.example.com'\n"
    "  glint serve --listen 0.0.0.0:8080 --api-keys keys.json --limit-requests-per-s 5\n"
    "  curl -F image=@photo.jpg -F task=describe 127.0.0.1:8080/v1/multimodal/inference\n\n"
    "Exit status: 0 drained after a signal, 2 wrong use or a mistake in a file of settings or "
    "keys,\n"
    "3 cannot listen or read the keys, 4 the model or a template cannot be loaded, 5 out of "
    "memory.\n";

/* Option targets that need a word of translation before they are settings. */
typedef struct serve_options {
    gi_server_settings settings;
    gi_engine_args engine;
    gi_fetch_args fetch;
    gi_audit_args audit;
    gi_redis_args redis;
    gi_option_list hosts;
    const char *log_level, *log_format, *list;
    int64_t body_max_mib, body_total_max_mib, sequences_max, kv_tokens_max, answer_cache_mib;
    bool lists_routes;
} serve_options;

#define AT(member)     offsetof(serve_options, member)
#define ACCESS(member) offsetof(serve_options, settings.access.member)

static const gi_option ROWS[] = {
    {"Network:", 0, GI_OPTION_HEADING, 0, NULL, NULL, NULL, 0, 0, NULL},
    {"listen", 'l', GI_OPTION_TEXT, AT(settings.listen), "HOST:PORT", "127.0.0.1:8080", NULL, 0, 0,
     "where to listen; port 0 = any free one"},
    {"insecure-no-auth", 0, GI_OPTION_SWITCH, AT(settings.allow_public_no_auth), NULL, NULL, NULL,
     0, 0, "allow an address that other machines\nreach, though nobody is asked who he is"},
    {"connections-max", 0, GI_OPTION_INT, AT(settings.connections_max), "N", "1024", NULL, 1, 65536,
     "open connections; more are closed"},
    {"connections-per-address-max", 0, GI_OPTION_INT, AT(settings.connections_per_address_max), "N",
     "256", NULL, 0, 65536,
     "of these, from one address (IPv6: /64);\n0 = no limit. Not for this "
     "machine's own,\nnor with --proxies"},
    {"body-max-mib", 0, GI_OPTION_INT, AT(body_max_mib), "MIB", "20", NULL, 1, 256,
     "largest request body in MiB, else 413"},
    {"body-total-max-mib", 0, GI_OPTION_INT, AT(body_total_max_mib), "MIB", "256", NULL, 1, 65536,
     "bodies of all requests together in\nMiB, else 503"},
    {"header-timeout-ms", 0, GI_OPTION_INT, AT(settings.header_timeout_ms), "MS", "5000", NULL, 100,
     600000, "for a new connection's first headers"},
    {"body-timeout-ms", 0, GI_OPTION_INT, AT(settings.body_timeout_ms), "MS", "30000", NULL, 100,
     600000, "for a request's body, else 408"},
    {"idle-timeout-ms", 0, GI_OPTION_INT, AT(settings.idle_timeout_ms), "MS", "60000", NULL, 100,
     3600000, "between two requests of a connection"},
    {"Access:", 0, GI_OPTION_HEADING, 0, NULL, NULL, NULL, 0, 0, NULL},
    {"jwt-keys", 0, GI_OPTION_TEXT, ACCESS(auth.jwt_keys), "FILE", NULL, NULL, 0, 0,
     "take JSON Web Tokens signed with these\nkeys (JSON, see docs/security.md)"},
    {"jwt-audience", 0, GI_OPTION_TEXT, ACCESS(auth.jwt.audience), "TEXT", NULL, NULL, 0, 0,
     "what the token's aud must hold; without\nit a token with aud is refused"},
    {"jwt-issuer", 0, GI_OPTION_TEXT, ACCESS(auth.jwt.issuer), "TEXT", NULL, NULL, 0, 0,
     "what the token's iss must be (default:\nanything)"},
    {"jwt-tenant-claim", 0, GI_OPTION_TEXT, ACCESS(auth.jwt.tenant_claim), "NAME", "tenant", NULL,
     0, 0, "the token's claim with the tenant"},
    {"jwt-clock-skew-s", 0, GI_OPTION_INT, ACCESS(auth.jwt.skew_s), "S", "30", NULL, 0, 300,
     "how far clocks may be apart, in seconds"},
    {"api-keys", 0, GI_OPTION_TEXT, ACCESS(auth.api_keys), "FILE", NULL, NULL, 0, 0,
     "take these API keys (JSON with their\nhashes, see docs/security.md)"},
    {"limit-requests-per-s", 0, GI_OPTION_NUMBER, ACCESS(auth.limits.requests.per_s), "N", "0",
     NULL, 0, 1e6, "inference requests a second and tenant,\nelse 429; 0 = no limit"},
    {"limit-requests-burst", 0, GI_OPTION_NUMBER, ACCESS(auth.limits.requests.burst), "N", "0",
     NULL, 0, 1e6, "of these, saved up while unused; 0 = ten\nseconds' worth"},
    {"limit-megapixels-per-s", 0, GI_OPTION_NUMBER, ACCESS(auth.limits.megapixels.per_s), "N", "0",
     NULL, 0, 1e6, "megapixels of pictures a second and\ntenant, else 429; 0 = no limit"},
    {"limit-megapixels-burst", 0, GI_OPTION_NUMBER, ACCESS(auth.limits.megapixels.burst), "N", "0",
     NULL, 0, 1e6, "likewise"},
    {"limit-failures-per-s", 0, GI_OPTION_NUMBER, ACCESS(auth_failures_per_s), "N", "10", NULL, 0,
     1e6, "wrong credentials a second and address,\nelse 429; 0 = no limit"},
    {"proxies", 0, GI_OPTION_INT, ACCESS(n_proxies), "N", "0", NULL, 0, 8,
     "proxies in front that add to\nX-Forwarded-For; 0: it is not read"},
    {"allow-host", 0, GI_OPTION_LIST, AT(hosts), "NAME", NULL, NULL, 0, 0,
     "on loopback without keys: a name that\nbrowsers may call this server by, beside\nlocalhost "
     "and "
     "addresses; \"*\" = any"},
    {"list-routes", 0, GI_OPTION_SWITCH, AT(lists_routes), NULL, NULL, NULL, 0, 0,
     "print every route and whom it is for,\nand exit"},
    {"list", 0, GI_OPTION_CHOICE, AT(list), "WHAT", NULL, GI_SERVE_LISTS, 0, 0,
     "print that and exit"},
    {"Requests:", 0, GI_OPTION_HEADING, 0, NULL, NULL, NULL, 0, 0, NULL},
    {"queue-max", 0, GI_OPTION_INT, AT(settings.queue_max), "N", "64", NULL, 1, 65536,
     "requests that may wait, else 429; with\nkeys, of a tenant at most as many as\nplaces are "
     "free"},
    {"sequences-max", 0, GI_OPTION_INT, AT(sequences_max), "N", "16", NULL, 1, 256,
     "requests computed together; 1 = one\nafter the other"},
    {"kv-tokens", 0, GI_OPTION_INT, AT(kv_tokens_max), "N", NULL, NULL, 1, 1 << 24,
     "tokens the KV cache holds, of all\nrequests together (unset: 1024 for each\nof "
     "--sequences-max, at "
     "least --context)"},
    {"ready-max", 0, GI_OPTION_INT, AT(settings.ready_max), "N", "8", NULL, 1, 1024,
     "waiting requests that may have their\ndecoded pictures in memory"},
    {"prepare-threads", 0, GI_OPTION_INT, AT(settings.n_crew), "N", "2", NULL, 1, 64,
     "threads that read requests and decode\npictures"},
    {"timeout-ms", 0, GI_OPTION_INT, AT(settings.timeout_ms), "MS", "60000", NULL, 1, 3600000,
     "deadline of a request, and the most it\nmay ask for, else 504"},
    {"step-max-ms", 0, GI_OPTION_INT, AT(settings.step_max_ms), "MS", "300000", NULL, 0, 86400000,
     "a step of the model that takes longer\nis stuck: /live and /ready say 503;\n0 = none is"},
    {"answer-cache-mib", 0, GI_OPTION_INT, AT(answer_cache_mib), "MIB", "0", NULL, 0, 65536,
     "answers kept in MiB, to be given again\nto equal requests; 0 = none"},
    {"drain-ms", 0, GI_OPTION_INT, AT(settings.drain_ms), "MS", "30000", NULL, 0, 3600000,
     "after a signal, patience with what is\nunder way"},
    {"drain-delay-ms", 0, GI_OPTION_INT, AT(settings.drain_delay_ms), "MS", "0", NULL, 0, 600000,
     "before that, /ready says 503 for so\nlong while requests are still taken"},
    {"Log:", 0, GI_OPTION_HEADING, 0, NULL, NULL, NULL, 0, 0, NULL},
    {"log-level", 0, GI_OPTION_CHOICE, AT(log_level), "LEVEL", "info", "debug|info|warn|error|off",
     0, 0, "what goes to stderr; info has a line\nper request, never its contents"},
    {"log-format", 0, GI_OPTION_CHOICE, AT(log_format), "FORMAT", "text", "text|json", 0, 0, "how"},
};

/* Options that were read. Not copied: their groups point into it. */
typedef struct setup {
    serve_options values;
    gi_options options;
} setup;

/* ---- a server and the thread that loads its model ---- */

typedef struct run {
    gi_server *server;
    const char *model_dir;
    const setup *started;
    setup reloads[2]; /* in turns: the last one and the next */
    setup *reloaded;  /* what holds after the last SIGHUP; NULL: nothing came of one yet */
    int argc;
    char **argv;
    bool has_audit, has_templates;
    bool is_loaded;
    bool reload_due;     /* a SIGHUP came while the model was loaded */
    int loaded_fd;       /* readable when loading ended, well or not */
    glint_status status; /* of loading; read after loaded_fd */
    glint_error err;
} run;

static void on_progress(void *ctx, double fraction, const char *what) {
    (void)ctx;
    gi_log(GI_LOG_DEBUG, "serve", "loading: %.0f %% %s", 100 * fraction, what);
}

/* A failure of a part that was made from the options. */
static int fail(const setup *from, int code, glint_error *err) {
    gi_options_blame_value(&from->options, err);
    return gi_command_fail("serve", code, err);
}

static void *load_main(void *arg) {
    run *r = arg;
    r->status = gi_server_load(r->server, &r->err);
    const uint64_t one = 1;
    while (write(r->loaded_fd, &one, sizeof one) < 0 && errno == EINTR) {
    }
    return NULL;
}

static void log_ready(const run *r) {
    const glint_engine_info *info = gi_server_info(r->server);
    gi_log(GI_LOG_INFO, "serve", "ready: %s, %.1f M parameters, %s, context %d tokens",
           info->model_name, (double)info->n_params / 1e6, info->device, info->context_tokens_max);
}

/*
 * Pictures, bodies and what is kept of them are blocks of tens of KiB to some MiB. Left to itself,
 * glibc maps such blocks only until the first of them is freed, takes its size for the new least
 * size (up to 32 MiB), and from then on puts them into heaps, one for each thread: those that live
 * in caches lie between those that lived for one request, and the gaps stay resident. Fixed, each
 * such block is its own mapping and goes back to the system when it is freed.
 */
static void keep_heap_small(void) {
    mallopt(M_MMAP_THRESHOLD, MAPPED_FROM_BYTES);
    mallopt(M_TRIM_THRESHOLD, HEAP_TOP_BYTES);
    mallopt(M_ARENA_MAX, HEAPS_MAX);
}

/* The signals as a descriptor; blocked in this thread and those it starts. */
static int open_signals(sigset_t *ret_set) {
    sigemptyset(ret_set);
    sigaddset(ret_set, SIGHUP);
    sigaddset(ret_set, SIGTERM);
    sigaddset(ret_set, SIGINT);
    signal(SIGPIPE, SIG_IGN);
    pthread_sigmask(SIG_BLOCK, ret_set, NULL);
    return signalfd(-1, ret_set, SFD_CLOEXEC);
}

/* Each thing is read as a whole: what cannot be leaves the old one in force. */
static void reload_one(gi_server *server, const char *done, const char *kept,
                       glint_status (*read_again)(gi_server *s, glint_error *err)) {
    glint_error err = {0};
    const bool ok = read_again(server, &err) == GLINT_OK;
    gi_server_count_reload(server, ok);
    if (ok)
        gi_log(GI_LOG_INFO, "serve", "SIGHUP: %s", done);
    else
        gi_log(GI_LOG_ERROR, "serve", "SIGHUP: %s: %s", kept, err.message);
}

static void reload_templates(run *r) {
    r->reload_due = !r->is_loaded; /* it may have read them already */
    if (r->is_loaded)
        reload_one(r->server, "the templates were read again", "the old templates stay",
                   gi_server_reload_tasks);
}

static void init_setup(setup *to);
static glint_status resolve(setup *from, gi_server_settings *ret, glint_error *err);

static void apply_log(const serve_options *o) {
    gi_log_level level;
    if (gi_log_level_parse(o->log_level, &level)) gi_log_set_level(level);
    gi_log_set_json(strcmp(o->log_format, "json") == 0);
}

/* Those settings that may change while the server runs; the log names what takes a restart. */
static void reload_settings(run *r) {
    setup *next = &r->reloads[r->reloaded == &r->reloads[0]];
    gi_server_settings settings;
    glint_error err = {0};
    init_setup(next);
    glint_status st = gi_options_parse(&next->options, r->argc, r->argv, &err);
    if (st == GLINT_OK) st = resolve(next, &settings, &err);
    gi_server_count_reload(r->server, st == GLINT_OK);
    if (st != GLINT_OK) {
        gi_options_blame_value(&next->options, &err);
        gi_log(GI_LOG_ERROR, "serve", "SIGHUP: the old settings stay: %s", err.message);
        gi_options_done(&next->options);
        return;
    }
    apply_log(&next->values);
    gi_server_set_image_urls(r->server, gi_fetch_args_are_on(&next->values.fetch));
    gi_server_change(r->server, &settings);
    gi_serve_reload_tell(&r->started->options,
                         r->reloaded ? &r->reloaded->options : &r->started->options,
                         &next->options);
    if (r->reloaded) gi_options_done(&r->reloaded->options);
    r->reloaded = next;
}

static void reload(run *r) {
    reload_settings(r);
    if (r->has_audit)
        reload_one(r->server, "the audit log was opened again", "the old audit log stays",
                   gi_server_reopen_audit);
    if (gi_server_has_auth(r->server))
        reload_one(r->server, "the files of keys were read again", "the old keys stay",
                   gi_server_reload);
    if (r->has_templates) reload_templates(r);
}

/* Take a signal. True: it asks the server to stop. */
static bool take_signal(run *r, int signal_fd) {
    struct signalfd_siginfo info;
    ssize_t n;
    while ((n = read(signal_fd, &info, sizeof info)) < 0 && errno == EINTR) {
    }
    if (n != sizeof info || info.ssi_signo != SIGHUP) return true;
    reload(r);
    return false;
}

/* Wait for the model or a signal to stop. True: the model is loaded. */
static bool wait_loaded(run *r, int signal_fd, pthread_t loader, int *ret_exit) {
    struct pollfd fds[] = {{.fd = signal_fd, .events = POLLIN},
                           {.fd = r->loaded_fd, .events = POLLIN}};
    bool stops = false;
    while (!stops && fds[1].revents == 0) {
        if (poll(fds, 2, -1) < 0 && errno == EINTR) continue;
        stops = fds[0].revents != 0 && take_signal(r, signal_fd);
    }
    if (stops) {
        /* Loading cannot be interrupted, and nothing is under way that would be lost. */
        gi_log(GI_LOG_INFO, "serve", "signal while loading: exiting");
        _exit(GI_EXIT_OK);
    }
    pthread_join(loader, NULL);
    r->is_loaded = r->status == GLINT_OK;
    if (r->is_loaded) return true;
    *ret_exit = fail(r->started, GI_EXIT_MODEL, &r->err);
    return false;
}

static int serve_until_signal(run *r, int signal_fd, const sigset_t *signals) {
    pthread_t loader;
    int exit_code = GI_EXIT_OK;
    gi_log(GI_LOG_INFO, "serve", "listening on http://%s, loading %s", gi_server_address(r->server),
           r->model_dir);
    if (pthread_create(&loader, NULL, load_main, r) != 0) {
        gi_fail(&r->err, GLINT_ERR_MEMORY, "cannot start a thread");
        return gi_command_fail("serve", GI_EXIT_MEMORY, &r->err);
    }
    if (!wait_loaded(r, signal_fd, loader, &exit_code)) return exit_code;
    log_ready(r);
    if (r->reload_due) reload_templates(r);
    while (!take_signal(r, signal_fd)) {
    }
    gi_log(GI_LOG_INFO, "serve", "signal: finishing what is under way; once more to exit at once");
    signal(SIGHUP, SIG_IGN); /* with the others below it would end the process */
    pthread_sigmask(SIG_UNBLOCK, signals, NULL);
    gi_server_drain(r->server);
    return GI_EXIT_OK;
}

/* Settings of access that only make sense together. */
static glint_status check_access(gi_access_settings *a, glint_error *err) {
    gi_tenant_limits *l = &a->auth.limits;
    if (!a->auth.jwt_keys && (a->auth.jwt.audience || a->auth.jwt.issuer))
        return gi_fail(err, GLINT_ERR_ARG,
                       "--jwt-audience and --jwt-issuer do nothing without --jwt-keys");
    if (l->requests.burst < 1) l->requests.burst = gi_rate_default_burst(l->requests.per_s);
    if (l->megapixels.burst < 1) l->megapixels.burst = gi_rate_default_burst(l->megapixels.per_s);
    return GLINT_OK;
}

static glint_status check_hosts(const gi_option_list *hosts, glint_error *err) {
    for (size_t i = 0; i < hosts->n; i++)
        if (!hosts->values[i][0] || strpbrk(hosts->values[i], ":/ "))
            return gi_fail(err, GLINT_ERR_ARG, "\"%.80s\" is not a name such as glint.example.com",
                           hosts->values[i]);
    return GLINT_OK;
}

/* Its message cannot quote the address, which may hold a password. */
static glint_status check_redis_url(const gi_options *o, const char *text, glint_error *err) {
    gi_redis_url url;
    if (!text) return GLINT_OK;
    const glint_status st = gi_redis_url_parse(text, &url, err);
    gi_options_blame(o, "redis", st, err);
    explicit_bzero(&url, sizeof url);
    return st;
}

/* The settings that options mean, but for the engine's. They point into `from`. */
static glint_status resolve(setup *from, gi_server_settings *ret, glint_error *err) {
    serve_options *o = &from->values;
    gi_server_settings settings = o->settings;
    GI_TRY(check_access(&settings.access, err));
    GI_TRY(check_hosts(&o->hosts, err));
    GI_TRY(gi_fetch_args_resolve(&o->fetch, &settings.fetch, err));
    GI_TRY(gi_audit_args_resolve(&o->audit, &settings.audit, err));
    GI_TRY(gi_redis_args_resolve(&o->redis, &settings, err));
    GI_TRY(check_redis_url(&from->options, settings.store.url, err));
    settings.body_bytes_max = o->body_max_mib * MIB;
    settings.access.hosts = o->hosts.values;
    settings.access.n_hosts = o->hosts.n;
    settings.body_bytes_total_max = o->body_total_max_mib * MIB;
    settings.answer_cache_bytes = o->answer_cache_mib * MIB;
    *ret = settings;
    return GLINT_OK;
}

static glint_status resolve_engine(serve_options *o, glint_engine_options *ret, glint_error *err) {
    GI_TRY(gi_engine_args_resolve(&o->engine, ret, err));
    ret->on_progress = on_progress;
    ret->sequences_max = (int)o->sequences_max;
    ret->kv_tokens_max = (int)o->kv_tokens_max;
    return GLINT_OK;
}

static int start(setup *from, int argc, char **argv) {
    gi_server_settings settings;
    run r = {.loaded_fd = -1, .started = from, .argc = argc, .argv = argv};
    int exit_code;
    keep_heap_small();
    if (resolve(from, &settings, &r.err) != GLINT_OK) return fail(from, GI_EXIT_USAGE, &r.err);
    if (resolve_engine(&from->values, &settings.engine, &r.err) != GLINT_OK)
        return fail(from, GI_EXIT_MODEL, &r.err);
    r.model_dir = settings.engine.model_dir;
    r.has_audit = settings.audit.path != NULL;
    r.has_templates = settings.engine.template_dir != NULL;

    sigset_t signals;
    const int signal_fd = open_signals(&signals);
    r.loaded_fd = eventfd(0, EFD_CLOEXEC);
    if (signal_fd < 0 || r.loaded_fd < 0) {
        gi_fail(&r.err, GLINT_ERR_IO, "no file descriptors: %s", strerror(errno));
        exit_code = gi_command_fail("serve", GI_EXIT_INTERNAL, &r.err);
        goto done;
    }
    gi_serve_files_reserve(&settings);
    const glint_status st = gi_server_open(&settings, &r.server, &r.err);
    if (st != GLINT_OK) {
        const bool is_usage = st == GLINT_ERR_ARG || st == GLINT_ERR_FORMAT;
        exit_code = fail(from, is_usage ? GI_EXIT_USAGE : GI_EXIT_INPUT, &r.err);
        goto done;
    }
    gi_server_set_image_urls(r.server, gi_fetch_args_are_on(&from->values.fetch));
    exit_code = serve_until_signal(&r, signal_fd, &signals);
    gi_server_close(r.server);
    if (r.reloaded) gi_options_done(&r.reloaded->options);
    if (exit_code == GI_EXIT_OK) gi_log(GI_LOG_INFO, "serve", "stopped");
done:
    if (signal_fd >= 0) close(signal_fd);
    if (r.loaded_fd >= 0) close(r.loaded_fd);
    return exit_code;
}

static void init_setup(setup *to) {
    *to = (setup){0};
    serve_options *s = &to->values;
    to->options = (gi_options){
        .command = "serve",
        .usage = "glint serve [OPTION]...",
        .about = ABOUT,
        .footer = FOOTER,
        .groups = {gi_engine_args_options(&s->engine), GI_OPTION_GROUP(ROWS, s),
                   gi_fetch_args_options(&s->fetch), gi_audit_args_options(&s->audit),
                   gi_redis_args_options(&s->redis)},
        .has_config = true,
    };
}

int gi_command_serve(int argc, char **argv) {
    setup s;
    int exit_code;
    init_setup(&s);
    if (!gi_command_begin(&s.options, argc, argv, &exit_code)) return exit_code;
    serve_options *o = &s.values;
    apply_log(o);
    if (o->lists_routes) o->list = "routes";
    exit_code = o->list ? gi_serve_list(o->list, &s.options) : start(&s, argc, argv);
    gi_options_done(&s.options);
    return exit_code;
}
