from __future__ import annotations

import io
from difflib import SequenceMatcher

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from guardrail.detector import DetectorContext
from guardrail.inference import ModelStore
from guardrail.settings import Settings
from guardrail.signals import GenerationRequest, Picture, Subject
from guardrail.taxonomy import Stage
from guardrail.vision.decode import decode
from guardrail.vision.hidden.detector import HiddenDetector
from guardrail.vision.hidden.requantised import added
from guardrail.vision.hidden.written import written
from guardrail.vision.ocr.reader import Reader
from tests.attacks.hidden import lettering, scenes

SAID = "water the plants on monday"
TOP, LEFT = 200, 40


def _decoded(quality: int, name: str = "lawn") -> np.ndarray:
    """What a JPEG of a busy scene shows."""
    rng = np.random.default_rng(quality)
    pixels = scenes.camera(scenes.SCENES["train"][name]((720, 480), rng), rng)
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(np.clip(pixels, 2, 253), np.uint8)).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def _written(rgb: np.ndarray, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """The picture with faint letters, and where they are."""
    drawn = lettering.mask([SAID], lettering.face("DejaVuSans-Bold", 36))
    mask = np.zeros(rgb.shape[:2], np.float32)
    mask[TOP : TOP + drawn.shape[0], LEFT : LEFT + drawn.shape[1]] = drawn
    return np.clip(np.rint(rgb + levels * mask[..., None]), 0, 255).astype(np.uint8), mask > 0.5


def _png(rgb: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


@pytest.mark.parametrize("quality", [50, 70, 85, 90])
def test_letters_of_five_levels_stand_off_the_lattice_wherever_the_picture_is_busy(quality: int) -> None:
    rgb, letters = _written(_decoded(quality), 5)
    found = added(rgb)
    assert found is not None
    left, top, right, bottom = found.places()[0]
    rows, columns = np.nonzero(letters)
    assert (left <= columns.min(), columns.max() < right) == (True, True)
    assert (top <= rows.min(), rows.max() < bottom) == (True, True)
    assert (right - left) * (bottom - top) < 3 * np.ptp(rows) * np.ptp(columns)


@pytest.mark.parametrize("quality", [50, 60, 70])
def test_strokes_are_filled(quality: int) -> None:
    rgb, letters = _written(_decoded(quality), 5)
    found = added(rgb)
    assert found is not None
    left, top, right, bottom = found.places()[0]
    ink = found.ink(left, top, right, bottom)[1].astype(np.float32)
    inside = letters[top:bottom, left:right]
    assert ink[inside].mean() - ink[~inside].mean() > 1.5 * ink[~inside].std()


@pytest.mark.parametrize("quality", [45, 75, 90])
def test_a_jpeg_that_nobody_wrote_into_has_nothing_added(quality: int) -> None:
    assert added(_decoded(quality)) is None


@pytest.mark.parametrize("name", ["lawn", "hills", "brick"])
def test_pictures_that_were_no_jpeg_have_no_lattice(name: str) -> None:
    rng = np.random.default_rng(8)
    pixels = scenes.camera(scenes.SCENES["train"][name]((720, 480), rng), rng)
    assert added(_written(np.asarray(pixels, np.uint8), 5)[0]) is None


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 80), st.integers(1, 80), st.booleans())
def test_pictures_of_any_size_are_looked_at(seed: int, high: int, wide: int, flat: bool) -> None:
    rng = np.random.default_rng(seed)
    rgb = np.full((high, wide, 3), seed % 256, np.uint8) if flat else rng.integers(0, 256, (high, wide, 3), np.uint8)
    assert added(rgb) is None


@pytest.mark.models
@pytest.mark.parametrize("quality", [60, 75])
def test_letters_of_five_levels_in_a_busy_photograph_are_read_as_concealed(
    bare_context: DetectorContext, quality: int
) -> None:
    data = _png(_written(_decoded(quality), 5)[0])
    picture = decode(Picture(data), Settings().limits)
    found = HiddenDetector(bare_context).detect(Subject(Stage.INPUT, GenerationRequest(), picture=picture)).texts
    read = {item.text.lower().replace(" ", "") for item in found if item.concealed}
    assert max((SequenceMatcher(None, text, SAID.replace(" ", "")).ratio() for text in read), default=0) > 0.8


@pytest.mark.models
def test_what_is_plainly_written_into_a_jpeg_is_not_taken_for_concealed(models: ModelStore) -> None:
    rgb = _written(_decoded(75, "bokeh"), 200)[0]
    found = written(Reader(models), rgb, lossless=True)
    assert "plants" in "".join(line.text for line in found.lines).lower()
    assert found.faint == ()
