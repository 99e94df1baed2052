"""A real redis-server, a lying one, and the store's probe. Python's standard library only."""
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

PROBE = os.environ["GLINT_STORE_PROBE"]
# Several rounds of a limit that is shared.
ROUNDS_S = 0.1
PATIENCE_S = 120


def need_redis():
    if not shutil.which("redis-server"):
        print("SKIPPED: no redis-server; tools/setup test installs it")
        raise SystemExit(77)


def wait_until(condition, what, timeout_s=PATIENCE_S):
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.005)
    raise AssertionError(f"not within {timeout_s} s: {what}")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Folder:
    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="glint-redis-")
        self.secret = self.write("secret", os.urandom(32).hex() + "\n")

    def write(self, name, text):
        path = os.path.join(self.path, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        return path

    def remove(self):
        shutil.rmtree(self.path)


class Redis:
    """redis-server on a socket in the folder, or with more options."""

    def __init__(self, folder, *options):
        self.folder, self.options = folder, options
        self.path = os.path.join(folder.path, "redis.sock")
        self.url = f"unix://{self.path}"
        self.process = None
        self.start()

    def start(self):
        if os.path.exists(self.path):
            os.remove(self.path)
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", self.path, "--save", "", "--appendonly", "no",
             "--dir", self.folder.path, "--loglevel", "warning", *self.options],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self._answers, "redis-server answers")

    def _answers(self):
        """The socket lies there before anybody listens, and a busy machine may take its time between."""
        try:
            self.command("PING")
        except RuntimeError:  # it wants a password
            pass
        except OSError:
            return False
        return True

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def command(self, *args):
        """One command; a status or bulk as bytes, an integer, None, a list, or RuntimeError."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(PATIENCE_S)
            s.connect(self.path)
            out = b"*%d\r\n" % len(args)
            for arg in args:
                data = arg if isinstance(arg, bytes) else str(arg).encode()
                out += b"$%d\r\n%s\r\n" % (len(data), data)
            s.sendall(out)
            with s.makefile("rb") as file:
                return read_reply(file)

    def keys(self, letter):
        return sorted(self.command("KEYS", f"glint:{letter}:*"))


def read_reply(file):
    line = file.readline()
    mark, rest = line[:1], line[1:-2]
    if mark == b"+":
        return rest
    if mark == b"-":
        raise RuntimeError(rest.decode())
    if mark == b":":
        return int(rest)
    if mark == b"$":
        return None if rest == b"-1" else file.read(int(rest) + 2)[:-2]
    return [read_reply(file) for _ in range(int(rest))]


class Liar:
    """Speaks on Redis' socket. `answer(command)` gives bytes to send, or None to say nothing; the login
    is answered as Redis would, so that the lies are about what matters."""

    def __init__(self, path, answer):
        self.answer = answer
        if os.path.exists(path):
            os.remove(path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(64)
        self.open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            self.open.append(s)
            threading.Thread(target=self._serve, args=(s,), daemon=True).start()

    def _serve(self, s):
        try:
            with s.makefile("rb") as file:
                while True:
                    command = read_reply(file)
                    reply = b"+PONG\r\n" if command[0] == b"PING" else self.answer(command)
                    if reply is None:
                        continue
                    for piece in reply if isinstance(reply, list) else [reply]:
                        s.sendall(piece)
                        if isinstance(reply, list):
                            time.sleep(0.01)
        except (OSError, ValueError, RuntimeError, IndexError, TypeError):
            pass

    def stop(self):
        # Without the shutdown, close() leaves accept() waiting on the open socket.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for s in self.open:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()


class Probe:
    """A process with a store. Use with `with`."""

    def __init__(self, url, folder, *more, secret=None):
        self.process = subprocess.Popen([PROBE, url, secret or folder.secret, *map(str, more)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.log = []
        self.reader = threading.Thread(target=self._read_log, daemon=True)
        self.reader.start()

    def _read_log(self):
        for line in self.process.stderr:
            self.log.append(line.rstrip("\n"))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.stdin.close()
        code = self.process.wait(PATIENCE_S)
        self.process.stdout.close()
        self.reader.join(PATIENCE_S)
        self.process.stderr.close()
        if code != 0 and not exc[0]:
            raise AssertionError(f"exit {code}: {self.log}")

    def ask(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the probe has ended: {self.log}")
        return line.split()

    @property
    def stats(self):
        return json.loads(" ".join(self.ask("stats")))

    def wait_state(self, state):
        wait_until(lambda: self.stats["state"] == state, f"breaker {state}: {self.log}")

    def put(self, kind, key, n=100):
        """Put until it is stored: once, unless the machine stands still for longer than the store waits."""
        def is_stored():
            before = self.stats
            self.ask("put", kind, key, n)
            stats = before
            while (stats[kind]["stored"], stats["dropped"]) == (before[kind]["stored"], before["dropped"]):
                time.sleep(0.001)
                stats = self.stats
            return stats[kind]["stored"] > before[kind]["stored"]

        wait_until(is_stored, "stored")

    def get(self, kind, key):
        """Bytes of the value, None without one."""
        n = self.ask("get", kind, key)[0]
        return None if n == "none" else int(n)

    def get_ms(self, kind, key):
        return float(self.ask("get", kind, key)[1])

    def take(self, key, per_s, burst, n):
        """Take from a limit, and wait until the others can know: the first of n may go out in a round of
        their own, the others in the next."""
        seen = self.stats["limit"]["stored"]
        allowed = self.take_now(key, per_s, burst, n)
        if allowed:
            wait_until(lambda: self.stats["limit"]["stored"] > seen, "a round")
            while (now := self.stats["limit"]["stored"]) > seen:
                seen = now
                time.sleep(ROUNDS_S)
        return allowed

    def take_now(self, key, per_s, burst, n):
        return int(self.ask("take", key, per_s, burst, n)[0])
