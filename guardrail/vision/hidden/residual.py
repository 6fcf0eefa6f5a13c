"""What stands out of its surroundings, pixel by pixel: the ground for finding payloads that few pixels carry."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from guardrail.signals import RGB

Grey = NDArray[np.uint8]
_AROUND = 5
_FLOOR, _FAINT = 3.0, 8.0
_STEP = 24.0
_FINENESS = 31.0
"""Steps of a gain of one, so that the largest fits in a byte."""
_LEVELS = np.arange(256.0)
_WEIGHTED = (_LEVELS * np.minimum(_LEVELS, _FAINT) / _FAINT).round().astype(np.uint8)
_SQUARED = np.square(_LEVELS).astype(np.float32)
_ACROSS, _DOWN = np.ones((1, 3), np.uint8), np.ones((3, 1), np.uint8)
MIDDLE = 128
"""The level of a residual of nothing."""
_CAP = 40
ENERGY = (np.minimum(np.abs(np.arange(256.0) - MIDDLE), _CAP) ** 2 * (255 / _CAP**2)).round().astype(np.uint8)
"""Of each level of a residual, its square up to a cap, 0 to 255: a table for `cv2.LUT`."""


def residual(rgb: RGB) -> Grey:
    """(height, width) residual against the mean of 5 x 5 pixels, in units of its own local spread.

    128 is nothing, 24 levels are one spread. Each pixel speaks for the channel in which it differs most, so that a
    payload in one channel counts as much as a grey one. Differences under 8 levels count less: they carry no text.
    """
    above, below = strongest(rgb)
    most = cv2.max(above, below)
    power = cv2.resize(cv2.LUT(most, _SQUARED), None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    spread = np.sqrt(np.maximum(cv2.blur(power, (_AROUND, _AROUND)), 0.0)) + _FLOOR
    gain = cv2.convertScaleAbs(_STEP * _FINENESS / spread)
    gain = cv2.resize(gain, (most.shape[1], most.shape[0]), interpolation=cv2.INTER_LINEAR)
    found = cv2.multiply(cv2.LUT(most, _WEIGHTED), gain, scale=1 / _FINENESS)
    # 255 - (127 + x) is 128 - x
    signed = cv2.bitwise_not(cv2.add(found, float(255 - MIDDLE)))
    cv2.copyTo(cv2.add(found, float(MIDDLE)), cv2.compare(above, below, cv2.CMP_GE), signed)
    return np.asarray(signed, dtype=np.uint8)


def strokes(found: Grey) -> Grey:
    """Of a residual what goes on to both sides of a pixel, or above and below it, as pen strokes, edges and grain do.

    Pixels of a payload stand alone or in squares of four.
    """
    more, less = cv2.subtract(found, float(MIDDLE)), cv2.subtract(float(MIDDLE), found)
    on = [cv2.max(cv2.erode(item, _ACROSS), cv2.erode(item, _DOWN)) for item in (more, less)]
    return np.asarray(cv2.subtract(cv2.add(on[0], float(MIDDLE)), on[1]), dtype=np.uint8)


def strongest(rgb: RGB) -> tuple[Grey, Grey]:
    """(height, width) how far each pixel is above the mean around it, and below, in the channels where it is most."""
    above: Grey | None = None
    below: Grey | None = None
    for channel in cv2.split(np.ascontiguousarray(rgb)):
        mean = cv2.blur(channel, (_AROUND, _AROUND))
        more, less = (np.asarray(cv2.subtract(*pair), dtype=np.uint8) for pair in ((channel, mean), (mean, channel)))
        above = more if above is None else np.asarray(cv2.max(above, more), dtype=np.uint8)
        below = less if below is None else np.asarray(cv2.max(below, less), dtype=np.uint8)
    assert above is not None
    assert below is not None
    return above, below
