/*
 * Opening and closing an engine: files to device, every buffer sized once.
 */
#include "engine/engine.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "base/cpus.h"
#include "base/filemap.h"
#include "base/json.h"
#include "base/size.h"
#include "base/workers.h"
#include "engine/engine_stats.h"
#include "engine/fingerprint.h"
#include "engine/picture_shelf.h"
#include "engine/task_set.h"
#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

/* Compiled schemas that came with requests, their masks included. */
static const size_t SCHEMA_CACHE_BYTES = (size_t)32 << 20;

enum {
    MAX_SIDE_DEFAULT_PX = 1024,
    CONTEXT_DEFAULT_TOKENS = 8192,
    KV_DEFAULT_TOKENS = 1024, /* for each of several jobs */
    CACHE_DEFAULT_MIB = 64,
    TEMPLATE_BYTES_MAX = 1 << 20,
};

const char *glint_version(void) {
    return GLINT_VERSION;
}

const glint_engine_info *glint_engine_get_info(const glint_engine *engine) {
    return &engine->info;
}

gi_engine_stats gi_engine_get_stats(const glint_engine *engine) {
    gi_engine_stats stats = {.pictures = gi_cache_get_stats(engine->picture_cache)};
    if (engine->pictures) stats.decoding = gi_decoder_get_stats(engine->pictures);
    return stats;
}

bool gi_engine_is_eos(const glint_engine *engine, int32_t id) {
    const gi_config *c = &engine->ckpt->config;
    for (size_t i = 0; i < c->n_eos; i++)
        if (c->eos[i] == id) return true;
    return false;
}

/*
 * The most patches smart_resize can give a picture whose longest side is at most max_side_px,
 * unless that would make its shorter side less than one merge block (a strip of aspect 200).
 */
static size_t most_patches(const gi_config *cfg, uint32_t max_side_px) {
    const gi_image_spec *s = &cfg->image;
    const double block = (double)s->patch_px * s->merge, per_block = (double)s->merge * s->merge;
    const double side = floor((double)max_side_px / block + 0.5);
    const double square = fmax(side, 1) * fmax(side, 1);
    const double strip = 201;
    /* The smallest allowed area, scaled up to from anything, each side rounded up. */
    const double min_area = (double)s->pixels_min / s->temporal / (block * block);
    const double smallest = min_area + (sqrt(min_area * 200) + sqrt(min_area / 200)) + 1;
    const double largest = floor((double)s->pixels_max / s->temporal / (block * block));
    const double n = fmin(fmax(fmax(square, strip), smallest), fmax(largest, 1));
    return (size_t)(n * per_block);
}

void gi_engine_sizes(const gi_config *cfg, glint_dtype dtype, glint_dtype kv_dtype,
                     size_t kv_tokens, uint32_t max_side_px, uint64_t *ret_kv_bytes,
                     uint64_t *ret_scratch_bytes) {
    const gi_text_config *t = &cfg->text;
    const gi_vision_config *v = &cfg->vision;
    const uint64_t p = most_patches(cfg, max_side_px ? max_side_px : MAX_SIDE_DEFAULT_PX);
    const uint64_t n = p / (v->merge * v->merge), c = t->hidden;
    const uint64_t qkv = (t->n_heads + 2 * t->n_kv_heads) * t->head_dim;
    /* F32 on the reference path; else values in whole panels, and for INT8 a scale each. */
    const bool is_f32 = dtype == GLINT_DTYPE_F32, is_s8 = kv_dtype == GLINT_DTYPE_INT8;
    const uint64_t elems =
        t->head_dim + (is_f32 ? t->head_dim : gi_round_up(t->head_dim, GI_TILE_N));
    const uint64_t head_bytes = is_f32  ? elems * sizeof(float)
                                : is_s8 ? elems + 2 * sizeof(float)
                                        : elems * sizeof(uint16_t);
    *ret_kv_bytes = t->n_layers * t->n_kv_heads * head_bytes * kv_tokens;
    const uint64_t vision_floats =
        p * (v->patch * v->patch * v->in_channels + 7 * v->hidden + v->block_ffn) +
        n * (2 * c + v->merger_ffn);
    const uint64_t text_floats =
        GI_ENGINE_PREFILL_TOKENS * (3 * c + qkv + t->n_heads * t->head_dim + t->ffn) + 2 * t->vocab;
    *ret_scratch_bytes = (vision_floats + text_floats) * sizeof(float);
}

static void progress(const glint_engine_options *o, double fraction, const char *what) {
    if (o->on_progress) o->on_progress(o->progress_ctx, fraction, what);
}

static glint_status check_options(const glint_engine_options *o, glint_error *err) {
    if (!o->model_dir || !*o->model_dir)
        return gi_fail(err, GLINT_ERR_ARG, "no model directory given");
    if (o->n_threads < 0 || o->n_threads > GI_WORKERS_MAX)
        return gi_fail(err, GLINT_ERR_ARG, "threads must be 1 to %d, not %d", GI_WORKERS_MAX,
                       o->n_threads);
    if (o->sequences_max < 0 || o->sequences_max > GI_ENGINE_SEQUENCES_MAX)
        return gi_fail(err, GLINT_ERR_ARG, "sequences must be 1 to %d, not %d",
                       GI_ENGINE_SEQUENCES_MAX, o->sequences_max);
    if (o->context_tokens_max < 0)
        return gi_fail(err, GLINT_ERR_ARG, "context must be at least 1 token, not %d",
                       o->context_tokens_max);
    if (o->max_side_px != 0 && (o->max_side_px < 28 || o->max_side_px > 16384))
        return gi_fail(err, GLINT_ERR_ARG, "max side must be 28 to 16384 px, not %d",
                       o->max_side_px);
    const int dtype = (int)o->dtype, kv_dtype = (int)o->kv_dtype;
    if (dtype < GLINT_DTYPE_AUTO || dtype > GLINT_DTYPE_INT8_ALL)
        return gi_fail(err, GLINT_ERR_ARG, "dtype %d is none of glint's", dtype);
    if (kv_dtype != GLINT_DTYPE_AUTO && kv_dtype != GLINT_DTYPE_BF16 &&
        kv_dtype != GLINT_DTYPE_INT8)
        return gi_fail(err, GLINT_ERR_ARG, "keys and values are kept as BF16 or INT8");
    return GLINT_OK;
}

/* The checkpoint's own chat template, from either place it is published in; empty if none. */
static glint_status read_chat_template(const char *dir, gi_buf *ret, glint_error *err) {
    char path[GI_PATH_BYTES];
    GI_TRY(gi_path_join(path, sizeof path, dir, "chat_template.jinja", err));
    if (gi_file_exists(path)) return gi_file_read(path, ret, err);
    GI_TRY(gi_path_join(path, sizeof path, dir, "tokenizer_config.json", err));
    if (!gi_file_exists(path)) return GLINT_OK;
    json_t *json = NULL;
    GI_TRY(gi_json_load(path, TEMPLATE_BYTES_MAX, &json, err));
    /* Some publish a list of named templates; the default one is then found by its tokens. */
    const json_t *text = json_object_get(json, "chat_template");
    glint_status st = GLINT_OK;
    if (json_is_string(text)) st = gi_buf_puts(ret, json_string_value(text), err);
    json_decref(json);
    return st;
}

static glint_status load_text(glint_engine *e, const char *dir, glint_error *err) {
    char path[GI_PATH_BYTES];
    gi_buf template;
    gi_buf_init(&template, TEMPLATE_BYTES_MAX);
    glint_status st;
    GI_TRY_DONE(gi_path_join(path, sizeof path, dir, "tokenizer.json", err));
    GI_TRY_DONE(gi_tokenizer_load(path, &e->tokenizer, err));
    GI_TRY_DONE(read_chat_template(dir, &template, err));
    GI_TRY_DONE(gi_chat_init(&e->chat, e->tokenizer, (const char *)template.data, err));
    const gi_config *c = &e->ckpt->config;
    if ((size_t)gi_tokenizer_count(e->tokenizer) > c->text.vocab)
        st = gi_fail(err, GLINT_ERR_FORMAT, "%s: %d tokens, but the model's embedding has %zu rows",
                     path, (int)gi_tokenizer_count(e->tokenizer), c->text.vocab);
    else if (c->image_token >= 0 && c->image_token != e->chat.image)
        st = gi_fail(err, GLINT_ERR_FORMAT,
                     "%s: <|image|> has id %d, but config.json says image_token_id %d", path,
                     (int)e->chat.image, (int)c->image_token);
done:
    gi_buf_done(&template);
    return st;
}

/* Bounds of every linear operation either tower will ask for. */
static void bound_linear(const gi_config *c, size_t rows_max, gi_device_cpu_options *cpu) {
    const gi_text_config *t = &c->text;
    const gi_vision_config *v = &c->vision;
    const size_t block = v->merge * v->merge, p = cpu->patches_max, n = p / block;
    const size_t patch_cols = v->in_channels * v->patch * v->patch;
    const size_t text_cols = gi_max_size(gi_max_size(t->hidden, t->ffn), t->n_heads * t->head_dim);
    const size_t block_cols = gi_max_size(gi_max_size(v->hidden, v->block_ffn), patch_cols);
    const size_t merge_cols =
        gi_max_size(gi_max_size(block * v->hidden, v->merger_ffn), v->out_hidden);
    cpu->linear_cols_max = gi_max_size(gi_max_size(text_cols, block_cols), merge_cols);
    cpu->linear_rows_max = gi_max_size(p, rows_max);
    cpu->linear_elems_max =
        gi_max_size(gi_max_size(p * block_cols, n * merge_cols), rows_max * text_cols);
}

/* What the formats asked for mean for each tower. */
static void choose_formats(const gi_checkpoint *ckpt, const glint_engine_options *o,
                           gi_device_cpu_options *cpu) {
    glint_dtype dtype = o->dtype;
    if (dtype == GLINT_DTYPE_AUTO && gi_checkpoint_is_int8(ckpt))
        dtype = gi_checkpoint_is_vision_int8(ckpt) ? GLINT_DTYPE_INT8_ALL : GLINT_DTYPE_INT8;
    const bool is_f32 = dtype == GLINT_DTYPE_F32, all = dtype == GLINT_DTYPE_INT8_ALL;
    cpu->vision_format = is_f32 ? GI_CPU_F32 : all ? GI_CPU_S8 : GI_CPU_BF16;
    cpu->text_format = is_f32                             ? GI_CPU_F32
                       : all || dtype == GLINT_DTYPE_INT8 ? GI_CPU_S8
                                                          : GI_CPU_BF16;
    cpu->kv_format = is_f32                            ? GI_CPU_F32
                     : o->kv_dtype == GLINT_DTYPE_INT8 ? GI_CPU_S8
                                                       : GI_CPU_BF16;
}

gi_device_cpu_options gi_engine_cpu_options(const gi_checkpoint *ckpt,
                                            const glint_engine_options *o, size_t rows_max,
                                            size_t context_tokens, size_t patches_max) {
    const gi_config *c = &ckpt->config;
    gi_device_cpu_options cpu = {
        .n_threads = o->n_threads ? o->n_threads : gi_cpus_usable(),
        .tier_max = o->cpu_mask,
        .kv_tokens_max = context_tokens,
        .patches_max = patches_max,
        .text_cols = c->text.n_heads * c->text.head_dim,
        .text_head_dim = c->text.head_dim,
        .vision_cols = c->vision.hidden,
        .vision_heads = c->vision.n_heads,
    };
    bound_linear(c, rows_max, &cpu);
    choose_formats(ckpt, o, &cpu);
    return cpu;
}

static glint_status make_device(glint_engine *e, const glint_engine_options *o, glint_error *err) {
    const gi_config *c = &e->ckpt->config;
    const size_t context = (size_t)e->info.context_tokens_max;
    const gi_device_cpu_options cpu =
        gi_engine_cpu_options(e->ckpt, o, GI_ENGINE_PREFILL_TOKENS, context, e->patches_max);
    GI_TRY(gi_device_cpu_create(&cpu, &e->dev, err));
    progress(o, 0.3, "preparing the vision tower");
    GI_TRY(gi_vision_create(e->dev, e->ckpt, e->patches_max, &e->vision, err));
    progress(o, 0.5, "preparing the decoder");
    GI_TRY(gi_language_create(e->dev, e->ckpt, GI_ENGINE_PREFILL_TOKENS,
                              (size_t)e->info.sequences_max, &e->language, err));
    progress(o, 0.9, "making the KV cache");
    const size_t block = e->dev->ops->kv_block_tokens(e->dev);
    const size_t n_blocks = ((size_t)e->info.kv_tokens_max + block - 1) / block;
    const gi_kv_shape shape = gi_language_kv_shape(&c->text, n_blocks, block);
    GI_TRY(gi_kv_pool_init(&e->kv_pool, n_blocks, block, o->no_prefix_cache ? 0 : n_blocks, err));
    GI_TRY(e->dev->ops->kv_create(e->dev, &shape, &e->kv, err));
    return gi_step_init(&e->step, GI_ENGINE_PREFILL_TOKENS, (size_t)e->info.sequences_max,
                        c->text.vocab, err);
}

static glint_status fill_info(glint_engine *e, const glint_engine_options *o, glint_error *err) {
    const gi_config *c = &e->ckpt->config;
    const char *dir = o->model_dir;
    size_t end = strlen(dir);
    while (end > 1 && dir[end - 1] == '/') end--;
    size_t begin = end;
    while (begin > 0 && dir[begin - 1] != '/') begin--;
    e->model_name = gi_strndup(dir + begin, end - begin);
    if (!e->model_name) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for the model's name");
    uint64_t scratch_bytes;
    gi_engine_sizes(c, o->dtype, o->kv_dtype, (size_t)e->info.kv_tokens_max, e->max_side_px,
                    &e->info.kv_bytes, &scratch_bytes);
    e->info.model_name = e->model_name;
    e->info.device = e->dev->description;
    e->info.n_params = e->ckpt->sizes.total_params;
    e->info.weight_bytes = e->ckpt->sizes.total_bytes;
    e->info.vocab_size = (int)c->text.vocab;
    return gi_engine_fingerprint(e, o, &e->fingerprint, err);
}

/* How many tokens there is room for: of one job, and of all. */
static glint_status size_context(glint_engine *e, const glint_engine_options *o, glint_error *err) {
    const size_t positions = e->ckpt->config.text.positions_max;
    glint_engine_info *info = &e->info;
    if (o->context_tokens_max > 0 && (size_t)o->context_tokens_max > positions)
        return gi_fail(err, GLINT_ERR_ARG, "context of %d tokens: the model has %zu positions",
                       o->context_tokens_max, positions);
    info->context_tokens_max =
        (int)(positions < CONTEXT_DEFAULT_TOKENS ? positions : CONTEXT_DEFAULT_TOKENS);
    if (o->context_tokens_max > 0) info->context_tokens_max = o->context_tokens_max;
    info->sequences_max = o->sequences_max > 0 ? o->sequences_max : 1;
    info->kv_tokens_max = info->sequences_max * KV_DEFAULT_TOKENS;
    if (info->kv_tokens_max < info->context_tokens_max || info->sequences_max == 1)
        info->kv_tokens_max = info->context_tokens_max;
    if (o->kv_tokens_max == 0) return GLINT_OK;
    if (o->kv_tokens_max < info->context_tokens_max)
        return gi_fail(err, GLINT_ERR_ARG,
                       "a KV cache of %d tokens cannot hold the context of %d tokens",
                       o->kv_tokens_max, info->context_tokens_max);
    info->kv_tokens_max = o->kv_tokens_max;
    return GLINT_OK;
}

/* What rules are made with, and the templates with theirs. */
static glint_status make_tasks(glint_engine *e, const glint_engine_options *o, glint_error *err) {
    const gi_config *c = &e->ckpt->config;
    e->asks_for_forced = o->no_forced_tokens;
    GI_TRY(gi_vocab_trie_create(e->tokenizer, c->text.vocab, &e->trie, err));
    e->rules = (gi_rule_maker){.trie = e->trie, .eos = c->eos, .n_eos = c->n_eos};
    GI_TRY(gi_cache_create(SCHEMA_CACHE_BYTES, &e->rules.cache, err));
    if (o->template_dir) {
        e->template_dir = gi_strndup(o->template_dir, strlen(o->template_dir));
        if (!e->template_dir) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for templates");
    }
    return gi_task_set_create(e, &e->tasks, err);
}

glint_status glint_engine_open(const glint_engine_options *options, glint_engine **ret,
                               glint_error *err) {
    GI_TRY(check_options(options, err));
    glint_engine *e = gi_calloc(1, sizeof *e);
    if (!e) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for an engine");
    glint_status st;
    pthread_mutex_init(&e->tasks_lock, NULL);
    e->image_limits = gi_image_limits_default();
    e->max_side_px = options->max_side_px ? (uint32_t)options->max_side_px : MAX_SIDE_DEFAULT_PX;
    const int n_cpus = gi_cpus_usable();
    /* Before any thread exists, so that the decoder processes inherit none. */
    GI_TRY_DONE(gi_decoder_create(n_cpus < GI_DECODER_SLOTS_MAX ? n_cpus : GI_DECODER_SLOTS_MAX,
                                  e->image_limits.file_bytes_max, &e->pictures, err));
    progress(options, 0.0, "reading the checkpoint");
    GI_TRY_DONE(gi_checkpoint_open(options->model_dir, &e->ckpt, err));
    GI_TRY_DONE(size_context(e, options, err));
    e->patches_max = most_patches(&e->ckpt->config, e->max_side_px);
    progress(options, 0.1, "reading the tokenizer");
    GI_TRY_DONE(load_text(e, options->model_dir, err));
    GI_TRY_DONE(make_tasks(e, options, err));
    GI_TRY_DONE(make_device(e, options, err));
    const int cache_mib = options->picture_cache_mib;
    GI_TRY_DONE(gi_cache_create(
        cache_mib < 0 ? 0 : (cache_mib ? (size_t)cache_mib : CACHE_DEFAULT_MIB) << 20,
        &e->picture_cache, err));
    GI_TRY_DONE(fill_info(e, options, err));
    GI_TRY_DONE(gi_task_set_seal(e->tasks, err));
    if (options->picture_store)
        GI_TRY_DONE(gi_picture_shelf_create(e, options->picture_store, &e->shelf, err));
    progress(options, 1.0, "ready");
    *ret = e;
    return GLINT_OK;
done:
    glint_engine_close(e);
    return st;
}

void glint_engine_close(glint_engine *e) {
    if (!e) return;
    gi_assert(!atomic_load(&e->is_running));
    gi_picture_shelf_free(e->shelf);
    gi_step_done(&e->step); /* both give pictures back, which lie on the device */
    if (e->dev) {
        e->dev->ops->kv_free(e->dev, e->kv);
        gi_language_free(e->language);
        gi_vision_free(e->vision);
    }
    gi_cache_free(e->picture_cache); /* its pictures lie on the device */
    gi_kv_pool_done(&e->kv_pool);
    gi_device_free(e->dev);
    glint_tasks_unref(e->tasks);
    pthread_mutex_destroy(&e->tasks_lock);
    gi_cache_free(e->rules.cache);
    gi_vocab_trie_free(e->trie);
    gi_free(e->template_dir);
    gi_tokenizer_free(e->tokenizer);
    gi_checkpoint_close(e->ckpt);
    gi_decoder_free(e->pictures);
    gi_free(e->model_name);
    gi_free(e);
}
