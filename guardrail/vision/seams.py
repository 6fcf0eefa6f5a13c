"""Where a collage was put together: straight lines from edge to edge at which everything changes at once."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from guardrail.signals import RGB
from guardrail.vision.worn import BLOCKS, blockiness

SIGNS = 128
"""Places at which every row is looked at."""
SEAM = 9.0
"""Least step, in levels of all channels together, across a seam."""
CLEAR_SEAM = 21.0
"""The same in a picture with the blocks of heavy JPEG: steps over their edges are smaller."""
SEAM_REST = 0.35
"""Share of a seam's length at which the step may be smaller."""
SEAM_RATIO = 2.5
"""How much larger that step is than those a few rows away."""
MAX_SEAMS = 2
"""Seams in each direction: grids up to 3 x 3."""
LEAST_TILE = 0.2
LEAST_PIXELS = 64
"""Shorter side of a part, in pixels, below which nothing can be told of it."""
LONGEST = 2.5
"""Longest shape of a part, by itself or as a share of the picture, whichever is shorter: longer ones are edges of
something shown far more often than pictures."""
LONGEST_WHOLE = 6.0
"""Longest shape of a collage: longer strips hold more pictures than seams are looked for."""

Box = tuple[float, float, float, float]
"""left, top, right, bottom as shares of the picture."""


def tiles(pixels: RGB) -> list[Box]:
    """The parts of a collage, or nothing when no seam crosses the picture.

    Where two seams cross, one of them may be an edge of something shown: neighbours joined over it come last.
    """
    high, wide = pixels.shape[:2]
    if max(high, wide) > LONGEST_WHOLE * min(high, wide):
        return []
    found = _grid(pixels, SEAM)
    return _grid(pixels, CLEAR_SEAM) if found and blockiness(pixels) >= BLOCKS[0] else found


def _grid(pixels: RGB, least: float) -> list[Box]:
    for seams, across in ((_seams(pixels, least), True), (_seams(pixels.transpose(1, 0, 2), least), False)):
        if not seams:
            continue
        apart: list[Box] = []
        joined: list[Box] = []
        for low, high, once in _spans(seams):
            size = len(pixels) if across else pixels.shape[1]
            part = slice(round(low * size), round(high * size))
            # each strip is looked at alone: the strips of a collage need not be divided alike
            inner = _seams(pixels[part].transpose(1, 0, 2) if across else pixels[:, part], least)
            for first, last, again in _spans(inner):
                box = (first, low, last, high) if across else (low, first, high, last)
                (apart if once and again else joined).append(box)
        return [box for box in apart + joined if _shows(box, pixels)]
    return []


def _shows(box: Box, pixels: RGB) -> bool:
    across, down = box[2] - box[0], box[3] - box[1]
    sides = across * pixels.shape[1], down * len(pixels)
    longest = min(max(pair) / min(pair) for pair in (sides, (across, down)))
    return bool(min(sides) >= LEAST_PIXELS and longest <= LONGEST)


def _spans(seams: list[float]) -> list[tuple[float, float, bool]]:
    """What lies between seams, and whether nothing was joined for it."""
    edges = [0.0, *seams, 1.0]
    pairs = [(low, high, True) for low, high in pairwise(edges)]
    if len(seams) == MAX_SEAMS:
        pairs += [(0.0, seams[1], False), (seams[0], 1.0, False)]
    return pairs


def _seams(pixels: RGB, least: float) -> list[float]:
    """Heights, as shares, of straight lines from edge to edge at which most of the picture changes from row to row.

    An edge of something shown is soft over some rows, crooked, or shorter; a seam is none of these.
    """
    if len(pixels) < SIGNS // 2:
        return []
    planes = pixels[:, :: max(1, pixels.shape[1] // SIGNS)].transpose(2, 0, 1).astype(np.int16, order="C")
    steps = _quantile(np.abs(planes[:, 1:] - planes[:, :-1]).sum(axis=0, dtype=np.int16), SEAM_REST)
    around = np.stack([np.roll(steps, shift) for shift in (-4, -3, -2, 2, 3, 4)]).mean(axis=0)
    clear = steps - SEAM_RATIO * np.maximum(around, 1.0)
    places: list[float] = []
    for at in np.argsort(-clear, kind="stable"):
        if clear[at] < 0 or steps[at] < least or len(places) == MAX_SEAMS:
            break
        place = (int(at) + 1) / len(pixels)
        if min(place, 1 - place) >= LEAST_TILE and all(abs(place - other) >= LEAST_TILE for other in places):
            places.append(place)
    return sorted(places)


def _quantile(values: NDArray[np.int16], share: float) -> NDArray[np.float64]:
    """Of every row, as np.quantile gives it, without its detour over wider numbers."""
    place = share * (values.shape[1] - 1)
    low = int(place)
    high = min(low + 1, values.shape[1] - 1)
    ordered = np.partition(values, (low, high), axis=1)
    below, above = ordered[:, low].astype(np.float64), ordered[:, high].astype(np.float64)
    between: NDArray[np.float64] = below + (above - below) * (place - low)
    return between
