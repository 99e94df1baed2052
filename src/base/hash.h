/**
 * @file
 * Hashes for tables in memory; they may change with any version and are never stored. A table that
 * strangers fill takes a random seed, so that they cannot choose what falls together; these hashes
 * are no cryptography, so it must stay bounded all the same.
 */
#ifndef GI_BASE_HASH_H
#define GI_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/** Finalizer of MurmurHash3 (Austin Appleby, public domain): every bit depends on every bit. */
static inline uint64_t gi_hash_u64(uint64_t x) {
    x ^= x >> 33;
    x *= 0xFF51AFD7ED558CCDu;
    x ^= x >> 33;
    x *= 0xC4CEB9FE1A85EC53u;
    return x ^ x >> 33;
}

/** Eight bytes at a time through gi_hash_u64. */
static inline uint64_t gi_hash_bytes(uint64_t seed, const void *bytes, size_t n_bytes) {
    const uint8_t *at = bytes;
    uint64_t h = seed ^ n_bytes;
    while (n_bytes > 0) {
        uint64_t word = 0;
        const size_t n = n_bytes < 8 ? n_bytes : 8;
        memcpy(&word, at, n);
        h = gi_hash_u64(h ^ word);
        at += n;
        n_bytes -= n;
    }
    return h;
}

/** The same of a zero-terminated name. */
static inline uint64_t gi_hash_name(uint64_t seed, const char *name) {
    return gi_hash_bytes(seed, name, strlen(name));
}

#endif
