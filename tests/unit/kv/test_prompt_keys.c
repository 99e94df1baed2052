/*
 * src/kv/prompt_keys: two prompts have equal keys exactly as far as they are the same, whatever
 * they are made of and wherever they part. One pair of keys is compared with Python's hashlib.
 */
#include "../cm.h"

#include "base/alloc.h"
#include "kv/prompt_keys.h"

#include <string.h>

enum { TOKENS_MAX = 60, PICTURES_MAX = 4 };

typedef struct prompt {
    gi_digest salt;
    int32_t ids[TOKENS_MAX];
    size_t n_ids;
    gi_prompt_picture pictures[PICTURES_MAX];
    size_t n_pictures;
} prompt;

static void keys_of(const prompt *p, size_t block, gi_kv_key *ret) {
    assert_int_equal(
        gi_prompt_keys(&p->salt, p->ids, p->n_ids, block, p->pictures, p->n_pictures, ret, NULL),
        GLINT_OK);
}

static void as_the_source_says(void **state) {
    (void)state;
    static const uint8_t want[2][32] = {
        {0x06, 0xa5, 0x8e, 0x96, 0x46, 0x0e, 0xd3, 0xe5, 0xc6, 0x36, 0xdd,
         0xe1, 0xfe, 0x30, 0xff, 0x66, 0x73, 0xa1, 0x36, 0x92, 0x24, 0xc8,
         0x91, 0x69, 0xff, 0x48, 0x01, 0x7e, 0x80, 0xda, 0xbf, 0x4c},
        {0x32, 0x23, 0xc3, 0xc8, 0x02, 0xba, 0x6e, 0xa8, 0x66, 0xf9, 0xe4,
         0xb8, 0x7d, 0x1e, 0x64, 0x0a, 0x70, 0x57, 0x36, 0xbf, 0xf3, 0xfb,
         0xc4, 0x22, 0xa1, 0xac, 0x12, 0x83, 0xbc, 0x3c, 0x63, 0xcb},
    };
    prompt p = {.ids = {101, 102, 103, -1, -1, -1, 104, 105, 9},
                .n_ids = 9,
                .pictures = {{.first_token = 3, .n_tokens = 3}},
                .n_pictures = 1};
    for (uint8_t i = 0; i < 32; i++) {
        p.salt.bytes[i] = i;
        p.pictures[0].content.bytes[i] = (uint8_t)(100 + i);
    }
    gi_kv_key keys[3] = {0};
    keys_of(&p, 4, keys);
    assert_memory_equal(keys, want, sizeof want);
    const gi_kv_key none = {{0}};
    assert_memory_equal(&keys[2], &none, sizeof none); /* the ninth token fills no block */
}

static void nothing_to_do(void **state) {
    (void)state;
    const gi_digest salt = {{0}};
    const int32_t ids[3] = {1, 2, 3};
    assert_int_equal(gi_prompt_keys(&salt, NULL, 0, 16, NULL, 0, NULL, NULL), GLINT_OK);
    assert_int_equal(gi_prompt_keys(&salt, ids, 3, 16, NULL, 0, NULL, NULL), GLINT_OK);
}

/* ---- random pairs ---- */

static uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static prompt random_prompt(uint64_t *rng) {
    prompt p = {.n_ids = next_random(rng) % (TOKENS_MAX + 1)};
    for (size_t i = 0; i < TOKENS_MAX; i++) p.ids[i] = (int32_t)(next_random(rng) % 3);
    for (size_t at = next_random(rng) % 12; p.n_pictures < PICTURES_MAX;) {
        const size_t n = 1 + next_random(rng) % 14;
        if (at + n > p.n_ids) break;
        p.pictures[p.n_pictures] = (gi_prompt_picture){.first_token = at, .n_tokens = n};
        p.pictures[p.n_pictures++].content.bytes[31] = (uint8_t)(next_random(rng) % 2);
        at += n + next_random(rng) % 6;
    }
    return p;
}

static void change_something(prompt *p, uint64_t *rng) {
    gi_prompt_picture *picture =
        p->n_pictures > 0 ? &p->pictures[next_random(rng) % p->n_pictures] : NULL;
    switch (next_random(rng) % 8) {
    case 0:
        p->salt.bytes[next_random(rng) % 32] ^= (uint8_t)(1u << next_random(rng) % 8);
        break;
    case 1:
        if (picture) picture->content.bytes[next_random(rng) % 32] ^= 0x10;
        break;
    case 2: /* a token fewer: the picture ends earlier, text takes its place */
        if (picture && picture->n_tokens > 1) picture->n_tokens--;
        break;
    case 3: /* moved by one: what was text is a visual token */
        if (picture && picture->first_token > 0 &&
            (picture == p->pictures ||
             picture[-1].first_token + picture[-1].n_tokens < picture->first_token))
            picture->first_token--;
        break;
    case 4:
        if (p->n_pictures > 0) p->n_pictures--;
        break;
    case 5:
        if (p->n_pictures == 0 && p->n_ids > 0)
            p->pictures[p->n_pictures++] =
                (gi_prompt_picture){.first_token = next_random(rng) % p->n_ids, .n_tokens = 1};
        break;
    default:
        if (p->n_ids > 0) p->ids[next_random(rng) % p->n_ids] ^= 1 << next_random(rng) % 31;
        break;
    }
}

/* What a position is, told without runs. */
typedef struct token {
    bool is_visual;
    int32_t id;
    gi_digest content;
    size_t index;
} token;

static token token_at(const prompt *p, size_t at) {
    for (size_t i = 0; i < p->n_pictures; i++) {
        const gi_prompt_picture *q = &p->pictures[i];
        if (at >= q->first_token && at - q->first_token < q->n_tokens)
            return (token){.is_visual = true, .content = q->content, .index = at - q->first_token};
    }
    return (token){.id = p->ids[at]};
}

static bool same_token(const token *a, const token *b) {
    return a->is_visual == b->is_visual && a->id == b->id && a->index == b->index &&
           memcmp(&a->content, &b->content, sizeof a->content) == 0;
}

static void equal_as_far_as_the_same(void **state) {
    (void)state;
    size_t n_equal = 0, n_different = 0;
    for (uint64_t seed = 1; seed <= 4000; seed++) {
        uint64_t rng = seed;
        const size_t block = 1 + next_random(&rng) % 9;
        const prompt a = random_prompt(&rng);
        prompt b = a;
        change_something(&b, &rng);
        gi_kv_key keys[2][TOKENS_MAX];
        keys_of(&a, block, keys[0]);
        keys_of(&b, block, keys[1]);
        bool same = memcmp(&a.salt, &b.salt, sizeof a.salt) == 0;
        for (size_t i = 0; i < a.n_ids / block; i++) {
            for (size_t at = i * block; at < (i + 1) * block; at++) {
                const token ta = token_at(&a, at), tb = token_at(&b, at);
                same = same && same_token(&ta, &tb);
            }
            assert_int_equal(memcmp(&keys[0][i], &keys[1][i], sizeof keys[0][i]) == 0, same);
            *(same ? &n_equal : &n_different) += 1;
            /* No key twice in one prompt, whatever repeats in it. */
            for (size_t j = 0; j < i; j++)
                assert_memory_not_equal(&keys[0][i], &keys[0][j], sizeof keys[0][i]);
        }
    }
    assert_true(n_equal > 1000 && n_different > 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_source_says),
        cmocka_unit_test(nothing_to_do),
        cmocka_unit_test(equal_as_far_as_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
