"""Text that rides in a picture's container: collected with bounds, never interpreted here."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Iterator

from guardrail.signals import EmbeddedText, Skip

MAX_TEXTS = 64
"""Texts kept of one picture."""
MAX_CHARS = 65_536
"""Characters kept of one text."""
MAX_TOTAL_CHARS = 131_072
"""Characters kept of one picture."""
MAX_SCAN_BYTES = 4 * 2**20
"""Bytes of one unstructured block that are searched for text."""
MAX_INFLATED_BYTES = 4 * 2**20
"""Bytes one compressed block may inflate to."""
MAX_INFLATED_TOTAL = 4 * MAX_INFLATED_BYTES
"""Bytes that all compressed blocks of one file may inflate to."""
MAX_SLACK_BYTES = 1 << 16
"""Bytes at the end of coded pixels that are searched for text."""
MAX_PIECE, OVERLAP = 8_000, 200
"""Characters of a piece of a long text, and how many of them the next one repeats."""
LONG = 40
"""Characters from which one of many values of a block is a text of its own."""
# twelve characters make a run: in noise chance makes seven of them a megabyte
_RUN = re.compile(r"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd]{12,}")
_WIDE_RUN = re.compile(rb"(?:[\x20-\x7e]\x00){12,}")
# the same as a plain search over classes of bytes, which is twenty times cheaper where there is none
_WIDE_KINDS = bytes(1 if 0x20 <= byte < 0x7F else min(byte, 2) * 2 for byte in range(256))
_WIDE_START = b"\x01\x00" * 12
_WORD = re.compile(r"[(\[{\"'“‘«¿¡*#-]*[^\W\d_]+(?:['’.-][^\W\d_]+)*[\])}.,;:!?\"'”’»*-]*")
_CAMEL = re.compile(r"[a-z][A-Z]")
_HOLDING = re.compile(r"[_+-]|%20")
_LEAST_HELD, _LEAST_WORDS = 5, 3
_ADDRESS = re.compile(r"(?:[a-z]+://|urn:|[\w.:-]*uuid[:-]|xmp\.[id]id:|self#|\?xpacket|xmlns)", re.IGNORECASE)
_JOINED = frozenset({"jpeg:COM", "gif:comment", "gif:text", "png:tEXt", "png:zTXt", "png:iTXt"})
_SPOKEN = re.compile(rb"[A-Za-z][A-Za-z0-9 ,.:;!?'\"@/()\n_-]{23,}")
_LEAST_DISTINCT = 8


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
    if _WIDE_START in head.translate(_WIDE_KINDS):
        found += [match.decode("utf-16-le") for match in _WIDE_RUN.findall(head)]
    return "\n".join(found)


def strings(document: bytes) -> list[str] | None:
    """Keys and strings of a JSON document, or None when it is none, too large or too deep."""
    if len(document) > MAX_SCAN_BYTES:
        return None
    try:
        waiting: list[object] = [json.loads(document)]
    except (ValueError, RecursionError):
        return None
    found: list[str] = []
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, dict):
            found += item.keys()
            waiting += reversed(item.values())
        elif isinstance(item, list):
            waiting += reversed(item)
    return found


def spoken(value: str) -> str:
    """The value when it reads like words, else nothing: identifiers, addresses, dates and names of fields say nothing,
    and the network that judges texts was not taught them. Words held together by signs are taken apart."""
    if not value.strip() or _ADDRESS.match(value):
        return ""
    tokens = value.split()
    if len(tokens) == 1 and value.isascii():
        tokens = _HOLDING.split(value)
        if len(tokens) < _LEAST_HELD:
            tokens = [value]
    words = [token for token in tokens if _WORD.fullmatch(token) and not _CAMEL.search(token)]
    return " ".join(tokens) if 2 * len(words) > len(tokens) else ""


def slack(data: bytes) -> str:
    """Long runs of plain words at the end of coded pixels, where decoders stop reading; chance makes none."""
    tail = data[-MAX_SLACK_BYTES:]
    found = [item for item in _SPOKEN.findall(tail) if b" " in item and len(set(item)) >= _LEAST_DISTINCT]
    return "\n".join(item.decode("ascii") for item in found)


def _pieces(item: EmbeddedText) -> Iterator[EmbeddedText]:
    if len(item.text) <= MAX_PIECE:
        yield item
        return
    for start in range(0, len(item.text) - OVERLAP, MAX_PIECE - OVERLAP):
        yield EmbeddedText(item.where, item.text[start : start + MAX_PIECE])


class Texts:
    """Collects texts within the bounds above and notes what lies beyond them."""

    def __init__(self) -> None:
        self._items: list[EmbeddedText] = []
        self._rest: list[str] = []
        self._known: set[tuple[str, str]] = set()
        self._notes: dict[Skip, None] = {}
        self._total = 0
        self._inflated = 0
        self.blocks: list[tuple[str, bytes]] = []
        """Where and what: blocks that may hold further files."""

    @property
    def items(self) -> tuple[EmbeddedText, ...]:
        """Every text in pieces that are read whole, and what short texts of one place say together: a sentence may be
        spread over many comments."""
        places: dict[str, list[str]] = {}
        for item in self._items:
            places.setdefault(item.where, []).append(item.text)
        joined = [
            EmbeddedText(where, " ".join(parts))
            for where, parts in places.items()
            if where in _JOINED and len(parts) > 1 and sum(map(len, parts)) < MAX_PIECE
        ]
        rest = [EmbeddedText("more", "\n".join(self._rest))] if self._rest else []
        return tuple(piece for item in (*self._items, *rest, *joined) for piece in _pieces(item))

    @property
    def notes(self) -> tuple[Skip, ...]:
        return tuple(self._notes)

    def inflate(self, data: bytes) -> bytes:
        """`inflate`, and a bound on what all compressed blocks of one file hold together.

        Raises:
            InflationError: the block is broken, or there is more.
        """
        found = inflate(data)
        self._inflated += len(found)
        if self._inflated > MAX_INFLATED_TOTAL:
            raise InflationError(bomb=True)
        return found

    def note(self, what: str, why: str) -> None:
        """Remember that something was not looked at."""
        self._notes[Skip(what, why)] = None

    def add(self, where: str, text: str) -> None:
        """Keep `text` found at `where` ("png:tEXt", "exif", ...) as far as the bounds go."""
        text = text.strip("\x00 \t\r\n")
        if not text or (where, text) in self._known:
            return
        self._known.add((where, text))
        room = min(MAX_CHARS, MAX_TOTAL_CHARS - self._total)
        if room <= 0:
            self.note("picture.texts", "more text than is read from one picture")
            return
        if len(text) > room:
            self.note("picture.texts", "a text longer than is read from one picture")
            text = text[:room]
        self._total += len(text)
        if len(self._items) < MAX_TEXTS:
            self._items.append(EmbeddedText(where, text))
        else:
            # a crowd of texts does not hide the last of them: they share the last place
            self._rest.append(text)

    def add_values(self, where: str, values: Iterable[str], *, all_short: bool = False) -> None:
        """Keep the values of one structure that are `spoken`: long ones apart, short ones together, none twice.

        `all_short` keeps short ones whatever they are; else they must come to three different words.
        """
        short: dict[str, None] = {}
        for value in dict.fromkeys(item.strip("\x00 \t\r\n") for item in values):
            said = spoken(value)
            if len(said) >= LONG:
                self.add(where, said)
            elif said or (all_short and 0 < len(value) < LONG):
                short[said or value] = None
        words = {word.lower() for value in short for word in value.split() if _WORD.fullmatch(word)}
        if all_short or len(words) >= _LEAST_WORDS:
            self.add(where, "\n".join(short))

    def add_block(self, where: str, data: bytes) -> None:
        """Search a binary block for text."""
        if len(data) > MAX_SCAN_BYTES:
            self.note(f"picture.{where}", f"only the first {MAX_SCAN_BYTES} bytes were searched for text")
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
