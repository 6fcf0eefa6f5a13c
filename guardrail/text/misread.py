"""Words that optical recognition ran together or took for look-alikes, put right."""

from __future__ import annotations

import math
import re
from functools import cache
from string import ascii_lowercase

from guardrail.text.lists import ranked_words, words

_WORD = re.compile(r"[a-z0-9]+")
_MIXED = (("l", "i"), ("1", "i"), ("1", "l"), ("0", "o"), ("5", "s"), ("rn", "m"), ("vv", "w"), ("cl", "d"))
_SHORTEST, _LONGEST = 9, 64
_LONGEST_WORD = 16
_SURE = 5
_SHORT = frozenset({"a", "i"})
_UNKNOWN = 14.0
"""Cost of a letter that belongs to no word: more than any word of the list."""


def misread(skeleton: str) -> str:
    """The skeleton of a recognised line with run-together words apart and look-alikes put right."""
    return _WORD.sub(lambda match: _word(match.group()), skeleton)


def _word(token: str) -> str:
    if token in words() or token.isdigit():
        return token
    for wrong, right in _MIXED:
        if wrong in token:
            for better in (token.replace(wrong, right, 1), token.replace(wrong, right)):
                if better in words():
                    return better
    apart = _apart(token) if _SHORTEST <= len(token) <= _LONGEST else token
    return _one_off(token) if apart == token and len(token) >= _SURE else apart


def _one_off(token: str) -> str:
    """The commonest word that differs in one letter; the token itself when there is none."""
    costs = _costs()
    places = range(min(len(token), _LONGEST_WORD))
    near = {f"{token[:at]}{letter}{token[at + 1 :]}" for at in places for letter in ascii_lowercase}
    return min(near & costs.keys(), key=lambda word: (costs[word], word), default=token)


def _apart(token: str) -> str:
    """The likeliest words in a row; the token itself when letters are left over."""
    costs = _costs()
    best: list[tuple[float, int]] = [(0.0, 0)]
    for end in range(1, len(token) + 1):
        options = [(best[end - 1][0] + _UNKNOWN, end - 1)]
        for start in range(max(0, end - _LONGEST_WORD), end):
            cost = costs.get(token[start:end])
            if cost is not None:
                options.append((best[start][0] + cost, start))
        best.append(min(options))
    found, end = [], len(token)
    while end:
        start = best[end][1]
        if token[start:end] not in costs:
            return token
        found.append(token[start:end])
        end = start
    return " ".join(reversed(found))


@cache
def _costs() -> dict[str, float]:
    """Cost of each word by its rank (G. K. Zipf): the hundredth word is a tenth as frequent as the tenth."""
    ranked = ranked_words()
    return {
        word: math.log((rank + 1) * math.log(len(ranked)))
        for rank, word in reversed(list(enumerate(ranked)))
        if (len(word) > 1 or word in _SHORT) and word.isalpha()
    }
