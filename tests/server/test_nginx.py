"""deploy/nginx.conf under a real nginx, before the server."""
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from harness import PATIENCE_S, ROOT, ROUTE, Server, wait_until

NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
if not NGINX:
    print("SKIPPED: no nginx; tools/setup test installs it")
    raise SystemExit(77)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Nginx(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="glint-nginx-")
        os.chmod(cls.folder.name, 0o755)
        cls.audit = os.path.join(cls.folder.name, "audit.log")
        cls.backend = Server("--proxies", "1", "--audit-log", cls.audit)
        cls.port = free_port()
        with open(os.path.join(ROOT, "deploy", "nginx.conf"), encoding="utf-8") as file:
            site = file.read()
        for old, new in (("server 127.0.0.1:8080;", f"server 127.0.0.1:{cls.backend.port};"),
                         ("listen 80;", f"listen 127.0.0.1:{cls.port};")):
            assert site.count(old) == 1, old
            site = site.replace(old, new)
        path = os.path.join(cls.folder.name, "nginx.conf")
        with open(path, "w", encoding="utf-8") as file:
            temporary = "".join(f"{name}_temp_path {cls.folder.name}/{name};\n" for name in
                                ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
            file.write(f"daemon off; master_process off; pid {cls.folder.name}/pid; error_log stderr;\n"
                       f"events {{}}\nhttp {{\naccess_log off;\n{temporary}{site}}}\n")
        cls.process = subprocess.Popen([NGINX, "-c", path, "-p", cls.folder.name, "-e", "stderr"],
                                       stderr=subprocess.DEVNULL)
        cls.server = Server.__new__(Server)  # to talk to, not to run
        cls.server.host, cls.server.port = "127.0.0.1", cls.port

        def up():
            assert cls.process.poll() is None, "nginx ended"
            try:
                return cls.server.get("/health").status == 200
            except OSError:
                return False

        wait_until(up, "nginx is up", 30)

    @classmethod
    def tearDownClass(cls):
        cls.process.send_signal(signal.SIGQUIT)
        cls.process.wait(PATIENCE_S)
        cls.backend.stop(signal.SIGKILL)
        cls.folder.cleanup()

    def test_questions(self):
        answer = self.server.post({"prompt": "say=x", "task": "ask"}, **{"X-Request-Id": "through"})
        self.assertEqual((answer.status, answer.json["text"], answer.headers["X-Request-Id"]), (200, "x", "through"))

    def test_inside_stays_inside(self):
        for path in ("/metrics", "/ready", "/live", "/", "/nothing"):
            self.assertEqual(self.server.get(path).status, 404, path)

    def test_streams_are_not_gathered(self):
        connection = self.server.connect()
        begun = time.monotonic()
        connection.request("POST", ROUTE, json.dumps({"prompt": "say=ab;times=3;piece=2;every_ms=400", "task": "ask",
                                                      "stream": True}), {"Content-Type": "application/json"})
        response = connection.getresponse()
        times = []
        while line := response.readline():
            if b"delta" in line:
                times.append(time.monotonic() - begun)
        self.assertEqual(len(times), 3)
        self.assertGreater(times[-1] - times[0], 0.5)
        connection.close()

    def test_uploads(self):
        answer = self.server.post_form(("task", "ask"), ("prompt", "say=x"), ("image", b"\xff\xd8\xff" + bytes(15 << 20), "a"))
        self.assertEqual(answer.status, 200, answer.body[:200])
        self.assertEqual(self.server.request("POST", ROUTE, b"x" * (21 << 20),
                                             {"Content-Type": "application/json"}).status, 413)

    def test_who_leaves_is_noticed(self):
        body = json.dumps({"prompt": "run_ms=30000", "task": "ask"}).encode()
        with self.server.socket() as s:
            s.sendall(f"POST {ROUTE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Request-Id: leaver\r\n"
                      f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            time.sleep(0.3)

        def line():
            with open(self.audit, encoding="utf-8") as file:
                return [entry for entry in map(json.loads, file) if entry["id"] == "leaver"]

        self.assertEqual(wait_until(line, "its line", 20)[0]["status"], 499)


if __name__ == "__main__":
    unittest.main(verbosity=1)
