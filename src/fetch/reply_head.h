/**
 * @file
 * What matters of an HTTP reply's header fields: where a redirect leads, and how long and under
 * which validators the body may be kept (RFC 9111, read as a shared cache reads it).
 */
#ifndef GI_FETCH_REPLY_HEAD_H
#define GI_FETCH_REPLY_HEAD_H

#include "fetch/url.h"

/** All header bytes of one transfer, interim replies included. */
#define GI_REPLY_HEAD_BYTES_MAX 65536

/** Longest validators that are kept. */
#define GI_REPLY_ETAG_BYTES 256
#define GI_REPLY_DATE_BYTES 64

/** What lets a kept body be asked for again. Empty strings when there is none. */
typedef struct gi_validators {
    char etag[GI_REPLY_ETAG_BYTES];
    char last_modified[GI_REPLY_DATE_BYTES];
} gi_validators;

/** Zero-initialised before the first line. */
typedef struct gi_reply_head {
    size_t n_bytes; /**< header bytes so far */
    unsigned n_location;
    size_t location_n;
    char location[GI_URL_BYTES_MAX + 1];
    gi_validators validators;
    bool no_store; /**< must not be kept: no-store, private, or Vary: * */
    bool no_cache; /**< may be kept, but asked about each time */
    bool has_max_age, has_shared_max_age;
    int64_t max_age_s, shared_max_age_s, age_s;
} gi_reply_head;

/**
 * Take one header line, with or without its line end. A status line begins a new reply and forgets
 * the one before.
 * @return false when the reply must be given up: too many bytes, a folded line, or a transfer
 * coding other than chunked.
 */
bool gi_reply_head_line(gi_reply_head *h, const char *line, size_t n);

/** Whether the body may be kept at all, and then for how many seconds without asking (0..86400). */
bool gi_reply_head_may_keep(const gi_reply_head *h, int64_t *ret_fresh_s);

#endif
