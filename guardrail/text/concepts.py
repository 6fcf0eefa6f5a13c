"""`ConceptsDetector`: meanings that a policy gives by example sentences, found by embedding in sixteen languages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guardrail.detector import DetectorContext, Example, ModelProvider
from guardrail.errors import ModelIntegrityError, PolicyError
from guardrail.signals import Concept, Coverage, Detection, Evidence, Signal, Skip, Subject
from guardrail.taxonomy import Stage
from guardrail.text.memory import Remembered, remembered
from guardrail.text.multilingual import MULTILINGUAL, WIDTH, Multilingual
from guardrail.text.reading import readable
from guardrail.text.views import View, views_of

NAME = "text.concepts"
EVERYDAY = "everyday-prompts"
MAX_VIEWS = 3
_FLOOR = 0.02
_ALARMS = 0.002
_NEAR, _FAR = 0.08, 0.3
_APART = 0.1
_CONTRADICTS = 0.51
_SURE = 2.2
"""Logit of 0.9: the score where the examples of a concept lie to each other."""

Float = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Learned:
    """A concept ready to be compared: unit vectors of its examples, and its scale.

    Attributes:
        like, unlike: (examples, 512).
        even: likeness that scores 0.5; 0.2 % of everyday prompts are closer.
        slope: logit per unit of likeness.
    """

    concept: Concept
    like: Float
    unlike: Float
    even: float
    slope: float

    def scores(self, vectors: Float) -> Float:
        """(windows,) scores: near enough to `like`, and nearer to it than to `unlike`."""
        near = (vectors @ self.like.T).max(axis=1)
        logit = self.slope * (near - self.even)
        if len(self.unlike):
            logit = np.minimum(logit, _SURE * (near - (vectors @ self.unlike.T).max(axis=1)) / _APART)
        found: Float = 1.0 / (1.0 + np.exp(-logit))
        return found


class Space:
    """Embeddings in which everyday prompts spread evenly, so that only what sets a sentence apart counts.

    Centring and whitening by the covariance of everyday prompts, with shrinkage (Su et al. 2021, "Whitening Sentence
    Representations for Better Semantics and Faster Retrieval").

    Raises:
        ModelIntegrityError: the shipped arrays have other shapes.
    """

    def __init__(self, models: ModelProvider) -> None:
        self._encoder = Multilingual.shared(models)
        try:
            with np.load(models.file(EVERYDAY), allow_pickle=False) as arrays:
                mean, matrix, rows = (arrays[name].astype(np.float32) for name in ("mean", "matrix", "prompts"))
        except (KeyError, ValueError, OSError) as error:
            raise ModelIntegrityError(f"model {EVERYDAY!r} has other arrays than expected") from error
        if mean.shape != (WIDTH,) or matrix.shape != (WIDTH, WIDTH) or rows.ndim != 2 or rows.shape[1] != WIDTH:
            raise ModelIntegrityError(f"model {EVERYDAY!r} has other shapes than expected")
        self._mean, self._matrix = mean, matrix
        self.everyday = unit(rows)
        """(prompts, 512), unit length."""

    def place(self, text: str) -> tuple[Float, bool]:
        """(windows, 512), unit length, and whether the text was longer than all windows together."""
        embedded, cut = self._encoder.sentence(text)
        return unit((embedded - self._mean) @ self._matrix), cut


class ConceptsDetector:
    """Raises `concept.<name>` for every concept of the policy, given as `parameters["concepts"]`.

    A score compares the prompt with the nearest `like` sentence and the nearest `unlike` one. The even point lets 0.2 %
    of some two thousand everyday prompts through; how close the examples lie to each other sets the slope.

    Raises:
        PolicyError: a `like` sentence is nearer to an `unlike` one than to what it should show.
    """

    name = NAME
    stages = frozenset({Stage.PROMPT})
    cost_ms = 13.0
    models = (MULTILINGUAL, EVERYDAY)

    def __init__(self, context: DetectorContext) -> None:
        self.detections: Remembered[Detection] = Remembered()
        self._space = Space(context.models)
        meant = (concept for concept in context.parameters.get("concepts", ()) if concept.like)
        self._learned = tuple(self._learn(concept) for concept in meant)
        self.emits = frozenset(item.concept.signal for item in self._learned)

    @remembered
    def detect(self, subject: Subject) -> Detection:
        """Scores of every concept over the readings, the highest of each.

        Raises:
            DetectionError: the network gave something that is not finite.
        """
        if subject.prompt is None or not subject.prompt.text.strip():
            return Detection(coverage=Coverage((f"{NAME}:views=0",)))
        best: dict[str, tuple[float, View]] = {}
        read, skipped = readable(views_of(subject).all), []
        for view in read[:MAX_VIEWS]:
            vectors, cut = self._space.place(view.cased)
            if cut:
                skipped.append(Skip(f"{NAME}:{view.name}", "longer than the windows that are read"))
            for item in self._learned:
                score = float(item.scores(vectors).max())
                if score > best.get(item.concept.signal, (_FLOOR, view))[0]:
                    best[item.concept.signal] = (score, view)
        if len(read) > MAX_VIEWS:
            skipped.append(Skip(f"{NAME}:views", f"{len(read) - MAX_VIEWS} further readings"))
        signals = tuple(
            Signal(name, score, NAME, (Evidence(where=view.where, view=view.name),))
            for name, (score, view) in best.items()
        )
        return Detection(signals, Coverage((f"{NAME}:views={min(len(read), MAX_VIEWS)}",), tuple(skipped)))

    def examples(self) -> Sequence[Example]:
        """The policy's own sentences."""
        return [
            *(
                Example.of_prompt(text, at_least={item.concept.signal: 0.5}, note="like")
                for item in self._learned
                for text in item.concept.like
            ),
            *(
                Example.of_prompt(text, below={item.concept.signal: 0.5}, note="unlike")
                for item in self._learned
                for text in item.concept.unlike
            ),
        ]

    def _learn(self, concept: Concept) -> _Learned:
        like, unlike = self._placed(concept.like), self._placed(concept.unlike)
        everyday = (self._space.everyday @ like.T).max(axis=1)
        even = float(np.quantile(everyday, 1 - _ALARMS))
        others = like @ like.T - 2 * np.eye(len(like), dtype=np.float32)
        among = float(np.median(others.max(axis=1))) if len(like) > 1 else even + _FAR
        learned = _Learned(concept, like, unlike, even, _SURE / float(np.clip(among - even, _NEAR, _FAR)))
        for text, score in zip(concept.like, learned.scores(like), strict=True):
            if score <= _CONTRADICTS:
                raise PolicyError(
                    f"concept {concept.name!r}: a `like` sentence means what an `unlike` one means: {text[:60]!r}",
                    file=concept.file,
                    line=concept.line,
                    advice="Write sentences that differ in meaning, or drop one of them.",
                )
        return learned

    def _placed(self, sentences: Sequence[str]) -> Float:
        """The first window of each sentence."""
        rows = [self._space.place(text)[0][0] for text in sentences]
        return np.stack(rows) if rows else np.zeros((0, WIDTH), np.float32)


def unit(rows: Float) -> Float:
    """Rows at unit length."""
    found: Float = (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)).astype(np.float32)
    return found
