"""Changes to a file that its readers should survive: bytes, lengths, whole parts, and checksums made right again."""

from __future__ import annotations

import random
import struct
import zlib

MAX_BYTES = 1 << 16
_EDGES = (0, 1, 2, 4, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_MARKS = (
    *(b"\xff\xd8\xff\xe0", b"\xff\xd9", b"\x89PNG\r\n\x1a\n", b"IDAT", b"IEND", b"fdAT", b"acTL", b"fcTL", b"GIF89a"),
    *(
        b"RIFF",
        b"WEBP",
        b"ANMF",
        b"VP8X",
        b"ftypavif",
        b"meta",
        b"iloc",
        b"iinf",
        b"jumb",
        b"jumd",
        b"cbor",
        b"8BIM\x04\x04",
    ),
    *(b"PK\x03\x04", b"<!ENTITY", b"II*\x00", b"MM\x00*", b"/9j/", b"Exif\x00\x00", b"\x21\xff\x0b", b"\x2c", b";"),
)


def mutated(seed: bytes, other: bytes, rng: random.Random) -> bytes:
    """`seed` after one to six changes; `other` lends parts. At most `MAX_BYTES` long."""
    data = bytearray(seed)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        _change(data, other, rng)
    if rng.random() < 0.5 and data[:8] == b"\x89PNG\r\n\x1a\n":
        _sum_up(data)
    if rng.random() < 0.5 and data[:4] == b"RIFF":
        data[4:8] = struct.pack("<I", max(0, len(data) - 8))
    return bytes(data[:MAX_BYTES])


def _change(data: bytearray, other: bytes, rng: random.Random) -> None:
    at = rng.randrange(len(data) + 1)
    kind = rng.randrange(10)
    if kind == 0 and data:
        data[at % len(data)] ^= 1 << rng.randrange(8)
    elif kind == 1 and data:
        data[at % len(data)] = rng.randrange(256)
    elif kind == 2:
        width, order = rng.choice((1, 2, 4)), rng.choice(("big", "little"))
        value = rng.choice((*_EDGES, len(data), len(data) - at)) & (1 << 8 * width) - 1
        data[at : at + width] = value.to_bytes(width, "big" if order == "big" else "little")
    elif kind == 3:
        del data[at : at + rng.choice((1, 2, 4, 16, 64))]
    elif kind == 4:
        data[at:at] = data[at : at + rng.randrange(1, 200)] * rng.choice((1, 1, 2, 20))
    elif kind == 5:
        start = rng.randrange(len(other) + 1)
        data[at : at + rng.choice((0, 16))] = other[start : start + rng.randrange(1, 300)]
    elif kind == 6:
        data[at:at] = rng.choice(_MARKS)
    elif kind == 7:
        data[at : at + 4] = rng.choice(_MARKS)
    elif kind == 8:
        del data[at:]
    else:
        data[at:at] = rng.randbytes(rng.choice((1, 4, 30)))


def _sum_up(data: bytearray) -> None:
    """Right checksums of PNG chunks, so that changes reach what lies behind them."""
    at = 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data):
            return
        data[end : end + 4] = struct.pack(">I", zlib.crc32(data[at + 4 : end]))
        at = end + 4
