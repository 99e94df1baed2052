/**
 * @file
 * An input as a file, for readers that take a path.
 */
#ifndef FUZZ_BYTES_FILE_H
#define FUZZ_BYTES_FILE_H

#include <stddef.h>
#include <stdint.h>

/** A path under which these bytes, and no others, are read until the next call. */
const char *bytes_file(const uint8_t *bytes, size_t n_bytes);

#endif
