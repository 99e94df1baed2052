/*
 * A TIFF reader for one tag.
 *
 *     "II" 42 0 or "MM" 0 42, offset of the first directory (4 bytes)
 *     directory: count (2), then per entry: tag (2) type (2) count (4) value or offset (4)
 *
 * Refused as "no orientation": a bad header, a directory that leaves the block, a tag whose type
 * or count is not one whole number (SHORT; LONG is written by some programs), a value outside 1..8.
 */
#include "image/exif.h"

#include <stdbool.h>
#include <string.h>

enum { TAG_ORIENTATION = 274, TYPE_SHORT = 3, TYPE_LONG = 4, ENTRY_BYTES = 12 };

static uint32_t get16(const uint8_t *p, bool big) {
    return big ? (uint32_t)p[0] << 8 | p[1] : (uint32_t)p[1] << 8 | p[0];
}

static uint32_t get32(const uint8_t *p, bool big) {
    return big ? get16(p, big) << 16 | get16(p + 2, big) : get16(p + 2, big) << 16 | get16(p, big);
}

uint32_t gi_exif_orientation(const uint8_t *b, size_t n) {
    if (n >= 6 && !memcmp(b, "Exif\0\0", 6)) {
        b += 6;
        n -= 6;
    }
    if (n < 8) return 1;
    const bool big = !memcmp(b, "MM\0*", 4);
    if (!big && memcmp(b, "II*\0", 4)) return 1;

    const size_t at = get32(b + 4, big);
    if (at < 8 || at > n - 2) return 1;
    const size_t n_entries = get16(b + at, big);
    const uint8_t *entry = b + at + 2;
    const size_t n_fit = (n - at - 2) / ENTRY_BYTES;
    for (size_t i = 0; i < n_entries && i < n_fit; i++, entry += ENTRY_BYTES) {
        if (get16(entry, big) != TAG_ORIENTATION) continue;
        const uint32_t type = get16(entry + 2, big);
        if ((type != TYPE_SHORT && type != TYPE_LONG) || get32(entry + 4, big) != 1) return 1;
        const uint32_t value = type == TYPE_SHORT ? get16(entry + 8, big) : get32(entry + 8, big);
        return value >= 1 && value <= 8 ? value : 1;
    }
    return 1;
}
