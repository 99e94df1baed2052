"""Many clients, slow clients, clients that leave, deadlines, and a full line."""
import base64
import hashlib
import hmac
import http.client
import json
import random
import socket
import tempfile
import threading
import time
import unittest

from harness import PATIENCE_S, ROUTE, Background, Server, b64, png, read_all, wait_until
from short_of_memory import each_allocation_fails

HEAD = f"POST {ROUTE} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n".encode()


def request_bytes(fields):
    body = json.dumps(fields).encode()
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


class Load(unittest.TestCase):
    def test_many_clients_none_lost(self):
        """Each answer is the one to its own request; bad ones fail alone."""
        n_clients, n_each = 32, 12
        picture = b64(png())
        wrong = []

        def client(server, who):
            rng = random.Random(who)
            connection = server.connect()
            for i in range(n_each):
                word = f"c{who}r{i}"
                fields = {"task": "ask", "prompt": f"run_ms={rng.randrange(3)};say={word}"}
                want = 200
                if rng.random() < 0.3:
                    fields["image"] = picture
                if rng.random() < 0.2:
                    fields["image"], want = b64(b"no picture"), 415
                connection.request("POST", ROUTE, json.dumps(fields), {"Content-Type": "application/json"})
                response = connection.getresponse()
                got = json.loads(response.read())
                if response.status != want or (want == 200 and got["text"] != word):
                    wrong.append((who, i, response.status, got))
            connection.close()

        with Server("--queue-max", "64", "--prepare-threads", "4") as server:
            threads = [threading.Thread(target=client, args=(server, i)) for i in range(n_clients)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE_S * 2)
            self.assertFalse([t for t in threads if t.is_alive()])
            self.assertEqual(wrong, [])

    def test_short_answers_do_not_wait_for_long_ones(self):
        with Server("--sequences-max", "4") as server:
            long = server.in_background({"prompt": "run_ms=4000"})
            time.sleep(0.2)
            begun = time.monotonic()
            answers = [server.post({"task": "ask", "prompt": f"run_ms=5;say={i}"}) for i in range(8)]
            self.assertEqual([a.json["text"] for a in answers], [str(i) for i in range(8)])
            self.assertLess(time.monotonic() - begun, 3)
            self.assertEqual(long.result().status, 200)

    def test_line_is_bounded(self):
        with Server("--queue-max", "3", "--ready-max", "1", "--prepare-threads", "1",
                    "--sequences-max", "1") as server:
            first = server.in_background({"prompt": "run_ms=1500"})
            time.sleep(0.3)
            waiting = [server.in_background({"prompt": "x"}) for _ in range(3)]
            time.sleep(0.3)
            answer = server.post({"prompt": "x"})
            self.assertEqual((answer.status, answer.error["code"]), (429, "queue_full"))
            self.assertIn(int(answer.headers["Retry-After"]), range(1, 61))
            # What needs no place in the line is served meanwhile.
            self.assertEqual(server.get("/ready").status, 200)
            self.assertEqual(first.result().status, 200)
            self.assertEqual([w.result().status for w in waiting], [200] * 3)
            self.assertEqual(server.post({"prompt": "x"}).status, 200)

    def test_bad_requests_do_not_wait(self):
        with Server("--ready-max", "1", "--prepare-threads", "1", "--sequences-max", "1") as server:
            first = server.in_background({"prompt": "run_ms=3000"})
            time.sleep(0.2)
            more = [server.in_background({"prompt": "x"}) for _ in range(3)]
            time.sleep(0.2)
            begun = time.monotonic()
            self.assertEqual(server.post({"promt": "x"}).status, 400)
            self.assertEqual(server.post({"prompt": "x", "timeout_ms": 100}).status, 504)
            self.assertLess(time.monotonic() - begun, 2)
            self.assertEqual(first.result().status, 200)
            self.assertEqual([m.result().status for m in more], [200] * 3)

    def test_deadline(self):
        with Server() as server:
            begun = time.monotonic()
            answer = server.post({"prompt": "run_ms=20000", "timeout_ms": 200})
            self.assertEqual((answer.status, answer.error["code"]), (504, "deadline_exceeded"))
            self.assertLess(time.monotonic() - begun, 10)
            # The server's own deadline holds when a request names none.
        with Server("--timeout-ms", "300") as server:
            self.assertEqual(server.post({"prompt": "run_ms=20000"}).status, 504)
            self.assertEqual(server.post({"prompt": "prepare_ms=600"}).status, 504)
            self.assertEqual(server.post({"prompt": "x"}).status, 200)

    def test_client_that_leaves_frees_its_place(self):
        with Server("--timeout-ms", "60000") as server:
            for stage in ("run_ms=50000", "prepare_ms=300;run_ms=50000"):
                s = server.socket()
                s.sendall(request_bytes({"prompt": stage}))
                time.sleep(0.1)
                waiting = server.socket()
                waiting.sendall(request_bytes({"prompt": "run_ms=50000"}))
                time.sleep(0.2)
                waiting.close()
                s.close()
                begun = time.monotonic()
                self.assertEqual(server.post({"prompt": "x"}).status, 200)
                self.assertLess(time.monotonic() - begun, 20)
            wait_until(lambda: sum("status=499" in line for line in server.lines) == 4, "four log lines")

    def test_client_that_resets(self):
        with Server() as server:
            s = server.socket()
            s.sendall(request_bytes({"prompt": "run_ms=50000"}))
            time.sleep(0.2)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            s.close()
            self.assertEqual(server.post({"prompt": "x"}).status, 200)

    def test_many_clients_that_leave(self):
        """At random moments, while others want answers."""
        rng = random.Random(5)
        with Server("--queue-max", "128", "--prepare-threads", "3") as server:
            stop = threading.Event()

            def leave(seed):
                mine = random.Random(seed)
                while not stop.is_set():
                    s = server.socket()
                    data = request_bytes({"prompt": f"prepare_ms={mine.randrange(3)};run_ms={mine.randrange(20)}"})
                    s.sendall(data[:mine.randrange(1, len(data) + 200)])
                    time.sleep(mine.random() * 0.02)
                    s.close()

            leavers = [threading.Thread(target=leave, args=(i,)) for i in range(6)]
            for thread in leavers:
                thread.start()
            for i in range(40):
                answer = server.post({"task": "ask", "prompt": f"say={i};run_ms={rng.randrange(4)}"})
                self.assertEqual((answer.status, answer.json["text"]), (200, str(i)))
            stop.set()
            for thread in leavers:
                thread.join(PATIENCE_S)
            self.assertEqual(server.post({"prompt": "x"}).status, 200)

    def test_memory_runs_out_once(self):
        """Wherever it does, that request has an answer or a closed connection, and the next is served."""
        picture = b64(png())
        with Server() as server:
            seen = set()
            for n in range(1, 40):
                for fields in ({"prompt": f"say=x;fail_alloc={n}"},
                               {"task": "ask", "image": picture, "prompt": f"say=x;fail_alloc={n}"}):
                    try:
                        answer = server.post(fields)
                        self.assertIn(answer.status, (200, 503), answer.body)
                        self.assertTrue(answer.body == b"" or answer.json)
                        seen.add(answer.status)
                    except (OSError, http.client.HTTPException):
                        seen.add("closed")
                    # The failure may be waiting for the next request's first allocations.
                    for _ in range(3):
                        try:
                            server.post({"prompt": "x"})
                        except (OSError, http.client.HTTPException):
                            seen.add("closed")
                self.assertEqual(server.post({"prompt": "say=fine;fail_alloc=0", "task": "ask"}).json["text"], "fine")
            self.assertIn(503, seen)

    def test_memory_runs_out_in_each_kind_of_request(self):
        """The allocation that fails is one after a first request was prepared: its own, or one of the request of each
        kind that comes next, from its first header to its last byte."""
        picture = b64(png())
        chat = {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64," + picture}},
            {"type": "text", "text": "say=abc"}]}]}
        schema = {"type": "object", "properties": {"a": {"enum": ["x", 1, None]}}, "required": ["a"]}
        with tempfile.TemporaryDirectory() as folder, \
                Server("--answer-cache-mib", "1", "--audit-log", folder + "/audit",
                       "--allow-image-host", "a.example") as server:
            post = {
                "form": lambda: server.post_form(("prompt", "say=abc"), ("image", png(), "a.png"), ("stop", "x")),
                "stream": lambda: server.post({"prompt": "say=abc;piece=1", "stream": True}),
                "schema": lambda: server.post({"prompt": "say=abc", "schema": schema, "task": "ask"}),
                "chat": lambda: server.post_chat({**chat, "n": 2, "presence_penalty": 0}),
                "chat stream": lambda: server.post_chat({**chat, "stream": True}),
                "bad field": lambda: server.post({"prompt": "x", "nonesuch": 1}),
                "url": lambda: server.post({"image": "http://10.0.0.1/x.png", "prompt": "x"}),
                "metrics": lambda: server.get("/metrics"),
                "tasks": lambda: server.get("/v1/tasks"),
            }
            for kind, ask in post.items():
                word = b"abc" if kind in ("form", "schema", "chat") else b""
                each_allocation_fails(self, server, kind, ask, word)

    def test_memory_runs_out_in_authentication(self):
        """A credential that cannot be looked at is not refused."""
        def part(data):
            return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

        secret, key = bytes(range(32)), "gk_" + part(bytes(range(32)))
        claims = b'{"exp":4000000000,"tenant":"a","sub":"who","scope":"infer"}'
        text = part(b'{"alg":"HS256","kid":"k"}') + "." + part(claims)
        token = text + "." + part(hmac.digest(secret, text.encode(), "sha256"))
        with tempfile.TemporaryDirectory() as folder:
            files = {"jwt": {"keys": [{"kid": "k", "alg": "HS256", "secret": part(secret)}]},
                     "api": {"keys": [{"id": "i", "sha256": hashlib.sha256(key.encode()).hexdigest(), "tenant": "b",
                                       "scopes": ["infer"]}]}}
            for name, contents in files.items():
                with open(f"{folder}/{name}", "w", encoding="utf-8") as handle:
                    json.dump(contents, handle)
            with Server("--jwt-keys", folder + "/jwt", "--api-keys", folder + "/api",
                        "--limit-requests-per-s", "1e6") as server:
                for kind, credential in (("token", token), ("key", key)):
                    headers = {"Authorization": "Bearer " + credential}
                    self.assertEqual(server.post({"prompt": "x"}, Authorization="Bearer x").status, 401)

                    def ask(headers=headers):
                        return server.post({"prompt": "say=abc", "task": "ask"}, **headers)

                    each_allocation_fails(self, server, kind, ask, b"abc", **headers)

    def test_slow_headers(self):
        with Server("--header-timeout-ms", "400", "--idle-timeout-ms", "600") as server:
            with server.socket() as s:
                begun = time.monotonic()
                s.sendall(b"GET /health HT")
                out = read_all(s)
                self.assertIn(b" 408 ", out.split(b"\r\n")[0])
                self.assertLess(time.monotonic() - begun, 20)
            # Drops of one byte do not buy time.
            with server.socket() as s:
                def drip():
                    for byte in b"GET /health HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 2000:
                        s.send(bytes([byte]))
                        time.sleep(0.02)

                begun = time.monotonic()
                dripping = Background(drip)
                out = read_all(s)
                self.assertLess(time.monotonic() - begun, 20)
                self.assertIn(b" 408 ", out.split(b"\r\n")[0])
                dripping.result()
            # An idle connection is closed without a word.
            with server.socket() as s:
                s.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
                out = read_all(s)
                self.assertEqual(out.count(b"HTTP/1.1 "), 1)

    def test_slow_body(self):
        with Server("--body-timeout-ms", "400") as server:
            with server.socket() as s:
                s.sendall(HEAD + b'Content-Length: 100\r\n\r\n{"prompt"')
                out = read_all(s)
                self.assertIn(b" 408 ", out.split(b"\r\n")[0])
                self.assertEqual(json.loads(out.split(b"\r\n\r\n")[1])["error"]["code"], "request_timeout")
            self.assertEqual(server.post({"prompt": "x"}).status, 200)

    def test_work_may_take_longer_than_the_network_timeouts(self):
        with Server("--header-timeout-ms", "200", "--body-timeout-ms", "200", "--idle-timeout-ms", "200") as server:
            self.assertEqual(server.post({"prompt": "run_ms=900"}).status, 200)

    def test_connection_limit(self):
        with Server("--connections-max", "8", "--idle-timeout-ms", "60000") as server:
            open_ones = [server.socket() for _ in range(8)]
            time.sleep(0.2)
            with self.assertRaises((OSError, http.client.HTTPException)):
                connection = server.connect(timeout_s=1)
                try:
                    connection.request("GET", "/health")
                    connection.getresponse()
                finally:
                    connection.close()
            for s in open_ones:
                s.close()

            def served():
                try:
                    return server.get("/health").status == 200
                except (OSError, http.client.HTTPException):
                    return False

            wait_until(served, "served again")

    def test_large_upload(self):
        with Server() as server:
            picture = png() + b"\0" * (14 * 1024 * 1024)
            begun = time.monotonic()
            answer = server.post({"image": b64(picture), "prompt": "x"})
            self.assertEqual(answer.status, 200, answer.body)
            answer = server.post_form(("image", picture, "big.png"), ("prompt", "x"))
            self.assertEqual(answer.status, 200, answer.body)
            self.assertLess(time.monotonic() - begun, 30)


if __name__ == "__main__":
    unittest.main(verbosity=1)
