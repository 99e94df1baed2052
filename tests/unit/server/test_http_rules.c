/*
 * src/server: the rules on request heads, and addresses to listen on.
 */
#include "../cm.h"

#include "server/http.h"
#include "server/http_framing.h"
#include "server/http_peers.h"
#include "server/listen.h"

#include <arpa/inet.h>
#include <string.h>
#include <unistd.h>

/* Headers as "Name: value\n..." */
static gi_http_framing check(const char *headers, const char *method, const char *target,
                             const char *version) {
    gi_http_framing f = {0};
    for (const char *p = headers; *p;) {
        const size_t n = strcspn(p, "\n");
        const char *colon = memchr(p, ':', n);
        assert_non_null(colon);
        const size_t n_name = (size_t)(colon - p);
        gi_http_framing_header(&f, p, n_name, colon + 2, n - n_name - 2);
        p += n + (p[n] == '\n');
    }
    gi_http_framing_end(&f, method, target, version);
    return f;
}

static void heads(void **state) {
    static const struct {
        const char *headers;
        gi_api_code fault;
    } cases[] = {
        {"Host: a", GI_API_OK},
        {"Host: a\nContent-Length: 5", GI_API_OK},
        {"Host: a\nTransfer-Encoding: Chunked", GI_API_OK},
        {"Host: a\nExpect: 100-Continue", GI_API_OK},
        {"Host: a\nContent-Encoding: identity", GI_API_OK},
        {"Accept: a", GI_API_BAD_HTTP},
        {"Host: a\nHost: a", GI_API_BAD_HTTP},
        {"Host: a\nContent-Length: 5\nContent-Length: 5", GI_API_BAD_HTTP},
        {"Host: a\nContent-Length: 5, 5", GI_API_BAD_HTTP},
        {"Host: a\nContent-Length: +5", GI_API_BAD_HTTP},
        {"Host: a\nContent-Length: -5", GI_API_BAD_HTTP},
        {"Host: a\nContent-Length: 0x5", GI_API_BAD_HTTP},
        {"Host: a\nContent-Length: 5 ", GI_API_BAD_HTTP},
        {"Host: a\nContent-Length: ", GI_API_BAD_HTTP},
        {"Host: a\nContent-Length: 99999999999999999999999", GI_API_BODY_TOO_LARGE},
        {"Host: a\nContent-Length: 5\nTransfer-Encoding: chunked", GI_API_BAD_HTTP},
        {"Host: a\nTransfer-Encoding: chunked\nContent-Length: 5", GI_API_BAD_HTTP},
        {"Host: a\nTransfer-Encoding: gzip, chunked", GI_API_BAD_HTTP},
        {"Host: a\nTransfer-Encoding: xchunked", GI_API_BAD_HTTP},
        {"Host: a\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked", GI_API_BAD_HTTP},
        {"Host: a\nContent-Length : 5", GI_API_BAD_HTTP},
        {"Host: a\nX\x01: 5", GI_API_BAD_HTTP},
        {"Host: a\n: 5", GI_API_BAD_HTTP},
        {"Host: a\nX: a\rb", GI_API_BAD_HTTP},
        {"Host: a\nX: a\x7F", GI_API_BAD_HTTP},
        {"Host: a\nX: caf\xC3\xA9", GI_API_OK},
        {"Host: a\nExpect: something", GI_API_EXPECTATION_FAILED},
        {"Host: a\nContent-Encoding: gzip", GI_API_UNSUPPORTED_ENCODING},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const gi_http_framing f = check(cases[i].headers, "POST", "/x", "HTTP/1.1");
        if (f.fault != cases[i].fault) fail_msg("%s: fault %d", cases[i].headers, (int)f.fault);
    }
    assert_int_equal(
        check("Host: a\nContent-Length: 123456", "POST", "/", "HTTP/1.1").content_length, 123456);
}

static void request_lines(void **state) {
    static const struct {
        const char *method, *target, *version;
        gi_api_code fault;
    } cases[] = {
        {"GET", "/", "HTTP/1.1", GI_API_OK},
        {"GET", "/", "HTTP/1.0", GI_API_OK},
        {"GET", "http://a/b", "HTTP/1.1", GI_API_OK},
        {"GET", "*", "HTTP/1.1", GI_API_BAD_HTTP},
        {"OPTIONS", "*", "HTTP/1.1", GI_API_OK},
        {"GET", "a/b", "HTTP/1.1", GI_API_BAD_HTTP},
        {"CONNECT", "a:80", "HTTP/1.1", GI_API_OK},
        {"GET", "", "HTTP/1.1", GI_API_BAD_HTTP},
        {"GET", "/", "HTTP/1.2", GI_API_HTTP_VERSION},
        {"GET", "/", "HTTP/2.0", GI_API_HTTP_VERSION},
        {"GET", "/", "http/1.1", GI_API_HTTP_VERSION},
        {"G(T", "/", "HTTP/1.1", GI_API_BAD_HTTP},
        {"", "/", "HTTP/1.1", GI_API_BAD_HTTP},
        {"GET", "/a b", "HTTP/1.1", GI_API_BAD_HTTP},
        {"GET", "/\x01", "HTTP/1.1", GI_API_BAD_HTTP},
        {"GET", "/\xC3\xA9", "HTTP/1.1", GI_API_BAD_HTTP},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const gi_http_framing f =
            check("Host: a", cases[i].method, cases[i].target, cases[i].version);
        if (f.fault != cases[i].fault) fail_msg("case %zu: fault %d", i, (int)f.fault);
    }
    assert_int_equal(check("", "GET", "/", "HTTP/1.0").fault, GI_API_OK);
    assert_int_equal(check("Transfer-Encoding: chunked", "POST", "/", "HTTP/1.0").fault,
                     GI_API_BAD_HTTP);
}

static void header_limits(void **state) {
    static char value[GI_HTTP_LINE_BYTES_MAX];
    memset(value, 'v', sizeof value);
    gi_http_framing f = {0};
    gi_http_framing_header(&f, "x", 1, value, GI_HTTP_LINE_BYTES_MAX - 5);
    assert_int_equal(f.fault, GI_API_OK);
    gi_http_framing_header(&f, "x", 1, value, GI_HTTP_LINE_BYTES_MAX - 4);
    assert_int_equal(f.fault, GI_API_HEADERS_TOO_LARGE);

    f = (gi_http_framing){0};
    for (int i = 0; i < GI_HTTP_HEADERS_MAX; i++) gi_http_framing_header(&f, "x", 1, "", 0);
    assert_int_equal(f.fault, GI_API_OK);
    gi_http_framing_header(&f, "x", 1, "", 0);
    assert_int_equal(f.fault, GI_API_HEADERS_TOO_LARGE);

    f = (gi_http_framing){0};
    for (int i = 0; i < 4; i++) gi_http_framing_header(&f, "x", 1, value, 8100);
    assert_int_equal(f.fault, GI_API_OK);
    gi_http_framing_header(&f, "x", 1, value, 400);
    assert_int_equal(f.fault, GI_API_HEADERS_TOO_LARGE);
}

static void addresses(void **state) {
    static const struct {
        const char *text;
        bool ok, loopback;
    } cases[] = {
        {"127.0.0.1:8080", true, true},
        {"127.9.9.9:1", true, true},
        {"localhost:0", true, true},
        {"[::1]:8080", true, true},
        {"[::ffff:127.0.0.1]:1", true, true},
        {"0.0.0.0:80", true, false},
        {":8080", true, false},
        {"[::]:8080", true, false},
        {"10.0.0.1:65535", true, false},
        {"[::ffff:10.0.0.1]:1", true, false},
        {"", false, false},
        {"8080", false, false},
        {"127.0.0.1", false, false},
        {"127.0.0.1:", false, false},
        {"127.0.0.1:65536", false, false},
        {"127.0.0.1:-1", false, false},
        {"127.0.0.1:80x", false, false},
        {"127.1:80", false, false},
        {"0177.0.0.1:80", false, false},
        {"example.org:80", false, false},
        {"::1:8080", false, false},
        {"[::1]", false, false},
        {"[::1:80", false, false},
        {"[127.0.0.1]:80", false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gi_listen_address a = {0};
        glint_error err = {0};
        const bool ok = gi_listen_parse(cases[i].text, &a, &err) == GLINT_OK;
        if (ok != cases[i].ok || a.is_loopback != cases[i].loopback)
            fail_msg("\"%s\": %d %d", cases[i].text, ok, a.is_loopback);
    }
}

static void taken_port_is_explained(void **state) {
    gi_listen_address a;
    char text[GI_LISTEN_TEXT_BYTES], again[GI_LISTEN_TEXT_BYTES];
    glint_error err = {0};
    int fd = -1, other = -1;
    assert_int_equal(gi_listen_parse("127.0.0.1:0", &a, NULL), GLINT_OK);
    assert_int_equal(gi_listen_open(&a, &fd, text, &err), GLINT_OK);
    assert_int_equal(gi_listen_parse(text, &a, NULL), GLINT_OK);
    assert_int_equal(gi_listen_open(&a, &other, again, &err), GLINT_ERR_IO);
    assert_non_null(strstr(err.message, text));
    assert_non_null(strstr(err.message, "--listen 127.0.0.1:"));
    close(fd);
}

static gi_http_peer_key peer(const char *address) {
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, address, &v4.sin_addr) == 1)
        return gi_http_peer_key_of((const struct sockaddr *)&v4);
    assert_int_equal(inet_pton(AF_INET6, address, &v6.sin6_addr), 1);
    return gi_http_peer_key_of((const struct sockaddr *)&v6);
}

static void addresses_with_too_many(void **state) {
    (void)state;
    gi_http_peers *p = NULL;
    assert_int_equal(gi_http_peers_create(5, 2, &p, NULL), GLINT_OK);
    for (int i = 0; i < 2; i++) {
        assert_true(gi_http_peers_may(p, peer("203.0.113.1")));
        gi_http_peers_add(p, peer(i ? "203.0.113.1" : "::ffff:203.0.113.1"));
    }
    assert_false(gi_http_peers_may(p, peer("203.0.113.1")));
    assert_true(gi_http_peers_may(p, peer("203.0.113.2")));
    gi_http_peers_add(p, peer("2001:db8::1"));
    gi_http_peers_add(p, peer("2001:db8::2:1"));
    assert_false(gi_http_peers_may(p, peer("2001:db8::3"))); /* the same /64 */
    assert_true(gi_http_peers_may(p, peer("2001:db8:0:1::1")));
    /* This machine's own. */
    for (int i = 0; i < 9; i++) gi_http_peers_add(p, peer(i % 2 ? "127.0.0.9" : "::1"));
    assert_true(gi_http_peers_may(p, peer("127.0.0.9")) && gi_http_peers_may(p, peer("::1")));
    assert_true(gi_http_peers_may(p, peer("::ffff:127.0.0.1")));
    gi_http_peers_remove(p, peer("127.0.0.9"));
    gi_http_peers_remove(p, peer("203.0.113.1"));
    assert_true(gi_http_peers_may(p, peer("203.0.113.1")));
    assert_false(gi_http_peers_may(p, peer("2001:db8::3")));
    gi_http_peers_free(p);
    assert_int_equal(gi_http_peers_create(5, 0, &p, NULL), GLINT_OK);
    for (int i = 0; i < 5; i++) gi_http_peers_add(p, peer("203.0.113.1"));
    assert_true(gi_http_peers_may(p, peer("203.0.113.1"))); /* no limit */
    gi_http_peers_free(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads),         cmocka_unit_test(addresses_with_too_many),
        cmocka_unit_test(request_lines), cmocka_unit_test(header_limits),
        cmocka_unit_test(addresses),     cmocka_unit_test(taken_port_is_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
