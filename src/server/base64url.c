/*
 * Tokens are short, so this is the plain form: a character at a time into an accumulator. What
 * passes here is secret at times; nothing branches on a value but the refusal.
 */
#include "server/base64url.h"

static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* 0..63, or -1. */
static int value_of(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '-') return 62;
    return c == '_' ? 63 : -1;
}

bool gi_base64url_decode(const char *s, size_t n, uint8_t *out, size_t *ret_n) {
    uint32_t bits = 0;
    unsigned n_bits = 0;
    size_t n_out = 0;
    if (n % 4 == 1) return false;
    for (size_t i = 0; i < n; i++) {
        const int v = value_of(s[i]);
        if (v < 0) return false;
        bits = (bits << 6 | (uint32_t)v) & 0x3FFFu;
        n_bits += 6;
        if (n_bits < 8) continue;
        n_bits -= 8;
        out[n_out++] = (uint8_t)(bits >> n_bits);
    }
    if ((bits & ((1u << n_bits) - 1)) != 0) return false;
    *ret_n = n_out;
    return true;
}

void gi_base64url_encode(const uint8_t *bytes, size_t n, char *out) {
    uint32_t bits = 0;
    unsigned n_bits = 0;
    for (size_t i = 0; i < n; i++) {
        bits = (bits << 8 | bytes[i]) & 0x3FFFu;
        for (n_bits += 8; n_bits >= 6; n_bits -= 6) *out++ = ALPHABET[bits >> (n_bits - 6) & 63];
    }
    if (n_bits > 0) *out++ = ALPHABET[bits << (6 - n_bits) & 63];
    *out = '\0';
}
