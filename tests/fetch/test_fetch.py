"""src/fetch against a world in which every address answers: what it fetches, what it refuses, and
that no packet ever goes to an address that is not public."""
import json
import os
import time
import unittest
from urllib.parse import quote

import world

world.enter()

from origin import PNG, Certificates, Origin
from probe import Probe

SUITES = os.environ["GLINT_SUITES"]
PUBLIC = "93.184.216.34"
PUBLIC6 = "2606:4700::1111"
# Public addresses without a route to them.
FAR = [f"93.184.219.{i}" for i in range(1, 9)]
FAR6 = [f"2606:4700:dead::{i}" for i in range(1, 9)]
# One of each kind that must not be reached, as a name server may give it.
REFUSED = """0.0.0.0 0.1.2.3 10.1.2.3 100.64.0.1 100.100.100.200 127.0.0.1 127.9.9.9 169.254.1.1
169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192 192.0.2.1 192.88.99.1 192.168.1.1
198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 168.63.129.16
:: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:93.184.216.34 64:ff9b::7f00:1 64:ff9b:1::1 100::1 2001::1
2001:db8::1 2002:7f00:1::1 2002:5db8:d822::1 3fff::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1 fec0::1
ff02::1 ff0e::1""".split()

NAMES = {
    "ok.pics.test": [PUBLIC], "v6.pics.test": [PUBLIC6], "both.pics.test": [PUBLIC6, PUBLIC],
    "alias.pics.test": ["@ok.pics.test", PUBLIC], "wrong.pics.test": [PUBLIC], "selfsigned.pics.test": [PUBLIC],
    "elsewhere.test": [PUBLIC], "mixed.pics.test": [PUBLIC, "10.0.0.1"], "mixed6.pics.test": [PUBLIC, "fd00::1"],
    "alias-in.pics.test": ["@internal.test", "10.0.0.1"], "dead.pics.test": lambda n: None,
    "many.pics.test": [f"93.184.217.{i}" for i in range(33)],
    "far4.pics.test": [*FAR, PUBLIC6], "far6.pics.test": [*FAR6, PUBLIC], "third.pics.test": [*FAR[:2], PUBLIC],
    "far.pics.test": [*FAR, *FAR6], "far-in.pics.test": [*FAR, "fd00::1"],
    "rebind.pics.test": lambda n: [PUBLIC] if n == 1 else ["10.0.0.1"],
    "rebind-back.pics.test": lambda n: ["10.0.0.1"] if n == 1 else [PUBLIC],
    "moved.pics.test": lambda n: ["93.184.216.40" if n == 1 else "93.184.216.41"],
    "allowed.test": [PUBLIC], "google.com": [PUBLIC], "redis": ["10.0.0.5"], "rancher-metadata": ["169.254.169.250"],
    "remote-ip-address": ["169.254.170.2"], "metadata.google.internal": ["169.254.169.254"],
    "kubernetes.default.svc": ["10.96.0.1"], "localhost": ["127.0.0.1"],
    **{f"r{i}.pics.test": [address] for i, address in enumerate(REFUSED)},
}

CERTIFICATES = Certificates(["ok.pics.test", "v6.pics.test", "rebind.pics.test", "*.pics.test"])
world.cut_off("93.184.219.0/24", "2606:4700:dead::/48")
WITNESS = world.Witness()
DNS = world.Dns(NAMES)
ORIGIN = Origin(CERTIFICATES, folder=os.path.join(SUITES, "http-curl-replies"))
HTTPS = ("--host", "*.pics.test", "--ca", CERTIFICATES.ca)
HTTP = (*HTTPS, "--http")


class Base(unittest.TestCase):
    def tearDown(self):
        time.sleep(0.02)  # the last packets
        self.assertEqual(WITNESS.intruders(), [], "packets to addresses that are not public")
        self.assertEqual(WITNESS.lost(), 0)

    def assert_fetched(self, result, n_bytes=len(PNG)):
        self.assertEqual((result.status, result.n_bytes), ("ok", n_bytes), result)

    def wait_for(self, is_so):
        until = time.monotonic() + 10
        while not is_so():
            self.assertLess(time.monotonic(), until)
            time.sleep(0.01)

    def assert_nothing_held(self, probe):
        """The fetcher lets go of its own share after it has told of the end."""
        self.wait_for(lambda: probe.stats.used_bytes == 0)

    def assert_failed(self, result, words, status=None):
        self.assertNotEqual(result.status, "ok", result)
        self.assertIn(words, result.message)
        if status:
            self.assertEqual(result.status, status)


class Fetching(Base):
    def test_over_tls_and_both_families(self):
        with Probe(*HTTPS) as probe:
            for host in ("ok", "v6", "both", "alias"):
                self.assert_fetched(probe.get(f"https://{host}.pics.test/ok.png?host={host}"))
            self.assertEqual(probe.stats.lookups, 4)
        self.assertEqual(ORIGIN.asked("/ok.png?host=v6")[0].address, PUBLIC6)

    def test_where_a_family_has_no_route(self):
        """However many addresses of the other family stand before the one that can be reached."""
        with Probe(*HTTP) as probe:
            for host, n_tried in (("far4", 2), ("far6", 1), ("third", 3)):
                before = probe.stats
                self.assert_fetched(probe.get(f"http://{host}.pics.test/ok.png?far"))
                self.assertEqual(probe.stats.transfers - before.transfers, n_tried, host)
            self.assertEqual([r.address for r in ORIGIN.asked("/ok.png?far")], [PUBLIC6, PUBLIC, PUBLIC])
            before = probe.stats
            self.assert_failed(probe.get("http://far.pics.test/ok.png"), "connect")
            self.assertEqual(probe.stats.transfers - before.transfers, 6)
            self.assert_failed(probe.get("http://far-in.pics.test/ok.png"), "fd00::1] is refused")
            self.assertEqual(probe.stats.transfers - before.transfers, 6)
        for host in ("far4", "far6", "third", "far"):
            self.assertEqual((DNS.asked[f"{host}.pics.test", 1], DNS.asked[f"{host}.pics.test", 28]), (1, 1))

    def test_says_little(self):
        """Nothing of the environment, and nothing that names the machine."""
        surroundings = {"http_proxy": "http://10.0.0.1:3128", "https_proxy": "http://10.0.0.1:3128",
                        "all_proxy": "socks5://10.0.0.1:1080", "HOME": CERTIFICATES.folder,
                        "HOSTALIASES": CERTIFICATES.path("aliases")}
        with open(CERTIFICATES.path(".netrc"), "w", encoding="ascii") as file:
            file.write("default login u password p\n")
        with open(CERTIFICATES.path("aliases"), "w", encoding="ascii") as file:
            file.write("ok internal.test\n")
        with Probe(*HTTP, env=surroundings) as probe:
            for _ in range(2):
                self.assert_fetched(probe.get("http://ok.pics.test/cookie"))
            self.assert_failed(probe.get("http://ok.pics.test/auth"), "401")
        heads = [r.head for r in ORIGIN.asked("/cookie") + ORIGIN.asked("/auth")]
        self.assertEqual(len(heads), 3)
        for head in heads:
            fields = sorted(line.split(":")[0] for line in head.split("\r\n")[1:])
            self.assertEqual(fields, ["Accept", "Host", "User-Agent"])
            self.assertTrue(head.endswith("HTTP/1.1") or "HTTP/1.1\r\nHost: ok.pics.test" in head)

    def test_sends_what_was_parsed(self):
        with Probe(*HTTP) as probe:
            self.assert_fetched(probe.get("http://OK.pics.test:80/a/%2e%2e/./ok.png?x='图#frag"))
        self.assertEqual(ORIGIN.requests[-1].path, "/ok.png?x=%27%E5%9B%BE")

    def test_reuses_connections_to_the_checked_address(self):
        with Probe(*HTTPS) as probe:
            for i in range(4):
                self.assert_fetched(probe.get(f"https://ok.pics.test/ok.png?reuse={i}"))
            self.assertEqual(len({r.connection for r in ORIGIN.asked("/ok.png?reuse")}), 1)
            # A name that moved is not asked over the connection to its old address.
            self.assert_fetched(probe.get("https://moved.pics.test/ok.png?moved=1"))
            self.assert_fetched(probe.get("https://moved.pics.test/ok.png?moved=2"))
        self.assertEqual([r.address for r in ORIGIN.asked("/ok.png?moved")], ["93.184.216.40", "93.184.216.41"])

    def test_tls_is_verified(self):
        with Probe(*HTTPS) as probe:
            self.assert_failed(probe.get("https://wrong.pics.test/ok.png?tls"), "certificate")
            self.assert_failed(probe.get("https://selfsigned.pics.test/ok.png?tls"), "certificate")
        with Probe("--host", "*.pics.test") as probe:  # the test's root is not the system's
            self.assert_failed(probe.get("https://ok.pics.test/ok.png?tls"), "certificate")
        self.assertEqual(ORIGIN.asked("/ok.png?tls"), [])


class Policy(Base):
    def test_hosts_schemes_ports(self):
        with Probe(*HTTPS) as probe:
            self.assert_failed(probe.get("http://ok.pics.test/ok.png"), "http is not allowed", "refused")
            self.assert_failed(probe.get("https://elsewhere.test/ok.png"), "not allowed", "refused")
            self.assert_failed(probe.get("https://pics.test/ok.png"), "not allowed", "refused")
            self.assert_failed(probe.get("https://notpics.test/ok.png"), "not allowed", "refused")
            self.assert_failed(probe.get("https://ok.pics.test.evil.test/"), "not allowed", "refused")
            self.assert_failed(probe.get("https://ok.pics.test:8080/ok.png"), "port", "refused")
            self.assert_failed(probe.get(f"https://{PUBLIC}/ok.png"), "not allowed", "refused")
            self.assertEqual(probe.stats[:5], (7, 0, 7, 0, 0))
        with Probe(*HTTP, "--port", 8080, "--host", PUBLIC, "--host", f"[{PUBLIC6}]") as probe:
            self.assert_fetched(probe.get("http://ok.pics.test:8080/ok.png"))
            self.assert_fetched(probe.get(f"http://{PUBLIC}/ok.png"))
            self.assert_fetched(probe.get(f"http://[{PUBLIC6}]/ok.png"))
            self.assertEqual(ORIGIN.requests[-1].head.split("\r\n")[1], f"Host: [{PUBLIC6}]")

    def test_names_of_refused_addresses(self):
        with Probe(*HTTP) as probe:
            for i in range(len(REFUSED)):
                self.assert_failed(probe.get(f"http://r{i}.pics.test/ok.png"), "refused", "input/output error")
            self.assertEqual(probe.stats.transfers, 0)

    def test_refused_addresses_in_numbers(self):
        hosts = [f"[{a}]" if ":" in a else a for a in REFUSED]
        with Probe(*HTTP, *(word for host in hosts for word in ("--host", host))) as probe:
            for host in hosts:
                self.assert_failed(probe.get(f"http://{host}/ok.png"), "refused (", "refused")
            self.assertEqual(probe.stats.transfers, 0)

    def test_one_refused_address_refuses_the_host(self):
        with Probe(*HTTP) as probe:
            self.assert_failed(probe.get("http://mixed.pics.test/ok.png"), "10.0.0.1 is refused")
            self.assert_failed(probe.get("http://mixed6.pics.test/ok.png"), "fd00::1] is refused")
            self.assert_failed(probe.get("http://alias-in.pics.test/ok.png"), "10.0.0.1 is refused")
            self.assert_failed(probe.get("http://many.pics.test/ok.png"), "usable set")
            self.assertEqual(probe.stats.transfers, 0)

    def test_hosts_file_counts_too(self):
        with Probe(*HTTP, "--host", "inhosts.test", "--host", "localhost") as probe:
            self.assert_failed(probe.get("http://inhosts.test/ok.png"), "10.0.0.9 is refused")
            self.assert_failed(probe.get("http://localhost/ok.png"), "is refused (loopback)")

    def test_no_search_domains(self):
        """/etc/resolv.conf says `search pics.test`; a name means the same with it and without."""
        with Probe(*HTTP, "--host", "ok") as probe:
            self.assert_failed(probe.get("http://ok/ok.png"), "lookup")
        self.assertIn(("ok", 1), DNS.asked)

    def test_rebinding(self):
        """Public when checked, private when asked again: there is no second question."""
        with Probe(*HTTP) as probe:
            self.assert_fetched(probe.get("http://rebind.pics.test/ok.png?rebind"))
            self.assertEqual(DNS.asked["rebind.pics.test", 1], 1)
            self.assertEqual(ORIGIN.asked("/ok.png?rebind")[0].address, PUBLIC)
            self.assert_failed(probe.get("http://rebind.pics.test/ok.png?rebind"), "10.0.0.1 is refused")
            self.assert_failed(probe.get("http://rebind-back.pics.test/ok.png"), "10.0.0.1 is refused")
        self.assertEqual(len(ORIGIN.asked("/ok.png?rebind")), 1)

    def test_private_when_allowed_but_never_the_forbidden(self):
        """What --allow-private-images opens is seen at work at the end, where the witness may see it."""
        private = [a for a in REFUSED if a.split(".")[0] in ("10", "127", "172", "192") or a in ("100.64.0.1", "::1", "fc00::1")]
        private = [a for a in private if not a.startswith(("192.0.", "192.88."))]
        with Probe(*HTTP, "--private") as probe:
            for i, address in enumerate(REFUSED):
                if address not in private:
                    self.assert_failed(probe.get(f"http://r{i}.pics.test/ok.png"), "refused")
            self.assertEqual(probe.stats.transfers, 0)


class Redirects(Base):
    def test_followed(self):
        with Probe(*HTTP) as probe:
            for to in ("/ok.png", "ok.png?x", "//v6.pics.test/ok.png", "http://v6.pics.test/ok.png",
                       "https://ok.pics.test/ok.png", "../../ok.png"):
                for status in (301, 302, 303, 307, 308):
                    self.assert_fetched(probe.get(f"http://ok.pics.test/redirect?status={status}&to={to}"))
            self.assert_fetched(probe.get("http://ok.pics.test/hops?n=3"))

    def test_not_followed(self):
        with Probe(*HTTP) as probe:
            for to, why in (("http://10.0.0.1/ok.png", "not allowed"), ("http://r2.pics.test/ok.png", "10.1.2.3 is refused"),
                            ("http://169.254.169.254/latest/", "not allowed"), ("http://elsewhere.test/", "not allowed"),
                            ("http://ok.pics.test:22/", "port"), ("http://u:p@ok.pics.test/", "user name"),
                            ("file:///etc/passwd", "http"), ("gopher://ok.pics.test/", "http"), ("ftp://ok.pics.test/x", "http"),
                            ("http://2130706433/", "number"), ("\\\\10.0.0.1/", "backslash"), ("", "stays"), ("#x", "stays"),
                            ("http://ok.pics.test\\@10.0.0.1/", "backslash"),
                            ("http://mixed.pics.test/", "is refused"), ("data:image/png;base64,AAAA", "http")):
                self.assert_failed(probe.get("http://ok.pics.test/redirect?to=" + quote(to)), why)
            self.assert_failed(probe.get("http://ok.pics.test/hops?n=4"), "too often")
            self.assert_failed(probe.get("http://ok.pics.test/two-locations"), "one Location")
            self.assert_failed(probe.get("http://ok.pics.test/long-location?n=4080"), "longer")
            self.assert_failed(probe.get("http://ok.pics.test/long-location?n=5000"), "stays")
            self.assert_failed(probe.get("https://ok.pics.test/redirect?to=http://ok.pics.test/ok.png"), "https to http")
            self.assert_failed(probe.get("http://ok.pics.test/status?n=302"), "one Location")


class Limits(Base):
    def test_slow_and_endless(self):
        """All at once; each ends in its time, and for its reason."""
        cases = {"silence": "", "drip": "", "drip-head": "", "endless": "larger", "endless-chunks": "larger",
                 "huge-length": "", "endless-head": "headers", "endless-line": "", "endless-interim": "",
                 "endless-trailers": "", "te-bomb": "headers"}
        with Probe(*HTTP, "--total-ms", 3000, "--file-bytes", 1 << 20) as probe:
            numbers = {path: probe.begin(f"http://ok.pics.test/{path}") for path in cases}
            for path, why in cases.items():
                result = probe.end(numbers[path])
                self.assert_failed(result, why)
                self.assertLess(result.ms, 3800, path)
            self.assert_nothing_held(probe)
            self.assert_fetched(probe.get("http://ok.pics.test/ok.png"))

    def test_dead_name_server_and_dead_host(self):
        with Probe(*HTTP, "--total-ms", 1500) as probe:
            number = probe.begin("http://dead.pics.test/ok.png")
            self.assert_fetched(probe.get("http://ok.pics.test/ok.png"))
            result = probe.end(number)
            self.assert_failed(result, "took too long")
            self.assertLess(result.ms, 2200)
            self.assert_failed(probe.get("http://nosuch.pics.test/ok.png"), "lookup")
            self.assert_failed(probe.get("http://ok.pics.test:443/ok.png"), "ok.pics.test: ")

    def test_sizes(self):
        with Probe(*HTTP, "--file-bytes", 100000) as probe:
            self.assert_fetched(probe.get("http://ok.pics.test/size?n=100000"), 100000)
            self.assert_failed(probe.get("http://ok.pics.test/size?n=100001"), "", "over a limit")
            self.assert_failed(probe.get("http://ok.pics.test/size?n=0"), "empty")

    def test_compressed_bodies_stay_compressed(self):
        with Probe(*HTTP) as probe:
            result = probe.get("http://ok.pics.test/bomb?as=Content-Encoding")
            self.assertLess(result.n_bytes, 1 << 17)

    def test_half_replies(self):
        with Probe(*HTTP) as probe:
            for path in ("short", "old", "status?n=404", "status?n=500", "status?n=204", "status?n=206", "status?n=304",
                         "status?n=999"):
                self.assert_failed(probe.get(f"http://ok.pics.test/{path}"), "ok.pics.test: ")

    def test_all_fetched_bytes_together(self):
        with Probe(*HTTP, "--file-bytes", 100000, "--held-bytes", 250000, "--kept-bytes", 0) as probe:
            numbers = [probe.begin(f"http://ok.pics.test/size?n=100000&held={i}") for i in range(3)]
            time.sleep(0.5)
            self.assertLessEqual(probe.stats.used_bytes, 250000)
            statuses = sorted(probe.end(number).status for number in numbers)
            self.assertEqual(statuses, ["busy", "ok", "ok"])
            self.assert_nothing_held(probe)
            self.assert_fetched(probe.get("http://ok.pics.test/size?n=100000"), 100000)

    def test_how_many_at_once(self):
        ORIGIN.gate.clear()
        with Probe(*HTTP, "--transfers", 2, "--waiting", 6) as probe:
            numbers = [probe.begin(f"http://ok.pics.test/gated?many={i}") for i in range(6)]
            time.sleep(0.3)
            self.assertEqual(len(ORIGIN.asked("/gated?many")), 2)
            with self.assertRaisesRegex(AssertionError, "too many"):
                probe.begin("http://ok.pics.test/gated?many=6")
            ORIGIN.gate.set()
            for number in numbers:
                self.assert_fetched(probe.end(number))


class Sharing(Base):
    def test_same_url_is_fetched_once(self):
        ORIGIN.gate.clear()
        with Probe(*HTTP) as probe:
            numbers = [probe.begin(url) for url in ("http://ok.pics.test/gated?one", "http://OK.pics.test:80/gated?one#x") * 4]
            time.sleep(0.2)
            ORIGIN.gate.set()
            for number in numbers:
                self.assert_fetched(probe.end(number))
            self.assertEqual((probe.stats.joined, probe.stats.transfers), (7, 1))
        self.assertEqual(len(ORIGIN.asked("/gated?one")), 1)

    def test_cancelled_ones_go_and_the_others_stay(self):
        ORIGIN.gate.clear()
        with Probe(*HTTP) as probe:
            numbers = [probe.begin("http://ok.pics.test/gated?two") for _ in range(3)]
            late = probe.begin("http://ok.pics.test/gated?two", timeout_ms=150)
            time.sleep(0.1)
            probe.cancel(numbers[0])
            self.assertEqual(probe.end(numbers[0]).status, "cancelled")
            self.assertEqual(probe.end(late).status, "deadline")
            ORIGIN.gate.set()
            for number in numbers[1:]:
                self.assert_fetched(probe.end(number))

    def test_given_up_when_nobody_waits(self):
        ORIGIN.gate.clear()
        with Probe(*HTTP, "--transfers", 1) as probe:
            numbers = [probe.begin("http://ok.pics.test/silence?three") for _ in range(2)]
            time.sleep(0.1)
            for number in numbers:
                probe.cancel(number)
                result = probe.end(number)
                self.assertEqual(result.status, "cancelled")
                self.assertLess(result.ms, 1000)
            self.assert_fetched(probe.get("http://ok.pics.test/ok.png"))  # its place is free

    def test_who_joins_late_has_his_own_time(self):
        with Probe(*HTTP, "--total-ms", 1500, "--transfers", 1) as probe:
            url = "http://ok.pics.test/second?late"
            early = probe.begin(url)
            time.sleep(1.1)
            late = [probe.begin(url) for _ in range(2)]
            other = probe.begin("http://ok.pics.test/ok.png?late")
            result = probe.end(early)
            self.assert_failed(result, "ok.pics.test: ", "input/output error")
            self.assertGreater(result.ms, 1400)
            for number in late:
                result = probe.end(number)
                self.assert_fetched(result)
                self.assertLess(result.ms, 1500)
            self.assert_fetched(probe.end(other))
            self.assertEqual(probe.stats.joined, 2)
        self.assertEqual([r.path for r in ORIGIN.requests[-3:]], ["/second?late", "/ok.png?late", "/second?late"])

    def test_who_joins_late_has_no_more_than_that(self):
        with Probe(*HTTP, "--total-ms", 1500) as probe:
            numbers = []
            for _ in range(4):
                numbers.append(probe.begin("http://ok.pics.test/silence?later"))
                time.sleep(0.5)
            hasty = probe.begin("http://ok.pics.test/silence?later", timeout_ms=100)
            self.assert_failed(probe.end(hasty), "deadline passed", "deadline")
            for number in numbers:
                result = probe.end(number)
                self.assert_failed(result, "ok.pics.test: ", "input/output error")
                self.assertIn(result.ms, range(1400, 2300))
            self.assert_nothing_held(probe)

    def test_end_of_the_fetcher(self):
        with Probe(*HTTP) as probe:
            for i in range(5):
                probe.begin(f"http://ok.pics.test/silence?four={i}")
            probe.begin("http://dead.pics.test/x")
            start = time.monotonic()
            # end-of-file: the probe waits for each, so cancel them
            for i in range(6):
                probe.cancel(str(i))
        self.assertLess(time.monotonic() - start, 2)


class Keeping(Base):
    def fetch(self, probe, name, **args):
        """Fetch twice; what the origin saw of each."""
        query = "&".join(f"{k}={quote(v)}" for k, v in args.items())
        for _ in range(2):
            self.assert_fetched(probe.get(f"http://ok.pics.test/cache?name={name}&{query}"))
        return [r.head for r in ORIGIN.asked(f"/cache?name={name}&")]

    def test_as_headers_say(self):
        with Probe(*HTTP) as probe:
            self.assertEqual(len(self.fetch(probe, "nothing")), 2)
            self.assertEqual(len(self.fetch(probe, "fresh", send="Cache-Control: max-age=60")), 1)
            self.assertEqual(len(self.fetch(probe, "shared", send="Cache-Control: max-age=0, S-MaxAge=60")), 1)
            self.assertEqual(len(self.fetch(probe, "old", send="Cache-Control: max-age=60|Age: 60")), 2)
            self.assertEqual(len(self.fetch(probe, "none", send="Cache-Control: no-store,max-age=60")), 2)
            self.assertEqual(len(self.fetch(probe, "private", send="Cache-Control: private,max-age=60")), 2)
            self.assertEqual(len(self.fetch(probe, "vary", send="Cache-Control: max-age=60|Vary: *")), 2)

    def test_scopes_do_not_meet(self):
        """What one tenant fetched, or is fetching, does not speed up another's request."""
        with Probe(*HTTP) as probe:
            for scope in ("one", "two"):
                probe.ask("scope", scope)
                self.fetch(probe, "scoped", send="Cache-Control: max-age=60")
            self.assertEqual(len(ORIGIN.asked("/cache?name=scoped&")), 2)
            ORIGIN.gate.clear()
            numbers = []
            for scope in ("one", "two", "one"):
                probe.ask("scope", scope)
                numbers.append(probe.begin("http://ok.pics.test/gated?scoped"))
            self.wait_for(lambda: probe.stats.joined == 1)
            ORIGIN.gate.set()
            for number in numbers:
                self.assert_fetched(probe.end(number))
            self.assertEqual(len(ORIGIN.asked("/gated?scoped")), 2)

    def test_revalidates(self):
        with Probe(*HTTP) as probe:
            heads = self.fetch(probe, "etag", etag='"abc"')
            self.assertNotIn("If-None-Match", heads[0])
            self.assertIn('If-None-Match: "abc"', heads[1])
            self.assertEqual(probe.stats.kept_used, 1)
            heads = self.fetch(probe, "date", date="Sat, 01 Jan 2022 00:00:00 GMT")
            self.assertIn("If-Modified-Since: Sat, 01 Jan 2022 00:00:00 GMT", heads[1])
            heads = self.fetch(probe, "nocache", etag='"x"', send="Cache-Control: no-cache,max-age=60")
            self.assertIn('If-None-Match: "x"', heads[1])
            heads = self.fetch(probe, "both", etag='"y"', send="Cache-Control: max-age=60")
            self.assertEqual(len(heads), 1)

    def test_not_for_those_who_do_not_want_it(self):
        """Who says so is given no kept file, leaves none, asks about none, and joins nobody."""
        def get(name, send, n=1):
            for _ in range(n):
                self.assert_fetched(probe.get(f"http://ok.pics.test/cache?name={name}&etag=%22e%22&send={quote(send)}"))
            return [r.head for r in ORIGIN.asked(f"/cache?name={name}&")]

        with Probe(*HTTP) as probe:
            fresh = "Cache-Control: max-age=60"
            self.assertEqual(len(get("left", fresh)), 1)
            used_bytes = probe.stats.used_bytes
            probe.ask("cache", "off")
            heads = get("left", fresh, n=2)
            self.assertEqual(len(heads), 3)
            self.assertNotIn("If-None-Match", "".join(heads))
            self.assertEqual(len(get("new", fresh)), 1)
            self.wait_for(lambda: probe.stats.used_bytes == used_bytes)
            self.assertEqual(probe.stats.kept_used, 0)
            probe.ask("cache", "on")
            self.assertEqual(len(get("left", fresh)), 3)  # what was kept before is there still
            self.assertEqual(len(get("new", fresh)), 2)
            ORIGIN.gate.clear()
            numbers = []
            for word in ("on", "off", "off", "on"):
                probe.ask("cache", word)
                numbers.append(probe.begin("http://ok.pics.test/gated?alone"))
            self.wait_for(lambda: len(ORIGIN.asked("/gated?alone")) == 3 and probe.stats.joined == 1)
            ORIGIN.gate.set()
            for number in numbers:
                self.assert_fetched(probe.end(number))
            self.assertEqual((len(ORIGIN.asked("/gated?alone")), probe.stats.joined), (3, 1))

    def test_within_its_bytes(self):
        with Probe(*HTTP, "--kept-bytes", 0) as probe:
            self.assertEqual(len(self.fetch(probe, "off", send="Cache-Control: max-age=60")), 2)
            self.assert_nothing_held(probe)
        with Probe(*HTTP, "--kept-bytes", 2000) as probe:
            for i in range(10):
                self.fetch(probe, f"evict{i}", send="Cache-Control: max-age=60")
            self.assertIn(probe.stats.used_bytes, range(len(PNG), 6 * len(PNG)))


@unittest.skipUnless(os.path.isdir(SUITES), f"no outside suites at {SUITES}")
class Suites(Base):
    def test_ssrf_urls(self):
        """With every host and port of the suite allowed, so that nothing but the parser and the
        classes of addresses stands between them and the network."""
        with open(os.path.join(SUITES, "ssrf-urls/ssrf.json"), encoding="utf-8") as file:
            cases = json.load(file)["cases"]
        hosts = ["localhost", "ip6-loopback", "allowed.test", "*.test", "google.com", "redis", "remote-ip-address",
                 "rancher-metadata", "metadata.google.internal", "kubernetes.default.svc", "evil.com", "[::1]",
                 "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::ffff:a9fe:a9fe]", "[fd00:ec2::254]", "0.0.0.0", "127.0.0.1",
                 "127.0.1.3", "127.127.127.127", "127.88.23.245", "127.1.1.1", "127.2.2.2", "169.254.169.254",
                 "169.254.170.2", "100.100.100.200"]
        ports = [22, 25, 2379, 6379, 8000, 9000, 10050, 11111]
        options = [word for host in hosts for word in ("--host", host)] + [word for port in ports for word in ("--port", port)]
        fetched = []
        with Probe(*options, "--http", "--total-ms", 2000) as probe:
            for case in cases:
                if probe.get(case["url"]).status == "ok":
                    fetched.append(case["url"])
        print(f"ssrf-urls: {len(cases)} cases, {len(fetched)} gave a file")
        self.assertEqual(fetched, [])

    def test_http_curl_replies(self):
        """Raw replies of all kinds: an end in time, and nothing left behind."""
        names = sorted(n for n in os.listdir(ORIGIN.folder) if n.endswith(".reply"))
        n_ok = 0
        with Probe(*HTTP, "--total-ms", 3000, "--transfers", 32) as probe:
            numbers = [probe.begin(f"http://ok.pics.test/raw?file={name}") for name in names]
            for name, number in zip(names, numbers):
                result = probe.end(number)
                n_ok += result.status == "ok"
                self.assertLess(result.ms, 30000, name)
                self.assertIn(result.status, ("ok", "input/output error", "over a limit"), name)
            self.assert_fetched(probe.get("http://ok.pics.test/ok.png"))
        print(f"http-curl-replies: {len(names)} cases, {n_ok} gave a file, {len(names) - n_ok} failed cleanly")
        self.assertGreater(n_ok, 20)


class Witnessing(unittest.TestCase):
    def test_the_witness_sees(self):
        """Last of all: a packet to a private address is seen, or none of the above meant anything."""
        self.assertIn(PUBLIC, WITNESS.seen)
        self.assertIn(PUBLIC6, WITNESS.seen)
        with Probe(*HTTP, "--private") as probe:
            result = probe.get(f"http://r{REFUSED.index('10.1.2.3')}.pics.test/ok.png")
            self.assertEqual(result.status, "ok")
        self.assertEqual(WITNESS.intruders(), ["10.1.2.3"])


if __name__ == "__main__":
    unittest.main(verbosity=1)
