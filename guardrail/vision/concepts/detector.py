"""`vision.concepts`: meanings of a policy in uploads and outputs, by words and by example pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from guardrail.detector import DetectorContext, Example
from guardrail.errors import PictureError
from guardrail.inference.clip import ClipEncoder
from guardrail.signals import (
    Concept,
    Coverage,
    DecodedPicture,
    Detection,
    Evidence,
    ExampleFile,
    Frame,
    GenerationRequest,
    Picture,
    Signal,
    Skip,
    Subject,
)
from guardrail.taxonomy import Stage
from guardrail.vision.concepts.embedding import embedded
from guardrail.vision.concepts.learned import PictureConcept, learn
from guardrail.vision.decode import decode

NAME = "vision.concepts"
_FLOOR = 0.005
_SHOWN = 4
_TRIED = 2


class PictureConceptsDetector:
    """Raises `concept.<name>` for every concept of the policy that says how it looks (`shown`), over every frame.

    Args:
        context: settings and models.
        clip: the encoder.
        concepts: those with a picture side.

    Raises:
        PolicyError: as `guardrail.vision.concepts.learned.learn`.
    """

    name = NAME
    stages = frozenset({Stage.INPUT, Stage.OUTPUT})
    cost_ms = 30.0

    def __init__(self, context: DetectorContext, clip: ClipEncoder, concepts: Sequence[Concept]) -> None:
        self._clip = clip
        self._limits = context.settings.limits
        digest = context.models.digest(clip.name)
        self._learned: tuple[PictureConcept, ...] = tuple(
            learn(concept, clip, digest, context.settings.limits) for concept in concepts
        )
        self.models = clip.parts
        self.emits = frozenset(item.concept.signal for item in self._learned)

    def detect(self, subject: Subject) -> Detection:
        """Scores of every concept, of the level that shows it best.

        Raises:
            DetectionError: the network failed, or gave something that is not finite.
        """
        levels, vectors = embedded(subject, self._clip)
        signals = []
        for item in self._learned:
            scores = item.scores(vectors)
            order = [int(at) for at in np.argsort(-scores, kind="stable")]
            shown = [at for rank, at in enumerate(order[:_SHOWN]) if rank == 0 or scores[at] >= 0.5]
            if scores[shown[0]] < _FLOOR:
                continue
            seen = item.concept.shown
            detail = {"scale": "calibrated" if seen is not None and seen.calibration else "the model's own"}
            evidence = tuple(Evidence(frame=levels[at].frame, view=levels[at].view, detail=detail) for at in shown)
            signals.append(Signal(item.concept.signal, float(scores[shown[0]]), NAME, evidence))
        frames = len({level.frame for level in levels})
        return Detection(tuple(signals), Coverage((f"{NAME}:frames={frames}", f"{NAME}:clip={self._clip.name}")))

    def examples(self) -> Sequence[Example]:
        """The policy's own example pictures, and a flat grey one that must be judged at all.

        Concepts of words alone bring no picture that raises them: that the encoder is awake was checked against the
        vectors recorded at its export when it was loaded.
        """
        grey = np.full((96, 96, 3), 128, dtype=np.uint8)
        empty = DecodedPicture(Picture(b""), "png", 96, 96, (Frame(0, grey),))
        found = [Example(_output(empty), at_least=dict.fromkeys(self.emits, 0.0), note="grey")]
        for item in self._learned:
            seen, name = item.concept.shown, item.concept.signal
            assert seen is not None
            for picture in self._decoded(seen.examples):
                found.append(Example(_output(picture), at_least={name: 0.5}, note="example picture"))
            # a look-alike may still be what the words say
            for picture in self._decoded(() if seen.like else seen.unlike_examples):
                found.append(Example(_output(picture), below={name: 0.5}, note="look-alike picture"))
        return found

    def _decoded(self, files: Sequence[ExampleFile]) -> Iterator[DecodedPicture]:
        """The first pictures that are still there; all of them were read when the policy was loaded."""
        for item in files[:_TRIED]:
            with suppress(OSError, PictureError):
                yield decode(Picture(Path(item.path).read_bytes()), self._limits)


class UnseenConcepts:
    """Stands for `vision.concepts` where no CLIP is set and no rule acts on pictures: says that nothing was seen."""

    name = NAME
    stages = frozenset({Stage.INPUT, Stage.OUTPUT})
    cost_ms = 0.01
    models: tuple[str, ...] = ()

    def __init__(self, concepts: Sequence[Concept]) -> None:
        self.emits = frozenset(concept.signal for concept in concepts)

    def detect(self, subject: Subject) -> Detection:
        """Nothing, and why."""
        return Detection(coverage=Coverage(skipped=(Skip(NAME, "no CLIP is set: concepts were not looked for"),)))

    def examples(self) -> Sequence[Example]:
        """None: nothing is looked at."""
        return ()


def _output(picture: DecodedPicture) -> Subject:
    return Subject(Stage.OUTPUT, GenerationRequest(), picture=picture)
