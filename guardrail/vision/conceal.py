"""Outputs that go out changed: regions blurred or pixelated beyond recognition, all but the pixels left behind.

What is hidden is reduced to a few cells before it is drawn over, so no detail is left that sharpening could bring back
(McPherson, Shokri and Shmatikov 2016, "Defeating image obfuscation with deep learning", recognise faces in mosaics of
many cells). Whether it worked is not claimed here: the guard judges the copy like any other output.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from PIL import Image

from guardrail.errors import PictureError
from guardrail.signals import RGB, DecodedPicture, Skip
from guardrail.vision.decode import SCANNERS

Way = Literal["blur", "pixelate"]
Box = tuple[int, int, int, int]

CELLS = 4
"""Cells along the longer side of a region, whatever its size in pixels."""
MARGIN = 0.3
"""Share of its size by which a region is widened on each side: boxes of faces leave out hair and chin."""
_OPTIONS: dict[str, tuple[str, dict[str, object]]] = {
    "jpeg": ("JPEG", {"quality": 95, "subsampling": 0}),
    "png": ("PNG", {"compress_level": 1}),
    "webp": ("WEBP", {"quality": 95}),
    "gif": ("GIF", {}),
    "avif": ("AVIF", {"quality": 90, "speed": 8}),
}


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a picture to hide: frame, box as x, y, width, height in pixels of the upright picture, and how."""

    frame: int
    box: Box
    way: Way


def still(picture: DecodedPicture) -> bool:
    """Whether the file is one picture and no animation; pictures inside its metadata do not count."""
    return picture.format == "jpeg" or SCANNERS[picture.format](picture.source.data, len(picture.frames)).frames == 1


def concealed(picture: DecodedPicture, regions: Sequence[Region]) -> tuple[bytes, tuple[Skip, ...]]:
    """A copy of a still picture without its regions: upright, encoded once in the same format, without metadata.

    Regions of further frames count where these have the size of the picture, as another rendering of it has; other
    frames, colours beneath transparency and credentials are not in the copy.

    Returns:
        the encoded copy, and what of the original could not be kept.

    Raises:
        PictureError: reason "animated" for a picture of several frames of its own.
    """
    if not still(picture):
        raise PictureError(
            "only still pictures can be transformed", reason="animated", advice="Ask the generator for a still picture."
        )
    rgb = picture.frames[0].rgb.copy()
    shape = rgb.shape
    sizes = {frame.index: frame.rgb.shape for frame in picture.frames}
    for region in regions:
        if sizes.get(region.frame) == shape:
            hide(rgb, region.box, region.way)
    kept = (Skip("picture.c2pa", "content credentials were left out: they do not hold for changed pixels"),)
    return _encoded(picture, rgb), kept if any(item.where == "c2pa" for item in picture.texts) else ()


def hide(rgb: RGB, box: Box, way: Way) -> None:
    """Draw over a box and its margin, in place."""
    x, y, wide, high = box
    left, top = max(0, round(x - MARGIN * wide)), max(0, round(y - MARGIN * high))
    bottom, right = max(0, round(y + high * (1 + MARGIN))), max(0, round(x + wide * (1 + MARGIN)))
    part = rgb[top:bottom, left:right]
    if not part.size:
        return
    rows, columns = part.shape[:2]
    cell = max(rows, columns) / CELLS
    cells = max(1, round(columns / cell)), max(1, round(rows / cell))
    few = cv2.resize(np.ascontiguousarray(part), cells, interpolation=cv2.INTER_AREA)
    method = cv2.INTER_NEAREST if way == "pixelate" else cv2.INTER_CUBIC
    part[:] = cv2.resize(few, (columns, rows), interpolation=method).reshape(part.shape)


def _encoded(picture: DecodedPicture, rgb: RGB) -> bytes:
    format, options = _OPTIONS[picture.format]
    data = io.BytesIO()
    if picture.alpha is not None and format != "GIF":
        Image.fromarray(np.dstack([rgb, picture.alpha])).save(data, format, **options)
    else:
        Image.fromarray(rgb).save(data, format, **options)
    return data.getvalue()
