"""Names of public figures with one slip of the pen: a letter too many, missing, changed, or two swapped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise

from guardrail.text.gazetteer import PublicFigure
from guardrail.text.lists import given_names, ranked_words
from guardrail.text.normalise import clean, skeleton

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
_PAIR = re.compile(r"[a-z]{2,} [a-z]{2,}")
_INITIAL = re.compile(r"\b([a-z])\. ?([a-z]{3,})\b")
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz")
_FEW, _AROUND = 8, 40
_MIN_NAME = 9
_MIN_PART = 4
_MAX_ODD = 12
_MAX_SAME = 3
_COMMON = 12_000

Found = tuple[PublicFigure, int, int]
Parts = dict[str, dict[str, dict[str, PublicFigure]]]
"""One part of a name -> first letter of the other part -> other part -> who."""


class NearlyNames:
    """Finds listed names of two words that are misspelt by one edit, or have an initial for the given name.

    One word must be right, and the other must be no right word: "emma stoned" is a woman called Emma. Distance as
    Damerau and Levenshtein count it; words are only compared with what stands beside the right part in the list.
    """

    def __init__(self, figures: Iterable[PublicFigure]) -> None:
        self._by_last: Parts = {}
        self._by_first: Parts = {}
        initials: dict[tuple[str, str], list[PublicFigure]] = {}
        for figure in figures:
            key = " ".join(skeleton(clean(figure.name)).split())
            if not _PAIR.fullmatch(key):
                continue
            first, last = key.split()
            initials.setdefault((first[0], last), []).append(figure)
            if len(key) >= _MIN_NAME:
                self._by_last.setdefault(last, {}).setdefault(first[0], {}).setdefault(first, figure)
                self._by_first.setdefault(first, {}).setdefault(last[0], {}).setdefault(last, figure)
        # A surname that is also a common word, or that many share, says nothing beside a letter or another word.
        common = frozenset(ranked_words()[:_COMMON])
        self._rare = self._by_last.keys() - common
        self._initials = {
            key: found[0] for key, found in initials.items() if len(found) <= _MAX_SAME and key[1] not in common
        }

    def find(self, text: str, odd: set[str], words: set[str]) -> list[Found]:
        """Figures in a skeleton.

        Args:
            text: the skeleton.
            odd: its pieces that are no known words; only the first dozen are tried.
            words: its runs of letters and digits.
        """
        found: list[Found] = []
        if "." in text and not _LETTERS.isdisjoint(words):
            found += [
                (figure, *match.span())
                for match in _INITIAL.finditer(text)
                if (figure := self._initials.get((match.group(1), match.group(2)))) is not None
            ]
        telling = {item for item in odd if _WORD.fullmatch(item)} | (self._rare & words)
        tried = 0
        for before, after in _pairs(text, telling):
            first, last = before.group(), after.group().removesuffix("'s")
            figure = None
            if last in self._by_last and (first in odd or last in self._rare) and first not in given_names():
                figure = _nearest(first, self._by_last[last])
            elif first in self._by_first and not odd.isdisjoint((last, after.group())) and tried < _MAX_ODD:
                tried += 1
                figure = _nearest(last, self._by_first[first])
            if figure is not None:
                found.append((figure, before.start(), after.end()))
        return found


def _pairs(text: str, telling: set[str]) -> Iterator[tuple[re.Match[str], re.Match[str]]]:
    """Words beside each other, parted by a blank or a hyphen: all, or those near the few that are telling."""
    stretches = [(0, len(text))] if len(telling) > _FEW else _near(text, telling)
    for low, high in stretches:
        words = [
            word
            for word in _WORD.finditer(text, low, high)
            if not (word.start() == low > 0 and text[low - 1].isalpha())
            and not (word.end() == high < len(text) and text[high].isalpha())
        ]
        for before, after in pairwise(words):
            if text[before.end() : after.start()] in (" ", "-"):
                yield before, after


def _near(text: str, telling: set[str]) -> list[tuple[int, int]]:
    """Stretches of the text around some words, left to right, apart from each other."""
    places = sorted(
        (max(0, match.start() - _AROUND), min(len(text), match.end() + _AROUND))
        for item in telling
        for match in re.finditer(re.escape(item), text)
    )
    found: list[tuple[int, int]] = []
    for low, high in places:
        if found and low <= found[-1][1]:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return found


def _nearest(word: str, right: dict[str, dict[str, PublicFigure]]) -> PublicFigure | None:
    """Whose part of the name is one edit away, or None; a part that is right is no slip."""
    if len(word) < _MIN_PART:
        return None
    for letter in dict.fromkeys(word[:2]):
        parts = right.get(letter, {})
        if word in parts:
            return None
        for part, figure in parts.items():
            if len(part) >= _MIN_PART and _one_edit(word, part):
                return figure
    return None


def _one_edit(word: str, right: str) -> bool:
    """Whether two different words are one edit apart; the first letter is kept or swapped with the second."""
    if abs(len(word) - len(right)) > 1:
        return False
    at = next((i for i, (a, b) in enumerate(zip(word, right, strict=False)) if a != b), min(len(word), len(right)))
    if len(word) == len(right):
        swapped = word[at + 1 : at + 2] + word[at : at + 1] + word[at + 2 :] == right[at:]
        return swapped or (at > 0 and word[at + 1 :] == right[at + 1 :])
    longer, shorter = (word, right) if len(word) > len(right) else (right, word)
    return at > 0 and longer[at + 1 :] == shorter[at:]
