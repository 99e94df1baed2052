/*
 * Files by name, in the form the client takes. They are asked about every time (no-cache) and sent
 * only when they changed (ETag), so that a page is never made of two versions. What the page may
 * load and do is said here, once, for each of its files: nothing that is not from this server.
 */
#include "server/page.h"

#include "base/alloc.h"
#include "base/sha256.h"
#include "server/header_value.h"

#include <stdio.h>
#include <string.h>

#define POLICY                                                                                     \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "        \
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

#define CACHING "no-cache"

enum { ETAG_HEX_BYTES = 32, ETAG_BYTES = ETAG_HEX_BYTES + sizeof "\"-gz\"" };

/* A file in one of its forms. */
typedef struct form {
    const gi_embedded *file; /* NULL: it has no such form */
    char etag[ETAG_BYTES];
    gi_http_header_line headers[9];
} form;

typedef struct entry {
    const char *name, *media_type;
    form plain, gzip;
} entry;

struct gi_page {
    size_t n;
    entry entries[];
};

static const char *media_type_of(const char *name) {
    static const struct {
        const char *suffix, *type;
    } TYPES[] = {
        {".html", "text/html; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
    };
    const char *suffix = strrchr(name, '.');
    for (size_t i = 0; suffix && i < sizeof TYPES / sizeof TYPES[0]; i++)
        if (strcmp(suffix, TYPES[i].suffix) == 0) return TYPES[i].type;
    return "application/octet-stream";
}

static void fill(form *f, const gi_embedded *file, const char *hex, bool is_gzip) {
    f->file = file;
    snprintf(f->etag, sizeof f->etag, "\"%.*s%s\"", ETAG_HEX_BYTES, hex, is_gzip ? "-gz" : "");
    const gi_http_header_line lines[] = {
        {"Content-Security-Policy", POLICY},
        {"Referrer-Policy", "no-referrer"},
        {"Permissions-Policy", "camera=(self)"},
        {"Cross-Origin-Opener-Policy", "same-origin"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Vary", "Accept-Encoding"},
        {"ETag", f->etag},
        {is_gzip ? "Content-Encoding" : NULL, "gzip"},
        {NULL, NULL},
    };
    _Static_assert(sizeof lines == sizeof f->headers, "as many as there is room for");
    memcpy(f->headers, lines, sizeof lines);
}

/* True when `file` is `name` with ".gz" behind it. */
static bool is_gzip_of(const gi_embedded *file, const char *name) {
    const size_t n = strlen(name);
    return file->name && strncmp(file->name, name, n) == 0 && strcmp(file->name + n, ".gz") == 0;
}

glint_status gi_page_create(gi_page **ret, glint_error *err) {
    size_t n = 0;
    while (gi_page_files[n].name) n++;
    gi_page *page = gi_calloc(1, sizeof *page + n * sizeof page->entries[0]);
    if (!page) return gi_fail(err, GLINT_ERR_MEMORY, "page: no memory");
    glint_status st = GLINT_OK;
    for (const gi_embedded *file = gi_page_files; st == GLINT_OK && file->name; file++) {
        entry *e = &page->entries[page->n++];
        gi_digest digest;
        char hex[GI_DIGEST_HEX_BYTES];
        st = gi_sha256_of_bytes("glint page 1", file->data, file->size_bytes, &digest, err);
        if (st != GLINT_OK) break;
        gi_digest_hex(&digest, hex);
        e->name = file->name;
        e->media_type = media_type_of(file->name);
        fill(&e->plain, file, hex, false);
        if (is_gzip_of(file + 1, file->name)) fill(&e->gzip, ++file, hex, true);
    }
    if (st != GLINT_OK) {
        gi_page_free(page);
        return st;
    }
    *ret = page;
    return GLINT_OK;
}

void gi_page_free(gi_page *page) {
    gi_free(page);
}

/* The weight 0, in any spelling. */
static bool is_zero(const char *q) {
    return q[0] == '0' && q[strspn(q, "0.")] == '\0';
}

bool gi_page_takes_gzip(const char *accept_encoding) {
    for (const char *p = accept_encoding; p && *p;) {
        const size_t n = strcspn(p, ",");
        gi_header_value v = gi_header_value_begin(p, n);
        const char *word;
        const size_t n_word = gi_header_value_word(&v, &word);
        if (n_word > 0 && gi_token_equals(word, n_word, "gzip")) {
            gi_header_param param;
            while (gi_header_value_next(&v, &param))
                if (gi_token_equals(param.name, param.n_name, "q") && is_zero(param.value))
                    return false;
            return !v.bad;
        }
        p += n + (p[n] == ',');
    }
    return false;
}

void gi_page_serve(const gi_page *page, const char *name, gi_http_request *r) {
    const entry *e = page->entries, *end = e + page->n;
    while (e < end && strcmp(e->name, name) != 0) e++;
    if (e == end) {
        gi_http_refuse(r, GI_API_NOT_FOUND);
        return;
    }
    const bool is_gzip = e->gzip.file && gi_page_takes_gzip(gi_http_header(r, "Accept-Encoding"));
    const form *f = is_gzip ? &e->gzip : &e->plain;
    gi_http_reply reply = {
        .status = 200, .media_type = e->media_type, .caching = CACHING, .headers = f->headers};
    gi_buf_init(&reply.body, f->file->size_bytes);
    if (gi_buf_push(&reply.body, f->file->data, f->file->size_bytes, NULL) != GLINT_OK) {
        gi_http_refuse(r, GI_API_OVERLOADED);
        return;
    }
    /* The quotes are part of an ETag, so that it stands in the list as a whole or not at all. Of
     * a 304 the body's length is told and the body not sent. */
    const char *known = gi_http_header(r, "If-None-Match");
    if (known && strstr(known, f->etag)) reply.status = 304;
    gi_http_respond(r, &reply);
}
