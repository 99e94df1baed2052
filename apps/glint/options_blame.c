/* From a message about a value to the flag, variable or line that the value was written in. */
#include "options.h"

#include <string.h>

void gi_options_blame(const gi_options *o, const char *name, glint_status st, glint_error *err) {
    if (st == GLINT_OK || st == GLINT_ERR_MEMORY || !err) return;
    const glint_error why = *err;
    const char *source = gi_options_source(o, name);
    gi_fail(err, st, "%s%s: %s", source ? "" : "--", source ? source : name, why.message);
}

static bool begins_with(const char *message, const char *value) {
    if (!value) return false;
    const size_t n = strlen(value);
    if (n > 0 && strncmp(message, value, n) == 0 && message[n] == ':') return message[n + 1] == ' ';
    return message[0] == '"' && strncmp(message + 1, value, n) == 0 && message[n + 1] == '"';
}

static bool is_about(const char *message, gi_option_kind kind, const void *value) {
    if (kind == GI_OPTION_TEXT) return begins_with(message, *(const char *const *)value);
    if (kind != GI_OPTION_LIST) return false;
    const gi_option_list *list = value;
    for (size_t i = 0; i < list->n; i++)
        if (begins_with(message, list->values[i])) return true;
    return false;
}

void gi_options_blame_value(const gi_options *o, glint_error *err) {
    const gi_option *s, *found = NULL;
    for (size_t i = 0; (s = gi_options_at(o, i)) != NULL; i++) {
        if (!is_about(err->message, s->kind, gi_options_value(o, i))) continue;
        if (found) return;
        found = s;
    }
    if (found) gi_options_blame(o, found->name, err->code, err);
}
