"""Views of a picture that differ from the picture: where an image-scaling attack shows its payload.

Kernels without anti-aliasing read few pixels. An attack writes its payload into those and leaves the rest, so at the
right size and kernel the residual of the pixels that are read is coherent, and at any other it is not. Source of the
idea: E. Quiring and others, "Adversarial Preprocessing", USENIX Security 2020; here the residual is looked at in views
of many sizes instead of one known size, and in windows of one line of text instead of the whole picture.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from guardrail.signals import RGB
from guardrail.vision.hidden.lattice import periods
from guardrail.vision.hidden.residual import MIDDLE, Grey, residual

SIZES = (112, 128, 160, 192, 224, 256, 299, 320, 336, 384, 448, 512, 640, 768, 896, 1024)
"""Sides that vision models take, in pixels."""
RATIOS = (1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
KERNELS = ("pil-nearest", "cv2-nearest", "cv2-linear")
"""Kernels tried. Cubic and Lanczos without anti-aliasing lean on the pixels that linear reads."""
LEAST = 0.27
"""Score from which a view is worth reading; natural pictures reach 0.25, one line of text 0.29."""
_COHERENT = 22
_LINE = (64, 12)
_GRID = (48, 48)
_SMALLEST, _LARGEST = 96, 1024
_LEAST_RATIO, _MOST_RATIO = 1.25, 14.0
_CUT = 9


@dataclass(frozen=True, slots=True)
class View:
    """A size and kernel.

    Attributes:
        size: width and height in pixels.
        kernel: library and kernel, as in `guardrail.settings.Kernel`.
        score: share of a window of one line of text that is coherent here and not in most views, 0 to 1.
    """

    size: tuple[int, int]
    kernel: str
    score: float = 0.0


_CV2 = {
    "cv2-nearest": cv2.INTER_NEAREST,
    "cv2-linear": cv2.INTER_LINEAR,
    "cv2-cubic": cv2.INTER_CUBIC,
    "cv2-lanczos4": cv2.INTER_LANCZOS4,
    "cv2-area": cv2.INTER_AREA,
}


def suspects(rgb: RGB, most: int = 2) -> list[View]:
    """The views in which something stands that most views lack, the surest first, of those that reach `LEAST`."""
    grey = residual(rgb)
    found: list[tuple[tuple[int, int], str]] = []
    maps = []
    for size in sizes(grey):
        for kernel in KERNELS:
            density = coherent(sampled(grey, size, kernel))
            found.append((size, kernel))
            maps.append(cv2.resize(density, _GRID, interpolation=cv2.INTER_AREA))
    if not maps:
        return []
    stacked = np.stack(maps)
    usual = np.partition(stacked, len(maps) // 2, axis=0)[len(maps) // 2]
    scores = cv2.subtract(stacked, np.broadcast_to(usual, stacked.shape).copy()).reshape(len(maps), -1).max(1) / 255.0
    order = np.argsort(-scores, kind="stable")[:most]
    return [View(found[at][0], found[at][1], float(scores[at])) for at in order if scores[at] >= LEAST]


def sizes(grey: Grey) -> list[tuple[int, int]]:
    """Sizes to look at: those of models, whole ratios, and what the residual's own periods point to."""
    height, width = grey.shape
    across, down = periods(grey)
    wanted = {(side, side) for side in SIZES}
    for side in SIZES:
        wanted |= keeping(width, height, width / side) | keeping(width, height, height / side)
    for ratio in RATIOS:
        wanted |= keeping(width, height, ratio)
    for wide in across:
        wanted |= {(wide, high) for high in down} | keeping(width, height, width / wide)
    for high in down:
        wanted |= keeping(width, height, height / high)
    return sorted(size for size in wanted if _fits(width, size[0]) and _fits(height, size[1]))


def keeping(width: int, height: int, ratio: float) -> set[tuple[int, int]]:
    """The size at a ratio, as the libraries round it."""
    return {(round(width / ratio), round(height / ratio)), (int(width / ratio), int(height / ratio))}


def _fits(side: int, reduced_to: int) -> bool:
    return _SMALLEST <= reduced_to <= _LARGEST and _LEAST_RATIO <= side / reduced_to <= _MOST_RATIO


def sampled(grey: Grey, size: tuple[int, int], kernel: str) -> Grey:
    """What a kernel without anti-aliasing reads of (height, width)."""
    if kernel == "pil-nearest":
        height, width = grey.shape
        across = ((np.arange(size[0]) + 0.5) * width / size[0]).astype(np.intp)
        down = ((np.arange(size[1]) + 0.5) * height / size[1]).astype(np.intp)
        return np.ascontiguousarray(grey[down][:, across])
    return np.asarray(cv2.resize(grey, size, interpolation=_CV2[kernel]), dtype=np.uint8)


def coherent(view: Grey) -> Grey:
    """Share, 0 to 255, of pixels around each whose residual agrees with that of their neighbours."""
    smooth = cv2.GaussianBlur(view, (5, 5), 1.0)
    mask = cv2.threshold(cv2.absdiff(smooth, float(MIDDLE)), _COHERENT, 255, cv2.THRESH_BINARY)[1]
    window = (min(_LINE[0], view.shape[1]), min(_LINE[1], view.shape[0]))
    return np.asarray(cv2.boxFilter(mask, -1, window), dtype=np.uint8)


_PIL = {
    "pil-nearest": Image.Resampling.NEAREST,
    "pil-bilinear": Image.Resampling.BILINEAR,
    "pil-bicubic": Image.Resampling.BICUBIC,
    "pil-lanczos": Image.Resampling.LANCZOS,
    "pil-box": Image.Resampling.BOX,
    "pil-hamming": Image.Resampling.HAMMING,
}


def reduced(rgb: RGB, view: View) -> RGB:
    """The picture as a view shows it."""
    if view.kernel in _PIL:
        return np.asarray(Image.fromarray(rgb).resize(view.size, _PIL[view.kernel]))
    return np.asarray(cv2.resize(rgb, view.size, interpolation=_CV2[view.kernel]), dtype=np.uint8)


def reduced_grey(grey: Grey, size: tuple[int, int], kernel: str) -> Grey:
    """One channel as a view of a smooth kernel shows it."""
    if kernel in _PIL:
        return np.asarray(Image.fromarray(grey).resize(size, _PIL[kernel]))
    return np.asarray(cv2.resize(grey, size, interpolation=_CV2[kernel]), dtype=np.uint8)


def changed(rgb: RGB, view: View) -> RGB:
    """What a view shows and the mean over the same areas does not, around grey and three times as strong."""
    other = cv2.resize(rgb, view.size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.addWeighted(reduced(rgb, view), 3.0, other, -3.0, 128.0), dtype=np.uint8)


def reading_order(views: Iterable[View]) -> list[View]:
    """The surest view of each size first."""
    best: dict[tuple[int, int], View] = {}
    for view in views:
        if view.score > best.get(view.size, View(view.size, view.kernel, -1.0)).score:
            best[view.size] = view
    return sorted(best.values(), key=lambda view: -view.score)
