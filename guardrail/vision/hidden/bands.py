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

HEIGHTS = (6, 9, 13, 18)
"""Heights of letters looked for, in pixels."""
MOST = 6
_AROUND, _WIDER = 15, 31
_LEAST_SPREAD, _STRONGEST = 0.7, 2.0
_UNIT = 100.0
_SEED, _EXTENT = 45, 25
_LETTERS, _SHORTEST = 5, 8
_HALVED = 13
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
    fine = _strokes(grey)
    coarse = cv2.resize(fine, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    for height in HEIGHTS:
        scale = 2 if height >= _HALVED else 1
        yield from _of_height(coarse if scale == 2 else fine, round(height / scale), scale)


def _strokes(grey: Grey) -> Grey:
    """Change along the rows in units of the local spread, 0 to 200."""
    levels = grey.astype(np.float32)
    levels -= cv2.blur(levels, (_AROUND, _AROUND))
    power = cv2.resize(levels * levels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    spread = np.sqrt(np.maximum(cv2.blur(power, (_WIDER // 2, _WIDER // 2)), 0.0)) + _LEAST_SPREAD
    spread = cv2.resize(spread, (grey.shape[1], grey.shape[0]), interpolation=cv2.INTER_LINEAR)
    change = cv2.absdiff(cv2.Sobel(cv2.GaussianBlur(levels, (3, 3), 0.6), cv2.CV_32F, 1, 0, ksize=1), 0.0)
    change = cv2.min(cv2.divide(change, spread), _STRONGEST)
    return np.asarray(cv2.convertScaleAbs(change, alpha=_UNIT), dtype=np.uint8)


def _of_height(strokes: Grey, height: int, scale: int) -> Iterator[TextBox]:
    """Bands of letters `height` pixels high in strokes that were reduced by `scale`."""
    rows, columns = strokes.shape
    gap, wide = max(2, height), _LETTERS * height
    if rows < 3 * gap or columns < wide:
        return
    dense = cv2.boxFilter(strokes, -1, (wide, max(3, height * 2 // 3)))
    above, below = np.zeros_like(dense), np.zeros_like(dense)
    above[gap:], above[:gap] = dense[:-gap], 255
    below[:-gap], below[-gap:] = dense[gap:], 255
    band = cv2.boxFilter(cv2.subtract(dense, cv2.max(above, below)), -1, (wide, 3))
    mask = cv2.threshold(band, _EXTENT, 255, cv2.THRESH_BINARY)[1]
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((1, 4 * height), np.uint8))
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
