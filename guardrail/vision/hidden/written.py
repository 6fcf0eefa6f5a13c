"""What a picture says as it is shown: cheap looks decide which dear ones are worth it.

A glimpse at small size and the bands of strokes tell whether there is text at all. Where there is, lines are found at
middle size, at full size where bands show more of them, and lines that only bands show are read from the picture
enlarged or evened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from guardrail.signals import RGB
from guardrail.vision.hidden import bands
from guardrail.vision.ocr.boxes import TextBox
from guardrail.vision.ocr.lines import Line
from guardrail.vision.ocr.reader import MAX_LINES, Reader, in_order

GLIMPSE, SIDE, FINE_SIDE = 352, 512, 1280
"""Sides in pixels that a picture is reduced to: to see whether there is text, to find lines, to find small lines."""
MAX_BLOCKS = 24
"""Blocks of lines given as texts of their own, those with the most letters; the others are one text together."""
_MOST_BANDS, _MOST_READ, _AT_ONCE = 40, 16, 2
_MANY, _CLEARLY = 4, 250.0
_FINE = 16.0
_ENDS, _LOOSE = 2.0, 1.25
_LETTERS, _FEW_BLOCKS = 8, 3
_COVERED = 0.5


@dataclass(frozen=True, slots=True)
class Written:
    """What was read.

    Attributes:
        lines: all lines, block by block.
        readings: the texts to judge: blocks of lines, and small lines as another cut of them reads.
        skipped: lines that were found and not read.
    """

    lines: tuple[Line, ...] = ()
    readings: tuple[tuple[Line, ...], ...] = ()
    skipped: int = 0


def written(reader: Reader, rgb: RGB) -> Written:
    """Lines of a picture, (height, width, 3).

    Raises:
        DetectionError: a network failed.
    """
    likely = bands.lines(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), _MOST_BANDS)
    if not likely and not reader.glimpses(rgb, GLIMPSE):
        return Written()
    found, more = reader.find(rgb, SIDE)
    rest = uncovered(likely, found)
    if sum(band.score > _CLEARLY for band in rest) >= _MANY and len(found) > 1 and max(rgb.shape[:2]) > SIDE:
        found, more = reader.find(rgb, FINE_SIDE)
        rest = uncovered(likely, found)
    lines = list(reader.read_boxes(rgb, found[:MAX_LINES], turning=True).lines)
    small, others, unread = _read_bands(reader, rgb, rest)
    parts = blocks(in_order([*lines, *small]))
    lines = [line for part in parts for line in part]
    readings = _texts(parts)
    readings += [tuple(part) for part in blocks(in_order(others)) if _letters(part) >= _LETTERS]
    return Written(tuple(lines), tuple(readings), max(0, len(found) - MAX_LINES) + int(more) + unread)


def _texts(parts: Sequence[Sequence[Line]]) -> list[tuple[Line, ...]]:
    """What to judge as one text: each block, and all of them where they are few.

    Across the blocks of a poster somebody may read on; labels and columns of a screenshot put together say nothing.
    """
    lines = tuple(line for part in parts for line in part)
    if len(parts) < 2:
        return [lines] if lines else []
    order = sorted(parts, key=lambda part: -_letters(part))
    texts = [tuple(part) for part in order[:MAX_BLOCKS] if _letters(part) >= _LETTERS]
    if rest := [part for part in order[MAX_BLOCKS:] if _letters(part) >= _LETTERS]:
        texts.append(tuple(line for part in rest for line in part))
    return [lines, *texts] if len(parts) <= _FEW_BLOCKS else texts


def _letters(part: Sequence[Line]) -> int:
    return sum(sum(map(str.isalpha, line.text)) for line in part)


def uncovered(likely: Sequence[TextBox], found: Sequence[TextBox]) -> list[TextBox]:
    """Bands that no line stands on: they are fainter or smaller than what the network sees."""
    rest = []
    for band in likely:
        left, right = band.centre[0] - band.size[0] / 2, band.centre[0] + band.size[0] / 2
        shared = 0.0
        for box in found:
            half = box.size[0] / 2 if abs(box.angle) < 45 else box.size[1] / 2
            tall = box.size[1] if abs(box.angle) < 45 else box.size[0]
            if abs(box.centre[1] - band.centre[1]) < tall / 2:
                shared += max(0.0, min(right, box.centre[0] + half) - max(left, box.centre[0] - half))
        if shared < _COVERED * band.size[0]:
            rest.append(band)
    return rest


def _read_bands(reader: Reader, rgb: RGB, rest: Sequence[TextBox]) -> tuple[list[Line], list[Line], int]:
    """Lines of the bands, how small ones read when they are cut with more room, and how many more there may be."""
    lines: list[Line] = []
    others: list[Line] = []
    even: RGB | None = None
    unread = max(0, len(rest) - _MOST_READ)
    for start in range(0, min(len(rest), _MOST_READ), _AT_ONCE):
        # what looks like a line and is none seldom comes alone: when the clearest say nothing, the rest will not
        part = rest[start : start + _AT_ONCE]
        wide = [replace(box, size=(box.size[0] + _ENDS * box.size[1], box.size[1])) for box in part]
        fine = [box for box in wide if box.size[1] < _FINE]
        loose = [replace(box, size=(box.size[0], _LOOSE * box.size[1])) for box in fine]
        more = [*reader.read_boxes(rgb, fine).lines]
        if large := [box for box in part if box.size[1] >= _FINE]:
            even = bands.evened(rgb) if even is None else even
            more += reader.read_boxes(even, large).lines
        if not more:
            unread = 0
            break
        lines += more
        others += reader.read_boxes(rgb, loose).lines
    return lines, others, unread


def blocks(lines: Sequence[Line]) -> list[list[Line]]:
    """Lines that belong together, by size and place, in the order of their first lines: columns, captions, labels."""
    found: list[list[Line]] = []
    for line in lines:
        beside = [block for block in found if any(_together(line.box, other.box) for other in block)]
        joined = [item for block in beside for item in block] + [line]
        found = [block for block in found if block not in beside] + [joined]
    order = {id(line): at for at, line in enumerate(lines)}
    return sorted(
        (sorted(block, key=lambda line: order[id(line)]) for block in found), key=lambda block: order[id(block[0])]
    )


def _together(first: TextBox, second: TextBox) -> bool:
    low, high = sorted((first.size[1], second.size[1]))
    if high > 1.6 * low or round((first.angle - second.angle) / 90) % 4:
        return False
    turn = np.deg2rad(first.angle)
    apart = np.subtract(second.centre, first.centre)
    across = abs(float(apart @ (np.cos(turn), np.sin(turn)))) - (first.size[0] + second.size[0]) / 2
    down = abs(float(apart @ (-np.sin(turn), np.cos(turn))))
    return (down < 1.7 * high and across < 0) or (down < 0.5 * high and across < 1.5 * high)
