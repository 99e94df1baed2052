/**
 * @file
 * The requests of a load: which picture and which question the i-th has, and its bytes. Only what
 * differs from the last request of the same picture is made anew; the picture itself is sent from
 * where it lies.
 */
#ifndef APPS_GLINT_BENCH_SERVE_BODY_H
#define APPS_GLINT_BENCH_SERVE_BODY_H

#include "bench_serve_answer.h"
#include "bench_serve_pictures.h"

#include <stdint.h>

/** What the requests of a load have in common and where they differ. */
typedef struct gi_load_recipe {
    gi_load_api api;
    bool form; /**< multipart/form-data, else JSON */
    const gi_load_pictures *pictures;
    const char *question; /**< JSON string with its quotes: for pictures without one of their own */
    const char *task, *model; /**< glint's task; OpenAI's model */
    int64_t max_tokens;       /**< 0 = the server's */
    int64_t timeout_ms;       /**< 0 = none; glint's form only */
    bool stream;
    bool no_cache;     /**< tell the server to use no cache */
    bool vary;         /**< every picture gets a mark of its own */
    bool same_picture; /**< the first picture always, with a question of its own each time */
    bool same_request; /**< the first picture with its question always */
    uint64_t serial;   /**< of the first mark; below 2^43 */
} gi_load_recipe;

/** One request's body: head, picture and foot, sent in this order. */
typedef struct gi_load_body {
    gi_buf head, foot;
    const gi_load_picture *picture;
    const uint8_t *middle; /**< [n_middle] of the picture */
    size_t n_middle;
    size_t at; /**< bytes sent */
} gi_load_body;

/** The Content-Type header line of a recipe's bodies. */
const char *gi_load_body_type(const gi_load_recipe *r);

/** The path of a recipe's requests. */
const char *gi_load_body_path(const gi_load_recipe *r);

/** An empty body; allocates nothing. */
void gi_load_body_init(gi_load_body *b);

/** Make the body of request number `i`; keeps memory. GLINT_ERR_MEMORY, GLINT_ERR_LIMIT. */
glint_status gi_load_body_make(gi_load_body *b, const gi_load_recipe *r, uint64_t i,
                               glint_error *err);

/** Bytes of the whole body. */
size_t gi_load_body_bytes(const gi_load_body *b);

/** Copy the next at most n bytes; returns how many; 0 at the end. */
size_t gi_load_body_read(gi_load_body *b, void *out, size_t n);

/** Free. */
void gi_load_body_done(gi_load_body *b);

#endif
