/*
 * Any bytes to the size probe: it stays within them, and says nothing or two sides above 0.
 */
#include "base/fail.h"
#include "image/probe.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    uint32_t width = 0, height = 0;
    if (gi_image_probe(bytes, n_bytes, &width, &height))
        gi_assert(width > 0 && height > 0);
    else
        gi_assert(width == 0 && height == 0);
    return 0;
}
