/* What the HTTP layer tells, given on to metrics and audit log. */
#include "server/observer.h"

#include "base/alloc.h"
#include "base/parse.h"
#include "server/audit_line.h"

#include <dirent.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct gi_observer {
    gi_audit *audit; /* NULL: none */
    gi_audit_notes notes;
    bool serves_unrecorded, is_durable;
    gi_metrics *metrics;
    double start_s; /* since 1970 */
};

/* A line was written, or not: now the answer may go, or must not. */
static void on_written(void *ctx, void *token, bool ok) {
    gi_observer *o = ctx;
    gi_http_request *r = token;
    gi_record *record = gi_http_record(r);
    const bool goes = ok || o->serves_unrecorded;
    if (!goes) {
        record->code = GI_API_AUDIT_UNAVAILABLE;
        record->status = gi_api_error_get(record->code)->status;
        record->has_result = false;
    }
    gi_metrics_count(o->metrics, record);
    gi_http_release(r, goes);
}

/* The same of a line that says that a stream begins. */
static void on_begun(void *ctx, void *token, bool ok) {
    const gi_observer *o = ctx;
    gi_http_stream_release(token, ok || o->serves_unrecorded);
}

glint_status gi_observer_create(const gi_audit_settings *audit, size_t lines_max,
                                const char *const *routes, size_t n_routes, gi_observer **ret,
                                glint_error *err) {
    gi_observer *o = gi_calloc(1, sizeof *o);
    if (!o) return gi_fail(err, GLINT_ERR_MEMORY, "server: no memory");
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    o->start_s = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
    o->serves_unrecorded = audit->serves_unrecorded;
    o->is_durable = audit->is_durable;
    o->notes.with_prompt = audit->with_prompt;
    glint_status st = gi_metrics_create(routes, n_routes, &o->metrics, err);
    if (st == GLINT_OK && audit->path) {
        st = gi_audit_salt_load(audit->salt_file, &o->notes.salt, err);
        if (st == GLINT_OK) st = gi_audit_open(audit, lines_max, o, &o->audit, err);
    }
    if (st != GLINT_OK) {
        gi_observer_free(o);
        return st;
    }
    *ret = o;
    return GLINT_OK;
}

void gi_observer_free(gi_observer *o) {
    if (!o) return;
    gi_audit_close(o->audit);
    gi_metrics_free(o->metrics);
    OPENSSL_cleanse(&o->notes.salt, sizeof o->notes.salt);
    gi_free(o);
}

gi_metrics *gi_observer_metrics(gi_observer *o) {
    return o->metrics;
}

const gi_audit_notes *gi_observer_notes(const gi_observer *o) {
    return o->audit ? &o->notes : NULL;
}

bool gi_observer_is_blocked(const gi_observer *o) {
    return o->audit && !o->serves_unrecorded && !gi_audit_is_healthy(o->audit);
}

/* Hand in a line about a request; on_done NULL = nobody waits for it. */
static gi_audit_fate push_line(gi_observer *o, gi_http_request *r, gi_audit_line_kind kind,
                               gi_audit_done_fn on_done) {
    gi_audit_fate fate = GI_AUDIT_LOST;
    gi_buf line;
    gi_buf_init(&line, GI_AUDIT_LINE_BYTES_MAX);
    if (gi_audit_line_write(gi_http_record(r), kind, gi_http_request_id(r), gi_http_principal(r),
                            &line, NULL) == GLINT_OK)
        fate = gi_audit_push(o->audit, &line, on_done, r);
    else
        gi_audit_lost(o->audit);
    gi_buf_done(&line);
    return fate;
}

gi_http_beginning gi_observer_on_stream(gi_observer *o, gi_http_request *r) {
    if (!o->audit || !o->is_durable) return GI_HTTP_BEGINS_NOW;
    const gi_audit_fate fate = push_line(o, r, GI_AUDIT_LINE_BEGINS, on_begun);
    if (fate == GI_AUDIT_TOLD) return GI_HTTP_BEGINS_HELD;
    return o->serves_unrecorded ? GI_HTTP_BEGINS_NOW : GI_HTTP_BEGINS_REFUSED;
}

bool gi_observer_on_answer(gi_observer *o, gi_http_request *r, bool may_hold) {
    if (o->audit) {
        const gi_audit_fate fate =
            push_line(o, r, GI_AUDIT_LINE_ENDS, may_hold ? on_written : NULL);
        if (fate == GI_AUDIT_TOLD) return true;
        if (fate == GI_AUDIT_LOST && may_hold) {
            on_written(o, r, false);
            return true;
        }
    }
    gi_metrics_count(o->metrics, gi_http_record(r));
    return false;
}

glint_status gi_observer_reopen(gi_observer *o, glint_error *err) {
    return o->audit ? gi_audit_reopen(o->audit, err) : GLINT_OK;
}

/* ---- the process ---- */

static size_t count_files(void) {
    DIR *dir = opendir("/proc/self/fd");
    if (!dir) return 0;
    size_t n = 0;
    while (readdir(dir)) n++;
    closedir(dir);
    return n > 3 ? n - 3 : 0; /* ".", ".." and the folder itself */
}

/* The second number of /proc/self/statm: pages in memory. */
static double resident_bytes(void) {
    char text[128];
    const int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    const ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0) return 0;
    text[n] = '\0';
    char *second = strchr(text, ' ');
    if (!second) return 0;
    second[1 + strcspn(second + 1, " ")] = '\0';
    uint64_t pages = 0;
    return gi_parse_u64(second + 1, &pages) ? (double)pages * (double)sysconf(_SC_PAGESIZE) : 0;
}

static double seconds_of(struct timeval t) {
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void view_process(const gi_observer *o, double *values) {
    struct rusage used;
    struct rlimit files;
    values[GI_SERIES_START_TIME] = o->start_s;
    values[GI_SERIES_RSS] = resident_bytes();
    values[GI_SERIES_FDS] = (double)count_files();
    if (getrusage(RUSAGE_SELF, &used) == 0)
        values[GI_SERIES_CPU] = seconds_of(used.ru_utime) + seconds_of(used.ru_stime);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) values[GI_SERIES_FDS_MAX] = (double)files.rlim_cur;
}

void gi_observer_view(gi_observer *o, gi_metrics_view *view) {
    view_process(o, view->values);
    if (!o->audit) return;
    const gi_audit_stats stats = gi_audit_get_stats(o->audit);
    view->values[GI_SERIES_AUDIT_LINES] = (double)stats.n_lines;
    view->values[GI_SERIES_AUDIT_BYTES] = (double)stats.n_bytes;
    view->values[GI_SERIES_AUDIT_LOST] = (double)stats.n_lost;
    view->values[GI_SERIES_AUDIT_SYNCS] = (double)stats.n_syncs;
    view->values[GI_SERIES_AUDIT_WAITING] = (double)stats.n_waiting;
    view->values[GI_SERIES_AUDIT_OK] = gi_audit_is_healthy(o->audit);
}
