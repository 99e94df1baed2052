"""Audits through a server, end to end: each client sends its next request when it has its answer."""
import base64
import http.client
import json
import math
import os
import socket
import threading
import time

from .pictures import marked
from .quiet import Failure, Watch, server, session_peak_bytes

MAX_TOKENS = 160
START_PATIENCE_S = 120
PATHS = {"chat": "/v1/chat/completions", "audit": "/v1/multimodal/inference"}


class NoRoute(Failure):
    """The server does not know the path."""


def load_cases(folder):
    """[{picture, prompt, answer}] of the audits in folder/cases.json"""
    with open(os.path.join(folder, "cases.json"), encoding="utf-8") as f:
        listed = [c for c in json.load(f) if c.get("task", "audit") == "audit"]
    if not listed:
        raise Failure(f"{folder}/cases.json: no audit in it")
    cases = []
    for c in listed:
        with open(os.path.join(folder, c["image"]), "rb") as f:
            cases.append({"picture": f.read(), "prompt": c["prompt"], "answer": c["answer"]})
    return cases


def request_body(route, case, serial):
    """A request whose picture no request had before."""
    picture = base64.b64encode(marked(case["picture"], f"versus {serial}")).decode()
    if route == "audit":
        return json.dumps({"image": picture, "prompt": case["prompt"], "task": "audit",
                           "max_tokens": MAX_TOKENS})
    kind = "jpeg" if case["picture"][:2] == b"\xff\xd8" else "png"
    url = {"url": f"data:image/{kind};base64,{picture}"}
    content = [{"type": "image_url", "image_url": url}, {"type": "text", "text": case["prompt"]}]
    return json.dumps({"model": "default", "temperature": 0, "max_tokens": MAX_TOKENS,
                       "cache_prompt": False, "messages": [{"role": "user", "content": content}]})


def is_right(route, reply, case):
    """Whether the answer is word for word the expected one."""
    try:
        if route == "chat":
            return (reply["choices"][0]["message"]["content"] or "").strip() == case["answer"]
        want = json.loads(case["answer"])
        return all(reply.get(key) == value for key, value in want.items())
    except (KeyError, IndexError, TypeError, ValueError):
        return False


def percentile(values, share):
    """The smallest value that `share` of all do not exceed."""
    ranked = sorted(values)
    return ranked[max(math.ceil(share * len(ranked)), 1) - 1]


def _post(connection, path, body):
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    data = response.read()
    if response.status == 404:
        raise NoRoute(f"POST {path}: no such route")
    if response.status != 200:
        raise Failure(f"POST {path}: {response.status} {data[:200].decode(errors='replace')}")
    return json.loads(data)


class Load:
    """`n` requests by `clients` connections; bodies are made before the clock starts."""

    def __init__(self, port, route, cases, serials):
        self.port, self.route, self.cases, self.serials = port, route, cases, serials

    def run(self, clients, n):
        """(seconds, [ms of each request], right answers)"""
        jobs = []
        for i in range(n):
            case = self.cases[i % len(self.cases)]
            jobs.append((request_body(self.route, case, next(self.serials)), case))
        lock, ms, right, failures = threading.Lock(), [], [0], []

        def client():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
            try:
                while True:
                    with lock:
                        if not jobs or failures:
                            return
                        body, case = jobs.pop(0)
                    start = time.monotonic()
                    reply = _post(connection, PATHS[self.route], body)
                    took = time.monotonic() - start
                    with lock:
                        ms.append(1e3 * took)
                        right[0] += is_right(self.route, reply, case)
            except (Failure, OSError, http.client.HTTPException, ValueError) as e:
                with lock:
                    failures.append(e)

        threads = [threading.Thread(target=client) for _ in range(clients)]
        start = time.monotonic()
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        if failures:
            failure = failures[0]
            raise failure if isinstance(failure, Failure) else Failure(f"{PATHS[self.route]}: {failure}")
        return time.monotonic() - start, ms, right[0]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_ready(process, port, path, log):
    deadline = time.monotonic() + START_PATIENCE_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Failure(f"the server ended with {process.returncode}; see {log}")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(0.005)
    raise Failure(f"no answer on {path} after {START_PATIENCE_S} s; see {log}")


def measure(side, cases, route, clients, n, serials, log):
    """One server's life: start, first answer, load with each number of clients.

    -> {"start_ms", "peak_bytes", "loads": {clients: {"per_s", "p50", "p99", "right", "n"}},
        "others": largest share of the CPUs that others used during a load}
    """
    port = free_port()
    start = time.monotonic()
    with server(side.server_argv(port), log) as process:
        wait_ready(process, port, side.ready_path, log)
        load = Load(port, route, cases, serials)
        load.run(1, 1)
        out = {"start_ms": 1e3 * (time.monotonic() - start), "loads": {}, "others": 0.0}
        for c in clients:
            load.run(c, 2 * c)  # warms up
            with Watch(session=process.pid) as watch:
                seconds, ms, right = load.run(c, n)
            out["others"] = max(out["others"], watch.share)
            out["loads"][c] = {"per_s": n / seconds, "p50": percentile(ms, 0.5),
                               "p99": percentile(ms, 0.99), "right": right, "n": n}
        out["peak_bytes"] = session_peak_bytes(process.pid)
    return out
