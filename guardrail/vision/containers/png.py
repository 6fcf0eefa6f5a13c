"""PNG and APNG: one bounded walk over the chunks (PNG specification, third edition)."""

from __future__ import annotations

import re
import zlib

from guardrail.vision.containers.header import Header, refuse
from guardrail.vision.containers.icc import read_icc
from guardrail.vision.containers.iptc import read_iptc, read_photoshop
from guardrail.vision.containers.jumbf import read_jumbf
from guardrail.vision.containers.texts import MAX_SLACK_BYTES, InflationError, Texts, as_text, slack, strings
from guardrail.vision.containers.xmp import read_xmp

MAX_CHUNKS = 20_000
MAX_KEYWORD = 79
_DEEP = 16
_PIXEL_CHUNKS = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"acTL", b"fcTL", b"fdAT"})
_RAW, _XMP = b"Raw profile type ", b"XML:com.adobe.xmp"
_WORDED = re.compile(r"[^\W\d_]{3}")
_CODED = frozenset({b"IDAT", b"fdAT"})
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
    pixels: list[memoryview] = []
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
            header.deep = view[at + 16] == _DEEP
        body = view[at + 8 : end - 4]
        if kind in _PIXEL_CHUNKS:
            if zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
                raise refuse("corrupt", "a chunk of the PNG does not match its checksum")
            animation.see(kind, body)
            header.keyed |= kind == b"tRNS"
            kept.append(view[at:end])
            if kind in _CODED:
                pixels.append(body)
        else:
            dropped = True
            _ancillary(kind, bytes(body), header)
        at = end
        if kind == b"IEND":
            break
    header.frames = animation.frames()
    header.texts.add_tail(data[at:])
    header.texts.add("png:slack", slack(_last(pixels)))
    header.streams.append(b"".join(kept) if dropped or at < len(data) else data)
    return header


def _last(pixels: list[memoryview]) -> bytes:
    """The last coded pixels, from as many chunks as are searched."""
    first, size = len(pixels), 0
    while first and size < MAX_SLACK_BYTES:
        first -= 1
        size += len(pixels[first])
    return b"".join(pixels[first:])


def _size(kind: bytes, body: memoryview) -> tuple[int, int]:
    if kind != b"IHDR" or len(body) != 13:
        raise refuse("corrupt", "the PNG does not begin with its header")
    return int.from_bytes(body[:4], "big"), int.from_bytes(body[4:8], "big")


def _ancillary(kind: bytes, body: bytes, header: Header) -> None:
    texts = header.texts
    if kind == b"gAMA" and len(body) == 4:
        header.gamma = int.from_bytes(body, "big") / 100_000 or None
    elif kind == b"eXIf":
        header.add_exif(body)
    elif kind == b"iCCP":
        name, _, rest = body.partition(b"\x00")
        texts.add("png:iCCP", as_text(name[:MAX_KEYWORD]))
        header.add_icc(_inflated("icc", rest[1:], texts))
    elif kind == b"tEXt":
        keyword, _, value = body.partition(b"\x00")
        _text("png:tEXt", keyword, value, header)
    elif kind == b"zTXt":
        keyword, _, rest = body.partition(b"\x00")
        _text("png:zTXt", keyword, _inflated("png:zTXt", rest[1:], texts), header)
    elif kind == b"iTXt":
        _international(body, header)
    elif kind == b"caBX":
        read_jumbf(body, texts)
    else:
        texts.blocks.append(("png:other", body))
        texts.add_block("png:other", body)


def _text(where: str, keyword: bytes, value: bytes, header: Header) -> None:
    if keyword.startswith(_RAW):
        _raw_profile(keyword.removeprefix(_RAW), value, header)
    elif keyword == _XMP:
        read_xmp(value, header.texts)
    elif value[:1] in (b"{", b"[") and (found := strings(value)) is not None:
        # workflows of generators are long documents of few words
        header.texts.add_values(where, (as_text(keyword), *filter(_WORDED.search, found)))
    else:
        header.texts.add(where, f"{as_text(keyword)}: {as_text(value)}")


def _raw_profile(kind: bytes, value: bytes, header: Header) -> None:
    """Metadata in hexadecimal, as ImageMagick writes it: a name, a length, then the digits."""
    head = value.split(None, 2)
    try:
        block = bytes.fromhex(head[-1].decode("ascii")) if len(head) == 3 else b""
    except ValueError:
        block = b""
    if not block:
        header.texts.add("png:profile", as_text(value))
    elif block.startswith(b"Exif") or kind == b"exif":
        header.exif_more.append(block)
    elif block.startswith(b"8BIM"):
        read_photoshop(block, header.texts)
    elif kind == b"iptc":
        read_iptc(block, header.texts)
    elif kind in (b"icc", b"icm"):
        read_icc(block, header.texts)
    else:
        read_xmp(block, header.texts)


def _international(body: bytes, header: Header) -> None:
    keyword, _, rest = body.partition(b"\x00")
    packed, rest = rest[:1] == b"\x01", rest[2:]
    _, _, rest = rest.partition(b"\x00")
    translated, _, value = rest.partition(b"\x00")
    if packed:
        value = _inflated("png:iTXt", value, header.texts)
    named = keyword if not translated else keyword + b" " + translated
    _text("png:iTXt", named, value, header)


def _inflated(where: str, data: bytes, texts: Texts) -> bytes:
    try:
        return texts.inflate(data)
    except InflationError as error:
        if error.bomb:
            raise refuse("too_many_bytes", "compressed blocks of the PNG inflate beyond the limit") from None
        texts.note(f"picture.{where}", "a compressed block does not inflate")
        return b""
