"""`HeadsDetector`: calibrated learned scores from our own fine-tuned MiniLM, one head a signal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guardrail.detector import DetectorContext, Example, ModelProvider
from guardrail.errors import DetectionError
from guardrail.sharing import Shared
from guardrail.signals import Coverage, Detection, Evidence, Signal, Skip, Subject
from guardrail.taxonomy import Stage
from guardrail.text.encoders import PIECES, Windows, WordPieces, batched, padded
from guardrail.text.language import tongues
from guardrail.text.memory import Remembered, remembered
from guardrail.text.mentions import mention
from guardrail.text.reading import plainer, readable, share_of_english
from guardrail.text.views import View, views_of

NAME = "text.heads"
MODEL = "text-heads"
HEADS = ("sexual", "explicit", "suggestive", "undress", "minor", "graphic", "degrading", "deceptive", "injection")
SIGNALS = {
    "sexual": "sexual.nudity",
    "explicit": "sexual.explicit",
    "suggestive": "sexual.suggestive",
    "undress": "sexual.undress",
    "minor": "minor.mention",
    "graphic": "harm.graphic",
    "degrading": "harm.degrading",
    "deceptive": "harm.deceptive",
}
MAX_VIEWS = 4
_FLOOR = 0.0005
_WORTH_A_SECOND_LOOK = 0.3
_PERSON = 0.5
_UNREAD = -30.0
_SEXUAL, _INJECTION = HEADS.index("sexual"), HEADS.index("injection")
_GARBLED, _WORDY, _FEW = 5.0, 0.85, 3

Span = tuple[int, int, float]


@dataclass(frozen=True, slots=True)
class Reading:
    """What the network makes of a text.

    Attributes:
        logits: (heads,), the highest over its windows; 0 is the even point. Very low for other languages.
        people: (start, end, probability) of words that name a person, in the part that is read as English.
        cut: whether part of a very long text was not read.
        whole: whether all of the text is read as English.
    """

    logits: NDArray[np.float32]
    people: tuple[Span, ...] = ()
    cut: bool = False
    whole: bool = True

    @property
    def scores(self) -> NDArray[np.float32]:
        """(heads,) probabilities."""
        return _probability(self.logits)


class LearnedHeads:
    """The network, with a memory of recent texts."""

    def __init__(self, models: ModelProvider) -> None:
        self._pieces = WordPieces(models)
        self._session = models.session(MODEL)
        self._memory: Remembered[Reading] = Remembered()

    @classmethod
    def shared(cls, models: ModelProvider) -> LearnedHeads:
        """One for all detectors that use the same provider, so that a text is read once."""
        return _SHARED.of(models, lambda: cls(models))

    def read(self, text: str) -> Reading:
        """Scores and names of a skeleton; parts in other languages are left to `text.languages`.

        Raises:
            DetectionError: the network failed or gave something that is not finite.
        """
        return self._memory.recall(text, self._read)

    def _read(self, text: str) -> Reading:
        part = tongues(text).english
        if not part.strip():
            return Reading(np.full(len(HEADS), _UNREAD, np.float32), whole=not text.strip())
        windows, offsets, cut = self._pieces.windows_with_offsets(part)
        alone = self._pieces.alone(part, mixed=part != text)
        found, tokens = self._run([*windows, *alone])
        # Instructions to a machine end in a full stop as often as not: the extra windows say nothing of them.
        found[len(windows) :, _INJECTION] = _UNREAD
        return Reading(found.max(axis=0), _people(part, offsets, tokens[: len(windows)]), cut, part == text)

    def _run(self, windows: Windows) -> tuple[NDArray[np.float32], list[NDArray[np.float32]]]:
        """(windows, heads) logits, and those of each window's tokens."""
        rows, tokens = [], []
        for batch in batched(windows):
            ids, mask = padded(batch)
            logits, people = self._session.run({"ids": ids, "mask": mask})
            rows.append(logits)
            tokens += list(people)
        found = np.concatenate(rows)
        if found.shape[1] != len(HEADS) or not np.isfinite(found).all():
            raise DetectionError(f"model {MODEL!r} gave numbers that are not finite or of the wrong shape")
        return found, tokens


_SHARED: Shared[ModelProvider, LearnedHeads] = Shared()


class HeadsDetector:
    """Raises `sexual.*`, `minor.mention` and `harm.*` by meaning, in the plain and in every decoded reading."""

    name = NAME
    stages = frozenset({Stage.PROMPT})
    emits = frozenset(SIGNALS.values())
    cost_ms = 6.0
    models = (MODEL, PIECES)

    def __init__(self, context: DetectorContext) -> None:
        self.detections: Remembered[Detection] = Remembered()
        self._heads = LearnedHeads.shared(context.models)

    @remembered
    def detect(self, subject: Subject) -> Detection:
        """Probabilities of every head over the readings, the highest of each."""
        if subject.prompt is None or not subject.prompt.text.strip():
            return Detection(coverage=Coverage((f"{NAME}:views=0",)))
        best: dict[str, tuple[float, View]] = {}
        skipped = []
        read = readable(views_of(subject).all)
        for view in read[:MAX_VIEWS]:
            reading = self._heads.read(view.text)
            if not reading.whole:
                skipped.append(Skip(f"{NAME}:{view.name}", "partly not English: left to text.languages"))
            if reading.cut:
                skipped.append(Skip(f"{NAME}:{view.name}", "longer than the windows that are read"))
            scores = reading.scores
            scores[_SEXUAL] = _probability(reading.logits[_SEXUAL] + _garbled(view.text))
            for name, score in named(self._plainer(view.text, scores)):
                if score > best.get(name, (_FLOOR, view))[0]:
                    best[name] = (score, view)
        if len(read) > MAX_VIEWS:
            skipped.append(Skip(f"{NAME}:views", f"{len(read) - MAX_VIEWS} further readings"))
        signals = tuple(
            Signal(name, score, NAME, (Evidence(where=view.where, view=view.name),))
            for name, (score, view) in best.items()
        )
        return Detection(signals, Coverage((f"{NAME}:views={min(len(read), MAX_VIEWS)}",), tuple(skipped)))

    def _plainer(self, text: str, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores of a text; other-meaning phrases and names of artists are not held against the rest."""
        if scores.max() > _WORTH_A_SECOND_LOOK:
            rest = plainer(text)
            if rest is not None:
                return np.minimum(scores, self._heads.read(rest).scores)
        return scores

    def examples(self) -> Sequence[Example]:
        """Requests by meaning, and a harmless one."""
        return (
            Example.of_prompt(
                "two lovers entwined without a stitch of clothing", at_least={"sexual.nudity": 0.5}, note="implied"
            ),
            Example.of_prompt(
                "make it so that she has nothing on", at_least={"sexual.undress": 0.5}, note="undressing by meaning"
            ),
            Example.of_prompt(
                "a lighthouse on a cliff at dusk", below={"sexual.nudity": 0.3, "harm.graphic": 0.3}, note="harmless"
            ),
        )


def _garbled(text: str) -> float:
    """What is added to a logit for words that are no English: optimised prompts are made of little else.

    A rare word or two by themselves are none.
    """
    if text.count(" ") < _FEW:
        return 0.0
    return _GARBLED * max(0.0, _WORDY - share_of_english(text))


def named(scores: NDArray[np.float32]) -> list[tuple[str, float]]:
    """(signal, score) of every head that raises a signal here; a mere mention of minors is scored as one."""
    found = {head: float(score) for head, score in zip(HEADS, scores, strict=True)}
    sexual = max(found[head] for head in ("sexual", "explicit", "suggestive", "undress"))
    found["minor"] = mention(found["minor"], sexual)
    return [(signal, found[head]) for head, signal in SIGNALS.items()]


def _people(
    text: str, offsets: Sequence[Sequence[tuple[int, int]]], tokens: Sequence[NDArray[np.float32]]
) -> tuple[Span, ...]:
    """Runs of words whose pieces the token head marks, the highest mark over overlapping windows."""
    marks: dict[tuple[int, int], float] = {}
    for where, logits in zip(offsets, tokens, strict=True):
        # The first logit is the token that begins a window.
        for place, score in zip(where, _probability(logits[1 : len(where) + 1]), strict=True):
            marks[place] = max(float(score), marks.get(place, 0.0))
    spans: list[tuple[int, int, list[float]]] = []
    for (start, end), score in sorted(marks.items()):
        if score < _PERSON:
            continue
        if spans and text[spans[-1][1] : start].strip(".'-\u2019") in ("", " "):
            first, _, scores = spans.pop()
            spans.append((first, end, [*scores, score]))
        else:
            spans.append((start, end, [score]))
    return tuple((start, end, float(np.mean(scores))) for start, end, scores in spans)


def _probability(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    return (1.0 / (1.0 + np.exp(-logits))).astype(np.float32)
