"""Nudity and gore in a picture: one cheap look, and more looks where something suggests that it is not enough.

Measured reason for two nets: image-safety-s gives 0.84 to 0.96 to fully clothed women, open_nsfw does not, but it is
blind where a picture lies on its side or has its colours inverted. So the first decides, looked at from several sides;
the second adds little to the score, and tells gore and what is no art.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

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
from guardrail.vision.combiner import NUDITY_HEADS, PHOTO, Heads, combine, graphic, medium, plain
from guardrail.vision.exposure import IMAGE_SAFETY, OPEN_NSFW, image_safety, open_nsfw
from guardrail.vision.nets import Tensor
from guardrail.vision.pyramid import Level, pyramid
from guardrail.vision.views import View, further, mirrored, turned, whole

NAME = "vision.nudity"
MAX_EVIDENCE = 8
MAX_FURTHER = 12
"""Readings of one level beside the first: a grid of nine, a border, a negative."""

FLOOR = -4.5
"""Logit below which a picture is settled after one look at it."""
UPRIGHT = 1.85
"""Logit of the upright head from which a picture is not turned."""
DOUBT = 0.7
"""Logits taken off parts of a picture: several chances to look bare by accident."""
PLAUSIBLE = 1.0
"""How far, in logits, a side may be behind the most upright one and still count."""
CLEARER = 0.5
"""How far, in logits, a turned side has to be ahead of the side as given to count."""


class Found(NamedTuple):
    """The worst reading of one level: logit, name of the reading, open_nsfw's own probability."""

    bare: float
    view: str | None
    share: float


class NudityDetector:
    """`sexual.nudity` and `harm.graphic` over every frame, and over what lies beneath transparency.

    Both signals are always given, so that a replay can move thresholds. Recall on photographs rests on the nets' own
    figures: this project measures on lawful pictures and museum art only.
    """

    name = NAME
    stages = frozenset({Stage.INPUT, Stage.OUTPUT})
    emits = frozenset({"sexual.nudity", "harm.graphic"})
    cost_ms = 60.0
    models = (OPEN_NSFW, IMAGE_SAFETY, NUDITY_HEADS)

    def __init__(self, context: DetectorContext) -> None:
        self._models = context.models
        self._heads: Heads | None = None

    def detect(self, subject: Subject) -> Detection:
        """Scores of the worst level, with evidence for every level at or above 0.5.

        Raises:
            DetectionError: a net failed or returned what is not a probability.
            ModelError: weights are missing or changed.
        """
        levels = pyramid(subject)
        heads = self._heads = self._heads or Heads(self._models)
        safety = image_safety(self._models, levels)
        art = heads.art(safety.features)
        found = self._bare(heads, levels)
        frames = len({level.frame for level in levels})
        nude, gore, bared, gored = [], [], [], []
        for at, (level, worst) in enumerate(zip(levels, found, strict=True)):
            nsfw, nsfl = float(safety.nsfw[at]), float(safety.nsfl[at])
            nude.append(combine(worst.bare, nsfw))
            gore.append(graphic(nsfl))
            detail = {"open_nsfw": f"{worst.share:.2f}", "nsfw": f"{nsfw:.2f}", "medium": medium(float(art[at]), nsfw)}
            bared.append(Evidence(frame=level.frame, view=worst.view, detail=detail))
            gored.append(Evidence(frame=level.frame, view=level.view, detail={"nsfl": f"{nsfl:.2f}"}))
        signals = _signal("sexual.nudity", nude, bared), _signal("harm.graphic", gore, gored)
        return Detection(signals, Coverage((f"{NAME}:frames={frames}",)))

    def examples(self) -> Sequence[Example]:
        """A flat grey picture, and a drawn one that only shows that the nets answer to what they see."""
        return (
            Example(_drawn((128, 128, 128)), below={"sexual.nudity": 0.2, "harm.graphic": 0.3}, note="flat grey"),
            Example(_drawn((205, 150, 130)), at_least={"sexual.nudity": 0.01}, note="a smooth warm surface"),
        )

    def _bare(self, heads: Heads, levels: Sequence[Level]) -> list[Found]:
        """The worst reading of every level; what the first look leaves open gets further looks."""
        views = [whole(level) for level in levels]
        firsts = plain(self._models, levels)
        bare, upright = heads.read(firsts.features)
        worst = []
        for at, view in enumerate(views):
            found = Found(float(bare[at]), view.name, float(firsts.shares[at]))
            worst.append(self._closer(heads, view, found, float(upright[at])) if found.bare >= FLOOR else found)
        more = [
            (at, view) for at, level in enumerate(levels) for view in islice(further(level, views[at]), MAX_FURTHER)
        ]
        if more:
            seen = open_nsfw(self._models, [view.square for _, view in more])
            for (at, view), logit, share in zip(more, heads.read(seen.features).bare, seen.shares, strict=True):
                found = Found(float(logit) - (DOUBT if view.part else 0.0), view.name, float(share))
                if found.bare > worst[at].bare:
                    worst[at] = found
        return worst

    def _closer(self, heads: Heads, view: View, found: Found, upright: float) -> Found:
        """The mean over a reading and its mirror image, in whichever turn seems upright and barest."""
        sides = [view] if upright >= UPRIGHT else [view, *turned(view)]
        squares = [side.square for side in sides[1:]] + [mirrored(side).square for side in sides]
        seen = open_nsfw(self._models, squares)
        bare, up = heads.read(seen.features)
        count = len(sides)
        straight: Tensor = np.concatenate([[found.bare], bare[: count - 1]])
        standing = (np.concatenate([[upright], up[: count - 1]]) + up[count - 1 :]) / 2
        mean = (straight + bare[count - 1 :]) / 2
        counts = standing >= standing.max() - PLAUSIBLE
        counts[1:] &= standing[1:] > standing[0] + CLEARER
        chosen = int(np.where(counts, mean, -np.inf).argmax()) if counts.any() else 0
        if chosen == 0:
            return found._replace(bare=float(mean[0]))
        name = sides[chosen].name if view.name is None else f"{view.name}/{sides[chosen].name}"
        return Found(float(mean[chosen]), name, float(seen.shares[chosen - 1]))


def _signal(name: str, scores: Sequence[float], evidence: Sequence[Evidence]) -> Signal:
    """The worst score, with evidence for it and for all that reach 0.5; those that are no art first."""
    order = sorted(range(len(scores)), key=lambda index: -scores[index])
    shown = [index for rank, index in enumerate(order) if rank == 0 or scores[index] >= 0.5]
    shown.sort(key=lambda index: evidence[index].detail.get("medium") != PHOTO)
    return Signal(name, scores[order[0]], NAME, tuple(evidence[index] for index in shown[:MAX_EVIDENCE]))


def _drawn(colour: tuple[int, int, int]) -> Subject:
    rgb = np.asarray(Image.new("RGB", (256, 256), colour))
    picture = DecodedPicture(Picture(b""), "png", 256, 256, (Frame(0, rgb),))
    return Subject(Stage.OUTPUT, GenerationRequest(), picture=picture)
