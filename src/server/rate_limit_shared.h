/**
 * @file
 * Token buckets that several servers keep together through a store (store/store.h). Nobody who
 * takes from a bucket waits for the store: each server has a copy of every bucket, takes from it,
 * and tells the others afterwards, in the background, at least every 20 ms while it is used.
 *
 * What lies in Redis, for each bucket: T, the sum of all that was ever taken from it, a number that
 * everybody adds to; and a mark (T', level, time): what the level was when T stood at T'. So
 *
 *     level now = min(burst, mark's level + time since * per_s) - (T - T')
 *
 * which every server computes for itself after it has added what it took, writes as the new mark,
 * and puts into its copy. Marks may overwrite each other: each is true by itself. Clocks of
 * machines that differ by d let a level be wrong by d * per_s.
 *
 * How exact: what servers take at once, before they have heard of each other, may together be more
 * than the bucket held. That is at most what n - 1 of them grant within one round (20 ms and a
 * round trip), and never more than their copies hold; the bucket then owes it, and nobody takes
 * until it is paid, so over time the rate holds exactly.
 *
 * Without the store each server goes on with its copies: a limit is then each server's own. Nobody
 * who writes into Redis can make a server grant more than that; he can make it refuse.
 */
#ifndef GI_SERVER_RATE_LIMIT_SHARED_H
#define GI_SERVER_RATE_LIMIT_SHARED_H

#include "server/rate_limit.h"
#include "store/store.h"

/**
 * @param store   borrowed.
 * @param domain  tells limiters of one store apart.
 * The rest as gi_rate_limiter_create_local.
 */
glint_status gi_rate_limiter_create_shared(gi_store *store, const char *domain, size_t n_keys_max,
                                           gi_rate_limiter **ret, glint_error *err);

/** The level of a bucket by what the store said, and the mark to write: the arithmetic above. For
 * tests. @param level_local  of this server's copy, as it would be had nothing been taken since T.
 * @return level; its copy's where the store makes no sense. */
double gi_rate_shared_level(gi_store_tally *tally, gi_rate_rule rule, double level_local,
                            int64_t now_unix_ms);

#endif
