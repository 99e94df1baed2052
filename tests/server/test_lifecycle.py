"""Starting, loading, draining, and what is said when a start fails."""
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from harness import FAKE, PATIENCE_S, ROUTE, Server, wait_until


def run(*options, env=None):
    """Run `serve` to its end: (exit code, stderr)."""
    done = subprocess.run([FAKE, "serve", *options], capture_output=True, text=True, timeout=PATIENCE_S,
                          env={**os.environ, **(env or {})})
    return done.returncode, done.stderr


class Lifecycle(unittest.TestCase):
    def test_serves_while_loading(self):
        with Server(model="load_ms=1500", wait=False) as server:
            self.assertEqual(server.get("/live").status, 200)
            self.assertEqual(server.get("/health").json, {"status": "loading", "model_loaded": False})
            answer = server.get("/ready")
            self.assertEqual((answer.status, answer.json), (503, {"status": "loading"}))
            self.assertIn("Retry-After", answer.headers)
            answer = server.post({"prompt": "x"})
            self.assertEqual((answer.status, answer.error["code"]), (503, "loading"))
            self.assertIn("Retry-After", answer.headers)
            server.wait_ready()
            self.assertEqual(server.post({"prompt": "x"}).status, 200)

    def test_drains_on_sigterm(self):
        server = Server("--drain-ms", "20000", "--prepare-threads", "1", "--ready-max", "1")
        try:
            under_way = [server.in_background({"task": "ask", "prompt": f"run_ms=400;say={i}"}) for i in range(3)]
            time.sleep(0.3)
            idle = server.socket()
            server.process.send_signal(signal.SIGTERM)
            answer = wait_until(lambda: (lambda a: a if a.status == 503 else None)(server.get("/ready")), "not ready")
            self.assertEqual(answer.json, {"status": "draining"})
            self.assertEqual(answer.headers["Connection"].lower(), "close")
            self.assertEqual(server.get("/live").status, 200)
            answer = server.post({"prompt": "x"})
            self.assertEqual((answer.status, answer.error["code"]), (503, "draining"))
            self.assertEqual([u.result().json["text"] for u in under_way], ["0", "1", "2"])
            # Idle connections do not hold it up.
            self.assertEqual(server.process.wait(PATIENCE_S), 0)
            idle.close()
        finally:
            server.stop(signal.SIGKILL)

    def test_patience_ends(self):
        server = Server("--drain-ms", "200")
        answers = [server.in_background({"prompt": "run_ms=50000"}) for _ in range(3)]
        time.sleep(0.3)
        begun = time.monotonic()
        self.assertEqual(server.stop(), 0)
        self.assertLess(time.monotonic() - begun, 20)
        for answer in answers:
            self.assertEqual((answer.result().status, answer.result().error["code"]), (503, "draining"))

    def test_second_signal_exits_at_once(self):
        server = Server("--drain-ms", "600000")
        server.in_background({"prompt": "run_ms=40000", "timeout_ms": 50000})
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: any("once more" in line for line in server.lines), "draining")
        begun = time.monotonic()
        code = server.stop(signal.SIGINT)
        self.assertLess(time.monotonic() - begun, 10)
        self.assertNotEqual(code, 0)

    def test_interrupt_while_loading(self):
        server = Server(model="load_ms=30000", wait=False)
        begun = time.monotonic()
        self.assertEqual(server.stop(), 0)
        self.assertLess(time.monotonic() - begun, 10)

    def test_model_that_cannot_be_loaded(self):
        code, text = run("--listen", "127.0.0.1:0", "--model", "broken")
        self.assertEqual(code, 4)
        self.assertIn("glint serve: broken/config.json: not valid JSON", text)

    def test_taken_port(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            port = s.getsockname()[1]
            code, text = run("--listen", f"127.0.0.1:{port}", "--model", "x")
        self.assertEqual(code, 3)
        self.assertIn(f"127.0.0.1:{port} is taken by another program", text)
        self.assertIn("--listen 127.0.0.1:", text)

    def test_public_address(self):
        for address in ("0.0.0.0:0", ":0", "[::]:0"):
            code, text = run("--listen", address, "--model", "x")
            self.assertEqual(code, 2, address)
            self.assertIn("--insecure-no-auth", text)
        with Server("--insecure-no-auth", listen="0.0.0.0:0") as server:
            server.host = "127.0.0.1"
            self.assertEqual(server.get("/live").status, 200)

    def test_ipv6(self):
        try:
            with socket.socket(socket.AF_INET6) as s:
                s.bind(("::1", 0))
        except OSError:
            self.skipTest("no IPv6 on this machine")
        with Server(listen="[::1]:0") as server:
            self.assertEqual(server.host, "::1")
            self.assertEqual(server.post({"prompt": "x"}).status, 200)

    def test_bad_options(self):
        for options, words in ((["--queue-max", "0"], "--queue-max"), (["--no-such", "1"], "--no-such"),
                               (["--listen", "nowhere"], "127.0.0.1:8080"), (["--log-level", "loud"], "--log-level"),
                               (["extra"], "extra")):
            code, text = run("--model", "x", *options)
            self.assertEqual(code, 2, options)
            self.assertIn(words, text)
            self.assertEqual(text.count("\n"), 1, text)

    def test_settings_come_in_order(self):
        """Flags over variables over the file."""
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"timeout_ms": 111, "max_side": 333, "log_level": "debug"}, file)
            file.flush()
            with Server("--config", file.name, "--timeout-ms", "5000",
                        env={"GLINT_TIMEOUT_MS": "222", "GLINT_MAX_SIDE": "444"}) as server:
                text = server.post({"prompt": "x", "timeout_ms": 9999}).error["message"]
                self.assertIn("5000", text)
                text = server.post({"prompt": "x", "max_side": 9999}).error["message"]
                self.assertIn("444", text)
            file.seek(0)
            file.truncate()
            json.dump({"no_such": 1}, file)
            file.flush()
            code, text = run("--config", file.name, "--model", "x")
            self.assertEqual(code, 2)
            self.assertIn("no_such", text)

    def test_a_step_that_hangs(self):
        """It is seen, by those who can restart the process, and goes by when the step ends."""
        with Server("--step-max-ms", "300") as server:
            hanging = server.in_background({"prompt": "hang_ms=1500;say=late", "task": "ask"})
            wait_until(lambda: server.get("/live").status == 503, "it is stuck")
            for path in ("/live", "/ready"):
                answer = server.get(path)
                self.assertEqual((answer.status, answer.json), (503, {"status": "stuck"}), path)
            refused = server.post({"prompt": "say=x", "task": "ask"})
            self.assertEqual((refused.status, refused.error["code"]), (503, "stuck"))
            self.assertGreater(server.figures()["glint_step_running_seconds"], 0.3)
            self.assertEqual(hanging.result().json["text"], "late")
            wait_until(lambda: server.get("/live").status == 200, "it is well again")
            self.assertEqual(server.post({"prompt": "say=x", "task": "ask"}).json["text"], "x")

    def test_help_lists_every_option(self):
        done = subprocess.run([FAKE, "serve", "--help"], capture_output=True, text=True, timeout=PATIENCE_S)
        self.assertEqual(done.returncode, 0)
        told = subprocess.run([FAKE, "serve", "--list", "options"], capture_output=True, text=True, timeout=PATIENCE_S)
        names = re.findall(r"^\| `--([a-z-]+)", told.stdout, re.M)
        self.assertGreater(len(names), 50)
        for name in [*names, "config", "help"]:
            self.assertRegex(done.stdout, rf"(?m)^  (-\w,|   ) --{name}( |$)")
        headings = re.findall(r"^## (.*)", told.stdout, re.M)
        self.assertEqual([*headings, "Other"], re.findall(r"^([A-Z].*):$", done.stdout, re.M)[:len(headings) + 1])
        self.assertIn("default 127.0.0.1:8080", done.stdout)


class OpenFiles(unittest.TestCase):
    """The limit on descriptors follows what may be open at once."""

    def start(self, soft, hard, *options):
        folder = tempfile.TemporaryDirectory(prefix="glint-files-")
        self.addCleanup(folder.cleanup)
        binary = os.path.join(folder.name, "glint")
        with open(binary, "w", encoding="utf-8") as file:
            file.write(f'#!/bin/sh\nulimit -Sn {soft}\nulimit -Hn {hard}\nexec "{FAKE}" "$@"\n')
        os.chmod(binary, 0o700)
        server = Server(*options, binary=binary)
        self.addCleanup(server.stop, signal.SIGKILL)
        return server

    def test_follows_the_settings(self):
        """Pictures by URL need more than a socket each: their hosts are looked up."""
        n_cpus = min(len(os.sched_getaffinity(0)), 64)
        plain = self.start(100, 65536, "--connections-max", "500").figures()["process_max_fds"]
        self.assertEqual(plain, 500 + 64 + 3 * n_cpus)
        options = ("--connections-max", "500", "--allow-image-host", "a.example", "--image-fetches-max", "256")
        self.assertEqual(self.start(100, 65536, *options).figures()["process_max_fds"], plain + 4 * 256 + 20)
        with tempfile.NamedTemporaryFile("w") as secret:
            secret.write("0123456789" * 4)
            secret.flush()
            options = ("--connections-max", "500", "--redis", "redis://127.0.0.1:1", "--redis-secret-file", secret.name,
                       "--redis-connections", "64")
            self.assertEqual(self.start(100, 65536, *options).figures()["process_max_fds"], plain + 64 + 4)
        self.assertEqual(self.start(9000, 65536).figures()["process_max_fds"], 9000)  # enough, and left

    def test_where_the_system_forbids_it(self):
        """Connections leave room for what their requests open."""
        server = self.start(700, 700, "--connections-max", "900", "--header-timeout-ms", "600000")
        warning = [line for line in server.lines if " warn " in line]
        n_connections = 700 - 64 - 3 * min(len(os.sched_getaffinity(0)), 64)
        self.assertRegex(warning[0], rf"allows 700 open files where {1600 - n_connections} may .*; connections: at most {n_connections}$")
        held = []
        self.addCleanup(lambda: [s.close() for s in held])
        held += [server.socket() for _ in range(n_connections + 40)]
        wait_until(lambda: len(os.listdir(f"/proc/{server.process.pid}/fd")) >= n_connections, "all places are taken")
        self.assertLess(len(os.listdir(f"/proc/{server.process.pid}/fd")), n_connections + 64)
        held[0].sendall(b"GET /ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        self.assertTrue(held[0].recv(4096).startswith(b"HTTP/1.1 200"))

    def test_very_few(self):
        server = self.start(80, 80)
        self.assertRegex("\n".join(server.lines), r"; connections: at most 41\n")
        self.assertEqual(server.post({"prompt": "x"}).status, 200)
        lines = self.start(80, 80, "--connections-max", "30").lines
        self.assertRegex("\n".join(lines), r"; connections: at most 30\n")


if __name__ == "__main__":
    unittest.main(verbosity=1)
