"""What was added to a picture that had been a JPEG: it stands off the lattice of the JPEG's coefficients.

Each coefficient of a decoded JPEG is a multiple of its step. Who writes into such a picture and saves it without loss
leaves steps unmet wherever ink lies, however faint: what is off the lattice is the ink, without the picture beneath.
The quality is found as by J. Lukas and J. Fridrich ("Estimation of primary quantization matrix in double compressed
JPEG images", 2003), among the tables that libjpeg has.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from guardrail.signals import RGB
from guardrail.vision.hidden.residual import Grey

Field = NDArray[np.float32]

_BLOCK, _SAMPLES, _STRIP = 8, 400, 32
_QUALITIES = range(40, 97)
_TOLD, _LEAST_STEP, _MOST_STEP, _BEYOND, _LEAST_TOLD = 12, 2.0, 40.0, 0.6, 100
"""Coefficients that tell the quality, the first ones off the mean; steps that tell it; and how many must."""
_LIKELY = 0.4
_OFF, _CLIPPED, _LEAST_OFF, _MOST_OFF = 0.6, 1.2, 12, 0.6
"""Spread off the lattice, in levels, that rounding and clipping do not leave, and how many blocks may have it."""
_AROUND, _LEAST_SPREAD, _STRONGEST, _GAIN = 61, 0.5, 3.0, 42.0
_CLOSE, _DENSE = (9, 5), 0.2
_ROUNDS, _MOST_INK = 30, 8.0
_LUMA = (0.299, 0.587, 0.114)
_STEPS = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
"""Table K.1 of ITU-T T.81."""
_LETTERS = 4.8 * np.array(
    [
        [6.8, 3.5, 2.8, 1.8, 1.1, 0.8, 0.7, 0.6],
        [3.0, 2.1, 1.5, 1.0, 0.7, 0.5, 0.4, 0.3],
        [2.1, 1.4, 1.1, 0.7, 0.5, 0.4, 0.4, 0.3],
        [1.5, 0.9, 0.7, 0.6, 0.4, 0.3, 0.3, 0.2],
        [1.0, 0.6, 0.5, 0.4, 0.3, 0.3, 0.2, 0.2],
        [0.6, 0.4, 0.4, 0.3, 0.3, 0.2, 0.2, 0.2],
        [0.5, 0.4, 0.3, 0.2, 0.2, 0.2, 0.2, 0.2],
        [0.6, 0.4, 0.3, 0.2, 0.2, 0.1, 0.1, 0.2],
    ]
)
"""What faint letters of 20 to 50 pixels an em add to coefficients: 99 of 100 less than this."""


def _cosines() -> Field:
    order, place = np.mgrid[0:_BLOCK, 0:_BLOCK]
    waves = np.cos((2 * place + 1) * order * np.pi / (2 * _BLOCK)) * np.sqrt(2 / _BLOCK)
    waves[0] /= np.sqrt(2)
    return np.asarray(waves, np.float32)


def _table(quality: int) -> Field:
    """Steps of the luma coefficients (8, 8) as libjpeg scales them."""
    share = 5000 // quality if quality < 50 else 200 - 2 * quality
    return np.asarray(np.clip((_STEPS * share + 50) // 100, 1, 255), np.float32)


_WAVES = _cosines()
_TABLES = np.stack([_table(quality) for quality in _QUALITIES])
_FIRST = np.argsort(np.add.outer(np.arange(_BLOCK), np.arange(_BLOCK)).ravel(), kind="stable")[1 : _TOLD + 1]


@dataclass(frozen=True, slots=True)
class Added:
    """A picture of whole blocks, the steps (8, 8) of its coefficients, and which blocks (rows, columns) are off."""

    rgb: RGB
    steps: Field
    off: NDArray[np.bool_]

    def places(self) -> list[tuple[int, int, int, int]]:
        """Left, top, right and bottom of where many blocks close to one another are off the lattice, the most first."""
        dense = cv2.blur(self.off.astype(np.float32), _CLOSE) > _DENSE
        _, labels, stats, _ = cv2.connectedComponentsWithStats(dense.astype(np.uint8))
        counts = np.bincount(labels[self.off & dense], minlength=len(stats))
        found = []
        for at in np.argsort(-counts[1:]) + 1:
            if counts[at] >= _LEAST_OFF:
                left, top, wide, high = (int(value) for value in stats[at][:4])
                room = _CLOSE[1] // 2
                found.append((max(0, left - room), max(0, top - room), left + wide + room, top + high + room))
        rows, columns = self.off.shape
        return [
            (left * _BLOCK, top * _BLOCK, min(right, columns) * _BLOCK, min(bottom, rows) * _BLOCK)
            for left, top, right, bottom in found
        ]

    def ink(self, left: int, top: int, right: int, bottom: int) -> tuple[Grey, Grey]:
        """Ink of a part, whose sides are pixels, widened to whole blocks: (height, width) around grey, in two ways.

        First every coefficient is as near to the lattice as can be; where the steps are small, edges are left of
        letters. Then only those count as known that letters leave within their step; the others are what makes ink all
        lighter or all darker and faint, by projections in turn (A. Papoulis, 1975).
        """
        rows, columns = slice(top // _BLOCK, -(-bottom // _BLOCK)), slice(left // _BLOCK, -(-right // _BLOCK))
        given = _left(self.rgb[:, _pixels(columns)], rows, self.steps)
        known = (self.steps > 2 * _LETTERS)[:, None, :]
        near = given.copy()
        near[:, 0, :, 0] = 0
        steps = self.steps[:, None, :]
        tried = []
        for sign in (1, -1):
            found = np.where(known, given, 0)
            for _ in range(_ROUNDS):
                likely = np.clip(_levels(found) * sign, 0, _MOST_INK) * sign
                found = np.where(known, given, _coefficients(likely))
            # of the two, what is found for the others lies nearer to where the lattice allows it
            apart = (found - given) / steps
            tried.append((float(np.square(apart - np.rint(apart)).mean()), sign, found))
        return _even(_levels(near)), _even(_levels(min(tried)[2]))


def added(rgb: RGB) -> Added | None:
    """What was added to a picture (height, width, 3).

    None where the picture shows no lattice, and where nothing or nearly everything is off it.
    """
    rows, columns = (side // _BLOCK for side in rgb.shape[:2])
    if rows * columns < _LEAST_OFF:
        return None
    rgb = rgb[: rows * _BLOCK, : columns * _BLOCK]
    steps = _steps(rgb)
    if steps is None:
        return None
    told = 0
    off = np.zeros((rows, columns), np.bool_)
    for top in range(0, rows, _STRIP):
        strip = slice(top, min(rows, top + _STRIP))
        spread = np.sqrt(np.square(_left(rgb, strip, steps)).mean(axis=(1, 3)))
        inner = cv2.inRange(rgb[_pixels(strip)], (1, 1, 1), (254, 254, 254)).reshape(-1, _BLOCK, columns, _BLOCK)
        # where a decoder had to clip colours much is off the lattice
        clipped = inner.min(axis=(1, 3)) == 0
        off[strip] = spread > np.where(clipped, _CLIPPED, _OFF)
        told += int((off[strip] & ~clipped).sum())
    return Added(rgb, steps, off) if _LEAST_OFF <= told <= _MOST_OFF * off.size else None


def _pixels(blocks: slice) -> slice:
    return slice(blocks.start * _BLOCK, blocks.stop * _BLOCK)


def _left(rgb: RGB, rows: slice, steps: Field) -> Field:
    """What rows of blocks are off the lattice, as coefficients (rows, 8, columns, 8)."""
    found = _coefficients(_luma(rgb[_pixels(rows)]))
    found -= steps[:, None, :] * np.rint(found / steps[:, None, :])
    return found


def _coefficients(levels: Field) -> Field:
    """Of every block of (height, width), as (rows, 8, columns, 8)."""
    height, width = levels.shape
    down = _WAVES @ levels.reshape(height // _BLOCK, _BLOCK, width)
    return np.asarray(down.reshape(-1, _BLOCK, width // _BLOCK, _BLOCK) @ _WAVES.T, np.float32)


def _levels(coefficients: Field) -> Field:
    rows, _, columns, _ = coefficients.shape
    across = (coefficients @ _WAVES).reshape(rows, _BLOCK, -1)
    return np.asarray((_WAVES.T @ across).reshape(rows * _BLOCK, columns * _BLOCK), np.float32)


def _luma(rgb: NDArray[np.uint8]) -> Field:
    return np.asarray(rgb.astype(np.float32) @ np.array(_LUMA, np.float32) - 128)


def _steps(rgb: RGB) -> Field | None:
    """Steps (8, 8) of the quality on whose lattice blocks from all over the picture lie."""
    rows, columns = (side // _BLOCK for side in rgb.shape[:2])
    chosen = np.unique(np.linspace(0, rows * columns - 1, _SAMPLES).astype(np.int64))
    blocks = rgb.reshape(rows, _BLOCK, columns, _BLOCK, 3)[chosen // columns, :, chosen % columns]
    told = (_WAVES @ _luma(blocks) @ _WAVES.T).reshape(-1, _BLOCK * _BLOCK)[:, _FIRST]
    best, found = _LIKELY, None
    for steps in _TABLES:
        scale = steps.ravel()[_FIRST]
        within = (np.abs(told) > _BEYOND * scale) & (scale >= _LEAST_STEP) & (scale <= _MOST_STEP)
        if np.count_nonzero(within) < _LEAST_TOLD:
            continue
        met = float(np.cos(2 * np.pi * (told / scale)[within]).mean())
        if met > best:
            best, found = met, steps
    return found


def _even(ink: Field) -> Grey:
    spread = np.sqrt(np.maximum(cv2.blur(ink * ink, (_AROUND, _AROUND)), 0.0)) + _LEAST_SPREAD
    strong = np.clip(ink / spread, -_STRONGEST, _STRONGEST)
    return np.asarray(cv2.convertScaleAbs(strong * _GAIN + 128.0), dtype=np.uint8)
