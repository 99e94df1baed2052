/*
 * Follows the grammar of a schema over whole texts.
 */
#ifndef TESTS_WALK_H
#define TESTS_WALK_H

#include "grammar/schema.h"

#include <stddef.h>

/* Whether the n bytes are one value of the schema's grammar. *ret_n_taken, unless NULL: bytes up to
 * the first that it does not take. */
bool walk_accepts(const gi_schema *s, const char *text, size_t n, size_t *ret_n_taken);

/* The value as the grammar writes it: properties in the order in which their names first appear
 * in the schema, the others behind. Free with free(). */
char *walk_text(const json_t *schema, const json_t *value, size_t *ret_n);

#endif
