/*
 * Error records: formatting, cutting and cleaning of messages.
 */
#include "base/fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const STATUS_NAMES[] = {
    [-GLINT_OK] = "ok",
    [-GLINT_ERR_ARG] = "bad argument",
    [-GLINT_ERR_IO] = "input/output error",
    [-GLINT_ERR_FORMAT] = "bad format",
    [-GLINT_ERR_UNSUPPORTED] = "unsupported",
    [-GLINT_ERR_LIMIT] = "over a limit",
    [-GLINT_ERR_MEMORY] = "out of memory",
    [-GLINT_ERR_CANCELLED] = "cancelled",
    [-GLINT_ERR_DEADLINE] = "deadline",
    [-GLINT_ERR_BUSY] = "busy",
    [-GLINT_ERR_INTERNAL] = "internal fault",
};

_Static_assert(sizeof STATUS_NAMES / sizeof STATUS_NAMES[0] == 1 - GLINT_ERR_INTERNAL,
               "the last status has a name");

const char *glint_status_name(glint_status status) {
    const int i = -(int)status;
    const int n = (int)(sizeof STATUS_NAMES / sizeof STATUS_NAMES[0]);
    return i >= 0 && i < n ? STATUS_NAMES[i] : "unknown status";
}

/* Drop a UTF-8 sequence that the end of the buffer cut in two. */
static void trim_partial_utf8(char *s, size_t len) {
    size_t back = 0;
    while (back < 4 && back < len && ((unsigned char)s[len - 1 - back] & 0xC0) == 0x80) back++;
    if (back == len) return;
    const unsigned char lead = (unsigned char)s[len - 1 - back];
    const size_t want = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0;
    if (back < want) s[len - 1 - back] = '\0';
}

#undef gi_fail
glint_status gi_fail(glint_error *err, glint_status code, const char *fmt, ...) {
    if (!err) return code;
    err->code = code;
    err->param = NULL;
    err->picture = 0;
    va_list args;
    va_start(args, fmt);
    vsnprintf(err->message, sizeof err->message, fmt, args);
    va_end(args);
    for (char *p = err->message; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7F) *p = '?';
    trim_partial_utf8(err->message, strlen(err->message));
    return code;
}

void gi_assert_failed(const char *cond, const char *file, int line) {
    fprintf(stderr, "glint: internal fault: %s does not hold (%s:%d)\n", cond, file, line);
    abort();
}
