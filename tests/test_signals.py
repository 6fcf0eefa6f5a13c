import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.errors import DetectionError, PromptError
from guardrail.signals import Coverage, Evidence, Prompt, Signal, Skip, best_scores


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -0.01, 1.01])
def test_a_score_outside_the_unit_interval_is_refused(score: float) -> None:
    with pytest.raises(DetectionError, match="not in"):
        Signal("sexual.nudity", score, "test.detector")


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(DetectionError, match="taxonomy"):
        Signal("sexual.nuditty", 0.5, "test.detector")


def test_a_prompt_that_is_not_text_is_refused() -> None:
    with pytest.raises(PromptError):
        Prompt(b"bytes")  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.sampled_from(["sexual.nudity", "person.named"]), st.floats(0, 1))))
def test_best_scores_is_the_maximum_per_name(pairs: list[tuple[str, float]]) -> None:
    best = best_scores(Signal(name, score, "test.detector") for name, score in pairs)
    for name in {name for name, _ in pairs}:
        assert best[name] == max(score for other, score in pairs if other == name)


def test_coverage_adds_without_doubles_and_keeps_order() -> None:
    left = Coverage(("a", "b"), (Skip("x", "why"),))
    right = Coverage(("b", "c"), (Skip("x", "why"), Skip("y", "why")))
    both = left + right
    assert both.inspected == ("a", "b", "c")
    assert both.skipped == (Skip("x", "why"), Skip("y", "why"))


def test_evidence_leaves_empty_fields_out() -> None:
    assert Evidence(span=(1, 2), view="leet").to_dict() == {"span": [1, 2], "view": "leet"}
    assert Evidence().to_dict() == {}
