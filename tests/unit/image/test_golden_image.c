/*
 * src/image against what transformers and torchvision computed: sizes, resizes and whole
 * pictures, all equal to the bit.
 */
#include "../model/golden.h"

#include "base/alloc.h"
#include "base/filemap.h"
#include "base/json.h"
#include "image/fit.h"
#include "image/prepare.h"
#include "image/resample.h"
#include "model/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static gi_image_spec published_spec(void) {
    return (gi_image_spec){
        .patch_px = 14,
        .merge = 2,
        .temporal = 2,
        .pixels_min = 12544,
        .pixels_max = 9633792,
        .mean = {0.48145466f, 0.4578275f, 0.40821073f},
        .std = {0.26862954f, 0.26130258f, 0.27577711f},
    };
}

static void smart_resize_rows(void **state) {
    (void)state;
    gi_buf text;
    gi_buf_init(&text, 1 << 20);
    assert_int_equal(gi_file_read(golden_path("tests/golden/resize/smart_resize.csv"), &text, NULL),
                     GLINT_OK);
    size_t n_rows = 0, n_refused = 0;
    const char *line = strchr((const char *)text.data, '\n');
    for (; line && line[1]; line = strchr(line + 1, '\n')) {
        unsigned long v[6]; /* height, width, min, max, out height, out width */
        char *at = (char *)(uintptr_t)(line + 1);
        for (int i = 0; i < 6; i++, at++) v[i] = strtoul(at, &at, 10);
        gi_image_spec spec = published_spec();
        spec.pixels_min = v[2];
        spec.pixels_max = v[3];
        uint32_t w = 7, h = 7;
        const glint_status st =
            gi_image_smart_resize(&spec, (uint32_t)v[1], (uint32_t)v[0], &w, &h, NULL);
        if (v[4] == 0) {
            assert_int_equal(st, GLINT_ERR_LIMIT);
            assert_true(w == 7 && h == 7);
            n_refused++;
        } else if (st != GLINT_OK || h != v[4] || w != v[5]) {
            fail_msg("%lu x %lu in %lu..%lu: %u x %u instead of %lu x %lu", v[1], v[0], v[2], v[3],
                     w, h, v[5], v[4]);
        }
        n_rows++;
    }
    gi_buf_done(&text);
    print_message("golden: smart_resize: %zu rows equal, %zu of them refused\n", n_rows, n_refused);
    assert_true(n_rows == 500 && n_refused >= 4);
}

/* What torchvision makes of NN.in, met to the bit. */
static void resized_pictures(void **state) {
    (void)state;
    gi_safetensors st = {0};
    const char *path = golden_path("tests/golden/resize/pictures.safetensors");
    assert_int_equal(gi_safetensors_open(path, &st, NULL), GLINT_OK);
    size_t n = 0;
    for (;; n++) {
        char name[16];
        snprintf(name, sizeof name, "%02zu.in", n);
        const gi_st_tensor *in = gi_safetensors_find(&st, name);
        if (!in) break;
        snprintf(name, sizeof name, "%02zu.out", n);
        const gi_st_tensor *want = gi_safetensors_find(&st, name);
        assert_non_null(want);
        const gi_raster src = {(uint8_t *)(uintptr_t)in->data, (uint32_t)in->shape[1],
                               (uint32_t)in->shape[0], 3, 1};
        uint8_t *out = gi_alloc(want->n_bytes);
        assert_int_equal(
            gi_resample(&src, (uint32_t)want->shape[1], (uint32_t)want->shape[0], out, NULL),
            GLINT_OK);
        assert_memory_equal(out, want->data, want->n_bytes);
        gi_free(out);
    }
    gi_safetensors_close(&st);
    print_message("golden: resize: %zu pictures equal\n", n);
    assert_true(n >= 18);
}

/* Compare the patches of one picture, which are numbers `first`... of the case's. */
static size_t compare_patches(const gi_safetensors *st, const gi_patches *p, size_t first,
                              const char *what) {
    size_t n_rows, n_values;
    const int32_t *rows = golden_i32(st, "patch_rows", &n_rows);
    const float *want = golden_f32(st, "patches", &n_values);
    const size_t n = (size_t)p->grid_h * p->grid_w, width = n_values / n_rows;
    size_t n_compared = 0;
    assert_int_equal(width, 588);
    for (size_t i = 0; i < n_rows; i++) {
        const size_t row = (size_t)rows[i];
        if (row < first || row >= first + n) continue;
        if (memcmp(p->rows + (row - first) * width, want + i * width, width * sizeof *want) != 0) {
            fail_msg("%s: patch %zu differs", what, row - first);
        }
        n_compared++;
    }
    return n_compared;
}

static size_t compare_case(const char *folder, const gi_image_spec *spec, const json_t *c) {
    const gi_image_limits limits = gi_image_limits_default();
    const char *name = json_string_value(json_object_get(c, "name"));
    const json_t *pictures = json_object_get(c, "pictures");
    if (json_array_size(pictures) == 0) return 0;
    char path[512];
    gi_safetensors st = {0};
    snprintf(path, sizeof path, "tests/golden/%s/%s.safetensors", folder, name);
    assert_int_equal(gi_safetensors_open(golden_path(path), &st, NULL), GLINT_OK);
    size_t n_grid, first = 0, n_compared = 0;
    const int32_t *grid = golden_i32(&st, "grid_thw", &n_grid);
    assert_int_equal(n_grid, 3 * json_array_size(pictures));
    for (size_t i = 0; i < json_array_size(pictures); i++) {
        gi_filemap file;
        gi_patches p;
        glint_error err = {0};
        snprintf(path, sizeof path, "tests/golden/%s/%s", folder,
                 json_string_value(json_array_get(pictures, i)));
        assert_int_equal(gi_filemap_open(golden_path(path), &file, &err), GLINT_OK);
        if (gi_image_prepare(file.data, file.size_bytes, spec, &limits, limits.side_px_max, NULL,
                             &p, &err)) {
            fail_msg("%s: %s", path, err.message);
        }
        assert_int_equal(p.grid_h, grid[3 * i + 1]);
        assert_int_equal(p.grid_w, grid[3 * i + 2]);
        n_compared += compare_patches(&st, &p, first, path);
        first += (size_t)p.grid_h * p.grid_w;
        gi_patches_done(&p);
        gi_filemap_close(&file);
    }
    gi_safetensors_close(&st);
    return n_compared;
}

static void compare_folder(const char *folder) {
    char path[256];
    json_t *cases = NULL;
    gi_config config;
    snprintf(path, sizeof path, "tests/golden/%s/cases.json", folder);
    assert_int_equal(gi_json_load(golden_path(path), 1 << 20, &cases, NULL), GLINT_OK);
    const char *model = json_string_value(json_object_get(cases, "model"));
    assert_int_equal(gi_config_load(golden_path(model), &config, NULL), GLINT_OK);
    const json_t *list = json_object_get(cases, "cases");
    size_t n_patches = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        n_patches += compare_case(folder, &config.image, json_array_get(list, i));
    }
    json_decref(cases);
    print_message("golden: %s: %zu patches equal\n", folder, n_patches);
    assert_true(n_patches > 0);
}

static void whole_pictures(void **state) {
    (void)state;
    compare_folder("default");
    compare_folder("tiny");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(smart_resize_rows),
        cmocka_unit_test(resized_pictures),
        cmocka_unit_test(whole_pictures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
