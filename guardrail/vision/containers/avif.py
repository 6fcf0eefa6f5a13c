"""AVIF: a bounded walk over boxes and items (ISO/IEC 14496-12); libavif reads the rest of the header.

Sizes and frames are those libavif finds, because an AVIF file's meaning hangs on dozens of nested boxes and a second
reading of them would only be another way to disagree with the decoder.
"""

from __future__ import annotations

import io

from PIL import Image

from guardrail.vision.containers.header import Header, refuse
from guardrail.vision.containers.items import Item, Meta, read_meta
from guardrail.vision.containers.jumbf import read_jumbf
from guardrail.vision.containers.texts import as_text, runs, slack
from guardrail.vision.containers.xmp import read_xmp

MAX_BOXES = 1_000
MAX_ITEM_BYTES = 4 << 20
"""Bytes read of all items together that are no pictures."""
_SILENT = frozenset({b"ftyp", b"meta", b"mdat", b"moov"})
_PICTURES = frozenset({b"av01", b"grid", b"iden", b"iovl", b"tmap", b"sato"})
_USUAL = frozenset({b"Color", b"Alpha", b"Exif", b"XMP", b"application/rdf+xml", b"GMap", b"Color-tile", b"TMap"})
_C2PA = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")


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
            if exif := picture.info.get("exif"):
                # what libavif calls the EXIF of the picture is what turns it
                header.exif_more = [block for block in (header.exif, *header.exif_more) if block and block != exif]
                header.exif = exif
            if icc := picture.info.get("icc_profile"):
                header.add_icc(icc)
            if xmp := picture.info.get("xmp"):
                read_xmp(xmp, header.texts)
    except Image.DecompressionBombError:
        raise refuse("too_many_pixels", "the AVIF has more pixels than the decoder takes") from None
    except Exception:
        raise refuse("corrupt", "the header of the AVIF cannot be read") from None
    if header.frames > max_frames:
        raise refuse("too_many_frames", f"the AVIF has {header.frames} frames")
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
        _box(kind, data, start, at + size, header)
        at += size
    raise refuse("corrupt", f"the AVIF has more than {MAX_BOXES} boxes")


def _box(kind: bytes, data: bytes, start: int, end: int, header: Header) -> None:
    texts = header.texts
    if kind == b"meta":
        _items(data, read_meta(data[start:end]), header)
    elif kind == b"mdat":
        texts.add("avif:slack", slack(data[start:end]))
    elif kind == b"uuid" and data[start : start + 16] == _C2PA:
        body = data[start + 16 : end]
        # version, flags, a purpose and an offset stand before the first box, whose kind follows its size
        read_jumbf(body[max(0, body.find(b"jumb") - 4) :], texts)
    elif kind == b"uuid" and data[start : start + 16] == _XMP:
        read_xmp(data[start + 16 : end], texts)
    elif kind == b"moov":
        texts.add("avif:moov", runs(data[start:end]))
    elif kind != b"ftyp":
        texts.blocks.append(("avif:other", data[start:end]))
        texts.add_block("avif:other", data[start:end])


def _items(data: bytes, meta: Meta, header: Header) -> None:
    texts, room = header.texts, MAX_ITEM_BYTES
    names: list[str] = []
    unseen = 0
    for number, item in meta.items.items():
        names += [as_text(name) for name in (item.name, item.media) if name not in _USUAL]
        if item.kind in _PICTURES:
            unseen += number != meta.primary and number not in meta.shown
            continue
        body = _body(data, item, meta, room)
        room -= len(body)
        if item.kind == b"Exif":
            header.add_exif(body[4 + int.from_bytes(body[:4], "big") :])
        elif item.kind == b"mime" and b"xml" in item.media:
            read_xmp(body, texts)
        else:
            texts.blocks.append(("avif:item", body))
            texts.add_all("avif:item", body)
    if unseen:
        texts.note("picture.avif", "thumbnails or further pictures that no viewer shows were not looked at")
    if not meta.whole or room <= 0:
        texts.note("picture.avif", "more items than are read of one picture")
    texts.add_values("avif:meta", [*names, *(line for part in meta.rest for line in runs(part).splitlines())])


def _body(data: bytes, item: Item, meta: Meta, room: int) -> bytes:
    source, parts = meta.idat if item.inside else data, []
    for offset, length in item.extents:
        part = source[offset : offset + min(length or len(source), room)]
        parts.append(part)
        room -= len(part)
        if room <= 0:
            break
    return b"".join(parts)
