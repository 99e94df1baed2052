/*
 * src/server/jwt, auth and auth_sign: what glint signs it accepts, each bit of it changed it does
 * not; claims at the edges of their ranges; memory that runs out lets nobody in. Tokens of other
 * programs: tests/server/test_auth.py, tests/suites/auth.
 */
#include "../cm.h"

#include "base/alloc.h"
#include "server/auth_sign.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 256, TEXT_BYTES = 16384, NOW_S = 1800000000 };

static const gi_auth_alg ALGS[] = {GI_AUTH_HS256, GI_AUTH_RS256, GI_AUTH_ES256, GI_AUTH_EDDSA};

enum { N_ALGS = sizeof ALGS / sizeof ALGS[0] };

/* A signing key of each algorithm, and the files that let its tokens in. */
typedef struct rig {
    const char *dir;
    gi_sign_key sign[N_ALGS];
    char path[N_ALGS][PATH_BYTES];
    gi_auth_keys *keys[N_ALGS];
} rig;

static const gi_jwt_policy POLICY = {NULL, NULL, "tenant", 30};
static const char GOOD[] = "{\"exp\":1800000100,\"tenant\":\"t\",\"scope\":\"infer\"}";

static void write_file(const char *path, const void *bytes, size_t n) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

static void write_keys(rig *r, int i) {
    gi_buf text, entry;
    char pem[PATH_BYTES];
    gi_buf_init(&text, TEXT_BYTES);
    gi_buf_init(&entry, TEXT_BYTES);
    const char *alg = gi_auth_alg_name(ALGS[i]);
    snprintf(r->path[i], PATH_BYTES, "%s/%d.json", r->dir, i);
    if (ALGS[i] == GI_AUTH_HS256) {
        assert_int_equal(gi_sign_key_write(&r->sign[i], &text, NULL), GLINT_OK);
        gi_buf_printf(&entry, NULL,
                      "{\"keys\":[{\"kid\":\"k\",\"alg\":\"%s\",\"secret\":\"%.*s\"}]}", alg,
                      (int)text.len - 1, (char *)text.data);
    } else {
        assert_int_equal(gi_sign_key_write_public(&r->sign[i], &text, NULL), GLINT_OK);
        snprintf(pem, sizeof pem, "%s/%d.pem", r->dir, i);
        write_file(pem, text.data, text.len);
        gi_buf_printf(&entry, NULL,
                      "{\"keys\":[{\"kid\":\"k\",\"alg\":\"%s\",\"pem\":\"%d.pem\"}]}", alg, i);
    }
    write_file(r->path[i], entry.data, entry.len);
    gi_buf_done(&text);
    gi_buf_done(&entry);
}

static int setup(void **state) {
    static char dir[] = "/tmp/glint-jwt-XXXXXX";
    static rig r = {.dir = dir};
    if (!mkdtemp(dir)) return -1;
    for (int i = 0; i < N_ALGS; i++) {
        assert_int_equal(gi_sign_key_make(ALGS[i], &r.sign[i], NULL), GLINT_OK);
        write_keys(&r, i);
        assert_int_equal(gi_auth_keys_load(r.path[i], NULL, &r.keys[i], NULL), GLINT_OK);
    }
    *state = &r;
    return 0;
}

static int teardown(void **state) {
    rig *r = *state;
    char path[PATH_BYTES];
    for (int i = 0; i < N_ALGS; i++) {
        gi_sign_key_done(&r->sign[i]);
        gi_auth_keys_free(r->keys[i]);
        unlink(r->path[i]);
        snprintf(path, sizeof path, "%s/%d.pem", r->dir, i);
        unlink(path);
    }
    return rmdir(r->dir);
}

static gi_buf token_of(const rig *r, int alg, const char *claims) {
    gi_buf b;
    gi_buf_init(&b, TEXT_BYTES);
    assert_int_equal(gi_jwt_sign(&r->sign[alg], "k", claims, &b, NULL), GLINT_OK);
    return b;
}

static bool is_accepted(const rig *r, int alg, const void *token, size_t n, gi_auth_refusal *why) {
    gi_principal p = {.tenant = "untouched"};
    const bool ok = gi_jwt_check(r->keys[alg], &POLICY, token, n, NOW_S, &p, why);
    if (!ok) {
        assert_string_equal(p.tenant, "untouched");
        assert_true(why->is_memory || why->reason);
    }
    return ok;
}

static void every_bit(void **state) {
    const rig *r = *state;
    for (int alg = 0; alg < N_ALGS; alg++) {
        gi_auth_refusal why = {0};
        gi_buf token = token_of(r, alg, GOOD);
        assert_true(is_accepted(r, alg, token.data, token.len, &why));
        for (int other = 0; other < N_ALGS; other++)
            assert_int_equal(is_accepted(r, other, token.data, token.len, &why), other == alg);
        for (size_t bit = 0; bit < 8 * token.len; bit++) {
            token.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
            if (is_accepted(r, alg, token.data, token.len, &why)) fail_msg("bit %zu", bit);
            if (why.is_memory) fail_msg("bit %zu: refused for want of memory", bit);
            token.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        for (size_t n = 0; n < token.len; n++)
            assert_false(is_accepted(r, alg, token.data, n, &why));
        gi_buf_done(&token);
    }
}

/* A key written and read again signs the same. */
static void keys_survive_files(void **state) {
    const rig *r = *state;
    for (int alg = 0; alg < N_ALGS; alg++) {
        gi_auth_refusal why = {0};
        gi_sign_key again = {0};
        gi_buf text, token;
        gi_buf_init(&text, TEXT_BYTES);
        gi_buf_init(&token, TEXT_BYTES);
        assert_int_equal(gi_sign_key_write(&r->sign[alg], &text, NULL), GLINT_OK);
        assert_int_equal(gi_sign_key_read((char *)text.data, text.len, &again, NULL), GLINT_OK);
        assert_int_equal(again.alg, ALGS[alg]);
        assert_int_equal(gi_jwt_sign(&again, NULL, GOOD, &token, NULL), GLINT_OK);
        assert_true(is_accepted(r, alg, token.data, token.len, &why));
        gi_sign_key_done(&again);
        gi_buf_done(&text);
        gi_buf_done(&token);
    }
}

static void claims(void **state) {
    static const struct {
        const char *claims;
        const char *refusal; /* NULL: accepted */
    } cases[] = {
        {"{\"exp\":1799999971,\"tenant\":\"t\"}", NULL},
        {"{\"exp\":1799999970,\"tenant\":\"t\"}", "it has expired"},
        {"{\"exp\":1799999970.5,\"tenant\":\"t\"}", NULL},
        {"{\"exp\":1.8e9,\"tenant\":\"t\"}", NULL},
        {"{\"exp\":253402300799,\"tenant\":\"t\"}", NULL},
        {"{\"exp\":253402300800,\"tenant\":\"t\"}", "exp, nbf or iat is no date"},
        {"{\"exp\":9223372036854775807,\"tenant\":\"t\"}", "exp, nbf or iat is no date"},
        {"{\"exp\":18446744073709551616,\"tenant\":\"t\"}", "its claims are no JSON object"},
        {"{\"exp\":1e400,\"tenant\":\"t\"}", "its claims are no JSON object"},
        {"{\"exp\":true,\"tenant\":\"t\"}", "exp, nbf or iat is no date"},
        {"{\"tenant\":\"t\"}", "it has no exp"},
        {"{\"exp\":1800000100,\"nbf\":1800000030,\"tenant\":\"t\"}", NULL},
        {"{\"exp\":1800000100,\"nbf\":1800000031,\"tenant\":\"t\"}", "it is not valid yet"},
        {"{\"exp\":1800000100,\"iat\":1800000031,\"tenant\":\"t\"}", "it is from the future"},
        {"{\"exp\":1800000100,\"tenant\":\"t\",\"tenant\":\"u\"}", "its claims are no JSON object"},
        {"{\"exp\":1800000100,\"tenant\":\"t\\u0000\"}", "it has no tenant of its key"},
        {"{\"exp\":1800000100,\"tenant\":\"t\",\"sub\":\"a\\u0000b\"}", "sub is no short text"},
        {"{\"exp\":1800000100,\"tenant\":\"t\",\"sub\":\"a\\nb\"}", "sub is no short text"},
        {"{\"exp\":1800000100,\"tenant\":\"t\",\"iss\":1}", "iss is no string"},
        {"{\"exp\":1800000100,\"tenant\":\"t\",\"aud\":\"\"}",
         "it has aud, and --jwt-audience is not set"},
        {"[]", "its claims are no JSON object"},
        {"", "its claims are no JSON object"},
        {"{\"exp\":1800000100,\"tenant\":\"t\"} ", NULL},
        {"{\"exp\":1800000100,\"tenant\":\"t\"}x", "its claims are no JSON object"},
    };
    const rig *r = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gi_auth_refusal why = {0};
        gi_buf token = token_of(r, 0, cases[i].claims);
        const bool ok = is_accepted(r, 0, token.data, token.len, &why);
        if (ok != !cases[i].refusal) fail_msg("%s: %s", cases[i].claims, why.reason);
        if (!ok) assert_string_equal(why.reason, cases[i].refusal);
        gi_buf_done(&token);
    }
}

/* "glint" is not "glint\0evil": a JSON string knows its length. */
static void audience_is_compared_whole(void **state) {
    const rig *r = *state;
    const gi_jwt_policy policy = {"glint", NULL, "tenant", 0};
    static const struct {
        const char *aud;
        bool want;
    } cases[] = {{"\"glint\"", true},
                 {"\"glint\\u0000x\"", false},
                 {"[\"glint\\u0000\"]", false},
                 {"[\"x\",\"glint\"]", true},
                 {"[\"glint\",1]", false},
                 {"{\"glint\":1}", false},
                 {"null", false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256];
        gi_principal p = {0};
        gi_auth_refusal why;
        snprintf(text, sizeof text, "{\"exp\":1800000100,\"tenant\":\"t\",\"aud\":%s}",
                 cases[i].aud);
        gi_buf token = token_of(r, 0, text);
        if (gi_jwt_check(r->keys[0], &policy, (char *)token.data, token.len, NOW_S, &p, &why) !=
            cases[i].want)
            fail_msg("%s", text);
        gi_buf_done(&token);
    }
}

static void principal(void **state) {
    const rig *r = *state;
    char text[512], sub[256];
    memset(sub, 's', 127);
    memcpy(sub + 127, "\xC3\xA4z", 4); /* the cut would fall into the letter */
    snprintf(
        text, sizeof text,
        "{\"exp\":1800000100,\"tenant\":\"acme\",\"scope\":\"x infer metrics\",\"sub\":\"%s\"}",
        sub);
    gi_buf token = token_of(r, 0, text);
    gi_principal p = {0};
    gi_auth_refusal why;
    assert_true(gi_jwt_check(r->keys[0], &POLICY, (char *)token.data, token.len, NOW_S, &p, &why));
    assert_string_equal(p.tenant, "acme");
    assert_string_equal(p.key_id, "k");
    assert_int_equal(p.scopes, GI_SCOPE_ALL);
    assert_int_equal(strlen(p.subject), 127);
    gi_buf_done(&token);
}

/* Looking at a token without memory is neither yes nor a reasoned no. */
static void out_of_memory(void **state) {
    const rig *r = *state;
    gi_auth_settings settings = {.jwt_keys = r->path[2], .jwt = POLICY};
    gi_buf token = token_of(r, 2, "{\"exp\":253402300799,\"tenant\":\"t\",\"scope\":\"infer\"}");
    char authorization[4096];
    snprintf(authorization, sizeof authorization, "Bearer %s", (char *)token.data);
    const gi_auth_headers headers = {.authorization = authorization, .n_authorization = 1};
    gi_auth *auth = NULL;
    glint_status st = GLINT_ERR_MEMORY;
    uint64_t n = 0;
    while (st != GLINT_OK) {
        gi_alloc_fail_at(++n);
        st = gi_auth_create(&settings, &auth, NULL);
        gi_alloc_fail_at(0);
        if (st != GLINT_OK) assert_int_equal(st, GLINT_ERR_MEMORY);
    }
    assert_in_range(n, 5, 60);
    /* Reading again without memory keeps the old keys. */
    for (uint64_t k = 1; k < n - 1; k++) {
        gi_principal p;
        gi_auth_refusal why;
        gi_alloc_fail_at(k);
        assert_int_equal(gi_auth_reload(auth, NULL), GLINT_ERR_MEMORY);
        gi_alloc_fail_at(0);
        assert_int_equal(gi_auth_check(auth, &headers, NOW_S, &p, &why), GI_AUTH_ACCEPTED);
    }
    gi_auth_free(auth);
    gi_buf_done(&token);
}

/* jansson's memory is its own: made to fail here. */
static uint64_t json_fail_at;

static void *json_alloc(size_t n) {
    return json_fail_at && --json_fail_at == 0 ? (errno = ENOMEM, NULL) : malloc(n);
}

static void json_out_of_memory(void **state) {
    const rig *r = *state;
    gi_buf token = token_of(r, 0, GOOD);
    gi_auth_refusal why;
    uint64_t n = 0;
    bool ok = false;
    json_set_alloc_funcs(json_alloc, free);
    while (!ok) {
        json_fail_at = ++n;
        ok = is_accepted(r, 0, token.data, token.len, &why);
        json_fail_at = 0;
        if (!ok && !why.is_memory) fail_msg("allocation %d: %s", (int)n, why.reason);
    }
    json_set_alloc_funcs(malloc, free);
    assert_in_range(n, 10, 1000);
    gi_buf_done(&token);
}

/* OpenSSL's too. A signature that cannot be looked at is not called wrong. */
static void *ssl_alloc(size_t n, const char *file, int line) {
    return n ? gi_alloc(n) : NULL;
}

static void *ssl_realloc(void *p, size_t n, const char *file, int line) {
    return gi_realloc_array(p, n, 1);
}

static void ssl_free(void *p, const char *file, int line) {
    gi_free(p);
}

static void openssl_out_of_memory(void **state) {
    const rig *r = *state;
    for (int alg = 0; alg < N_ALGS; alg++) {
        gi_buf token = token_of(r, alg, GOOD);
        bool is_met = true;
        uint64_t n = 0;
        while (is_met) {
            gi_auth_refusal why = {0};
            const uint64_t before = gi_alloc_count();
            gi_alloc_fail_at(++n);
            const bool ok = is_accepted(r, alg, token.data, token.len, &why);
            is_met = gi_alloc_count() - before >= n;
            gi_alloc_fail_at(0);
            /* Some it can do without. */
            if (!ok && !why.is_memory)
                fail_msg("%s, allocation %d: %s", gi_auth_alg_name(ALGS[alg]), (int)n, why.reason);
        }
        print_message("%s: each of %d allocations failed once\n", gi_auth_alg_name(ALGS[alg]),
                      (int)n - 1);
        assert_true(n > 5);
        gi_buf_done(&token);
    }
}

static void api_keys(void **state) {
    const rig *r = *state;
    char key[2][GI_AUTH_API_KEY_CHARS + 1], hash[2][2 * GI_AUTH_SHA256_BYTES + 1];
    char path[PATH_BYTES], text[1024];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(gi_api_key_make(key[i], hash[i], NULL), GLINT_OK);
        assert_int_equal(strlen(key[i]), GI_AUTH_API_KEY_CHARS);
    }
    snprintf(path, sizeof path, "%s/api.json", r->dir);
    const int n = snprintf(
        text, sizeof text,
        "{\"keys\":[{\"id\":\"a\",\"sha256\":\"%s\",\"tenant\":\"t\",\"scopes\":[\"infer\"],"
        "\"expires\":\"2027-01-15T08:00:00Z\"}],"
        "\"tenants\":{\"t\":{\"requests_per_s\":7}}}",
        hash[0]);
    write_file(path, text, (size_t)n);
    const gi_auth_settings settings = {
        .api_keys = path, .jwt = POLICY, .limits = {.requests = {1, 2}, .megapixels = {3, 4}}};
    gi_auth *auth = NULL;
    assert_int_equal(gi_auth_create(&settings, &auth, NULL), GLINT_OK);
    unlink(path);
    gi_principal p = {0};
    gi_auth_refusal why;
    gi_auth_headers h = {.api_key = key[0], .n_api_key = 1};
    assert_int_equal(gi_auth_check(auth, &h, 1799999999, &p, &why), GI_AUTH_ACCEPTED);
    assert_string_equal(p.key_id, "a");
    assert_int_equal(p.scopes, GI_SCOPE_INFER);
    assert_true(p.limits.requests.per_s == 7 && p.limits.requests.burst == 70);
    assert_true(p.limits.megapixels.per_s == 3 && p.limits.megapixels.burst == 4);
    assert_int_equal(gi_auth_check(auth, &h, 1800000000, &p, &why), GI_AUTH_REFUSED);
    assert_string_equal(why.reason, "the API key has expired");
    h.api_key = key[1];
    assert_int_equal(gi_auth_check(auth, &h, 1799999999, &p, &why), GI_AUTH_REFUSED);
    h = (gi_auth_headers){0};
    assert_int_equal(gi_auth_check(auth, &h, 0, &p, &why), GI_AUTH_NOT_GIVEN);
    gi_auth_free(auth);
}

int main(void) {
    if (!CRYPTO_set_mem_functions(ssl_alloc, ssl_realloc, ssl_free)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bit),
        cmocka_unit_test(keys_survive_files),
        cmocka_unit_test(claims),
        cmocka_unit_test(audience_is_compared_whole),
        cmocka_unit_test(principal),
        cmocka_unit_test(out_of_memory),
        cmocka_unit_test(json_out_of_memory),
        cmocka_unit_test(openssl_out_of_memory),
        cmocka_unit_test(api_keys),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
