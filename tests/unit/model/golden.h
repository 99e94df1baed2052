/*
 * Reading tests/golden and comparing with it.
 */
#ifndef TESTS_GOLDEN_H
#define TESTS_GOLDEN_H

#include "../cm.h"

#include "model/safetensors.h"

/* Error of a against golden b as tests/golden/README.md defines it: max |a - b| / max |b|. */
double golden_error(const float *a, const float *b, size_t n);

/* Absolute path of a file under the source tree; the buffer is static, one call at a time. */
const char *golden_path(const char *relative);

/* The tensor `name` of an open file with the given dtype; fails the test when it is not there. */
const gi_st_tensor *golden_tensor(const gi_safetensors *st, const char *name, const char *dtype);

/* Its values, aligned for use. */
const float *golden_f32(const gi_safetensors *st, const char *name, size_t *ret_n);
const int32_t *golden_i32(const gi_safetensors *st, const char *name, size_t *ret_n);

/* Remembers the largest error of a stage over all cases and prints them at the end. */
void golden_note(const char *stage, double error);
void golden_print_notes(void);

#endif
