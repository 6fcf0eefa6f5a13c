"""Nudity and gore in a picture, from two nets of which neither can block alone.

Measured reason for two: image-safety-s gives 0.84 to 0.96 to fully clothed women, open_nsfw does not; open_nsfw gives
0.94 to a clothed drawing. Each is wrong about other pictures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from guardrail.detector import DetectorContext, Example
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
from guardrail.vision.exposure import IMAGE_SAFETY, OPEN_NSFW, Look, look
from guardrail.vision.pyramid import Level, pyramid

NAME = "vision.nudity"
MAX_EVIDENCE = 8

OPEN_ALONE = 0.80
"""open_nsfw that is an even call when image-safety-s sees nothing more than in an ordinary picture."""
OPEN_LEAST = 0.20
"""open_nsfw below which no score of image-safety-s makes an even call."""
SAFETY_HIGH = 0.85
"""image-safety-s that makes an even call of `OPEN_LEAST`."""
SAFETY_ORDINARY = 0.0406
"""Median of image-safety-s over benign pictures, below which the net sees nothing: models/training/fit_nudity.py."""
GRAPHIC_HIGH = 0.85
"""NSFL that is an even call for gore."""
GRAPHIC_SLOPE = 0.59
"""Logits of score per logit of NSFL: 0.35 becomes 0.2."""


def _logit(share: float) -> float:
    share = min(max(share, 1e-6), 1 - 1e-6)
    return math.log(share / (1 - share))


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value))


_WEIGHT = (_logit(OPEN_ALONE) - _logit(OPEN_LEAST)) / (_logit(SAFETY_HIGH) - _logit(SAFETY_ORDINARY))
_BIAS = -_logit(OPEN_ALONE) - _WEIGHT * _logit(SAFETY_ORDINARY)


def combine(open_nsfw: float, nsfw: float) -> float:
    """One score for nudity from both nets' probabilities; rises with each.

    A line in logits through the two corners (`OPEN_ALONE`, `SAFETY_ORDINARY`) and (`OPEN_LEAST`, `SAFETY_HIGH`), capped
    by what each net says alone: with one at or below its corner the score stays at or below 0.5, whatever the other
    says.
    """
    yahoo, safety = _logit(open_nsfw), _logit(nsfw)
    together = yahoo + _WEIGHT * max(safety, _logit(SAFETY_ORDINARY)) + _BIAS
    return _logistic(min(together, safety - _logit(SAFETY_ORDINARY), yahoo - _logit(OPEN_LEAST)))


def graphic(nsfl: float) -> float:
    """Score for gore from one net's NSFL: 0.85 becomes 0.5, 0.35 becomes 0.2."""
    return _logistic(GRAPHIC_SLOPE * (_logit(nsfl) - _logit(GRAPHIC_HIGH)))


class NudityDetector:
    """`sexual.nudity` and `harm.graphic` over every frame, and over what lies beneath transparency.

    Both signals are always given, so that a replay can move thresholds. Recall on photographs rests on the nets' own
    figures: this project measures on lawful pictures and museum art only.
    """

    name = NAME
    stages = frozenset({Stage.INPUT, Stage.OUTPUT})
    emits = frozenset({"sexual.nudity", "harm.graphic"})
    cost_ms = 60.0
    models = (OPEN_NSFW, IMAGE_SAFETY)

    def __init__(self, context: DetectorContext) -> None:
        self._models = context.models

    def detect(self, subject: Subject) -> Detection:
        """Scores of the worst level, with evidence for every level at or above 0.5.

        Raises:
            DetectionError: a net failed or returned what is not a probability.
        """
        levels = pyramid(subject)
        looks = look(self._models, levels)
        frames = len({level.frame for level in levels})
        return Detection(
            (
                _signal("sexual.nudity", [combine(seen.open_nsfw, seen.nsfw) for seen in looks], levels, looks),
                _signal("harm.graphic", [graphic(seen.nsfl) for seen in looks], levels, looks),
            ),
            Coverage((f"{NAME}:frames={frames}",)),
        )

    def examples(self) -> Sequence[Example]:
        """A flat grey picture, and a drawn one that only shows that the nets answer to what they see."""
        return (
            Example(_drawn((128, 128, 128)), below={"sexual.nudity": 0.2, "harm.graphic": 0.3}, note="flat grey"),
            Example(_drawn((205, 150, 130)), at_least={"sexual.nudity": 0.15}, note="a smooth warm surface"),
        )


def _signal(name: str, scores: Sequence[float], levels: Sequence[Level], looks: Sequence[Look]) -> Signal:
    order = sorted(range(len(scores)), key=lambda index: -scores[index])
    shown = [index for rank, index in enumerate(order) if rank == 0 or scores[index] >= 0.5][:MAX_EVIDENCE]
    evidence = tuple(
        Evidence(
            frame=levels[index].frame,
            view=levels[index].view,
            detail={key: f"{value:.2f}" for key, value in looks[index]._asdict().items()},
        )
        for index in shown
    )
    return Signal(name, scores[order[0]], NAME, evidence)


def _drawn(colour: tuple[int, int, int]) -> Subject:
    rgb = np.asarray(Image.new("RGB", (256, 256), colour))
    picture = DecodedPicture(Picture(b""), "png", 256, 256, (Frame(0, rgb),))
    return Subject(Stage.OUTPUT, GenerationRequest(), picture=picture)
