/*
 * Helpers of the golden tests; see golden.h.
 */
#include "golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STAGES_MAX = 32 };

static struct {
    const char *stage;
    double worst;
    int n;
} notes[STAGES_MAX];

double golden_error(const float *a, const float *b, size_t n) {
    double diff = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(a[i])) return HUGE_VAL;
        diff = fmax(diff, fabs((double)a[i] - (double)b[i]));
        size = fmax(size, fabs((double)b[i]));
    }
    return size > 0 ? diff / size : diff;
}

const char *golden_path(const char *relative) {
    static char path[4096];
    const char *root = getenv("GLINT_SOURCE_ROOT");
    snprintf(path, sizeof path, "%s/%s", root ? root : ".", relative);
    return path;
}

const gi_st_tensor *golden_tensor(const gi_safetensors *st, const char *name, const char *dtype) {
    const gi_st_tensor *t = gi_safetensors_find(st, name);
    if (!t) fail_msg("golden tensor %s is missing", name);
    assert_string_equal(t->dtype, dtype);
    assert_int_equal((uintptr_t)t->data % 4, 0);
    return t;
}

const float *golden_f32(const gi_safetensors *st, const char *name, size_t *ret_n) {
    const gi_st_tensor *t = golden_tensor(st, name, "F32");
    if (ret_n) *ret_n = (size_t)t->n_bytes / 4;
    return t->data;
}

const int32_t *golden_i32(const gi_safetensors *st, const char *name, size_t *ret_n) {
    const gi_st_tensor *t = golden_tensor(st, name, "I32");
    if (ret_n) *ret_n = (size_t)t->n_bytes / 4;
    return t->data;
}

void golden_note(const char *stage, double error) {
    for (int i = 0; i < STAGES_MAX; i++) {
        if (notes[i].stage && strcmp(notes[i].stage, stage) != 0) continue;
        notes[i].stage = stage;
        notes[i].worst = fmax(notes[i].worst, error);
        notes[i].n++;
        return;
    }
}

void golden_print_notes(void) {
    for (int i = 0; i < STAGES_MAX && notes[i].stage; i++)
        print_message("golden: %-22s largest error %.2e over %d tensors\n", notes[i].stage,
                      notes[i].worst, notes[i].n);
}
