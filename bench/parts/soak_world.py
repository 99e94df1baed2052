"""What bench/soak runs: a server with everything switched on, its Redis, keys and logs, in a folder of
their own."""
import json
import os
import signal
import subprocess
import time

from .audits import free_port, wait_ready
from .quiet import Failure, run

GOOD_TENANTS = ("shop", "forum", "market", "clinic")
# Bombs use up their tenant's megapixels. Of one of their own, or broken pictures would be refused unread.
BAD_TENANTS = ("hostile", "bomber")
LIMITED = {"requests_per_s": 1, "requests_burst": 5}
# What a good tenant may do: more than it will. The line is long, because good and hostile clients share it.
LIMITS = ["--queue-max", "256", "--limit-requests-per-s", "200", "--limit-megapixels-per-s", "200",
          "--limit-failures-per-s", "10"]


class Redis:
    """A redis-server on a socket in `folder`."""

    def __init__(self, folder):
        self.folder, self.path, self.process = folder, os.path.join(folder, "redis.sock"), None

    def start(self):
        if os.path.exists(self.path):
            os.remove(self.path)
        try:
            self.process = subprocess.Popen(
                ["redis-server", "--port", "0", "--unixsocket", self.path, "--save", "", "--appendonly", "no",
                 "--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru", "--dir", self.folder],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        except OSError as e:
            raise Failure(f"redis-server: {e}") from e
        deadline = time.monotonic() + 20
        while not os.path.exists(self.path):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Failure("redis-server does not start")
            time.sleep(0.01)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait()


class Keys:
    """Key files for the server, credentials for clients: `tokens` by tenant, `good` headers."""

    def __init__(self, glint, folder):
        pem = os.path.join(folder, "soak-private.pem")
        entry = run([glint, "token", "new-key", "--kid", "soak", "--dir", folder])[0].splitlines()[-1]
        self.jwt_path = os.path.join(folder, "jwt.json")
        self.api_path = os.path.join(folder, "api.json")
        write_json(self.jwt_path, {"keys": [json.loads(entry)], "tenants": {"limited": LIMITED}})

        def token(tenant, *scopes):
            wanted = [word for scope in scopes for word in ("--scope", scope)]
            return run([glint, "token", "jwt", "--key", pem, "--kid", "soak", "--tenant", tenant,
                        "--ttl-s", "86400", *wanted])[0].strip()

        self.tokens = {name: token(name, "infer") for name in (*GOOD_TENANTS[:2], *BAD_TENANTS, "limited")}
        self.tokens["watch"] = token("watch", "infer", "metrics")
        entries, keys = [], []
        for tenant in GOOD_TENANTS[2:]:
            lines = run([glint, "token", "api-key", "--tenant", tenant])[0].splitlines()
            keys.append(lines[0].split()[-1])
            entries.append(json.loads(lines[-1]))
        write_json(self.api_path, {"keys": entries})
        self.good = [("Authorization", f"Bearer {self.tokens[name]}") for name in GOOD_TENANTS[:2]]
        self.good += [("X-API-Key", keys[0]), ("Authorization", f"Bearer {keys[1]}")]


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f)


class Server:
    """glint serve between start() and the end of its process."""

    def __init__(self, glint, model, folder, keys, redis, origin_port, more=()):
        self.port, self.folder = free_port(), folder
        self.audit_path, self.log_path = os.path.join(folder, "audit.log"), os.path.join(folder, "glint.log")
        secret = os.path.join(folder, "redis.secret")
        with open(secret, "w", encoding="ascii") as f:
            f.write(os.urandom(32).hex())
        self.argv = [
            glint, "serve", "--model", model, "--listen", f"127.0.0.1:{self.port}",
            "--jwt-keys", keys.jwt_path, "--api-keys", keys.api_path, *LIMITS,
            "--audit-log", self.audit_path, "--audit-prompt", "--log-format", "json",
            "--redis", f"unix://{redis.path}", "--redis-secret-file", secret,
            "--allow-image-host", "127.0.0.1", "--allow-image-port", str(origin_port),
            # A cache that went on filling would look like a leak.
            "--image-cache-mib", "1",
            "--allow-http-images", "--allow-private-images", *more]
        self.process = None

    def start(self):
        # Where that is allowed, before whatever else the machine does, the clients included.
        first = ["nice", "-n", "-10"] if os.geteuid() == 0 else []
        try:
            with open(self.log_path, "ab") as log:
                self.process = subprocess.Popen([*first, *self.argv], stdin=subprocess.DEVNULL, stdout=log,
                                                stderr=log, start_new_session=True)
        except OSError as e:
            raise Failure(f"{self.argv[0]}: {e}") from e
        if first:
            # The kernel may weigh whole sessions against each other, and nice only within one.
            try:
                with open(f"/proc/{self.process.pid}/autogroup", "w", encoding="ascii") as f:
                    f.write("-10")
            except OSError:
                pass
        wait_ready(self.process, self.port, "/ready", self.log_path)

    @property
    def is_running(self):
        return self.process.poll() is None

    def terminate(self):
        if self.is_running:
            self.process.send_signal(signal.SIGTERM)

    def kill(self):
        if self.process and self.is_running:
            self.process.kill()
        if self.process:
            self.process.wait()

    def log_tail(self, n=3):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read().splitlines()[-n:]


def resident_bytes(pid):
    """0 when the process is gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
            return sum(int(line.split()[1]) * 1024 for line in f if line.startswith("VmRSS"))
    except OSError:
        return 0


def descendants(pid):
    """Processes that it started, and theirs. Each picture decoder has a session of its own."""
    parent_of = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as f:
                    parent_of[int(name)] = int(f.read().rpartition(")")[2].split()[1])
            except OSError:
                continue  # ended meanwhile
    found, new = set(), {pid}
    while new:
        new = {child for child, parent in parent_of.items() if parent in new} - found
        found |= new
    return found


def sample(server, redis):
    """Memory and descriptors now, of the server, of its picture decoders, of Redis."""
    pid = server.process.pid
    decoders = descendants(pid)
    try:
        n_fds = len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        n_fds = 0
    return {"rss_bytes": resident_bytes(pid), "fds": n_fds, "decoders": len(decoders),
            "decoders_rss_bytes": sum(resident_bytes(other) for other in decoders),
            "redis_rss_bytes": resident_bytes(redis.process.pid) if redis.process.poll() is None else 0}


def slope(points):
    """Least squares over [(x, y)]: y for each x; 0 of fewer than two."""
    n = len(points)
    if n < 2:
        return 0.0
    mean_x, mean_y = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
