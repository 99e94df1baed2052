/*
 * src/fetch/url, host_list and ip_class: each rule kept and broken once. The URL Standard's own
 * cases run in tests/fetch.
 */
#include "../cm.h"

#include "fetch/host_list.h"

#include <arpa/inet.h>
#include <string.h>

static glint_status parse(const char *text, gi_url *ret) {
    glint_error err = {0};
    const glint_status st = gi_url_parse(text, strlen(text), ret, &err);
    if (st != GLINT_OK) {
        assert_int_equal(st, GLINT_ERR_ARG);
        assert_true(strlen(err.message) > 20);
    }
    return st;
}

static void rewrites(void **state) {
    static const char *const rows[][2] = {
        {"http://example.com", "http://example.com/"},
        {"HTTPS://EXAMPLE.com:443/A", "https://example.com/A"},
        {"http://example.com:443/", "http://example.com:443/"},
        {"http://example.com?x", "http://example.com/?x"},
        {"http://example.com#x", "http://example.com/"},
        {"http://example.com/a?b#c?d", "http://example.com/a?b"},
        {"http://example.com/a/./b/../c", "http://example.com/a/c"},
        {"http://example.com/../../a", "http://example.com/a"},
        {"http://example.com/a/%2E%2e", "http://example.com/"},
        {"http://example.com/a/..", "http://example.com/"},
        {"http://example.com/a/.", "http://example.com/a/"},
        {"http://example.com/a//../b", "http://example.com/a/b"},
        {"http://example.com/...", "http://example.com/..."},
        {"http://example.com/\xE5\x9B\xBE.png", "http://example.com/%E5%9B%BE.png"},
        {"http://example.com/%7e?%41", "http://example.com/%7e?%41"},
        {"http://example.com/?a='b'/../c", "http://example.com/?a=%27b%27/../c"},
        {"http://a-b_c.xn--fiqs8s/", "http://a-b_c.xn--fiqs8s/"},
        {"http://192.0.2.1:8080/", "http://192.0.2.1:8080/"},
        {"http://[2001:DB8::0:1]/", "http://[2001:db8::1]/"},
        {"http://[::ffff:1.2.3.4]:81/", "http://[::ffff:1.2.3.4]:81/"},
        {"http://1.2.3.4.com/", "http://1.2.3.4.com/"},
        {"http://0xa.com:65535/", "http://0xa.com:65535/"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        gi_url url, again;
        if (parse(rows[i][0], &url) != GLINT_OK) fail_msg("refused %s", rows[i][0]);
        assert_string_equal(url.text, rows[i][1]);
        assert_int_equal(url.n, strlen(url.text));
        assert_int_equal(parse(url.text, &again), GLINT_OK); /* what comes out stays as it is */
        assert_memory_equal(&url, &again, sizeof url);
    }
}

static const char *const REFUSED[] = {
    "",
    "http",
    "http:",
    "http:/",
    "http://",
    "http:///x",
    "http:example.com",
    "http:/example.com",
    "ftp://example.com/",
    "//example.com/",
    "example.com/",
    "data:image/png;base64,AAAA",
    "http://user@example.com/",
    "http://user:pw@example.com/",
    "http://@example.com/",
    "http://example.com\\x",
    "http://example.com/\\x",
    "http://example.com/#\\",
    "http://exa mple.com/",
    "http://example.com/a b",
    " http://example.com/",
    "http://example.com/ ",
    "http://example.com/\t",
    "http://example.com/\n",
    "http://example.com/\x7f",
    "http://example.com./",
    "http://.example.com/",
    "http://example..com/",
    "http://ex%61mple.com/",
    "http://ex\xC3\xA4mple.com/",
    "http://example.com%2f/",
    "http://exa(mple.com/",
    "http://example.com:/",
    "http://example.com:080/",
    "http://example.com:0/",
    "http://example.com:65536/",
    "http://example.com:123456/",
    "http://example.com:8a/",
    "http://example.com:-1/",
    "http://1.2.3/",
    "http://1.2.3.4.5/",
    "http://1.2.3.04/",
    "http://1.2.3.0x4/",
    "http://0x7f000001/",
    "http://2130706433/",
    "http://0177.0.0.1/",
    "http://256.1.1.1/",
    "http://a.0x/",
    "http://a.1/",
    "http://127.1/",
    "http://1.2.3.4./",
    "http://[::1/",
    "http://[::1]x/",
    "http://[::1]80/",
    "http://[fe80::1%25eth0]/",
    "http://[fe80::1%eth0]/",
    "http://[1.2.3.4]/",
    "http://[]/",
    "http://[::1::]/",
    "http://[[::1]]/",
    "http://example.com/%",
    "http://example.com/%4",
    "http://example.com/%zz",
    "http://example.com/<x>",
    "http://example.com/?\"",
    "http://example.com/{x}",
    "http://example.com/a|b",
    "http://example.com/a^b",
    "http://example.com/[x]",
    "http://example.com/`",
};

static void refuses(void **state) {
    for (size_t i = 0; i < sizeof REFUSED / sizeof REFUSED[0]; i++) {
        gi_url url = {.n = 77};
        if (parse(REFUSED[i], &url) == GLINT_OK)
            fail_msg("accepted %s as %s", REFUSED[i], url.text);
        assert_int_equal(url.n, 77);
    }
    gi_url url;
    assert_int_equal(gi_url_parse("http://a.b/\0c", 12, &url, NULL), GLINT_ERR_ARG);
}

static void lengths(void **state) {
    char text[GI_URL_BYTES_MAX + 2];
    gi_url url;
    memset(text, 'a', sizeof text);
    memcpy(text, "http://b.c/", 11);
    assert_int_equal(gi_url_parse(text, GI_URL_BYTES_MAX, &url, NULL), GLINT_OK);
    assert_int_equal(url.n, GI_URL_BYTES_MAX);
    assert_int_equal(gi_url_parse(text, GI_URL_BYTES_MAX + 1, &url, NULL), GLINT_ERR_ARG);
    text[100] = (char)0xC3; /* becomes three */
    assert_int_equal(gi_url_parse(text, GI_URL_BYTES_MAX, &url, NULL), GLINT_ERR_ARG);
    assert_int_equal(gi_url_parse(text, GI_URL_BYTES_MAX - 2, &url, NULL), GLINT_OK);
    memset(text + 7, 'a', 300);
    assert_int_equal(gi_url_parse(text, 7 + 63, &url, NULL), GLINT_OK); /* one label */
    assert_int_equal(gi_url_parse(text, 7 + 64, &url, NULL), GLINT_ERR_ARG);
    for (size_t i = 0; i < 300; i += 2) text[7 + i] = '.', text[8 + i] = 'a';
    text[7] = 'a';
    text[8] = 'b';
    assert_int_equal(gi_url_parse(text, 7 + 253, &url, NULL), GLINT_ERR_ARG); /* ends in a dot */
    assert_int_equal(gi_url_parse(text, 7 + 252, &url, NULL), GLINT_OK);
    assert_int_equal(gi_url_parse(text, 7 + 254, &url, NULL), GLINT_ERR_ARG);
}

static void resolves(void **state) {
    static const char *const rows[][2] = {
        {"/x", "http://a.b:81/x"},
        {"x", "http://a.b:81/c/x"},
        {"?q", "http://a.b:81/c/d?q"},
        {"../x?y", "http://a.b:81/x?y"},
        {"./", "http://a.b:81/c/"},
        {"//e.f/g", "http://e.f/g"},
        {"//e.f:82", "http://e.f:82/"},
        {"https://e.f", "https://e.f/"},
        {"x#y", "http://a.b:81/c/x"},
        {"x:y", NULL},
        {"", NULL},
        {"#x", NULL},
        {"///x", NULL},
        {"//u@e.f/", NULL},
        {"\\x", NULL},
        {"javascript:x", NULL},
        {"http:x", NULL},
    };
    gi_url base, url;
    assert_int_equal(parse("http://a.b:81/c/d?e", &base), GLINT_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *ref = rows[i][0];
        const glint_status st = gi_url_resolve(&base, ref, strlen(ref), &url, NULL);
        if (st != (rows[i][1] ? GLINT_OK : GLINT_ERR_ARG)) fail_msg("%s", ref);
        if (rows[i][1]) assert_string_equal(url.text, rows[i][1]);
    }
}

static bool allows(const char *pattern, const char *host) {
    gi_host_pattern p;
    gi_url_host h;
    assert_int_equal(gi_host_pattern_parse(pattern, &p, NULL), GLINT_OK);
    assert_int_equal(gi_url_parse_host(host, strlen(host), &h, NULL), GLINT_OK);
    return gi_host_allowed(&p, 1, &h);
}

static void host_patterns(void **state) {
    assert_true(allows("example.com", "EXAMPLE.com"));
    assert_true(allows("EXAMPLE.com", "example.com"));
    assert_false(allows("example.com", "a.example.com"));
    assert_false(allows("example.com", "xexample.com"));
    assert_true(allows("*.example.com", "a.example.com"));
    assert_true(allows("*.example.com", "a.b.example.com"));
    assert_false(allows("*.example.com", "example.com"));
    assert_false(allows("*.example.com", "aexample.com"));
    assert_false(allows("*.example.com", "example.com.evil"));
    assert_true(allows("192.0.2.1", "192.0.2.1"));
    assert_true(allows("[2001:db8::1]", "[2001:DB8:0::1]"));
    assert_false(allows("[::ffff:1.2.3.4]", "1.2.3.4"));
    static const char *const bad[] = {"",          "*",        "*.",   "*.*",    "a.*", "*a.b",
                                      "*.1.2.3.4", "1.2.3",    "a..b", "a:80",   "a/",  "::1",
                                      "[::1",      "http://a", "a.",   "*.[::1]"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        gi_host_pattern p;
        if (gi_host_pattern_parse(bad[i], &p, NULL) != GLINT_ERR_ARG) fail_msg("took %s", bad[i]);
    }
    gi_url_host h;
    assert_int_equal(gi_url_parse_host("a", 1, &h, NULL), GLINT_OK);
    assert_false(gi_host_allowed(NULL, 0, &h));
}

/* The first and last address of ranges, and their neighbours. */
static void address_classes(void **state) {
    static const struct {
        const char *address;
        gi_ip_class class;
    } rows[] = {
        {"0.255.255.255", GI_IP_FORBIDDEN},
        {"1.0.0.0", GI_IP_PUBLIC},
        {"9.255.255.255", GI_IP_PUBLIC},
        {"10.0.0.0", GI_IP_PRIVATE},
        {"10.255.255.255", GI_IP_PRIVATE},
        {"11.0.0.0", GI_IP_PUBLIC},
        {"100.63.255.255", GI_IP_PUBLIC},
        {"100.64.0.0", GI_IP_PRIVATE},
        {"100.100.100.200", GI_IP_FORBIDDEN},
        {"100.127.255.255", GI_IP_PRIVATE},
        {"100.128.0.0", GI_IP_PUBLIC},
        {"127.0.0.1", GI_IP_PRIVATE},
        {"128.0.0.0", GI_IP_PUBLIC},
        {"169.254.169.254", GI_IP_FORBIDDEN},
        {"172.15.255.255", GI_IP_PUBLIC},
        {"172.16.0.0", GI_IP_PRIVATE},
        {"172.31.255.255", GI_IP_PRIVATE},
        {"172.32.0.0", GI_IP_PUBLIC},
        {"192.168.0.0", GI_IP_PRIVATE},
        {"192.169.0.0", GI_IP_PUBLIC},
        {"198.17.255.255", GI_IP_PUBLIC},
        {"198.19.255.255", GI_IP_FORBIDDEN},
        {"198.20.0.0", GI_IP_PUBLIC},
        {"223.255.255.255", GI_IP_PUBLIC},
        {"224.0.0.0", GI_IP_FORBIDDEN},
        {"255.255.255.255", GI_IP_FORBIDDEN},
        {"::", GI_IP_FORBIDDEN},
        {"::1", GI_IP_PRIVATE},
        {"::2", GI_IP_FORBIDDEN},
        {"::ffff:8.8.8.8", GI_IP_FORBIDDEN},
        {"64:ff9b::808:808", GI_IP_FORBIDDEN},
        {"1fff::", GI_IP_FORBIDDEN},
        {"2000::", GI_IP_PUBLIC},
        {"2001:1ff::", GI_IP_FORBIDDEN},
        {"2001:200::", GI_IP_PUBLIC},
        {"2001:db8::", GI_IP_FORBIDDEN},
        {"2001:db9::", GI_IP_PUBLIC},
        {"2002::", GI_IP_FORBIDDEN},
        {"2003::", GI_IP_PUBLIC},
        {"3ffe::", GI_IP_FORBIDDEN},
        {"3fff:fff::", GI_IP_FORBIDDEN},
        {"3fff:1000::", GI_IP_PUBLIC},
        {"4000::", GI_IP_FORBIDDEN},
        {"fc00::", GI_IP_PRIVATE},
        {"fd00:ec2::254", GI_IP_FORBIDDEN},
        {"fdff::", GI_IP_PRIVATE},
        {"fe80::", GI_IP_FORBIDDEN},
        {"ff02::1", GI_IP_FORBIDDEN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        gi_ip ip = {.is_v6 = strchr(rows[i].address, ':') != NULL};
        const char *name = NULL;
        assert_int_equal(inet_pton(ip.is_v6 ? AF_INET6 : AF_INET, rows[i].address, ip.bytes), 1);
        if (gi_ip_classify(&ip, &name) != rows[i].class)
            fail_msg("%s is %s", rows[i].address, name);
    }
}

static void socket_addresses(void **state) {
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(443)};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(80)};
    const struct sockaddr other = {.sa_family = AF_UNIX};
    gi_ip a, b;
    uint16_t port;
    char text[GI_IP_TEXT_BYTES];
    assert_int_equal(inet_pton(AF_INET6, "2001:db8::1", &v6.sin6_addr), 1);
    assert_int_equal(inet_pton(AF_INET, "192.0.2.7", &v4.sin_addr), 1);
    assert_true(gi_ip_from_sockaddr((const struct sockaddr *)&v6, &a, &port));
    assert_int_equal(port, 443);
    gi_ip_format(&a, text);
    assert_string_equal(text, "[2001:db8::1]");
    assert_true(gi_ip_from_sockaddr((const struct sockaddr *)&v4, &b, NULL));
    gi_ip_format(&b, text);
    assert_string_equal(text, "192.0.2.7");
    assert_false(gi_ip_equals(&a, &b));
    v6.sin6_scope_id = 2;
    assert_false(gi_ip_from_sockaddr((const struct sockaddr *)&v6, &a, NULL));
    assert_false(gi_ip_from_sockaddr(&other, &a, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rewrites),         cmocka_unit_test(refuses),
        cmocka_unit_test(lengths),          cmocka_unit_test(resolves),
        cmocka_unit_test(host_patterns),    cmocka_unit_test(address_classes),
        cmocka_unit_test(socket_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
