"""Pictures of a view in which faint letters over a restless ground can be read.

What is hidden in a view stands mostly in brightness and in no colour. Where the ground has colours, these explain most
of it, and what they leave is letters: bold ones in all of it at once, the faintest octave by octave (`faded`). Which
reads better differs from line to line, so several pictures are read.
"""

from __future__ import annotations

import cv2
import numpy as np

from guardrail.signals import RGB
from guardrail.vision.hidden.explained import Plane, unexplained
from guardrail.vision.hidden.faded import faded
from guardrail.vision.hidden.residual import Grey

VIEW_SIDE, FINE_SIDE = 736, 1024
"""Sides that views are enlarged to, for their letters are often ten pixels high; the larger for those of nearly the
first."""
_LIMIT, _TILES = 4.0, (6, 6)
_TIMES, _ALIKE = 1.6, 0.8
_SOFT, _GROUND, _STEP, _WINDOW, _RIDGE = 1.0, 31, 4, (13, 13), 0.3
_LEAST_SPREAD, _EVEN, _STRONGEST, _AROUND, _GAIN = 0.7, 0.05, 2.0, 61, 40.0


def clearer(view: RGB) -> list[RGB]:
    """Pictures of a view of noise, (height, width, 3), those that are most often legible first."""
    longer = max(view.shape[:2])
    less = round(_TIMES * longer)
    other = less if less < _ALIKE * VIEW_SIDE else FINE_SIDE
    return [unclouded(view), _in_grey(faded(enlarged(view, max(longer, other)))), _adapted(view)]


def unclouded(view: RGB) -> RGB:
    """What colour does not explain of the brightness of a view, enlarged: letters that stand out as far as most do."""
    # enlarged before: what is softened then is finer than letters
    soft = cv2.GaussianBlur(enlarged(view, VIEW_SIDE), (0, 0), _SOFT)
    red, green, blue = (plane.astype(np.float32) for plane in cv2.split(soft))
    bright, warm, cold = (_fine(plane) for plane in ((red + green + blue) / 3, red - green, blue - green))
    left = unexplained(bright, warm, cold, window=_WINDOW, step=_STEP, ridge=_RIDGE)
    clipped = np.clip(left / _spread(left, _LEAST_SPREAD), -_STRONGEST, _STRONGEST)
    even = np.asarray(cv2.GaussianBlur(clipped, (0, 0), _SOFT), dtype=np.float32)
    return _in_grey(np.asarray(cv2.convertScaleAbs(even / _spread(even, _EVEN) * _GAIN + 128.0), dtype=np.uint8))


def _fine(plane: Plane) -> Plane:
    return np.asarray(plane - cv2.blur(plane, (_GROUND, _GROUND)), dtype=np.float32)


def _spread(plane: Plane, least: float) -> Plane:
    return np.asarray(np.sqrt(np.maximum(cv2.blur(plane * plane, (_AROUND, _AROUND)), 0.0)) + least, dtype=np.float32)


def _in_grey(grey: Grey) -> RGB:
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), dtype=np.uint8)


def _adapted(view: RGB) -> RGB:
    """More contrast in brightness, and the colours as they are: of letters of one colour `faded` leaves nothing."""
    light, *colours = cv2.split(cv2.cvtColor(view, cv2.COLOR_RGB2LAB))
    light = cv2.createCLAHE(_LIMIT, _TILES).apply(light)
    return np.asarray(cv2.cvtColor(cv2.merge([light, *colours]), cv2.COLOR_LAB2RGB), dtype=np.uint8)


def enlarged(rgb: RGB, side: int) -> RGB:
    """A picture whose longer side is at least `side` pixels."""
    share = side / max(rgb.shape[:2])
    if share <= 1:
        return rgb
    return np.asarray(cv2.resize(rgb, None, fx=share, fy=share, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
