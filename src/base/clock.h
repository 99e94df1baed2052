/**
 * @file
 * Time. Durations and deadlines come from the monotonic clock, dates from the real one.
 */
#ifndef GI_BASE_CLOCK_H
#define GI_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/** Nanoseconds of the monotonic clock; only differences mean anything. */
uint64_t gi_clock_ns(void);

/** The same in milliseconds with a fraction. */
double gi_clock_ms(void);

/** Room that gi_clock_iso8601 needs, in bytes. */
#define GI_CLOCK_ISO8601_BYTES 32

/** Write the present UTC time as 2026-01-31T12:34:56.789Z. */
void gi_clock_iso8601(char out[GI_CLOCK_ISO8601_BYTES]);

#endif
