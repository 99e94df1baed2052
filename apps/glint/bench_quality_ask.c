/*
 * One thread and libcurl's multi interface: answers are what counts here, not times, so waiting is
 * left to libcurl. A picture's questions follow each other, and the server's own caches may help.
 */
#include "bench_quality_ask.h"

#include "bench_serve_answer.h"

#include "base/alloc.h"
#include "base/filemap.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

enum { POLL_MS = 1000 };

/* One request's worth; idle while `mime` is NULL. */
typedef struct client {
    CURL *easy;
    curl_mime *mime;
    gi_buf reply;
    gi_load_answer answer;
    const gi_quality_case *asked;
} client;

typedef struct asking {
    const gi_quality_settings *settings;
    gi_quality_tally *tally;
    CURLM *multi;
    struct curl_slist *headers;
    client clients[GI_QUALITY_CLIENTS_MAX];
    size_t n_done;
} asking;

static size_t on_write(char *bytes, size_t size, size_t n, void *ctx) {
    client *c = ctx;
    return gi_buf_push(&c->reply, bytes, size * n, NULL) == GLINT_OK ? size * n
                                                                     : CURL_WRITEFUNC_ERROR;
}

static bool set_up_client(asking *a, client *c) {
    char url[2048];
    const int n = snprintf(url, sizeof url, "%s/v1/multimodal/inference", a->settings->url);
    gi_buf_init(&c->reply, GI_LOAD_ANSWER_BYTES_MAX);
    gi_load_answer_init(&c->answer, GI_LOAD_API_GLINT);
    CURL *e = c->easy = curl_easy_init();
    return e && n > 0 && (size_t)n < sizeof url &&
           curl_easy_setopt(e, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_HTTPHEADER, a->headers) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, a->settings->give_up_ms) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_PRIVATE, c) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_write) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_WRITEDATA, c) == CURLE_OK;
}

static bool set_up(asking *a) {
    char bearer[8192];
    const char *lines[] = {"Expect:", bearer};
    const size_t n = a->settings->token ? 2 : 1;
    const int len = snprintf(bearer, sizeof bearer, "Authorization: Bearer %s",
                             a->settings->token ? a->settings->token : "");
    if (len < 0 || (size_t)len >= sizeof bearer || !(a->multi = curl_multi_init())) return false;
    for (size_t i = 0; i < n; i++) {
        struct curl_slist *more = curl_slist_append(a->headers, lines[i]);
        if (!more) return false;
        a->headers = more;
    }
    for (size_t i = 0; i < a->settings->n_clients; i++)
        if (!set_up_client(a, &a->clients[i])) return false;
    return true;
}

static void tear_down(asking *a) {
    for (size_t i = 0; i < a->settings->n_clients; i++) {
        client *c = &a->clients[i];
        if (c->mime) curl_multi_remove_handle(a->multi, c->easy);
        curl_easy_cleanup(c->easy);
        curl_mime_free(c->mime);
        gi_load_answer_done(&c->answer);
        gi_buf_done(&c->reply);
    }
    if (a->multi) curl_multi_cleanup(a->multi);
    curl_slist_free_all(a->headers);
}

static bool add_part(curl_mime *mime, const char *name, const char *value) {
    curl_mimepart *part = curl_mime_addpart(mime);
    return part && curl_mime_name(part, name) == CURLE_OK &&
           curl_mime_data(part, value, CURL_ZERO_TERMINATED) == CURLE_OK;
}

/* A verdict is asked as the task that gives verdicts, all else as a plain question. */
static glint_status ask(asking *a, client *c, const gi_quality_case *q, glint_error *err) {
    char path[GI_PATH_BYTES];
    GI_TRY(gi_path_join(path, sizeof path, a->settings->dir, q->image, err));
    if (!gi_file_exists(path)) return gi_fail(err, GLINT_ERR_IO, "%.200s: no such picture", path);
    gi_buf_clear(&c->reply);
    gi_load_answer_clear(&c->answer);
    c->asked = q;
    c->mime = curl_mime_init(c->easy);
    curl_mimepart *picture = c->mime ? curl_mime_addpart(c->mime) : NULL;
    if (picture && curl_mime_name(picture, "image") == CURLE_OK &&
        curl_mime_filedata(picture, path) == CURLE_OK &&
        add_part(c->mime, "task", q->label ? "audit" : "ask") &&
        add_part(c->mime, "prompt", q->prompt) &&
        (!a->settings->no_cache || add_part(c->mime, "cache", "false")) &&
        curl_easy_setopt(c->easy, CURLOPT_MIMEPOST, c->mime) == CURLE_OK &&
        curl_multi_add_handle(a->multi, c->easy) == CURLM_OK)
        return GLINT_OK;
    curl_mime_free(c->mime);
    c->mime = NULL;
    return gi_fail(err, GLINT_ERR_MEMORY, "no memory for a request");
}

/* What the server said, counted. */
static glint_status count(asking *a, client *c, CURLcode code, glint_error *err) {
    gi_load_answer *said = &c->answer;
    char *verdict = NULL;
    if (code == CURLE_OK) GI_TRY(gi_load_answer_read(said, c->reply.data, c->reply.len, err));
    gi_quality_answer answer = {.confidence = -1};
    const char *no_answer = code != CURLE_OK ? curl_easy_strerror(code)
                            : said->error[0] ? said->error
                                             : "not a glint answer";
    if (said->complete && c->asked->label) {
        GI_TRY(gi_quality_verdict(said->body, &verdict, err));
        answer.text = verdict;
        if (verdict) answer.label = json_string_value(json_object_get(said->body, "result"));
    } else if (said->complete) {
        answer.text = json_string_value(json_object_get(said->body, "text"));
    }
    const json_t *confidence = json_object_get(said->body, "confidence");
    if (json_is_number(confidence)) answer.confidence = json_number_value(confidence);
    answer.finish = answer.text && said->finish[0] ? said->finish : no_answer;
    const glint_status st = gi_quality_tally_add(a->tally, c->asked, &answer, err);
    gi_free(verdict);
    return st;
}

static glint_status take_finished(asking *a, const CURLMsg *m, glint_error *err) {
    char *s = NULL;
    const CURLcode code = m->data.result;
    curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &s);
    client *c = (client *)(void *)s;
    curl_multi_remove_handle(a->multi, c->easy);
    curl_mime_free(c->mime);
    c->mime = NULL;
    a->n_done++;
    if (code == CURLE_COULDNT_CONNECT)
        return gi_fail(err, GLINT_ERR_IO, "%.200s: cannot connect", a->settings->url);
    return count(a, c, code, err);
}

static glint_status loop(asking *a, const gi_quality_cases *cases, size_t n, glint_error *err) {
    size_t n_asked = 0;
    while (a->n_done < n) {
        const size_t n_done = a->n_done;
        int running, n_left;
        for (size_t i = 0; i < a->settings->n_clients && n_asked < n; i++)
            if (!a->clients[i].mime) GI_TRY(ask(a, &a->clients[i], &cases->items[n_asked++], err));
        if (curl_multi_perform(a->multi, &running) != CURLM_OK)
            return gi_fail(err, GLINT_ERR_IO, "libcurl cannot go on");
        for (const CURLMsg *m; (m = curl_multi_info_read(a->multi, &n_left));)
            if (m->msg == CURLMSG_DONE) GI_TRY(take_finished(a, m, err));
        if (a->n_done == n_done && curl_multi_poll(a->multi, NULL, 0, POLL_MS, NULL) != CURLM_OK)
            return gi_fail(err, GLINT_ERR_IO, "libcurl cannot wait");
        if (a->settings->progress && a->n_done > n_done)
            fprintf(stderr, "\r%zu of %zu ", a->n_done, n);
    }
    if (a->settings->progress) fputs("\r                        \r", stderr);
    return GLINT_OK;
}

glint_status gi_quality_ask(const gi_quality_settings *s, const gi_quality_cases *cases, size_t n,
                            gi_quality_tally *t, glint_error *err) {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return gi_fail(err, GLINT_ERR_MEMORY, "libcurl cannot start");
    asking *a = gi_calloc(1, sizeof *a);
    glint_status st = GLINT_OK;
    if (!a) {
        st = gi_fail(err, GLINT_ERR_MEMORY, "no memory for clients");
        goto done;
    }
    a->settings = s;
    a->tally = t;
    st = set_up(a) ? loop(a, cases, n, err)
                   : gi_fail(err, GLINT_ERR_MEMORY, "libcurl cannot be set up");
    tear_down(a);
done:
    gi_free(a);
    curl_global_cleanup();
    return st;
}
