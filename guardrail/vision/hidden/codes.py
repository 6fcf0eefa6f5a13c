"""Bar codes: QR, Data Matrix, Aztec, PDF417 and the linear ones, by zxing-cpp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import zxingcpp

from guardrail.signals import RGB
from guardrail.vision.hidden.faint import MAX_SIDE, faint_codes, fitting
from guardrail.vision.hidden.residual import Grey

MAX_CODES = 16
MAX_CHARS = 8_192
_CLEARER = 24
_LEAST_CODE, _MOST_OF, _MOST_PLACES, _CELL, _WIDE = 24, 0.5, 4, 4, 7
_TIMES = (3, 2)
"""Enlargements of a place: edges of modules must fall between pixels, at which size depends on their own."""
_FLAT, _LOW = 1, (4, 32)
_MOSTLY, _OFTEN = 100, ((12, 0), (48, 5))
"""Of 255: shares of flat pixels, and of low steps with cells around: where some are everywhere, codes have more."""
_SQUARE = zxingcpp.BarcodeFormats(
    [zxingcpp.BarcodeFormat.QRCode, zxingcpp.BarcodeFormat.DataMatrix, zxingcpp.BarcodeFormat.Aztec]
)
"""Codes that are looked for in pictures of raised contrast, where bars stand everywhere."""


@dataclass(frozen=True, slots=True)
class Code:
    """A code that was read.

    Attributes:
        text: what it carries; bytes that are no text are shown as their printable runs.
        kind: name of the symbology, such as "QRCode".
        box: x, y, width, height in pixels; None for a faint code.
    """

    text: str
    kind: str
    box: tuple[int, int, int, int] | None


def codes(rgb: RGB) -> list[Code]:
    """Codes of a picture, at most `MAX_CODES`; faint ones are looked for when there is no plain one."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    found = _read(zxingcpp.read_barcodes(grey, try_downscale=max(grey.shape) <= MAX_SIDE))
    if found:
        return found
    small = np.ascontiguousarray(fitting(grey))
    places = [small[place] for place in _stepped(small)]
    clear = [_clear(small), *(_enlarged(part, times) for times in _TIMES for part in places)]
    for picture in clear:
        if found := _read(zxingcpp.read_barcodes(picture, _SQUARE, try_invert=False, try_downscale=False)):
            return [replace(item, box=None) for item in found]
    return [Code(text[:MAX_CHARS], "QRCode", None) for text in faint_codes(rgb)[:MAX_CODES]]


def _clear(grey: Grey) -> Grey:
    """The picture with the contrast of faint things raised, contours kept."""
    return np.asarray(cv2.createCLAHE(clipLimit=_CLEARER, tileGridSize=(4, 4)).apply(grey), dtype=np.uint8)


def _stepped(grey: Grey) -> list[tuple[slice, slice]]:
    """Rows and columns of places that are flat but for many low steps, the largest first: so look faint modules.

    The detector of codes without finder patterns looks from the middle of a picture, and only as far as it is calm.
    """
    if min(grey.shape) < _LEAST_CODE:
        return []
    steps = cv2.max(cv2.absdiff(grey[:-1, 1:], grey[:-1, :-1]), cv2.absdiff(grey[1:, :-1], grey[:-1, :-1]))
    shares = [
        cv2.blur(cv2.resize(mask, None, fx=1 / _CELL, fy=1 / _CELL, interpolation=cv2.INTER_AREA), (_WIDE, _WIDE))
        for mask in (cv2.inRange(steps, 0, _FLAT), cv2.inRange(steps, *_LOW))
    ]
    found = []
    for often, room in _OFTEN:
        mask = ((shares[0] > _MOSTLY) & (shares[1] > often)).astype(np.uint8)
        mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
        mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((_WIDE, _WIDE), np.uint8))
        mask = cv2.dilate(mask, np.ones((3, 3), np.uint8), iterations=room)
        _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
        for left, top, wide, high, _ in sorted(stats[1:].tolist(), key=lambda row: -row[4])[:_MOST_PLACES]:
            if min(wide, high) * _CELL >= _LEAST_CODE and wide * high < _MOST_OF * mask.size:
                found.append((slice(top * _CELL, (top + high) * _CELL), slice(left * _CELL, (left + wide) * _CELL)))
    return found


def _enlarged(grey: Grey, times: int) -> Grey:
    """A part with its contrast raised, so many times as large."""
    clear = cv2.createCLAHE(clipLimit=_CLEARER, tileGridSize=(2, 2)).apply(grey)
    return np.asarray(cv2.resize(clear, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def _read(read: Sequence[zxingcpp.Barcode]) -> list[Code]:
    found = []
    for item in read[:MAX_CODES]:
        text = item.text or bytes(item.bytes).decode("latin-1")
        place = item.position
        corners = (place.top_left, place.top_right, place.bottom_right, place.bottom_left)
        across, down = [corner.x for corner in corners], [corner.y for corner in corners]
        box = (min(across), min(down), max(across) - min(across), max(down) - min(down))
        if text.strip():
            found.append(Code(text[:MAX_CHARS], item.format.name, box))
    return found
