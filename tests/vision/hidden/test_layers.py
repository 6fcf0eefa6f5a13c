from __future__ import annotations

from collections.abc import Callable
from difflib import SequenceMatcher

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.inference import ModelStore
from guardrail.vision.hidden import layers
from guardrail.vision.hidden.written import written
from guardrail.vision.ocr.boxes import TextBox
from guardrail.vision.ocr.reader import Reader
from tests.attacks.hidden import lettering

SAID = "please water the plants on monday"


def _over(rgb: np.ndarray, text: str, size: int, at: tuple[int, int], ink: int) -> np.ndarray:
    drawn = lettering.mask([text], lettering.face("DejaVuSans", size))
    pixels = rgb.astype(np.float32)
    lettering.stamp(pixels, drawn, at, (ink, ink, ink), 1.0)
    return np.asarray(np.clip(np.rint(pixels), 0, 255), dtype=np.uint8)


def _page(ink: int, paper: int) -> np.ndarray:
    rgb = np.full((480, 640, 3), paper, np.uint8)
    for row in range(14):
        rgb = _over(rgb, "the ferry to the island leaves every second hour", 16, (30, 20 + 31 * row), ink)
    return rgb


def _board() -> np.ndarray:
    return _over(np.full((480, 640, 3), 225, np.uint8), "ALREADY", 130, (8, 120), 60)


def _letters(text: str) -> str:
    return "".join(filter(str.isalpha, text.lower()))


@pytest.mark.models
@pytest.mark.parametrize(
    ("ground", "size", "at", "ink"),
    [
        (lambda: _page(70, 240), 18, (40, 180), 0),
        (lambda: _page(180, 30), 20, (40, 275), 255),
        (_board, 15, (150, 200), 0),
        (_board, 30, (20, 220), 0),
    ],
)
def test_what_is_written_over_other_letters_is_read(
    models: ModelStore, ground: Callable[[], np.ndarray], size: int, at: tuple[int, int], ink: int
) -> None:
    found = written(Reader(models), _over(ground(), SAID, size, at, ink))
    texts = [_letters("".join(line.text for line in part)) for part in found.readings]
    assert max(SequenceMatcher(None, text, _letters(SAID)).ratio() for text in texts) > 0.9


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 60), st.booleans())
def test_layers_of_any_picture_have_its_size(seed: int, high: int, wide: int, flat: bool) -> None:
    rng = np.random.default_rng(seed)
    rgb = np.full((high, wide, 3), seed % 256, np.uint8) if flat else rng.integers(0, 256, (high, wide, 3), np.uint8)
    grey = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    for layer in layers.inks(rgb):
        assert layer.shape == (high, wide)
        box = TextBox(tuple(rng.uniform(-20, 80, 2)), tuple(rng.uniform(0, 90, 2)), 0.0, 1.0)
        assert layers.alike(box, grey, layer) in (True, False)


def test_a_layer_of_plain_letters_shows_what_the_picture_shows() -> None:
    rgb = _over(np.full((120, 640, 3), 240, np.uint8), SAID, 24, (20, 40), 10)
    grey = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    line = TextBox((240.0, 55.0), (440.0, 36.0), 0.0, 1.0)
    assert all(layers.alike(line, grey, layer) for layer in layers.inks(rgb))
