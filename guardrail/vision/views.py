"""Other readings of a picture, for what makes a net blind: borders, collages, negatives, turns.

A net of photographs is not used to a picture that lies on its side, has its colours inverted, or is one of four in a
frame. Signs that cost next to nothing say which of these readings may be worth a run of the net; most pictures show
none of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from guardrail.signals import RGB
from guardrail.vision import blurred, framed
from guardrail.vision.pyramid import Level
from guardrail.vision.seams import SIGNS, Box, tiles

SIDE = 256
"""Pixels a side of the square that readings are made of."""
FEW = 170
"""Longest side, in pixels, below which a picture is enlarged by a cubic: by straight lines it looks blurred."""
FLAT = 5.0
"""Largest spread, in levels, of a row that is part of a border."""
LEAST_BORDER = 0.05
LEAST_INSIDE = 0.3
LEAST_CONTRAST = 12.0
"""Standard deviation, in levels, from which a picture shows anything."""
INVERTED_SKIN = 0.08
"""Share of the inverted picture that has to have the colour of skin."""
LEAST_WITHIN = 96
"""Longest side, in pixels, of what stands within another picture: less than half of what the net takes in."""
MADE_OF = 0.4
"""Share of a part from which others within it make it up: not every one of them is found."""
GRID = 9
"""Parts of a collage that are looked at before what stands within another picture."""
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
BORDER, NEGATIVE, TILE, CLEARED = "border", "negative", "tile", "cleared"


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One reading: a name for evidence, (SIDE, SIDE, 3) pixels, the part of the picture, its longest side in pixels
    before it was made a square, and what it was read for: nothing, or one of the kinds above."""

    name: str | None
    square: RGB
    box: Box = WHOLE
    side: int = SIDE
    kind: str = ""


def whole(level: Level) -> View:
    """The picture as it is, squeezed into a square."""
    side = max(level.base.size)
    return View(level.view, np.asarray(level.sized(SIDE, SIDE, _method(side))), side=side)


def further(level: Level, first: View) -> Iterator[View]:
    """Readings that a sign of the picture asks for."""
    signs = np.asarray(level.sized(SIGNS, SIGNS, Image.Resampling.BOX))
    inside = _inside(signs)
    if inside is not None:
        yield _cut(level, BORDER, inside)
    if inverted(signs) and signs.std(axis=(0, 1)).max() >= LEAST_CONTRAST:
        yield View(_named(level, NEGATIVE), 255 - first.square, side=first.side, kind=NEGATIVE)
    cleared = _cleared(level)
    if cleared is not None:
        yield cleared
    for number, box in enumerate(_parts(level)):
        yield _cut(level, TILE, box, f"-{number}")


def _cleared(level: Level) -> View | None:
    """A blurred picture without its blur; None for what is as sharp as pictures are."""
    copy = np.asarray(_copy(level, blurred.SIDE))
    width = blurred.blur(copy)
    if width < blurred.WIDTHS[0]:
        return None
    sharp = Image.fromarray(blurred.deblurred(copy, min(width, blurred.WIDTHS[1])))
    square = sharp.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return View(_named(level, CLEARED), np.asarray(square), side=round(max(sharp.size) / (2 * width)), kind=CLEARED)


def _copy(level: Level, side: int) -> Image.Image:
    """The picture with its longest side at most that."""
    scale = min(1.0, side / max(level.base.size))
    size = max(1, round(level.base.width * scale)), max(1, round(level.base.height * scale))
    return level.sized(*size, Image.Resampling.BOX)


def _parts(level: Level) -> list[Box]:
    """What may be pictures of their own: parts of a collage, then what stands within another picture."""
    within = framed.parts(np.asarray(_copy(level, framed.SIGNS)))
    # a seam is one side of a gutter, so a part between seams may have a strip of one colour that its frame has not
    grid = [
        min((box, *(other for other in within if framed.same(box, other))), key=_area)
        for box in tiles(np.asarray(level.base))
    ]
    within = [box for box in within if not any(framed.same(box, other) for other in grid)]
    return grid[:GRID] + [box for box in within if _longest(level, box) >= LEAST_WITHIN] + grid[GRID:]


def composed(box: Box, parts: Sequence[Box]) -> bool:
    """Whether a part of a picture is made of others, as far as they were found."""
    within = [
        _area(other)
        for other in parts
        if (max(box[0], other[0]), max(box[1], other[1])) == other[:2]
        and (min(box[2], other[2]), min(box[3], other[3])) == other[2:]
        and not framed.same(box, other)
    ]
    return sum(within) >= MADE_OF * _area(box)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _longest(level: Level, box: Box) -> int:
    left, top, right, bottom = _pixels(level, box)
    return max(right - left, bottom - top)


def part(level: Level, box: Box) -> Level:
    """A part of a picture as a picture of its own, with as many pixels as there are."""
    left, top, wide, high = inside(level.rgb, box)
    return Level(level.frame, level.rgb[top : top + high, left : left + wide], level.view)


def _method(side: int) -> Image.Resampling:
    return Image.Resampling.BICUBIC if side < FEW else Image.Resampling.BILINEAR


def _named(level: Level, name: str) -> str:
    return name if level.view is None else f"{level.view}/{name}"


def mirrored(view: View) -> View:
    """The same, left for right."""
    return replace(view, square=view.square[:, ::-1])


def greyed(view: View) -> View:
    """The same without its colours."""
    grey = np.asarray(Image.fromarray(np.ascontiguousarray(view.square)).convert("L"))
    return replace(view, square=np.repeat(grey[..., None], 3, axis=2))


def turned(view: View, quarters: Sequence[int] = (1, 2, 3)) -> list[View]:
    """The same after some quarter turns."""
    named = "turn-{}" if view.name is None else f"{view.name}/turn-{{}}"
    return [replace(view, name=named.format(90 * turns), square=np.rot90(view.square, turns)) for turns in quarters]


def skin(pixels: RGB) -> float:
    """Share of pixels that may be skin of any tone, by a rule on RGB in the manner of Kovac et al. (2003), widened."""
    red, green, blue = (pixels[..., channel].astype(np.int16) for channel in range(3))
    warm = (red > 80) & (green > 35) & (blue > 15) & (green >= blue - 6)
    steps = (red - green > 8) & (red - green < 110) & (red - blue > 20) & (red - blue < 150)
    return float((warm & steps).mean())


def inverted(pixels: RGB) -> bool:
    """Whether the negative of the picture shows enough of the colour of skin to look."""
    return skin(255 - pixels) >= INVERTED_SKIN


def inside(pixels: RGB, box: Box) -> tuple[int, int, int, int]:
    """A part of a picture as x, y, width and height in its pixels, rounded outwards."""
    high, wide = pixels.shape[:2]
    left, top = math.floor(box[0] * wide), math.floor(box[1] * high)
    return left, top, max(1, math.ceil(box[2] * wide) - left), max(1, math.ceil(box[3] * high) - top)


def _pixels(level: Level, box: Box) -> tuple[int, int, int, int]:
    width, height = level.base.size
    left, top = round(box[0] * width), round(box[1] * height)
    return left, top, max(round(box[2] * width), left + 1), max(round(box[3] * height), top + 1)


def _cut(level: Level, kind: str, box: Box, number: str = "") -> View:
    left, top, right, bottom = _pixels(level, box)
    side, source = max(right - left, bottom - top), level.base
    if side < SIDE and level.scale < 1.0:
        # the reduced copy has fewer pixels of a small part than the net takes in
        source = part(level, box).base
        left, top, (right, bottom) = 0, 0, source.size
        side = max(source.size)
    cut = source.resize((SIDE, SIDE), _method(side), box=(left, top, right, bottom))
    return View(_named(level, kind + number), np.asarray(cut), box, side, kind)


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
