"""Faint letters over busy grounds: brightness less what colour tells of it, at every fineness as far as it is sure.

What a thing is made of gives its shades one line of colours, so around each place brightness follows from the two
differences of channels. Letters that lighten or darken all channels alike change no difference: what colour does not
explain of brightness has them, and lacks the grain of wood and the waves around them. Waves are coarse and grain is
fine, so each octave is explained alone, and what is left of it counts as much as faint letters would be of it (N.
Wiener, 1949).
"""

from __future__ import annotations

import cv2
import numpy as np

from guardrail.signals import RGB
from guardrail.vision.hidden.explained import Plane, unexplained
from guardrail.vision.hidden.residual import Grey

_SOFT, _SOFTER, _WINDOW = 0.8, 0.7, (13, 13)
_OCTAVES = ((4, 0.3, 3.0), (2, 0.075, 4.0), (1, 0.02, 3.0))
"""Of each: side of a cell in its pixels, mean square below which colour explains nothing, and that of letters."""
_AROUND, _COARSE, _LEAST_SPREAD, _STRONGEST, _GAIN = 15, 4, 0.3, 2.0, 40.0


def faded(rgb: RGB) -> Grey:
    """(height, width) around grey: brightness that colour does not explain, its contrast alike everywhere."""
    planes = _apart(cv2.GaussianBlur(rgb, (0, 0), _SOFT))
    octaves = []
    for cell, ridge, letters in _OCTAVES:
        height, width = planes[0].shape
        coarse = [_halved(plane) for plane in planes]
        bright, warm, cold = (plane - _sized(half, plane) for plane, half in zip(planes, coarse, strict=True))
        left = unexplained(bright, warm, cold, window=_WINDOW, step=cell, ridge=ridge)
        cells = max(1, width // cell), max(1, height // cell)
        power = cv2.blur(cv2.resize(left * left, cells, interpolation=cv2.INTER_AREA), _WINDOW)
        octaves.append(left * _sized(np.asarray(letters / (letters + power), dtype=np.float32), left))
        planes = coarse
    whole = octaves.pop()
    while octaves:
        whole = octaves[-1] + _sized(whole, octaves.pop())
    return _even(whole)


def _apart(rgb: cv2.typing.MatLike) -> list[Plane]:
    """Brightness and two differences of channels; bytes are split, for floats take OpenCV many times as long."""
    red, green, blue = cv2.split(rgb)
    whole = cv2.add(cv2.add(red, green, dtype=cv2.CV_16U), blue, dtype=cv2.CV_32F)
    warm, cold = (cv2.subtract(plane, green, dtype=cv2.CV_32F) for plane in (red, blue))
    return [np.asarray(plane, dtype=np.float32) for plane in (cv2.multiply(whole, 1 / 3), warm, cold)]


def _halved(plane: Plane) -> Plane:
    size = max(1, plane.shape[1] // 2), max(1, plane.shape[0] // 2)
    small = cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), _SOFTER), dtype=np.float32)


def _sized(plane: Plane, like: Plane) -> Plane:
    size = like.shape[1], like.shape[0]
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def _even(plane: Plane) -> Grey:
    """In units of the local spread, so that what stands out stands out no more than letters."""
    cells = max(1, plane.shape[1] // _COARSE), max(1, plane.shape[0] // _COARSE)
    power = cv2.blur(cv2.resize(plane * plane, cells, interpolation=cv2.INTER_AREA), (_AROUND, _AROUND))
    unit = _sized(np.asarray(_GAIN / (np.sqrt(np.maximum(power, 0.0)) + _LEAST_SPREAD), dtype=np.float32), plane)
    strong = np.clip(plane * unit, -_STRONGEST * _GAIN, _STRONGEST * _GAIN)
    return np.asarray(cv2.convertScaleAbs(strong, beta=128.0), dtype=np.uint8)
