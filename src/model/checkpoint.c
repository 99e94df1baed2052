/*
 * Opens a checkpoint directory: settings, files, index. What the tensors are called and which
 * shapes they have is bind.c's matter; here only files and index are held against each other.
 */
#include "model/checkpoint.h"

#include "base/alloc.h"
#include "base/json.h"
#include "model/bind.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    FILES_MAX = 1000,
    FILE_NAME_BYTES_MAX = 200,
    INDEX_BYTES_MAX = 8 * 1024 * 1024,
    ARENA_BYTES_MAX = 64 * 1024 * 1024,
};

const char *const gi_checkpoint_files[GI_CHECKPOINT_FILES_N] = {
    "config.json",    "generation_config.json", "preprocessor_config.json", "processor_config.json",
    "tokenizer.json", "tokenizer_config.json",  "chat_template.jinja",
};

/* ---- the tensors of all files ---- */

static glint_status out_of_memory(const gi_binder *b) {
    return gi_fail(b->err, GLINT_ERR_MEMORY, "%s: no memory to open the checkpoint", b->dir);
}

static int by_tensor_name(const void *a, const void *b) {
    return strcmp(((const gi_bind_slot *)a)->tensor->name, ((const gi_bind_slot *)b)->tensor->name);
}

static glint_status collect_slots(gi_binder *b) {
    gi_checkpoint *k = b->ckpt;
    size_t n = 0;
    for (size_t i = 0; i < k->sizes.n_files; i++) n += k->files[i].n_tensors;
    if (n > GI_ST_TENSORS_MAX)
        return gi_fail(b->err, GLINT_ERR_LIMIT, "%s: %zu tensors, more than %d", b->dir, n,
                       GI_ST_TENSORS_MAX);
    b->slots = gi_calloc(n, sizeof *b->slots);
    if (!b->slots) return out_of_memory(b);
    for (size_t i = 0; i < k->sizes.n_files; i++)
        for (size_t j = 0; j < k->files[i].n_tensors; j++)
            b->slots[b->n_slots++] = (gi_bind_slot){.tensor = &k->files[i].tensors[j], .file = i};
    if (n) qsort(b->slots, n, sizeof *b->slots, by_tensor_name);
    for (size_t i = 1; i < n; i++)
        if (by_tensor_name(&b->slots[i - 1], &b->slots[i]) == 0)
            return gi_fail(b->err, GLINT_ERR_FORMAT, "%s: tensor \"%.100s\" is also in %s",
                           b->file_names[b->slots[i].file], b->slots[i].tensor->name,
                           b->file_names[b->slots[i - 1].file]);
    return GLINT_OK;
}

/* ---- opening files ---- */

/* A shard's name must stay in the directory. */
static bool is_plain_name(const char *name) {
    const size_t n = strlen(name);
    return n > 0 && n <= FILE_NAME_BYTES_MAX && name[0] != '.' && !strchr(name, '/');
}

static glint_status open_file(gi_binder *b, const char *name) {
    gi_checkpoint *k = b->ckpt;
    char path[GI_PATH_BYTES];
    GI_TRY(gi_path_join(path, sizeof path, b->dir, name, b->err));
    const char *copy = gi_arena_strndup(&k->arena, name, strlen(name));
    if (!copy) return out_of_memory(b);
    GI_TRY(gi_safetensors_open(path, &k->files[k->sizes.n_files], b->err));
    b->file_names[k->sizes.n_files++] = copy;
    return GLINT_OK;
}

static glint_status alloc_files(gi_binder *b, size_t n) {
    b->ckpt->files = gi_arena_alloc(&b->ckpt->arena, n, sizeof *b->ckpt->files);
    b->file_names = gi_arena_alloc(&b->ckpt->arena, n, sizeof *b->file_names);
    return b->ckpt->files && b->file_names ? GLINT_OK : out_of_memory(b);
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The different file names of a weight map, sorted, into names[ret_n]. */
static glint_status list_shards(const gi_binder *b, const char *what, const json_t *map,
                                const char **names, size_t *ret_n) {
    const char *key;
    json_t *value;
    size_t n = 0;
    json_object_foreach((json_t *)(uintptr_t)map, key, value) {
        const char *name = json_string_value(value);
        if (!name || !is_plain_name(name))
            return gi_fail(b->err, GLINT_ERR_FORMAT,
                           "%s: weight_map: \"%.100s\" must name a file of this directory", what,
                           key);
        names[n++] = name;
    }
    qsort(names, n, sizeof names[0], by_text);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (i == 0 || strcmp(names[kept - 1], names[i]) != 0) names[kept++] = names[i];
    if (kept > FILES_MAX)
        return gi_fail(b->err, GLINT_ERR_LIMIT, "%s: weight_map names %zu files, more than %d",
                       what, kept, FILES_MAX);
    *ret_n = kept;
    return GLINT_OK;
}

/* Each tensor must lie where the index says, and the index must know each tensor. */
static glint_status check_index(const gi_binder *b, const char *what, const json_t *map) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)map, key, value) {
        const gi_bind_slot *s = gi_bind_find(b, key);
        if (!s || strcmp(b->file_names[s->file], json_string_value(value)) != 0)
            return gi_fail(b->err, GLINT_ERR_FORMAT, "%s: places \"%.100s\" in %s, found it %s",
                           what, key, json_string_value(value),
                           s ? b->file_names[s->file] : "nowhere");
    }
    for (size_t i = 0; i < b->n_slots; i++)
        if (!json_object_get(map, b->slots[i].tensor->name))
            return gi_fail(b->err, GLINT_ERR_FORMAT, "%s: does not list \"%.100s\" of %s", what,
                           b->slots[i].tensor->name, b->file_names[b->slots[i].file]);
    return GLINT_OK;
}

static glint_status open_shards(gi_binder *b, const char *index_path) {
    static const char what[] = "model.safetensors.index.json";
    json_t *index = NULL;
    const char **names = NULL;
    const json_t *map = NULL;
    size_t n = 0;
    glint_status st;
    GI_TRY_DONE(gi_json_load(index_path, INDEX_BYTES_MAX, &index, b->err));
    GI_TRY_DONE(gi_json_get_object(index, what, "weight_map", true, &map, b->err));
    names = gi_calloc(json_object_size(map), sizeof *names);
    if (!names) {
        st = out_of_memory(b);
        goto done;
    }
    GI_TRY_DONE(list_shards(b, what, map, names, &n));
    GI_TRY_DONE(alloc_files(b, n));
    for (size_t i = 0; i < n; i++) GI_TRY_DONE(open_file(b, names[i]));
    GI_TRY_DONE(collect_slots(b));
    GI_TRY_DONE(check_index(b, what, map));
done:
    gi_free(names);
    json_decref(index);
    return st;
}

/* Like transformers: model.safetensors when there is one, else the index and its shards. */
static glint_status open_files(gi_binder *b) {
    char single[GI_PATH_BYTES], index[GI_PATH_BYTES];
    GI_TRY(gi_path_join(single, sizeof single, b->dir, "model.safetensors", b->err));
    GI_TRY(gi_path_join(index, sizeof index, b->dir, "model.safetensors.index.json", b->err));
    if (gi_file_exists(single)) {
        GI_TRY(alloc_files(b, 1));
        GI_TRY(open_file(b, "model.safetensors"));
        return collect_slots(b);
    }
    if (gi_file_exists(index)) return open_shards(b, index);
    return gi_fail(b->err, GLINT_ERR_IO,
                   "%s: neither model.safetensors nor model.safetensors.index.json is there",
                   b->dir);
}

static glint_status open_checkpoint(gi_binder *b) {
    GI_TRY(gi_config_load(b->dir, &b->ckpt->config, b->err));
    GI_TRY(open_files(b));
    return gi_bind_weights(b);
}

glint_status gi_checkpoint_open(const char *dir, gi_checkpoint **ret, glint_error *err) {
    gi_checkpoint *k = gi_calloc(1, sizeof *k);
    if (!k) return gi_fail(err, GLINT_ERR_MEMORY, "%s: no memory to open the checkpoint", dir);
    gi_arena_init(&k->arena, ARENA_BYTES_MAX);
    gi_binder b = {.dir = dir, .ckpt = k, .err = err};
    const glint_status st = open_checkpoint(&b);
    gi_free(b.slots);
    if (st != GLINT_OK) {
        gi_checkpoint_close(k);
        return st;
    }
    *ret = k;
    return GLINT_OK;
}

static bool is_int8(const gi_weight *w) {
    return w->panels && w->panels_dtype == GI_DTYPE_S8;
}

bool gi_checkpoint_is_int8(const gi_checkpoint *ckpt) {
    return is_int8(&ckpt->text.layers[0].down_w);
}

bool gi_checkpoint_is_vision_int8(const gi_checkpoint *ckpt) {
    return is_int8(&ckpt->vision.blocks[0].down_w);
}

void gi_checkpoint_drop_pages(const gi_checkpoint *ckpt) {
    for (size_t i = 0; i < ckpt->sizes.n_files; i++) gi_filemap_drop_pages(&ckpt->files[i].map);
}

void gi_checkpoint_close(gi_checkpoint *ckpt) {
    if (!ckpt) return;
    for (size_t i = 0; i < ckpt->sizes.n_files; i++) gi_safetensors_close(&ckpt->files[i]);
    gi_arena_done(&ckpt->arena);
    gi_free(ckpt);
}
