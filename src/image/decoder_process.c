/*
 * The glint-decoder program. It parses nothing itself: it forks a child per picture, waits for
 * its end within a time, and says how it ended. The child for the next picture is forked before
 * that picture comes and has memory at hand, so that a picture waits for neither.
 *
 * The child gives everything away before it looks at the picture: one descriptor, no new
 * privileges, memory and CPU time limited by the kernel, and a list of system calls that holds what
 * malloc needs, the clock, writing to the region, and exit. Any other call kills it. It cannot
 * outlive this program, and this program ends when the caller's end of the socket closes.
 *
 * Built with a sanitizer, the limits on system calls and memory are left out: the sanitizers need
 * both for themselves.
 */
#include "base/alloc.h"
#include "image/decoder_wire.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED 0
#endif

enum {
    /* Heap that a child has at hand: as much as the picture before needed, within bounds. Fetching
     * the most costs more CPU time than decoding a small picture. */
    WARM_PIXEL_BYTES = 8,
    WARM_BYTES_MIN = 1 << 20,
    WARM_BYTES_MAX = 16 << 20, /* two megapixels' work */
    WARM_STEP_BYTES = 512 << 10,
    DATA_SLACK_BYTES = 2 * WARM_BYTES_MAX, /* beside the decoding memory: what is there before */
    HEAP_STEP_BYTES = WARM_BYTES_MAX,      /* the heap grows by this */
    MMAP_THRESHOLD_BYTES = 1024 << 20,     /* all from the heap: freed memory is used again */
};

typedef struct program {
    pid_t pid;
    const uint8_t *region;
    scmp_filter_ctx filter;
    size_t warm_bytes; /* of the next child */
} program;

/* A child that waits for its picture. */
typedef struct spare {
    pid_t pid;
    int go; /* a byte into this pipe says the picture is there */
} spare;

/* The only calls a child may make. Memory it maps must be private, anonymous and not executable. */
static scmp_filter_ctx make_filter(void) {
    static const int CALLS[] = {
        SCMP_SYS(brk),           SCMP_SYS(munmap),       SCMP_SYS(mremap), SCMP_SYS(madvise),
        SCMP_SYS(clock_gettime), SCMP_SYS(pwrite64),     SCMP_SYS(futex),  SCMP_SYS(exit_group),
        SCMP_SYS(exit),          SCMP_SYS(rt_sigreturn),
    };
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (!filter) return NULL;
    int rc = 0;
    for (size_t i = 0; i < sizeof CALLS / sizeof CALLS[0] && rc == 0; i++) {
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALLS[i], 0);
    }
    const scmp_datum_t kind = MAP_TYPE | MAP_ANONYMOUS;
    if (rc == 0) {
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
                              SCMP_A3(SCMP_CMP_MASKED_EQ, kind, MAP_PRIVATE | MAP_ANONYMOUS));
    }
    if (rc == 0) return filter;
    seccomp_release(filter);
    return NULL;
}

static bool limit(__rlimit_resource_t what, rlim_t value) {
    const struct rlimit both = {value, value};
    return setrlimit(what, &both) == 0;
}

/* Give everything away. Returns the exit status that says what failed, or 0. */
static int lock_in(const program *p, const gi_image_limits *l) {
    const uint32_t ms = l->decode_cpu_ms_max;
    const struct itimerval cpu = {.it_value = {ms / 1000, (suseconds_t)(ms % 1000) * 1000 + 1}};
    if (setitimer(ITIMER_PROF, &cpu, NULL) != 0 || !limit(RLIMIT_CPU, ms / 1000 + 2) ||
        !limit(RLIMIT_NOFILE, 0)) {
        return GI_DECODER_EXIT_SETUP;
    }
    if (IS_SANITIZED) return 0;
    if (!limit(RLIMIT_DATA, l->decode_bytes_max + DATA_SLACK_BYTES)) return GI_DECODER_EXIT_SETUP;
    return seccomp_load(p->filter) == 0 ? 0 : GI_DECODER_EXIT_SECCOMP;
}

static bool put(size_t offset, const void *bytes, size_t n) {
    const char *from = bytes;
    while (n > 0) {
        const ssize_t step = pwrite(GI_DECODER_REGION_FD, from, n, (off_t)offset);
        if (step <= 0) return false;
        from += step;
        offset += (size_t)step;
        n -= (size_t)step;
    }
    return true;
}

/* Fetch memory as long as no picture waits. */
static void warm_up(int go, size_t n_bytes) {
    struct pollfd p = {.fd = go, .events = POLLIN};
    uint8_t *heap = gi_alloc(n_bytes);
    for (size_t i = 0; heap && i < n_bytes && poll(&p, 1, 0) == 0; i += WARM_STEP_BYTES) {
        for (size_t k = 0; k < WARM_STEP_BYTES && i + k < n_bytes; k += 4096)
            ((volatile uint8_t *)heap)[i + k] = 0;
    }
    gi_free(heap);
}

/* The child's life. */
static int decode_one(const program *p) {
    gi_decoder_head head = *(const gi_decoder_head *)(const void *)p->region;
    const int status = lock_in(p, &head.request.limits);
    if (status != 0) return status;
    head.verdict =
        gi_render(p->region + GI_DECODER_HEAD_BYTES, head.n_bytes, &head.request, &head.picture);
    if (head.verdict.refusal == GI_REFUSAL_NO_MEMORY) {
        head.verdict.refusal = GI_REFUSAL_BYTES; /* it was the limit that said no */
    }
    const size_t n = (size_t)head.picture.width * head.picture.height * 3;
    const bool ok = (head.verdict.refusal != GI_REFUSAL_NONE ||
                     put(gi_decoder_pixels_offset(head.n_bytes), head.picture.pixels, n)) &&
                    put(0, &head, sizeof head);
    return ok ? 0 : GI_DECODER_EXIT_SETUP;
}

static uint64_t now_ms(void) {
    struct timespec t = {0};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Wait for the child, and stop it when it takes too long. SIGCHLD is blocked, so none is missed. */
static gi_decoder_message wait_for(pid_t child, uint32_t patience_ms) {
    sigset_t ended;
    sigemptyset(&ended);
    sigaddset(&ended, SIGCHLD);
    const uint64_t deadline_ms = now_ms() + patience_ms;
    int status = 0;
    for (;;) {
        const pid_t got = waitpid(child, &status, WNOHANG);
        if (got == child) break;
        if (got < 0 && errno != EINTR) return GI_DECODER_FAULT;
        const uint64_t now = now_ms();
        if (now >= deadline_ms) {
            kill(child, SIGKILL);
            while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
            }
            return GI_DECODER_LATE;
        }
        const uint64_t left = deadline_ms - now;
        const struct timespec timeout = {(time_t)(left / 1000), (long)(left % 1000) * 1000000};
        sigtimedwait(&ended, NULL, &timeout);
    }
    if (WIFEXITED(status)) {
        const int code = WEXITSTATUS(status);
        if (code == 0) return GI_DECODER_DONE;
        return code == GI_DECODER_EXIT_SECCOMP || code == GI_DECODER_EXIT_SETUP ? GI_DECODER_FAULT
                                                                                : GI_DECODER_CRASH;
    }
    const int sig = WTERMSIG(status);
    if (sig == SIGKILL) return GI_DECODER_FAULT; /* by the system or a person, not by its picture */
    return sig == SIGPROF || sig == SIGXCPU ? GI_DECODER_LATE : GI_DECODER_CRASH;
}

static _Noreturn void live(const program *p, const int pipe_fds[2]) {
    char go;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != p->pid) _exit(0);
    close(pipe_fds[1]);
    close(GI_DECODER_SOCKET_FD);
    warm_up(pipe_fds[0], p->warm_bytes);
    if (read(pipe_fds[0], &go, 1) != 1) _exit(0);
    close(pipe_fds[0]);
    _exit(decode_one(p));
}

/* A child that waits; pid < 0 when there can be none. */
static spare fork_spare(const program *p) {
    int fds[2];
    if (pipe(fds) != 0) return (spare){-1, -1};
    const pid_t pid = fork();
    if (pid == 0) live(p, fds);
    close(fds[0]);
    if (pid < 0) close(fds[1]);
    return (spare){pid, pid < 0 ? -1 : fds[1]};
}

/* What the picture just decoded says about the next; a refused one gives the least. */
static size_t next_warm_bytes(const gi_decoder_head *head) {
    const size_t n = (size_t)head->picture.source_w * head->picture.source_h;
    if (n <= WARM_BYTES_MIN / WARM_PIXEL_BYTES) return WARM_BYTES_MIN;
    return n < WARM_BYTES_MAX / WARM_PIXEL_BYTES ? n * WARM_PIXEL_BYTES : WARM_BYTES_MAX;
}

static gi_decoder_message use_spare(program *p, spare *s) {
    const gi_decoder_head *head = (const gi_decoder_head *)(const void *)p->region;
    const uint32_t patience_ms = gi_decoder_patience_ms(head->request.limits.decode_cpu_ms_max);
    for (int i = 0; i < 2; i++) { /* twice: it may have been killed while it waited */
        if (s->pid < 0) *s = fork_spare(p);
        if (s->pid < 0) continue;
        const pid_t pid = s->pid;
        const bool is_there = write(s->go, "", 1) == 1;
        close(s->go);
        s->pid = -1;
        const gi_decoder_message end = wait_for(pid, is_there ? patience_ms : 0);
        if (is_there && end == GI_DECODER_DONE) p->warm_bytes = next_warm_bytes(head);
        if (is_there) return end;
    }
    return GI_DECODER_FAULT;
}

/* Cut the ties to whatever started us. Returns the exit status that says what failed, or 0. */
static int set_up(program *p) {
    setsid(); /* no terminal signals; the caller's end of the socket says when to end */
    p->pid = getpid();
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGCHLD);
    if (sigprocmask(SIG_SETMASK, &blocked, NULL) != 0 || signal(SIGPROF, SIG_DFL) == SIG_ERR ||
        signal(SIGCHLD, SIG_DFL) == SIG_ERR || signal(SIGXCPU, SIG_DFL) == SIG_ERR ||
        signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
        return GI_DECODER_EXIT_SETUP;
    }
    if (!IS_SANITIZED) close_range(0, 2, 0);
    close_range(GI_DECODER_REGION_FD + 1, ~0u, 0); /* on kernels that can; children keep none */
    limit(RLIMIT_CORE, 0);
    struct stat st;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || fstat(GI_DECODER_REGION_FD, &st) != 0) {
        return GI_DECODER_EXIT_SETUP;
    }
    p->region = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, GI_DECODER_REGION_FD, 0);
    if (p->region == MAP_FAILED) return GI_DECODER_EXIT_SETUP;
    mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES);
    mallopt(M_TRIM_THRESHOLD, MMAP_THRESHOLD_BYTES);
    mallopt(M_TOP_PAD, HEAP_STEP_BYTES);
    p->filter = make_filter();
    return p->filter ? 0 : GI_DECODER_EXIT_SECCOMP;
}

int main(void) {
    program p = {.warm_bytes = WARM_BYTES_MIN};
    const int status = set_up(&p);
    if (status != 0) _exit(status);
    spare s = fork_spare(&p);
    if (!gi_decoder_say(GI_DECODER_SOCKET_FD, GI_DECODER_READY)) _exit(0);
    char message;
    while (gi_decoder_hear(GI_DECODER_SOCKET_FD, -1, &message) && message == GI_DECODER_GO &&
           gi_decoder_say(GI_DECODER_SOCKET_FD, use_spare(&p, &s))) {
        if (s.pid < 0) s = fork_spare(&p);
    }
    _exit(0);
}
