/*
 * Order matters here: size and dots, header, key, signature, and only then the claims. Each step
 * works on bytes that the one before has bounded. All memory but jansson's is on the stack.
 *
 * Strictness that is more than taste: duplicate members are refused (two readers could take
 * different ones), so are numbers out of range; an `aud` nobody configured is refused (RFC 7519
 * section 4.1.3); a token without a tenant is refused, because it would share a cache with others.
 */
#include "server/jwt.h"

#include "base/json.h"
#include "base/utf8.h"
#include "server/base64url.h"

#include <math.h>
#include <string.h>

enum {
    HEADER_TEXT_MAX = 2048, /* characters of the first part */
    SUBJECT_BYTES_MAX = 255,
};

/* The last second of the year 9999; what lies behind it is no date but a mistake or a trick. */
static const double DATE_MAX = 253402300799.0;

static bool refuse(gi_auth_refusal *why, const char *reason) {
    why->reason = reason;
    return false;
}

/* ---- form and signature ---- */

typedef struct parts {
    const char *header, *payload, *signature;
    size_t n_header, n_payload, n_signature;
    size_t n_signed; /* the signature is over this many bytes from the beginning */
} parts;

static bool split(const char *token, size_t n, parts *ret, gi_auth_refusal *why) {
    if (n > GI_JWT_BYTES_MAX) return refuse(why, "longer than 8192 bytes");
    const char *end = token + n, *first = memchr(token, '.', n);
    const char *second = first ? memchr(first + 1, '.', (size_t)(end - first - 1)) : NULL;
    if (!second || memchr(second + 1, '.', (size_t)(end - second - 1)))
        return refuse(why, "not three parts");
    *ret = (parts){.header = token,
                   .n_header = (size_t)(first - token),
                   .payload = first + 1,
                   .n_payload = (size_t)(second - first - 1),
                   .signature = second + 1,
                   .n_signature = (size_t)(end - second - 1),
                   .n_signed = (size_t)(second - token)};
    if (ret->n_header == 0 || ret->n_signature == 0) return refuse(why, "an empty part");
    if (ret->n_header > HEADER_TEXT_MAX) return refuse(why, "its header is too long");
    return true;
}

static json_t *parse_object(const uint8_t *bytes, size_t n, const char *what,
                            gi_auth_refusal *why) {
    json_t *v = NULL;
    const glint_status st = gi_json_parse(bytes, n, what, &v, NULL);
    if (st == GLINT_OK && json_is_object(v)) return v;
    json_decref(v);
    why->is_memory = st == GLINT_ERR_MEMORY;
    why->reason = what;
    return NULL;
}

/* A member that must be a string when it is there. False: it is something else. */
static bool get_text(const json_t *obj, const char *name, const char **ret) {
    const json_t *v = json_object_get(obj, name);
    *ret = NULL;
    if (!v) return true;
    if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v)) return false;
    *ret = json_string_value(v);
    return true;
}

static bool is_any(const char *s, const char *const *words) {
    while (*words && strcasecmp(s, *words) != 0) words++;
    return *words != NULL;
}

static bool check_header(const json_t *header, const gi_auth_keys *keys,
                         const gi_token_key **ret_key, gi_auth_refusal *why) {
    static const char *const refused[] = {"crit", "b64", "zip", "enc", "cty",
                                          "jwk",  "jku", "x5u", "x5c", NULL};
    static const char *const types[] = {"JWT", "at+jwt", "application/at+jwt", NULL};
    const char *alg, *kid, *type;
    for (const char *const *name = refused; *name; name++)
        if (json_object_get(header, *name)) return refuse(why, "its header asks for too much");
    if (!get_text(header, "typ", &type) || (type && !is_any(type, types)))
        return refuse(why, "its type is not JWT");
    if (!get_text(header, "kid", &kid)) return refuse(why, "its key id is no string");
    const gi_token_key *key = gi_auth_keys_find(keys, kid);
    if (!key) return refuse(why, kid ? "unknown key id" : "no key id, and not one key");
    memcpy(why->key_id, key->kid, sizeof why->key_id);
    if (!get_text(header, "alg", &alg) || !alg || strcmp(alg, gi_auth_alg_name(key->key.alg)) != 0)
        return refuse(why, "its algorithm is not that of the key");
    *ret_key = key;
    return true;
}

bool gi_jwt_check_signature(const gi_auth_keys *keys, const char *token, size_t n,
                            const gi_token_key **ret_key, uint8_t *ret_payload,
                            size_t *ret_n_payload, gi_auth_refusal *why) {
    uint8_t header_bytes[HEADER_TEXT_MAX], signature[GI_AUTH_SIGNATURE_BYTES_MAX + 2];
    size_t n_header = 0, n_signature = 0;
    const gi_token_key *key = NULL;
    parts p;
    *why = (gi_auth_refusal){0};
    if (!split(token, n, &p, why)) return false;
    if (p.n_signature > GI_BASE64URL_TEXT_BYTES(GI_AUTH_SIGNATURE_BYTES_MAX) - 1)
        return refuse(why, "its signature is too long");
    if (!gi_base64url_decode(p.header, p.n_header, header_bytes, &n_header) ||
        !gi_base64url_decode(p.payload, p.n_payload, ret_payload, ret_n_payload) ||
        !gi_base64url_decode(p.signature, p.n_signature, signature, &n_signature))
        return refuse(why, "not base64url");
    json_t *header = parse_object(header_bytes, n_header, "its header is no JSON object", why);
    if (!header) return false;
    const bool ok = check_header(header, keys, &key, why);
    json_decref(header);
    if (!ok) return false;
    if (!gi_auth_key_verifies(&key->key, token, p.n_signed, signature, n_signature,
                              &why->is_memory))
        return refuse(why, "its signature is wrong");
    *ret_key = key;
    return true;
}

/* ---- claims ---- */

/* A date: missing leaves *ret. False: no number of seconds since 1970. */
static bool get_date(const json_t *claims, const char *name, bool *ret_has, double *ret) {
    const json_t *v = json_object_get(claims, name);
    *ret_has = v != NULL;
    if (!v) return true;
    const double d = json_number_value(v);
    if (!json_is_number(v) || !isfinite(d) || d < 0 || d > DATE_MAX) return false;
    *ret = d;
    return true;
}

static bool check_dates(const json_t *claims, double now, double skew, gi_auth_refusal *why) {
    double exp = 0, nbf = 0, iat = 0;
    bool has_exp, has_nbf, has_iat;
    if (!get_date(claims, "exp", &has_exp, &exp) || !get_date(claims, "nbf", &has_nbf, &nbf) ||
        !get_date(claims, "iat", &has_iat, &iat))
        return refuse(why, "exp, nbf or iat is no date");
    if (!has_exp) return refuse(why, "it has no exp");
    if (now >= exp + skew) return refuse(why, "it has expired");
    if (has_nbf && now < nbf - skew) return refuse(why, "it is not valid yet");
    if (has_iat && now < iat - skew) return refuse(why, "it is from the future");
    return true;
}

static bool is_text(const json_t *v, const char *wanted) {
    return json_string_length(v) == strlen(wanted) && strcmp(json_string_value(v), wanted) == 0;
}

/* A string or a list of them. */
static bool has_audience(const json_t *aud, const char *wanted) {
    bool found = false;
    if (json_is_string(aud)) return is_text(aud, wanted);
    for (size_t i = 0; i < json_array_size(aud); i++) {
        const json_t *one = json_array_get(aud, i);
        if (!json_is_string(one)) return false;
        found |= is_text(one, wanted);
    }
    return found;
}

static bool check_parties(const json_t *claims, const gi_jwt_policy *policy, gi_auth_refusal *why) {
    const json_t *aud = json_object_get(claims, "aud");
    const char *iss;
    if (policy->audience && !(aud && has_audience(aud, policy->audience)))
        return refuse(why, "it is for another audience");
    if (!policy->audience && aud) return refuse(why, "it has aud, and --jwt-audience is not set");
    if (!get_text(claims, "iss", &iss)) return refuse(why, "iss is no string");
    if (policy->issuer && !(iss && strcmp(iss, policy->issuer) == 0))
        return refuse(why, "it is from another issuer");
    return true;
}

/* The scopes of "infer metrics" or ["infer","metrics"]; those of other services are passed over. */
static bool get_scopes(const json_t *claims, unsigned *ret) {
    const json_t *v = json_object_get(claims, "scope");
    unsigned scopes = 0;
    if (json_is_array(v)) {
        for (size_t i = 0; i < json_array_size(v); i++) {
            const json_t *s = json_array_get(v, i);
            if (!json_is_string(s)) return false;
            scopes |= gi_scope_parse(json_string_value(s), json_string_length(s));
        }
    } else if (v) {
        const char *s;
        if (!get_text(claims, "scope", &s) || !s) return false;
        for (size_t n; *s; s += n + (s[n] == ' ')) {
            n = strcspn(s, " ");
            scopes |= gi_scope_parse(s, n);
        }
    }
    *ret = scopes;
    return true;
}

/* The subject, cut to fit. */
static bool get_subject(const json_t *claims, char out[GI_AUTH_SUBJECT_BYTES]) {
    const char *s;
    if (!get_text(claims, "sub", &s)) return false;
    if (!s) s = "";
    const size_t n = strlen(s);
    if (n > SUBJECT_BYTES_MAX) return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] < 0x20 || s[i] == 0x7F) return false;
    const size_t room = n < GI_AUTH_SUBJECT_BYTES ? n : GI_AUTH_SUBJECT_BYTES - 1;
    const size_t kept = gi_utf8_complete_prefix((const uint8_t *)s, room);
    memcpy(out, s, kept);
    out[kept] = '\0';
    return true;
}

static bool get_tenant(const json_t *claims, const char *name, const gi_token_key *key,
                       char out[GI_AUTH_NAME_BYTES]) {
    const char *s;
    if (!get_text(claims, name, &s)) return false;
    if (!s && key->tenant[0]) s = key->tenant;
    if (!s || !gi_auth_is_name(s, strlen(s))) return false;
    if (key->tenant[0] && strcmp(s, key->tenant) != 0) return false;
    memcpy(out, s, strlen(s) + 1);
    return true;
}

static bool check_claims(const json_t *claims, const gi_jwt_policy *policy, const gi_token_key *key,
                         int64_t now_s, gi_principal *ret, gi_auth_refusal *why) {
    gi_principal p = *ret;
    if (!check_dates(claims, (double)now_s, (double)policy->skew_s, why) ||
        !check_parties(claims, policy, why))
        return false;
    if (!get_subject(claims, p.subject)) return refuse(why, "sub is no short text");
    if (!get_scopes(claims, &p.scopes)) return refuse(why, "scope is neither text nor a list");
    if (!get_tenant(claims, policy->tenant_claim, key, p.tenant))
        return refuse(why, "it has no tenant of its key");
    memcpy(p.key_id, key->kid, sizeof p.key_id);
    *ret = p;
    return true;
}

bool gi_jwt_check(const gi_auth_keys *keys, const gi_jwt_policy *policy, const char *token,
                  size_t n, int64_t now_s, gi_principal *ret, gi_auth_refusal *why) {
    uint8_t payload[GI_JWT_BYTES_MAX];
    size_t n_payload = 0;
    const gi_token_key *key = NULL;
    if (!gi_jwt_check_signature(keys, token, n, &key, payload, &n_payload, why)) return false;
    json_t *claims = parse_object(payload, n_payload, "its claims are no JSON object", why);
    if (!claims) return false;
    const bool ok = check_claims(claims, policy, key, now_s, ret, why);
    json_decref(claims);
    return ok;
}
