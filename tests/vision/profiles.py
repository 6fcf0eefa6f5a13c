"""ICC profiles written by hand (ICC.1:2010): three primaries and one curve."""

from __future__ import annotations

import struct
from collections.abc import Sequence

SRGB = ((0.4360, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7139))
ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
PROPHOTO = ((0.79767, 0.28804, 0.0), (0.13519, 0.71188, 0.0), (0.03134, 0.00009, 0.82490))
_WHITE = (0.9642, 1.0, 0.8249)


def curve(exponent: float) -> list[int]:
    return [round(65535 * (level / 255) ** exponent) for level in range(256)]


def profile(primaries: Sequence[Sequence[float]], tone: Sequence[int]) -> bytes:
    """A matrix profile of a display with the given XYZ primaries and tone curve."""

    def fixed(values: Sequence[float]) -> bytes:
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    def xyz(values: Sequence[float]) -> bytes:
        return b"XYZ \0\0\0\0" + fixed(values)

    tones = b"curv\0\0\0\0" + struct.pack(f">I{len(tone)}H", len(tone), *tone)
    title = b"desc\0\0\0\0" + struct.pack(">I", 2) + b"x\0" + bytes(78)
    tags = [(b"desc", title + bytes(-len(title) % 4)), (b"cprt", b"text\0\0\0\0x\0\0\0"), (b"wtpt", xyz(_WHITE))]
    tags += [(name, xyz(values)) for name, values in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)]
    tags += [(name, tones) for name in (b"rTRC", b"gTRC", b"bTRC")]
    offset, body, table = 132 + 12 * len(tags), b"", struct.pack(">I", len(tags))
    for name, data in tags:
        table += name + struct.pack(">II", offset + len(body), len(data))
        body += data
    head = struct.pack(">I4xI4s4s4s12x4s28x", offset + len(body), 0x02100000, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    return (head + fixed(_WHITE)).ljust(128, b"\0") + table + body
