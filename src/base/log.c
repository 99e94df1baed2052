/*
 * One log sink: stderr. The level is the mutable global glint allows itself beside the table of
 * kernels; the form of the lines is a bit of it.
 */
#include "base/log.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_BYTES = 1024, JSON_BYTES = 3 * LINE_BYTES };

enum { LEVEL_BITS = 0xFF, JSON_BIT = 0x100 };

static _Atomic int log_level = GI_LOG_WARN;
static const char *const LEVEL_NAMES[] = {"debug", "info", "warn", "error", "off"};

static void set_bits(int mask, int bits) {
    int was = atomic_load(&log_level);
    while (!atomic_compare_exchange_weak(&log_level, &was, (was & ~mask) | bits)) {
    }
}

void gi_log_set_level(gi_log_level level) {
    set_bits(LEVEL_BITS, (int)level);
}

bool gi_log_level_parse(const char *name, gi_log_level *ret) {
    for (int i = 0; i <= GI_LOG_OFF; i++) {
        if (strcmp(name, LEVEL_NAMES[i]) != 0) continue;
        *ret = (gi_log_level)i;
        return true;
    }
    return false;
}

void gi_log_set_json(bool is_json) {
    set_bits(JSON_BIT, is_json ? JSON_BIT : 0);
}

/* A log line that cannot be written has nowhere to be reported. */
static void write_line(const char *line, size_t n) {
    if (write(STDERR_FILENO, line, n) < 0) return;
}

/* ---- JSON ---- */

typedef struct writer {
    char bytes[JSON_BYTES];
    size_t n;
} writer;

static void put(writer *w, const char *s, size_t n) {
    if (n > sizeof w->bytes - w->n) return;
    memcpy(w->bytes + w->n, s, n);
    w->n += n;
}

static void put_text(writer *w, const char *s) {
    put(w, s, strlen(s));
}

/* Control characters are '?' already; what is not UTF-8 becomes that. At most twice n bytes. */
static void put_string(writer *w, const char *s, size_t n) {
    put(w, "\"", 1);
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        const int n_char = gi_utf8_decode((const uint8_t *)s + i, n - i, &cp);
        if (s[i] == '"' || s[i] == '\\') put(w, "\\", 1);
        put(w, n_char > 0 ? s + i : "?", n_char > 0 ? (size_t)n_char : 1);
        i += n_char > 0 ? (size_t)n_char : 1;
    }
    put(w, "\"", 1);
}

/* Bytes of the key of key=value at the beginning of s; 0 when it is something else. */
static size_t key_bytes(const char *s) {
    size_t n = 0;
    while ((s[n] >= 'a' && s[n] <= 'z') || s[n] == '_') n++;
    return s[n] == '=' ? n : 0;
}

static void write_json(const char *when, const char *level, const char *area, const char *message) {
    writer w;
    w.n = 0;
    put_text(&w, "{\"time\":\"");
    put_text(&w, when);
    put_text(&w, "\",\"level\":\"");
    put_text(&w, level);
    put_text(&w, "\",\"area\":\"");
    put_text(&w, area);
    put(&w, "\"", 1);
    /* A pair grows by four bytes, and every byte of a value by one: three lines hold all. */
    for (size_t n_key; (n_key = key_bytes(message)) > 0;) {
        const size_t n_value = strcspn(message + n_key + 1, " ");
        put(&w, ",\"", 2);
        put(&w, message, n_key);
        put(&w, "\":", 2);
        put_string(&w, message + n_key + 1, n_value);
        message += n_key + 1 + n_value;
        while (*message == ' ') message++;
    }
    put_text(&w, ",\"message\":");
    put_string(&w, message, strlen(message));
    put_text(&w, "}\n");
    write_line(w.bytes, w.n);
}

void gi_log(gi_log_level level, const char *area, const char *fmt, ...) {
    const int settings = atomic_load_explicit(&log_level, memory_order_relaxed);
    if ((int)level < (settings & LEVEL_BITS)) return;
    char line[LINE_BYTES], when[GI_CLOCK_ISO8601_BYTES];
    gi_clock_iso8601(when);
    int n = snprintf(line, sizeof line - 1, "%s %s %s ", when, LEVEL_NAMES[level], area);
    const int n_head = n;
    va_list args;
    va_start(args, fmt);
    const int m = vsnprintf(line + n, sizeof line - 1 - (size_t)n, fmt, args);
    va_end(args);
    n += m < 0 ? 0 : m;
    if (n > LINE_BYTES - 2) n = LINE_BYTES - 2;
    for (int i = 0; i < n; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7F) line[i] = '?';
    line[n] = '\0';
    if (settings & JSON_BIT) {
        write_json(when, LEVEL_NAMES[level], area, line + n_head);
        return;
    }
    line[n++] = '\n';
    write_line(line, (size_t)n);
}
