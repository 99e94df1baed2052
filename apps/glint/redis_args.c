/*
 * Without --redis nothing is shared; an option that would do nothing then is refused, because
 * whoever wrote it believes something else. Defaults are gi_store_settings_default's.
 */
#include "redis_args.h"

#include <stddef.h>
#include <string.h>

enum { MIB = 1024 * 1024 };

#define AT(member) offsetof(gi_redis_args, member)

static const gi_option ROWS[] = {
    {.name = "Redis:", .kind = GI_OPTION_HEADING},
    {.name = "redis",
     .kind = GI_OPTION_TEXT,
     .offset = AT(settings.url),
     .value = "URL",
     .help = "share work and limits with other servers\nthrough redis://HOST:PORT, rediss:// "
             "or\nunix:///PATH (none: nothing is shared)"},
    {.name = "redis-secret-file",
     .kind = GI_OPTION_TEXT,
     .offset = AT(settings.secret_file),
     .value = "FILE",
     .help = "32 to 4096 random bytes, the same for all\nservers: what lies in Redis without "
             "their\nmark is refused; needed with --redis"},
    {.name = "redis-password-file",
     .kind = GI_OPTION_TEXT,
     .offset = AT(settings.password_file),
     .value = "FILE",
     .help = "Redis' password; the user is in the URL"},
    {.name = "redis-ca-file",
     .kind = GI_OPTION_TEXT,
     .offset = AT(settings.ca_file),
     .value = "FILE",
     .help = "PEM file of the roots to trust for\nrediss://, instead of the system's"},
    {.name = "redis-prefix",
     .kind = GI_OPTION_TEXT,
     .offset = AT(settings.prefix),
     .value = "TEXT",
     .fallback = "glint",
     .help = "what every key begins with"},
    {.name = "redis-share",
     .kind = GI_OPTION_LIST,
     .offset = AT(share),
     .value = "WHAT",
     .unset = "all",
     .help = "answers, pictures (encoded), fetched\n(by URL) or limits"},
    {.name = "redis-timeout-ms",
     .kind = GI_OPTION_INT,
     .offset = AT(settings.timeout_ms),
     .value = "MS",
     .fallback = "50",
     .min = 1,
     .max = 10000,
     .help = "longest wait for an answer of Redis"},
    {.name = "redis-connect-ms",
     .kind = GI_OPTION_INT,
     .offset = AT(settings.connect_ms),
     .value = "MS",
     .fallback = "500",
     .min = 1,
     .max = 60000,
     .help = "time for making a connection, for which\nnobody waits"},
    {.name = "redis-connections",
     .kind = GI_OPTION_INT,
     .offset = AT(settings.n_connections),
     .value = "N",
     .fallback = "4",
     .min = 1,
     .max = GI_REDIS_CONNECTIONS_MAX,
     .help = "connections kept open"},
    {.name = "redis-value-max-mib",
     .kind = GI_OPTION_INT,
     .offset = AT(value_mib),
     .value = "MIB",
     .fallback = "8",
     .min = 1,
     .max = 256,
     .help = "largest value, in MiB"},
    {.name = "redis-queue-mib",
     .kind = GI_OPTION_INT,
     .offset = AT(queue_mib),
     .value = "MIB",
     .fallback = "64",
     .min = 1,
     .max = 4096,
     .help = "values waiting to be stored, in MiB; more\nare dropped"},
    {.name = "redis-ttl-s",
     .kind = GI_OPTION_INT,
     .offset = AT(ttl_s),
     .value = "S",
     .fallback = "86400",
     .min = 1,
     .max = 2592000,
     .help = "longest time a value is kept, in seconds"},
};

gi_option_group gi_redis_args_options(gi_redis_args *a) {
    return (gi_option_group)GI_OPTION_GROUP(ROWS, a);
}

static glint_status resolve_share(const gi_option_list *share, gi_server_settings *ret,
                                  glint_error *err) {
    const struct {
        const char *name;
        bool *target;
    } known[] = {{"answers", &ret->stores_answers},
                 {"pictures", &ret->stores_pictures},
                 {"fetched", &ret->stores_fetched},
                 {"limits", &ret->stores_limits}};
    enum { N = sizeof known / sizeof known[0] };
    for (size_t k = 0; k < N; k++) *known[k].target = share->n == 0;
    for (size_t i = 0; i < share->n; i++) {
        size_t k = 0;
        while (k < N && strcmp(share->values[i], known[k].name) != 0) k++;
        if (k == N)
            return gi_fail(err, GLINT_ERR_ARG,
                           "\"%.80s\" is none of answers, pictures, fetched, limits",
                           share->values[i]);
        *known[k].target = true;
    }
    return GLINT_OK;
}

glint_status gi_redis_args_resolve(gi_redis_args *a, gi_server_settings *ret, glint_error *err) {
    gi_store_settings *s = &a->settings;
    if (!s->url && (s->secret_file || s->password_file || s->ca_file || a->share.n > 0))
        return gi_fail(err, GLINT_ERR_ARG,
                       "--redis-secret-file, --redis-password-file, --redis-ca-file and "
                       "--redis-share do nothing without --redis");
    if (s->url && !s->secret_file)
        return gi_fail(err, GLINT_ERR_ARG,
                       "--redis needs --redis-secret-file; make one for all servers with: "
                       "openssl rand -hex 32 > redis.secret");
    s->value_bytes_max = a->value_mib * MIB;
    s->queue_bytes_max = a->queue_mib * MIB;
    s->ttl_ms = a->ttl_s * 1000;
    ret->store = *s;
    return resolve_share(&a->share, ret, err);
}
