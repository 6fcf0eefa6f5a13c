"""JPEG: a bounded walk over the markers of every image in the file (ITU-T T.81 annex B).

A phone's file may hold several JPEG images one after the other (MPO, gain maps). Each is a picture somebody can
extract, so each becomes a frame.
"""

from __future__ import annotations

import re

from guardrail.errors import PictureError
from guardrail.vision.containers.header import Header, refuse
from guardrail.vision.containers.iptc import read_photoshop
from guardrail.vision.containers.jumbf import read_jumbf, segments_joined
from guardrail.vision.containers.texts import as_text, slack
from guardrail.vision.containers.xmp import joined, read_xmp

MAX_SEGMENTS = 10_000
MAX_SCANS = 100
"""Scans of one progressive image; encoders write about ten."""
MAX_SCAN_PIXELS = 640_000_000
"""Scans after the first x pixels of one image: each costs the decoder a walk over the whole image."""

_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_SEGMENT = re.compile(rb"\xff+[^\x00\xff]")
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_APP0, _APP1, _APP2, _APP11, _APP13, _APP14, _COM = 0xE0, 0xE1, 0xE2, 0xEB, 0xED, 0xEE, 0xFE
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_START = b"\xff\xd8\xff"
_EXIF, _ICC = b"Exif\x00\x00", b"ICC_PROFILE\x00"
_XMP, _XMP_MORE = b"http://ns.adobe.com/xap/1.0/\x00", b"http://ns.adobe.com/xmp/extension/\x00"
_PHOTOSHOP, _JUMBF = b"Photoshop 3.0\x00", b"JP"


def scan(data: bytes, max_frames: int) -> Header:
    """Read every segment of every image of a JPEG file.

    Raises:
        PictureError: reason "truncated", "corrupt" or "too_many_frames".
    """
    header = Header("jpeg", [], 0, [])
    at = _Image(data, 0, header).end
    while (following := data.find(_START, at)) >= 0:
        if len(header.streams) >= max_frames:
            raise refuse("too_many_frames", f"the JPEG file holds more than {max_frames} images")
        try:
            end = _Image(data, following, header).end
        except PictureError:
            break
        if following > at:
            header.texts.add_tail(data[at:following])
        at = end
    header.frames = len(header.streams)
    header.texts.add_tail(data[at:])
    return header


class _Image:
    """One image of the file, from SOI to EOI; adds itself to the header when it is whole."""

    def __init__(self, data: bytes, start: int, header: Header) -> None:
        self._data = data
        self._header = header
        self._size: tuple[int, int] | None = None
        self._scans = 0
        self._kept: list[bytes] = [data[start : start + 2]]
        self._parts: dict[str, list[bytes]] = {}
        self.end = self._walk(start + 2)
        self._read_parts()
        if self._size is None or not self._scans:
            raise refuse("corrupt", "the JPEG holds no picture")
        header.sizes.append(self._size)
        header.streams.append(b"".join(self._kept))

    def _walk(self, at: int) -> int:
        data = self._data
        for _ in range(MAX_SEGMENTS):
            found = _MARKER.search(data, at) if self._scans else self._next(at)
            if found is None:
                raise refuse("truncated", "the JPEG has no end marker")
            if found.start() > at:
                self._kept.append(data[at : found.start()])
            at, marker = found.end(), data[found.end() - 1]
            if marker == _EOI:
                self._kept.append(b"\xff\xd9")
                self._header.texts.add("jpeg:slack", slack(self._kept[-2]))
                return at
            length = int.from_bytes(data[at : at + 2], "big")
            if at + max(length, 2) > len(data):
                raise refuse("truncated", "the JPEG ends inside a segment")
            if length < 2 or marker == _SOI:
                raise refuse("corrupt", "a segment of the JPEG is malformed")
            self._segment(marker, data[at + 2 : at + length])
            if not _APP1 <= marker <= 0xEF or marker == _APP14:
                self._kept.append(data[at - 2 : at + length])
            at += length
        raise refuse("corrupt", f"the JPEG has more than {MAX_SEGMENTS} segments")

    def _next(self, at: int) -> re.Match[bytes] | None:
        found = _SEGMENT.match(self._data, at)
        if found is None and at < len(self._data):
            raise refuse("corrupt", "the JPEG has bytes between its segments")
        return found

    def _segment(self, marker: int, body: bytes) -> None:
        if marker in _FRAME_HEADERS:
            self._frame(body)
        elif marker == _SOS:
            self._scan()
        elif marker == _COM:
            self._header.texts.add("jpeg:COM", as_text(body))
        elif marker == _APP1 and body.startswith(_EXIF):
            self._header.add_exif(body)
        elif marker == _APP1 and body.startswith(_XMP):
            read_xmp(body.removeprefix(_XMP), self._header.texts)
        elif _APP0 <= marker <= 0xEF:
            name, body = _named(marker, body)
            self._parts.setdefault(name, []).append(body)

    def _read_parts(self) -> None:
        """Blocks that segments of 64 KB cut into parts, put together."""
        texts = self._header.texts
        for name, parts in self._parts.items():
            if name == "icc":
                self._header.add_icc(b"".join(part[2:] for part in sorted(parts, key=lambda part: part[:1])))
            elif name == "xmp:extended":
                for packet in joined(parts):
                    read_xmp(packet, texts, name)
            elif name == "photoshop":
                read_photoshop(b"".join(parts), texts)
            elif name == "c2pa":
                for box in segments_joined(parts):
                    read_jumbf(box, texts)
            else:
                block = b"".join(parts)
                texts.blocks.append((name, block))
                texts.add_block(name, block)

    def _frame(self, body: bytes) -> None:
        if self._size is not None or len(body) < 6:
            raise refuse("corrupt", "the JPEG has more than one frame header")
        self._size = int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big")

    def _scan(self) -> None:
        if self._size is None:
            raise refuse("corrupt", "the JPEG has pixels before its header")
        self._scans += 1
        work = (self._scans - 1) * self._size[0] * self._size[1]
        if self._scans > MAX_SCANS or work > MAX_SCAN_PIXELS:
            raise refuse("corrupt", "the JPEG has more scans than any encoder writes")


def _named(marker: int, body: bytes) -> tuple[str, bytes]:
    """What an application segment is a part of, and its bytes without the mark that says so."""
    if marker == _APP1 and body.startswith(_XMP_MORE):
        return "xmp:extended", body.removeprefix(_XMP_MORE)
    if marker == _APP2 and body.startswith(_ICC):
        return "icc", body.removeprefix(_ICC)
    if marker == _APP13 and body.startswith(_PHOTOSHOP):
        return "photoshop", body.removeprefix(_PHOTOSHOP)
    if marker == _APP11 and body.startswith(_JUMBF):
        return "c2pa", body
    return f"jpeg:APP{marker - _APP0}", body
