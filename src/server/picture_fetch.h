/**
 * @file
 * The pictures of one request that are named by URL: begun together while the request is admitted,
 * so that it waits in the line, held, and no thread waits for another server.
 *
 *     gi_picture_fetch_begin(fetcher, tenant, &fields, timeout_ms, on_ready, ctx, &f, &error);
 *     ... on_ready: all are there, or have failed ...
 *     gi_picture_fetch_take(f, request_id, pictures, &error);
 *     gi_picture_fetch_end(f);        // at any time
 */
#ifndef GI_SERVER_PICTURE_FETCH_H
#define GI_SERVER_PICTURE_FETCH_H

#include "fetch/fetcher.h"
#include "server/fields.h"

typedef struct gi_picture_fetch gi_picture_fetch;

/**
 * Begin to fetch those of a request's pictures that are named by URL; there must be one.
 *
 * @param fetcher    NULL: this server fetches nothing.
 * @param fields     its pictures, and whether it may use and leave kept ones.
 * @param on_ready   called once, by any thread, this one included, unless gi_picture_fetch_end
 *                   comes first. Must not block.
 * @param ret        the caller ends it; untouched on failure.
 * @return false with `error` set: no fetcher, or no memory. A URL that cannot be fetched is no
 *         failure here, so that it looks like one whose server does not answer.
 */
bool gi_picture_fetch_begin(gi_fetcher *fetcher, const char *tenant, const gi_infer_fields *fields,
                            double timeout_ms, void (*on_ready)(void *ctx), void *ctx,
                            gi_picture_fetch **ret, gi_api_error *error);

/**
 * After on_ready: put the fetched bytes in the place of the URLs in pictures[n]; they live until
 * gi_picture_fetch_end. The reasons of failures go to the log, under the request's id.
 * @return false with `error` set; one and the same for all that a client or his URL may be at fault
 *         for.
 */
bool gi_picture_fetch_take(const gi_picture_fetch *f, const char *request_id,
                           gi_field_picture *pictures, gi_api_error *error);

/** Time from begin until all were there, or until now, in milliseconds. */
double gi_picture_fetch_ms(gi_picture_fetch *f);

/** Give up what is under way and let go of the files. When it returns, on_ready is over or will
 * never be called. NULL is fine. */
void gi_picture_fetch_end(gi_picture_fetch *f);

#endif
