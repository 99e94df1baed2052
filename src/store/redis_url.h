/**
 * @file
 * Where Redis is, as people write it:
 *
 *     redis://[USER[:PASSWORD]@]HOST[:PORT][/DB]       TCP, port 6379 unless named
 *     rediss://...                                     the same with TLS
 *     unix:///path/to/redis.sock[?db=DB]
 *
 * HOST is a name, an IPv4 address or an IPv6 address in brackets. USER and PASSWORD may hold %XX.
 */
#ifndef GI_STORE_REDIS_URL_H
#define GI_STORE_REDIS_URL_H

#include "base/fail.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Room for each text, with its zero. */
#define GI_REDIS_HOST_BYTES     256
#define GI_REDIS_PATH_BYTES     108
#define GI_REDIS_USER_BYTES     128
#define GI_REDIS_PASSWORD_BYTES 512

typedef struct gi_redis_url {
    bool is_unix, is_tls;
    char host[GI_REDIS_HOST_BYTES]; /**< without brackets */
    uint16_t port;
    char path[GI_REDIS_PATH_BYTES];         /**< of the socket */
    char user[GI_REDIS_USER_BYTES];         /**< empty: the default user */
    char password[GI_REDIS_PASSWORD_BYTES]; /**< empty: none */
    uint32_t db;
} gi_redis_url;

/** GLINT_ERR_ARG; the message never contains the password. */
glint_status gi_redis_url_parse(const char *text, gi_redis_url *ret, glint_error *err);

/** Where it is, for people: without user and password. At most GI_REDIS_HOST_BYTES + 16. */
void gi_redis_url_format(const gi_redis_url *url, char *out, size_t out_bytes);

#endif
