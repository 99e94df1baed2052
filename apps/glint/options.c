/*
 * Options from one table. Every source of values (flag, variable, config file, default) ends in
 * set_value, so that range and type are checked in one place and messages differ only in where
 * the value came from. Flags are collected first and applied last: they must win, and --config
 * must be known before.
 */
#include "options.h"

#include "base/json_text.h"
#include "base/parse.h"
#include "base/size.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    CONFIG_BYTES_MAX = 256 * 1024,
    ARENA_BYTES_MAX = 1024 * 1024,
    FLAGS_MAX = 256,
    SOURCE_BYTES_MAX = 4096 + 128, /* a path, a line and a name */
};

/* An option, where its value goes, and where is noted what it came from. */
typedef struct setting {
    const gi_option *option;
    void *target;
    const char **source; /* NULL for those of every command */
} setting;

typedef struct parse_run {
    gi_options *o;
    glint_error *err;
    struct {
        setting setting;
        const char *value; /* NULL for a bare switch */
    } flags[FLAGS_MAX];
    size_t n_flags;
} parse_run;

/* ---- all options of a command ---- */

enum { COMMON_HELP, COMMON_CONFIG, N_COMMON };

/* Of every command; their members are those of gi_options. */
static const gi_option COMMON[N_COMMON] = {
    [COMMON_HELP] = {.name = "help",
                     .letter = 'h',
                     .kind = GI_OPTION_SWITCH,
                     .offset = offsetof(gi_options, help_wanted),
                     .flag_only = true,
                     .help = "show this text"},
    [COMMON_CONFIG] = {.name = "config",
                       .kind = GI_OPTION_TEXT,
                       .offset = offsetof(gi_options, config),
                       .value = "FILE",
                       .flag_only = true, /* GLINT_CONFIG is read before the others */
                       .help = "JSON object with any of these settings by name"},
};

const gi_option *gi_options_common(const gi_options *o, size_t *ret_n) {
    *ret_n = o->has_config ? N_COMMON : N_COMMON - 1;
    return COMMON;
}

static setting common_setting(gi_options *o, size_t i) {
    return (setting){.option = &COMMON[i], .target = (char *)o + COMMON[i].offset};
}

/* The i-th option of the command, then of every command; headings, too. False after the last. */
static bool setting_at(gi_options *o, size_t i, setting *ret) {
    const size_t n = gi_options_count(o);
    size_t n_common;
    gi_options_common(o, &n_common);
    if (i >= n + n_common) return false;
    *ret = i < n ? (setting){.option = gi_options_at(o, i),
                             .target = gi_options_value(o, i),
                             .source = &o->sources[i]}
                 : common_setting(o, i - n);
    return true;
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

/* Read `text` (NULL: a bare switch) into the setting's target. `source` begins messages. */
static glint_status set_value(const parse_run *r, const setting *to, const char *source,
                              const char *text) {
    const gi_option *s = to->option;
    int64_t i;
    double d;
    switch (s->kind) {
    case GI_OPTION_HEADING:
        return GLINT_OK;
    case GI_OPTION_SWITCH:
        if (!text || strcmp(text, "true") == 0 || strcmp(text, "1") == 0)
            *(bool *)to->target = true;
        else if (strcmp(text, "false") == 0 || strcmp(text, "0") == 0)
            *(bool *)to->target = false;
        else
            return bad_value(r, source, text, "true or false");
        return GLINT_OK;
    case GI_OPTION_INT:
        if (!gi_parse_i64(text, &i)) return bad_value(r, source, text, "a whole number");
        GI_TRY(check_range(r, s, source, (double)i));
        *(int64_t *)to->target = i;
        return GLINT_OK;
    case GI_OPTION_NUMBER:
        if (!gi_parse_double(text, &d)) return bad_value(r, source, text, "a number");
        GI_TRY(check_range(r, s, source, d));
        *(double *)to->target = d;
        return GLINT_OK;
    case GI_OPTION_TEXT:
        *(const char **)to->target = text;
        return GLINT_OK;
    case GI_OPTION_CHOICE:
        if (!is_choice(s->choices, text))
            return gi_fail(r->err, GLINT_ERR_ARG, "%s: \"%.80s\" is not one of %s", source, text,
                           s->choices);
        *(const char **)to->target = text;
        return GLINT_OK;
    case GI_OPTION_LIST:
        return add_to_list(r, to->target, source, text);
    }
    return GLINT_OK;
}

/* ---- flags ---- */

/* The option nearest to what was written, or NULL. */
static const char *nearest_option(const parse_run *r, const char *name, size_t len) {
    const char *names[FLAGS_MAX];
    char word[GI_OPTION_NAME_BYTES] = "";
    size_t n = 0;
    setting s;
    if (len >= sizeof word) return NULL; /* no name is so long */
    for (size_t i = 0; setting_at(r->o, i, &s) && n < FLAGS_MAX; i++)
        if (s.option->kind != GI_OPTION_HEADING) names[n++] = s.option->name;
    for (size_t i = 0; i < len; i++) word[i] = name[i] == '_' ? '-' : name[i];
    return gi_options_nearest(word, names, n);
}

static glint_status unknown_option(const parse_run *r, const char *name, size_t len) {
    const char *near = nearest_option(r, name, len);
    if (near)
        return gi_fail(r->err, GLINT_ERR_ARG, "unknown option --%.*s; did you mean --%s?", (int)len,
                       name, near);
    return gi_fail(r->err, GLINT_ERR_ARG, "unknown option --%.*s; see glint %s --help",
                   (int)gi_min_size(len, 60), name, r->o->command);
}

static glint_status add_flag(parse_run *r, setting s, const char *value) {
    if (r->n_flags == FLAGS_MAX)
        return gi_fail(r->err, GLINT_ERR_ARG, "more than %d options", FLAGS_MAX);
    r->flags[r->n_flags].setting = s;
    r->flags[r->n_flags++].value = value;
    return GLINT_OK;
}

/* "name" or "name=value", after the dashes. *i moves on when the value is the next argument. */
static glint_status long_flag(parse_run *r, int argc, char **argv, int *i) {
    const char *name = argv[*i] + 2;
    const size_t len = strcspn(name, "=");
    setting s;
    for (size_t k = 0; setting_at(r->o, k, &s); k++) {
        const gi_option *option = s.option;
        if (option->kind == GI_OPTION_HEADING || strlen(option->name) != len ||
            strncmp(option->name, name, len) != 0)
            continue;
        if (name[len] == '=') return add_flag(r, s, name + len + 1);
        if (option->kind == GI_OPTION_SWITCH) return add_flag(r, s, NULL);
        if (*i + 1 >= argc)
            return gi_fail(r->err, GLINT_ERR_ARG, "--%s needs a value: --%s %s", option->name,
                           option->name, option->value);
        return add_flag(r, s, argv[++*i]);
    }
    return unknown_option(r, name, len);
}

/* One or more letters: "-j", "-n 5", "-n5", "-jn5". */
static glint_status short_flags(parse_run *r, int argc, char **argv, int *i) {
    for (const char *at = argv[*i] + 1; *at; at++) {
        setting s;
        bool is_known = false;
        for (size_t k = 0; !is_known && setting_at(r->o, k, &s); k++)
            is_known = s.option->letter == *at;
        if (!is_known)
            return gi_fail(r->err, GLINT_ERR_ARG, "unknown option -%c; see glint %s --help", *at,
                           r->o->command);
        if (s.option->kind == GI_OPTION_SWITCH) {
            GI_TRY(add_flag(r, s, NULL));
            continue;
        }
        if (at[1]) return add_flag(r, s, at + 1);
        if (*i + 1 >= argc)
            return gi_fail(r->err, GLINT_ERR_ARG, "-%c needs a value: -%c %s", *at, *at,
                           s.option->value);
        return add_flag(r, s, argv[++*i]);
    }
    return GLINT_OK;
}

static glint_status scan_arguments(parse_run *r, int argc, char **argv) {
    bool only_operands = false;
    for (int i = 0; i < argc; i++) {
        const char *a = argv[i];
        if (only_operands || a[0] != '-' || a[1] == '\0') {
            const size_t max = gi_min_size(r->o->operands_max, GI_OPTION_VALUES_MAX);
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

static glint_status copy_text(const parse_run *r, const char *text, size_t len, const char **ret) {
    *ret = gi_arena_strndup(&r->o->arena, text, len);
    return *ret ? GLINT_OK : gi_fail(r->err, GLINT_ERR_MEMORY, "no memory for the options");
}

/* Remember where a value came from; the last source wins. */
static glint_status note_source(const parse_run *r, const setting *s, const char *source) {
    return s->source ? copy_text(r, source, strlen(source), s->source) : GLINT_OK;
}

static glint_status set_from_variable(const parse_run *r, const setting *s) {
    char name[GI_OPTION_NAME_BYTES];
    gi_option_variable(s->option->name, name);
    const char *text = getenv(name);
    if (!text || !*text) return GLINT_OK;
    GI_TRY(note_source(r, s, name));
    if (s->option->kind != GI_OPTION_LIST) return set_value(r, s, name, text);
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
static glint_status set_from_json(const parse_run *r, const setting *s, const char *source,
                                  const json_t *v) {
    const gi_option_kind kind = s->option->kind;
    char number[64];
    if (json_is_array(v) && kind == GI_OPTION_LIST) {
        ((gi_option_list *)s->target)->n = 0;
        for (size_t i = 0; i < json_array_size(v); i++) {
            if (json_is_array(json_array_get(v, i)))
                return gi_fail(r->err, GLINT_ERR_ARG, "%s: a list in a list", source);
            GI_TRY(set_from_json(r, s, source, json_array_get(v, i)));
        }
        return GLINT_OK;
    }
    const bool wants_text =
        kind == GI_OPTION_TEXT || kind == GI_OPTION_CHOICE || kind == GI_OPTION_LIST;
    if (json_is_string(v) && wants_text) {
        const char *text;
        if (strlen(json_string_value(v)) != json_string_length(v))
            return gi_fail(r->err, GLINT_ERR_ARG, "%s: holds a zero byte", source);
        GI_TRY(copy_text(r, json_string_value(v), json_string_length(v), &text));
        return set_value(r, s, source, text);
    }
    if (json_is_boolean(v) && kind == GI_OPTION_SWITCH)
        return set_value(r, s, source, json_is_true(v) ? "true" : "false");
    if (json_is_number(v) && (kind == GI_OPTION_INT || kind == GI_OPTION_NUMBER)) {
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
    char name[GI_OPTION_NAME_BYTES] = "";
    if (near) gi_option_key(near, name);
    const glint_status st = gi_fail(r->err, GLINT_ERR_ARG, "unknown setting \"%.80s\"%s%s%s", key,
                                    near ? "; did you mean \"" : "", name, near ? "\"?" : "");
    gi_json_at(config, config->root, key, st, r->err);
    return st;
}

/* Whether the config file calls the option so. */
static bool is_key(const gi_option *s, const char *key) {
    char name[GI_OPTION_NAME_BYTES];
    if (s->kind == GI_OPTION_HEADING || s->flag_only) return false;
    gi_option_key(s->name, name);
    return strcmp(name, key) == 0;
}

static glint_status apply_config(const parse_run *r, const gi_json_text *config) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)config->root, key, value) {
        setting s;
        bool is_known = false;
        for (size_t i = 0; !is_known && setting_at(r->o, i, &s); i++)
            is_known = is_key(s.option, key);
        if (!is_known) return unknown_setting(r, config, key);
        const glint_status st = set_from_json(r, &s, key, value);
        gi_json_at(config, config->root, key, st, r->err);
        GI_TRY(st);
        char source[SOURCE_BYTES_MAX];
        snprintf(source, sizeof source, "%s:%zu: %s", config->what,
                 gi_json_line(config, config->root, key), key);
        GI_TRY(note_source(r, &s, source));
    }
    return GLINT_OK;
}

static glint_status read_config(const parse_run *r) {
    gi_json_file file;
    GI_TRY(gi_json_file_open(r->o->config, CONFIG_BYTES_MAX, &file, r->err));
    const glint_status st = apply_config(r, &file.place);
    gi_json_file_close(&file);
    return st;
}

static glint_status apply_flags(const parse_run *r, bool config_only) {
    for (size_t i = 0; i < r->n_flags; i++) {
        const setting *s = &r->flags[i].setting;
        if (config_only != (s->option == &COMMON[COMMON_CONFIG])) continue;
        char source[GI_OPTION_NAME_BYTES + 2];
        snprintf(source, sizeof source, "--%s", s->option->name);
        /* The first flag of a list replaces what variables and file gave. */
        bool is_first = true;
        for (size_t j = 0; j < i; j++) is_first &= r->flags[j].setting.option != s->option;
        if (is_first && s->option->kind == GI_OPTION_LIST) ((gi_option_list *)s->target)->n = 0;
        GI_TRY(set_value(r, s, source, r->flags[i].value));
        GI_TRY(note_source(r, s, source));
    }
    return GLINT_OK;
}

static glint_status make_sources(const parse_run *r) {
    const size_t n = gi_options_count(r->o);
    r->o->sources = gi_arena_alloc(&r->o->arena, n, sizeof *r->o->sources);
    if (n && !r->o->sources) return gi_fail(r->err, GLINT_ERR_MEMORY, "no memory for the options");
    for (size_t i = 0; i < n; i++) r->o->sources[i] = NULL;
    return GLINT_OK;
}

static glint_status apply_fallbacks(const parse_run *r) {
    setting s;
    for (size_t i = 0; setting_at(r->o, i, &s); i++)
        if (s.option->fallback) GI_TRY(set_value(r, &s, s.option->name, s.option->fallback));
    return GLINT_OK;
}

static glint_status apply_variables(const parse_run *r) {
    setting s;
    for (size_t i = 0; setting_at(r->o, i, &s); i++)
        if (s.option->kind != GI_OPTION_HEADING && !s.option->flag_only)
            GI_TRY(set_from_variable(r, &s));
    return GLINT_OK;
}

glint_status gi_options_parse(gi_options *o, int argc, char **argv, glint_error *err) {
    parse_run r = {.o = o, .err = err};
    gi_arena_init(&o->arena, ARENA_BYTES_MAX);
    GI_TRY(make_sources(&r));
    GI_TRY(apply_fallbacks(&r));
    GI_TRY(scan_arguments(&r, argc, argv));
    for (size_t i = 0; i < r.n_flags; i++) /* help is shown whatever else is wrong */
        if (r.flags[i].setting.option == &COMMON[COMMON_HELP]) o->help_wanted = true;
    if (o->help_wanted) return GLINT_OK;
    if (o->has_config) {
        const setting config = common_setting(o, COMMON_CONFIG);
        GI_TRY(set_from_variable(&r, &config));
        GI_TRY(apply_flags(&r, true));
        if (o->config) GI_TRY(read_config(&r));
    }
    GI_TRY(apply_variables(&r));
    return apply_flags(&r, false);
}

void gi_options_done(gi_options *o) {
    gi_arena_done(&o->arena);
}
