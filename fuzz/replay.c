/*
 * Runs a fuzz target without libFuzzer, so that any compiler can, in every build's tests: over the
 * files of a corpus, and over changed copies of them. The changes are drawn from the file's and the
 * change's number, so that a failure comes again.
 *
 *     replay_NAME CORPUS [N_CHANGES]                each file, and N_CHANGES changed copies of it
 *     replay_NAME FILE                              this input alone, for a debugger
 *
 * The inputs run in a child; when it dies, what it died of is written to replay_NAME.failed.
 */
#include "base/alloc.h"
#include "base/filemap.h"
#include "base/parse.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

enum { FILES_MAX = 256, FILE_BYTES_MAX = 65536, EDITS_MAX = 4, COPY_BYTES_MAX = 64 };

/* What the child is at; shared with its parent. */
typedef struct progress {
    size_t i_file, i_change;
} progress;

typedef struct corpus {
    char paths[FILES_MAX][GI_PATH_BYTES];
    gi_buf files[FILES_MAX];
    size_t n;
} corpus;

/* splitmix64 */
static uint64_t draw(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

static size_t below(uint64_t *state, size_t n) {
    return n ? (size_t)(draw(state) % n) : 0;
}

/* Bytes that readers of text and of numbers take for something. */
static uint8_t draw_byte(uint64_t *state) {
    static const uint8_t telling[] = "\0\xFF\x7F\x80\n\r\t \"\\/:;,=+-.%&?#@*~'<>()[]{}0019aAxXzZ";
    return draw(state) % 4 ? telling[below(state, sizeof telling - 1)] : (uint8_t)draw(state);
}

/* Replace n_old bytes at `at` by n_new. The caller has room. */
static size_t splice(uint8_t *b, size_t n, size_t at, size_t n_old, const uint8_t *by,
                     size_t n_new) {
    memmove(b + at + n_new, b + at + n_old, n - at - n_old);
    if (n_new > 0) memcpy(b + at, by, n_new);
    return n - n_old + n_new;
}

/* One edit of b[n], which has room for COPY_BYTES_MAX more; `other` lends bytes. */
static size_t edit(uint8_t *b, size_t n, const gi_buf *other, uint64_t *state) {
    const size_t at = below(state, n + 1), left = n - at;
    size_t n_old = below(state, left < COPY_BYTES_MAX ? left + 1 : COPY_BYTES_MAX);
    uint8_t copy[COPY_BYTES_MAX] = {draw_byte(state)};
    switch (below(state, 6)) {
    case 0: /* another bit */
        if (left > 0) b[at] ^= (uint8_t)(1u << below(state, 8));
        return n;
    case 1: /* another byte */
        return splice(b, n, at, left > 0, copy, 1);
    case 2: /* one more, up to 64 times */
        n_old = draw(state) % 8 ? 1 : COPY_BYTES_MAX;
        memset(copy, copy[0], sizeof copy);
        return splice(b, n, at, 0, copy, n_old);
    case 3: /* some less */
        return splice(b, n, at, n_old, NULL, 0);
    case 4: /* some twice */
        if (n_old > 0) memcpy(copy, b + at, n_old);
        return splice(b, n, at, 0, copy, n_old);
    default: { /* some from another file */
        const size_t from = below(state, other->len + 1), rest = other->len - from;
        const size_t n_new = below(state, rest < COPY_BYTES_MAX ? rest + 1 : COPY_BYTES_MAX);
        if (n_new > 0) memcpy(copy, other->data + from, n_new);
        return splice(b, n, at, n_old, copy, n_new);
    }
    }
}

/* File i_file, changed the i_change-th time; 0: as it is. In memory of just its size, so that a
 * sanitizer sees the first byte too many that is read. */
static uint8_t *make_input(const corpus *c, const progress *p, size_t *ret_n) {
    const gi_buf *file = &c->files[p->i_file];
    uint64_t state = p->i_file << 32 | p->i_change;
    uint8_t *b = gi_alloc(file->len + EDITS_MAX * COPY_BYTES_MAX);
    gi_assert(b != NULL);
    if (file->len > 0) memcpy(b, file->data, file->len);
    size_t n = file->len;
    const size_t n_edits = p->i_change > 0 ? 1 + below(&state, EDITS_MAX) : 0;
    for (size_t i = 0; i < n_edits; i++) n = edit(b, n, &c->files[below(&state, c->n)], &state);
    uint8_t *exact = gi_alloc(n);
    gi_assert(exact != NULL);
    if (n > 0) memcpy(exact, b, n);
    gi_free(b);
    *ret_n = n;
    return exact;
}

static void run_all(const corpus *c, size_t n_changes, progress *p) {
    for (p->i_file = 0; p->i_file < c->n; p->i_file++)
        for (p->i_change = 0; p->i_change <= n_changes; p->i_change++) {
            size_t n;
            uint8_t *input = make_input(c, p, &n);
            LLVMFuzzerTestOneInput(input, n);
            gi_free(input);
        }
}

/* ---- the corpus ---- */

static int compare_paths(const void *a, const void *b) {
    return strcmp(a, b);
}

static bool list_files(const char *path, corpus *c) {
    struct stat st;
    if (stat(path, &st) != 0) return false;
    if (!S_ISDIR(st.st_mode))
        return snprintf(c->paths[c->n++], GI_PATH_BYTES, "%s", path) < GI_PATH_BYTES;
    DIR *dir = opendir(path);
    bool ok = dir != NULL;
    for (struct dirent *e; ok && (e = readdir(dir));) {
        if (e->d_name[0] == '.') continue;
        ok = c->n < FILES_MAX &&
             gi_path_join(c->paths[c->n++], GI_PATH_BYTES, path, e->d_name, NULL) == GLINT_OK;
    }
    if (dir) closedir(dir);
    qsort(c->paths, c->n, sizeof c->paths[0], compare_paths);
    return ok && c->n > 0;
}

static glint_status load(const char *path, corpus *c, glint_error *err) {
    if (!list_files(path, c))
        return gi_fail(err, GLINT_ERR_IO, "%s: no corpus of up to %d files", path, FILES_MAX);
    for (size_t i = 0; i < c->n; i++) {
        gi_buf_init(&c->files[i], FILE_BYTES_MAX);
        GI_TRY(gi_file_read(c->paths[i], &c->files[i], err));
    }
    return GLINT_OK;
}

static void keep_input(const corpus *c, const progress *p) {
    char to[GI_PATH_BYTES];
    if (p->i_file == c->n) {
        fprintf(stderr, "failed behind the last input\n");
        return;
    }
    size_t n;
    uint8_t *input = make_input(c, p, &n);
    snprintf(to, sizeof to, "%s.failed", program_invocation_short_name);
    FILE *f = fopen(to, "wb");
    const bool ok = f && fwrite(input, 1, n, f) == n;
    if (f) fclose(f);
    fprintf(stderr, "failed: %s, change %zu; %s %s\n", c->paths[p->i_file], p->i_change,
            ok ? "the input is in" : "the input cannot be written to", to);
    gi_free(input);
}

int main(int argc, char **argv) {
    static corpus c;
    uint64_t n_changes = 0;
    glint_error err = {0};
    if (argc < 2 || argc > 3 || (argc == 3 && !gi_parse_u64(argv[2], &n_changes))) {
        fprintf(stderr, "usage: %s CORPUS [N_CHANGES]\n", argv[0]);
        return 2;
    }
    if (load(argv[1], &c, &err) != GLINT_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 2;
    }
    progress *p = mmap(NULL, sizeof *p, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    gi_assert(p != MAP_FAILED);
    const pid_t child = fork();
    gi_assert(child >= 0);
    if (child == 0) run_all(&c, n_changes, p);
    int status = 0;
    const bool ok = child == 0 || (waitpid(child, &status, 0) == child && status == 0);
    if (child > 0 && ok) printf("%zu files, each changed %zu times\n", c.n, (size_t)n_changes);
    if (!ok) keep_input(&c, p);
    for (size_t i = 0; i < c.n; i++) gi_buf_done(&c.files[i]);
    return !ok;
}
