"""`Reader`: what a picture says, within a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from guardrail.detector import ModelProvider
from guardrail.signals import RGB
from guardrail.vision.ocr import boxes, lines
from guardrail.vision.ocr.boxes import TextBox
from guardrail.vision.ocr.lines import Line, Lines

MODELS = (boxes.MODEL, lines.MODEL)
MAX_LINES = 64
"""Lines read of one view; the largest come first."""
LEAST = 0.5
"""Score of a line below which it says nothing."""
_DOUBTFUL, _TURNED = 0.8, 4
_ENDS, _NARROWED = 0.4, 0.85
"""How much wider, in its height, a line is cut to be read once more, and what its letters are narrowed to."""
_SAME_ROW = 0.6


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read.

    Attributes:
        lines: in reading order.
        skipped: boxes that were found and not read.
    """

    lines: tuple[Line, ...] = ()
    skipped: int = 0

    @property
    def text(self) -> str:
        """All lines, one a line."""
        return "\n".join(line.text for line in self.lines)


class Reader:
    """Finds and reads lines. Safe for several threads.

    Raises:
        ModelMissingError, ModelIntegrityError: a network is missing or unusable.
    """

    def __init__(self, models: ModelProvider) -> None:
        self._models = models
        models.session(boxes.MODEL)
        self._lines = Lines(models)

    def glimpses(self, rgb: RGB, longest: int) -> bool:
        """Whether the picture seems to hold text at all, seen at `longest` pixels a side.

        Raises:
            DetectionError: the network failed.
        """
        return boxes.glimpsed(self._models, rgb, longest)

    def find(self, rgb: RGB, longest: int) -> tuple[list[TextBox], bool]:
        """Lines of a picture unread, the largest first, and whether there were more; see `boxes.find`.

        Raises:
            DetectionError: the network failed.
        """
        return boxes.find(self._models, rgb, longest)

    def read(self, rgb: RGB, longest: int, most: int = MAX_LINES) -> Reading:
        """Lines of a picture.

        Args:
            rgb: (height, width, 3).
            longest: side in pixels that the picture is reduced to while lines are looked for; they are read at
                full size.
            most: lines read at most.

        Raises:
            DetectionError: a network failed.
        """
        found, more = self.find(rgb, longest)
        read = self.read_boxes(rgb, found[:most])
        return Reading(read.lines, max(0, len(found) - most) + int(more))

    def read_boxes(self, rgb: RGB, found: Sequence[TextBox], *, turning: bool = False, least: float = LEAST) -> Reading:
        """Lines at places that are known that score `least`; with `turning`, what says little is also read upside down.

        Raises:
            DetectionError: the network failed.
        """
        read = {line.box: line for line in self._lines.read(rgb, found)}
        if turning:
            self._turn(rgb, found, read)
        return Reading(tuple(in_order([line for line in read.values() if line.score >= least])))

    def read_again(self, rgb: RGB, read: Sequence[Line]) -> list[Line]:
        """Lines once more, in their order, cut wider and narrowed; as they are where they read worse than `LEAST`.

        A box may cut off the first or the last letter, and of letters far apart the network sees more blanks when they
        are narrower.

        Raises:
            DetectionError: the network failed.
        """
        wide = [
            replace(line.box, size=(line.box.size[0] + _ENDS * line.box.size[1], line.box.size[1])) for line in read
        ]
        found = {line.box: line for line in self._lines.read(rgb, wide, _NARROWED) if line.score >= LEAST}
        return [
            replace(found[box], box=line.box) if box in found else line for box, line in zip(wide, read, strict=True)
        ]

    def _turn(self, rgb: RGB, found: Sequence[TextBox], read: dict[TextBox, Line]) -> None:
        """Put in what reads well upside down: a few at first, the rest when most of those do."""
        doubtful = [box for box in found if box not in read or read[box].score < _DOUBTFUL]
        for start, end in ((0, _TURNED), (_TURNED, len(doubtful))):
            better = 0
            turned = {box: replace(box, angle=box.angle + 180) for box in doubtful[start:end]}
            lines = {line.box: line for line in self._lines.read(rgb, list(turned.values()))} if turned else {}
            for box, other in turned.items():
                if other in lines and lines[other].score >= _DOUBTFUL:
                    read[box] = lines[other]
                    better += 1
            if 2 * better < len(turned):
                break


def in_order(found: Sequence[Line]) -> list[Line]:
    """In the order of reading: across and down the way that most of the letters stand."""
    letters = [0, 0, 0, 0]
    for line in found:
        letters[round(line.box.angle / 90) % 4] += len(line.text)
    turn = np.deg2rad(90 * letters.index(max(letters)))
    along, down = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
    rows: list[list[Line]] = []
    for line in sorted(found, key=lambda line: float(down @ line.box.centre)):
        if rows and _beside(rows[-1][0].box, line.box, down):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [line for row in rows for line in sorted(row, key=lambda line: float(along @ line.box.centre))]


def _beside(first: TextBox, second: TextBox, down: NDArray[np.float64]) -> bool:
    apart = abs(float(down @ first.centre) - float(down @ second.centre))
    return apart < _SAME_ROW * min(first.size[1], second.size[1])
