from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.signals import RGB
from guardrail.vision.blurred import WIDTHS, blur, deblurred
from tests.vision.golden.make import scene


def _sharp() -> RGB:
    """Pieces of all sizes with sharp sides."""
    draw = np.random.default_rng(7)
    rgb = np.full((240, 320, 3), 128, np.uint8)
    for _ in range(40):
        left, right = sorted(draw.integers(0, 321, 2))
        top, bottom = sorted(draw.integers(0, 241, 2))
        rgb[top:bottom, left:right] = draw.integers(0, 256, 3)
    return rgb


def _blurred(rgb: RGB, width: float) -> RGB:
    return np.asarray(cv2.GaussianBlur(rgb, (0, 0), width), dtype=np.uint8)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.floats(1.0, 5.0))
def test_the_width_of_a_blur_is_measured(width: float) -> None:
    assert blur(_blurred(_sharp(), width)) == pytest.approx(width, rel=0.25)


def test_sharp_pictures_and_soft_surfaces_are_none() -> None:
    assert blur(_sharp()) < WIDTHS[0]
    assert blur(scene("square")) < WIDTHS[0]


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3), (63, 63), (64, 64)])
def test_what_shows_nothing_is_none(size: tuple[int, int]) -> None:
    assert blur(np.full((*size, 3), 90, np.uint8)) == 0.0


@pytest.mark.parametrize("width", [2.0, 3.0])
def test_a_blur_is_undone_in_part(width: float) -> None:
    sharp = _sharp()
    soft = _blurred(sharp, width)
    before = np.abs(soft.astype(int) - sharp).mean()
    assert np.abs(deblurred(soft, width).astype(int) - sharp).mean() < 0.8 * before


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(1, 90), st.integers(1, 90), st.floats(*WIDTHS), st.integers(0, 99))
def test_any_picture_keeps_its_size(high: int, wide: int, width: float, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (high, wide, 3), dtype=np.uint8)
    assert deblurred(noise, width).shape == noise.shape
    assert 0.0 <= blur(noise) < 1_000
