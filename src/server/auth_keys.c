/*
 * The two files of keys. Everything in them is checked here, at start and on SIGHUP, so that a
 * request meets only keys that are fit for use. What is wrong is an error and never skipped: a key
 * that was left out in silence would lock somebody out, or a limit that was, let somebody in.
 */
#include "server/auth_keys.h"

#include "base/alloc.h"
#include "base/ascii.h"
#include "base/filemap.h"
#include "base/json_text.h"
#include "server/base64url.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { HEX_BYTES = 2 * GI_AUTH_SHA256_BYTES };

static const double RATE_MAX = 1e9;

/* An entry being read. */
typedef struct entry {
    const gi_json_text *text;
    const json_t *obj;
} entry;

/* Pass a status through; a failure is said to be about a member of the entry, or all of it. */
static glint_status at(const entry *e, const char *key, glint_status st, glint_error *err) {
    gi_json_at(e->text, e->obj, key, st, err);
    return st;
}

/* A string; `required` or not. */
static glint_status get_string(const entry *e, const char *key, bool required, const char **ret,
                               glint_error *err) {
    return at(e, key, gi_json_get_string(e->obj, NULL, key, required, ret, err), err);
}

/* An object whose members are all among `known`. */
static glint_status check_members(const entry *e, const char *const *known, glint_error *err) {
    if (!json_is_object(e->obj))
        return gi_json_fail_at(e->text, e->obj, NULL, err, GLINT_ERR_FORMAT, "must be an object");
    const char *key = gi_json_unknown_key(e->obj, known);
    if (!key) return GLINT_OK;
    return gi_json_fail_at(e->text, e->obj, key, err, GLINT_ERR_FORMAT, "unknown member \"%.40s\"",
                           key);
}

/* A name; `required` or not. */
static glint_status get_name(const entry *e, const char *key, bool required,
                             char out[GI_AUTH_NAME_BYTES], glint_error *err) {
    const char *s = NULL;
    GI_TRY(get_string(e, key, required, &s, err));
    if (!s) return GLINT_OK;
    if (!gi_auth_is_name(s, strlen(s)))
        return gi_json_fail_at(e->text, e->obj, key, err, GLINT_ERR_FORMAT,
                               "\"%s\" must be 1 to 64 of A-Z a-z 0-9 . _ : @ -", key);
    memcpy(out, s, strlen(s) + 1);
    return GLINT_OK;
}

static glint_status no_memory(const gi_json_file *f, glint_error *err) {
    return gi_fail(err, GLINT_ERR_MEMORY, "%s: no memory", f->place.what);
}

static glint_status get_keys(const gi_json_file *f, const json_t **ret, glint_error *err) {
    const entry e = {&f->place, f->root};
    const json_t *array = NULL;
    GI_TRY(at(&e, "keys", gi_json_get_array(f->root, NULL, "keys", true, &array, err), err));
    const size_t n = json_array_size(array);
    if (n > GI_AUTH_KEYS_MAX)
        return gi_json_fail_at(e.text, e.obj, "keys", err, GLINT_ERR_LIMIT, "%zu keys, at most %d",
                               n, GI_AUTH_KEYS_MAX);
    *ret = array;
    return GLINT_OK;
}

typedef glint_status (*add_key_fn)(gi_auth_keys *keys, const entry *e, glint_error *err);

static glint_status add_each(const gi_json_file *f, const json_t *array, add_key_fn add,
                             gi_auth_keys *keys, glint_error *err) {
    for (size_t i = 0; i < json_array_size(array); i++) {
        const entry e = {&f->place, json_array_get(array, i)};
        GI_TRY(add(keys, &e, err));
    }
    return GLINT_OK;
}

/* ---- keys of tokens ---- */

/* A path in the file is seen from the file's folder. */
static glint_status read_pem(const entry *e, const char *name, gi_buf *ret, glint_error *err) {
    char path[GI_PATH_BYTES];
    const char *file = e->text->what, *slash = strrchr(file, '/');
    const int n_dir = name[0] == '/' || !slash ? 0 : (int)(slash - file + 1);
    const int n = snprintf(path, sizeof path, "%.*s%s", n_dir, file, name);
    if (n < 0 || (size_t)n >= sizeof path)
        return gi_fail(err, GLINT_ERR_FORMAT, "the path in \"pem\" is too long");
    return gi_file_read(path, ret, err);
}

static glint_status load_public(const entry *e, gi_auth_alg alg, const char *pem_name,
                                gi_auth_key *ret, glint_error *err) {
    gi_buf pem;
    glint_error why = {0};
    gi_buf_init(&pem, GI_AUTH_PEM_BYTES_MAX);
    glint_status st = read_pem(e, pem_name, &pem, err);
    if (st == GLINT_OK) {
        const char *text = pem.data ? (const char *)pem.data : "";
        st = gi_auth_key_from_pem(alg, text, pem.len, ret, &why);
        if (st != GLINT_OK) gi_fail(err, st, "%.200s: %s", pem_name, why.message);
    }
    gi_buf_wipe(&pem); /* it may have been a private key */
    return st;
}

static glint_status load_secret(const char *text, gi_auth_key *ret, glint_error *err) {
    uint8_t secret[GI_AUTH_SECRET_BYTES_MAX + 2];
    size_t n = 0;
    glint_status st;
    if (strlen(text) <= GI_BASE64URL_TEXT_BYTES(GI_AUTH_SECRET_BYTES_MAX) - 1 &&
        gi_base64url_decode(text, strlen(text), secret, &n))
        st = gi_auth_key_from_secret(secret, n, ret, err);
    else
        st = gi_fail(err, GLINT_ERR_FORMAT,
                     "\"secret\" must be base64url without padding, for %d to %d bytes",
                     GI_AUTH_SECRET_BYTES_MIN, GI_AUTH_SECRET_BYTES_MAX);
    OPENSSL_cleanse(secret, sizeof secret);
    return st;
}

static glint_status read_token_key(const entry *e, gi_token_key *k, glint_error *err) {
    static const char *const known[] = {"kid", "alg", "pem", "secret", "tenant", NULL};
    const char *alg_name = NULL, *pem = NULL, *secret = NULL;
    GI_TRY(check_members(e, known, err));
    GI_TRY(get_name(e, "kid", true, k->kid, err));
    GI_TRY(get_name(e, "tenant", false, k->tenant, err));
    GI_TRY(get_string(e, "alg", true, &alg_name, err));
    GI_TRY(get_string(e, "pem", false, &pem, err));
    GI_TRY(get_string(e, "secret", false, &secret, err));
    const gi_auth_alg alg = gi_auth_alg_parse(alg_name);
    if (alg == GI_AUTH_ALG_NONE)
        return gi_json_fail_at(e->text, e->obj, "alg", err, GLINT_ERR_FORMAT,
                               "\"alg\" must be HS256, RS256, ES256 or EdDSA");
    if (alg == GI_AUTH_HS256 ? !secret || pem : !pem || secret)
        return gi_json_fail_at(e->text, e->obj, "alg", err, GLINT_ERR_FORMAT,
                               "%s takes \"%s\" and nothing else", gi_auth_alg_name(alg),
                               alg == GI_AUTH_HS256 ? "secret" : "pem");
    if (secret) return at(e, "secret", load_secret(secret, &k->key, err), err);
    return at(e, "pem", load_public(e, alg, pem, &k->key, err), err);
}

static glint_status add_token_key(gi_auth_keys *keys, const entry *e, glint_error *err) {
    gi_token_key *k = &keys->token_keys[keys->n_token_keys];
    GI_TRY(read_token_key(e, k, err));
    keys->n_token_keys++;
    for (size_t i = 0; i + 1 < keys->n_token_keys; i++) {
        const gi_token_key *other = &keys->token_keys[i];
        if (strcmp(other->kid, k->kid) == 0)
            return gi_json_fail_at(e->text, e->obj, "kid", err, GLINT_ERR_FORMAT,
                                   "the kid \"%s\" is given twice", k->kid);
        if ((other->key.alg == GI_AUTH_HS256) != (k->key.alg == GI_AUTH_HS256))
            return gi_json_fail_at(e->text, e->obj, "alg", err, GLINT_ERR_FORMAT,
                                   "secrets (HS256) and public keys do not go into one file");
    }
    return GLINT_OK;
}

static glint_status read_token_keys(const gi_json_file *f, gi_auth_keys *keys, glint_error *err) {
    const json_t *array = NULL;
    GI_TRY(get_keys(f, &array, err));
    keys->token_keys = gi_calloc(json_array_size(array), sizeof *keys->token_keys);
    if (!keys->token_keys) return no_memory(f, err);
    return add_each(f, array, add_token_key, keys, err);
}

/* ---- API keys ---- */

static glint_status get_hash(const entry *e, uint8_t out[GI_AUTH_SHA256_BYTES], glint_error *err) {
    const char *s = NULL;
    GI_TRY(get_string(e, "sha256", true, &s, err));
    bool ok = strlen(s) == HEX_BYTES;
    for (size_t i = 0; ok && i < GI_AUTH_SHA256_BYTES; i++) {
        const int high = gi_ascii_small_hex_value(s[2 * i]);
        const int low = gi_ascii_small_hex_value(s[2 * i + 1]);
        ok = high >= 0 && low >= 0;
        if (ok) out[i] = (uint8_t)(high << 4 | low);
    }
    if (ok) return GLINT_OK;
    return gi_json_fail_at(e->text, e->obj, "sha256", err, GLINT_ERR_FORMAT,
                           "\"sha256\" must be 64 of 0-9 a-f");
}

static glint_status get_scopes(const entry *e, unsigned *ret, glint_error *err) {
    const json_t *array = NULL;
    unsigned scopes = 0;
    GI_TRY(at(e, "scopes", gi_json_get_array(e->obj, NULL, "scopes", true, &array, err), err));
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *s = json_array_get(array, i);
        const unsigned scope =
            json_is_string(s) ? gi_scope_parse(json_string_value(s), json_string_length(s)) : 0;
        if (!scope)
            return gi_json_fail_at(e->text, e->obj, "scopes", err, GLINT_ERR_FORMAT,
                                   "\"scopes\" may hold \"infer\" and \"metrics\"");
        scopes |= scope;
    }
    *ret = scopes;
    return GLINT_OK;
}

/* "2027-01-31T00:00:00Z", or nothing. */
static glint_status get_expiry(const entry *e, int64_t *ret, glint_error *err) {
    const char *s = NULL;
    GI_TRY(get_string(e, "expires", false, &s, err));
    if (!s) return GLINT_OK;
    struct tm tm = {0}, back;
    char again[32] = "";
    const char *end = strptime(s, "%Y-%m-%dT%H:%M:%SZ", &tm);
    const time_t when = end && *end == '\0' ? timegm(&tm) : (time_t)-1;
    /* Written again it must be the same: no 31st of February, no second 60. */
    if (when > 0 && gmtime_r(&when, &back))
        strftime(again, sizeof again, "%Y-%m-%dT%H:%M:%SZ", &back);
    if (strcmp(again, s) != 0)
        return gi_json_fail_at(e->text, e->obj, "expires", err, GLINT_ERR_FORMAT,
                               "\"expires\" must be a time of the form 2027-01-31T00:00:00Z");
    *ret = when;
    return GLINT_OK;
}

static glint_status add_api_key(gi_auth_keys *keys, const entry *e, glint_error *err) {
    static const char *const known[] = {"id", "sha256", "tenant", "scopes", "expires", NULL};
    gi_api_key *k = &keys->api_keys[keys->n_api_keys];
    k->expires_s = INT64_MAX;
    GI_TRY(check_members(e, known, err));
    GI_TRY(get_name(e, "id", true, k->id, err));
    GI_TRY(get_name(e, "tenant", true, k->tenant, err));
    GI_TRY(get_hash(e, k->sha256, err));
    GI_TRY(get_scopes(e, &k->scopes, err));
    GI_TRY(get_expiry(e, &k->expires_s, err));
    for (size_t i = 0; i < keys->n_api_keys; i++) {
        if (strcmp(keys->api_keys[i].id, k->id) == 0)
            return gi_json_fail_at(e->text, e->obj, "id", err, GLINT_ERR_FORMAT,
                                   "the id \"%s\" is given twice", k->id);
        if (memcmp(keys->api_keys[i].sha256, k->sha256, sizeof k->sha256) == 0)
            return gi_json_fail_at(e->text, e->obj, "sha256", err, GLINT_ERR_FORMAT,
                                   "the key of \"%s\" is given twice", k->id);
    }
    keys->n_api_keys++;
    return GLINT_OK;
}

static glint_status read_api_keys(const gi_json_file *f, gi_auth_keys *keys, glint_error *err) {
    const json_t *array = NULL;
    GI_TRY(get_keys(f, &array, err));
    keys->api_keys = gi_calloc(json_array_size(array), sizeof *keys->api_keys);
    if (!keys->api_keys) return no_memory(f, err);
    return add_each(f, array, add_api_key, keys, err);
}

/* ---- limits of tenants ---- */

static glint_status get_rule(const entry *e, const char *rate, const char *burst, gi_rate_rule *ret,
                             glint_error *err) {
    gi_rate_rule rule = {.per_s = -1};
    GI_TRY(at(e, rate, gi_json_get_double(e->obj, NULL, rate, false, 0, RATE_MAX, &rule.per_s, err),
              err));
    rule.burst = gi_rate_default_burst(rule.per_s);
    GI_TRY(at(e, burst,
              gi_json_get_double(e->obj, NULL, burst, false, 1, RATE_MAX, &rule.burst, err), err));
    if (rule.per_s < 0 && json_object_get(e->obj, burst))
        return gi_json_fail_at(e->text, e->obj, burst, err, GLINT_ERR_FORMAT,
                               "\"%s\" without \"%s\"", burst, rate);
    *ret = rule;
    return GLINT_OK;
}

static glint_status add_tenant(gi_auth_keys *keys, const entry *e, const char *name,
                               glint_error *err) {
    static const char *const known[] = {"requests_per_s", "requests_burst", "megapixels_per_s",
                                        "megapixels_burst", NULL};
    gi_tenant_entry *t = &keys->tenants[keys->n_tenants];
    if (!gi_auth_is_name(name, strlen(name)))
        return gi_json_fail_at(e->text, e->obj, NULL, err, GLINT_ERR_FORMAT,
                               "a tenant's name is 1 to 64 of A-Z a-z 0-9 . _ : @ -");
    memcpy(t->tenant, name, strlen(name) + 1);
    GI_TRY(check_members(e, known, err));
    GI_TRY(get_rule(e, known[0], known[1], &t->limits.requests, err));
    GI_TRY(get_rule(e, known[2], known[3], &t->limits.megapixels, err));
    for (size_t i = 0; i < keys->n_tenants; i++)
        if (strcmp(keys->tenants[i].tenant, name) == 0)
            return gi_json_fail_at(e->text, e->obj, NULL, err, GLINT_ERR_FORMAT,
                                   "the tenant \"%s\" is in both files", name);
    keys->n_tenants++;
    return GLINT_OK;
}

static glint_status read_tenants(const gi_json_file *f, gi_auth_keys *keys, glint_error *err) {
    const json_t *all = NULL;
    const entry top = {&f->place, f->root};
    GI_TRY(
        at(&top, "tenants", gi_json_get_object(f->root, NULL, "tenants", false, &all, err), err));
    const size_t n = json_object_size(all);
    if (n == 0) return GLINT_OK;
    if (n > GI_AUTH_KEYS_MAX)
        return gi_json_fail_at(top.text, top.obj, "tenants", err, GLINT_ERR_LIMIT,
                               "%zu tenants, at most %d", n, GI_AUTH_KEYS_MAX);
    gi_tenant_entry *more =
        gi_realloc_array(keys->tenants, keys->n_tenants + n, sizeof *keys->tenants);
    if (!more) return no_memory(f, err);
    keys->tenants = more;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)all, name, value) {
        const entry e = {&f->place, value};
        GI_TRY(add_tenant(keys, &e, name, err));
    }
    return GLINT_OK;
}

/* ---- both ---- */

typedef glint_status (*read_keys_fn)(const gi_json_file *f, gi_auth_keys *keys, glint_error *err);

static glint_status load_file(const char *path, read_keys_fn read_keys, gi_auth_keys *keys,
                              glint_error *err) {
    static const char *const known[] = {"keys", "tenants", NULL};
    gi_json_file f = {0};
    if (!path) return GLINT_OK;
    GI_TRY(gi_json_file_open(path, GI_AUTH_FILE_BYTES_MAX, &f, err));
    const entry top = {&f.place, f.root};
    glint_status st = check_members(&top, known, err);
    if (st == GLINT_OK) st = read_keys(&f, keys, err);
    if (st == GLINT_OK) st = read_tenants(&f, keys, err);
    gi_json_file_close(&f);
    return st;
}

glint_status gi_auth_keys_load(const char *jwt_path, const char *api_path, gi_auth_keys **ret,
                               glint_error *err) {
    gi_auth_keys *keys = gi_calloc(1, sizeof *keys);
    if (!keys) return gi_fail(err, GLINT_ERR_MEMORY, "keys: no memory");
    glint_status st = load_file(jwt_path, read_token_keys, keys, err);
    if (st == GLINT_OK) st = load_file(api_path, read_api_keys, keys, err);
    if (st != GLINT_OK) {
        gi_auth_keys_free(keys);
        return st;
    }
    *ret = keys;
    return GLINT_OK;
}

void gi_auth_keys_free(gi_auth_keys *keys) {
    if (!keys) return;
    for (size_t i = 0; i < keys->n_token_keys; i++) gi_auth_key_done(&keys->token_keys[i].key);
    gi_free(keys->token_keys);
    gi_free(keys->api_keys);
    gi_free(keys->tenants);
    gi_free(keys);
}

const gi_token_key *gi_auth_keys_find(const gi_auth_keys *keys, const char *kid) {
    if (!kid) return keys->n_token_keys == 1 ? &keys->token_keys[0] : NULL;
    for (size_t i = 0; i < keys->n_token_keys; i++)
        if (strcmp(keys->token_keys[i].kid, kid) == 0) return &keys->token_keys[i];
    return NULL;
}

const gi_api_key *gi_auth_keys_find_api(const gi_auth_keys *keys,
                                        const uint8_t sha256[GI_AUTH_SHA256_BYTES]) {
    const gi_api_key *found = NULL;
    for (size_t i = 0; i < keys->n_api_keys; i++)
        if (CRYPTO_memcmp(keys->api_keys[i].sha256, sha256, GI_AUTH_SHA256_BYTES) == 0)
            found = &keys->api_keys[i];
    return found;
}

gi_tenant_limits gi_auth_keys_limits(const gi_auth_keys *keys, const char *tenant,
                                     const gi_tenant_limits *otherwise) {
    gi_tenant_limits limits = *otherwise;
    for (size_t i = 0; i < keys->n_tenants; i++) {
        const gi_tenant_entry *t = &keys->tenants[i];
        if (strcmp(t->tenant, tenant) != 0) continue;
        if (t->limits.requests.per_s >= 0) limits.requests = t->limits.requests;
        if (t->limits.megapixels.per_s >= 0) limits.megapixels = t->limits.megapixels;
    }
    return limits;
}
