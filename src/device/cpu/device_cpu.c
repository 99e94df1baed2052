/*
 * The CPU device: creation, buffers, weights. Operations are in the files beside this one.
 */
#include "device/cpu/device_cpu.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "base/log.h"
#include "base/size.h"

#include <stdio.h>
#include <string.h>

static float *alloc_floats(size_t a, size_t b) {
    size_t n;
    if (!gi_mul_size(a, b, &n)) return NULL;
    return gi_alloc_aligned(n, sizeof(float));
}

static glint_status act_create(gi_device *dev, size_t rows, size_t cols, gi_act *ret,
                               glint_error *err) {
    (void)dev;
    size_t n;
    /* Zeros that the system makes when a row is first used: most batches are far from the largest.
     */
    float *data = gi_mul_size(rows, cols, &n) ? gi_alloc_zeroed_aligned(n, sizeof *data) : NULL;
    if (!data)
        return gi_fail(err, GLINT_ERR_MEMORY, "no memory for activations of %zu x %zu", rows, cols);
    *ret = (gi_act){.data = data, .rows = rows, .cols = cols};
    return GLINT_OK;
}

static void act_free(gi_device *dev, gi_act *act) {
    (void)dev;
    gi_free_zeroed_aligned(act->data);
    *act = (gi_act){0};
}

static void act_upload(gi_device *dev, gi_act act, size_t first_row, const float *src,
                       size_t n_rows) {
    (void)dev;
    gi_assert(first_row + n_rows <= act.rows);
    memcpy(gi_cpu_row(act, first_row), src, n_rows * act.cols * sizeof(float));
}

static void act_download(gi_device *dev, gi_act act, size_t first_row, float *dst, size_t n_rows) {
    (void)dev;
    gi_assert(first_row + n_rows <= act.rows);
    memcpy(dst, gi_cpu_row(act, first_row), n_rows * act.cols * sizeof(float));
}

static void matrix_free(gi_device *dev, gi_matrix *m) {
    (void)dev;
    if (!m) return;
    gi_free(m->bias);
    gi_free(m->panels);
    gi_free(m->owned_units);
    gi_free(m->owned_scales);
    gi_free(m);
}

static gi_cpu_format format_for(const gi_device_cpu *cpu, gi_matrix_use use) {
    if (use == GI_MATRIX_LOOKUP) return GI_CPU_F32;
    return use == GI_MATRIX_VISION ? cpu->options.vision_format : cpu->options.text_format;
}

static glint_status widen_bias(const gi_device_cpu *cpu, gi_matrix *m, const char *name,
                               glint_error *err) {
    bool has_bias = false;
    for (size_t i = 0; i < m->n_parts; i++) has_bias |= m->parts[i].bias != NULL;
    if (!has_bias) return GLINT_OK;
    /* Room for whole panels: what lies past the last row is 0. */
    m->bias = gi_calloc(m->n_rows + GI_TILE_N, sizeof *m->bias);
    if (!m->bias) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for the bias of %s", name);
    for (size_t i = 0, row = 0; i < m->n_parts; row += m->parts[i++].n_rows)
        if (m->parts[i].bias)
            cpu->kernels.widen(m->bias + row, m->parts[i].bias, m->parts[i].bias_type,
                               m->parts[i].n_rows);
    return GLINT_OK;
}

static glint_status matrix_create(gi_device *dev, const gi_matrix_spec *spec, gi_matrix **ret,
                                  glint_error *err) {
    gi_device_cpu *cpu = (gi_device_cpu *)dev;
    gi_assert(spec->n_parts >= 1 && spec->n_parts <= GI_MATRIX_PARTS_MAX);
    for (size_t i = 1; i < spec->n_parts; i++)
        if (spec->parts[i].type != spec->parts[0].type)
            return gi_fail(err, GLINT_ERR_UNSUPPORTED, "%s: mixes %s and %s weights", spec->name,
                           gi_dtype_name(spec->parts[0].type), gi_dtype_name(spec->parts[i].type));
    gi_matrix *m = gi_calloc(1, sizeof *m);
    if (!m) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for matrix %s", spec->name);
    m->n_cols = spec->n_cols;
    m->type = spec->parts[0].type;
    m->n_parts = spec->n_parts;
    m->is_swiglu = spec->is_swiglu;
    m->format = format_for(cpu, spec->use);
    bool is_plain = true;
    for (size_t i = 0; i < spec->n_parts; i++) {
        m->parts[i] = spec->parts[i];
        m->n_rows += spec->parts[i].n_rows;
        is_plain &= spec->parts[i].weight != NULL;
    }
    if (m->format == GI_CPU_F32 && !is_plain) {
        matrix_free(dev, m);
        return gi_fail(err, GLINT_ERR_UNSUPPORTED, "%s: the checkpoint holds it packed only",
                       spec->name);
    }
    glint_status st = widen_bias(cpu, m, spec->name, err);
    if (st == GLINT_OK && m->format != GI_CPU_F32) st = gi_cpu_matrix_pack(cpu, m, spec->name, err);
    if (st != GLINT_OK) {
        matrix_free(dev, m);
        return st;
    }
    *ret = m;
    return GLINT_OK;
}

const void *gi_cpu_matrix_row(const gi_matrix *m, size_t row) {
    size_t i = 0;
    while (row >= m->parts[i].n_rows) row -= m->parts[i++].n_rows;
    return (const unsigned char *)m->parts[i].weight + row * m->n_cols * gi_dtype_bytes(m->type);
}

static glint_status vector_create(gi_device *dev, const void *src, gi_dtype type, size_t n,
                                  gi_vector **ret, glint_error *err) {
    const gi_device_cpu *cpu = (const gi_device_cpu *)dev;
    size_t bytes;
    gi_vector *v = NULL;
    if (gi_mul_size(n, sizeof(float), &bytes) && gi_add_size(bytes, sizeof *v, &bytes))
        v = gi_alloc(bytes);
    if (!v) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for a vector of %zu", n);
    v->n = n;
    cpu->kernels.widen(v->values, src, type, n);
    *ret = v;
    return GLINT_OK;
}

static void vector_free(gi_device *dev, gi_vector *v) {
    (void)dev;
    gi_free(v);
}

static void kv_free(gi_device *dev, gi_kv_store *kv) {
    (void)dev;
    if (!kv) return;
    gi_free_zeroed_aligned(kv->keys);
    gi_free_zeroed_aligned(kv->values);
    gi_free_zeroed_aligned(kv->scales);
    gi_free(kv);
}

static size_t kv_block_tokens(gi_device *dev) {
    const gi_device_cpu *cpu = (const gi_device_cpu *)dev;
    return cpu->options.kv_format == GI_CPU_F32 ? GI_CPU_F32_BLOCK : GI_CPU_PACKED_BLOCK;
}

static glint_status kv_create(gi_device *dev, const gi_kv_shape *shape, gi_kv_store **ret,
                              glint_error *err) {
    const gi_device_cpu *cpu = (const gi_device_cpu *)dev;
    if (cpu->options.kv_format == GI_CPU_S8 && shape->head_dim % 4 != 0)
        return gi_fail(err, GLINT_ERR_UNSUPPORTED,
                       "an INT8 KV cache needs heads of a multiple of 4 dimensions, not %zu",
                       shape->head_dim);
    gi_kv_store *kv = gi_calloc(1, sizeof *kv);
    bool ok = kv != NULL;
    if (ok) {
        const size_t d = shape->head_dim, b = shape->block_tokens;
        const size_t heads = shape->n_layers * shape->n_kv_heads;
        static const size_t elem_bytes[] = {
            [GI_CPU_F32] = sizeof(float), [GI_CPU_BF16] = sizeof(uint16_t), [GI_CPU_S8] = 1};
        kv->shape = *shape;
        kv->format = cpu->options.kv_format;
        const bool is_packed = kv->format != GI_CPU_F32;
        gi_assert(!is_packed || (b == GI_CPU_PACKED_BLOCK && d % 2 == 0));
        kv->key_head = d * b;
        kv->value_head = (is_packed ? gi_round_up(d, GI_TILE_N) : d) * b;
        size_t n_heads, n_keys, n_values;
        ok = gi_mul_size(heads, shape->n_blocks, &n_heads) &&
             gi_mul_size(n_heads, kv->key_head, &n_keys) &&
             gi_mul_size(n_heads, kv->value_head, &n_values);
        if (ok) {
            kv->keys = gi_alloc_zeroed_aligned(n_keys, elem_bytes[kv->format]);
            kv->values = gi_alloc_zeroed_aligned(n_values, elem_bytes[kv->format]);
            if (kv->format == GI_CPU_S8)
                kv->scales = gi_alloc_zeroed_aligned(n_heads, 2 * GI_TILE_N * sizeof(float));
            ok = kv->keys && kv->values && (kv->scales || kv->format != GI_CPU_S8);
        }
    }
    if (!ok) {
        kv_free(dev, kv);
        return gi_fail(err, GLINT_ERR_MEMORY, "no memory for a KV cache of %zu blocks",
                       shape->n_blocks);
    }
    *ret = kv;
    return GLINT_OK;
}

static void destroy(gi_device *dev) {
    gi_device_cpu *cpu = (gi_device_cpu *)dev;
    gi_workers_free(cpu->workers);
    gi_free(cpu->normed);
    gi_free(cpu->keys_t);
    gi_free(cpu->narrow_x);
    gi_free(cpu->x_scale);
    gi_free(cpu->x_sum);
    gi_free(cpu->queries);
    gi_free(cpu->query_scale);
    gi_free(cpu->query_sum);
    gi_free(cpu->text_parts);
    gi_free(cpu->key_panels);
    gi_free(cpu->value_panels);
    gi_free(cpu->scratch);
    gi_free(cpu);
}

static const gi_device_ops CPU_OPS = {
    .act_create = act_create,
    .act_free = act_free,
    .act_upload = act_upload,
    .act_download = act_download,
    .matrix_create = matrix_create,
    .matrix_free = matrix_free,
    .vector_create = vector_create,
    .vector_free = vector_free,
    .kv_block_tokens = kv_block_tokens,
    .kv_create = kv_create,
    .kv_free = kv_free,
    .embed = gi_cpu_embed,
    .copy_rows = gi_cpu_copy_rows,
    .linear = gi_cpu_linear,
    .rms_norm = gi_cpu_rms_norm,
    .rms_norm_add = gi_cpu_rms_norm_add,
    .layer_norm_gelu = gi_cpu_layer_norm_gelu,
    .add_position = gi_cpu_add_position,
    .attention = gi_cpu_attention,
    .vision_attention = gi_cpu_vision_attention,
};

/* Buffers are sized for the largest operation and touched only as far as operations go. */
static glint_status make_scratch(gi_device_cpu *cpu, glint_error *err) {
    const gi_device_cpu_options *o = &cpu->options;
    const bool text_f32 = o->text_format == GI_CPU_F32, vision_f32 = o->vision_format == GI_CPU_F32;
    size_t floats = GI_QUERY_ROWS * gi_max_size(o->kv_tokens_max, vision_f32 ? o->patches_max : 0);
    floats = gi_max_size(floats, 2 * o->vision_cols);
    floats = gi_max_size(floats, gi_cpu_linear_scratch_floats());
    floats = gi_max_size(floats, gi_cpu_packed_scratch_floats(o));
    if (!vision_f32) floats = gi_max_size(floats, gi_cpu_vision_packed_scratch_floats(o));
    if (!text_f32) floats = gi_max_size(floats, gi_cpu_text_packed_scratch_floats(o));
    cpu->scratch_floats = gi_round_up(floats, GI_ALIGN_BYTES);
    cpu->scratch = alloc_floats((size_t)o->n_threads, cpu->scratch_floats);
    bool ok = cpu->scratch != NULL;
    if (text_f32 || vision_f32) ok &= (cpu->normed = alloc_floats(o->linear_elems_max, 1)) != NULL;
    if (vision_f32) ok &= (cpu->keys_t = alloc_floats(o->vision_cols, o->patches_max)) != NULL;
    if (!text_f32 || !vision_f32) {
        /* A row is filled up to whole units: at most 3 elements more. */
        const size_t elems = o->linear_elems_max + 4 * o->linear_rows_max;
        cpu->narrow_x = gi_alloc_aligned(elems, sizeof(uint16_t));
        cpu->x_scale = alloc_floats(o->linear_rows_max, 1);
        cpu->x_sum = gi_alloc_aligned(o->linear_rows_max, sizeof(int32_t));
        cpu->queries = gi_alloc_aligned(
            gi_max_size(o->vision_cols * o->patches_max, o->text_cols * o->linear_rows_max),
            sizeof(uint16_t));
        ok &= cpu->narrow_x && cpu->x_scale && cpu->x_sum && cpu->queries;
    }
    if (o->kv_format == GI_CPU_S8) {
        const size_t n = o->linear_rows_max * (o->text_cols / o->text_head_dim);
        cpu->query_scale = alloc_floats(n, 1);
        cpu->query_sum = gi_alloc_aligned(n, sizeof(int32_t));
        ok &= cpu->query_scale && cpu->query_sum;
    }
    if (!text_f32) ok &= (cpu->text_parts = alloc_floats(gi_cpu_text_parts_floats(o), 1)) != NULL;
    if (!ok) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for the CPU device's scratch");
    return vision_f32 ? GLINT_OK : gi_cpu_vision_packed_create(cpu, err);
}

glint_status gi_device_cpu_create(const gi_device_cpu_options *options, gi_device **ret,
                                  glint_error *err) {
    gi_device_cpu *cpu = gi_calloc(1, sizeof *cpu);
    if (!cpu) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for the CPU device");
    glint_status st = GLINT_OK;
    cpu->base.ops = &CPU_OPS;
    cpu->base.destroy = destroy;
    cpu->options = *options;
    if (gi_kernels_get(options->tier_max, &cpu->kernels) != 0) {
        st = gi_fail(err, GLINT_ERR_ARG, "unknown kernel tier \"%s\"", options->tier_max);
        goto done;
    }
    GI_TRY_DONE(gi_workers_create(options->n_threads, &cpu->workers, err));
    GI_TRY_DONE(make_scratch(cpu, err));
    snprintf(cpu->description, sizeof cpu->description, "cpu (%s, %d thread%s)", cpu->kernels.tier,
             options->n_threads, options->n_threads == 1 ? "" : "s");
    cpu->base.description = cpu->description;
    gi_log(GI_LOG_DEBUG, "device", "%s", cpu->description);
    *ret = &cpu->base;
    return GLINT_OK;
done:
    destroy(&cpu->base);
    return st;
}
