import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.signals import Coverage, Evidence, Signal, Skip
from guardrail.taxonomy import SIGNALS, Stage
from guardrail.verdict import Action, PolicyRef, Reason, Verdict, new_id

_REF = PolicyRef("default", "1", "sha256:0")


def _verdict(action: Action, *reasons: Reason) -> Verdict:
    return Verdict(Stage.OUTPUT, action, reasons, (), Coverage(), _REF)


def test_actions_are_ordered_by_severity() -> None:
    assert list(Action) == sorted(Action)
    for mild, grave in itertools.combinations(Action, 2):
        assert mild < grave
        assert mild <= grave
        assert grave > mild
        assert grave >= mild
    assert Action.BLOCK > "hold"
    with pytest.raises(ValueError, match="sideways"):
        _ = Action.BLOCK > "sideways"


def test_only_the_first_three_actions_release() -> None:
    assert [action for action in Action if action.released] == [Action.ALLOW, Action.FLAG, Action.TRANSFORM]
    assert _verdict(Action.FLAG).released
    assert not _verdict(Action.HOLD).released


def test_rule_names_the_rule_that_asked_for_the_action_and_never_a_shadow() -> None:
    shadow = Reason("watched", Action.BLOCK, "m", mode="shadow")
    mild = Reason("mild", Action.FLAG, "m")
    held = Reason("held", Action.BLOCK, "m", ("sexual.nudity",))
    assert _verdict(Action.BLOCK, shadow, mild, held).rule == "held"
    assert _verdict(Action.ALLOW).rule is None


def test_a_fault_is_one_only_when_no_rule_keeps_the_subject_back() -> None:
    fault = Reason("guard-error", Action.HOLD, "m", mode="fault")
    assert _verdict(Action.HOLD, fault).fault
    assert _verdict(Action.HOLD, fault, Reason("mild", Action.FLAG, "m")).fault
    assert not _verdict(Action.BLOCK, fault, Reason("held", Action.BLOCK, "m")).fault
    assert not _verdict(Action.ALLOW).fault


_evidence = st.builds(
    Evidence,
    span=st.none() | st.tuples(st.integers(0, 9), st.integers(9, 99)),
    box=st.none() | st.tuples(*[st.integers(0, 99)] * 4),
    frame=st.none() | st.integers(0, 9),
    where=st.none() | st.sampled_from(["prompt", "negative"]),
    view=st.none() | st.just("leet"),
    ref=st.none() | st.just("pf-1"),
    detail=st.dictionaries(st.sampled_from(["medium", "era"]), st.sampled_from(["art", "historical"])),
)
_signals = st.builds(
    Signal,
    name=st.sampled_from(sorted(SIGNALS)),
    score=st.integers(0, 10_000).map(lambda value: value / 10_000),
    detector=st.just("test.detector"),
    evidence=st.lists(_evidence, max_size=2).map(tuple),
)
_reasons = st.builds(
    Reason,
    rule=st.just("a-rule"),
    action=st.sampled_from(Action),
    message=st.just("why"),
    signals=st.just(("sexual.nudity",)),
    mode=st.sampled_from(["enforce", "shadow", "fault"]),
)


@given(st.sampled_from(Stage), st.sampled_from(Action), st.lists(_signals, max_size=3), st.lists(_reasons, max_size=3))
def test_a_verdict_survives_its_own_json(
    stage: Stage, action: Action, signals: list[Signal], reasons: list[Reason]
) -> None:
    coverage = Coverage(("text.lexicon",), (Skip("text.heads", "the verdict was already block"),))
    verdict = Verdict(
        stage,
        action,
        tuple(reasons),
        tuple(signals),
        coverage,
        _REF,
        {"yunet": "sha256:1"},
        {"total": 1.25},
        "blake2b:1",
    )
    again = Verdict.from_dict(verdict.to_dict())
    assert again.to_dict() == verdict.to_dict()
    assert again.scores == verdict.scores


def test_ids_sort_by_time_and_are_unique() -> None:
    ids = [new_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(len(item) == 26 for item in ids)
    assert [item[:10] for item in ids] == sorted(item[:10] for item in ids)
