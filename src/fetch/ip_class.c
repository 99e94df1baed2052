/*
 * Two tables, searched from the top: the first range that holds the address decides, so narrow
 * ranges stand above wide ones. IPv6 is refused unless it lies in 2000::/3, the only space from
 * which public addresses are given out; that is stricter than the registry, which leaves the rest
 * unassigned.
 *
 * Link-local is forbidden and not merely private: 169.254.169.254 is where clouds keep their
 * credentials, and no picture lives there.
 */
#include "fetch/ip_class.h"

#include <arpa/inet.h>
#include <string.h>

typedef struct range {
    uint8_t prefix[16];
    int n_bits;
    gi_ip_class class;
    const char *name;
} range;

static const range V4[] = {
    {{100, 100, 100, 200}, 32, GI_IP_FORBIDDEN, "metadata service"},
    {{168, 63, 129, 16}, 32, GI_IP_FORBIDDEN, "metadata service"},
    {{0}, 8, GI_IP_FORBIDDEN, "this network"},
    {{10}, 8, GI_IP_PRIVATE, "private"},
    {{100, 64}, 10, GI_IP_PRIVATE, "shared (carrier NAT)"},
    {{127}, 8, GI_IP_PRIVATE, "loopback"},
    {{169, 254}, 16, GI_IP_FORBIDDEN, "link-local"},
    {{172, 16}, 12, GI_IP_PRIVATE, "private"},
    {{192, 0, 0}, 24, GI_IP_FORBIDDEN, "protocol assignments"},
    {{192, 0, 2}, 24, GI_IP_FORBIDDEN, "documentation"},
    {{192, 31, 196}, 24, GI_IP_FORBIDDEN, "AS112"},
    {{192, 52, 193}, 24, GI_IP_FORBIDDEN, "AMT relay"},
    {{192, 88, 99}, 24, GI_IP_FORBIDDEN, "6to4 relay"},
    {{192, 168}, 16, GI_IP_PRIVATE, "private"},
    {{192, 175, 48}, 24, GI_IP_FORBIDDEN, "AS112"},
    {{198, 18}, 15, GI_IP_FORBIDDEN, "benchmarking"},
    {{198, 51, 100}, 24, GI_IP_FORBIDDEN, "documentation"},
    {{203, 0, 113}, 24, GI_IP_FORBIDDEN, "documentation"},
    {{224}, 4, GI_IP_FORBIDDEN, "multicast"},
    {{240}, 4, GI_IP_FORBIDDEN, "reserved"},
    {{0}, 0, GI_IP_PUBLIC, "public"},
};

static const range V6[] = {
    {{0xfd, 0, 0x0e, 0xc2}, 32, GI_IP_FORBIDDEN, "metadata service"},
    {{0xfd, 0x20, 0, 0xce}, 32, GI_IP_FORBIDDEN, "metadata service"},
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128, GI_IP_PRIVATE, "loopback"},
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96, GI_IP_FORBIDDEN, "IPv4-mapped"},
    {{0, 0x64, 0xff, 0x9b}, 32, GI_IP_FORBIDDEN, "NAT64"},
    {{0xfc}, 7, GI_IP_PRIVATE, "unique local"},
    {{0xfe, 0x80}, 10, GI_IP_FORBIDDEN, "link-local"},
    {{0xff}, 8, GI_IP_FORBIDDEN, "multicast"},
    {{0x20, 0x01, 0, 0}, 32, GI_IP_FORBIDDEN, "Teredo"},
    {{0x20, 0x01, 0, 0}, 23, GI_IP_FORBIDDEN, "protocol assignments"},
    {{0x20, 0x01, 0x0d, 0xb8}, 32, GI_IP_FORBIDDEN, "documentation"},
    {{0x20, 0x02}, 16, GI_IP_FORBIDDEN, "6to4"},
    {{0x26, 0x20, 0, 0x4f, 0x80}, 48, GI_IP_FORBIDDEN, "AS112"},
    {{0x3f, 0xff}, 20, GI_IP_FORBIDDEN, "documentation"},
    {{0x3f, 0xfe}, 16, GI_IP_FORBIDDEN, "6bone"},
    {{0x20}, 3, GI_IP_PUBLIC, "public"},
    {{0}, 0, GI_IP_FORBIDDEN, "not global unicast"},
};

static bool is_within(const uint8_t *address, const range *r) {
    const int n_bytes = r->n_bits / 8, n_left = r->n_bits % 8;
    if (memcmp(address, r->prefix, (size_t)n_bytes) != 0) return false;
    if (n_left == 0) return true;
    const uint8_t mask = (uint8_t)(0xff << (8 - n_left));
    return ((address[n_bytes] ^ r->prefix[n_bytes]) & mask) == 0;
}

gi_ip_class gi_ip_classify(const gi_ip *ip, const char **ret_name) {
    const range *r = ip->is_v6 ? V6 : V4;
    while (!is_within(ip->bytes, r)) r++; /* the last row holds everything */
    if (ret_name) *ret_name = r->name;
    return r->class;
}

bool gi_ip_from_sockaddr(const struct sockaddr *sa, gi_ip *ret, uint16_t *ret_port) {
    gi_ip ip = {0};
    uint16_t port;
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, sa, sizeof v4);
        memcpy(ip.bytes, &v4.sin_addr, 4);
        port = ntohs(v4.sin_port);
    } else if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, sa, sizeof v6);
        if (v6.sin6_scope_id != 0) return false; /* an interface was named: not a global address */
        ip.is_v6 = true;
        memcpy(ip.bytes, &v6.sin6_addr, 16);
        port = ntohs(v6.sin6_port);
    } else {
        return false;
    }
    *ret = ip;
    if (ret_port) *ret_port = port;
    return true;
}

bool gi_ip_equals(const gi_ip *a, const gi_ip *b) {
    return a->is_v6 == b->is_v6 && memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

void gi_ip_format(const gi_ip *ip, char out[GI_IP_TEXT_BYTES]) {
    const int at = ip->is_v6 ? 1 : 0;
    inet_ntop(ip->is_v6 ? AF_INET6 : AF_INET, ip->bytes, out + at,
              (socklen_t)(GI_IP_TEXT_BYTES - 2));
    if (!ip->is_v6) return;
    const size_t n = strlen(out + 1) + 1;
    out[0] = '[';
    out[n] = ']';
    out[n + 1] = '\0';
}
