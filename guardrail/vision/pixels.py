"""Pixels of any mode as what a viewer sees, and what transparency hides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from guardrail.signals import RGB

HIDDEN_SPREAD = 8.0
"""Standard deviation, in levels, from which colours or alpha under transparency count as a picture of their own."""

_TURNS = {
    1: (0, False),
    2: (0, True),
    3: (2, False),
    4: (2, True),
    5: (1, True),
    6: (3, False),
    7: (3, True),
    8: (1, False),
}


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One frame's pixels: as seen over white, its alpha if any, and the colours beneath when they differ."""

    rgb: RGB
    alpha: NDArray[np.uint8] | None = None
    beneath: RGB | None = None


def see(picture: Image.Image) -> Seen:
    """The loaded frame of `picture` as (height, width, 3) RGB over white.

    16-bit samples are reduced to their high byte, CMYK goes through Pillow's conversion, palettes are resolved.
    """
    if picture.mode in ("I;16", "I;16B", "I;16L", "I"):
        return _deep_grey(picture)
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or picture.has_transparency_data:
        return _composite(np.asarray(picture.convert("RGBA")))
    if picture.mode != "RGB":
        picture = picture.convert("RGB")
    return Seen(np.array(picture))


def orient(array: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Turn (height, width[, 3]) pixels upright. `orientation` is 1 to 8 as in TIFF 6.0."""
    turns, mirrored = _TURNS[orientation]
    if mirrored:
        array = array[:, ::-1]
    return np.ascontiguousarray(np.rot90(array, turns))


def _deep_grey(picture: Image.Image) -> Seen:
    deep = np.asarray(picture).astype(np.uint32)
    grey = (deep >> 8).clip(0, 255).astype(np.uint8)
    transparent = picture.info.get("transparency")
    if not isinstance(transparent, int):
        return Seen(np.repeat(grey[..., None], 3, axis=2))
    alpha = np.where(deep == transparent, 0, 255).astype(np.uint8)
    return _composite(np.dstack([grey, grey, grey, alpha]))


def _composite(rgba: NDArray[np.uint8]) -> Seen:
    alpha = rgba[..., 3]
    colours = np.ascontiguousarray(rgba[..., :3])
    if alpha.min() == 255:
        return Seen(colours)
    rgb = _over(colours, alpha, 255)
    return Seen(rgb, np.ascontiguousarray(alpha), _beneath(colours, alpha))


def _over(colours: RGB, alpha: NDArray[np.uint8], ground: int) -> RGB:
    share = alpha[..., None].astype(np.uint16)
    mixed = colours * share + np.uint16(ground) * (255 - share)
    # exact division by 255 with rounding, as in Porter-Duff compositing on bytes
    mixed += 128
    rounded: RGB = ((mixed + (mixed >> 8)) >> 8).astype(np.uint8)
    return rounded


def _beneath(colours: RGB, alpha: NDArray[np.uint8]) -> RGB | None:
    """What transparency hides: the bare colours, or the picture a dark page would show of light colours."""
    hidden = colours[alpha < 255]
    if hidden.std(axis=0).max() > HIDDEN_SPREAD:
        return colours
    if hidden.mean() > 127 and alpha.std() > HIDDEN_SPREAD:
        return _over(colours, alpha, 0)
    return None
