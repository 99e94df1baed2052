/*
 * Any bytes through the whole picture funnel, in this process, under small limits: no crash, no
 * leak, no undefined behaviour (the sanitizers see to these), and what comes out is what the
 * limits and the model's rule allow. The second byte from the end chooses the limits.
 */
#include "base/fail.h"
#include "image/prepare.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    const gi_image_spec spec = {14, 2, 2, 1568, 100352, {0.5f, 0.5f, 0.5f}, {0.25f, 0.25f, 0.25f}};
    const uint32_t choice = n_bytes > 1 ? bytes[n_bytes - 2] : 0;
    gi_image_limits limits = gi_image_limits_default();
    limits.pixels_max = 1 << 20;
    limits.decode_bytes_max = choice & 1 ? (size_t)24 << 20 : 200000;
    limits.decode_cpu_ms_max = 10000;
    gi_patches p = {0};
    glint_error err = {0};
    const uint32_t max_side_px = 1 + (choice >> 1) * 4;
    const glint_status st =
        gi_image_prepare(bytes, n_bytes, &spec, &limits, max_side_px, NULL, &p, &err);
    if (st == GLINT_OK) {
        gi_assert(p.grid_w > 0 && p.grid_w % 2 == 0 && p.grid_h > 0 && p.grid_h % 2 == 0);
        gi_assert((uint64_t)p.source_w * p.source_h <= limits.pixels_max);
        const size_t n = (size_t)p.grid_w * p.grid_h * 588;
        for (size_t i = 0; i < n; i++) gi_assert(p.rows[i] >= -2.0f && p.rows[i] <= 2.0f);
    } else {
        gi_assert(st == GLINT_ERR_UNSUPPORTED || st == GLINT_ERR_FORMAT || st == GLINT_ERR_LIMIT ||
                  st == GLINT_ERR_MEMORY);
        gi_assert(err.code == st && err.message[0] != '\0');
    }
    gi_patches_done(&p);
    return 0;
}
