"""Starts `glint serve` on a free port and talks to it. Python's standard library only."""
import base64
import http.client
import json
import os
import re
import signal
import socket
import struct
import subprocess
import threading
import time
import zlib

ROOT = os.environ["GLINT_SOURCE_ROOT"]
FAKE = os.environ["GLINT_FAKE"]
GLINT = os.environ.get("GLINT", "")
ROUTE = "/v1/multimodal/inference"
# Sanitizers and busy machines are slow; a test that waits this long has failed.
PATIENCE_S = 300


def wait_until(condition, what, timeout_s=PATIENCE_S):
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.005)
    raise AssertionError(f"not within {timeout_s} s: {what}")


def png(width=8, height=8):
    """A grey PNG."""
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = b"".join(b"\0" + b"\x80" * width for _ in range(min(height, 64)))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def b64(data):
    return base64.b64encode(data).decode()


def form(*parts, boundary="XXfrontierXX"):
    """multipart/form-data from (name, value) and (name, bytes, filename); (type, body)."""
    out = b""
    for name, value, *filename in parts:
        head = f'Content-Disposition: form-data; name="{name}"'
        if filename:
            head += f'; filename="{filename[0]}"\r\nContent-Type: application/octet-stream'
        data = value if isinstance(value, bytes) else value.encode()
        out += f"--{boundary}\r\n{head}\r\n\r\n".encode() + data + b"\r\n"
    return f"multipart/form-data; boundary={boundary}", out + f"--{boundary}--\r\n".encode()


class Answer:
    def __init__(self, response, body):
        self.status = response.status
        self.headers = response.headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        return self.json["error"]


class Server:
    """A running server. Use with `with`; whatever happens, the process is gone afterwards."""

    def __init__(self, *options, binary=FAKE, model="fake", wait=True, listen="127.0.0.1:0", env=None, host="*"):
        argv = [binary, "serve", "--listen", listen, *options]
        if host:  # tests call it by many names
            argv += ["--allow-host", host]
        if model:
            argv += ["--model", model]
        self.lines = []
        self.process = subprocess.Popen(argv, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                        env={**os.environ, **(env or {})})
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        try:
            self.host, self.port = self._address()
            if wait:
                self.wait_ready()
        except BaseException:
            self.stop(signal.SIGKILL)
            raise

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line.decode("utf-8", "replace").rstrip("\n"))

    def _address(self):
        def find():
            for line in list(self.lines):
                match = re.search(r"listening on http://(?:\[([^\]]+)\]|([0-9.]+)):(\d+)", line)
                if match:
                    return match.group(1) or match.group(2), int(match.group(3))
            if self.process.poll() is not None:
                self.reader.join()
                raise AssertionError(f"exit {self.process.returncode}: {self.lines}")
            return None

        return wait_until(find, "the server says where it listens")

    def wait_ready(self):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"exit {self.process.returncode}: {self.lines}")
            return self.get("/ready").status == 200

        wait_until(ready, "ready")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop(signal.SIGKILL if exc[0] else signal.SIGTERM)

    def stop(self, how=signal.SIGTERM):
        """Signal, wait, and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            code = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"did not stop: {self.lines[-20:]}") from None
        self.reader.join(PATIENCE_S)
        self.process.stderr.close()
        if how == signal.SIGTERM and code != 0:
            raise AssertionError(f"exit {code}: {self.lines[-40:]}")
        return code

    def connect(self, timeout_s=PATIENCE_S):
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout_s)

    def socket(self):
        return socket.create_connection((self.host, self.port), timeout=PATIENCE_S)

    def request(self, method, path, body=None, headers=None):
        connection = self.connect()
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Answer(response, response.read())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.request("GET", path, headers=headers)

    def figures(self):
        """/metrics: {'glint_errors_total{code="queue_full"}': 3.0, ...}."""
        lines = self.get("/metrics").body.decode().splitlines()
        samples = (line.rpartition(" ") for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in samples}

    def post(self, fields, **headers):
        """POST a JSON body: a dict, or bytes as they are."""
        body = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
        return self.request("POST", ROUTE, body, {"Content-Type": "application/json", **headers})

    def post_chat(self, fields):
        return self.request("POST", "/v1/chat/completions", json.dumps(fields).encode(),
                            {"Content-Type": "application/json"})

    def post_form(self, *parts):
        content_type, body = form(*parts)
        return self.request("POST", ROUTE, body, {"Content-Type": content_type})

    def raw(self, data, half_close=True):
        """Write bytes, read to the end. b"" when the server just closes."""
        with self.socket() as s:
            try:
                s.sendall(data)
                if half_close:
                    s.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # refused before all was sent; the answer may still be there
            return read_all(s)

    def in_background(self, fields):
        """POST on a thread; .result() is the Answer, or None when the server closed."""
        return Background(lambda: self.post(fields))


def read_all(s):
    out = b""
    while True:
        try:
            piece = s.recv(65536)
        except ConnectionResetError:
            return out
        if not piece:
            return out
        out += piece


class Background:
    def __init__(self, function):
        self.value, self.error = None, None

        def run():
            try:
                self.value = function()
            except (OSError, http.client.HTTPException) as error:
                self.error = error

        self.thread = threading.Thread(target=run)
        self.thread.start()

    def result(self):
        self.thread.join(PATIENCE_S)
        if self.thread.is_alive():
            raise AssertionError("no answer")
        return self.value
