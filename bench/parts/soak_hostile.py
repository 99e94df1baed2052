"""Hostile clients of bench/soak. An act is one client's visit; each kind says how often it comes, what
it does, and which answers are right. Anything else, and no end within the patience, is a fault.

An act returns the statuses it was answered with; "closed" stands for a connection that the server
ended without an answer, "gone" for one that the client ended without waiting for any.
"""
import asyncio
import base64
import json

from . import soak_bombs as bombs
from .soak_good import CHAT, ROUTE
from .soak_origin import Origin
from .soak_wire import Cut, Wire, form, request

JSON = ("Content-Type", "application/json")
# What any request to the model may be told: limits, no room, no time.
BUSY = (429, 503, 504)
KINDS = {}


class Fault(Exception):
    """The server broke a promise; the message says which."""


def kind(weight, *allowed):
    """Registers an act. `allowed`: its right answers."""
    def register(function):
        KINDS[function.__name__.replace("_", " ")] = (weight, frozenset(allowed), function)
        return function
    return register


class Visitor:
    """What acts need: where the server is, credentials, hostile bytes. `answered` is told of every
    answer that was read, for the audit log."""

    def __init__(self, port, tokens, maker, origin, suites, answered):
        self.port, self.tokens, self.maker, self.origin = port, tokens, maker, origin
        self.suites, self.answered = suites, answered
        self.picture_bombs = bombs.picture_bombs()
        self.schema_bombs = bombs.schema_bombs()
        self.zeros = bombs.zeros(1 << 24)

    def wire(self, draw, receive_bytes=None):
        """From an address that no good client has."""
        return Wire(self.port, f"127.0.66.{draw.randrange(1, 200)}", receive_bytes)

    def bearer(self, who="hostile"):
        return "Authorization", f"Bearer {self.tokens[who]}"

    async def read(self, wire, has_body=True, is_whole=True):
        """The status of one answer, or "closed". Not `is_whole`: its headers may never have been,
        and then 408 is the answer to no request."""
        try:
            reply = await wire.reply(has_body)
        except (Cut, ConnectionError):
            return "closed"
        if is_whole or reply.status != 408:
            self.answered(reply)
        return reply.status

    async def ask(self, draw, method, path, headers, body=None):
        """One request on a connection of its own."""
        async with self.wire(draw) as wire:
            try:
                await wire.send(request(method, path, headers, body))
            except ConnectionError:
                pass  # refused before all was sent; the answer may be there
            return [await self.read(wire, method != "HEAD")]

    async def infer(self, draw, fields, path=ROUTE, who="hostile"):
        body = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
        return await self.ask(draw, "POST", path, [self.bearer(who), JSON], body)

    async def picture(self, draw, data, who="hostile"):
        """In one of the ways in which a picture can come."""
        how = draw.randrange(4)
        encoded = base64.b64encode(data).decode()
        if how == 0:
            boundary = f"h{draw.getrandbits(64):x}"
            headers = [self.bearer(who), ("Content-Type", f"multipart/form-data; boundary={boundary}")]
            parts = [("image", data, "x.png"), ("max_tokens", b"8", None)]
            return await self.ask(draw, "POST", ROUTE, headers, form(parts, boundary))
        if how == 1:
            return await self.infer(draw, {"image": encoded, "max_tokens": 8}, ROUTE, who)
        url = f"data:image/png;base64,{encoded}"
        if how == 2:
            return await self.infer(draw, {"image": url, "task": "describe", "max_tokens": 8}, ROUTE, who)
        content = [{"type": "image_url", "image_url": {"url": url}}]
        return await self.infer(draw, {"messages": [{"role": "user", "content": content}], "max_tokens": 8}, CHAT, who)

    def question(self, draw, **more):
        """A good question's fields."""
        number = draw.randrange(len(self.maker.cases))
        picture = base64.b64encode(self.maker.picture(draw, number)).decode()
        return {"image": picture, "prompt": self.maker.cases[number]["prompt"], **more}

    def whole(self, draw, **more):
        """A good request's bytes."""
        body = json.dumps(self.question(draw, **more)).encode()
        return request("POST", ROUTE, [self.bearer(), JSON], body)


# ---- pictures ----

@kind(14, 200, 400, 415, 422, *BUSY)
async def broken_picture(v, draw):
    data = v.suites.draw(draw, "pictures") if draw.random() < 0.6 else None
    return await v.picture(draw, data or bombs.broken(draw, draw.choice(v.maker.cases)["picture"]))


@kind(5, 200, 415, 422, *BUSY)
async def picture_bomb(v, draw):
    data = v.suites.draw(draw, "bombs") if draw.random() < 0.5 else None
    return await v.picture(draw, data or draw.choice(list(v.picture_bombs.values())), "bomber")


# ---- bodies ----

@kind(6, 400, *BUSY)
async def bad_JSON(v, draw):
    data = v.suites.draw(draw, "json") if draw.random() < 0.6 else None
    return await v.infer(draw, draw.choice(bombs.BAD_JSON) if data is None else data)


@kind(3, 400, *BUSY)
async def deep_JSON(v, draw):
    return await v.infer(draw, bombs.deep_json(draw), draw.choice((ROUTE, CHAT)))


@kind(4, 400, 415, 422, *BUSY)
async def bad_fields(v, draw):
    return await v.infer(draw, draw.choice(bombs.BAD_FIELDS), draw.choice((ROUTE, ROUTE, CHAT)))


@kind(3, 200, 400, 422, *BUSY)
async def schema_bomb(v, draw):
    schema = draw.choice(v.schema_bombs)
    return await v.infer(draw, {"prompt": "x", "task": "extract", "schema": schema, "max_tokens": 16})


@kind(2, 200, 400, *BUSY)
async def prompt_bomb(v, draw):
    text = draw.choice(("a", " ", "<|image|>", "<|user|>", "\U0001f600", "\u0e01", "\n\n", "9"))
    text *= draw.choice((10, 3000, 100_000))
    return await v.infer(draw, {"prompt": text[:1_000_000], "task": "ask", "max_tokens": 8})


@kind(5, 200, 400, 415, 422, *BUSY)
async def bad_form(v, draw):
    boundary = "frontier"
    whole = form([("image", draw.choice(v.maker.cases)["picture"], "x.jpg"), ("prompt", b"x", None)], boundary)
    body = draw.choice((
        lambda: whole[: draw.randrange(len(whole))], lambda: whole.replace(b"form-data", b"form-" * 3000),
        lambda: form([(f"x{i}", b"", None) for i in range(1000)], boundary), lambda: whole.replace(b"\r\n", b"\n"),
        lambda: whole.replace(b'name="image"', b'name="image"; name="prompt"'), lambda: b"--" + b"-" * 100_000,
        lambda: form([("prompt", b"x", "a" * 9000)], boundary), lambda: form([("image", b"", "x")] * 20, boundary),
        lambda: v.suites.draw(draw, "multipart") or b"--frontier--"))()
    types = ("multipart/form-data; boundary=frontier",) * 5 + (
        "multipart/form-data", 'multipart/form-data; boundary="', "multipart/form-data; boundary=" + "x" * 500,
        "multipart/mixed; boundary=frontier", "text/plain")
    return await v.ask(draw, "POST", ROUTE, [v.bearer(), ("Content-Type", draw.choice(types))], body)


@kind(1, 413, "closed")
async def large_body(v, draw):
    """Announced, or in chunks without end."""
    async with v.wire(draw) as wire:
        head = [v.bearer(), JSON]
        try:
            if draw.random() < 0.5:
                await wire.send(request("POST", ROUTE, [*head, ("Content-Length", "500000000")]))
                for _ in range(100):
                    await wire.send(bytes(65536))
            else:
                await wire.send(request("POST", ROUTE, [*head, ("Transfer-Encoding", "chunked")]))
                for _ in range(400):
                    await wire.send(b"10000\r\n" + b" " * 65536 + b"\r\n")
        except ConnectionError:
            pass
        return [await v.read(wire)]


@kind(1, 400, *BUSY)
async def tiny_chunks(v, draw):
    """Of a byte each, and a broken body at last."""
    body = json.dumps(v.question(draw)).encode()[:6000].rstrip(b"}")
    chunks = b"".join(b"1;%s\r\n%c\r\n" % (b"x" * 20, c) for c in body) + b"0\r\n\r\n"
    async with v.wire(draw) as wire:
        await wire.send(request("POST", ROUTE, [v.bearer(), JSON, ("Transfer-Encoding", "chunked")]) + chunks)
        return [await v.read(wire)]


@kind(1, 415, 417, 413, "closed")
async def encoded_body(v, draw):
    more = draw.choice((("Content-Encoding", "gzip"), ("Content-Encoding", "br"), ("Expect", "200-maybe")))
    return await v.ask(draw, "POST", ROUTE, [v.bearer(), JSON, more], v.zeros)


# ---- who they say they are ----

@kind(6, 401, 429, 431)
async def bad_token(v, draw):
    token = draw.choice(v.suites.tokens) if v.suites.tokens and draw.random() < 0.5 else None
    token = token or bombs.bad_tokens(draw, v.tokens["hostile"])
    headers = draw.choice(([("Authorization", f"Bearer {token}")], [("X-API-Key", token)],
                           [("Authorization", f"Basic {token}")], [v.bearer(), v.bearer()],
                           [v.bearer(), ("X-API-Key", token)], []))
    path = draw.choice((ROUTE, "/metrics", "/admin"))
    try:
        return await v.ask(draw, "POST", path, [*headers, JSON], b'{"prompt":"x"}')
    except UnicodeEncodeError:
        return ["gone"]  # a token that is no header


@kind(0.5, 401, 429)
async def guessing(v, draw):
    """Wrong keys by the hundred from one address: it must be told to wait."""
    out = []
    async with Wire(v.port, f"127.0.67.{draw.randrange(1, 250)}") as wire:
        for _ in range(200):
            await wire.send(request("GET", "/v1/models", [("X-API-Key", f"gk_{draw.getrandbits(256):043x}")]))
            out.append(await v.read(wire))
            if out[-1] == "closed":
                break
    if 429 not in out:
        raise Fault("200 wrong keys and no 429")
    return out


@kind(1, 403)
async def no_scope(v, draw):
    return await v.ask(draw, "GET", "/metrics", [v.bearer()])


@kind(0.5, 200, 429, *BUSY)
async def above_its_limit(v, draw):
    """A tenant with a limit of its own, with many at once."""
    body = b'{"task":"ask","prompt":"x","max_tokens":4}'

    async def one():
        return (await v.ask(draw, "POST", ROUTE, [v.bearer("limited"), JSON], body))[0]
    out = await asyncio.gather(*(one() for _ in range(20)))
    if 429 not in out:
        raise Fault(f"20 at once and no 429: {sorted(set(out))}")
    return out


# ---- HTTP ----

@kind(4, 400, 431, "closed")
async def large_headers(v, draw):
    more = draw.choice(([("X", "a" * 9000)], [(f"X-{i}", "a") for i in range(100)],
                        [(f"X-{i}", "a" * 900) for i in range(60)], [("Cookie", "a" * 200_000)], [("X" * 9000, "a")]))
    return await v.ask(draw, "GET", "/v1/models", [v.bearer(), *more])


@kind(4, "closed", 400, 401, 404, 405, 408, 411, 413, 414, 415, 417, 431, 501, 505)
async def smuggling(v, draw):
    data = draw.choice(bombs.raw_requests(ROUTE, v.tokens["hostile"]))
    async with v.wire(draw) as wire:
        await wire.send(data)
        wire.half_close()
        out = [await v.read(wire, is_whole=False)]
        while out[-1] != "closed":
            out.append(await v.read(wire, is_whole=False))
    if len(out) > 2:
        raise Fault(f"answers {out} to {data[:300]!r}")
    if out[0] == 200:
        raise Fault(f"served {data[:300]!r}")
    return out[:1]


@kind(4, "closed", "any below 500", 501, 505)
async def raw_bytes(v, draw):
    """Of outside suites: right or wrong, it must neither crash nor hang."""
    data = v.suites.draw(draw, "raw") or draw.randbytes(draw.randrange(1, 5000))
    async with v.wire(draw) as wire:
        try:
            await wire.send(data)
            wire.half_close()
        except OSError:
            pass
        out = []
        while "closed" not in out and len(out) < 50:
            out.append(await v.read(wire, b"HEAD" not in data, is_whole=False))
    return out[:-1] or out


@kind(3, 400, 401, 404, 405, 501, "closed")
async def wrong_method(v, draw):
    method = draw.choice(("GET", "PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "CONNECT", "PROPFIND", "post",
                          "X" * 300))
    return await v.ask(draw, method, draw.choice((ROUTE, CHAT)), [v.bearer()] if draw.random() < 0.7 else [])


@kind(3, 400, 401, 404, "closed")
async def unknown_routes(v, draw):
    """Thirty at once on one connection."""
    names = ("admin", ".env", "..%2f..%2fetc%2fpasswd", "v1/multimodal/inference/", "%00", "metrics;x", "a" * 2000,
             "?x", "//")
    headers = [v.bearer()] if draw.random() < 0.5 else []
    async with v.wire(draw) as wire:
        await wire.send(b"".join(request("GET", f"/x{i}/{draw.choice(names)}", headers) for i in range(30)))
        out = []
        for _ in range(30):
            out.append(await v.read(wire))
            if out[-1] == "closed":
                break
    return out


# ---- URLs ----

@kind(4, 400, 422, *BUSY)
async def SSRF(v, draw):
    url = draw.choice(bombs.SSRF).replace("{witness}", str(v.origin.witness_port))
    return await v.infer(draw, {"image": url, "max_tokens": 4})


@kind(3, 422, *BUSY)
async def hostile_origin(v, draw):
    return await v.infer(draw, {"image": v.origin.hostile_url(draw.choice(Origin.HOWS)), "max_tokens": 4})


# ---- slow, and gone ----

@kind(1.5, 408, "closed")
async def slow_headers(v, draw):
    """A byte at a time, for as long as the server lets it."""
    data = request("POST", ROUTE, [v.bearer(), JSON, ("Content-Length", "100")])
    async with v.wire(draw) as wire:
        waiting = asyncio.ensure_future(v.read(wire, is_whole=False))
        await drip(wire, data * 20, waiting)
        return [await waiting]


@kind(0.7, 408, "closed")
async def slow_body(v, draw):
    async with v.wire(draw) as wire:
        await wire.send(request("POST", ROUTE, [v.bearer(), JSON, ("Content-Length", "100000")]))
        waiting = asyncio.ensure_future(v.read(wire))
        await drip(wire, b" " * 100_000, waiting)
        return [await waiting]


async def drip(wire, data, until):
    """A byte every half second."""
    for i in range(len(data)):
        if until.done():
            return
        try:
            await wire.send(data[i : i + 1])
        except ConnectionError:
            return
        await asyncio.wait([until], timeout=0.5)


@kind(0.7, 408, "closed")
async def silence(v, draw):
    async with v.wire(draw) as wire:
        return [await v.read(wire, is_whole=False)]


@kind(4, "gone")
async def gone_while_sending(v, draw):
    wire = await v.wire(draw).open()
    data = v.whole(draw)
    await wire.send(data[: draw.randrange(1, len(data))])
    await asyncio.sleep(draw.choice((0, 0, 0.1, 1)))
    wire.reset() if draw.random() < 0.5 else wire.close()
    return ["gone"]


@kind(4, "gone")
async def gone_while_waiting(v, draw):
    wire = await v.wire(draw).open()
    await wire.send(v.whole(draw, stream=draw.random() < 0.5))
    await asyncio.sleep(draw.choice((0, 0.005, 0.02, 0.05, 0.1, 0.3)))
    wire.reset() if draw.random() < 0.5 else wire.close()
    return ["gone"]


@kind(3, "gone", "closed", *BUSY)
async def gone_mid_stream(v, draw):
    """After some events."""
    async with v.wire(draw) as wire:
        await wire.send(v.whole(draw, stream=True, task="describe", max_tokens=256))
        try:
            status, headers = await wire.head()
            if status != 200:
                return [status]
            n = draw.randrange(1, 6)
            async for _ in wire.events(headers):
                n -= 1
                if n == 0:
                    break
        except Cut:
            return ["closed"]
        wire.reset() if draw.random() < 0.5 else None
        return ["gone"]


@kind(1, "closed", 200, 499, *BUSY)
async def half_closed(v, draw):
    """Has sent all and says so: takes its request back."""
    async with v.wire(draw) as wire:
        await wire.send(v.whole(draw))
        wire.half_close()
        return [await v.read(wire)]


@kind(0.7, "gone", "closed", *BUSY)
async def slow_reader(v, draw):
    """A long stream, of which it takes a few bytes a second; the server may drop it or send it all."""
    async with v.wire(draw, receive_bytes=2048) as wire:
        fields = {"model": "default", "messages": [{"role": "user", "content": "x"}], "stream": True, "n": 4,
                  "temperature": 2, "max_tokens": 400}
        await wire.send(request("POST", CHAT, [v.bearer(), JSON], json.dumps(fields).encode()))
        for _ in range(40):
            await asyncio.sleep(0.5)
            try:
                if not await wire.reader.read(16):
                    return ["closed"]
            except ConnectionError:
                return ["closed"]
        return ["gone"]


@kind(0.5, "closed", "gone")
async def no_reader(v, draw):
    """Asks for the page over and over and takes none of it."""
    async with v.wire(draw, receive_bytes=2048) as wire:
        try:
            for _ in range(100):
                await asyncio.wait_for(wire.send(request("GET", "/page/main.js") * 20), 0.5)
        except (ConnectionError, asyncio.TimeoutError):
            pass
        await asyncio.sleep(10)
        wire.reset()
        return ["gone"]


@kind(1, "gone")
async def connects_and_leaves(v, draw):
    for i in range(20):
        wire = await v.wire(draw).open()
        wire.reset() if i % 2 else wire.close()
    return ["gone"]


@kind(3, 200, *BUSY)
async def tiny_deadline(v, draw):
    return await v.infer(draw, v.question(draw, timeout_ms=draw.choice((1, 5, 20, 100))))


def is_right(allowed, status):
    return status in allowed or ("any below 500" in allowed and isinstance(status, int) and status < 500)
