"""What the inference route takes, gives and refuses, and the small routes beside it."""
import http.client
import json
import select
import unittest

from harness import PATIENCE_S, ROUTE, Server, b64, form, png

PICTURE = png()


class Api(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--max-side", "2000", "--timeout-ms", "30000")

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def refused(self, answer, status, code, param=None):
        self.assertEqual((answer.status, answer.error["code"], answer.error["param"]),
                         (status, code, param), answer.body)
        self.assertEqual(set(answer.error), {"type", "code", "message", "param", "request_id"})
        self.assertEqual(answer.error["request_id"], answer.headers["X-Request-Id"])
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        self.assertNotIn(b"secret", answer.body)
        return answer

    # ---- answers ----

    def test_audit_as_json(self):
        answer = self.server.post({"image": b64(PICTURE), "prompt": "run_ms=5;say=特效药"})
        self.assertEqual(answer.status, 200, answer.body)
        got = answer.json
        self.assertEqual((got["result"], got["reasons"], got["confidence"]), ("reject", ["特效药"], 0.75))
        self.assertEqual((got["task"], got["model"], got["finish_reason"]), ("audit", "fake", "stop"))
        self.assertEqual(got["id"], answer.headers["X-Request-Id"])
        self.assertEqual(got["tokens_generated"], got["usage"]["completion_tokens"])
        self.assertEqual(set(got["usage"]), {"prompt_tokens", "image_tokens", "completion_tokens",
                                             "forced_tokens", "cached_tokens"})
        self.assertEqual(set(got["timing_ms"]), {"queue", "fetch", "decode_image", "preprocess",
                                                 "encode", "prefill", "decode", "total"})
        self.assertGreaterEqual(got["timing_ms"]["total"], got["timing_ms"]["decode"])
        self.assertGreaterEqual(got["inference_time_ms"], 5)
        self.assertIsInstance(got["inference_time_ms"], int)

    def test_text(self):
        got = self.server.post({"task": "ask", "prompt": "say=\u2028\"\\ hello"}).json
        self.assertEqual((got["text"], got["task"]), ("\u2028\"\\ hello", "ask"))
        self.assertNotIn("result", got)

    def test_pictures_in_every_form(self):
        text = b64(PICTURE)
        for fields in ({"image": text}, {"images": [text]}, {"image": "data:image/png;base64," + text},
                       {"image": "DATA:IMAGE/PNG;BASE64," + text}):
            got = self.server.post({**fields, "prompt": "x"}).json
            self.assertEqual(got["usage"]["image_tokens"], 64)
        got = self.server.post({"images": [text] * 8, "prompt": "x"}).json
        self.assertEqual(got["usage"]["image_tokens"], 8 * 64)

    def test_form(self):
        answer = self.server.post_form(("image", PICTURE, "a.png"), ("task", "ask"),
                                       ("prompt", "say=here;finish=length"), ("max_tokens", "7"))
        self.assertEqual((answer.json["text"], answer.json["finish_reason"]), ("here", "length"))
        answer = self.server.post_form(("image", PICTURE, "a.png"), ("image", PICTURE, "b.png"),
                                       ("image", b64(PICTURE)), ("prompt", "x"))
        self.assertEqual(answer.json["usage"]["image_tokens"], 3 * 64)

    def test_an_audit_without_verdict_goes_to_a_person(self):
        for finish, reason in (("invalid", "invalid_answer"), ("length", "length")):
            answer = self.server.post({"prompt": f"say=pass, I think;finish={finish}"})
            got = answer.json
            self.assertEqual(answer.status, 200)
            self.assertEqual((got["result"], got["reasons"], got["confidence"]), ("review", [], 0))
            self.assertEqual((got["finish_reason"], got["text"]), (reason, "pass, I think"))

    def test_an_answer_of_the_wrong_shape_shows_its_words(self):
        got = self.server.post({"task": "extract", "prompt": "say=hm;finish=invalid"}).json
        self.assertEqual((got["data"], got["text"], got["finish_reason"]), (None, "hm", "invalid_answer"))

    def test_prompt_with_zero_byte(self):
        got = self.server.post({"task": "ask", "prompt": "a\0b"}).json
        self.assertEqual(got["usage"]["prompt_tokens"], 3)

    # ---- refusals ----

    def test_unknown_field(self):
        self.refused(self.server.post({"prompt": "x", "pormpt": "y"}), 400, "unknown_field", "pormpt")
        self.refused(self.server.post_form(("prompt", "x"), ("nope", "y")), 400, "unknown_field", "nope")
        # A name cannot smuggle anything into the answer.
        self.refused(self.server.post({"ab\r\nc": 1}), 400, "unknown_field", "ab")

    def test_numbers(self):
        def code(text):
            return self.server.post(b'{"prompt":"x","max_tokens":' + text + b"}").error["code"]

        for text in (b"NaN", b"Infinity", b"1e400", b"0x10", b"+1", b"01", b"1.", b".5", b"1e"):
            self.assertEqual(code(text), "invalid_json", text)
        for text in (b"0", b"-0", b"-1", b"4097", b"9007199254740993", b"1e18", b"-1e300"):
            self.assertEqual(code(text), "invalid_value", text)
        for text in (b"1.5", b'"1"', b"true", b"[1]", b"{}"):
            self.assertEqual(code(text), "invalid_type", text)
        # Beyond what a 64-bit integer holds is refused as JSON.
        self.assertEqual(code(b"99999999999999999999"), "invalid_json")
        self.assertEqual(self.server.post(b'{"prompt":"x","temperature":-0.0}').status, 200)

    def test_server_caps(self):
        self.assertEqual(self.server.post({"prompt": "x", "max_side": 2000}).status, 200)
        self.refused(self.server.post({"prompt": "x", "max_side": 2001}), 400, "invalid_value", "max_side")
        self.refused(self.server.post({"prompt": "x", "timeout_ms": 30001}), 400, "invalid_value", "timeout_ms")

    def test_json_shapes(self):
        for body in (b"", b"{", b'{"prompt":"x"} x', b'{"prompt":"x","prompt":"y"}', b'{"prompt":"\xff"}',
                     b'{"prompt":"\\ud800"}', b"[" * 100 + b"]" * 100, b"\xef\xbb\xbf{}",
                     b'{"prompt":"x"}\0', b'{"prompt":"x"}\0 x', b'\0{"prompt":"x"}'):
            self.refused(self.server.post(body), 400, "invalid_json")
        for body in (b"[]", b"1", b'"x"', b"null", b"true"):
            self.refused(self.server.post(body), 400, "invalid_type")
        self.refused(self.server.post({}), 400, "missing_input")

    def test_task(self):
        self.refused(self.server.post({"prompt": "x", "task": "no-such"}), 400, "unknown_task", "task")

    def test_urls_are_off(self):
        for url in ("http://127.0.0.1/a.png", "HTTPS://example.org/a.png", "http:", "https://\\"):
            self.refused(self.server.post({"image": url, "prompt": "x"}), 422, "image_urls_disabled", "image")

    def test_pictures_refused(self):
        def post(data):
            return self.server.post({"image": b64(data), "prompt": "x"})

        self.refused(post(b"not a picture"), 415, "unsupported_image", "image")
        self.refused(post(PICTURE[:20]), 422, "broken_image", "image")
        self.refused(post(png(20000, 1)), 422, "image_refused", "image")
        self.refused(self.server.post_form(("image", b"GIF?", "a.gif"), ("prompt", "x")), 415,
                     "unsupported_image", "image")
        for text in ("", "Zg", "Zg==\n", "Z g=", "Zh==", "-_-_", "data:text/plain;base64,Zm9v",
                     "data:image/png,Zm9v", "file:///etc/passwd"):
            self.refused(self.server.post({"image": text, "prompt": "x"}), 400, "invalid_image", "image")
        self.refused(self.server.post({"images": ["Zm9v"] * 9}), 400, "too_many_images", "images")
        self.refused(self.server.post({"image": "Zm9v", "images": ["Zm9v"]}), 400, "conflicting_fields", "images")

    def test_engine_errors(self):
        for script, status, code, param in (
                ("create=arg", 400, "refused_value", "prompt"),
                ("create=limit", 400, "context_length_exceeded", "prompt"),
                ("create=limit_image", 422, "image_refused", "image"),
                ("create=memory", 503, "overloaded", None),
                ("create=busy", 503, "overloaded", None),
                ("create=internal", 500, "internal", None),
                ("run=deadline", 504, "deadline_exceeded", None),
                ("run=memory", 503, "overloaded", None),
                ("run=internal", 500, "internal", None)):
            answer = self.refused(self.server.post({"prompt": script}), status, code, param)
            self.assertEqual("Retry-After" in answer.headers, status == 503, script)
            self.assertEqual(self.server.post({"prompt": "x"}).status, 200)

    def test_content_type(self):
        def post(content_type, body=b'{"prompt":"x"}'):
            headers = {"Content-Type": content_type} if content_type else {}
            return self.server.request("POST", ROUTE, body, headers)

        self.assertEqual(post("application/json; charset=UTF-8").status, 200)
        self.assertEqual(post('APPLICATION/JSON;charset="utf-8"').status, 200)
        for bad in (None, "text/plain", "application/json; charset=latin-1", "application/x-www-form-urlencoded",
                    "application/json, text/plain", "application/jsonx"):
            self.refused(post(bad), 415, "unsupported_media_type")
        self.refused(self.server.post({"prompt": "x"}, **{"Content-Encoding": "gzip"}), 415, "unsupported_encoding")

    def test_form_shapes(self):
        content_type, body = form(("prompt", "x"))
        for kind, data in ((content_type, b""), (content_type, body[:-6]), (content_type, b"x" + body),
                           ("multipart/form-data", body), ("multipart/form-data; boundary=other", body)):
            answer = self.server.request("POST", ROUTE, data, {"Content-Type": kind})
            self.refused(answer, 400, "invalid_multipart")
        self.refused(self.server.post_form(("prompt", "x"), ("prompt", "y")), 400, "duplicate_field", "prompt")
        self.refused(self.server.post_form(("prompt", b"\xff")), 400, "invalid_value", "prompt")

    def test_routes(self):
        for path in ("/health/", "/HEALTH", "/%68ealth", "/v1", "/v1/multimodal/inference/x", "/../health"):
            self.refused(self.server.get(path), 404, "not_found")
        answer = self.refused(self.server.get(ROUTE), 405, "method_not_allowed")
        self.assertEqual(answer.headers["Allow"], "POST")
        answer = self.refused(self.server.request("POST", "/health"), 405, "method_not_allowed")
        self.assertEqual(answer.headers["Allow"], "GET, HEAD")
        self.assertEqual(self.server.get("/health?x=1").status, 200)
        self.assertEqual(self.server.get("http://a.example/health").status, 200)
        self.assertEqual(self.server.get("http://a.example").status, self.server.get("/").status)
        self.assertEqual(self.server.request("HEAD", "/health").body, b"")
        answer = self.server.request("GET", "/health", b"body")
        self.refused(answer, 413, "body_not_allowed")

    def test_health(self):
        self.assertEqual(self.server.get("/health").json, {"status": "ok", "model_loaded": True})
        self.assertEqual(self.server.get("/live").status, 200)
        self.assertEqual(self.server.get("/ready").status, 200)

    def test_request_id(self):
        answer = self.server.get("/health", **{"X-Request-Id": "abc-1_2.Z"})
        self.assertEqual(answer.headers["X-Request-Id"], "abc-1_2.Z")
        seen = set()
        for bad in ("", "a b", "a\tb", "x" * 65, "é".encode().decode("latin-1"), "a;b", "a/b"):
            seen.add(self.server.get("/health", **{"X-Request-Id": bad}).headers["X-Request-Id"])
        self.assertEqual(len(seen), 7)
        for made in seen:
            self.assertRegex(made, r"^[0-9a-f]{24}$")

    def test_keep_alive(self):
        connection = self.server.connect()
        for i in range(20):
            body = json.dumps({"task": "ask", "prompt": f"say={i}"} if i % 3 else {"bad": i})
            connection.request("POST", ROUTE, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            got = json.loads(response.read())
            self.assertEqual(response.status, 200 if i % 3 else 400)
            if i % 3:
                self.assertEqual(got["text"], str(i))
        connection.close()

    def test_pipelining(self):
        one = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
        out = self.server.raw(one * 5 + b"GET /live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                              half_close=False)
        self.assertEqual(out.count(b"HTTP/1.1 200"), 6)

    def test_chunked(self):
        connection = self.server.connect()
        pieces = [b'{"task":"ask",', b'"prompt":"say=', b'chunks"}']
        connection.request("POST", ROUTE, iter(pieces), {"Content-Type": "application/json"}, encode_chunked=True)
        self.assertEqual(json.loads(connection.getresponse().read())["text"], "chunks")
        connection.close()

    def test_chunked_is_the_last(self):
        """Whatever follows a chunked body is not a request: a proxy may have seen its end elsewhere, after
        a bare LF for example."""
        for end in (b"0\r\n\r\n", b"0\n\n", b"0;x=\n\r\n"):
            out = self.server.raw(b"POST " + ROUTE.encode() + b" HTTP/1.1\r\nHost: a\r\nContent-Type: application/json"
                                  b"\r\nTransfer-Encoding: chunked\r\n\r\n1f\r\n" b'{"task":"ask","prompt":"say=1"}'
                                  b"\r\n" + end + b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n", half_close=False)
            self.assertEqual(out.count(b"HTTP/1."), 1, (end, out))
            self.assertIn(b"200 OK", out)
            self.assertIn(b"Connection: close", out)

    def test_expect_continue(self):
        head = (b"POST " + ROUTE.encode() + b" HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                b"Content-Type: %s\r\nContent-Length: 31\r\nConnection: close\r\n\r\n")
        with self.server.socket() as s:
            s.sendall(head % b"application/json")
            self.assertEqual(s.recv(1000), b"HTTP/1.1 100 Continue\r\n\r\n")
            s.sendall(b'{"task":"ask","prompt":"say=1"}')
            self.assertIn(b"200 OK", s.recv(1000))
        # Refused before the body is sent.
        with self.server.socket() as s:
            s.sendall(head % b"text/plain")
            self.assertIn(b" 415 ", s.recv(1000).split(b"\r\n")[0])
        out = self.server.raw(b"GET /health HTTP/1.1\r\nHost: a\r\nExpect: coffee\r\n\r\n")
        self.assertIn(b" 417 ", out.split(b"\r\n")[0])

    def test_framing(self):
        """Requests that two programs could read differently."""
        for head in ("Content-Length: 5\r\nTransfer-Encoding: chunked", "Content-Length: 5\r\nContent-Length: 6",
                     "Transfer-Encoding: gzip, chunked",
                     "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "Host: b"):
            out = self.server.raw(f"POST {ROUTE} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{head}"
                                  "\r\n\r\n".encode() + b"0\r\n\r\nGET /health HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertIn(b" 400 ", out.split(b"\r\n")[0], head)
            self.assertEqual(out.count(b"HTTP/1."), 1, head)

    def test_content_length_that_is_no_number(self):
        """libmicrohttpd 0.9.75 refuses these by itself, and sends the head of its answer twice."""
        for value in ("5, 5", "+5", "-5", "0x5", "5 5", ""):
            out = self.server.raw(f"POST {ROUTE} HTTP/1.1\r\nHost: a\r\nContent-Length: {value}\r\n\r\n"
                                  "GET /health HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            self.assertIn(b" 400 ", out.split(b"\r\n")[0], value)
            self.assertNotIn(b"model_loaded", out)

    def test_header_limits(self):
        def status(head):
            return self.server.raw(b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + head + b"\r\n").split()[1]

        self.assertEqual(status(b"".join(b"X-%d: 1\r\n" % i for i in range(60))), b"200")
        self.assertEqual(status(b"".join(b"X-%d: 1\r\n" % i for i in range(80))), b"431")
        self.assertEqual(status(b"X: " + b"v" * 8000 + b"\r\n"), b"200")
        self.assertEqual(status(b"X: " + b"v" * 9000 + b"\r\n"), b"431")
        self.assertIn(status(b"X: " + b"v" * 100000 + b"\r\n"), (b"431", b"413"))

    def test_access_log_holds_no_content(self):
        self.server.post({"prompt": "say=needle-in-the-prompt"})
        self.server.get("/needle-in-the-path")
        self.assertFalse([line for line in self.server.lines if "needle" in line])
        self.assertTrue([line for line in self.server.lines if f"route={ROUTE} status=200" in line])

    def test_body_too_large(self):
        """The answer arrives although the client is still sending."""
        with Server("--body-max-mib", "1") as server:
            body = b"x" * (3 * 1024 * 1024)
            answer = server.request("POST", ROUTE, body, {"Content-Type": "application/json"})
            self.refused(answer, 413, "body_too_large")
            connection = server.connect()
            pieces = (b"x" * 65536 for _ in range(48))
            connection.request("POST", ROUTE, pieces, {"Content-Type": "application/json"}, encode_chunked=True)
            self.assertEqual(connection.getresponse().status, 413)
            connection.close()
            exact = b'{"task":"ask","prompt":"say=' + b"x" * 100 + b'"}'
            self.assertEqual(server.post(exact + b" " * (1024 * 1024 - len(exact))).status, 200)
            self.assertEqual(server.post(exact + b" " * (1024 * 1024 + 1 - len(exact))).status, 413)

    def test_all_bodies_together(self):
        with Server("--body-max-mib", "2", "--body-total-max-mib", "3") as server:
            head = (f"POST {ROUTE} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                    f"Content-Length: {2 * 1024 * 1024}\r\n\r\n").encode()
            with server.socket() as first, server.socket() as second:
                most = b" " * (2 * 1024 * 1024 - 1)
                for s in (first, second):
                    try:
                        s.sendall(head + most)
                    except OSError:
                        pass  # refused already
                # Whose bytes came last is refused; the other one goes on.
                refused = select.select([first, second], [], [], PATIENCE_S)[0][0]
                out = refused.recv(1000)
                self.assertIn(b" 503 ", out.split(b"\r\n")[0])
                self.assertIn(b"Retry-After", out)
                other = second if refused is first else first
                other.sendall(b"x")
                self.assertIn(b" 400 ", other.recv(1000))
            self.assertEqual(server.post({"prompt": "x"}).status, 200)


class KeptAnswers(unittest.TestCase):
    """--answer-cache-mib: an answer that was kept has all its prompt tokens in cached_tokens, which
    the fake engine itself never says."""

    ASK = {"task": "ask", "prompt": "run_ms=20;say=hello"}

    @classmethod
    def setUpClass(cls):
        cls.server = Server("--answer-cache-mib", "1")

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def ask(self, server=None, **fields):
        answer = (server or self.server).post({**self.ASK, **fields})
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json

    def is_kept(self, got):
        usage = got["usage"]
        self.assertIn(usage["cached_tokens"], (0, usage["prompt_tokens"]))
        return usage["cached_tokens"] > 0

    def test_the_same_again(self):
        first, second = (self.ask(max_tokens=11) for _ in range(2))
        self.assertFalse(self.is_kept(first))
        self.assertTrue(self.is_kept(second))
        for key in ("text", "confidence", "finish_reason", "tokens_generated", "model", "task"):
            self.assertEqual(first[key], second[key])
        self.assertNotEqual(first["id"], second["id"])
        self.assertGreaterEqual(first["timing_ms"]["decode"], 20)
        for key in ("decode_image", "preprocess", "encode", "prefill", "decode"):
            self.assertEqual(second["timing_ms"][key], 0)
        self.assertGreater(second["timing_ms"]["total"], 0)

    def test_an_audit(self):
        first, second = (self.server.post({"image": b64(PICTURE), "prompt": "say=bad"}).json for _ in range(2))
        self.assertEqual((self.is_kept(first), self.is_kept(second)), (False, True))
        self.assertEqual((second["result"], second["reasons"]), ("reject", ["bad"]))

    def test_a_picture_however_it_comes(self):
        picture = b64(png(9, 9))
        self.assertFalse(self.is_kept(self.ask(image=picture)))
        self.assertTrue(self.is_kept(self.ask(images=["data:image/png;base64," + picture])))
        got = self.server.post_form(("image", png(9, 9), "x.png"), *self.ASK.items()).json
        self.assertTrue(self.is_kept(got))
        self.assertFalse(self.is_kept(self.ask(image=b64(png(9, 10)))))
        self.assertFalse(self.is_kept(self.ask(images=[picture] * 2)))

    def test_what_makes_another_question(self):
        base = {"temperature": 1, "seed": 5, "stop": ["a", "b"], "max_side": 300, "max_tokens": 9}
        self.ask(**base)
        for change in ({"temperature": 0.5}, {"seed": 6}, {"stop": ["b", "a"]}, {"stop": "a"}, {"max_side": 301},
                       {"max_tokens": 10}, {"top_p": 0.5}, {"top_k": 4}, {"prompt": "say=x"}, {"task": "ocr"}):
            self.assertFalse(self.is_kept(self.ask(**{**base, **change})), change)
            self.assertTrue(self.is_kept(self.ask(**{**base, **change})), change)
        self.assertTrue(self.is_kept(self.ask(**base, timeout_ms=20000)))

    def test_who_wants_none(self):
        for fields in ({"cache": False}, {"temperature": 1}, {"temperature": 1, "seed": None}):
            for _ in range(2):
                self.assertFalse(self.is_kept(self.ask(**fields, max_tokens=77)), fields)
        # The one that was not looked up was not kept either.
        self.assertFalse(self.is_kept(self.ask(max_tokens=77)))
        self.assertTrue(self.is_kept(self.ask(max_tokens=77)))

    def test_failures_are_not_kept(self):
        for code, status in (("memory", 503), ("internal", 500)):
            for _ in range(2):
                self.assertEqual(self.server.post({"task": "ask", "prompt": "run=" + code}).status, status)
        for _ in range(2):
            self.assertFalse(self.is_kept(self.ask(prompt="finish=invalid;say=x")))
            self.assertEqual(self.server.post({"image": b64(b"no picture"), "prompt": "x"}).status, 415)
            self.assertEqual(self.server.post({"image": "====", "prompt": "x"}).status, 400)

    def test_as_a_stream(self):
        """Streamed or not is no difference: the same pieces, all at once."""
        def stream(prompt):
            answer = self.server.post({**self.ASK, "prompt": prompt, "stream": True})
            events = answer.body.decode().split("\n\n")
            self.assertEqual(events[-2:], ["data: [DONE]", ""])
            events = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
            return "".join(event.get("delta", "") for event in events), events[-1]

        first, second = stream("say=one"), stream("say=one")
        self.assertEqual((first[0], second[0]), ("one", "one"))
        self.assertEqual((self.is_kept(first[1]), self.is_kept(second[1])), (False, True))
        self.assertTrue(self.is_kept(self.ask(prompt="say=one")))
        self.ask(prompt="say=two")
        text, last = stream("say=two")
        self.assertEqual((text, last["text"], self.is_kept(last)), ("two", "two", True))

    def test_chat(self):
        def cached(*texts, **fields):
            messages = [{"role": role, "content": text} for role, text in zip(("user", "assistant") * 2, texts)]
            body = json.dumps({"messages": messages, **fields}).encode()
            answer = self.server.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
            self.assertEqual(answer.status, 200, answer.body)
            return answer.json["usage"]["prompt_tokens_details"]["cached_tokens"] > 0

        for fields in ({"temperature": 0}, {"seed": 3}):
            self.assertEqual([cached("say=a", **fields) for _ in range(2)], [False, True])
        self.assertFalse(cached("sa", "y=", "b", temperature=0))
        self.assertFalse(cached("s", "ay=", "b", temperature=0))
        for fields in ({}, {"temperature": 0, "n": 2}):  # dice; several answers
            self.assertEqual([cached("say=c", **fields) for _ in range(2)], [False, False])

    def test_off_unless_asked_for(self):
        with Server() as server:
            for _ in range(2):
                self.assertFalse(self.is_kept(self.ask(server)))


if __name__ == "__main__":
    unittest.main(verbosity=1)
