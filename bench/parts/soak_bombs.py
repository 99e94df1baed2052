"""Hostile bytes of bench/soak: pictures, JSON, forms, schemas, tokens and raw requests, made here or
read from a folder of outside suites."""
import base64
import json
import os
import struct
import zlib

from .pictures import png_chunk

PNG = b"\x89PNG\r\n\x1a\n"


def png(width, height, depth, colour, idat, *before):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return PNG + png_chunk(b"IHDR", header) + b"".join(before) + png_chunk(b"IDAT", idat) + png_chunk(b"IEND", b"")


def zeros(n_bytes):
    """n zero bytes as zlib has them, a thousandth as long."""
    pack = zlib.compressobj(9)
    out = [pack.compress(bytes(min(1 << 20, n_bytes - at))) for at in range(0, n_bytes, 1 << 20)]
    return b"".join(out) + pack.flush()


def jpeg_of_scans(n):
    """A progressive JPEG of 2048x2048 of scan after scan over the same coefficients, each without data."""
    def segment(mark, data):
        return b"\xff" + bytes([mark]) + struct.pack(">H", len(data) + 2) + data

    out = b"\xff\xd8" + segment(0xDB, bytes([0]) + b"\x01" * 64)
    out += segment(0xC2, struct.pack(">BHHB", 8, 2048, 2048, 1) + b"\x01\x11\x00")
    out += segment(0xC4, b"\x00" + b"\x01" + bytes(15) + b"\x00") + segment(0xC4, b"\x10\x01" + bytes(15) + b"\x00")
    return out + n * segment(0xDA, b"\x01\x01\x00\x01\x3f\x00") + b"\xff\xd9"


def picture_bombs():
    """{name: bytes}: small files that are large pictures, or look like it."""
    row = (30000 + 7) // 8 + 1
    return {
        "30000x30000, 1 bit": png(30000, 30000, 1, 0, zeros(row * 30000)),
        "6000x6000 RGB": png(6000, 6000, 8, 2, zeros((6000 * 3 + 1) * 6000)),
        "2^31-1 square": png(2**31 - 1, 2**31 - 1, 16, 6, zeros(1000)),
        "iCCP of 64 MB": png(32, 32, 8, 2, zeros(97 * 32), png_chunk(b"iCCP", b"x\0\0" + zeros(1 << 26))),
        "zTXt of 64 MB": png(32, 32, 8, 2, zeros(97 * 32), png_chunk(b"zTXt", b"x\0\0" + zeros(1 << 26))),
        "30000 chunks": png(32, 32, 8, 2, zeros(97 * 32), png_chunk(b"tEXt", b"a\0b") * 30000),
        "1x20000": png(1, 20000, 8, 0, zeros(40000)),
        "WebP 16384x16384": b"RIFF" + struct.pack("<I", 30) + b"WEBPVP8L" + struct.pack("<I", 18)
                            + b"\x2f" + struct.pack("<I", 16383 | 16383 << 14) + bytes(13),
        "GIF 65535x65535": b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0x80, 0, 0) + bytes(6) + b","
                           + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\x02\x02\x4c\x01\x00;",
        "JPEG of 2000 scans": jpeg_of_scans(2000),
    }


def broken(draw, picture):
    """A picture with bytes changed, cut off, doubled or taken out."""
    data = bytearray(picture)
    how = draw.randrange(5)
    if how == 0:
        return bytes(data[: draw.randrange(1, len(data))])
    if how == 1:
        at = draw.randrange(len(data))
        return bytes(data[:at] + data[at : at + 500] + data[at:])
    if how == 2:
        at = draw.randrange(20, len(data))
        return bytes(data[:at] + data[at + draw.randrange(1, 400) :])
    if how == 3:
        return bytes(data[:40]) + draw.randbytes(len(data) - 40)
    for _ in range(draw.randrange(1, 60)):
        data[draw.randrange(len(data))] = draw.randrange(256)
    return bytes(data)


BAD_JSON = [
    b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe{\x00}\x00", b'{"prompt":"x"}}', b'{"prompt":"x","prompt":"y"}',
    b'{"prompt":"\xc3\x28"}', b'{"prompt":"\\ud800"}', b'{"prompt":"\\u0000","max_tokens":NaN}', b"{'prompt':1}",
    b'{"temperature":1e400,"prompt":"x"}', b'{"max_tokens":9223372036854775808,"prompt":"x"}',
    b'{"prompt":"x",}', b'\xef\xbb\xbf{"prompt":"x"}', b'{"prompt":"x"}\0', b'{"prompt":"a\nb"}', b"/**/{}",
]
BAD_FIELDS = [
    {"prompt": "x", "max_tokens": -1}, {"prompt": "x", "max_tokens": 1e300}, {"prompt": "x", "temperature": -0.5},
    {"prompt": "x", "pormpt": 1}, {"prompt": ["x"]}, {"images": ["AAAA"] * 1000}, {"image": "!!!"}, {"image": 7},
    {"prompt": "x", "stop": ["s"] * 10000}, {"prompt": "x", "task": "../../etc/passwd"}, {"prompt": "x", "seed": -1},
    {"image": "data:text/html;base64,AAAA"}, {"image": "data:image/png," + "%41" * 9000}, {"prompt": "x", "top_p": 0},
    {"prompt": "x", "schema": "x"}, {"prompt": "x", "stream": "yes"}, {"prompt": "x", "timeout_ms": 0}, {},
]


def deep_json(draw):
    n = draw.choice((65, 100, 1000, 100_000, 2_000_000))
    start, end = draw.choice(((b"[", b"]"), (b'{"a":', b"}")))
    inner = b"1" if draw.random() < 0.5 else b""
    return b'{"prompt":"x","schema":' + start * n + inner + (end * n if draw.random() < 0.7 else b"") + b"}"


def schema_bombs():
    """Schemas that cost whoever compiles them carelessly."""
    deep = {"type": "string"}
    for _ in range(60):
        deep = {"anyOf": [deep, {"type": "array", "items": deep}]} if len(json.dumps(deep)) < 20000 else deep
    refs = {f"d{i}": {"anyOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 8} for i in range(20)} | {"d20": {"type": "null"}}
    return [
        {"type": "string", "pattern": "^(a+)+$"}, {"type": "string", "pattern": "^(a{1,1000}){1,1000}$"},
        {"type": "string", "pattern": "(x+x+)+y"}, {"type": "string", "pattern": "^(" + "a?" * 500 + ")" + "a" * 500},
        {"type": "string", "pattern": ".*a.{14}$"}, {"type": "string", "pattern": "^(a|aa|aaa)*b.{12}c$"},
        {"type": "string", "pattern": "(" * 1000 + ")" * 1000}, {"type": "string", "pattern": "[" * 2000},
        {"type": "string", "pattern": "\\u" * 500}, {"type": "string", "pattern": "(?=a)b|\\1"},
        {"type": "object", "properties": {f"p{i}": {"enum": list(range(40))} for i in range(500)}},
        {"$ref": "#"}, {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
        {"$ref": "#/$defs/d0", "$defs": refs}, deep, {"allOf": [{"minimum": i} for i in range(250)]},
        {"type": "integer", "multipleOf": 9999, "minimum": 1, "maximum": 9007199254740991},
        {"type": "array", "minItems": 10**6, "items": {"type": "string", "minLength": 10**6}},
        {"type": "string", "minLength": 2**53}, {"enum": ["x" * 60000]}, {"type": "string", "maxLength": 5000},
        {"not": {}}, {"oneOf": [{}, {}]}, {"patternProperties": {"^.*$": {"pattern": ".{900}"}}},
    ]


def bad_tokens(draw, good):
    """Tokens that no server may take, made of a good one."""
    header, payload, signature = good.split(".")

    def encoded(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    kid = json.loads(base64.urlsafe_b64decode(header + "==")).get("kid")
    other = encoded(claims | {"tenant": "root"})
    at = draw.randrange(len(signature) - 2)
    flipped = signature[:at] + ("A" if signature[at] != "A" else "B") + signature[at + 1 :]
    return draw.choice([
        f"{encoded({'alg': 'none', 'kid': kid})}.{payload}.", f"{header}.{other}.{signature}", f"{header}.{payload}.",
        f"{encoded({'alg': 'HS256', 'kid': kid})}.{payload}.{signature}", f"{header}.{payload}.{flipped}",
        f"{header}.{payload}.{'A' * 86}", f"{header}.{payload}", f"{good}.x", good.replace(".", ".."), "." * 5000,
        f"{encoded({'alg': 'ES256', 'kid': '../../dev/null'})}.{payload}.{signature}", "gk_" + "A" * 43, "x" * 7000,
        f"{encoded({'alg': 'ES256', 'kid': kid, 'jku': 'http://127.0.0.1/'})}.{payload}.{signature}", good[:-1] + "=",
    ])


def raw_requests(path, token):
    """Bytes that two servers on a path could read in two ways. What would be smuggled is a request
    for /smuggled. None may be served: each is one refusal, or none and the end."""
    inner = b"GET /smuggled HTTP/1.1\r\nHost: glint.test\r\n\r\n"
    head = f"POST {path} HTTP/1.1\r\nHost: glint.test\r\nAuthorization: Bearer {token}\r\n".encode()
    json_type = b"Content-Type: application/json\r\n"
    body = b'{"prompt":"x"}'
    length = b"Content-Length: %d\r\n" % len(body)
    return [
        head + json_type + length + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner,
        head + json_type + b"Content-Length: 5\r\nContent-Length: 50\r\n\r\n" + body + inner,
        head + json_type + b"Content-Length: 5, 5\r\n\r\n" + body + inner,
        head + json_type + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + inner,
        head + json_type + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + inner,
        head + json_type + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + inner,
        head + json_type + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + inner,
        head + json_type + b"Content-Length: +14\r\n\r\n" + body + inner,
        head + json_type + b"Content-Length: 0x0e\r\n\r\n" + body + inner,
        head + json_type + b"Content-Length: -1\r\n\r\n" + body + inner,
        head + json_type + b"Content-Length: 99999999999999999999\r\n\r\n" + body + inner,
        head + json_type + b"Transfer-Encoding: chunked\r\n\r\n0x0e\r\n" + body + b"\r\n0\r\n\r\n" + inner,
        head + json_type + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n" + body + b"\r\n0\r\n\r\n" + inner,
        head + json_type + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n" + body + inner,
        head + json_type + b"Transfer-Encoding: chunked\r\n\r\ne\r\n" + body + b"XX0\r\n\r\n" + inner,
        head + json_type + length + b"X: a\r\nb: c\rX-Y: d\r\n\r\n" + body,
        head + json_type + length + b"X Y: z\r\n\r\n" + body,
        head + json_type + length + b"X: a\x00b\r\n\r\n" + body,
        head + json_type + length + b"Host: other.test\r\n\r\n" + body,
        f"POST {path} HTTP/1.1\r\nAuthorization: Bearer {token}\r\n".encode() + json_type + length + b"\r\n" + body,
        f"POST {path} HTTP/2.0\r\nHost: glint.test\r\n\r\n".encode(),
        f"POST  {path} HTTP/1.1\r\nHost: glint.test\r\n\r\n".encode(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(30), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300),
        b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", b"\r\n" * 500, b"\0" * 2000, b"GET", b"A" * 70000,
        b"GET http://169.254.169.254/v1/models HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: x\r\n\r\n",
    ]


SSRF = [
    "http://169.254.169.254/latest/meta-data/", "http://[::1]/", "http://0.0.0.0/", "http://2130706433/",
    "http://0x7f000001/", "http://127.1/", "http://0177.0.0.1/", "http://localhost/", "http://[::ffff:127.0.0.1]/",
    "file:///etc/passwd", "gopher://127.0.0.1:6379/_INFO", "dict://127.0.0.1:6379/", "ftp://127.0.0.1/",
    "http://user:pw@127.0.0.1/", "http://127.0.0.1\\@example.com/", "http://127.0.0.1 /", "http://127.0.0.1%00/",
    "http://127.0.0.1#@example.com/", "http://127.0.0.1:99999/", "http://127.0.0.1:/x", "http://127.0.0.1.nip.io/",
    "http://metadata.google.internal/", "http:///x", "http://", "https://127.0.0.1:{witness}/",
    "jar:http://127.0.0.1!/", "http://127.0.0.1:{witness}/x.png", "http://127.0.0.2:{witness}/x.png",
    "http://10.0.0.1/", "http://[fe80::1%25lo]/", "http://127.0.0.1:{witness}/../x", "HTTP://127.0.0.1:0{witness}/",
    "http://\uff11\uff12\uff17.0.0.1/", "//127.0.0.1:{witness}/",
]


class Suites:
    """Files of a folder of outside suites by what they are good for; empty without a folder."""

    PICTURES = ("jpeg-afl", "jpeg-decoder-crash", "jpeg-gofuzz", "jpeg-misc", "png-gofuzz", "png-imagers", "png-libpng",
                "png-misc", "png-pngsuite", "webp-gofuzz", "webp-misc", "gif-gofuzz", "gif-misc", "hash-collisions")
    FOLDERS = {"pictures": PICTURES, "bombs": ("image-bombs", "image-shapes"),
               "json": ("json-nst", "json-gofuzz", "json-jsonchecker"), "multipart": ("multipart-gofuzz",),
               "raw": ("http-llhttp", "http-gunicorn", "http-gofuzz-req")}
    NOT_CASES = (".tsv", ".json", ".md", ".yaml", ".pem", ".conf", ".txt")

    def __init__(self, folder):
        self.paths = {}
        for use, names in self.FOLDERS.items():
            self.paths[use] = sorted(
                os.path.join(where, file) for name in (names if folder else ())
                for where, _, files in os.walk(os.path.join(folder, name)) for file in files
                if use == "json" or not file.endswith(self.NOT_CASES))
        self.tokens = []
        path = os.path.join(folder or "", "jwt-attacks", "tokens.json")
        if folder and os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                self.tokens = [c["token"] for c in json.load(f)["cases"] if isinstance(c.get("token"), str)]

    def draw(self, draw, use):
        """One of them, or None."""
        if not self.paths[use]:
            return None
        with open(draw.choice(self.paths[use]), "rb") as f:
            return f.read()
