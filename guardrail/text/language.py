"""Which parts of a text the English networks read, and which the 16-language one. Every word goes to one of them."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from guardrail.errors import ConfigurationError
from guardrail.text.lists import folder, mapping, ranked_words, words
from guardrail.text.normalise import clean, skeleton

_WORD = re.compile(r"[^\W\d_]+")
_CLAUSE = re.compile(r"[.,;:!?|(){}\[\]\n\u3001\u3002\uff0c\uff01\uff1f]")
_PIECE = 12
_MIN_WORD = 2
_COMMON = 4_000
_KNOWN = 0.4
_UNKNOWN = 0.4


@dataclass(frozen=True, slots=True)
class Tongues:
    """A text by the network that reads it; together the parts hold every word.

    Attributes:
        english: English, lists of tags, and Latin words that no list knows.
        other: another language or script.
        unclear: those of `english` that no list knows: another language, or scrambled letters.
    """

    english: str
    other: str
    unclear: str


def tongues(text: str) -> Tongues:
    """Split a text, clause by clause and at most twelve words at a time, so that no language hides another.

    A piece with many common English words is read as English whatever small words stand around them; one that is
    clearly foreign is read by the other network too.
    """
    english, other, unclear = [], [], []
    found = [(piece, *_judged(piece)) for piece in _pieces(text)]
    abroad = sum(foreign * len(piece.words) for piece, foreign, _, _ in found)
    mostly = 2 * abroad > sum(len(piece.words) for piece, *_ in found)
    for piece, foreign, known, unknown in found:
        if foreign or (mostly and unknown):
            other.append(piece.text)
        if known or not (foreign or (mostly and unknown)):
            english.append(piece.text)
            if unknown and not foreign:
                unclear.append(piece.text)
    return Tongues("".join(english), "".join(other), "".join(unclear))


@dataclass(frozen=True, slots=True)
class _Piece:
    text: str
    words: Sequence[str]


def _pieces(text: str) -> Iterator[_Piece]:
    """Pieces that together are the text."""
    start, last, held = 0, 0, list[str]()
    for match in _WORD.finditer(text):
        if held and (len(held) == _PIECE or _CLAUSE.search(text, last, match.start())):
            yield _Piece(text[start : match.start()], held)
            start, held = match.start(), []
        word = match.group()
        held.append((word if word.isascii() else skeleton(clean(word))).lower())
        last = match.end()
    if held:
        yield _Piece(text[start:], held)


def _judged(piece: _Piece) -> tuple[bool, bool, bool]:
    """Whether a piece is foreign, has many common English words, has many that no list knows.

    Letters set apart or mixed with digits are no words of any language.
    """
    found, count = piece.words, len(piece.words)
    native, other, common = _small_words(), _tongues_of(), _common()
    if common.issuperset(found):
        return False, True, False
    letters = sum(map(len, found))
    if letters < _MIN_WORD * count and "".join(found).isascii():
        return False, True, False
    latin = sum(len(word) for word in found if word.isascii())
    here = sum(word in native for word in found)
    spoken = Counter(itertools.chain.from_iterable(other[word] for word in found if word in other))
    there = max(spoken.values(), default=0)
    known = sum(word in common for word in found) >= _KNOWN * count
    unknown = sum(word not in words() for word in found) >= _UNKNOWN * count
    return 2 * latin < letters or there > here or (unknown and there == here > 0), known, unknown


@cache
def _common() -> frozenset[str]:
    """Common English words that are no small words of another language."""
    small = frozenset[str]().union(*(_both(str(words)) for words in _listed()["other"].values()))
    return (frozenset(ranked_words()[:_COMMON]) - small) | _small_words()


@cache
def _small_words() -> frozenset[str]:
    return _both(str(_listed()["en"]))


@cache
def _tongues_of() -> dict[str, list[int]]:
    """Word -> numbers of the languages that have it."""
    found: dict[str, list[int]] = {}
    for number, spoken in enumerate(_other_words()):
        for word in spoken:
            found.setdefault(word, []).append(number)
    return found


@cache
def _other_words() -> tuple[frozenset[str], ...]:
    """By language: its small words, and words of prompts that English does not share."""
    small, more = _listed()["other"], mapping(folder() / "tongue_words.yaml")
    return tuple(_both(f"{small.get(name, '')} {more.get(name, '')}") for name in {**small, **more})


@cache
def _listed() -> dict[str, Any]:
    path = folder() / "function_words.yaml"
    data = mapping(path)
    if not isinstance(data.get("other"), dict) or not data.get("en"):
        raise ConfigurationError(f"{path}: `en` and `other` are needed", advice="Install the package again.")
    return data


def _both(small: str) -> frozenset[str]:
    """Words as written and as a skeleton has them."""
    return frozenset(small.split()) | frozenset(skeleton(clean(small)).split())
