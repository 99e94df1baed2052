/*
 * One credential per request, in one place: two of them, or one header twice, are refused, because
 * a program in front of this one may have looked at the other.
 *
 * The keys are a set that never changes; whoever looks holds a reference, and gi_auth_reload puts
 * another set in its place.
 */
#include "server/auth.h"

#include "base/alloc.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

typedef struct key_set {
    gi_auth_keys *keys;
    int n_refs; /* under gi_auth's lock */
} key_set;

struct gi_auth {
    gi_auth_settings settings;
    pthread_mutex_t lock;
    gi_tenant_limits limits; /* under the lock: in place of those of the settings */
    key_set *current;
};

static glint_status load(const gi_auth_settings *settings, key_set **ret, glint_error *err) {
    key_set *set = gi_calloc(1, sizeof *set);
    if (!set) return gi_fail(err, GLINT_ERR_MEMORY, "keys: no memory");
    const glint_status st =
        gi_auth_keys_load(settings->jwt_keys, settings->api_keys, &set->keys, err);
    if (st != GLINT_OK) {
        gi_free(set);
        return st;
    }
    set->n_refs = 1;
    *ret = set;
    return GLINT_OK;
}

static key_set *take_ref(gi_auth *a, gi_tenant_limits *ret_limits) {
    pthread_mutex_lock(&a->lock);
    key_set *set = a->current;
    set->n_refs++;
    *ret_limits = a->limits;
    pthread_mutex_unlock(&a->lock);
    return set;
}

static void drop_ref(gi_auth *a, key_set *set) {
    pthread_mutex_lock(&a->lock);
    const bool is_last = --set->n_refs == 0;
    pthread_mutex_unlock(&a->lock);
    if (!is_last) return;
    gi_auth_keys_free(set->keys);
    gi_free(set);
}

glint_status gi_auth_create(const gi_auth_settings *settings, gi_auth **ret, glint_error *err) {
    key_set *set = NULL;
    GI_TRY(load(settings, &set, err));
    gi_auth *a = gi_calloc(1, sizeof *a);
    if (!a) {
        gi_auth_keys_free(set->keys);
        gi_free(set);
        return gi_fail(err, GLINT_ERR_MEMORY, "authentication: no memory");
    }
    a->settings = *settings;
    a->limits = settings->limits;
    a->current = set;
    pthread_mutex_init(&a->lock, NULL);
    *ret = a;
    return GLINT_OK;
}

void gi_auth_free(gi_auth *a) {
    if (!a) return;
    drop_ref(a, a->current);
    pthread_mutex_destroy(&a->lock);
    gi_free(a);
}

glint_status gi_auth_reload(gi_auth *a, glint_error *err) {
    key_set *set = NULL;
    GI_TRY(load(&a->settings, &set, err));
    pthread_mutex_lock(&a->lock);
    key_set *old = a->current;
    a->current = set;
    pthread_mutex_unlock(&a->lock);
    drop_ref(a, old);
    return GLINT_OK;
}

void gi_auth_set_limits(gi_auth *a, const gi_tenant_limits *limits) {
    pthread_mutex_lock(&a->lock);
    a->limits = *limits;
    pthread_mutex_unlock(&a->lock);
}

bool gi_auth_sha256(const void *bytes, size_t n, uint8_t out[GI_AUTH_SHA256_BYTES]) {
    size_t n_out = 0;
    return EVP_Q_digest(NULL, "SHA256", NULL, bytes, n, out, &n_out) == 1 &&
           n_out == GI_AUTH_SHA256_BYTES;
}

/* ---- one credential ---- */

static bool refuse(gi_auth_refusal *why, const char *reason) {
    why->reason = reason;
    return false;
}

static bool check_api_key(const gi_auth_keys *keys, const char *text, size_t n, int64_t now_s,
                          gi_principal *ret, gi_auth_refusal *why) {
    uint8_t hash[GI_AUTH_SHA256_BYTES];
    if (n != GI_AUTH_API_KEY_CHARS ||
        memcmp(text, GI_AUTH_API_KEY_PREFIX, strlen(GI_AUTH_API_KEY_PREFIX)) != 0)
        return refuse(why, "not of the form of an API key");
    why->is_memory = !gi_auth_sha256(text, n, hash);
    if (why->is_memory) return false;
    const gi_api_key *key = gi_auth_keys_find_api(keys, hash);
    if (!key) return refuse(why, "unknown API key");
    memcpy(why->key_id, key->id, sizeof why->key_id);
    if (now_s >= key->expires_s) return refuse(why, "the API key has expired");
    memcpy(ret->tenant, key->tenant, sizeof ret->tenant);
    memcpy(ret->key_id, key->id, sizeof ret->key_id);
    ret->scopes = key->scopes;
    return true;
}

/* What follows "Bearer " in the header, or NULL. */
static const char *bearer_of(const char *authorization) {
    static const char scheme[] = "Bearer ";
    if (strncasecmp(authorization, scheme, strlen(scheme)) != 0) return NULL;
    const char *text = authorization + strlen(scheme);
    while (*text == ' ') text++;
    return text;
}

static bool check_one(const gi_auth *a, const gi_auth_keys *keys, const gi_auth_headers *h,
                      int64_t now_s, gi_principal *ret, gi_auth_refusal *why) {
    if (h->n_authorization + h->n_api_key > 1) return refuse(why, "more than one credential");
    if (h->api_key) return check_api_key(keys, h->api_key, strlen(h->api_key), now_s, ret, why);
    const char *text = h->authorization ? bearer_of(h->authorization) : NULL;
    if (!text) return refuse(why, "not a bearer credential");
    const size_t n = strlen(text);
    if (strncmp(text, GI_AUTH_API_KEY_PREFIX, strlen(GI_AUTH_API_KEY_PREFIX)) == 0)
        return check_api_key(keys, text, n, now_s, ret, why);
    return gi_jwt_check(keys, &a->settings.jwt, text, n, now_s, ret, why);
}

gi_auth_outcome gi_auth_check(gi_auth *a, const gi_auth_headers *headers, int64_t now_s,
                              gi_principal *ret, gi_auth_refusal *why) {
    if (headers->n_authorization + headers->n_api_key == 0) return GI_AUTH_NOT_GIVEN;
    *why = (gi_auth_refusal){0};
    gi_principal p = {0};
    gi_tenant_limits limits;
    key_set *set = take_ref(a, &limits);
    const bool ok = check_one(a, set->keys, headers, now_s, &p, why);
    if (ok) p.limits = gi_auth_keys_limits(set->keys, p.tenant, &limits);
    drop_ref(a, set);
    if (ok) *ret = p;
    return ok ? GI_AUTH_ACCEPTED : why->is_memory ? GI_AUTH_NO_MEMORY : GI_AUTH_REFUSED;
}
