"""Periods of the pixels that stand out, by axis: an attack writes to a lattice, whatever size it is made for."""

from __future__ import annotations

import math
from itertools import zip_longest

import cv2
import numpy as np
from numpy.typing import NDArray

from guardrail.vision.hidden.residual import ENERGY, MIDDLE, Grey

_BAND, _STRIP = 32, 4
_TREND, _GROUND = 31, 61
_PEAK, _USUAL, _ALONE = 4.0, 4.0, 3.3
_LONGEST, _SHORTEST = 14.0, 1.25
_LINE, _PARTS, _AROUND, _ALIKE = (64, 12), 3, 10, 1.45
_LEAST, _NEARLY, _FLOOR, _ROWS = 0.25, 0.8, 2.0, 12
_SQUARED = np.square(np.arange(256.0) - MIDDLE).astype(np.float32)
MOST = 6
"""Sizes suggested for an axis."""


def periods(residual: Grey) -> tuple[list[int], list[int]]:
    """Widths and heights that the residual's columns and rows repeat at, at most `MOST` each, the clearest first."""
    height, width = residual.shape
    strength = cv2.LUT(residual, _SQUARED)
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
    # what one band has and the others lack comes first: textures of the picture itself repeat in all of them
    alone = (clear[:-1] / np.maximum(1.0, np.median(clear[:-1], axis=0))).max(axis=0)
    together = np.sqrt(np.maximum(clear * clear - _USUAL, 0).sum(axis=0))
    found = [_peaks(alone, length, _ALONE), _peaks(together, length, _PEAK)]
    return list(dict.fromkeys(count for pair in zip_longest(*found) for count in pair if count))[:MOST]


def _peaks(strength: NDArray[np.float32], length: int, least: float) -> list[int]:
    """Counts of periods at the peaks from `least` on, the highest first."""
    around = np.pad(strength, 1)
    peak = (strength >= least) & (strength >= around[:-2]) & (strength >= around[2:])
    found: dict[int, float] = {}
    for at in np.flatnonzero(peak):
        # beyond half the length a period shows as its mirror image
        for count in (int(at), length - int(at)):
            if length / _LONGEST <= count <= length / _SHORTEST:
                found[count] = max(found.get(count, 0.0), float(strength[at]))
    return sorted(found, key=lambda count: -found[count])


class Rows:
    """Which rows of a residual are read, of a width that is right already."""

    def __init__(self, residual: Grey) -> None:
        self._energy = np.asarray(cv2.LUT(residual, ENERGY), dtype=np.uint8)
        height, width = residual.shape
        self._flat = cv2.resize(self._energy, (width, max(1, height // _STRIP)), interpolation=cv2.INTER_AREA)

    def heights(self, wide: int, nearest: int, *, centred: bool) -> list[int]:
        """Heights whose rows have most that the rows between them lack, at most `_ROWS`, the clearest first.

        Where a window of one line stands out most of the columns between those that are read, some cells show the rows.
        Heights that read the same rows there are as good as each other.

        Args:
            wide: the width.
            nearest: OpenCV's number of the kernel that reads single pixels.
            centred: whether it reads the middle of each cell, not its first pixel.
        """
        height, width = self._energy.shape
        step = width / wide
        aside, tall = max(1, round(step / 2)), max(_STRIP, round(_LINE[1] * step / _PARTS))
        # means over rows first: which columns are read does not depend on them, and there is less to read
        flat = cv2.resize(self._flat, (width, max(1, height // tall)), interpolation=cv2.INTER_AREA)
        here, before, after = (
            cv2.resize(np.roll(flat, by, 1), (wide, len(flat)), interpolation=nearest) for by in (0, aside, -aside)
        )
        alone = cv2.subtract(here, cv2.max(before, after), dtype=cv2.CV_32F)
        clear = cv2.blur(alone, (min(_LINE[0], wide), _PARTS))
        row, column = np.unravel_index(int(np.argmax(clear)), clear.shape)
        middle = (int(row) + 0.5) * height / len(flat)
        top, bottom = max(0, round(middle - _AROUND * step)), min(height, round(middle + _AROUND * step))
        read = cv2.resize(self._energy[top:bottom], (wide, bottom - top), interpolation=nearest)
        line = read[:, max(0, int(column) - _LINE[0] // 2) : int(column) + _LINE[0] // 2].mean(axis=1)
        most = min(height / _SHORTEST, height / step * _ALIKE)
        counts = np.arange(math.ceil(height / step / _ALIKE), most, dtype=int)
        score = _standing(line, top, height / counts[:, None], centred=centred)
        order = np.argsort(-score)[:_ROWS]
        return [int(counts[at]) for at in order if score[at] >= max(_LEAST, _NEARLY * float(score.max()))]


def _standing(line: NDArray[np.float64], top: int, steps: NDArray[np.float64], *, centred: bool) -> NDArray[np.float64]:
    """Share of a profile's energy that is gone half a step before and after the cells, for each of (n, 1) steps."""
    cells = np.ceil(top / steps) + np.arange(int(len(line) / steps.min(initial=np.inf)))
    at = np.floor((cells + 0.5) * steps if centred else cells * steps).astype(int) - top
    inside = (at >= 0) & (at < len(line))
    half = np.maximum(1, np.round(steps / 2)).astype(int)

    def mean(places: NDArray[np.int64]) -> NDArray[np.float64]:
        values = np.where(inside, line[np.clip(places, 0, len(line) - 1)], 0.0)
        return np.asarray(values.sum(axis=1) / np.maximum(1, inside.sum(axis=1)))

    here, near = mean(at), np.maximum(mean(at - half), mean(at + half))
    return (here - near) / (here + _FLOOR)
