/*
 * One log sink: stderr. The level is one of the two mutable globals glint allows itself.
 */
#include "base/log.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_BYTES = 1024 };

static _Atomic int log_level = GI_LOG_WARN;
static const char *const LEVEL_NAMES[] = {"debug", "info", "warn", "error", "off"};

void gi_log_set_level(gi_log_level level) {
    atomic_store(&log_level, (int)level);
}

int gi_log_level_parse(const char *name) {
    for (int i = 0; i <= GI_LOG_OFF; i++)
        if (strcmp(name, LEVEL_NAMES[i]) == 0) return i;
    return -1;
}

void gi_log(gi_log_level level, const char *area, const char *fmt, ...) {
    if ((int)level < atomic_load_explicit(&log_level, memory_order_relaxed)) return;
    char line[LINE_BYTES], when[GI_CLOCK_ISO8601_BYTES];
    gi_clock_iso8601(when);
    int n = snprintf(line, sizeof line - 1, "%s %s %s ", when, LEVEL_NAMES[level], area);
    va_list args;
    va_start(args, fmt);
    const int m = vsnprintf(line + n, sizeof line - 1 - (size_t)n, fmt, args);
    va_end(args);
    n += m < 0 ? 0 : m;
    if (n > LINE_BYTES - 2) n = LINE_BYTES - 2;
    for (int i = 0; i < n; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7F) line[i] = '?';
    line[n++] = '\n';
    /* A log line that cannot be written has nowhere to be reported. */
    if (write(STDERR_FILENO, line, (size_t)n) < 0) return;
}
