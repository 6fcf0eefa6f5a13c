"""What one frame of an animation has and others have not: letters that flash up over print and pictures.

A frame that passes by often shows the scene of the others, maybe moved. What is left when that is taken away reads as
plainly as on blank paper, whatever it stands on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from math import ceil, floor

import cv2
import numpy as np
from numpy.typing import NDArray

from guardrail.signals import RGB, Frame
from guardrail.vision.hidden.residual import Grey
from guardrail.vision.ocr.boxes import TextBox
from guardrail.vision.ocr.lines import Line

_QUIET, _FULL = 24, 96
"""Levels up to which pixels differ by palettes and compression, and from which they are wholly another."""
_MOST, _FEW = 0.3, 0.01
"""Share of pixels that differ, from which two frames show different scenes, and to which none has moved."""
_LEAST = 64
_SIDE, _AROUND = 512, 21
_READ = 40.0
"""Letters that a quick reader takes in a second: twice as many as subtitles are set for."""
_STANDS = 0.8
"""Correlation from which letters stand on though what is behind them moves."""
_STILL, _CALM = 0.95, 8.0
"""Correlation from which letters are those of another frame, for what can be read over them lowers it; and spread, in
levels, of a ground that garbles no letters."""


def added(rgb: RGB, others: Iterable[RGB]) -> Grey | None:
    """Dark on white, (height, width): what differs from the most alike of other frames; None if nothing or all does.

    Args:
        rgb: (height, width, 3).
        others: frames of the same size, moved to where they fit.
    """
    best: Grey | None = None
    fewest = _MOST * rgb.shape[0] * rgb.shape[1]
    for other in others:
        change = _change(rgb, other)
        count = cv2.countNonZero(change)
        if _LEAST <= count <= fewest:
            # letters that have gone differ too, but stand out in the other frame
            best, fewest = cv2.copyTo(change, cv2.compare(_detail(rgb), _detail(other), cv2.CMP_GE)), float(count)
    return None if best is None else np.asarray(cv2.bitwise_not(best), dtype=np.uint8)


def fitted(other: RGB, rgb: RGB) -> RGB | None:
    """A frame moved as a whole to where it is most like another; what comes in at its edges is the other's own.

    None if they differ in size. The way is found by phase correlation (Kuglin and Hines 1975), to whole pixels.
    """
    if other.shape != rgb.shape:
        return None
    if cv2.countNonZero(_change(rgb, other)) <= _FEW * rgb.shape[0] * rgb.shape[1] or min(rgb.shape[:2]) < 2:
        return other
    before, after = (cv2.cvtColor(item, cv2.COLOR_RGB2GRAY) for item in (other, rgb))
    share = min(1.0, _SIDE / max(after.shape))
    size = max(2, round(after.shape[1] * share)), max(2, round(after.shape[0] * share))
    first, second = (
        cv2.resize(item, size, interpolation=cv2.INTER_AREA).astype(np.float32) for item in (before, after)
    )
    apart, _ = cv2.phaseCorrelate(first, second, cv2.createHanningWindow(size, cv2.CV_32F))
    least, best = int(cv2.countNonZero(_levels(cv2.absdiff(before, after)))), (0, 0)
    ways = (apart[0] * after.shape[1] / size[0], apart[1] * after.shape[0] / size[1])
    across, down = (range(floor(item - 0.25 / share), ceil(item + 0.25 / share) + 1) for item in ways)
    for way in product(across, down):
        differ = int(cv2.countNonZero(_levels(cv2.absdiff(_shifted(before, after, way), after))))
        if differ < least:
            least, best = differ, way
    return other if best == (0, 0) else _shifted(other, rgb, best)


def still(box: TextBox, rgb: RGB, before: RGB, least: float = _STILL) -> bool:
    """Whether letters in a box look as they do in another frame of that size."""
    first, second = (_within(box, item) for item in (rgb, before))
    if first.size < 6:
        return False
    first, second = (cv2.cvtColor(np.ascontiguousarray(item), cv2.COLOR_RGB2GRAY) for item in (first, second))
    one, other = (item - item.mean(dtype=np.float32) for item in (first, second))
    power = float(np.sqrt(np.square(one).sum() * np.square(other).sum()))
    return power > 0 and float((one * other).sum()) > least * power


def passes(line: Line, frames: Sequence[Frame], index: int) -> bool:
    """Whether a line of a frame is gone before a person has read it, or never shown, as in a thumbnail."""
    enough = sum(map(str.isalpha, line.text)) / _READ
    time = frames[index].seconds or 0.0
    for way in (range(index - 1, -1, -1), range(index + 1, len(frames))):
        for at in way:
            seconds, rgb = frames[at].seconds, frames[at].rgb
            if time >= enough or seconds is None or rgb.shape != frames[index].rgb.shape:
                break
            if not still(line.box, frames[index].rgb, rgb, _STANDS):
                break
            time += seconds
    return time < enough


def calm(box: TextBox, rgb: RGB) -> bool:
    """Whether nothing stands in a box."""
    part = _within(box, rgb)
    return not part.size or float(cv2.meanStdDev(np.ascontiguousarray(part))[1].max()) < _CALM


def _within(box: TextBox, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    wide, high = box.level
    left, right = (max(0, round(box.centre[0] + side * wide / 2)) for side in (-1, 1))
    top, bottom = (max(0, round(box.centre[1] + side * high / 2)) for side in (-1, 1))
    return picture[top:bottom, left:right]


def _shifted(other: NDArray[np.uint8], rgb: NDArray[np.uint8], way: tuple[int, int]) -> NDArray[np.uint8]:
    height, width = rgb.shape[:2]
    across, down = (min(side, max(-side, step)) for side, step in zip((width, height), way, strict=True))
    moved = rgb.copy()
    moved[max(0, down) : height + min(0, down), max(0, across) : width + min(0, across)] = other[
        max(0, -down) : height - max(0, down), max(0, -across) : width - max(0, across)
    ]
    return moved


def _change(rgb: RGB, other: RGB) -> Grey:
    red, green, blue = cv2.split(cv2.absdiff(rgb, other))
    return _levels(cv2.max(cv2.max(red, green), blue))


def _detail(rgb: RGB) -> Grey:
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.absdiff(grey, cv2.blur(grey, (_AROUND, _AROUND))), dtype=np.uint8)


def _levels(differ: NDArray[np.generic]) -> Grey:
    levels = np.interp(np.arange(256), (_QUIET, _FULL), (0, 255)).astype(np.uint8)
    return np.asarray(cv2.LUT(differ, levels), dtype=np.uint8)
