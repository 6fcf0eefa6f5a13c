"""Upright face chips by a similarity transform of five points (Umeyama 1991, least squares, no reflection)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from guardrail.errors import DetectionError
from guardrail.signals import RGB
from guardrail.vision.nets import Tensor

EMBED_SIDE = 112
AGE_SIDE = 64

EMBED_POINTS: Tensor = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
    dtype=np.float32,
)
"""Where eyes, nose tip and mouth corners lie in the 112 pixel chip of ArcFace and SFace."""

_DLIB_MEAN = np.array(
    [[0.2273, 0.2214], [0.7528, 0.2212], [0.4901, 0.5156], [0.2541, 0.7802], [0.7261, 0.7802]], dtype=np.float32
)
_PADDING = 0.2
AGE_POINTS: Tensor = (_DLIB_MEAN + _PADDING) / (2 * _PADDING + 1) * AGE_SIDE
"""The same points in the 64 pixel chip of dlib's aligner (mean face, padding 0.2), which the age net was trained on."""


def similarity(source: NDArray[np.floating[Any]], target: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """The (2, 3) matrix of rotation, uniform scale and shift that takes (n, 2) `source` nearest to `target`."""
    start, end = source.astype(np.float64), target.astype(np.float64)
    middle, goal = start.mean(axis=0), end.mean(axis=0)
    start, end = start - middle, end - goal
    spread = max(float((start**2).sum()), 1e-9)
    across = float((start * end).sum()) / spread
    turn = float((start[:, 0] * end[:, 1] - start[:, 1] * end[:, 0]).sum()) / spread
    linear = np.array([[across, -turn], [turn, across]])
    return np.column_stack([linear, goal - linear @ middle])


def chip(rgb: RGB, points: NDArray[np.float32], template: Tensor, side: int) -> RGB:
    """The (side, side, 3) upright face; black where it reaches over the edge.

    Large faces are reduced before sampling, so that a bilinear sample does not alias.

    Raises:
        DetectionError: the points lie in one place, or where no picture is.
    """
    if not np.isfinite(points).all() or np.ptp(points, axis=0).max() < 1e-3 or np.abs(points).max() > 1e7:
        raise DetectionError("the face detector placed a face's features where no face can be")
    height, width = rgb.shape[:2]
    forward = similarity(points, template)
    scale = float(np.hypot(forward[0, 0], forward[1, 0]))
    reach = side / max(scale, 1e-6)
    middle = points.mean(axis=0)
    left, top = (int(np.floor(value - reach)) for value in middle)
    left, top = min(max(left, 0), width - 1), min(max(top, 0), height - 1)
    right, bottom = (int(np.ceil(value + reach)) for value in middle)
    part = Image.fromarray(rgb[top : max(bottom, top + 1), left : max(right, left + 1)])
    shift = np.array([left, top], dtype=np.float32)
    factor = int(max(1, 1 / max(2 * scale, 1e-6)))
    if factor > 1:
        part = part.reduce(factor)
    forward = similarity((points - shift) / factor, template)
    inverse = np.linalg.inv(np.vstack([forward, [0.0, 0.0, 1.0]]))[:2]
    sampled = part.transform((side, side), Image.Transform.AFFINE, inverse.ravel().tolist(), Image.Resampling.BILINEAR)
    return np.asarray(sampled)
