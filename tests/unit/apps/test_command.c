/*
 * How a command ends: an output that lost something is no success, even when what came after it
 * could be written.
 */
#include "../cm.h"

#include "../../../apps/glint/command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A disk that is full for the first write. */
typedef struct disk {
    size_t n_full, n_written;
} disk;

static ssize_t write_disk(void *cookie, const char *bytes, size_t n) {
    disk *d = cookie;
    (void)bytes;
    if (d->n_full > 0) {
        d->n_full--;
        errno = ENOSPC;
        return 0; /* as fopencookie wants errors told */
    }
    d->n_written += n;
    return (ssize_t)n;
}

/* Print n bytes to a disk that is full for n_full writes, and end the output with `code`. */
static int end_after(size_t n, size_t n_full, int code, disk *ret) {
    static char buffer[4096];
    *ret = (disk){.n_full = n_full};
    FILE *old = stdout, *f = fopencookie(ret, "w", (cookie_io_functions_t){.write = write_disk});
    assert_non_null(f);
    setvbuf(f, buffer, _IOFBF, sizeof buffer);
    stdout = f;
    for (size_t i = 0; i < n; i++) putchar('x');
    const int ended = gi_command_end_output(code);
    stdout = old;
    fclose(f);
    return ended;
}

static void what_was_written_is_a_success(void **state) {
    disk d;
    assert_int_equal(end_after(10000, 0, GI_EXIT_OK, &d), GI_EXIT_OK);
    assert_int_equal(d.n_written, 10000);
    assert_int_equal(end_after(0, 0, GI_EXIT_OK, &d), GI_EXIT_OK);
    assert_int_equal(end_after(10, 0, GI_EXIT_MODEL, &d), GI_EXIT_MODEL);
}

static void what_was_lost_is_none(void **state) {
    disk d;
    assert_int_equal(end_after(10, 1, GI_EXIT_OK, &d), GI_EXIT_INTERNAL);
    /* Full once on the way; the last flush finds room. */
    assert_int_equal(end_after(10000, 1, GI_EXIT_OK, &d), GI_EXIT_INTERNAL);
    assert_true(d.n_written > 0);
    /* A command that failed for another reason says that one. */
    assert_int_equal(end_after(10000, 1, GI_EXIT_MODEL, &d), GI_EXIT_MODEL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_a_success),
        cmocka_unit_test(what_was_lost_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
