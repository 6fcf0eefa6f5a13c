"""Text over other text: the darkest and the lightest ink of a picture, each alone.

Who writes across a caption or a page that is already full seldom hits its ink. Of the letters that stand over one
another a network reads neither, but alone each layer is plain.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from guardrail.signals import RGB
from guardrail.vision.hidden.residual import Grey
from guardrail.vision.ocr.boxes import TextBox

SAME = 0.9
"""Correlation from which a layer shows in a box what the picture shows there."""
_INK, _BIN, _FEW = 24, 4, 1.5
_LEAST_DEPTH, _DEPTH, _SOFT = 12, 64, 128


def inks(rgb: RGB) -> Iterator[Grey]:
    """Layers of a picture (height, width, 3): dark letters on light ground, then light letters on dark ground."""
    red, green, blue = cv2.split(rgb)
    yield _layer(np.asarray(cv2.max(cv2.max(red, green), blue), dtype=np.uint8), dark=True)
    yield _layer(np.asarray(cv2.min(cv2.min(red, green), blue), dtype=np.uint8), dark=False)


def _layer(levels: Grey, *, dark: bool) -> Grey:
    """What is within reach of the darkest or lightest level, stretched; the reach ends where few pixels lie.

    Beside such ink, soft edges are kept too: thin letters are hardly more than edges.
    """
    counts = cv2.calcHist([levels], [0], None, [256], [0, 256]).ravel()
    counts = counts if dark else counts[::-1]
    first = int(np.searchsorted(np.cumsum(counts), _INK))
    reach = _reach(counts[first:])
    steps = np.arange(256) - first if dark else np.arange(255, -1, -1) - first
    beside = cv2.dilate(cv2.LUT(levels, np.where(steps < reach, 255, 0).astype(np.uint8)), np.ones((3, 3), np.uint8))
    soft = cv2.LUT(levels, np.clip(steps * (255 / max(_SOFT, reach)), 0, 255).astype(np.uint8))
    layer = cv2.bitwise_or(soft, cv2.bitwise_not(beside))
    return np.asarray(layer if dark else cv2.bitwise_not(layer), dtype=np.uint8)


def _reach(counts: NDArray[np.float32]) -> int:
    """Levels up to the farthest of the emptiest, by counts of pixels from the first level on."""
    bins = counts[: _DEPTH + _BIN]
    bins = np.add.reduceat(bins, np.arange(0, len(bins), _BIN))
    start = _LEAST_DEPTH // _BIN
    if len(bins) <= start:
        return _LEAST_DEPTH
    few = np.flatnonzero(bins[start:] <= _FEW * bins[start:].min() + _INK)
    return _BIN * (start + int(few[-1])) + _BIN // 2


def alike(box: TextBox, grey: Grey, layer: Grey) -> bool:
    """Whether a layer shows in a box just what the picture shows there."""
    wide, high = box.level
    left, right = (max(0, round(box.centre[0] + side * wide / 2)) for side in (-1, 1))
    top, bottom = (max(0, round(box.centre[1] + side * high / 2)) for side in (-1, 1))
    first, second = (item[top:bottom, left:right] for item in (grey, layer))
    if min(first.shape) < 2:
        return True
    found = cv2.matchTemplate(first, second, cv2.TM_CCOEFF_NORMED)[0, 0]
    return bool(found > SAME)
