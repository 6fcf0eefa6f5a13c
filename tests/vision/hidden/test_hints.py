from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.inference import ModelStore
from guardrail.signals import RGB
from guardrail.vision.hidden import bands
from guardrail.vision.hidden.hints import says
from guardrail.vision.ocr.boxes import TextBox
from guardrail.vision.ocr.reader import LEAST, Reader, Reading
from tests.attacks.hidden import lettering

_LONG = "the ferry leaves at noon from the northern pier of the island"


class _Counting(Reader):
    """A reader that counts the pixels it reads, as strips of 48 pixels in height."""

    pixels = 0.0

    def read_boxes(self, rgb: RGB, found: Sequence[TextBox], *, turning: bool = False, least: float = LEAST) -> Reading:
        self.pixels += sum(48 * box.size[0] / box.size[1] for box in found)
        return super().read_boxes(rgb, found, turning=turning, least=least)


def _grey(seed: int = 0) -> np.ndarray:
    ground = np.random.default_rng(seed).normal(150, 3, (400, 1000)).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(ground, (0, 0), 1.0))


def _shown(grey: np.ndarray) -> RGB:
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def _lettered(height: int, contrast: float, at: int = 200) -> RGB:
    drawn = lettering.mask([_LONG], lettering.face("DejaVuSans", height))[:, :960]
    grey = _grey()
    grey[at : at + drawn.shape[0], 20 : 20 + drawn.shape[1]] += contrast * drawn
    return _shown(grey)


def _fence() -> RGB:
    """Slats of uneven width beneath a rail."""
    grey = _grey()
    edges = np.cumsum(np.random.default_rng(4).integers(3, 8, 400))
    for left, right in zip(edges[::2], edges[1::2], strict=True):
        grey[190:212, int(left) : int(right)] -= 60
    return _shown(grey)


@pytest.mark.models
@pytest.mark.parametrize(("height", "contrast"), [(9, -90), (20, -12), (24, 60)])
def test_a_stretch_of_a_line_tells_that_it_says_something(models: ModelStore, height: int, contrast: float) -> None:
    rgb = _lettered(height, contrast)
    likely = bands.lines(np.ascontiguousarray(rgb[..., 0]), 2)
    reader = _Counting(models)
    assert says(reader, rgb, likely[:1], tallest=16.0)
    assert reader.pixels < 220 < 48 * likely[0].size[0] / likely[0].size[1]


@pytest.mark.models
def test_a_fence_says_nothing(models: ModelStore) -> None:
    rgb = _fence()
    likely = bands.lines(np.ascontiguousarray(rgb[..., 0]), 2)
    assert likely
    for tallest in (1.0, 100.0):
        assert not says(Reader(models), rgb, likely, tallest=tallest)


@pytest.mark.models
def test_one_line_that_says_something_is_enough(models: ModelStore) -> None:
    rgb = np.vstack([_fence(), _lettered(20, -80)])
    likely = bands.lines(np.ascontiguousarray(rgb[..., 0]), 8)
    fence = [box for box in likely if box.centre[1] < 400]
    line = [box for box in likely if box.centre[1] > 400]
    assert fence
    assert line
    assert says(Reader(models), rgb, [fence[0], line[0]], tallest=16.0)
    assert not says(Reader(models), rgb, [], tallest=16.0)


@pytest.mark.models
@settings(deadline=None, max_examples=40)
@given(
    x=st.floats(-20, 120),
    y=st.floats(-20, 60),
    size=st.tuples(st.floats(1, 300), st.floats(1, 60)),
    tallest=st.sampled_from([1.0, 16.0, 1e9]),
)
def test_boxes_anywhere_are_looked_at(
    models: ModelStore, x: float, y: float, size: tuple[float, float], tallest: float
) -> None:
    wall = np.full((40, 100, 3), 128, np.uint8)
    assert not says(Reader(models), wall, [TextBox((x, y), size, 0.0, 1.0)], tallest=tallest)
