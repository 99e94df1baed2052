"""Runs fetch_probe and talks to it; see its head for the commands."""
import collections
import os
import subprocess

PROBE = os.environ["GLINT_FETCH_PROBE"]

Result = collections.namedtuple("Result", "status n_bytes ms digest message")
Stats = collections.namedtuple("Stats", "begun joined failed lookups transfers kept_used waiting used_bytes")


def as_hex(text):
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    return data.hex()


class Probe:
    """A running fetcher. Leaving the `with` ends it, and fails if it did not end well."""

    def __init__(self, *options, env=None):
        self.process = subprocess.Popen([PROBE, *map(str, options)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, **(env or {})})

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.process.stdin.close()
        try:
            code = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            code = "did not end"
        self.process.stdout.close()
        if not kind and code != 0:
            raise AssertionError(f"fetch_probe: {code}")

    def ask(self, *words):
        print(*words, file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"fetch_probe ended at {words}: exit {self.process.wait()}")
        return line.rstrip("\n").split("\t")

    @staticmethod
    def result(answer):
        if answer[0] == "refused":
            return Result("refused", 0, 0, "-", answer[1])
        return Result(answer[0], int(answer[1]), int(answer[2]), answer[3], answer[4])

    def get(self, url):
        return self.result(self.ask("get", as_hex(url)))

    def begin(self, url, timeout_ms=60000):
        """The number of a fetch that is under way."""
        answer = self.ask("begin", as_hex(url), timeout_ms)
        if answer[0] == "refused":
            raise AssertionError(f"{url}: {answer[1]}")
        return answer[0]

    def end(self, number):
        return self.result(self.ask("end", number))

    def cancel(self, number):
        self.ask("cancel", number)

    @property
    def stats(self):
        return Stats(*map(int, self.ask("stats")))
