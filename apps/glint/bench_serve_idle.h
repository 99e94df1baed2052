/**
 * @file
 * Connections that stay open and do nothing: people who left a page open. Each asks for /health
 * once, because a server may close a connection that never asks for anything, and is then silent.
 */
#ifndef APPS_GLINT_BENCH_SERVE_IDLE_H
#define APPS_GLINT_BENCH_SERVE_IDLE_H

#include "base/fail.h"

#include <stdbool.h>
#include <stddef.h>

/** Most of them. */
#define GI_LOAD_IDLE_MAX 20000

/** Zero-initialise. */
typedef struct gi_load_idle {
    int *fds; /**< [n] */
    size_t n;
} gi_load_idle;

/**
 * Open n connections to the host of `url`, which must be http.
 *
 * @return GLINT_ERR_UNSUPPORTED (https), GLINT_ERR_ARG (no such host), GLINT_ERR_IO (one was
 *         refused, or /health not answered), GLINT_ERR_MEMORY. The caller calls gi_load_idle_close
 *         always.
 */
glint_status gi_load_idle_open(gi_load_idle *idle, const char *url, size_t n, glint_error *err);

/** How many the server has not closed. */
size_t gi_load_idle_count(const gi_load_idle *idle);

/** Close and free. */
void gi_load_idle_close(gi_load_idle *idle);

#endif
