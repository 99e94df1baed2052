/* Limits that cannot be set are named here, with the constant that makes them; those that can are
 * options, and say what they do there. */
#include "serve_lists.h"

#include "command.h"

#include "base/json.h"
#include "fetch/fetcher.h"
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

/* Options that bound something. */
static const char *const LIMIT_OPTIONS[] = {
    "connections-max",
    "body-max-mib",
    "body-total-max-mib",
    "header-timeout-ms",
    "body-timeout-ms",
    "idle-timeout-ms",
    "queue-max",
    "ready-max",
    "prepare-threads",
    "sequences-max",
    "kv-tokens",
    "context",
    "max-side",
    "timeout-ms",
    "answer-cache-mib",
    "image-fetch-ms",
    "image-fetch-mib",
    "image-fetches-max",
    "image-cache-mib",
    "limit-requests-per-s",
    "drain-ms",
    "drain-delay-ms",
    "limit-megapixels-per-s",
};

static bool is_limit(const gi_option *o) {
    for (size_t i = 0; i < sizeof LIMIT_OPTIONS / sizeof LIMIT_OPTIONS[0]; i++)
        if (strcmp(LIMIT_OPTIONS[i], o->name) == 0) return true;
    return false;
}

static void print_words(const char *help) {
    for (const char *p = help; *p; p++) putchar(*p == '\n' ? ' ' : *p);
}

static void list_options(const gi_option *specs, size_t n_specs) {
    for (size_t i = 0; i < n_specs; i++) {
        if (specs[i].kind == GI_OPTION_HEADING || !is_limit(&specs[i])) continue;
        printf("| `--%s` | %s | %.15g to %.15g | ", specs[i].name,
               specs[i].fallback ? specs[i].fallback : "", specs[i].min, specs[i].max);
        print_words(specs[i].help);
        printf(" |\n");
    }
}

static void list_fixed(void) {
    const gi_image_limits image = gi_image_limits_default();
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
        {"turns of a conversation", GLINT_MESSAGES_MAX, "else 400"},
        {"an encoded picture", (double)image.file_bytes_max, "bytes, else 422"},
        {"a picture", (double)image.pixels_max, "pixels, else 422"},
        {"a picture's side", image.side_px_max, "pixels, else 422"},
        {"a picture's longer side", image.aspect_max, "times the shorter, else 422"},
        {"scans of a JPEG", image.jpeg_scans_max, "else 422"},
        {"decoding a picture", image.decode_cpu_ms_max, "ms of CPU, else 422"},
        {"decoding a picture takes", (double)image.decode_bytes_max, "bytes, else 422"},
        {"redirects of a picture URL", GI_FETCH_REDIRECTS_MAX, "else 422"},
        {"a line of the audit log", GI_AUDIT_LINE_BYTES_MAX, "bytes"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        printf("| %s | %.15g | fixed | %s |\n", rows[i].what, rows[i].value, rows[i].unit);
}

int gi_serve_list(const char *name, const gi_option *specs, size_t n_specs) {
    if (strcmp(name, "routes") == 0) list_routes();
    if (strcmp(name, "metrics") == 0) list_metrics();
    if (strcmp(name, "limits") == 0) {
        list_options(specs, n_specs);
        list_fixed();
    }
    return fflush(stdout) == 0 ? GI_EXIT_OK : GI_EXIT_INTERNAL;
}
