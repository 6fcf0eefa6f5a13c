"""Lines of faint and tiny letters: what a text detection network overlooks because it looks at a reduced picture.

A line of text is a band: strokes stand close together along it, and above and below it are gaps. Strokes are counted in
units of the local spread, so letters three levels from their ground count as much as black ones. What bands propose, a
recognition network reads or rejects.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from guardrail.signals import RGB
from guardrail.vision.hidden.residual import Grey
from guardrail.vision.ocr.boxes import TextBox

HEIGHTS = (5, 7, 9)
OCTAVES = 3
"""Letters `HEIGHTS` pixels high are looked for, and in pictures of half and a quarter of the size."""
MOST = 6
_AROUND, _WIDER = 15, 8
_DEEPER, _COARSER = 4.0, 0.25
_LEAST_SPREAD, _STRONGEST = 0.7, 200.0
_PER_MEAN = 1.25
"""A standard deviation in units of the mean deviation."""
_ACROSS, _DOWN = np.array([-1.0, 0.0, 1.0]), np.array([1.0, 3.0, 1.0])
_UNIT = 100.0 / 5.0
_SEED, _EXTENT = 45, 25
_LETTERS = 5
_TALL = 1.9
_THINNEST = 12


def lines(grey: Grey, most: int = MOST) -> list[TextBox]:
    """Boxes of at most `most` likely lines, the clearest first; `score` is not a probability but only orders them."""
    if min(grey.shape) < _THINNEST:
        return []
    found = sorted(_candidates(grey), key=lambda box: -box.score)
    kept: list[TextBox] = []
    for box in found:
        if not any(same(box, other) for other in kept):
            kept.append(box)
            if len(kept) == most:
                break
    return kept


def _candidates(grey: Grey) -> Iterator[TextBox]:
    scale = 1
    for _ in range(OCTAVES):
        if min(grey.shape) < _THINNEST:
            return
        reduced = _halved(_strokes(grey))
        for height in HEIGHTS:
            yield from _of_height(reduced, height / 2, 2 * scale)
        grey, scale = _halved(grey), 2 * scale


def _halved(grey: Grey) -> Grey:
    return np.asarray(cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _strokes(grey: Grey) -> Grey:
    """Change along the rows in units of the local spread, 0 to 200."""
    apart = cv2.convertScaleAbs(cv2.absdiff(grey, cv2.blur(grey, (_AROUND, _AROUND))), alpha=_DEEPER)
    mean = cv2.resize(apart, None, fx=_COARSER, fy=_COARSER, interpolation=cv2.INTER_AREA)
    spread = cv2.blur(mean.astype(np.float32), (_WIDER, _WIDER)) * (_PER_MEAN / _DEEPER) + _LEAST_SPREAD
    unit = cv2.resize(_UNIT / spread, (grey.shape[1], grey.shape[0]), interpolation=cv2.INTER_LINEAR)
    change = cv2.absdiff(cv2.sepFilter2D(grey, cv2.CV_16S, _ACROSS, _DOWN), 0.0)
    return np.asarray(cv2.min(cv2.multiply(change, unit, dtype=cv2.CV_8U), _STRONGEST), dtype=np.uint8)


def _of_height(strokes: Grey, height: float, scale: int) -> Iterator[TextBox]:
    """Bands of letters `height` pixels high in strokes that were reduced by `scale`."""
    rows, columns = strokes.shape
    gap, wide = max(2, round(height)), round(_LETTERS * height)
    if rows < 3 * gap or columns < wide:
        return
    dense = cv2.boxFilter(strokes, -1, (wide, max(2, round(height * 2 / 3))))
    above, below = np.zeros_like(dense), np.zeros_like(dense)
    above[gap:], above[:gap] = dense[:-gap], 255
    below[:-gap], below[-gap:] = dense[gap:], 255
    band = cv2.boxFilter(cv2.subtract(dense, cv2.max(above, below)), -1, (wide, 3 if height > 3 else 2))
    mask = cv2.threshold(band, _EXTENT, 255, cv2.THRESH_BINARY)[1]
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((1, round(4 * height)), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    peaks = _peaks(band, labels, count)
    for at in range(1, count):
        left, top, across, high, _ = (int(value) for value in stats[at])
        if across < _LETTERS * height or peaks[at] < _SEED:
            continue
        middle = (left + across / 2) * scale, (top + high / 2) * scale
        size = float(across + 4 * height) * scale, _TALL * height * scale
        yield TextBox(middle, size, 0.0, float(peaks[at]) * (across / height) ** 0.5)


def _peaks(band: Grey, labels: NDArray[np.int32], count: int) -> NDArray[np.uint8]:
    """The highest value of every component."""
    found = np.zeros(count, np.uint8)
    inside = labels > 0
    np.maximum.at(found, labels[inside], band[inside])
    return found


def same(first: TextBox, second: TextBox) -> bool:
    """Whether two boxes stand on one line and overlap by half."""
    apart = abs(first.centre[1] - second.centre[1])
    shared = min(first.centre[0] + first.size[0] / 2, second.centre[0] + second.size[0] / 2)
    shared -= max(first.centre[0] - first.size[0] / 2, second.centre[0] - second.size[0] / 2)
    return apart < 0.4 * max(first.size[1], second.size[1]) and shared > 0.5 * min(first.size[0], second.size[0])


def evened(rgb: RGB) -> RGB:
    """The picture with its local contrast made alike everywhere: letters of three levels become legible."""
    levels = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    levels -= cv2.blur(levels, (21, 21))
    spread = np.sqrt(np.maximum(cv2.blur(levels * levels, (41, 41)), 0.0)) + 1.0
    grey = cv2.convertScaleAbs(cv2.add(cv2.multiply(cv2.divide(levels, spread), 50.0), 128.0))
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
