"""C2PA and other content credentials: the words and pictures inside JUMBF boxes. Nothing is verified here.

Sources: ISO 19566-5 (JUMBF) annex A and D, C2PA 2.1 sections 8 and A.3, RFC 8949 (CBOR). The walk is our own because
it needs bounds on depth, boxes and bytes, and no meaning.
"""

from __future__ import annotations

from collections.abc import Iterator

from guardrail.vision.containers.embedded import pictures
from guardrail.vision.containers.texts import Texts, as_text, runs, strings

MAX_DEPTH = 16
MAX_BOXES = 4_000
MAX_ITEMS = 50_000
"""Items of CBOR in one manifest store."""
MAX_PICTURES = 8
_LABEL = 0x02


def read_jumbf(block: bytes, texts: Texts, where: str = "c2pa") -> None:
    """Collect labels, JSON and CBOR strings, and file names; embedded files are kept as blocks."""
    _Reader(texts, where).read(block)


def segments_joined(parts: list[bytes]) -> list[bytes]:
    """Boxes that a JPEG spreads over APP11 segments: "JP", box instance, packet number, then the box's own header,
    which every further packet repeats."""
    boxes: dict[bytes, list[tuple[int, bytes]]] = {}
    for part in parts:
        boxes.setdefault(part[2:4], []).append((int.from_bytes(part[4:8], "big"), part[8:]))
    found = []
    for packets in boxes.values():
        packets.sort(key=lambda packet: packet[0])
        head = 16 if packets[0][1][:4] == b"\x00\x00\x00\x01" else 8
        found.append(packets[0][1] + b"".join(data[head:] for _, data in packets[1:]))
    return found


class _Reader:
    def __init__(self, texts: Texts, where: str) -> None:
        self._texts = texts
        self._where = where
        self._boxes = 0
        self._items = 0
        self._pictures = 0
        self._values: list[str] = []

    def read(self, block: bytes) -> None:
        self._walk(block, 0)
        self._texts.add_values(self._where, self._values)

    def _skipped(self, why: str) -> None:
        self._texts.note(f"picture.{self._where}", why)

    def _walk(self, block: bytes, depth: int) -> None:
        at = 0
        while at < len(block):
            size, kind, start = int.from_bytes(block[at : at + 4], "big"), block[at + 4 : at + 8], at + 8
            if size == 1:
                size, start = int.from_bytes(block[at + 8 : at + 16], "big"), at + 16
            elif size == 0:
                size = len(block) - at
            self._boxes += 1
            if size < start - at or self._boxes > MAX_BOXES or depth > MAX_DEPTH:
                self._skipped("boxes that are malformed, too many or too deep were only searched for text")
                self._values += runs(block[at:]).splitlines()
                return
            self._box(kind, block[start : at + size], depth)
            at += size

    def _box(self, kind: bytes, body: bytes, depth: int) -> None:
        if kind == b"jumb":
            self._walk(body, depth + 1)
        elif kind == b"jumd":
            label = body[17:].partition(b"\x00")[0] if len(body) > 16 and body[16] & _LABEL else b""
            self._values += [as_text(label), *runs(body[17 + len(label) :]).splitlines()]
        elif kind == b"json":
            found = strings(body)
            self._values += [as_text(body)] if found is None else found
        elif kind == b"cbor":
            self._values += self._cbor(body)
        elif kind == b"bidb":
            self._file(body)
        elif kind == b"brob":
            self._skipped("a compressed box was not read")
        else:
            self._values += runs(body).splitlines()

    def _file(self, body: bytes) -> None:
        self._pictures += 1
        if self._pictures > MAX_PICTURES:
            self._skipped(f"files after the first {MAX_PICTURES} were not looked at")
            return
        self._texts.blocks.append((self._where, body))
        if next(pictures(body), None) is None:
            self._values += runs(body).splitlines()

    def _cbor(self, body: bytes) -> Iterator[str]:
        """Text strings in order, and words in byte strings. Nesting costs nothing: contents simply follow."""
        at = 0
        while at < len(body):
            self._items += 1
            if self._items > MAX_ITEMS:
                self._skipped(f"items after the first {MAX_ITEMS} were only searched for text")
                yield from runs(body[at:]).splitlines()
                return
            major, low = body[at] >> 5, body[at] & 31
            width = 1 << (low - 24) if 24 <= low <= 27 else 0
            value = int.from_bytes(body[at + 1 : at + 1 + width], "big") if width else low
            at += 1 + width
            # 31 opens a string in pieces (each a string again) or ends one: nothing to skip
            if major in (2, 3) and low < 28:
                piece = body[at : at + value]
                at += value
                if major == 3:
                    yield as_text(piece)
                else:
                    yield from runs(piece).splitlines()
