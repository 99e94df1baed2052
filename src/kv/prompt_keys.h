/**
 * @file
 * The keys of a prompt's full KV blocks. Each is a SHA-256 over the one before it and the block's
 * own tokens, so that it stands for everything from the start of the prompt to the block's end:
 *
 *     key[i] = SHA-256(key[i - 1] or the salt, tokens [i * block_tokens, (i + 1) * block_tokens))
 *
 * Equal keys mean equal keys and values in the cache, if the salt holds all else that these depend
 * on: model, number formats, whatever keeps tenants apart.
 */
#ifndef GI_KV_PROMPT_KEYS_H
#define GI_KV_PROMPT_KEYS_H

#include "kv/kv_prefix.h"

/** The visual tokens of a picture: token ids say nothing about them. */
typedef struct gi_prompt_picture {
    size_t first_token, n_tokens; /**< where they lie in the prompt */
    gi_digest content; /**< over all that makes the visual tokens and their positions: the picture's
                            bytes and how it was resized */
} gi_prompt_picture;

/**
 * Compute the keys of a prompt.
 *
 * @param salt         what the keys depend on beside the tokens.
 * @param ids          [n_ids] token ids; those of visual tokens are not looked at.
 * @param pictures     [n_pictures] in order, not overlapping, within the prompt.
 * @param ret_keys     [n_ids / block_tokens]; undefined on failure.
 * @return GLINT_ERR_MEMORY, GLINT_ERR_UNSUPPORTED, GLINT_ERR_INTERNAL (see base/sha256.h).
 * Threads: any. Cost: a pass over the tokens, a SHA-256 per block.
 */
glint_status gi_prompt_keys(const gi_digest *salt, const int32_t *ids, size_t n_ids,
                            size_t block_tokens, const gi_prompt_picture *pictures,
                            size_t n_pictures, gi_kv_key *ret_keys, glint_error *err);

#endif
