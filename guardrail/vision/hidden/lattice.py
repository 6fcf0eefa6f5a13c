"""Periods of the pixels that stand out, by axis: an attack writes to a lattice, whatever size it is made for."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from guardrail.vision.hidden.residual import MIDDLE, Grey

_BAND = 32
_TREND, _GROUND = 31, 61
_PEAK, _USUAL = 4.0, 4.0
_LONGEST, _SHORTEST = 14.0, 1.25
MOST = 6
"""Sizes suggested for an axis."""


def periods(residual: Grey) -> tuple[list[int], list[int]]:
    """Widths and heights that the residual's columns and rows repeat at, at most `MOST` each, the clearest first."""
    height, width = residual.shape
    strength = cv2.absdiff(residual, float(MIDDLE)).astype(np.float32)
    strength *= strength
    rows = cv2.resize(strength, (width, max(1, height // _BAND)), interpolation=cv2.INTER_AREA)
    columns = cv2.resize(strength, (max(1, width // _BAND), height), interpolation=cv2.INTER_AREA)
    return counts(rows), counts(columns.T)


def counts(bands: NDArray[np.float32]) -> list[int]:
    """Likely counts of periods along the rows of (bands, length), at most `MOST`, the clearest first.

    Bands are looked at alone, for a payload may fill one or two.
    """
    length = bands.shape[1]
    bands = np.vstack([bands, bands.mean(axis=0, keepdims=True)])
    bands = (bands - cv2.blur(bands, (_TREND, 1))) * np.hanning(length).astype(np.float32)
    power = np.abs(np.fft.rfft(bands, axis=1)).astype(np.float32)
    clear = power / (cv2.blur(power, (_GROUND, 1)) + 1e-3)
    best = np.sqrt(np.maximum(clear * clear - _USUAL, 0).sum(axis=0))
    first, last = int(length / _LONGEST), int(length / _SHORTEST)
    # beyond half the length a period shows as its mirror image
    found: dict[int, float] = {}
    for at in range(max(1, first), len(best) - 1):
        if best[at] >= _PEAK and best[at] >= best[at - 1] and best[at] >= best[at + 1]:
            for count in (at, length - at):
                if first <= count <= last:
                    found[count] = max(found.get(count, 0.0), float(best[at]))
    return sorted(found, key=lambda count: -found[count])[:MOST]
