"""`LexiconDetector`: terms and patterns from data files, found in every reading of a prompt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from guardrail.detector import DetectorContext, Example
from guardrail.errors import DetectionError
from guardrail.signals import Coverage, Detection, Evidence, Signal, Subject
from guardrail.taxonomy import Stage
from guardrail.text.memory import Remembered, remembered
from guardrail.text.mentions import mention
from guardrail.text.terms import EMITS, SENTINEL, Entry, Lexicon, load_lexicon
from guardrail.text.views import View, views_of

__all__ = ["LexiconDetector", "load_lexicon"]

NAME = "text.lexicon"
_CONTEXT_FACTOR = 0.55
_STRONG = 0.9
_MAX_EVIDENCE = 8
_FOREIGN = 0.5

Hit = tuple[Entry, float, int, int]


class LexiconDetector:
    """Raises what the words say. Decides nothing: an ambiguous word scores near 0.5, a plain one above 0.9.

    A benign phrase cancels the terms inside it. A benign context lowers ambiguous terms only, and only while nothing
    sexual is said plainly in the same prompt. A mere mention of minors stays low (`mentions`). The negative prompt is
    not a request and is not looked at.
    """

    name = NAME
    stages = frozenset({Stage.PROMPT})
    emits = EMITS
    cost_ms = 0.1
    models: tuple[str, ...] = ()

    def __init__(self, context: DetectorContext | None = None) -> None:
        self.detections: Remembered[Detection] = Remembered()
        self._lexicon = load_lexicon()

    @remembered
    def detect(self, subject: Subject) -> Detection:
        """Scores of the strongest term per signal, over every reading.

        Raises:
            DetectionError: the pattern matcher ran out of memory.
        """
        if subject.prompt is None:
            return Detection()
        found: dict[str, tuple[float, list[Evidence]]] = {}
        views = views_of(subject).all
        for view in views:
            for entry, score, start, end in self._hits(view):
                best, items = found.setdefault(entry.signal, (0.0, []))
                if len(items) < _MAX_EVIDENCE:
                    items.append(Evidence(span=view.span_of(start, end), where=view.where, view=view.name))
                found[entry.signal] = (max(best, score), items)
        sexual = max((score for name, (score, _) in found.items() if name.startswith("sexual.")), default=0.0)
        if "minor.mention" in found:
            score, items = found["minor.mention"]
            found["minor.mention"] = mention(score, sexual), items
        signals = tuple(Signal(name, score, NAME, tuple(items)) for name, (score, items) in found.items() if score > 0)
        return Detection(signals, Coverage((f"{NAME}:views={len(views)}",)))

    def examples(self) -> Sequence[Example]:
        """A plain request, disguised ones, and look-alikes."""
        return (
            Example.of_prompt("a nude woman on a sofa", at_least={"sexual.nudity": 0.9}, note="said"),
            Example.of_prompt("a n\u200bu\u200bd\u0435 woman", at_least={"sexual.nudity": 0.9}, note="disguised"),
            Example.of_prompt("a n4k3d woman", at_least={"sexual.nudity": 0.9}, note="leet"),
            Example.of_prompt("una mujer desnuda", at_least={"sexual.nudity": 0.9}, note="Spanish"),
            Example.of_prompt("a naked mole rat in its burrow", below={"sexual.nudity": 0.5}, note="an animal"),
            Example.of_prompt("grilled chicken breast with rice", below={"sexual.nudity": 0.5}, note="food"),
            Example.of_prompt("take off her dress", at_least={"sexual.undress": 0.8}, note="undressing"),
            Example.of_prompt("a child on a swing", at_least={"minor.mention": 0.15}, note="a mention"),
            Example.of_prompt("a kind old man", below={"minor.mention": 0.5}, note="a German word in English"),
        )

    def _hits(self, view: View) -> Iterable[Hit]:
        lexicon, text = self._lexicon, view.text
        terms = [*_terms(lexicon, view), *_patterns(lexicon, text)]
        if not terms:
            return ()
        benign = _whole_matches(lexicon.benign, text)
        kept = [
            (entry, start, end)
            for entry, start, end in terms
            if not any(start >= low and end <= high for low, high in benign)
        ]
        plain = any(entry.score >= _STRONG and entry.signal.startswith("sexual.") for entry, _, _ in kept)
        calm = not plain and any(entry.ambiguous for entry, _, _ in kept) and _whole_matches(lexicon.contexts, text)
        return [
            (entry, entry.score * (_CONTEXT_FACTOR if calm and entry.ambiguous else 1.0), start, end)
            for entry, start, end in kept
        ]


def _terms(lexicon: Lexicon, view: View) -> Iterable[tuple[Entry, int, int]]:
    text = view.text
    foreign: bool | None = None
    for index, start, end in lexicon.automaton.find_matches_as_indexes(text, overlapping=True):
        whole = _whole(text, start, end)
        for entry in lexicon.entries[index]:
            if entry.whole_word and not whole:
                continue
            if entry.english and not (entry.accented and entry.accented in view.cased.casefold()):
                foreign = _foreign(lexicon, text) if foreign is None else foreign
                if not foreign:
                    continue
            yield entry, start, end


def _foreign(lexicon: Lexicon, text: str) -> bool:
    """Whether most words are no common English words; small words of other languages count twice."""
    found = set(text.replace(",", " ").replace(".", " ").split())
    odd = len(found - lexicon.common) + 2 * len(found & lexicon.function_words)
    return odd >= _FOREIGN * len(found)


def _patterns(lexicon: Lexicon, text: str) -> list[tuple[Entry, int, int]]:
    matched = lexicon.patterns.Match(text + SENTINEL) or ()
    if lexicon.sentinel not in matched:
        raise DetectionError("the pattern matcher ran out of memory on this text")
    found = []
    for index in matched:
        if index == lexicon.sentinel:
            continue
        pattern, entry = lexicon.compiled[index]
        match = pattern.search(text)
        if match is not None:
            found.append((entry, match.start(), match.end()))
    return found


def without_benign(text: str) -> str | None:
    """A skeleton without the phrases that mean something else, such as "naked mole rat"; None if it has none."""
    spans = _whole_matches(load_lexicon().benign, text)
    if not spans:
        return None
    hidden = {at for start, end in spans for at in range(start, end)}
    return "".join(" " if at in hidden else letter for at, letter in enumerate(text))


def _whole_matches(automaton: Any, text: str) -> list[tuple[int, int]]:
    return [
        (start, end)
        for _, start, end in automaton.find_matches_as_indexes(text, overlapping=True)
        if _whole(text, start, end) or _unspaced(text[start])
    ]


def _unspaced(letter: str) -> bool:
    """Whether a script leaves no blanks between words: Thai, kana, han and hangul."""
    return letter >= "\u0e00" and not "\u0e80" <= letter < "\u3040"


def _whole(text: str, start: int, end: int) -> bool:
    return not (start > 0 and text[start - 1].isalnum()) and not (end < len(text) and text[end].isalnum())
