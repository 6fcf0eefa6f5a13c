"""Text as a reader or a machine would read it, whatever script tricks it is written with.

Two forms are made of every text. `clean` is NFKC without invisible and struck-out marks: it keeps case, accents and
script. `skeleton` goes on to casefold, drop accents and map look-alike letters of other scripts to ASCII inside words
that mix scripts or are made of look-alikes alone. Both are bounded and linear; making either twice changes nothing.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from pathlib import Path

from guardrail.settings import shipped

_SURROGATES = re.compile("[\ud800-\udfff]")
_MARKS = ((0x0300, 0x036F), (0x0483, 0x0489), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF), (0xFE20, 0xFE2F))
_INVISIBLE = (
    *(0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFEFF, 0xFFA0, 0x2800),
    *range(0x180B, 0x1810),
    *range(0x200B, 0x2010),
    *range(0x202A, 0x202F),
    *range(0x2060, 0x2070),
    *range(0xFE00, 0xFE10),
    *range(0xFFF9, 0xFFFC),
    *range(0xE0000, 0xE0080),
    *range(0xE0100, 0xE01F0),
)
_CONTROLS = tuple(code for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n\r\x0b\x0c\x85")
_EXTRA_LETTERS = {
    "ı": "i",
    "ł": "l",
    "ø": "o",
    "đ": "d",
    "ð": "d",
    "þ": "th",
    "æ": "ae",
    "œ": "oe",
    "ß": "ss",
    "ħ": "h",
}
_RUN = re.compile(r"[^\W\d_]+")
_ENCLOSED = ((0x1F130, 0x1F149), (0x1F150, 0x1F169), (0x1F170, 0x1F189))
_REGIONAL = (0x1F1E6, 0x1F1FF)


def clean(text: str) -> str:
    """NFKC, invisible characters and struck-out marks removed, enclosed letters opened, lone surrogates replaced."""
    if text.isascii():
        return text.translate(_ascii_table())
    opened = _SURROGATES.sub("\ufffd", text).translate(_drop_table())
    normal = unicodedata.normalize("NFKC", opened)
    if normal != opened:
        # NFKC can bring back a character that is dropped, and dropping can let letters compose.
        normal = unicodedata.normalize("NFKC", normal.translate(_drop_table()))
    return normal if _plain_marks(normal) else _without_marks(normal)


def skeleton(cleaned: str) -> str:
    """Casefolded, without accents, look-alike letters as ASCII. Takes the result of `clean`."""
    if cleaned.isascii():
        return cleaned.lower()
    folded = unicodedata.normalize("NFKD", cleaned.casefold()).translate(_fold_table())
    if folded.isascii():
        return folded
    latin = any(letter.isascii() and letter.isalpha() for letter in folded)
    return unicodedata.normalize("NFC", _RUN.sub(_unmixed if latin else _unlike, folded))


def char_spans(text: str) -> list[tuple[int, int]]:
    """For each character of `skeleton(clean(text))`, where it stands in `text`; made only when something was found.

    Characters are folded one by one; where the whole folds to another length (composition across characters), the
    spans are stretched evenly, so they always stay inside the text.
    """
    spans: list[tuple[int, int]] = []
    whole = skeleton(clean(text))
    if text.isascii() and len(whole) == len(text):
        return [(position, position + 1) for position in range(len(text))]
    for position, character in enumerate(text):
        spans += [(position, position + 1)] * len(skeleton(clean(character)))
    if len(spans) == len(whole):
        return spans
    scale = len(text) / max(1, len(whole))
    return [(int(at * scale), min(len(text), int((at + 1) * scale) + 1)) for at in range(len(whole))]


def _unmixed(match: re.Match[str]) -> str:
    """A word of a text that has Latin letters: look-alikes as ASCII, if it mixes scripts or is made of them alone."""
    word = match.group()
    if word.isascii():
        return word
    mapped = word.translate(confusables())
    return mapped if mapped.isascii() or any(map(str.isascii, word)) else word


def _unlike(match: re.Match[str]) -> str:
    """A word of a text without Latin letters: only longer words made of look-alikes alone are taken for disguise."""
    word = match.group()
    mapped = word.translate(confusables())
    return mapped if mapped.isascii() and mapped in words() and len(mapped) > 2 else word


@cache
def confusables() -> dict[int, str]:
    """Code point -> the ASCII letter it looks like."""
    found = {ord(letter): plain for letter, plain in _EXTRA_LETTERS.items()}
    for line in _data("confusables.tsv").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            code, plain = line.split("\t")
            found[int(code, 16)] = plain
    return found


@cache
def ranked_words() -> tuple[str, ...]:
    """Common English words, the most frequent first."""
    return tuple(_data("words.txt").read_text(encoding="utf-8").split())


@cache
def words() -> frozenset[str]:
    """Common English words."""
    return frozenset(ranked_words())


def _data(name: str) -> Path:
    return shipped("policies") / "lists" / name


@cache
def _ascii_table() -> dict[int, None]:
    return dict.fromkeys(_CONTROLS)


@cache
def _drop_table() -> dict[int, str | None]:
    table: dict[int, str | None] = dict.fromkeys((*_INVISIBLE, *_CONTROLS))
    for first, last in _ENCLOSED:
        table |= {code: chr(ord("a") + code - first) for code in range(first, last + 1) if code - first < 26}
    table |= {code: chr(ord("a") + code - _REGIONAL[0]) for code in range(_REGIONAL[0], _REGIONAL[1] + 1)}
    return table


@cache
def _fold_table() -> dict[int, str | None]:
    table: dict[int, str | None] = {ord(letter): plain for letter, plain in _EXTRA_LETTERS.items()}
    for first, last in _MARKS:
        table |= dict.fromkeys(range(first, last + 1))
    return table


def _plain_marks(text: str) -> bool:
    """Whether no combining mark is left: NFKC has composed those that belong to ordinary accents."""
    return not _MARK.search(text)


def _without_marks(text: str) -> str:
    """Drop the marks that did not compose with their letter."""
    dropped = _MARK.sub("", text)
    return unicodedata.normalize("NFKC", dropped)


_MARK = re.compile("[" + "".join(f"{chr(first)}-{chr(last)}" for first, last in _MARKS) + "]")
