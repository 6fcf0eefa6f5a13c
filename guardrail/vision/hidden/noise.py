"""Pictures under strong noise that a smooth kernel takes away: what is hidden below shows when they are reduced.

Kernels with anti-aliasing read every pixel, so an attack cannot pick some. It hides a faint payload under noise from
the kernel's null space: strong in the picture, gone in the view it was made for. Ordinary noise only grows fainter when
a picture is reduced; where it vanishes at one size and kernel and not at the next, somebody has made it so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np

from guardrail.signals import RGB
from guardrail.vision.hidden.residual import Grey
from guardrail.vision.hidden.scaling import View, keeping, reduced, usual_sizes

STRONG = 18.0
"""Standard deviation of the finest detail, in levels, that photographs keep below but for small parts."""
KERNELS = ("pil-bilinear", "pil-bicubic", "pil-lanczos", "pil-box", "pil-hamming", "cv2-area")
RATIOS = (1.5, 1.75, 2.0, 2.25, 2.5, 2.75, 3.0, 3.5, 4.0, 5.0, 6.0)
PLAIN = (2.0, 3.5, 5.5)
MAX_SIDE = 2048
"""Larger pictures are not searched: each view reads every pixel."""
_TILE = 64
_SHARE, _FULL = 0.55, 0.7
_SMALLEST, _LEAST_RATIO, _MOST_RATIO = 96, 1.3, 8.0
_LIKELY, _SURE = 12, 0.5


def noisy(rgb: RGB) -> bool:
    """Whether strong fine detail fills half of the picture or more.

    Noise is everywhere in a tile, its mean near its standard deviation (0.8 of it where it is normal); the strokes and
    edges of print are strong too, but leave most of a tile empty.
    """
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    fine = cv2.subtract(grey, cv2.GaussianBlur(grey, (0, 0), 1.5), dtype=cv2.CV_32F)
    height, width = grey.shape
    tiles = (max(1, width // _TILE), max(1, height // _TILE))
    power = cv2.resize(fine * fine, tiles, interpolation=cv2.INTER_AREA)
    mean = cv2.resize(cv2.absdiff(fine, 0.0), tiles, interpolation=cv2.INTER_AREA)
    full = (power > STRONG**2) & (mean * mean > _FULL**2 * power)
    return float(np.mean(full)) >= _SHARE


def calm_views(rgb: RGB, most: int = 2) -> list[View]:
    """The views of different sizes in which least of the noise is left, the calmest first; `score` is 0 to 1.

    Sizes are searched with a cheap kernel first, then all kernels are tried at the likeliest. Where noise vanishes
    nowhere it still grows fainter: then means over areas of `PLAIN` pixels a side are the views, with a score of 0.
    """
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    if max(grey.shape) > MAX_SIDE:
        return []
    found = {(size, "cv2-area"): _left(grey, size, "cv2-area") for size in _sizes(grey)}
    found |= {(size, "pil-bilinear"): _left(grey, size, "pil-bilinear") for size, _ in list(found)}
    if not found:
        return []
    usual = float(np.median(list(found.values()))) + 1e-6
    likely = sorted(found, key=lambda key: found[key])[:_LIKELY]
    for size in dict.fromkeys(size for size, _ in likely):
        for kernel in KERNELS:
            if (size, kernel) not in found:
                found[size, kernel] = _left(grey, size, kernel)
    views: dict[tuple[int, int], View] = {}
    for size, kernel in sorted(found, key=lambda key: found[key]):
        views.setdefault(size, View(size, kernel, max(0.0, 1 - found[size, kernel] / usual)))
    calm = [view for view in list(views.values())[:most] if view.score >= _SURE]
    height, width = grey.shape
    plain = [keeping(width, height, ratio) for ratio in PLAIN]
    return calm or [View(size, "cv2-area") for size in plain if min(size) >= _SMALLEST]


def _sizes(grey: Grey) -> Iterator[tuple[int, int]]:
    height, width = grey.shape
    for wide, high in sorted(usual_sizes(width, height, RATIOS)):
        ratios = width / max(1, wide), height / max(1, high)
        if min(wide, high) >= _SMALLEST and min(ratios) >= _LEAST_RATIO and max(ratios) <= _MOST_RATIO:
            yield wide, high


def _left(grey: Grey, size: tuple[int, int], kernel: str) -> float:
    """Fine detail of a view, times what white noise loses on the way to its size."""
    view = reduced(grey, View(size, kernel)).astype(np.float32)
    lost = math.sqrt(grey.size / view.size)
    return float(np.median(np.abs(cv2.Laplacian(view, cv2.CV_32F)))) * lost
