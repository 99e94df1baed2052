/**
 * @file
 * Asks a running glint server the questions of `glint bench quality`: a few clients, each with one
 * request at a time, pictures sent as the files they are.
 */
#ifndef APPS_GLINT_BENCH_QUALITY_ASK_H
#define APPS_GLINT_BENCH_QUALITY_ASK_H

#include "bench_quality_tally.h"

#define GI_QUALITY_CLIENTS_MAX 64

typedef struct gi_quality_settings {
    const char *url;   /**< "http://127.0.0.1:8080", no slash at its end */
    const char *dir;   /**< of the pictures */
    const char *token; /**< Authorization: Bearer; NULL = none */
    size_t n_clients;
    long give_up_ms;
    bool no_cache; /**< tell the server to use no cache */
    bool progress; /**< a line on stderr that counts */
} gi_quality_settings;

/**
 * Ask cases [0, n) and add their answers to `t`, in the order they come.
 *
 * @return GLINT_ERR_IO (the server cannot be reached: nothing more is asked), GLINT_ERR_MEMORY.
 *         A question that is refused is counted, with the reason, and is no failure.
 */
glint_status gi_quality_ask(const gi_quality_settings *s, const gi_quality_cases *cases, size_t n,
                            gi_quality_tally *t, glint_error *err);

#endif
