"""Which part of an upload an edit will draw anew, from a mask of its own or from the upload's transparency.

Conventions differ: OpenAI draws where the mask (or, without one, the picture) is transparent; AUTOMATIC1111, diffusers
and ComfyUI where it is white, and the first of these the other way round when `inpainting_mask_invert` is set.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from guardrail.signals import DecodedPicture

INVERTED = ("inpainting_mask_invert", "mask_invert", "invert_mask")
"""Request parameters that turn a mask round."""
_HALF = 128
_LEAST_TRANSPARENT = 0.001

Area = NDArray[np.bool_]


def drawn(mask: DecodedPicture, params: Mapping[str, str | int | float | bool]) -> tuple[Area, bool]:
    """Where a mask lets the picture be drawn anew, and whether that way round is certain.

    Returns:
        (height, width) in the mask's own size; and false when only brightness speaks and no parameter says which way.
    """
    clear = transparent(mask)
    if clear is not None:
        return clear, True
    bright = mask.frames[0].rgb.mean(axis=2) >= _HALF
    told = [params[name] for name in INVERTED if name in params]
    if told:
        return (~bright if _true(told[0]) else bright), True
    return bright, False


def transparent(picture: DecodedPicture) -> Area | None:
    """Where a picture is transparent, or None when it is nowhere."""
    if picture.alpha is None:
        return None
    found: Area = picture.alpha < _HALF
    return found if float(found.mean()) >= _LEAST_TRANSPARENT else None


def fitted(area: Area, width: int, height: int) -> Area:
    """The area scaled to a picture of another size, as generators do with masks."""
    if area.shape == (height, width):
        return area
    scaled = cv2.resize(area.astype(np.uint8), (width, height), interpolation=cv2.INTER_AREA)
    result: Area = np.asarray(scaled, dtype=np.uint8) > 0
    return result


def _true(value: str | int | float | bool) -> bool:
    return value.strip().lower() in ("1", "true", "yes", "on") if isinstance(value, str) else bool(value)
