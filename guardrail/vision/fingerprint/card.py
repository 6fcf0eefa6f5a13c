"""The test card: always listed, so that an operator can see the detector answer without listing anything."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from guardrail.vision.fingerprint.pdq import dihedral, luma

CANARY_ID = "guardrail-canary"
CANARY_DISTANCE = 10


def canary() -> NDArray[np.uint8]:
    """(256, 256, 3) RGB test card whose fingerprint is always listed; drawn, harmless and unlike any photograph."""
    y, x = np.mgrid[0:256, 0:256] / 256.0
    waves = np.sin(37 * x * y) + np.sin(11 * x + 23 * y * y) + np.sin(53 * (x - 0.4) * (y - 0.7))
    level = ((waves - waves.min()) / (waves.max() - waves.min()) * 255).astype(np.uint8)
    return np.dstack([level, 255 - level, level // 2 + 64])


def canary_png() -> bytes:
    """The test card as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(canary()).save(buffer, "PNG")
    return buffer.getvalue()


@cache
def card_hash() -> NDArray[np.uint8]:
    """(32,) hash of the test card."""
    hashes, _ = dihedral(luma(canary()))
    found: NDArray[np.uint8] = hashes[0]
    return found
