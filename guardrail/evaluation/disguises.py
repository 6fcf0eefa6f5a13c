"""What callers do to a picture so that a net no longer knows it, as plain functions over RGB pixels."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np
from PIL import Image

from guardrail.signals import RGB

TILE = 384
"""Longest side of a part of a collage, in pixels."""
BORDER = 0.10

Disguise = Callable[[RGB], RGB]


def _jpeg(rgb: RGB) -> RGB:
    data = io.BytesIO()
    Image.fromarray(rgb).save(data, "JPEG", quality=40)
    with Image.open(data, formats=["JPEG"]) as again:
        return np.asarray(again.convert("RGB"))


def _grey(rgb: RGB) -> RGB:
    return np.repeat(np.asarray(Image.fromarray(rgb).convert("L"))[..., None], 3, axis=2)


def _half(rgb: RGB) -> RGB:
    height, width = rgb.shape[:2]
    size = max(1, width // 2), max(1, height // 2)
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _bordered(rgb: RGB, level: int) -> RGB:
    high, wide = (max(1, round(side * BORDER)) for side in rgb.shape[:2])
    return np.pad(rgb, ((high, high), (wide, wide), (0, 0)), constant_values=level)


def _black_bordered(rgb: RGB) -> RGB:
    return _bordered(rgb, 0)


def _white_bordered(rgb: RGB) -> RGB:
    return _bordered(rgb, 255)


DISGUISES: Mapping[str, Disguise] = {
    "mirror": lambda rgb: rgb[:, ::-1].copy(),
    "rotate 90": lambda rgb: np.rot90(rgb).copy(),
    "rotate 180": lambda rgb: np.rot90(rgb, 2).copy(),
    "rotate 270": lambda rgb: np.rot90(rgb, 3).copy(),
    "grey": _grey,
    "negative": lambda rgb: 255 - rgb,
    "jpeg q40": _jpeg,
    "half size": _half,
    "black border": _black_bordered,
    "white border": _white_bordered,
}
"""Name -> what is done; each border is a tenth of the side, on every side."""


def collage(parts: Sequence[RGB]) -> RGB:
    """2 x 2 pictures of the same size and shape as the first, at most `TILE` pixels a side each.

    Args:
        parts: four pictures of any size, row by row.
    """
    height, width = parts[0].shape[:2]
    scale = min(1.0, TILE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    tiles = [np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), dtype=np.uint8) for part in parts]
    return np.concatenate([np.concatenate(tiles[at : at + 2], axis=1) for at in (0, 2)])
