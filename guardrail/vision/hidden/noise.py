"""Pictures under strong noise that a smooth kernel takes away: what is hidden below shows when they are reduced.

Kernels with anti-aliasing read every pixel, so an attack cannot pick some. It hides a faint payload under noise from
the kernel's null space: strong in the picture, gone in the view it was made for. Ordinary noise only grows fainter when
a picture is reduced; where it vanishes at one size and kernel and not at the next, somebody has made it so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from guardrail.signals import RGB
from guardrail.vision.hidden.residual import Grey
from guardrail.vision.hidden.scaling import PIL, SIZES, View, alike, keeping, reduced, regular, usual_sizes

STRONG = 18.0
"""Standard deviation of the finest detail, in levels, that photographs keep below but for small parts."""
PLAIN = (2.0, 3.5, 5.5)
MAX_SIDE = 2560
"""Larger pictures are not searched: each view reads every pixel."""
_TILE = 64
_SHARE, _FULL, _EVEN, _PAIR = 0.55, 0.7, 0.5, 2
_PERHAPS, _LIVELY = 0.4, 11.0
_SMALLEST, _LEAST_RATIO, _MOST_RATIO = 96, 1.25, 12.5
_ACROSS = ("pil-box", "pil-bilinear")
_SEARCHED = ("pil-bilinear", "pil-bicubic", "pil-lanczos", "pil-box", "pil-hamming")
_SCREENED, _LIKELY = ("pil-bilinear", "pil-box"), 12
_SURE, _SURER, _APART, _ODD = 0.2, 0.3, 4, 0.05
_ROWS, _FLAT, _CELLS, _MIDDLE = 48, 12, 24, 320
_SIDES, _CALMER = 4, 0.6


def noisy(rgb: RGB) -> bool:
    """Whether strong fine detail fills half of the picture or more.

    Noise is everywhere in a tile, its mean near its standard deviation (0.8 of it where it is normal); the strokes and
    edges of print are strong too, but leave most of a tile empty, and of small print the rows between
    lines.
    """
    return _noise(rgb)[0]


def _noise(rgb: RGB) -> tuple[bool, bool]:
    """Whether a picture is `noisy`, or may be: in colours, where noise adds little to brightness, or between print."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    smooth = cv2.GaussianBlur(grey, (0, 0), 1.5)
    height, width = grey.shape
    tiles = (max(1, width // _TILE), max(1, height // _TILE))
    # of most pictures bytes tell enough: a mean rounded to a level
    rough = cv2.resize(cv2.absdiff(grey, smooth), tiles, interpolation=cv2.INTER_AREA)
    if float(np.mean(rough > _FULL * _LIVELY - 1)) < _PERHAPS:
        return False, False
    fine = np.asarray(cv2.subtract(grey, smooth, dtype=cv2.CV_32F), dtype=np.float32)
    if float(np.mean(_full([fine], tiles, _LIVELY))) < _PERHAPS:
        return False, False
    full = _full([fine], tiles, STRONG)
    if min(float(np.mean(full)), float(np.mean(full & _even(fine * fine, tiles)))) >= _SHARE:
        return True, True
    planes = [cv2.subtract(plane, cv2.GaussianBlur(plane, (0, 0), 1.5), dtype=cv2.CV_32F) for plane in cv2.split(rgb)]
    return False, float(np.mean(_full(planes, tiles, STRONG))) >= _PERHAPS


def _full(planes: Sequence[cv2.typing.MatLike], tiles: tuple[int, int], least: float) -> NDArray[np.bool_]:
    """(rows, columns) of tiles: whether such detail or more fills a tile, in what the planes have on average."""
    power = np.mean([cv2.resize(fine * fine, tiles, interpolation=cv2.INTER_AREA) for fine in planes], axis=0)
    mean = np.mean([cv2.resize(cv2.absdiff(fine, 0.0), tiles, interpolation=cv2.INTER_AREA) for fine in planes], axis=0)
    return np.asarray((power > least**2) & (mean * mean > _FULL**2 * power))


def _even(power: NDArray[np.float32], tiles: tuple[int, int]) -> NDArray[np.bool_]:
    """(rows, columns) of tiles: whether the strengths of a tile's rows are about alike."""
    inside = max(1, len(power) // tiles[1] // _PAIR)
    means = cv2.resize(power, (tiles[0], tiles[1] * inside), interpolation=cv2.INTER_AREA)
    means = means.reshape(tiles[1], inside, tiles[0])
    return np.asarray(means.std(axis=1) < _EVEN * means.mean(axis=1))


def calm_views(rgb: RGB, most: int = 2) -> list[View]:
    """The views of different sizes in which least of the noise is left, the calmest first; `score` is 0 to 1.

    Where strong noise vanishes nowhere it still grows fainter: then means over areas of `PLAIN` pixels a side are the
    views, with a score of 0. Of pictures without noise there are none.
    """
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    if max(grey.shape) > MAX_SIDE or min(grey.shape) < _SMALLEST * _LEAST_RATIO:
        return []
    strong, perhaps = _noise(rgb)
    if not perhaps:
        return []
    picture = Image.fromarray(grey)
    screened = {size: min(_kept(picture, size, kernel) for kernel in _SCREENED) for size in _sizes(picture)}
    likely = sorted(screened, key=lambda size: screened[size])[:_LIKELY]
    found = {(size, kernel): _kept(picture, size, kernel) for size in likely for kernel in _SEARCHED}
    views: dict[tuple[int, int], View] = {}
    odd = {size: 0.0 if regular(*picture.size, *size) else _ODD for size in likely}
    for size, kernel in sorted(found, key=lambda key: found[key] + odd[key[0]]):
        apart = all(abs(size[axis] - other[axis]) > _APART for other in views for axis in (0, 1))
        if apart and len(views) < most:
            kept = {kernel: found[size, kernel], "cv2-area": _kept_by_area(grey, size)}
            name = min(kept, key=lambda key: kept[key])
            views[size] = View(size, name, max(0.0, 1 - kept[name]))
    calm = [view for view in views.values() if view.score >= (_SURE if strong else _SURER)]
    if not strong:
        return calm
    height, width = grey.shape
    plain = [keeping(width, height, ratio) for ratio in PLAIN]
    return calm or [View(size, "cv2-area") for size in plain if min(size) >= _SMALLEST]


def _sizes(picture: Image.Image) -> set[tuple[int, int]]:
    """Sizes at which the noise may vanish, by what each axis shows: whatever the other's size, half of it does."""
    width, height = picture.size
    across, down = _sides(picture), _sides(picture.transpose(Image.Transpose.TRANSPOSE))
    wanted = usual_sizes(width, height, ())
    wanted |= {(wide, high) for wide in across for high in down}
    wanted |= {(side, side) for side in (*across, *down)}
    # two sides of models together, where one of them shows
    wanted |= {(wide, high) for wide in across if wide in SIZES for high in SIZES if alike(width / wide, height / high)}
    wanted |= {(wide, high) for high in down if high in SIZES for wide in SIZES if alike(width / wide, height / high)}
    wanted |= {(wide, high) for wide in across for high in _rounded(height * wide / width)}
    wanted |= {(wide, high) for high in down for wide in _rounded(width * high / height)}
    return {size for size in wanted if _fits(width, size[0]) and _fits(height, size[1])}


def _rounded(side: float) -> set[int]:
    return {math.floor(side), round(side)}


def _fits(side: int, reduced_to: int) -> bool:
    return reduced_to >= _SMALLEST and _LEAST_RATIO <= side / reduced_to <= _MOST_RATIO


def _sides(picture: Image.Image) -> list[int]:
    """The widths at which most of the noise vanishes; heights are reduced by more than in any view."""
    width, height = picture.size
    flat = picture.resize((width, max(_ROWS, height // _FLAT)), Image.Resampling.BILINEAR)
    sides = range(max(_SMALLEST, math.ceil(width / _MOST_RATIO)), math.floor(width / _LEAST_RATIO) + 1)
    kept = [min(_kept(flat, (side, flat.height), kernel) for kernel in _ACROSS) for side in sides]
    return [sides[at] for at in np.argsort(kept)[:_SIDES]]


def _kept(picture: Image.Image, size: tuple[int, int], kernel: str) -> float:
    """Share of a view's fine detail that is there whatever pixels it starts from; below 1 where noise vanishes."""
    here = _fine(picture, size, kernel)
    moved = [
        _fine(picture, size, kernel, axis)
        for axis, (side, reduced_to) in enumerate(zip(picture.size, size, strict=True))
        if side > reduced_to
    ]
    return here / (min(moved) + 1e-6)


def _fine(picture: Image.Image, size: tuple[int, int], kernel: str, moved: int | None = None) -> float:
    """Fine detail in the middle of a view, moved by half a cell along an axis.

    Kernels are aligned at the middle of a picture: there, sizes that are one off differ little.
    """
    box, cells = [0.0] * 4, [0, 0]
    for axis, (side, reduced_to) in enumerate(zip(picture.size, size, strict=True)):
        step = side / reduced_to
        cells[axis] = min(reduced_to - 2, max(_CELLS, round(min(side / 3, _MIDDLE) / step)))
        first = (reduced_to - cells[axis]) // 2 * step + (max(1, round(step / 2)) if axis == moved else 0)
        box[axis], box[axis + 2] = first, first + cells[axis] * step
    part = picture.resize((cells[0], cells[1]), PIL[kernel], (box[0], box[1], box[2], box[3]))
    return _calmer(np.asarray(part))


def _kept_by_area(grey: Grey, size: tuple[int, int]) -> float:
    """`_kept` of OpenCV's mean over areas, which counts parts of pixels and has no aligned part to look at."""
    view = View(size, "cv2-area")
    right, down = (
        max(1, round(side / reduced_to / 2)) for side, reduced_to in zip(grey.shape[::-1], size, strict=True)
    )
    here, *moved = (_calmer(reduced(np.roll(grey, by, (1, 0)), view)) for by in ((0, 0), (right, 0), (0, down)))
    return here / (min(moved) + 1e-6)


def _calmer(view: Grey) -> float:
    """Mean fine detail of the calmer part: strokes and edges are in the other."""
    fine = np.abs(cv2.Laplacian(view, cv2.CV_16S)[1:-1, 2:-2]).ravel()
    calmer = int(_CALMER * fine.size)
    fine.partition(calmer)
    return int(fine[:calmer].sum(dtype=np.int64)) / calmer
