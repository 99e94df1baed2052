/*
 * What options are called: in the environment, in the config file, and which one a word nearly is.
 */
#include "options.h"

#include "base/size.h"

#include <string.h>

enum { WORD_MAX = 40 /* longest word worth a suggestion */ };

/* `name` after `prefix`, with underscores for dashes. */
static void spell(const char *prefix, const char *name, char ret[GI_OPTION_NAME_BYTES]) {
    snprintf(ret, GI_OPTION_NAME_BYTES, "%s%s", prefix, name);
    for (char *p = ret; *p; p++)
        if (*p == '-') *p = '_';
}

void gi_option_key(const char *name, char ret[GI_OPTION_NAME_BYTES]) {
    spell("", name, ret);
}

void gi_option_variable(const char *name, char ret[GI_OPTION_NAME_BYTES]) {
    spell("GLINT_", name, ret);
    for (char *p = ret; *p; p++)
        if (*p >= 'a' && *p <= 'z') *p = (char)(*p - 'a' + 'A');
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
            d[i][j] =
                gi_min_size(d[i - 1][j - 1] + change, gi_min_size(d[i - 1][j], d[i][j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = gi_min_size(d[i][j], d[i - 2][j - 2] + 1);
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
