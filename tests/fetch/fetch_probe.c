/*
 * fetch_probe [OPTION]...: lets the Python tests drive src/fetch. Reads a command a line; text from
 * outside comes in hex. Answers each command with a line.
 *
 *   class ADDRESS         public, private or forbidden, and the range's name
 *   parse HEX             scheme host port path query, tab-separated; or "refused" and why
 *   resolve HEX HEX       the same for a reference relative to a URL
 *   ref HEX               the value of an `image` field: url, refused, or its bytes in hex
 *   get HEX               fetches and waits: status bytes milliseconds SHA-256 message
 *   begin HEX MS          begins a fetch with a deadline: its number, or "refused" and why
 *   cancel NUMBER         cancels it
 *   end NUMBER            waits for it: as get
 *   scope WORD            who asks from now on
 *   cache WORD            on or off: whether it may use and leave kept files from now on
 *   stats                 begun joined failed lookups transfers kept-used waiting bytes
 *
 * Options: --host H, --port N (each repeatable), --http, --private, --ca FILE, and --file-bytes,
 * --held-bytes, --kept-bytes, --total-ms, --connect-ms, --transfers, --waiting with a number.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/sha256.h"
#include "fetch/fetcher.h"
#include "fetch/host_list.h"
#include "server/base64.h"
#include "server/picture_ref.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { LINE_BYTES = 65536, FETCHES_MAX = 2048 };

typedef struct one {
    gi_fetch *fetch;
    gi_fetch_result result;
    double begun_ms, done_ms;
    bool is_done;
} one;

static struct {
    const char *hosts[GI_FETCH_HOSTS_MAX];
    int64_t ports[GI_FETCH_PORTS_MAX];
    gi_fetch_config config;
    gi_fetcher *fetcher;
    char scope[64];
    bool no_cache;
    pthread_mutex_t lock;
    pthread_cond_t cv;
    one fetches[FETCHES_MAX];
    size_t n_fetches;
} probe = {.lock = PTHREAD_MUTEX_INITIALIZER, .cv = PTHREAD_COND_INITIALIZER};

static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The next word of the line, decoded from hex in place; empty when there is none. */
static const char *unhex(char **line, size_t *ret_n) {
    char *s = *line, *out = s, *start = s;
    while (hex_digit(s[0]) >= 0 && hex_digit(s[1]) >= 0) {
        *out++ = (char)(hex_digit(s[0]) * 16 + hex_digit(s[1]));
        s += 2;
    }
    *line = s + (*s == ' ');
    *ret_n = (size_t)(out - start);
    return start;
}

static void show_url(glint_status st, const gi_url *u, const glint_error *err) {
    if (st != GLINT_OK) {
        printf("refused\t%s\n", err->message);
        return;
    }
    const char *path = u->text + u->origin_n;
    printf("%s\t%s\t%u\t%.*s\t%s\n", u->is_https ? "https" : "http", u->host.name,
           (unsigned)u->port, (int)u->path_n, path, path + u->path_n);
}

static void parse(char *args, bool is_relative) {
    static gi_url base, url;
    glint_error err = {0};
    size_t n;
    const char *s = unhex(&args, &n);
    glint_status st = gi_url_parse(s, n, &base, &err);
    if (is_relative && st == GLINT_OK) {
        s = unhex(&args, &n);
        st = gi_url_resolve(&base, s, n, &url, &err);
    }
    show_url(st, is_relative ? &url : &base, &err);
}

static void classify(const char *text) {
    gi_ip ip = {.is_v6 = strchr(text, ':') != NULL};
    const char *name;
    if (inet_pton(ip.is_v6 ? AF_INET6 : AF_INET, text, ip.bytes) != 1) {
        printf("no address\n");
        return;
    }
    static const char *const WORDS[] = {"public", "private", "forbidden"};
    const gi_ip_class class = gi_ip_classify(&ip, &name);
    printf("%s\t%s\n", WORDS[class], name);
}

static void show_ref(char *args) {
    size_t n, n_bytes;
    const char *s = unhex(&args, &n);
    gi_picture_ref ref;
    gi_api_error error = {0};
    static uint8_t bytes[LINE_BYTES];
    if (!gi_picture_ref_parse(s, n, "image", &ref, &error)) {
        printf("refused\n");
    } else if (ref.url) {
        printf("url\n");
    } else if (gi_base64_decoded_bytes(ref.base64, ref.n, &n_bytes, NULL) != GLINT_OK ||
               gi_base64_decode(ref.base64, ref.n, bytes, NULL) != GLINT_OK) {
        printf("refused\n");
    } else {
        for (size_t i = 0; i < n_bytes; i++) printf("%02x", bytes[i]);
        printf("\n");
    }
}

static void on_done(void *ctx, const gi_fetch_result *result) {
    one *o = ctx;
    pthread_mutex_lock(&probe.lock);
    o->result = *result;
    o->done_ms = gi_clock_ms();
    o->is_done = true;
    pthread_cond_broadcast(&probe.cv);
    pthread_mutex_unlock(&probe.lock);
}

static one *begin(char *args, double timeout_ms) {
    size_t n;
    glint_error err = {0};
    const char *url = unhex(&args, &n);
    int64_t ms;
    if (timeout_ms <= 0 && gi_parse_i64(args, &ms)) timeout_ms = (double)ms;
    one *o = &probe.fetches[probe.n_fetches];
    *o = (one){.begun_ms = gi_clock_ms()};
    const gi_fetch_request request = {.scope = probe.scope,
                                      .url = url,
                                      .n = n,
                                      .timeout_ms = timeout_ms,
                                      .no_cache = probe.no_cache,
                                      .on_done = on_done,
                                      .ctx = o};
    if (probe.n_fetches == FETCHES_MAX ||
        gi_fetch_begin(probe.fetcher, &request, &o->fetch, &err) != GLINT_OK) {
        printf("refused\t%s\n", err.message);
        return NULL;
    }
    probe.n_fetches++;
    return o;
}

static void end(one *o) {
    char digest[65] = "-";
    gi_digest d;
    pthread_mutex_lock(&probe.lock);
    while (!o->is_done) pthread_cond_wait(&probe.cv, &probe.lock);
    pthread_mutex_unlock(&probe.lock);
    const gi_fetch_bytes *b = o->result.bytes;
    if (b && gi_sha256_of_bytes("probe", b->data, b->n, &d, NULL) == GLINT_OK)
        for (int i = 0; i < 32; i++) snprintf(digest + 2 * i, 3, "%02x", d.bytes[i]);
    printf("%s\t%zu\t%.0f\t%s\t%s\n", glint_status_name(o->result.status), b ? b->n : 0,
           o->done_ms - o->begun_ms, digest, o->result.err.message);
    gi_fetch_bytes_unref(o->result.bytes);
    gi_fetch_free(o->fetch);
    o->result.bytes = NULL;
    o->fetch = NULL;
}

static one *numbered(const char *args) {
    int64_t i;
    const bool ok = gi_parse_i64(args, &i) && i >= 0 && (size_t)i < probe.n_fetches;
    return ok && probe.fetches[i].fetch ? &probe.fetches[i] : NULL;
}

static void show_stats(void) {
    const gi_fetch_stats s = gi_fetcher_get_stats(probe.fetcher);
    printf("%llu\t%llu\t%llu\t%llu\t%llu\t%llu\t%zu\t%zu\n", (unsigned long long)s.n_begun,
           (unsigned long long)s.n_joined, (unsigned long long)s.n_failed,
           (unsigned long long)s.n_lookups, (unsigned long long)s.n_transfers,
           (unsigned long long)s.n_kept_used, s.n_waiting, s.used_bytes);
}

static void obey(char *line) {
    char *args = strchr(line, ' ');
    if (args) *args++ = '\0';
    if (!args) args = line + strlen(line);
    if (strcmp(line, "class") == 0) {
        classify(args);
    } else if (strcmp(line, "parse") == 0 || strcmp(line, "resolve") == 0) {
        parse(args, line[0] == 'r');
    } else if (strcmp(line, "ref") == 0) {
        show_ref(args);
    } else if (strcmp(line, "scope") == 0) {
        snprintf(probe.scope, sizeof probe.scope, "%s", args);
        printf("ok\n");
    } else if (strcmp(line, "cache") == 0) {
        probe.no_cache = strcmp(args, "off") == 0;
        printf("ok\n");
    } else if (strcmp(line, "stats") == 0) {
        show_stats();
    } else if (strcmp(line, "get") == 0) {
        one *o = begin(args, 60000);
        if (o) end(o);
    } else if (strcmp(line, "begin") == 0) {
        if (begin(args, 0)) printf("%zu\n", probe.n_fetches - 1);
    } else {
        one *o = numbered(args);
        if (o && strcmp(line, "cancel") == 0) {
            gi_fetch_cancel(o->fetch);
            printf("ok\n");
        } else if (o && strcmp(line, "end") == 0) {
            end(o);
        } else {
            printf("what?\n");
        }
    }
    fflush(stdout);
}

static bool take_number(const char *name, const char *value) {
    static const struct {
        const char *name;
        size_t offset;
    } ROWS[] = {
        {"--file-bytes", offsetof(gi_fetch_config, file_bytes_max)},
        {"--held-bytes", offsetof(gi_fetch_config, held_bytes_max)},
        {"--kept-bytes", offsetof(gi_fetch_config, kept_bytes_max)},
        {"--total-ms", offsetof(gi_fetch_config, total_ms)},
        {"--connect-ms", offsetof(gi_fetch_config, connect_ms)},
        {"--transfers", offsetof(gi_fetch_config, transfers_max)},
        {"--waiting", offsetof(gi_fetch_config, waiting_max)},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++)
        if (strcmp(name, ROWS[i].name) == 0)
            return gi_parse_i64(value, (int64_t *)(void *)((char *)&probe.config + ROWS[i].offset));
    return false;
}

static bool take_option(const char *name, const char *value) {
    gi_fetch_config *c = &probe.config;
    if (strcmp(name, "--host") == 0 && c->n_hosts < GI_FETCH_HOSTS_MAX)
        probe.hosts[c->n_hosts++] = value;
    else if (strcmp(name, "--port") == 0 && c->n_ports < GI_FETCH_PORTS_MAX)
        return gi_parse_i64(value, &probe.ports[c->n_ports++]);
    else if (strcmp(name, "--ca") == 0)
        c->ca_file = value;
    else
        return take_number(name, value);
    return true;
}

int main(int argc, char **argv) {
    static char line[LINE_BYTES];
    glint_error err = {0};
    probe.config = gi_fetch_config_default();
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--http") == 0) {
            probe.config.allow_http = true;
        } else if (strcmp(argv[i], "--private") == 0) {
            probe.config.allow_private = true;
        } else if (i + 1 == argc || !take_option(argv[i], argv[i + 1])) {
            fprintf(stderr, "what is %s?\n", argv[i]);
            return 2;
        } else {
            i++;
        }
    }
    probe.config.hosts = probe.hosts;
    probe.config.ports = probe.ports;
    if (probe.config.n_hosts == 0) probe.hosts[probe.config.n_hosts++] = "nowhere.invalid";
    if (gi_fetcher_create(&probe.config, &probe.fetcher, &err) != GLINT_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        obey(line);
    }
    for (size_t i = 0; i < probe.n_fetches; i++)
        if (probe.fetches[i].fetch) end(&probe.fetches[i]);
    gi_fetcher_free(probe.fetcher);
    return 0;
}
