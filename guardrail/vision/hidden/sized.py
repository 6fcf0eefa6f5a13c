"""Lines that a picture shows and that somebody wrote for another size of it.

At low ratios hardly a pixel is left out, and what is written for a view can be read in the picture too. Still it is a
sum of what the view's pixels read from: what could be added without the view seeing it, such letters lack. Print has
as much of that as of the rest, on every lattice. Where lines stand is known by then, so a few of them tell what no
window of the whole picture does. Pictures that were enlarged lack it too, but all over.

Sources: such a change is the least-squares one of E. Quiring and others, "Adversarial Preprocessing", USENIX Security
2020; that derivatives of what was interpolated repeat with its lattice is from A. Gallagher, "Detection of Linear and
Cubic Interpolation in JPEG Compressed Images", CRV 2005.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from guardrail.signals import RGB
from guardrail.vision.ocr.boxes import TextBox

KERNELS = {"cv2-cubic": cv2.INTER_CUBIC, "cv2-lanczos4": cv2.INTER_LANCZOS4, "cv2-linear": cv2.INTER_LINEAR}
"""Kernels told apart. The first stands for the last until a size is found; the second is sharper."""
MOST_LINES = 10
LEAST, _EACH, _EACH_OF_MANY = 2.0, 1.6, 2.0
"""How much lines must lack together, and each of them on average, also among many: in print of one width, where several
lack a little, it is about one. Lines that lack less are left out, lest somebody adds some to lower the mean."""
_FREE, _EACH_FREE = 2.6, 2.2
"""The same at sizes that are neither square nor of the picture's shape: one of many has the pitch of the letters."""
_FEW, _MANY_LINES, _VERY_CLEAR, _HEIGHTS = 4, 7, 8.0, 5
"""Few lines are no page of print; where their width is so clear, some heights of no shape are tried."""
_FROM, _PER_SPREAD, _MOST_CLEAR = 4.0, 0.2, 0.8
"""How much less one of few lines needs for each spread by which its lattice stands out further."""
_LEAST_RATIO, _MOST_RATIO = 1.22, 2.25
_WIDEST, _TALLEST, _NARROWEST, _LOWEST, _PIECE = 1024, 96, 40, 8, 288
_LEVEL = 4.0
_CAP = 100.0**2
_DOWN, _LIKELY, _CLEAR, _BOTH = 0.7, 5.0, 5.0, 5.0
_SIZES, _OWN, _APART = 3, 3, 2
"""Sizes of all lines together, and lines that may name a size of their own: a payload may stand beside other text."""
_PROBES, _HINT = 3, 0.8
_ACROSS, _ALONG, _MOST_ALONG, _WEIGHT_ALONG = 0.67, 0.78, 1.0, 0.5
"""Shares from which a line lacks nothing, and how much what it lacks down counts: rows repeat in print too."""
_SURE, _MOST_SURE, _FLOOR = 60.0, 1.3, 0.02
"""Dimensions that a view of a line leaves free, from which what it lacks counts fully: short lines lack by chance."""
_RIDGE, _GRAIN = 1e-3, 0.25
_TILE, _TILES, _FLAT = (160, 40), 8, 1.5
_WHOLE, _ALL, _MANY = 0.8, 4, 0.6
_TAPS = 16
"""Pixels around a cell of which it may read some: the widest kernel reads eight."""
Plane = NDArray[np.float32]
Clear = NDArray[np.float64]
Counts = NDArray[np.int64]
Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Sized:
    """Lines of one size.

    Attributes:
        size: width and height of the view that they were written for.
        kernel: library and kernel that read it, the likeliest of `KERNELS`.
        lines: which of the boxes, in their order.
    """

    size: Size
    kernel: str
    lines: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Likely:
    """A size to look at.

    Attributes:
        size: width and height.
        first: the parts to try first, by their order.
        clear: how clear its width is in each part, in spreads.
        least: how much lines must lack together.
        free: whether it is neither square nor of the picture's shape.
    """

    size: Size
    first: Sequence[int]
    clear: Sequence[float]
    least: float = LEAST
    free: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """Pixels of a line or tile in the channel that changes most, and its left upper corner."""

    pixels: Plane
    left: int
    top: int


def sized(rgb: RGB, boxes: Sequence[TextBox]) -> Sized | None:
    """The boxes whose letters were written for another size of a picture, or none.

    Args:
        rgb: (height, width, 3).
        boxes: lines that were read in it; the widest `MOST_LINES` are looked at.
    """
    shape = rgb.shape[1], rgb.shape[0]
    parts = {at: part for at in _widest(boxes) if (part := _line(rgb, boxes[at])) is not None}
    places = list(parts)
    for likely in _sizes(list(parts.values()), shape) if parts else ():
        if not any(_lack(parts[places[at]], shape, likely.size) for at in likely.first):
            continue
        lacks, kernel = _lacks(parts, shape, likely.size)
        lines = _enough(lacks, dict(zip(places, likely.clear, strict=True)), likely)
        if lines:
            if _whole(rgb, likely.size, [boxes[at] for at in lines], of=len(parts)):
                return None
            return Sized(likely.size, kernel, lines)
    return None


def _enough(lacks: Mapping[int, float], clear: Mapping[int, float], likely: _Likely) -> tuple[int, ...]:
    """The lines that lack most, as many as lack enough together and on average; none where no number of them does."""
    order = sorted((at for at, lack in lacks.items() if lack), key=lambda at: -lacks[at])
    sums = np.cumsum([lacks[at] for at in order])
    each = _EACH_FREE if likely.free else _EACH_OF_MANY if len(clear) >= _MANY_LINES else _EACH
    enough = [count for count, total in enumerate(sums, 1) if total >= max(likely.least, each * count)]
    if not enough and order and not likely.free and len(clear) <= _FEW:
        more = min(_MOST_CLEAR, _PER_SPREAD * max(0.0, clear[order[0]] - _FROM))
        enough = [1] if lacks[order[0]] + more >= likely.least else []
    return tuple(sorted(order[: enough[-1]])) if enough else ()


def _lacks(parts: Mapping[int, _Part], shape: Size, size: Size) -> tuple[dict[int, float], str]:
    """How much each line lacks by the kernel of which they lack most, and that kernel."""
    found: dict[str, dict[int, float]] = {}
    for kernel in KERNELS:
        here = {at: _lack(part, shape, size, kernel) for at, part in parts.items()}
        # what lacks something in its middle by chance seldom does all along
        found[kernel] = {
            at: _lack(parts[at], shape, size, kernel, whole=True) if lack >= _HINT else lack
            for at, lack in here.items()
        }
        if sum(here.values()) < _HINT:
            break
    best = max(found, key=lambda kernel: sum(found[kernel].values()))
    return found[best], best


def _lack(part: _Part, shape: Size, size: Size, kernel: str = next(iter(KERNELS)), *, whole: bool = False) -> float:
    """How much of what a view does not see a line lacks, across and down; the more it could have of it the surer."""
    pieces = _pieces(part) if whole else [_middle(part)]
    energies = [_unwritten(piece.pixels.T, piece.left, shape[0], size[0], kernel) for piece in pieces]
    across = sum(own for own, _ in energies) / sum(others for _, others in energies)
    if across >= _ACROSS:
        return 0.0
    pixels = part.pixels if whole else pieces[0].pixels
    down = _share(_unwritten(pixels, part.top, shape[1], size[1], kernel))
    if down >= _ALONG:
        return 0.0
    more = min(_MOST_ALONG, math.log(_ALONG / max(down, _FLOOR)))
    sure = min(_MOST_SURE, math.sqrt(pixels.shape[1] * (1 - size[0] / shape[0]) / _SURE))
    return sure * (math.log(_ACROSS / max(across, _FLOOR)) + _WEIGHT_ALONG * more)


def _widest(boxes: Sequence[TextBox]) -> list[int]:
    level = [at for at, box in enumerate(boxes) if abs(box.angle - 90 * round(box.angle / 90)) <= _LEVEL]
    return sorted(level, key=lambda at: -boxes[at].size[0])[:MOST_LINES]


def _line(rgb: RGB, box: TextBox) -> _Part | None:
    """A line, if it is large enough."""
    ends = []
    for centre, extent, side, most in zip(box.centre, box.level, rgb.shape[1::-1], (_WIDEST, _TALLEST), strict=True):
        half = min(extent + 2, most) / 2
        ends.append((max(3, round(centre - half)), min(side - 3, round(centre + half))))
    (left, right), (top, bottom) = ends
    if right - left < _NARROWEST or bottom - top < _LOWEST:
        return None
    return _part(rgb, left, right, top, bottom)


def _part(rgb: RGB, left: int, right: int, top: int, bottom: int) -> _Part:
    pixels = rgb[top:bottom, left:right].astype(np.float32)
    channel = int(np.square(np.diff(pixels, axis=1)).sum(axis=(0, 1)).argmax())
    return _Part(pixels[..., channel], left, top)


def _pieces(part: _Part) -> list[_Part]:
    """A part as pieces of about the same width, none much wider than the middle one."""
    wide = part.pixels.shape[1]
    ends = np.linspace(0, wide, max(1, round(wide / _PIECE)) + 1).astype(int).tolist()
    return [_Part(part.pixels[:, start:end], part.left + start, part.top) for start, end in pairwise(ends)]


def _middle(part: _Part) -> _Part:
    spare = max(0, part.pixels.shape[1] - _PIECE) // 2
    return _Part(part.pixels[:, spare : spare + _PIECE], part.left + spare, part.top)


def _sizes(parts: Sequence[_Part], shape: Size) -> Iterator[_Likely]:
    """Sizes whose lattice the derivatives of all parts repeat with, then those of one part, the clearest first."""
    across, wide = _clear([part.pixels for part in parts], [part.left for part in parts], shape[0])
    down, high = _clear([part.pixels.T for part in parts], [part.top for part in parts], shape[1])
    pairs = _pairs(across, down, shape)
    if not len(pairs):
        return
    found: dict[tuple[int, int], _Likely] = {}

    def add(place: tuple[int, int], first: Sequence[int], least: float = LEAST, *, free: bool = False) -> None:
        size = int(across[place[0]]), int(down[place[1]])
        found.setdefault(place, _Likely(size, first, wide[:-1, place[0]].tolist(), least, free))

    def clearest(place: tuple[int, int]) -> Sequence[int]:
        order: list[int] = np.argsort(-wide[:-1, place[0]] - _DOWN * high[:-1, place[1]]).tolist()
        return order[:_PROBES]

    for _, place in _best(pairs, wide[-1], high[-1], _SIZES):
        add(place, clearest(place))
    own = [(*_best(pairs, wide[at], high[at], 1)[0], at) for at in range(len(parts) if len(parts) > 1 else 0)]
    for score, place, at in sorted(own, reverse=True)[:_OWN]:
        if score >= _LIKELY:
            add(place, [at])
    for place in _free(wide, high):
        sure = len(parts) <= _FEW and wide[-1, place[0]] >= _VERY_CLEAR
        add(place, range(len(parts))[:_PROBES], LEAST if sure else _FREE, free=True)
    # in squares of four nothing repeats but what stands between them, which hardly stands out where there is grain
    half = shape[0] // 2 - int(across[0]), shape[1] // 2 - int(down[0])
    if 0 <= half[0] < len(across) and 0 <= half[1] < len(down):
        add(half, clearest(half)[:1])
    yield from found.values()


def _free(wide: Clear, high: Clear) -> Iterator[tuple[int, int]]:
    """Places of the clearest width with heights of any shape, where they are clear too or the width is all the more."""
    first = int(wide[-1].argmax())
    if wide[-1, first] >= _CLEAR and high[-1].max() >= _BOTH:
        yield first, int(high[-1].argmax())
    if len(wide) <= _FEW + 1 and wide[-1, first] >= _VERY_CLEAR:
        heights = np.arange(high.shape[1])
        every = np.stack([np.full_like(heights, first), heights], axis=1)
        yield from (place for _, place in _best(every, wide[-1], high[-1], _HEIGHTS))


def _pairs(across: Counts, down: Counts, shape: Size) -> Counts:
    """(n, 2) places among the counts across and down: squares, and what keeps the shape however it is rounded."""
    exact = across * (shape[1] / shape[0])
    found = []
    for other in (across, np.rint(exact), np.floor(exact), np.ceil(exact)):
        at = other.astype(np.int64) - down[:1]
        inside = (at >= 0) & (at < len(down))
        found.append(np.stack([np.flatnonzero(inside), at[inside]], axis=1))
    return np.concatenate(found)


def _best(pairs: Counts, wide: Clear, high: Clear, most: int) -> list[tuple[float, tuple[int, int]]]:
    """The clearest pairs of counts, by their places, and how clear each is. Few rows make the counts down less sure."""
    scores = wide[pairs[:, 0]] + _DOWN * high[pairs[:, 1]]
    found: list[tuple[float, tuple[int, int]]] = []
    for at in np.argsort(-scores):
        one, other = int(pairs[at, 0]), int(pairs[at, 1])
        if all(max(abs(one - place[0]), abs(other - place[1])) > _APART for _, place in found):
            found.append((float(scores[at]), (one, other)))
            if len(found) == most:
                break
    return found


def _clear(parts: Sequence[Plane], starts: Sequence[int], side: int) -> tuple[Counts, Clear]:
    """Counts of periods along a side, and how clear each is in every part and, last, in all together, in spreads.

    Where the letters of a view are sharp, second derivatives are strong; halfway, first ones are.
    """
    counts = np.arange(int(np.ceil(side / _MOST_RATIO)), int(side / _LEAST_RATIO) + 1)
    profiles = np.zeros((2, len(parts), side))
    for at, (pixels, start) in enumerate(zip(parts, starts, strict=True)):
        for order in (1, 2):
            power = np.minimum(np.square(np.diff(pixels, order, axis=1)), _CAP * order).sum(axis=0)
            tapered = power * np.hanning(len(power) + 2)[1:-1]
            profiles[order - 1, at, start : start + len(power)] = tapered / (tapered.sum() + 1e-9)
    waves = np.fft.fft(profiles, axis=2)[..., counts]
    middles = np.array([1.0, 1.5])[:, None, None]
    real = (waves * np.exp(-2j * np.pi * counts * middles / side)).real
    real = np.concatenate([real, real.mean(axis=1, keepdims=True)], axis=1)
    spread = np.median(np.abs(real - np.median(real, axis=2, keepdims=True)), axis=2, keepdims=True) * 1.4826
    first, second = real / (spread + 1e-4)
    return counts, np.asarray(np.maximum((first - second) / np.sqrt(2.0), -second))


def _unwritten(columns: Plane, start: int, side: int, reduced_to: int, kernel: str) -> tuple[float, float]:
    """Energy of (n, any) pixels that a resize cannot have written, and that of resizes half a step aside."""
    ratio = side / reduced_to
    aside = min(range(1, 5), key=lambda step: abs(step / ratio % 1 - 0.5) + 0.02 * step)
    columns = columns - columns.mean(axis=0)
    ends = [start - step for step in (aside, -aside) if 0 <= start - step <= side - len(columns)]
    if not ends:
        return 1.0, 1.0
    own, *others = (_energy_left(columns, at, side, reduced_to, kernel) for at in (start, ends[0]))
    if own < others[0]:
        others += (_energy_left(columns, at, side, reduced_to, kernel) for at in ends[1:])
    spare = _GRAIN * columns.size
    return own + spare, sum(others) / len(others) + spare


def _share(energies: tuple[float, float]) -> float:
    """The first by the second: 1 in print."""
    return energies[0] / energies[1]


def _energy_left(columns: Plane, start: int, side: int, reduced_to: int, kernel: str) -> float:
    weights = _weights(start, len(columns), side, reduced_to, kernel)
    weights = weights[:, np.abs(weights).sum(axis=0) > 1e-6]
    seen, gram = weights.T @ columns, weights.T @ weights
    gram[np.diag_indices(len(gram))] += _RIDGE * gram.diagonal().mean()
    # a Gram matrix with a ridge is positive definite
    explained = cv2.solve(gram, seen, flags=cv2.DECOMP_CHOLESKY)[1]
    return float(np.square(columns).sum() - (seen * explained).sum())


def _weights(start: int, count: int, side: int, reduced_to: int, kernel: str) -> Plane:
    """(count, cells) what each cell of a resize reads of pixels from `start` on, of those cells that read any."""
    firsts, taps = _taps(side, reduced_to, kernel)
    low, high = np.searchsorted(firsts, (start - _TAPS, start + count))
    places = firsts[low:high, None] + np.arange(_TAPS) - start
    inside = (places >= 0) & (places < count)
    weights = np.zeros((count, high - low), np.float32)
    weights[places[inside], np.nonzero(inside)[0]] = taps[low:high][inside]
    return weights


@lru_cache(maxsize=16)
def _taps(side: int, reduced_to: int, kernel: str) -> tuple[Counts, Plane]:
    """(cells,) the first pixel that each cell of a resize may read, and (cells, `_TAPS`) how much it reads of each."""
    # of every so many pixels one is lit at a time: no cell reads two of them
    lit = np.arange(side) % _TAPS == np.arange(_TAPS)[:, None]
    read = cv2.resize(lit.astype(np.float32), (reduced_to, _TAPS), interpolation=KERNELS[kernel])
    middles = (np.arange(reduced_to) + 0.5) * (side / reduced_to) - 0.5
    firsts = np.floor(middles).astype(np.int64) - _TAPS // 2 + 1
    return firsts, read[(firsts[:, None] + np.arange(_TAPS)) % _TAPS, np.arange(reduced_to)[:, None]]


def _whole(rgb: RGB, size: Size, boxes: Sequence[TextBox], of: int) -> bool:
    """Whether the rest of the picture is of that size too, or most of many lines and nothing else."""
    shape = rgb.shape[1], rgb.shape[0]
    kernel = next(iter(KERNELS))
    shares = [
        math.sqrt(
            _share(_unwritten(part.pixels.T, part.left, shape[0], size[0], kernel))
            * _share(_unwritten(part.pixels, part.top, shape[1], size[1], kernel))
        )
        for part in _tiles(rgb, boxes)
    ]
    if len(shares) < 2:
        return of >= _ALL and len(boxes) >= _MANY * of
    return sorted(shares)[-2] < _WHOLE


def _tiles(rgb: RGB, boxes: Sequence[TextBox]) -> Iterator[_Part]:
    """The tiles with most fine detail that stand apart from lines."""
    high, wide = rgb.shape[0] // _TILE[1], rgb.shape[1] // _TILE[0]
    if min(high, wide) < 1:
        return
    pixels = rgb[: high * _TILE[1], : wide * _TILE[0]]
    steps = cv2.cvtColor(cv2.absdiff(pixels[:, 1:], pixels[:, :-1]), cv2.COLOR_RGB2GRAY)
    detail = cv2.resize(steps, (wide, high), interpolation=cv2.INTER_AREA).astype(np.float64)
    for box in boxes:
        # lines of the same text that were not read stand near
        (left, right), (top, bottom) = (
            (max(0, int((middle - half) / cell)), int((middle + half) / cell) + 1)
            for middle, half, cell in zip(
                box.centre, (box.level[0] / 2 + box.level[1], 2.5 * box.level[1]), _TILE, strict=True
            )
        )
        detail[top:bottom, left:right] = 0.0
    for at in np.argsort(-detail, axis=None)[:_TILES]:
        row, column = divmod(int(at), wide)
        if detail[row, column] >= _FLAT:
            left, top = max(4, column * _TILE[0]), max(4, row * _TILE[1])
            yield _part(rgb, left, min(left + _TILE[0], rgb.shape[1] - 4), top, min(top + _TILE[1], rgb.shape[0] - 4))
