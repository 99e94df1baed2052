/**
 * @file
 * Classes of characters without a locale. They take bytes (of either sign) and code points; what
 * is not ASCII belongs to no class.
 */
#ifndef GI_BASE_ASCII_H
#define GI_BASE_ASCII_H

#include <stdbool.h>

static inline bool gi_ascii_is_digit(int c) {
    return c >= '0' && c <= '9';
}

/** A-Z, a-z. */
static inline bool gi_ascii_is_alpha(int c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool gi_ascii_is_alnum(int c) {
    return gi_ascii_is_digit(c) || gi_ascii_is_alpha(c);
}

/** A-Z as a-z, others as they are. */
static inline char gi_ascii_lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/** 0..15 of a digit that is written small (0-9, a-f), or -1. */
static inline int gi_ascii_small_hex_value(int c) {
    if (gi_ascii_is_digit(c)) return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/** 0..15 of a hexadecimal digit of either case, or -1. */
static inline int gi_ascii_hex_value(int c) {
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : gi_ascii_small_hex_value(c);
}

#endif
