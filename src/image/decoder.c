/*
 * The caller's side of the decoder processes: starting and replacing them, handing out slots, and
 * judging what comes back.
 *
 * A program is started by fork and exec of the embedded ELF file, which lies in sealed memory, or
 * in a file without a name where memory may not hold programs (vm.memfd_noexec = 2);
 * between the two only async-signal-safe calls are made, because the caller has threads. It
 * inherits two descriptors and next to nothing of the environment.
 *
 * Nothing that comes back is trusted: a message is one of a few bytes, the verdict is read after
 * the child's end and checked against the limits, and its words are made here.
 */
#include "image/decoder.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "image/decode.h"
#include "image/decoder_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

/* How long a program may take to start, and to answer beyond the picture's own patience. */
enum { START_MS_MAX = 20000, ANSWER_SLACK_MS = 5000 };

typedef struct slot {
    pid_t pid;       /* 0 = no program is running */
    int socket;      /* -1 when none */
    uint8_t *region; /* shared with the program; NULL when none is running */
    bool is_taken;
} slot;

struct gi_decoder {
    size_t file_bytes_max, region_bytes;
    int program; /* memory file */
    int n_slots;
    pthread_mutex_t lock; /* guards is_taken */
    pthread_cond_t released;
    slot *slots;
    _Atomic uint64_t n_pictures, n_crashes, n_restarts;
};

static void close_fd(int *fd) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

/* A file in memory that nobody can resize any more. */
static int memory_file(const char *name, unsigned flags) {
    const int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);
    /* MFD_EXEC is not known to kernels before 6.3, which do not need it either. */
    return fd < 0 && errno == EINVAL && flags ? memory_file(name, 0) : fd;
}

static bool write_all(int fd, const unsigned char *bytes, size_t n) {
    while (n > 0) {
        const ssize_t step = write(fd, bytes, n);
        if (step < 0 && errno == EINTR) continue;
        if (step <= 0) return false;
        bytes += step;
        n -= (size_t)step;
    }
    return true;
}

/* The program in sealed memory, or -1 with errno set. */
static int program_in_memory(void) {
    const unsigned exec_flag = 0x10; /* MFD_EXEC, missing in older headers */
    const int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    int fd = memory_file("glint-decoder", exec_flag);
    if (fd < 0) return -1;
    if (write_all(fd, gi_decoder_program, gi_decoder_program_bytes) &&
        fcntl(fd, F_ADD_SEALS, seals) == 0)
        return fd;
    close_fd(&fd);
    errno = ENOMEM;
    return -1;
}

/* The same where memory may not hold programs: a file without a name, which nobody can open by one,
 * open for reading only. -1: the directory is not there, full, or holds no programs either. */
static int program_in_directory(const char *dir) {
    char again[64];
    struct statvfs fs;
    int fd = open(dir, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, S_IRUSR | S_IXUSR), program = -1;
    snprintf(again, sizeof again, "/proc/self/fd/%d", fd);
    if (fd >= 0 && fstatvfs(fd, &fs) == 0 && !(fs.f_flag & ST_NOEXEC) &&
        write_all(fd, gi_decoder_program, gi_decoder_program_bytes))
        program = open(again, O_RDONLY | O_CLOEXEC);
    close_fd(&fd); /* what is open for writing is not executed */
    return program;
}

static glint_status load_program(int *ret_fd, glint_error *err) {
    static const char *const dirs[] = {"/dev/shm", "/tmp", "/var/tmp"};
    int fd = program_in_memory();
    if (fd < 0 && errno == ENOMEM)
        return gi_fail(err, GLINT_ERR_MEMORY, "no memory left for the picture decoder");
    if (fd < 0 && errno != EACCES && errno != EPERM)
        return gi_fail(err, GLINT_ERR_IO, "the picture decoder cannot be started: no memory file");
    for (size_t i = 0; fd < 0 && i < sizeof dirs / sizeof dirs[0]; i++)
        fd = program_in_directory(dirs[i]);
    if (fd < 0)
        return gi_fail(
            err, GLINT_ERR_UNSUPPORTED,
            "the picture decoder cannot run here: this system forbids programs in memory, "
            "and none of /dev/shm, /tmp and /var/tmp may hold one; mount one of them "
            "without noexec, or set the sysctl vm.memfd_noexec to 1");
    *ret_fd = fd;
    return GLINT_OK;
}

static glint_status make_region(size_t n_bytes, int *ret_fd, uint8_t **ret, glint_error *err) {
    int fd = memory_file("glint-picture", 0);
    if (fd < 0) {
        return gi_fail(err, GLINT_ERR_IO, "the picture decoder cannot be started: no memory file");
    }
    void *p = MAP_FAILED;
    if (ftruncate(fd, (off_t)n_bytes) == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0) {
        p = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
    if (p == MAP_FAILED) {
        close_fd(&fd);
        return gi_fail(err, GLINT_ERR_MEMORY, "no memory left for the picture decoder");
    }
    *ret_fd = fd;
    *ret = p;
    return GLINT_OK;
}

/* All the environment the program gets: huge pages for its heap, which is new for every picture
 * (glibc; others ignore it); where the loader finds libraries that are not in the usual place; and
 * what sanitizers are told. */
static void pick_environment(char *huge_pages, char **ret, size_t n_max) {
    static const char *const NAMES[] = {"LD_LIBRARY_PATH=", "ASAN_OPTIONS=", "UBSAN_OPTIONS="};
    size_t n = 0;
    ret[n++] = huge_pages;
    for (char **v = environ; v && *v && n + 1 < n_max; v++) {
        for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
            if (!strncmp(*v, NAMES[i], strlen(NAMES[i])) && n + 1 < n_max) ret[n++] = *v;
        }
    }
    ret[n] = NULL;
}

/* In the forked child. Async-signal-safe calls only. */
static _Noreturn void become_program(int program, int socket, int region, char *const *env) {
    /* Out of the way of the two numbers first: either may be the other's. */
    const int from = GI_DECODER_REGION_FD + 1;
    program = fcntl(program, F_DUPFD_CLOEXEC, from);
    socket = fcntl(socket, F_DUPFD_CLOEXEC, from);
    region = fcntl(region, F_DUPFD_CLOEXEC, from);
    if (program >= 0 && dup2(socket, GI_DECODER_SOCKET_FD) >= 0 &&
        dup2(region, GI_DECODER_REGION_FD) >= 0) {
        char name[] = "glint-decoder";
        char *const args[] = {name, NULL};
        fexecve(program, args, env);
    }
    _exit(GI_DECODER_EXIT_EXEC);
}

/* End a slot's program and forget its region. Returns the wait status. */
static int stop_program(const gi_decoder *d, slot *s, bool by_force) {
    int status = 0;
    close_fd(&s->socket);
    if (s->pid > 0) {
        if (by_force) kill(s->pid, SIGKILL);
        while (waitpid(s->pid, &status, 0) < 0 && errno == EINTR) {
        }
    }
    if (s->region) munmap(s->region, d->region_bytes);
    s->pid = 0;
    s->region = NULL;
    return status;
}

static glint_status fail_start(int wait_status, glint_error *err) {
    const int code = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 0;
    switch (code) {
    case GI_DECODER_EXIT_EXEC:
        return gi_fail(err, GLINT_ERR_UNSUPPORTED,
                       "the picture decoder cannot run here: this system does not execute programs "
                       "in memory (a security module, perhaps: execveat must be allowed)");
    case GI_DECODER_EXIT_SECCOMP:
        return gi_fail(err, GLINT_ERR_UNSUPPORTED,
                       "the picture decoder cannot run here: this system does not limit system "
                       "calls (seccomp)");
    default:
        return gi_fail(err, GLINT_ERR_IO, "the picture decoder cannot be started");
    }
}

/* A new program with a new region: what is left of an old one must not write into it. */
static glint_status start_program(const gi_decoder *d, slot *s, glint_error *err) {
    int sockets[2] = {-1, -1}, region_fd = -1;
    char huge_pages[] = "GLIBC_TUNABLES=glibc.malloc.hugetlb=1", *env[5];
    char message = 0;
    sigset_t all, before;
    glint_status st = GLINT_OK;
    pick_environment(huge_pages, env, sizeof env / sizeof env[0]);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
        return gi_fail(err, GLINT_ERR_IO, "the picture decoder cannot be started: no socket");
    }
    GI_TRY_DONE(make_region(d->region_bytes, &region_fd, &s->region, err));

    /* No handler of the caller's may run in the child. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    s->pid = fork();
    if (s->pid == 0) become_program(d->program, sockets[1], region_fd, env);
    pthread_sigmask(SIG_SETMASK, &before, NULL);

    close_fd(&sockets[1]);
    s->socket = sockets[0];
    sockets[0] = -1;
    if (s->pid < 0 || !gi_decoder_hear(s->socket, START_MS_MAX, &message) ||
        message != GI_DECODER_READY) {
        st = fail_start(stop_program(d, s, true), err);
    }
done:
    close_fd(&region_fd);
    close_fd(&sockets[0]);
    close_fd(&sockets[1]);
    return st;
}

static slot *take_slot(gi_decoder *d) {
    slot *s = NULL;
    pthread_mutex_lock(&d->lock);
    for (;;) {
        for (int i = 0; i < d->n_slots && !s; i++) {
            if (!d->slots[i].is_taken) s = &d->slots[i];
        }
        if (s) break;
        pthread_cond_wait(&d->released, &d->lock);
    }
    s->is_taken = true;
    pthread_mutex_unlock(&d->lock);
    return s;
}

static void give_slot(gi_decoder *d, slot *s) {
    pthread_mutex_lock(&d->lock);
    s->is_taken = false;
    pthread_cond_signal(&d->released);
    pthread_mutex_unlock(&d->lock);
}

/* No picture meets what is left of another. The pages of ordinary pictures are kept, as zeros:
 * fetching pages again costs more than clearing them. All others go back to the system, also what a
 * child may have written where it should not. */
static void wipe_region(gi_decoder *d, slot *s, size_t n_used) {
    const size_t n_kept = gi_round_up(n_used, GI_DECODER_HEAD_BYTES);
    if (!s->region) return;
    memset(s->region, 0, n_kept);
    if (madvise(s->region + n_kept, d->region_bytes - n_kept, MADV_REMOVE) != 0) {
        stop_program(d, s, true);
    }
}

/* Whether an answer is one that a sound child would give. Its numbers become sizes here. */
static bool is_plausible(const gi_decoder_head *head, const gi_render_request *request) {
    const gi_image_limits *l = &request->limits;
    const gi_rendering *p = &head->picture;
    uint32_t width = 0, height = 0;
    return head->verdict.format < GI_FORMAT_COUNT && p->source_w >= 1 && p->source_h >= 1 &&
           p->source_w <= l->side_px_max && p->source_h <= l->side_px_max &&
           gi_render_size(request, p->source_w, p->source_h, &width, &height) == GI_REFUSAL_NONE &&
           p->width == width && p->height == height && p->resize_ms >= 0;
}

/* What a message and the region say. The child has ended: the region does not change any more. */
static gi_verdict judge(const slot *s, char message, const gi_render_request *request,
                        gi_verdict sniffed, gi_rendering *ret) {
    const gi_decoder_head *head = (const gi_decoder_head *)(const void *)s->region;
    if (message != GI_DECODER_DONE) {
        sniffed.refusal = message == GI_DECODER_LATE ? GI_REFUSAL_CPU : GI_REFUSAL_CRASH;
        return sniffed;
    }
    if (head->verdict.refusal == GI_REFUSAL_NONE) {
        if (is_plausible(head, request)) {
            *ret = head->picture;
        } else {
            sniffed.refusal = GI_REFUSAL_CRASH;
            return sniffed;
        }
    }
    return head->verdict;
}

/* One picture in a slot that is ours. */
static glint_status render_in(gi_decoder *d, slot *s, const void *bytes, size_t n_bytes,
                              const gi_render_request *request, gi_verdict sniffed,
                              gi_rendering *ret, glint_error *err) {
    const uint32_t patience_ms = gi_decoder_patience_ms(request->limits.decode_cpu_ms_max);
    char message = 0;
    if (!s->region) {
        atomic_fetch_add(&d->n_restarts, 1);
        GI_TRY(start_program(d, s, err));
    }
    atomic_fetch_add(&d->n_pictures, 1);
    *(gi_decoder_head *)(void *)s->region =
        (gi_decoder_head){.request = *request, .n_bytes = n_bytes};
    memcpy(s->region + GI_DECODER_HEAD_BYTES, bytes, n_bytes);
    const double start_ms = gi_clock_ms();
    if (!gi_decoder_say(s->socket, GI_DECODER_GO) ||
        !gi_decoder_hear(s->socket, (int)patience_ms + ANSWER_SLACK_MS, &message)) {
        gi_log(GI_LOG_DEBUG, "image", "a decoder process died and will be replaced");
        stop_program(d, s, true);
        message = GI_DECODER_FAULT;
    }
    if (message == GI_DECODER_FAULT) {
        return gi_fail(err, GLINT_ERR_INTERNAL, "the picture decoder failed; try again");
    }
    if (message != GI_DECODER_DONE) atomic_fetch_add(&d->n_crashes, 1);
    if (message == GI_DECODER_CRASH) gi_log(GI_LOG_DEBUG, "image", "a picture crashed its decoder");
    gi_rendering picture = {0};
    const gi_verdict v = judge(s, message, request, sniffed, &picture);
    GI_TRY(gi_verdict_fail(&v, &request->limits, n_bytes, err));
    picture.pixels = s->region + gi_decoder_pixels_offset(n_bytes);
    picture.resize_ms = fmin(picture.resize_ms, gi_clock_ms() - start_ms);
    *ret = picture;
    return GLINT_OK;
}

glint_status gi_decoder_render(gi_decoder *d, const void *bytes, size_t n_bytes,
                               const gi_render_request *request, gi_decoder_lease *ret,
                               glint_error *err) {
    if (request->limits.file_bytes_max > d->file_bytes_max) {
        return gi_fail(err, GLINT_ERR_ARG, "picture limits are above those of the decoder");
    }
    const gi_verdict sniffed = gi_sniff(bytes, n_bytes, &request->limits);
    GI_TRY(gi_verdict_fail(&sniffed, &request->limits, n_bytes, err));
    slot *s = take_slot(d);
    gi_rendering picture = {0};
    glint_status st = render_in(d, s, bytes, n_bytes, request, sniffed, &picture, err);
    if (st == GLINT_ERR_INTERNAL) { /* not the picture's fault: once more */
        st = render_in(d, s, bytes, n_bytes, request, sniffed, &picture, err);
    }
    if (st != GLINT_OK) {
        wipe_region(d, s, gi_decoder_pixels_offset(n_bytes));
        give_slot(d, s);
        return st;
    }
    *ret = (gi_decoder_lease){d, (int)(s - d->slots), n_bytes, picture};
    return GLINT_OK;
}

void gi_decoder_release(gi_decoder_lease *lease) {
    if (!lease || !lease->decoder) return;
    gi_decoder *d = lease->decoder;
    slot *s = &d->slots[lease->i_slot];
    wipe_region(d, s,
                gi_decoder_pixels_offset(lease->n_bytes) +
                    (size_t)lease->picture.width * lease->picture.height * 3);
    give_slot(d, s);
    *lease = (gi_decoder_lease){0};
}

gi_decoder_stats gi_decoder_get_stats(gi_decoder *d) {
    return (gi_decoder_stats){.n_pictures = atomic_load(&d->n_pictures),
                              .n_crashes = atomic_load(&d->n_crashes),
                              .n_restarts = atomic_load(&d->n_restarts)};
}

/* A white pixel: shows that programs start, limits can be set and pictures come back. */
static glint_status try_out(gi_decoder *d, glint_error *err) {
    static const uint8_t GIF[] = {'G', 'I', 'F', '8', '9', 'a', 1, 0,    1, 0, 0x80, 0,
                                  0,   255, 255, 255, 0,   0,   0, ',',  0, 0, 0,    0,
                                  1,   0,   1,   0,   0,   2,   2, 0x44, 1, 0, ';'};
    gi_render_request request = {
        .limits = gi_image_limits_default(),
        .spec = {1, 1, 1, 1, 1, {0, 0, 0}, {1, 1, 1}},
        .max_side_px = 1,
    };
    request.limits.file_bytes_max = sizeof GIF;
    gi_decoder_lease lease;
    glint_error why = {0};
    if (gi_decoder_render(d, GIF, sizeof GIF, &request, &lease, &why) != GLINT_OK)
        return gi_fail(err, GLINT_ERR_INTERNAL, "the picture decoder does not work here: %s",
                       why.message);
    const uint8_t *p = lease.picture.pixels;
    const bool is_white = p[0] == 255 && p[1] == 255 && p[2] == 255;
    gi_decoder_release(&lease);
    if (is_white) return GLINT_OK;
    return gi_fail(err, GLINT_ERR_INTERNAL,
                   "the picture decoder does not work here: white is not white");
}

glint_status gi_decoder_create(int n_slots, size_t file_bytes_max, gi_decoder **ret,
                               glint_error *err) {
    const size_t file_bytes_limit = (size_t)1 << 30;
    if (n_slots < 1 || n_slots > GI_DECODER_SLOTS_MAX || file_bytes_max < 1024 ||
        file_bytes_max > file_bytes_limit) {
        return gi_fail(err, GLINT_ERR_ARG, "picture decoder: slots or file size out of range");
    }
    glint_status st = GLINT_OK;
    gi_decoder *d = gi_calloc(1, sizeof *d);
    if (!d) return gi_fail(err, GLINT_ERR_MEMORY, "no memory left for the picture decoder");
    d->file_bytes_max = file_bytes_max;
    d->region_bytes = gi_decoder_pixels_offset(file_bytes_max) + GI_RENDER_PIXELS_MAX * 3;
    d->program = -1;
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->released, NULL);
    d->slots = gi_calloc((size_t)n_slots, sizeof *d->slots);
    if (!d->slots) {
        st = gi_fail(err, GLINT_ERR_MEMORY, "no memory left for the picture decoder");
        goto done;
    }
    d->n_slots = n_slots;
    for (int i = 0; i < n_slots; i++) d->slots[i].socket = -1;
    GI_TRY_DONE(load_program(&d->program, err));
    for (int i = 0; i < n_slots; i++) GI_TRY_DONE(start_program(d, &d->slots[i], err));
    GI_TRY_DONE(try_out(d, err));
    *ret = d;
    d = NULL;
done:
    gi_decoder_free(d);
    return st;
}

void gi_decoder_free(gi_decoder *d) {
    if (!d) return;
    for (int i = 0; i < d->n_slots; i++) stop_program(d, &d->slots[i], false);
    close_fd(&d->program);
    pthread_cond_destroy(&d->released);
    pthread_mutex_destroy(&d->lock);
    gi_free(d->slots);
    gi_free(d);
}
