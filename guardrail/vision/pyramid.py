"""Reduced copies of a picture, made once and shared by every detector of the room."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from guardrail.errors import DetectionError
from guardrail.signals import RGB, DecodedPicture, Subject

BASE_SIDE = 640
"""Longest side of the copy that everything else is reduced from, in pixels: what the face detector takes."""

_MEMO = "vision.pyramid"


class Level:
    """One frame, or what lies beneath its transparency, at every size somebody asks for.

    Attributes:
        frame: 0-based frame.
        view: None for the frame as seen, "beneath" for colours under transparency.
        rgb: the full picture, (height, width, 3).
        looks: by net, what it said of the level as a whole.
    """

    def __init__(self, frame: int, rgb: RGB, view: str | None = None) -> None:
        self.frame = frame
        self.view = view
        self.rgb = rgb
        self.looks: dict[str, tuple[Any, ...]] = {}
        self._sized: dict[tuple[int, int, Image.Resampling], Image.Image] = {}

    @cached_property
    def base(self) -> Image.Image:
        """The picture with its longest side at most `BASE_SIDE`; never enlarged."""
        picture = Image.fromarray(self.rgb)
        scale = self.scale
        if scale == 1.0:
            return picture
        size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
        return picture.resize(size, Image.Resampling.BOX, reducing_gap=2.0)

    @property
    def scale(self) -> float:
        """Pixels of `base` per pixel of `rgb`, at most 1."""
        return min(1.0, BASE_SIDE / int(max(self.rgb.shape[:2])))

    def sized(self, width: int, height: int, method: Image.Resampling) -> Image.Image:
        """`base` resized to exactly width x height, whatever its shape."""
        key = (width, height, method)
        found = self._sized.get(key)
        if found is None:
            found = self.base.resize((width, height), method)
            self._sized[key] = found
        return found


def levels(picture: DecodedPicture) -> Iterator[Level]:
    """A level for every frame of `picture`, and for what lies beneath one."""
    for frame in picture.frames:
        yield Level(frame.index, frame.rgb)
        if frame.beneath is not None:
            yield Level(frame.index, frame.beneath, "beneath")


def pyramid(subject: Subject) -> tuple[Level, ...]:
    """The levels of the subject's picture, shared through `subject.memo`.

    Raises:
        DetectionError: the subject has no picture.
    """
    if subject.picture is None:
        raise DetectionError("a vision detector was given a subject without a picture")
    found: tuple[Level, ...] | None = subject.memo.get(_MEMO)
    if found is None:
        found = tuple(levels(subject.picture))
        subject.memo[_MEMO] = found
    return found


def tensor(picture: Image.Image) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """(height, width, 3) float32 of an RGB picture, 0 to 255."""
    return np.asarray(picture, dtype=np.float32)
