"""PDQ (Facebook 2019, "The TMK+PDQF video-hashing algorithm and the PDQ image-hashing algorithm"): 256 bits a picture.

Bit for bit what the authors' C++ gives on the same pixels (`tests/vision/fingerprint/test_pdq.py` compares the two),
in a third of the time and without a compiled extension.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from guardrail.signals import RGB

SIDE = 64
"""Side of the reduced picture that the transform is taken of."""
FREQUENCIES = 16
TURNS = ("plain", "turn90", "turn180", "turn270", "flip", "mirror", "turn90-flip", "turn270-flip")
"""The eight turns and mirrorings, in the order of `dihedral`."""

Luma = NDArray[np.float32]
"""(height, width) brightness, 0 to 255."""

_STEPS = np.arange(1, FREQUENCIES + 1)
_BASIS = np.sqrt(2 / SIDE) * np.cos(np.pi / 2 / SIDE * np.outer(_STEPS, 2 * np.arange(SIDE) + 1))
_DCT = _BASIS.astype(np.float32)
_STEEPEST = 90
_PASSES = 2


def luma(rgb: RGB) -> Luma:
    """Brightness of an RGB picture (ITU-R BT.601)."""
    found: Luma = cv2.cvtColor(rgb.astype(np.float32), cv2.COLOR_RGB2GRAY)
    return found


def reduced(picture: Luma, *, down: bool = False, across: bool = False) -> Luma:
    """The picture as 64 x 64: two passes of a box filter each way (a tent), then one sample a cell.

    Args:
        picture: of any size.
        down, across: whether to reduce it upside down, or mirrored; the same as to turn it first, but cheaper.
    """
    height, width = picture.shape
    rows, columns = _Side.of(height, turned=down), _Side.of(width, turned=across)
    window, anchor = (columns.window, rows.window), (columns.behind, rows.behind)
    for _ in range(_PASSES):
        summed: Any = cv2.boxFilter(picture, -1, window, anchor=anchor, normalize=False, borderType=cv2.BORDER_CONSTANT)
        # at the edges a window covers fewer pixels, and the mean is of those
        summed[rows.edge] *= rows.gain[:, None]
        summed[:, columns.edge] *= columns.gain
        picture = summed
    small = picture[np.ix_(rows.samples, columns.samples)]
    return np.asarray(small / np.float32(rows.window * columns.window) ** _PASSES, dtype=np.float32)


class _Side(NamedTuple):
    """How one side of a picture is reduced.

    Attributes:
        window: pixels of the filter.
        behind: how many of them lie before the pixel itself.
        samples: the 64 places that are kept.
        edge, gain: places where the window is cut, and its whole size over what is left.
    """

    window: int
    behind: int
    samples: NDArray[np.int64]
    edge: NDArray[np.int64]
    gain: NDArray[np.float32]

    @classmethod
    @lru_cache(maxsize=256)
    def of(cls, side: int, *, turned: bool) -> _Side:
        window = -(-side // (2 * SIDE))
        # as the authors place it: of an even window, the longer half lies ahead
        ahead = (window + 2) // 2 if window > 1 else 1
        behind = ahead - 1 if turned else window - ahead
        at = np.arange(side)
        counts = np.minimum(at + window - behind, side) - np.maximum(at - behind, 0)
        edge = np.flatnonzero(counts != window)
        samples = ((np.arange(SIDE) + 0.5) * side / SIDE).astype(np.int64)
        return cls(
            window, behind, side - 1 - samples if turned else samples, edge, (window / counts[edge]).astype(np.float32)
        )


def quality(small: Luma) -> int:
    """How much happens in a 64 x 64 picture, 0 to 100; its authors advise not to match below 50."""
    steps = [np.abs((np.diff(small, axis=axis) * 100 / 255).astype(np.int64)).sum() for axis in (0, 1)]
    return min(100, int(sum(steps)) // _STEEPEST)


def transformed(small: Luma) -> Luma:
    """The (16, 16) lowest frequencies of a 64 x 64 picture, without the constant ones."""
    return np.asarray(_DCT @ small @ _DCT.T, dtype=np.float32)


def dihedral(picture: Luma) -> tuple[NDArray[np.uint8], int]:
    """(8, 32) packed hashes of a picture in all its `TURNS`, and the quality of the plain one.

    Each is the very hash that the turned picture has. The authors turn the transform instead, which is up to 36 bits
    off, because the filter's window and the samples do not lie evenly in a picture.
    """
    small, mirror = reduced(picture), reduced(picture, across=True)
    flip, both = reduced(picture, down=True), reduced(picture, down=True, across=True)
    turned = (small, mirror.T, both, flip.T, flip, mirror, small.T, both.T)
    return hashed(np.stack([transformed(item) for item in turned])), quality(small)


def hashed(frequencies: Luma) -> NDArray[np.uint8]:
    """(n, 32) packed hashes of (n, 16, 16) frequencies: a bit for each that is above their median."""
    flat = frequencies.reshape(len(frequencies), -1)
    # the authors' median of 256 values is the lower of the two in the middle
    middle = np.partition(flat, flat.shape[1] // 2 - 1, axis=1)[:, flat.shape[1] // 2 - 1]
    return np.packbits((flat > middle[:, None])[:, ::-1], axis=1)
