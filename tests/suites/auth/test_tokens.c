/*
 * Outside suites jwt-attacks and jwt-wycheproof. Nothing that a suite wants refused may be
 * accepted. What it wants accepted and glint refuses is counted by reason, and only the reasons
 * below are known; any other fails.
 */
#include "../../unit/cm.h"

#include "base/clock.h"
#include "base/filemap.h"
#include "base/json.h"
#include "jwk_file.h"
#include "server/base64url.h"
#include "server/jwt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_SKIPPED = 77, PATH_BYTES = 512, KEYS_MAX = 8, FILE_BYTES_MAX = 1 << 20 };

static const double TOKEN_MS_MAX = 20;

static void suite_path(char out[PATH_BYTES], const char *suite, const char *file) {
    const int n = snprintf(out, PATH_BYTES, "%s/%s/%s", getenv("GLINT_SUITES"), suite, file);
    assert_in_range(n, 1, PATH_BYTES - 1);
}

static json_t *load(const char *suite, const char *file) {
    char path[PATH_BYTES];
    json_t *root = NULL;
    suite_path(path, suite, file);
    assert_int_equal(gi_json_load(path, FILE_BYTES_MAX, &root, NULL), GLINT_OK);
    return root;
}

static const char *text(const json_t *obj, const char *name) {
    const char *s = json_string_value(json_object_get(obj, name));
    return s ? s : "";
}

/* ---- jwt-attacks: whole tokens ---- */

/* One key of the suite in a file of its own. */
static gi_auth_keys *attacked_key(const char *dir, const char *alg, const char *name,
                                  const char *value) {
    char path[PATH_BYTES];
    gi_auth_keys *keys = NULL;
    glint_error err = {0};
    snprintf(path, sizeof path, "%s/attacked.json", dir);
    json_t *root = json_pack("{s:[{s:s, s:s, s:s, s:s}]}", "keys", "kid", "k", "alg", alg, name,
                             value, "tenant", "t");
    assert_int_equal(json_dump_file(root, path, 0), 0);
    json_decref(root);
    if (gi_auth_keys_load(path, NULL, &keys, &err) != GLINT_OK) fail_msg("%s", err.message);
    return keys;
}

static void attacks(void **state) {
    const char *dir = *state;
    char rsa[PATH_BYTES], ec[PATH_BYTES];
    json_t *root = load("jwt-attacks", "tokens.json");
    suite_path(rsa, "jwt-attacks", "rs256_public.pem");
    suite_path(ec, "jwt-attacks", "es256_public.pem");
    const char *plain = text(root, "hs256_secret");
    char secret[128];
    assert_in_range(strlen(plain), 32, 80);
    gi_base64url_encode((const uint8_t *)plain, strlen(plain), secret);
    gi_auth_keys *keys[] = {attacked_key(dir, "HS256", "secret", secret),
                            attacked_key(dir, "RS256", "pem", rsa),
                            attacked_key(dir, "ES256", "pem", ec)};
    const gi_jwt_policy policy = {"glint", "https://issuer.test", "tenant", 30};
    const int64_t clock_s = json_integer_value(json_object_get(root, "clock"));
    const json_t *cases = json_object_get(root, "cases");
    size_t n_accepted = 0, n_refused = 0, n_free = 0, n_wrong = 0;
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *row = json_array_get(cases, i);
        const char *expect = text(row, "expect");
        const json_t *token = json_object_get(row, "token");
        const double start_ms = gi_clock_ms();
        bool is_accepted = false;
        gi_auth_refusal why = {0};
        for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
            gi_principal p = {0};
            is_accepted |= gi_jwt_check(keys[k], &policy, json_string_value(token),
                                        json_string_length(token), clock_s, &p, &why);
        }
        if (gi_clock_ms() - start_ms > TOKEN_MS_MAX * 3)
            fail_msg("%s took %.1f ms", text(row, "name"), gi_clock_ms() - start_ms);
        const bool is_free = strstr(expect, " or ") != NULL;
        const bool wants_accept = !is_free && strncmp(expect, "accept", 6) == 0;
        n_free += is_free;
        n_accepted += !is_free && is_accepted;
        n_refused += !is_free && !is_accepted;
        if (!is_free && is_accepted != wants_accept) {
            print_error("jwt-attacks %s: wanted %s, %s\n", text(row, "name"), expect,
                        is_accepted ? "accepted" : why.reason);
            n_wrong++;
        }
    }
    print_message("jwt-attacks: %zu accepted, %zu refused, %zu free to choose, %zu wrong\n",
                  n_accepted, n_refused, n_free, n_wrong);
    assert_int_equal(n_wrong, 0);
    assert_true(n_accepted >= 4 && n_refused >= 55); /* the suite is all there */
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) gi_auth_keys_free(keys[k]);
    json_decref(root);
}

/* ---- jwt-wycheproof: signatures ---- */

typedef struct tally {
    size_t n_accepted, n_refused, n_wrongly_accepted, n_other_alg, n_other_spelling, n_unknown,
        n_contradictions;
} tally;

/* The keys of a group: one, or a set. */
static gi_auth_keys *group_keys(const char *dir, const json_t *group, char why[200]) {
    const json_t *jwk = json_object_get(group, "public"), *jwks[KEYS_MAX];
    if (!jwk) jwk = json_object_get(group, "private");
    const json_t *set = json_object_get(jwk, "keys");
    const size_t n = set ? json_array_size(set) : 1;
    assert_in_range(n, 1, KEYS_MAX);
    for (size_t i = 0; i < n; i++) jwks[i] = set ? json_array_get(set, i) : jwk;
    return jwk_load(dir, jwks, n, why);
}

/* A valid token that glint refuses: is the reason one of those it has? */
static void count_refusal(const json_t *test, const char *why, tally *t) {
    if (strncmp(why, "algorithm ", 10) == 0 ||
        strcmp(why, "its algorithm is not that of the key") == 0) {
        t->n_other_alg++; /* RS384, PS256 ... : glint has four */
    } else if (strcmp(why, "not base64url") == 0 &&
               strcmp(text(test, "comment"), "InvalidCharacterInsertedInHeader") == 0) {
        t->n_other_spelling++; /* '?' in the header: the suite lets it be skipped */
    } else {
        t->n_unknown++;
        print_error("wycheproof %lld %s: valid, refused: %s\n",
                    (long long)json_integer_value(json_object_get(test, "tcId")),
                    text(test, "comment"), why);
    }
}

/* Two cases of the suite are, byte for byte, a token that it calls valid in a third one: what made
 * them invalid was lost from the file. */
static bool is_elsewhere_valid(const json_t *tests, const char *token) {
    for (size_t i = 0; i < json_array_size(tests); i++) {
        const json_t *other = json_array_get(tests, i);
        if (strcmp(text(other, "jws"), token) == 0 && strcmp(text(other, "result"), "valid") == 0)
            return true;
    }
    return false;
}

static void judge_test(const json_t *tests, const json_t *test, const gi_auth_keys *keys,
                       const char *no_keys, tally *t) {
    const json_t *jws = json_object_get(test, "jws");
    if (!jws) return; /* an encrypted one: glint reads none */
    char *other = json_is_string(jws) ? NULL : json_dumps(jws, JSON_COMPACT);
    const char *token = other ? other : json_string_value(jws);
    uint8_t payload[GI_JWT_BYTES_MAX];
    size_t n_payload = 0;
    const gi_token_key *key = NULL;
    gi_auth_refusal why = {.reason = no_keys};
    const bool is_accepted =
        keys && gi_jwt_check_signature(keys, token, strlen(token), &key, payload, &n_payload, &why);
    const bool is_valid = strcmp(text(test, "result"), "valid") == 0;
    t->n_accepted += is_accepted;
    t->n_refused += !is_accepted;
    if (is_accepted && !is_valid && is_elsewhere_valid(tests, token)) {
        t->n_contradictions++;
    } else if (is_accepted && !is_valid) {
        print_error("wycheproof %lld %s: accepted\n",
                    (long long)json_integer_value(json_object_get(test, "tcId")),
                    text(test, "comment"));
        t->n_wrongly_accepted++;
    }
    if (!is_accepted && is_valid) count_refusal(test, why.reason, t);
    free(other);
}

static void wycheproof(void **state) {
    static const char *const files[] = {"json_web_crypto_test.json", "json_web_key_test.json",
                                        "json_web_signature_test.json"};
    tally t = {0};
    for (size_t f = 0; f < sizeof files / sizeof files[0]; f++) {
        json_t *root = load("jwt-wycheproof", files[f]);
        const json_t *groups = json_object_get(root, "testGroups");
        for (size_t g = 0; g < json_array_size(groups); g++) {
            const json_t *group = json_array_get(groups, g);
            const json_t *tests = json_object_get(group, "tests");
            char no_keys[200] = "";
            gi_auth_keys *keys = group_keys(*state, group, no_keys);
            for (size_t i = 0; i < json_array_size(tests); i++)
                judge_test(tests, json_array_get(tests, i), keys, no_keys, &t);
            gi_auth_keys_free(keys);
        }
        json_decref(root);
    }
    print_message(
        "jwt-wycheproof: %zu accepted, %zu refused, of these valid by other algorithms "
        "%zu, in other spelling %zu; called both valid and not %zu; wrongly accepted %zu, "
        "wrongly refused %zu\n",
        t.n_accepted, t.n_refused, t.n_other_alg, t.n_other_spelling, t.n_contradictions,
        t.n_wrongly_accepted, t.n_unknown);
    assert_int_equal(t.n_wrongly_accepted, 0);
    assert_int_equal(t.n_unknown, 0);
    assert_in_range(t.n_contradictions, 0, 2);
    assert_true(t.n_accepted >= 15 && t.n_refused >= 200);
}

static int make_dir(void **state) {
    static char dir[] = "/tmp/glint-tokens-XXXXXX";
    *state = mkdtemp(dir);
    return *state ? 0 : -1;
}

static int remove_dir(void **state) {
    static const char *const names[] = {"keys.json", "attacked.json", "0.pem", "1.pem", "2.pem"};
    char path[PATH_BYTES];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", (const char *)*state, names[i]);
        unlink(path);
    }
    return rmdir(*state);
}

int main(void) {
    char path[PATH_BYTES];
    const char *suites = getenv("GLINT_SUITES");
    const int n = snprintf(path, sizeof path, "%s/jwt-attacks/tokens.json", suites ? suites : "");
    if (n < 0 || (size_t)n >= sizeof path || !gi_file_exists(path)) {
        puts("skipped: no folder $GLINT_SUITES/jwt-attacks");
        return EXIT_SKIPPED;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attacks),
        cmocka_unit_test(wycheproof),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
