"""Pictures made to keep the readers busy: bounded time, and coverage says what was not read."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest

from guardrail.detector import DetectorContext
from guardrail.errors import PictureError
from guardrail.signals import DecodedPicture, Detection, Frame, GenerationRequest, Picture, Subject
from guardrail.taxonomy import Stage
from guardrail.vision.decode import decode
from guardrail.vision.hidden.detector import HiddenDetector
from guardrail.vision.ocr.boxes import MAX_BOXES
from tests.vision.files import drawing, encoded

pytestmark = pytest.mark.models
SECONDS = 25.0
"""CPU on a busy machine; on a free one a picture of these takes under three."""


@pytest.fixture
def detector(bare_context: DetectorContext) -> HiddenDetector:
    return HiddenDetector(bare_context)


def _seen(detector: HiddenDetector, rgb: np.ndarray) -> Detection:
    picture = DecodedPicture(Picture(b""), "jpeg", rgb.shape[1], rgb.shape[0], (Frame(0, rgb),))
    start = time.process_time()
    found = detector.detect(Subject(Stage.INPUT, GenerationRequest(), picture=picture))
    assert time.process_time() - start < SECONDS
    return found


@pytest.mark.parametrize("shape", [(1, 1), (1, 65535), (65535, 1), (2, 20000), (12, 12), (31, 4000)])
def test_pictures_of_any_shape_are_looked_at(detector: HiddenDetector, shape: tuple[int, int]) -> None:
    found = _seen(detector, np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8))
    assert "vision.hidden:lines=0" in found.coverage.inspected


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["noise", "grains", "bars"])
def test_patterns_are_looked_at_in_bounded_time(detector: HiddenDetector, kind: str) -> None:
    rng = np.random.default_rng(2)
    rgb = rng.integers(0, 256, (1024, 1024, 3), dtype=np.uint8)
    if kind == "grains":
        rgb = np.asarray(cv2.resize(rgb[:256, :256], (1024, 1024), interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
    elif kind == "bars":
        rgb = np.repeat(np.repeat(rng.integers(0, 2, (1, 1024, 1), dtype=np.uint8) * np.uint8(255), 1024, 0), 3, 2)
    _seen(detector, rgb)


@pytest.mark.slow
def test_a_page_with_thousands_of_words_is_read_in_part_and_says_so(detector: HiddenDetector) -> None:
    page = np.full((2048, 2048, 3), 245, np.uint8)
    for row in range(12, 2040, 18):
        for column in range(4, 2000, 62):
            cv2.putText(page, "plan", (column, row), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (10, 10, 10), 1, cv2.LINE_AA)
    found = _seen(detector, page)
    assert any("more lines of text" in skip.why for skip in found.coverage.skipped)
    assert 0 < sum(text.text.count("\n") + 1 for text in found.texts) <= 4 * MAX_BOXES


def test_a_picture_one_pixel_high_is_refused_with_advice(bare_context: DetectorContext) -> None:
    with pytest.raises(PictureError, match="narrower"):
        decode(Picture(encoded(drawing(size=(65535, 1)), "PNG")), bare_context.settings.limits)
