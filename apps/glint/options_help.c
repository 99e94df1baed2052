/*
 * --help, from the same table: two columns, the right one with range, choices and default of each
 * option, so that no help text repeats them.
 */
#include "options.h"

#include <string.h>

enum {
    HELP_COLUMN = 28,
    HELP_WIDTH = 68, /* of the right column */
    VALUES_BYTES = 512,
};

/* "(1 to 64; default 7)", or nothing. */
static void describe_values(const gi_option *s, char *out, size_t out_bytes) {
    const char *otherwise = s->fallback ? s->fallback : s->unset;
    size_t len = 0;
    out[0] = '\0';
    if (s->kind == GI_OPTION_INT)
        len = (size_t)snprintf(out, out_bytes, " (%.0f to %.0f", s->min, s->max);
    else if (s->kind == GI_OPTION_NUMBER)
        len = (size_t)snprintf(out, out_bytes, " (%.15g to %.15g", s->min, s->max);
    else if (s->kind == GI_OPTION_CHOICE)
        len = (size_t)snprintf(out, out_bytes, " (%s", s->choices);
    else if (s->kind == GI_OPTION_LIST)
        len = (size_t)snprintf(out, out_bytes, " (may be repeated");
    if (otherwise && s->kind != GI_OPTION_SWITCH && len < out_bytes)
        len += (size_t)snprintf(out + len, out_bytes - len, "%sdefault %s", len ? "; " : " (",
                                otherwise);
    if (len > 0 && len < out_bytes) snprintf(out + len, out_bytes - len, ")");
}

/* Text in the right column: words wrapped, line breaks kept. */
static void print_column(const char *text, FILE *to) {
    size_t column = 0;
    while (*text) {
        const size_t len = strcspn(text, " \n");
        const bool wraps = column > 0 && column + 1 + len > HELP_WIDTH;
        if (wraps) {
            fprintf(to, "\n%*s", HELP_COLUMN, "");
            column = 0;
        }
        column += (size_t)fprintf(to, "%s%.*s", column ? " " : "", (int)len, text);
        text += len;
        if (*text == '\n') {
            fprintf(to, "\n%*s", HELP_COLUMN, "");
            column = 0;
        }
        text += *text != '\0';
    }
}

static void print_option(const gi_option *s, FILE *to) {
    char left[128], values[VALUES_BYTES], right[2 * VALUES_BYTES];
    const char letter[] = {'-', s->letter, ',', ' ', '\0'};
    snprintf(left, sizeof left, "  %s--%s%s%s", s->letter ? letter : "    ", s->name,
             s->value ? " " : "", s->value ? s->value : "");
    fprintf(to, "%-*s", HELP_COLUMN, left);
    if (strlen(left) >= HELP_COLUMN) fprintf(to, "\n%*s", HELP_COLUMN, "");
    describe_values(s, values, sizeof values);
    snprintf(right, sizeof right, "%s%s", s->help, values);
    print_column(right, to);
    fputc('\n', to);
}

/* One line on variables, with the command's first option as the example. */
static void print_variables(const gi_options *o, FILE *to) {
    const gi_option *s;
    for (size_t i = 0; (s = gi_options_at(o, i)) != NULL; i++) {
        char name[GI_OPTION_NAME_BYTES];
        if (s->kind == GI_OPTION_HEADING || s->flag_only) continue;
        gi_option_variable(s->name, name);
        fprintf(to, "\nAn option can also be set by a variable: --%s by %s.\n", s->name, name);
        return;
    }
}

void gi_options_print_help(const gi_options *o, FILE *to) {
    const gi_option *s = gi_options_at(o, 0);
    bool has_headings = false;
    fprintf(to, "Usage: %s\n\n%s\n", o->usage, o->about);
    if (s && s->kind != GI_OPTION_HEADING) fputs("Options:\n", to);
    for (size_t i = 0; (s = gi_options_at(o, i)) != NULL; i++) {
        has_headings |= s->kind == GI_OPTION_HEADING;
        if (s->kind == GI_OPTION_HEADING)
            fprintf(to, "%s%s\n", i ? "\n" : "", s->name);
        else
            print_option(s, to);
    }
    if (has_headings) fputs("\nOther:\n", to);
    size_t n_common;
    const gi_option *common = gi_options_common(o, &n_common);
    for (size_t i = 0; i < n_common; i++) print_option(&common[i], to);
    print_variables(o, to);
    if (o->footer) fprintf(to, "\n%s", o->footer);
}
