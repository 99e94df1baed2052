/*
 * The settings have lain in three places over the years; the innermost one wins. Kinds of rope that
 * glint does not compute are refused by name.
 */
#include "model/config_rope.h"

#include "base/json.h"

#include <stdio.h>
#include <string.h>

enum { ROTARY_PAIRS_MAX = GI_CONFIG_HEAD_DIM_MAX / 2, WHAT_BYTES = 64 };

/* How many dimensions of a head are rotated, and how fast. */
static glint_status read_rotation(const json_t *text, const char *what, const json_t *rope,
                                  const char *rope_what, gi_text_config *t, glint_error *err) {
    const json_t *const places[] = {text, rope};
    const char *const names[] = {what, rope_what};
    double partial = 1.0;
    t->rope_theta = 10000.0;
    for (size_t i = 0; i < 2; i++) {
        GI_TRY(gi_json_get_double(places[i], names[i], "rope_theta", false, 1.0, 1e12,
                                  &t->rope_theta, err));
        GI_TRY(gi_json_get_double(places[i], names[i], "partial_rotary_factor", false, 0.0, 1.0,
                                  &partial, err));
    }
    const char *type = "default";
    GI_TRY(gi_json_get_string(rope, rope_what, "type", false, &type, err));
    GI_TRY(gi_json_get_string(rope, rope_what, "rope_type", false, &type, err));
    if (strcmp(type, "default") != 0 && strcmp(type, "mrope") != 0)
        return gi_fail(err, GLINT_ERR_UNSUPPORTED,
                       "%s: \"rope_type\" is \"%.40s\", expected \"default\"", rope_what, type);

    t->rotary_dim = (size_t)((double)t->head_dim * partial);
    if (t->rotary_dim < 2 || t->rotary_dim % 2 != 0)
        return gi_fail(err, GLINT_ERR_FORMAT,
                       "%s: \"partial_rotary_factor\" %g rotates %zu of %zu dimensions, expected "
                       "an even number, 2 or more",
                       what, partial, t->rotary_dim, t->head_dim);
    return GLINT_OK;
}

/* Which of the rotated pairs turn with time, row and column. */
static glint_status read_sections(const json_t *rope, const char *what, gi_text_config *t,
                                  glint_error *err) {
    const json_t *sections = NULL;
    GI_TRY(gi_json_get_array(rope, what, "mrope_section", false, &sections, err));
    const size_t usual[3] = {8, 12, 12};
    memcpy(t->mrope_section, usual, sizeof usual);
    if (sections && json_array_size(sections) != 3)
        return gi_fail(err, GLINT_ERR_FORMAT, "%s: \"mrope_section\" has %zu numbers, expected 3",
                       what, json_array_size(sections));
    size_t sum = 0;
    for (size_t i = 0; i < 3; i++) {
        const json_t *n = sections ? json_array_get(sections, i) : NULL;
        if (n && (!json_is_integer(n) || json_integer_value(n) < 0 ||
                  json_integer_value(n) > ROTARY_PAIRS_MAX))
            return gi_fail(err, GLINT_ERR_FORMAT,
                           "%s: \"mrope_section\" must hold whole numbers, 0 to %d", what,
                           ROTARY_PAIRS_MAX);
        if (n) t->mrope_section[i] = (size_t)json_integer_value(n);
        sum += t->mrope_section[i];
    }
    if (sum != t->rotary_dim / 2)
        return gi_fail(err, GLINT_ERR_FORMAT,
                       "%s: \"mrope_section\" adds up to %zu, expected half of the %zu rotated "
                       "dimensions",
                       what, sum, t->rotary_dim);
    return GLINT_OK;
}

glint_status gi_config_read_rope(const json_t *text, const char *what, gi_text_config *t,
                                 glint_error *err) {
    const char *key = "rope_parameters";
    const json_t *rope = NULL;
    GI_TRY(gi_json_get_object(text, what, key, false, &rope, err));
    if (!rope) {
        key = "rope_scaling";
        GI_TRY(gi_json_get_object(text, what, key, false, &rope, err));
    }
    char rope_what[WHAT_BYTES];
    snprintf(rope_what, sizeof rope_what, "%s.%s", what, key);
    GI_TRY(read_rotation(text, what, rope, rope_what, t, err));
    return read_sections(rope, rope_what, t, err);
}
