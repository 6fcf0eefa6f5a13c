"""WebP: a bounded walk over the RIFF chunks (RFC 9649)."""

from __future__ import annotations

from guardrail.vision.containers.header import Header, refuse
from guardrail.vision.containers.jumbf import read_jumbf
from guardrail.vision.containers.texts import slack
from guardrail.vision.containers.xmp import read_xmp

MAX_CHUNKS = 20_000
_PIXELS = frozenset({b"VP8 ", b"VP8L", b"ALPH", b"ANIM"})
_CODED = frozenset({b"VP8 ", b"VP8L"})
_ANIMATED = 0x02


def scan(data: bytes, max_frames: int) -> Header:
    """Read every chunk of a WebP file.

    Raises:
        PictureError: reason "truncated", "corrupt" or "too_many_frames".
    """
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data) or len(data) < 30:
        raise refuse("truncated", "the WebP is shorter than it says")
    header = Header("webp", [_size(data)], 1, [data[:end] if end < len(data) else data])
    at, chunks, frames = 12, 0, 0
    while at + 8 <= end:
        chunks += 1
        if chunks > MAX_CHUNKS:
            raise refuse("corrupt", f"the WebP has more than {MAX_CHUNKS} chunks")
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + length > end:
            raise refuse("truncated", "the WebP ends inside a chunk")
        if kind == b"ANMF":
            frames += 1
            if frames > max_frames:
                raise refuse("too_many_frames", f"the WebP has more than {max_frames} frames")
        else:
            _metadata(kind, data[at + 8 : at + 8 + length], header)
        at += 8 + length + (length & 1)
    animated = data[12:16] == b"VP8X" and bool(data[20] & _ANIMATED)
    if animated != bool(frames):
        raise refuse("corrupt", "the WebP has frames it does not announce, or announces frames it does not have")
    header.frames = max(frames, 1)
    header.texts.add_tail(data[end:])
    return header


def _size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L" and data[20] == 0x2F:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    raise refuse("corrupt", "the WebP does not begin with a picture")


def _metadata(kind: bytes, body: bytes, header: Header) -> None:
    if kind == b"EXIF":
        header.add_exif(body)
    elif kind == b"XMP ":
        read_xmp(body, header.texts)
    elif kind == b"ICCP":
        header.add_icc(body)
    elif kind == b"C2PA":
        read_jumbf(body, header.texts)
    elif kind in _CODED:
        header.texts.add("webp:slack", slack(body))
    elif kind not in _PIXELS and kind != b"VP8X":
        header.texts.blocks.append(("webp:other", body))
        header.texts.add_block("webp:other", body)
