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
from guardrail.vision.exposure import IMAGE_SAFETY, OPEN_NSFW, Seen, image_safety, open_nsfw
from guardrail.vision.pyramid import Level, pyramid
from guardrail.vision.seams import Box
from guardrail.vision.views import (
    BORDER,
    NEGATIVE,
    TILE,
    WHOLE,
    View,
    composed,
    further,
    greyed,
    inside,
    mirrored,
    part,
    turned,
    whole,
)
from guardrail.vision.worn import Wear, allowance, colourless

NAME = "vision.nudity"
MAX_EVIDENCE = 8
MAX_FURTHER = 16
"""Readings of one level beside the first: a grid of nine, a few pictures within it, a border, a negative."""

MAX_CLOSER = 4
"""Readings of one level, the barest ones, that are looked at more closely."""

FLOOR = -4.5
"""Logit below which a picture is settled after one look at it."""
OPEN = -1.5
"""Logit below which a part of it is, and below which nobody looks at it upside down or without its colours."""
PARTLY = -1.0
"""Logit from which image-safety-s looks at a part by itself; below, nothing it can say lifts it to an even call."""
UPRIGHT = 1.85
"""Logit of the upright head from which a picture does not lie on its side."""
SURE = 3.0
"""The same from which it does not stand on its head either."""
PLAUSIBLE = 1.0
"""How far, in logits, a side may be behind the most upright one and still count."""
CLEARER = 0.5
"""How far, in logits, a turned side has to be ahead of the side as given to count."""
GREYER = 0.4
"""Logits taken off a reading without its colours: harmless pictures look barer so."""
STRIPPED = 0.3
"""Logits added within a border: where it ends is not known to the pixel."""
DOUBT = 0.8
"""Logits taken off what has to be turned where a picture shows several: many chances to look bare by accident."""


class Found(NamedTuple):
    """A reading of one level: the logits of both heads, and open_nsfw's own probability."""

    view: View
    bare: float
    upright: float
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
        """Scores of the worst level, with evidence for every level at or above 0.5: with a box where only a part of the
        picture was looked at, such as one of a collage.

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
            nsfw, nsfl, manner = float(safety.nsfw[at]), float(safety.nsfl[at]), float(art[at])
            gore.append(graphic(nsfl))
            if worst.view.box != WHOLE and worst.bare >= PARTLY:
                alone = image_safety(self._models, [part(level, worst.view.box)])
                nsfw, manner = max(nsfw, float(alone.nsfw[0])), min(manner, float(heads.art(alone.features)[0]))
            nude.append(combine(worst.bare, nsfw))
            detail = {"open_nsfw": f"{worst.share:.2f}", "nsfw": f"{nsfw:.2f}", "medium": medium(manner, nsfw)}
            where = None if worst.view.box == WHOLE else inside(level.rgb, worst.view.box)
            bared.append(Evidence(box=where, frame=level.frame, view=worst.view.name, detail=detail))
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
        firsts = plain(self._models, levels)
        worst = []
        for at, level in enumerate(levels):
            first = whole(level)
            found = self._found(heads, [first], Seen(firsts.shares[at : at + 1], firsts.features[at : at + 1]))
            more = list(islice(further(level, first), MAX_FURTHER))
            if more:
                found += self._found(heads, more, open_nsfw(self._models, [view.square for view in more]))
            # the negative of a photograph looks less like a picture that stands upright than the photograph
            found = [
                item for item in found if item.view.kind != NEGATIVE or item.upright >= found[0].upright - PLAUSIBLE
            ]
            found.sort(key=lambda item: -item.bare)
            wear = Wear.of(level.rgb, np.asarray(level.base)) if found[0].bare >= FLOOR else Wear()
            parts = [item.view.box for item in found if item.view.kind == TILE]
            for place, item in enumerate(found[:MAX_CLOSER]):
                if item.bare >= (OPEN if item.view.kind == TILE else FLOOR):
                    found[place] = self._closer(heads, item, wear, parts)
            worst.append(max(found, key=lambda item: item.bare))
        return worst

    def _found(self, heads: Heads, views: Sequence[View], seen: Seen) -> list[Found]:
        bare, upright = heads.read(seen.features)
        return [
            Found(view, float(bare[at]), float(upright[at]), float(seen.shares[at])) for at, view in enumerate(views)
        ]

    def _closer(self, heads: Heads, first: Found, wear: Wear, parts: Sequence[Box]) -> Found:
        """The mean over a reading and its mirror image, in whichever turn seems upright and barest; if that is still
        open, over both without their colours too, for a net of photographs reads too much into those of a painting. Two
        pictures above each other are not turned together: upright faces in a row look like a body that lies."""
        quarters: tuple[int, ...] = (1, 2, 3) if first.upright < UPRIGHT else ()
        if first.view.kind == TILE and composed(first.view.box, parts):
            quarters = ()
        elif UPRIGHT <= first.upright < SURE and first.bare >= OPEN:
            quarters = (2,)
        sides = [first.view, *turned(first.view, quarters)]
        views = [*sides[1:], *(mirrored(side) for side in sides)]
        seen = self._found(heads, views, open_nsfw(self._models, [view.square for view in views]))
        straight, back = [first, *seen[: len(sides) - 1]], seen[len(sides) - 1 :]
        standing = np.array([(item.upright + other.upright) / 2 for item, other in zip(straight, back, strict=True)])
        mean = np.array([(item.bare + other.bare) / 2 for item, other in zip(straight, back, strict=True)])
        counts = standing >= standing.max() - PLAUSIBLE
        counts[1:] &= standing[1:] > standing[0] + CLEARER
        chosen = int(np.where(counts, mean, -np.inf).argmax()) if counts.any() else 0
        found = straight[chosen]
        bare = float(mean[chosen])
        if bare >= OPEN and not colourless(found.view.square):
            grey = [greyed(found.view), greyed(back[chosen].view)]
            seen = self._found(heads, grey, open_nsfw(self._models, [view.square for view in grey]))
            bare = (2 * bare + seen[0].bare + seen[1].bare - 2 * GREYER) / 4
        bare -= DOUBT if chosen and parts else 0.0
        if found.view.kind != TILE:
            bare += allowance(found.view.square, found.view.side, wear)
            bare += STRIPPED if found.view.kind == BORDER else 0.0
        return found._replace(bare=bare)


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
