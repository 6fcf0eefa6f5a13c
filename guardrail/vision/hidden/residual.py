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
    levels = strongest(rgb).astype(np.float32)
    power = cv2.resize(levels * levels, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    spread = np.sqrt(np.maximum(cv2.blur(power, (_AROUND, _AROUND)), 0.0))
    spread = cv2.resize(spread, (levels.shape[1], levels.shape[0]), interpolation=cv2.INTER_LINEAR)
    weight = cv2.min(cv2.absdiff(levels, 0.0), _FAINT) * (_STEP / _FAINT)
    found = cv2.divide(cv2.multiply(levels, weight), cv2.add(spread, _FLOOR))
    return np.asarray(cv2.add(found, float(MIDDLE), dtype=cv2.CV_8U), dtype=np.uint8)


def strongest(rgb: RGB) -> NDArray[np.int16]:
    """(height, width) difference of each pixel from the mean around it, in the channel where it is largest."""
    best: NDArray[np.int16] | None = None
    for channel in cv2.split(np.ascontiguousarray(rgb)):
        other = cv2.subtract(channel, cv2.blur(channel, (_AROUND, _AROUND)), dtype=cv2.CV_16S)
        if best is None:
            best = other
        else:
            larger = cv2.compare(cv2.absdiff(other, 0), cv2.absdiff(best, 0), cv2.CMP_GT)
            cv2.copyTo(other, larger, best)
    assert best is not None
    return best
