/**
 * @file
 * Hashes for the tables built from tokenizer.json. Keys come from the checkpoint, lookups from
 * users; tables are never filled with what a user sends, so no secret seed is needed.
 */
#ifndef GI_TEXT_HASH_H
#define GI_TEXT_HASH_H

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
static inline uint64_t gi_hash_bytes(const uint8_t *bytes, size_t n_bytes) {
    uint64_t h = n_bytes;
    while (n_bytes > 0) {
        uint64_t word = 0;
        const size_t n = n_bytes < 8 ? n_bytes : 8;
        memcpy(&word, bytes, n);
        h = gi_hash_u64(h ^ word);
        bytes += n;
        n_bytes -= n;
    }
    return h;
}

#endif
