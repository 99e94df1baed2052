/*
 * The rows of a command's groups as one list, and what was read into their members.
 */
#include "options.h"

#include <string.h>

/* The group that has row *i; *i becomes its place in there. NULL after the last. */
static const gi_option_group *group_at(const gi_options *o, size_t *i) {
    for (size_t g = 0; g < GI_OPTION_GROUPS_MAX; g++) {
        if (*i < o->groups[g].n) return &o->groups[g];
        *i -= o->groups[g].n;
    }
    return NULL;
}

size_t gi_options_count(const gi_options *o) {
    size_t n = 0;
    for (size_t g = 0; g < GI_OPTION_GROUPS_MAX; g++) n += o->groups[g].n;
    return n;
}

const gi_option *gi_options_at(const gi_options *o, size_t i) {
    const gi_option_group *group = group_at(o, &i);
    return group ? &group->rows[i] : NULL;
}

void *gi_options_value(const gi_options *o, size_t i) {
    const gi_option_group *group = group_at(o, &i);
    return group ? (char *)group->base + group->rows[i].offset : NULL;
}

const char *gi_options_source(const gi_options *o, const char *name) {
    const gi_option *s;
    for (size_t i = 0; (s = gi_options_at(o, i)) != NULL; i++)
        if (strcmp(s->name, name) == 0) return o->sources[i];
    return NULL;
}

static bool is_same_text(const char *a, const char *b) {
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool is_same_list(const gi_option_list *a, const gi_option_list *b) {
    if (a->n != b->n) return false;
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->values[i], b->values[i]) != 0) return false;
    return true;
}

bool gi_options_equal(const gi_options *a, const gi_options *b, size_t i) {
    const gi_option *s = gi_options_at(a, i);
    const void *x = gi_options_value(a, i), *y = gi_options_value(b, i);
    if (!s || !x || !y) return x == y;
    switch (s->kind) {
    case GI_OPTION_HEADING:
        return true;
    case GI_OPTION_SWITCH:
        return *(const bool *)x == *(const bool *)y;
    case GI_OPTION_INT:
        return *(const int64_t *)x == *(const int64_t *)y;
    case GI_OPTION_NUMBER:
        return *(const double *)x == *(const double *)y;
    case GI_OPTION_TEXT:
    case GI_OPTION_CHOICE:
        return is_same_text(*(const char *const *)x, *(const char *const *)y);
    case GI_OPTION_LIST:
        return is_same_list(x, y);
    }
    return true;
}
