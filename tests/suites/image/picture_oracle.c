/*
 * Reading the oracles; see picture_oracle.h.
 */
#include "picture_oracle.h"

#include "base/alloc.h"
#include "base/filemap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LISTED_MAX = 128, COLUMNS = 10 };

typedef struct listed {
    char path[ORACLE_TEXT_BYTES];
    difference how;
    bool is_used;
} listed;

static listed list[LISTED_MAX];
static size_t n_listed;

static gi_buf read_text(const char *folder, const char *path) {
    char full[2 * ORACLE_TEXT_BYTES];
    gi_buf text;
    snprintf(full, sizeof full, "%s/%s", folder, path);
    gi_buf_init(&text, (size_t)32 << 20);
    if (gi_file_read(full, &text, NULL) != GLINT_OK) fail_msg("cannot read %s", full);
    return text;
}

uint8_t *oracle_read(const char *path, size_t *ret_n_bytes) {
    gi_buf text = read_text(getenv("GLINT_SUITES"), path);
    return gi_buf_take(&text, ret_n_bytes);
}

/* Cut a line at its tabs; returns how many columns there were. */
static size_t split(char *line, char *columns[COLUMNS]) {
    size_t n = 0;
    for (char *at = line; at && n < COLUMNS; n++) {
        columns[n] = at;
        at = strchr(at, '\t');
        if (at) *at++ = '\0';
    }
    return n;
}

/* The next line of a text, zero-terminated in place; NULL at the end. */
static char *next_line(char **at) {
    char *line = *at;
    if (!line || !*line) return NULL;
    char *end = strchr(line, '\n');
    if (end) *end++ = '\0';
    *at = end;
    return line;
}

static oracle_row parse_row(const char *suite, char *columns[COLUMNS]) {
    oracle_row row = {0};
    snprintf(row.path, sizeof row.path, "%s/%s", suite, columns[0]);
    row.says = !strcmp(columns[3], "decode")   ? ORACLE_DECODE
               : !strcmp(columns[3], "reject") ? ORACLE_REJECT
                                               : ORACLE_HEADER_ONLY;
    if (columns[4][0] != '-') {
        char *end = NULL;
        row.width = (uint32_t)strtoul(columns[4], &end, 10);
        row.height = (uint32_t)strtoul(end + 1, NULL, 10);
    }
    snprintf(row.mode, sizeof row.mode, "%s", columns[5]);
    snprintf(row.hash, sizeof row.hash, "%s", columns[6]);
    return row;
}

size_t oracle_each(const char *suite, void (*on_row)(void *ctx, const oracle_row *row), void *ctx) {
    char path[ORACLE_TEXT_BYTES], *columns[COLUMNS];
    snprintf(path, sizeof path, "%s/ORACLE.tsv", suite);
    gi_buf text = read_text(getenv("GLINT_SUITES"), path);
    char *at = (char *)text.data;
    size_t n = 0;
    for (char *line; (line = next_line(&at));) {
        if (line[0] == '#') continue;
        assert_int_equal(split(line, columns), COLUMNS);
        const oracle_row row = parse_row(suite, columns);
        on_row(ctx, &row);
        n++;
    }
    gi_buf_done(&text);
    return n;
}

static void load_list(void) {
    char *columns[COLUMNS];
    gi_buf text =
        read_text(getenv("GLINT_SOURCE_ROOT"), "tests/suites/image/known_differences.tsv");
    char *at = (char *)text.data;
    for (char *line; (line = next_line(&at));) {
        if (line[0] == '#' || line[0] == '\0') continue;
        assert_int_equal(split(line, columns), 3); /* how, path, reason */
        assert_true(n_listed < LISTED_MAX && strlen(columns[2]) > 10);
        listed *l = &list[n_listed++];
        snprintf(l->path, sizeof l->path, "%s", columns[1]);
        l->how = !strcmp(columns[0], "refused")    ? DIFFERS_REFUSED
                 : !strcmp(columns[0], "accepted") ? DIFFERS_ACCEPTED
                 : !strcmp(columns[0], "pixels")   ? DIFFERS_PIXELS
                                                   : DIFFERS_NOT;
        assert_int_not_equal(l->how, DIFFERS_NOT);
    }
    gi_buf_done(&text);
}

difference oracle_listed(const char *path) {
    if (n_listed == 0) load_list();
    for (size_t i = 0; i < n_listed; i++) {
        if (strcmp(list[i].path, path) != 0) continue;
        list[i].is_used = true;
        return list[i].how;
    }
    return DIFFERS_NOT;
}

size_t oracle_unused(void) {
    size_t n = 0;
    for (size_t i = 0; i < n_listed; i++) {
        if (list[i].is_used) continue;
        print_error("known_differences.tsv: %s is in no suite\n", list[i].path);
        n++;
    }
    return n;
}

/* SHA-256, FIPS 180-4. */
typedef struct sha256 {
    uint32_t h[8];
    uint8_t block[64];
    uint64_t n_bytes;
} sha256;

static uint32_t rotate(uint32_t x, int n) {
    return x >> n | x << (32 - n);
}

static void sha256_block(sha256 *s) {
    static const uint32_t K[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
        0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
        0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
        0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
        0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
        0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
        0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
        0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
        0xc67178f2};
    uint32_t w[64], v[8];
    for (int i = 0; i < 16; i++) {
        const uint8_t *p = s->block + (size_t)4 * (size_t)i;
        w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    }
    for (int i = 16; i < 64; i++) {
        const uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[i - 7] +
               (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
    }
    memcpy(v, s->h, sizeof v);
    for (int i = 0; i < 64; i++) {
        const uint32_t t1 = v[7] + (rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25)) +
                            ((v[4] & v[5]) ^ (~v[4] & v[6])) + K[i] + w[i];
        const uint32_t t2 = (rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22)) +
                            ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof v[0]);
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++) s->h[i] += v[i];
}

static void sha256_add(sha256 *s, uint8_t byte) {
    s->block[s->n_bytes++ % 64] = byte;
    if (s->n_bytes % 64 == 0) sha256_block(s);
}

void oracle_hash(const uint8_t *pixels, size_t n_pixels, uint32_t channels,
                 char ret[ORACLE_HASH_BYTES]) {
    sha256 s = {.h = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c,
                      0x1f83d9ab, 0x5be0cd19}};
    for (size_t i = 0; i < n_pixels; i++, pixels += channels) {
        for (int c = 0; c < 3; c++) sha256_add(&s, pixels[c]);
        sha256_add(&s, channels == 4 ? pixels[3] : 255);
    }
    const uint64_t n_bits = s.n_bytes * 8;
    sha256_add(&s, 0x80);
    while (s.n_bytes % 64 != 56) sha256_add(&s, 0);
    for (int i = 7; i >= 0; i--) sha256_add(&s, (uint8_t)(n_bits >> (8 * i)));
    snprintf(ret, ORACLE_HASH_BYTES, "%08x%08x", s.h[0], s.h[1]);
}
