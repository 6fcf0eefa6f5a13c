"""Views of a picture that differ from the picture: where an image-scaling attack shows its payload.

Kernels without anti-aliasing read few pixels. An attack writes its payload into those and leaves the rest, so at the
right size and kernel the residual of the pixels that are read is coherent, and at any other it is not. Source of the
idea: E. Quiring and others, "Adversarial Preprocessing", USENIX Security 2020; here the residual is looked at in views
of many sizes instead of one known size, and in windows of one line of text instead of the whole picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from guardrail.signals import RGB
from guardrail.vision.hidden.lattice import periods
from guardrail.vision.hidden.residual import MIDDLE, Grey, residual

SIZES = (112, 128, 160, 192, 224, 240, 256, 288, 299, 320, 336, 384, 448, 480, 512, 640, 768, 896, 1024)
"""Sides that vision models take, in pixels."""
RATIOS = (1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
COARSE = ("pil-nearest", "cv2-nearest")
KERNELS = (*COARSE, "cv2-linear")
"""Kernels tried: at every size those that read one pixel, which is one of those that the others lean on."""
LEAST = 0.27
"""Score from which a view is worth reading; natural pictures reach 0.25, one line of text 0.29."""
_COHERENT = 22
_LINE = (64, 12)
_GRID = (48, 48)
_SMALLEST, _LARGEST = 96, 1024
_LEAST_RATIO, _MOST_RATIO = 1.25, 14.0
_CLIMBS = 6
_REFINED, _WORTH_REFINING, _LIKELIER = 3, 0.12, 0.06


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
_FAST = _CV2 | {"pil-nearest": cv2.INTER_NEAREST_EXACT}


def suspects(rgb: RGB, most: int = 2) -> list[View]:
    """The views in which something stands that most views lack, the surest first, of those that reach `LEAST`."""
    if min(rgb.shape[:2]) < _SMALLEST:
        return []
    grey = residual(rgb)
    scored, usual = _scored(grey, sizes(grey), COARSE)
    if usual is None:
        return []
    near = [key[0] for key in sorted(scored, key=lambda key: -scored[key])[:_REFINED] if scored[key] >= _WORTH_REFINING]
    more = {size for wide, high in near for size in _beside(wide, high)}
    scored |= _scored(grey, sorted(more), KERNELS, usual)[0]
    for _ in range(_CLIMBS if near else 0):
        best = max(scored, key=lambda key: scored[key])
        further = {size for size in _beside(*best[0]) if (size, best[1]) not in scored}
        if not further:
            break
        scored |= _scored(grey, sorted(further), (best[1],), usual)[0]
    # sizes a pixel apart often score alike: squares and those that keep the shape are the likelier
    order = sorted(scored, key=lambda key: -scored[key] - (_LIKELIER if _regular(grey, *key[0]) else 0.0))
    views: list[View] = []
    for size, kernel in order:
        far = all(max(abs(size[0] - view.size[0]), abs(size[1] - view.size[1])) > 1 for view in views)
        if scored[size, kernel] >= LEAST and far and len(views) < most:
            views.append(View(size, kernel, scored[size, kernel]))
    return views


def _scored(
    grey: Grey, wanted: Iterable[tuple[int, int]], kernels: Sequence[str], usual: Grey | None = None
) -> tuple[dict[tuple[tuple[int, int], str], float], Grey | None]:
    """The score of each view, and what most views have in common."""
    found: list[tuple[tuple[int, int], str]] = []
    maps = []
    height, width = grey.shape
    for size in wanted:
        if not (_fits(width, size[0]) and _fits(height, size[1])):
            continue
        for kernel in kernels:
            density = coherent(sampled(grey, size, kernel))
            found.append((size, kernel))
            maps.append(cv2.resize(density, _GRID, interpolation=cv2.INTER_AREA))
    if not maps:
        return {}, usual
    stacked = np.stack(maps)
    if usual is None:
        usual = np.partition(stacked, len(maps) // 2, axis=0)[len(maps) // 2]
    left = cv2.subtract(stacked, np.broadcast_to(usual, stacked.shape).copy()).reshape(len(maps), -1)
    return dict(zip(found, (left.max(axis=1) / 255.0).tolist(), strict=True)), usual


def _beside(wide: int, high: int) -> Iterator[tuple[int, int]]:
    """Sizes that differ by a pixel, as libraries round, and the squares of both sides."""
    yield from (
        (wide, high),
        (wide, high - 1),
        (wide, high + 1),
        (wide - 1, high),
        (wide + 1, high),
        (wide, wide),
        (high, high),
    )


def _regular(grey: Grey, wide: int, high: int) -> bool:
    height, width = grey.shape
    return (wide, high) in ((wide, wide), keeping(width, height, width / wide), keeping(width, height, height / high))


def sizes(grey: Grey) -> list[tuple[int, int]]:
    """Sizes to look at: those of models, whole ratios, and what the residual's own periods point to."""
    height, width = grey.shape
    across, down = periods(grey)
    wanted = usual_sizes(width, height, RATIOS) | {(wide, high) for wide in across for high in down}
    wanted |= {(wide, wide) for wide in across} | {keeping(width, height, width / wide) for wide in across}
    wanted |= {(high, high) for high in down} | {keeping(width, height, height / high) for high in down}
    return sorted(size for size in wanted if _fits(width, size[0]) and _fits(height, size[1]))


def usual_sizes(width: int, height: int, ratios: Iterable[float]) -> set[tuple[int, int]]:
    """The sides of models, square and in the picture's shape, and the sizes at some ratios."""
    found = {(side, side) for side in SIZES} | {keeping(width, height, ratio) for ratio in ratios}
    return found | {keeping(width, height, side / own) for own in SIZES for side in (width, height)}


def keeping(width: int, height: int, ratio: float) -> tuple[int, int]:
    """The size at a ratio; other roundings are tried beside it."""
    return round(width / ratio), round(height / ratio)


def _fits(side: int, reduced_to: int) -> bool:
    return _SMALLEST <= reduced_to <= _LARGEST and _LEAST_RATIO <= side / reduced_to <= _MOST_RATIO


def sampled(grey: Grey, size: tuple[int, int], kernel: str) -> Grey:
    """What a kernel without anti-aliasing reads of (height, width)."""
    return np.asarray(cv2.resize(grey, size, interpolation=_FAST[kernel]), dtype=np.uint8)


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


def reduced(pixels: NDArray[np.uint8], view: View) -> NDArray[np.uint8]:
    """(height, width) or (height, width, 3) as a view shows it."""
    if view.kernel in _PIL:
        return np.asarray(Image.fromarray(pixels).resize(view.size, _PIL[view.kernel]))
    return np.asarray(cv2.resize(pixels, view.size, interpolation=_CV2[view.kernel]), dtype=np.uint8)


def changed(rgb: RGB, view: View) -> RGB:
    """What a view shows and the mean over the same areas does not, three times as strong around grey.

    Of the channel in which it is most, for a payload may stand in one alone.
    """
    other = cv2.resize(rgb, view.size, interpolation=cv2.INTER_AREA)
    found = cv2.addWeighted(reduced(rgb, view), 3.0, other, -3.0, 128.0)
    channel = int(np.argmax(cv2.meanStdDev(found)[1]))
    return np.repeat(found[..., channel : channel + 1], 3, axis=2)
