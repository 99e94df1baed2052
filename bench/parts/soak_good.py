"""Good clients of bench/soak: what they ask, and whether the answer is what docs/api.md promises.

Besides its form, an answer is compared with the first one to the same question: it must not depend
on what else the server was doing, on a cache, or on whose request stood beside it.
"""
import base64
import json

from .pictures import marked
from .soak_wire import form

ROUTE, CHAT = "/v1/multimodal/inference", "/v1/chat/completions"
VERDICTS = ("pass", "review", "reject")
FIELDS = {"type": "object", "additionalProperties": False, "required": ["name", "count"],
          "properties": {"name": {"type": "string", "maxLength": 24}, "count": {"type": "integer", "minimum": 0}}}
USAGE = ("prompt_tokens", "image_tokens", "completion_tokens", "forced_tokens", "cached_tokens")
TIMES = ("queue", "fetch", "decode_image", "preprocess", "encode", "prefill", "decode", "total")
# Kind of request and how often it comes, out of 100.
MIX = {"audit json": 26, "audit form": 18, "audit data URI": 8, "audit stream": 8, "audit URL": 6, "two pictures": 2,
       "ask": 7, "ask text": 4, "ocr": 4, "extract": 4, "chat": 5, "chat stream": 5, "look": 3}
LOOKS = ("/v1/models", "/v1/tasks", "/openapi.json", "/health", "/ready", "/")


class Wrong(Exception):
    """An answer that breaks a promise; the message says which."""


def need(condition, what):
    if not condition:
        raise Wrong(what)


class Question:
    """One request: `kind`, `path`, `headers`, `body` (None: GET), `is_stream`, and `same`: questions
    with an equal one must have equal answers (None: it is not compared)."""

    def __init__(self, kind, path, content_type=None, body=None, same=None, is_stream=False):
        self.kind, self.path, self.body, self.same, self.is_stream = kind, path, body, same, is_stream
        self.headers = [("Content-Type", content_type)] if content_type else []
        self.method = "GET" if body is None else "POST"

    def check(self, reply):
        """The part of the answer that must be the same each time, or Wrong."""
        need(reply.status == 200, f"status {reply.status}: {reply.body[:160]!r}")
        if self.kind == "look":
            need(reply.body, "empty")
            return None
        need(reply.headers.get("content-type", "").startswith("application/json"), "not JSON by its type")
        return self.check_answer(reply.json)

    def check_answer(self, answer):
        if self.path == CHAT:
            return check_chat(answer)
        check_common(answer)
        if self.kind.startswith("audit") or self.kind == "two pictures":
            need(answer["result"] in VERDICTS, f"result {answer['result']!r}")
            need(all(isinstance(r, str) for r in answer["reasons"]), "reasons are not texts")
            return [answer["result"], answer["reasons"]]
        if self.kind == "extract":
            data = answer["data"]
            need(data is not None or answer["finish_reason"] == "length", "no data")
            need(data is None or (list(data) == ["name", "count"] and isinstance(data["name"], str)
                                  and isinstance(data["count"], int)), f"data {data!r}")
            return data
        need(isinstance(answer["text"], str), "no text")
        return answer["text"]

    def check_events(self, events):
        """Of a stream: [(name, data)]."""
        need(events and events[-1] == ("message", "[DONE]"), f"a stream without its end, {len(events)} events")
        need(all(name == "message" for name, _ in events), f"an error in it: {events[-2][1][:160]}")
        parts = [json.loads(data) for _, data in events[:-1]]
        if self.path == CHAT:
            need(parts and all(p["object"] == "chat.completion.chunk" for p in parts), "not chunks")
            choices = [c for p in parts for c in p["choices"]]
            need(choices and choices[-1]["finish_reason"] in ("stop", "length"), "no finish_reason")
            return "".join(c["delta"].get("content") or "" for c in choices)
        need(len(parts) >= 2 and parts[0]["id"] == parts[-1]["id"], "another request's end")
        found = self.check_answer(parts[-1])
        if parts[-1]["finish_reason"] == "stop":
            text = "".join(p["delta"] for p in parts[1:-1])
            need(json.loads(text)["result"] == found[0], "the deltas say another verdict")
        return found


def check_common(answer):
    need(answer["finish_reason"] in ("stop", "length", "invalid_answer"), f"finish_reason {answer['finish_reason']!r}")
    need(isinstance(answer["model"], str) and isinstance(answer["task"], str), "no model or task")
    need(0 <= answer["confidence"] <= 1, f"confidence {answer['confidence']}")
    need(all(isinstance(answer["usage"][name], int) for name in USAGE), "usage")
    need(all(answer["timing_ms"][name] >= 0 for name in TIMES), "timing_ms")
    need(answer["tokens_generated"] == answer["usage"]["completion_tokens"], "tokens_generated")


def check_chat(answer):
    need(answer["object"] == "chat.completion" and len(answer["choices"]) == 1, "not a completion")
    choice = answer["choices"][0]
    need(choice["finish_reason"] in ("stop", "length"), f"finish_reason {choice['finish_reason']!r}")
    need(isinstance(choice["message"]["content"], str), "no content")
    need(answer["usage"]["total_tokens"] > 0, "usage")
    return choice["message"]["content"]


class Maker:
    """Draws questions about `cases`, [{picture, prompt}]. `picture_url(case number)` is where the
    server may fetch a picture."""

    def __init__(self, cases, picture_url, fresh_share=0.5):
        self.cases, self.picture_url, self.fresh_share = cases, picture_url, fresh_share

    def picture(self, draw, number):
        """Its bytes, or such as no cache has seen with the same pixels."""
        picture = self.cases[number]["picture"]
        if draw.random() < self.fresh_share:
            return marked(picture, f"soak {draw.getrandbits(64):x}")
        return picture

    def question(self, draw):
        kind = draw.choices(list(MIX), MIX.values())[0]
        number = draw.randrange(len(self.cases))
        if kind == "look":
            return Question(kind, draw.choice(LOOKS))
        if kind.startswith("chat"):
            return self.chat(draw, kind, number)
        if kind == "audit form":
            return self.upload(draw, kind, number)
        return self.infer(draw, kind, number)

    def upload(self, draw, kind, number):
        boundary = f"soak{draw.getrandbits(64):x}"
        body = form([("image", self.picture(draw, number), "a.jpg"),
                     ("prompt", self.cases[number]["prompt"].encode(), None)], boundary)
        return Question(kind, ROUTE, f"multipart/form-data; boundary={boundary}", body, ("audit", number))

    def infer(self, draw, kind, number):
        case = self.cases[number]
        fields = {"prompt": case["prompt"], "task": "audit"}
        encoded = base64.b64encode(self.picture(draw, number)).decode()
        same = ("audit", number)
        if kind == "audit URL":
            fields["image"] = self.picture_url(number)
        elif kind == "two pictures":
            fields["images"] = [encoded, f"data:image/any;base64,{encoded}"]
            same = (kind, number)
        elif kind != "ask text":
            fields["image"] = f"data:image/any;base64,{encoded}" if kind == "audit data URI" else encoded
        if kind == "audit stream":
            fields["stream"] = True
        elif kind in ("ask", "ask text"):
            fields |= {"task": "ask", "max_tokens": 48}
            same = (kind, number)
        elif kind == "ocr":
            fields |= {"task": "ocr", "max_tokens": 96}
            del fields["prompt"]
            same = (kind, number)
        elif kind == "extract":
            fields |= {"task": "extract", "schema": FIELDS, "max_tokens": 96}
            del fields["prompt"]
            same = (kind, number)
        return Question(kind, ROUTE, "application/json", json.dumps(fields).encode(), same, "stream" in fields)

    def chat(self, draw, kind, number):
        encoded = base64.b64encode(self.picture(draw, number)).decode()
        content = [{"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{encoded}"}},
                   {"type": "text", "text": self.cases[number]["prompt"]}]
        fields = {"model": "default", "temperature": 0, "max_tokens": 96, "stream": kind == "chat stream",
                  "messages": [{"role": "user", "content": content}]}
        return Question(kind, CHAT, "application/json", json.dumps(fields).encode(), ("chat", number),
                        kind == "chat stream")
