"""The faces of one subject's picture, found once and looked at once, whichever detector of the room asks."""

from __future__ import annotations

from dataclasses import dataclass, field

from guardrail.detector import ModelProvider
from guardrail.signals import Evidence, Subject
from guardrail.vision.detect import Face, refine
from guardrail.vision.embed import Look
from guardrail.vision.pyramid import Level, pyramid
from guardrail.vision.turned import find_any

MAX_JUDGED = 16
"""Faces of one frame that are embedded and aged, largest first."""

_MEMO = "vision.seen"


@dataclass(eq=False)
class Seen:
    """One level and its faces, largest first.

    Attributes:
        level: where they are.
        faces: at most `guardrail.vision.detect.MAX_FACES`.
        more: faces beyond those.
    """

    level: Level
    faces: list[Face]
    more: int
    _models: ModelProvider
    _looks: list[Look | None] = field(default_factory=list)

    def look(self, index: int) -> Look:
        """Templates of one of the first `MAX_JUDGED` faces, from features placed at a second look.

        Raises:
            DetectionError: a net failed, or returned what it must not.
        """
        if not self._looks:
            self.faces[:MAX_JUDGED] = refine(self._models, self.level.rgb, self.faces[:MAX_JUDGED])
            self._looks = [None] * len(self.faces)
        found = self._looks[index]
        if found is None:
            found = self._looks[index] = Look(self._models, self.level.rgb, self.faces[index])
        return found

    def at(self, index: int, ref: str | None = None) -> Evidence:
        """Where a face is, in pixels of the upright picture."""
        height, width = self.level.rgb.shape[:2]
        box = self.faces[index].inside(width, height)
        return Evidence(box=box, frame=self.level.frame, view=self.level.view, ref=ref)


def see(models: ModelProvider, level: Level) -> Seen:
    """Find the faces of a level.

    Raises:
        DetectionError: the net failed, or returned what it must not.
    """
    faces, more = find_any(models, level)
    return Seen(level, faces, more, models)


def seen(models: ModelProvider, subject: Subject) -> tuple[Seen, ...]:
    """Every level of the subject's picture with its faces, shared through `subject.memo`.

    Raises:
        DetectionError: the subject has no picture, or the net failed.
    """
    found: tuple[Seen, ...] | None = subject.memo.get(_MEMO)
    if found is None:
        found = tuple(see(models, level) for level in pyramid(subject))
        subject.memo[_MEMO] = found
    return found
