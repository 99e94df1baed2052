/*
 * One thread and one loop: send what is due, let libcurl work on the sockets that are ready, take
 * what is finished. It owns the transfers; what a request is, is the body's matter, and what an
 * answer means, the result's. It sleeps on one epoll descriptor with a timer in it, because the
 * milliseconds of epoll_wait are too coarse for a schedule.
 */
#include "bench_serve_load.h"

#include "bench_serve_plan.h"
#include "bench_serve_sse.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <curl/curl.h>
#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { EVENTS_MAX = 128, REFUSED_WAIT_MS = 100 };

/* A connection's worth: in a closed loop a client, in an open one whatever is due next. */
typedef struct slot {
    gi_load *load;
    CURL *easy;
    gi_load_body body;
    gi_load_answer answer;
    gi_load_sse sse;
    gi_buf reply; /* of what is no stream */
    double due_ms, sent_ms;
    double next_ms; /* closed loop: when the client sends again */
    bool busy, is_stream;
} slot;

struct gi_load {
    gi_load_settings settings;
    CURLM *multi;
    struct curl_slist *headers;
    int epoll_fd, timer_fd;
    slot **slots; /* [n_slots] */
    size_t n_slots;
    slot **idle; /* [n_idle] of an open loop, the last used on top */
    size_t n_idle;
    uint64_t n_sent;

    /* Of the running stage. */
    const gi_load_stage *stage;
    gi_load_result *result;
    gi_load_plan plan;
    size_t i_plan, n_under_way, n_left; /* n_left: requests that may still begin, if counted */
    double start_ms, armed_ms, curl_ms; /* curl_ms: when libcurl wants to be called */
    gi_load_window window;
    double cpu_ms[2];     /* used at the window's begin and end; negative: not there yet */
    glint_status failure; /* of a callback */
    glint_error *err;
};

/* ---- what libcurl calls ---- */

static glint_status on_event(void *ctx, const char *name, const char *data, size_t n_bytes,
                             glint_error *err) {
    (void)name;
    slot *s = ctx;
    return gi_load_answer_event(&s->answer, data, n_bytes, gi_clock_ms(), err);
}

static size_t on_read(char *out, size_t size, size_t n, void *ctx) {
    slot *s = ctx;
    return gi_load_body_read(&s->body, out, size * n);
}

static bool is_event_stream(slot *s) {
    const char *type = NULL;
    long status = 0;
    curl_easy_getinfo(s->easy, CURLINFO_CONTENT_TYPE, &type);
    curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
    return status == 200 && type && strncmp(type, "text/event-stream", 17) == 0;
}

static size_t on_write(char *bytes, size_t size, size_t n, void *ctx) {
    slot *s = ctx;
    n *= size;
    if (s->reply.len == 0 && !s->is_stream) s->is_stream = is_event_stream(s);
    const glint_status st = s->is_stream ? gi_load_sse_feed(&s->sse, bytes, n, NULL)
                                         : gi_buf_push(&s->reply, bytes, n, NULL);
    return st == GLINT_OK ? n : CURL_WRITEFUNC_ERROR;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *known) {
    (void)easy;
    gi_load *load = ctx;
    if (what == CURL_POLL_REMOVE) {
        (void)epoll_ctl(load->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    struct epoll_event e = {.data.fd = fd};
    if (what & CURL_POLL_IN) e.events |= EPOLLIN;
    if (what & CURL_POLL_OUT) e.events |= EPOLLOUT;
    if (epoll_ctl(load->epoll_fd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &e) != 0)
        load->failure = gi_fail(load->err, GLINT_ERR_IO, "epoll: %s", strerror(errno));
    curl_multi_assign(load->multi, fd, load);
    return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *ctx) {
    (void)multi;
    gi_load *load = ctx;
    load->curl_ms = timeout_ms < 0 ? HUGE_VAL : gi_clock_ms() + (double)timeout_ms;
    return 0;
}

/* ---- transfers ---- */

static void free_slot(slot *s) {
    if (!s) return;
    curl_easy_cleanup(s->easy);
    gi_load_body_done(&s->body);
    gi_load_answer_done(&s->answer);
    gi_load_sse_done(&s->sse);
    gi_buf_done(&s->reply);
    gi_free(s);
}

/* No seek function on purpose: with one, libcurl would silently send a request again when the
 * server drops a connection it kept alive, and hide what it was asked to find. */
static bool set_up_easy(slot *s) {
    const gi_load_settings *o = &s->load->settings;
    char url[2048];
    const int n = snprintf(url, sizeof url, "%s%s", o->url, gi_load_body_path(o->recipe));
    CURL *e = s->easy;
    return n > 0 && (size_t)n < sizeof url && /* every option is one of this libcurl's */
           curl_easy_setopt(e, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_POST, 1L) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_HTTPHEADER, s->load->headers) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_PRIVATE, s) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_READFUNCTION, on_read) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_READDATA, s) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_write) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_WRITEDATA, s) == CURLE_OK;
}

static glint_status add_slot(gi_load *load, glint_error *err) {
    slot *s = gi_calloc(1, sizeof *s);
    if (!s) return gi_fail(err, GLINT_ERR_MEMORY, "no memory for a client");
    s->load = load;
    gi_load_body_init(&s->body);
    gi_load_answer_init(&s->answer, load->settings.recipe->api);
    gi_load_sse_init(&s->sse, on_event, s);
    gi_buf_init(&s->reply, GI_LOAD_ANSWER_BYTES_MAX);
    s->easy = curl_easy_init();
    if (!s->easy || !set_up_easy(s)) {
        free_slot(s);
        return gi_fail(err, GLINT_ERR_MEMORY, "libcurl cannot set a client up");
    }
    load->slots[load->n_slots++] = s;
    return GLINT_OK;
}

/* A request that is given up before it was sent, as its turn came too late. */
static glint_status never_sent(gi_load *load, double due_ms, double now_ms, glint_error *err) {
    gi_load_answer none;
    gi_load_answer_init(&none, load->settings.recipe->api);
    const gi_load_outcome o = {.due_ms = due_ms,
                               .sent_ms = now_ms,
                               .end_ms = now_ms,
                               .failure = "given up unsent",
                               .answer = &none};
    return gi_load_result_add(load->result, &load->window, &o, err);
}

static glint_status send_request(slot *s, double due_ms, double now_ms, glint_error *err) {
    gi_load *load = s->load;
    const double left_ms = load->settings.give_up_ms - (now_ms - due_ms);
    GI_TRY(gi_load_body_make(&s->body, load->settings.recipe, load->n_sent, err));
    gi_load_answer_clear(&s->answer);
    gi_load_sse_clear(&s->sse);
    gi_buf_clear(&s->reply);
    s->is_stream = false;
    s->due_ms = due_ms;
    s->sent_ms = now_ms;
    curl_easy_setopt(s->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                     (curl_off_t)gi_load_body_bytes(&s->body));
    curl_easy_setopt(s->easy, CURLOPT_TIMEOUT_MS, (long)ceil(fmax(left_ms, 1)));
    if (curl_multi_add_handle(load->multi, s->easy) != CURLM_OK)
        return gi_fail(err, GLINT_ERR_MEMORY, "libcurl cannot send");
    s->busy = true;
    load->n_sent++;
    if (++load->n_under_way > load->result->n_under_way_max)
        load->result->n_under_way_max = load->n_under_way;
    return GLINT_OK;
}

static const char *failure_word(CURLcode code) {
    if (code == CURLE_OK) return NULL;
    if (code == CURLE_OPERATION_TIMEDOUT) return "timeout";
    if (code == CURLE_COULDNT_CONNECT) return "cannot connect";
    if (code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR ||
        code == CURLE_PARTIAL_FILE || code == CURLE_SEND_FAIL_REWIND)
        return "connection lost";
    return curl_easy_strerror(code);
}

static glint_status take_finished(slot *s, CURLcode code, glint_error *err) {
    gi_load *load = s->load;
    gi_load_outcome o = {.due_ms = s->due_ms,
                         .sent_ms = s->sent_ms,
                         .end_ms = gi_clock_ms(),
                         .failure = failure_word(code),
                         .answer = &s->answer,
                         .want = s->body.picture->answer,
                         .was_stream = s->is_stream};
    long connects = 0;
    curl_off_t retry_after_s = 0;
    curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &o.status);
    curl_easy_getinfo(s->easy, CURLINFO_NUM_CONNECTS, &connects);
    curl_easy_getinfo(s->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
    o.n_connections = (size_t)connects;
    curl_multi_remove_handle(load->multi, s->easy);
    s->busy = false;
    load->n_under_way--;
    if (!s->is_stream) GI_TRY(gi_load_answer_read(&s->answer, s->reply.data, s->reply.len, err));
    s->next_ms = o.end_ms + load->settings.think_ms;
    if (!gi_load_outcome_is_ok(&o)) /* a client that is refused does not hammer */
        s->next_ms += fmax(REFUSED_WAIT_MS, 1e3 * (double)retry_after_s);
    if (load->plan.due_ms) load->idle[load->n_idle++] = s;
    return gi_load_result_add(load->result, &load->window, &o, err);
}

static glint_status take_all_finished(gi_load *load, glint_error *err) {
    int n_left;
    for (const CURLMsg *m; (m = curl_multi_info_read(load->multi, &n_left));) {
        char *s = NULL;
        if (m->msg != CURLMSG_DONE) continue;
        const CURLcode code = m->data.result;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &s);
        GI_TRY(take_finished((slot *)(void *)s, code, err));
    }
    return GLINT_OK;
}

/* ---- what is due ---- */

static glint_status send_planned(gi_load *load, double now_ms, glint_error *err) {
    for (; load->i_plan < load->plan.n; load->i_plan++) {
        const double due_ms = load->start_ms + load->plan.due_ms[load->i_plan];
        if (due_ms > now_ms) return GLINT_OK;
        if (now_ms - due_ms >= load->settings.give_up_ms) {
            GI_TRY(never_sent(load, due_ms, now_ms, err));
            continue;
        }
        if (load->n_idle == 0) {
            if (load->n_slots >= load->settings.connections_max) return GLINT_OK;
            GI_TRY(add_slot(load, err));
            load->idle[load->n_idle++] = load->slots[load->n_slots - 1];
        }
        GI_TRY(send_request(load->idle[--load->n_idle], due_ms, now_ms, err));
    }
    return GLINT_OK;
}

static glint_status send_clients(gi_load *load, double now_ms, glint_error *err) {
    for (size_t i = 0; i < load->stage->n_clients && load->n_left > 0; i++) {
        slot *s = load->slots[i];
        if (s->busy || s->next_ms > now_ms) continue;
        if (load->stage->n_requests == 0 && s->next_ms >= load->window.end_ms) continue;
        GI_TRY(send_request(s, s->next_ms, now_ms, err));
        if (load->stage->n_requests) load->n_left--;
    }
    return GLINT_OK;
}

/* When something is due next; HUGE_VAL: when a transfer ends, or never. */
static double next_due_ms(const gi_load *load) {
    double next = HUGE_VAL;
    if (load->stage->rate_per_s > 0) {
        const bool can_send = load->n_idle || load->n_slots < load->settings.connections_max;
        if (can_send && load->i_plan < load->plan.n)
            next = load->start_ms + load->plan.due_ms[load->i_plan];
    } else if (load->n_left > 0) {
        for (size_t i = 0; i < load->stage->n_clients; i++)
            if (!load->slots[i]->busy) next = fmin(next, load->slots[i]->next_ms);
        if (load->stage->n_requests == 0 && next >= load->window.end_ms) next = HUGE_VAL;
    }
    return next;
}

static double cpu_used_ms(void) {
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) != 0) return -1;
    return 1e3 * (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           1e-3 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* Note the processor time at the window's ends; returns when it must be noted next. */
static double note_cpu(gi_load *load, double now_ms) {
    const double at[2] = {load->window.begin_ms, load->window.end_ms};
    for (int i = 0; i < 2; i++) {
        if (load->cpu_ms[i] >= 0) continue;
        if (now_ms < at[i]) return at[i];
        load->cpu_ms[i] = cpu_used_ms();
    }
    return HUGE_VAL;
}

/* ---- the loop ---- */

static glint_status arm(gi_load *load, double at_ms, glint_error *err) {
    if (at_ms == load->armed_ms) return GLINT_OK;
    const double left_ms = at_ms == HUGE_VAL ? 0 : fmax(at_ms - gi_clock_ms(), 1e-3);
    const double whole_s = floor(left_ms / 1e3);
    const struct itimerspec t = {
        .it_value = {(time_t)whole_s, (long)((left_ms - 1e3 * whole_s) * 1e6)}};
    load->armed_ms = at_ms;
    if (timerfd_settime(load->timer_fd, 0, &t, NULL) == 0) return GLINT_OK;
    return gi_fail(err, GLINT_ERR_IO, "timer: %s", strerror(errno));
}

static glint_status wait_and_work(gi_load *load, glint_error *err) {
    struct epoll_event events[EVENTS_MAX];
    int running;
    int n = epoll_wait(load->epoll_fd, events, EVENTS_MAX, -1);
    if (n < 0 && errno != EINTR) return gi_fail(err, GLINT_ERR_IO, "epoll: %s", strerror(errno));
    for (int i = 0; i < n; i++) {
        if (events[i].data.fd == load->timer_fd) {
            uint64_t expired;
            if (read(load->timer_fd, &expired, sizeof expired) > 0) load->armed_ms = -1;
            continue;
        }
        int what = 0;
        if (events[i].events & EPOLLIN) what |= CURL_CSELECT_IN;
        if (events[i].events & EPOLLOUT) what |= CURL_CSELECT_OUT;
        if (events[i].events & (EPOLLERR | EPOLLHUP)) what |= CURL_CSELECT_ERR;
        curl_multi_socket_action(load->multi, events[i].data.fd, what, &running);
    }
    return GLINT_OK;
}

/* Let libcurl do what it asked to do at this time; it may ask again for at once. */
static void call_curl(gi_load *load) {
    int running;
    for (int i = 0; i < 8 && load->curl_ms <= gi_clock_ms(); i++) {
        load->curl_ms = HUGE_VAL;
        curl_multi_socket_action(load->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
}

static glint_status loop(gi_load *load, glint_error *err) {
    for (;;) {
        const double now_ms = gi_clock_ms();
        const double cpu_due_ms = note_cpu(load, now_ms);
        GI_TRY(load->stage->rate_per_s > 0 ? send_planned(load, now_ms, err)
                                           : send_clients(load, now_ms, err));
        call_curl(load);
        GI_TRY(take_all_finished(load, err));
        GI_TRY(load->failure);
        double next_ms = next_due_ms(load);
        if (load->n_under_way == 0 && next_ms == HUGE_VAL && cpu_due_ms == HUGE_VAL) break;
        next_ms = fmin(fmin(next_ms, cpu_due_ms), load->curl_ms);
        GI_TRY(arm(load, next_ms, err));
        GI_TRY(wait_and_work(load, err));
        GI_TRY(take_all_finished(load, err));
    }
    return GLINT_OK;
}

static glint_status begin_stage(gi_load *load, const gi_load_stage *stage, glint_error *err) {
    const gi_load_settings *o = &load->settings;
    load->start_ms = gi_clock_ms();
    load->window = (gi_load_window){load->start_ms + o->settle_ms,
                                    load->start_ms + o->settle_ms + o->window_ms, o->deadline_ms};
    load->cpu_ms[0] = load->cpu_ms[1] = -1;
    if (stage->n_requests) { /* all of them count, however long they take */
        load->window = (gi_load_window){load->start_ms, HUGE_VAL, o->deadline_ms};
        load->cpu_ms[0] = load->cpu_ms[1] = 0;
    }
    load->n_left = stage->n_requests ? stage->n_requests : 1;
    load->n_idle = load->i_plan = 0;
    if (stage->rate_per_s > 0) {
        GI_TRY(gi_load_plan_poisson(stage->rate_per_s, o->settle_ms + o->window_ms, o->seed,
                                    &load->plan, err));
        for (size_t i = 0; i < load->n_slots && i < o->connections_max; i++)
            load->idle[load->n_idle++] = load->slots[i];
        load->start_ms = gi_clock_ms(); /* drawing took a moment */
        load->window.begin_ms = load->start_ms + o->settle_ms;
        load->window.end_ms = load->window.begin_ms + o->window_ms;
        return GLINT_OK;
    }
    while (load->n_slots < stage->n_clients) GI_TRY(add_slot(load, err));
    /* Clients that think begin spread over one thought, not all at once. */
    for (size_t i = 0; i < stage->n_clients; i++)
        load->slots[i]->next_ms =
            load->start_ms + o->think_ms * (double)i / (double)stage->n_clients;
    return GLINT_OK;
}

glint_status gi_load_run(gi_load *load, const gi_load_stage *stage, gi_load_result *ret,
                         glint_error *err) {
    ret->stage = *stage;
    ret->window_ms = load->settings.window_ms;
    load->stage = stage;
    load->result = ret;
    load->failure = GLINT_OK;
    load->err = err;
    load->armed_ms = -1;
    glint_status st = begin_stage(load, stage, err);
    if (st == GLINT_OK) st = loop(load, err);
    const double used_ms = load->cpu_ms[1] - load->cpu_ms[0];
    ret->cpu_share = stage->n_requests ? -1 : used_ms / load->settings.window_ms;
    gi_load_plan_done(&load->plan);
    return st;
}

/* ---- life ---- */

static bool set_up_multi(gi_load *load) {
    CURLM *m = load->multi = curl_multi_init();
    return m && curl_multi_setopt(m, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
           curl_multi_setopt(m, CURLMOPT_SOCKETDATA, load) == CURLM_OK &&
           curl_multi_setopt(m, CURLMOPT_TIMERFUNCTION, on_timer) == CURLM_OK &&
           curl_multi_setopt(m, CURLMOPT_TIMERDATA, load) == CURLM_OK &&
           curl_multi_setopt(m, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING) == CURLM_OK &&
           curl_multi_setopt(m, CURLMOPT_MAXCONNECTS, (long)GI_LOAD_CONNECTIONS_MAX) == CURLM_OK;
}

/* "Expect:" empty: no waiting for 100-continue before large bodies. */
static bool set_up_headers(gi_load *load) {
    char bearer[8192];
    const char *lines[] = {"Expect:", gi_load_body_type(load->settings.recipe), bearer};
    const size_t n = load->settings.token ? 3 : 2;
    if (n == 3) {
        const int len =
            snprintf(bearer, sizeof bearer, "Authorization: Bearer %s", load->settings.token);
        if (len < 0 || (size_t)len >= sizeof bearer) return false;
    }
    for (size_t i = 0; i < n; i++) {
        struct curl_slist *more = curl_slist_append(load->headers, lines[i]);
        if (!more) return false;
        load->headers = more;
    }
    return true;
}

glint_status gi_load_create(const gi_load_settings *s, gi_load **ret, glint_error *err) {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return gi_fail(err, GLINT_ERR_MEMORY, "libcurl cannot start");
    gi_load *load = gi_calloc(1, sizeof *load);
    if (!load) {
        curl_global_cleanup();
        return gi_fail(err, GLINT_ERR_MEMORY, "no memory for a load");
    }
    load->settings = *s;
    load->curl_ms = HUGE_VAL;
    load->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    load->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    load->slots = gi_calloc(GI_LOAD_CONNECTIONS_MAX, sizeof(slot *));
    load->idle = gi_calloc(GI_LOAD_CONNECTIONS_MAX, sizeof(slot *));
    struct epoll_event e = {.events = EPOLLIN, .data.fd = load->timer_fd};
    glint_status st = GLINT_OK;
    if (load->epoll_fd < 0 || load->timer_fd < 0 ||
        epoll_ctl(load->epoll_fd, EPOLL_CTL_ADD, load->timer_fd, &e) != 0)
        st = gi_fail(err, GLINT_ERR_IO, "epoll: %s", strerror(errno));
    else if (!load->slots || !load->idle || !set_up_multi(load) || !set_up_headers(load))
        st = gi_fail(err, GLINT_ERR_MEMORY, "libcurl cannot be set up");
    if (st != GLINT_OK) {
        gi_load_free(load);
        return st;
    }
    *ret = load;
    return GLINT_OK;
}

void gi_load_free(gi_load *load) {
    if (!load) return;
    for (size_t i = 0; i < load->n_slots; i++) {
        slot *s = load->slots[i];
        if (s && s->busy) curl_multi_remove_handle(load->multi, s->easy);
        free_slot(s);
    }
    if (load->multi) curl_multi_cleanup(load->multi);
    curl_slist_free_all(load->headers);
    if (load->epoll_fd >= 0) close(load->epoll_fd);
    if (load->timer_fd >= 0) close(load->timer_fd);
    gi_load_plan_done(&load->plan);
    gi_free(load->slots);
    gi_free(load->idle);
    gi_free(load);
    curl_global_cleanup();
}
