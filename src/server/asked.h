/**
 * @file
 * What a request asks for: from its body to a glint_request. Holds what that borrows from until
 * all jobs of the request are made.
 *
 *     gi_asked_begin         the Content-Type, before the body is there
 *     gi_asked_read          JSON or form -> fields, turns
 *     gi_asked_digest_pictures
 *     gi_asked_decode        base64 -> pictures' bytes
 *     gi_asked_request       all of it, for glint_job_create
 */
#ifndef GI_SERVER_ASKED_H
#define GI_SERVER_ASKED_H

#include "base/sha256.h"
#include "server/chat_turns.h"
#include "server/http.h"

/** Zero-initialise. One thread at a time, but gi_asked_request. */
typedef struct gi_asked {
    const gi_field_table *table;
    bool is_form;
    char boundary[GI_MULTIPART_BOUNDARY_BYTES];
    gi_multipart_part parts[GI_MULTIPART_PARTS_MAX];
    gi_json_lifted json; /**< fields borrow from this and the body */
    gi_infer_fields fields;
    char *schema_json; /**< owned; NULL = none */
    size_t n_schema_bytes;
    gi_chat_turns turns;
    glint_image images[GLINT_IMAGES_MAX];
    void *decoded[GLINT_IMAGES_MAX]; /**< bytes of those that came as base64; owned */
} gi_asked;

/** False with `error` set when the Content-Type is none the table's route takes. */
bool gi_asked_begin(gi_asked *a, const gi_field_table *table, gi_http_request *http,
                    gi_api_error *error);

/** Read and check the body. */
bool gi_asked_read(gi_asked *a, gi_http_request *http, const gi_field_limits *limits,
                   gi_api_error *error);

/** Make the pictures' bytes. */
bool gi_asked_decode(gi_asked *a, gi_api_error *error);

/**
 * The request to the engine, but for task, tenant and timeout_ms. Borrows from `a`.
 * @param i_choice which of fields.n_choices answers this one is.
 */
glint_request gi_asked_request(const gi_asked *a, size_t i_choice, int vocab_size);

/** Takes the bytes of the i-th picture, which are there during the call. False: enough. */
typedef bool (*gi_asked_picture_fn)(void *ctx, size_t i, const void *bytes, size_t n_bytes);

/** Call fn with each picture, decoded for the call when gi_asked_decode has not done it. False when
 * one is no base64, without memory, or when fn says so. */
bool gi_asked_each_picture(const gi_asked *a, gi_asked_picture_fn fn, void *ctx);

/**
 * The digests of the bytes of all its pictures, so that the same picture is the same however it
 * came. Holds the bytes of one at a time. False when one is no base64, or without memory.
 */
bool gi_asked_digest_pictures(const gi_asked *a, gi_digest ret[GLINT_IMAGES_MAX]);

/** Free everything; fields must not be used any more. Again or when zeroed is fine. */
void gi_asked_done(gi_asked *a);

#endif
