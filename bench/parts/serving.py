"""Servers of both sides under `glint bench serve`."""
import json

from .audits import free_port, wait_ready
from .quiet import Failure, Watch, run, server


class Running:
    """A server between `with` and its end: `name`, `port`, `pid`."""

    def __init__(self, name, argv_of, ready_path, log):
        self.name, self.argv_of, self.ready_path, self.log = name, argv_of, ready_path, log

    def __enter__(self):
        self.port = free_port()
        self.context = server(self.argv_of(self.port), self.log)
        process = self.context.__enter__()
        self.pid = process.pid
        try:
            wait_ready(process, self.port, self.ready_path, self.log)
        except BaseException:
            self.context.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *what):
        return self.context.__exit__(*what)


class Load:
    """Loads by glint bench serve, all with the same pictures, window and length of answers: `args` has
    pictures, seconds, task, max_tokens and warm_up."""

    def __init__(self, glint, args):
        self.common = [glint, "bench", "serve", "--json", "--pictures", args.pictures,
                       "--seconds", str(args.seconds), "--task", args.task,
                       "--max-tokens", str(args.max_tokens), "--warmup", str(args.warm_up)]

    def run(self, running, *how):
        """(the load's report, part of the CPUs that others used)"""
        api = "glint" if running.name == "glint" else "openai"
        with Watch(session=running.pid) as watch:
            out, _ = run([*self.common, "--api", api, *how, f"http://127.0.0.1:{running.port}"])
        (load,) = json.loads(out)["loads"]
        if load["answered"] == 0:
            raise Failure(f"{running.name}: no answer: {load['errors']}")
        return load, watch.share


def keeps(load, p99_ms):
    """Whether every request was answered and P99 was under the limit."""
    return load["answered"] == load["requests"] and load["latency_ms"]["p99"] < p99_ms


def bisect(keeps_rate, capacity, steps):
    """The highest rate for which keeps_rate(rate) held; 0 when none did.

    `capacity`, what the server gave to clients that never stop, bounds the search: requests that
    come by chance cannot be answered faster for long.
    """
    best, above = 0.0, capacity
    rate = 0.7 * capacity
    for _ in range(steps):
        if keeps_rate(rate):
            best = rate
        else:
            above = rate
        rate = (best + above) / 2
    return best
