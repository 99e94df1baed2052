/**
 * @file
 * The questions of `glint bench quality`: a folder's cases.json, as train/scenes writes it, and how
 * far an answer is from the right one.
 */
#ifndef APPS_GLINT_BENCH_QUALITY_CASES_H
#define APPS_GLINT_BENCH_QUALITY_CASES_H

#include "base/fail.h"

#include <jansson.h>
#include <stddef.h>

/** Most questions, and most bytes of cases.json. */
#define GI_QUALITY_CASES_MAX       ((size_t)1000000)
#define GI_QUALITY_CASES_BYTES_MAX ((size_t)256 << 20)
/** Longest answer that is compared character by character. */
#define GI_QUALITY_CHARS_MAX       ((size_t)8192)

/** One question about one picture. Strings belong to the cases they are of. */
typedef struct gi_quality_case {
    const char *image;  /**< file name relative to the folder */
    const char *task;   /**< kind of question, as figures are given by */
    const char *prompt; /**< what is asked */
    char *want;         /**< the right answer; of a verdict as gi_quality_verdict writes it */
    const char *label;  /**< the right verdict, "reject"; NULL = the answer is free text */
    json_t *verdict;    /**< the answer as JSON, owner of `label`; NULL = it is none */
} gi_quality_case;

/** Zero-initialise. */
typedef struct gi_quality_cases {
    gi_quality_case *items; /**< [n], in the order of the file */
    size_t n;
    json_t *root;
} gi_quality_cases;

/**
 * Read DIR/cases.json: [{"image", "task", "prompt", "answer"}, ...]. An answer that is a JSON
 * object with a text `result` and an array `reasons` is a verdict, whatever its task is called.
 *
 * @return GLINT_ERR_IO, GLINT_ERR_FORMAT (names the entry and the member), GLINT_ERR_LIMIT,
 *         GLINT_ERR_MEMORY. The caller calls gi_quality_cases_done always.
 */
glint_status gi_quality_cases_read(gi_quality_cases *c, const char *dir, glint_error *err);

/** Free. */
void gi_quality_cases_done(gi_quality_cases *c);

/**
 * `result` and `reasons` of a verdict as compact JSON, so that two of them can be compared.
 *
 * @param ret to be freed with gi_free; NULL when the members are not there.
 * @return GLINT_ERR_MEMORY.
 */
glint_status gi_quality_verdict(const json_t *verdict, char **ret, glint_error *err);

/**
 * Levenshtein's distance: the fewest characters to add, drop or change to make `a` into `b`.
 *
 * @param ret_chars code points of b. Bytes that are no UTF-8 count as one character each.
 * @return GLINT_ERR_MEMORY. Of texts longer than GI_QUALITY_CHARS_MAX only the begin is compared.
 */
glint_status gi_quality_distance(const char *a, const char *b, size_t *ret_distance,
                                 size_t *ret_chars, glint_error *err);

#endif
