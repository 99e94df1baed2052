/*
 * The safetensors format of safetensors.h, written. The header is padded with spaces so that the
 * first byte of data lies at a multiple of GI_ST_WRITER_ALIGN.
 */
#include "model/st_writer.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "base/little_endian.h"
#include "model/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

glint_status gi_st_writer_init(gi_st_writer *w, const char *path, glint_error *err) {
    *w = (gi_st_writer){.fd = -1};
    gi_buf_init(&w->header, GI_ST_HEADER_BYTES_MAX);
    gi_buf part;
    gi_buf_init(&part, 1 << 16);
    const glint_status st = gi_buf_printf(&part, err, "%s.part", path);
    w->path = gi_strndup(path, strlen(path));
    w->part_path = (char *)gi_buf_take(&part, NULL);
    if (st == GLINT_OK && !w->path)
        return gi_fail(err, GLINT_ERR_MEMORY, "no memory to write %s", path);
    return st == GLINT_OK ? gi_buf_puts(&w->header, "{\"__metadata__\":{\"format\":\"pt\"}", err)
                          : st;
}

glint_status gi_st_writer_declare(gi_st_writer *w, const char *name, const char *dtype,
                                  const uint64_t *shape, size_t n_dims, uint64_t n_bytes,
                                  glint_error *err) {
    /* Names are those of the model's own table: nothing in them needs escaping. */
    GI_TRY(gi_buf_printf(&w->header, err, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", name, dtype));
    for (size_t i = 0; i < n_dims; i++)
        GI_TRY(gi_buf_printf(&w->header, err, i ? ",%llu" : "%llu", (unsigned long long)shape[i]));
    const uint64_t begin = w->declared_bytes;
    w->declared_bytes += n_bytes;
    return gi_buf_printf(&w->header, err, "],\"data_offsets\":[%llu,%llu]}",
                         (unsigned long long)begin, (unsigned long long)w->declared_bytes);
}

static glint_status write_all(gi_st_writer *w, const void *bytes, size_t n, glint_error *err) {
    const unsigned char *p = bytes;
    while (n > 0) {
        const ssize_t got = write(w->fd, p, n);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return gi_fail(err, GLINT_ERR_IO, "%s: %s", w->path, strerror(errno));
        p += got;
        n -= (size_t)got;
    }
    return GLINT_OK;
}

glint_status gi_st_writer_begin(gi_st_writer *w, glint_error *err) {
    GI_TRY(gi_buf_puts(&w->header, "}", err));
    while ((w->header.len + 8) % GI_ST_WRITER_ALIGN != 0) GI_TRY(gi_buf_puts(&w->header, " ", err));
    w->fd = open(w->part_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (w->fd < 0) return gi_fail(err, GLINT_ERR_IO, "%s: %s", w->part_path, strerror(errno));
    uint8_t length[8];
    gi_le_put(length, w->header.len, sizeof length);
    GI_TRY(write_all(w, length, sizeof length, err));
    return write_all(w, w->header.data, w->header.len, err);
}

glint_status gi_st_writer_put(gi_st_writer *w, const void *bytes, size_t n_bytes,
                              glint_error *err) {
    w->written_bytes += n_bytes;
    return write_all(w, bytes, n_bytes, err);
}

glint_status gi_st_writer_finish(gi_st_writer *w, glint_error *err) {
    if (w->written_bytes != w->declared_bytes)
        return gi_fail(err, GLINT_ERR_INTERNAL, "%s: %llu bytes written, %llu declared", w->path,
                       (unsigned long long)w->written_bytes, (unsigned long long)w->declared_bytes);
    const bool ok = fsync(w->fd) == 0;
    const bool closed = close(w->fd) == 0;
    w->fd = -1;
    if (!ok || !closed || rename(w->part_path, w->path) != 0)
        return gi_fail(err, GLINT_ERR_IO, "%s: %s", w->path, strerror(errno));
    gi_free(w->part_path);
    w->part_path = NULL;
    return GLINT_OK;
}

void gi_st_writer_done(gi_st_writer *w) {
    if (w->fd >= 0) close(w->fd);
    if (w->part_path) unlink(w->part_path);
    gi_buf_done(&w->header);
    gi_free(w->path);
    gi_free(w->part_path);
    *w = (gi_st_writer){.fd = -1};
}
