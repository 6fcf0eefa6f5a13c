from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.vision.matching import STRANGERS_MEAN, STRANGERS_SPREAD, even_point, likeness


def test_even_points_of_the_docstring() -> None:
    assert even_point(1e-3, 1) == pytest.approx(0.349, abs=1e-3)
    assert even_point(2e-4, 10_000) == pytest.approx(0.589, abs=1e-3)
    assert likeness(0.349, even_point(1e-3, 1)) == pytest.approx(0.5, abs=0.01)
    assert likeness(even_point(1e-3, 1) - 0.028, even_point(1e-3, 1)) == pytest.approx(0.3, abs=0.01)


@given(st.floats(1e-6, 0.1), st.integers(1, 10**6), st.integers(1, 10**6))
def test_more_faces_and_lower_rates_ask_for_more_likeness(rate: float, few: int, more: int) -> None:
    assert even_point(rate, few) <= even_point(rate, few + more)
    assert even_point(rate / 2, few) > even_point(rate, few)


def test_scores_rise_with_the_cosine() -> None:
    scores = [likeness(cosine, 0.4) for cosine in np.linspace(-1, 1, 41)]
    assert all(0 <= low < high <= 1 for low, high in pairwise(scores))


@pytest.mark.parametrize("faces", [1, 100])
def test_strangers_reach_the_even_point_at_the_rate(faces: int) -> None:
    random = np.random.default_rng(faces)
    cosines = random.normal(STRANGERS_MEAN, STRANGERS_SPREAD, (20_000, faces)).max(axis=1)
    share = float((cosines >= even_point(0.01, faces)).mean())
    assert 0.006 < share < 0.014
