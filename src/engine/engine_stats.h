/**
 * @file
 * What an engine did so far, for those who watch it.
 */
#ifndef GI_ENGINE_ENGINE_STATS_H
#define GI_ENGINE_ENGINE_STATS_H

#include <glint/glint.h>

#include "base/cache.h"
#include "image/decoder.h"

typedef struct gi_engine_stats {
    gi_cache_stats pictures;   /**< the cache of encoded pictures */
    gi_decoder_stats decoding; /**< zero where pictures are decoded in this process */
} gi_engine_stats;

/** Any thread. */
gi_engine_stats gi_engine_get_stats(const glint_engine *engine);

#endif
