from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.errors import PolicyError
from guardrail.policy.expression import MAX_LENGTH, Condition, bind, closest, compile_condition, text_of
from guardrail.signals import Evidence, GenerationRequest, Signal
from guardrail.taxonomy import SIGNALS, Stage
from tests.policy.parts import BLANK, raised


def made(source: str) -> Condition:
    return compile_condition(source, file="f.yaml", line=7)


def holds(source: str, scores: dict[str, float] | None = None, request: GenerationRequest = BLANK) -> bool:
    condition = made(source)
    return condition.holds(bind(condition.names, Stage.PROMPT, raised(scores or {}), {}, request))


@pytest.mark.parametrize("name", SIGNALS)
def test_every_signal_is_a_name_at_its_own_stage_and_at_earlier_ones(name: str) -> None:
    assert holds(f"{name} >= 0.5", {name: 0.5})
    assert not holds(f"{name} >= 0.5", {name: 0.49})
    condition = made(f"prompt.{name} >= 0.5 || input.{name} >= 0.5")
    assert condition.reads == frozenset()
    assert condition.reads_earlier == {(Stage.PROMPT, name), (Stage.INPUT, name)}
    values = bind(condition.names, Stage.OUTPUT, (), {Stage.INPUT: raised({name: 0.6})}, BLANK)
    assert condition.holds(values)


def test_the_best_score_of_a_name_counts() -> None:
    condition = made("sexual.nudity >= 0.5")
    signals = [Signal("sexual.nudity", score, "test.x") for score in (0.1, 0.6, 0.2)]
    assert condition.holds(bind(condition.names, Stage.PROMPT, signals, {}, BLANK))


@pytest.mark.parametrize(
    ("details", "living", "historical"),
    [
        ([{}], True, False),
        ([{"era": "historical"}], False, True),
        ([{"era": "historical"}, {"era": "historical"}], False, True),
        ([{"era": "historical"}, {}], True, False),
        ([], True, False),
    ],
)
def test_a_name_is_historical_when_all_its_evidence_is(
    details: list[dict[str, str]], living: bool, historical: bool
) -> None:
    signal = Signal("person.named", 0.9, "test.x", tuple(Evidence(detail=item) for item in details))
    for name, expected in (("living", living), ("historical", historical)):
        condition = made(f"person.named.{name} >= 0.5")
        assert condition.reads == {"person.named"}
        assert condition.holds(bind(condition.names, Stage.PROMPT, [signal], {}, BLANK)) is expected


def test_facts() -> None:
    request = GenerationRequest(operation="edit", tenant="museum", params={"model": "x", "n": 2})
    assert holds("request.operation == 'edit' && request.tenant == 'museum' && stage == 'prompt'", request=request)
    assert holds("request.uploads == 0 && request.params['n'] == '2'", request=request)
    assert holds("request.params.model == 'x' && !('seed' in request.params)", request=request)


@pytest.mark.parametrize(
    ("source", "message", "nearest"),
    [
        ("sexual.nudty >= 0.5", "no signal or fact is called 'sexual.nudty'", "sexual.nudity"),
        ("prompt.sexual.undres >= 0.5", "prompt.sexual.undres", "prompt.sexual.undress"),
        ("request.operaton == 'edit'", "request.operaton", "request.operation"),
        ("sexual.nudity >= 1", "write 1.0, not 1", None),
        ("sexual.nudity", "must be true or false", None),
        ("sexual.nudity >= 'a'", "does not parse or type-check", None),
        ("sexual.nudity >=", "does not parse or type-check", None),
        ("sexual . nudity >= 0.5", "in one piece", None),
        ("true" + " " * MAX_LENGTH, "characters", None),
        ("(" * 900 + "true" + ")" * 900, "does not parse or type-check", None),
    ],
)
def test_faults_are_found_when_it_compiles(source: str, message: str, nearest: str | None) -> None:
    with pytest.raises(PolicyError, match=r"^f\.yaml:7: ") as caught:
        made(source)
    assert message in caught.value.message
    assert caught.value.nearest == nearest


def test_a_name_in_text_or_a_comment_hides_nothing() -> None:
    for source in ("'' == '' && sexual.nudity >= 0.5 // 'x", "'''a' sexual.nudity''' != '' && sexual.nudity >= 0.5"):
        assert made(source).reads == {"sexual.nudity"}


def test_failing_at_run_time_is_an_error_of_its_own() -> None:
    for source in ("request.params['seed'] == '1'", "1 / int(request.uploads) == 1"):
        with pytest.raises(ValueError, match="failed to evaluate"):
            holds(source)


def test_nested_loops_end_soon() -> None:
    many = "[" + ",".join("1" for _ in range(150)) + "]"
    condition = made(f"{many}.all(a, {many}.all(b, {many}.all(c, true)))")
    begun = time.process_time()
    with pytest.raises(ValueError, match="failed to evaluate"):
        condition.holds(bind((), Stage.PROMPT, (), {}, BLANK))
    assert time.process_time() - begun < 2


def test_what_callers_send_always_fits() -> None:
    hostile = GenerationRequest(tenant="\ud800", params={"\udfff": "\ud800", "n": 10**5000, "on": True})
    assert holds("request.tenant == '?' && request.params['n'] == 'out of range'", request=hostile)
    assert text_of(True) == "True"
    assert text_of("é") == "é"


def test_nothing_close_has_no_nearest_name() -> None:
    assert closest("zzzzzzzz", SIGNALS) is None


@given(st.text(max_size=60))
def test_any_text_compiles_or_is_a_policy_error(source: str) -> None:
    with contextlib.suppress(PolicyError):
        assert made(source).source == source


@pytest.mark.parametrize(
    ("media", "photo"),
    [(["art"], False), (["art", "art"], False), (["art", "photo"], True), ([None], True), ([], True)],
)
def test_nudity_is_art_when_all_its_evidence_is(media: list[str | None], photo: bool) -> None:
    evidence = tuple(Evidence(detail={"medium": word} if word else {}) for word in media)
    signal = Signal("sexual.nudity", 0.8, "test.a", evidence)
    for name, expected in (("photo", photo), ("art", not photo)):
        source = f"sexual.nudity.{name} >= 0.5"
        condition = compile_condition(source, file=None, line=None)
        assert condition.reads == {"sexual.nudity"}
        values = bind(condition.names, Stage.OUTPUT, [signal], {}, GenerationRequest())
        assert condition.holds(values) is expected
