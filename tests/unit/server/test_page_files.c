/*
 * src/server/page: what lies in the program, who takes it compressed, and memory that runs out.
 */
#include "../cm.h"

#include "base/alloc.h"
#include "server/page.h"

#include <stdio.h>
#include <string.h>

static const gi_embedded *find(const char *name) {
    const gi_embedded *file = gi_page_files;
    while (file->name && strcmp(file->name, name) != 0) file++;
    return file; /* the row of zeros when there is none */
}

static void holds_the_page(void **state) {
    assert_memory_equal(find(GI_PAGE_INDEX)->data, "<!doctype html>", 15);
    assert_memory_equal(find("sample-listing.png")->data, "\x89PNG", 4);
    assert_null(find("sample-listing.png.gz")->name);
    static const char *const texts[] = {"index.html", "page.css", "icon.svg", "main.js",
                                        "words.js"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char gzip[64];
        snprintf(gzip, sizeof gzip, "%s.gz", texts[i]);
        const gi_embedded *plain = find(texts[i]), *small = find(gzip);
        assert_non_null(plain->name);
        assert_memory_equal(small->data, "\x1f\x8b", 2);
        assert_true(small->size_bytes < plain->size_bytes);
    }
}

static void knows_who_takes_gzip(void **state) {
    static const char *const yes[] = {"gzip", "gzip, deflate, br", "br;q=1.0, GZIP;q=0.5",
                                      "a,gzip ;q=1"};
    static const char *const no[] = {"",           "identity",      "gzip;q=0", "gzip;q=0.000, *",
                                     "x-gzip",     "gzippy",        ",,,",      "br, gzip;q=0",
                                     "gzip;;;=\"", "deflate;gzip=1"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) assert_true(gi_page_takes_gzip(yes[i]));
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) assert_false(gi_page_takes_gzip(no[i]));
    assert_false(gi_page_takes_gzip(NULL));
}

static void memory_runs_out(void **state) {
    gi_page *page = NULL;
    glint_status st = GLINT_ERR_MEMORY;
    for (uint64_t n = 1; st != GLINT_OK; n++) {
        assert_true(n < 100);
        gi_alloc_fail_at(n);
        st = gi_page_create(&page, NULL);
        gi_alloc_fail_at(0);
        assert_true(st == GLINT_OK || (st == GLINT_ERR_MEMORY && !page));
    }
    gi_page_free(page);
    gi_page_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_the_page),
        cmocka_unit_test(knows_who_takes_gzip),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
