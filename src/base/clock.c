/*
 * Clocks of the operating system, in the units glint uses.
 */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

uint64_t gi_clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

double gi_clock_ms(void) {
    return (double)gi_clock_ns() / 1e6;
}

void gi_clock_iso8601(char out[GI_CLOCK_ISO8601_BYTES]) {
    struct timespec t;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &t);
    gmtime_r(&t.tv_sec, &tm);
    const size_t n = strftime(out, GI_CLOCK_ISO8601_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, GI_CLOCK_ISO8601_BYTES - n, ".%03dZ", (int)(t.tv_nsec / 1000000));
}
