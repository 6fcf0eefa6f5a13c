from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.errors import DetectionError
from guardrail.vision.align import AGE_POINTS, AGE_SIDE, EMBED_POINTS, EMBED_SIDE, chip, similarity


@given(st.floats(-3.1, 3.1), st.floats(0.2, 5), st.floats(-100, 100), st.floats(-100, 100))
def test_a_similarity_is_found_again(turn: float, scale: float, x: float, y: float) -> None:
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    moved = EMBED_POINTS @ linear.T + (x, y)
    found = similarity(EMBED_POINTS, moved)
    assert np.allclose(found, np.column_stack([linear, (x, y)]), atol=1e-3)


def test_points_in_one_place_do_not_divide_by_nothing() -> None:
    assert np.isfinite(similarity(np.zeros((5, 2)), EMBED_POINTS)).all()


def _marked(points: np.ndarray[tuple[int, ...], np.dtype[np.float32]], scale: float) -> np.ndarray:
    """A black picture with a white blot on every point."""
    side = int(112 * scale * 2)
    y, x = np.mgrid[0:side, 0:side]
    blots = [np.hypot(x + 0.5 - px, y + 0.5 - py) < 5 * scale for px, py in points]
    return np.repeat((np.any(blots, axis=0) * 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("scale", [1.0, 3.0, 8.0])
@pytest.mark.parametrize(("template", "side"), [(EMBED_POINTS, EMBED_SIDE), (AGE_POINTS, AGE_SIDE)])
def test_points_land_on_the_template(scale: float, template: np.ndarray, side: int) -> None:
    points = (EMBED_POINTS * scale + 40 * scale).astype(np.float32)
    found = chip(_marked(points, scale), points, template, side)
    assert found.shape == (side, side, 3)
    fitted = np.column_stack([points, np.ones(5)]) @ similarity(points, template).T
    for x, y in fitted:
        assert found[int(y), int(x)].min() > 150


@pytest.mark.parametrize("points", [np.zeros((5, 2)), np.full((5, 2), np.nan), EMBED_POINTS * 1e9])
def test_points_where_no_face_can_be_are_a_fault(points: np.ndarray) -> None:
    with pytest.raises(DetectionError):
        chip(np.zeros((9, 9, 3), dtype=np.uint8), points.astype(np.float32), EMBED_POINTS, EMBED_SIDE)


@pytest.mark.parametrize("shift", [-500, 500, 1e6])
def test_a_face_over_the_edge_is_cut_out_all_the_same(shift: float) -> None:
    points = (EMBED_POINTS + shift).astype(np.float32)
    rgb = np.full((60, 60, 3), 200, dtype=np.uint8)
    assert chip(rgb, points, EMBED_POINTS, EMBED_SIDE).shape == (EMBED_SIDE, EMBED_SIDE, 3)
