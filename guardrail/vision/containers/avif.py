"""AVIF: a bounded walk over the top-level boxes (ISO/IEC 14496-12); libavif reads the rest of the header.

Sizes and frames are those libavif finds, because an AVIF file's meaning hangs on dozens of nested boxes and a second
reading of them would only be another way to disagree with the decoder.
"""

from __future__ import annotations

import io

from PIL import Image

from guardrail.vision.containers.header import Header, refuse
from guardrail.vision.containers.texts import as_text

MAX_BOXES = 1_000
_SILENT = frozenset({b"ftyp", b"meta", b"mdat", b"moov"})


def scan(data: bytes, max_frames: int) -> Header:
    """Read the header of an AVIF file or sequence.

    Raises:
        PictureError: reason "truncated", "corrupt" or "too_many_frames".
    """
    header = Header("avif", [], 1, [data])
    header.texts.add_tail(data[_boxes(data, header) :])
    try:
        with Image.open(io.BytesIO(data), formats=["AVIF"]) as picture:
            header.sizes.append(picture.size)
            header.frames = int(getattr(picture, "n_frames", 1))
            header.exif = picture.info.get("exif") or b""
            header.icc = picture.info.get("icc_profile") or b""
            header.texts.add("xmp", as_text(picture.info.get("xmp") or b""))
    except Image.DecompressionBombError:
        raise refuse("too_many_pixels", "the AVIF has more pixels than the decoder takes") from None
    except Exception:
        raise refuse("corrupt", "the header of the AVIF cannot be read") from None
    if header.frames > max_frames:
        raise refuse("too_many_frames", f"the AVIF has {header.frames} frames")
    header.texts.add_block("icc", header.icc)
    return header


def _boxes(data: bytes, header: Header) -> int:
    """Walk the top level; the offset where boxes end."""
    at = 0
    for _ in range(MAX_BOXES):
        if at + 8 > len(data):
            return at
        size, kind, start = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], at + 8
        if size == 1:
            size, start = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        elif size == 0:
            size = len(data) - at
        if size < start - at or not kind.isascii() or not kind.decode("ascii").isprintable():
            return at
        if at + size > len(data):
            if kind in _SILENT:
                raise refuse("truncated", "the AVIF ends inside a box")
            return at
        if kind not in _SILENT:
            header.texts.add_block("avif:other", data[start : at + size])
        at += size
    raise refuse("corrupt", f"the AVIF has more than {MAX_BOXES} boxes")
