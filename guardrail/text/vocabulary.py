"""Which words are right as they are: what is odd in a prompt is what these do not hold."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from guardrail.text.lists import given_names, lexicon_files, lines, words
from guardrail.text.normalise import clean, skeleton

_MIN_PLAIN = 0.9
_SIGN = re.compile(r"[\W_]")
_NAME = re.compile(r"[a-z]{4,}")
_MIN_SPLIT = 4
_MIN_SWAP = 4


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """Words and what repairing needs to know of them; all in skeleton form.

    Attributes:
        words: common English words, given names, names of public figures and every word of the lexicon.
        listed: every word of the lexicon's terms.
        terms: words that say something plainly by themselves.
        letters: sorted letters of each word, to see at once that no swap of two letters makes one.
        pieces: what a term can be cut into.
        cuts: each term cut in two, as (first, second).
    """

    words: frozenset[str]
    listed: frozenset[str]
    terms: frozenset[str]
    letters: frozenset[str]
    pieces: frozenset[str]
    cuts: frozenset[tuple[str, str]]

    def odd(self, folded: str) -> set[str]:
        """Distinct pieces of a skeleton, between blanks and commas, that are no known words."""
        return _pieces(folded) - self.words

    def parted(self, folded: str) -> tuple[set[str], set[str]]:
        """The same, and every distinct run of letters and digits."""
        found = _pieces(folded)
        odd = found - self.words
        for signed in [piece for piece in found if not piece.isalnum()]:
            found.update(_SIGN.sub(" ", signed).split())
        return odd, found


def names_only(words: Iterable[str]) -> Vocabulary:
    """A vocabulary of names, with no term among them: what a disguised word may be one of."""
    held = frozenset(words)
    none: frozenset[str] = frozenset()
    letters = frozenset("".join(sorted(word)) for word in held if len(word) >= _MIN_SWAP)
    return Vocabulary(held, none, none, letters, none, frozenset())


def _pieces(folded: str) -> set[str]:
    return set(folded.replace(",", " ").replace(". ", " ").rstrip(" .").split())


@cache
def vocabulary() -> Vocabulary:
    """The vocabulary of the shipped lists.

    Raises:
        ConfigurationError: a list cannot be read.
    """
    listed: set[str] = set()
    around: set[str] = set()
    terms: set[str] = set()
    for _, data in lexicon_files():
        around.update(str(phrase) for key in ("benign", "contexts") for phrase in data.get(key, ()))
        for group in data.get("groups", ()):
            spelled = [skeleton(clean(str(term))) for items in group.get("terms", {}).values() for term in items]
            listed.update(word for term in spelled for word in term.split())
            if float(group.get("score", 0)) >= _MIN_PLAIN and not str(group.get("signal", "")).startswith("minor."):
                terms.update(term for term in spelled if term.isascii() and term.isalpha() and len(term) > 2)
    names = {
        word
        for file in ("people.csv", "people_extra.csv")
        for word in _NAME.findall(skeleton(clean("\n".join(lines(file)))))
    }
    every = (
        words()
        | given_names()
        | names
        | listed
        | {word for phrase in around for word in skeleton(clean(phrase)).split()}
    )
    cuts = {(term[:at], term[at:]) for term in terms if len(term) >= _MIN_SPLIT for at in range(1, len(term))}
    return Vocabulary(
        every,
        frozenset(listed),
        frozenset(terms),
        frozenset("".join(sorted(word)) for word in every if len(word) >= _MIN_SWAP),
        frozenset(piece for cut in cuts for piece in cut),
        frozenset(cuts),
    )
