from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from guardrail.errors import DetectionError
from guardrail.signals import DecodedPicture, Frame, GenerationRequest, Picture, Subject
from guardrail.taxonomy import Stage
from guardrail.vision.pyramid import BASE_SIDE, Level, pyramid


def _subject(*frames: Frame) -> Subject:
    height, width = frames[0].rgb.shape[:2]
    return Subject(
        Stage.OUTPUT, GenerationRequest(), picture=DecodedPicture(Picture(b""), "png", width, height, frames)
    )


@pytest.mark.parametrize(
    ("size", "base"), [((1280, 640), (640, 320)), ((100, 50), (100, 50)), ((6400, 3), (640, 1)), ((1, 1), (1, 1))]
)
def test_base_is_bounded_and_never_enlarged(size: tuple[int, int], base: tuple[int, int]) -> None:
    level = Level(0, np.zeros((size[1], size[0], 3), dtype=np.uint8))
    assert level.base.size == base
    assert level.scale == pytest.approx(min(1, BASE_SIDE / max(size)))


def test_sizes_are_made_once() -> None:
    level = Level(0, np.zeros((50, 50, 3), dtype=np.uint8))
    first = level.sized(8, 4, Image.Resampling.BILINEAR)
    assert first.size == (8, 4)
    assert level.sized(8, 4, Image.Resampling.BILINEAR) is first


def test_every_frame_and_what_is_beneath() -> None:
    flat = np.zeros((4, 4, 3), dtype=np.uint8)
    subject = _subject(Frame(0, flat, flat + 9), Frame(1, flat))
    found = pyramid(subject)
    assert [(level.frame, level.view) for level in found] == [(0, None), (0, "beneath"), (1, None)]
    assert pyramid(subject) is found


def test_no_picture_is_a_fault() -> None:
    with pytest.raises(DetectionError):
        pyramid(Subject(Stage.OUTPUT, GenerationRequest()))
