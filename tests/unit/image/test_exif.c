/*
 * src/image/exif: the orientation of good blocks is found, that of every broken one is 1.
 */
#include "make_picture.h"

#include "base/alloc.h"
#include "image/exif.h"

#include <string.h>

static uint32_t orientation(gi_buf block) {
    const uint32_t o = gi_exif_orientation(block.data, block.len);
    gi_buf_done(&block);
    return o;
}

static void good_blocks(void **state) {
    (void)state;
    for (int big = 0; big < 2; big++) {
        for (uint32_t v = 1; v <= 8; v++) {
            assert_int_equal(orientation(exif_of(big, v, 3, 1)), v);
            assert_int_equal(orientation(exif_of(big, v, 4, 1)), v); /* LONG */
            gi_buf b = exif_of(big, v, 3, 1);
            assert_int_equal(gi_exif_orientation(b.data + 6, b.len - 6), v); /* bare TIFF */
            gi_buf_done(&b);
        }
    }
}

static void bad_values(void **state) {
    (void)state;
    for (int big = 0; big < 2; big++) {
        static const uint32_t VALUES[] = {0, 9, 255, 0xffff};
        for (size_t i = 0; i < 4; i++) {
            assert_int_equal(orientation(exif_of(big, VALUES[i], 3, 1)), 1);
        }
        assert_int_equal(orientation(exif_of(big, 0xffffffff, 4, 1)), 1);
        assert_int_equal(orientation(exif_of(big, 6, 3, 2)), 1);  /* two values */
        assert_int_equal(orientation(exif_of(big, 6, 3, 0)), 1);  /* none */
        assert_int_equal(orientation(exif_of(big, 6, 2, 1)), 1);  /* ASCII */
        assert_int_equal(orientation(exif_of(big, 6, 12, 1)), 1); /* DOUBLE */
    }
}

/* Every cut, and every single byte changed to a few values: no crash, and 1..8 comes out. */
static void damaged_blocks(void **state) {
    (void)state;
    for (int big = 0; big < 2; big++) {
        gi_buf b = exif_of(big, 6, 3, 1);
        for (size_t n = 0; n < b.len; n++) {
            uint8_t *cut = gi_alloc(n); /* of its own, for the sanitizer to see its end */
            memcpy(cut, b.data, n);
            /* Header, count and entry are 6 + 8 + 2 + 12; the next directory is not needed. */
            assert_int_equal(gi_exif_orientation(cut, n), n < 28 ? 1 : 6);
            gi_free(cut);
        }
        static const uint8_t BYTES[] = {0, 1, 2, 3, 8, 0x7f, 0x80, 0xff};
        for (size_t i = 0; i < b.len; i++) {
            const uint8_t keep = b.data[i];
            for (size_t k = 0; k < sizeof BYTES; k++) {
                b.data[i] = BYTES[k];
                assert_in_range(gi_exif_orientation(b.data, b.len), 1, 8);
            }
            b.data[i] = keep;
        }
        gi_buf_done(&b);
    }
}

static void far_offsets(void **state) {
    (void)state;
    gi_buf b = exif_of(0, 6, 3, 1);
    static const uint32_t OFFSETS[] = {0, 4, 7, 25, 26, 0x7fffffff, 0xfffffff8, 0xffffffff};
    for (size_t i = 0; i < sizeof OFFSETS / sizeof OFFSETS[0]; i++) {
        memcpy(b.data + 6 + 4, &OFFSETS[i], 4);
        assert_int_equal(gi_exif_orientation(b.data, b.len), 1);
    }
    gi_buf_done(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_blocks),
        cmocka_unit_test(bad_values),
        cmocka_unit_test(damaged_blocks),
        cmocka_unit_test(far_offsets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
