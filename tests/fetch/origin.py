"""A server of pictures, good and bad, on every address of the world at once. What it does is in the
path; what it was asked is in `requests`."""
import collections
import os
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time
import urllib.parse
import zlib

Request = collections.namedtuple("Request", "address port path head connection")


def png(width=8, height=8):
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = b"".join(b"\0" + b"\x80" * width for _ in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


PNG = png()


def reply(body, status="200 OK", *fields):
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n" + "".join(f"{x}\r\n" for x in fields)
    return head.encode() + b"\r\n" + body


class Certificates:
    """A root and what it signed, made by openssl(1) anew each time."""

    def __init__(self, names):
        self.folder = tempfile.mkdtemp()
        self.ca = self.path("ca.pem")
        self.run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test root",
                 "-keyout", self.path("ca.key"), "-out", self.ca)
        self.leaf("good", names)
        self.leaf("other", ["other.example"])
        self.run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=self",
                 "-addext", "subjectAltName=DNS:selfsigned.pics.test",
                 "-keyout", self.path("self.key"), "-out", self.path("self.pem"))

    def path(self, name):
        return os.path.join(self.folder, name)

    def run(self, *words):
        subprocess.run(["openssl", *words], check=True, capture_output=True)

    def leaf(self, name, hosts):
        with open(self.path(name + ".ext"), "w", encoding="ascii") as file:
            file.write("subjectAltName=" + ",".join("DNS:" + host for host in hosts))
        self.run("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=" + name, "-keyout", self.path(name + ".key"),
                 "-out", self.path(name + ".csr"))
        self.run("x509", "-req", "-in", self.path(name + ".csr"), "-CA", self.ca, "-CAkey", self.path("ca.key"),
                 "-CAcreateserial", "-days", "2", "-extfile", self.path(name + ".ext"), "-out", self.path(name + ".pem"))

    def context(self, name):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path(name + ".pem"), self.path(name + ".key"))
        return context


class Origin:
    def __init__(self, certificates=None, ports=(80, 8080), folder=None, files=None):
        self.requests = []
        self.n_connections = 0
        self.folder = folder  # of raw replies, by file name
        self.files = files or {}  # what /file?name= serves
        self.gate = threading.Event()  # what /gated waits for
        self.tls = None
        if certificates:
            self.tls = certificates.context("good")
            others = {"wrong.pics.test": certificates.context("other"),
                      "selfsigned.pics.test": certificates.context("self")}

            def choose(connection, name, _):
                if name in others:
                    connection.context = others[name]

            self.tls.sni_callback = choose
            self.listen(443, self.tls)
        for port in ports:
            self.listen(port, None)

    def listen(self, port, tls):
        s = socket.socket(socket.AF_INET6)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        s.bind(("::", port))
        s.listen(256)
        threading.Thread(target=self.accept, args=(s, tls, port), daemon=True).start()

    def accept(self, listener, tls, port):
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=self.serve, args=(connection, tls, port), daemon=True).start()

    def serve(self, connection, tls, port):
        address = connection.getsockname()[0].removeprefix("::ffff:")
        self.n_connections += 1
        number = self.n_connections
        try:
            connection.settimeout(30)
            if tls:
                connection = tls.wrap_socket(connection, server_side=True)
            data = b""
            while True:
                while b"\r\n\r\n" not in data:
                    piece = connection.recv(65536)
                    if not piece:
                        return
                    data += piece
                head, data = data.split(b"\r\n\r\n", 1)
                path = head.split(b" ")[1].decode()
                self.requests.append(Request(address, port, path, head.decode("latin-1"), number))
                if not self.act(connection, path, head.decode("latin-1")):
                    return
        except OSError:
            pass  # the fetcher gave up, as it often must
        finally:
            connection.close()

    def asked(self, path):
        """Requests whose path begins so."""
        return [r for r in self.requests if r.path.startswith(path)]

    def act(self, c, path, head):
        """Answer; True when the connection goes on."""
        name, _, query = path.partition("?")
        args = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        name = name.split("/")[1]
        action = getattr(self, "do_" + name.replace("-", "_").split(".")[0], None)
        if action:
            return action(c, args, head)
        c.sendall(reply(b"no such thing", "404 Not Found"))
        return True

    # ---- what a path does ----

    def do_ok(self, c, args, head):
        c.sendall(reply(PNG))
        return True

    def do_gated(self, c, args, head):
        self.gate.wait(20)
        c.sendall(reply(PNG))
        return True

    def do_file(self, c, args, head):
        c.sendall(reply(self.files[args["name"]]))
        return True

    def do_size(self, c, args, head):
        c.sendall(reply(b"x" * int(args["n"])))
        return True

    def do_status(self, c, args, head):
        c.sendall(reply(PNG, f"{args['n']} Word"))
        return True

    def do_redirect(self, c, args, head):
        c.sendall(reply(b"", f"{args.get('status', 302)} Moved", "Location: " + args["to"]))
        return True

    def do_two_locations(self, c, args, head):
        c.sendall(reply(b"", "302 Moved", "Location: /ok.png", "Location: http://10.0.0.1/"))
        return True

    def do_long_location(self, c, args, head):
        c.sendall(reply(b"", "302 Moved", "Location: /" + "a" * int(args["n"])))
        return True

    def do_hops(self, c, args, head):
        n = int(args["n"])
        c.sendall(reply(b"", "302 Moved", f"Location: /hops?n={n - 1}") if n else reply(PNG))
        return True

    def do_silence(self, c, args, head):
        time.sleep(30)

    def do_second(self, c, args, head):
        """Nothing for whoever comes first."""
        path = head.split(" ")[1]
        if len(self.asked(path)) == 1:
            time.sleep(30)
        c.sendall(reply(PNG))
        return True

    def do_drip(self, c, args, head):
        c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(300):
            c.sendall(b"x")
            time.sleep(0.1)

    def do_drip_head(self, c, args, head):
        c.sendall(b"HTTP/1.1 200 OK\r\n")
        for i in range(300):
            c.sendall(b"X-%d: y\r\n" % i)
            time.sleep(0.1)

    def do_endless(self, c, args, head):
        c.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            c.sendall(b"x" * 65536)

    def do_endless_chunks(self, c, args, head):
        c.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            c.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")

    def do_huge_length(self, c, args, head):
        c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n" + b"x" * 1000)
        time.sleep(30)

    def do_endless_head(self, c, args, head):
        c.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            c.sendall(b"X-Filler: " + b"y" * 1000 + b"\r\n")

    def do_endless_line(self, c, args, head):
        c.sendall(b"HTTP/1.1 200 OK\r\nX-Filler: ")
        while True:
            c.sendall(b"y" * 65536)

    def do_endless_interim(self, c, args, head):
        while True:
            c.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    def do_endless_trailers(self, c, args, head):
        c.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n")
        while True:
            c.sendall(b"X-Filler: " + b"y" * 1000 + b"\r\n")

    def do_bomb(self, c, args, head):
        bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
        body = bomb.compress(b"\0" * (64 << 20)) + bomb.flush()
        c.sendall(reply(body, "200 OK", args["as"] + ": gzip"))
        return True

    def do_te_bomb(self, c, args, head):
        bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
        body = bomb.compress(b"\0" * (64 << 20)) + bomb.flush()
        c.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n%x\r\n" % len(body) + body
                  + b"\r\n0\r\n\r\n")

    def do_short(self, c, args, head):
        c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nxyz")

    def do_old(self, c, args, head):
        c.sendall(PNG)  # HTTP/0.9

    def do_cookie(self, c, args, head):
        c.sendall(reply(PNG, "200 OK", "Set-Cookie: a=b; Path=/", "Alt-Svc: h2=\":8443\"; ma=99999",
                        "Strict-Transport-Security: max-age=99999"))
        return True

    def do_auth(self, c, args, head):
        c.sendall(reply(b"", "401 Who", "WWW-Authenticate: Basic realm=x"))
        return True

    def do_cache(self, c, args, head):
        """`send` fields, joined by '|'; `etag` and `date` are honoured."""
        fields = args["send"].split("|") if args.get("send") else []
        is_same = ("etag" in args and f'If-None-Match: {args["etag"]}' in head) or (
            "date" in args and f'If-Modified-Since: {args["date"]}' in head)
        if "etag" in args:
            fields.append("ETag: " + args["etag"])
        if "date" in args:
            fields.append("Last-Modified: " + args["date"])
        if is_same:
            c.sendall(("HTTP/1.1 304 Same\r\n" + "".join(f"{x}\r\n" for x in fields) + "\r\n").encode())
        else:
            c.sendall(reply(PNG, "200 OK", *fields))
        return True

    def do_raw(self, c, args, head):
        """A file of raw bytes, then the end."""
        with open(os.path.join(self.folder, args["file"]), "rb") as file:
            c.sendall(file.read())
        c.shutdown(socket.SHUT_WR)
