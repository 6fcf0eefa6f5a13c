"""Words that optical recognition ran together or took for look-alikes, put right."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from operator import ne
from string import ascii_lowercase

from guardrail.text.lists import ranked_words, words

_WORD = re.compile(r"[a-z0-9]+")
_MIXED = (("l", "i"), ("1", "i"), ("1", "l"), ("0", "o"), ("5", "s"), ("rn", "m"), ("vv", "w"), ("cl", "d"))
_SHORTEST, _LONGEST = 9, 160
_LONGEST_WORD = 16
_SURE = 5
_SHORT = frozenset({"a", "i"})
_UNKNOWN = 14.0
"""Cost of a letter that belongs to no word: more than any word of the list."""
_SLIP, _PER_LETTER = 5.0, 2.5
"""Cost of a letter that was lost, added or taken for another in a word that was run together with others, and the most
that a letter of such a run may cost on average: noise costs more."""
_COMMON, _SLIPPED_LEAST = 12_000, 4
_MAX_RUNS = 24
"""Runs of a picture in which slips are looked for: each takes some milliseconds."""


class Misread:
    """Repairs the skeletons of lines that were recognised in one picture: run-together words apart, slips put right.

    Holds what it repaired as long as it lives, so make one for each picture.
    """

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._runs = 0

    def repaired(self, skeleton: str) -> str:
        """The skeleton with its words put right; words and numbers that are right, and noise, stay as they are."""
        return _WORD.sub(lambda match: self._word(match.group()), skeleton)

    def _word(self, token: str) -> str:
        if token in words() or token.isdigit():
            return token
        if token not in self._known:
            self._known[token] = _looks_like(token) or self._taken_apart(token) or _one_off(token)
        return self._known[token]

    def _taken_apart(self, token: str) -> str | None:
        if not _SHORTEST <= len(token) <= _LONGEST:
            return None
        if len(token) > _LONGEST_WORD and self._runs < _MAX_RUNS:
            self._runs += 1
            return _apart_with_slips(token)
        return _apart(token)


def _looks_like(token: str) -> str | None:
    """A word that look-alike letters make of it."""
    for wrong, right in _MIXED:
        if wrong in token:
            for better in (token.replace(wrong, right, 1), token.replace(wrong, right)):
                if better in words():
                    return better
    return None


def _one_off(token: str) -> str:
    """The commonest word that differs in one letter; the token itself when there is none."""
    if len(token) < _SURE:
        return token
    costs = _costs()
    places = range(min(len(token), _LONGEST_WORD))
    near = {f"{token[:at]}{letter}{token[at + 1 :]}" for at in places for letter in ascii_lowercase}
    return min(near & costs.keys(), key=lambda word: (costs[word], word), default=token)


def _apart(token: str) -> str | None:
    """The likeliest words in a row; None when letters are left over."""
    costs = _costs()
    found = _cheapest(token, lambda part: (costs[part], part) if part in costs else None)
    return None if found.unknown else " ".join(found.words)


def _apart_with_slips(token: str) -> str | None:
    """The same where a word may have a slip, and letters be left over; None when the run is too little like words."""
    found = _cheapest(token, _near)
    return " ".join(found.words) if found.cost <= _PER_LETTER * len(token) else None


@dataclass(frozen=True, slots=True)
class _Row:
    """Words in a row: what they cost, and how many of them are letters that belong to none."""

    cost: float
    words: tuple[str, ...]
    unknown: int


def _cheapest(token: str, word_of: Callable[[str], tuple[float, str] | None]) -> _Row:
    """The cheapest way to cut a run into words (A. J. Viterbi, 1967)."""
    best: list[tuple[float, int, str | None]] = [(0.0, 0, None)]
    for end in range(1, len(token) + 1):
        option: tuple[float, int, str | None] = (best[end - 1][0] + _UNKNOWN, end - 1, None)
        for start in range(max(0, end - _LONGEST_WORD), end):
            word = word_of(token[start:end])
            if word is not None and best[start][0] + word[0] < option[0]:
                option = best[start][0] + word[0], start, word[1]
        best.append(option)
    found: list[str] = []
    end, unknown = len(token), 0
    while end:
        _, start, known = best[end]
        unknown += known is None
        found.append(token[start:end] if known is None else known)
        end = start
    return _Row(best[-1][0], tuple(reversed(found)), unknown)


def _near(part: str) -> tuple[float, str] | None:
    """A word, or the commonest one with a letter lost, added or replaced (deletions: W. Garbe's SymSpell, 2012)."""
    costs = _costs()
    exact = costs.get(part)
    if len(part) < _SLIPPED_LEAST:
        return None if exact is None else (exact, part)
    common, without = _slips()
    shorter = {part[:at] + part[at + 1 :] for at in range(len(part))}
    replaced = {without[item] for item in shorter & without.keys()}
    words = {word for word in replaced if len(word) == len(part) and sum(map(ne, word, part)) == 1} | (shorter & common)
    if part in without:
        words.add(without[part])
    options = [(costs[word] + _SLIP, word) for word in words]
    if exact is not None:
        options.append((exact, part))
    return min(options, default=None)


@cache
def _slips() -> tuple[frozenset[str], dict[str, str]]:
    """Common words, and the commonest word for each that lacks a letter."""
    costs = _costs()
    common = [word for word in list(costs)[:_COMMON] if len(word) >= _SLIPPED_LEAST]
    without: dict[str, str] = {}
    for word in common:
        for at in range(len(word)):
            without.setdefault(word[:at] + word[at + 1 :], word)
    return frozenset(common), without


@cache
def _costs() -> dict[str, float]:
    """Cost of each word, commonest first, by rank: the hundredth is a tenth as frequent as the tenth (G. K. Zipf)."""
    ranked = ranked_words()
    return {
        word: math.log((rank + 1) * math.log(len(ranked)))
        for rank, word in enumerate(ranked)
        if (len(word) > 1 or word in _SHORT) and word.isalpha()
    }
