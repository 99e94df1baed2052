/*
 * Marks and base64: what makes one picture into as many as there are requests.
 */
#include "bench_serve_pictures.h"

#include <stdio.h>
#include <string.h>

enum {
    SOI_BYTES = 2,
    IHDR_END = 33,  /* signature, length, kind, 13 bytes, checksum */
    JPEG_TEXT = 24, /* SOI, FF FE, length: 6 bytes and these are 30 */
    PNG_TEXT = 22,  /* IHDR_END + 12 of the chunk + 8 of its keyword and these are 75 */
    PNG_CHUNK_BYTES = 12,
    PNG_KEYWORD_BYTES = 8,
};

static const char PNG_KEYWORD[PNG_KEYWORD_BYTES] = "Comment"; /* and its zero */

bool gi_load_mark_cut(const uint8_t *file, size_t n_bytes, size_t *ret_cut, bool *ret_is_png) {
    static const uint8_t png[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n', 0, 0, 0, 13};
    if (n_bytes > SOI_BYTES && file[0] == 0xff && file[1] == 0xd8 && file[2] == 0xff) {
        *ret_cut = SOI_BYTES;
        *ret_is_png = false;
        return true;
    }
    if (n_bytes <= IHDR_END || memcmp(file, png, sizeof png) != 0) return false;
    *ret_cut = IHDR_END;
    *ret_is_png = true;
    return true;
}

/* CRC-32 of PNG (RFC 2083, section 15), bit by bit: 34 bytes a request. */
static uint32_t crc32_of(const uint8_t *bytes, size_t n) {
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

static void put_u32(uint8_t *out, uint32_t v) {
    for (int i = 0; i < 4; i++) out[i] = (uint8_t)(v >> (24 - 8 * i));
}

size_t gi_load_mark_head(const uint8_t *file, bool is_png, uint64_t serial,
                         uint8_t out[GI_LOAD_MARK_BYTES_MAX]) {
    char text[64];
    if (!is_png) {
        snprintf(text, sizeof text, "glint load %013llx", (unsigned long long)serial);
        const uint8_t begin[] = {0xff, 0xd8, 0xff, 0xfe, 0, JPEG_TEXT + 2};
        memcpy(out, begin, sizeof begin);
        memcpy(out + sizeof begin, text, JPEG_TEXT);
        return sizeof begin + JPEG_TEXT;
    }
    snprintf(text, sizeof text, "glint load %011llx", (unsigned long long)serial);
    uint8_t *chunk = out + IHDR_END;
    memcpy(out, file, IHDR_END);
    put_u32(chunk, PNG_KEYWORD_BYTES + PNG_TEXT);
    memcpy(chunk + 4, "tEXt", 4);
    memcpy(chunk + 8, PNG_KEYWORD, PNG_KEYWORD_BYTES);
    memcpy(chunk + 8 + PNG_KEYWORD_BYTES, text, PNG_TEXT);
    put_u32(chunk + 8 + PNG_KEYWORD_BYTES + PNG_TEXT,
            crc32_of(chunk + 4, 4 + PNG_KEYWORD_BYTES + PNG_TEXT));
    return IHDR_END + PNG_CHUNK_BYTES + PNG_KEYWORD_BYTES + PNG_TEXT;
}

void gi_load_base64(const uint8_t *bytes, size_t n, char *out) {
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        const size_t left = n - i;
        const uint32_t v = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                           (left > 2 ? bytes[i + 2] : 0);
        *out++ = letters[v >> 18];
        *out++ = letters[v >> 12 & 63];
        *out++ = left > 1 ? letters[v >> 6 & 63] : '=';
        *out++ = left > 2 ? letters[v & 63] : '=';
    }
}
