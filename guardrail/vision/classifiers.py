"""Classifiers of pictures that an operator installs: any ONNX network that gives one number a class.

The manifest says what the network is fed and which signal each class raises (`classifier`), so that one detector runs
them all: ViT classifiers exported from a hub, or a network of your own. It looks once at each frame, whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from guardrail.detector import DetectorContext, Example
from guardrail.errors import DetectionError
from guardrail.inference import known
from guardrail.inference.feeding import METHODS, fed, probabilities, scored
from guardrail.inference.manifest import Classifier
from guardrail.signals import (
    Coverage,
    DecodedPicture,
    Detection,
    Evidence,
    Frame,
    GenerationRequest,
    Picture,
    Signal,
    Subject,
)
from guardrail.taxonomy import Stage
from guardrail.vision.nets import Tensor, run
from guardrail.vision.pyramid import Level, pyramid

NAME = "vision.classifiers"
BATCH = 8


def prepared(level: Level, how: Classifier) -> Tensor:
    """What the network is fed of one picture: (3, height, width) or (height, width, 3) float32."""
    return fed(level.sized(how.width, how.height, METHODS[how.interpolation]), how)


def shares(output: Tensor, how: Classifier, name: str, batch: int) -> Tensor:
    """Scores (batch, classes): probabilities, with 0.5 where the manifest says that a call is even.

    Raises:
        DetectionError: the shape is another, or what should be a probability is none.
    """
    if output.shape != (batch, len(how.labels)):
        raise DetectionError(f"{name} returned something else than {len(how.labels)} classes")
    found = probabilities(output, how)
    if found.min() < -1e-3 or found.max() > 1 + 1e-3:
        raise DetectionError(f"{name} returned something else than probabilities")
    return scored(found.clip(0.0, 1.0), how.even)


class ClassifiersDetector:
    """Every installed model whose manifest has a `classifier`; raises what those name, and nothing without one."""

    name = NAME
    stages = frozenset({Stage.INPUT, Stage.OUTPUT})

    def __init__(self, context: DetectorContext) -> None:
        self._models = context.models
        catalogue = known(context.settings)
        self._known: Mapping[str, Classifier] = {
            name: manifest.classifier for name, manifest in catalogue.items() if manifest.classifier is not None
        }
        named = {signal for how in self._known.values() for signal in how.labels.values() if signal}
        # a detector has to name a signal; without a model it raises none
        self.emits = frozenset(named) or frozenset({"sexual.explicit"})
        self.models = tuple(self._known)
        self.cost_ms = 40.0 * max(1, len(self._known))

    def detect(self, subject: Subject) -> Detection:
        """The best score of each signal over models and frames.

        Raises:
            DetectionError: a network failed or returned what is not a probability.
            ModelError: weights are missing or changed.
        """
        levels = pyramid(subject)
        best: dict[str, tuple[float, Evidence]] = {}
        for name, how in self._known.items():
            found = self._looked(name, how, levels)
            for at, label in enumerate(how.labels):
                signal = how.labels[label]
                if not signal:
                    continue
                worst = int(found[:, at].argmax())
                score = float(found[worst, at])
                if score > best.get(signal, (-1.0,))[0]:
                    where = levels[worst]
                    best[signal] = (
                        score,
                        Evidence(frame=where.frame, view=where.view, ref=name, detail={"label": label}),
                    )
        frames = len({level.frame for level in levels})
        inspected = tuple(f"{NAME}:{name}:frames={frames}" for name in self._known) or (f"{NAME}:models=0",)
        return Detection(
            tuple(Signal(name, score, NAME, (evidence,)) for name, (score, evidence) in best.items()),
            Coverage(inspected),
        )

    def examples(self) -> Sequence[Example]:
        """A flat grey picture. What a classifier makes of it is its own affair; that it looks, and how, is checked."""
        rgb = np.full((64, 64, 3), 128, dtype=np.uint8)
        picture = DecodedPicture(Picture(b""), "png", 64, 64, (Frame(0, rgb),))
        subject = Subject(Stage.OUTPUT, GenerationRequest(), picture=picture)
        least, most = dict.fromkeys(self.emits, 0.0), dict.fromkeys(self.emits, 1.01)
        return (Example(subject, at_least=least, below=most, note="flat grey"),)

    def _looked(self, name: str, how: Classifier, levels: Sequence[Level]) -> Tensor:
        session = self._models.session(name)
        rows = []
        for start in range(0, len(levels), BATCH):
            part = np.stack([prepared(level, how) for level in levels[start : start + BATCH]])
            rows.append(shares(run(session, name, {how.input: part})[0], how, name, len(part)))
        return np.concatenate(rows)
