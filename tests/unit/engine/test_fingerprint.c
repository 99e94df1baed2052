/*
 * src/engine/fingerprint: what changes answers changes it, what does not leaves it alone. Checked
 * on copies of the tiny checkpoint with one thing changed in each.
 */
#include "engine_rig.h"

#include "base/filemap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FINGERPRINT_BYTES = 65, FILE_BYTES_MAX = 64 << 20 };

static const char *const FILES[] = {"config.json",
                                    "generation_config.json",
                                    "preprocessor_config.json",
                                    "tokenizer.json",
                                    "tokenizer_config.json",
                                    "chat_template.jinja",
                                    "model.safetensors.index.json",
                                    "model-00001-of-00001.safetensors"};
enum { N_FILES = sizeof FILES / sizeof FILES[0], N_SETTINGS = 6, WEIGHTS = 7 };

static char dir[] = "/tmp/glint-fingerprint-XXXXXX";
static char original[FINGERPRINT_BYTES];

static const char *path_of(const char *name) {
    static char path[GI_PATH_BYTES];
    assert_int_equal(gi_path_join(path, sizeof path, dir, name, NULL), GLINT_OK);
    return path;
}

static void read_file(const char *path, gi_buf *ret) {
    gi_buf_init(ret, FILE_BYTES_MAX);
    assert_int_equal(gi_file_read(path, ret, NULL), GLINT_OK);
}

static void write_file(const char *name, const gi_buf *b) {
    FILE *f = fopen(path_of(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(b->data, 1, b->len, f), b->len);
    assert_int_equal(fclose(f), 0);
}

static void copy_file(const char *name) {
    char source[GI_PATH_BYTES];
    gi_buf b;
    snprintf(source, sizeof source, "%s/%s", rig_path(RIG_TINY), name);
    read_file(source, &b);
    write_file(name, &b);
    gi_buf_done(&b);
}

static void fingerprint_of(glint_engine_options o, char ret[FINGERPRINT_BYTES]) {
    glint_engine *e = NULL;
    glint_error err = {0};
    if (!o.model_dir) o.model_dir = dir;
    if (!o.n_threads) o.n_threads = 1;
    if (glint_engine_open(&o, &e, &err) != GLINT_OK) fail_msg("%s", err.message);
    glint_tasks *tasks = glint_engine_tasks(e);
    const char *text = glint_tasks_fingerprint(tasks);
    assert_int_equal(strlen(text), FINGERPRINT_BYTES - 1);
    assert_int_equal(strspn(text, "0123456789abcdef"), FINGERPRINT_BYTES - 1);
    memcpy(ret, text, FINGERPRINT_BYTES);
    glint_tasks_unref(tasks);
    glint_engine_close(e);
}

static bool is_original(glint_engine_options o) {
    char now[FINGERPRINT_BYTES];
    fingerprint_of(o, now);
    return memcmp(now, original, sizeof now) == 0;
}

static int setup(void **state) {
    (void)state;
    if (!mkdtemp(dir)) return -1;
    for (size_t i = 0; i < N_FILES; i++) copy_file(FILES[i]);
    fingerprint_of((glint_engine_options){0}, original);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    for (size_t i = 0; i < N_FILES; i++) unlink(path_of(FILES[i]));
    rmdir(dir);
    rig_done();
    return 0;
}

static void the_same_wherever_it_lies(void **state) {
    (void)state;
    assert_true(is_original((glint_engine_options){0}));
    assert_true(is_original((glint_engine_options){.model_dir = rig_path(RIG_TINY)}));
    assert_false(is_original((glint_engine_options){.model_dir = rig_path(RIG_DEFAULT)}));
}

/* A space behind a file changes nothing but its bytes; what it means is not for this to judge. */
static void every_settings_file_counts(void **state) {
    (void)state;
    for (size_t i = 0; i < N_SETTINGS; i++) {
        gi_buf b;
        read_file(path_of(FILES[i]), &b);
        assert_int_equal(gi_buf_puts(&b, " ", NULL), GLINT_OK);
        write_file(FILES[i], &b);
        gi_buf_done(&b);
        if (is_original((glint_engine_options){0})) fail_msg("%s does not count", FILES[i]);
        copy_file(FILES[i]);
    }
    assert_int_equal(unlink(path_of("generation_config.json")), 0);
    assert_false(is_original((glint_engine_options){0}));
    copy_file("generation_config.json");
    assert_true(is_original((glint_engine_options){0}));
}

/* The embedding, 65152 bytes, comes first: its beginning and its middle. */
static void weights_count(void **state) {
    (void)state;
    gi_buf b;
    read_file(path_of(FILES[WEIGHTS]), &b);
    uint64_t header;
    memcpy(&header, b.data, sizeof header);
    const size_t begin = 8 + (size_t)header, at[] = {begin + 4095, begin + 65152 / 2 + 4095};
    for (size_t i = 0; i < 2; i++) {
        b.data[at[i]] ^= 1;
        write_file(FILES[WEIGHTS], &b);
        if (is_original((glint_engine_options){0})) fail_msg("byte %zu does not count", at[i]);
        b.data[at[i]] ^= 1;
    }
    gi_buf_done(&b);
    copy_file(FILES[WEIGHTS]);
    assert_true(is_original((glint_engine_options){0}));
}

static void options_count(void **state) {
    (void)state;
    const glint_engine_options rows[] = {
        {.n_threads = 2},
        {.dtype = GLINT_DTYPE_F32},
        {.dtype = GLINT_DTYPE_INT8},
        {.dtype = GLINT_DTYPE_INT8_ALL},
        {.kv_dtype = GLINT_DTYPE_INT8},
        {.cpu_mask = "ref"},
        {.context_tokens_max = 512},
        {.max_side_px = 512},
        {.template_dir = rig_path("templates/instruct")},
    };
    enum { N = sizeof rows / sizeof rows[0] };
    char seen[N][FINGERPRINT_BYTES];
    for (size_t i = 0; i < N; i++) {
        fingerprint_of(rows[i], seen[i]);
        assert_memory_not_equal(seen[i], original, FINGERPRINT_BYTES);
        for (size_t j = 0; j < i; j++) assert_memory_not_equal(seen[i], seen[j], FINGERPRINT_BYTES);
    }
    /* The same said in other words. */
    assert_true(is_original((glint_engine_options){
        .dtype = GLINT_DTYPE_BF16, .kv_dtype = GLINT_DTYPE_BF16, .max_side_px = 1024}));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_wherever_it_lies),
        cmocka_unit_test(every_settings_file_counts),
        cmocka_unit_test(weights_count),
        cmocka_unit_test(options_count),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
