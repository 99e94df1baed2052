/*
 * Options from one table. Every source of values (flag, variable, config file, default) ends in
 * set_value, so that range and type are checked in one place and messages differ only in where
 * the value came from. Flags are collected first and applied last: they must win, and --config
 * must be known before.
 */
#include "options.h"

#include "base/json_text.h"
#include "base/parse.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    CONFIG_BYTES_MAX = 256 * 1024,
    ARENA_BYTES_MAX = 1024 * 1024,
    FLAGS_MAX = 256,
    NAME_BYTES_MAX = 64,
    SOURCE_BYTES_MAX = 4096 + 128, /* a path, a line and a name */
    HELP_COLUMN = 28,
    HELP_WIDTH = 68, /* of the right column */
    VALUES_BYTES = 512,
    WORD_MAX = 40, /* longest word worth a suggestion */
};

/* The options every command has. Their targets are in `parse_run`. */
typedef struct parse_run {
    gi_options *o;
    glint_error *err;
    const char *config;
    gi_option own[2];
    struct {
        const gi_option *spec;
        const char *value; /* NULL for a bare switch */
    } flags[FLAGS_MAX];
    size_t n_flags;
} parse_run;

/* ---- suggestions ---- */

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Edits between two words: insert, delete, replace, swap neighbours (optimal string alignment). */
static size_t distance(const char *a, const char *b) {
    const size_t n = strlen(a), m = strlen(b);
    size_t d[WORD_MAX + 1][WORD_MAX + 1];
    if (n > WORD_MAX || m > WORD_MAX) return WORD_MAX;
    for (size_t i = 0; i <= n; i++) d[i][0] = i;
    for (size_t j = 0; j <= m; j++) d[0][j] = j;
    for (size_t i = 1; i <= n; i++)
        for (size_t j = 1; j <= m; j++) {
            const size_t change = a[i - 1] != b[j - 1];
            d[i][j] = least(d[i - 1][j - 1] + change, least(d[i - 1][j], d[i][j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
        }
    return d[n][m];
}

const char *gi_options_nearest(const char *word, const char *const *words, size_t n) {
    const char *best = NULL;
    size_t best_distance = 3;
    for (size_t i = 0; i < n; i++) {
        const size_t len = strlen(word);
        if (len >= 3 && strncmp(word, words[i], len) == 0) return words[i];
        const size_t d = distance(word, words[i]);
        if (d < best_distance && d < len) {
            best = words[i];
            best_distance = d;
        }
    }
    return best;
}

/* ---- values ---- */

static glint_status bad_value(const parse_run *r, const char *source, const char *text,
                              const char *expected) {
    return gi_fail(r->err, GLINT_ERR_ARG, "%s: \"%.80s\" is not %s", source, text, expected);
}

static glint_status check_range(const parse_run *r, const gi_option *s, const char *source,
                                double v) {
    if (v >= s->min && v <= s->max) return GLINT_OK;
    if (s->kind == GI_OPTION_INT)
        return gi_fail(r->err, GLINT_ERR_ARG, "%s is %.0f, must be %.0f to %.0f", source, v, s->min,
                       s->max);
    return gi_fail(r->err, GLINT_ERR_ARG, "%s is %g, must be %.15g to %.15g", source, v, s->min,
                   s->max);
}

static bool is_choice(const char *choices, const char *text) {
    const size_t len = strlen(text);
    for (const char *at = choices; *at; at += strcspn(at, "|"), at += *at == '|')
        if (strcspn(at, "|") == len && strncmp(at, text, len) == 0) return true;
    return false;
}

static glint_status add_to_list(const parse_run *r, gi_option_list *list, const char *source,
                                const char *text) {
    if (list->n == GI_OPTION_VALUES_MAX)
        return gi_fail(r->err, GLINT_ERR_ARG, "%s: more than %d values", source,
                       GI_OPTION_VALUES_MAX);
    list->values[list->n++] = text;
    return GLINT_OK;
}

/* Read `text` (NULL: a bare switch) into the option's target. `source` begins messages. */
static glint_status set_value(const parse_run *r, const gi_option *s, const char *source,
                              const char *text) {
    int64_t i;
    double d;
    switch (s->kind) {
    case GI_OPTION_HEADING:
        return GLINT_OK;
    case GI_OPTION_SWITCH:
        if (!text || strcmp(text, "true") == 0 || strcmp(text, "1") == 0)
            *(bool *)s->target = true;
        else if (strcmp(text, "false") == 0 || strcmp(text, "0") == 0)
            *(bool *)s->target = false;
        else
            return bad_value(r, source, text, "true or false");
        return GLINT_OK;
    case GI_OPTION_INT:
        if (!gi_parse_i64(text, &i)) return bad_value(r, source, text, "a whole number");
        GI_TRY(check_range(r, s, source, (double)i));
        *(int64_t *)s->target = i;
        return GLINT_OK;
    case GI_OPTION_NUMBER:
        if (!gi_parse_double(text, &d)) return bad_value(r, source, text, "a number");
        GI_TRY(check_range(r, s, source, d));
        *(double *)s->target = d;
        return GLINT_OK;
    case GI_OPTION_TEXT:
        *(const char **)s->target = text;
        return GLINT_OK;
    case GI_OPTION_CHOICE:
        if (!is_choice(s->choices, text))
            return gi_fail(r->err, GLINT_ERR_ARG, "%s: \"%.80s\" is not one of %s", source, text,
                           s->choices);
        *(const char **)s->target = text;
        return GLINT_OK;
    case GI_OPTION_LIST:
        return add_to_list(r, s->target, source, text);
    }
    return GLINT_OK;
}

/* ---- the table, with the options every command has ---- */

static size_t n_options(const parse_run *r) {
    return r->o->n_specs + 1 + r->o->has_config;
}

static const gi_option *option_at(const parse_run *r, size_t i) {
    return i < r->o->n_specs ? &r->o->specs[i] : &r->own[i - r->o->n_specs];
}

static void init_run(parse_run *r, gi_options *o, glint_error *err) {
    *r = (parse_run){.o = o, .err = err};
    r->own[0] = (gi_option){.name = "help",
                            .letter = 'h',
                            .kind = GI_OPTION_SWITCH,
                            .target = &o->help_wanted,
                            .flag_only = true,
                            .help = "show this text"};
    r->own[1] = (gi_option){.name = "config",
                            .kind = GI_OPTION_TEXT,
                            .target = &r->config,
                            .value = "FILE",
                            .help = "JSON object with any of these settings by name"};
}

/* ---- flags ---- */

/* The option nearest to what was written, or NULL. */
static const char *nearest_option(const parse_run *r, const char *name, size_t len) {
    const char *names[FLAGS_MAX];
    char word[WORD_MAX + 1] = "";
    size_t n = 0;
    if (len > WORD_MAX) return NULL;
    for (size_t i = 0; i < n_options(r) && n < FLAGS_MAX; i++)
        if (option_at(r, i)->kind != GI_OPTION_HEADING) names[n++] = option_at(r, i)->name;
    for (size_t i = 0; i < len; i++) word[i] = name[i] == '_' ? '-' : name[i];
    return gi_options_nearest(word, names, n);
}

static glint_status unknown_option(const parse_run *r, const char *name, size_t len) {
    const char *near = nearest_option(r, name, len);
    if (near)
        return gi_fail(r->err, GLINT_ERR_ARG, "unknown option --%.*s; did you mean --%s?", (int)len,
                       name, near);
    return gi_fail(r->err, GLINT_ERR_ARG, "unknown option --%.*s; see glint %s --help",
                   (int)least(len, 60), name, r->o->command);
}

static glint_status add_flag(parse_run *r, const gi_option *spec, const char *value) {
    if (r->n_flags == FLAGS_MAX)
        return gi_fail(r->err, GLINT_ERR_ARG, "more than %d options", FLAGS_MAX);
    r->flags[r->n_flags].spec = spec;
    r->flags[r->n_flags++].value = value;
    return GLINT_OK;
}

/* "name" or "name=value", after the dashes. *i moves on when the value is the next argument. */
static glint_status long_flag(parse_run *r, int argc, char **argv, int *i) {
    const char *name = argv[*i] + 2;
    const size_t len = strcspn(name, "=");
    for (size_t k = 0; k < n_options(r); k++) {
        const gi_option *s = option_at(r, k);
        if (s->kind == GI_OPTION_HEADING || strlen(s->name) != len ||
            strncmp(s->name, name, len) != 0)
            continue;
        if (name[len] == '=') return add_flag(r, s, name + len + 1);
        if (s->kind == GI_OPTION_SWITCH) return add_flag(r, s, NULL);
        if (*i + 1 >= argc)
            return gi_fail(r->err, GLINT_ERR_ARG, "--%s needs a value: --%s %s", s->name, s->name,
                           s->value);
        return add_flag(r, s, argv[++*i]);
    }
    return unknown_option(r, name, len);
}

/* One or more letters: "-j", "-n 5", "-n5", "-jn5". */
static glint_status short_flags(parse_run *r, int argc, char **argv, int *i) {
    for (const char *at = argv[*i] + 1; *at; at++) {
        const gi_option *s = NULL;
        for (size_t k = 0; k < n_options(r) && !s; k++)
            if (option_at(r, k)->letter == *at) s = option_at(r, k);
        if (!s)
            return gi_fail(r->err, GLINT_ERR_ARG, "unknown option -%c; see glint %s --help", *at,
                           r->o->command);
        if (s->kind == GI_OPTION_SWITCH) {
            GI_TRY(add_flag(r, s, NULL));
            continue;
        }
        if (at[1]) return add_flag(r, s, at + 1);
        if (*i + 1 >= argc)
            return gi_fail(r->err, GLINT_ERR_ARG, "-%c needs a value: -%c %s", *at, *at, s->value);
        return add_flag(r, s, argv[++*i]);
    }
    return GLINT_OK;
}

static glint_status scan_arguments(parse_run *r, int argc, char **argv) {
    bool only_operands = false;
    for (int i = 0; i < argc; i++) {
        const char *a = argv[i];
        if (only_operands || a[0] != '-' || a[1] == '\0') {
            const size_t max = least(r->o->operands_max, GI_OPTION_VALUES_MAX);
            if (r->o->n_operands == max && max == 0)
                return gi_fail(r->err, GLINT_ERR_ARG,
                               "\"%.80s\" is not expected here; see glint %s "
                               "--help",
                               a, r->o->command);
            if (r->o->n_operands == max)
                return gi_fail(r->err, GLINT_ERR_ARG, "more than %zu argument%s", max,
                               max == 1 ? "" : "s");
            r->o->operands[r->o->n_operands++] = a;
        } else if (strcmp(a, "--") == 0) {
            only_operands = true;
        } else if (a[1] == '-') {
            GI_TRY(long_flag(r, argc, argv, &i));
        } else {
            GI_TRY(short_flags(r, argc, argv, &i));
        }
    }
    return GLINT_OK;
}

/* ---- variables and the config file ---- */

/* "max-tokens" as GLINT_MAX_TOKENS or max_tokens. */
static void spell(char out[NAME_BYTES_MAX], const char *prefix, const char *name, bool upper) {
    snprintf(out, NAME_BYTES_MAX, "%s%s", prefix, name);
    for (char *p = out; *p; p++) {
        if (*p == '-') *p = '_';
        if (upper && *p >= 'a' && *p <= 'z') *p = (char)(*p - 'a' + 'A');
    }
}

static glint_status copy_text(const parse_run *r, const char *text, size_t len, const char **ret) {
    *ret = gi_arena_strndup(&r->o->arena, text, len);
    return *ret ? GLINT_OK : gi_fail(r->err, GLINT_ERR_MEMORY, "no memory for the options");
}

/* Remember where a value came from; the last source wins. */
static glint_status note_source(const parse_run *r, const gi_option *s, const char *source) {
    if (s < r->o->specs || s >= r->o->specs + r->o->n_specs) return GLINT_OK;
    return copy_text(r, source, strlen(source), &r->o->sources[s - r->o->specs]);
}

static glint_status set_from_variable(const parse_run *r, const gi_option *s) {
    char name[NAME_BYTES_MAX];
    spell(name, "GLINT_", s->name, true);
    const char *text = getenv(name);
    if (!text || !*text) return GLINT_OK;
    GI_TRY(note_source(r, s, name));
    if (s->kind != GI_OPTION_LIST) return set_value(r, s, name, text);
    ((gi_option_list *)s->target)->n = 0;
    for (const char *at = text; *at; at += *at == ',') {
        const char *item;
        const size_t len = strcspn(at, ",");
        GI_TRY(copy_text(r, at, len, &item));
        if (len) GI_TRY(set_value(r, s, name, item));
        at += len;
    }
    return GLINT_OK;
}

/* A JSON value as the text a flag would have. Arrays are for lists. */
static glint_status set_from_json(const parse_run *r, const gi_option *s, const char *source,
                                  const json_t *v) {
    char number[64];
    if (json_is_array(v) && s->kind == GI_OPTION_LIST) {
        ((gi_option_list *)s->target)->n = 0;
        for (size_t i = 0; i < json_array_size(v); i++) {
            if (json_is_array(json_array_get(v, i)))
                return gi_fail(r->err, GLINT_ERR_ARG, "%s: a list in a list", source);
            GI_TRY(set_from_json(r, s, source, json_array_get(v, i)));
        }
        return GLINT_OK;
    }
    const bool wants_text =
        s->kind == GI_OPTION_TEXT || s->kind == GI_OPTION_CHOICE || s->kind == GI_OPTION_LIST;
    if (json_is_string(v) && wants_text) {
        const char *text;
        if (strlen(json_string_value(v)) != json_string_length(v))
            return gi_fail(r->err, GLINT_ERR_ARG, "%s: holds a zero byte", source);
        GI_TRY(copy_text(r, json_string_value(v), json_string_length(v), &text));
        return set_value(r, s, source, text);
    }
    if (json_is_boolean(v) && s->kind == GI_OPTION_SWITCH)
        return set_value(r, s, source, json_is_true(v) ? "true" : "false");
    if (json_is_number(v) && (s->kind == GI_OPTION_INT || s->kind == GI_OPTION_NUMBER)) {
        if (json_is_integer(v))
            snprintf(number, sizeof number, "%lld", (long long)json_integer_value(v));
        else
            snprintf(number, sizeof number, "%.17g", json_real_value(v));
        return set_value(r, s, source, number);
    }
    return gi_fail(r->err, GLINT_ERR_ARG, "%s: the value has the wrong type", source);
}

static glint_status unknown_setting(const parse_run *r, const gi_json_text *config,
                                    const char *key) {
    const char *near = nearest_option(r, key, strlen(key));
    char name[NAME_BYTES_MAX] = "";
    if (near) spell(name, "", near, false);
    const glint_status st = gi_fail(r->err, GLINT_ERR_ARG, "unknown setting \"%.80s\"%s%s%s", key,
                                    near ? "; did you mean \"" : "", name, near ? "\"?" : "");
    gi_json_at(config, config->root, key, st, r->err);
    return st;
}

static glint_status apply_config(const parse_run *r, const gi_json_text *config) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)config->root, key, value) {
        const gi_option *found = NULL;
        for (size_t i = 0; i < r->o->n_specs && !found; i++) {
            char name[NAME_BYTES_MAX];
            const gi_option *s = &r->o->specs[i];
            if (s->kind == GI_OPTION_HEADING || s->flag_only) continue;
            spell(name, "", s->name, false);
            if (strcmp(name, key) == 0) found = s;
        }
        if (!found) return unknown_setting(r, config, key);
        const glint_status st = set_from_json(r, found, key, value);
        gi_json_at(config, config->root, key, st, r->err);
        GI_TRY(st);
        char source[SOURCE_BYTES_MAX];
        snprintf(source, sizeof source, "%s:%zu: %s", config->what,
                 gi_json_line(config, config->root, key), key);
        GI_TRY(note_source(r, found, source));
    }
    return GLINT_OK;
}

static glint_status read_config(const parse_run *r) {
    gi_json_file file;
    GI_TRY(gi_json_file_open(r->config, CONFIG_BYTES_MAX, &file, r->err));
    const glint_status st = apply_config(r, &file.place);
    gi_json_file_close(&file);
    return st;
}

static glint_status apply_flags(const parse_run *r, bool config_only) {
    for (size_t i = 0; i < r->n_flags; i++) {
        const gi_option *s = r->flags[i].spec;
        if (config_only != (s == &r->own[1])) continue;
        char source[NAME_BYTES_MAX + 2];
        snprintf(source, sizeof source, "--%s", s->name);
        /* The first flag of a list replaces what variables and file gave. */
        bool is_first = true;
        for (size_t j = 0; j < i; j++) is_first &= r->flags[j].spec != s;
        if (is_first && s->kind == GI_OPTION_LIST) ((gi_option_list *)s->target)->n = 0;
        GI_TRY(set_value(r, s, source, r->flags[i].value));
        GI_TRY(note_source(r, s, source));
    }
    return GLINT_OK;
}

glint_status gi_options_parse(gi_options *o, int argc, char **argv, glint_error *err) {
    parse_run r;
    init_run(&r, o, err);
    gi_arena_init(&o->arena, ARENA_BYTES_MAX);
    o->sources = gi_arena_alloc(&o->arena, o->n_specs, sizeof *o->sources);
    if (o->n_specs && !o->sources)
        return gi_fail(err, GLINT_ERR_MEMORY, "no memory for the options");
    for (size_t i = 0; i < o->n_specs; i++) o->sources[i] = NULL;
    for (size_t i = 0; i < o->n_specs; i++)
        if (o->specs[i].fallback)
            GI_TRY(set_value(&r, &o->specs[i], o->specs[i].name, o->specs[i].fallback));
    GI_TRY(scan_arguments(&r, argc, argv));
    for (size_t i = 0; i < r.n_flags; i++) /* help is shown whatever else is wrong */
        if (r.flags[i].spec == &r.own[0]) return set_value(&r, &r.own[0], "--help", NULL);
    if (o->has_config) {
        GI_TRY(set_from_variable(&r, &r.own[1]));
        GI_TRY(apply_flags(&r, true));
        if (r.config) GI_TRY(read_config(&r));
    }
    for (size_t i = 0; i < o->n_specs; i++)
        if (o->specs[i].kind != GI_OPTION_HEADING && !o->specs[i].flag_only)
            GI_TRY(set_from_variable(&r, &o->specs[i]));
    return apply_flags(&r, false);
}

/* ---- help ---- */

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
    for (size_t i = 0; i < o->n_specs; i++) {
        char name[NAME_BYTES_MAX];
        if (o->specs[i].kind == GI_OPTION_HEADING || o->specs[i].flag_only) continue;
        spell(name, "GLINT_", o->specs[i].name, true);
        fprintf(to, "\nAn option can also be set by a variable: --%s by %s.\n", o->specs[i].name,
                name);
        return;
    }
}

void gi_options_print_help(const gi_options *o, FILE *to) {
    gi_options copy = *o;
    parse_run r;
    init_run(&r, &copy, NULL);
    fprintf(to, "Usage: %s\n\n%s\n", o->usage, o->about);
    if (o->n_specs && o->specs[0].kind != GI_OPTION_HEADING) fputs("Options:\n", to);
    bool has_headings = false;
    for (size_t i = 0; i < n_options(&r); i++) {
        const gi_option *s = option_at(&r, i);
        has_headings |= s->kind == GI_OPTION_HEADING;
        if (i == o->n_specs && has_headings) fputs("\nOther:\n", to);
        if (s->kind == GI_OPTION_HEADING)
            fprintf(to, "%s%s\n", i ? "\n" : "", s->name);
        else
            print_option(s, to);
    }
    print_variables(o, to);
    if (o->footer) fprintf(to, "\n%s", o->footer);
}

const char *gi_options_source(const gi_options *o, const char *name) {
    for (size_t i = 0; i < o->n_specs; i++)
        if (strcmp(o->specs[i].name, name) == 0) return o->sources[i];
    return NULL;
}

static bool is_same_text(const char *a, const char *b) {
    return a == b || (a && b && strcmp(a, b) == 0);
}

bool gi_option_equal(const gi_option *a, const gi_option *b) {
    const gi_option_list *list = a->target, *other = b->target;
    switch (a->kind) {
    case GI_OPTION_HEADING:
        return true;
    case GI_OPTION_SWITCH:
        return *(const bool *)a->target == *(const bool *)b->target;
    case GI_OPTION_INT:
        return *(const int64_t *)a->target == *(const int64_t *)b->target;
    case GI_OPTION_NUMBER:
        return *(const double *)a->target == *(const double *)b->target;
    case GI_OPTION_TEXT:
    case GI_OPTION_CHOICE:
        return is_same_text(*(const char *const *)a->target, *(const char *const *)b->target);
    case GI_OPTION_LIST:
        if (list->n != other->n) return false;
        for (size_t i = 0; i < list->n; i++)
            if (strcmp(list->values[i], other->values[i]) != 0) return false;
        return true;
    }
    return true;
}

void gi_options_done(gi_options *o) {
    gi_arena_done(&o->arena);
}
