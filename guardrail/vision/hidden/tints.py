"""Text in one colour channel: hardly seen in the brightness of a picture, plain in what a channel has and others lack.

Kernels that read nearly every pixel, at low ratios, hide nothing: what is written for them stands in the picture. In
one channel alone it changes brightness little, and a model that looks at colours reads it. Pictures of things have
little fine detail that is not in all channels, so a look at two differences of channels at half size tells whether to
go on. Coloured print has as much, but its ink stands in other channels too: those explain what it has in one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from guardrail.signals import RGB
from guardrail.vision.hidden import bands
from guardrail.vision.hidden.explained import unexplained
from guardrail.vision.hidden.residual import Grey
from guardrail.vision.hidden.written import uncovered
from guardrail.vision.ocr.boxes import TextBox

CHANNELS = ("red", "green", "blue")
SIDE = 1024
"""Larger planes are reduced to this side."""
_HALF = 2
_AROUND, _CELL, _LINE = 5, (8, 4), (8, 3)
_LEAST = 3.0
"""Mean detail, in halves of a level, of a window of one line: payloads have 3 to 12, photographs mostly 1 to 4."""
_MOST, _CLEAR = 40, 250.0
PRINT = 24
"""Lines from which a picture is full of print."""
_SOFT, _COARSE, _STEP, _WINDOW, _RIDGE = 0.8, 15, 2, (9, 3), 0.5
_PALE, _UNLIKE = 15.0, 0.6
"""Mean square, in levels, and share of it that is left: payloads have 49 and 0.64 or more, coloured print 0 to 0.57."""
_GROUND, _GAIN, _MIDDLE = 31, 2.0, 128.0


@dataclass(frozen=True, slots=True, eq=False)
class Tint:
    """A channel without the others.

    Attributes:
        channel: red, green or blue.
        rgb: (height, width, 3) what it has more or less than the others, around grey.
    """

    channel: str
    rgb: RGB


def tint(rgb: RGB, shown: Sequence[TextBox]) -> Tint | None:
    """The channel in which lines of text seem to stand that are not among those shown, or none.

    Args:
        rgb: (height, width, 3).
        shown: boxes of the lines that are read anyway.
    """
    height, width = rgb.shape[:2]
    if min(height, width) < _HALF * max(_CELL) * max(_LINE):
        return None
    small = cv2.resize(rgb, (width // _HALF, height // _HALF), interpolation=cv2.INTER_AREA)
    halves = [np.asarray(plane, dtype=np.uint8) for plane in cv2.split(small)]
    red, green, blue = halves
    planes = [_apart(red, green), _apart(blue, green)]
    strengths = [_strength(plane) for plane in planes]
    if max(strengths) < _LEAST:
        return None
    found = bands.lines(planes[int(np.argmax(strengths))], _MOST)
    wide = [TextBox(_doubled(box.centre), _doubled(box.size), box.angle, box.score) for box in found]
    likely = [box for box in uncovered(wide, shown) if box.score >= _CLEAR]
    if not likely:
        return None
    # what stands in green alone stands in both differences, and not in that of red and blue
    alone = [_apart(halves[at], _mean(halves[at - 1], halves[at - 2])) for at in range(3)]
    channel = int(np.argmax([_strength(plane) for plane in alone]))
    if not _unlike(halves, channel, likely):
        return None
    return Tint(CHANNELS[channel], _alone(rgb, channel))


def _unlike(halves: Sequence[Grey], channel: int, likely: Sequence[TextBox]) -> bool:
    """Whether the others leave unexplained what a channel has more or less than they in one of the boxes."""
    planes = [cv2.GaussianBlur(plane.astype(np.float32), (0, 0), _SOFT) for plane in halves]
    own, one, other = (planes[at] - cv2.blur(planes[at], (_COARSE, _COARSE)) for at in range(channel, channel - 3, -1))
    more = np.square(own - (one + other) / 2)
    left = np.square(unexplained(own, one, other, window=_WINDOW, step=_STEP, ridge=_RIDGE))
    for box in likely:
        rows, columns = (
            slice(max(0, round((middle - side / 2) / _HALF)), round((middle + side / 2) / _HALF))
            for middle, side in zip(box.centre[::-1], box.size[::-1], strict=True)
        )
        power = float(more[rows, columns].mean())
        if power >= _PALE and float(left[rows, columns].mean()) >= _UNLIKE * power:
            return True
    return False


def apart(rgb: RGB) -> RGB:
    """What each channel has more or less than the mean of the others, around 128: black print on paper is gone."""
    planes = [np.asarray(plane, dtype=np.uint8) for plane in cv2.split(rgb)]
    alone = []
    for at in range(3):
        more = cv2.subtract(planes[at], _mean(planes[at - 1], planes[at - 2]), dtype=cv2.CV_16S)
        alone.append(cv2.add(more, _MIDDLE, dtype=cv2.CV_8U))
    return np.asarray(cv2.merge(alone), dtype=np.uint8)


def _doubled(pair: tuple[float, float]) -> tuple[float, float]:
    return pair[0] * _HALF, pair[1] * _HALF


def _apart(one: Grey, other: Grey) -> Grey:
    """Half of the difference of two channels, around 128."""
    return np.asarray(cv2.addWeighted(one, 0.5, other, -0.5, _MIDDLE), dtype=np.uint8)


def _mean(one: Grey, other: Grey) -> Grey:
    return np.asarray(cv2.addWeighted(one, 0.5, other, 0.5, 0), dtype=np.uint8)


def _strength(plane: Grey) -> float:
    """Mean fine detail of the window of one line that has most."""
    fine = cv2.absdiff(plane, cv2.blur(plane, (_AROUND, _AROUND)))
    height, width = plane.shape
    cells = cv2.resize(fine, (width // _CELL[0], height // _CELL[1]), interpolation=cv2.INTER_AREA)
    return float(cv2.blur(cells.astype(np.float32), _LINE).max())


def _alone(rgb: RGB, channel: int) -> RGB:
    """A channel less the mean of the others, without what is coarser than letters."""
    share = min(1.0, SIDE / max(rgb.shape[:2]))
    if share < 1:
        rgb = np.asarray(cv2.resize(rgb, None, fx=share, fy=share, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    own, *others = (rgb[..., at] for at in (channel, (channel + 1) % 3, (channel + 2) % 3))
    plane = cv2.subtract(own, _mean(others[0], others[1]), dtype=cv2.CV_32F)
    plane -= cv2.blur(plane, (_GROUND, _GROUND))
    grey = cv2.convertScaleAbs(cv2.add(cv2.multiply(plane, _GAIN), _MIDDLE))
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
