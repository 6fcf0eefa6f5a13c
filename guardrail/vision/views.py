"""Other readings of a picture, for what makes a net blind: borders, collages, negatives, turns.

A net of photographs is not used to a picture that lies on its side, has its colours inverted, or is one of four in a
frame. Signs that cost next to nothing say which of these readings may be worth a run of the net; most pictures show
none of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from guardrail.signals import RGB
from guardrail.vision.pyramid import Level

SIDE = 256
"""Pixels a side of the square that readings are made of."""
SIGNS = 128
"""Pixels a side of the copy that signs are looked for in."""
FLAT = 5.0
"""Largest spread, in levels, of a row that is part of a border."""
LEAST_BORDER = 0.05
LEAST_INSIDE = 0.3
SEAM = 9.0
"""Least step, in levels of all channels together, across a seam."""
SEAM_REST = 0.35
"""Share of a seam's length at which the step may be smaller."""
SEAM_RATIO = 2.5
"""How much larger that step is than those a few rows away."""
MAX_SEAMS = 2
"""Seams in each direction: grids up to 3 x 3."""
LEAST_TILE = 0.2
LEAST_CONTRAST = 12.0
"""Standard deviation, in levels, from which a picture shows anything."""
INVERTED_SKIN = 0.08
"""Share of the inverted picture that has to have the colour of skin."""

Box = tuple[float, float, float, float]
"""left, top, right, bottom as shares of the picture."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One reading: a name for evidence, (SIDE, SIDE, 3) pixels, and whether they are only a part of the picture."""

    name: str | None
    square: RGB
    part: bool = False


def whole(level: Level) -> View:
    """The picture as it is, squeezed into a square."""
    return View(level.view, np.asarray(level.sized(SIDE, SIDE, Image.Resampling.BILINEAR)))


def further(level: Level, first: View) -> Iterator[View]:
    """Readings that a sign of the picture asks for."""
    signs = np.asarray(level.sized(SIGNS, SIGNS, Image.Resampling.BOX))
    inside = _inside(signs)
    if inside is not None:
        yield View(_named(level, "border"), _cut(level, inside), part=True)
    for number, box in enumerate(_tiles(np.asarray(level.base))):
        yield View(_named(level, f"tile-{number}"), _cut(level, box), part=True)
    if inverted(signs) and signs.std(axis=(0, 1)).max() >= LEAST_CONTRAST:
        yield View(_named(level, "negative"), 255 - first.square)


def _named(level: Level, name: str) -> str:
    return name if level.view is None else f"{level.view}/{name}"


def mirrored(view: View) -> View:
    """The same, left for right."""
    return View(view.name, view.square[:, ::-1])


def turned(view: View) -> list[View]:
    """The same after each quarter turn."""
    return [View(f"turn-{90 * turns}", np.rot90(view.square, turns)) for turns in (1, 2, 3)]


def skin(pixels: RGB) -> float:
    """Share of pixels that may be skin of any tone, by a rule on RGB in the manner of Kovac et al. (2003), widened."""
    red, green, blue = (pixels[..., channel].astype(np.int16) for channel in range(3))
    warm = (red > 80) & (green > 35) & (blue > 15) & (green >= blue - 6)
    steps = (red - green > 8) & (red - green < 110) & (red - blue > 20) & (red - blue < 150)
    return float((warm & steps).mean())


def inverted(pixels: RGB) -> bool:
    """Whether the negative of the picture shows more skin than the picture, and enough to look."""
    share = skin(255 - pixels)
    return share >= INVERTED_SKIN and share > skin(pixels)


def _cut(level: Level, box: Box) -> RGB:
    width, height = level.base.size
    left, top, right, bottom = box
    part = level.base.resize(
        (SIDE, SIDE),
        Image.Resampling.BILINEAR,
        box=(left * width, top * height, max(right * width, left * width + 1), max(bottom * height, top * height + 1)),
    )
    return np.asarray(part)


def _inside(pixels: RGB) -> Box | None:
    """What a border of one colour leaves, or None without one."""
    top, bottom = _margins(pixels)
    left, right = _margins(pixels.transpose(1, 0, 2))
    box = left, top, 1 - right, 1 - bottom
    if max(top, bottom, left, right) < LEAST_BORDER:
        return None
    if min(box[2] - box[0], box[3] - box[1]) < LEAST_INSIDE:
        return None
    return box


def _margins(pixels: RGB) -> tuple[float, float]:
    """Shares of the height that are flat, from the top and from the bottom, with the row that mixes both."""
    rows = pixels.astype(np.float32)
    flat = rows.std(axis=1).max(axis=1) < FLAT
    means = rows.mean(axis=1)
    found = []
    for order in (slice(None), slice(None, None, -1)):
        same = flat[order] & (np.abs(means[order] - means[order][0]).max(axis=1) < FLAT)
        count = int(np.argmin(same)) if not same.all() else 0
        found.append((count + 1) / len(rows) if count else 0.0)
    return found[0], found[1]


def _tiles(pixels: RGB) -> list[Box]:
    """The parts of a collage, or nothing when no seam crosses the picture."""
    for seams, across in ((_seams(pixels), True), (_seams(pixels.transpose(1, 0, 2)), False)):
        if not seams:
            continue
        found: list[Box] = []
        edges = [0.0, *seams, 1.0]
        for low, high in pairwise(edges):
            size = len(pixels) if across else pixels.shape[1]
            part = slice(round(low * size), round(high * size))
            # each strip is looked at alone: the strips of a collage need not be divided alike
            inner = _seams(pixels[part].transpose(1, 0, 2) if across else pixels[:, part])
            ends = [0.0, *inner, 1.0]
            for first, last in pairwise(ends):
                found.append((first, low, last, high) if across else (low, first, high, last))
        return found
    return []


def _seams(pixels: RGB) -> list[float]:
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
        if clear[at] < 0 or steps[at] < SEAM or len(places) == MAX_SEAMS:
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
