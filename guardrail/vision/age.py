"""How old a face looks: a ResNet-10 over 81 ages, read with caution. It tightens, and never clears anybody."""

from __future__ import annotations

import math

import numpy as np

from guardrail.detector import ModelProvider
from guardrail.errors import DetectionError
from guardrail.signals import RGB
from guardrail.vision.align import AGE_POINTS, AGE_SIDE, chip
from guardrail.vision.detect import Face
from guardrail.vision.nets import Tensor, probabilities

AGE = "age-resnet10"
AGE_EVEN = 20.0
"""Apparent years that are an even call: two above the age that matters, since the net errs by years."""
AGE_SPREAD = 3.6
"""Years per logit: 25 apparent years become 0.2."""
LEAST_AGE_SIDE = 20.0
"""Pixels of a face's box below which an apparent age is noise."""
CLEARLY_GROWN = 34.0
"""Apparent years at the first look beyond which further crops were never seen to come out below 25."""
ZOOMS = (0.9, 1.12)
"""Further crops, as the size of the face in them: a face looks younger in some of them than in others."""
LOW = 0.25
"""The share of crops that may look younger still than the age that is told."""

_AGE_MEAN = np.array([122.782, 117.001, 104.298], dtype=np.float32)
_AGES = np.arange(81, dtype=np.float32)


def youth(years: float) -> float:
    """Score in [0, 1] for an apparent age: 0.5 at 20, 0.2 at 25, above 0.5 below 20."""
    return 1 / (1 + math.exp((years - AGE_EVEN) / AGE_SPREAD))


def age_input(rgb: RGB, face: Face, zoom: float = 1.0) -> Tensor:
    """(2, 3, 64, 64) float32 of the aligned face, `zoom` times as large as it is usually cut, and its mirror image."""
    middle = np.float32(AGE_SIDE / 2)
    template = (AGE_POINTS - middle) * np.float32(zoom) + middle
    upright = chip(rgb, face.points, template, AGE_SIDE).astype(np.float32)
    scaled = ((upright - _AGE_MEAN) / np.float32(256)).transpose(2, 0, 1)
    return np.ascontiguousarray(np.stack([scaled, scaled[:, :, ::-1]]))


def apparent_age(models: ModelProvider, rgb: RGB, face: Face) -> float:
    """Years the face looks, on the young side: the lower of both flips, and over three crops their lower quartile.

    The further crops are taken unless the first looks far beyond any age that matters. Never validated on minors, and
    never evidence that somebody is an adult.

    Raises:
        DetectionError: the net failed, or returned what is not a distribution over ages.
    """
    first = _expected(models, age_input(rgb, face))
    if first.min() >= CLEARLY_GROWN:
        return float(first.min())
    more = [_expected(models, age_input(rgb, face, zoom)) for zoom in ZOOMS]
    return float(min(first.min(), np.quantile(np.concatenate([first, *more]), LOW)))


def _expected(models: ModelProvider, batch: Tensor) -> Tensor:
    shares = probabilities(models.session(AGE), AGE, {"images": batch}, len(_AGES))
    if np.abs(shares.sum(axis=1) - 1).max() > 1e-2:
        raise DetectionError("the age net returned shares that do not add up")
    years: Tensor = shares @ _AGES
    return years
