/* One file in memory, which is written again for each input. */
#include "bytes_file.h"

#include "base/fail.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

const char *bytes_file(const uint8_t *bytes, size_t n_bytes) {
    static char path[32];
    static int fd = -1;
    if (fd < 0) {
        fd = memfd_create("input", MFD_CLOEXEC);
        gi_assert(fd >= 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    gi_assert(ftruncate(fd, 0) == 0 && pwrite(fd, bytes, n_bytes, 0) == (ssize_t)n_bytes);
    return path;
}
