"""Faint letters over busy grounds: brightness less what colour tells of it.

What a thing is made of gives its shades one line of colours, so around each place brightness follows from the two
differences of channels. Letters that lighten or darken all channels alike change no difference: what colour does not
explain of brightness has them, and lacks the grain of wood and the waves around them.
"""

from __future__ import annotations

import cv2
import numpy as np

from guardrail.signals import RGB
from guardrail.vision.hidden.explained import Plane, unexplained
from guardrail.vision.hidden.residual import Grey

_SOFT, _GROUND, _STEP, _WINDOW = 1.0, 31, 4, (13, 13)
_RIDGE, _LEAST_SPREAD = 0.3, 0.7
_STRONGEST, _AROUND, _GAIN = 2.0, 61, 40.0


def faded(rgb: RGB) -> Grey:
    """(height, width) around grey: brightness that colour does not explain, its contrast alike everywhere."""
    red, green, blue = (plane.astype(np.float32) for plane in cv2.split(cv2.GaussianBlur(rgb, (0, 0), _SOFT)))
    bright, warm, cold = (_fine(plane) for plane in ((red + green + blue) / 3, red - green, blue - green))
    return _even(_clipped(unexplained(bright, warm, cold, window=_WINDOW, step=_STEP, ridge=_RIDGE)))


def _fine(plane: Plane) -> Plane:
    return np.asarray(plane - cv2.blur(plane, (_GROUND, _GROUND)), dtype=np.float32)


def _spread(plane: Plane, least: float) -> Plane:
    return np.asarray(np.sqrt(np.maximum(cv2.blur(plane * plane, (_AROUND, _AROUND)), 0.0)) + least, dtype=np.float32)


def _clipped(plane: Plane) -> Plane:
    """In units of the local spread, so that what stands out stands out no more than letters."""
    return np.asarray(np.clip(plane / _spread(plane, _LEAST_SPREAD), -_STRONGEST, _STRONGEST), dtype=np.float32)


def _even(plane: Plane) -> Grey:
    soft = np.asarray(cv2.GaussianBlur(plane, (0, 0), _SOFT), dtype=np.float32)
    return np.asarray(cv2.convertScaleAbs(soft / _spread(soft, 0.05) * _GAIN + 128.0), dtype=np.uint8)
