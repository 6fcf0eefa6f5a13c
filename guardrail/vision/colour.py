"""Colour management as an attack surface: a file may look one way to a reader of bare samples and another on screen.

A profile or a gamma that only shifts colours a little is left alone (the nets are trained on bare samples). One that
makes another picture of the same samples is applied, and both pictures are looked at.
"""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

from guardrail.signals import RGB

DRASTIC = 40.0
"""Mean change in levels, over a lattice of colours, from which a rendering counts as another picture. Adobe RGB,
Display P3 and ProPhoto shown as sRGB stay below it."""
USUAL_GAMMA = 1 / 2.2
MAX_PROFILE_BYTES = 2**20
"""Bytes of a profile that is read; a display's has a few thousand."""

_LATTICE = np.stack(np.meshgrid(*[np.linspace(0, 255, 9).astype(np.uint8)] * 3), axis=-1).reshape(27, 27, 3)


class Renderer:
    """Applies what a file says about its colours.

    Args:
        icc: ICC profile bytes, or empty; only RGB profiles are applied.
        gamma: encoding exponent of a PNG's samples (gAMA), or None.
    """

    def __init__(self, icc: bytes, gamma: float | None) -> None:
        self.fault = ""
        self._transform: ImageCms.ImageCmsTransform | None = None
        self._curve: np.ndarray[tuple[int], np.dtype[np.uint8]] | None = None
        if len(icc) > MAX_PROFILE_BYTES:
            self.fault = "the colour profile is too large to be applied, so colours are as stored"
        elif icc:
            self._read_profile(icc)
        elif gamma is not None:
            exponent = USUAL_GAMMA / max(gamma, 1e-3)
            curve = (np.linspace(0.0, 1.0, 256) ** exponent * 255).round().astype(np.uint8)
            if np.abs(curve - np.arange(256.0)).mean() > DRASTIC:
                self._curve = curve

    def _read_profile(self, icc: bytes) -> None:
        try:
            if ImageCms.ImageCmsProfile(io.BytesIO(icc)).profile.xcolor_space.strip() != "RGB":
                self.fault = "a colour profile that is not of RGB is not applied"
                return
            self._transform = _transform(icc)
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            self.fault = "the colour profile cannot be read, so colours are as stored"

    def render(self, rgb: RGB) -> RGB | None:
        """What a colour-managed viewer shows of the samples when that is another picture, else None."""
        if self._transform is not None:
            return np.array(ImageCms.applyTransform(Image.fromarray(rgb), self._transform))
        if self._curve is not None:
            return self._curve[rgb]
        return None


@lru_cache(maxsize=32)
def _transform(icc: bytes) -> ImageCms.ImageCmsTransform | None:
    """The way from the profile to sRGB, or None when it changes colours only a little."""
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    way = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), "RGB", "RGB")
    shown = ImageCms.applyTransform(Image.fromarray(_LATTICE), way)
    change = np.abs(np.asarray(shown).astype(np.float64) - _LATTICE).mean()
    return way if change > DRASTIC else None
