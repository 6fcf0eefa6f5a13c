"""Policy-written patterns and term lists over a request's prompts.

Patterns run on RE2 (linear time) as one Set over all rules; a rule may ask for `engine: regex` for fuzzy matching,
grapheme clusters and lookaround, and then runs under a timeout. Each text is matched as sent and as NFKC plus casefold.
"""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import ahocorasick_rs
import re2
import regex

from guardrail.errors import PolicyError

REGEX_TIMEOUT_S = 0.05
MAX_LOAD_COST_S = 0.05
MAX_PATTERN_LENGTH = 2_000
MAX_PATTERNS = 5_000
_CANARY = "\uf8ffguardrail-canary\uf8ff"
_HOSTILE = ("a" * 4_000, "ab " * 1_300, "a" * 26 + "!", "\u00e9\u0430" * 2_000, "aaaa bbbb " * 400, "((((" * 1_000)


class PatternTimeoutError(Exception):
    """A pattern of the `regex` engine did not finish in time."""


class PatternSet:
    """Every RE2 pattern of a policy, matched in one pass.

    A pattern of our own that must match an appended sentinel proves on each use that the set still works.

    Args:
        patterns: RE2 syntax; positions in this sequence are the answer's.

    Raises:
        PolicyError: they do not fit into the set's memory together.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._count = len(patterns)
        options = re2.Options()
        options.max_mem = 256 << 20
        self._set = re2.Set.SearchSet(options)
        for pattern in patterns:
            self._set.Add(pattern)
        self._set.Add(_CANARY)
        try:
            self._set.Compile()
        except Exception as error:
            raise PolicyError("the patterns of this policy need too much memory together") from error

    def matches(self, text: str) -> set[int]:
        """Positions of the patterns that occur in `text`.

        Raises:
            PatternTimeoutError: the set did not find its own sentinel, so its answer cannot be trusted.
        """
        found = set(self._set.Match(text + _CANARY) or ())
        if self._count not in found:
            raise PatternTimeoutError
        found.discard(self._count)
        return found


@dataclass(frozen=True, slots=True)
class FuzzyPattern:
    """One pattern of the `regex` engine."""

    compiled: Any

    def matches(self, text: str) -> bool:
        """Whether it occurs in `text`.

        Raises:
            PatternTimeoutError: it took longer than 50 ms.
        """
        try:
            return self.compiled.search(text, timeout=REGEX_TIMEOUT_S) is not None
        except TimeoutError as error:
            raise PatternTimeoutError from error


class TermList:
    """Words and phrases, found on word boundaries whatever their case and width."""

    def __init__(self, terms: Iterable[str]) -> None:
        self._terms = [folded for folded in (fold(term.strip()) for term in terms) if folded]
        self._automaton = ahocorasick_rs.AhoCorasick(self._terms)

    def occurs(self, folded: str) -> bool:
        """Whether a term stands in `folded`, a text from `fold`, as whole words."""
        return any(
            not (_wordy(folded, start - 1) and _wordy(folded, start))
            and not (_wordy(folded, end - 1) and _wordy(folded, end))
            for _, start, end in self._automaton.find_matches_as_indexes(folded, overlapping=True)
        )


def fold(text: str) -> str:
    """NFKC plus casefold, lone surrogates replaced."""
    clean = text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
    return unicodedata.normalize("NFKC", clean).casefold()


def readings(text: str) -> tuple[str, ...]:
    """The texts a pattern is matched against."""
    clean = text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
    folded = fold(clean)
    return (clean,) if folded == clean else (clean, folded)


def check_re2(pattern: str, *, file: str | None, line: int | None) -> None:
    """Refuse a pattern that RE2 cannot run, or that is slow on hostile text.

    Raises:
        PolicyError: with the reason; lookaround and backreferences are pointed to `engine: regex`.
    """
    _check_length(pattern, file, line)
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 8 << 20
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        problem = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error.args[0])
        raise PolicyError(
            f"the pattern does not compile: {problem}",
            file=file,
            line=line,
            advice="RE2 has no lookaround and no backreferences; `engine: regex` has, under a timeout.",
        ) from error
    for text in _HOSTILE:
        begun = time.perf_counter()
        compiled.search(text)
        if time.perf_counter() - begun > MAX_LOAD_COST_S:
            raise PolicyError("the pattern is too slow on long text", file=file, line=line)


def compile_fuzzy(pattern: str, *, file: str | None, line: int | None) -> FuzzyPattern:
    """Compile a pattern of the `regex` engine.

    Raises:
        PolicyError: it does not compile, or runs into its timeout on hostile text already.
    """
    _check_length(pattern, file, line)
    try:
        compiled = FuzzyPattern(regex.compile(pattern, regex.VERSION1))
    except (regex.error, RecursionError, OverflowError, ValueError) as error:
        raise PolicyError(f"the pattern does not compile: {error}", file=file, line=line) from error
    try:
        for text in _HOSTILE:
            compiled.matches(text)
    except PatternTimeoutError as error:
        raise PolicyError("the pattern is too slow on long text", file=file, line=line) from error
    return compiled


def _check_length(pattern: str, file: str | None, line: int | None) -> None:
    if len(pattern) > MAX_PATTERN_LENGTH:
        raise PolicyError(f"a pattern may have {MAX_PATTERN_LENGTH} characters", file=file, line=line)


def _wordy(text: str, position: int) -> bool:
    if not 0 <= position < len(text):
        return False
    letter = text[position]
    return letter.isalnum() or letter == "_"
