/**
 * @file
 * An answer as bytes, to be kept outside of this process. Numbers are little-endian:
 *
 *     u32 format, 1   u32 finish   5 x u32 usage   f64 confidence
 *     3 x u32 length of text, reasoning + 1, data + 1 (0 = none), then these without zeros
 */
#ifndef GI_SERVER_ANSWER_RECORD_H
#define GI_SERVER_ANSWER_RECORD_H

#include <glint/glint.h>

#include "base/buf.h"

#include <stdbool.h>

/** Append an answer to `out`. Its timing is left out. GLINT_ERR_LIMIT, GLINT_ERR_MEMORY;
 * GLINT_ERR_UNSUPPORTED: it lists tokens. */
glint_status gi_answer_record_encode(const glint_result *result, gi_buf *out, glint_error *err);

/** What a record holds; texts point into it and have no zero behind them. */
typedef struct gi_answer_record {
    glint_finish finish; /**< STOP or LENGTH */
    glint_usage usage;
    double confidence; /**< 0..1 */
    const char *text, *reasoning,
        *data_json; /**< valid UTF-8 without a zero; the latter may be NULL */
    size_t n_text, n_reasoning, n_data_json;
} gi_answer_record;

/** Read n bytes; any bytes. False: they are not a whole, sensible record. */
bool gi_answer_record_decode(const uint8_t *bytes, size_t n, gi_answer_record *ret);

#endif
