/**
 * @file
 * What the parts of the server say about themselves, put where metrics want it.
 */
#ifndef GI_SERVER_SERVER_VIEW_H
#define GI_SERVER_SERVER_VIEW_H

#include "fetch/fetcher.h"
#include "server/access.h"
#include "server/http.h"
#include "server/infer.h"
#include "server/metrics.h"

/** Where to look; NULL: not there (yet). */
typedef struct gi_server_parts {
    const gi_http *http;
    const gi_access *access;
    gi_fetcher *fetcher;
    gi_store *store;
    gi_infer *infer;
    const glint_engine *engine;
} gi_server_parts;

/** Most reasons of gi_access_get_failures that are shown. */
#define GI_SERVER_REASONS_MAX 64

/** Fill in a view; `reasons` is room for what it points to. */
void gi_server_view(const gi_server_parts *parts, gi_metrics_reason reasons[GI_SERVER_REASONS_MAX],
                    gi_metrics_view *io_view);

#endif
