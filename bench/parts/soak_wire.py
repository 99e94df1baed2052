"""HTTP/1.1 of bench/soak: a client that can also misbehave. Whatever it is given goes out as bytes;
what comes back is read strictly. asyncio, standard library only."""
import asyncio
import json
import socket
import struct

MAX_LINE = 65536


class Cut(Exception):
    """The server closed before its answer was whole, or sent something that is no answer."""


class Reply:
    """An answer: `status`, `headers` by lower-case name, `body`."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def request_id(self):
        return self.headers.get("x-request-id")


class Wire:
    """One connection. `source` is the address it comes from; 127.0.0.0/8 is all ours."""

    def __init__(self, port, source=None, receive_bytes=None):
        self.port, self.source, self.receive_bytes = port, source, receive_bytes
        self.reader = self.writer = None

    async def open(self):
        s = socket.socket()
        try:
            s.setblocking(False)
            if self.receive_bytes:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_bytes)
            if self.source:
                s.bind((self.source, 0))
            await asyncio.get_running_loop().sock_connect(s, ("127.0.0.1", self.port))
            limit = 4096 if self.receive_bytes else MAX_LINE
            self.reader, self.writer = await asyncio.open_connection(sock=s, limit=limit)
        except BaseException:
            s.close()
            raise
        return self

    async def __aenter__(self):
        return await self.open()

    async def __aexit__(self, *_):
        self.close()

    def close(self):
        if self.writer:
            self.writer.close()

    def reset(self):
        """Leave without a word: the server reads ECONNRESET."""
        s = self.writer.get_extra_info("socket")
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def half_close(self):
        self.writer.write_eof()

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def _line(self):
        try:
            line = await self.reader.readuntil(b"\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError) as e:
            raise Cut(f"no line: {e!r}") from e
        return line[:-2].decode("latin-1")

    async def head(self):
        """(status, headers) of the next answer; 100 Continue is passed over."""
        while True:
            words = (await self._line()).split(" ", 2)
            if len(words) < 2 or words[0] not in ("HTTP/1.1", "HTTP/1.0") or not words[1].isdigit():
                raise Cut(f"no status line: {words}")
            headers = {}
            while line := await self._line():
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            if words[1] != "100":
                return int(words[1]), headers

    async def _exactly(self, n):
        try:
            return await self.reader.readexactly(n)
        except (asyncio.IncompleteReadError, ConnectionError) as e:
            raise Cut(f"body cut: {e!r}") from e

    async def pieces(self, headers):
        """The body as it comes."""
        if headers.get("transfer-encoding") == "chunked":
            while n := int(await self._line(), 16):
                yield await self._exactly(n)
                await self._line()
            await self._line()
        elif "content-length" in headers:
            yield await self._exactly(int(headers["content-length"]))
        else:
            while piece := await self.reader.read(65536):
                yield piece

    async def reply(self, has_body=True):
        status, headers = await self.head()
        body = b""
        if has_body and status not in (204, 304):
            body = b"".join([piece async for piece in self.pieces(headers)])
        return Reply(status, headers, body)

    async def events(self, headers):
        """Server-sent events: (name, data) of each."""
        text = b""
        async for piece in self.pieces(headers):
            text += piece
            *whole, text = text.split(b"\n\n")
            for block in whole:
                lines = [line.partition(b": ") for line in block.split(b"\n")]
                fields = {name.decode(): value.decode() for name, _, value in lines if name}
                if "data" in fields:
                    yield fields.get("event", "message"), fields["data"]
        if text:
            raise Cut("an event without its end")

    async def rest(self):
        """Everything until the server closes."""
        out = []
        try:
            while piece := await self.reader.read(65536):
                out.append(piece)
        except ConnectionError:
            pass
        return b"".join(out)


def request(method, path, headers=(), body=None):
    """The bytes of a request. `headers`: pairs; Content-Length is put in where there is a body."""
    lines = [f"{method} {path} HTTP/1.1", "Host: glint.test", *(f"{name}: {value}" for name, value in headers)]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def form(parts, boundary):
    """multipart/form-data of (name, bytes, file name or None)"""
    out = []
    for name, data, file_name in parts:
        head = f'Content-Disposition: form-data; name="{name}"'
        if file_name:
            head += f'; filename="{file_name}"\r\nContent-Type: application/octet-stream'
        out.append(f"--{boundary}\r\n{head}\r\n\r\n".encode() + data + b"\r\n")
    return b"".join(out) + f"--{boundary}--\r\n".encode()
