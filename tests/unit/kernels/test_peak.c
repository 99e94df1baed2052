/*
 * The ceiling loops really do all their work: their sums have closed forms, so a multiplication
 * that the compiler folded away or a byte that was not read would show.
 */
#include "../cm.h"

#include "base/alloc.h"
#include "kernels/peak/peak.h"
#include "kernels/x86/cpu.h"

#include <string.h>

/* What `run` returns after n rounds (two lanes of the sum of all chains). */
static double expected(const gi_peak *p, double n) {
    const double lanes = 2, chains_f32 = 12, starts = 66;              /* 0 + 1 + ... + 11 */
    if (strncmp(p->key, "f32", 3) == 0) return lanes * chains_f32 * 2; /* x = x / 2 + 1 */
    if (strcmp(p->key, "s8_avx2") == 0) return lanes * (15 + 6 * n * 4 * 3 * -5);
    if (strcmp(p->key, "s8_avx512vnni") == 0) return lanes * (starts + 12 * n * 4 * 3 * -5);
    return lanes * (starts + 12 * n * 2 * 0.5 * 0.00390625);
}

static void test_arithmetic(void **state) {
    const unsigned cpu = gi_cpu_flags();
    for (size_t i = 0; i < GI_PEAKS_N; i++) {
        const gi_peak *p = &gi_peaks[i];
        if ((p->cpu & cpu) != p->cpu) {
            print_message("not on this processor: %s\n", p->name);
            continue;
        }
        assert_true(p->run(1000) == expected(p, 1000));
        assert_true(p->run(4096) == expected(p, 4096));
    }
}

static void test_read(void **state) {
    enum { BYTES = GI_PEAK_READ_STEP_BYTES * 37 };
    uint64_t *words = gi_alloc_aligned(BYTES / 8, sizeof *words);
    assert_non_null(words);
    uint64_t sum = 0, x = 88172645463325252u;
    for (size_t i = 0; i < BYTES / 8; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        words[i] = x;
        sum += x;
    }
    const unsigned cpu = gi_cpu_flags();
    for (size_t i = 0; i < GI_PEAK_READINGS_N; i++) {
        const gi_peak_reading *r = &gi_peak_readings[i];
        if ((r->cpu & cpu) != r->cpu) {
            print_message("not on this processor: %s\n", r->name);
            continue;
        }
        assert_true(r->run(words, BYTES) == sum);
        assert_true(r->run(words, GI_PEAK_READ_STEP_BYTES) != sum);
        assert_true(r->run(words, 0) == 0);
    }
    gi_free(words);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arithmetic),
        cmocka_unit_test(test_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
