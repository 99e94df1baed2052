/*
 * Any bytes as a token, in two ways: as they are, against a known key (the reader, before the
 * signature: nothing may get in); and as claims that are signed here first, so that what lies
 * behind the signature is reached. An accepted token has a tenant that is a name.
 */
#include "base/filemap.h"
#include "server/auth_sign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

enum { NOW_S = 1800000000, TEXT_BYTES = 65536 };

static const char FILE_TEXT[] = "{\"keys\":[{\"kid\":\"k\",\"alg\":\"HS256\",\"secret\":"
                                "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}]}";

/* The keys, made once. */
static const gi_auth_keys *the_keys(void) {
    static gi_auth_keys *keys;
    if (keys) return keys;
    char path[] = "/tmp/glint-fuzz-XXXXXX";
    const int fd = mkstemp(path);
    gi_assert(fd >= 0 && write(fd, FILE_TEXT, strlen(FILE_TEXT)) == (ssize_t)strlen(FILE_TEXT));
    close(fd);
    gi_assert(gi_auth_keys_load(path, NULL, &keys, NULL) == GLINT_OK);
    unlink(path);
    return keys;
}

static void check(const char *token, size_t n, bool is_signed) {
    static const gi_jwt_policy policies[] = {{NULL, NULL, "tenant", 30},
                                             {"glint", "me", "tenant", 30}};
    for (size_t i = 0; i < 2; i++) {
        gi_principal p = {0};
        gi_auth_refusal why = {0};
        if (gi_jwt_check(the_keys(), &policies[i], token, n, NOW_S, &p, &why)) {
            gi_assert(is_signed && gi_auth_is_name(p.tenant, strlen(p.tenant)));
            gi_assert(strcmp(p.key_id, "k") == 0 && (p.scopes & ~(unsigned)GI_SCOPE_ALL) == 0);
        } else {
            gi_assert(why.reason && p.tenant[0] == '\0');
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    gi_sign_key key = {.alg = GI_AUTH_HS256, .n_secret = 32};
    check((const char *)bytes, n_bytes, false);
    gi_buf claims, token;
    gi_buf_init(&claims, TEXT_BYTES);
    gi_buf_init(&token, 2 * TEXT_BYTES);
    if (n_bytes < 6000 && gi_buf_push(&claims, bytes, n_bytes, NULL) == GLINT_OK && claims.data &&
        gi_jwt_sign(&key, "k", (const char *)claims.data, &token, NULL) == GLINT_OK)
        check((const char *)token.data, token.len, true);
    gi_buf_done(&claims);
    gi_buf_done(&token);
    return 0;
}
