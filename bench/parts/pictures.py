"""Pictures without a picture library."""
import random
import struct
import zlib


def png_chunk(kind, data):
    """Length, kind, data, CRC."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _rgb_png(width, height, rows):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(rows, 1))
            + png_chunk(b"IEND", b""))


def noise_png(px, seed):
    """A square RGB picture of random bytes."""
    draw = random.Random(seed)
    return _rgb_png(px, px, b"".join(b"\0" + draw.randbytes(3 * px) for _ in range(px)))


def blocks_png(width, height, seed):
    """An RGB picture of coloured blocks, a few KB."""
    draw = random.Random(seed)
    rows = []
    for y in range(0, height, 28):
        row = b"\0" + b"".join(draw.randbytes(3) * min(28, width - x) for x in range(0, width, 28))
        rows += [row] * min(28, height - y)
    return _rgb_png(width, height, b"".join(rows))


def marked(picture, text):
    """The same picture with a comment inside, so that no cache of bytes has seen it."""
    comment = text.encode()
    if picture[:2] == b"\xff\xd8":  # JPEG: a COM segment behind SOI
        return picture[:2] + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + picture[2:]
    if picture[:8] == b"\x89PNG\r\n\x1a\n":  # a tEXt chunk behind IHDR
        return picture[:33] + png_chunk(b"tEXt", b"Comment\0" + comment) + picture[33:]
    raise ValueError("neither JPEG nor PNG")
