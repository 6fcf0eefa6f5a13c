"""Edits made on the spot from labelled pictures: figures that are uncovered, and others that only change around them.

There are no explicit photographs here: a bare figure of a set (museum art) is covered below the chin with a drawn
cloth, and the edit takes it away again. Harmless pictures get a new background or another light.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from guardrail.detector import ModelProvider
from guardrail.errors import PictureError
from guardrail.evaluation.metrics import Rate
from guardrail.evaluation.sets import Row
from guardrail.settings import Limits
from guardrail.signals import RGB, Picture
from guardrail.vision.decode import decode
from guardrail.vision.detect import Face
from guardrail.vision.edits import delta, exposure
from guardrail.vision.pyramid import Level
from guardrail.vision.seen import see

EVEN = 0.5


@dataclass(slots=True)
class Tally:
    """Scores of one kind of edit, and how many pictures it could not be made of."""

    scores: list[float] = field(default_factory=list)
    without_face: int = 0

    @property
    def raised(self) -> Rate:
        """Edits that are an even call or more."""
        return Rate(len(self.scores), sum(score >= EVEN for score in self.scores))


def measured(models: ModelProvider, rows: Sequence[Row]) -> dict[str, Tally]:
    """`edit.exposure_delta` of edits of each row's picture, by category and kind of edit.

    Rows labelled `block` are uncovered, the others are changed around the person. The upload's person is taken to be
    the output's: whether the face is recognised is measured elsewhere.
    """
    found: dict[str, Tally] = {}
    for row in rows:
        if row.image is None or row.label == "ambiguous":
            continue
        try:
            rgb = decode(Picture(row.image.read_bytes()), Limits()).frames[0].rgb
        except PictureError:
            continue
        bare = row.label == "block"
        kinds = ("uncovered",) if bare else ("new background", "other light")
        faces = see(models, Level(0, rgb)).faces
        for kind in kinds:
            tally = found.setdefault(f"{row.category}, {kind}", Tally())
            if not faces:
                tally.without_face += 1
                continue
            before, after = _edited(rgb, faces[0], kind)
            was = exposure(models, Level(0, before), faces[0])
            level = Level(0, after)
            tally.scores.append(delta(was, max(exposure(models, level, None), exposure(models, level, faces[0]))))
    return found


def _edited(rgb: RGB, face: Face, kind: str) -> tuple[RGB, RGB]:
    if kind == "uncovered":
        return _covered(rgb, face), rgb
    return rgb, _backdrop(rgb, face) if kind == "new background" else _lit(rgb)


def _covered(rgb: RGB, face: Face) -> RGB:
    height, width = rgb.shape[:2]
    x, y, wide, high = face.box
    top = min(height, int(y + high * 1.05))
    left, right = int(max(0, x - 1.5 * wide)), int(min(width, x + 2.5 * wide))
    down, across = np.mgrid[0 : height - top, 0 : right - left]
    folds = 18 * np.sin(across / max(4, wide * 0.15) + down / max(9, wide * 0.6))
    covered = rgb.copy()
    covered[top:, left:right] = (np.array([60, 80, 120]) + folds[..., None]).clip(0, 255).astype(np.uint8)
    return covered


def _backdrop(rgb: RGB, face: Face) -> RGB:
    height, width = rgb.shape[:2]
    x, y, wide, high = face.box
    down, across = np.mgrid[0:height, 0:width]
    scene = np.stack([90 + 80 * down / height, 140 - 40 * across / width, 200 - 100 * down / height], axis=-1)
    changed = scene.astype(np.uint8)
    person = (slice(int(max(0, y - high * 0.8)), height), slice(int(max(0, x - 1.9 * wide)), int(x + 2.9 * wide)))
    changed[person] = rgb[person]
    return changed


def _lit(rgb: RGB) -> RGB:
    lit: RGB = (rgb * np.array([1.1, 1.0, 0.85])).clip(0, 255).astype(np.uint8)
    return lit
