/* No locks and no threads: one caller at a time. */
#include "server/audit_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* True when the file ends in the middle of a line. */
static bool ends_cut(const char *path) {
    char last = '\n';
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return false;
    const off_t end = lseek(fd, 0, SEEK_END);
    const bool is_cut = end > 0 && pread(fd, &last, 1, end - 1) == 1 && last != '\n';
    close(fd);
    return is_cut;
}

glint_status gi_audit_file_open(const char *path, gi_audit_file *ret, glint_error *err) {
    struct stat info = {0};
    const int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0 || fstat(fd, &info) != 0) {
        gi_fail(err, GLINT_ERR_IO, "%s: cannot be written to: %s", path, strerror(errno));
        if (fd >= 0) close(fd);
        return GLINT_ERR_IO;
    }
    *ret = (gi_audit_file){
        .fd = fd, .is_cut = ends_cut(path), .device = info.st_dev, .inode = info.st_ino};
    return GLINT_OK;
}

void gi_audit_file_close(gi_audit_file *f) {
    close(f->fd);
    f->fd = -1;
}

bool gi_audit_file_is_same(const gi_audit_file *a, const gi_audit_file *b) {
    return a->device == b->device && a->inode == b->inode;
}

bool gi_audit_file_write(gi_audit_file *f, const gi_buf *line) {
    if (f->is_cut && write(f->fd, "\n", 1) != 1) return false;
    f->is_cut = false;
    for (size_t n_done = 0; n_done < line->len;) {
        const ssize_t n = write(f->fd, line->data + n_done, line->len - n_done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            f->is_cut = n_done > 0;
            return false;
        }
        n_done += (size_t)n;
    }
    return true;
}

bool gi_audit_file_sync(const gi_audit_file *f) {
    /* A pipe or a terminal has nothing to be synced. */
    return fdatasync(f->fd) == 0 || errno == EINVAL || errno == EROFS;
}
