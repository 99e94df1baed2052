"""The store alone: with Redis as it should be, and as it should not."""
import os
import random
import subprocess
import time
import unittest

from redis_world import Folder, Liar, Probe, Redis, free_port, need_redis, wait_until

# Twice what the store may wait, and what a busy machine may add.
LATE_MS = 1000


class Store(unittest.TestCase):
    def setUp(self):
        self.folder = Folder()
        self.addCleanup(self.folder.remove)
        self.redis = Redis(self.folder)
        self.addCleanup(self.redis.stop)

    def probe(self, *more, **options):
        probe = Probe(self.redis.url, self.folder, *more, **options)
        self.addCleanup(probe.__exit__, None)
        return probe

    def ready(self, *more, **options):
        probe = self.probe(*more, **options)
        probe.wait_state("closed")
        return probe

    def test_shared(self):
        """What one puts the other gets, of every size; with a time to live."""
        a, b = self.ready(), self.ready()
        for n in (0, 1, 100, 5_000_000):
            a.put("picture", f"k{n}", n)
            self.assertEqual(b.get("picture", f"k{n}"), n)
        self.assertIsNone(b.get("answer", "k100"))
        self.assertIsNone(b.get("picture", "unknown"))
        keys = self.redis.command("KEYS", "*")
        self.assertEqual(len(keys), 4)
        for key in keys:
            self.assertIn(self.redis.command("PTTL", key), range(86_000_000, 86_400_001))
        stats = b.stats["picture"]
        self.assertEqual((stats["hits"], stats["misses"], stats["refused"]), (4, 1, 0))

    def test_too_large(self):
        a = self.ready()
        a.ask("put", "picture", "k", 9 << 20)
        self.assertEqual(a.stats["dropped"], 1)
        self.assertEqual(self.redis.command("DBSIZE"), 0)

    def test_expires(self):
        a = self.ready(150)
        a.put("answer", "k")
        (key,) = self.redis.keys("a")
        value = self.redis.command("GET", key)
        wait_until(lambda: self.redis.command("EXISTS", key) == 0, "Redis forgets it")
        # Somebody who kept a copy cannot make it last longer.
        self.redis.command("SET", key, value)
        self.assertIsNone(a.get("answer", "k"))
        self.assertEqual(a.stats["answer"]["refused"], 0)

    def test_poisoned(self):
        a = self.ready()
        a.put("answer", "k", 64)
        a.put("answer", "other", 64)
        self.assertEqual(a.get("answer", "k"), 64)
        keys = {key: self.redis.command("GET", key) for key in self.redis.keys("a")}
        (k1, v1), (k2, v2) = keys.items()
        rng = random.Random(3)
        lies = [v2, v1[:-1], v1 + b"x", v1[:96], v1[:50], b"", b"\0" * len(v1), v1[:8] + b"\2" + v1[9:],
                v1[:10] + b"\2" + v1[11:], v1[:96] + v2[96:], rng.randbytes(200)]
        for _ in range(50):
            i = rng.randrange(8 * len(v1))
            lies.append(v1[:i // 8] + bytes([v1[i // 8] ^ 1 << i % 8]) + v1[i // 8 + 1:])
        # Which name belongs to which key is not known here: both hold the lie.
        self.redis.command("SET", k2, v1)
        self.redis.command("SET", k1, v2)
        self.assertIsNone(a.get("answer", "k"))
        for lie in lies[1:]:
            self.redis.command("SET", k1, lie)
            self.redis.command("SET", k2, lie)
            self.assertIsNone(a.get("answer", "k"), lie)
        stats = a.stats
        self.assertEqual((stats["answer"]["refused"], stats["state"]), (len(lies), "closed"))
        self.redis.command("SET", k1, v1)
        self.redis.command("SET", k2, v2)
        self.assertEqual(a.get("answer", "k"), 64)

    def test_other_secret(self):
        """Servers with another secret see nothing of each other, and their values are refused."""
        a = self.ready()
        b = self.ready(secret=self.folder.write("secret2", "x" * 32))
        a.put("answer", "k")
        self.assertIsNone(b.get("answer", "k"))
        b.put("answer", "k")
        names = self.redis.keys("a")
        values = [self.redis.command("GET", name) for name in names]
        for name, value in zip(names, reversed(values)):
            self.redis.command("SET", name, value)
        self.assertIsNone(a.get("answer", "k"))
        self.assertEqual(a.stats["answer"]["refused"], 1)

    def test_wrong_types(self):
        a = self.ready()
        a.put("answer", "k")
        (key,) = self.redis.keys("a")
        for command in (("LPUSH", key, "x"), ("HSET", key, "a", "b"), ("SADD", key, "x")):
            self.redis.command("DEL", key)
            self.redis.command(*command)
            self.assertIsNone(a.get("answer", "k"))
        stats = a.stats
        self.assertEqual((stats["answer"]["refused"], stats["state"]), (3, "closed"))
        a.put("answer", "k")  # SET replaces whatever there is
        self.assertEqual(a.get("answer", "k"), 100)

    def test_killed_and_back(self):
        a = self.ready()
        a.put("answer", "k")
        self.redis.stop()
        for _ in range(10):
            self.assertLess(a.get_ms("answer", "k"), LATE_MS)
        a.wait_state("open")
        self.assertTrue(any("going on without it" in line for line in a.log), a.log)
        self.redis.start()
        a.wait_state("closed")
        a.put("answer", "k")
        self.assertEqual(a.get("answer", "k"), 100)

    def test_paused(self):
        """Silent, not gone: every wait ends, and after a few nobody waits any more."""
        a = self.ready()
        a.put("answer", "k")
        self.redis.pause()
        waits = [a.get_ms("answer", "k") for _ in range(12)]
        self.assertLess(max(waits), LATE_MS)
        self.assertGreaterEqual(a.stats["timeouts"], 1)
        wait_until(lambda: a.get_ms("answer", "k") >= 0 and a.stats["opened"] >= 1 and a.stats["skipped"] >= 1,
                   "a breaker that opens")
        self.redis.resume()
        a.wait_state("closed")
        self.assertEqual(a.get("answer", "k"), 100)

    def test_restarted_between_two_uses(self):
        """Connections that broke while nobody used them are no failures."""
        a = self.ready()
        wait_until(lambda: a.stats["connections"] == 4, "connections")
        self.redis.stop()
        self.redis.start()
        wait_until(lambda: (a.get("answer", "k") or True) and a.stats["connections"] == 4, "connections")
        stats = a.stats
        self.assertEqual((stats["opened"], stats["errors"], stats["timeouts"]), (0, 0, 0))

    def test_full(self):
        """A Redis that is full refuses, or forgets; neither is a reason not to ask it."""
        self.redis.command("CONFIG", "SET", "maxmemory", "3mb")
        a = self.ready()
        for i in range(20):
            a.ask("put", "picture", f"k{i}", 300_000)
        wait_until(lambda: a.stats["queue_bytes"] == 0, "all is sent")
        stats = a.stats
        self.assertGreater(stats["errors"], 0)  # -OOM
        self.assertEqual(stats["picture"]["stored"] + stats["dropped"], 20)
        if stats["timeouts"] == 0:
            self.assertEqual(stats["opened"], 0)  # what Redis says no to is no failure
        self.redis.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        for i in range(20, 40):
            a.put("picture", f"k{i}", 300_000)
        found = [a.get("picture", f"k{i}") for i in range(40)]
        self.assertEqual(found[39], 300_000)
        self.assertIn(None, found[:39])

    def test_no_login(self):
        self.redis.command("ACL", "SETUSER", "default", "off")
        a = self.probe()
        wait_until(lambda: any("NOAUTH" in line for line in a.log), "it says why")
        self.assertIsNone(a.get("answer", "k"))

    def test_lies(self):
        """Whatever is said on the socket: no value, no long wait, and Redis is taken back."""
        lies = {
            "wrong types": lambda command: b":1\r\n",
            "status": lambda command: b"+QUEUED\r\n",
            "array": lambda command: b"*1\r\n$1\r\nx\r\n",
            "huge": lambda command: b"$999999999999\r\n",
            "announced, never sent": lambda command: b"$8000000\r\nabc",
            "half a reply": lambda command: b"$5\r\nhe",
            "byte by byte": lambda command: [b"$", b"1", b"0", b"0", b"\r", b"\n"] + [b"x"] * 100,
            "endless line": lambda command: b"+" + b"x" * 100_000,
            "random": lambda command: os.urandom(5000),
            "two replies": lambda command: b"$-1\r\n$-1\r\n",
            "nothing": lambda command: None,
            "http": lambda command: b"HTTP/1.1 400 Bad Request\r\n\r\n",
        }
        self.redis.stop()
        for what, lie in lies.items():
            with self.subTest(what):
                liar = Liar(self.redis.path, lie)
                a = self.ready()
                waits = [a.get_ms("answer", "k") for _ in range(8)]
                a.ask("put", "answer", "k", 10)
                self.assertLess(max(waits), LATE_MS)
                stats = a.stats
                self.assertEqual(stats["answer"]["hits"], 0)
                self.assertGreaterEqual(stats["errors"] + stats["timeouts"], 1)
                self.assertGreaterEqual(stats["opened"], 1)
                liar.stop()
                if what in ("random", "nothing"):
                    self.redis.start()
                    wait_until(lambda: a.stats["state"] == "closed" and (a.ask("put", "answer", "k", 10) and
                                                                         a.get("answer", "k") == 10), "healed")
                    self.redis.stop()


class Limits(unittest.TestCase):
    """A bucket of 50 that hardly fills, shared by three."""

    def setUp(self):
        self.folder = Folder()
        self.addCleanup(self.folder.remove)
        self.redis = Redis(self.folder)
        self.addCleanup(self.redis.stop)
        self.probes = []
        for _ in range(3):
            probe = Probe(self.redis.url, self.folder)
            self.addCleanup(probe.__exit__, None)
            probe.wait_state("closed")
            self.probes.append(probe)

    def test_one_after_the_other(self):
        a, b, c = self.probes
        self.assertEqual(a.take("t", 1, 50, 30), 30)
        # Whoever comes new is told with its first round.
        self.assertEqual(b.take("t", 1, 50, 1), 1)
        self.assertIn(b.take("t", 1, 50, 50), range(19, 23))
        c.take("t", 1, 50, 1)
        self.assertIn(c.take("t", 1, 50, 50), range(0, 5))
        # Other names are other buckets.
        self.assertEqual(c.take("u", 1, 50, 60), 50)

    def test_rate_holds(self):
        """All at once and for a while: together little more than one alone may have."""
        per_s, burst, seconds = 100, 20, 2
        begin = time.monotonic()
        n = 0
        while time.monotonic() - begin < seconds:
            n += sum(probe.take_now("t", per_s, burst, 2) for probe in self.probes)
            time.sleep(0.005)
        passed = time.monotonic() - begin
        allowed = burst + per_s * passed
        # Above: what the others grant before the first round, then again within each.
        self.assertGreater(n, 0.85 * (allowed - burst))
        self.assertLess(n, allowed + 2 * burst + 10)

    def test_without_redis(self):
        a, b, _ = self.probes
        self.assertEqual(a.take("t", 1, 50, 50), 50)
        self.redis.stop()
        self.assertIn(a.take_now("t", 1, 50, 50), range(0, 5))
        self.assertEqual(b.take_now("t", 1, 50, 60), 50)
        wait_until(lambda: b.stats["tally_failures"] > 0, "a round in vain")
        b.wait_state("open")
        self.assertIn(b.take_now("t", 1, 50, 50), range(0, 10))

    def test_poisoned(self):
        """Who writes into Redis can take, but not give."""
        a, b, _ = self.probes
        a.take("t", 1, 50, 50)
        (number,), (mark,) = self.redis.keys("n"), self.redis.keys("l")
        self.redis.command("SET", number, -10**15)
        self.redis.command("DEL", mark)
        self.assertIn(a.take("t", 1, 50, 50), range(0, 5))
        self.redis.command("SET", number, "no number")
        self.redis.command("SET", mark, b"\0" * 120)
        self.assertLessEqual(b.take_now("t", 1, 50, 60), 50)
        wait_until(lambda: b.stats["limit"]["refused"] > 0, "the mark is refused")
        self.assertGreater(b.stats["errors"], 0)
        self.assertIn(b.take_now("t", 1, 50, 50), range(0, 5))
        # A sum that nobody can have reached is not believed.
        self.redis.command("DEL", number, mark)
        b.take("v", 1, 50, 10)
        self.redis.command("INCRBY", self.redis.keys("n")[0], 10**15)
        b.take("v", 1, 50, 1)
        self.assertGreater(b.take("v", 1, 50, 50), 30)


class Reach(unittest.TestCase):
    """Over TCP, with a user's password, and with TLS."""

    def setUp(self):
        self.folder = Folder()
        self.addCleanup(self.folder.remove)

    def probe(self, url, *more):
        probe = Probe(url, self.folder, *more)
        self.addCleanup(probe.__exit__, None)
        return probe

    def test_user(self):
        port = free_port()
        redis = Redis(self.folder, "--port", str(port))
        self.addCleanup(redis.stop)
        # All that glint needs.
        redis.command("ACL", "SETUSER", "glint", "on", ">pass@word", "~glint:*", "+get", "+set", "+incrby",
                      "+pexpire", "+ping", "+select")
        a = self.probe(f"redis://glint:pass%40word@localhost:{port}/2")
        a.wait_state("closed")
        a.put("answer", "k")
        self.assertEqual(a.get("answer", "k"), 100)
        self.assertEqual(a.take("t", 1, 50, 60), 50)
        self.assertEqual(redis.command("DBSIZE"), 0)  # it is in 2
        self.assertEqual(a.stats["errors"], 0)
        b = self.probe(f"redis://glint:wrong@127.0.0.1:{port}")
        wait_until(lambda: any("WRONGPASS" in line for line in b.log), "it says why")
        self.assertFalse(any("wrong" in line for line in b.log))

    def test_tls(self):
        port = free_port()
        crt, key = (os.path.join(self.folder.path, name) for name in ("tls.crt", "tls.key"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", key, "-out", crt, "-days", "2", "-subj", "/CN=localhost", "-addext",
                        "subjectAltName=DNS:localhost"], check=True, capture_output=True)
        redis = Redis(self.folder, "--tls-port", str(port), "--tls-cert-file", crt, "--tls-key-file", key,
                      "--tls-ca-cert-file", crt, "--tls-auth-clients", "no")
        self.addCleanup(redis.stop)
        a = self.probe(f"rediss://localhost:{port}", 86400000, crt)
        a.wait_state("closed")
        a.put("picture", "k", 3_000_000)
        self.assertEqual(a.get("picture", "k"), 3_000_000)
        self.assertEqual(a.stats["errors"], 0)
        # The right certificate under another name, and one that nobody vouches for.
        for url, more in ((f"rediss://127.0.0.1:{port}", (86400000, crt)), (f"rediss://localhost:{port}", ())):
            b = self.probe(url, *more)
            wait_until(lambda b=b: any("certificate" in line for line in b.log), "it says why")
            self.assertIsNone(b.get("picture", "k"))


if __name__ == "__main__":
    need_redis()
    unittest.main(verbosity=2)
