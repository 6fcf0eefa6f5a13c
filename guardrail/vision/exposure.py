"""The two nets that look at whole pictures, each with the preparation it was trained with.

Sources: Yahoo's open_nsfw (caffe reference preprocessing: 256 x 256, JPEG, centre 224, BGR minus mean) and
image-safety-classifier-s (blur-padded square of 224, RGB 0 to 255, no mean).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFilter

from guardrail.detector import ModelProvider
from guardrail.errors import DetectionError
from guardrail.signals import RGB
from guardrail.vision.nets import Tensor, checked, run
from guardrail.vision.pyramid import Level, tensor

OPEN_NSFW = "open-nsfw"
IMAGE_SAFETY = "image-safety-s"
FEATURES = 1024
"""Numbers that open_nsfw's last layer reads."""
SAFETY_FEATURES = 224
"""Numbers that the last layer of image-safety-s reads."""
BATCH = 8
"""Pictures in one run: bounds memory for long animations."""

_MEAN_BGR = np.array([104.0, 117.0, 123.0], dtype=np.float32)
_INNER = 224
_OUTER = 256


class Safety(NamedTuple):
    """What image-safety-s says of some pictures.

    Attributes:
        nsfw, nsfl: probabilities (n,) of "NSFW", and of "NSFL", gore and its like.
        features: (n, SAFETY_FEATURES).
    """

    nsfw: Tensor
    nsfl: Tensor
    features: Tensor


class Seen(NamedTuple):
    """What open_nsfw says of some squares: probabilities (n,) of "not safe for work", and features (n, FEATURES)."""

    shares: Tensor
    features: Tensor


def open_nsfw_input(square: RGB) -> Tensor:
    """(224, 224, 3) float32 BGR minus the mean, after the JPEG round trip the net was trained behind.

    Args:
        square: (256, 256, 3), the whole picture.
    """
    edge = (_OUTER - _INNER) // 2
    inner = np.ascontiguousarray(square[edge : edge + _INNER, edge : edge + _INNER])
    buffer = io.BytesIO()
    Image.fromarray(inner).save(buffer, "JPEG")
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


def open_nsfw(models: ModelProvider, squares: Sequence[RGB]) -> Seen:
    """open_nsfw on every square.

    Raises:
        DetectionError: the net failed or returned what is not a probability.
        ModelError: weights are missing or changed.
    """
    found = _both(models, OPEN_NSFW, "input:0", [open_nsfw_input(square) for square in squares], (2, FEATURES))
    return Seen(found[0][:, 1], found[1])


def image_safety(models: ModelProvider, seen: Sequence[Level]) -> Safety:
    """image-safety-s on every level that it has not looked at yet. Raises as `open_nsfw`."""

    def look(levels: Sequence[Level]) -> Safety:
        prepared = [image_safety_input(level) for level in levels]
        shares, features = _both(models, IMAGE_SAFETY, "image", prepared, (3, SAFETY_FEATURES))
        return Safety(shares[:, 1], shares[:, 0], features)

    return Safety(*kept(IMAGE_SAFETY, seen, look))


def kept(name: str, levels: Sequence[Level], look: Callable[[Sequence[Level]], Sequence[Tensor]]) -> list[Tensor]:
    """Rows that a net gave for every level, asked only for those that it has not seen: detectors share them."""
    fresh = [level for level in levels if name not in level.looks]
    if fresh:
        for level, *rows in zip(fresh, *look(fresh), strict=True):
            level.looks[name] = tuple(rows)
    return [np.stack(rows) for rows in zip(*(level.looks[name] for level in levels), strict=True)]


def _both(
    models: ModelProvider, name: str, entry: str, prepared: Sequence[Tensor], sizes: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Probabilities and features of a net, (n, sizes[0]) and (n, sizes[1])."""
    session = models.session(name)
    shares, features = [], []
    for start in range(0, len(prepared), BATCH):
        part = np.stack(prepared[start : start + BATCH])
        outputs = run(session, name, {entry: part})
        shares.append(checked(outputs[0], name, len(part), sizes[0]))
        if len(outputs) < 2 or outputs[1].size != len(part) * sizes[1]:
            raise DetectionError(f"{name} returned no {sizes[1]} features a picture")
        features.append(outputs[1].reshape(len(part), sizes[1]))
    return np.concatenate(shares), np.concatenate(features)
