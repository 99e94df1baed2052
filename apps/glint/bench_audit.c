/*
 * One audit after the other through glint_job_create and glint_job_run, nothing kept in between.
 */
#include "bench_audit.h"

#include "base/clock.h"
#include "base/filemap.h"

enum { PICTURE_BYTES_MAX = 64 << 20 };

glint_status gi_bench_audit_init(gi_bench_audit *a, const char *path, glint_error *err) {
    *a = (gi_bench_audit){.path = path};
    gi_buf_init(&a->picture, PICTURE_BYTES_MAX);
    return gi_file_read(path, &a->picture, err);
}

void gi_bench_audit_done(gi_bench_audit *a) {
    gi_buf_done(&a->picture);
}

glint_status gi_bench_audit_run(gi_bench_audit *a, glint_engine *engine, bool warm_up,
                                glint_error *err) {
    const glint_image image = {.bytes = a->picture.data, .n_bytes = a->picture.len};
    const glint_request request = {.images = &image, .n_images = 1, .prompt = "", .task = "audit"};
    glint_job *job = NULL;
    const double start_ms = gi_clock_ms();
    GI_TRY(glint_job_create(engine, &request, &job, err));
    const glint_status st = glint_job_run(job, NULL, NULL, err);
    const double ms = gi_clock_ms() - start_ms;
    if (st == GLINT_OK) {
        a->timing = glint_job_result(job)->timing;
        a->usage = glint_job_result(job)->usage;
        if (!warm_up) gi_bench_series_push(&a->ms, ms);
    }
    glint_job_free(job);
    return st;
}

json_t *gi_bench_audit_json(const gi_bench_audit *a) {
    const glint_timing *t = &a->timing;
    json_t *timing = json_pack("{sf sf sf sf sf}", "decode_image", t->decode_image_ms, "preprocess",
                               t->preprocess_ms, "encode", t->encode_ms, "prefill", t->prefill_ms,
                               "decode", t->decode_ms);
    json_t *usage = json_pack("{si si si si}", "prompt_tokens", a->usage.prompt_tokens,
                              "image_tokens", a->usage.image_tokens, "completion_tokens",
                              a->usage.completion_tokens, "forced_tokens", a->usage.forced_tokens);
    return json_pack("{ss so so so}", "picture", a->path, "ms", gi_bench_series_json(&a->ms),
                     "usage", usage, "timing_ms", timing);
}
