from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from guardrail.signals import RGB
from guardrail.vision.worn import BLOCKS, COLOURLESS, ENOUGH, MOST, Wear, allowance, blockiness, colourless, two_toned
from tests.vision.golden.make import scene

SIDES = st.integers(1, 5000)
RATIOS = st.floats(0.5, 3)
COLOUR = scene("square")[:60, :60]
GREY = np.repeat(COLOUR[..., :1], 3, axis=2)


def _saved(rgb: RGB, quality: int) -> RGB:
    data = io.BytesIO()
    Image.fromarray(rgb).save(data, "JPEG", quality=quality)
    with Image.open(data) as again:
        return np.asarray(again)


def _textured() -> RGB:
    rgb = np.asarray(Image.fromarray(scene("square")).resize((224, 200))).astype(np.int16)
    return np.asarray((rgb + np.random.default_rng(0).normal(0, 12, rgb.shape)).clip(0, 255), dtype=np.uint8)


def test_an_ordinary_picture_needs_no_allowance() -> None:
    assert allowance(COLOUR, ENOUGH, Wear()) == 0


@settings(deadline=None, max_examples=50)
@given(SIDES, SIDES, RATIOS, RATIOS)
def test_it_rises_with_what_was_lost_and_is_bounded(side: int, other: int, blocks: float, more: float) -> None:
    small, large = sorted((side, other))
    low, high = (Wear(item) for item in sorted((blocks, more)))
    for square, least in ((COLOUR, 0.0), (GREY, COLOURLESS)):
        assert least <= allowance(square, large, low) <= allowance(square, small, low) <= allowance(square, small, high)
        assert allowance(square, small, high) <= MOST
    assert allowance(COLOUR, ENOUGH, low) + COLOURLESS == pytest.approx(allowance(GREY, ENOUGH, low))


def test_grey_is_told_from_colour_also_after_jpeg() -> None:
    assert colourless(GREY)
    assert colourless(_saved(GREY, 60))
    assert not colourless(COLOUR)


@pytest.mark.parametrize("turned", [False, True])
def test_heavy_jpeg_is_told_from_light(turned: bool) -> None:
    rgb = np.rot90(_textured()) if turned else _textured()
    assert blockiness(_saved(rgb, 30)) > BLOCKS[0] > blockiness(rgb)
    assert blockiness(_saved(rgb, 30)[3:, 5:]) > BLOCKS[0]


@pytest.mark.parametrize("size", [(1, 1), (1, 640), (640, 1), (23, 23), (24, 24)])
def test_pictures_too_small_for_blocks(size: tuple[int, int]) -> None:
    assert np.isfinite(blockiness(np.full((*size, 3), 128, np.uint8)))


def test_a_halftone_and_line_art_have_no_tones_to_lose() -> None:
    noise = np.random.default_rng(0).integers(0, 255, GREY.shape[:2])[..., None]
    halftone = np.where(noise < GREY, 255, 0).astype(np.uint8)
    assert two_toned(halftone)
    assert not two_toned(GREY)
    assert allowance(halftone, ENOUGH, Wear.of(halftone, halftone)) == 0
    assert allowance(GREY, ENOUGH, Wear.of(GREY, GREY)) == COLOURLESS
