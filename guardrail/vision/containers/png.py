"""PNG and APNG: one bounded walk over the chunks (PNG specification, third edition)."""

from __future__ import annotations

import zlib

from guardrail.vision.containers.header import Header, refuse
from guardrail.vision.containers.texts import InflationError, Texts, as_text, inflate

MAX_CHUNKS = 20_000
_PIXEL_CHUNKS = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"acTL", b"fcTL", b"fdAT"})
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class _Animation:
    """Holds an APNG to its own word: as many frames as declared, declared before the pixels."""

    def __init__(self, max_frames: int) -> None:
        self.max_frames = max_frames
        self.declared: int | None = None
        self.controls = 0
        self.default_image = False
        self._pixels = False

    def see(self, kind: bytes, body: memoryview) -> None:
        if kind == b"acTL":
            if self.declared is not None or self._pixels or len(body) != 8:
                raise refuse("corrupt", "the animation header of the PNG is out of place")
            self.declared = int.from_bytes(body[:4], "big")
            if self.declared > self.max_frames:
                raise refuse("too_many_frames", f"the PNG declares {self.declared} frames")
        elif kind == b"IDAT" and not self._pixels:
            self._pixels = True
            self.default_image = self.controls == 0
        elif kind == b"fcTL":
            self.controls += 1
            if self.controls > self.max_frames:
                raise refuse("too_many_frames", f"the PNG has more than {self.max_frames} frames")
        elif kind == b"fdAT" and not self.controls:
            raise refuse("corrupt", "the PNG has frame data without a frame")

    def frames(self) -> int:
        if self.declared is None and not self.controls:
            return 1
        if self.declared != self.controls or not self.controls:
            raise refuse("corrupt", "the PNG has another number of frames than it declares")
        return self.controls + int(self.default_image)


def scan(data: bytes, max_frames: int) -> Header:
    """Read every chunk of a PNG.

    Raises:
        PictureError: reason "truncated", "corrupt", "too_many_frames", or "too_many_bytes" for a compressed text or
            profile that inflates beyond the limit.
    """
    view, at, chunks = memoryview(data), len(_SIGNATURE), 0
    header = Header("png", [], 1, [])
    animation = _Animation(max_frames)
    kept: list[bytes | memoryview] = [_SIGNATURE]
    dropped = False
    while True:
        chunks += 1
        if chunks > MAX_CHUNKS:
            raise refuse("corrupt", f"the PNG has more than {MAX_CHUNKS} chunks")
        length, kind = int.from_bytes(view[at : at + 4], "big"), bytes(view[at + 4 : at + 8])
        end = at + 12 + length
        if len(kind) < 4 or end > len(data):
            raise refuse("truncated", "the PNG ends inside a chunk")
        if chunks == 1:
            header.sizes.append(_size(kind, view[at + 8 : end - 4]))
        body = view[at + 8 : end - 4]
        if kind in _PIXEL_CHUNKS:
            if zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
                raise refuse("corrupt", "a chunk of the PNG does not match its checksum")
            animation.see(kind, body)
            kept.append(view[at:end])
        else:
            dropped = True
            _ancillary(kind, bytes(body), header)
        at = end
        if kind == b"IEND":
            break
    header.frames = animation.frames()
    header.texts.add_tail(data[at:])
    header.streams.append(b"".join(kept) if dropped or at < len(data) else data)
    return header


def _size(kind: bytes, body: memoryview) -> tuple[int, int]:
    if kind != b"IHDR" or len(body) != 13:
        raise refuse("corrupt", "the PNG does not begin with its header")
    return int.from_bytes(body[:4], "big"), int.from_bytes(body[4:8], "big")


def _ancillary(kind: bytes, body: bytes, header: Header) -> None:
    texts = header.texts
    if kind == b"gAMA" and len(body) == 4:
        header.gamma = int.from_bytes(body, "big") / 100_000 or None
    elif kind == b"eXIf":
        header.exif = header.exif or body
    elif kind == b"iCCP":
        _, _, rest = body.partition(b"\x00")
        header.icc = header.icc or _inflated("icc", rest[1:], texts)
        texts.add_block("icc", header.icc)
    elif kind == b"tEXt":
        keyword, _, value = body.partition(b"\x00")
        texts.add("png:tEXt", f"{as_text(keyword)}: {as_text(value)}")
    elif kind == b"zTXt":
        keyword, _, rest = body.partition(b"\x00")
        texts.add("png:zTXt", f"{as_text(keyword)}: {as_text(_inflated('png:zTXt', rest[1:], texts))}")
    elif kind == b"iTXt":
        _international(body, texts)
    else:
        texts.add_block("png:other", body)


def _international(body: bytes, texts: Texts) -> None:
    keyword, _, rest = body.partition(b"\x00")
    packed, rest = rest[:1] == b"\x01", rest[2:]
    _, _, rest = rest.partition(b"\x00")
    translated, _, value = rest.partition(b"\x00")
    if packed:
        value = _inflated("png:iTXt", value, texts)
    texts.add("png:iTXt", f"{as_text(keyword)} {as_text(translated)}: {as_text(value)}")


def _inflated(where: str, data: bytes, texts: Texts) -> bytes:
    try:
        return inflate(data)
    except InflationError as error:
        if error.bomb:
            raise refuse("too_many_bytes", "a compressed block of the PNG inflates beyond the limit") from None
        texts.note(where, "a compressed block does not inflate")
        return b""
