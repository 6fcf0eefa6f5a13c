"""Policy-written patterns over a request's prompts.

Patterns run on RE2 (linear time) as one Set over all rules; a rule may ask for `engine: regex` for fuzzy matching,
grapheme clusters and lookaround, and then runs under a timeout. Each text is matched as sent and as its folded form.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import re2
import regex

from guardrail.errors import PolicyError

REGEX_BUDGET_S = 0.05
"""Seconds that all `engine: regex` patterns of one decision may take together."""
LOAD_BUDGET_S = 0.05
"""CPU seconds that one pattern may take over the hostile corpus when it loads."""
SET_LOAD_BUDGET_S = 1.0
"""CPU seconds that all RE2 patterns of a policy may take together over the longest hostile text."""
_LOOKS = 3
MAX_PATTERN_LENGTH = 2_000
MAX_PATTERNS = 2_000
SET_SIZE = 128
MAX_FUZZY = 100
MAX_REPEATS = 10_000
"""Product of every number in braces; the `regex` engine writes repeats out when it compiles."""
LONGEST_TEXT = 32_000
_HOSTILE = ("a" * 4_000, "ab " * 1_300, "\u00e9\u0430" * 2_000, "aaaa bbbb " * 400, "((((" * 1_000, " " * 4_000)

_WORD = r"\pL\pM\pN_"
# What may stand beside a word: ASCII and common punctuation, symbols, and scripts without spaces between words. Naming
# these ranges instead of "no letter" keeps the automaton a tenth of the size.
_EDGE = (
    r"\x00-/:-@\[-^`{-\x{A9}\x{AB}-\x{B4}\x{B6}-\x{B9}\x{BB}-\x{BF}\x{D7}\x{F7}\x{60C}\x{61B}\x{61F}\x{6D4}\x{964}\x{965}"
    r"\x{E00}-\x{EFF}\x{2000}-\x{2BFF}\x{2E00}-\x{D7FF}\x{E000}-\x{FE6F}\x{FF00}-\x{FF0F}\x{FF1A}-\x{FF20}"
    r"\x{FF3B}-\x{FF40}\x{FF5B}-\x{FFFF}\x{1F000}-\x{3FFFF}"
)
_EDGE_BEFORE, _EDGE_AFTER = rf"(?:^|[{_EDGE}])", rf"(?:$|[{_EDGE}])"
_OUTSIDE = {r"\w": f"[{_WORD}]", r"\W": f"[^{_WORD}]", r"\d": r"\p{Nd}", r"\D": r"\P{Nd}"}
_INSIDE = {r"\w": _WORD, r"\d": r"\p{Nd}", r"\D": r"\P{Nd}"}
_WORDS = re.compile(r"[^\W_]+")
_FLAGS = re.compile(r"\(\?[imsU]+\)")
_PIECE = re.compile(r"\\Q.*?(?:\\E|\Z)|\\.|\[\^?\]?|.", re.DOTALL)
_IN_BRACKETS = re.compile(r"\\.|\[:\^?[a-z]+:\]|.", re.DOTALL)
_COUNTS = re.compile(r"\{[^{}]*\}")


class PatternTimeoutError(Exception):
    """A text could not be matched in time, or the matcher gave up."""


class PatternSet:
    """Every RE2 pattern of a policy, matched in a few passes.

    One pass over n patterns that all match costs n squared, so they are split into sets of `SET_SIZE`. A pattern that
    matches every text is added to each: an answer without it means that RE2 ran out of memory, not that nothing
    matched.

    Args:
        patterns: from `compile_re2`; positions in this sequence are the answer's.

    Raises:
        PolicyError: together they need too much memory, or too much time on hostile text.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        parts = [patterns[start : start + SET_SIZE] for start in range(0, len(patterns), SET_SIZE)]
        try:
            self._sets = [(_set(part), len(part)) for part in parts]
            self._check_cost(patterns)
        except (re2.error, PatternTimeoutError) as error:
            raise PolicyError("the patterns of this policy need too much memory together") from error

    def matches(self, text: str) -> frozenset[int]:
        """Positions of the patterns that occur in `text`.

        Raises:
            PatternTimeoutError: a set ran out of memory, so its answer cannot be trusted.
        """
        found: set[int] = set()
        encoded = text.encode()
        for part, (matcher, size) in enumerate(self._sets):
            hits = matcher.Match(encoded) or ()
            if size not in hits:
                raise PatternTimeoutError
            found.update(part * SET_SIZE + place for place in hits if place != size)
        return frozenset(found)

    def _check_cost(self, patterns: Sequence[str]) -> None:
        words = " ".join(word for pattern in patterns for word in _WORDS.findall(pattern))
        begun = time.thread_time()
        for size in (LONGEST_TEXT // 16, LONGEST_TEXT):
            for text in (*_HOSTILE, words or " "):
                self.matches((text * (size // len(text) + 1))[:size])
                if time.thread_time() - begun > SET_LOAD_BUDGET_S:
                    raise PolicyError("the patterns of this policy are too slow together on long text")


@dataclass(slots=True)
class Budget:
    """Seconds left for the patterns of one decision."""

    left: float = REGEX_BUDGET_S


@dataclass(frozen=True, slots=True)
class FuzzyPattern:
    """One pattern of the `regex` engine."""

    compiled: Any

    def matches(self, text: str, budget: Budget) -> bool:
        """Whether it occurs in `text`; takes its time from `budget`.

        Raises:
            PatternTimeoutError: the budget is used up.
        """
        if budget.left <= 0:
            raise PatternTimeoutError
        begun = time.perf_counter()
        try:
            return self.compiled.search(text, timeout=budget.left) is not None
        except TimeoutError as error:
            raise PatternTimeoutError from error
        finally:
            budget.left -= time.perf_counter() - begun


def compile_re2(pattern: str, *, file: str | None, line: int | None) -> str:
    r"""The pattern as RE2 is to run it, with `\b`, `\w` and `\d` meaning Unicode letters, marks and digits.

    Raises:
        PolicyError: it does not compile, needs more than 8 MB, or is slow on hostile text.
    """
    _check_length(pattern, file, line)
    try:
        rewritten = "".join(_unicode(pattern))
    except ValueError as error:
        raise PolicyError(str(error), file=file, line=line) from error
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 8 << 20
    try:
        compiled = re2.compile(rewritten, options)
    except re2.error as error:
        problem = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error.args[0])
        raise PolicyError(
            f"the pattern does not compile: {problem}",
            file=file,
            line=line,
            advice="RE2 has no lookaround and no backreferences; `engine: regex` has, under a timeout.",
        ) from error
    # the least of some looks: on a busy machine one of them takes longer than the pattern does
    if all(_seconds(compiled, pattern) > LOAD_BUDGET_S for _ in range(_LOOKS)):
        raise PolicyError("the pattern is too slow on long text", file=file, line=line)
    return rewritten


def _seconds(compiled: Any, pattern: str) -> float:
    """CPU seconds of a pattern over the hostile corpus."""
    begun = time.thread_time()
    for text in hostile(pattern):
        compiled.search(text)
    return time.thread_time() - begun


def compile_fuzzy(pattern: str, *, file: str | None, line: int | None) -> FuzzyPattern:
    """Compile a pattern of the `regex` engine.

    Raises:
        PolicyError: it does not compile, or uses up its time on hostile text already.
    """
    _check_length(pattern, file, line)
    counts = [int(number[:6]) for braces in _COUNTS.findall(pattern) for number in re.findall("[0-9]+", braces)]
    if math.prod(max(count, 1) for count in counts) > MAX_REPEATS:
        raise PolicyError("the pattern's counted repeats are too large together", file=file, line=line)
    try:
        compiled = FuzzyPattern(regex.compile(pattern, regex.VERSION1))
    except (regex.error, RecursionError, OverflowError, ValueError, MemoryError) as error:
        raise PolicyError(f"the pattern does not compile: {error}", file=file, line=line) from error
    budget = Budget(LOAD_BUDGET_S)
    try:
        for text in hostile(pattern):
            compiled.matches(text, budget)
    except PatternTimeoutError as error:
        raise PolicyError("the pattern is too slow on long text", file=file, line=line) from error
    return compiled


def _set(patterns: Sequence[str]) -> Any:
    options = re2.Options()
    options.max_mem = 64 << 20
    options.log_errors = False
    made = re2.Set.SearchSet(options)
    for pattern in (*patterns, ""):
        made.Add(pattern)
    made.Compile()
    return made


def hostile(pattern: str) -> Iterator[str]:
    """Long texts that make a backtracking matcher work: common ones, and ones from the pattern's own letters."""
    yield from _HOSTILE
    words = _WORDS.findall(pattern)[:8]
    for letter in sorted(set("".join(words)))[:12]:
        yield letter * 2_000 + "!"
    for joint in ("", " "):
        text = joint.join(words)
        if text:
            yield (text + joint) * (2_000 // len(text)) + "!"


def _unicode(pattern: str) -> Iterator[str]:
    flags = _FLAGS.match(pattern)
    first, position, inside = flags.end() if flags else 0, 0, False
    while found := (_IN_BRACKETS if inside else _PIECE).match(pattern, position):
        piece, begun, position = found.group(), position, found.end()
        if inside:
            if piece == r"\W":
                raise ValueError(r"write [^\w] instead of \W between brackets")
            yield _INSIDE.get(piece, piece)
            inside = piece != "]"
        elif piece in (r"\b", r"\B"):
            if piece == r"\B" or (begun != first and position != len(pattern)):
                raise ValueError(rf"RE2 knows {piece} for ASCII only: put \b first or last, or use `engine: regex`")
            yield _EDGE_BEFORE if begun == first else _EDGE_AFTER
        else:
            yield _OUTSIDE.get(piece, piece)
            inside = piece[0] == "["


def _check_length(pattern: str, file: str | None, line: int | None) -> None:
    if len(pattern) > MAX_PATTERN_LENGTH:
        raise PolicyError(f"a pattern may have {MAX_PATTERN_LENGTH} characters", file=file, line=line)
