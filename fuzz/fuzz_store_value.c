/*
 * What comes out of Redis: replies of the protocol, one after the other, read whole and cut; their
 * strings as values, which without the secret are never good; and, since the MAC keeps the fuzzer
 * out, what an answer's record may hold straight from the bytes.
 */
#include "server/answer_record.h"
#include "store/resp.h"
#include "store/store_value.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

static void check_value(const uint8_t *bytes, size_t n) {
    static const gi_store_secret secret = {{1}, {2}};
    const gi_digest key = {{0}};
    gi_digest name;
    const uint8_t *contents;
    size_t n_contents;
    gi_assert(gi_store_name(&secret, GI_STORE_ANSWER, &key, &name, NULL) == GLINT_OK);
    gi_assert(gi_store_open(&secret, GI_STORE_ANSWER, &name, 0, bytes, n, &contents, &n_contents) ==
              GI_STORE_REFUSED);
    /* Sealed, the same bytes come back. */
    gi_buf value;
    gi_buf_init(&value, n + GI_STORE_HEADER_BYTES);
    if (gi_store_seal(&secret, GI_STORE_ANSWER, &name, 1, bytes, n, &value, NULL) == GLINT_OK) {
        gi_assert(gi_store_open(&secret, GI_STORE_ANSWER, &name, 0, value.data, value.len,
                                &contents, &n_contents) == GI_STORE_GOOD);
        gi_assert(n_contents == n && (n == 0 || memcmp(contents, bytes, n) == 0));
    }
    gi_buf_done(&value);
}

/* A reply read from a buffer that ends where it does, and from every shorter one. */
static void check_cuts(const uint8_t *bytes, size_t n) {
    gi_resp_reply r;
    size_t n_read;
    const size_t step = n / 64 + 1;
    for (size_t cut = 0; cut < n; cut += step) {
        const gi_resp_outcome got = gi_resp_read(bytes, cut, SIZE_MAX / 4, &r, &n_read);
        gi_assert(got == GI_RESP_MORE && n_read > cut && n_read <= n);
    }
}

static void check_record(const uint8_t *bytes, size_t n) {
    gi_answer_record r;
    if (!gi_answer_record_decode(bytes, n, &r)) return;
    gi_assert(r.n_text + r.n_reasoning + r.n_data_json <= n && r.confidence >= 0 &&
              r.confidence <= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    check_value(bytes, n_bytes);
    check_record(bytes, n_bytes);
    for (size_t at = 0; at < n_bytes;) {
        gi_resp_reply r;
        size_t n;
        const gi_resp_outcome got = gi_resp_read(bytes + at, n_bytes - at, SIZE_MAX / 4, &r, &n);
        if (got == GI_RESP_MORE) gi_assert(n > n_bytes - at);
        if (got != GI_RESP_DONE) break;
        gi_assert(n >= 3 && n <= n_bytes - at);
        check_cuts(bytes + at, n);
        if (r.type == GI_RESP_BULK) {
            gi_assert(r.n + 5 <= n);
            check_record(r.bytes, r.n);
        }
        at += n;
    }
    return 0;
}
