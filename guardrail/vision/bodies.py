"""Where the body of a face lies, estimated from the face's box: faces have no box for what is below them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from guardrail.vision.detect import Face

Box = tuple[int, int, int, int]
"""x, y, width, height in whole pixels."""

_PARTS = ((1.3, 0.35, 1.6), (1.3, 1.6, 3.1), (1.2, 3.1, 4.8))
"""Chest, belly and hips: half width in face widths, begin and end below the chin in face heights."""
_AROUND = (2.4, -1.5, 5.2)
"""The whole person, head to thighs, with some of what is around: the nets were trained on whole pictures."""
LEAST_SIDE = 8
"""Pixels below which a part is too small to speak of."""


def around(face: Face, width: int, height: int) -> Box | None:
    """The picture's part that holds the person of a face, or None when next to nothing below the face is in it."""
    half, begin, end = _AROUND
    found = _below(face, half, begin, end, width, height)
    chin = face.box[1] + face.box[3]
    return found if found is not None and height - chin > face.box[3] / 2 else None


def parts(face: Face, width: int, height: int) -> list[Box]:
    """Chest, belly and hips as far as they are in the picture."""
    found = [_below(face, half, begin, end, width, height) for half, begin, end in _PARTS]
    return [box for box in found if box is not None]


def covered(mask: NDArray[np.bool_], face: Face) -> float:
    """Highest share of the chest, the belly or the hips that a mask covers, 0 to 1; 0 when none is in the picture.

    Args:
        mask: (height, width) of the picture in which the face is, true where it will be drawn anew.
        face: in pixels of that picture.
    """
    height, width = mask.shape
    shares = [float(mask[y : y + high, x : x + wide].mean()) for x, y, wide, high in parts(face, width, height)]
    return max(shares, default=0.0)


def _below(face: Face, half: float, begin: float, end: float, width: int, height: int) -> Box | None:
    x, y, wide, high = face.box
    middle, chin = x + wide / 2, y + high
    left, right = max(0, round(middle - half * wide)), min(width, round(middle + half * wide))
    top, bottom = max(0, round(chin + begin * high)), min(height, round(chin + end * high))
    if right - left < LEAST_SIDE or bottom - top < LEAST_SIDE:
        return None
    return left, top, right - left, bottom - top
