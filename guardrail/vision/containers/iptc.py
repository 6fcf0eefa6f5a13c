"""Photoshop's resources and the IPTC datasets in them: every text, and the thumbnails.

Sources: Adobe Photoshop file formats (image resource section), IPTC-NAA IIM 4.2 sections 1.5 and 3.
"""

from __future__ import annotations

from collections.abc import Iterator

from guardrail.vision.containers.texts import Texts, as_text, runs

MAX_RESOURCES = 1_000
MAX_DATASETS = 4_000
_SIGNATURES = frozenset({b"8BIM", b"MeSa", b"PHUT", b"AgHg", b"DCSR"})
_IPTC, _XMP, _THUMBNAILS = 0x0404, 0x0424, frozenset({0x0409, 0x040C})
_UTF8 = b"\x1b%G"
_NAMES = {5: "title", 25: "keywords", 40: "instructions", 105: "headline", 116: "copyright", 120: "caption"}


def read_photoshop(block: bytes, texts: Texts) -> None:
    """Collect names, texts and thumbnails of resources; whatever follows the last whole one is searched for text."""
    at, names, others = 0, [], []
    for _ in range(MAX_RESOURCES):
        if block[at : at + 4] not in _SIGNATURES:
            break
        kind = int.from_bytes(block[at + 4 : at + 6], "big")
        length = block[at + 6] if at + 6 < len(block) else 0
        names.append(as_text(block[at + 7 : at + 7 + length]))
        at += 7 + length + (length + 1) % 2
        size = int.from_bytes(block[at : at + 4], "big")
        body = block[at + 4 : at + 4 + size]
        at += 4 + size + size % 2
        if kind == _IPTC:
            read_iptc(body, texts)
        elif kind in _THUMBNAILS:
            texts.blocks.append(("photoshop", body))
        else:
            others.append(as_text(body) if kind == _XMP else runs(body))
    else:
        texts.note("picture.photoshop", f"resources after the first {MAX_RESOURCES} were only searched for text")
    others.append(runs(block[at:]))
    texts.add_values("photoshop", (line for value in (*names, *others) for line in value.splitlines()))


def read_iptc(block: bytes, texts: Texts) -> None:
    """Collect the value of every dataset: captions and the like by name, the rest together as "iptc"."""
    utf8, found = False, []
    for record, number, value in _datasets(block, texts):
        if (record, number) == (1, 90):
            utf8 = value == _UTF8
        elif record == 2 and number in _NAMES:
            texts.add(f"iptc:{_NAMES[number]}", value.decode("utf-8", "replace") if utf8 else as_text(value))
        elif value and sum(byte < 32 for byte in value) <= len(value) // 8:
            found.append(as_text(value))
        else:
            found.append(runs(value))
    texts.add_values("iptc", found)


def _datasets(block: bytes, texts: Texts) -> Iterator[tuple[int, int, bytes]]:
    """Record, number and value; what does not parse is handed on as one value of record 0."""
    at = 0
    for _ in range(MAX_DATASETS):
        if at + 5 > len(block) or block[at] != 0x1C:
            break
        record, number, size = block[at + 1], block[at + 2], int.from_bytes(block[at + 3 : at + 5], "big")
        at += 5
        if size & 0x8000:
            width = min(size & 0x7FFF, 8)
            size, at = int.from_bytes(block[at : at + width], "big"), at + width
        yield record, number, block[at : at + size]
        at += size
    else:
        texts.note("picture.iptc", f"datasets after the first {MAX_DATASETS} were only searched for text")
    yield 0, 0, block[at:]
