"""Prevention: the guard's own reduced copy of an upload, in which no image-scaling attack is left.

Kernels without anti-aliasing read few pixels, and attacks write to those. The mean over areas reads them all: a payload
in one of sixteen pixels keeps a sixteenth of its contrast. The copy has the size the protected model works at (where
that has another shape, the smallest that covers it), so little is scaled again. It is encoded anew: no metadata, no
further frames, no colour beneath transparency.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from guardrail.settings import Settings
from guardrail.signals import RGB, DecodedPicture, Role
from guardrail.vision.hidden.scaling import suspects

_SMALLEST = 96
_FURTHER = 0.75
_TRIES = 8


def resampled(pictures: Sequence[DecodedPicture], settings: Settings) -> list[bytes]:
    """The copies, encoded; all reduced by one share, so that masks still lie on their pictures.

    Args:
        pictures: the decoded uploads of a request.
        settings: `preprocessing` gives the size; without it, the longest side is at most `resample_side`.

    Returns:
        PNG, or JPEG of quality 95 for what came as JPEG.
    """
    share = min((_share(picture, settings) for picture in pictures), default=1.0)
    shown = [picture for picture in pictures if picture.source.role is not Role.MASK]
    for _ in range(_TRIES):
        smaller = share * _FURTHER
        if min((min(item.width, item.height) for item in shown), default=0) * smaller < _SMALLEST:
            break
        if not any(suspects(_reduced(item.frames[0].rgb, _size(item, share))) for item in shown):
            break
        share = smaller
    return [_encoded(picture, _size(picture, share)) for picture in pictures]


def _share(picture: DecodedPicture, settings: Settings) -> float:
    if settings.preprocessing:
        sizes = [way.scaled(picture.width, picture.height) for way in settings.preprocessing]
        return min(1.0, *(max(wide / picture.width, high / picture.height) for wide, high in sizes))
    return min(1.0, settings.resample_side / max(picture.width, picture.height))


def _size(picture: DecodedPicture, share: float) -> tuple[int, int]:
    return max(1, round(picture.width * share)), max(1, round(picture.height * share))


def _reduced(pixels: RGB, size: tuple[int, int]) -> RGB:
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _encoded(picture: DecodedPicture, size: tuple[int, int]) -> bytes:
    rgb = _reduced(picture.frames[0].rgb, size)
    data = io.BytesIO()
    if picture.alpha is not None:
        alpha = _reduced(picture.alpha, size)
        Image.fromarray(np.dstack([rgb, alpha])).save(data, "PNG", compress_level=1)
    elif picture.format == "jpeg":
        Image.fromarray(rgb).save(data, "JPEG", quality=95, subsampling=0)
    else:
        Image.fromarray(rgb).save(data, "PNG", compress_level=1)
    return data.getvalue()
