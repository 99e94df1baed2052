"""What an operator sees: audit log, metrics, traces, logs, reload, draining; and what documents say of them."""
import fcntl
import hashlib
import http.client
import json
import os
import random
import re
import signal
import stat
import subprocess
import tempfile
import threading
import time
import unittest

from harness import FAKE, PATIENCE_S, ROOT, ROUTE, Server, b64, png, wait_until

try:
    from prometheus_client.parser import text_string_to_metric_families
except ImportError as missing:
    print(f"SKIPPED: {missing}; tools/setup test installs it")
    raise SystemExit(77) from None

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


class OpsTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="glint-ops-")
        self.addCleanup(self.folder.cleanup)
        self.path = os.path.join(self.folder.name, "audit.log")

    def start(self, *options, **kwargs):
        server = Server("--audit-log", self.path, *options, **kwargs)
        self.addCleanup(server.stop, signal.SIGKILL)
        return server

    def lines(self, path=None):
        with open(path or self.path, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def asked(self, path=None):
        return [line for line in self.lines(path) if line["route"] == ROUTE]


class Audit(OpsTest):
    def test_a_line_says_what_happened(self):
        salt = os.path.join(self.folder.name, "salt")
        with open(salt, "wb") as file:
            file.write(b"sixteen bytes or more")
        server = self.start("--audit-salt-file", salt)
        prompt, picture = "say=shameful;call 13800138000", png()
        answer = server.post({"prompt": prompt, "image": b64(picture)}, **{"X-Request-Id": "mine"})
        line, = self.asked()
        self.assertEqual(line["id"], "mine")
        self.assertEqual((line["method"], line["status"], line["code"]), ("POST", 200, None))
        self.assertEqual((line["task"], line["verdict"], line["confidence"]), ("audit", "reject", 0.75))
        self.assertEqual(line["usage"], answer.json["usage"])
        self.assertEqual(line["finish_reason"], "stop")
        self.assertEqual(set(line["timing_ms"]), set(answer.json["timing_ms"]))
        for noted, content in ((line["pictures"][0], picture), (line["prompt"], prompt.encode())):
            self.assertEqual(noted["sha256"], hashlib.sha256(b"sixteen bytes or more" + content).hexdigest())
            self.assertEqual(noted["bytes"], len(content))
        with open(self.path, "rb") as file:
            raw = file.read()
        for secret in (b"13800138000", b"shameful", b64(picture).encode()[:40]):
            self.assertNotIn(secret, raw)
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode) & 0o027, 0)

    def test_the_salt_is_another_at_each_start(self):
        digests = set()
        for _ in range(2):
            with self.start() as server:
                server.post({"prompt": "x"})
        digests = {line["prompt"]["sha256"] for line in self.asked()}
        self.assertEqual(len(digests), 2)

    def test_redacted_prompt(self):
        server = self.start("--audit-prompt")
        server.post({"prompt": "say=x;联系电话：138 0013 8000，邮箱 li.lei@example.com"})
        chat = {"messages": [{"role": "user", "content": "my card 4111 1111 1111 1111"}]}
        server.request("POST", "/v1/chat/completions", json.dumps(chat), {"Content-Type": "application/json"})
        # A zero hides nothing of what follows.
        server.post({"prompt": "\0call 13800138000 \0 now"})
        texts = [line["prompt_text"] for line in self.lines() if line["method"] == "POST"]
        self.assertEqual(texts, ["say=x;联系电话：[phone]，邮箱 [email]", "my card [card]\n",
                                 "\0call [phone] \0 now"])

    def test_refusals_have_lines(self):
        server = self.start("--body-max-mib", "1", "--queue-max", "1", "--prepare-threads", "1", "--sequences-max", "1",
                            "--body-timeout-ms", "300")
        expected = []

        def ask(status, code, answer):
            self.assertEqual((answer.status, answer.error["code"]), (status, code))
            expected.append((status, code))

        ask(404, "not_found", server.get("/nothing"))
        ask(405, "method_not_allowed", server.get(ROUTE))
        ask(400, "unknown_field", server.post({"pormpt": "x"}))
        ask(400, "unknown_task", server.post({"prompt": "x", "task": "no"}))
        ask(415, "unsupported_media_type", server.request("POST", ROUTE, b"x", {"Content-Type": "text/plain"}))
        ask(504, "deadline_exceeded", server.post({"prompt": "run_ms=5000", "timeout_ms": 50}))
        ask(500, "internal", server.post({"prompt": "run=internal"}))
        self.assertIn(b"413", server.raw(f"POST {ROUTE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                                         "Content-Length: 9000000\r\n\r\n".encode(), half_close=False))
        expected.append((413, "body_too_large"))
        self.assertIn(b"408", server.raw(f"POST {ROUTE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                                         "Content-Length: 9\r\n\r\n{".encode(), half_close=False))
        expected.append((408, "request_timeout"))
        self.assertIn(b"400", server.raw(b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"))
        expected.append((400, "bad_http"))

        def refusals():
            return sorted(str((line["status"], line["code"])) for line in self.lines()
                          if line["status"] != 200 and line["route"] != "/ready")

        wait_until(lambda: len(refusals()) >= len(expected), "all lines", 20)
        self.assertEqual(refusals(), sorted(map(str, expected)))

    def test_who_asked(self):
        key = "gk_" + "A" * 43
        keys = os.path.join(self.folder.name, "keys.json")
        with open(keys, "w", encoding="utf-8") as file:
            json.dump({"keys": [{"id": "web", "sha256": hashlib.sha256(key.encode()).hexdigest(), "tenant": "acme",
                                 "scopes": ["infer"]}]}, file)
        server = self.start("--api-keys", keys)
        self.assertEqual(server.post({"prompt": "x"}, Authorization=f"Bearer {key}").status, 200)
        self.assertEqual(server.post({"prompt": "x"}).status, 401)
        self.assertEqual(server.get("/metrics", Authorization=f"Bearer {key}").status, 403)
        who = [(line["tenant"], line["key_id"], line["status"]) for line in self.lines() if line["route"] != "/ready"]
        self.assertEqual(who, [("acme", "web", 200), (None, None, 401), (None, None, 403)])

    def test_a_line_per_request_under_load(self):
        server = self.start("--audit-durable", "--queue-max", "8", "--connections-max", "64")
        counts = {}
        lock = threading.Lock()

        def client(seed):
            rng = random.Random(seed)
            for i in range(40):
                name = f"c{seed}-{i}"
                fields = {"prompt": f"run_ms={rng.choice([0, 0, 2])};say={i}", "task": "ask",
                          "stream": rng.random() < 0.3}
                if rng.random() < 0.2:
                    fields["nope"] = 1
                answer = server.post(fields, **{"X-Request-Id": name})
                with lock:
                    counts[name] = answer.status

        threads = [threading.Thread(target=client, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        lines, begun = {}, set()
        for line in self.asked():
            self.assertNotIn(line["id"], lines)
            if line.get("begins"):
                self.assertNotIn(line["id"], begun)
                begun.add(line["id"])
            else:
                self.assertEqual(line["id"] in begun, line["stream"] and line["status"] == 200)
                lines[line["id"]] = line["status"]
        self.assertGreater(len(begun), 0)
        # A durable line is there before its answer: nothing to wait for.
        self.assertEqual(lines, counts)
        self.assertIn(200, counts.values())
        self.assertIn(400, counts.values())

    def test_a_durable_stream_has_a_line_before_its_first_byte(self):
        """Killed in the middle, it has left one all the same."""
        for options, n_lines in ((["--audit-durable"], 1), ([], 0)):
            path = self.path = os.path.join(self.folder.name, f"log{n_lines}")
            server = self.start(*options)
            prompt = "say=secret;times=50;piece=6;every_ms=100"
            body = json.dumps({"prompt": prompt, "task": "ask", "stream": True}).encode()
            with server.socket() as s:
                s.sendall(f"POST {ROUTE} HTTP/1.1\r\nHost: x\r\nX-Request-Id: mine\r\nContent-Type: application/json"
                          f"\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
                raw = b""
                while b"secret" not in raw:
                    raw += s.recv(4096)
                server.stop(signal.SIGKILL)
            lines = self.asked(path)
            self.assertEqual([line["id"] for line in lines], ["mine"] * n_lines)
            for line in lines:
                self.assertEqual((line["begins"], line["status"], line["stream"]), (True, 200, True))
                self.assertEqual(line["prompt"]["bytes"], len(prompt))
                self.assertNotIn("usage", line)

    def test_durable_streams_on_a_full_disk(self):
        """Nothing of them goes out, or all of it."""
        for policy, status in (("refuse", 503), ("serve", 200)):
            self.path = os.path.join(self.folder.name, policy)
            os.symlink("/dev/full", self.path)
            server = self.start("--audit-durable", "--audit-on-error", policy, wait=False)
            wait_until(lambda server=server: any("ready:" in line for line in server.lines), "the model is loaded", 60)
            answer = server.post({"prompt": "say=secret", "task": "ask", "stream": True})
            self.assertEqual((answer.status, b"secret" in answer.body), (status, status == 200))
            if status == 503:
                self.assertEqual(answer.error["code"], "audit_unavailable")
                self.assertIn("Retry-After", answer.headers)
                # It was stopped, and counts as what its client got.
                labels = {"route": ROUTE, "status": "503", "code": "audit_unavailable"}
                wait_until(lambda server=server, labels=labels: Figures(server)["glint_requests_total", labels] == 1,
                           "it is counted", 20)

    def test_who_leaves_has_a_line(self):
        server = self.start()
        for stream in (False, True):
            body = json.dumps({"prompt": "run_ms=30000;say=x", "stream": stream, "task": "ask"}).encode()
            with server.socket() as s:
                s.sendall(f"POST {ROUTE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                          f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
                time.sleep(0.2)
        wait_until(lambda: [line["status"] for line in self.asked()] == [499, 499], "two lines", 20)
        self.assertEqual([line["code"] for line in self.asked()], [None, None])

    def test_who_leaves_in_the_body_has_a_line(self):
        server = self.start()
        with server.socket() as s:
            s.sendall(f"POST {ROUTE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                      "Content-Length: 9\r\n\r\n{".encode())
        # 408 when its deadline was seen to pass before its end.
        wait_until(lambda: [line["status"] for line in self.asked()] in ([499], [408]), "one line", 20)

    def test_kill_leaves_whole_lines(self):
        for round_ in range(20):
            server = self.start()
            stop = threading.Event()

            def load(server=server, stop=stop):
                while not stop.is_set():
                    try:
                        server.post({"prompt": "say=x", "task": "ask"})
                    except (OSError, http.client.HTTPException):  # the server was killed
                        return

            threads = [threading.Thread(target=load) for _ in range(4)]
            for thread in threads:
                thread.start()
            time.sleep(0.02 + 0.01 * (round_ % 5))
            server.stop(signal.SIGKILL)
            stop.set()
            for thread in threads:
                thread.join()
            with open(self.path, "rb") as file:
                raw = file.read().split(b"\n")
            cut = [line for line in raw[:-1] if not self.is_whole(line)]
            # A write that spans two pages may end between them: one line a kill, and a line alone.
            self.assertLessEqual(len(cut), round_ + 1)
            for line in cut:
                self.assertTrue(line.startswith(b'{"time":"'[: len(line)]), line)
        self.assertGreater(len(raw), 20)

    @staticmethod
    def is_whole(line):
        try:
            return bool(json.loads(line))
        except ValueError:
            return False

    def test_half_a_line_is_ended(self):
        with open(self.path, "w", encoding="utf-8") as file:
            file.write('{"time":"2026')
        server = self.start()
        server.post({"prompt": "x"})
        with open(self.path, encoding="utf-8") as file:
            lines = file.read().splitlines()
        self.assertEqual(lines[0], '{"time":"2026')
        for line in lines[1:]:
            json.loads(line)

    def test_rotation(self):
        server = self.start()
        server.post({"prompt": "x"}, **{"X-Request-Id": "one"})
        os.rename(self.path, self.path + ".1")
        server.post({"prompt": "x"}, **{"X-Request-Id": "two"})
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: any("opened again" in line for line in server.lines), "the log is opened again", 20)
        server.post({"prompt": "x"}, **{"X-Request-Id": "three"})
        self.assertEqual([line["id"] for line in self.asked(self.path + ".1")], ["one", "two"])
        self.assertEqual([line["id"] for line in self.asked()], ["three"])

    def test_full_disk_refuses_and_heals(self):
        os.symlink("/dev/full", self.path)
        server = self.start(wait=False)
        wait_until(lambda: any("ready:" in line for line in server.lines), "the model is loaded", 60)
        for stream in (False, True):
            answer = server.post({"prompt": "say=secret", "task": "ask", "stream": stream})
            self.assertEqual((answer.status, answer.error["code"]), (503, "audit_unavailable"))
            self.assertIn("Retry-After", answer.headers)
        self.assertEqual(server.get("/nothing").status, 503)
        # A head that can be read in two ways has its line before its answer, too.
        for head in (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y", b"GET / HTTP/1.1"):
            self.assertIn(b" 503 ", server.raw(head + b"\r\n\r\n").split(b"\r\n")[0], head)
        ready = server.get("/ready")
        self.assertEqual((ready.status, ready.json), (503, {"status": "audit_unavailable"}))
        self.assertEqual(server.get("/live").status, 200)
        os.remove(self.path)
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: any("opened again" in line for line in server.lines), "the log is opened again", 20)
        wait_until(lambda: server.get("/ready").status == 200, "it heals", 20)
        self.assertEqual(server.post({"prompt": "x"}).status, 200)

    def test_stream_under_way_when_the_disk_fills(self):
        """The text is out; its end is not, and an error stands there."""
        target = os.path.join(self.folder.name, "good")
        os.symlink(target, self.path)
        server = self.start()
        answer = server.in_background({"prompt": "say=ab;times=20;piece=2;every_ms=50", "task": "ask", "stream": True})
        time.sleep(0.3)
        os.remove(self.path)
        os.symlink("/dev/full", self.path)
        server.process.send_signal(signal.SIGHUP)
        body = answer.result().body.decode()
        self.assertIn("event: error", body)
        self.assertIn("audit_unavailable", body)
        self.assertNotIn("finish_reason", body)

    def test_full_disk_serves_when_told_to(self):
        os.symlink("/dev/full", self.path)
        server = self.start("--audit-on-error", "serve")
        for stream in (False, True):
            self.assertEqual(server.post({"prompt": "say=x", "task": "ask", "stream": stream}).status, 200)
        self.assertEqual(server.get("/ready").status, 200)
        figures = Figures(server)
        self.assertGreaterEqual(figures["glint_audit_lost_lines_total", {}], 2)
        self.assertEqual(figures["glint_audit_ok", {}], 0)
        self.assertTrue(any("No space left" in line for line in server.lines))

    def test_bad_settings(self):
        salts = [os.path.join(self.folder.name, name) for name in ("short", "long")]
        for salt, n_bytes in zip(salts, (15, 1025)):
            with open(salt, "wb") as file:
                file.write(b"x" * n_bytes)
        for options, words in ((["--audit-log", "/no/such/folder/a"], "/no/such/folder/a"),
                               (["--audit-prompt"], "--audit-log"),
                               (["--audit-log", self.path, "--audit-salt-file", "/dev/null"], "/dev/null"),
                               (["--audit-log", self.path, "--audit-salt-file", salts[0]], "16 to 1024 bytes"),
                               (["--audit-log", self.path, "--audit-salt-file", salts[1]], "16 to 1024 bytes"),
                               (["--audit-log", self.path, "--audit-on-error", "pray"], "--audit-on-error")):
            done = subprocess.run([FAKE, "serve", "--listen", "127.0.0.1:0", "--model", "x", *options],
                                  capture_output=True, text=True, timeout=PATIENCE_S)
            self.assertIn(done.returncode, (2, 3), options)
            self.assertIn(words, done.stderr)


class Pipe:
    """A pipe in place of the audit log's file: a disk that hangs for as long as nobody reads."""

    def __init__(self, path):
        os.mkfifo(path)
        self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        fcntl.fcntl(self.fd, fcntl.F_SETPIPE_SZ, 4096)
        self.raw = b""
        self.reads = threading.Event()
        self.reads.set()
        self.is_over = False
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        while not self.is_over:
            time.sleep(0.005)
            try:
                if self.reads.is_set():
                    self.raw += os.read(self.fd, 65536)
            except BlockingIOError:
                pass

    def close(self):
        self.is_over = True
        self.thread.join()
        os.close(self.fd)

    def lines(self):
        """All of them, each whole; the last may be on its way."""
        return [json.loads(line) for line in self.raw.split(b"\n")[:-1]]


class HangingAudit(OpsTest):
    def hang(self, *options):
        """A server whose disk has begun to hang, which it has not noticed yet."""
        self.pipe = Pipe(self.path)
        self.addCleanup(self.pipe.close)
        server = self.start(*options)
        self.assertEqual(server.post({"prompt": "say=x"}, **{"X-Request-Id": "before"}).status, 200)
        self.pipe.reads.clear()
        for _ in range(40):
            self.assertEqual(server.get("/live").status, 200)
        return server

    def ids(self):
        ids = [line["id"] for line in self.pipe.lines() if not line.get("begins")]
        self.assertEqual(len(ids), len(set(ids)))
        return ids

    def test_refuses_and_heals(self):
        server = self.hang("--audit-timeout-ms", "500", "--audit-durable")
        for stream in (True, False):
            answer = server.post({"prompt": "say=secret", "task": "ask", "stream": stream})
            self.assertEqual((answer.status, answer.error["code"]), (503, "audit_unavailable"))
        ready = server.get("/ready")
        self.assertEqual((ready.status, ready.json), (503, {"status": "audit_unavailable"}))
        figures = Figures(server)
        self.assertEqual((figures["glint_audit_ok", {}], figures["glint_ready", {}]), (0, 0))
        self.assertGreaterEqual(figures["glint_audit_lost_lines_total", {}], 1)
        begun = time.monotonic()
        answer = server.post({"prompt": "x"}, **{"X-Request-Id": "refused"})
        self.assertEqual((answer.status, answer.error["code"]), (503, "audit_unavailable"))
        self.assertLess(time.monotonic() - begun, 0.4)  # nothing is waited for any more
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: any("the old audit log stays" in line for line in server.lines), "it is told", 20)
        self.pipe.reads.set()
        wait_until(lambda: server.get("/ready").status == 200, "it heals", 20)
        self.assertEqual(Figures(server)["glint_audit_ok", {}], 1)
        self.assertEqual(server.post({"prompt": "x"}, **{"X-Request-Id": "after"}).status, 200)
        wait_until(lambda: "after" in self.ids(), "the log goes on", 20)
        self.assertIn("before", self.ids())
        self.assertNotIn("refused", self.ids())

    def test_serves_when_told_to(self):
        server = self.hang("--audit-timeout-ms", "500", "--audit-on-error", "serve")
        names = [f"n{i}" for i in range(5)]
        for name in names:
            self.assertEqual(server.post({"prompt": "x"}, **{"X-Request-Id": name}).status, 200)
        self.assertEqual(server.get("/ready").status, 200)
        figures = Figures(server)
        self.assertEqual((figures["glint_audit_ok", {}], figures["glint_audit_lost_lines_total", {}]), (0, 0))
        self.pipe.reads.set()
        wait_until(lambda: set(names) <= set(self.ids()), "the lines come after all", 20)
        self.assertEqual(Figures(server)["glint_audit_ok", {}], 1)

    def test_stops(self):
        """An answer is held back when the signals come: it gets its end, and the process a clean one."""
        server = self.hang("--audit-timeout-ms", "1500")
        held = server.in_background({"prompt": "say=secret"})
        time.sleep(0.3)
        server.process.send_signal(signal.SIGHUP)
        begun = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(server.process.wait(60), 0)
        self.assertLess(time.monotonic() - begun, 30)
        answer = held.result()
        self.assertEqual((answer.status, answer.error["code"]), (503, "audit_unavailable"))

    def test_who_waits_may_leave(self):
        server = self.hang("--audit-timeout-ms", "1500", "--audit-durable")
        for stream in (True, False):
            body = json.dumps({"prompt": "say=x", "stream": stream, "task": "ask"}).encode()
            with server.socket() as s:
                s.sendall(f"POST {ROUTE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                          f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
                time.sleep(0.2)
        time.sleep(2)
        self.pipe.reads.set()
        wait_until(lambda: server.get("/ready").status == 200, "it heals", 20)
        wait_until(lambda: Figures(server)["glint_requests_open", {}] == 1, "nothing is left but this", 20)
        server.stop()

    def test_a_held_stream_goes_on(self):
        """Its pieces wait for a slow disk, and all of them come."""
        server = self.hang("--audit-timeout-ms", "20000", "--audit-durable")
        answer = server.in_background({"prompt": "say=ab;times=20;piece=2;every_ms=10", "task": "ask",
                                       "stream": True})
        time.sleep(0.5)
        self.pipe.reads.set()
        body = answer.result().body.decode()
        self.assertIn("[DONE]", body)
        self.assertIn("finish_reason", body)
        # The end's line went out before the end.
        wait_until(lambda: [line for line in self.pipe.lines() if line.get("usage") and line["stream"]], "its end", 20)

    def test_another_file_ends_it(self):
        server = self.hang("--audit-timeout-ms", "500")
        self.assertEqual(server.post({"prompt": "x"}).status, 503)
        os.remove(self.path)
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: any("opened again" in line for line in server.lines), "the log is opened again", 20)
        wait_until(lambda: server.get("/ready").status == 200, "it heals", 20)
        self.assertEqual(server.post({"prompt": "x"}, **{"X-Request-Id": "after"}).status, 200)
        self.assertEqual([line["id"] for line in self.asked()], ["after"])


class Figures:
    """/metrics, parsed."""

    def __init__(self, server, **headers):
        answer = server.get("/metrics", **headers)
        assert answer.status == 200, answer.body
        self.text = answer.body.decode()
        self.media_type = answer.headers["Content-Type"]
        self.families = list(text_string_to_metric_families(self.text))
        self.samples = {}
        for family in self.families:
            for sample in family.samples:
                key = (sample.name, tuple(sorted(sample.labels.items())))
                assert key not in self.samples, key
                self.samples[key] = sample.value

    def __getitem__(self, key):
        name, labels = key
        return self.samples.get((name, tuple(sorted(labels.items()))), 0)


class Metrics(OpsTest):
    def test_counts(self):
        server = self.start("--answer-cache-mib", "1")
        for _ in range(3):
            server.post({"prompt": "say=x", "task": "ask", "image": b64(png())})
        server.post({"prompt": "x", "nope": 1})
        server.post({"prompt": "say=y", "task": "extract", "cache": False})
        server.get("/nothing")
        figures = Figures(server)
        self.assertEqual(figures.media_type, "text/plain; version=0.0.4; charset=utf-8")

        def requests(route, status, code):
            return figures["glint_requests_total", {"route": route, "status": status, "code": code}]

        self.assertEqual(requests(ROUTE, "200", ""), 4)
        self.assertEqual(requests(ROUTE, "400", "unknown_field"), 1)
        self.assertEqual(requests("-", "404", "not_found"), 1)
        labels = {"route": ROUTE, "task": "ask"}
        self.assertEqual(figures["glint_request_seconds_count", labels], 3)
        self.assertEqual(figures["glint_request_seconds_bucket", {**labels, "le": "+Inf"}], 3)
        self.assertEqual(figures["glint_stage_seconds_count", {**labels, "stage": "queue"}], 3)
        # Two of three were kept and not computed.
        self.assertEqual(figures["glint_stage_seconds_count", {**labels, "stage": "decode"}], 1)
        self.assertEqual(figures["glint_cache_hits_total", {"cache": "answer"}], 2)
        self.assertEqual(figures["glint_tokens_total", {"kind": "image"}], 3 * 64)
        self.assertEqual(figures["glint_ready", {}], 1)
        self.assertGreater(figures["glint_steps_total", {}], 0)
        self.assertGreater(figures["glint_kv_blocks", {"state": "free"}], 0)
        self.assertGreater(figures["process_resident_memory_bytes", {}], 1e6)
        self.assertGreater(figures["process_open_fds", {}], 3)
        self.assertLess(abs(figures["process_start_time_seconds", {}] - time.time()), 600)
        self.assertGreater(figures["glint_response_body_bytes_total", {}], 500)
        self.assertGreaterEqual(figures["glint_audit_lines_total", {}], 6)

    def test_who_gave_up_in_the_line_waited(self):
        server = self.start("--sequences-max", "1", "--ready-max", "1")
        first = server.in_background({"prompt": "run_ms=2000", "task": "ask"})
        wait_until(lambda: Figures(server)["glint_requests_in_state", {"state": "running"}] == 1, "it runs")
        self.assertEqual(server.post({"prompt": "x", "task": "describe", "timeout_ms": 400}).status, 504)
        self.assertEqual(first.result().status, 200)
        figures = Figures(server)
        labels = {"stage": "queue", "route": ROUTE, "task": "describe"}
        self.assertEqual(figures["glint_stage_seconds_count", labels], 1)
        self.assertGreater(figures["glint_stage_seconds_sum", labels], 0.3)
        self.assertEqual(figures["glint_stage_seconds_count", {**labels, "stage": "decode"}], 0)

    def test_histograms_grow(self):
        server = self.start()
        for ms in (0, 30, 250):
            server.post({"prompt": f"run_ms={ms}", "task": "ask"})
        figures = Figures(server)
        labels = {"route": ROUTE, "task": "ask"}
        last = 0
        for le in ("0.001", "0.025", "0.1", "0.2", "10", "+Inf"):
            n = figures["glint_request_seconds_bucket", {**labels, "le": le}]
            self.assertGreaterEqual(n, last)
            last = n
        self.assertEqual(last, 3)
        self.assertLessEqual(figures["glint_request_seconds_bucket", {**labels, "le": "0.2"}], 2)
        self.assertGreater(figures["glint_request_seconds_sum", labels], 0.28)

    def test_unknown_tasks_make_no_labels(self):
        server = self.start()
        for i in range(50):
            server.post({"prompt": "x", "task": f"t{i}"})
        text = Figures(server).text
        self.assertNotIn("t17", text)

    def test_while_loading(self):
        server = self.start(model="load_ms=2000", wait=False)
        figures = Figures(server)
        self.assertEqual(figures["glint_ready", {}], 0)
        self.assertNotIn("glint_steps_total", figures.text)

    def test_who_may(self):
        keys = os.path.join(self.folder.name, "keys.json")
        entries = []
        for name, scopes in (("watch", ["metrics"]), ("ask", ["infer"])):
            key = "gk_" + name[0] * 43
            entries.append({"id": name, "sha256": hashlib.sha256(key.encode()).hexdigest(), "tenant": "t",
                            "scopes": scopes})
        with open(keys, "w", encoding="utf-8") as file:
            json.dump({"keys": entries}, file)
        server = self.start("--api-keys", keys)
        self.assertEqual(server.get("/metrics").status, 401)
        self.assertEqual(server.get("/metrics", **{"X-API-Key": "gk_" + "x" * 43}).status, 401)
        self.assertEqual(server.get("/metrics", **{"X-API-Key": "gk_" + "a" * 43}).status, 403)
        figures = Figures(server, **{"X-API-Key": "gk_" + "w" * 43})
        for reason in ("no credential", "unknown API key", "it lacks the scope"):
            self.assertEqual(figures["glint_auth_failures_total", {"reason": reason}], 1)


class Traces(OpsTest):
    def test_taken_over(self):
        server = self.start()
        for flags in ("00", "01"):
            answer = server.post({"prompt": "x"}, traceparent=f"00-{TRACE}-{PARENT}-{flags}")
            match = re.fullmatch(rf"00-{TRACE}-([0-9a-f]{{16}})-{flags}", answer.headers["traceresponse"])
            self.assertNotEqual(match.group(1), PARENT)
            line = self.asked()[-1]
            self.assertEqual((line["trace_id"], line["parent_id"], line["span_id"]), (TRACE, PARENT, match.group(1)))
        wait_until(lambda: any(f"trace={TRACE}" in line for line in server.lines), "the log has it", 20)

    def test_made(self):
        server = self.start()
        seen = set()
        bad = [None, "", "x", f"00-{TRACE}-{PARENT}", f"00-{TRACE.upper()}-{PARENT}-01", f"00-{'0' * 32}-{PARENT}-01",
               f"00-{TRACE}-{'0' * 16}-01", f"ff-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-01-more",
               f"00-{TRACE}-{PARENT}-0g", f" 00_{TRACE}-{PARENT}-01"]
        for value in bad:
            answer = server.get("/live", **({"traceparent": value} if value is not None else {}))
            trace = answer.headers["traceresponse"].split("-")[1]
            self.assertRegex(trace, "^[0-9a-f]{32}$")
            self.assertNotEqual(trace, TRACE, value)
            seen.add(trace)
        self.assertEqual(len(seen), len(bad))
        later = server.get("/live", traceparent=f"cc-{TRACE}-{PARENT}-01-what-comes")
        self.assertIn(TRACE, later.headers["traceresponse"])

    def test_twice_is_none(self):
        server = self.start()
        text = server.raw(f"GET /live HTTP/1.1\r\nHost: x\r\ntraceparent: 00-{TRACE}-{PARENT}-01\r\n"
                          f"traceparent: 00-{TRACE}-{PARENT}-01\r\n\r\n".encode()).decode()
        self.assertIn("traceresponse: 00-", text)
        self.assertNotIn(TRACE, text)


class Logs(OpsTest):
    def test_json(self):
        server = self.start("--log-format", "json", "--log-level", "debug")
        server.post({"prompt": "x"}, **{"X-Request-Id": "mine"})
        server.stop()
        lines = [json.loads(line) for line in server.lines]
        for line in lines:
            self.assertTrue({"time", "level", "area", "message"} <= set(line), line)
        of_request, = [line for line in lines if line.get("id") == "mine"]
        self.assertEqual((of_request["status"], of_request["route"]), ("200", ROUTE))


class Draining(OpsTest):
    def test_delay(self):
        server = self.start("--drain-delay-ms", "1500")
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: server.get("/ready").status == 503, "not ready", 20)
        self.assertEqual(server.post({"prompt": "say=late", "task": "ask"}).json["text"], "late")
        self.assertEqual(server.process.wait(PATIENCE_S), 0)
        self.assertEqual(self.asked()[-1]["status"], 200)


class Documents(unittest.TestCase):
    def text(self, *parts):
        with open(os.path.join(ROOT, *parts), encoding="utf-8") as file:
            return file.read()

    def list(self, name):
        return subprocess.run([FAKE, "serve", "--list", name], capture_output=True, text=True, check=True,
                              timeout=PATIENCE_S).stdout

    def test_tables(self):
        document = self.text("docs", "operations.md")
        for name in ("metrics", "limits"):
            self.assertGreater(self.list(name).count("\n"), 20)
            self.assertIn(self.list(name), document, f"docs/operations.md: glint serve --list {name} says something else")

    def test_limits_are_all(self):
        """What has a range bounds something, but for these; and what is in MiB bounds memory, by itself or in a sum."""
        rows = re.findall(r"^\| `--([a-z-]+) [^`]*` \|[^|]*\|[^|]*\| [\d.e+]+ to [\d.e+]+ \|", self.list("options"), re.M)
        self.assertGreater(len(rows), 30)
        limits = self.list("limits")
        missing = {name for name in rows if f"| `--{name}` |" not in limits}
        self.assertEqual(missing, {"threads", "proxies", "jwt-clock-skew-s"})
        memory = re.search(r"(?ms)^\*\*Memory\*\*.*?\n\n", self.text("docs", "operations.md"))[0]
        single = {"body-max-mib", "image-fetch-mib"}
        self.assertEqual({name for name in rows if name.endswith("-mib") and f"`--{name}`" not in memory}, single)

    def test_options(self):
        """Each once, with the key that the file takes."""
        told = self.list("options")
        self.assertIn(told, self.text("docs", "configuration.md"),
                      "docs/configuration.md: glint serve --list options says something else")
        shown = subprocess.run([FAKE, "serve", "--help"], capture_output=True, text=True, check=True, timeout=PATIENCE_S)
        options = re.findall(r"^  (?:-\w,|   ) --([a-z-]+)", shown.stdout, re.M)
        rows = re.findall(r"^\| `--([a-z-]+)[^`]*` \| `([a-z_]+)` \|", told, re.M)
        self.assertEqual([row[0] for row in rows], [name for name in options if name not in ("help", "config")])
        for name, key in rows:
            with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
                file.write(json.dumps({key: None}))
                file.flush()
                done = subprocess.run([FAKE, "serve", "--config", file.name, "--model", "x"], capture_output=True,
                                      text=True, timeout=PATIENCE_S)
                self.assertIn(f"{key}: the value has the wrong type", done.stderr, name)

    def test_members_of_a_line(self):
        document = self.text("docs", "operations.md")
        source = self.text("src", "server", "audit_line.c")
        for member in re.findall(r'put\(b, "(\w+)"', source):
            self.assertIn(f"`{member}`", document, member)

    def test_dashboard(self):
        dashboard = self.text("deploy", "grafana-dashboard.json")
        json.loads(dashboard)
        names = set()
        for line in self.list("metrics").splitlines():
            name, kind = re.match(r"\| `(\w+)` \| (\w+)", line).groups()
            names |= {name + end for end in ("_bucket", "_sum", "_count")} if kind == "histogram" else {name}
        used = set(re.findall(r"\b(?:glint|process)_\w+", dashboard))
        self.assertGreater(len(used), 10)
        self.assertEqual(used - names, set())


if __name__ == "__main__":
    unittest.main(verbosity=1)
