/*
 * What `glint bench serve` reads from servers it does not trust: the bytes as an event stream, cut
 * at the place that the first byte names, into answers of both forms; and as an answer that is not
 * a stream. What comes out may not depend on the cut.
 */
#include "../apps/glint/bench_serve_answer.h"
#include "../apps/glint/bench_serve_sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

static glint_status take(void *ctx, const char *name, const char *data, size_t n_bytes,
                         glint_error *err) {
    gi_assert(name[0] != '\0' && data[n_bytes] == '\0');
    return gi_load_answer_event(ctx, data, n_bytes, 1, err);
}

static glint_status feed(gi_load_answer *a, const uint8_t *bytes, size_t n, size_t cut) {
    gi_load_sse sse;
    gi_load_sse_init(&sse, take, a);
    glint_status st = gi_load_sse_feed(&sse, bytes, cut, NULL);
    if (st == GLINT_OK) st = gi_load_sse_feed(&sse, bytes + cut, n - cut, NULL);
    gi_load_sse_done(&sse);
    return st;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    if (n_bytes == 0) return 0;
    const size_t n = n_bytes - 1, cut = n ? bytes[0] % (n + 1) : 0;
    for (int api = GI_LOAD_API_GLINT; api <= GI_LOAD_API_OPENAI; api++) {
        gi_load_answer whole, parts;
        gi_load_answer_init(&whole, (gi_load_api)api);
        gi_load_answer_init(&parts, (gi_load_api)api);
        gi_assert(feed(&whole, bytes + 1, n, 0) == feed(&parts, bytes + 1, n, cut));
        gi_assert(whole.complete == parts.complete && whole.n_pieces == parts.n_pieces);
        gi_assert(whole.text.len == parts.text.len);
        gi_load_answer_clear(&whole);
        (void)gi_load_answer_read(&whole, bytes + 1, n, NULL);
        gi_load_answer_done(&whole);
        gi_load_answer_done(&parts);
    }
    return 0;
}
