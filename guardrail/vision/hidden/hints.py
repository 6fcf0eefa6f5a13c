"""Whether what looks like lines of text says anything: a few letters of each are read before all of them are.

Fences, folds and fur look like lines too, and as strips for the recognition network they are long. Of a line of text
any stretch of a few letters is as legible as the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from guardrail.signals import RGB
from guardrail.vision.hidden import bands
from guardrail.vision.hidden.residual import Grey
from guardrail.vision.ocr.boxes import TextBox
from guardrail.vision.ocr.lines import Line
from guardrail.vision.ocr.reader import Reader

WIDE, _NEARLY = 3.3, 1.2
"""Width of what is read of a line, in its heights, and by how much a line may be wider to be read whole."""
LIKE, FEWEST = 0.5, 3
"""Mean probability of the letters, and how many: stretches of text have .8 and five, other things mostly none."""
_USUAL = 1.5
_MARGIN = 32
"""Pixels beside a box that its evened pixels depend on."""


def says(
    reader: Reader,
    rgb: RGB,
    likely: Sequence[TextBox],
    *,
    tallest: float = np.inf,
    wide: float = WIDE,
    least: float = LIKE,
    fewest: int = FEWEST,
) -> bool:
    """Whether any of some level lines says something.

    Args:
        reader: reads them.
        rgb: (height, width, 3).
        likely: boxes of the lines, all of angle 0.
        tallest: height in pixels from which a line is read from the evened picture too.
        wide: width of what is read of a line, in its heights.
        least: mean probability of the letters from which they say something.
        fewest: how many letters say something.

    Raises:
        DetectionError: the network failed.
    """
    if not likely:
        return False
    grey = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    read = [*reader.read_boxes(rgb, [_stretch(grey, box, wide) for box in likely], least=least).lines]
    for box in likely:
        if box.size[1] >= tallest and not _any(read, fewest):
            part, moved = _evened(rgb, box)
            boxes = [_stretch(np.asarray(cv2.extractChannel(part, 0), dtype=np.uint8), moved, wide)]
            read += reader.read_boxes(part, boxes, least=least).lines
    return _any(read, fewest)


def _any(read: Sequence[Line], fewest: int) -> bool:
    return any(sum(map(str.isalnum, line.text)) >= fewest for line in read)


def _evened(rgb: RGB, box: TextBox) -> tuple[RGB, TextBox]:
    """The surroundings of a box with their contrast alike everywhere, and the box in them."""
    (left, right), (top, bottom) = (
        (max(0, round(middle - side / 2) - _MARGIN), round(middle + side / 2) + _MARGIN)
        for middle, side in zip(box.centre, box.size, strict=True)
    )
    part = bands.evened(np.ascontiguousarray(rgb[top:bottom, left:right]))
    return part, replace(box, centre=(box.centre[0] - left, box.centre[1] - top))


def _stretch(grey: Grey, box: TextBox, times: float) -> TextBox:
    """The part of a box with most strokes; strong edges count as strokes of usual strength."""
    wide, high = box.size
    wanted = times * high
    if wide <= _NEARLY * wanted:
        return box
    left, right = max(0, round(box.centre[0] - wide / 2)), round(box.centre[0] + wide / 2)
    top, bottom = max(0, round(box.centre[1] - high / 2)), round(box.centre[1] + high / 2)
    rows = grey[top:bottom, left:right]
    length = round(wanted)
    if not rows.size or rows.shape[1] <= length:
        return box
    strokes = cv2.reduce(cv2.absdiff(rows[:, 1:], rows[:, :-1]), 0, cv2.REDUCE_AVG, dtype=cv2.CV_32F)
    sums = np.convolve(np.minimum(strokes[0], _USUAL * float(np.median(strokes))), np.ones(length), "valid")
    return replace(box, centre=(left + int(sums.argmax()) + length / 2, box.centre[1]), size=(wanted, high))
