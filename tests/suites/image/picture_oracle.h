/*
 * What the outside picture suites come with: a verdict of Pillow per file, and our list of
 * files where glint knowingly differs.
 */
#ifndef TESTS_PICTURE_ORACLE_H
#define TESTS_PICTURE_ORACLE_H

#include "../../unit/cm.h"

#include <stdbool.h>

enum { ORACLE_TEXT_BYTES = 512, ORACLE_HASH_BYTES = 17 };

typedef enum oracle_says { ORACLE_DECODE, ORACLE_HEADER_ONLY, ORACLE_REJECT } oracle_says;

/* A line of a suite's ORACLE.tsv. */
typedef struct oracle_row {
    char path[ORACLE_TEXT_BYTES]; /* "suite/file" */
    oracle_says says;
    uint32_t width, height;       /* 0 when rejected */
    char mode[8];                 /* Pillow's: "RGB", "P", ... */
    char hash[ORACLE_HASH_BYTES]; /* SHA-256 of the RGBA bytes, first 16 digits; "-" without */
} oracle_row;

/* How glint differs from Pillow, in known_differences.tsv. */
typedef enum difference {
    DIFFERS_NOT,
    DIFFERS_REFUSED,
    DIFFERS_ACCEPTED,
    DIFFERS_PIXELS
} difference;

/* Calls back with each row of SUITE/ORACLE.tsv; returns how many there were. */
size_t oracle_each(const char *suite, void (*on_row)(void *ctx, const oracle_row *row), void *ctx);

/* The listed difference of a file; remembers that it was asked for. */
difference oracle_listed(const char *path);

/* Listed files that nothing asked about: returns how many, after printing them. */
size_t oracle_unused(void);

/* Contents of a file of the suites; the caller gi_free()s. */
uint8_t *oracle_read(const char *path, size_t *ret_n_bytes);

/* First 16 hexadecimal digits of the SHA-256 of the picture as RGBA, alpha 255 if it has none. */
void oracle_hash(const uint8_t *pixels, size_t n_pixels, uint32_t channels,
                 char ret[ORACLE_HASH_BYTES]);

#endif
