/* Strict, as the standard asks: small hex digits only, no id of zeros, version ff never. */
#include "server/traceparent.h"

#include "base/ascii.h"
#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum { TRACE_AT = 3, PARENT_AT = 36, FLAGS_AT = 53, LENGTH = 55 };

static bool is_hex(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (gi_ascii_small_hex_value(s[i]) < 0) return false;
    return true;
}

static bool is_zero(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (s[i] != '0') return false;
    return true;
}

static bool is_id(const char *s, size_t n) {
    return is_hex(s, n) && !is_zero(s, n);
}

static void copy(char *to, const char *from, size_t n) {
    memcpy(to, from, n);
    to[n] = '\0';
}

bool gi_trace_parse(const char *value, gi_trace *ret) {
    const size_t n = value ? strlen(value) : 0;
    if (n < LENGTH || !is_hex(value, 2) || memcmp(value, "ff", 2) == 0) return false;
    const bool is_version_0 = memcmp(value, "00", 2) == 0;
    if (n > LENGTH && (is_version_0 || value[LENGTH] != '-')) return false;
    if (value[TRACE_AT - 1] != '-' || value[PARENT_AT - 1] != '-' || value[FLAGS_AT - 1] != '-')
        return false;
    if (!is_id(value + TRACE_AT, GI_TRACE_ID_BYTES - 1) ||
        !is_id(value + PARENT_AT, GI_TRACE_SPAN_BYTES - 1) || !is_hex(value + FLAGS_AT, 2))
        return false;
    copy(ret->trace_id, value + TRACE_AT, GI_TRACE_ID_BYTES - 1);
    copy(ret->parent_id, value + PARENT_AT, GI_TRACE_SPAN_BYTES - 1);
    ret->is_sampled = strchr("13579bdf", value[FLAGS_AT + 1]) != NULL;
    return true;
}

void gi_trace_begin(const char *traceparent, gi_trace *ret) {
    uint64_t random[3];
    /* Ids need to be different, not secret. */
    if (getrandom(random, sizeof random, 0) != sizeof random)
        for (size_t i = 0; i < 3; i++) random[i] = gi_clock_ns() * (2 * i + 0x9E3779B97F4A7C15);
    for (size_t i = 0; i < 3; i++) random[i] |= random[i] == 0;
    *ret = (gi_trace){0};
    snprintf(ret->span_id, sizeof ret->span_id, "%016" PRIx64, random[0]);
    if (!gi_trace_parse(traceparent, ret))
        snprintf(ret->trace_id, sizeof ret->trace_id, "%016" PRIx64 "%016" PRIx64, random[1],
                 random[2]);
}

void gi_trace_write(const gi_trace *trace, char out[GI_TRACE_HEADER_BYTES]) {
    snprintf(out, GI_TRACE_HEADER_BYTES, "00-%s-%s-%02d", trace->trace_id, trace->span_id,
             trace->is_sampled);
}
