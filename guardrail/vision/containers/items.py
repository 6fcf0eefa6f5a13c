"""Items of an ISO media file's `meta` box: where each lies, what it is, and whether a viewer shows it.

Source: ISO/IEC 14496-12 sections 8.11.3 (iloc), 8.11.6 (iinf), 8.11.12 (iref). Read for words and for what is left out,
never for decoding: libavif does that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

MAX_BOXES = 4_000
MAX_ITEMS = 4_000
MAX_EXTENTS = 8_000


@dataclass(slots=True)
class Item:
    """One item: its type, name and media type, and where its bytes lie as (offset, length) in file or `idat`."""

    kind: bytes = b""
    name: bytes = b""
    media: bytes = b""
    inside: bool = False
    extents: list[tuple[int, int]] = field(default_factory=list)


@dataclass(slots=True)
class Meta:
    """What a `meta` box says.

    Attributes:
        items: by id.
        primary: id of the picture shown, or 0.
        shown: ids that make up another item, or belong to it (alpha, tiles, gain map).
        thumbnails: ids of thumbnails.
        idat: bytes that items with `inside` point into.
        rest: bodies of boxes of other kinds.
        whole: whether everything was read.
    """

    items: dict[int, Item] = field(default_factory=dict)
    primary: int = 0
    shown: set[int] = field(default_factory=set)
    thumbnails: set[int] = field(default_factory=set)
    idat: bytes = b""
    rest: list[bytes] = field(default_factory=list)
    whole: bool = True


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and body of each whole box of a block, at most `MAX_BOXES`."""
    at = 0
    for _ in range(MAX_BOXES):
        if at + 8 > len(data):
            return
        size, kind, start = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], at + 8
        if size == 1:
            size, start = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        elif size == 0:
            size = len(data) - at
        if size < start - at:
            return
        yield kind, data[start : at + size]
        at += size


def read_meta(body: bytes) -> Meta:
    """Read the body of a `meta` box; what does not parse is left out and told by `whole`."""
    meta = Meta()
    for kind, part in boxes(body[4:]):
        if kind == b"iinf":
            _names(part, meta)
        elif kind == b"iloc":
            _places(_Bytes(part), meta)
        elif kind == b"iref":
            _references(part, meta)
        elif kind == b"pitm":
            meta.primary = int.from_bytes(part[4 : 6 if part[:1] == b"\x00" else 8], "big")
        elif kind == b"idat":
            meta.idat = part
        else:
            meta.rest.append(part)
    return meta


class _Bytes:
    """Numbers out of a block, one after another; beyond its end they are zero."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, width: int) -> int:
        found = int.from_bytes(self.data[self.at : self.at + width], "big")
        self.at += width
        return found

    @property
    def spent(self) -> bool:
        return self.at >= len(self.data)


def _names(part: bytes, meta: Meta) -> None:
    for kind, body in boxes(part[6 if part[:1] == b"\x00" else 8 :]):
        if kind != b"infe" or body[:1] not in (b"\x02", b"\x03"):
            meta.rest.append(body)
            continue
        if len(meta.items) >= MAX_ITEMS:
            meta.whole = False
            return
        width = 2 if body[:1] == b"\x02" else 4
        item = meta.items.setdefault(int.from_bytes(body[4 : 4 + width], "big"), Item())
        item.kind = body[6 + width : 10 + width]
        item.name, _, rest = body[10 + width :].partition(b"\x00")
        item.media = rest.partition(b"\x00")[0]


def _places(read: _Bytes, meta: Meta) -> None:
    version, _ = read.take(1), read.take(3)
    sizes = [read.take(1), read.take(1)]
    offset, length, base, index = sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4, sizes[1] & 15
    extents = 0
    for _ in range(read.take(2 if version < 2 else 4)):
        item = meta.items.setdefault(read.take(2 if version < 2 else 4), Item())
        if version:
            item.inside = read.take(2) & 15 == 1
        read.take(2)
        start = read.take(base)
        for _ in range(read.take(2)):
            if version and index:
                read.take(index)
            item.extents.append((start + read.take(offset), read.take(length)))
            extents += 1
            if extents > MAX_EXTENTS or read.spent:
                break
        if extents > MAX_EXTENTS or read.spent or len(meta.items) > MAX_ITEMS:
            meta.whole = meta.whole and extents <= MAX_EXTENTS and len(meta.items) <= MAX_ITEMS
            return


def _references(part: bytes, meta: Meta) -> None:
    width = 2 if part[:1] == b"\x00" else 4
    for kind, body in boxes(part[4:]):
        read = _Bytes(body)
        source = read.take(width)
        targets = []
        for _ in range(min(read.take(2), MAX_ITEMS)):
            if read.spent:
                break
            targets.append(read.take(width))
        if kind == b"thmb":
            meta.thumbnails.add(source)
        elif kind == b"auxl":
            meta.shown.add(source)
        elif kind == b"dimg":
            meta.shown.update(targets)
            if source != meta.primary:
                meta.shown.add(source)
