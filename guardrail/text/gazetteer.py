"""Names of public figures, found in folded text: one automaton a process over the shipped list and the operator's."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import ahocorasick_rs

from guardrail.errors import ConfigurationError
from guardrail.text.lists import folder, given_names, lines, ranked_words
from guardrail.text.normalise import clean, skeleton

HISTORICAL_BEFORE = 1900
ARTISTS = frozenset(
    {
        *("painter", "artist", "photographer", "sculptor", "architect", "designer", "film director", "comic artist"),
        *("writer", "author", "poet", "composer", "musician", "singer"),
    }
)
"""Kinds whose manner is what a prompt usually means by "in the style of"."""
_COMMON_RANK = 12_000
_MIN_SINGLE = 5
_MIN_JOINED = 8
_MAX_HANDLE = 60
_JOINTS = str.maketrans("-_.'\u2019", "     ")
_JOINT_SIGNS = frozenset("-_.'\u2019")
_RUN = re.compile(r"[^\W_]+")
_NOT_LETTERS = re.compile(r"[^\w]|[\d_]")


@dataclass(frozen=True, slots=True)
class PublicFigure:
    """Somebody on the list. `ref` is an opaque id made from the name; records hold it instead of the name.

    Attributes:
        name: the listed spelling, or an alias.
        ref: `reference` of the listed spelling.
        kind: occupation, or "operator" for the operator's own list.
        born: year, negative before the common era, or None.
        capital: whether this spelling is also a word, so that only a capital inside a sentence makes it a name.
    """

    name: str
    ref: str
    kind: str
    born: int | None
    capital: bool = False

    @property
    def historical(self) -> bool:
        """Born before 1900."""
        return self.born is not None and self.born < HISTORICAL_BEFORE


class Gazetteer:
    """Finds listed names on word boundaries, whatever their case, accents, hyphens and dots."""

    def __init__(self, figures: Sequence[PublicFigure]) -> None:
        by_key: dict[str, PublicFigure] = {}
        self._joined: dict[str, PublicFigure] = {}
        for figure in figures:
            for key in _keys(figure.name):
                by_key.setdefault(key, figure)
                if " " in key and len(joined := key.replace(" ", "")) >= _MIN_JOINED:
                    self._joined.setdefault(joined, figure)
        self._figures = tuple(by_key.values())
        self._automaton: Any = ahocorasick_rs.AhoCorasick(list(by_key))
        self._telling = _telling(by_key)
        self._count = len({figure.ref for figure in figures})

    def __len__(self) -> int:
        """How many people are listed."""
        return self._count

    def find(self, text: str, odd: Iterable[str], words: set[str]) -> list[tuple[PublicFigure, int, int]]:
        """Figures named in a skeleton, the longest of those that overlap, left to right.

        Args:
            text: the skeleton.
            odd: its pieces that are no known words; signs inside them are taken for blanks as well.
            words: its runs of letters and digits.
        """
        if self._telling.isdisjoint(words):
            return []
        found = self._spelled(text)
        if any(not _JOINT_SIGNS.isdisjoint(item) for item in odd):
            found += self._spelled(text.translate(_JOINTS))
        if len(found) < 2:
            return found
        kept: list[tuple[PublicFigure, int, int]] = []
        for item in sorted(found, key=lambda place: (place[1], -place[2])):
            if not kept or item[1] >= kept[-1][2]:
                kept.append(item)
        return kept

    def joined(self, word: str) -> PublicFigure | None:
        """Who a handle or file name in one word begins or ends with ("taylorswift13", "realtaylorswift"), or None."""
        letters = _NOT_LETTERS.sub("", word)[:_MAX_HANDLE]
        for size in range(len(letters), _MIN_JOINED - 1, -1):
            found = self._joined.get(letters[:size]) or self._joined.get(letters[-size:])
            if found is not None:
                return found
        return None

    def squeezed(self, text: str) -> PublicFigure | None:
        """Who is named in a text whose blanks mean nothing ("m a r y  l e e"), or None."""
        letters = _NOT_LETTERS.sub("", text)
        return next((figure for joined, figure in self._joined.items() if joined in letters), None)

    def _spelled(self, text: str) -> list[tuple[PublicFigure, int, int]]:
        return [
            (self._figures[index], start, end)
            for index, start, end in self._automaton.find_matches_as_indexes(text, overlapping=True)
            if not (start and text[start - 1].isalnum()) and not (end < len(text) and text[end].isalnum())
        ]


def _telling(keys: Iterable[str]) -> frozenset[str]:
    """The rarest word of each key: a text that has none of them names nobody."""
    ranks = {word: rank for rank, word in enumerate(ranked_words())}
    rarest = len(ranks)
    return frozenset(
        max(_RUN.findall(key), key=lambda word: (ranks.get(word, rarest), word), default="") for key in keys
    )


def reference(name: str) -> str:
    """`pf-` and 12 hex digits: the opaque id of a name, the same for every spelling of case and accents."""
    folded = " ".join(skeleton(clean(name)).split())
    return "pf-" + hashlib.blake2b(folded.encode(), digest_size=6).hexdigest()


@cache
def shipped_figures() -> tuple[PublicFigure, ...]:
    """The shipped lists, without names that are ordinary words.

    Raises:
        ConfigurationError: a list cannot be read.
    """
    common = frozenset(ranked_words()[:_COMMON_RANK])
    given = given_names()
    found: list[PublicFigure] = []
    for file in ("people_extra.csv", "people.csv"):
        path = folder() / file
        try:
            with path.open(encoding="utf-8", newline="") as rows:
                for row in csv.DictReader(rows):
                    if file == "people_extra.csv" or _distinct(row["name"], common, given):
                        found += _figures(row["name"], row["kind"], row["born"], row.get("aliases") or "")
        except (OSError, KeyError, ValueError, csv.Error) as error:
            raise ConfigurationError(f"{path}: {error}", advice="Columns: name, kind, born, aliases.") from error
    return tuple(found)


@cache
def not_people() -> Any:
    """Automaton over the phrases that look like names and are none."""
    phrases = [phrase for line in lines("not_people.txt") for phrase in line.split("|") if phrase]
    return ahocorasick_rs.AhoCorasick(sorted({" ".join(skeleton(clean(phrase)).split()) for phrase in phrases}))


def _figures(name: str, kind: str, born: str, aliases: str) -> Iterable[PublicFigure]:
    ref, year = reference(name), int(born) if born else None
    yield PublicFigure(name, ref, kind, year)
    for alias in filter(None, aliases.split("|")):
        yield PublicFigure(alias.rstrip("*"), ref, kind, year, alias.endswith("*"))


def _keys(name: str) -> set[str]:
    """The spellings to look for: as listed, with joints as blanks, and initials closed up."""
    folded = " ".join(skeleton(clean(name)).split())
    open_ = " ".join(folded.translate(_JOINTS).split())
    dotted = re.sub(r"(?<=\b\w\.) (?=\w\.)", "", folded)
    closed = re.sub(r"\b(\w) (?=\w\b)", r"\1", open_)
    return {key for key in (folded, open_, dotted, closed, folded.replace("'", "")) if len(key) > 1}


def _distinct(name: str, common: frozenset[str], given: frozenset[str]) -> bool:
    """Whether a name can be told from ordinary text: several words, or one rare long one."""
    folded = skeleton(clean(name))
    parts = folded.split()
    if len(parts) > 1:
        return not all(part in common and part not in given for part in parts)
    if not folded.isascii():
        return len(folded) >= 3
    return len(folded) >= _MIN_SINGLE and folded not in common and folded not in given
