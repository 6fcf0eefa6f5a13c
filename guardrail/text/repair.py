"""Putting words right that were written to be missed: leet, masked, separated, cut, repeated and swapped letters.

Only words that no list knows are looked at, so ordinary prompts cost one set difference.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator

from guardrail.text.vocabulary import Vocabulary

_LEET = {
    "0": "o",
    "1": "il",
    "2": "z",
    "3": "e",
    "4": "a",
    "5": "s",
    "6": "gb",
    "7": "t",
    "8": "b",
    "9": "g",
    "@": "a",
    "$": "s",
    "!": "i",
    "|": "il",
    "+": "t",
    "€": "e",
    "£": "l",
}
_LEET_SET = frozenset(_LEET)
_POSSESSIVE = str.maketrans("5$", "ss")
_MASKS = "*#_"
_EDGES = frozenset(" \t\n\r\x0b\x0c,.;:!?\"'`()[]{}<>/\\\u2018\u2019\u201c\u201d\u2026\u3002\u3001~*_-")
_OUTER = ".,;:!?\"'`()[]{}<>/\\\u2018\u2019\u201c\u201d\u2026\u3002\u3001~"
_PARTS = re.compile(r"[^\s/\\]+")
_SEPARATED = re.compile(r"[^\W_]{1,2}(?:[.\-_*·•~|][^\W_]{1,2}){2,}\Z")
_SEPARATORS = re.compile(r"[.\-_*·•~|]")
_JOINED = re.compile(r"[\-_.+&]")
_RUN = re.compile(r"([^\W\d_])\1+")
_NUMBERED = re.compile(r"\d+([^\W\d_]{3,})\d*\Z|([^\W\d_]{3,})\d+\Z")
_MAX_VARIANTS = 32
_MAX_WORD = 24
_MAX_RUNS = 6
_ENGLISH = 0.5

Move = tuple[int, int, int, int]
"""Start and end of a word in the repaired text, start and end of what stood there before."""


def repaired(folded: str, odd: set[str], vocabulary: Vocabulary) -> tuple[str, list[Move]] | None:
    """A skeleton with its odd words put right.

    Args:
        folded: result of `normalise.skeleton`.
        odd: `vocabulary.odd(folded)`.
        vocabulary: words that are right as they are.

    Returns:
        The text and where it differs, or None when nothing can be put right.
    """
    if not odd:
        return None
    every = {item for part in odd for item in _inner(part)}
    inner = {item for item in every if not _counted(item, vocabulary)}
    leety = sum(_leety(item, vocabulary) for item in inner) >= 2
    if leety:
        inner = every
    better = {item: found for item in inner if (found := _better(item, vocabulary, leety)) is not None}
    better |= _cut(folded, inner, vocabulary)
    pieces: list[str] = []
    moved: list[Move] = []
    at = length = 0
    for start, end, item in _places(folded, better):
        kept, word = folded[at:start], better[item]
        length += len(kept)
        pieces += (kept, word)
        moved.append((length, length + len(word), start, end))
        length += len(word)
        at = end
    return ("".join((*pieces, folded[at:])), moved) if moved else None


def _places(folded: str, items: Iterable[str]) -> Iterator[tuple[int, int, str]]:
    """Where whole words stand, left to right, without overlap."""
    found = []
    for item in items:
        start = folded.find(item)
        while start >= 0:
            end = start + len(item)
            if (start == 0 or folded[start - 1] in _EDGES) and (end == len(folded) or folded[end] in _EDGES):
                found.append((start, end, item))
            start = folded.find(item, end)
    at = 0
    for start, end, item in sorted(found, key=lambda place: (place[0], -place[1])):
        if start >= at:
            yield start, end, item
            at = end


def _cut(folded: str, odd: set[str], vocabulary: Vocabulary) -> dict[str, str]:
    """Two neighbouring words, one of them odd, that make a term; only in texts that are mostly English."""
    if vocabulary.pieces.isdisjoint(odd):
        return {}
    every = [item.strip(_OUTER) for item in folded.split()]
    if len(odd) >= _ENGLISH * len(set(every)):
        return {}
    pairs = itertools.pairwise(every)
    return {
        f"{first} {second}": first + second
        for first, second in pairs
        if (first in odd or second in odd) and (first, second) in vocabulary.cuts
    }


def _inner(part: str) -> list[str]:
    return [item.strip(_OUTER) for item in _PARTS.findall(part)]


def _leety(word: str, vocabulary: Vocabulary) -> bool:
    """Whether a word of letters and leet signs spells a word, as units and numbers ("35mm", "seed5") do not."""
    if len(word) < 3 or word.isalpha() or _LEET_SET.isdisjoint(word) or not any(map(str.isalpha, word)):
        return False
    return any(variant in vocabulary.words for variant in _variants(word))


def _counted(word: str, vocabulary: Vocabulary) -> bool:
    """Whether a word is an ordinary one with a number ("seed5"), and no number can stand for letters of a term."""
    numbered = _NUMBERED.match(word)
    core = numbered and (numbered.group(1) or numbered.group(2))
    return core in vocabulary.words and core not in vocabulary.listed and core not in vocabulary.pieces


def _variants(token: str) -> list[str]:
    choices = [_LEET.get(letter, letter) for letter in token]
    return ["".join(item) for item in itertools.islice(itertools.product(*choices), _MAX_VARIANTS)]


def _better(token: str, vocabulary: Vocabulary, leety: bool) -> str | None:
    """What an odd word says, or None when it is a word, or cannot be told."""
    if not token or token in vocabulary.words or len(token) > 4 * _MAX_WORD:
        return None
    if token.isalpha():
        return _letters(token, vocabulary) if token.isascii() else None
    if _SEPARATED.match(token):
        joined = _SEPARATORS.sub("", token)
        return _better(joined, vocabulary, leety) or joined
    base, apostrophe, tail = token.rpartition("'")
    if apostrophe:
        mended = _better(base, vocabulary, leety) if len(tail) < 3 else None
        return f"{mended}'{tail.translate(_POSSESSIVE)}" if mended else None
    if (masked := _masked(token, vocabulary)) is not None:
        return masked
    if _JOINED.search(token):
        return _compound(token, vocabulary, leety)
    if not _LEET_SET.isdisjoint(token):
        return _unleet(token, vocabulary, leety)
    return None


def _letters(token: str, vocabulary: Vocabulary) -> str | None:
    if _RUN.search(token) and (shorter := _unrepeat(token, vocabulary)) is not None:
        return shorter
    return _untranspose(token, vocabulary)


def _compound(token: str, vocabulary: Vocabulary, leety: bool) -> str | None:
    """Words held together by signs: a term cut by them, or each put right by itself."""
    items = _JOINED.split(token)
    joined = "".join(items)
    if joined in vocabulary.terms:
        return joined
    if len(items) > _MAX_WORD:
        return None
    mended = [(_better(item, vocabulary, leety) or item) for item in items]
    return " ".join(mended) if mended != items else None


def _masked(token: str, vocabulary: Vocabulary) -> str | None:
    """The term of which some letters are starred out; at least two, and half of them, must be left."""
    hidden = sum(token.count(sign) for sign in _MASKS)
    if not hidden or not 4 <= len(token) <= _MAX_WORD or hidden * 2 > len(token) or token[0] in _MASKS:
        return None
    for term in sorted(vocabulary.terms):
        if len(term) == len(token) and all(a == b or a in _MASKS for a, b in zip(token, term, strict=True)):
            return term
    return None


def _unleet(token: str, vocabulary: Vocabulary, leety: bool) -> str | None:
    """The reading that is a term or a word; else the plainest one, if letters outweigh signs."""
    if not leety and not any(map(str.isalpha, token)):
        return None
    numbered = _NUMBERED.match(token)
    core = numbered and (numbered.group(1) or numbered.group(2))
    variants = _variants(token)
    for held in (vocabulary.terms, vocabulary.words):
        for word in variants:
            if word in held or _RUN.sub(r"\1", word) in held:
                return word
        if core in vocabulary.listed:
            return core
        if core in vocabulary.words and not leety:
            return None
    signs = sum(letter in _LEET_SET for letter in token)
    first = variants[0]
    if not leety or token.isdigit() or signs > len(token) * 0.9 or not first.isalpha():
        return None
    return _letters(first, vocabulary) or first


def _unrepeat(token: str, vocabulary: Vocabulary) -> str | None:
    """Runs of letters shortened to one or two so that a word stands there; to one where no word is found."""
    runs = list(_RUN.finditer(token))
    if len(runs) > _MAX_RUNS:
        return _RUN.sub(r"\1", token)
    for sizes in itertools.product((1, 2), repeat=len(runs)):
        word, at = "", 0
        for run, size in zip(runs, sizes, strict=True):
            word += token[at : run.start()] + run.group(1) * size
            at = run.end()
        word += token[at:]
        if word in vocabulary.words and word != token:
            return word
    if any(run.end() - run.start() > 2 for run in runs):
        return _RUN.sub(r"\1", token)
    return None


def _untranspose(token: str, vocabulary: Vocabulary) -> str | None:
    """The word that differs by one swap of neighbouring letters, if there is one."""
    if not 4 <= len(token) <= _MAX_WORD or "".join(sorted(token)) not in vocabulary.letters:
        return None
    for at in range(len(token) - 1):
        swapped = token[:at] + token[at + 1] + token[at] + token[at + 2 :]
        if swapped in vocabulary.words:
            return swapped
    return None
