/*
 * A base and a reference, separated by a line feed, through the URL parser: what is accepted stays
 * the same when parsed again, has none of the bytes that programs read differently, and is read by
 * libcurl, which gets it next, as the same host, port and path.
 */
#include "fetch/url.h"

#include <curl/curl.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

static void curl_agrees(const gi_url *url) {
    CURLU *u = curl_url();
    char *host = NULL, *port = NULL, *path = NULL, *user = NULL;
    gi_assert(u != NULL);
    gi_assert(curl_url_set(u, CURLUPART_URL, url->text, CURLU_PATH_AS_IS) == CURLUE_OK);
    gi_assert(curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK);
    gi_assert(curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK);
    gi_assert(curl_url_get(u, CURLUPART_PATH, &path, 0) == CURLUE_OK);
    gi_assert(curl_url_get(u, CURLUPART_USER, &user, 0) == CURLUE_NO_USER);
    gi_url_host again;
    gi_assert(gi_url_parse_host(host, strlen(host), &again, NULL) == GLINT_OK);
    gi_assert(strcmp(again.name, url->host.name) == 0);
    unsigned number = 0;
    for (const char *c = port; *c; c++) number = number * 10 + (unsigned)(*c - '0');
    gi_assert(number == url->port);
    gi_assert(strlen(path) == url->path_n &&
              memcmp(path, url->text + url->origin_n, url->path_n) == 0);
    curl_free(host);
    curl_free(port);
    curl_free(path);
    curl_url_cleanup(u);
}

static void check(const gi_url *url) {
    gi_url again;
    gi_assert(url->n == strlen(url->text) && url->n <= GI_URL_BYTES_MAX);
    gi_assert(strpbrk(url->text, "\\#<>\"{}|^` \t\r\n") == NULL);
    gi_assert(memchr(url->text, '@', url->origin_n) == NULL);
    gi_assert(gi_url_parse(url->text, url->n, &again, NULL) == GLINT_OK);
    gi_assert(strcmp(url->text, again.text) == 0 && strcmp(url->host.name, again.host.name) == 0);
    gi_assert(url->port == again.port && url->origin_n == again.origin_n);
    curl_agrees(url);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    const char *text = (const char *)bytes;
    const char *cut = n_bytes ? memchr(text, '\n', n_bytes) : NULL;
    const size_t n_base = cut ? (size_t)(cut - text) : n_bytes;
    gi_url base, url;
    if (gi_url_parse(text, n_base, &base, NULL) == GLINT_OK) {
        check(&base);
        if (cut && gi_url_resolve(&base, cut + 1, n_bytes - n_base - 1, &url, NULL) == GLINT_OK)
            check(&url);
    }
    return 0;
}
