/**
 * @file
 * The options that say which pictures may be fetched by URL.
 */
#ifndef APPS_GLINT_FETCH_ARGS_H
#define APPS_GLINT_FETCH_ARGS_H

#include "options.h"

#include "fetch/fetcher.h"

/** Their values. Zero-initialise. */
typedef struct gi_fetch_args {
    gi_option_list hosts, port_texts;
    bool allow_http, allow_private;
    const char *ca_file, *urls;
    int64_t total_ms, file_mib, cache_mib, transfers_max;
    int64_t ports[GI_FETCH_PORTS_MAX];
} gi_fetch_args;

/** Their rows, a heading first; values go into `a`. */
gi_option_group gi_fetch_args_options(gi_fetch_args *a);

/** True unless fetching is switched off for now. */
bool gi_fetch_args_are_on(const gi_fetch_args *a);

/** The fetcher's settings, which point into `a`; without hosts they mean "none". GLINT_ERR_ARG: a
 * port is none, or an option that does nothing without a host. */
glint_status gi_fetch_args_resolve(gi_fetch_args *a, gi_fetch_config *ret, glint_error *err);

#endif
