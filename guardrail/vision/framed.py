"""Pictures within a picture: rectangles whose sides are sharp straight lines, wherever they lie.

A seam of a collage reaches from edge to edge (`guardrail.vision.seams`). What is pasted into a scene, or stands between
gutters, has sides that end at its corners.
"""

from __future__ import annotations

from itertools import combinations

import cv2
import numpy as np
from numpy.typing import NDArray

from guardrail.signals import RGB
from guardrail.vision.seams import LONGEST_WHOLE, Box

SIGNS = 320
"""Longest side, in pixels, of the copy in which sides are looked for."""
STEP = 12.0
"""Least step, in levels of all channels together, at a place of a side."""
RATIO = 1.8
"""How much larger it is than steps a few pixels beside it."""
LINES = 16
"""Lines in each direction that are tried as sides."""
LEAST = 30
"""Shorter side of a part, in pixels of that copy."""
LINE = 0.65
"""Share of a line's best stretch, as long as the shortest side, at which there is a step."""
SIDES, WEAKEST = 0.7, 0.5
"""Mean share of a part's sides at which there is a step, and the least of any of them."""
APART = 3
"""Pixels between lines."""
TRIED = 200
"""Rectangles, the clearest first, of which it is asked whether they are several."""
MOST = 6
"""Parts of one picture, the clearest first."""
SAME = 0.7
"""What two parts have in common, as a share of what both cover, from which they are one."""
LONGEST = 2.5
"""Longest shape of a part."""

SUM = np.ones((1, 3), np.float32)

Marks = NDArray[np.bool_]
Whole = NDArray[np.int64]


def parts(pixels: RGB) -> list[Box]:
    """Parts of a picture with sharp straight sides, the clearest first; none that holds another one's side.

    Args:
        pixels: the picture with its longest side at most `SIGNS`.
    """
    high, wide = pixels.shape[:2]
    if min(high, wide) < LEAST or max(high, wide) > LONGEST_WHOLE * min(high, wide):
        return []
    down, across = _steps(pixels), _steps(np.ascontiguousarray(pixels.transpose(1, 0, 2)))
    rows, columns = _lines(down), _lines(across)
    if len(rows) + len(columns) == 4:
        return []
    tops, bottoms, lefts, rights = _corners(rows, columns, wide / high)
    sides = [
        _shares(sums, at, begin, end)
        for sums, at, begin, end in (
            (_sums(down), tops, lefts, rights),
            (_sums(down), bottoms, lefts, rights),
            (_sums(across), lefts, tops, bottoms),
            (_sums(across), rights, tops, bottoms),
        )
    ]
    drawn = np.stack([tops > 0, bottoms < high, lefts > 0, rights < wide])
    shares = np.where(drawn, np.stack(sides), 1.0)
    mean = (shares * drawn).sum(axis=0) / np.maximum(drawn.sum(axis=0), 1)
    clear = np.flatnonzero((shares.min(axis=0) >= WEAKEST) & (mean >= SIDES))
    clear = clear[np.argsort(-mean[clear], kind="stable")][:TRIED]
    found: list[Box] = []
    for at in clear:
        box = int(lefts[at]), int(tops[at]), int(rights[at]), int(bottoms[at])
        if not _divided(box, down, across, rows, columns):
            found.append((box[0] / wide, box[1] / high, box[2] / wide, box[3] / high))
    return [box for at, box in enumerate(found) if not any(same(box, other) for other in found[:at])][:MOST]


def same(box: Box, other: Box) -> bool:
    """Whether two boxes have so much in common that one look is enough."""
    across = max(0.0, min(box[2], other[2]) - max(box[0], other[0]))
    down = max(0.0, min(box[3], other[3]) - max(box[1], other[1]))
    both = (box[2] - box[0]) * (box[3] - box[1]) + (other[2] - other[0]) * (other[3] - other[1])
    return across * down >= SAME * (both - across * down)


def _corners(rows: list[int], columns: list[int], shape: float) -> tuple[Whole, Whole, Whole, Whole]:
    """Tops, bottoms, left and right sides of all rectangles between lines that are no strips, by themselves or in a
    picture whose width is `shape` times its height: that may have been squeezed."""
    spans = [np.array(_pairs(lines), dtype=np.int64).reshape(-1, 2) for lines in (rows, columns)]
    one, other = np.divmod(np.arange(len(spans[0]) * len(spans[1])), max(len(spans[1]), 1))
    tops, bottoms, lefts, rights = *spans[0][one].T, *spans[1][other].T
    longer = np.log((rights - lefts) / (bottoms - tops))
    kept = np.minimum(np.abs(longer), np.abs(longer - np.log(shape))) <= np.log(LONGEST)
    return tops[kept], bottoms[kept], lefts[kept], rights[kept]


def _divided(box: tuple[int, int, int, int], down: Marks, across: Marks, rows: list[int], columns: list[int]) -> bool:
    """Whether a line goes through a part from side to side: then it is several."""
    left, top, right, bottom = box
    lines = [down[at, left:right].mean() for at in rows if top + APART < at < bottom - APART]
    lines += [across[at, top:bottom].mean() for at in columns if left + APART < at < right - APART]
    return max(lines, default=0.0) >= SIDES


def _steps(pixels: RGB) -> Marks:
    """(rows + 1, columns): whether there is a sharp step above a row; never above the first and below the last."""
    steps = cv2.transform(cv2.absdiff(pixels[1:], pixels[:-1]), SUM).astype(np.float32)
    around = cv2.blur(steps, (1, 9)) * 9 - cv2.blur(steps, (1, 3)) * 3
    marks = np.zeros((len(pixels) + 1, pixels.shape[1]), np.bool_)
    marks[1:-1] = (steps >= STEP) & (steps >= RATIO / 6 * around)
    return marks


def _lines(marks: Marks) -> list[int]:
    """Rows with a long sharp step, and both ends of the picture."""
    found = marks.astype(np.float32)
    wide, wider = (
        cv2.blur(found, (size, 1), borderType=cv2.BORDER_CONSTANT).max(axis=1) for size in (LEAST, 2 * LEAST)
    )
    kept = [0, len(marks) - 1]
    for at in np.argsort(-np.where(wide >= LINE, wide + wider, 0.0), kind="stable"):
        if wide[at] < LINE or len(kept) == LINES + 2:
            break
        if all(abs(int(at) - other) >= APART for other in kept):
            kept.append(int(at))
    return sorted(kept)


def _pairs(lines: list[int]) -> list[tuple[int, int]]:
    return [(one, other) for one, other in combinations(lines, 2) if other - one >= LEAST]


def _sums(marks: Marks) -> NDArray[np.int32]:
    return np.pad(np.cumsum(marks, axis=1, dtype=np.int32), ((0, 0), (1, 0)))


def _shares(sums: NDArray[np.int32], at: Whole, begin: Whole, end: Whole) -> NDArray[np.float64]:
    """Of each stretch from begin to end, how much has a step at its line."""
    return np.asarray((sums[at, end] - sums[at, begin]) / (end - begin))
