/*
 * A block is hashed as its longest runs of either text or one picture's visual tokens. There is one
 * way to cut a block into such runs, so equal blocks are equal fields and different ones are not:
 *
 *     text       u64(TEXT)      bytes(ids, four each, least significant byte first)
 *     picture    u64(PICTURE)   bytes(content) u64(index of the first in the picture) u64(count)
 */
#include "kv/prompt_keys.h"

static const char DOMAIN[] = "glint kv block 1";

enum { TEXT, PICTURE };

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "ids are hashed as they lie in memory");

static void check_places(size_t n_ids, const gi_prompt_picture *pictures, size_t n_pictures) {
    size_t end = 0;
    for (size_t i = 0; i < n_pictures; i++) {
        gi_assert(pictures[i].n_tokens > 0 && pictures[i].first_token >= end &&
                  pictures[i].first_token <= n_ids &&
                  pictures[i].n_tokens <= n_ids - pictures[i].first_token);
        end = pictures[i].first_token + pictures[i].n_tokens;
    }
}

/* Hash tokens [begin, end). *io_picture is the first picture that does not end before `begin`. */
static void hash_tokens(gi_sha256 *h, const int32_t *ids, size_t begin, size_t end,
                        const gi_prompt_picture *pictures, size_t n_pictures, size_t *io_picture) {
    for (size_t at = begin, stop; at < end; at = stop) {
        const gi_prompt_picture *p = NULL;
        while (*io_picture < n_pictures) {
            p = &pictures[*io_picture];
            if (at < p->first_token + p->n_tokens) break;
            p = NULL;
            ++*io_picture;
        }
        const bool is_text = !p || at < p->first_token;
        stop = !p ? end : is_text ? p->first_token : p->first_token + p->n_tokens;
        if (stop > end) stop = end;
        gi_sha256_u64(h, is_text ? TEXT : PICTURE);
        if (is_text) {
            gi_sha256_bytes(h, ids + at, (stop - at) * sizeof *ids);
        } else {
            gi_sha256_bytes(h, p->content.bytes, sizeof p->content.bytes);
            gi_sha256_u64(h, at - p->first_token);
            gi_sha256_u64(h, stop - at);
        }
    }
}

glint_status gi_prompt_keys(const gi_digest *salt, const int32_t *ids, size_t n_ids,
                            size_t block_tokens, const gi_prompt_picture *pictures,
                            size_t n_pictures, gi_kv_key *ret_keys, glint_error *err) {
    gi_sha256 h;
    size_t i_picture = 0;
    gi_assert(block_tokens > 0);
    check_places(n_ids, pictures, n_pictures);
    GI_TRY(gi_sha256_init(&h, err));
    glint_status st = GLINT_OK;
    for (size_t i = 0; st == GLINT_OK && i < n_ids / block_tokens; i++) {
        const gi_digest *before = i == 0 ? salt : &ret_keys[i - 1];
        gi_sha256_begin(&h, DOMAIN);
        gi_sha256_bytes(&h, before->bytes, sizeof before->bytes);
        hash_tokens(&h, ids, i * block_tokens, (i + 1) * block_tokens, pictures, n_pictures,
                    &i_picture);
        st = gi_sha256_end(&h, &ret_keys[i], err);
    }
    gi_sha256_done(&h);
    return st;
}
