"""Faint letters on flat ground: what is a few levels off one of the commonest colours of a drawn picture.

Screenshots, tables and slides have large parts of exactly one colour, and print far off it. Somebody may write between
and beneath the print what hardly differs from the ground. It is plain once all that is far off is left out, with its
rims, whose smoothed edges are of every shade; to read it, what print leaves out is filled from around (M. Bertalmio and
others, "Navier-Stokes, fluid dynamics, and image and video inpainting", 2001).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from guardrail.signals import RGB
from guardrail.vision.hidden.residual import Grey

Colour = NDArray[np.int64]
_SPARSE, _COMMON, _MOST = 8, 0.03, 4
"""Every so many pixels across and down are counted, for colours of such a share, so many of them at most."""
_FAR, _SAME, _APART = 12, 1, 24
"""Levels within which letters are faint, which a ground may vary, and from which two grounds surely differ."""
_AROUND, _RIM, _GAIN, _MIDDLE = 15, 3, 8.0, 128.0
_STRIP, _FULL, _WHOLE = (31, 3), 250, 0.2
"""What is no stroke of a letter, width and height; and share of a ground that lies in such."""
_LEAST = 200
"""Pixels more than a level off their ground that a dozen faint letters have at least."""
_LOWEST = 8
"""Side in pixels below which nothing can be read."""
_FILLED, _STRONGER = 3.0, 1.3


@dataclass(frozen=True, slots=True, eq=False)
class Flat:
    """A picture without its grounds and without what stands plainly on them, (height, width) around grey.

    Attributes:
        faint: what is left.
        off: how far each pixel that is not far off is from its ground, rims too.
        far: 255 where pixels are far off.
    """

    faint: Grey
    off: Grey
    far: Grey

    def filled(self, left: int, top: int, right: int, bottom: int) -> Grey:
        """A part of what is off, filled where it is far off, or farther off or the other way than what is faint is."""
        part = slice(max(0, top), bottom), slice(max(0, left), right)
        off = self.off[part]
        faint = self.faint[part].astype(np.int16) - round(_MIDDLE)
        ink = faint[np.abs(faint) > _GAIN]
        if not len(ink):
            return off
        strong = float(np.median(ink)), float(np.median(ink)) * _STRONGER
        low, high = (_MIDDLE + _GAIN * way + bound for way, bound in ((-1, min(0.0, *strong)), (1, max(0.0, *strong))))
        left_out = cv2.bitwise_or(self.far[part], cv2.bitwise_not(cv2.inRange(off, np.array(low), np.array(high))))
        return np.asarray(cv2.inpaint(off, left_out, _FILLED, cv2.INPAINT_NS), dtype=np.uint8)


def flat(rgb: RGB) -> Flat | None:
    """What hardly differs from flat ground; None where nothing does.

    Args:
        rgb: (height, width, 3).
    """
    if min(rgb.shape[:2]) < _LOWEST:
        return None
    grounds = _grounds(rgb)
    if not grounds:
        return None
    most = np.zeros(rgb.shape[:2], np.uint8)
    off = np.full(rgb.shape[:2], _MIDDLE, np.uint8)
    for ground, here in grounds:
        # where two are near, that of which there is more around
        share = cv2.bitwise_and(cv2.max(here, 1), _within(rgb, ground, _FAR))
        beside = cv2.compare(share, most, cv2.CMP_GT)
        most = np.asarray(cv2.max(most, share), dtype=np.uint8)
        levels = cv2.transform(rgb, np.array([[_GAIN / 3] * 3 + [_MIDDLE - _GAIN * float(ground.mean())]]))
        cv2.copyTo(levels, beside, off)
    near = cv2.compare(most, 0, cv2.CMP_GT)
    far = np.asarray(cv2.bitwise_not(near), dtype=np.uint8)
    rims = cv2.dilate(far, np.ones((_RIM, _RIM), np.uint8))
    faint = np.asarray(cv2.copyTo(np.full_like(off, _MIDDLE), rims, off.copy()), dtype=np.uint8)
    seen = cv2.countNonZero(cv2.compare(cv2.absdiff(faint, _MIDDLE), _GAIN, cv2.CMP_GT))
    return Flat(faint, off, far) if seen >= _LEAST else None


def _within(rgb: RGB, ground: Colour, levels: int) -> Grey:
    low, high = (np.clip(ground + way * levels, 0, 255).astype(np.uint8) for way in (-1, 1))
    return np.asarray(cv2.inRange(rgb, low, high), dtype=np.uint8)


def _grounds(rgb: RGB) -> list[tuple[Colour, Grey]]:
    """The commonest colours, red, green and blue, and how much of each stands around every pixel, 0 to 255."""
    sample = rgb[::_SPARSE, ::_SPARSE].reshape(-1, 3).astype(np.uint32)
    values, counts = np.unique(sample @ np.array([65536, 256, 1], np.uint32), return_counts=True)
    found: list[tuple[Colour, Grey]] = []
    for at in np.argsort(-counts)[: 4 * _MOST]:
        if counts[at] < _COMMON * len(sample) or len(found) == _MOST:
            break
        colour = np.array([values[at] >> 16, values[at] >> 8 & 255, values[at] & 255], np.int64)
        nearest = min((int(np.abs(colour - other).max()) for other, _ in found), default=_APART)
        if nearest <= 2 * _SAME:
            continue
        same = _within(rgb, colour, _SAME)
        here = np.asarray(cv2.blur(same, (_AROUND, _AROUND)), dtype=np.uint8)
        # strokes of large faint letters are of one colour too
        whole = cv2.countNonZero(cv2.compare(cv2.blur(same, _STRIP), _FULL, cv2.CMP_GE))
        if nearest >= _APART or whole >= _WHOLE * cv2.countNonZero(same):
            found.append((colour, here))
    return found
