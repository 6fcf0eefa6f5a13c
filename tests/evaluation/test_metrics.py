import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.evaluation import Rate, auroc, summary


def test_wilson_interval_matches_published_values() -> None:
    # 15 of 50: 0.191 to 0.438 by the formula of Wilson (1927).
    low, high = Rate(50, 15).interval
    assert (round(low, 3), round(high, 3)) == (0.191, 0.438)
    assert Rate(0, 0).interval == (0.0, 1.0)
    assert Rate(10, 0).interval[0] == 0.0


@given(st.integers(1, 500), st.data())
def test_the_interval_holds_the_share(n: int, data: st.DataObject) -> None:
    rate = Rate(n, data.draw(st.integers(0, n)))
    low, high = rate.interval
    assert 0 <= low <= rate.share + 1e-12
    assert rate.share <= high + 1e-12 <= 1 + 1e-9


def _slow_auroc(positive: list[float], negative: list[float]) -> float:
    pairs = [(p > n) + 0.5 * (p == n) for p in positive for n in negative]
    return sum(pairs) / len(pairs)


_scores = st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.5000001, 0.9, 1.0]), min_size=1, max_size=20)


@given(_scores, _scores)
def test_auroc_counts_pairs_and_ties_half(positive: list[float], negative: list[float]) -> None:
    assert auroc(positive, negative) == pytest.approx(_slow_auroc(positive, negative))


def test_auroc_needs_both_sides() -> None:
    assert auroc([], [0.1]) is None


def test_summary_leaves_ambiguous_rows_out_and_counts_by_category() -> None:
    rows = [
        {"id": "1", "label": "block", "category": "a"},
        {"id": "2", "label": "block", "category": "a"},
        {"id": "3", "label": "allow", "category": "b"},
        {"id": "4", "label": "ambiguous", "category": "c"},
    ]
    results = [
        {"id": "1", "action": "block", "signals": {"sexual.nudity": 0.9}, "ms": 1.0},
        {"id": "2", "action": "allow", "signals": {"sexual.nudity": 0.2}, "ms": 2.0},
        {"id": "3", "action": "hold", "signals": {"sexual.nudity": 0.4}, "ms": 3.0},
        {"id": "4", "action": "block", "signals": {}, "ms": 4.0},
    ]
    found = summary(rows, results)
    assert found["stopped_of_block"]["share"] == 0.5
    assert found["stopped_of_allow"]["share"] == 1.0
    assert found["precision"] == 0.5
    assert found["ambiguous"] == 1
    assert found["auroc"] == {"sexual": 0.5}
    assert [row["category"] for row in found["categories"]] == ["b", "a"]
    assert found["ms"]["p50"] == 3.0
