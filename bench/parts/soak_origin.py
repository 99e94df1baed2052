"""Where bench/soak's picture URLs lead: an origin that is good at some paths and hostile at others,
and a witness beside it that nobody may connect to."""
import asyncio


class Origin:
    """HTTP on 127.0.0.1. /picture/N is the N-th picture; /hostile/HOW misbehaves. `witnessed` counts
    connections to the witness's port: the server must never make one."""

    def __init__(self, pictures):
        self.pictures, self.witnessed = pictures, 0
        self.port = self.witness_port = None

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.witness = await asyncio.start_server(self.see, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        self.witness_port = self.witness.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()
        self.witness.close()

    def url(self, number):
        return f"http://127.0.0.1:{self.port}/picture/{number}"

    def hostile_url(self, how):
        return f"http://127.0.0.1:{self.port}/hostile/{how}"

    async def see(self, _, writer):
        self.witnessed += 1
        writer.close()

    async def serve(self, reader, writer):
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                words = head.split("\r\n")[0].split(" ")[1].split("?")[0].strip("/").split("/")
                if words[0] == "picture":
                    picture = self.pictures[int(words[1])]
                    etag = f'"{len(picture)}-{words[1]}"'
                    if f"if-none-match: {etag}" in head.lower():
                        writer.write(f"HTTP/1.1 304 Not Modified\r\nETag: {etag}\r\n\r\n".encode())
                    else:
                        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(picture)}\r\nETag: {etag}\r\n"
                                     "Content-Type: image/jpeg\r\nCache-Control: max-age=20\r\n\r\n".encode())
                        writer.write(picture)
                    await writer.drain()
                else:
                    await getattr(self, f"do_{words[1]}")(writer)
                    return
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    # ---- what it does at /hostile/... ----

    HOWS = ("outside", "loop", "slow", "endless", "cut", "text", "huge", "missing", "headers", "garbage")

    async def do_outside(self, writer):
        writer.write(f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{self.witness_port}/x\r\n"
                     "Content-Length: 0\r\n\r\n".encode())
        await writer.drain()

    async def do_loop(self, writer):
        writer.write(b"HTTP/1.1 301 Moved\r\nLocation: /hostile/loop\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async def do_slow(self, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
        for _ in range(100):
            writer.write(b"\x89")
            await writer.drain()
            await asyncio.sleep(0.2)

    async def do_endless(self, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(400):
            writer.write(b"10000\r\n" + bytes(65536) + b"\r\n")
            await writer.drain()

    async def do_cut(self, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n" + self.pictures[0][:700])
        await writer.drain()

    async def do_text(self, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: image/png\r\n\r\nhello")
        await writer.drain()

    async def do_huge(self, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + bytes(1000))
        await writer.drain()

    async def do_missing(self, writer):
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async def do_headers(self, writer):
        writer.write(b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: %s\r\n" % (i, b"x" * 4000) for i in range(40)) + b"\r\n")
        await writer.drain()

    async def do_garbage(self, writer):
        writer.write(bytes(range(256)) * 8)
        await writer.drain()
