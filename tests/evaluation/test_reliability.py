import random
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.evaluation import reliability

_rows = st.lists(st.tuples(st.sampled_from([0.0, 0.01, 0.1, 0.5, 0.75, 0.9, 1.0]), st.booleans()), max_size=80)


def test_a_worked_example() -> None:
    # Two bins of five: gaps |0.2 - 0.2| and |0.8 - 0.4|, half the rows each.
    scores, labels = [0.2] * 5 + [0.8] * 5, [True, *[False] * 4, True, True, *[False] * 3]
    found = reliability(scores, labels, bins=2)
    assert [(item.rate.n, item.rate.hits, item.low, item.high) for item in found.bins] == [
        (5, 1, 0.2, 0.2),
        (5, 2, 0.8, 0.8),
    ]
    assert found.ece == pytest.approx(0.2)
    assert found.to_dict()["off"] == 1


@given(_rows, st.integers(1, 12), st.sampled_from(["mass", "width"]), st.randoms())
def test_bins_cover_every_row_once_and_do_not_depend_on_order(
    rows: list[tuple[float, bool]], bins: int, equal: Literal["mass", "width"], order: random.Random
) -> None:
    found = reliability([score for score, _ in rows], [label for _, label in rows], bins=bins, equal=equal)
    assert found.n == len(rows)
    assert sum(item.rate.hits for item in found.bins) == sum(label for _, label in rows)
    assert len(found.bins) <= bins
    for before, after in zip(found.bins, found.bins[1:], strict=False):
        assert before.high < after.low
    order.shuffle(rows)
    again = reliability([score for score, _ in rows], [label for _, label in rows], bins=bins, equal=equal)
    assert again.to_dict() == found.to_dict()
    assert found.ece is None or 0 <= found.ece <= 1


def test_equal_mass_fills_bins_alike_and_equal_width_splits_the_scale() -> None:
    scores = [number / 1000 for number in range(100)]
    assert [item.rate.n for item in reliability(scores, [True] * 100).bins] == [10] * 10
    assert [item.rate.n for item in reliability(scores, [True] * 100, equal="width").bins] == [100]
    wide = reliability([0.0, 0.1, 0.95, 1.0], [True] * 4, equal="width")
    assert [item.rate.n for item in wide.bins] == [1, 1, 2]


def test_a_calibrated_score_has_a_small_error_and_a_shifted_one_its_shift() -> None:
    draw = random.Random(4)
    scores = [draw.random() * 0.7 for _ in range(20_000)]
    labels = [draw.random() < score for score in scores]
    good, shifted = reliability(scores, labels), reliability([score + 0.3 for score in scores], labels)
    assert good.ece is not None
    assert good.ece < 0.02
    assert shifted.ece == pytest.approx(0.3, abs=0.02)
    assert good.to_dict()["off"] <= 2
    assert shifted.to_dict()["off"] == 10


def test_nothing_has_no_error_and_nonsense_is_refused() -> None:
    assert reliability([], []).to_dict() == {"n": 0, "ece": None, "off": 0, "bins": []}
    for scores, labels, bins in (
        ([0.1], [], 10),
        ([1.1], [True], 10),
        ([float("nan")], [True], 10),
        ([0.1], [True], 0),
    ):
        with pytest.raises(ValueError, match="needed"):
            reliability(scores, labels, bins=bins)
