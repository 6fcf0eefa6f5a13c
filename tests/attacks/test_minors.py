"""Any sexual score next to somebody who may be a minor blocks in every policy, and no apparent age clears anybody.

Only synthetic scores here, and nets that answer a constant; pictures of faces elsewhere are of adults.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from guardrail.errors import PolicyError
from guardrail.policy import Policy, load_policy
from guardrail.taxonomy import Stage
from guardrail.verdict import Action
from guardrail.vision.age import AGE_EVEN, youth
from tests.policy.parts import asked, decide, load

POLICIES = ["floor", "default", "strict", "art"]
EDIT = asked("x", uploads=1, operation="edit")
SEXUAL = {"sexual.nudity": 0.3, "sexual.explicit": 0.3, "sexual.undress": 0.3, "sexual.suggestive": 0.6}


@pytest.fixture(params=POLICIES)
def policy(request: pytest.FixtureRequest) -> Policy:
    return load_policy(request.param)


@pytest.mark.parametrize("stage", [Stage.INPUT, Stage.OUTPUT])
@pytest.mark.parametrize("name", SEXUAL)
def test_low_sexual_scores_suffice(policy: Policy, stage: Stage, name: str) -> None:
    scores = {"minor.apparent": youth(AGE_EVEN), name: SEXUAL[name]}
    assert decide(policy, scores, stage=stage, request=EDIT).action is Action.BLOCK


@pytest.mark.parametrize("half", ["upload", "prompt"])
def test_the_halves_may_come_from_two_places(policy: Policy, half: str) -> None:
    if half == "upload":
        prior = {Stage.INPUT: {"minor.apparent": 0.5}}
        scores = {"sexual.nudity": 0.3}
    else:
        prior = {Stage.PROMPT: {"sexual.nudity": 0.4}}
        scores = {"minor.apparent": 0.5}
    assert decide(policy, scores, stage=Stage.OUTPUT, prior=prior, request=EDIT).action is Action.BLOCK


@pytest.mark.parametrize("years", [0, 20, 30, 50, 80])
def test_no_apparent_age_clears_anybody(policy: Policy, years: int) -> None:
    """What is stopped without a face stays stopped beside one, however old it looks."""
    order = list(Action)
    for name, score in (("sexual.nudity", 0.7), ("sexual.explicit", 0.6), ("person.protected", 0.6)):
        without = decide(policy, {name: score}, stage=Stage.OUTPUT, request=EDIT).action
        beside = {name: score, "minor.apparent": youth(years), "person.depicted": 1.0}
        with_age = decide(policy, beside, stage=Stage.OUTPUT, request=EDIT).action
        assert order.index(with_age) >= order.index(without)


def test_no_policy_relaxes_it(tmp_path: Path) -> None:
    for rule in ("minor-sexual-picture", "minor-sexual-prompt"):
        with pytest.raises(PolicyError, match="part of the floor and cannot be relaxed"):
            load(tmp_path, f"extends: art\nrelax: [{{rule: {rule}, because: adults only here}}]\n")
