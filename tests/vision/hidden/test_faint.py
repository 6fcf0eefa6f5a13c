"""The search for finder patterns: as a template would find them, and only where a code could have two."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from zxingcpp import BarcodeFormat

from guardrail.vision.hidden.faint import MODULES, faint_codes, likeness, paired
from tests.vision.hidden.test_codes import SAID, _drawn, _laid, _photo

RINGS = np.ones((9, 9), np.float32)
RINGS[1:8, 1:8], RINGS[2:7, 2:7], RINGS[3:6, 3:6] = -1, 1, -1


@settings(max_examples=30, deadline=None)
@given(
    module=st.sampled_from((2, *MODULES)),
    size=st.tuples(st.integers(0, 40), st.integers(0, 40)),
    seed=st.integers(0, 2**32 - 1),
    range_=st.sampled_from((1, 4, 30, 255)),
)
@example(module=2, size=(3, 0), seed=0, range_=1)
def test_sums_over_squares_say_what_a_template_says(module: int, size: tuple[int, int], seed: int, range_: int) -> None:
    shape = tuple(9 * module + more for more in size)
    grey = np.random.default_rng(seed).integers(0, range_ + 1, shape).astype(np.uint8)
    around = min(255, 5 * module | 1)
    apart = cv2.subtract(grey, cv2.blur(grey, (around, around)), dtype=cv2.CV_32F).clip(-12, 12)
    template = cv2.resize(RINGS, None, fx=module, fy=module, interpolation=cv2.INTER_NEAREST)
    expected = cv2.matchTemplate(apart, template, cv2.TM_CCOEFF_NORMED)
    assert np.abs(likeness(grey, module) - expected).max() < 1e-3


def test_what_is_flat_is_like_nothing() -> None:
    assert not likeness(np.full((60, 80), 77, np.uint8), 3).any()


@given(
    modules=st.sampled_from(range(21, 58, 4)),
    corner=st.tuples(st.integers(0, 400), st.integers(0, 400)),
    off=st.lists(st.integers(-2, 2), min_size=6, max_size=6),
    others=st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), max_size=8),
)
def test_two_finders_of_a_code_keep_each_other(
    modules: int, corner: tuple[int, int], off: list[int], others: list[tuple[int, int]]
) -> None:
    span, (x, y) = 2 * (modules - 7), corner
    three = [(x + off[0], y + off[1]), (x + span + off[2], y + off[3]), (x + off[4], y + span + off[5])]
    for missing in range(3):
        two = [place for number, place in enumerate(three) if number != missing]
        assert set(two) <= set(paired([*others, *two]))


def test_a_finder_alone_is_left_out() -> None:
    assert paired([(100, 100)]) == []
    assert paired([(100, 100), (133, 171)]) == []
    assert paired([(100, 100), (400, 100)]) == []


@pytest.mark.parametrize("scale", MODULES)
def test_every_module_size_is_read_in_a_large_picture(scale: int) -> None:
    rgb = _laid(_drawn(SAID, BarcodeFormat.QRCode, scale), (310, 520), _photo(30 + scale, 1024), 0.16)
    assert SAID in faint_codes(rgb)
