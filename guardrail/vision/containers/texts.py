"""Text that rides in a picture's container: collected with bounds, never interpreted here."""

from __future__ import annotations

import re
import zlib

from guardrail.signals import EmbeddedText, Skip

MAX_TEXTS = 64
"""Texts kept of one picture."""
MAX_CHARS = 65_536
"""Characters kept of one text."""
MAX_TOTAL_CHARS = 262_144
"""Characters kept of one picture."""
MAX_SCAN_BYTES = 4 * 2**20
"""Bytes of one unstructured block that are searched for text."""
MAX_INFLATED_BYTES = 4 * 2**20
"""Bytes one compressed block may inflate to."""
# twelve characters make a run: in noise chance makes seven of them a megabyte
_RUN = re.compile(r"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd]{12,}")
_WIDE_RUN = re.compile(rb"(?:[\x20-\x7e]\x00){12,}")


class InflationError(Exception):
    """A compressed block is broken or grows beyond `MAX_INFLATED_BYTES`; `bomb` says which."""

    def __init__(self, *, bomb: bool) -> None:
        super().__init__("inflates beyond the limit" if bomb else "does not inflate")
        self.bomb = bomb


def inflate(data: bytes) -> bytes:
    """Inflate a zlib stream to at most `MAX_INFLATED_BYTES` bytes.

    Raises:
        InflationError: the stream is broken, or holds more.
    """
    machine = zlib.decompressobj()
    try:
        found = machine.decompress(data, MAX_INFLATED_BYTES)
    except zlib.error as error:
        raise InflationError(bomb=False) from error
    if machine.unconsumed_tail:
        raise InflationError(bomb=True)
    return found


def as_text(data: bytes) -> str:
    """Bytes that should be text: UTF-16 with a mark, UTF-8, else Latin-1. Never fails."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def runs(data: bytes) -> str:
    """Runs of printable UTF-8 or UTF-16LE text in a binary block, one a line; empty when there are none."""
    head = data[:MAX_SCAN_BYTES]
    found = _RUN.findall(head.decode("utf-8", errors="replace"))
    found += [match.decode("utf-16-le") for match in _WIDE_RUN.findall(head)]
    return "\n".join(found)


class Texts:
    """Collects texts within the bounds above and notes what lies beyond them."""

    def __init__(self) -> None:
        self._items: list[EmbeddedText] = []
        self._notes: dict[Skip, None] = {}
        self._total = 0
        self.blocks: list[tuple[str, bytes]] = []
        """Where and what: blocks that may hold further files."""

    @property
    def items(self) -> tuple[EmbeddedText, ...]:
        return tuple(self._items)

    @property
    def notes(self) -> tuple[Skip, ...]:
        return tuple(self._notes)

    def note(self, what: str, why: str) -> None:
        """Remember that something was not looked at."""
        self._notes[Skip(what, why)] = None

    def add(self, where: str, text: str) -> None:
        """Keep `text` found at `where` ("png:tEXt", "exif", ...) as far as the bounds go."""
        text = text.strip("\x00 \t\r\n")
        if not text:
            return
        room = min(MAX_CHARS, MAX_TOTAL_CHARS - self._total)
        if len(self._items) >= MAX_TEXTS or room <= 0:
            self.note("picture.texts", "more text than is read from one picture")
            return
        if len(text) > room:
            self.note("picture.texts", "a text longer than is read from one picture")
            text = text[:room]
        self._total += len(text)
        self._items.append(EmbeddedText(where, text))

    def add_block(self, where: str, data: bytes) -> None:
        """Search a binary block for text."""
        if len(data) > MAX_SCAN_BYTES:
            self.note(where, f"only the first {MAX_SCAN_BYTES} bytes were searched for text")
        self.add(where, runs(data))

    def add_tail(self, data: bytes) -> None:
        """Note what lies after the end of the picture, and keep the text in it, however short when it is all text."""
        if not data.strip(b"\x00"):
            return
        self.note("picture.trailing", f"{len(data)} bytes after the end of the picture are not part of it")
        self.blocks.append(("trailing", data))
        self.add_all("trailing", data)

    def add_all(self, where: str, data: bytes) -> None:
        """Keep a block as a text when it is one, else the text in it."""
        head = data[:MAX_SCAN_BYTES]
        try:
            text = head.decode("utf-8")
        except UnicodeDecodeError:
            text = ""
        whole = text and sum(char.isprintable() or char.isspace() for char in text[:4096]) >= 0.95 * len(text[:4096])
        if whole:
            self.add(where, text)
        else:
            self.add_block(where, data)
