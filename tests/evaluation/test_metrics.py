import math

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.evaluation import Rate, summary
from guardrail.evaluation.metrics import best_scores
from guardrail.verdict import Action
from tests.evaluation.parts import pair


def test_wilson_interval_matches_published_values() -> None:
    # 15 of 50: 0.191 to 0.438 by the formula of Wilson (1927).
    low, high = Rate(50, 15).interval
    assert (round(low, 3), round(high, 3)) == (0.191, 0.438)
    assert Rate(0, 0).interval == (0.0, 1.0)
    assert Rate(10, 0).interval[0] == 0.0


@given(st.integers(1, 500), st.data())
def test_the_interval_holds_the_share_and_solves_wilson_s_equation(n: int, data: st.DataObject) -> None:
    rate = Rate(n, data.draw(st.integers(0, n)))
    low, high = rate.interval
    assert -1e-12 <= low <= rate.share + 1e-12
    assert rate.share <= high + 1e-12 <= 1 + 1e-9
    for bound in (low, high):
        distance = abs(rate.share - bound)
        assert distance == pytest.approx(1.959964 * math.sqrt(max(0.0, bound * (1 - bound)) / n), abs=1e-7)


def test_summary_leaves_ambiguous_rows_out_and_counts_by_category() -> None:
    found = summary(
        [
            pair("block", Action.BLOCK, "a", ms=1, sexual_nudity=0.9),
            pair("block", Action.ALLOW, "a", ms=2, sexual_nudity=0.2),
            pair("allow", Action.HOLD, "b", ms=3, sexual_nudity=0.4),
            pair("ambiguous", Action.BLOCK, "c", ms=4),
        ]
    )
    assert found["stopped_of_block"]["share"] == 0.5
    assert found["stopped_of_allow"]["share"] == 1.0
    assert found["precision"] == 0.5
    assert (found["rows"], found["ambiguous"], found["unjudged"]) == (4, 1, 0)
    assert found["auroc"] == {"sexual": 0.5}
    assert [(row["label"], row["category"], row["n"], row["hits"]) for row in found["categories"]] == [
        ("allow", "b", 1, 1),
        ("block", "a", 2, 1),
    ]
    assert found["ms"] == {"p50": 2.0, "p95": 4.0, "p99": 4.0}
    assert found["ms_95"] == {"p50": [1.0, 4.0], "p95": [2.0, 4.0], "p99": [3.0, 4.0]}


def test_precision_and_recall_at_each_action() -> None:
    actions = [Action.ALLOW, Action.FLAG, Action.HOLD, Action.BLOCK]
    pairs = [pair("block", action) for action in actions] + [pair("allow", Action.FLAG)]
    found = {row["action"]: (row["precision"], row["recall"]) for row in summary(pairs)["at_action"]}
    assert found == {"flag": (0.75, 0.75), "transform": (1.0, 0.5), "hold": (1.0, 0.5), "block": (1.0, 0.25)}


def test_a_flag_is_not_a_stop_and_a_fault_is_told_apart() -> None:
    found = summary([pair("allow", Action.FLAG), pair("block", Action.HOLD, judged=False)])
    assert found["stopped_of_allow"]["hits"] == 0
    assert found["stopped_of_block"]["hits"] == 1
    assert found["unjudged"] == 1


def test_a_family_s_best_score_counts_and_rows_without_it_score_nothing() -> None:
    found = summary(
        [
            pair("block", Action.ALLOW, sexual_nudity=0.1, sexual_explicit=0.9),
            pair("block", Action.ALLOW),
            pair("allow", Action.ALLOW, sexual_nudity=0.5),
        ]
    )
    assert found["auroc"] == {"sexual": 0.5}


def test_a_summary_of_nothing_is_json_too() -> None:
    found = summary([])
    assert (found["precision"], found["auroc"], found["categories"]) == (None, {}, [])
    assert orjson.loads(orjson.dumps(found)) == found


def test_every_share_and_area_has_its_interval() -> None:
    found = summary([pair("block", Action.BLOCK, sexual_nudity=0.9)] * 15 + [pair("allow", Action.ALLOW)] * 35)
    hold = next(row for row in found["at_action"] if row["action"] == "hold")
    assert (hold["precision"], hold["recall"]) == (1.0, 1.0)
    assert hold["precision_95"] == hold["recall_95"] == [0.796117, 1.0]
    low, high = found["auroc_95"]["sexual"]
    assert 0.8 < low < high == 1.0
    assert summary([])["ms_95"] == {"p50": None, "p95": None, "p99": None}


@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=300))
def test_a_percentile_lies_in_its_interval(times: list[float]) -> None:
    found = summary([pair("allow", Action.ALLOW, ms=ms) for ms in times])
    for name, value in found["ms"].items():
        low, high = found["ms_95"][name]
        assert low <= value <= high


def test_best_scores_look_at_the_families_only() -> None:
    results = [pair("block", Action.BLOCK, sexual_nudity=0.4, harm_graphic=0.8)[1], pair("allow", Action.ALLOW)[1]]
    assert best_scores(results, ["sexual.", "minor."]) == [0.4, 0.0]
    assert best_scores(results) == [0.8, 0.0]
