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
    clear = _clear(fitting(grey))
    found = [replace(item, box=None) for item in _read(zxingcpp.read_barcodes(clear, _SQUARE, try_invert=False))]
    return found or [Code(text[:MAX_CHARS], "QRCode", None) for text in faint_codes(rgb)[:MAX_CODES]]


def _clear(grey: Grey) -> Grey:
    """The picture with the contrast of faint things raised, contours kept."""
    return np.asarray(cv2.createCLAHE(clipLimit=_CLEARER, tileGridSize=(4, 4)).apply(grey), dtype=np.uint8)


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
