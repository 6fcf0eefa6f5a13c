"""`Reader`: what a picture says, within a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from guardrail.detector import ModelProvider
from guardrail.signals import RGB
from guardrail.vision.ocr import boxes, lines
from guardrail.vision.ocr.boxes import TextBox
from guardrail.vision.ocr.lines import Line, Lines

MODELS = (boxes.MODEL, lines.MODEL)
MAX_LINES = 64
"""Lines read of one view; the largest come first."""
_LEAST = 0.5
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
        found, more = boxes.find(self._models, rgb, longest)
        read = [line for line in self._lines.read(rgb, found[:most]) if line.score >= _LEAST]
        return Reading(tuple(_in_order(read)), max(0, len(found) - most) + int(more))

    def read_boxes(self, rgb: RGB, found: Sequence[TextBox]) -> Reading:
        """Lines at places that are known.

        Raises:
            DetectionError: the network failed.
        """
        return Reading(tuple(_in_order([line for line in self._lines.read(rgb, found) if line.score >= _LEAST])))


def _in_order(found: list[Line]) -> list[Line]:
    """Top to bottom, and left to right within a row."""
    rest = sorted(found, key=lambda line: line.box.centre[1])
    rows: list[list[Line]] = []
    for line in rest:
        if rows and _beside(rows[-1][0].box, line.box):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [line for row in rows for line in sorted(row, key=lambda line: line.box.centre[0])]


def _beside(first: TextBox, second: TextBox) -> bool:
    return abs(first.centre[1] - second.centre[1]) < _SAME_ROW * min(first.size[1], second.size[1])
