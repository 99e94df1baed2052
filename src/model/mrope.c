/*
 * Positions and angles. Angles are F32 products of an F32 frequency, as in the published code:
 * a double would be more exact and disagree with the weights' training.
 */
#include "model/mrope.h"

#include <math.h>

int32_t gi_mrope_positions(size_t n_tokens, const gi_mrope_image *images, size_t n_images,
                           int32_t *ret_pos) {
    int32_t *time = ret_pos, *row = ret_pos + n_tokens, *col = ret_pos + 2 * n_tokens;
    int32_t next = 0;
    size_t t = 0;
    for (size_t i = 0; i <= n_images; i++) {
        const size_t text_end = i < n_images ? images[i].first_token : n_tokens;
        for (; t < text_end; t++) time[t] = row[t] = col[t] = next++;
        if (i == n_images) break;
        for (size_t r = 0; r < images[i].rows; r++)
            for (size_t c = 0; c < images[i].cols; c++, t++) {
                time[t] = next;
                row[t] = next + (int32_t)r;
                col[t] = next + (int32_t)c;
            }
        next += (int32_t)(images[i].rows > images[i].cols ? images[i].rows : images[i].cols);
    }
    return next;
}

void gi_mrope_frequencies(const gi_text_config *cfg, float *ret) {
    for (size_t j = 0; j < cfg->rotary_dim / 2; j++)
        ret[j] = (float)(1.0 / pow(cfg->rope_theta, (double)(2 * j) / (double)cfg->rotary_dim));
}

void gi_mrope_angles(const gi_text_config *cfg, const float *freq, const int32_t pos[3], float *cos,
                     float *sin) {
    const size_t row_at = cfg->mrope_section[0], col_at = row_at + cfg->mrope_section[1];
    for (size_t j = 0; j < cfg->rotary_dim / 2; j++) {
        const float angle = (float)pos[j < row_at ? 0 : j < col_at ? 1 : 2] * freq[j];
        cos[j] = cosf(angle);
        sin[j] = sinf(angle);
    }
}

void gi_vision_angles(const gi_vision_config *cfg, size_t grid_h, size_t grid_w, float *cos,
                      float *sin) {
    const size_t quarter = cfg->head_dim / 4, m = cfg->merge, blocks_w = grid_w / m;
    for (size_t j = 0; j < quarter; j++) {
        const float freq = (float)(1.0 / pow(cfg->rope_theta, (double)j / (double)quarter));
        for (size_t p = 0; p < grid_h * grid_w; p++) {
            const size_t block = p / (m * m), inner = p % (m * m);
            const float row = (float)(block / blocks_w * m + inner / m) * freq;
            const float col = (float)(block % blocks_w * m + inner % m) * freq;
            cos[p * 2 * quarter + j] = cosf(row);
            sin[p * 2 * quarter + j] = sinf(row);
            cos[p * 2 * quarter + quarter + j] = cosf(col);
            sin[p * 2 * quarter + quarter + j] = sinf(col);
        }
    }
}
