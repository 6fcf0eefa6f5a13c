"""Downscaling as linear algebra: the real library's resize, its row matrix, and the smallest change that moves a view.

The matrices are measured, not derived: rows of unit impulses go through the library itself, so whatever a release does
at the borders or at whole ratios is in them. A resize is `rows @ picture @ columns.T`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.attacks.hidden.lettering import Plane

_PIL = {
    "pil_nearest": Image.Resampling.NEAREST,
    "pil_bilinear": Image.Resampling.BILINEAR,
    "pil_bicubic": Image.Resampling.BICUBIC,
    "pil_lanczos": Image.Resampling.LANCZOS,
    "pil_box": Image.Resampling.BOX,
    "pil_hamming": Image.Resampling.HAMMING,
}
_CV2 = {
    "cv2_nearest": cv2.INTER_NEAREST,
    "cv2_linear": cv2.INTER_LINEAR,
    "cv2_cubic": cv2.INTER_CUBIC,
    "cv2_lanczos4": cv2.INTER_LANCZOS4,
    "cv2_area": cv2.INTER_AREA,
}
SPARSE = ("pil_nearest", "cv2_nearest", "cv2_linear", "cv2_cubic", "cv2_lanczos4")
SMOOTH = ("pil_bilinear", "pil_bicubic", "pil_lanczos", "pil_box", "pil_hamming", "cv2_area")


def resize(pixels: NDArray[np.uint8], size: tuple[int, int], kernel: str) -> NDArray[np.uint8]:
    """The library's own resize of uint8 pixels, grey or RGB, to (width, height)."""
    if kernel in _PIL:
        return np.asarray(Image.fromarray(pixels).resize(size, _PIL[kernel]))
    return np.asarray(cv2.resize(pixels, size, interpolation=_CV2[kernel]), np.uint8)


def resize_float(plane: Plane, size: tuple[int, int], kernel: str) -> Plane:
    """The library's resize of one float32 plane, without rounding or clipping."""
    if kernel in _PIL:
        return np.asarray(Image.fromarray(plane).resize(size, _PIL[kernel]), np.float32)
    return np.asarray(cv2.resize(plane, size, interpolation=_CV2[kernel]), np.float32)


@dataclass(frozen=True, slots=True)
class Rows:
    """A sparse resampling matrix (`small` x `large`): output i is the sum of `weights[i]` times input `taps[i]`."""

    small: int
    large: int
    taps: NDArray[np.int32]
    weights: Plane

    def dense(self) -> Plane:
        """The matrix in full: float32 (small, large)."""
        full = np.zeros((self.small, self.large), np.float32)
        np.add.at(full, (np.arange(self.small)[:, None], self.taps), self.weights)
        return full

    def down(self, plane: Plane) -> Plane:
        """The matrix times a plane (large, anything): float32 (small, anything)."""
        total = np.zeros((self.small, plane.shape[1]), np.float32)
        for tap in range(self.taps.shape[1]):
            total += self.weights[:, tap, None] * plane[self.taps[:, tap]]
        return total


@lru_cache(maxsize=256)
def rows(kernel: str, large: int, small: int) -> Rows:
    """The row matrix of `kernel` from `large` to `small` samples, measured by resizing unit impulses."""
    impulses = np.eye(large, dtype=np.float32)
    full = resize_float(impulses, (small, large), kernel).T
    width = int((full != 0).sum(axis=1).max())
    taps = np.argsort(full == 0, axis=1, kind="stable")[:, :width].astype(np.int32)
    return Rows(small, large, taps, np.take_along_axis(full, taps, axis=1).astype(np.float32))


@lru_cache(maxsize=64)
def _inverse(kernel: str, large: int, small: int) -> Plane:
    matrix = rows(kernel, large, small).dense().astype(np.float64)
    gram = matrix @ matrix.T
    # Near ratio 1 some views hardly react to any change of the picture; the ridge keeps those from exploding.
    gram += np.eye(small) * 2e-3 * gram.diagonal().mean()
    return np.linalg.solve(gram, matrix).T.astype(np.float32)


def least_change(view: Plane, size: tuple[int, int], kernel: str) -> Plane:
    """The smallest change (rows, columns of `size` = width, height) whose view is `view`, in the least-squares sense.

    Source of the method: minimum-norm solution of an under-determined linear system, rows and columns apart.
    """
    small_high, small_wide = view.shape
    high, wide = np.flatnonzero(view.any(axis=1)), np.flatnonzero(view.any(axis=0))
    if not high.size:
        return np.zeros((size[1], size[0]), np.float32)
    top, bottom, left, right = high[0], high[-1] + 1, wide[0], wide[-1] + 1
    upright = _inverse(kernel, size[1], small_high)[:, top:bottom]
    across = _inverse(kernel, size[0], small_wide)[:, left:right]
    return np.asarray((upright @ view[top:bottom, left:right]) @ across.T, np.float32)


def without_view(plane: Plane, target: tuple[int, int], kernel: str) -> Plane:
    """The part of a plane (rows, columns) that the resize to `target` (width, height) cannot see."""
    size = plane.shape[1], plane.shape[0]
    return np.asarray(plane - least_change(resize_float(plane, target, kernel), size, kernel), np.float32)
