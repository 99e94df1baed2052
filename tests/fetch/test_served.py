"""Pictures by URL through the server, in a world in which every address answers: what a client gets,
what he does not learn, and that requests which wait for a picture stand in nobody's way."""
import base64
import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import unittest

import world

world.enter()

from harness import FAKE, PATIENCE_S, ROUTE, Background, Server, b64, wait_until
from short_of_memory import each_allocation_fails
from origin import PNG, Certificates, Origin

SUITES = os.environ["GLINT_SUITES"]
PUBLIC = "93.184.216.34"
# Where the server listens, so that the packets of its clients need no exception either.
LISTEN = "93.184.216.99:0"
NAMES = {
    "ok.pics.test": [PUBLIC], "wrong.pics.test": [PUBLIC], "private.pics.test": ["10.0.0.1"], "dead.pics.test": lambda n: None,
    "allowed.test": [PUBLIC], "google.com": [PUBLIC], "redis": ["10.0.0.5"], "rancher-metadata": ["169.254.169.250"],
    "remote-ip-address": ["169.254.170.2"], "metadata.google.internal": ["169.254.169.254"],
    "kubernetes.default.svc": ["10.96.0.1"], "localhost": ["127.0.0.1"],
}
CERTIFICATES = Certificates(["*.pics.test"])
WITNESS = world.Witness()
DNS = world.Dns(NAMES)
ORIGIN = Origin(CERTIFICATES, files={"text": b"not a picture", "cut.png": PNG[:40], "empty": b"",
                                     "wide.png": PNG[:16] + b"\0\1\0\0" + PNG[20:]})


def serve(*options, **more):
    return Server("--insecure-no-auth", "--allow-image-host", "*.pics.test", "--allow-http-images", "--image-ca-file",
                  CERTIFICATES.ca, *options, listen=LISTEN, **more)


def figure(server, name):
    """None where there is no room for a connection that asks."""
    try:
        return server.figures()[name]
    except (OSError, http.client.HTTPException):
        return None


def hold(server):
    """A connection on which nothing is said; None when the server closes it at once."""
    s = server.socket()
    s.settimeout(0.3)
    try:
        s.recv(1)
    except TimeoutError:
        return s
    except OSError:
        pass
    s.close()
    return None


class Served(unittest.TestCase):
    def tearDown(self):
        time.sleep(0.02)  # the last packets
        self.assertEqual(WITNESS.intruders(), [], "packets to addresses that are not public")

    def test_pictures(self):
        with serve() as server:
            for url in ("http://ok.pics.test/ok.png", "http://ok.pics.test/ok.png"):
                answer = server.post({"image": url, "prompt": "x"})
                self.assertEqual(answer.status, 200, answer.body)
                self.assertEqual(answer.json["usage"]["image_tokens"], 64)
                self.assertGreater(answer.json["timing_ms"]["fetch"], 0)
                self.assertGreaterEqual(answer.json["timing_ms"]["queue"], 0)
            answer = server.post({"images": [b64(PNG), "https://ok.pics.test/ok.png", b64(PNG), "http://ok.pics.test/ok.png?2"],
                                  "prompt": "x"})
            self.assertEqual((answer.status, answer.json["usage"]["image_tokens"]), (200, 4 * 64))
            answer = server.post_form(("image", "https://ok.pics.test/ok.png"), ("prompt", "x"))
            self.assertEqual((answer.status, answer.json["usage"]["image_tokens"]), (200, 64))
            answer = server.post({"image": b64(PNG), "prompt": "x"})
            self.assertEqual(answer.json["timing_ms"]["fetch"], 0)

    def test_chat(self):
        def ask(server, url, **more):
            part = {"type": "image_url", "image_url": {"url": url}}
            body = {"messages": [{"role": "user", "content": [part, {"type": "text", "text": "x"}]}], **more}
            return server.request("POST", "/v1/chat/completions", json.dumps(body).encode(),
                                  {"Content-Type": "application/json"})

        with serve("--sequences-max", "4") as server:
            for n in (1, 3):
                answer = ask(server, "https://ok.pics.test/ok.png?chat", n=n)
                self.assertEqual((answer.status, len(answer.json["choices"])), (200, n), answer.body)
            answer = ask(server, "https://ok.pics.test/ok.png?chat", stream=True)
            self.assertTrue(answer.body.endswith(b"data: [DONE]\n\n"), answer.body)
            answer = ask(server, "https://ok.pics.test/status?n=404", stream=True)
            self.assertEqual((answer.status, answer.error["code"]), (422, "image_fetch_failed"))

    def test_kept_answers(self):
        """An answer belongs to what the picture is, wherever it came from; a picture that changed is
        another one."""
        def is_kept(image):
            answer = server.post({"image": image, "prompt": "x"})
            self.assertEqual(answer.status, 200, answer.body)
            return answer.json["usage"]["cached_tokens"] > 0

        url = "http://ok.pics.test/file?name=changes"
        ORIGIN.files["changes"] = PNG
        with serve("--answer-cache-mib", "1") as server:
            self.assertEqual([is_kept(url), is_kept(url), is_kept(b64(PNG))], [False, True, True])
            ORIGIN.files["changes"] = PNG + b"more"
            self.assertEqual([is_kept(url), is_kept(url), is_kept(b64(PNG))], [False, True, True])
        self.assertEqual(len(ORIGIN.asked("/file?name=changes")), 4)

    def test_memory_runs_out(self):
        """While a picture is fetched. OpenSSL and libcurl do not always say that it was memory: 422 then."""
        with serve("--image-cache-mib", "0") as server:
            for url in ("https://ok.pics.test/ok.png", "http://ok.pics.test/redirect?to=http://ok.pics.test/ok.png"):
                def ask(url=url):
                    return server.post({"image": url, "prompt": "say=abc", "task": "ask"})

                each_allocation_fails(self, server, url, ask, b"abc", also=(422,))

    def test_one_answer_for_every_failure(self):
        """Whatever went wrong, the client reads the same; why is in the log, without the URL."""
        cases = {
            "http://ok.pics.test/status?n=404": "HTTP status 404", "http://ok.pics.test/status?n=500": "HTTP status 500",
            "http://ok.pics.test:8080/": "port 8080", "https://10.0.0.1/": "not allowed", "https://elsewhere.test/": "not allowed",
            "http://private.pics.test/": "10.0.0.1 is refused", "http://dead.pics.test/": "took too long",
            "http://none.pics.test/": "lookup", "https://wrong.pics.test/": "certificate", "http://ok.pics.test/short": "ok.pics.test",
            "http://ok.pics.test/silence": "ok.pics.test", "http://ok.pics.test/size?n=2000000": "ok.pics.test",
            "http://ok.pics.test/redirect?to=http://10.0.0.1/": "not allowed", "http://ok.pics.test/hops?n=9": "too often",
            "http://ok.pics.test/file?name=text": "not a picture", "http://ok.pics.test/file?name=cut.png": "cut short",
            "http://ok.pics.test/file?name=wide.png": "too wide", "http://ok.pics.test/file?name=empty": "empty",
            "http:": "begin with", "http://u:secret@ok.pics.test/": "user name", "http://0x7f000001/": "number",
            "https://ok.pics.test\\@10.0.0.1/": "backslash", "http://ok.pics.test/" + "a" * 5000: "longer",
        }
        answers = set()
        with serve("--image-fetch-ms", "700", "--image-fetch-mib", "1") as server:
            for url, reason in cases.items():
                before = len(server.lines)
                url += "#marker" if "?" not in url else "&marker"
                answer = server.post({"image": url, "prompt": "x"})
                error = answer.error
                error.pop("request_id")
                answers.add((answer.status, json.dumps(error, sort_keys=True)))
                lines = wait_until(lambda n=before: [line for line in server.lines[n:] if " fetch " in line], url)
                self.assertIn(reason, lines[0])
                self.assertFalse([line for line in server.lines if "marker" in line or "secret" in line])
        self.assertEqual(len(answers), 1, answers)
        status, error = answers.pop()
        self.assertEqual((status, json.loads(error)["code"], json.loads(error)["param"]), (422, "image_fetch_failed", "image"))

    def test_each_picture_has_its_own_failure(self):
        """An upload's fault is told, whatever else came by URL; a URL's stays in the log."""
        url, bad_url = "http://ok.pics.test/ok.png", "http://ok.pics.test/file?name=cut.png"
        with serve() as server:
            for pictures, code in (([url, b64(PNG[:40])], "broken_image"), ([b64(b"nothing"), url], "unsupported_image"),
                                   ([b64(PNG[:16] + b"\0\1\0\0" + PNG[20:]), url, url], "image_refused"),
                                   ([b64(PNG), bad_url], "image_fetch_failed"), ([bad_url, b64(PNG[:40])], "image_fetch_failed")):
                answer = server.post({"images": pictures, "prompt": "x"})
                self.assertEqual(answer.error["code"], code, pictures)
                parts = [{"type": "image_url", "image_url": {"url": p if p[:5] == "http:" else "data:image/png;base64," + p}}
                         for p in pictures]
                body = {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}, *parts]}]}
                answer = server.request("POST", "/v1/chat/completions", json.dumps(body).encode(),
                                        {"Content-Type": "application/json"})
                self.assertEqual(answer.error["code"], code, pictures)
            logged = [line for line in server.lines if " fetch " in line]
            self.assertEqual(len([line for line in logged if "picture 2: png: cut short" in line]), 2)
            self.assertEqual(len([line for line in logged if "picture 1: png: cut short" in line]), 2)
            self.assertEqual(len(logged), 4)

    def test_who_waits_for_a_picture_stands_in_nobodys_way(self):
        with serve("--prepare-threads", "1", "--ready-max", "1", "--image-fetch-ms", "60000") as server:
            ORIGIN.gate.clear()
            waiting = [server.in_background({"image": f"http://ok.pics.test/gated?way={i}", "prompt": "x"}) for i in range(8)]
            wait_until(lambda: len(ORIGIN.asked("/gated?way")) == 8, "all are fetched at once")
            start = time.monotonic()
            for _ in range(3):
                self.assertEqual(server.post({"image": b64(PNG), "prompt": "x"}).status, 200)
            self.assertLess(time.monotonic() - start, 5)
            ORIGIN.gate.set()
            for one in waiting:
                self.assertEqual(one.result().status, 200)

    def test_a_full_line_of_fetches_is_told_as_one(self):
        """1024 may wait, however long --queue-max makes the line of requests."""
        with serve("--queue-max", "1000", "--image-fetch-ms", "60000") as server:
            ORIGIN.gate.clear()
            url = "http://ok.pics.test/gated?full"
            waiting = [server.in_background({"images": [url] * 8, "prompt": "x"}) for _ in range(1024 // 8)]
            wait_until(lambda: figure(server, "glint_fetches_total") == 1024, "all wait")
            answer = server.post({"image": url, "prompt": "x"})
            self.assertEqual((answer.status, answer.error["code"]), (429, "queue_full"))
            self.assertEqual(answer.headers["Retry-After"], "1")
            ORIGIN.gate.set()
            for one in waiting:
                self.assertEqual(one.result().status, 200)
            self.assertEqual(server.post({"image": "http://ok.pics.test/ok.png?full", "prompt": "x"}).status, 200)

    def test_no_tenant_takes_all_transfers(self):
        keys = {name: "gk_" + base64.urlsafe_b64encode(hashlib.sha256(name.encode()).digest()).rstrip(b"=").decode()
                for name in ("greedy", "other")}
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"keys": [{"id": name, "sha256": hashlib.sha256(key.encode()).hexdigest(), "tenant": name,
                                 "scopes": ["infer"]} for name, key in keys.items()]}, file)
            file.flush()
            with serve("--api-keys", file.name, "--image-fetches-max", "4", "--image-fetch-ms", "60000") as server:
                def post(name, url):
                    return server.post({"image": url, "prompt": "x"}, Authorization=f"Bearer {keys[name]}")

                ORIGIN.gate.clear()
                waiting = [Background(lambda i=i: post("greedy", f"http://ok.pics.test/gated?greedy={i}")) for i in range(6)]
                wait_until(lambda: len(ORIGIN.asked("/gated?greedy")) == 2, "the greedy one has his share")
                self.assertEqual(post("other", "http://ok.pics.test/ok.png?other").status, 200)
                self.assertEqual(len(ORIGIN.asked("/gated?greedy")), 2)
                ORIGIN.gate.set()
                for one in waiting:
                    self.assertEqual(one.result().status, 200)

    def test_figures(self):
        """What is refused and what never came are counted like the rest, with the time that was waited for it."""
        def figure(name):
            return server.figures().get(name, 0)

        def stage(name, what="count", task="audit"):
            return figure(f'glint_stage_seconds_{what}{{stage="{name}",route="{ROUTE}",task="{task}"}}')

        with serve("--image-fetch-ms", "700", "--image-cache-mib", "1") as server:
            fresh = "http://ok.pics.test/cache?name=figures&send=Cache-Control:%20max-age%3D60"
            for url in (fresh, fresh, "http://ok.pics.test/ok.png"):
                self.assertEqual(server.post({"image": url, "prompt": "x"}).status, 200)
            self.assertEqual(figure('glint_cache_hits_total{cache="url"}'), 1)
            self.assertEqual(figure('glint_cache_misses_total{cache="url"}'), 2)
            self.assertGreater(figure('glint_cache_bytes{cache="url"}'), len(PNG))
            self.assertEqual((figure("glint_fetches_total"), figure("glint_fetch_failures_total")), (3, 0))
            for url in ("https://elsewhere.test/", "http://ok.pics.test:8080/", "http:"):
                self.assertEqual(server.post({"image": url, "prompt": "x"}).status, 422)
            self.assertEqual((figure("glint_fetches_total"), figure("glint_fetch_failures_total")), (6, 3))
            before = [stage(name, what) for name in ("fetch", "queue") for what in ("count", "sum")]
            self.assertEqual(before[::2], [6, 6])
            # The fetch runs out of time; then the request does.
            self.assertEqual(server.post({"image": "http://ok.pics.test/silence?figures", "prompt": "x"}).status, 422)
            self.assertEqual(server.post({"image": "http://ok.pics.test/silence?figures", "prompt": "x",
                                          "timeout_ms": 300}).status, 504)
            after = [stage(name, what) for name in ("fetch", "queue") for what in ("count", "sum")]
            self.assertEqual(after[::2], [8, 8])
            self.assertGreater(after[1] - before[1], 0.9)
            self.assertLess(after[3] - before[3], 0.6)
            # Refused as it was read: it waited for nothing.
            self.assertEqual(server.post({"image": 1, "task": "ask"}).status, 400)
            self.assertEqual(stage("queue", task=""), 0)

    def test_nobody_waits_any_more(self):
        with serve("--image-fetches-max", "1", "--image-fetch-ms", "60000") as server:
            body = json.dumps({"image": "http://ok.pics.test/silence?gone", "prompt": "x"}).encode()
            with server.socket() as s:
                s.sendall(f"POST {ROUTE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                          f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
                wait_until(lambda: ORIGIN.asked("/silence?gone"), "it is fetched")
            start = time.monotonic()
            self.assertEqual(server.post({"image": "http://ok.pics.test/ok.png", "prompt": "x"}).status, 200)
            answer = server.post({"image": "http://ok.pics.test/silence", "prompt": "x", "timeout_ms": 200})
            self.assertEqual((answer.status, answer.error["code"]), (504, "deadline_exceeded"))
            self.assertLess(time.monotonic() - start, 10)

    def test_drain_does_not_wait_for_others(self):
        server = serve("--image-fetch-ms", "60000", "--drain-ms", "200")
        try:
            waiting = server.in_background({"image": "http://ok.pics.test/silence?drain", "prompt": "x"})
            wait_until(lambda: ORIGIN.asked("/silence?drain"), "it is fetched")
            start = time.monotonic()
        finally:
            server.stop(signal.SIGTERM)
        self.assertLess(time.monotonic() - start, 10)
        self.assertIn(waiting.result() and waiting.result().status, (503, None))

    def test_off_unless_a_host_is_allowed(self):
        with Server("--insecure-no-auth", listen=LISTEN) as server:
            for url in ("http://ok.pics.test/ok.png", "http://169.254.169.254/", "http:x"):
                answer = server.post({"image": url, "prompt": "x"})
                self.assertEqual((answer.status, answer.error["code"]), (422, "image_urls_disabled"))

    def test_connections_of_one_address(self):
        """One address gets so many connections, and the next when one is closed; here every address counts."""
        with Server("--insecure-no-auth", "--connections-per-address-max", "3", "--header-timeout-ms", "600000",
                    listen=LISTEN) as server:
            held = [wait_until(lambda: hold(server), "there is room") for _ in range(3)]
            self.assertIsNone(hold(server))
            held.pop().close()
            refused = wait_until(lambda: figure(server, "glint_connections_refused_total"), "there is room again")
            self.assertGreaterEqual(refused, 1)
            for s in held:
                s.close()

    def test_switched_off_while_it_runs(self):
        """What is under way ends, nothing begins, kept pictures are not given out; on again, all is as before."""
        with tempfile.TemporaryDirectory(prefix="glint-fetch-") as folder:
            path = os.path.join(folder, "serve.json")

            def switch(server, value, words):
                with open(path + ".new", "w", encoding="utf-8") as file:
                    json.dump({"image_urls": value}, file)
                os.replace(path + ".new", path)
                before = len(server.lines)
                server.process.send_signal(signal.SIGHUP)
                wait_until(lambda: any(words in line for line in server.lines[before:]), words)

            def refused(answer):
                self.assertEqual((answer.status, answer.error["code"]), (422, "image_urls_disabled"))

            with open(path, "w", encoding="utf-8") as file:
                file.write("{}")
            with serve("--config", path, "--image-fetch-ms", "60000", "--answer-cache-mib", "1") as server:
                fields = {"image": "http://ok.pics.test/ok.png", "prompt": "x"}
                self.assertEqual(server.post(fields).status, 200)
                silent = [server.in_background({"image": f"http://ok.pics.test/silence?off={i}", "prompt": "x"})
                          for i in range(3)]
                wait_until(lambda: len(ORIGIN.asked("/silence?off")) == 3, "all are fetched")
                start = time.monotonic()
                switch(server, "off", "image-urls off")
                for one in silent:
                    refused(one.result())
                self.assertLess(time.monotonic() - start, 20)
                n_asked = len(ORIGIN.asked("/ok.png"))
                refused(server.post(fields))
                refused(server.post({**fields, "image": "http://ok.pics.test/ok.png?new"}))
                self.assertEqual(server.post({"image": b64(PNG), "prompt": "x"}).status, 200)
                self.assertIn("glint_fetch_on 0\n", server.get("/metrics").body.decode())
                switch(server, "perhaps", "the old settings stay")
                refused(server.post(fields))
                self.assertEqual(len(ORIGIN.asked("/ok.png")), n_asked)
                switch(server, "on", "image-urls on")
                self.assertEqual(server.post(fields).status, 200)
                self.assertIn("glint_fetch_on 1\n", server.get("/metrics").body.decode())
            with serve("--image-urls", "off") as server:
                refused(server.post(fields))

    def test_settings_that_make_no_sense(self):
        for options, code, word in ((["--allow-http-images"], 2, "--allow-image-host"),
                                    (["--allow-image-host", "*"], 2, "not a host"),
                                    (["--allow-image-host", "http://a"], 2, "not a host"),
                                    (["--allow-image-host", "a.b", "--allow-image-port", "0"], 2, "not a port"),
                                    (["--allow-image-host", "a.b", "--image-ca-file", "/nowhere"], 3, "/nowhere")):
            done = subprocess.run([FAKE, "serve", "--listen", LISTEN, "--insecure-no-auth", "--model", "fake", *options],
                                  capture_output=True, text=True, timeout=PATIENCE_S)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(word, done.stderr)

    @unittest.skipUnless(os.path.isdir(SUITES), f"no outside suites at {SUITES}")
    def test_ssrf_urls(self):
        with open(os.path.join(SUITES, "ssrf-urls/ssrf.json"), encoding="utf-8") as file:
            cases = json.load(file)["cases"]
        hosts = [*NAMES, "ip6-loopback", "evil.com", "127.0.0.1", "0.0.0.0", "169.254.169.254", "[::1]", "127.1.1.1"]
        options = [word for host in hosts for word in ("--allow-image-host", host)]
        codes = {}
        with serve(*options, "--allow-image-port", "22", "--allow-image-port", "6379", "--image-fetch-ms", "2000") as server:
            for case in cases:
                answer = server.post({"image": case["url"], "prompt": "x"})
                codes.setdefault((answer.status, answer.error["code"]), []).append(case["url"])
        for (status, code), urls in codes.items():
            print(f"ssrf-urls through the server: {len(urls)} are {status} {code}")
        self.assertLessEqual(set(codes), {(422, "image_fetch_failed"), (400, "invalid_image")})
        for url in codes.get((400, "invalid_image"), []):
            self.assertFalse(url.lower().startswith(("http:", "https:")), url)


class Witnessing(unittest.TestCase):
    def test_the_witness_sees(self):
        """Last of all: a packet to a private address is seen, or none of the above meant anything."""
        self.assertIn(PUBLIC, WITNESS.seen)
        with socket.create_connection(("10.1.2.3", 80)):
            pass
        wait_until(lambda: WITNESS.intruders() == ["10.1.2.3"], "a packet to a private address is seen")


if __name__ == "__main__":
    unittest.main(verbosity=1)
