from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from guardrail.evaluation.disguises import DISGUISES, collage, inset
from guardrail.signals import RGB
from guardrail.vision.pyramid import Level
from guardrail.vision.views import SIDE, TILE, composed, further, inverted, mirrored, part, turned, whole
from tests.vision.golden.make import scene

PICTURES = arrays(np.uint8, st.tuples(st.integers(1, 60), st.integers(1, 60), st.just(3)))


def _names(rgb: RGB) -> set[str | None]:
    level = Level(0, rgb)
    return {view.name for view in further(level, whole(level))}


def _warm(height: int = 200, width: int = 300) -> RGB:
    y, x = np.mgrid[0:height, 0:width]
    wave = (24 * np.sin(x / 23 + 1) * np.cos(y / 17 + 1) + 9 * np.sin((x + y) / 5))[..., None]
    return np.asarray(np.array([205.0, 150.0, 125.0]) + wave, dtype=np.uint8)


@settings(max_examples=40, deadline=None)
@given(PICTURES)
def test_any_picture_has_readings_of_one_size(rgb: RGB) -> None:
    level = Level(0, rgb)
    first = whole(level)
    views = [first, *further(level, first), mirrored(first), *turned(first)]
    assert {view.square.shape for view in views} == {(SIDE, SIDE, 3)}
    assert {view.square.dtype for view in views} == {np.dtype(np.uint8)}


def test_an_ordinary_picture_needs_no_further_reading() -> None:
    assert _names(_warm()) == set()


@pytest.mark.parametrize("name", ["black border", "white border"])
def test_a_border_is_stripped(name: str) -> None:
    inner = _warm(256, 256)
    level = Level(0, DISGUISES[name](inner))
    found = {view.name: view.square for view in further(level, whole(level))}["border"]
    assert np.abs(found.astype(int) - np.asarray(whole(Level(0, inner)).square)).mean() < 4


@pytest.mark.parametrize("order", range(4))
def test_a_collage_is_read_part_by_part(order: int) -> None:
    parts = [_warm(), scene("square"), 255 - _warm(), np.full((90, 120, 3), (30, 60, 20), np.uint8)]
    parts = parts[order:] + parts[:order]
    level = Level(0, collage(parts))
    tiles = [view.square for view in further(level, whole(level)) if view.name and view.name.startswith("tile")]
    assert len(tiles) == 4
    for piece, tile in zip(parts, tiles, strict=True):
        assert np.abs(tile.astype(int) - np.asarray(whole(Level(0, piece)).square)).mean() < 25


@pytest.mark.parametrize("level", [0, 255])
def test_parts_between_gutters_are_read_without_them(level: int) -> None:
    parts = [_warm(), scene("square"), 255 - _warm(), np.full((90, 120, 3), (30, 60, 20), np.uint8)]
    shown = Level(0, collage(parts, 2, 0.04, level))
    tiles = [view.square for view in further(shown, whole(shown)) if view.kind == TILE]
    for piece in parts[:3]:
        alone = np.asarray(whole(Level(0, piece)).square).astype(int)
        assert min(np.abs(tile.astype(int) - alone).mean() for tile in tiles) < 12


def test_what_others_make_up_is_composed() -> None:
    column, upper, lower, far = (
        (0.0, 0.0, 0.5, 1.0),
        (0.0, 0.0, 0.5, 0.5),
        (0.02, 0.52, 0.48, 1.0),
        (0.5, 0.0, 1.0, 0.5),
    )
    assert composed(column, [column, upper, lower, far])
    assert composed(column, [column, upper])
    assert not composed(column, [column, far, (0.01, 0.0, 0.5, 0.99)])
    assert not composed(upper, [column, upper, lower, far, (0.1, 0.1, 0.3, 0.3)])


def test_a_small_part_of_a_large_picture_is_read_with_all_its_pixels() -> None:
    shown = _warm(320, 320)
    shown[::2] = 255 - shown[::2]  # finer than the reduced copy of the whole can hold
    level = Level(0, inset(np.full((1280, 1280, 3), (60, 90, 60), np.uint8), shown, 0.25, (0.4, 0.7)))
    (tile,) = (view for view in further(level, whole(level)) if view.kind == TILE)
    assert tile.side == pytest.approx(320, abs=8)
    alone = np.asarray(whole(Level(0, shown)).square)
    assert tile.square.std(axis=0).mean() == pytest.approx(alone.std(axis=0).mean(), rel=0.1)
    assert part(level, tile.box).rgb.shape == pytest.approx((320, 320, 3), abs=8)


def test_a_negative_of_skin_is_turned_back() -> None:
    assert inverted(255 - _warm())
    assert not inverted(_warm())
    level = Level(0, 255 - _warm())
    found = {view.name: view.square for view in further(level, whole(level))}["negative"]
    assert np.array_equal(found, 255 - whole(level).square)


def test_a_flat_picture_has_no_negative() -> None:
    assert _names(np.full((50, 50, 3), (60, 110, 130), np.uint8)) == set()


def test_what_lies_beneath_says_so() -> None:
    level = Level(0, 255 - _warm(), "beneath")
    assert {view.name for view in further(level, whole(level))} == {"beneath/negative"}


def test_one_wide_row_has_no_seam() -> None:
    assert all(name is None or not name.startswith("tile") for name in _names(np.zeros((1, 640, 3), np.uint8)))
