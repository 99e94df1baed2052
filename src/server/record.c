/* A record lives in its request and dies with it. */
#include "server/record.h"

#include "base/alloc.h"

#include <string.h>

const char *const gi_record_stage_names[GI_RECORD_STAGES] = {
    "queue", "fetch", "decode_image", "preprocess", "encode", "prefill", "decode"};

void gi_record_stages(double queue_ms, double fetch_ms, const glint_timing *timing,
                      double ret_ms[GI_RECORD_STAGES]) {
    const double ms[GI_RECORD_STAGES] = {
        queue_ms,          fetch_ms,           timing->decode_image_ms, timing->preprocess_ms,
        timing->encode_ms, timing->prefill_ms, timing->decode_ms};
    memcpy(ret_ms, ms, sizeof ms);
}

void gi_record_done(gi_record *r) {
    gi_free(r->prompt_text);
    r->prompt_text = NULL;
}
