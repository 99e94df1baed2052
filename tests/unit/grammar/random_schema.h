/*
 * Random schemas of everything glint supports, the same for a seed.
 */
#ifndef TESTS_RANDOM_SCHEMA_H
#define TESTS_RANDOM_SCHEMA_H

#include "base/buf.h"

#include <stdint.h>

/* The next number of a seed's sequence. */
uint32_t random_next(uint64_t *io_seed);

/* Append a schema's text. */
void random_schema(uint64_t *io_seed, gi_buf *out);

#endif
