/**
 * @file
 * What tells one engine from another: a SHA-256 over all that an answer depends on beside the
 * request and the templates, which may change while the engine lives (task_set.h adds them). Keys
 * of what is kept for other processes (answers, encoded pictures) contain it.
 */
#ifndef GI_ENGINE_FINGERPRINT_H
#define GI_ENGINE_FINGERPRINT_H

#include "engine/engine.h"

/**
 * Over: glint's version; every settings and tokenizer file of the checkpoint; name, type and shape
 * of every weight, and up to 8 KiB of each, from its beginning and its middle (all of a large
 * checkpoint would take many seconds to read); number formats, kernel tier and threads; the limits
 * on context and picture side that requests without their own run under.
 *
 * A checkpoint that was trained further differs in every weight it was trained in, so the samples
 * tell it; one in which somebody changed single bytes by hand may not be told from its origin.
 *
 * @param e  with checkpoint, device and info in place.
 * @return GLINT_ERR_IO, _LIMIT, _MEMORY (a settings file), and as base/sha256.h.
 */
glint_status gi_engine_fingerprint(const glint_engine *e, const glint_engine_options *o,
                                   gi_digest *ret, glint_error *err);

#endif
