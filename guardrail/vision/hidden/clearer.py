"""Pictures of a noisy picture's view in which faint letters over a restless ground can be read.

What is hidden under noise stands in brightness and in no colour. Where the ground has colours, these explain most of
it, and what they leave is letters (`faded`); where it has none, contrast made alike everywhere shows more. Which reads
better differs from line to line, so all are read.
"""

from __future__ import annotations

import cv2
import numpy as np

from guardrail.signals import RGB
from guardrail.vision.hidden import bands
from guardrail.vision.hidden.faded import faded
from guardrail.vision.hidden.residual import Grey

VIEW_SIDE, FINE_SIDE = 736, 1024
"""Sides that views are enlarged to, for their letters are often ten pixels high; the larger where letters were made to
stand out, for grain is less like letters then."""
_LIMIT, _TILES = 4.0, (6, 6)


def clearer(view: RGB) -> list[RGB]:
    """Pictures of a view, (height, width, 3), those that are most often legible first."""
    adapted = cv2.createCLAHE(_LIMIT, _TILES).apply(cv2.cvtColor(view, cv2.COLOR_RGB2GRAY))
    return [
        # enlarged before: what is softened then is finer than letters
        _in_grey(faded(enlarged(view, VIEW_SIDE))),
        _in_grey(np.asarray(adapted, dtype=np.uint8)),
        enlarged(bands.evened(view), FINE_SIDE),
    ]


def enlarged(rgb: RGB, side: int) -> RGB:
    """A picture whose longer side is at least `side` pixels."""
    share = side / max(rgb.shape[:2])
    if share <= 1:
        return rgb
    return np.asarray(cv2.resize(rgb, None, fx=share, fy=share, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def _in_grey(grey: Grey) -> RGB:
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
