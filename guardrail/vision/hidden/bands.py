"""Lines of faint and tiny letters: what a text detection network overlooks because it looks at a reduced picture.

A line of text is a band: strokes stand close together along it, and above and below it are gaps. Strokes are counted in
units of the local spread, so letters three levels from their ground count as much as black ones. What bands propose, a
recognition network reads or rejects.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

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
SEED, _EXTENT = 45, 0.55
"""Strokes a line must have more than its gaps, of 200; and the share of them that all of it must have."""
_LETTERS = 5
_TALL = 1.9
_ALIKE, _GAP = 1.5, 6.0
_PROFILE, _ROOM, _LOWEST = 0.35, 1.4, 7.0
_THINNEST = 12


def lines(grey: Grey, most: int = MOST, least: int = SEED) -> list[TextBox]:
    """Boxes of at most `most` likely lines, the clearest first; `score` is not a probability but only orders them.

    Args:
        grey: (height, width).
        most: how many.
        least: strokes that a line must have more than the gaps beside it, somewhere along it.
    """
    maps = _octaves(grey)
    found = [(box, at) for at, strokes in enumerate(maps) for box in _candidates(strokes, 2**at, least)]
    found.sort(key=lambda item: -item[0].score)
    kept: list[tuple[TextBox, int]] = []
    for box, at in found:
        if not any(same(box, other) for other, _ in kept):
            kept.append((box, at))
            if len(kept) == most:
                break
    return _joined([_fitted(box, maps[at], 2**at) for box, at in kept])


def _joined(found: Sequence[TextBox]) -> list[TextBox]:
    """Parts of one row as one line: where a line crosses something busy, its band is cut."""
    left = list(found)
    joined: list[TextBox] = []
    while left:
        box = left.pop(0)
        beside = next((other for other in left if _one_row(box, other)), None)
        if beside is None:
            joined.append(box)
            continue
        left.remove(beside)
        start = min(box.centre[0] - box.size[0] / 2, beside.centre[0] - beside.size[0] / 2)
        end = max(box.centre[0] + box.size[0] / 2, beside.centre[0] + beside.size[0] / 2)
        longer = max(box, beside, key=lambda item: item.size[0])
        middle = (start + end) / 2, longer.centre[1]
        left.insert(0, TextBox(middle, (end - start, longer.size[1]), 0.0, max(box.score, beside.score)))
    return joined


def _one_row(first: TextBox, second: TextBox) -> bool:
    low, high = sorted((first.size[1], second.size[1]))
    gap = abs(first.centre[0] - second.centre[0]) - (first.size[0] + second.size[0]) / 2
    return high < _ALIKE * low and abs(first.centre[1] - second.centre[1]) < 0.3 * high and gap < _GAP * low


def _octaves(grey: Grey) -> list[Grey]:
    """Strokes of the picture and of its halves."""
    maps: list[Grey] = []
    while len(maps) < OCTAVES and min(grey.shape) >= _THINNEST:
        maps.append(_strokes(grey))
        grey = _halved(grey)
    return maps


def _candidates(strokes: Grey, scale: int, least: int) -> Iterator[TextBox]:
    reduced = _halved(strokes)
    for height in HEIGHTS:
        yield from _of_height(reduced, height / 2, 2 * scale, least)


def _fitted(box: TextBox, strokes: Grey, scale: int) -> TextBox:
    """The box with its middle and height where the strokes of its line stand: letters that fill a strip read best."""
    half = 0.8 * box.size[1] / scale
    left, right = (round((box.centre[0] + side * box.size[0] / 2) / scale) for side in (-1, 1))
    middle = (box.centre[1] + 0.5) / scale
    top, bottom = max(0, round(middle - half)), round(middle + half)
    rows = strokes[top:bottom, max(0, left) : right].mean(axis=1)
    if len(rows) < 3:
        return box
    peak = int(np.argmax(rows[len(rows) // 4 : max(1, -(-3 * len(rows) // 4))])) + len(rows) // 4
    strong = rows > rows.min() + _PROFILE * (rows[peak] - rows.min())
    first = last = peak
    while first > 0 and strong[first - 1]:
        first -= 1
    while last + 1 < len(rows) and strong[last + 1]:
        last += 1
    high = (last - first + 1) * scale
    centre = box.centre[0], (top + (first + last + 1) / 2) * scale - 0.5
    return TextBox(centre, (box.size[0], max(_LOWEST, _ROOM * high + 1)), box.angle, box.score)


def _halved(grey: Grey) -> Grey:
    return np.asarray(cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _strokes(grey: Grey) -> Grey:
    """Change along the rows in units of the local spread, 0 to 200."""
    apart = cv2.convertScaleAbs(cv2.absdiff(grey, cv2.blur(grey, (_AROUND, _AROUND))), alpha=_DEEPER)
    mean = cv2.resize(apart, None, fx=_COARSER, fy=_COARSER, interpolation=cv2.INTER_AREA)
    spread = cv2.blur(mean.astype(np.float32), (_WIDER, _WIDER)) * (_PER_MEAN / _DEEPER) + _LEAST_SPREAD
    unit = cv2.resize(_UNIT / spread, (grey.shape[1], grey.shape[0]), interpolation=cv2.INTER_LINEAR)
    change = np.abs(cv2.sepFilter2D(grey, cv2.CV_16S, _ACROSS, _DOWN))
    return np.asarray(cv2.min(cv2.multiply(change, unit, dtype=cv2.CV_8U), _STRONGEST), dtype=np.uint8)


def _of_height(strokes: Grey, height: float, scale: int, least: int) -> Iterator[TextBox]:
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
    mask = cv2.threshold(band, round(_EXTENT * least), 255, cv2.THRESH_BINARY)[1]
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((1, round(4 * height)), np.uint8))
    for (left, top, across, high), peak in _components(mask, band, _LETTERS * height, least):
        middle = (left + across / 2) * scale, (top + high / 2) * scale
        size = float(across + 4 * height) * scale, _TALL * height * scale
        yield TextBox(middle, size, 0.0, peak * (across / height) ** 0.5)


def _components(mask: Grey, band: Grey, widest: float, least: int) -> Iterator[tuple[tuple[int, int, int, int], float]]:
    """Left, top, width, height and the highest value of every component that is so wide and has a seed.

    Contours cost half of what labels do, and most pictures have few components that are wide.
    """
    outlines, nested = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    for at, outline in enumerate(outlines):
        left, top, across, high = cv2.boundingRect(outline)
        if nested[0, at, 3] >= 0 or across < widest:
            continue
        part = band[top : top + high, left : left + across]
        if int(part.max()) < least:
            continue
        inside = np.zeros(part.shape, np.uint8)
        cv2.drawContours(inside, [outline], -1, 1, thickness=-1, offset=(-left, -top))
        peak = cv2.minMaxLoc(part, inside)[1]
        if peak >= least:
            yield (left, top, across, high), peak


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
