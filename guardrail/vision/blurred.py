"""What was blurred on purpose: the blur is measured, and undone as far as it can be.

Sources: the width of a blur from how much less steep edges become when blurred again, S. Zhuo and T. Sim (2011); its
inverse after N. Wiener (1949).
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from guardrail.signals import RGB

AGAIN = 1.5
"""Width of the second blur, in pixels."""
STEEP = 0.98
"""Quantile of slopes from which a place is an edge."""
LEAST_SLOPE = 40.0
"""Of an edge, as Sobel's operator gives it: five levels a pixel. A soft surface has none."""
WIDTHS = 1.5, 6.0
"""Widths of a blur, in pixels of a copy of `SIDE`, between which it is undone: less is usual, more leaves nothing."""
SIDE = 320
LEAST_SIDE = 64
"""Shorter side, in pixels, below which nobody tells a blur from a small picture enlarged."""
NOISE = 0.003
"""Share of noise in a picture, as Wiener's filter takes it: 8 bits and JPEG."""

Floats = NDArray[np.float32]


def blur(pixels: RGB) -> float:
    """Width of the blur, in pixels: standard deviation of a Gaussian, 0 for a picture that shows nothing."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    if min(grey.shape) < LEAST_SIDE:
        return 0.0
    slopes, after = _slopes(grey), _slopes(cv2.GaussianBlur(grey, (0, 0), AGAIN))
    edges = slopes >= max(float(np.quantile(slopes, STEEP)), LEAST_SLOPE)
    if not edges.any():
        return 0.0
    ratio = float(np.median(slopes[edges] / np.maximum(after[edges], 1e-3)))
    return AGAIN / float(np.sqrt(max(ratio**2 - 1, 1e-4)))


def _slopes(grey: NDArray[Any]) -> Floats:
    return np.asarray(np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)))


def deblurred(pixels: RGB, width: float) -> RGB:
    """The picture before a blur of that width, as far as it is still there."""
    edge = round(4 * width)
    padded = np.pad(pixels.astype(np.float32), ((edge, edge), (edge, edge), (0, 0)), mode="symmetric")
    down, across = np.fft.fftfreq(padded.shape[0])[:, None], np.fft.rfftfreq(padded.shape[1])[None]
    kept = np.exp(-2 * (np.pi * width) ** 2 * (down**2 + across**2))[..., None]
    spectrum = np.fft.rfft2(padded, axes=(0, 1)) * kept / (kept**2 + NOISE)
    found = np.fft.irfft2(spectrum, s=padded.shape[:2], axes=(0, 1)).clip(0, 255).astype(np.uint8)
    high, wide = pixels.shape[:2]
    return np.ascontiguousarray(found[edge : edge + high, edge : edge + wide])
