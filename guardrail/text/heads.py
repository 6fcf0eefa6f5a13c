"""`HeadsDetector`: calibrated learned scores from our own fine-tuned MiniLM, one head a signal family."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from guardrail.detector import DetectorContext, Example, ModelProvider
from guardrail.errors import DetectionError
from guardrail.signals import Coverage, Detection, Evidence, GenerationRequest, Prompt, Signal, Skip, Subject
from guardrail.taxonomy import Stage
from guardrail.text.encoders import MINILM, Remembered, WordPieces, batched, padded
from guardrail.text.language import unread_because
from guardrail.text.reading import plainer, readable
from guardrail.text.views import View, views_of

NAME = "text.heads"
MODEL = "text-heads"
HEADS = ("sexual", "graphic", "degrading", "injection")
MAX_VIEWS = 4
_FLOOR = 0.02
_WORTH_A_SECOND_LOOK = 0.3
_LOCK = threading.Lock()


class LearnedHeads:
    """The network: a text to one probability a head, the highest over its windows."""

    def __init__(self, models: ModelProvider) -> None:
        self._pieces = WordPieces(models)
        self._session = models.session(MODEL)
        self._memory = Remembered()

    @classmethod
    def shared(cls, models: ModelProvider) -> LearnedHeads:
        """One for all detectors that use the same provider, so that a text is read once."""
        with _LOCK:
            found = _SHARED.get(models)
            if found is None:
                found = _SHARED[models] = cls(models)
            return found

    def scores(self, text: str) -> tuple[NDArray[np.float32], bool]:
        """(heads,) probabilities, and whether part of a very long text was not read; zeros for other languages.

        Raises:
            DetectionError: the network failed or gave something that is not finite.
        """
        if unread_because(text) is not None:
            return np.zeros(len(HEADS), np.float32), False
        digest = self._memory.digest(text)
        known = self._memory.get(digest)
        if known is not None:
            return known[:-1], bool(known[-1])
        windows, cut = self._pieces.windows(text)
        logits = []
        for part in batched(windows):
            ids, mask = padded(part)
            logits.append(self._session.run({"ids": ids, "mask": mask})[0])
        found = np.concatenate(logits)
        if found.shape[1] != len(HEADS) or not np.isfinite(found).all():
            raise DetectionError(f"model {MODEL!r} gave numbers that are not finite or of the wrong shape")
        best = (1.0 / (1.0 + np.exp(-found.max(axis=0)))).astype(np.float32)
        self._memory.put(digest, np.append(best, np.float32(cut)))
        return best, cut


_SHARED: WeakKeyDictionary[ModelProvider, LearnedHeads] = WeakKeyDictionary()


class HeadsDetector:
    """Raises `sexual.*` and `harm.*` by meaning, in the plain and in every decoded reading of the prompt.

    The head for sexual content gives `sexual.nudity` its probability p and `sexual.explicit` 2p - 1: one family was
    labelled in the training data, so explicitness is read from how sure the head is.
    """

    name = NAME
    stages = frozenset({Stage.PROMPT})
    emits = frozenset({"sexual.explicit", "sexual.nudity", "harm.graphic", "harm.degrading"})
    cost_ms = 6.0
    models = (MODEL, MINILM)

    def __init__(self, context: DetectorContext) -> None:
        self._heads = LearnedHeads.shared(context.models)

    def detect(self, subject: Subject) -> Detection:
        """Probabilities of every head over the readings, the highest of each."""
        if subject.prompt is None or not subject.prompt.text.strip():
            return Detection(coverage=Coverage((f"{NAME}:views=0",)))
        best: dict[str, tuple[float, View]] = {}
        skipped = []
        read = readable(views_of(subject).all)
        for view in read[:MAX_VIEWS]:
            why = unread_because(view.text)
            if why is not None:
                skipped.append(Skip(f"{NAME}:{view.name}", why))
            scores, cut = self._scores(view.text)
            if cut:
                skipped.append(Skip(f"{NAME}:{view.name}", "longer than the windows that are read"))
            for name, score in _named(scores):
                if score > best.get(name, (_FLOOR, view))[0]:
                    best[name] = (score, view)
        if len(read) > MAX_VIEWS:
            skipped.append(Skip(f"{NAME}:views", f"{len(read) - MAX_VIEWS} further readings"))
        signals = tuple(
            Signal(name, score, NAME, (Evidence(where=view.where, view=view.name),))
            for name, (score, view) in best.items()
        )
        return Detection(signals, Coverage((f"{NAME}:views={min(len(read), MAX_VIEWS)}",), tuple(skipped)))

    def _scores(self, text: str) -> tuple[NDArray[np.float32], bool]:
        """Scores of a text; other-meaning phrases and names of artists are not held against the rest."""
        scores, cut = self._heads.scores(text)
        if scores.max() > _WORTH_A_SECOND_LOOK:
            rest = plainer(text)
            if rest is not None:
                scores = np.minimum(scores, self._heads.scores(rest)[0])
        return scores, cut

    def examples(self) -> Sequence[Example]:
        """A request by meaning, and a harmless one."""
        return (
            _example(
                "two lovers entwined without a stitch of clothing", at_least={"sexual.nudity": 0.5}, note="implied"
            ),
            _example(
                "a lighthouse on a cliff at dusk", below={"sexual.nudity": 0.3, "harm.graphic": 0.3}, note="harmless"
            ),
        )


def _named(scores: NDArray[np.float32]) -> list[tuple[str, float]]:
    sexual, graphic, degrading = (float(score) for score in scores[:3])
    return [
        ("sexual.nudity", sexual),
        ("sexual.explicit", max(0.0, 2.0 * sexual - 1.0)),
        ("harm.graphic", graphic),
        ("harm.degrading", degrading),
    ]


def _example(text: str, *, note: str, **promises: dict[str, float]) -> Example:
    prompt = Prompt(text)
    return Example(Subject(Stage.PROMPT, GenerationRequest((prompt,)), prompt=prompt), note=note, **promises)
