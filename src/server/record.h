/**
 * @file
 * What happened to one request: gathered on its way, read by the audit log and by the metrics when
 * its answer is complete. Part of the request (gi_http_record); whoever works on the request may
 * write to it.
 */
#ifndef GI_SERVER_RECORD_H
#define GI_SERVER_RECORD_H

#include <glint/glint.h>

#include "base/sha256.h"
#include "server/api_error.h"
#include "server/traceparent.h"

/** Room for a task's name and for a verdict. Longer verdicts are cut. */
#define GI_RECORD_TASK_BYTES    65
#define GI_RECORD_VERDICT_BYTES 65

/** A status in logs only: the client left before its answer. */
#define GI_RECORD_CLIENT_GONE 499

/** A picture or a text, in place of its content. */
typedef struct gi_record_digest {
    gi_digest sha256; /**< of the salt and the bytes */
    size_t n_bytes;
} gi_record_digest;

typedef struct gi_record {
    /* The HTTP layer's. */
    const char *method; /**< constant; "other" when it is none that is known */
    const char *route;  /**< constant; "-" when there is none */
    gi_trace trace;
    int status;       /**< of the answer, or GI_RECORD_CLIENT_GONE */
    gi_api_code code; /**< GI_API_OK where there was no error, or nobody to tell */
    double total_ms;  /**< from the headers to the answer */
    size_t body_bytes;

    /* Of those that ask the model. */
    bool is_inference;
    char task[GI_RECORD_TASK_BYTES]; /**< "" for a conversation, or before it is known */
    bool is_stream;
    gi_record_digest pictures[GLINT_IMAGES_MAX];
    size_t n_pictures;
    gi_record_digest prompt;
    bool has_digests;      /**< pictures and prompt are set */
    char *prompt_text;     /**< redacted, any bytes; owned; NULL = not wanted */
    size_t n_prompt_bytes; /**< of prompt_text */
    double queue_ms, fetch_ms;
    bool has_waited; /**< these count: it was answered, or was in the line until it ended */

    /* Of those that it answered. */
    bool has_result;
    bool is_kept; /**< the answer was kept from an earlier request */
    glint_finish finish;
    glint_usage usage; /**< of all its answers together, the prompt counted once */
    glint_timing timing;
    char verdict[GI_RECORD_VERDICT_BYTES]; /**< of an audit, else "" */
    double confidence;
} gi_record;

/** Free what it owns. */
void gi_record_done(gi_record *r);

/** Parts of a request's time. The first two are the server's, the others the model's. */
#define GI_RECORD_STAGES        7
#define GI_RECORD_STAGES_SERVER 2

/** Their names, in answers, audit lines and metrics. */
extern const char *const gi_record_stage_names[GI_RECORD_STAGES];

/** Milliseconds of each stage. */
void gi_record_stages(double queue_ms, double fetch_ms, const glint_timing *timing,
                      double ret_ms[GI_RECORD_STAGES]);

#endif
