/*
 * Helpers of the engine tests; see engine_rig.h.
 */
#include "engine_rig.h"

#include "base/buf.h"
#include "base/filemap.h"
#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char RIG_SAMPLE_PROMPT[] =
    "商品标题：特效药根治糖尿病！\n"
    "请判断该商品是否存在违规内容，包括但不限于违禁品展示、虚假宣传等。";
const char RIG_SAMPLE_ANSWER[] = "{\"result\":\"reject\",\"reasons\":["
                                 "\"图像中出现疑似处方药包装，属于平台禁售品类\","
                                 "\"标题声称“特效药根治糖尿病”违反广告法相关规定\"]}";

enum { FILES_MAX = 32, FILE_BYTES_MAX = 1 << 24 };

static struct {
    char name[256];
    gi_buf bytes;
} files[FILES_MAX];
static size_t n_files;

const char *rig_path(const char *relative) {
    static char paths[8][4096];
    static size_t next;
    char *path = paths[next++ % 8];
    const char *root = getenv("GLINT_SOURCE_ROOT");
    snprintf(path, sizeof paths[0], "%s/%s", root ? root : ".", relative);
    return path;
}

glint_image rig_image(const char *relative) {
    size_t i = 0;
    while (i < n_files && strcmp(files[i].name, relative) != 0) i++;
    if (i == n_files) {
        glint_error err = {0};
        assert_true(n_files < FILES_MAX);
        n_files++;
        snprintf(files[i].name, sizeof files[i].name, "%s", relative);
        gi_buf_init(&files[i].bytes, FILE_BYTES_MAX);
        if (gi_file_read(rig_path(relative), &files[i].bytes, &err)) fail_msg("%s", err.message);
    }
    return (glint_image){.bytes = files[i].bytes.data, .n_bytes = files[i].bytes.len};
}

void rig_done(void) {
    for (size_t i = 0; i < n_files; i++) gi_buf_done(&files[i].bytes);
    n_files = 0;
}

glint_engine *rig_open(const char *model_dir, glint_engine_options options) {
    glint_engine *engine = NULL;
    glint_error err = {0};
    options.model_dir = rig_path(model_dir);
    if (glint_engine_open(&options, &engine, &err)) fail_msg("%s: %s", model_dir, err.message);
    return engine;
}

glint_job *rig_create(glint_engine *engine, const glint_request *request) {
    glint_job *job = NULL;
    glint_error err = {0};
    if (glint_job_create(engine, request, &job, &err)) fail_msg("%s", err.message);
    return job;
}

static bool take_piece(void *ctx, const char *piece, size_t n_bytes) {
    rig_answer *a = ctx;
    size_t bad = 0;
    assert_true(n_bytes > 0 && a->n_streamed_bytes + n_bytes < sizeof a->streamed);
    if (!gi_utf8_is_valid((const uint8_t *)piece, n_bytes, &bad))
        fail_msg("piece %d is not whole UTF-8 characters at byte %zu", a->n_pieces, bad);
    memcpy(a->streamed + a->n_streamed_bytes, piece, n_bytes);
    a->n_streamed_bytes += n_bytes;
    return ++a->n_pieces != a->stop_at_piece;
}

void rig_run(glint_job *job, rig_answer *ret) {
    const int stop_at_piece = ret->stop_at_piece;
    memset(ret, 0, sizeof *ret);
    ret->stop_at_piece = stop_at_piece;
    ret->status = glint_job_run(job, take_piece, ret, &ret->err);
    const glint_result *r = glint_job_result(job);
    assert_true(r->n_text_bytes < sizeof ret->text && strlen(r->text) <= r->n_text_bytes);
    memcpy(ret->text, r->text, r->n_text_bytes);
    ret->n_text_bytes = r->n_text_bytes;
    ret->has_data = r->data_json != NULL;
    if (r->data_json) snprintf(ret->data, sizeof ret->data, "%s", r->data_json);
    ret->confidence = r->confidence;
    ret->finish = r->finish;
    ret->usage = r->usage;
    ret->timing = r->timing;
    glint_job_free(job);
    if (ret->status != GLINT_OK) return;
    assert_int_equal(ret->n_streamed_bytes, ret->n_text_bytes);
    assert_memory_equal(ret->streamed, ret->text, ret->n_text_bytes);
}

void rig_ask(glint_engine *engine, const glint_request *request, rig_answer *ret) {
    ret->stop_at_piece = 0;
    rig_run(rig_create(engine, request), ret);
    if (ret->status != GLINT_OK) fail_msg("%s", ret->err.message);
}

void rig_assert_same(const rig_answer *a, const rig_answer *b) {
    assert_int_equal(a->status, b->status);
    assert_string_equal(a->text, b->text);
    assert_int_equal(a->n_text_bytes, b->n_text_bytes);
    assert_int_equal(a->n_pieces, b->n_pieces);
    assert_string_equal(a->data, b->data);
    assert_memory_equal(&a->confidence, &b->confidence, sizeof a->confidence);
    assert_int_equal(a->finish, b->finish);
    assert_memory_equal(&a->usage, &b->usage, sizeof a->usage);
}
