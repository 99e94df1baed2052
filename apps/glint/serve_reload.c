/*
 * The one list of what a running server takes over; a restart takes what it does not name. What is
 * listed as a value here, reload_settings of serve.c hands to the log or the server.
 */
#include "serve_reload.h"

#include "base/buf.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { CHANGES_BYTES_MAX = 4096, VALUE_BYTES = 64 };

static const struct {
    const char *option;
    gi_serve_reload what;
} RELOADED[] = {
    {"templates", GI_SERVE_RELOAD_FILES},
    {"jwt-keys", GI_SERVE_RELOAD_FILES},
    {"api-keys", GI_SERVE_RELOAD_FILES},
    {"audit-log", GI_SERVE_RELOAD_FILES},
    {"limit-requests-per-s", GI_SERVE_RELOAD_VALUE},
    {"limit-requests-burst", GI_SERVE_RELOAD_VALUE},
    {"limit-megapixels-per-s", GI_SERVE_RELOAD_VALUE},
    {"limit-megapixels-burst", GI_SERVE_RELOAD_VALUE},
    {"limit-failures-per-s", GI_SERVE_RELOAD_VALUE},
    {"proxies", GI_SERVE_RELOAD_VALUE},
    {"queue-max", GI_SERVE_RELOAD_VALUE},
    {"ready-max", GI_SERVE_RELOAD_VALUE},
    {"timeout-ms", GI_SERVE_RELOAD_VALUE},
    {"drain-ms", GI_SERVE_RELOAD_VALUE},
    {"drain-delay-ms", GI_SERVE_RELOAD_VALUE},
    {"log-level", GI_SERVE_RELOAD_VALUE},
    {"log-format", GI_SERVE_RELOAD_VALUE},
    {"image-urls", GI_SERVE_RELOAD_VALUE},
};

gi_serve_reload gi_serve_reload_of(const char *option) {
    for (size_t i = 0; i < sizeof RELOADED / sizeof RELOADED[0]; i++)
        if (strcmp(RELOADED[i].option, option) == 0) return RELOADED[i].what;
    return GI_SERVE_RELOAD_NOT;
}

/* The kinds that are taken over: numbers and choices. */
static void put_value(gi_option_kind kind, const void *value, gi_buf *to) {
    char text[VALUE_BYTES] = "";
    if (kind == GI_OPTION_INT) snprintf(text, sizeof text, "%" PRId64, *(const int64_t *)value);
    if (kind == GI_OPTION_NUMBER) snprintf(text, sizeof text, "%.15g", *(const double *)value);
    if (kind == GI_OPTION_CHOICE) snprintf(text, sizeof text, "%s", *(const char *const *)value);
    (void)gi_buf_puts(to, text, NULL);
}

static void tell_changes(const gi_options *last, const gi_options *now) {
    gi_buf changes;
    gi_buf_init(&changes, CHANGES_BYTES_MAX);
    const gi_option *o;
    for (size_t i = 0; (o = gi_options_at(now, i)) != NULL; i++) {
        if (gi_serve_reload_of(o->name) != GI_SERVE_RELOAD_VALUE || gi_options_equal(now, last, i))
            continue;
        (void)gi_buf_puts(&changes, changes.len ? ", " : "", NULL);
        (void)gi_buf_puts(&changes, o->name, NULL);
        (void)gi_buf_puts(&changes, " ", NULL);
        put_value(o->kind, gi_options_value(now, i), &changes);
    }
    gi_log(GI_LOG_INFO, "serve", "SIGHUP: the settings were read again: %.*s",
           changes.len ? (int)changes.len : (int)strlen("nothing changed"),
           changes.len ? (const char *)changes.data : "nothing changed");
    gi_buf_done(&changes);
}

void gi_serve_reload_tell(const gi_options *started, const gi_options *last,
                          const gi_options *now) {
    tell_changes(last, now);
    const gi_option *o;
    for (size_t i = 0; (o = gi_options_at(now, i)) != NULL; i++) {
        if (gi_serve_reload_of(o->name) == GI_SERVE_RELOAD_VALUE ||
            gi_options_equal(now, started, i))
            continue;
        const char *source = gi_options_source(now, o->name);
        if (source)
            gi_log(GI_LOG_WARN, "serve", "SIGHUP: %s changed; takes a restart", source);
        else
            gi_log(GI_LOG_WARN, "serve", "SIGHUP: %s is not set any more; takes a restart",
                   o->name);
    }
}
