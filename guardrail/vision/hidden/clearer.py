"""Pictures of a noisy picture's view in which faint letters over a restless ground can be read.

What is hidden under noise stands in brightness and in no colour. Where the ground has colours, these explain most of
it, and what they leave is letters (`faded`). Which enlargement reads better differs from line to line, so several are
read.
"""

from __future__ import annotations

import cv2
import numpy as np

from guardrail.signals import RGB
from guardrail.vision.hidden.faded import faded
from guardrail.vision.hidden.residual import Grey

VIEW_SIDE, FINE_SIDE = 736, 1024
"""Sides that views are enlarged to, for their letters are often ten pixels high; the larger where it is that already or
nearly, and for what was made to stand out."""
_LIMIT, _TILES = 4.0, (6, 6)
_TIMES, _ALIKE = 1.6, 0.8


def clearer(view: RGB) -> list[RGB]:
    """Pictures of a view, (height, width, 3), those that are most often legible first."""
    # what is softened is finer than letters in an enlarged view, and grain is less in one that is hardly enlarged
    faint = [_in_grey(faded(enlarged(view, side))) for side in _sides(max(view.shape[:2]))]
    return [*faint, _adapted(view)]


def _adapted(view: RGB) -> RGB:
    """More contrast in brightness, and the colours as they are: of letters of one colour `faded` leaves nothing."""
    light, *colours = cv2.split(cv2.cvtColor(view, cv2.COLOR_RGB2LAB))
    light = cv2.createCLAHE(_LIMIT, _TILES).apply(light)
    return np.asarray(cv2.cvtColor(cv2.merge([light, *colours]), cv2.COLOR_LAB2RGB), dtype=np.uint8)


def _sides(longer: int) -> list[int]:
    """Two sides that differ enough for other letters to be read, or one where a view is as large anyway."""
    less = round(_TIMES * longer)
    other = less if less < _ALIKE * VIEW_SIDE else FINE_SIDE
    return list(dict.fromkeys(max(longer, side) for side in (VIEW_SIDE, other)))


def enlarged(rgb: RGB, side: int) -> RGB:
    """A picture whose longer side is at least `side` pixels."""
    share = side / max(rgb.shape[:2])
    if share <= 1:
        return rgb
    return np.asarray(cv2.resize(rgb, None, fx=share, fy=share, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def _in_grey(grey: Grey) -> RGB:
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
