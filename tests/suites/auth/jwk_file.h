/*
 * Keys of the outside suites, which are JSON Web Keys, as a --jwt-keys file.
 */
#ifndef TESTS_JWK_FILE_H
#define TESTS_JWK_FILE_H

#include "server/auth_keys.h"

#include <jansson.h>
#include <stdbool.h>

/*
 * Write `jwks` [n] as keys.json (and PEM files) into dir and load that. NULL, with the words of the
 * refusal in `why`, when a key cannot be said in such a file or glint refuses it.
 */
gi_auth_keys *jwk_load(const char *dir, const json_t *const *jwks, size_t n, char why[200]);

#endif
