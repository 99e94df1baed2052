/*
 * Reads what the loaders have read already, so the files are in the system's cache. Weights are
 * sampled where they are mapped, and their pages given back as the loader does.
 */
#include "engine/fingerprint.h"

#include "base/filemap.h"

#include <string.h>

enum { SAMPLE_BYTES = 4096 };

static glint_status hash_files(gi_sha256 *h, const char *dir, glint_error *err) {
    for (size_t i = 0; i < GI_CHECKPOINT_FILES_N; i++) {
        char path[GI_PATH_BYTES];
        gi_filemap map;
        GI_TRY(gi_path_join(path, sizeof path, dir, gi_checkpoint_files[i], err));
        const bool is_there = gi_file_exists(path);
        gi_sha256_u64(h, is_there);
        if (!is_there) continue;
        GI_TRY(gi_filemap_open(path, &map, err));
        gi_sha256_bytes(h, map.data, map.size_bytes);
        gi_filemap_close(&map);
    }
    return GLINT_OK;
}

static void hash_tensor(gi_sha256 *h, const gi_st_tensor *t) {
    const uint8_t *data = t->data;
    const size_t n = t->n_bytes < SAMPLE_BYTES ? (size_t)t->n_bytes : SAMPLE_BYTES;
    const size_t half = (size_t)(t->n_bytes / 2);
    gi_sha256_bytes(h, t->name, strlen(t->name));
    gi_sha256_bytes(h, t->dtype, strlen(t->dtype));
    gi_sha256_u64(h, t->n_dims);
    for (size_t i = 0; i < t->n_dims; i++) gi_sha256_u64(h, t->shape[i]);
    gi_sha256_u64(h, t->n_bytes);
    gi_sha256_bytes(h, data, n);
    gi_sha256_bytes(h, data + half, t->n_bytes - half < n ? (size_t)t->n_bytes - half : n);
}

static void hash_weights(gi_sha256 *h, const gi_checkpoint *ckpt) {
    gi_sha256_u64(h, ckpt->sizes.n_files);
    for (size_t i = 0; i < ckpt->sizes.n_files; i++) {
        const gi_safetensors *file = &ckpt->files[i];
        gi_sha256_u64(h, file->n_tensors);
        for (size_t t = 0; t < file->n_tensors; t++) hash_tensor(h, &file->tensors[t]);
        gi_filemap_drop_pages(&file->map);
    }
}

static void hash_settings(gi_sha256 *h, const glint_engine *e, const glint_engine_options *o) {
    const gi_device_cpu_options cpu = gi_engine_cpu_options(
        e->ckpt, o, GI_ENGINE_PREFILL_TOKENS, (size_t)e->info.context_tokens_max, e->patches_max);
    gi_sha256_u64(h, cpu.vision_format);
    gi_sha256_u64(h, cpu.text_format);
    gi_sha256_u64(h, cpu.kv_format);
    gi_sha256_bytes(h, e->dev->description, strlen(e->dev->description));
    gi_sha256_u64(h, (uint64_t)e->info.context_tokens_max);
    gi_sha256_u64(h, e->max_side_px);
}

glint_status gi_engine_fingerprint(const glint_engine *e, const glint_engine_options *o,
                                   gi_digest *ret, glint_error *err) {
    gi_sha256 h;
    GI_TRY(gi_sha256_init(&h, err));
    gi_sha256_begin(&h, "glint engine 2");
    gi_sha256_bytes(&h, GLINT_VERSION, strlen(GLINT_VERSION));
    glint_status st = hash_files(&h, o->model_dir, err);
    if (st == GLINT_OK) {
        hash_weights(&h, e->ckpt);
        hash_settings(&h, e, o);
        st = gi_sha256_end(&h, ret, err);
    }
    gi_sha256_done(&h);
    return st;
}
