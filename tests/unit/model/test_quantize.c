/*
 * glint quantize: a packed checkpoint computes the same bits as packing at load, and everything
 * that must not be overwritten or misread is refused.
 */
#include "golden.h"
#include "tiny_checkpoint.h"

#include "base/json.h"
#include "engine/job.h"
#include "model/quantize.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct reports {
    size_t n, n_int8, n_panels;
    uint64_t done, total;
    double worst;
} reports;

static void take_report(void *ctx, const gi_quantize_report *r, uint64_t done, uint64_t total) {
    reports *t = ctx;
    t->n++;
    t->n_int8 += strcmp(r->format, "int8") == 0;
    t->n_panels += strcmp(r->format, "bf16 panels") == 0;
    t->worst = r->worst_row_error > t->worst ? r->worst_row_error : t->worst;
    assert_true(r->relative_error <= r->worst_row_error);
    if (strcmp(r->format, "bf16 panels") == 0) assert_true(r->worst_row_error < 4e-3);
    assert_true(done >= t->done && done <= total);
    t->done = done;
    t->total = total;
}

static const gi_quantize_options AS_USUAL = {0};

static void make_dir(char dir[64]) {
    snprintf(dir, 64, "/tmp/glint-quantize-XXXXXX");
    assert_non_null(mkdtemp(dir));
}

static void remove_file(const char *dir, const char *name) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    unlink(path);
}

static void remove_dir(const char *dir) {
    for (size_t i = 0; i < GI_CHECKPOINT_FILES_N; i++) remove_file(dir, gi_checkpoint_files[i]);
    remove_file(dir, "model.safetensors");
    remove_file(dir, "model.safetensors.part");
    assert_int_equal(rmdir(dir), 0);
}

/* Logits of the first answer token; the caller frees the engine. */
static glint_engine *first_logits(const char *dir, glint_dtype dtype) {
    glint_engine *e = NULL;
    glint_error err = {0};
    glint_job *job = NULL;
    gi_buf picture;
    gi_buf_init(&picture, 1 << 20);
    assert_int_equal(
        gi_file_read(golden_path("tests/golden/default/listing_150.png"), &picture, &err),
        GLINT_OK);
    const glint_engine_options o = {
        .model_dir = dir, .dtype = dtype, .context_tokens_max = 256, .max_side_px = 280};
    if (glint_engine_open(&o, &e, &err) != GLINT_OK) fail_msg("%s", err.message);
    const glint_image image = {.bytes = picture.data, .n_bytes = picture.len};
    const glint_request r = {
        .images = &image, .n_images = 1, .task = "ask", .prompt = "What is this?"};
    if (glint_job_create(e, &r, &job, &err) != GLINT_OK) fail_msg("%s", err.message);
    assert_int_equal(gi_job_begin(job, &err), GLINT_OK);
    gi_job_end(job);
    glint_job_free(job);
    gi_buf_done(&picture);
    return e;
}

/* What is packed beforehand gives the logits of what is packed when it is loaded, to the bit. */
static void check_packed(const char *model, bool is_vision_int8) {
    char src[4096], dir[64];
    glint_error err = {0};
    reports t = {0};
    const gi_quantize_options options = {
        .is_vision_int8 = is_vision_int8, .progress = take_report, .ctx = &t};
    snprintf(src, sizeof src, "%s", golden_path(model));
    make_dir(dir);
    if (gi_quantize(src, dir, &options, &err) != GLINT_OK) fail_msg("%s", err.message);
    assert_int_equal(t.done, t.total);
    assert_true(t.n_int8 > 10 && t.n > t.n_int8 + t.n_panels);
    assert_true(is_vision_int8 ? t.n_panels == 0 : t.n_panels > 10);
    assert_true(t.worst < 0.05);
    glint_engine *plain =
        first_logits(src, is_vision_int8 ? GLINT_DTYPE_INT8_ALL : GLINT_DTYPE_INT8);
    glint_engine *packed = first_logits(dir, GLINT_DTYPE_AUTO);
    assert_memory_equal(gi_engine_logits(plain, 0), gi_engine_logits(packed, 0),
                        (size_t)plain->info.vocab_size * sizeof(float));
    glint_engine_close(plain);
    glint_engine_close(packed);
    remove_dir(dir);
}

static void packed_equals_packing_at_load(void **state) {
    (void)state;
    for (int is_vision_int8 = 0; is_vision_int8 < 2; is_vision_int8++) {
        check_packed("models/default", is_vision_int8);
        check_packed("tests/golden/tiny/model", is_vision_int8);
    }
}

static void refuses_to_overwrite(void **state) {
    (void)state;
    char src[4096], dir[64];
    glint_error err = {0};
    snprintf(src, sizeof src, "%s", golden_path("tests/golden/tiny/model"));
    make_dir(dir);
    assert_int_equal(gi_quantize(src, src, &AS_USUAL, &err), GLINT_ERR_ARG);
    assert_non_null(strstr(err.message, "same directory"));
    assert_int_equal(gi_quantize("/nonexistent", dir, &AS_USUAL, &err), GLINT_ERR_IO);
    assert_int_equal(gi_quantize(src, "/nonexistent/x", &AS_USUAL, &err), GLINT_ERR_IO);
    assert_int_equal(gi_quantize(src, dir, &AS_USUAL, &err), GLINT_OK);
    assert_int_equal(gi_quantize(src, dir, &AS_USUAL, &err), GLINT_ERR_ARG);
    assert_non_null(strstr(err.message, "already"));
    char again[64];
    make_dir(again);
    assert_int_equal(gi_quantize(dir, again, &AS_USUAL, &err), GLINT_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "packed already"));
    remove_dir(again);
    remove_dir(dir);
}

static void packed_checkpoint_is_read_as_what_it_is(void **state) {
    (void)state;
    char src[4096], dir[64], path[256];
    glint_error err = {0};
    glint_engine *e = NULL;
    snprintf(src, sizeof src, "%s", golden_path("tests/golden/tiny/model"));
    make_dir(dir);
    assert_int_equal(gi_quantize(src, dir, &AS_USUAL, &err), GLINT_OK);
    const glint_dtype others[] = {GLINT_DTYPE_F32, GLINT_DTYPE_BF16};
    for (size_t i = 0; i < 2; i++) {
        const glint_engine_options o = {.model_dir = dir, .dtype = others[i]};
        assert_int_equal(glint_engine_open(&o, &e, &err), GLINT_ERR_UNSUPPORTED);
        assert_non_null(strstr(err.message, "packed"));
    }
    /* A scale tensor of another name: the panels then have none, and it belongs to nothing. */
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    FILE *f = fopen(path, "r+be");
    assert_non_null(f);
    static char bytes[1 << 16];
    const size_t n = fread(bytes, 1, sizeof bytes, f);
    char *at = memmem(bytes, n, ".scales", 7);
    assert_non_null(at);
    assert_int_equal(fseek(f, at - bytes, SEEK_SET), 0);
    assert_int_equal(fwrite(".scalez", 1, 7, f), 7);
    fclose(f);
    const glint_engine_options o = {.model_dir = dir};
    assert_int_equal(glint_engine_open(&o, &e, &err), GLINT_ERR_FORMAT);
    assert_non_null(strstr(err.message, ".scales\" is missing"));
    remove_dir(dir);
}

/* The picture settings may lie in the file of all processors: the copy must hold that one too. */
static void every_settings_file_is_copied(void **state) {
    (void)state;
    char *src = tiny_dir_create(), dir[64], json[512];
    glint_error err = {0};
    gi_checkpoint *ckpt = NULL;
    tiny_model m;
    tiny_model_init(&m);
    tiny_write_shard(src, "model.safetensors", &m, 0, m.n);
    tiny_write_settings(src);
    remove_file(src, "preprocessor_config.json");
    snprintf(json, sizeof json, "{\"image_processor\":%s}", TINY_PREPROCESSOR);
    tiny_write_text(src, "processor_config.json", json);
    make_dir(dir);
    if (gi_quantize(src, dir, &AS_USUAL, &err) != GLINT_OK) fail_msg("%s", err.message);
    if (gi_checkpoint_open(dir, &ckpt, &err) != GLINT_OK) fail_msg("%s", err.message);
    assert_true(gi_checkpoint_is_int8(ckpt));
    gi_checkpoint_close(ckpt);
    remove_dir(dir);
    tiny_dir_remove(src);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packed_equals_packing_at_load),
        cmocka_unit_test(refuses_to_overwrite),
        cmocka_unit_test(packed_checkpoint_is_read_as_what_it_is),
        cmocka_unit_test(every_settings_file_is_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
