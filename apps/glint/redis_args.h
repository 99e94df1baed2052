/**
 * @file
 * The options that say what is shared with other servers through Redis.
 */
#ifndef APPS_GLINT_REDIS_ARGS_H
#define APPS_GLINT_REDIS_ARGS_H

#include "options.h"

#include "server/server.h"

/** Their values. Zero-initialise. */
typedef struct gi_redis_args {
    gi_store_settings settings;
    gi_option_list share;
    int64_t value_mib, queue_mib, ttl_s;
} gi_redis_args;

/** Their rows, a heading first; values go into `a`. */
gi_option_group gi_redis_args_options(gi_redis_args *a);

/** Fill in the server's settings of Redis, which point into `a`; without an address they mean
 * "none". GLINT_ERR_ARG: an option that does nothing without it, or the secret is missing. */
glint_status gi_redis_args_resolve(gi_redis_args *a, gi_server_settings *ret, glint_error *err);

#endif
