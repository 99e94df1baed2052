"""OpenAI's own client library, unchanged, against glint; its answers against OpenAI's description."""
import asyncio
import base64
import hashlib
import http.server
import json
import math
import os
import tempfile
import threading
import time
import unittest

from harness import GLINT, ROOT, Server, b64, png, wait_until

try:
    import jsonschema
    import openai
except ImportError as missing:
    print(f"SKIPPED: {missing}; tools/setup test installs it")
    raise SystemExit(77) from None

PICTURE = png()
URI = "data:image/png;base64," + b64(PICTURE)
CHAT = "/v1/chat/completions"
TITLE = "商品标题：特效药根治糖尿病！\n请判断该商品是否存在违规内容，包括但不限于违禁品展示、虚假宣传等。"
SCHEMAS = os.path.join(os.environ.get("GLINT_SUITES", ""), "openai-openapi/chat-completions.schemas.json")


def client_of(server, api_key="none"):
    return openai.OpenAI(base_url=f"http://{server.host}:{server.port}/v1", api_key=api_key, max_retries=0)


def user(*parts):
    return [{"role": "user", "content": parts[0] if len(parts) == 1 and isinstance(parts[0], str) else list(parts)}]


def text(words):
    return {"type": "text", "text": words}


def picture(url=URI, **more):
    return {"type": "image_url", "image_url": {"url": url, **more}}


def understand(schema):
    """nullable is 3.0's word; a validator of 3.1 does not know it."""
    if isinstance(schema, list):
        return [understand(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {k: understand(v) for k, v in schema.items()}
    if schema.pop("nullable", False) is True:
        return {"anyOf": [schema, {"type": "null"}]}
    return schema


def described(name, value):
    """Raises when the value is not what OpenAI's description says."""
    with open(SCHEMAS) as file:
        document = understand(json.load(file))
    schema = {"$ref": f"#/components/schemas/{name}", **document}
    jsonschema.Draft202012Validator(schema).validate(value)


class OpenAI(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--timeout-ms", "60000")
        cls.client = client_of(cls.server)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.server.stop()

    def ask(self, *parts, **more):
        return self.client.chat.completions.create(model="fake", messages=user(*parts), **more)

    def echo(self, messages):
        """How the engine got the turns."""
        messages = messages + user("echo")
        return self.client.chat.completions.create(model="fake", messages=messages).choices[0].message.content

    # ---- answers ----

    def test_answer(self):
        before = int(time.time())
        answer = self.ask("say=特效药")
        self.assertEqual(answer.object, "chat.completion")
        self.assertEqual(answer.model, "fake")
        self.assertTrue(answer.id.startswith("chatcmpl-"))
        self.assertIn(answer.created, range(before, before + 60))
        choice, = answer.choices
        self.assertEqual((choice.index, choice.finish_reason, choice.logprobs), (0, "stop", None))
        self.assertEqual((choice.message.role, choice.message.content), ("assistant", "特效药"))
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)
        self.assertEqual(self.ask("say=x;finish=length").choices[0].finish_reason, "length")

    def test_turns(self):
        got = self.echo([
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": [text("a"), picture(), text("b"), picture(detail="low")]},
            {"role": "assistant", "content": "c"},
            {"role": "developer", "content": [text("d"), text("e")]},
            {"role": "user", "name": "eve", "content": "<|image|>"},
        ])
        n = len(PICTURE)
        self.assertEqual(got, f"system:be brief user:a|<{n} bytes>|b|<{n} bytes> assistant:c system:d|e "
                              "user:<|image|> user:echo")

    def test_answer_can_be_sent_back(self):
        first = self.ask("say=one").choices[0].message
        # As an object of the library, and as all its members.
        for message in (first, first.model_dump()):
            self.assertIn("assistant:one", self.echo(user("hello") + [message]))

    def test_pictures(self):
        answer = self.ask(text("what?"), picture(), picture(), text("say=x"))
        self.assertEqual(answer.usage.model_extra or {}, {})
        self.assertEqual(answer.usage.prompt_tokens_details.image_tokens, 2 * 64)
        self.assertEqual(self.ask(*[picture()] * 8, text("say=x")).choices[0].message.content, "x")

    def test_pictures_by_url(self):
        seen = []

        class Origin(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                seen.append(self.path)
                there = self.path.endswith(".png")
                self.send_response(200 if there else 404)
                self.send_header("Content-Length", str(len(PICTURE) if there else 0))
                self.end_headers()
                self.wfile.write(PICTURE if there else b"")

            def log_message(self, *_):
                pass

        origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
        threading.Thread(target=origin.serve_forever, daemon=True).start()
        self.addCleanup(origin.server_close)
        self.addCleanup(origin.shutdown)
        url = f"http://127.0.0.1:{origin.server_port}"
        with Server("--allow-image-host", "127.0.0.1", "--allow-image-port", str(origin.server_port),
                    "--allow-http-images", "--allow-private-images") as server, client_of(server) as client:
            def ask(*parts, **more):
                return client.chat.completions.create(model="fake", messages=user(*parts), **more)

            answer = ask(text("which?"), picture(f"{url}/a.png"), picture(), picture(f"{url}/b.png", detail="high"),
                         text("say=x"))
            self.assertEqual(answer.choices[0].message.content, "x")
            self.assertEqual(answer.usage.prompt_tokens_details.image_tokens, 3 * 64)
            self.assertEqual(sorted(seen), ["/a.png", "/b.png"])
            answer = client.chat.completions.create(model="fake", messages=user(text("a"), picture(f"{url}/c.png"))
                                                    + user("echo"))
            self.assertEqual(answer.choices[0].message.content, f"user:a|<{len(PICTURE)} bytes> user:echo")
            pieces = [chunk.choices[0].delta.content or "" for chunk in
                      ask(picture(f"{url}/d.png"), text("say=streamed"), stream=True) if chunk.choices]
            self.assertEqual("".join(pieces), "streamed")
            self.assertEqual(len(ask(picture(f"{url}/e.png"), text("say=x"), n=2).choices), 2)
            self.assertEqual(seen[2:], ["/c.png", "/d.png", "/e.png"])
            for bad in (f"{url}/gone", "https://elsewhere.test/a.png"):
                for stream in (False, True):
                    with self.assertRaises(openai.UnprocessableEntityError) as caught:
                        ask(picture(bad), text("say=x"), stream=stream)
                    self.assertEqual((caught.exception.code, caught.exception.param), ("image_fetch_failed", "image"))
        with self.assertRaises(openai.UnprocessableEntityError) as caught:
            self.ask(picture(f"{url}/a.png"), text("say=x"))
        self.assertEqual(caught.exception.code, "image_urls_disabled")
        self.assertEqual(seen.count("/a.png"), 1)

    def test_several_answers(self):
        answer = self.ask("say=seed", n=4, seed=40, temperature=0.5)
        self.assertEqual([(c.index, c.message.content) for c in answer.choices],
                         [(i, str(40 + i)) for i in range(4)])
        one = self.ask("say=seed", seed=40)
        self.assertEqual(answer.usage.prompt_tokens, one.usage.prompt_tokens)
        self.assertEqual(answer.usage.completion_tokens, 4 * one.usage.completion_tokens)
        # Without a seed each time another.
        self.assertEqual(len({self.ask("say=seed").choices[0].message.content for _ in range(4)}), 4)

    def test_one_of_several_fails_all(self):
        with self.assertRaises(openai.InternalServerError):
            self.ask("run=memory", n=4)
        with Server("--queue-max", "3", "--ready-max", "1") as server:
            with client_of(server) as client:
                with self.assertRaises(openai.RateLimitError) as caught:
                    client.chat.completions.create(model="fake", messages=user("run_ms=300"), n=4)
                self.assertEqual(caught.exception.code, "queue_full")
                wait_until(lambda: client.chat.completions.create(model="fake", messages=user("say=x"), n=2),
                           "place for two")

    def test_parameters_are_taken(self):
        self.ask("say=x", temperature=1.5, top_p=0.9, max_tokens=5, stop=["a", "b"], seed=-1, user="u", store=False,
                 metadata={"a": "b"}, frequency_penalty=0, presence_penalty=0.0, logit_bias={}, tools=[],
                 logprobs=False, response_format={"type": "text"}, timeout=30, stream_options=None,
                 extra_body={"top_k": 5, "max_side": 224, "timeout_ms": 5000})
        self.ask("say=x", max_completion_tokens=5, stop="a", service_tier="auto", safety_identifier="s")

    # ---- streams ----

    def test_stream(self):
        with self.ask("say=特效药;piece=1", stream=True) as chunks:
            chunks = list(chunks)
        self.assertEqual({c.object for c in chunks}, {"chat.completion.chunk"})
        self.assertEqual(len({(c.id, c.created, c.model) for c in chunks}), 1)
        self.assertEqual(chunks[0].choices[0].delta.role, "assistant")
        self.assertEqual([c.choices[0].delta.content for c in chunks], ["", "特", "效", "药", None])
        self.assertEqual([c.choices[0].finish_reason for c in chunks], [None] * 4 + ["stop"])
        self.assertEqual({c.usage for c in chunks}, {None})

    def test_stream_usage(self):
        chunks = list(self.ask("say=ab;piece=1", stream=True, stream_options={"include_usage": True}))
        self.assertEqual(chunks[-1].choices, [])
        self.assertEqual(chunks[-1].usage.completion_tokens, 2)
        self.assertEqual([c.usage for c in chunks[:-1]], [None] * (len(chunks) - 1))

    def test_stream_of_several(self):
        said, ends = {}, {}
        for chunk in self.ask("say=seed;times=3;piece=1", n=3, seed=7, stream=True):
            choice = chunk.choices[0]
            said[choice.index] = said.get(choice.index, "") + (choice.delta.content or "")
            if choice.finish_reason:
                ends[choice.index] = choice.finish_reason
        self.assertEqual(said, {i: str(7 + i) * 3 for i in range(3)})
        self.assertEqual(ends, {i: "stop" for i in range(3)})

    def test_stream_that_fails(self):
        with self.assertRaises(openai.APIError) as caught:
            list(self.ask("say=abc;piece=1;end=internal", stream=True))
        self.assertEqual(caught.exception.code, "internal")
        with self.assertRaises(openai.BadRequestError):
            self.ask("create=limit", stream=True)

    def test_stream_helper(self):
        with self.client.chat.completions.stream(model="fake", messages=user("say=abc;piece=1")) as stream:
            self.assertEqual([e.delta for e in stream if e.type == "content.delta"], ["", "a", "b", "c"])
            self.assertEqual(stream.get_final_completion().choices[0].message.content, "abc")

    def test_stream_that_is_left(self):
        with Server("--sequences-max", "1") as server, client_of(server) as client:
            for chunk in client.chat.completions.create(model="fake", stream=True,
                                                        messages=user("say=abcdef;piece=1;every_ms=20000")):
                if chunk.choices[0].delta.content:
                    break
            begun = time.monotonic()
            client.close()
            self.assertEqual(server.post({"prompt": "x"}).status, 200)
            self.assertLess(time.monotonic() - begun, 5)

    def test_async(self):
        async def run():
            options = {"base_url": f"http://{self.server.host}:{self.server.port}/v1", "api_key": "none"}
            async with openai.AsyncOpenAI(**options) as client:
                async def whole(i):
                    answer = await client.chat.completions.create(model="fake", messages=user(f"run_ms=5;say=w{i}"))
                    return answer.choices[0].message.content

                async def streamed(i):
                    got = ""
                    async for chunk in await client.chat.completions.create(
                            model="fake", messages=user(f"say=s{i};piece=1;every_ms=2"), stream=True):
                        got += chunk.choices[0].delta.content or ""
                    return got

                return await asyncio.gather(*[f(i) for i in range(10) for f in (whole, streamed)])

        self.assertEqual(asyncio.run(run()), [w + str(i) for i in range(10) for w in "ws"])

    def test_other_route_by_its_client(self):
        """The library reads the events of the inference route too."""
        body = {"task": "ask", "prompt": "say=ab;piece=1", "stream": True}
        events = list(self.client.post("/multimodal/inference", body=body, cast_to=object, stream=True,
                                       stream_cls=openai.Stream[object]))
        self.assertEqual([set(e) for e in events[1:-1]], [{"delta"}] * 2)
        self.assertEqual(events[-1]["text"], "ab")

    # ---- models ----

    def test_models(self):
        listed = self.client.models.list()
        self.assertEqual([m.id for m in listed], ["fake"])
        self.assertEqual((listed.data[0].object, listed.data[0].owned_by), ("model", "glint"))
        self.assertEqual(self.client.models.retrieve("fake"), listed.data[0])
        with self.assertRaises(openai.NotFoundError) as caught:
            self.client.models.retrieve("gpt-4o")
        self.assertEqual(caught.exception.code, "model_not_found")
        for path in ("/v1/models/", "/v1/models/fake/", "/v1/modelsfake"):
            self.assertEqual(self.server.get(path).error["code"], "not_found", path)
        with Server(model="load_ms=400", wait=False) as server:
            self.assertEqual(server.get("/v1/models").error["code"], "loading")
            server.wait_ready()

    # ---- refusals ----

    def refused(self, kind, code, param, *parts, **more):
        with self.assertRaises(kind) as caught:
            fields = {"model": "fake", "messages": user(*(parts or ("x",))), **more}
            self.client.chat.completions.create(**fields)
        self.assertIs(type(caught.exception), kind)
        self.assertEqual((caught.exception.code, caught.exception.param), (code, param))
        return caught.exception

    def test_exceptions(self):
        bad, cannot = openai.BadRequestError, openai.UnprocessableEntityError
        self.refused(openai.NotFoundError, "model_not_found", "model", model="gpt-4o")
        self.refused(bad, "invalid_value", "n", n=5)
        self.refused(bad, "invalid_value", "temperature", temperature=2.1)
        self.refused(bad, "invalid_type", "stream", extra_body={"stream": "yes"})
        self.refused(bad, "conflicting_fields", "max_tokens", max_tokens=5, max_completion_tokens=5)
        self.refused(bad, "unknown_field", "top_a", extra_body={"top_a": 1})
        self.refused(bad, "invalid_value", "top_logprobs", top_logprobs=21)
        self.refused(bad, "invalid_value", "top_logprobs", top_logprobs=2)
        self.refused(cannot, "unsupported_feature", "frequency_penalty", frequency_penalty=0.5)
        tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
        self.refused(cannot, "unsupported_feature", "tools", tools=[tool])
        self.refused(openai.InternalServerError, "internal", None, "create=internal")
        self.refused(openai.InternalServerError, "deadline_exceeded", None, "run_ms=9000", extra_body={"timeout_ms": 50})
        self.refused(bad, "context_length_exceeded", "prompt", "create=limit")
        error = self.refused(bad, "invalid_value", "n", n=0)
        self.assertIn("1 to 4", error.message)
        self.assertEqual(error.request_id or error.response.headers["x-request-id"],
                         error.body["request_id"])

    def test_authentication(self):
        key = "gk_" + base64.urlsafe_b64encode(b"1" * 32).decode().rstrip("=")
        entry = {"id": "a", "sha256": hashlib.sha256(key.encode()).hexdigest(), "tenant": "t", "scopes": ["infer"]}
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"keys": [entry]}, file)
            file.flush()
            with Server("--api-keys", file.name) as server:
                with client_of(server) as client, self.assertRaises(openai.AuthenticationError):
                    client.models.list()
                with client_of(server, api_key=key) as client:
                    self.assertEqual([m.id for m in client.models.list()], ["fake"])
                    answer = client.chat.completions.create(model="fake", messages=user("say=in"))
                    self.assertEqual(answer.choices[0].message.content, "in")

    def test_messages_refused(self):
        bad, cannot = openai.BadRequestError, openai.UnprocessableEntityError

        def refused(kind, code, param, messages):
            self.refused(kind, code, param, messages=messages)

        refused(bad, "invalid_value", "messages", [])
        refused(bad, "invalid_type", "messages", "hello")
        refused(bad, "invalid_type", "messages[0]", ["hello"])
        refused(bad, "invalid_value", "messages[0].role", [{"role": "tool", "content": "x"}])
        refused(bad, "invalid_value", "messages[0].role", [{"content": "x"}])
        refused(bad, "invalid_type", "messages[1].content", user("x") + [{"role": "assistant", "content": None}])
        refused(bad, "invalid_type", "messages[0].content", [{"role": "user", "content": []}])
        refused(bad, "unknown_field", "messages[0].tool_calls",
                [{"role": "assistant", "content": "x", "tool_calls": [{"id": "1"}]}])
        refused(bad, "invalid_value", "messages[0].content[1].type",
                user(text("x"), {"type": "input_audio", "input_audio": {}}))
        refused(bad, "invalid_value", "messages[0].content[0].type", [{"role": "system", "content": [picture()]}])
        refused(bad, "invalid_type", "messages[0].content[0].text", user({"type": "text", "text": 1}))
        refused(bad, "invalid_type", "messages[0].content[0].image_url",
                user({"type": "image_url", "image_url": URI}))
        refused(bad, "invalid_image", "messages[0].content[0].image_url", user(picture("file:///etc/passwd")))
        refused(bad, "too_many_images", "messages[0].content[8].image_url", user(*[picture()] * 9))
        refused(bad, "invalid_value", "messages", user("x") * 257)
        refused(bad, "invalid_value", "messages", user(*[text("x")] * 5000))
        refused(bad, "missing_input", "messages", None)
        # The library has no exception of its own for 415.
        answer = self.server.request("POST", CHAT, json.dumps(
            {"messages": user(picture("data:image/png;base64,Zm9v"), text("x"))}), {"Content-Type": "application/json"})
        self.assertEqual((answer.status, answer.error["code"]), (415, "unsupported_image"))

    def test_form_is_refused(self):
        answer = self.server.request("POST", CHAT, b"--a--", {"Content-Type": "multipart/form-data; boundary=a"})
        self.assertEqual((answer.status, answer.error["code"]), (415, "unsupported_media_type"))

    # ---- OpenAI's description ----

    @unittest.skipUnless(os.path.exists(SCHEMAS), "no outside suites")
    def test_answers_are_as_described(self):
        def post(**fields):
            return self.server.request("POST", CHAT, json.dumps({"model": "fake", **fields}),
                                       {"Content-Type": "application/json"}).body

        with self.assertRaises(jsonschema.ValidationError):
            described("CreateChatCompletionResponse", {"id": 1})
        described("CreateChatCompletionResponse", json.loads(post(messages=user("say=特效药"), n=2)))
        described("CreateChatCompletionResponse", json.loads(post(messages=user("say=x;finish=length"))))
        body = post(messages=user("say=abc;piece=1"), stream=True, stream_options={"include_usage": True})
        events = [line[6:] for line in body.decode().split("\n") if line.startswith("data: {")]
        self.assertEqual(len(events), 6)
        for event in events:
            described("CreateChatCompletionStreamResponse", json.loads(event))


class Model(unittest.TestCase):
    """The default model behind it."""

    @classmethod
    def setUpClass(cls):
        model = os.path.join(ROOT, "models/default")
        with open(os.path.join(model, "sample-listing.png"), "rb") as file:
            cls.uri = "data:image/png;base64," + b64(file.read())
        cls.server = Server("--timeout-ms", "600000", binary=GLINT, model=model)
        cls.client = client_of(cls.server)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.server.stop()

    def ask(self, messages, **more):
        return self.client.chat.completions.create(model="default", messages=messages, temperature=0, max_tokens=40,
                                                   **more)

    def test_picture_and_stream(self):
        messages = user(picture(self.uri), text("请描述这张图片。"))
        answer = self.ask(messages)
        words = answer.choices[0].message.content
        self.assertGreater(answer.usage.prompt_tokens_details.image_tokens, 0)
        self.assertGreater(len(words), 0)
        streamed = "".join(c.choices[0].delta.content or "" for c in self.ask(messages, stream=True))
        self.assertEqual(streamed, words)
        # A picture counts: without it the answer is another, or at least the prompt is shorter.
        self.assertLess(self.ask(user("请描述这张图片。")).usage.prompt_tokens, answer.usage.prompt_tokens)

    def test_audit_streams_its_json(self):
        body = {"image": self.uri, "prompt": TITLE, "stream": True}
        events = list(self.client.post("/multimodal/inference", body=body, cast_to=object, stream=True,
                                       stream_cls=openai.Stream[object]))
        said = json.loads("".join(e["delta"] for e in events[1:-1]))
        self.assertEqual((events[-1]["result"], events[-1]["reasons"]), (said["result"], said["reasons"]))

    def test_stop_and_length(self):
        messages = user(picture(self.uri), text("请描述这张图片。"))
        words = self.ask(messages).choices[0].message.content
        cut = self.ask(messages, stop=[words[3:5]]).choices[0]
        self.assertEqual((cut.message.content, cut.finish_reason), (words[:words.index(words[3:5])], "stop"))
        short = self.client.chat.completions.create(model="default", messages=messages, max_completion_tokens=2)
        self.assertEqual((short.choices[0].finish_reason, short.usage.completion_tokens), ("length", 2))

    def test_probabilities(self):
        answer = self.ask(user(picture(self.uri), text("请描述这张图片。")), logprobs=True, top_logprobs=3)
        content = answer.choices[0].logprobs.content
        self.assertEqual(len(content), answer.usage.completion_tokens)
        said = b"".join(bytes(t.bytes) for t in content)
        self.assertEqual(said.decode().strip(), answer.choices[0].message.content.strip())
        for token in content:
            self.assertEqual(len(token.top_logprobs), 3)
            # Greedy: each token is the likeliest, and probabilities are probabilities.
            self.assertEqual((token.token, token.logprob), (token.top_logprobs[0].token, token.top_logprobs[0].logprob))
            self.assertLessEqual(sum(math.exp(t.logprob) for t in token.top_logprobs), 1.000001)
        if os.path.exists(SCHEMAS):
            described("CreateChatCompletionResponse", answer.model_dump(exclude_unset=True))

    def test_probabilities_as_they_come(self):
        """All chunks together have what the whole answer has, each token once, with its own text or before it."""
        for more in ({"messages": user(picture(self.uri), text("请描述这张图片。"))},
                     {"messages": user("说点什么"), "max_tokens": 24},
                     {"messages": user("给我三个数"), "n": 2, "temperature": 0.7, "seed": 5, "max_tokens": 40,
                      "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {
                          "type": "object", "properties": {"numbers": {"type": "array", "items": {"type": "integer"},
                                                                       "minItems": 3, "maxItems": 3}},
                          "required": ["numbers"], "additionalProperties": False}}}}):
            asked = {"model": "default", "logprobs": True, "top_logprobs": 2, **more}
            whole = self.client.chat.completions.create(**asked)
            n = len(whole.choices)
            tokens, words, ends = [[] for _ in range(n)], [""] * n, [None] * n
            for chunk in self.client.chat.completions.create(stream=True, **asked):
                for choice in chunk.choices:
                    words[choice.index] += choice.delta.content or ""
                    tokens[choice.index] += choice.logprobs.content if choice.logprobs else []
                    said = b"".join(bytes(t.bytes) for t in tokens[choice.index]).decode("utf-8", "ignore")
                    self.assertIn(words[choice.index].rstrip("\ufffd"), said)
                    ends[choice.index] = choice.finish_reason or ends[choice.index]
                if os.path.exists(SCHEMAS):
                    described("CreateChatCompletionStreamResponse", chunk.model_dump(exclude_unset=True))
            for i, choice in enumerate(whole.choices):
                self.assertEqual((words[i], ends[i]), (choice.message.content, choice.finish_reason))
                self.assertEqual([t.token for t in tokens[i]], [t.token for t in choice.logprobs.content])
                for mine, its in zip(tokens[i], choice.logprobs.content):
                    self.assertAlmostEqual(mine.logprob, its.logprob, places=2)
                    self.assertEqual(len(mine.top_logprobs), 2)
            self.assertEqual(sum(map(len, tokens)), whole.usage.completion_tokens)
        plain = list(self.client.chat.completions.create(model="default", messages=user("hm"), stream=True, max_tokens=4))
        self.assertTrue(all(c.logprobs is None for chunk in plain for c in chunk.choices))

    def test_turns_and_samples(self):
        messages = [{"role": "system", "content": "你是审核员。"}, *user(picture(self.uri), text("这是什么？")),
                    {"role": "assistant", "content": "药品。"}, *user("能卖吗？")]
        answer = self.client.chat.completions.create(model="default", messages=messages, n=3, seed=3, max_tokens=8)
        again = self.client.chat.completions.create(model="default", messages=messages, n=3, seed=3, max_tokens=8)
        said = [c.message.content for c in answer.choices]
        self.assertEqual(said, [c.message.content for c in again.choices])


if __name__ == "__main__":
    unittest.main(verbosity=1)
