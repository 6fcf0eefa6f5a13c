"""What a picture is hashed as: whole, without what frames it, its middle; and, when it is listed, as others may cut it.

PDQ knows a picture only whole. A crop of a tenth, five degrees or a caption bar give another hash altogether, and no
crop of the copy brings back what was cut from it. So the listed picture is cut and turned in advance, and what was
added to the copy is taken away when it is looked up.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from guardrail.signals import RGB
from guardrail.vision.fingerprint.pdq import Luma, hashed, luma, reduced, transformed
from guardrail.vision.pyramid import Level

HASH_SIDE = 512
"""Longest side a picture is reduced to before hashing: for listing and for looking up alike."""
CROPS = {0.965: 3, 0.93: 5, 0.895: 7}
"""Share of each side that a crop keeps -> places a side where it may lie."""
BOTH = 0.95, 3, (-2, 2)
"""Crops that are turned as well: share kept of each side, places a side, degrees."""
ANGLES = (-7, -6, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 6, 7)
"""Degrees; each with black and white corners, and cut until none are left."""
FRAMES = (0.02, 0.04)
"""Widths of thin frames, black and white, as shares of the longer side: too thin to be told from the picture's own."""
MIDDLE = (0.18, 0.82)
"""Rows kept of the view that ignores lettering at top and bottom, as shares of the height."""

_TOLERANCE = 12
_PLAIN = 0.985
_BEGIN = 0.9
"""Share of a bar's first row that is in one colour: lettering close to the edge, saved as JPEG, blurs into it."""
_BACKGROUND = 0.2
_DEEPEST = 0.45
_SAMPLES = 128
_ROUNDS = 3
_LEAST_SIDE = 32
_LEAST_AREA = 0.1


def shown(level: Level) -> RGB:
    """The picture with its longest side at most `HASH_SIDE`."""
    picture = level.base
    scale = min(1.0, HASH_SIDE / max(picture.size))
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return np.ascontiguousarray(np.asarray(level.sized(*size, Image.Resampling.BILINEAR)))


def stripped(rgb: RGB) -> RGB | None:
    """The picture without bars, frames, captions and window chrome around it; None when there are none."""
    height, width = rgb.shape[:2]
    inner = rgb
    for _ in range(_ROUNDS):
        before = inner
        for turned in (False, True):
            inner = inner.transpose(1, 0, 2) if turned else inner
            inner = inner[_bar(inner) :]
            inner = inner[: len(inner) - _bar(inner[::-1])]
            inner = inner.transpose(1, 0, 2) if turned else inner
        if min(inner.shape[:2]) < _LEAST_SIDE or inner.shape[0] * inner.shape[1] < _LEAST_AREA * height * width:
            return None if before is rgb or before.shape == rgb.shape else np.ascontiguousarray(before)
        if inner.shape == before.shape:
            break
    return None if inner.shape == rgb.shape else np.ascontiguousarray(inner)


def _bar(rgb: RGB) -> int:
    """Rows at the top that belong to a bar: it begins and ends in one colour, and may have lettering in between."""
    part = rgb[: int(len(rgb) * _DEEPEST), :: max(1, rgb.shape[1] // _SAMPLES)].astype(np.int16)
    if not part.size:
        return 0
    ragged = max(2, len(rgb) // 100)
    end = 0
    while end < len(part):
        start = _plain(part[end : end + ragged], _PLAIN if end else _BEGIN)
        if start is None:
            break
        share = _share_near(part[end + start :], part[end + start, part.shape[1] // 2])
        broken = np.flatnonzero(share < _BACKGROUND)
        plain = np.flatnonzero(share[: broken[0] if len(broken) else None] >= _PLAIN)
        if not len(plain):
            break
        end += start + int(plain[-1]) + 1
    return end


def _plain(rows: NDArray[np.int16], least: float) -> int | None:
    """The first row of which at least that share is in one colour, which its middle pixel has."""
    for number, row in enumerate(rows):
        if float(_share_near(row[None], row[len(row) // 2])[0]) >= least:
            return number
    return None


def _share_near(rows: NDArray[np.int16], colour: NDArray[np.int16]) -> NDArray[np.float64]:
    """Share of each row's pixels whose channels are all near a colour."""
    return np.asarray((np.abs(rows - colour).max(axis=2) <= _TOLERANCE).mean(axis=1))


def middle(picture: Luma) -> Luma:
    """The rows between possible lettering at top and bottom."""
    first, last = (int(len(picture) * share) for share in MIDDLE)
    return picture[first : max(last, first + 1)]


def listing(level: Level) -> NDArray[np.uint8]:
    """(n, 32) hashes to list a picture under, its plain one first: crops, turns, the middle, and all without frame."""
    whole = shown(level)
    inner = stripped(whole)
    views = list(_cuts(luma(whole)))
    if inner is not None:
        views += _cuts(luma(inner))
    views.append(middle(luma(whole if inner is None else inner)))
    return hashed(np.stack([transformed(reduced(np.ascontiguousarray(view))) for view in views]))


def _cuts(picture: Luma) -> Iterator[Luma]:
    height, width = picture.shape
    yield picture
    for kept, places in CROPS.items():
        yield from _crops(picture, kept, places)
    for crop in _crops(picture, *BOTH[:2]):
        for degrees in BOTH[2]:
            yield _turned(crop, degrees, 0)
    for share in FRAMES:
        edge = max(1, round(share * max(height, width)))
        for level in (0, 255):
            yield np.pad(picture, edge, constant_values=level)
    for degrees in ANGLES:
        for corner in (0, 255):
            turned = _turned(picture, degrees, corner)
            yield turned
        edge = int(np.sin(np.radians(abs(degrees))) * max(height, width) / 2) + 1
        if min(height, width) > 2 * edge + _LEAST_SIDE:
            yield turned[edge : height - edge, edge : width - edge]


def _crops(picture: Luma, kept: float, places: int) -> Iterator[Luma]:
    height, width = picture.shape
    starts = np.linspace(0, 1 - kept, places)
    for down in starts:
        for across in starts:
            top, left = round(down * height), round(across * width)
            yield picture[top : round((down + kept) * height), left : round((across + kept) * width)]


def _turned(picture: Luma, degrees: float, corner: int) -> Luma:
    """About the middle, with corners of one level."""
    height, width = picture.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    turned = cv2.warpAffine(
        np.ascontiguousarray(picture), turn, (width, height), flags=cv2.INTER_LINEAR, borderValue=corner
    )
    return np.asarray(turned, dtype=np.float32)
