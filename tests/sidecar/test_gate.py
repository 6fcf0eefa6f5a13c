from __future__ import annotations

import pytest

from guardrail.errors import ReleaseError
from guardrail.sidecar.gate import Released, ReleaseGate
from guardrail.signals import Coverage
from guardrail.taxonomy import Stage
from guardrail.verdict import Action, PolicyRef, Verdict


def _verdict(action: Action, *, stage: Stage = Stage.OUTPUT, subject: str = "digest of picture") -> Verdict:
    return Verdict(stage, action, (), (), Coverage(), PolicyRef("test", "1", ""), subject=subject)


def _digest(data: bytes) -> str:
    return f"digest of {data.decode()}"


@pytest.mark.parametrize("action", [Action.ALLOW, Action.FLAG])
def test_judged_bytes_pass_unchanged(action: Action) -> None:
    data = b"picture"
    released = ReleaseGate(_digest).release(_verdict(action), data)
    assert released is not None
    assert released.data is data


@pytest.mark.parametrize("action", [Action.TRANSFORM, Action.HOLD, Action.BLOCK])
def test_everything_milder_than_allow_or_flag_is_kept(action: Action) -> None:
    assert ReleaseGate(_digest).release(_verdict(action), b"picture") is None


def test_a_verdict_about_other_bytes_releases_nothing() -> None:
    with pytest.raises(ReleaseError, match="other bytes"):
        ReleaseGate(_digest).release(_verdict(Action.ALLOW), b"another")


@pytest.mark.parametrize("stage", [Stage.PROMPT, Stage.INPUT])
def test_a_verdict_of_an_earlier_stage_releases_nothing(stage: Stage) -> None:
    with pytest.raises(ReleaseError, match=stage.value):
        ReleaseGate(_digest).release(_verdict(Action.ALLOW, stage=stage), b"picture")


def test_an_empty_digest_matches_nothing() -> None:
    with pytest.raises(ReleaseError):
        ReleaseGate(lambda _: "").release(_verdict(Action.ALLOW, subject=""), b"picture")


def test_only_the_gate_makes_released_bytes() -> None:
    with pytest.raises(ReleaseError):
        Released(b"picture", object())
