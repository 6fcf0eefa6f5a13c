"""Text that a person cannot see: tag characters, zero-width bits, variation selectors, bidi, comments, spare fields."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import orjson

from guardrail.text.decode import MAX_CHARS, Decoded, decoded
from guardrail.text.normalise import clean, confusables, skeleton
from guardrail.text.vocabulary import vocabulary

_TAGS = re.compile("[\U000e0020-\U000e007e]{2,}")
_ZERO_WIDTH = re.compile("[\u200b\u200c\u200d\u2060\ufeff]{16,}")
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{4,}")
_COMMENT = re.compile(r"<!--(.*?)(?:-->|\Z)", re.DOTALL)
_WALL = re.compile(r"(?:[^\S\n]*\n){12,}|[^\S\n]{60,}")
_SPACES = " " * 20
_FOREIGN = re.compile(r"(?<![^\W\d_])[^\W\d_]*[^\x00-\x7f\W\d_][^\W\d_]*")
_ACCENTED = re.compile("[\u00c0-\u024f\u1e00-\u1eff]")
_SENTENCE_END = re.compile(r"[.!?;\n](?=\s)")
_MAX_FOUND = 32
_MIN_MIXED = 2
_MORSE_LETTERS = 4


@dataclass(frozen=True, slots=True)
class HiddenText:
    """A concealed text.

    Attributes:
        text: what it says.
        way: "tags", "zero_width", "selectors", "bidi", "base64", "hex", "rot13", "morse", "html_comment", "json_field",
            "wall", "homoglyph" and the other ways of `decode`.
        span: where it stands in the original.
        invisible: whether a reader of the prompt would not see it at all; encodings are seen but not understood.
    """

    text: str
    way: str
    span: tuple[int, int]
    invisible: bool


def hidden_texts(text: str, known: list[Decoded] | None = None) -> list[HiddenText]:
    """Every concealed text of a prompt or of a text found in a picture.

    Args:
        text: any string.
        known: what `decode.decoded` made of it, where that is at hand.

    Returns:
        At most 32, each at most 40,000 characters.
    """
    found: list[HiddenText] = []
    if not text.isascii():
        found += [*_tags(text), *_zero_width(text), *_selectors(text), *_homoglyphs(text)]
    found += [*_comments(text), *_fields(text)]
    if text.count("\n") >= 12 or _SPACES in text:
        found += _walls(text)
    if known is None:
        known = decoded(text, vocabulary().odd(skeleton(clean(text))), vocabulary())
    for item in known:
        if item.way not in ("spaced", "url") and not _dashes(item):
            found.append(HiddenText(item.text, item.way, item.span, item.way == "bidi"))
    return found[:_MAX_FOUND]


def _dashes(item: Decoded) -> bool:
    """Whether what reads as Morse code is the lines of a table: few letters, over and over."""
    return item.way == "morse" and len(set(item.text) - {" "}) < _MORSE_LETTERS


def _tags(text: str) -> Iterator[HiddenText]:
    for match in _TAGS.finditer(text):
        plain = "".join(chr(ord(letter) - 0xE0000) for letter in match.group())
        yield HiddenText(plain[:MAX_CHARS], "tags", match.span(), True)


def _zero_width(text: str) -> Iterator[HiddenText]:
    """Two zero-width characters as bits, eight to a byte, either assignment."""
    for match in _ZERO_WIDTH.finditer(text):
        kinds = sorted(set(match.group()))
        if len(kinds) < 2:
            continue
        signs = [letter for letter in match.group() if letter in kinds[:2]]
        for one in (kinds[1], kinds[0]):
            bits = "".join("1" if letter == one else "0" for letter in signs)
            raw = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits) - 7, 8))
            plain = raw.decode("utf-8", "replace")
            if plain and plain.replace("\ufffd", "").isprintable() and plain.count("\ufffd") * 4 <= len(plain):
                yield HiddenText(plain[:MAX_CHARS], "zero_width", match.span(), True)
                break


def _selectors(text: str) -> Iterator[HiddenText]:
    """Variation selectors 1 to 256 as bytes 0 to 255."""
    for match in _SELECTORS.finditer(text):
        raw = bytes(
            ord(letter) - 0xFE00 if ord(letter) < 0x10000 else (ord(letter) - 0xE0100 + 16) & 0xFF
            for letter in match.group()
        )
        plain = raw.decode("utf-8", "replace")
        if plain.replace("\ufffd", "").isprintable():
            yield HiddenText(plain[:MAX_CHARS], "selectors", match.span(), True)


def _homoglyphs(text: str) -> Iterator[HiddenText]:
    """The sentences written with look-alike letters, from the first such word to the last."""
    table = _upper_table()
    found, mixed = [], 0
    for match in _FOREIGN.finditer(text):
        if unicodedata.normalize("NFKD", match.group()).translate(table).isascii():
            found.append(match.span())
            mixed += any(map(str.isascii, match.group())) and not _ACCENTED.search(match.group())
    if mixed < _MIN_MIXED:
        return
    start, end = found[0][0], found[-1][1]
    starts = [match.end() for match in _SENTENCE_END.finditer(text, 0, start)]
    start = starts[-1] if starts else 0
    stop = _SENTENCE_END.search(text, end)
    end = stop.end() if stop else len(text)
    plain = text[start:end].translate(_upper_table()).strip()
    yield HiddenText(plain[:MAX_CHARS], "homoglyph", (start, end), False)


@cache
def _upper_table() -> dict[int, str]:
    return {code: plain.upper() if chr(code).isupper() else plain for code, plain in confusables().items()}


def _comments(text: str) -> Iterator[HiddenText]:
    if "<!--" in text:
        for match in _COMMENT.finditer(text):
            if match.group(1).strip():
                yield HiddenText(match.group(1).strip()[:MAX_CHARS], "html_comment", match.span(1), True)


def _fields(text: str) -> Iterator[HiddenText]:
    """Text fields of a JSON object beside the prompt's own."""
    stripped = text.strip()
    if not (stripped.startswith("{") and stripped.endswith("}")):
        return
    try:
        data = orjson.loads(stripped)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        return
    for name, value in data.items() if isinstance(data, dict) else ():
        if isinstance(value, str) and name.lower() not in ("prompt", "text", "negative_prompt") and len(value) > 3:
            at = max(0, text.find(value))
            yield HiddenText(value[:MAX_CHARS], "json_field", (at, min(len(text), at + len(value))), False)


def _walls(text: str) -> Iterator[HiddenText]:
    """What stands behind a wall of white space."""
    for match in _WALL.finditer(text):
        rest = text[match.end() :].strip()
        if match.start() > 0 and rest:
            yield HiddenText(rest[:MAX_CHARS], "wall", (match.end(), len(text)), True)
            return
