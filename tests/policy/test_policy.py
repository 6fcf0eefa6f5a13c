from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.policy import Policy, load_policy
from guardrail.policy.expression import bind
from guardrail.policy.patterns import PatternTimeoutError
from guardrail.signals import Coverage, GenerationRequest, Signal, Skip
from guardrail.taxonomy import SIGNALS, Stage
from guardrail.verdict import Action
from tests.policy.parts import acting, asked, decide, load, raised, rule

SHIPPED = ("floor", "default", "strict", "art")
SCORES = st.dictionaries(st.sampled_from(list(SIGNALS)), st.floats(0, 1), max_size=6)
OPERATIONS = st.sampled_from(["generate", "edit", "variation", "moderate"])


def test_the_gravest_acting_rule_wins_and_all_reasons_are_told(tmp_path: Path) -> None:
    policy = load(
        tmp_path,
        "rules:\n"
        "  - {id: a, stage: prompt, when: sexual.suggestive >= 0.5, then: flag, message: first}\n"
        "  - {id: b, stage: [prompt, output], when: sexual.suggestive >= 0.6, then: hold, message: second}\n"
        "  - {id: c, stage: prompt, when: sexual.suggestive >= 0.7, then: block, message: third, mode: shadow}\n",
    )
    decision = decide(policy, {"sexual.suggestive": 0.9})
    assert decision.action is Action.HOLD
    assert [(item.rule, item.action, item.mode) for item in decision.reasons] == [
        ("a", Action.FLAG, "enforce"),
        ("b", Action.HOLD, "enforce"),
        ("c", Action.BLOCK, "shadow"),
    ]
    assert decision.reasons[0].signals == ("sexual.suggestive",)
    assert decision.policy == policy.ref
    assert decide(policy, {"sexual.suggestive": 0.9}, stage=Stage.OUTPUT).action is Action.HOLD
    assert decide(policy, {"sexual.suggestive": 0.9}, stage=Stage.INPUT).action is Action.ALLOW


def test_reasons_name_signals_of_earlier_stages_too() -> None:
    decision = decide(
        load_policy("floor"),
        {"person.depicted": 1.0},
        stage=Stage.INPUT,
        prior={Stage.PROMPT: {"sexual.undress": 0.4}},
    )
    assert decision.reasons[0].signals == ("person.depicted", "sexual.undress")


def test_a_rule_that_needs_nothing_raised_still_acts(tmp_path: Path) -> None:
    policy = load(tmp_path, rule("when: sexual.nudity < 0.5 && request.operation == 'edit'"))
    for _ in range(2):
        assert decide(policy, request=asked("x", operation="edit")).action is Action.BLOCK
        assert decide(policy, request=asked("x")).action is Action.ALLOW
    assert decide(policy, {"sexual.nudity": 0.6}, request=asked("x", operation="edit")).action is Action.ALLOW
    assert decide(policy, {"harm.graphic": 0.6}, request=asked("x", operation="edit")).action is Action.BLOCK


def test_facts_of_one_request_never_answer_for_another(tmp_path: Path) -> None:
    policy = load(tmp_path, rule("when: request.tenant == 'a' || ('m' in request.params && request.params.m == 'x')"))
    for _ in range(2):
        assert decide(policy, request=GenerationRequest(tenant="a")).action is Action.BLOCK
        assert decide(policy, request=GenerationRequest(tenant="b")).action is Action.ALLOW
        assert decide(policy, request=GenerationRequest(params={"m": "x"})).action is Action.BLOCK
        assert decide(policy, request=GenerationRequest(params={"m": "x" * 5_000})).action is Action.ALLOW
    assert policy._idle.cache_info().currsize == 3


def test_a_condition_that_fails_closes_the_verdict(tmp_path: Path) -> None:
    policy = load(tmp_path, rule("when: request.params['seed'] == '1'") + "\non_error: block")
    decision = decide(policy)
    assert decision.action is Action.BLOCK
    assert [(item.rule, item.mode) for item in decision.reasons] == [("mine", "fault")]
    watching = load(tmp_path, rule("when: request.params['seed'] == '1'\nmode: shadow"))
    assert decide(watching).action is Action.ALLOW
    assert decide(watching).reasons[0].mode == "shadow"


def test_patterns_lists_and_conditions_join(tmp_path: Path) -> None:
    policy = load(
        tmp_path,
        rule("when: sexual.suggestive >= 0.5\npatterns: ['\\bold\\b', new]\nlist: words")
        + "\nlists: {words: {terms: [statue]}}",
    )
    scores = {"sexual.suggestive": 0.5}
    assert acting(decide(policy, scores, request=asked("an OLD statue"))) == {"mine"}
    assert acting(decide(policy, scores, request=asked("something", "a new statue"))) == {"mine"}
    for words, found in (("a statue", scores), ("an old house", scores), ("an old statue", {})):
        assert decide(policy, found, request=asked(words)).action is Action.ALLOW


def test_fuzzy_patterns_and_their_time(tmp_path: Path) -> None:
    fuzzy = load(tmp_path, rule("pattern: '(?:statue){e<=1}'\nengine: regex"))
    assert decide(fuzzy, request=asked("a statoe")).action is Action.BLOCK
    assert decide(fuzzy, request=asked("a house")).action is Action.ALLOW
    slow = load(tmp_path, rule("pattern: '(\\p{So}+\\p{So}+)+\\p{Sm}'\nengine: regex"))
    begun = time.process_time()
    decision = decide(slow, request=asked("☀" * 4_000))
    assert time.process_time() - begun < 2
    assert (decision.action, decision.reasons[0].mode) == (Action.HOLD, "fault")


def test_rules_of_patterns_alone(tmp_path: Path) -> None:
    policy = load(
        tmp_path,
        "rules:\n"
        "  - {id: a, stage: prompt, pattern: statue, then: flag, message: a}\n"
        "  - {id: b, stage: [prompt, output], patterns: [bronze, marble], then: hold, message: b}\n",
    )
    assert decide(policy, request=asked("a house")).reasons == ()
    assert acting(decide(policy, request=asked("a marble statue"))) == {"a", "b"}
    assert acting(decide(policy, request=asked("a marble statue"), stage=Stage.OUTPUT)) == {"b"}
    assert decide(policy, request=asked("a marble statue"), stage=Stage.INPUT).reasons == ()


def test_pattern_rules_close_together_when_the_set_gives_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = load(tmp_path, rule("pattern: statue"))

    def give_up(text: str) -> frozenset[int]:
        raise PatternTimeoutError

    monkeypatch.setattr(policy.pattern_set, "matches", give_up)
    decision = decide(policy, request=asked("a house"))
    assert decision.action is Action.HOLD
    assert [(item.rule, item.mode) for item in decision.reasons] == [("mine", "fault")]


def test_rollout_is_drawn_from_the_subject(tmp_path: Path) -> None:
    policy = load(tmp_path, rule("when: sexual.nudity >= 0.5\nrollout: 30"))
    drawn = [decide(policy, {"sexual.nudity": 1.0}, subject=f"blake2b:{number}") for number in range(1_000)]
    acted = sum(item.action is Action.BLOCK for item in drawn)
    assert 240 < acted < 360
    assert {item.reasons[0].mode for item in drawn if item.action is Action.ALLOW} == {"shadow"}
    again = [decide(policy, {"sexual.nudity": 1.0}, subject=f"blake2b:{number}") for number in range(1_000)]
    assert again == drawn


@pytest.mark.parametrize(("share", "action"), [(0, Action.ALLOW), (100, Action.BLOCK)])
def test_rollout_ends(tmp_path: Path, share: int, action: Action) -> None:
    policy = load(tmp_path, rule(f"when: sexual.nudity >= 0.5\nrollout: {share}"))
    assert {decide(policy, {"sexual.nudity": 1.0}, subject=str(item)).action for item in range(300)} == {action}


def test_what_was_not_inspected_closes_the_verdict() -> None:
    policy = load_policy("default")
    looked = Coverage(
        (
            *("text.injection:texts=0", "text.pictured:texts=0", "vision.hidden:lines=0"),
            *("vision.nudity:frames=1", "vision.faces:frames=1", "vision.faces:faces=0", "vision.edits:uploads=0"),
            "vision.fingerprint",
        ),
        (Skip("age", "small"),),
    )
    request = asked("x", uploads=1)
    for stage in (Stage.INPUT, Stage.OUTPUT):
        assert policy.decide(stage, (), request=request, coverage=looked).action is Action.ALLOW
        short = policy.decide(stage, (), request=request, coverage=Coverage(looked.inspected[:-1]))
        assert (short.action, short.reasons[0].rule, short.reasons[0].mode) == (Action.HOLD, "coverage", "fault")
        assert "vision.fingerprint" in short.reasons[0].message
        assert len(policy.decide(stage, (), request=request, coverage=Coverage()).reasons) == len(
            policy.required(stage)
        )


def test_nothing_to_inspect_needs_no_inspection() -> None:
    policy = load_policy("default")
    blank = GenerationRequest()
    assert policy.decide(Stage.PROMPT, (), request=blank, coverage=Coverage()).action is Action.ALLOW
    assert policy.decide(Stage.INPUT, (), request=asked("x"), coverage=Coverage()).action is Action.ALLOW
    assert policy.decide(Stage.OUTPUT, (), request=blank, coverage=Coverage()).action is Action.HOLD
    assert policy.decide(Stage.PROMPT, (), request=asked("x"), coverage=Coverage()).action is Action.HOLD
    assert policy.decide(Stage.PROMPT, (), request=asked("x"), coverage=None).action is Action.ALLOW


def test_signals_used_are_those_of_the_stage_and_those_read_later() -> None:
    floor = load_policy("floor")
    assert floor.signals_used(Stage.OUTPUT) >= {"fingerprint.match", "person.same_as_input", "edit.exposure_delta"}
    assert "sexual.undress" in floor.signals_used(Stage.PROMPT)
    assert "minor.apparent" in floor.signals_used(Stage.INPUT)
    assert "injection.instruction" not in floor.signals_used(Stage.PROMPT)


def test_textual_rules_read_no_signals(tmp_path: Path) -> None:
    assert load(tmp_path, rule("pattern: x")).signals_used(Stage.PROMPT) == load_policy("floor").signals_used(
        Stage.PROMPT
    )


def verdict_of(policy: Policy, stage: Stage, scores: dict[str, float], request: GenerationRequest) -> Action:
    prior = {when: raised(scores) for when in Stage if when is not stage}
    return policy.decide(stage, raised(scores), request=request, prior=prior).action


POLICIES = {name: load_policy(name) for name in SHIPPED}


@given(st.sampled_from(SHIPPED), st.sampled_from(list(Stage)), SCORES, SCORES, OPERATIONS, st.integers(0, 2))
def test_raising_scores_never_lowers_the_action(
    name: str, stage: Stage, low: dict[str, float], more: dict[str, float], operation: str, uploads: int
) -> None:
    request = asked("x", uploads=uploads, operation=operation)
    high = {key: max(low.get(key, 0.0), more.get(key, 0.0)) for key in low | more}
    policy = POLICIES[name]
    assert verdict_of(policy, stage, high, request) >= verdict_of(policy, stage, low, request)


@given(st.sampled_from(SHIPPED), st.sampled_from(list(Stage)), SCORES, OPERATIONS, st.integers(0, 2))
def test_no_policy_is_milder_than_the_floor(
    name: str, stage: Stage, scores: dict[str, float], operation: str, uploads: int
) -> None:
    request = asked("x", uploads=uploads, operation=operation)
    floor = verdict_of(POLICIES["floor"], stage, scores, request)
    assert verdict_of(POLICIES[name], stage, scores, request) >= floor


@given(st.sampled_from(list(Stage)), SCORES, OPERATIONS)
def test_strict_is_never_milder_than_default(stage: Stage, scores: dict[str, float], operation: str) -> None:
    request = asked("x", operation=operation)
    assert verdict_of(POLICIES["strict"], stage, scores, request) >= verdict_of(
        POLICIES["default"], stage, scores, request
    )


@given(SCORES, st.lists(st.sampled_from(list(SIGNALS)), max_size=4))
def test_skipping_idle_rules_changes_nothing(scores: dict[str, float], zeros: list[str]) -> None:
    """A signal of score 0 is as good as none, and each rule is as if it were evaluated."""
    policy = POLICIES["strict"]
    signals = [*raised(scores), *(Signal(name, 0.0, "test.zero") for name in zeros)]
    for stage in Stage:
        decision = policy.decide(stage, signals, request=asked("x"))
        assert decision == policy.decide(stage, raised(scores), request=asked("x"))
        for item in policy.rules:
            if item.condition and stage in item.stages:
                values = bind(item.condition.names, stage, signals, {}, asked("x"))
                assert item.condition.holds(values) == (item.id in acting(decision))


def test_nothing_raised_evaluates_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    policy, request = load_policy("strict"), asked("a lighthouse", operation="edit")
    assert len(policy.rules) >= 30
    first = policy.decide(Stage.PROMPT, (), request=request)

    def refuse(*arguments: object, **named: object) -> None:
        raise AssertionError("a condition was evaluated")

    monkeypatch.setattr("guardrail.policy.policy.bind", refuse)
    assert policy.decide(Stage.PROMPT, (), request=request) == first
    with pytest.raises(AssertionError):
        policy.decide(Stage.PROMPT, raised({"sexual.nudity": 0.1}), request=request)


def _over(skipped: str) -> str:
    return rule(f'stage: [prompt, input]\nwhen: "{skipped}"\nthen: hold')


def test_a_rule_reads_what_was_not_inspected_once_it_is_known(tmp_path: Path) -> None:
    policy = load(tmp_path, _over("coverage.skipped.exists(part, part.startsWith('picture.'))"))
    request = GenerationRequest()

    def action(*skipped: str) -> Action:
        coverage = Coverage(skipped=tuple(Skip(what, "a test") for what in skipped))
        return policy.decide(Stage.INPUT, (), request=request, coverage=coverage).action

    assert action() is Action.ALLOW
    assert action("vision.faces") is Action.ALLOW
    assert action("vision.faces", "picture.exif", "picture.exif") is Action.HOLD
    assert policy.decide(Stage.INPUT, (), request=request).action is Action.ALLOW


def test_a_rule_joins_what_was_not_inspected_with_signals(tmp_path: Path) -> None:
    policy = load(tmp_path, _over("sexual.nudity >= 0.2 && size(coverage.skipped) == 0"))
    seen = raised({"sexual.nudity": 0.4})
    for coverage, expected in (
        (None, Action.ALLOW),
        (Coverage(), Action.HOLD),
        (Coverage(skipped=(Skip("picture.\ud800", "odd"),)), Action.ALLOW),
    ):
        assert policy.decide(Stage.PROMPT, seen, request=GenerationRequest(), coverage=coverage).action is expected
