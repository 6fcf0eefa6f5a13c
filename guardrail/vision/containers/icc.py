"""What an ICC profile says in words: descriptions, copyrights, dictionaries (ICC.1:2022 section 10)."""

from __future__ import annotations

from collections.abc import Iterator

from guardrail.vision.containers.texts import Texts, as_text, runs

MAX_TAGS = 200
MAX_RECORDS = 200
MAX_TEXT_BYTES = 1 << 16
"""Bytes of one text, which are a few dozen in profiles of real devices."""
_WORDY = frozenset({b"desc", b"mluc", b"text", b"dict"})


def read_icc(profile: bytes, texts: Texts) -> None:
    """Collect every text of a profile as "icc"; bytes that no known tag holds are searched for text too."""
    bare = bytearray(profile)
    found: list[str] = []
    seen: set[tuple[int, int]] = set()
    count = int.from_bytes(profile[128:132], "big")
    if count > MAX_TAGS:
        texts.note("picture.icc", f"tags after the first {MAX_TAGS} were only searched for text")
    for at in range(132, min(132 + 12 * min(count, MAX_TAGS), len(profile) - 11), 12):
        start, size = int.from_bytes(profile[at + 4 : at + 8], "big"), int.from_bytes(profile[at + 8 : at + 12], "big")
        if profile[start : start + 4] in _WORDY and (start, size) not in seen:
            seen.add((start, size))
            body = profile[start : start + min(size, MAX_TEXT_BYTES)]
            found += _texts(body)
            bare[start : start + len(body)] = bytes(len(body))
    texts.add_values("icc", [*found, *runs(bytes(bare)).splitlines()])


def _texts(body: bytes) -> Iterator[str]:
    kind = body[:4]
    if kind == b"text":
        yield as_text(body[8:])
    elif kind == b"desc":
        size = int.from_bytes(body[8:12], "big")
        yield as_text(body[12 : 12 + size])
        at = 12 + size
        wide = 2 * int.from_bytes(body[at + 4 : at + 8], "big")
        yield body[at + 8 : at + 8 + wide].decode("utf-16-be", errors="replace")
        yield as_text(body[at + 8 + wide + 3 :])
    elif kind == b"mluc":
        yield from _wide(body, 16, 12, ((4, 8),))
    else:
        yield from _wide(body, 16, int.from_bytes(body[12:16], "big"), ((4, 0), (12, 8)))


def _wide(body: bytes, start: int, step: int, places: tuple[tuple[int, int], ...]) -> Iterator[str]:
    """UTF-16 that records point at; `places` are where a record keeps the size and the offset of a text."""
    if not 8 <= step <= 64:
        yield runs(body)
        return
    seen: set[tuple[int, int]] = set()
    count = min(int.from_bytes(body[8:12], "big"), MAX_RECORDS)
    for at in range(start, min(start + step * count, len(body)), step):
        for size_at, offset_at in places:
            size = int.from_bytes(body[at + size_at : at + size_at + 4], "big")
            offset = int.from_bytes(body[at + offset_at : at + offset_at + 4], "big")
            if (offset, size) not in seen:
                seen.add((offset, size))
                yield body[offset : offset + size].decode("utf-16-be", errors="replace")
