"""A server with known delays and faults. The first part of the path says which: /MODE/v1/..."""
import asyncio
import hashlib
import json
import threading
from collections import Counter

ANSWER = {"result": "pass", "reasons": [], "finish_reason": "stop",
          "usage": {"prompt_tokens": 100, "image_tokens": 64, "completion_tokens": 5,
                    "forced_tokens": 2, "cached_tokens": 40},
          "timing_ms": {"queue": 3, "encode": 20, "prefill": 4, "decode": 5, "total": 32}}
CHAT = {"choices": [{"message": {"content": '{"result":"pass"}'}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 5}}
PIECES = 5
FIRST_S, GAP_S = 0.06, 0.02


def glint_events():
    piece = json.dumps({"delta": "x"})
    return [(None, piece)] * PIECES + [(None, json.dumps(ANSWER)), (None, "[DONE]")]


def openai_events():
    piece = json.dumps({"choices": [{"delta": {"content": "x"}}]})
    usage = json.dumps({"choices": [], "usage": {"completion_tokens": PIECES}})
    return [(None, piece)] * PIECES + [(None, usage), (None, "[DONE]")]


class Stub:
    """Serves on `port` in a thread of its own until close()."""

    def __init__(self):
        self.requests = []  # (mode, headers, body)
        self.status = Counter()  # of answers given
        self.one_at_a_time = asyncio.Lock()
        self.loop, ready = asyncio.new_event_loop(), threading.Event()

        def run():
            asyncio.set_event_loop(self.loop)
            self.server = self.loop.run_until_complete(
                asyncio.start_server(self.serve, "127.0.0.1", 0, limit=1 << 24))
            self.port = self.server.sockets[0].getsockname()[1]
            ready.set()
            self.loop.run_forever()

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
        ready.wait()

    def url(self, mode):
        return f"http://127.0.0.1:{self.port}/{mode}"

    def close(self):
        async def end():
            self.server.close()
            here = asyncio.current_task()
            others = [t for t in asyncio.all_tasks() if t is not here]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        if self.thread.is_alive():
            asyncio.run_coroutine_threadsafe(end(), self.loop).result()
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join()
            self.loop.close()

    def of(self, mode):
        """[(headers, body)] of a mode's requests, in the order they came."""
        return [(h, b) for m, h, b in self.requests if m == mode]

    def pictures(self, mode):
        """How often each picture came."""
        return Counter(hashlib.sha256(json.loads(b)["image"].encode()).hexdigest()
                       for _, b in self.of(mode))

    async def serve(self, reader, writer):
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                method, path, _ = head[0].split(" ")
                if method == "GET":
                    self.say(writer, 200, {"status": "ok"})
                    continue
                mode = path.split("/")[1]
                number = len(self.of(mode))
                self.requests.append((mode, headers, body))
                if not await getattr(self, mode)(writer, number):
                    break
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    def say(self, writer, status, value, extra=""):
        data = json.dumps(value).encode()
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{extra}"
                     f"Content-Length: {len(data)}\r\n\r\n".encode() + data)

    def answer(self, writer, status=200, value=None, extra=""):
        self.status[str(status)] += 1
        self.say(writer, status, ANSWER if value is None else value, extra)
        return True

    async def steady(self, writer, _):
        """Every answer takes 50 ms; any number at once."""
        await asyncio.sleep(0.05)
        return self.answer(writer)

    async def at_once(self, writer, _):
        return self.answer(writer)

    async def chat(self, writer, _):
        return self.answer(writer, value=CHAT)

    async def halting(self, writer, number):
        """One at a time, at once, but the 20th takes 800 ms: all behind it wait."""
        async with self.one_at_a_time:
            if number == 20:
                await asyncio.sleep(0.8)
        return self.answer(writer)

    async def uneven(self, writer, number):
        """Every second answer takes 400 ms."""
        await asyncio.sleep(0.4 if number % 2 else 0)
        return self.answer(writer)

    async def faulty(self, writer, number):
        """Of five: an answer, a refusal, an overload, a lost connection, half an answer."""
        kind = number % 5
        if kind == 1:
            return self.answer(writer, 429, {"error": {"code": "queue_full"}}, "Retry-After: 0\r\n")
        if kind == 2:
            return self.answer(writer, 503, {"error": {"code": "overloaded"}})
        if kind == 3:
            return False
        return self.answer(writer, value={} if kind == 4 else None)

    async def refusing(self, writer, _):
        return self.answer(writer, 404, {"error": {"code": "not_found"}})

    async def silent(self, writer, _):
        await asyncio.sleep(30)

    async def stream(self, writer, events, whole=True):
        """The first piece after FIRST_S, the others GAP_S apart; bytes cut in odd places."""
        self.status["200"] += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                     b"Transfer-Encoding: chunked\r\n\r\n")
        for i, (name, data) in enumerate(events):
            await asyncio.sleep(FIRST_S if i == 0 else GAP_S if i < PIECES else 0)
            text = (f"event: {name}\r\n" if name else "") + f"data: {data}\r\n\r\n"
            for part in (text[:7], text[7:-1], text[-1:]):
                writer.write(f"{len(part):x}\r\n{part}\r\n".encode())
                await writer.drain()
        if whole:
            writer.write(b"0\r\n\r\n")
        return whole

    async def glint_stream(self, writer, _):
        return await self.stream(writer, glint_events())

    async def openai_stream(self, writer, _):
        return await self.stream(writer, openai_events())

    async def endless_stream(self, writer, _):
        """Ends well as HTTP, without the answer's end."""
        return await self.stream(writer, glint_events()[:-1])
