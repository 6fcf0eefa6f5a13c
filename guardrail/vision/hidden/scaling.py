"""Views of a picture that differ from the picture: where an image-scaling attack shows its payload.

Kernels without anti-aliasing read few pixels. An attack writes its payload into those and leaves the rest, so at the
right size and kernel the residual of the pixels that are read is coherent, and that of the pixels between them is not:
half a period to the side or below, nothing is left. Edges, textures and drawn lines look alike in both, and go on
beside the pixels that are read. Source of the idea: E. Quiring and others, "Adversarial Preprocessing", USENIX Security
2020; here views of many sizes are looked at instead of one known size, and windows of one line of text instead of the
whole picture.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from guardrail.signals import RGB
from guardrail.vision.hidden import doubled
from guardrail.vision.hidden.lattice import Rows, periods
from guardrail.vision.hidden.residual import ENERGY, MIDDLE, Grey, residual, strokes

SIZES = (112, 128, 160, 192, 224, 240, 256, 288, 299, 320, 336, 384, 448, 480, 512, 640, 768, 896, 1024)
"""Sides that vision models take, in pixels."""
RATIOS = (1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
COARSE = ("pil-nearest", "cv2-nearest")
KERNELS = (*COARSE, "cv2-linear")
"""Kernels told apart. What is made for wider ones shows in the last, and all lean on a pixel that one of the first two
reads, which are tried at every size."""
LEAST = 0.18
"""Score from which a view of the lowest ratios is worth reading."""
_LEASTS = (
    (1.6, 0.30, 0.26, LEAST),
    (1.9, 0.36, 0.31, 0.30),
    (2.4, 0.42, 0.42, 0.25),
    (3.0, 0.50, 0.45, 0.36),
    (math.inf, 0.70, 0.60, 0.40),
)
"""Ratios and the score needed up to each, on plain ground, there at regular sizes, and in texture. Of pages of print
1 % reaches the first, of listings set in letters of one width and full to the edges 4 %; little of either is taken for
texture."""
_TEXTURE, _STANDING_OUT = 0.7, 6
"""Share of pixels that stand out of a window by a quarter of its spread: in texture most do, in print few."""
_FLOOR, _STRENGTH = 2.0, 10.0
_LINE, _CELL = (64, 12), (8, 4)
_CLEAR, _FEWEST = 24, 200
"""Steps of a residual that are one spread, and pixels that differ by more: a short line of text has several hundred."""
_GRID = (48, 48)
_BLOCK = 12
_SMALLEST, _LARGEST = 96, 1024
_LEAST_RATIO, _MOST_RATIO = 1.25, 14.0
_CANDIDATES, _WORTH_A_LOOK = 16, 0.5
_STARTS, _CLIMBS, _STEPS = 2, 6, (1, 3)
_CLIMBING = 0.9
_MARGIN = 8
_AROUND = ((1, 0), (0, 1), (-1, 0), (0, -1), (1, 1), (-1, -1), (1, -1), (-1, 1))
"""Where the pixels between those that are read lie, in halves of a period; checks of print are as strong askew."""
_WIDTHS, _HEIGHTS = 3, 3
_ROUNDED, _ALIKE, _FAR = 2.0, 1.4, 3.0
_SOFT = 0.7
_LIKELIER = 1.15


Key = tuple[tuple[int, int], str]
Map = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class View:
    """A size and kernel.

    Attributes:
        size: width and height in pixels.
        kernel: library and kernel, as in `guardrail.settings.Kernel`.
        score: how much of what stands in a window of one line is gone beside the pixels that are read, 0 to 1.
        shares: (48, 48), the same of windows all over the picture; None where it was not looked for.
    """

    size: tuple[int, int]
    kernel: str
    score: float = 0.0
    shares: Map | None = field(default=None, compare=False, repr=False)


_CV2 = {
    "cv2-nearest": cv2.INTER_NEAREST,
    "cv2-linear": cv2.INTER_LINEAR,
    "cv2-cubic": cv2.INTER_CUBIC,
    "cv2-lanczos4": cv2.INTER_LANCZOS4,
    "cv2-area": cv2.INTER_AREA,
}
_FAST = _CV2 | {"pil-nearest": cv2.INTER_NEAREST_EXACT}


def suspects(rgb: RGB, most: int = 3, *, usual: bool = True) -> list[View]:
    """The views in which something stands that the pixels between theirs lack, the surest first, from `LEAST` on.

    Before them half the size, where something is written in squares of four pixels.

    Args:
        rgb: (height, width, 3).
        most: views given at most.
        usual: whether the sizes of models are tried besides those that rows and columns suggest.
    """
    if min(rgb.shape[:2]) < _SMALLEST:
        return []
    grey = residual(rgb)
    if cv2.countNonZero(cv2.inRange(grey, MIDDLE - _CLEAR, MIDDLE + _CLEAR)) > grey.size - _FEWEST:
        return []
    ground = _Ground(*(_framed(item) for item in (grey, strokes(grey))))
    across, down = periods(grey)
    rows = Rows(grey)
    widths = _widths(across)
    completed = (key for wide in widths for kernel in COARSE for key in _completed(grey, rows, wide, kernel))
    likely = _likely(ground.framed, sizes(grey, dict.fromkeys((*across, *widths)), down, usual=usual), completed)
    found = {key: _alone(ground, key) for key in likely}
    for start in sorted(found, key=lambda key: -found[key].most)[:_STARTS]:
        if found[start].most >= _worth_climbing(ground, start[0]):
            further = {
                key: _alone(ground, key) for key in _completed(grey, rows, start[0][0], start[1]) if key not in found
            }
            found |= further
            _climb(ground, max((start, *further), key=lambda key: found[key].whole), found)
    views = _halved(grey)
    for size, _ in sorted(found, key=lambda key: -found[key].whole):
        far = all(max(abs(size[0] - view.size[0]), abs(size[1] - view.size[1])) > 1 for view in views)
        clear = max((found[key] for key in found if key[0] == size), key=lambda alone: alone.most)
        if far and len(views) < most and _stands(ground, size, clear):
            views.append(_named(ground, size))
    return views


def _halved(grey: Grey) -> list[View]:
    """Half the size, where kernels that look between pixels leave none out."""
    height, width = grey.shape
    half = width // 2, height // 2
    if not (_fits(width, half[0]) and _fits(height, half[1])):
        return []
    score = doubled.doubled(grey)
    return [View(half, "cv2-linear", score)] if score >= doubled.LEAST else []


@dataclass(frozen=True, slots=True)
class _Alone:
    """What of a view's energy stands alone: it is gone in the pixels between, and no stroke.

    Attributes:
        most: the share in the clearest window; what is weak counts less.
        whole: the sum over all windows.
        shares: (48, 48), the share in windows all over the picture.
    """

    most: float
    whole: float
    shares: Map

    @property
    def place(self) -> tuple[int, int]:
        """Row and column of the clearest window on the grid."""
        row, column = np.unravel_index(int(self.shares.argmax()), self.shares.shape)
        return int(row), int(column)


@dataclass(frozen=True, slots=True, eq=False)
class _Ground:
    """A residual in a frame of `_MARGIN` pixels.

    Attributes:
        framed: the residual.
        strokes: what of it goes on to both sides, or above and below.
    """

    framed: Grey
    strokes: Grey


def _stands(ground: _Ground, size: tuple[int, int], clear: _Alone) -> bool:
    """Whether a view's score is high for its ratio and ground.

    Between far pixels nothing of a payload is left, between near ones some is. Between rows of print there is little
    either, but on plain ground: a score in texture needs less.
    """
    plain, textured = _leasts(ground, size)
    return clear.most >= plain or (clear.most >= textured and _in_texture(ground, size, clear.place))


def _in_texture(ground: _Ground, size: tuple[int, int], place: tuple[int, int]) -> bool:
    ends = []
    for side, count, at, cells, line in zip(
        _unframed(ground.framed), size[::-1], place, _GRID[::-1], _LINE[::-1], strict=True
    ):
        middle, half = (at + 0.5) / cells * side + _MARGIN, line * side / count / 2
        ends.append(slice(max(0, round(middle - half)), round(middle + half)))
    part = ground.framed[ends[0], ends[1]]
    return float(np.mean(cv2.absdiff(part, float(MIDDLE)) >= _STANDING_OUT)) >= _TEXTURE


def _leasts(ground: _Ground, size: tuple[int, int]) -> tuple[float, float]:
    height, width = _unframed(ground.framed)
    ratio = math.sqrt(width * height / _pixels(size))
    plain, shaped, textured = next(row[1:] for row in _LEASTS if ratio <= row[0])
    # pitches of letters and lines seldom make a square or the picture's shape
    return shaped if regular(width, height, *size) else plain, textured


def _worth_climbing(ground: _Ground, size: tuple[int, int]) -> float:
    return _CLIMBING * min(_leasts(ground, size))


def _framed(grey: Grey) -> Grey:
    framed = cv2.copyMakeBorder(grey, _MARGIN, _MARGIN, _MARGIN, _MARGIN, cv2.BORDER_REFLECT_101)
    return np.asarray(framed, dtype=np.uint8)


def _unframed(framed: Grey) -> tuple[int, int]:
    return framed.shape[0] - 2 * _MARGIN, framed.shape[1] - 2 * _MARGIN


def _likely(framed: Grey, wanted: Iterable[tuple[int, int]], further: Iterable[Key]) -> list[Key]:
    """Views with most that views of about their size lack; `further` are compared with `wanted`."""
    keys = [(size, kernel) for size in sorted(wanted, key=_pixels) for kernel in COARSE]
    if not keys:
        return []
    maps = np.stack([_glance(framed, key) for key in keys])
    blocks = np.array_split(np.arange(len(keys)), max(1, len(keys) // _BLOCK))
    usual = [np.partition(maps[block], len(block) // 2, axis=0)[len(block) // 2] for block in blocks]
    scores: dict[Key, float] = {}
    for block, ground in zip(blocks, usual, strict=True):
        clear = ((maps[block] - ground) / (maps[block] + _FLOOR)).reshape(len(block), -1).max(axis=1)
        scores |= dict(zip([keys[at] for at in block], clear.tolist(), strict=True))
    largest = [_pixels(keys[block[-1]][0]) for block in blocks]
    for key in further:
        if key not in scores:
            here = _glance(framed, key)
            ground = usual[min(len(usual) - 1, int(np.searchsorted(largest, _pixels(key[0]))))]
            scores[key] = float(((here - ground) / (here + _FLOOR)).max())
    order = sorted(scores, key=lambda key: -scores[key])[:_CANDIDATES]
    return [key for key in order if scores[key] >= _WORTH_A_LOOK]


def _pixels(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def _energy(framed: Grey, key: Key, right: int = 0, down: int = 0) -> Map:
    """Mean square, 0 to 255, of a view's smoothed residual in windows of one line, on a grid of `_GRID` cells.

    `right` and `down` move the pixels that are read.
    """
    return _meant(cv2.GaussianBlur(_seen(framed, key, right, down), (5, 5), 0), _CELL)


def _glance(framed: Grey, key: Key) -> Map:
    """`_energy` by every second pixel of every second row: near enough to tell which views are worth it."""
    return _meant(cv2.pyrDown(_seen(framed, key)), (_CELL[0] // 2, _CELL[1] // 2))


def _seen(framed: Grey, key: Key, right: int = 0, down: int = 0) -> cv2.typing.MatLike:
    (wide, high), kernel = key
    height, width = _unframed(framed)
    top, left = _MARGIN + down, _MARGIN + right
    return cv2.resize(framed[top : top + height, left : left + width], (wide, high), interpolation=_FAST[kernel])


def _meant(smooth: cv2.typing.MatLike, cell: tuple[int, int]) -> Map:
    power = cv2.LUT(smooth, ENERGY)
    high, wide = power.shape
    # means over whole cells first: what is left of a line's window is small
    cells = power[: high // cell[1] * cell[1], : wide // cell[0] * cell[0]]
    small = cv2.resize(cells, (wide // cell[0], high // cell[1]), interpolation=cv2.INTER_AREA)
    mean = cv2.blur(small, (_LINE[0] // _CELL[0], _LINE[1] // _CELL[1]))
    return np.asarray(cv2.resize(mean, _GRID, interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def _alone(ground: _Ground, key: Key) -> _Alone:
    """Of a view's energy, what is no stroke and is gone half a period to all sides."""
    framed = ground.framed
    height, width = _unframed(framed)
    right = min(_MARGIN, max(1, round(width / key[0][0] / 2)))
    down = min(_MARGIN, max(1, round(height / key[0][1] / 2)))
    here = _energy(framed, key)
    loose, near = here - _energy(ground.strokes, key), np.zeros_like(here)
    worth = _worth_climbing(ground, key[0])
    for place in (None, *((across * right, along * down) for across, along in _AROUND)):
        if place:
            near = np.maximum(near, _energy(framed, key, *place))
        left = np.maximum(loose - near, 0)
        share = left / (here + _STRENGTH)
        most = float(share.max())
        if most < worth:
            break
    # every second pixel of an attack's view is as full of the payload: the larger view has all of it
    larger = math.sqrt(key[0][0] * key[0][1])
    whole = float(left.mean()) * larger * (_LIKELIER if regular(width, height, *key[0]) else 1.0)
    return _Alone(most, whole, share)


def _widths(across: Sequence[int]) -> list[int]:
    """The clearest widths, and what the first may be a multiple of: a period also shows at its half and third."""
    parts = [wide // part for wide in across[:1] for part in (2, 3) if wide % part == 0]
    return list(dict.fromkeys([*across[:_WIDTHS], *(wide for wide in parts if wide >= _SMALLEST)]))


def _completed(grey: Grey, rows: Rows, wide: int, kernel: str) -> Iterator[Key]:
    """Sizes of a width that is right already, the heights by the rows that are read where most stands alone."""
    height, width = grey.shape
    heights = rows.heights(wide, _FAST[kernel], centred=kernel == "pil-nearest")
    sizes = [(wide, high) for high in heights if _fits(height, high)]
    for size in sorted(sizes, key=lambda size: not regular(width, height, *size))[:_HEIGHTS]:
        yield size, kernel


def _climb(ground: _Ground, start: Key, found: dict[Key, _Alone]) -> None:
    """Look at the sizes around the best one of a kernel, until none has more that stands alone."""
    best, kernel = start, start[1]
    height, width = _unframed(ground.framed)
    for _ in range(_CLIMBS):
        beside = [size for size in _beside(*best[0]) if _fits(width, size[0]) and _fits(height, size[1])]
        for size in beside:
            if (size, kernel) not in found:
                found[size, kernel] = _alone(ground, (size, kernel))
        better = max(((size, kernel) for size in (best[0], *beside)), key=lambda key: found[key].whole)
        if better == best:
            break
        best = better
    # the middles of cells are every second corner of cells half as large
    half = best[0][0] // 2, best[0][1] // 2
    if kernel == "cv2-nearest" and _fits(width, half[0]) and _fits(height, half[1]):
        found[half, "pil-nearest"] = _alone(ground, (half, "pil-nearest"))


def regular(width: int, height: int, wide: int, high: int) -> bool:
    """Squares and sizes that keep the shape, however a library rounds: the likelier ones."""
    return wide == high or abs(width * high / height - wide) < 1 or abs(height * wide / width - high) < 1


def _beside(wide: int, high: int) -> Iterator[tuple[int, int]]:
    """Sizes that differ by a few pixels in one side, the squares of both sides, and those it may be a multiple of."""
    for step in _STEPS:
        yield from ((wide, high - step), (wide, high + step), (wide - step, high), (wide + step, high))
    yield from ((wide, wide), (high, high))
    for part in (2, 3):
        yield round(wide / part), round(high / part)


def _named(ground: _Ground, size: tuple[int, int]) -> View:
    """The view of a size by the kernel in which most stands alone."""
    scores = {kernel: _alone(ground, (size, kernel)) for kernel in KERNELS}
    kernel = max(KERNELS, key=lambda name: (round(scores[name].most, 1), scores[name].whole))
    shares = np.maximum.reduce([score.shares for score in scores.values()])
    return View(size, kernel, float(shares.max()), shares)


def sizes(
    grey: Grey, across: Collection[int] = (), down: Collection[int] = (), *, usual: bool = True
) -> list[tuple[int, int]]:
    """Squares, pairs and the picture's shape of given sides; the `usual` sizes of models and whole ratios."""
    height, width = grey.shape
    wanted = usual_sizes(width, height, RATIOS) if usual else set()
    wanted |= {(side, side) for side in (*across, *down)}
    # two sides of models together, where one of them shows
    wanted |= {(wide, high) for wide in across if wide in SIZES for high in SIZES if alike(width / wide, height / high)}
    # few such views are large
    wanted |= {
        (wide, high) for wide in across for high in down if width / wide >= _FAR and alike(width / wide, height / high)
    }
    for ratio in (*(width / wide for wide in across), *(height / high for high in down)):
        wanted |= roundings(width, height, ratio)
    return sorted(size for size in wanted if _fits(width, size[0]) and _fits(height, size[1]))


def alike(across: float, down: float) -> bool:
    """Whether two ratios are near enough for one view."""
    return max(across, down) <= _ALIKE * min(across, down)


def usual_sizes(width: int, height: int, ratios: Iterable[float]) -> set[tuple[int, int]]:
    """The sides of models, square and in the picture's shape, and the sizes at some ratios."""
    found = {(side, side) for side in SIZES} | {keeping(width, height, ratio) for ratio in ratios}
    for ratio in (side / own for side in (width, height) for own in SIZES):
        # where more pixels are skipped, climbing mends a rounding
        found |= roundings(width, height, ratio) if ratio < _ROUNDED else {keeping(width, height, ratio)}
    return found


def keeping(width: int, height: int, ratio: float) -> tuple[int, int]:
    """The size at a ratio; other roundings are tried beside it."""
    return round(width / ratio), round(height / ratio)


def roundings(width: int, height: int, ratio: float) -> set[tuple[int, int]]:
    """The size at a ratio as libraries round it: to the nearest, or down as torchvision and many pipelines do."""
    down = math.floor(width / ratio + 1e-6), math.floor(height / ratio + 1e-6)
    return {keeping(width, height, ratio), down}


def _fits(side: int, reduced_to: int) -> bool:
    return _SMALLEST <= reduced_to <= _LARGEST and _LEAST_RATIO <= side / reduced_to <= _MOST_RATIO


PIL = {
    "pil-nearest": Image.Resampling.NEAREST,
    "pil-bilinear": Image.Resampling.BILINEAR,
    "pil-bicubic": Image.Resampling.BICUBIC,
    "pil-lanczos": Image.Resampling.LANCZOS,
    "pil-box": Image.Resampling.BOX,
    "pil-hamming": Image.Resampling.HAMMING,
}


def reduced(pixels: NDArray[np.uint8], view: View) -> NDArray[np.uint8]:
    """(height, width) or (height, width, 3) as a view shows it."""
    if view.kernel in PIL:
        return np.asarray(Image.fromarray(pixels).resize(view.size, PIL[view.kernel]))
    return np.asarray(cv2.resize(pixels, view.size, interpolation=_CV2[view.kernel]), dtype=np.uint8)


def changed(rgb: RGB, view: View) -> RGB:
    """What a view shows and the mean over the same areas does not, three times as strong around grey.

    Of all channels together or of one against the others, whichever has most in one window of a line: a payload may
    stand in one alone, and the picture's own edges stand in all. A little softened, so that grain does not break up
    strokes.
    """
    other = cv2.resize(rgb, view.size, interpolation=cv2.INTER_AREA)
    found = cv2.GaussianBlur(cv2.subtract(reduced(rgb, view), other, dtype=cv2.CV_32F), (0, 0), _SOFT)
    mean = found.mean(axis=2, keepdims=True)
    planes = np.dstack([mean, (found - mean) * 1.5])
    power = cv2.blur(np.square(planes), _LINE).reshape(-1, planes.shape[2])
    best = int(np.argmax(power.max(axis=0) / (power.mean(axis=0) + 1.0)))
    grey = np.clip(planes[..., best] * 3.0 + 128.0, 0, 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
