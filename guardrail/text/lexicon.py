"""`LexiconDetector`: terms and patterns from data files, found in every reading of a prompt."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import ahocorasick_rs
import re2
import yaml

from guardrail.detector import DetectorContext, Example
from guardrail.errors import ConfigurationError
from guardrail.settings import shipped
from guardrail.signals import Coverage, Detection, Evidence, GenerationRequest, Prompt, Signal, Subject
from guardrail.taxonomy import Stage, is_signal
from guardrail.text.lists import words
from guardrail.text.normalise import clean, skeleton
from guardrail.text.views import View, views_of

NAME = "text.lexicon"
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
_CONTEXT_FACTOR = 0.55
_STRONG = 0.9
_MAX_EVIDENCE = 8
_NO_BOUNDARY = ("zh", "ja", "th", "ko")


@dataclass(frozen=True, slots=True)
class Entry:
    """One term or pattern: what it raises, how strongly, and whether a benign context lowers it."""

    signal: str
    score: float
    ambiguous: bool
    whole_word: bool
    language: str


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The compiled data files."""

    automaton: Any
    entries: tuple[tuple[Entry, ...], ...]
    benign: Any
    contexts: Any
    patterns: Any
    compiled: tuple[tuple[Any, Entry], ...]
    vocabulary: frozenset[str]


class LexiconDetector:
    """Raises what the words say. Decides nothing: an ambiguous word scores near 0.5, a plain one above 0.9."""

    name = NAME
    stages = frozenset({Stage.PROMPT})
    emits = EMITS
    cost_ms = 0.1
    models: tuple[str, ...] = ()

    def __init__(self, context: DetectorContext | None = None) -> None:
        self._lexicon = load_lexicon()

    def detect(self, subject: Subject) -> Detection:
        """Scores of the strongest term per signal, over every reading."""
        if subject.prompt is None:
            return Detection()
        found: dict[str, tuple[float, list[Evidence]]] = {}
        views = views_of(subject).all
        for view in views:
            for entry, score, start, end in self._hits(view):
                evidence = Evidence(span=view.span_of(start, end), where=view.where, view=view.name)
                best, items = found.setdefault(entry.signal, (0.0, []))
                if len(items) < _MAX_EVIDENCE:
                    items.append(evidence)
                found[entry.signal] = (max(best, score), items)
        signals = tuple(Signal(name, score, NAME, tuple(items)) for name, (score, items) in found.items())
        return Detection(signals, Coverage((f"{NAME}:views={len(views)}",)))

    def examples(self) -> Sequence[Example]:
        """A plain request, a disguised one, and look-alikes."""
        return (
            _example("a nude woman on a sofa", at_least={"sexual.nudity": 0.9}, note="said"),
            _example("a n\u200bu\u200bd\u0435 woman", at_least={"sexual.nudity": 0.9}, note="disguised"),
            _example("a naked mole rat in its burrow", below={"sexual.nudity": 0.5}, note="an animal"),
            _example("take off her dress", at_least={"sexual.undress": 0.8}, note="undressing"),
            _example("a child on a swing", at_least={"minor.mention": 0.9}, note="a mention"),
        )

    def _hits(self, view: View) -> Iterable[tuple[Entry, float, int, int]]:
        lexicon, text = self._lexicon, view.text
        terms = [
            (entry, start, end)
            for index, start, end in lexicon.automaton.find_matches_as_indexes(text, overlapping=True)
            for entry in lexicon.entries[index]
            if not entry.whole_word or _whole(text, start, end)
        ]
        terms += self._pattern_hits(text)
        if not terms:
            return ()
        benign = [
            (start, end)
            for _, start, end in lexicon.benign.find_matches_as_indexes(text, overlapping=True)
            if _whole(text, start, end)
        ]
        kept = [
            (entry, start, end)
            for entry, start, end in terms
            if not any(start >= low and end <= high for low, high in benign)
        ]
        strong = any(
            entry.score >= _STRONG and not entry.ambiguous and "sexual" in entry.signal for entry, _, _ in kept
        )
        calm = not strong and any(
            _whole(text, start, end)
            for _, start, end in lexicon.contexts.find_matches_as_indexes(text, overlapping=True)
        )
        return [
            (entry, entry.score * (_CONTEXT_FACTOR if calm and entry.ambiguous else 1.0), start, end)
            for entry, start, end in kept
        ]

    def _pattern_hits(self, text: str) -> list[tuple[Entry, int, int]]:
        found = []
        for index in self._lexicon.patterns.Match(text) or ():
            pattern, entry = self._lexicon.compiled[index]
            match = pattern.search(text)
            if match is not None:
                found.append((entry, match.start(), match.end()))
        return found


@cache
def load_lexicon() -> Lexicon:
    """Read and compile policies/lists/lexicon*.yaml.

    Raises:
        ConfigurationError: a file does not parse, or names an unknown signal.
    """
    folder = shipped("policies") / "lists"
    terms: dict[str, list[Entry]] = {}
    patterns: list[tuple[str, Entry]] = []
    benign: list[str] = []
    contexts: list[str] = []
    for path in sorted(folder.glob("lexicon*.yaml")):
        data = _read(path)
        benign += [skeleton(clean(phrase)) for phrase in data.get("benign", ())]
        contexts += [skeleton(clean(phrase)) for phrase in data.get("contexts", ())]
        for group in data.get("groups", ()):
            _gather(group, path, terms, patterns)
    ordered = sorted(terms)
    compiled = re2.Set.SearchSet()
    for source, _ in patterns:
        compiled.Add(source)
    compiled.Compile()
    known = {word for term in itertools.chain(ordered, benign) for word in term.split()}
    return Lexicon(
        ahocorasick_rs.AhoCorasick(ordered),
        tuple(tuple(terms[term]) for term in ordered),
        ahocorasick_rs.AhoCorasick(benign),
        ahocorasick_rs.AhoCorasick(contexts),
        compiled,
        tuple((re2.compile(source), entry) for source, entry in patterns),
        words() | frozenset(known),
    )


def _gather(
    group: dict[str, Any], path: Path, terms: dict[str, list[Entry]], patterns: list[tuple[str, Entry]]
) -> None:
    signal = group["signal"]
    if not is_signal(signal) or signal not in EMITS:
        raise ConfigurationError(f"{path}: {signal!r} is not a signal of the lexicon")
    score, ambiguous = float(group["score"]), bool(group.get("ambiguous", False))
    for language, listed in group.get("terms", {}).items():
        entry = Entry(signal, score, ambiguous, language not in _NO_BOUNDARY, language)
        for term in listed:
            terms.setdefault(skeleton(clean(str(term))), []).append(entry)
    for source in group.get("patterns", ()):
        patterns.append((f"(?i){source}", Entry(signal, score, ambiguous, False, "en")))


def _read(path: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path}: {error}") from error
    if not isinstance(data, dict):
        raise ConfigurationError(f"{path}: the top level must be a mapping")
    return data


def _whole(text: str, start: int, end: int) -> bool:
    return not (start > 0 and _wordy(text[start - 1])) and not (end < len(text) and _wordy(text[end]))


def _wordy(letter: str) -> bool:
    return letter.isalnum()


def _example(text: str, *, note: str, **promises: dict[str, float]) -> Example:
    prompt = Prompt(text)
    return Example(Subject(Stage.PROMPT, GenerationRequest((prompt,)), prompt=prompt), note=note, **promises)
