"""The run of bench/soak: arrivals, clients, Redis' end, the watch, the drain. What clients ask is in
soak_good and soak_hostile, what is right in soak_report."""
import asyncio
import os
import random
import sys
import time

from . import soak_report
from .quiet import Failure
from .soak_bombs import Suites
from .soak_good import Maker, Wrong
from .soak_hostile import KINDS, Fault, Visitor, is_right
from .soak_origin import Origin
from .soak_report import Tally
from .soak_wire import Cut, Reply, Wire, request
from .soak_world import Keys, Redis, Server, sample

REUSE_SHARE, REUSE_FOR_S = 0.7, 4   # of good requests that take a connection again, and how soon
WARM_UP = 40
METRICS_EVERY_S = 2
DRAIN_S = 45                        # more than glint's --drain-ms
REDIS_FOUND_S = 40                  # for the server to try it again, its longest wait included
AFTERWARDS = 10 ** 6                # number of the first request behind the load
SETTLE_S = 15                       # for the server to close what its clients left
DRAINING = 24                       # requests under way when the server is told to stop


class Soak:
    """One run in `folder` with `cases` as good clients' pictures and questions."""

    def __init__(self, args, folder, cases):
        self.args, self.cases, self.tally = args, cases, Tally()
        self.redis = Redis(folder)
        self.keys = Keys(args.glint, folder)
        self.folder = folder
        self.idle, self.died = [], ""
        self.redis_up, self.breaker_opened = False, 0  # as /metrics said last
        self.requests_total = None
        self.start = time.monotonic()

    def now(self):
        return time.monotonic() - self.start

    async def run(self):
        self.redis.start()
        server = None
        try:
            async with Origin([case["picture"] for case in self.cases]) as origin:
                self.origin, self.maker = origin, Maker(self.cases, origin.url, self.args.fresh_share)
                self.server = server = Server(self.args.glint, self.args.model, self.folder, self.keys,
                                              self.redis, origin.port, self.args.serve)
                await asyncio.to_thread(server.start)
                return await self.report()
        finally:
            if server:
                server.kill()
            self.redis.kill()

    async def report(self):
        suites = Suites(self.args.suites)
        self.visitor = Visitor(self.server.port, self.keys.tokens, self.maker, self.origin, suites,
                               self.tally.heard)
        await self.warm_up()
        before = sample(self.server, self.redis)["fds"]
        self.start = time.monotonic()
        watching = asyncio.create_task(self.watch())
        killing = asyncio.create_task(self.kill_redis())
        try:
            await self.load()
        finally:
            killing.cancel()
            watching.cancel()
        seconds = self.now()
        await self.find_redis(seconds)
        after = await self.settle(before)
        await self.look()
        end = await self.drain()
        lines, faults = await asyncio.to_thread(soak_report.audit_faults, self.tally.answers, self.server.audit_path)
        killed_s = self.args.kill_redis_at
        back_s = None if killed_s is None else killed_s + self.args.redis_away
        return soak_report.make(self.tally, {
            "seconds": seconds, "rate": self.args.rate, "hostile_share": self.args.hostile_share,
            "seed": self.args.seed, "witnessed": self.origin.witnessed, "end": end,
            "fds": {"before": before, "after": after,
                    "most": max((p["fds"] for p in self.tally.samples), default=before)},
            "audit": {"lines": lines, "answers": len(self.tally.answers), "expected": self.requests_total,
                      "faults": faults},
            "redis": {"killed_at_s": killed_s, "back_at_s": back_s,
                      "noticed": self.breaker_opened > 0, "back": self.redis_up}})

    async def find_redis(self, now_s):
        """Goes on asking until a Redis that came back is in use: the server tries it again when a
        request wants it, and not at once."""
        came_back = self.args.kill_redis_at is not None and self.args.kill_redis_at + self.args.redis_away < now_s
        for i in range(REDIS_FOUND_S):
            await self.look()
            if self.redis_up or not came_back:
                return
            await self.good(AFTERWARDS + i, time.monotonic())
            await asyncio.sleep(1)

    # ---- arrivals ----

    async def warm_up(self):
        """A few good requests, of which only the answers' form counts."""
        for number in range(-WARM_UP, 0):
            await self.good(number, time.monotonic())
            if self.tally.good_errors:
                raise Failure(f"the first requests fail: {self.tally.good_errors[0]}")
        self.tally.good.clear()
        self.tally.latencies.clear()
        await asyncio.sleep(0.5)

    async def load(self):
        """Both processes of arrivals until the time is over, then until all has ended."""
        share, end_s = self.args.hostile_share, 60 * self.args.minutes
        await asyncio.gather(self.arrivals("good", self.args.rate * (1 - share), end_s, self.good),
                             self.arrivals("hostile", self.args.rate * share, end_s, self.hostile))

    async def arrivals(self, name, rate, end_s, serve):
        draw, at, number, tasks = random.Random(f"{self.args.seed}/{name}"), 0.0, 0, set()
        while rate > 0 and not self.died:
            at += draw.expovariate(rate)
            if at >= end_s:
                break
            await asyncio.sleep(max(0.0, at - self.now()))
            self.tally.late_ms = max(self.tally.late_ms, 1e3 * (self.now() - at))
            task = asyncio.create_task(serve(number, self.start + at))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            number += 1
            if not self.server.is_running:
                self.died = f"after {self.now():.0f} s, {name} {number}: {self.server.log_tail()}"
        await asyncio.gather(*tasks)

    # ---- clients ----

    async def connection(self, draw):
        """One that a good request left open, or a new one."""
        while self.idle and time.monotonic() - self.idle[0][1] > REUSE_FOR_S:
            self.idle.pop(0)[0].close()
        if self.idle and draw.random() < REUSE_SHARE:
            return self.idle.pop()[0]
        return await Wire(self.server.port).open()

    async def good(self, number, due):
        draw = random.Random(f"{self.args.seed}/good/{number}")
        question = self.maker.question(draw)
        status = "none"
        try:
            async with asyncio.timeout(self.args.patience_s):
                status, found = await self.ask(draw, question, f"soak-{self.args.seed}-{number}")
            self.tally.latencies.append((due - self.start, 1e3 * (time.monotonic() - due)))
            if self.tally.differs(question.same, found):
                raise Wrong(f"another answer than before: {found!r}, not {self.tally.same[question.same]!r}")
        except (Wrong, Cut, OSError, TimeoutError, ValueError, KeyError, TypeError) as e:
            if isinstance(e, TimeoutError):
                e = f"no answer within {self.args.patience_s:g} s"
            self.tally.good_error(number, question.kind, f"{e}" if str(e) else repr(e))
            status = f"{status}, wrong"
        self.tally.good[question.kind, status] += 1

    async def ask(self, draw, question, request_id):
        """(status, what must be the same each time)"""
        wire = await self.connection(draw)
        headers = [*question.headers, ("X-Request-Id", request_id), draw.choice(self.keys.good)]
        try:
            await wire.send(request(question.method, question.path, headers, question.body))
            if not question.is_stream:
                reply = await wire.reply()
                self.tally.heard(reply)
                found = question.check(reply)
            else:
                status, got = await wire.head()
                if status != 200:
                    raise Wrong(f"status {status}")
                events = [event async for event in wire.events(got)]
                reply = Reply(status, got, b"")
                found = question.check_events(events)  # where it ends in an error, the audit log names that
                self.tally.heard(reply)
            if reply.request_id != request_id:
                raise Wrong(f"answered to {reply.request_id}, not {request_id}")
        except BaseException:
            wire.close()
            raise
        if reply.headers.get("connection") == "close":
            wire.close()
        else:
            self.idle.append((wire, time.monotonic()))
        return reply.status, found

    async def hostile(self, number, _):
        draw = random.Random(f"{self.args.seed}/hostile/{number}")
        names = self.args.only or list(KINDS)
        name = draw.choices(names, [KINDS[n][0] for n in names])[0]
        _, allowed, act = KINDS[name]
        self.tally.acts[name] += 1
        statuses = ["fault"]
        try:
            async with asyncio.timeout(self.args.hang_s):
                statuses = await act(self.visitor, draw)
            wrong = [s for s in statuses if not is_right(allowed, s)]
            if wrong:
                raise Fault(f"answered {wrong}")
        except TimeoutError:
            statuses = ["hang"]
            self.fault(number, name, f"no end within {self.args.hang_s:g} s")
        except Fault as e:
            self.fault(number, name, e)
        except ConnectionRefusedError:
            statuses = ["refused"]
            self.fault(number, name, "the server does not listen")
        except (OSError, Cut):
            statuses = ["closed"]
            if not is_right(allowed, "closed"):
                self.fault(number, name, "closed without an answer")
        except ValueError as e:
            self.fault(number, name, f"no HTTP: {e}")
        self.tally.hostile[name].update(statuses)

    def fault(self, number, name, what):
        self.tally.hostile_faults.append(f"{name} (act {number}): {what}")

    # ---- watching ----

    async def watch(self):
        n = 0
        while True:
            if self.server.is_running:
                self.tally.samples.append({"s": self.now(), **await asyncio.to_thread(sample, self.server, self.redis)})
            n += 1
            if n % METRICS_EVERY_S == 0:
                await self.look()
            await asyncio.sleep(1)

    async def look(self):
        """/metrics: whether Redis is up, and how many requests there were."""
        try:
            async with asyncio.timeout(self.args.patience_s), Wire(self.server.port) as wire:
                await wire.send(request("GET", "/metrics", [("Authorization", f"Bearer {self.keys.tokens['watch']}")]))
                reply = await wire.reply()
        except (OSError, Cut, TimeoutError) as e:
            self.tally.good_error("metrics", "look", repr(e))
            return
        self.tally.heard(reply)
        with open(os.path.join(self.folder, "metrics.txt"), "wb") as f:
            f.write(reply.body)
        values = [line.rpartition(" ") for line in reply.body.decode().splitlines() if not line.startswith("#")]
        self.redis_up = ("glint_redis_up", " ", "1") in values
        self.breaker_opened = max((int(value) for name, _, value in values
                                   if name == "glint_redis_breaker_opened_total"), default=0)
        self.requests_total = sum(int(float(value)) for name, _, value in values
                                  if name.startswith("glint_requests_total"))

    async def kill_redis(self):
        if self.args.kill_redis_at is None:
            return
        await asyncio.sleep(self.args.kill_redis_at)
        await asyncio.to_thread(self.redis.kill)
        print(f"{self.now():.0f} s: Redis killed", file=sys.stderr, flush=True)
        await asyncio.sleep(self.args.redis_away)
        await asyncio.to_thread(self.redis.start)
        print(f"{self.now():.0f} s: Redis started again", file=sys.stderr, flush=True)

    async def settle(self, before):
        """The number of descriptors when clients have gone."""
        for wire, _ in self.idle:
            wire.close()
        self.idle.clear()
        deadline = time.monotonic() + SETTLE_S
        while True:
            found = sample(self.server, self.redis)["fds"]
            if found <= before or time.monotonic() > deadline:
                return found
            await asyncio.sleep(0.2)

    # ---- the end ----

    async def drain(self):
        """SIGTERM while requests are under way: each of them is answered, by 200 or 503."""
        if not self.server.is_running:
            return {"died": self.died or "at the end", "exit": self.server.process.returncode, "drain_s": 0,
                    "drain_errors": [], "drain_answers": {}}
        draw = random.Random(f"{self.args.seed}/drain")
        begun, answers, errors = [], {}, []
        for i in range(DRAINING):
            question = self.maker.question(draw)
            wire = await Wire(self.server.port).open()
            headers = [*question.headers, ("X-Request-Id", f"soak-drain-{i}"), draw.choice(self.keys.good)]
            await wire.send(request(question.method, question.path, headers, question.body))
            begun.append((question, wire))
        await asyncio.sleep(0.05)
        start = time.monotonic()
        self.server.terminate()
        for question, wire in begun:
            status = await self.drained(question, wire, errors)
            answers[status] = answers.get(status, 0) + 1
            wire.close()
        while self.server.is_running and time.monotonic() < start + DRAIN_S:
            await asyncio.sleep(0.02)
        code = self.server.process.poll()
        return {"died": "", "exit": code, "drain_s": time.monotonic() - start, "drain_errors": errors,
                "drain_answers": answers}

    async def drained(self, question, wire, errors):
        try:
            async with asyncio.timeout(DRAIN_S):
                status, headers = await wire.head()
                if status == 200 and question.is_stream:
                    question.check_events([event async for event in wire.events(headers)])
                    self.tally.heard(Reply(status, headers, b""))
                else:
                    body = b"".join([piece async for piece in wire.pieces(headers)])
                    reply = Reply(status, headers, body)
                    self.tally.heard(reply)
                    if status == 200:
                        question.check(reply)
                    elif status != 503:
                        errors.append(f"{question.kind}: status {status}")
                return str(status)
        except (Wrong, Cut, OSError, TimeoutError, ValueError, KeyError) as e:
            errors.append(f"{question.kind}: {e!r}")
            return "none"
