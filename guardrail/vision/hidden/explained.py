"""What of a plane two others do not explain, place by place.

Ink of one colour on paper of another changes all channels in one proportion, and what a thing is made of gives its
shades one line of colours: around each place, two planes tell what a third is like, but for what somebody added to it
alone. By least squares in a window around each place, solved on a coarse grid; as in the generalised sidelobe canceller
of L. Griffiths and C. Jim (1982).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]


def unexplained(
    plane: Plane, first: Plane, second: Plane, *, window: tuple[int, int], step: int, ridge: float
) -> Plane:
    """`plane` less its best fit by the other two, all (height, width) and without what is coarse.

    Args:
        plane: what to explain.
        first: a plane to explain it by.
        second: another.
        window: width and height of the window, in cells.
        step: side of a cell, in pixels.
        ridge: mean square below which planes explain nothing.
    """
    height, width = plane.shape
    size = max(1, width // step), max(1, height // step)

    def mean(one: Plane, other: Plane) -> Plane:
        small = cv2.resize(cv2.multiply(one, other), size, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.blur(small, window), dtype=np.float32)

    ones, both, others = mean(first, first) + ridge, mean(first, second), mean(second, second) + ridge
    one, other = mean(plane, first), mean(plane, second)
    whole = cv2.multiply(ones, others) - cv2.multiply(both, both)
    shares = (others * one - both * other) / whole, (ones * other - both * one) / whole
    left = plane.copy()
    for known, share in zip((first, second), shares, strict=True):
        left -= known * cv2.resize(share, (width, height), interpolation=cv2.INTER_LINEAR)
    return left
