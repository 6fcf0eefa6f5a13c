"""A request's prompts as policies read them: folded, against term lists and patterns, each looked at once."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import cached_property

import ahocorasick_rs
import regex

from guardrail.errors import PolicyError
from guardrail.policy.patterns import Budget, FuzzyPattern, PatternSet
from guardrail.signals import GenerationRequest

MAX_HITS_PER_CHAR = 16.0
"""Terms of a list that may end at one character on average, in the list's own longest term."""
_LOOK = 400

_INVISIBLE = regex.compile(r"[\p{Cf}\p{Default_Ignorable_Code_Point}]+")
# Scripts that put no spaces between words, and Hangul, which joins particles to them: there a term may stand anywhere.
_UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")


class TermList:
    """Words and phrases, found on word boundaries whatever their case, width and invisible characters.

    Raises:
        PolicyError: no term is left after folding, or so many terms hold one another that long text is slow.
    """

    def __init__(self, terms: Iterable[str]) -> None:
        folded = sorted({term for term in (fold(item).strip() for item in terms) if term})
        if not folded:
            raise PolicyError("the list is empty")
        self._automaton = ahocorasick_rs.AhoCorasick(folded)
        dense = max(folded, key=len)[:_LOOK]
        hits = self._automaton.find_matches_as_indexes(dense, overlapping=True)
        if len(hits) > MAX_HITS_PER_CHAR * len(dense):
            raise PolicyError("the list is too slow on long text: its terms hold one another")

    def occurs(self, folded: str) -> bool:
        """Whether a term stands in `folded`, a text from `fold`, as whole words."""
        return any(
            not (_wordy(folded, start - 1) and _wordy(folded, start))
            and not (_wordy(folded, end - 1) and _wordy(folded, end))
            for _, start, end in self._automaton.find_matches_as_indexes(folded, overlapping=True)
        )


class Texts:
    """The prompts of one request during one decision. Negative prompts ask for absence and are not read."""

    def __init__(self, request: GenerationRequest, patterns: PatternSet) -> None:
        self._sent = [prompt.text for prompt in request.prompts]
        self._patterns = patterns
        self._budgets = {True: Budget(), False: Budget()}

    @cached_property
    def folded(self) -> tuple[str, ...]:
        """Each prompt from `fold`."""
        return tuple(fold(text) for text in self._sent)

    @cached_property
    def readings(self) -> tuple[str, ...]:
        """Each prompt as sent and folded."""
        return tuple(dict.fromkeys([*(_encodable(text) for text in self._sent), *self.folded]))

    @cached_property
    def hits(self) -> frozenset[int]:
        """Positions of the set's patterns that occur.

        Raises:
            PatternTimeoutError: the set gave up.
        """
        return frozenset(position for text in self.readings for position in self._patterns.matches(text))

    def holds_term(self, terms: TermList) -> bool:
        """Whether a term of the list occurs in any prompt."""
        return any(terms.occurs(text) for text in self.folded)

    def holds_fuzzy(self, patterns: Iterable[FuzzyPattern], *, acting: bool) -> bool:
        """Whether one of the patterns occurs in any prompt.

        Args:
            patterns: of the `regex` engine.
            acting: false for a rule in shadow, which must not use up the time of those that act.

        Raises:
            PatternTimeoutError: the decision's time for such patterns is used up.
        """
        budget = self._budgets[acting]
        return any(pattern.matches(text, budget) for pattern in patterns for text in self.readings)


def fold(text: str) -> str:
    """NFKC, casefold and no invisible characters (Unicode's NFKC_Casefold); lone surrogates are replaced."""
    if text.isascii():
        return text.lower()
    bare = _INVISIBLE.sub("", _encodable(text))
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", bare).casefold())


def _encodable(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _wordy(text: str, position: int) -> bool:
    if not 0 <= position < len(text):
        return False
    letter = text[position]
    if letter.isascii():
        return letter.isalnum() or letter == "_"
    return (letter.isalnum() or unicodedata.category(letter)[0] == "M") and not _UNSPACED.match(letter)
