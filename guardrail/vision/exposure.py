"""The two nets that look at whole pictures, each with the preparation it was trained with.

Sources: Yahoo's open_nsfw (caffe reference preprocessing: 256 x 256, JPEG, centre 224, BGR minus mean) and
image-safety-classifier-s (blur-padded square of 224, RGB 0 to 255, no mean).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFilter

from guardrail.detector import ModelProvider
from guardrail.vision.nets import Tensor, probabilities
from guardrail.vision.pyramid import Level, tensor

OPEN_NSFW = "open-nsfw"
IMAGE_SAFETY = "image-safety-s"
BATCH = 8
"""Levels in one run: bounds memory for long animations."""

_MEAN_BGR = np.array([104.0, 117.0, 123.0], dtype=np.float32)
_INNER = 224
_OUTER = 256


class Look(NamedTuple):
    """What the nets say of one level: probabilities in [0, 1].

    Attributes:
        open_nsfw: "not safe for work" by open_nsfw.
        nsfw: "NSFW" by image-safety-s.
        nsfl: "NSFL", gore and its like, by image-safety-s.
    """

    open_nsfw: float
    nsfw: float
    nsfl: float


def open_nsfw_input(level: Level) -> Tensor:
    """(224, 224, 3) float32 BGR minus the mean, after the JPEG round trip the net was trained behind."""
    edge = (_OUTER - _INNER) // 2
    square = level.sized(_OUTER, _OUTER, Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    square.crop((edge, edge, edge + _INNER, edge + _INNER)).save(buffer, "JPEG")
    with Image.open(buffer, formats=["JPEG"]) as again:
        return np.ascontiguousarray(tensor(again)[:, :, ::-1] - _MEAN_BGR)


def image_safety_input(level: Level) -> Tensor:
    """(3, 224, 224) float32 RGB 0 to 255: the picture whole, on a blurred copy of itself."""
    width, height = level.base.size
    scale = _INNER / max(width, height)
    inside = max(1, min(_INNER, round(width * scale))), max(1, min(_INNER, round(height * scale)))
    whole = level.sized(*inside, Image.Resampling.LANCZOS)
    if inside == (_INNER, _INNER):
        return np.ascontiguousarray(tensor(whole).transpose(2, 0, 1))
    square = level.sized(_INNER, _INNER, Image.Resampling.LANCZOS).filter(ImageFilter.GaussianBlur(10))
    square.paste(whole, ((_INNER - inside[0]) // 2, (_INNER - inside[1]) // 2))
    return np.ascontiguousarray(tensor(square).transpose(2, 0, 1))


def look(models: ModelProvider, seen: Sequence[Level]) -> list[Look]:
    """Both nets on every level.

    Raises:
        DetectionError: a net failed or returned what is not a probability.
        ModelError: weights are missing or changed.
    """
    first, second = models.session(OPEN_NSFW), models.session(IMAGE_SAFETY)
    found: list[Look] = []
    for start in range(0, len(seen), BATCH):
        part = seen[start : start + BATCH]
        yahoo = probabilities(first, OPEN_NSFW, {"input:0": np.stack([open_nsfw_input(level) for level in part])}, 2)
        safety = probabilities(
            second, IMAGE_SAFETY, {"image": np.stack([image_safety_input(level) for level in part])}, 3
        )
        found += [Look(float(a[1]), float(b[1]), float(b[0])) for a, b in zip(yahoo, safety, strict=True)]
    return found
