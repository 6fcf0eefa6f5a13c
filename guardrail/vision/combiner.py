"""What is read out of the nets: whether a body is bare, which side of the picture is up, and what it is made of.

Linear heads read the nets' last features: two those of open_nsfw, one those of image-safety-s. They were trained on
drawn figures and lawful pictures only (models/training/fit_nudity.py). The first starts from the net's own last layer
and is held close to it, so that what the net knows of photographs stays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from guardrail.detector import ModelProvider
from guardrail.errors import ModelIntegrityError
from guardrail.vision.exposure import FEATURES, OPEN_NSFW, SAFETY_FEATURES, Seen, image_safety, kept, open_nsfw
from guardrail.vision.nets import Tensor
from guardrail.vision.pyramid import Level
from guardrail.vision.views import whole

NUDITY_HEADS = "nudity-heads"

SAFETY_ORDINARY = 0.0406
"""Median of image-safety-s over benign pictures, below which the net sees nothing: models/training/fit_nudity.py."""
SAFETY_SHARE = 0.1
"""Logits of score per logit of image-safety-s above ordinary. Small: the net takes clothed women for bare ones."""
SAFETY_PHOTO = 0.35
"""NSFW from which image-safety-s, a net of photographs and porn, takes a picture out of the realm of art."""
ODDS = 1.7
"""Logits taken off for bare pictures being rarer than in training, where every other one was."""
GRAPHIC_HIGH = 0.85
"""NSFL that is an even call for gore."""
GRAPHIC_SLOPE = 0.59
"""Logits of score per logit of NSFL: 0.35 becomes 0.2."""
PHOTO, ART = "photo", "art"
SHAPES = {"bare": (FEATURES,), "upright": (FEATURES,), "art": (SAFETY_FEATURES,), "bias": (3,)}
"""What the file of the heads holds."""


def logit(share: float) -> float:
    """Of a share, kept finite."""
    share = min(max(share, 1e-6), 1 - 1e-6)
    return math.log(share / (1 - share))


def logistic(value: float) -> float:
    """The inverse of `logit`."""
    return 1 / (1 + math.exp(-max(min(value, 40.0), -40.0)))


def combine(bare: float, nsfw: float) -> float:
    """One score for nudity in [0, 1]; rises with both.

    Args:
        bare: logit of the head.
        nsfw: probability by image-safety-s.
    """
    return logistic(bare - ODDS + SAFETY_SHARE * max(0.0, logit(nsfw) - logit(SAFETY_ORDINARY)))


def graphic(nsfl: float) -> float:
    """Score for gore from one net's NSFL: 0.85 becomes 0.5, 0.35 becomes 0.2."""
    return logistic(GRAPHIC_SLOPE * (logit(nsfl) - logit(GRAPHIC_HIGH)))


class Read(NamedTuple):
    """Logits of the heads over some squares, (n,) each: a body is bare, this side is up."""

    bare: Tensor
    upright: Tensor


class Heads:
    """The shipped heads.

    Raises:
        ModelError: the file is missing, another, or not what it should be.
    """

    def __init__(self, models: ModelProvider) -> None:
        try:
            with np.load(models.file(NUDITY_HEADS), allow_pickle=False) as stored:
                read = {name: np.asarray(stored[name], dtype=np.float32) for name in SHAPES}
        except (OSError, ValueError, KeyError) as error:
            raise ModelIntegrityError(f"{NUDITY_HEADS} does not load ({type(error).__name__})") from error
        for name, shape in SHAPES.items():
            if read[name].shape != shape or not np.isfinite(read[name]).all():
                raise ModelIntegrityError(f"{NUDITY_HEADS} holds other heads than expected")
        self._kept = read

    def read(self, features: Tensor) -> Read:
        """Over (n, FEATURES) features of open_nsfw; the second head reads their logarithms."""
        logarithms = np.log1p(features.clip(0))
        return Read(
            features @ self._kept["bare"] + self._kept["bias"][0],
            logarithms @ self._kept["upright"] + self._kept["bias"][1],
        )

    def art(self, features: Tensor) -> Tensor:
        """Logits (n,) for art over (n, SAFETY_FEATURES) features of image-safety-s."""
        return np.asarray(features @ self._kept["art"] + self._kept["bias"][2])


def medium(art: float, nsfw: float) -> str:
    """`ART` when the head says so and image-safety-s sees no photograph of nudity; `PHOTO` whenever unsure."""
    return ART if art > 0 and nsfw < SAFETY_PHOTO else PHOTO


def plain(models: ModelProvider, levels: Sequence[Level]) -> Seen:
    """open_nsfw on every level as it is, once for all detectors.

    Raises:
        DetectionError: the net failed or returned what is not a probability.
        ModelError: weights are missing or changed.
    """
    return Seen(*kept(OPEN_NSFW, levels, lambda fresh: open_nsfw(models, [whole(level).square for level in fresh])))


def one_look(models: ModelProvider, level: Level, least: float = 0.0) -> float:
    """The larger of `least` and the score of a picture, in [0, 1], after one run of each net on it as it is.

    The second net is left out where nothing it can say would lift the score above `least`.

    Raises:
        DetectionError: a net failed or returned what is not a probability.
        ModelError: weights are missing or changed.
    """
    bare = float(Heads(models).read(plain(models, [level]).features).bare[0])
    if combine(bare, 1.0) <= least:
        return least
    return max(least, combine(bare, float(image_safety(models, [level]).nsfw[0])))
