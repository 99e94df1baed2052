"""Several servers on one Redis: what they share, and that nobody notices when it fails."""
import http.server
import json
import os
import threading
import time
import unittest

from harness import FAKE, GLINT, ROOT, ROUTE, Server, b64, png
from redis_world import Folder, Liar, Redis, need_redis, wait_until

MODEL = os.path.join(ROOT, "models/default")


class Shared(unittest.TestCase):
    def setUp(self):
        self.folder = Folder()
        self.addCleanup(self.folder.remove)
        self.redis = Redis(self.folder)
        self.addCleanup(self.redis.stop)

    def server(self, *options, binary=FAKE, model="fake"):
        server = Server("--redis", self.redis.url, "--redis-secret-file", self.folder.secret, *options, binary=binary,
                        model=model)
        self.addCleanup(server.stop)
        self.wait_log(server, "connected")
        return server

    def wait_log(self, server, text, n=1):
        wait_until(lambda: sum(text in line for line in server.lines) >= n, f"{text}: {server.lines}")

    def ask_until_stored(self, ask, letter, n=1):
        """Ask until n values of a kind are in Redis, and return the last answer. Once is enough unless the
        machine stands still for longer than the store waits."""
        def is_stored():
            answer = ask()
            deadline = time.monotonic() + 1
            while len(self.redis.keys(letter)) < n and time.monotonic() < deadline:
                time.sleep(0.01)
            return answer if len(self.redis.keys(letter)) >= n else None

        return wait_until(is_stored, f"{n} keys of {letter}")

    def test_answers(self):
        a, b = self.server(), self.server()
        ask = {"task": "ask", "prompt": "run_ms=800;say=一二三"}
        made = self.ask_until_stored(lambda: a.post(ask), "a").json
        found = b.post(ask).json
        self.assertEqual((found["text"], found["confidence"]), (made["text"], made["confidence"]))
        self.assertLess(found["timing_ms"]["total"], 400)
        self.assertEqual(found["usage"]["cached_tokens"], made["usage"]["prompt_tokens"])
        # An audit's reasons, and a stream.
        audit = {"prompt": "say=because"}
        made = self.ask_until_stored(lambda: a.post(audit), "a", 2).json
        found = b.post(audit).json
        self.assertEqual([found[k] for k in ("result", "reasons", "tokens_generated")],
                         [made[k] for k in ("result", "reasons", "tokens_generated")])
        self.assertIn("一二三", b.post({**ask, "stream": True}).body.decode())
        # Who wants no cache leaves nothing and gets nothing.
        n = self.redis.command("DBSIZE")
        again = b.post({**ask, "cache": False}).json
        self.assertGreaterEqual(again["timing_ms"]["total"], 800)
        self.assertEqual(self.redis.command("DBSIZE"), n)

    def test_what_is_shared_can_be_chosen(self):
        a = self.server("--redis-share", "limits", "--limit-requests-per-s", "100")
        self.ask_until_stored(lambda: a.post({"task": "ask", "prompt": "say=x"}), "l")
        self.assertEqual(self.redis.keys("a"), [])

    def test_pictures(self):
        """One encodes, the other asks something else about it: the same answer, without encoding."""
        with open(os.path.join(MODEL, "sample-listing.png"), "rb") as file:
            picture = b64(file.read())
        options = ("--threads", "1", "--redis-share", "pictures", "--timeout-ms", "600000")
        a = self.server(*options, binary=GLINT, model=MODEL)
        b = self.server(*options, binary=GLINT, model=MODEL)
        first, second = ({"task": "ask", "image": picture, "prompt": prompt, "max_tokens": 8}
                         for prompt in ("What is this?", "What does it say?"))
        self.ask_until_stored(lambda: a.post(first), "p")
        shared = b.post(second).json
        self.assertEqual((shared["timing_ms"]["decode_image"], shared["timing_ms"]["encode"]), (0, 0))
        alone = b.post({**second, "cache": False}).json
        self.assertGreater(alone["timing_ms"]["encode"], 0)
        for field in ("text", "confidence", "usage"):
            if field != "usage":
                self.assertEqual(shared[field], alone[field])
        self.assertEqual(shared["usage"]["image_tokens"], alone["usage"]["image_tokens"])
        # A poisoned picture is encoded again.
        (key,) = self.redis.keys("p")
        value = self.redis.command("GET", key)
        self.redis.command("SET", key, value[:-4] + b"\0\0\0\0")
        c = self.server(*options, binary=GLINT, model=MODEL)
        again = c.post(second).json
        self.assertGreater(again["timing_ms"]["encode"], 0)
        self.assertEqual((again["text"], again["confidence"]), (alone["text"], alone["confidence"]))

    def test_fetched(self):
        """A picture is fetched by one; what its server does not let be kept is fetched by each."""
        seen = []

        class Origin(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                seen.append(self.path)
                if self.path == "/moved":
                    self.send_response(302)
                    self.send_header("Location", "/there")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(200)
                self.send_header("Cache-Control", "no-store" if self.path == "/secret" else "max-age=60")
                self.send_header("Content-Length", str(len(png())))
                self.end_headers()
                self.wfile.write(png())

            def log_message(self, *_):
                pass

        origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
        threading.Thread(target=origin.serve_forever, daemon=True).start()
        self.addCleanup(origin.server_close)
        self.addCleanup(origin.shutdown)
        options = ("--allow-image-host", "127.0.0.1", "--allow-image-port", str(origin.server_port),
                   "--allow-http-images", "--allow-private-images", "--image-cache-mib", "0", "--redis-share",
                   "fetched")
        a, b = self.server(*options), self.server(*options)

        def ask(server, path, **more):
            url = f"http://127.0.0.1:{origin.server_port}{path}"
            answer = server.post({"task": "ask", "prompt": "say=x", "image": url, **more})
            self.assertEqual((answer.status, answer.json["usage"]["image_tokens"] > 0), (200, True), answer.body)
            return answer

        self.ask_until_stored(lambda: ask(a, "/kept"), "f")
        seen.clear()
        ask(b, "/kept")
        self.assertEqual(seen, [])
        # Nothing that the URL's own reply did not allow: neither a redirect nor "no-store".
        ask(a, "/moved")
        ask(a, "/secret")
        ask(b, "/moved")
        ask(b, "/secret")
        self.assertEqual(seen, ["/moved", "/there", "/secret"] * 2)
        self.assertEqual(len(self.redis.keys("f")), 1)
        # A poisoned picture is fetched again.
        (key,) = self.redis.keys("f")
        self.redis.command("SET", key, b"\x89PNG, but whose?")
        c = self.server(*options)
        ask(c, "/kept")
        self.assertEqual(seen[-1], "/kept")
        # "cache": false uses nothing and leaves nothing; what is stored after it comes after it in the queue.
        seen.clear()
        ask(b, "/kept", cache=False)
        ask(b, "/other", cache=False)
        self.assertEqual(seen, ["/kept", "/other"])
        self.ask_until_stored(lambda: ask(b, "/third"), "f", 2)
        seen.clear()
        ask(a, "/other")
        ask(a, "/third")
        self.assertEqual(seen, ["/other"])

    def test_limits(self):
        """40 requests saved up for a tenant, whichever server they go to."""
        options = ("--limit-requests-per-s", "1", "--limit-requests-burst", "40", "--redis-share", "limits")
        servers = [self.server(*options) for _ in range(2)]
        begin = time.monotonic()
        statuses = []
        for i in range(70):
            statuses.append(servers[i % 2].post({"task": "ask", "prompt": "say=x"}).status)
            time.sleep(0.01)  # so that servers hear of each other
        passed = time.monotonic() - begin
        self.assertLessEqual(set(statuses), {200, 429})
        self.assertIn(statuses.count(200), range(40, int(40 + passed + 10)))

    def load(self, server, n_clients, seconds, disturb):
        """Clients ask while something is done to Redis: none notices."""
        statuses, n_before = [], 0
        end = time.monotonic() + seconds

        def client(who):
            connection = server.connect()
            for i in range(10**6):
                if time.monotonic() > end:
                    break
                # Half of them again and again, half new.
                prompt = f"say=c{i % 7}" if i % 2 else f"say=c{who}x{i}"
                connection.request("POST", ROUTE, json.dumps({"task": "ask", "prompt": prompt}),
                                   {"Content-Type": "application/json"})
                response = connection.getresponse()
                text = json.loads(response.read()).get("text")
                statuses.append(response.status if text == prompt[4:] else f"{response.status} {text}")
            connection.close()

        threads = [threading.Thread(target=client, args=(who,)) for who in range(n_clients)]
        for thread in threads:
            thread.start()
        time.sleep(seconds / 4)
        disturb()
        n_before = len(statuses)
        for thread in threads:
            thread.join()
        # Each was answered, and with Redis away they went on.
        self.assertEqual([s for s in statuses if s != 200], [])
        self.assertGreater(len(statuses) - n_before, 10 * n_clients)

    def back(self, server, n):
        """The breaker closes again, and answers are found again."""
        self.wait_log(server, "connected", n)
        ask = {"task": "ask", "prompt": "run_ms=600;say=back"}

        def is_found():
            return server.post(ask).json["usage"]["cached_tokens"] > 0

        wait_until(is_found, "an answer out of Redis")

    def test_disturbed(self):
        server = self.server("--limit-requests-per-s", "1000000")
        with self.subTest("killed"):
            self.load(server, 6, 1.5, self.redis.stop)
            self.wait_log(server, "going on without it")
            self.redis.start()
            self.back(server, 2)
        with self.subTest("paused"):
            self.load(server, 6, 1.5, self.redis.pause)
            self.wait_log(server, "going on without it", 2)
            self.redis.resume()
            self.back(server, 3)
        with self.subTest("replaced by a liar"):
            liars = []

            def replace():
                self.redis.stop()
                liars.append(Liar(self.redis.path, lambda command: os.urandom(300)))

            self.load(server, 6, 2.5, replace)
            self.wait_log(server, "going on without it", 3)
            liars[0].stop()
            n = sum("connected" in line for line in server.lines)
            self.redis.start()
            self.back(server, n)

    def test_metrics(self):
        a = self.server()
        ask = {"task": "ask", "prompt": "say=x"}
        self.ask_until_stored(lambda: a.post(ask), "a")
        self.assertEqual(a.post(ask).status, 200)
        (key,) = self.redis.keys("a")
        self.redis.command("SET", key, "poison")
        self.assertEqual(a.post(ask).json["text"], "x")
        f = a.figures()
        self.assertEqual((f["glint_redis_up"], f['glint_redis_refused_total{kind="answer"}']), (1, 1))
        self.assertGreaterEqual(f['glint_redis_hits_total{kind="answer"}'], 1)
        self.assertGreaterEqual(f['glint_redis_misses_total{kind="answer"}'], 2)
        self.assertGreaterEqual(f['glint_redis_stored_total{kind="answer"}'], 1)
        self.redis.stop()
        for i in range(8):
            self.assertEqual(a.post({"task": "ask", "prompt": f"say={i}"}).status, 200)
        wait_until(lambda: a.figures()["glint_redis_up"] == 0, "down")
        f = a.figures()
        self.assertGreaterEqual(f["glint_redis_breaker_opened_total"], 1)
        self.assertGreaterEqual(f["glint_redis_skipped_total"], 1)
        with Server() as alone:
            self.assertEqual([name for name in alone.figures() if name.startswith("glint_redis_")], [])

    def test_started_without_redis(self):
        self.redis.stop()
        server = Server("--redis", self.redis.url, "--redis-secret-file", self.folder.secret)
        self.addCleanup(server.stop)
        self.assertEqual(server.post({"task": "ask", "prompt": "say=x"}).json["text"], "x")
        self.wait_log(server, "going on without it")
        self.redis.start()
        self.back(server, 1)

    def test_settings(self):
        """What is wrong is said at once, and no secret with it."""
        short = self.folder.write("short", "top-secret")
        for options, words in (
                (("--redis", self.redis.url), "--redis-secret-file"),
                (("--redis-secret-file", self.folder.secret), "without --redis"),
                (("--redis", "localhost:6379", "--redis-secret-file", self.folder.secret), "redis://"),
                (("--redis", "redis://u:hidden@h:0", "--redis-secret-file", self.folder.secret), "port"),
                (("--redis", self.redis.url, "--redis-secret-file", short), "32"),
                (("--redis", self.redis.url, "--redis-secret-file", "/nowhere"), "/nowhere"),
                (("--redis", self.redis.url, "--redis-secret-file", self.folder.secret, "--redis-share", "all"),
                 "--redis-share")):
            with self.subTest(options), self.assertRaises(AssertionError) as caught:
                Server(*options).stop()
            said = str(caught.exception)
            self.assertIn(words, said)
            self.assertNotIn("hidden", said)
            self.assertNotIn("top-secret", said)


if __name__ == "__main__":
    need_redis()
    unittest.main(verbosity=2)
