/*
 * Opening files. Only regular files: a FIFO or a device named in a flag must not block a start.
 */
#include "base/filemap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static glint_status open_regular(const char *path, int *ret_fd, size_t *ret_bytes,
                                 glint_error *err) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return gi_fail(err, GLINT_ERR_IO, "%s: %s", path, strerror(errno));
    struct stat s;
    if (fstat(fd, &s) != 0 || !S_ISREG(s.st_mode)) {
        close(fd);
        return gi_fail(err, GLINT_ERR_IO, "%s: not a regular file", path);
    }
    *ret_fd = fd;
    *ret_bytes = (size_t)s.st_size;
    return GLINT_OK;
}

glint_status gi_filemap_open(const char *path, gi_filemap *ret, glint_error *err) {
    int fd;
    size_t n;
    GI_TRY(open_regular(path, &fd, &n, err));
    void *p = NULL;
    if (n > 0) p = mmap(NULL, n, PROT_READ, MAP_SHARED, fd, 0);
    const int map_errno = errno;
    close(fd);
    if (p == MAP_FAILED)
        return gi_fail(err, GLINT_ERR_MEMORY, "%s: cannot map %zu bytes: %s", path, n,
                       strerror(map_errno));
    *ret = (gi_filemap){.data = p, .size_bytes = n};
    return GLINT_OK;
}

void gi_filemap_close(gi_filemap *map) {
    if (!map || !map->data) return;
    munmap((void *)(uintptr_t)map->data, map->size_bytes);
    *map = (gi_filemap){0};
}

void gi_filemap_drop_pages(const gi_filemap *map) {
    /* Advice: a failure costs memory, nothing else. */
    if (map->data) (void)madvise((void *)(uintptr_t)map->data, map->size_bytes, MADV_DONTNEED);
}

glint_status gi_file_read(const char *path, gi_buf *ret, glint_error *err) {
    int fd;
    size_t n;
    GI_TRY(open_regular(path, &fd, &n, err));
    glint_status st = GLINT_OK;
    if (n > ret->max_bytes) {
        st = gi_fail(err, GLINT_ERR_LIMIT, "%s: %zu bytes, more than the limit of %zu", path, n,
                     ret->max_bytes);
        goto done;
    }
    GI_TRY_DONE(gi_buf_reserve(ret, n, err));
    while (n > 0) {
        const ssize_t got = read(fd, ret->data + ret->len, n);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            st = gi_fail(err, GLINT_ERR_IO, "%s: %s", path,
                         got < 0 ? strerror(errno) : "shorter than it was");
            goto done;
        }
        ret->len += (size_t)got;
        n -= (size_t)got;
        ret->data[ret->len] = 0;
    }
done:
    close(fd);
    return st;
}

bool gi_file_exists(const char *path) {
    struct stat s;
    return stat(path, &s) == 0 && S_ISREG(s.st_mode);
}

glint_status gi_path_join(char *out, size_t out_bytes, const char *dir, const char *name,
                          glint_error *err) {
    const int n = snprintf(out, out_bytes, "%s/%s", dir, name);
    if (n < 0 || (size_t)n >= out_bytes)
        return gi_fail(err, GLINT_ERR_LIMIT, "path too long: %.80s...", dir);
    return GLINT_OK;
}
