/*
 * Bytes as a config file. Values are within their ranges; the file read again says the same, and so
 * do the same values as flags; a refusal has words.
 */
#include "../apps/glint/options.h"
#include "bytes_file.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

enum { ARGS_MAX = 2 * GI_OPTION_VALUES_MAX };

typedef struct settings {
    bool is_on;
    int64_t count;
    double share;
    const char *text, *choice;
    gi_option_list list;
} settings;

#define AT(member) offsetof(settings, member)

static const gi_option ROWS[] = {
    {.name = "Things that are read:", .kind = GI_OPTION_HEADING},
    {.name = "is-on", .kind = GI_OPTION_SWITCH, .offset = AT(is_on)},
    {.name = "count-max",
     .kind = GI_OPTION_INT,
     .offset = AT(count),
     .min = -5,
     .max = 1e15,
     .fallback = "7"},
    {.name = "share", .kind = GI_OPTION_NUMBER, .offset = AT(share), .min = -1e9, .max = 1e300},
    {.name = "text", .kind = GI_OPTION_TEXT, .offset = AT(text)},
    {.name = "choice",
     .kind = GI_OPTION_CHOICE,
     .offset = AT(choice),
     .choices = "auto|f32|int8",
     .fallback = "auto"},
    {.name = "one-of-many", .kind = GI_OPTION_LIST, .offset = AT(list)},
    {.name = "secret", .kind = GI_OPTION_TEXT, .offset = AT(text), .flag_only = true},
};

/* What is given as arguments or by the file is put into `s`. The caller calls gi_options_done. */
static glint_status parse(settings *s, gi_options *o, int argc, char **argv, glint_error *err) {
    *s = (settings){0};
    *o = (gi_options){.command = "test", .groups = {GI_OPTION_GROUP(ROWS, s)}, .has_config = true};
    return gi_options_parse(o, argc, argv, err);
}

static bool same_text(const char *a, const char *b) {
    return a == b || (a && b && strcmp(a, b) == 0);
}

static void check_same(const settings *a, const settings *b) {
    gi_assert(a->is_on == b->is_on && a->count == b->count);
    gi_assert(memcmp(&a->share, &b->share, sizeof a->share) == 0);
    gi_assert(same_text(a->text, b->text) && same_text(a->choice, b->choice));
    gi_assert(a->list.n == b->list.n);
    for (size_t i = 0; i < a->list.n; i++)
        gi_assert(same_text(a->list.values[i], b->list.values[i]));
}

static void check_flags(const settings *s) {
    static char on[] = "--is-on", off[] = "--is-on=0", count[] = "--count-max", share[] = "--share",
                text[] = "--text", choice[] = "--choice", many[] = "--one-of-many";
    char number[32], real[64], *argv[ARGS_MAX + 16];
    gi_options o;
    settings again;
    int n = 0;
    snprintf(number, sizeof number, "%" PRId64, s->count);
    snprintf(real, sizeof real, "%.17g", s->share);
    argv[n++] = s->is_on ? on : off;
    argv[n++] = count;
    argv[n++] = number;
    argv[n++] = share;
    argv[n++] = real;
    if (s->text) {
        argv[n++] = text;
        argv[n++] = (char *)(uintptr_t)s->text;
    }
    argv[n++] = choice;
    argv[n++] = (char *)(uintptr_t)s->choice;
    for (size_t i = 0; i < s->list.n; i++) {
        argv[n++] = many;
        argv[n++] = (char *)(uintptr_t)s->list.values[i];
    }
    gi_assert(parse(&again, &o, n, argv, NULL) == GLINT_OK && o.n_operands == 0);
    check_same(s, &again);
    gi_options_done(&o);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    char flag[] = "--config", path[64], *argv[2] = {flag, path};
    gi_options o, o_again;
    settings s, again;
    glint_error err = {0};
    snprintf(path, sizeof path, "%s", bytes_file(bytes, n_bytes));
    const glint_status st = parse(&s, &o, 2, argv, &err);
    gi_assert(parse(&again, &o_again, 2, argv, NULL) == st);
    if (st == GLINT_OK) {
        gi_assert(s.count >= -5 && s.count <= (int64_t)1e15 && s.share >= -1e9 && s.share <= 1e300);
        gi_assert(s.list.n <= GI_OPTION_VALUES_MAX);
        check_same(&s, &again);
        check_flags(&s);
    } else {
        gi_assert(err.code == st && strstr(err.message, path) == err.message);
    }
    gi_options_done(&o);
    gi_options_done(&o_again);
    return 0;
}
