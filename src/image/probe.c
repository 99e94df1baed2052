/*
 * Fixed offsets for PNG, GIF and WebP; for JPEG a walk from marker to marker. Every read is checked
 * against the end. Sources: PNG (ISO 15948) section 11.2.2, GIF89a section 18, RFC 9649, RFC 6386
 * section 9.1, ITU T.81 annex B.
 */
#include "image/probe.h"

#include <string.h>

static uint32_t be16(const uint8_t *b) {
    return (uint32_t)b[0] << 8 | b[1];
}

static uint32_t be32(const uint8_t *b) {
    return be16(b) << 16 | be16(b + 2);
}

static uint32_t le16(const uint8_t *b) {
    return (uint32_t)b[1] << 8 | b[0];
}

static uint32_t le24(const uint8_t *b) {
    return (uint32_t)b[2] << 16 | le16(b);
}

static bool give(uint32_t width, uint32_t height, uint32_t *ret_width, uint32_t *ret_height) {
    if (width == 0 || height == 0) return false;
    *ret_width = width;
    *ret_height = height;
    return true;
}

static bool probe_webp(const uint8_t *b, size_t n, uint32_t *ret_width, uint32_t *ret_height) {
    if (n < 25) return false;
    const uint8_t *data = b + 20; /* of the first chunk */
    if (n >= 30 && memcmp(b + 12, "VP8X", 4) == 0)
        return give(le24(data + 4) + 1, le24(data + 7) + 1, ret_width, ret_height);
    if (memcmp(b + 12, "VP8L", 4) == 0 && data[0] == 0x2F) {
        const uint32_t bits = le16(data + 1) | le16(data + 3) << 16;
        return give((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, ret_width, ret_height);
    }
    if (n >= 30 && memcmp(b + 12, "VP8 ", 4) == 0 && memcmp(data + 3, "\x9D\x01\x2A", 3) == 0)
        return give(le16(data + 6) & 0x3FFF, le16(data + 8) & 0x3FFF, ret_width, ret_height);
    return false;
}

static bool is_frame_header(uint8_t marker) {
    return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

static bool probe_jpeg(const uint8_t *b, size_t n, uint32_t *ret_width, uint32_t *ret_height) {
    for (size_t i = 2; i + 1 < n;) {
        /* Bytes between segments are passed over, as decoders do; 0xFF may be repeated. */
        if (b[i] != 0xFF || b[i + 1] == 0xFF || b[i + 1] == 0) {
            i++;
            continue;
        }
        const uint8_t marker = b[i + 1];
        i += 2;
        if (marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8)) continue;
        if (marker == 0xD9 || n - i < 2) return false;
        /* Its own two bytes belong to a segment; libjpeg takes a lower number for those two. */
        const uint32_t n_segment = be16(b + i) < 2 ? 2 : be16(b + i);
        if (is_frame_header(marker))
            return n_segment >= 8 && n - i >= 7 &&
                   give(be16(b + i + 5), be16(b + i + 3), ret_width, ret_height);
        if (n_segment > n - i) return false;
        i += n_segment;
    }
    return false;
}

bool gi_image_probe(const void *bytes, size_t n_bytes, uint32_t *ret_width, uint32_t *ret_height) {
    const uint8_t *b = bytes;
    if (n_bytes >= 24 && memcmp(b, "\x89PNG\r\n\x1a\n", 8) == 0)
        return memcmp(b + 12, "IHDR", 4) == 0 &&
               give(be32(b + 16), be32(b + 20), ret_width, ret_height);
    if (n_bytes >= 10 && (memcmp(b, "GIF87a", 6) == 0 || memcmp(b, "GIF89a", 6) == 0))
        return give(le16(b + 6), le16(b + 8), ret_width, ret_height);
    if (n_bytes >= 12 && memcmp(b, "RIFF", 4) == 0 && memcmp(b + 8, "WEBP", 4) == 0)
        return probe_webp(b, n_bytes, ret_width, ret_height);
    if (n_bytes >= 3 && memcmp(b, "\xFF\xD8\xFF", 3) == 0)
        return probe_jpeg(b, n_bytes, ret_width, ret_height);
    return false;
}
