/**
 * @file
 * Who asks: what authentication found out, attached to a request (gi_http_principal). Without
 * authentication it is the principal of everybody: tenant "", every scope.
 */
#ifndef GI_SERVER_AUTH_PRINCIPAL_H
#define GI_SERVER_AUTH_PRINCIPAL_H

#include "server/rate_limit.h"

#include <stdbool.h>
#include <stddef.h>

/** Room for a tenant's name and for the id of a key: 1..64 of A-Z a-z 0-9 . _ : @ - and a zero. */
#define GI_AUTH_NAME_BYTES 65

/** Room for the subject of a token, cut to fit. */
#define GI_AUTH_SUBJECT_BYTES 129

/** What a credential allows; a set of bits. */
typedef enum gi_scope {
    GI_SCOPE_INFER = 1,   /**< "infer": ask questions */
    GI_SCOPE_METRICS = 2, /**< "metrics": read figures about the server */
    GI_SCOPE_ALL = GI_SCOPE_INFER | GI_SCOPE_METRICS,
} gi_scope;

/** How much a tenant may use. */
typedef struct gi_tenant_limits {
    gi_rate_rule requests;   /**< inference requests */
    gi_rate_rule megapixels; /**< pixels of pictures as sent, in millions */
} gi_tenant_limits;

/** Plain values; copied freely. */
typedef struct gi_principal {
    char tenant[GI_AUTH_NAME_BYTES]; /**< salts caches, is counted and limited as one */
    char key_id[GI_AUTH_NAME_BYTES]; /**< kid of the token's key or id of the API key; "" = none */
    char subject[GI_AUTH_SUBJECT_BYTES]; /**< `sub` of the token: UTF-8 without controls */
    unsigned scopes;                     /**< gi_scope bits */
    gi_tenant_limits limits;
} gi_principal;

/** Why a credential was refused: words for the log, constant. And whose key it named, once known.
 */
typedef struct gi_auth_refusal {
    const char *reason;
    char key_id[GI_AUTH_NAME_BYTES]; /**< "" until a key was found */
    bool is_memory;                  /**< not refused: there was no memory to look */
} gi_auth_refusal;

/** True for 1..64 bytes of the characters of a name. */
bool gi_auth_is_name(const char *s, size_t n);

/** The bit of a scope's name, 0 for one that glint does not know. */
unsigned gi_scope_parse(const char *s, size_t n);

#endif
