/*
 * A text as base64, base64url, and as what an `image` field may hold. What is decoded is encoded
 * as the same text by another encoder, so that no bytes have two spellings; and bytes that are
 * encoded are decoded.
 */
#include "base/alloc.h"
#include "server/base64.h"
#include "server/base64url.h"
#include "server/picture_ref.h"

#include <openssl/evp.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

static uint8_t *room(size_t n) {
    uint8_t *p = gi_alloc(n);
    gi_assert(p != NULL);
    return p;
}

static void check_decoded(const char *text, size_t n) {
    size_t n_out;
    if (gi_base64_decoded_bytes(text, n, &n_out, NULL) != GLINT_OK) return;
    uint8_t *out = room(n_out), *in_place = room(n), *again = room(n + 1);
    if (n > 0) memcpy(in_place, text, n);
    const glint_status st = gi_base64_decode(text, n, out, NULL);
    gi_assert(gi_base64_decode((const char *)in_place, n, in_place, NULL) == st);
    if (st == GLINT_OK) {
        gi_assert(memcmp(in_place, out, n_out) == 0);
        gi_assert(EVP_EncodeBlock(again, out, (int)n_out) == (int)n && memcmp(again, text, n) == 0);
    }
    gi_free(out);
    gi_free(in_place);
    gi_free(again);
}

static void check_encoded(const uint8_t *bytes, size_t n) {
    uint8_t *text = room(n / 3 * 4 + 5), *out = room(n);
    const int n_text = EVP_EncodeBlock(text, bytes, (int)n);
    size_t n_out;
    gi_assert(gi_base64_decoded_bytes((char *)text, (size_t)n_text, &n_out, NULL) == GLINT_OK);
    gi_assert(n_out == n && gi_base64_decode((char *)text, (size_t)n_text, out, NULL) == GLINT_OK);
    gi_assert(memcmp(out, bytes, n) == 0);
    gi_free(text);
    gi_free(out);
}

static void check_url_alphabet(const uint8_t *bytes, size_t n) {
    uint8_t *out = room(n / 4 * 3 + 2), *back = room(n + 2);
    char *text = (char *)room(GI_BASE64URL_TEXT_BYTES(n));
    size_t n_out;
    if (gi_base64url_decode((const char *)bytes, n, out, &n_out)) {
        gi_base64url_encode(out, n_out, text);
        gi_assert(strlen(text) == n && memcmp(text, bytes, n) == 0);
    }
    gi_base64url_encode(bytes, n, text);
    gi_assert(gi_base64url_decode(text, strlen(text), back, &n_out));
    gi_assert(n_out == n && memcmp(back, bytes, n) == 0);
    gi_free(out);
    gi_free(back);
    gi_free(text);
}

static void check_reference(const char *text, size_t n) {
    gi_picture_ref ref = {0};
    gi_api_error error = {0};
    if (!gi_picture_ref_parse(text, n, "image", &ref, &error)) {
        gi_assert(error.code == GI_API_INVALID_IMAGE_REF);
        return;
    }
    const char *part = ref.url ? ref.url : ref.base64;
    gi_assert((ref.url != NULL) != (ref.base64 != NULL));
    gi_assert(part >= text && ref.n > 0 && part + ref.n == text + n);
    if (ref.url) gi_assert(part == text && strncasecmp(text, "http", 4) == 0);
    if (ref.base64) check_decoded(part, ref.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    check_decoded((const char *)bytes, n_bytes);
    check_encoded(bytes, n_bytes);
    check_url_alphabet(bytes, n_bytes);
    check_reference((const char *)bytes, n_bytes);
    return 0;
}
