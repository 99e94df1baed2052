/* Limits that cannot be set are named here, with the constant that makes them; those that can are
 * options, and say what they do there. */
#include "serve_lists.h"

#include "command.h"
#include "serve_reload.h"

#include "base/json.h"
#include "fetch/fetcher.h"
#include "grammar/schema.h"
#include "image/prepare.h"
#include "server/http.h"
#include "server/metrics.h"
#include "server/multipart.h"
#include "server/server.h"

#include <stdio.h>
#include <string.h>

static void list_routes(void) {
    gi_server_route route;
    for (size_t i = 0; gi_server_get_route(i, &route); i++)
        printf("%-6s %-28s %s\n", route.method, route.path, route.access);
}

static void list_metrics(void) {
    gi_metrics_info info;
    for (size_t i = 0; gi_metrics_get(i, &info); i++)
        printf("| `%s` | %s | %s | %s |\n", info.name, info.type, info.labels, info.help);
}

/* Numbers that bound nothing. */
static const char *const NO_LIMITS[] = {"threads", "proxies", "jwt-clock-skew-s"};

static bool is_limit(const gi_option *o) {
    for (size_t i = 0; i < sizeof NO_LIMITS / sizeof NO_LIMITS[0]; i++)
        if (strcmp(NO_LIMITS[i], o->name) == 0) return false;
    return o->kind == GI_OPTION_INT || o->kind == GI_OPTION_NUMBER;
}

static void print_words(const char *help) {
    for (const char *p = help; *p; p++) putchar(*p == '\n' ? ' ' : *p);
}

static void list_limit_options(const gi_options *options) {
    const gi_option *o;
    for (size_t i = 0; (o = gi_options_at(options, i)) != NULL; i++) {
        if (!is_limit(o)) continue;
        printf("| `--%s` | %s | %.15g to %.15g | ", o->name, o->fallback ? o->fallback : "", o->min,
               o->max);
        print_words(o->help);
        printf(" |\n");
    }
}

static void list_fixed(void) {
    const gi_image_limits image = gi_image_limits_default();
    const gi_fetch_config fetch = gi_fetch_config_default();
    const struct {
        const char *what;
        double value;
        const char *unit;
    } rows[] = {
        {"a header line", GI_HTTP_LINE_BYTES_MAX, "bytes, else 431"},
        {"all header lines", GI_HTTP_HEADER_BYTES_MAX, "bytes, else 431"},
        {"header lines", GI_HTTP_HEADERS_MAX, "else 431"},
        {"what waits of a stream", GI_HTTP_STREAM_BYTES_MAX, "bytes, else it is broken off"},
        {"JSON nested", GI_JSON_DEPTH_MAX, "deep, else 400"},
        {"parts of a form", GI_MULTIPART_PARTS_MAX, "else 400"},
        {"pictures of a request", GLINT_IMAGES_MAX, "else 400"},
        {"prompt", GLINT_PROMPT_BYTES_MAX, "bytes, else 400"},
        {"tokens of an answer", GLINT_MAX_TOKENS_MAX, "else 400"},
        {"stop strings", GLINT_STOPS_MAX, "else 400"},
        {"a schema", GI_SCHEMA_BYTES_MAX, "bytes, else 400"},
        {"what a schema becomes", (double)GI_SCHEMA_MEMORY_MAX, "bytes, else 400"},
        {"turns of a conversation", GLINT_MESSAGES_MAX, "else 400"},
        {"an encoded picture", (double)image.file_bytes_max, "bytes, else 422"},
        {"a picture", (double)image.pixels_max, "pixels, else 422"},
        {"a picture's side", image.side_px_max, "pixels, else 422"},
        {"a picture's longer side", image.aspect_max, "times the shorter, else 422"},
        {"scans of a JPEG", image.jpeg_scans_max, "else 422"},
        {"decoding a picture", image.decode_cpu_ms_max, "ms of CPU, else 422"},
        {"decoding a picture takes", (double)image.decode_bytes_max, "bytes, else 422"},
        {"redirects of a picture URL", GI_FETCH_REDIRECTS_MAX, "else 422"},
        {"pictures by URL that wait or are fetched", (double)fetch.waiting_max, "else 429"},
        {"fetched pictures that requests hold", (double)fetch.held_bytes_max, "bytes, else 503"},
        {"a line of the audit log", GI_AUDIT_LINE_BYTES_MAX, "bytes"},
        {"tenants whose limits are counted", GI_ACCESS_TENANTS_MAX,
         "else the one unused for longest begins anew"},
        {"addresses whose wrong credentials are counted", GI_ACCESS_ADDRESSES_MAX, "likewise"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        printf("| %s | %.15g | fixed | %s |\n", rows[i].what, rows[i].value, rows[i].unit);
}

/* ---- the reference of all options ---- */

/* What may be written: a range, the choices, or the kind of it. */
static void print_allowed(const gi_option *o) {
    switch (o->kind) {
    case GI_OPTION_HEADING:
        return;
    case GI_OPTION_SWITCH:
        printf("true, false");
        return;
    case GI_OPTION_INT:
    case GI_OPTION_NUMBER:
        printf("%.15g to %.15g", o->min, o->max);
        return;
    case GI_OPTION_TEXT:
        printf("text");
        return;
    case GI_OPTION_CHOICE:
        for (const char *p = o->choices; *p; p++)
            if (*p == '|')
                printf(", ");
            else
                putchar(*p);
        return;
    case GI_OPTION_LIST:
        printf("list of texts");
        return;
    }
}

static const char *default_of(const gi_option *o) {
    if (o->kind == GI_OPTION_SWITCH) return "false";
    if (o->fallback) return o->fallback;
    return o->unset ? o->unset : "";
}

static const char *reload_word(const gi_option *o) {
    switch (gi_serve_reload_of(o->name)) {
    case GI_SERVE_RELOAD_NOT:
        return "";
    case GI_SERVE_RELOAD_FILES:
        return "files";
    case GI_SERVE_RELOAD_VALUE:
        return "value";
    }
    return "";
}

/* A section for each group of --help, with a table. */
static void list_reference(const gi_options *options) {
    const gi_option *o;
    for (size_t i = 0; (o = gi_options_at(options, i)) != NULL; i++) {
        if (o->kind == GI_OPTION_HEADING) {
            printf("%s## %.*s\n\n", i ? "\n" : "", (int)strcspn(o->name, ":"), o->name);
            printf("| option | key | default | values | | SIGHUP |\n|---|---|---|---|---|---|\n");
            continue;
        }
        char key[GI_OPTION_NAME_BYTES];
        gi_option_key(o->name, key);
        printf("| `--%s%s%s` | `%s` | %s | ", o->name, o->value ? " " : "",
               o->value ? o->value : "", key, default_of(o));
        print_allowed(o);
        printf(" | ");
        print_words(o->help);
        printf(" | %s |\n", reload_word(o));
    }
}

int gi_serve_list(const char *name, const gi_options *options) {
    if (strcmp(name, "routes") == 0) list_routes();
    if (strcmp(name, "metrics") == 0) list_metrics();
    if (strcmp(name, "limits") == 0) {
        list_limit_options(options);
        list_fixed();
    }
    if (strcmp(name, "options") == 0) list_reference(options);
    return gi_command_end_output(GI_EXIT_OK);
}
