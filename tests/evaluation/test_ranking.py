import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.evaluation import Area, area, auroc
from guardrail.evaluation.ranking import at_share, cut_that_catches, roc


def _slow_auroc(positive: list[float], negative: list[float]) -> float:
    pairs = [(p > n) + 0.5 * (p == n) for p in positive for n in negative]
    return sum(pairs) / len(pairs)


_scores = st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.5000001, 0.9, 1.0]), min_size=1, max_size=20)


@given(_scores, _scores)
def test_auroc_counts_pairs_and_ties_half(positive: list[float], negative: list[float]) -> None:
    assert auroc(positive, negative) == pytest.approx(_slow_auroc(positive, negative))


def test_auroc_needs_both_sides() -> None:
    assert auroc([], [0.1]) is None
    assert auroc([0.1], []) is None


@given(st.integers(1, 400), st.integers(1, 400), st.floats(0, 1))
def test_the_interval_holds_the_area_and_ends_where_the_error_of_hanley_and_mcneil_reaches_it(
    positives: int, negatives: int, value: float
) -> None:
    low, high = Area(value, positives, negatives).interval
    assert 0 <= low <= value <= high <= 1
    mean = (positives + negatives) / 2 - 1
    for bound in (low, high):
        if bound not in (0, 1):
            spread = 1 + mean * ((1 - bound) / (2 - bound) + bound / (1 + bound))
            error = math.sqrt(bound * (1 - bound) * spread / (positives * negatives))
            assert abs(value - bound) == pytest.approx(1.959964 * error, abs=1e-6)


def test_an_area_of_one_is_less_certain_with_fewer_rows() -> None:
    few, many = Area(1.0, 5, 5).interval, Area(1.0, 500, 500).interval
    assert 0.3 < few[0] < 0.9 < many[0] < 1
    assert few[1] == many[1] == 1
    assert Area(1.0, 5, 5).to_dict()["value"] == 1.0


@given(_scores, _scores)
def test_the_roc_curve_rises_from_corner_to_corner_over_its_area(positive: list[float], negative: list[float]) -> None:
    points = roc(positive, negative)
    assert (points[0], points[-1]) == ((0.0, 0.0), (1.0, 1.0))
    assert points == sorted(points)
    under = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(points))
    found = area(positive, negative)
    assert found is not None
    assert under == pytest.approx(found.value)


@given(_scores)
def test_the_cut_catches_95_percent_and_no_higher_score_does(scores: list[float]) -> None:
    cut = cut_that_catches(scores)
    assert sum(score >= cut for score in scores) >= 0.95 * len(scores)
    assert sum(score > cut for score in scores) < 0.95 * len(scores)


def test_curve_and_cut_need_scores() -> None:
    for call in (lambda: roc([], [0.1]), lambda: roc([0.1], []), lambda: cut_that_catches([])):
        with pytest.raises(ValueError, match="needed"):
            call()


def test_share_found_at_a_share_of_false_alarms() -> None:
    good = [number / 100 for number in range(100)]
    found = at_share([0.5, 0.985, 0.995, 2.0], good, 0.01)
    assert (found["n"], found["hits"], found["cut"]) == (4, 3, 0.98)
    assert found["low"] <= found["share"] <= found["high"]
    assert at_share([0.0], good, 0.01)["hits"] == 0
