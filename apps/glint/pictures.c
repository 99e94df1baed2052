/*
 * Guessing is kept to a few rules that --help states: a word that cannot be a file is never
 * silently taken for a question unless it stands last.
 */
#include "pictures.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BYTES = 64 * 1024 };

static bool has_picture_extension(const char *arg) {
    static const char *const extensions[] = {"jpg",  "jpeg", "png",  "webp", "gif", "bmp", "tif",
                                             "tiff", "heic", "heif", "avif", "svg", "pdf"};
    const char *dot = strrchr(arg, '.');
    for (size_t i = 0; dot && i < sizeof extensions / sizeof extensions[0]; i++)
        if (strcasecmp(dot + 1, extensions[i]) == 0) return true;
    return false;
}

static bool looks_like_path(const char *arg) {
    if (strpbrk(arg, " \t\n\r")) return false;
    const char *const begins[] = {"/", "./", "../", "~/"};
    for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++)
        if (strncmp(arg, begins[i], strlen(begins[i])) == 0) return true;
    return has_picture_extension(arg);
}

static bool is_picture(const char *arg) {
    struct stat s;
    return strcmp(arg, "-") == 0 || stat(arg, &s) == 0 || looks_like_path(arg);
}

glint_status gi_pictures_split(const char *const *args, size_t n_args, bool may_end_in_question,
                               size_t *ret_n, const char **ret_question, glint_error *err) {
    size_t n = n_args;
    const char *question = NULL;
    if (n > 0 && may_end_in_question && !is_picture(args[n - 1])) question = args[--n];
    for (size_t i = 0; i < n; i++)
        if (!is_picture(args[i]))
            return gi_fail(err, GLINT_ERR_IO, "%.150s: no such file%s", args[i],
                           may_end_in_question ? " (the question goes last, in quotes)" : "");
    *ret_n = n;
    *ret_question = question;
    return GLINT_OK;
}

/* The buffer may hold one byte more than a picture may have, so that its end is always seen. */
static glint_status read_all(int fd, const char *name, gi_buf *b, glint_error *err) {
    for (;;) {
        const size_t left = b->max_bytes - b->len;
        const size_t room = left < READ_BYTES ? left : READ_BYTES;
        if (room == 0)
            return gi_fail(err, GLINT_ERR_LIMIT, "%s: larger than %zu bytes", name,
                           b->max_bytes - 1);
        if (gi_buf_reserve(b, room, NULL) != GLINT_OK)
            return gi_fail(err, GLINT_ERR_MEMORY, "%s: no memory to read it", name);
        const ssize_t got = read(fd, b->data + b->len, room);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return gi_fail(err, GLINT_ERR_IO, "%s: %s", name, strerror(errno));
        if (got == 0) break;
        b->len += (size_t)got;
    }
    return b->len > 0 ? GLINT_OK : gi_fail(err, GLINT_ERR_IO, "%s: empty", name);
}

static glint_status read_picture(const char *path, gi_buf *b, const char **ret_name,
                                 glint_error *err) {
    if (strcmp(path, "-") == 0) {
        *ret_name = "standard input";
        if (isatty(STDIN_FILENO))
            return gi_fail(err, GLINT_ERR_IO, "standard input is a terminal, not a picture");
        return read_all(STDIN_FILENO, *ret_name, b, err);
    }
    *ret_name = path;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return gi_fail(err, GLINT_ERR_IO, "%s: %s", path, strerror(errno));
    const glint_status st = read_all(fd, path, b, err);
    close(fd);
    return st;
}

glint_status gi_pictures_read(gi_pictures *p, const char *const *paths, size_t n,
                              size_t file_bytes_max, glint_error *err) {
    if (n > GLINT_IMAGES_MAX)
        return gi_fail(err, GLINT_ERR_LIMIT, "%zu pictures; at most %d fit one question", n,
                       GLINT_IMAGES_MAX);
    for (size_t i = 0; i < n; i++) {
        gi_buf_init(&p->files[p->n], file_bytes_max + 1);
        p->n++;
        GI_TRY(read_picture(paths[i], &p->files[i], &p->names[i], err));
    }
    return GLINT_OK;
}

void gi_pictures_done(gi_pictures *p) {
    for (size_t i = 0; i < p->n; i++) gi_buf_done(&p->files[i]);
    p->n = 0;
}
