"""The compiled lexicon: policies/lists/lexicon*.yaml as automata and pattern sets, made once a process."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import ahocorasick_rs
import re2

from guardrail.errors import ConfigurationError
from guardrail.taxonomy import is_signal
from guardrail.text.lists import given_names, lexicon_files, ranked_words, words
from guardrail.text.normalise import clean, skeleton

EMITS = frozenset(
    {
        "sexual.explicit",
        "sexual.nudity",
        "sexual.suggestive",
        "sexual.undress",
        "minor.mention",
        "harm.graphic",
        "harm.degrading",
        "harm.deceptive",
    }
)
SENTINEL = "\x01sentinel\x01"
"""Put behind every text: a set that does not find it ran out of memory. No cleaned text holds control characters."""
_NO_BOUNDARY = ("zh", "ja", "th", "ko")
_COMMON_RANK = 12_000
_SHORT = 4
_ADVICE = "Each group needs signal, score from 0 to 1, and terms by language or patterns in RE2 syntax."


@dataclass(frozen=True, slots=True)
class Entry:
    """One term or pattern: what it raises, how strongly, and when it counts.

    Attributes:
        signal: taxonomy name.
        score: 0 to 1.
        ambiguous: whether a benign context lowers it.
        whole_word: whether it must stand between word boundaries.
        language: "en", "es", ...
        english: whether it is a word of another language that English text holds too ("kind"): it then counts only
            where the text is not English, or where it is written with its accents.
        accented: the spelling with accents, or "".
    """

    signal: str
    score: float
    ambiguous: bool
    whole_word: bool
    language: str
    english: bool = False
    accented: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Lexicon:
    """The compiled data files.

    Attributes:
        automaton: over every term; match i means `entries[i]`.
        entries: what each term raises.
        benign: automaton over phrases that cancel the terms inside them.
        contexts: automaton over words that lower ambiguous terms.
        patterns: RE2 set; match i means `compiled[i]`.
        compiled: (pattern, entry) one by one, for spans.
        sentinel: number of the pattern that must always match.
        common: frequent English words, without those that are frequent elsewhere too.
        function_words: short words of other languages.
    """

    automaton: Any
    entries: tuple[tuple[Entry, ...], ...]
    benign: Any
    contexts: Any
    patterns: Any
    compiled: tuple[tuple[Any, Entry], ...]
    sentinel: int
    common: frozenset[str]
    function_words: frozenset[str]


@cache
def load_lexicon() -> Lexicon:
    """Read and compile policies/lists/lexicon*.yaml.

    Raises:
        ConfigurationError: a file does not parse, names an unknown signal, or holds a pattern that RE2 refuses.
    """
    terms: dict[str, list[Entry]] = {}
    patterns: list[tuple[str, Entry]] = []
    benign: set[str] = set()
    contexts: set[str] = set()
    function_words: set[str] = set()
    for path, data in lexicon_files():
        benign |= {skeleton(clean(str(phrase))) for phrase in data.get("benign", ())}
        contexts |= {skeleton(clean(str(phrase))) for phrase in data.get("contexts", ())}
        function_words |= {skeleton(clean(str(word))) for word in data.get("function_words", ())}
        for group in data.get("groups", ()):
            try:
                _gather(group, terms, patterns)
            except (KeyError, TypeError, ValueError, AttributeError, re2.error) as error:
                raise ConfigurationError(f"{path}: a group is malformed: {error}", advice=_ADVICE) from error
    return _compiled(terms, patterns, benign, contexts, function_words)


def _compiled(
    terms: dict[str, list[Entry]],
    patterns: list[tuple[str, Entry]],
    benign: set[str],
    contexts: set[str],
    function_words: set[str],
) -> Lexicon:
    ordered = sorted(terms)
    found = re2.Set.SearchSet()
    for source, _ in patterns:
        found.Add(source)
    sentinel = found.Add(SENTINEL)
    found.Compile()
    common = frozenset(ranked_words()[:_COMMON_RANK]) - function_words
    return Lexicon(
        ahocorasick_rs.AhoCorasick(ordered),
        tuple(tuple(terms[term]) for term in ordered),
        ahocorasick_rs.AhoCorasick(sorted(benign)),
        ahocorasick_rs.AhoCorasick(sorted(contexts)),
        found,
        tuple((re2.compile(source), entry) for source, entry in patterns),
        sentinel,
        common,
        frozenset(function_words),
    )


def _gather(group: dict[str, Any], terms: dict[str, list[Entry]], patterns: list[tuple[str, Entry]]) -> None:
    signal, score = group["signal"], float(group["score"])
    if not is_signal(signal) or signal not in EMITS:
        raise ValueError(f"{signal!r} is not a signal of the lexicon")
    if not 0 < score <= 1:
        raise ValueError(f"the score {score} is not between 0 and 1")
    ambiguous = bool(group.get("ambiguous", False))
    for language, listed in group.get("terms", {}).items():
        for term in listed:
            folded = skeleton(clean(str(term)))
            if not folded:
                raise ValueError("a term is empty once it is folded")
            terms.setdefault(folded, []).append(_entry(signal, score, ambiguous, language, str(term), folded))
    for source in group.get("patterns", ()):
        re2.compile(f"(?i){source}")
        patterns.append((f"(?i){source}", Entry(signal, score, ambiguous, False, "en")))


def _entry(signal: str, score: float, ambiguous: bool, language: str, term: str, folded: str) -> Entry:
    accented = clean(term).casefold()
    foreign = language != "en" and folded.isascii() and folded.isalpha()
    english = foreign and (len(folded) <= _SHORT or folded in words() or folded in given_names())
    whole = not (language in _NO_BOUNDARY and not folded.isascii())
    return Entry(signal, score, ambiguous, whole, language, english, accented if english and accented != folded else "")
