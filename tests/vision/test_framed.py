from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.evaluation.disguises import LAYOUTS, collage, inset
from guardrail.signals import RGB
from guardrail.vision.framed import LONGEST, MOST, parts, same
from guardrail.vision.seams import Box

SIDE = 320


def _natural(seed: int, height: int = 240, width: int = SIDE) -> RGB:
    """Soft blobs of any colour: no sharp straight line in it."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    found = np.zeros((height, width, 3))
    for _ in range(12):
        middle, size = draw.uniform(0, SIDE, 2), draw.uniform(20, 90)
        blob = np.exp(-((x - middle[0]) ** 2 + (y - middle[1]) ** 2) / (2 * size**2))
        found += blob[..., None] * draw.uniform(0, 120, 3)
    return np.asarray(found.clip(0, 255), dtype=np.uint8)


def _near(box: Box, other: Box) -> bool:
    return all(abs(one - two) <= 0.02 for one, two in zip(box, other, strict=True))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    share=st.floats(0.2, 0.6), across=st.floats(0, 1), down=st.floats(0, 1), seed=st.integers(0, 99), tall=st.booleans()
)
def test_a_picture_within_another_is_found_wherever_it_lies(
    share: float, across: float, down: float, seed: int, tall: bool
) -> None:
    around, within = _natural(seed), 255 - _natural(seed + 1, *((300, 225) if tall else (240, 320)))
    shown = inset(around, within, share, (across, down))
    wide, high = share * (240 * 225 / 300 / SIDE if tall else 1), share
    left, top = across * (1 - wide), down * (1 - high)
    assert any(_near(box, (left, top, left + wide, top + high)) for box in parts(shown))


@pytest.mark.parametrize("name", ["white gutters", "black gutters", "collage"])
def test_pictures_between_gutters_are_found_without_them(name: str) -> None:
    layout = LAYOUTS[name]
    shown = collage(
        [255 - _natural(at, 120, 150) if at % 2 else _natural(at, 120, 150) for at in range(4)],
        2,
        layout.gutter,
        layout.level,
    )
    wide, high, edge = 150 / shown.shape[1], 120 / shown.shape[0], round(layout.gutter * 150)
    for row in range(2):
        for column in range(2):
            left, top = (edge + column * (150 + edge)) / shown.shape[1], (edge + row * (120 + edge)) / shown.shape[0]
            assert any(_near(box, (left, top, left + wide, top + high)) for box in parts(shown)), (row, column)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(0, 10_000))
def test_what_has_no_sharp_sides_has_no_parts(seed: int) -> None:
    assert parts(_natural(seed)) == []


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    st.integers(0, 10_000), st.integers(1, 40), st.sampled_from([(320, 240), (320, 60), (40, 320), (2, 1), (31, 320)])
)
def test_many_lines_give_few_parts_and_no_strips(seed: int, count: int, size: tuple[int, int]) -> None:
    draw = np.random.default_rng(seed)
    wide, high = size
    rgb = np.full((high, wide, 3), 128, np.uint8)
    for _ in range(count):
        left, right = sorted(draw.integers(0, wide + 1, 2))
        top, bottom = sorted(draw.integers(0, high + 1, 2))
        rgb[top:bottom, left:right] = draw.integers(0, 256, 3)
    found = parts(rgb)
    assert len(found) <= MOST
    for at, (left, top, right, bottom) in enumerate(found):
        assert 0 <= left < right <= 1
        assert 0 <= top < bottom <= 1
        shape = (right - left) / (bottom - top)
        assert min(abs(np.log(shape)), abs(np.log(shape * wide / high))) <= np.log(LONGEST) + 1e-6
        assert not any(same(found[at], other) for other in found[:at])


def test_one_colour_has_no_parts() -> None:
    assert parts(np.full((240, 320, 3), 77, np.uint8)) == []
