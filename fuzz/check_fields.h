/**
 * @file
 * What holds of every request that is taken and of every one that is refused.
 */
#ifndef FUZZ_CHECK_FIELDS_H
#define FUZZ_CHECK_FIELDS_H

#include "server/fields.h"

/** The limits that these requests are read under. */
extern const gi_field_limits CHECK_LIMITS;

/** Values within their ranges, pictures of exactly one kind. */
void check_fields(const gi_field_table *table, const gi_infer_fields *f);

/** The answer to a refused one is JSON that names it. */
void check_refusal(const gi_api_error *error);

#endif
