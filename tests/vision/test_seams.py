from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from guardrail.signals import RGB
from guardrail.vision.seams import LEAST_PIXELS, LONGEST, tiles

COLOURS = ((200, 90, 40), (30, 120, 180), (90, 160, 60), (230, 220, 200), (20, 30, 50))


def _pieces(heights: list[int], widths: list[int]) -> RGB:
    rows = [
        np.concatenate(
            [np.full((high, wide, 3), COLOURS[(row + 2 * column) % 5], np.uint8) for column, wide in enumerate(widths)],
            axis=1,
        )
        for row, high in enumerate(heights)
    ]
    return np.concatenate(rows)


def _near(box: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return all(abs(one - two) < 0.01 for one, two in zip(box, other, strict=True))


@settings(max_examples=25, deadline=None)
@given(st.integers(150, 300), st.integers(150, 300), st.integers(150, 300), st.integers(150, 300))
def test_two_by_two_wherever_it_is_divided(top: int, bottom: int, left: int, right: int) -> None:
    found = tiles(_pieces([top, bottom], [left, right]))
    y, x = top / (top + bottom), left / (left + right)
    if min(y, 1 - y, x, 1 - x) < 0.21:
        return
    wanted = [(0, 0, x, y), (x, 0, 1, y), (0, y, x, 1), (x, y, 1, 1)]
    assert all(any(_near(box, want) for box in found) for want in wanted)


def test_an_edge_taken_for_a_seam_loses_no_part() -> None:
    """Left picture 200 wide with an upright edge inside at 100; the part is found whole, after its halves."""
    found = tiles(_pieces([200], [120, 120, 240]))
    assert any(_near(box, (0, 0, 0.5, 1)) for box in found)
    assert any(_near(box, (0.5, 0, 1, 1)) for box in found)


@pytest.mark.parametrize(("heights", "widths"), [([60, 60], [300]), ([400, 100], [500]), ([92], [200, 200, 240])])
def test_strips_and_scraps_are_no_parts(heights: list[int], widths: list[int]) -> None:
    rgb = _pieces(heights, widths)
    high, wide = rgb.shape[:2]
    for left, top, right, bottom in tiles(rgb):
        sides = (right - left) * wide, (bottom - top) * high
        assert min(sides) >= LEAST_PIXELS - 1
        assert max(sides) <= LONGEST * min(sides) + 1


def test_pictures_squeezed_into_flat_parts_are_found() -> None:
    assert len(tiles(_pieces([70, 70], [320, 320]))) == 4


def test_one_colour_has_no_seams() -> None:
    assert tiles(np.full((200, 300, 3), 90, np.uint8)) == []


@pytest.mark.parametrize("quality", [30, 40])
def test_blocks_of_heavy_jpeg_are_no_seams(quality: int) -> None:
    """A soft slope, which JPEG cuts into steps from edge to edge, unlike the pieces of a collage saved the same way."""
    y, x = np.mgrid[0:320, 0:320]
    slope = np.stack([60 + 0.3 * y + 0.2 * x, 90 + 0.2 * y + 0.25 * x, 70 + 0.25 * y + 0.2 * x], axis=2).astype(
        np.uint8
    )

    def saved(rgb: RGB) -> RGB:
        data = io.BytesIO()
        Image.fromarray(rgb).save(data, "JPEG", quality=quality)
        with Image.open(data) as again:
            return np.asarray(again)

    assert tiles(saved(slope)) == []
    assert len(tiles(saved(_pieces([160, 160], [160, 160])))) == 4
