/*
 * Bytes as a file of weights. The tensors of one that is taken are sorted, and fill what lies
 * behind the header: each byte is one tensor's.
 */
#include "model/safetensors.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    gi_safetensors st = {0};
    glint_error err = {0};
    const glint_status got = gi_safetensors_parse(bytes, n_bytes, "input", &st, &err);
    if (got != GLINT_OK) {
        gi_assert(err.code == got && strstr(err.message, "input") == err.message);
        return 0;
    }
    uint64_t n_header = 0, n_data = 0;
    for (size_t i = 0; i < 8; i++) n_header |= (uint64_t)bytes[i] << 8 * i;
    const uint8_t *data = bytes + 8 + n_header, *const end = bytes + n_bytes;
    for (size_t i = 0; i < st.n_tensors; i++) {
        const gi_st_tensor *t = &st.tensors[i];
        const uint8_t *at = t->data;
        gi_assert(t->n_dims <= GI_ST_DIMS_MAX && t->name && t->dtype[0]);
        gi_assert(i == 0 || strcmp(st.tensors[i - 1].name, t->name) < 0);
        gi_assert(gi_safetensors_find(&st, t->name) == t);
        gi_assert(at >= data && at <= end && t->n_bytes <= (uint64_t)(end - at));
        n_data += t->n_bytes;
    }
    gi_assert(n_data == (uint64_t)(end - data));
    gi_safetensors_close(&st);
    return 0;
}
