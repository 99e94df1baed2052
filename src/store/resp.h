/**
 * @file
 * The part of Redis' protocol (RESP 2) that glint speaks: commands as arrays of length-prefixed
 * strings, so that no byte of a value can be taken for another command; replies without arrays,
 * since no command is sent that has one.
 * Reference: https://redis.io/docs/latest/develop/reference/protocol-spec/
 */
#ifndef GI_STORE_RESP_H
#define GI_STORE_RESP_H

#include "base/buf.h"

#include <stdbool.h>

/** Longest line of a reply: a status, an error, a number. */
#define GI_RESP_LINE_BYTES_MAX 1024

/** One string of a command. */
typedef struct gi_resp_arg {
    const void *bytes;
    size_t n;
} gi_resp_arg;

/** An argument out of a zero-terminated string. */
#define GI_RESP_TEXT(s) ((gi_resp_arg){(s), strlen(s)})

/** Append a command. GLINT_ERR_LIMIT, GLINT_ERR_MEMORY. */
glint_status gi_resp_command(gi_buf *out, const gi_resp_arg *args, size_t n, glint_error *err);

typedef enum gi_resp_type {
    GI_RESP_STATUS, /**< bytes: "OK" */
    GI_RESP_ERROR,  /**< bytes: "WRONGTYPE Operation against..." */
    GI_RESP_INT,    /**< integer */
    GI_RESP_BULK,   /**< bytes */
    GI_RESP_NIL,
} gi_resp_type;

/** A reply. `bytes` point to where it was read. */
typedef struct gi_resp_reply {
    gi_resp_type type;
    int64_t integer;
    const uint8_t *bytes;
    size_t n;
} gi_resp_reply;

typedef enum gi_resp_outcome {
    GI_RESP_DONE,
    GI_RESP_MORE, /**< so far so good; ret_n bytes are needed at least */
    GI_RESP_BAD,  /**< not the protocol, or longer than bulk_bytes_max */
} gi_resp_outcome;

/**
 * Read one reply from the beginning of data[n].
 * @param ret_n  DONE: bytes of the reply; MORE: bytes, from the beginning, that are needed.
 */
gi_resp_outcome gi_resp_read(const uint8_t *data, size_t n, size_t bulk_bytes_max,
                             gi_resp_reply *ret, size_t *ret_n);

/** True for the status "OK". */
bool gi_resp_is_ok(const gi_resp_reply *r);

#endif
