"""Where lines of text stand: the PP-OCRv4 detection network and what is made of its map.

Source: M. Liao and others, "Real-time Scene Text Detection with Differentiable Binarization", AAAI 2020. Boxes are
grown as rectangles, not as polygons: a line of text is one.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from guardrail.detector import ModelProvider
from guardrail.errors import DetectionError
from guardrail.signals import RGB
from guardrail.vision.nets import run

MODEL = "ppocr-v4-det"
STEP = 32
"""The network halves its input five times."""
_LIKELY, _SURE, _GROW = 0.3, 0.5, 1.6
_HALF = 127.5
_THINNEST = 3.0
MAX_BOXES = 400
"""Boxes kept of one map, the largest first; noise and halftone have thousands."""


@dataclass(frozen=True, slots=True)
class TextBox:
    """A line of text.

    Attributes:
        centre: x and y in pixels of the picture.
        size: width along the line and height across it, in pixels.
        angle: degrees, clockwise, of the line against the horizontal, from -45 to 45, or near 90 for upright lines.
        score: mean probability of text inside, 0 to 1.
    """

    centre: tuple[float, float]
    size: tuple[float, float]
    angle: float
    score: float

    @property
    def level(self) -> tuple[float, float]:
        """Extent across and down in the picture, for lines that are about level or upright."""
        return self.size[::-1] if round(self.angle / 90) % 2 else self.size


def find(models: ModelProvider, rgb: RGB, longest: int) -> tuple[list[TextBox], bool]:
    """Lines of text in a picture, and whether there were more than `MAX_BOXES`.

    Args:
        models: where the network comes from.
        rgb: (height, width, 3).
        longest: side in pixels that the picture is reduced to before the network looks, never enlarged.

    Raises:
        DetectionError: the network failed or gave another shape.
    """
    likely = _map(models, rgb, longest)
    boxes = boxes_of(likely)
    across, down = rgb.shape[1] / likely.shape[1], rgb.shape[0] / likely.shape[0]
    return [_moved(box, across, down) for box in boxes[:MAX_BOXES]], len(boxes) > MAX_BOXES


def glimpsed(models: ModelProvider, rgb: RGB, longest: int) -> bool:
    """Whether there seems to be text at all; arguments and errors as of `find`."""
    return bool((_map(models, rgb, longest) > _LIKELY).any())


def _map(models: ModelProvider, rgb: RGB, longest: int) -> NDArray[np.float32]:
    """Probability of text at each pixel of the reduced picture."""
    height, width = rgb.shape[:2]
    scale = min(1.0, longest / max(height, width))
    high, wide = (max(STEP, round(side * scale / STEP) * STEP) for side in (height, width))
    small = cv2.resize(rgb, (wide, high), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    found = run(models.session(MODEL), MODEL, {"x": feed(small)})[0]
    if found.shape != (1, 1, high, wide):
        raise DetectionError(f"model {MODEL!r} gave another shape than expected")
    return np.asarray(found[0, 0], dtype=np.float32)


def feed(rgb: RGB) -> NDArray[np.float32]:
    """(1, 3, height, width) of a picture as both networks of the room take it: blue first, -1 to 1."""
    size = rgb.shape[1], rgb.shape[0]
    return np.asarray(cv2.dnn.blobFromImage(rgb, 1 / _HALF, size, (_HALF,) * 3, swapRB=True), dtype=np.float32)


def boxes_of(likely: NDArray[np.float32]) -> list[TextBox]:
    """Boxes of a (height, width) map of probabilities, the largest first."""
    mask = cv2.dilate((likely > _LIKELY).astype(np.uint8), np.ones((2, 2), np.uint8))
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    found = []
    contours = sorted(contours, key=cv2.contourArea, reverse=True)[: 4 * MAX_BOXES]
    for contour in contours:
        (x, y), (wide, high), angle = cv2.minAreaRect(contour)
        if min(wide, high) < _THINNEST:
            continue
        score = _inside(likely, contour)
        if score < _SURE:
            continue
        grown = wide * high * _GROW / (2 * (wide + high))
        if wide < high:
            wide, high, angle = high, wide, angle - 90
        if angle < -90:
            angle += 180
        found.append(TextBox((x, y), (wide + 2 * grown, high + 2 * grown), angle, score))
    return found


def _inside(likely: NDArray[np.float32], contour: NDArray[np.int32]) -> float:
    left, top, wide, high = cv2.boundingRect(contour)
    part = likely[top : top + high, left : left + wide]
    mask = np.zeros(part.shape, np.uint8)
    cv2.drawContours(mask, [contour], -1, 1, thickness=-1, offset=(-left, -top))
    return float(cv2.mean(part, mask)[0])


def _moved(box: TextBox, across: float, down: float) -> TextBox:
    """A box of the reduced picture in the pixels of the full one; both scales are nearly the same."""
    mean = (across + down) / 2
    return TextBox(
        (box.centre[0] * across, box.centre[1] * down), (box.size[0] * mean, box.size[1] * mean), box.angle, box.score
    )
